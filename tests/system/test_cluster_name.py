# SPDX-License-Identifier: Apache-2.0
"""What Cassandra calls its cluster, and the name under which a repository keeps it: they differ where the first has other characters, or the second
was given by hand. A node starts with the first alone."""

import pytest

from harness import FAILED, FOUND, USAGE
from host import Host, files, refused
from standin import CLUSTER
from trees import reseal

ALIAS = "production"
CLEAN = "Live_Test__1"  # what becomes of CLUSTER


@pytest.fixture
def host(program):
    host = Host(program).fill().start()
    yield host
    host.kill()


def name(host, **keys):
    """In the configuration."""
    host.configure(yaml=host.yaml, start_command=host.directory / "start", stop_command=f"{host.directory / 'stop'} now", **keys)


def back_up(repository, host, *arguments, backup="b"):
    repository("--config", host.configuration, "backup", "--name", backup, *arguments)
    return {path: data for path, data in files(host.content()).items() if path.startswith("data")}


def back_up_without_cassandra(repository, host, cluster):
    for path in list(host.data[0].glob("*/*-*")) + list(host.data[1].glob("*/*-*")):
        (path / "snapshots/t").mkdir(parents=True)
        for file in path.glob("nb-*"):
            (path / "snapshots/t" / file.name).hardlink_to(file)
    repository.backup(host.data, "t", "b", cluster=cluster)


def record(repository, cluster, backup="b"):
    path, = repository.path.glob(f"nodes/{cluster}/n1/records/{backup}/*")
    return path


def plan(repository, host, *arguments, **keywords):
    return repository.json("--config", host.configuration, "restore-node", "b", *(arguments or ["--in-place"]), "--plan", **keywords)


@pytest.mark.parametrize("how", ["configured", "as an option", "as an option of an older program"])
def test_a_backup_under_another_name_comes_back(repository, host, how):
    if how == "configured":
        name(host, cluster=ALIAS)
    before = back_up(repository, host, *([] if how == "configured" else ["--cluster", ALIAS]))
    if "older" in how:
        reseal(record(repository, ALIAS), cluster_original=ALIAS)
    else:
        assert f'"cluster_original": "{CLUSTER}"' in record(repository, ALIAS).read_text()
    assert plan(repository, host)["refusals"] == []
    assert plan(repository, host, "--only", "shop.orders")["refusals"] == []
    host.spoil()
    repository("--config", host.configuration, "restore-node", "b", "--in-place", "--yes")
    assert {path: data for path, data in files(host.content()).items() if path.startswith("data")} == before


@pytest.mark.parametrize("older", [False, True])
def test_a_name_that_only_becomes_the_same_is_another_one(repository, host, older):
    """Cassandra would not start: "Saved cluster name My_Cluster != configured name My Cluster"."""
    host.node["cluster"] = CLEAN
    host.save()
    back_up(repository, host)
    if older:  # and the other way round: the alias is what cassandra.yaml has, and not what system.local has
        host.write_yaml(cluster_name=CLEAN)
        host.node["cluster"] = CLUSTER
        host.save()
        back_up(repository, host, "--cluster", CLEAN, backup="c")
        reseal(record(repository, CLEAN, "c"), cluster_original=CLEAN)
    answer = repository("--config", host.configuration, "restore-node", "c" if older else "b", "--in-place", "--plan", code=FOUND)
    wanted, there = (CLUSTER, CLEAN) if older else (CLEAN, CLUSTER)
    assert f"the backup is of cluster '{wanted}' and cluster_name in {host.yaml} is '{there}'" in answer.out
    assert f"of cluster '{wanted}'" in plan_of_only(repository, host, "c" if older else "b")


def plan_of_only(repository, host, backup):
    return repository("--config", host.configuration, "restore-node", backup, "--only", "shop", "--plan", code=FOUND).out


@pytest.mark.parametrize("older", [False, True])
def test_where_no_backup_says_it_a_name_that_was_given_is_not_compared_and_that_is_told(repository, host, older):
    back_up_without_cassandra(repository, host, ALIAS)
    if older:
        reseal(record(repository, ALIAS), cluster_original=ALIAS)

    def is_told(*arguments):
        document = plan(repository, host, *arguments)
        told = [note for note in document["notes"] if "kept as cluster production" in note and f"'{CLUSTER}'" in note and "not compared" in note]
        return document["refusals"] == [] and len(told) == 1

    assert is_told("--in-place", "--cluster", ALIAS) and is_told("--only", "shop", "--cluster", ALIAS)
    name(host, cluster=ALIAS)
    assert is_told("--in-place")
    host.write_yaml(cluster_name=ALIAS)
    assert not [note for note in plan(repository, host)["notes"] if "compared; where" in note]


def test_where_no_backup_says_it_the_cleaned_name_is_not_compared_and_that_is_told(repository, host):
    back_up_without_cassandra(repository, host, CLEAN)
    document = plan(repository, host)
    assert document["refusals"] == [] and any("not compared" in note for note in document["notes"])


@pytest.mark.parametrize("how", [["--in-place"], ["--in-place", "--no-stage"], ["--only", "shop"]])
def test_where_no_backup_says_it_one_that_nobody_named_is_refused_as_another_clusters(repository, host, how):
    """Of another cluster Cassandra would not start, and with --no-stage there would be no way back."""
    back_up_without_cassandra(repository, host, ALIAS)
    before = host.content()
    refused(repository("--config", host.configuration, "restore-node", "b", *how, "--yes", code=FAILED),
            "kept as cluster production", f"is '{CLUSTER}'", "say --cluster production")
    assert host.content() == before and host.running


def test_a_topology_that_cannot_be_read_is_told(repository, host):
    back_up(repository, host, "--cluster", ALIAS)
    reseal(record(repository, ALIAS), cluster_original=ALIAS)
    for path in (repository.path / "nodes" / ALIAS / "n1/objects").rglob("*"):
        if path.is_file():
            path.write_bytes(b"damaged" + path.read_bytes()[7:])
    notes = plan(repository, host, "--in-place", "--cluster", ALIAS)["notes"]
    assert any("topology cannot be read" in note for note in notes) and any("not compared" in note for note in notes)


def test_backups_of_older_programs_are_gone_on_with(repository, host):
    """Their records have the name that was given by hand, where this one has Cassandra's."""
    name(host, cluster=ALIAS)
    back_up(repository, host)
    reseal(record(repository, ALIAS), cluster_original=ALIAS)
    back_up(repository, host, backup="c")
    # From then on what Cassandra says is compared.
    host.node["cluster"] = "Another One"
    host.save()
    answer = repository("--config", host.configuration, "backup", "--name", "d", code=USAGE)
    refused(answer, CLUSTER, "Another One", "--takeover")
