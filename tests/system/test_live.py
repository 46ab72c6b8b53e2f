# SPDX-License-Identifier: Apache-2.0
"""`backup` of a running node: it is asked, its snapshot is taken, and cleared whatever happens. Cassandra is a stand-in here;
tests/cassandra does the same with real nodes."""

import json
import os
import signal
import stat

import pytest

from harness import ABSENT, DONE, FAILED, FOUND, USAGE, Repository, is_sentence, run, wait_until
from standin import HOST_ID, JOINING_ID, OTHER_ID, PASSWORD, SCHEMA, Cassandra
from trees import describe_tree

SLOW = ["--limit-rate", "1M", "--connections", "1"]
CLEAN_NAME = "Live_Test__1"
BIG = 4 << 20


@pytest.fixture
def cassandra(program):
    return Cassandra(program).fill()


@pytest.fixture
def backup(repository, cassandra):
    """Runs `backup` with the stand-in's configuration."""
    def start(*arguments, code=DONE, **keywords):
        return repository("--config", cassandra.configuration, "backup", "--name", "b", *arguments, code=code, **keywords)
    return start


def commands(cassandra):
    return [next(word for word in words if not word.startswith("-") and word != "127.0.0.1") if tool == "nodetool" else tool
            for tool, *words in cassandra.calls()]


def record(repository, name="b"):
    return repository.json("show", name)["nodes"][0]


def refused(answer, cassandra, *words):
    assert is_sentence(answer.err), answer.err
    for word in words:
        assert str(word) in answer.err, f"{word!r} is not in {answer.err!r}"
    assert cassandra.snapshots() == []


# ---- all is well ----

def test_a_running_node_is_asked_and_backed_up(repository, cassandra, backup):
    dropped = cassandra.table("shop", "gone") / "snapshots/dropped-1-gone"
    dropped.mkdir(parents=True)
    (dropped / "nb-1-big-Data.db").write_bytes(b"x")
    incremental = cassandra.table("shop", "orders") / "backups"
    incremental.mkdir()
    (incremental / "nb-9-big-Data.db").write_bytes(b"y")
    backup()
    called = commands(cassandra)
    assert (set(called[:4]), called[4:]) == ({"info", "status", "describecluster", "datapaths"}, ["snapshot", "cqlsh", "cqlsh", "clearsnapshot"])
    assert cassandra.snapshots() == ["dropped-1-gone"]
    (listed,) = repository.json("list")["backups"]
    assert (listed["cluster"], listed["nodes_finished"], listed["nodes_expected"]) == (CLEAN_NAME, 1, 2)
    assert not listed["complete"]
    shown = record(repository)
    assert (shown["host_id"], shown["address"], shown["dc"], shown["rack"]) == (HOST_ID, "10.0.0.1", "dc 1", "r1")
    assert (shown["tokens"], shown["cassandra_version"]) == (["-42", "7"], "5.0.9")
    assert shown["partitioner"] == "org.apache.cassandra.dht.Murmur3Partitioner"
    assert shown["storage_compatibility_mode"] == "UPGRADING"
    assert {node["host_id"]: node["rack"] for node in shown["topology"]} == {HOST_ID: "r1", OTHER_ID: "r 2"}
    with repository.mount() as mount:
        top = mount.node("n1", CLEAN_NAME) / "b"
        assert (top / "schema.cql").read_text() == SCHEMA
        assert [stat.S_IMODE((top / name).stat().st_mode) for name in ("schema.cql", "topology.json")] == [0o644, 0o644]
        topology = json.loads((top / "topology.json").read_text())
        assert {node["host_id"]: (node["status"], node["state"]) for node in topology["nodes"]} == {
            HOST_ID: ("up", "normal"), OTHER_ID: ("down", "normal"), JOINING_ID: ("up", "joining")}
        assert (topology["cluster"], topology["host_id"], topology["tokens"]) == ("Live Test #1", HOST_ID, ["-42", "7"])
        expected = {path: source.read_bytes() for path, source in cassandra.live_files().items()}
        assert {path: (top / "data" / path).read_bytes() for path in describe_tree(top / "data")} == expected
        assert "cluster_original" in (top / "backup.json").read_text()


def test_the_same_topology_and_schema_are_not_stored_again(repository, cassandra, backup):
    backup()
    answer = repository.json("--config", cassandra.configuration, "backup", "--name", "c")
    assert answer["new_bytes"] < 1000


def test_a_configuration_that_names_everything_asks_nothing(repository, cassandra):
    table = cassandra.table("shop", "orders")
    (table / "snapshots/t").mkdir(parents=True)
    os.link(table / "nb-1-big-Data.db", table / "snapshots/t/nb-1-big-Data.db")
    arguments = Repository.backup_arguments(cassandra.data, "t", "b")
    repository("--config", cassandra.configuration, *arguments)
    assert cassandra.calls() == []
    assert cassandra.snapshots() == ["t"], "a snapshot that was named is kept"


def test_what_does_not_wait_for_another_answer_is_asked_at_once(cassandra, backup):
    """A JVM each: one after the other they take longer than all else of a small backup."""
    for command, beside in (("info", 2), ("status", 2), ("describecluster", 4), ("datapaths", 4), ("cqlsh", 7)):
        cassandra.fail(command, beside=beside)
    backup()


def test_what_does_not_answer_is_named_in_the_order_of_the_questions(cassandra, backup):
    for command in ("datapaths", "describecluster", "status"):
        cassandra.fail(command, first=f"error: no {command}", code=2)
    refused(backup(code=FAILED), cassandra, "nodetool status failed: no status")


def test_what_is_named_wins(repository, cassandra, backup):
    backup("--cluster", "prod", "--node", "db1", "--data-dir", cassandra.data[0])
    assert "datapaths" not in commands(cassandra)
    shown = record(repository)
    assert (shown["cluster"], shown["node"]) == ("prod", "db1")
    assert all(table["files"] == 3 for table in shown["tables"] if table["table"].startswith("shop/"))


def test_a_snapshot_that_was_named_is_kept_and_the_rest_is_asked(repository, cassandra, backup):
    table = cassandra.table("shop", "orders")
    (table / "snapshots/nightly").mkdir(parents=True)
    os.link(table / "nb-1-big-Data.db", table / "snapshots/nightly/nb-1-big-Data.db")
    backup("--snapshot", "nightly")
    assert "snapshot" not in (called := commands(cassandra)) and "clearsnapshot" not in called
    assert cassandra.snapshots() == ["nightly"]
    assert record(repository)["host_id"] == HOST_ID


@pytest.mark.parametrize("only, expected, calls", [
    (["shop"], {"shop/orders", "shop/Users"}, [["shop"]]),
    (["shop.orders"], {"shop/orders"}, [["-kt", "shop.orders"]]),
    (["shop.orders", "shop.Users"], {"shop/orders", "shop/Users"}, [["-kt", "shop.orders,shop.Users"]]),
    (["shop.orders", "shop", "ks2.t"], {"shop/orders", "shop/Users", "ks2/t"}, [["shop"], ["-kt", "ks2.t"]]),
])
def test_only_what_is_wanted_is_in_the_snapshot(repository, cassandra, backup, only, expected, calls):
    backup(*(word for name in only for word in ("--only", name)))
    assert [words[4:] for words in cassandra.calls() if words[1] == "snapshot"] == calls
    assert {table["table"].rsplit("-", 1)[0] for table in record(repository)["tables"] if table["files"]} == expected
    assert cassandra.snapshots() == []


def test_the_password_of_jmx_is_in_no_argument(repository, cassandra, backup):
    cassandra.node["password"] = PASSWORD
    cassandra.save()
    secret = cassandra.directory / "jmx.password"
    secret.write_text(f"sstablefs {PASSWORD}\n")
    secret.chmod(0o600)
    cassandra.configure(jmx_username="sstablefs", jmx_password_file=secret, jmx_host="127.0.0.1", jmx_port=7299, jmx_ssl="yes")
    backup()
    calls = [words for words in cassandra.calls() if words[0] == "nodetool"]
    assert all(words[1:10] == ["-h", "127.0.0.1", "-p", "7299", "-u", "sstablefs", "-pwf", str(secret), "--ssl"] for words in calls)
    assert PASSWORD not in json.dumps(calls)


def test_credentials_of_cql_are_named_by_their_file(cassandra, backup):
    secret = cassandra.directory / "cql"
    secret.write_text("[plain_text_auth]\nusername = u\npassword = p\n")
    secret.chmod(0o600)
    cassandra.configure(cql_credentials_file=secret, cql_host="db1:9142")
    backup()
    words = next(words for words in cassandra.calls() if words[0] == "cqlsh")
    assert words[-3:] == [f"--credentials={secret}", "db1", "9142"]


def test_tls_of_cql_is_what_the_configuration_says(cassandra, backup):
    rcfile = cassandra.directory / "cqlshrc"
    rcfile.write_text("[ssl]\n")
    cassandra.configure(cql_ssl="yes", cqlshrc=rcfile)
    backup()
    words = next(words for words in cassandra.calls() if words[0] == "cqlsh")
    assert f"--cqlshrc={rcfile}" in words and "--ssl" in words
    cassandra.configure(cqlshrc="/nowhere/cqlshrc")
    refused(backup(code=USAGE), cassandra, "/nowhere/cqlshrc")


# ---- by CQL ----

def described(repository, name):
    """What the record and topology.json of a backup say of the node, and its files."""
    shown = record(repository, name)
    with repository.mount() as mount:
        top = mount.node("n1", CLEAN_NAME) / name
        topology = json.loads((top / "topology.json").read_text())
        files = {path: (top / "data" / path).read_bytes() for path in describe_tree(top / "data")}
    return {key: value for key, value in shown.items() if key in KNOWN}, topology, files


KNOWN = ("host_id", "address", "dc", "rack", "tokens", "cassandra_version", "partitioner", "storage_compatibility_mode", "topology", "tables")


def test_a_node_that_answers_cql_tells_by_one_cqlsh_what_four_jvms_tell(repository, cassandra, backup):
    cassandra.node["tokens"] = ["-42", "-9", "7", "10"]
    cassandra.save()
    backup()
    assert len(commands(cassandra)) == 8
    cassandra.configure(cql_host="10.0.0.1")
    answer = repository.json("--config", cassandra.configuration, "backup", "--name", "c")
    assert commands(cassandra) == ["cqlsh", "snapshot", "cqlsh", "clearsnapshot"]
    assert cassandra.snapshots() == []
    assert answer["new_bytes"] < 1000, "only topology.json is another"
    (before, topology, files), (shown, by_cql, its) = described(repository, "b"), described(repository, "c")
    assert shown == before and its == files
    states = {node["host_id"]: (node.pop("status"), node.pop("state")) for node in by_cql["nodes"]}
    assert states == {HOST_ID: ("up", "normal"), OTHER_ID: ("unknown", "unknown")}, "who joins is no peer, and who left is none any more"
    for node in topology["nodes"]:
        node.pop("status"), node.pop("state")
    topology["nodes"] = [node for node in topology["nodes"] if node["host_id"] != JOINING_ID]
    assert by_cql == topology


def test_the_directories_that_cql_tells_are_those_that_nodetool_tells(repository, cassandra, backup):
    """By their own names, each once, in the order of cassandra.yaml."""
    link = cassandra.directory / "link"
    link.symlink_to(cassandra.data[0])
    backup()
    cassandra.configure(cql_host="10.0.0.1")
    cassandra.node["settings"] = {"data_file_directories": f"[{link}/]", "local_system_data_file_directory": f"{cassandra.data[1]}/"}
    cassandra.save()
    repository.json("--config", cassandra.configuration, "backup", "--name", "c")
    cassandra.node["settings"] = {"local_system_data_file_directory": str(link)}
    cassandra.save()
    repository.json("--config", cassandra.configuration, "backup", "--name", "d")
    assert set(commands(cassandra)[8:]) == {"cqlsh", "snapshot", "clearsnapshot"}
    first = described(repository, "b")
    assert [described(repository, name)[0::2] for name in ("c", "d")] == [first[0::2]] * 2


@pytest.mark.parametrize("what", [
    {"settings": {"data_file_directories": None}}, {"settings": {"data_file_directories": "/not/a/list"}},
    {"settings": {"data_file_directories": "[data, /tmp]"}}, {"settings": {"data_file_directories": "[/nowhere/data]"}},
    {"settings": {"local_system_data_file_directory": "/nowhere/system"}},
    {"cql": {"cluster_name": None}}, {"cql": {"partitioner": None}}, {"cql": {"broadcast_address": None}}, {"cql": {"tokens": None}},
    {"cql": {"release_version": None}}, {"cql": {"host_id": None}}, {"cql": {"rack": "r\\1"}}, {"unauthorized": True},
])
def test_where_cql_does_not_tell_all_nodetool_is_asked(repository, cassandra, backup, what):
    cassandra.configure(cql_host="10.0.0.1")
    cassandra.node.update(what)
    cassandra.save()
    backup()
    called = commands(cassandra)
    assert called[0] == "cqlsh" and set(called[1:5]) == {"info", "status", "describecluster", "datapaths"}
    assert called[5:] == ["snapshot", "cqlsh", "cqlsh", "clearsnapshot"]
    assert record(repository)["storage_compatibility_mode"] == "UPGRADING"


def test_nobody_who_takes_cql_starts_no_cqlsh_before_nodetool(cassandra, backup):
    cassandra.configure(cql_host="127.0.0.1:9")
    backup()
    assert "cqlsh" not in commands(cassandra)[:5]


def test_a_login_that_cql_refuses_is_not_tried_again(cassandra, backup):
    cassandra.configure(cql_host="10.0.0.1")
    cassandra.node["roles"] = True
    cassandra.save()
    answer = backup(code=FOUND)
    assert "no schema.cql" in answer.err and "Provided username backup and/or password are incorrect" in answer.err
    called = commands(cassandra)
    assert called.count("cqlsh") == 1 and called[0] == "cqlsh" and called[5:] == ["snapshot", "clearsnapshot"]


def test_a_cqlsh_that_hangs_is_waited_for_once(cassandra, backup):
    cassandra.configure(cql_host="10.0.0.1", timeout=5)
    cassandra.fail("cqlsh", hang="before")
    answer = backup(code=FOUND)
    assert "no schema.cql" in answer.err and "was killed" in answer.err
    assert commands(cassandra).count("cqlsh") == 1


def test_a_snapshot_that_is_not_where_cql_says_fails_the_backup_and_is_cleared(repository, program, cassandra, backup):
    """JMX is that of one Cassandra of this host and CQL that of another."""
    other = Cassandra(program, "other", host_id=OTHER_ID).fill()
    cassandra.configure(cqlsh=other.directory / "cqlsh", cql_host="10.0.0.1")
    refused(backup(code=FAILED), cassandra, "different Cassandras", "jmx_port", "cql_host")
    assert other.snapshots() == []
    assert commands(cassandra) == ["snapshot", "clearsnapshot"]
    assert commands(other) == ["cqlsh"]
    assert repository.json("list")["backups"] == []
    # The other's own next run has nothing to clear.
    other.configure(cql_host="10.0.0.1")
    assert repository("--config", other.configuration, "backup", "--name", "o", "--node", "n2").err == ""


def test_what_the_snapshot_cannot_prove_is_asked_of_nodetool(cassandra, backup):
    cassandra.configure(cql_host="10.0.0.1")
    table = cassandra.table("shop", "orders")
    (table / "snapshots/nightly").mkdir(parents=True)
    os.link(table / "nb-1-big-Data.db", table / "snapshots/nightly/nb-1-big-Data.db")
    for arguments in (["--data-dir", cassandra.data[0], "--data-dir", cassandra.data[1]], ["--snapshot", "nightly", "--name", "c"]):
        backup(*arguments)
        assert commands(cassandra)[0] in ("info", "status")


@pytest.mark.parametrize("only, code", [("shop.orders", DONE), ("ks2", DONE), ("shop.nothing", ABSENT), ("nothing", ABSENT)])
def test_the_tables_of_only_are_known_by_cql_too(cassandra, backup, only, code):
    cassandra.configure(cql_host="10.0.0.1")
    answer = backup("--only", only, code=code)
    called = commands(cassandra)
    assert called == (["cqlsh", "snapshot", "cqlsh", "clearsnapshot"] if code == DONE else ["cqlsh"]), answer.err
    assert code == DONE or only in answer.err


# ---- bad input: a clear sentence, the right exit code, no snapshot left ----

DOWN = "nodetool: Failed to connect to '127.0.0.1:7199' - ConnectException: 'Connection refused (Connection refused)'."


@pytest.mark.parametrize("command, fault, code, words", [
    ("info", {"first": DOWN}, FAILED, ["Connection refused", "is Cassandra running"]),
    ("info", {"first": "error: no\n-- StackTrace --", "code": 2}, FAILED, ["nodetool info failed: no"]),
    ("datapaths", {"first": "nodetool: Found unexpected parameters: [datapaths]"}, FAILED, ["--data-dir"]),
    ("snapshot", {"first": DOWN}, FAILED, ["nodetool snapshot failed"]),
    ("snapshot", {"last": "error: Snapshot x already exists.\n-- StackTrace --"}, FAILED, ["already exists"]),
    ("snapshot", {"half": True, "last": "error: No space left on device\n-- StackTrace --"}, FAILED, ["No space left on device"]),
])
def test_a_nodetool_that_fails_ends_the_backup(repository, cassandra, backup, command, fault, code, words):
    cassandra.fail(command, **fault)
    answer = backup(code=code)
    for word in words:
        assert word in answer.err
    if "already exists" in fault.get("last", ""):
        assert "clearsnapshot" not in commands(cassandra), "it is somebody else's"
    else:
        assert cassandra.snapshots() == []
    assert repository.json("list")["backups"] == []


def test_a_nodetool_that_is_missing_is_named(cassandra, backup):
    cassandra.configure(nodetool="/nowhere/nodetool")
    refused(backup(code=USAGE), cassandra, "/nowhere/nodetool", "nodetool =")


def test_a_wrong_password_is_said_and_not_repeated(cassandra, backup):
    cassandra.node["password"] = "another"
    cassandra.save()
    secret = cassandra.directory / "jmx.password"
    secret.write_text(f"sstablefs {PASSWORD}\n")
    secret.chmod(0o600)
    cassandra.configure(jmx_username="sstablefs", jmx_password_file=secret)
    answer = backup(code=FAILED)
    refused(answer, cassandra, "Invalid username or password", "jmx_password_file of the configuration are refused")
    assert PASSWORD not in answer.err + answer.out
    secret.chmod(0o644)
    refused(backup(code=USAGE), cassandra, secret, "chmod 600")
    cassandra.configure()
    refused(backup(code=FAILED), cassandra, "Credentials required", "name jmx_username")


@pytest.mark.parametrize("keys, word", [
    ({"jmx_port": "70000"}, "jmx_port"), ({"jmx_ssl": "perhaps"}, "jmx_ssl"), ({"timeout": "0"}, "timeout"),
    ({"jmx_username": "u"}, "jmx_password_file"), ({"yaml": "/nowhere.yaml"}, "/nowhere.yaml"),
    ({"jmx_password_file": "/nowhere", "jmx_username": "u"}, "/nowhere"),
])
def test_a_wrong_setting_is_named(cassandra, backup, keys, word):
    cassandra.configure(**keys)
    refused(backup(code=USAGE), cassandra, word)
    assert cassandra.calls() == []


@pytest.mark.parametrize("command, when", [("info", "before"), ("snapshot", "before"), ("snapshot", "after")])
def test_a_nodetool_that_hangs_is_killed(cassandra, backup, command, when):
    cassandra.fail(command, hang=when)
    cassandra.configure(timeout=10)
    refused(backup(code=FAILED), cassandra, f"nodetool {command}", "did not end within 10 s and was killed")
    cassandra.heal()
    cassandra.configure()
    cassandra.calls()
    backup()
    # What Cassandra may have gone on with is cleared by the next run.
    assert commands(cassandra).count("clearsnapshot") == (2 if command == "snapshot" else 1)


def test_a_snapshot_that_cassandra_finishes_after_nodetool_failed_is_cleared_by_the_next_run(cassandra, backup):
    cassandra.fail("snapshot", half=True, last="error: error unmarshalling return header; nested exception is: java.io.EOFException")
    refused(backup(code=FAILED), cassandra, "unmarshalling")
    tag = next(words[words.index("-t") + 1] for words in cassandra.calls() if "snapshot" in words)
    cassandra.heal()
    late = cassandra.table("shop", "orders") / "snapshots" / tag
    late.mkdir(parents=True)
    assert f"cleared the snapshot {tag}" in backup().err
    assert cassandra.snapshots() == []


@pytest.mark.parametrize("fault, word", [
    ({"first": "Connection error: ('Unable to connect to any servers')"}, "Unable to connect"),
    ({"last": "<stdin>:1:Unauthorized"}, "Unauthorized"),
    ({"hang": "before"}, "was killed"),
])
def test_without_a_schema_the_backup_goes_on_and_says_so(repository, cassandra, backup, fault, word):
    cassandra.fail("cqlsh", **fault)
    cassandra.configure(timeout=10 if "hang" in fault else 60)
    answer = backup(code=FOUND)
    assert "no schema.cql" in answer.err and word in answer.err
    assert cassandra.snapshots() == []
    with repository.mount() as mount:
        top = mount.node("n1", CLEAN_NAME) / "b"
        assert not (top / "schema.cql").exists() and (top / "topology.json").exists()


@pytest.mark.parametrize("schema", ["", "no statements", "CREATE TABLE x (id int PRIMARY KEY"])
def test_half_a_schema_is_none(repository, cassandra, backup, schema):
    cassandra.node["schema"] = schema
    cassandra.save()
    assert "or not all of it" in backup(code=FOUND).err


def test_an_only_that_names_nothing_is_refused_before_anything_is_taken(cassandra, backup):
    refused(backup("--only", "shop.nothing", code=ABSENT), cassandra, "shop.nothing")
    assert "snapshot" not in commands(cassandra)


def test_a_data_directory_that_cannot_be_read_is_named(program, repository, cassandra):
    """Also as root: without the capabilities that let root read everything."""
    cassandra.data[1].chmod(0)
    try:
        answer = program("-r", repository.url, "--config", cassandra.configuration, "backup", "--data-dir", cassandra.data[0],
                         "--data-dir", cassandra.data[1], code=FAILED,
                         prefix=("setpriv", "--bounding-set=-dac_override,-dac_read_search"))
    finally:
        cassandra.data[1].chmod(0o755)
    refused(answer, cassandra, cassandra.data[1], "Permission denied")
    assert "snapshot" not in commands(cassandra)


def test_a_data_directory_of_another_file_system_is_explained(cassandra, backup):
    refused(backup("--data-dir", "/nowhere/data", code=USAGE), cassandra, "/nowhere/data", "container")


def test_a_node_that_is_down_is_read_by_its_cassandra_yaml(repository, cassandra, backup):
    table = cassandra.table("shop", "orders")
    (table / "snapshots/t").mkdir(parents=True)
    os.link(table / "nb-1-big-Data.db", table / "snapshots/t/nb-1-big-Data.db")
    cassandra.fail("info", first=DOWN)
    yaml = cassandra.directory / "cassandra.yaml"
    yaml.write_text(f"cluster_name: 'From Yaml'\ndata_file_directories:\n  - {cassandra.data[0]}\n  - {cassandra.data[1]}\n")
    cassandra.configure(yaml=yaml)
    answer = backup("--snapshot", "t", code=FOUND)
    assert "Connection refused" in answer.err and str(yaml) in answer.err
    shown = record(repository)
    assert (shown["cluster"], shown["topology"]) == ("From_Yaml", None)
    backup("--name", "c", code=FAILED)  # a snapshot cannot be taken


# ---- whatever happens ----

def begun(repository, cassandra, *arguments):
    """A backup that is half-way."""
    process = repository.start("--config", cassandra.configuration, "backup", "--name", "b", *arguments, *SLOW)
    objects = repository.path / f"nodes/{CLEAN_NAME}/n1/objects"
    wait_until(lambda: objects.exists() or process.poll() is not None, 60, "the first object")
    assert process.poll() is None, process.communicate()
    assert len(cassandra.snapshots()) == 1
    return process


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_backup_that_is_stopped_clears_its_snapshot(repository, cassandra, number, code):
    cassandra.fill(BIG)
    before = signal.signal(number, signal.SIG_DFL)  # what runs the tests may ignore it, as nohup does
    try:
        process = begun(repository, cassandra)
    finally:
        signal.signal(number, before)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == code
    assert cassandra.snapshots() == []


def test_a_backup_that_is_stopped_while_the_snapshot_is_taken_clears_it(repository, cassandra):
    cassandra.fail("snapshot", hang="after")
    process = repository.start("--config", cassandra.configuration, "backup")
    wait_until(cassandra.snapshots, 60, "the snapshot")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert cassandra.snapshots() == []


def test_a_store_that_dies_leaves_no_snapshot(repository, cassandra):
    cassandra.fill(BIG)
    process = begun(repository, cassandra)
    run("rm", "-rf", repository.path)
    _, err = process.communicate(timeout=120)
    assert process.returncode not in (0, None), err
    assert cassandra.snapshots() == []


def test_a_snapshot_that_cannot_be_cleared_is_said_and_cleared_later(repository, cassandra, backup):
    cassandra.fail("clearsnapshot", first=DOWN)
    answer = backup(code=FOUND)
    (tag,) = cassandra.snapshots()
    assert tag in answer.err and "clearsnapshot" in answer.err
    assert repository.json("list")["backups"][0]["nodes_finished"] == 1
    cassandra.heal()
    assert f"cleared the snapshot {tag}" in backup("--name", "c").err
    assert cassandra.snapshots() == []


def test_what_a_killed_run_left_is_cleared_by_the_next_and_nothing_else(repository, program, cassandra, backup):
    cassandra.fill(BIG)
    process = begun(repository, cassandra)
    process.kill()
    process.communicate()
    (left,) = cassandra.snapshots()
    # Others': a person's, one of ours whose note was lost, and one of another Cassandra on this host.
    foreign = ["nightly", "sstablefs-01JZZZZZZZZZZZZZZZZZZZZZZZ"]
    for tag in foreign:
        (cassandra.table("shop", "orders") / "snapshots" / tag).mkdir(parents=True)
    other = Cassandra(program, "other", host_id=OTHER_ID).fill()
    repository("--config", other.configuration, "backup", "--name", "o", "--node", "n2")
    assert cassandra.snapshots() == sorted([left, *foreign])
    assert f"cleared the snapshot {left}" in backup("--name", "c").err
    assert cassandra.snapshots() == sorted(foreign)


def test_the_snapshot_of_a_backup_that_runs_is_left_alone(repository, cassandra):
    cassandra.fill(BIG)
    process = begun(repository, cassandra)
    (tag,) = cassandra.snapshots()
    answer = repository("--config", cassandra.configuration, "backup", "--name", "c", "--node", "n1", "--only", "system")
    assert tag not in answer.err
    assert cassandra.snapshots() == [tag]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert cassandra.snapshots() == []


def test_local_state_that_cannot_be_written_takes_no_snapshot(cassandra, backup, program):
    (program.directory / "file").write_text("")
    answer = backup(code=FAILED, environment={"SSTABLEFS_CACHE_DIR": str(program.directory / "file")})
    refused(answer, cassandra, "no snapshot was taken", "SSTABLEFS_CACHE_DIR")
    assert "snapshot" not in commands(cassandra)


# ---- doctor ----

def doctor(repository, cassandra, code):
    answer = repository.json("--config", cassandra.configuration, "doctor", code=code)
    return [(line["result"], line["message"]) for line in answer["checks"] if line["check"] in ("cassandra", "snapshots")]


def test_doctor_says_whether_cassandra_can_be_backed_up(repository, cassandra, backup):
    result, message = doctor(repository, cassandra, None)[0]
    assert result == "ok" and "2 data directories" in message and "5.0.9" in message
    lost = "sstablefs-01JZZZZZZZZZZZZZZZZZZZZZZZ"
    (cassandra.table("shop", "orders") / "snapshots" / lost).mkdir(parents=True)
    (cassandra.table("shop", "orders") / "snapshots/nightly").mkdir(parents=True)
    cassandra.fail("clearsnapshot", first=DOWN)
    backup(code=FOUND)
    left, = set(cassandra.snapshots()) - {lost, "nightly"}
    lines = doctor(repository, cassandra, FOUND)
    assert [result for result, _ in lines] == ["ok", "warning", "warning"]
    assert {message.split()[0] for _, message in lines[1:]} == {lost, left}
    assert next(message for _, message in lines[1:] if message.startswith(left)).endswith("the next backup clears it")
    cassandra.fail("info", first=DOWN)
    (result, message), = doctor(repository, cassandra, FOUND)
    assert result == "error" and "is Cassandra running" in message


def test_doctor_does_not_want_a_cassandra_where_there_is_none(repository, program):
    answer = repository.json("doctor", code=None, environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    assert [line["result"] for line in answer["checks"] if line["check"] == "cassandra"] == ["ok"]
