# SPDX-License-Identifier: Apache-2.0
"""restore-node where Cassandra does not run, as on a machine in another's place: what lies on its disk is compared like the answers of one that runs.
On a stand-in; tests/cassandra/test_restored_still.py does it with real nodes."""

import os
import shutil

import pytest

from harness import FAILED, FOUND
from host import Host, files, refused, with_own
from standin import VERSION

RACKDC = "cassandra-rackdc.properties"
GOSSIPING = "org.apache.cassandra.locator.GossipingPropertyFileSnitch"
RIGHT = "# ours\r\ndc=dc 1 \r\n\r\n  rack : r1\r\nprefer_local=true\r\n"


class Machine(Host):
    """With Cassandra installed as its archive or its packages do it, and a snitch."""

    def install(self, *versions, place="lib", rackdc=RIGHT, snitch=GOSSIPING, **yaml):
        home = self.directory / "installation"
        for directory in ("bin", place):
            (home / directory).mkdir(parents=True, exist_ok=True)
        shutil.copy(self.directory / "nodetool", home / "bin/nodetool")
        for version in versions:
            (home / place / f"apache-cassandra-{version}.jar").touch()
        (home / place / "apache-cassandra.jar").touch()
        (self.yaml.parent / RACKDC).write_text(rackdc)
        self.write_yaml(endpoint_snitch=snitch, **yaml)
        (self.directory / "nodetool").unlink()
        (self.directory / "nodetool").symlink_to(home / "bin/nodetool")
        return self


@pytest.fixture
def host(program):
    host = Machine(program).fill().start()
    yield host
    host.kill()


@pytest.fixture
def stored(repository, host):
    """Backup b of the host, which then lost its disks, stopped."""
    repository("--config", host.configuration, "backup", "--name", "b")
    repository.before = {path: data for path, data in files(host.content()).items() if path.startswith("data")}
    host.kill()
    for place in host.places:
        shutil.rmtree(place)
        place.mkdir()
    host.calls()
    return repository


def restore(repository, host, *arguments, **keywords):
    return repository("--config", host.configuration, "restore-node", "b", *arguments, **keywords)


def plan(repository, host, *options, code):
    """What is told of it as JSON, which the text has too."""
    options = options or ("--in-place",)
    document = repository.json("--config", host.configuration, "restore-node", "b", *options, "--plan", code=code)
    text = restore(repository, host, *options, "--plan", code=code).out
    assert all(line in text for line in (*document["notes"], *document["refusals"]))
    assert not document["running"]
    return document


@pytest.mark.parametrize("place", ["lib", "share/cassandra"], ids=["archive", "packages"])
def test_the_right_machine_is_restored(stored, host, place):
    host.install(VERSION, place=place)
    document = plan(stored, host, code=0)
    note, = (note for note in document["notes"] if "does not run here" in note)
    assert f"its tokens are not compared with the backup's; its version is, as {VERSION} ({host.directory}/installation/{place}/apache-" in note
    assert f"its data centre and rack are, as dc 1 and r1 ({host.yaml.parent}/{RACKDC})" in note
    assert not [note for note in document["notes"] if "not compared" in note.replace("tokens are not compared", "")]
    restore(stored, host, "--in-place", "--yes")
    assert files(host.content()).items() >= stored.before.items() and host.running


@pytest.mark.parametrize("versions, keywords, words", [
    (["4.1.10"], {}, ["made by Cassandra 5.0.9 and this node has 4.1.10", "install 5.0.9"]),
    ([VERSION], {"rackdc": "dc=dc 1\nrack=r2\n"}, ["rack r1 and this one in r2", "Cassandra would not start"]),
    ([VERSION], {"rackdc": "rack=r9\ndc=dc 2\nrack=r1\n"}, ["data centre dc 1 and this one in dc 2"]),
    ([VERSION], {"snitch": "SimpleSnitch"}, ["data centre dc 1 and this one in datacenter1"]),
], ids=["version", "rack", "data-centre", "simple"])
def test_what_a_node_that_runs_would_be_refused_for_is_refused(stored, host, versions, keywords, words):
    host.install(*versions, **keywords)
    refusals = "\n".join(plan(stored, host, code=FOUND)["refusals"])
    assert all(word in refusals for word in words), refusals
    before = host.content()
    refused(restore(stored, host, "--in-place", "--yes", code=FAILED), "nothing was done", words[0])
    assert host.content() == before and with_own(host) == [] and not host.running


def test_another_data_centre_is_refused_with_other_tokens_too(stored, host):
    host.install(VERSION, rackdc="dc=elsewhere\nrack=r2\n")
    document = plan(stored, host, "--remote", "--node", "n1", code=FOUND)
    assert len(document["refusals"]) == 1 and "this one in elsewhere" in document["refusals"][0]
    assert any("rack r1 and this one in r2" in note for note in document["notes"])
    assert any("whether the backup's node is up in its cluster is not known" in note for note in document["notes"])


def test_a_newer_cassandra_is_an_upgrade(stored, host):
    host.install("5.1.0")
    assert any("the start is an upgrade" in note for note in plan(stored, host, code=0)["notes"])


@pytest.mark.parametrize("versions, keywords, words", [
    ([], {}, ["installed here is not compared with the backup's (5.0.9)", "neither", "installation/lib nor", "nodetool ="]),
    (["5.0.9", "4.1.10"], {}, ["installed here is not compared", "there are Cassandra", "4.1.10"]),
    ([VERSION], {"snitch": "Ec2Snitch"}, ["data centre and rack of this node are not compared with the backup's (dc 1, r1)", "is Ec2Snitch"]),
    ([VERSION], {"snitch": "org.example.GossipingPropertyFileSnitch"}, ["is org.example.Gossiping"]),
    ([VERSION], {"snitch": "PropertyFileSnitch"}, ["is PropertyFileSnitch"]),
    ([VERSION], {"snitch": None}, ["has no endpoint_snitch"]),
    ([VERSION], {"rackdc": "dc=dc 1\n"}, [f"{RACKDC} names no rack"]),
    ([VERSION], {"rackdc": "# x\ndc=secret\\\nrack=r1\n"}, [f"{RACKDC}, line 2: backslashes are not followed"]),
    ([VERSION], {"rackdc": "dc=" + "x" * 65536}, ["cannot read", RACKDC, "File too large"]),
], ids=["no-jar", "two-jars", "cloud", "foreign", "topology", "no-snitch", "no-rack", "backslash", "large"])
def test_what_cannot_be_known_is_named_and_stops_nothing(stored, host, versions, keywords, words):
    host.install(*versions, **keywords)
    notes = [note for note in plan(stored, host, code=0)["notes"] if "not compared with" in note and "tokens" not in note]
    assert len(notes) == 1 and all(word in notes[0] for word in words), notes
    assert "secret" not in notes[0], "another's file may be linked there"
    restore(stored, host, "--in-place", "--yes")
    assert host.running


def test_one_that_runs_and_does_not_answer_is_compared_as_well(repository, host):
    repository("--config", host.configuration, "backup", "--name", "b")
    host.install("4.1.10", rackdc="dc=dc 1\nrack=r2\n")
    host.fail("info", first="error: it hangs")
    answer = restore(repository, host, "--in-place", "--plan", code=FOUND).out
    assert "cannot be asked" in answer and "this node has 4.1.10" in answer and "this one in r2" in answer


def test_no_properties_are_waited_for(stored, host):
    host.install(VERSION)
    (host.yaml.parent / RACKDC).unlink()
    assert any("there is no" in note or "cannot read" in note for note in plan(stored, host, code=0)["notes"])
    os.mkfifo(host.yaml.parent / RACKDC)
    assert any("cannot read" in note for note in plan(stored, host, code=0)["notes"])
