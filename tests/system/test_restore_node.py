# SPDX-License-Identifier: Apache-2.0
"""restore-node on a stand-in for Cassandra: the exchange of a node's data, what is refused, and the ways back. tests/cassandra does the same
with real nodes, crash/test_restore_node_killed.py kills it at every step."""

import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from harness import ABSENT, FAILED, FOUND, USAGE, wait_until
from host import OWN, Host, files, refused, with_own
from standin import HOST_ID


@pytest.fixture
def host(program):
    host = Host(program).fill().start()
    yield host
    host.kill()


@pytest.fixture
def stored(repository, host):
    """The repository with backup b of the host, which was spoilt after it. stored.before: what the backup holds; stored.spoilt: what there is now."""
    repository("--config", host.configuration, "backup", "--name", "b")
    repository.before = {path: data for path, data in host.content().items() if path.startswith("data")}
    host.spoil()
    repository.spoilt = host.content()
    host.calls()
    return repository


def restore(repository, host, *arguments, name="b", **keywords):
    return repository("--config", host.configuration, "restore-node", name, "--in-place", *arguments, **keywords)


# ---- all is well ----

def test_a_node_becomes_what_it_was_and_the_old_data_wait_for_finish(stored, host):
    answer = restore(stored, host, "--yes", "--check-query", "SELECT id FROM shop.users", "--check-rows", 4)
    assert "the node was down for" in answer.out and "--finish" in answer.out
    assert files(host.content()) == files(stored.before)
    assert host.running and host.journal()["step"] == "check"
    commands = [words[0] if words[0] in ("start", "stop") else "" for words in host.calls()]
    assert [word for word in commands if word] == ["stop", "start"]
    kept = {f"{place.name}/{path.relative_to(host.old(place))}": path.read_bytes()
            for place in host.places for path in host.old(place).rglob("*") if path.is_file()}
    assert kept == files(stored.spoilt), "what was there before is kept whole"
    answer = stored.program("--config", host.configuration, "restore-node", "--finish")
    assert "removed" in answer.out
    assert with_own(host) == [] and files(host.content()) == files(stored.before)


def test_cqlsh_is_not_started_before_somebody_listens(stored, host):
    """The start command returns at once, as systemd's does for most packages; the port opens later. A python each half a second would take from Cassandra's start."""
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        host.write_yaml(rpc_address="127.0.0.1", native_transport_port=port.getsockname()[1])
        host.node["listens"] = True
        host.save()
        opens = threading.Timer(6, port.listen)
        opens.start()
        try:
            restore(stored, host, "--yes")
        finally:
            opens.join()
    assert [words[0] for words in host.calls()].count("cqlsh") == 2, "one before the stop, one when the port was open"


def test_a_node_that_never_listens_is_named_by_its_address(stored, host):
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        host.write_yaml(rpc_address="127.0.0.1", native_transport_port=port.getsockname()[1])
        answer = restore(stored, host, "--yes", "--wait", 2, code=FAILED)
        refused(answer, "does not answer after 2 s", f"nobody takes connections at 127.0.0.1:{port.getsockname()[1]}")


@pytest.mark.parametrize("values, at, runs", [({}, "10.0.0.1", True), ({"rpc_interface": "lo"}, "127.0.0.1", True), ({"rpc_interface": "lo"}, "127.0.0.1", False),
                                              ({"listen_address": "10.0.0.7"}, "10.0.0.7", False)], ids=["node", "interface", "stopped-interface", "stopped-listen"])
@pytest.mark.parametrize("way", ["restored", "aborted"])
def test_a_node_is_asked_afterwards_where_it_takes_cql(stored, host, values, at, runs, way):
    """No rpc_address in cassandra.yaml: Cassandra has others to choose from, and cqlsh would take 127.0.0.1."""
    host.write_yaml(**values)
    host.node["only_at"] = at
    host.save()
    if not runs:
        host.kill()
    answer = restore(stored, host, "--yes", "--wait", 20)
    assert ("the node was down for" in answer.out) == runs, "of one that was stopped before nobody knows since when"
    if way == "aborted":
        stored.program("--config", host.configuration, "restore-node", "--abort", "--wait", 20)
        assert host.content() == stored.spoilt


def test_abort_puts_everything_back(stored, host):
    restore(stored, host, "--yes")
    (host.beside["commitlog"] / "commitlog-9").write_bytes(b"of the restored node")
    stored.program("--config", host.configuration, "restore-node", "--abort")
    assert host.content() == stored.spoilt
    assert host.running and with_own(host) == []
    answer = stored.program("--config", host.configuration, "restore-node", "--abort", code=ABSENT)
    refused(answer, "no restore-node was begun")


def test_the_plan_says_all_and_does_nothing(stored, host):
    answer = restore(stored, host, "--plan")
    for word in (*host.places, "stop Cassandra", "nodetool repair"):
        assert str(word) in answer.out
    plan = stored.json("--config", host.configuration, "restore-node", "b", "--in-place", "--plan")
    assert plan["case"] == "in-place" and plan["refusals"] == [] and plan["running"]
    assert [place["path"] for place in plan["directories"]] == [str(place) for place in host.places]
    assert host.content() == stored.spoilt and host.running
    assert not [words for words in host.calls() if words[0] in ("start", "stop")]


def test_cassandra_does_not_inherit_the_credentials_of_the_repository(stored, host):
    restore(stored, host, "--yes", environment={"AWS_SECRET_ACCESS_KEY": "a-secret", "OF_THE_OPERATOR": "kept"})
    environment = Path("/proc", (host.state / "pid").read_text(), "environ").read_bytes()
    assert b"a-secret" not in environment and b"OF_THE_OPERATOR=kept" in environment


def test_roles_may_stay_as_they_are(stored, host):
    roles = {path: data for path, data in files(stored.spoilt).items() if "/system_auth/" in path}
    restore(stored, host, "--yes", "--keep-auth")
    now = files(host.content())
    assert {path: data for path, data in now.items() if "/system_auth/" in path} == roles
    assert {path for path in now if "/shop/" in path} == {path for path in files(stored.before) if "/shop/" in path}
    stored.program("--config", host.configuration, "restore-node", "--abort")
    assert host.content() == stored.spoilt


def test_a_lost_disk_is_filled_and_started(stored, host):
    host.kill()
    for place in host.places:
        shutil.rmtree(place)
        place.mkdir()
    answer = restore(stored, host, "--plan")
    assert "does not run here" in answer.out
    restore(stored, host, "--yes")
    assert files(host.content()) == files(stored.before) and host.running


@pytest.mark.parametrize("options", [[], ["--no-stage"]], ids=["staged", "not-staged"])
def test_a_data_directory_that_the_backup_has_nothing_for_stays_empty(stored, host, options):
    """As on a machine that has one disk more."""
    more = host.node_directory / "data3"
    more.mkdir()
    host.data.append(more)
    host.write_yaml()
    host.save()
    restore(stored, host, "--yes", *options)
    assert files(host.content()) == files(stored.before) and host.running
    assert [path.name for path in more.iterdir()] == ([] if options else [OWN])


def test_files_belong_to_who_has_the_data_directory(stored, host):
    host.kill()
    for place in host.places:
        os.chown(place, 12345, 12346)
    restore(stored, host, "--yes")
    for place in host.data:
        for path in place.rglob("*"):
            if OWN not in path.parts:
                st = path.lstat()
                assert (st.st_uid, st.st_gid) == (12345, 12346), path


def test_cassandra_can_look_into_what_is_kept_whatever_the_umask(stored, host):
    restore(stored, host, "--yes", prefix=("sh", "-c", 'umask 077; exec "$@"', "sh"))
    for place in host.places:
        for path in (place / OWN, place / OWN / "backups", host.old(place)):
            assert path.stat().st_mode & 0o777 == 0o755, path


# ---- again, and not twice ----

def test_the_same_command_goes_on_where_it_was(stored, host):
    host.fail("start", first="it cannot start today")
    answer = restore(stored, host, "--yes", code=FAILED)
    refused(answer, "run the same command again", "--abort")
    assert not host.running and host.journal()["step"] == "start"
    assert "begun" in restore(stored, host, "--plan").out
    refused(restore(stored, host, "--yes", "--keep-auth", code=USAGE), "begun with other options", "say --in-place")
    host.heal()
    restore(stored, host, "--yes")
    assert files(host.content()) == files(stored.before) and host.running
    restore(stored, host, "--yes")
    assert [words[0] for words in host.calls()].count("start") == 2


def test_once_all_is_fetched_the_repository_may_be_away(stored, host):
    host.fail("stop", first="not now")
    restore(stored, host, "--yes", code=FAILED)
    host.heal()
    away = stored.path.rename(stored.path.with_name("away"))
    refused(restore(stored, host, "--yes", name="other", code=FAILED), "backup b of")
    restore(stored, host, "--yes")
    assert files(host.content()) == files(stored.before)
    away.rename(stored.path)


def test_a_node_whose_neighbours_are_not_seen_yet_is_asked_again(stored, host):
    (host.state / "unavailable").touch()
    restore(stored, host, "--yes", "--check-query", "SELECT id FROM shop.users", "--check-rows", 4)
    assert (host.state / "available").exists()


# ---- CQL with a password ----

@pytest.fixture
def passwords(repository, host):
    """Of the backup, and of now: it was changed since."""
    of_backup = host.password()
    host.log_in_with(of_backup)
    return of_backup


@pytest.fixture
def changed(passwords, stored, host):
    host.log_in_with(host.password())
    return stored


def test_a_password_that_was_changed_since_the_backup_is_told_and_costs_nothing(passwords, changed, host):
    answer = restore(changed, host, "--yes", "--wait", 5, code=FAILED)
    refused(answer, "the node runs, and refuses the login", "cql_credentials_file", "Bad credentials", "run the same command again", "--abort")
    assert host.running and host.journal()["step"] == "check"
    refused(changed.program("--config", host.configuration, "restore-node", "--finish", code=FAILED), "is not done", "step check")
    host.log_in_with(passwords)
    host.calls()
    restore(changed, host, "--yes")
    assert [words[0] for words in host.calls()] == ["cqlsh"] and files(host.content()) == files(changed.before)


@pytest.mark.parametrize("login", ["of now", "of the backup"])
def test_a_node_that_refuses_the_login_can_go_back(passwords, changed, host, login):
    of_now = host.password()
    restore(changed, host, "--yes", "--wait", 5, code=FAILED)
    host.log_in_with(of_now if login == "of now" else passwords)
    changed.program("--config", host.configuration, "restore-node", "--abort")
    assert host.content() == changed.spoilt and host.running


def test_roles_that_stay_keep_their_passwords(changed, host):
    restore(changed, host, "--yes", "--keep-auth")
    assert host.journal()["done"]


def test_the_plan_says_whose_password_is_asked_for(changed, host):
    said = "must hold a login of the backup"
    assert said in restore(changed, host, "--plan").out
    assert said not in restore(changed, host, "--plan", "--keep-auth").out


@pytest.mark.parametrize("lack", ["needs", "role"], ids=["cannot-be-read", "not-made"])
def test_roles_that_are_not_there_yet_are_asked_for_again(stored, host, lack):
    """Their replicas are other nodes, which start meanwhile; or there are none, and the node makes its first one some time after its start."""
    there = host.directory / "there"
    host.node[lack] = str(there)
    host.save()
    running = stored.start("--config", host.configuration, "restore-node", "b", "--in-place", "--yes", "--wait", 86400)
    asked = host.state / "calls"
    wait_until(lambda: host.journal() and host.journal()["step"] == "check", 120, "the check")
    before = asked.read_text().count('"cqlsh"')
    wait_until(lambda: running.poll() is not None or asked.read_text().count('"cqlsh"') > before + 2, 120, "three questions")
    there.touch()
    assert running.wait(120) == 0 and host.journal()["done"]


def test_rows_that_are_missing_fail_it_and_the_way_back_is_open(stored, host):
    answer = restore(stored, host, "--yes", "--check-query", "SELECT id FROM shop.users", "--check-rows", 5, code=FAILED)
    refused(answer, "gave 4 rows, not 5")
    refused(stored.program("--config", host.configuration, "restore-node", "--finish", code=FAILED), "is not done", "step check")
    restore(stored, host, "--yes", "--check-query", "SELECT id FROM shop.users", "--check-rows", 4)


def test_another_node_that_answers_is_noticed(stored, host):
    restored = HOST_ID.replace("3512", "9999")
    host.node["host_id"] = restored
    host.save()
    refused(restore(stored, host, "--yes", code=FAILED), HOST_ID, restored)


def test_another_backup_is_not_restored_over_an_open_one(stored, host):
    restore(stored, host, "--yes")
    stored("--config", host.configuration, "backup", "--name", "c")
    refused(restore(stored, host, "--yes", name="c", code=FAILED), "backup b of", "--finish")


def test_a_node_that_does_not_stop_keeps_its_data(stored, host):
    (host.directory / "stop").write_text("#!/bin/sh\nexit 0\n")
    answer = restore(stored, host, "--yes", "--wait", 1, code=FAILED)
    refused(answer, "still in use by", "sleep")
    assert files(host.content()) == files(stored.spoilt) and host.running
    stored.program("--config", host.configuration, "restore-node", "--abort")
    assert host.content() == stored.spoilt and host.running


def test_while_it_is_not_finished_cassandra_does_not_start(stored, host):
    """A reboot in the middle does not start half a node."""
    host.fail("stop", first="later")
    restore(stored, host, "--yes", code=FAILED)
    host.heal()
    (host.old(host.data[1]) / "ks2").mkdir()
    refused(restore(stored, host, "--yes", code=FAILED), "ks2", "cannot be moved")
    assert not host.running
    with pytest.raises(subprocess.CalledProcessError):
        host.start()
    (host.old(host.data[1]) / "ks2").rmdir()
    restore(stored, host, "--yes")
    assert files(host.content()) == files(stored.before) and host.running


# ---- refused before anything is done ----

def from_within(directory, shell='cd "$0"; (cd /; "$@")'):
    return {"prefix": ("sh", "-c", f"{shell}; exit $?", directory), "code": FAILED}


@pytest.mark.parametrize("shell", ['cd "$0"; exec "$@"', 'cd "$0"; (cd /; "$@")'], ids=["itself", "its shell"])
def test_who_stands_in_a_data_directory_is_told_to_leave_it(stored, host, shell):
    """An operator's shell would use the directory for as long as the restore waits that nobody does."""
    refused(restore(stored, host, "--yes", "--wait", 5, **from_within(host.data[0] / "shop", shell)), "nothing was done", host.data[0] / "shop", "leave the directory")
    assert host.content() == stored.spoilt and host.running


@pytest.mark.parametrize("at", ["stop", "start"])
def test_who_stands_there_when_the_restore_is_to_go_on_is_told_too(stored, host, at):
    """Once Cassandra is to be started the shell would be taken for it, which then nobody starts."""
    host.fail(at, first="not now")
    restore(stored, host, "--yes", code=FAILED)
    host.heal()
    host.calls()
    refused(restore(stored, host, "--yes", "--wait", 5, **from_within(host.data[0])), "nothing was done", host.data[0], "leave the directory")
    assert host.calls() == [] and host.journal()["step"] == at
    restore(stored, host, "--yes")
    assert files(host.content()) == files(stored.before) and host.running


def test_who_looks_at_the_old_data_and_aborts_there_is_told_to_leave_them(stored, host):
    restore(stored, host, "--yes")
    words = ("--config", host.configuration, "restore-node", "--abort", "--wait", 5)
    before = host.journal()
    refused(stored.program(*words, **from_within(host.old(host.data[0]))), "nothing was done", host.old(host.data[0]), "leave the directory")
    assert host.running and host.journal() == before
    stored.program(*words)
    assert host.content() == stored.spoilt and host.running


YAML = [({"cluster_name": "other"}, "cluster_name"), ({"partitioner": "ByteOrderedPartitioner"}, "ByteOrderedPartitioner"),
        ({"num_tokens": 16}, "num_tokens: 2"), ({"num_tokens": None}, "is 1, as it is not there"), ({"hints_directory": None}, "hints_directory"),
        ({"hints_directory": "hints"}, "no absolute path"), ({"local_system_data_file_directory": "/var/x"}, "local_system"),
        ({"commitlog_directory": "/proc/self/mounts"}, "is no directory")]


@pytest.mark.parametrize("values, word", YAML, ids=[word for _, word in YAML])
def test_a_cassandra_yaml_that_does_not_fit_is_refused(stored, host, values, word):
    host.write_yaml(**values)
    refused(restore(stored, host, "--yes", code=FAILED), "nothing was done", word)
    assert host.content() == stored.spoilt and host.running
    plan = stored.json("--config", host.configuration, "restore-node", "b", "--in-place", "--plan", code=FOUND)
    assert any(word in text for text in plan["refusals"])


@pytest.mark.parametrize("what", ["keystore", "data"])
def test_an_alias_in_cassandra_yaml_keeps_from_a_restore_and_from_no_backup(stored, host, what):
    """Nodetool says where the data are of which a backup is made; what a restore puts there must be all that Cassandra reads."""
    plain = host.yaml.read_text()
    lines = {"keystore": plain + "x: &k /etc/keys\nclient_encryption_options:\n  keystore: *k\n",
             "data": plain.split("data_file_directories:")[0] + f"x: &d {host.data[0]}\ndata_file_directories: [*d, {host.data[1]}]\n"}[what]
    restore(stored, host, "--yes")
    host.yaml.write_text(lines)
    stored("--config", host.configuration, "backup", "--name", "c")
    if what == "data":
        refused(stored.program("--config", host.configuration, "restore-node", "--finish", code=USAGE), "an alias", "line")
        host.yaml.write_text(plain)
    stored.program("--config", host.configuration, "restore-node", "--finish")
    host.yaml.write_text(lines)
    refused(restore(stored, host, "--yes", code=FAILED), "nothing was done", "an alias", "line")
    assert host.running


@pytest.mark.parametrize("by_cql", [False, True], ids=["nodetool", "cql"])
@pytest.mark.parametrize("values, word", [({"version": "4.1.10"}, "does not read newer data"), ({"tokens": ["1", "2"]}, "other tokens"),
                                          ({"dc": "dc9"}, "in data centre dc 1 and this one in dc9"), ({"rack": "r9"}, "in rack r1 and this one in r9")],
                         ids=["version", "tokens", "dc", "rack"])
def test_a_running_node_that_does_not_fit_is_refused(stored, host, values, word, by_cql):
    host.node.update(values)
    host.save()
    if by_cql:
        host.write_yaml(rpc_address="127.0.0.1")
    refused(restore(stored, host, "--yes", code=FAILED), word)
    assert ("info" in {words[1] for words in host.calls()}) != by_cql
    assert host.content() == stored.spoilt and host.running


def test_a_node_whose_cql_address_is_known_is_asked_by_one_cqlsh(stored, host):
    host.write_yaml(rpc_address="127.0.0.1")
    restore(stored, host, "--yes")
    assert [words[0] for words in host.calls()] == ["cqlsh", "stop", "start", "cqlsh"]


def test_where_cql_does_not_answer_nodetool_is_asked(stored, host):
    host.write_yaml(rpc_address="127.0.0.1")
    host.node["version"] = "4.1.10"
    host.fail("cqlsh", first="AuthenticationFailed: Remote end requires authentication")
    plan = stored.json("--config", host.configuration, "restore-node", "b", "--in-place", "--plan", code=FOUND)
    assert any("does not read newer data" in text for text in plan["refusals"])
    assert any("requires authentication" in text for text in plan["notes"])


def test_a_neighbours_backup_takes_its_name(stored, host):
    """restore takes the only node that has the backup: here that could be one that is alive."""
    host.configure(yaml=host.yaml, start_command=host.directory / "start", stop_command=host.directory / "stop", node="n9")
    refused(restore(stored, host, "--yes", code=USAGE), "of node n1", "this host is n9", "--node n1")
    assert host.content() == stored.spoilt
    restore(stored, host, "--yes", "--node", "n1")
    assert files(host.content()) == files(stored.before)


def test_cql_that_does_not_answer_is_said_before(stored, host):
    host.fail("cqlsh", first="AuthenticationFailed: Remote end requires authentication")
    assert "requires authentication" in restore(stored, host, "--plan").out


def test_a_backup_of_some_tables_is_no_node(stored, host):
    stored("--config", host.configuration, "backup", "--name", "c", "--only", "shop")
    refused(restore(stored, host, "--yes", name="c", code=FAILED), "--only")
    assert files(host.content()) == files(stored.spoilt)


def test_uuid_names_take_the_setting(stored, host):
    table = host.table("shop", "users2")
    (table / "nb-3gse_1syu_3qlog2deomt6h5p53n-big-Data.db").write_bytes(b"x")
    stored("--config", host.configuration, "backup", "--name", "c")
    refused(restore(stored, host, "--yes", name="c", code=FAILED), "uuid_sstable_identifiers_enabled: true")
    host.write_yaml(uuid_sstable_identifiers_enabled="true")
    restore(stored, host, "--yes", name="c")


@pytest.mark.parametrize("part", ["new", "old", "undone"])
def test_data_of_an_unknown_restore_are_not_touched(stored, host, part):
    """Those in `new` would be moved into the node with what is fetched."""
    left = host.old(host.data[1]).with_name(part) / "shop"
    left.mkdir(parents=True)
    refused(restore(stored, host, "--yes", code=FAILED), left.parent, "not known any more")
    assert left.exists()


@pytest.mark.parametrize("ended", [False, True], ids=["journal", "data"])
def test_another_that_begins_while_everything_is_looked_at_is_not_written_over(stored, host, ended):
    """nodetool, which is asked in the middle, is where the other one begins."""
    nodetool, mark = host.directory / "nodetool", host.directory / "mark"
    text = nodetool.read_text()
    (host.directory / "real").write_text(text.replace("Path(sys.argv[0]).name", '"nodetool"'))
    (host.directory / "real").chmod(0o755)
    own = f"{stored.program.binary} -r {stored.url} --config {host.configuration} restore-node"
    more = f"rm {host.data[0]}/{OWN}/journal.json" if ended else "true"
    nodetool.write_text(f"#!/bin/sh\nif mkdir {mark} 2>/dev/null; then {own} b --in-place --yes >/dev/null 2>&1; {more}; fi\n"
                        f'exec {host.directory}/real "$@"\n')
    refused(restore(stored, host, "--yes", code=FAILED), *(["not known any more", host.old(host.data[0])] if ended else ["began meanwhile"]))
    assert files(host.content()) == files(stored.before) and (ended or host.journal()["done"])


@pytest.mark.parametrize("arguments", [["b", "--yes"], ["b", "--in-place"], ["--in-place", "--yes"], ["b", "--abort"],
                                       ["--abort", "--finish"], ["b", "--in-place", "--yes", "--check-rows", "4"]])
def test_what_is_not_said_clearly_is_wrong_usage(stored, host, arguments):
    stored("--config", host.configuration, "restore-node", *arguments, code=USAGE)
    assert host.content() == stored.spoilt and host.running


def test_a_cassandra_whose_processes_are_not_seen_is_not_pulled_from_under(stored, host):
    """As in a container beside it: nodetool answers, and nobody seems to use the files."""
    host.kill()
    host.node["process"] = False
    host.save()
    refused(restore(stored, host, "--yes", code=FAILED), "no process is seen", "where its processes are seen")
    assert host.content() == stored.spoilt


def test_a_supervisor_that_starts_cassandra_whenever_it_ends_does_not_meet_half_a_node(stored, host):
    stop = host.directory / "stop"
    (host.directory / "really-stop").write_text(stop.read_text().replace("Path(sys.argv[0]).name", '"stop"'))
    (host.directory / "really-stop").chmod(0o755)
    stop.write_text(f"#!/bin/sh\n{host.directory}/really-stop\n{host.directory}/start 2>{host.directory}/said\nexit 0\n")
    restore(stored, host, "--yes")
    assert "unfinished.db" in (host.directory / "said").read_text()
    assert files(host.content()) == files(stored.before) and host.running


def test_without_a_program_that_stops_it_nothing_is_begun(stored, host):
    host.configure(yaml=host.yaml, start_command=host.directory / "start", stop_command="/nowhere/stop")
    refused(restore(stored, host, "--yes", code=FAILED), "stop_command", "/nowhere/stop")


def test_a_backup_that_is_not_there(stored, host):
    restore(stored, host, "--yes", name="nothing", code=ABSENT)
