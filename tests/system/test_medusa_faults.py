# SPDX-License-Identifier: Apache-2.0
"""Faults that another backup tool for Cassandra was proven to have (names that decide, prefixes that match too much, a verify that reads nothing…), each tried on our commands."""

import subprocess
from collections import Counter

import pytest

from harness import ABSENT, CLUSTER, DONE, FAILED, FOUND, NODE, processes_of, wait_until
from trees import MIB, Node, describe_snapshot, describe_tree, files_below, flip


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path / "node")


def check(repository, made, tag, backup, out, node=None):
    """The backup (of that node) holds exactly what the snapshot held."""
    repository("restore", backup, *(["--node", node] if node else []), out)
    assert describe_tree(out) == describe_snapshot(made.data, tag)


# ---- names are not content (3.5) ----

def test_same_name_and_size_other_content_is_stored_and_the_older_backup_stays(any_repository, node, tmp_path):
    """A generation number that is used again; the time is put back too."""
    table = node.table("ks", "t")
    time = 1_600_000_000_000_000_000
    for tag in ("monday", "tuesday"):
        node.write(table, tag, "nb-1-big-Data.db", node.bytes(200_000), mtime_ns=time)
        node.write(table, tag, "nb-1-big-Statistics.db", node.bytes(5000), mtime_ns=time)
        any_repository.backup(node.data, tag)
    for tag in ("monday", "tuesday"):
        check(any_repository, node, tag, tag, tmp_path / tag)
    assert any_repository.json("verify")["damaged"] == []


def test_same_name_other_size_leaves_older_backups_as_they_were(any_repository, node, tmp_path):
    """Index summaries are written anew, larger or smaller, every hour."""
    table = node.table("ks", "t")
    for tag, size in (("monday", 9000), ("tuesday", 5000), ("wednesday", 12_000)):
        node.write(table, tag, "nb-1-big-Summary.db", node.bytes(size))
        any_repository.backup(node.data, tag)
    for tag in ("monday", "tuesday", "wednesday"):
        check(any_repository, node, tag, tag, tmp_path / tag)
    assert any_repository.json("verify")["damaged"] == []


def test_what_did_not_change_is_not_uploaded_again(any_repository, node):
    """200 PUTs for 200 unchanged files."""
    for number in range(25):
        for component in range(8):
            node.write(node.table("ks", f"t{number}"), "monday", f"nb-1-big-C{component}.db", node.bytes(2000))
        node.keep(node.table("ks", f"t{number}"), "monday", "tuesday")
    assert any_repository.backup(node.data, "monday")["new_bytes"] > 0
    again = any_repository.backup(node.data, "tuesday")
    assert again["new_bytes"] == 0 and again["requests"]["put"] < 10


def test_an_empty_component_is_kept_and_is_no_damage(any_repository, node, tmp_path):
    node.write(node.table("ks", "t"), "monday", "da-1-bti-Rows.db", b"")
    node.write(node.table("ks", "t"), "monday", "da-1-bti-Data.db", node.bytes(9000))
    any_repository.backup(node.data, "monday")
    any_repository("verify")
    check(any_repository, node, "monday", "monday", tmp_path / "out")


# ---- prefixes match too much (3.5) ----

@pytest.fixture
def alike(any_repository, node):
    """Backups b1, b10 and b1.x of nodes 10.0.0.1 and 10.0.0.10."""
    table = node.table("ks", "t")
    for tag in ("b1", "b1.x", "b10"):
        node.write(table, tag, "nb-1-big-Data.db", node.bytes(100_000))
        node.write(table, tag, "nb-2-big-Data.db", b"the same in all of them" * 1000)
        for name in ("10.0.0.1", "10.0.0.10"):
            any_repository.backup(node.data, tag, tag, node=name)
    return any_repository


def backups(repository):
    """{backup: nodes that hold it}"""
    return {b["name"]: sorted(n["node"] for n in b["nodes"]) for b in repository.json("list")["backups"]}


BOTH = ["10.0.0.1", "10.0.0.10"]


def test_deleting_b1_leaves_b10(alike, node, tmp_path):
    alike("delete", "b1")
    alike("gc", "--full")
    assert backups(alike) == {"b1.x": BOTH, "b10": BOTH}
    for number, name in enumerate(BOTH):
        check(alike, node, "b10", "b10", tmp_path / f"out{number}", node=name)
        check(alike, node, "b1.x", "b1.x", tmp_path / f"out-x{number}", node=name)
    assert alike.json("verify")["missing"] == []
    alike("restore", "b1", "--node", BOTH[0], tmp_path / "none", code=ABSENT)


def test_deleting_from_10_0_0_1_leaves_10_0_0_10(alike, node, tmp_path):
    alike("delete", "b1", "b1.x", "b10", "--node", "10.0.0.1", "--force")
    alike("gc", "--full")
    assert backups(alike) == {tag: ["10.0.0.10"] for tag in ("b1", "b1.x", "b10")}
    for tag in ("b1", "b1.x", "b10"):
        check(alike, node, tag, tag, tmp_path / tag, node="10.0.0.10")
    answer = alike.json("verify")
    assert answer["missing"] == [] and answer["damaged"] == []


def test_purging_10_0_0_1_and_then_10_0_0_10_leaves_what_the_policy_keeps(alike, node, tmp_path):
    """There the second purge saw no backups of its own, and deleted the whole pool."""
    for name in BOTH:
        alike("purge", "--node", name, "--keep-last", "1", code=None)
    left = backups(alike)
    assert left == {"b10": BOTH}
    for number, name in enumerate(BOTH):
        check(alike, node, "b10", "b10", tmp_path / f"out{number}", node=name)
    assert alike.json("verify")["missing"] == []


def test_a_decommissioned_nodes_backups_can_be_deleted_by_its_name(alike, node, tmp_path):
    """Also below a prefix of the bucket, which was taken for the node there."""
    alike("delete", "b1", "b1.x", "b10", "--node", "10.0.0.10", "--force")
    alike("gc", "--node", "10.0.0.10")
    assert backups(alike) == {tag: ["10.0.0.1"] for tag in ("b1", "b1.x", "b10")}
    check(alike, node, "b10", "b10", tmp_path / "out", node="10.0.0.1")


# ---- verify reads (3.5) ----

@pytest.mark.parametrize("component", ["Data.db", "Statistics.db", "Summary.db", "TOC.txt"])
def test_verify_finds_a_flipped_byte_of_every_component_at_equal_size_and_time(repository, node, component):
    """There object bytes were never read, Statistics.db was left out, and Summary.db was a warning."""
    node.write(node.table("ks", "t"), "monday", f"nb-1-big-{component}", node.bytes(5000))
    repository.backup(node.data, "monday")
    (path,) = (path for path in repository.path.glob("nodes/*/*/objects/*/*"))
    flip(path, path.stat().st_size - 1)
    (finding,) = repository.json("verify", code=FOUND)["damaged"]
    assert [name.rsplit("/", 1)[1] for name in finding["files"]] == [f"nb-1-big-{component}"]


# ---- restore (3.3, 3.4) ----

def test_an_incomplete_backup_is_never_restored_without_a_word(repository, node, tmp_path):
    """A node that never finished, and a cluster's backup of which a node is missing."""
    node.write(node.table("ks", "t"), "monday", "nb-1-big-Data.db", node.bytes(6 * MIB))
    repository.backup(node.data, "monday", node="n1")
    process = repository.start(*repository.backup_arguments(node.data, "monday", node="n2"), "--limit-rate", "1M")
    wait_until(lambda: list(repository.path.glob("nodes/*/n2/records/*/*")), 60, "the record of n2")
    process.kill()
    process.communicate(timeout=60)
    for name in ("n2", "n3"):
        answer = repository("restore", "monday", "--node", name, tmp_path / name, code=ABSENT)
        assert "monday" in answer.err and not list(tmp_path.glob(f"{name}/*"))
    (backup,) = repository.json("list")["backups"]
    assert not backup["complete"] and {n["node"]: n["state"] for n in backup["nodes"]} == {"n1": "committed", "n2": "open"}
    check(repository, node, "monday", "monday", tmp_path / "out", node="n1")


def test_bytes_are_checked_when_they_are_restored(repository, node, tmp_path):
    node.write(node.table("ks", "t"), "monday", "nb-1-big-Data.db", node.bytes(5000))
    repository.backup(node.data, "monday")
    (path,) = (path for path in repository.path.glob("nodes/*/*/objects/*/*"))
    flip(path, path.stat().st_size - 1)
    assert "damaged" in repository("restore", "monday", tmp_path / "out", code=FAILED).err
    assert not (tmp_path / "out").exists() or not list(files_below(tmp_path / "out"))


PEERS = [("app", "peers_chat"), ("app", "peers"), ("app", "local_news"), ("system", "peers_v2"), ("system", "local"), ("system_of_mine", "orders"),
         ("system", "batches"), ("peers", "t")]


def test_tables_named_peers_and_keyspaces_named_like_the_systems_are_restored(any_repository, node, tmp_path):
    for keyspace, table in PEERS:
        node.write(node.table(keyspace, table), "monday", "nb-1-big-Data.db", node.bytes(1000))
    any_repository.backup(node.data, "monday")
    check(any_repository, node, "monday", "monday", tmp_path / "out")
    for keyspace, table in PEERS:
        out = tmp_path / f"{keyspace}.{table}"
        any_repository("restore", "monday", "--only", f"{keyspace}.{table}", out)
        # One table is one table: no system keyspace comes along.
        assert [str(path) for path in files_below(out)] == [f"{node.table(keyspace, table)}/nb-1-big-Data.db"]
    any_repository("restore", "monday", "--only", "system", tmp_path / "ks")
    assert {path.name for path in (tmp_path / "ks").iterdir()} == {"system"}


def test_one_table_needs_room_for_one_table(repository, node, tmp_path):
    """There all sizes of the backup had to be free, even for one table."""
    node.write(node.table("ks", "large"), "monday", "nb-1-big-Data.db", node.bytes(24 * MIB))
    small = node.write(node.table("ks", "small"), "monday", "nb-1-big-Data.db", node.bytes(100_000))
    repository.backup(node.data, "monday")
    (tmp_path / "full").mkdir()
    script = 'mount -t tmpfs -o size=4m tmpfs "$1" && "$2" -r "$3" restore monday --only ks.small "$1" && cat "$1"/ks/small-*/nb-1-big-Data.db'
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", tmp_path / "full", repository.program.binary, repository.url],
                          env=repository.program.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    assert done.returncode == DONE, done.stderr
    assert done.stdout.endswith(small.read_bytes())


def test_what_is_there_already_is_never_removed_or_replaced_unasked(repository, node, tmp_path):
    """There the table's directory was removed before the new one was moved in."""
    table = node.table("ks", "t")
    node.write(table, "monday", "nb-1-big-Data.db", node.bytes(1000))
    repository.backup(node.data, "monday")
    mine = tmp_path / "out" / table
    mine.mkdir(parents=True)
    (mine / "nb-1-big-Data.db").write_bytes(b"other content, not to be lost")
    (mine / "nb-7-big-Data.db").write_bytes(b"mine")
    repository("restore", "monday", tmp_path / "out", code=None)
    assert (mine / "nb-1-big-Data.db").read_bytes() == b"other content, not to be lost"
    repository("restore", "monday", "--overwrite", tmp_path / "out")
    assert (mine / "nb-7-big-Data.db").read_bytes() == b"mine" and (mine / "nb-1-big-Data.db").stat().st_size == 1000


def test_a_restore_that_broke_off_goes_on_where_it_was(repository, node, tmp_path):
    """There it began anew in another directory, and left the first one behind."""
    table = node.table("ks", "t")
    for number in range(4):
        node.write(table, "monday", f"nb-{number}-big-Data.db", node.bytes(2 * MIB))
    repository.backup(node.data, "monday")
    bad = sorted(repository.path.glob("nodes/*/*/objects/*/*"))[0]
    flip(bad, bad.stat().st_size - 1)
    repository("restore", "monday", "--connections", "1", tmp_path / "out", code=FAILED)
    flip(bad, bad.stat().st_size - 1)
    done = set(files_below(tmp_path / "out"))
    answer = repository.json("restore", "monday", tmp_path / "out")
    assert answer["files_kept"] == len(done) and answer["files_kept"] + answer["files_written"] == 4
    assert describe_tree(tmp_path / "out") == describe_snapshot(node.data, "monday")


def test_the_schema_of_a_snapshot_is_kept_byte_for_byte(any_repository, node, tmp_path):
    """There it was cut at semicolons inside of strings."""
    table = node.table("ks", "t")
    schema = b"CREATE TABLE ks.t (a int PRIMARY KEY)\n    WITH comment = 'first; second;\n -- third'\n    AND compaction = {'class': 'x;y'};\n"
    node.write(table, "monday", "schema.cql", schema)
    node.write(table, "monday", "nb-1-big-Data.db", node.bytes(100))
    any_repository.backup(node.data, "monday")
    with any_repository.mount() as mount:
        assert (mount.node() / "monday/snapshot" / table / "schema.cql").read_bytes() == schema


# ---- purge and backup at once (3.5) ----

def test_deleting_and_collecting_during_a_backup_loses_nothing(any_repository, node, tmp_path):
    """There a grace of ten days had to be long enough. The backup that is being made shares content with the one that goes; no time is waited."""
    table = node.table("ks", "t")
    for number in range(12):
        node.write(table, "b1", f"nb-{number}-big-Data.db", node.bytes(300_000))
    any_repository.backup(node.data, "b1")
    node.keep(table, "b1", "b2")
    node.write(table, "b2", "nb-90-big-Data.db", node.bytes(4 * MIB))
    process = any_repository.start(*any_repository.backup_arguments(node.data, "b2"), "--limit-rate", "1M")
    try:
        wait_until(lambda: any(n["state"] == "open" for b in any_repository.json("list")["backups"] for n in b["nodes"]), 60, "b2 to be under way")
        any_repository("delete", "b1", "--force")
        for _ in range(3):
            any_repository("gc", "--full", code=None)
        out, err = process.communicate(timeout=120)
        assert process.returncode == DONE, err
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate(timeout=60)
    any_repository("gc", "--full")
    check(any_repository, node, "b2", "b2", tmp_path / "out")
    answer = any_repository.json("verify")
    assert answer["missing"] == [] and answer["damaged"] == []
    assert answer["unreferenced_objects"] == 0 and answer["awaiting_objects"] == 0


def test_objects_are_deleted_many_at_once(minio, minio_server, node):
    """There each object cost a HEAD and a DELETE of its own."""
    table = node.table("ks", "t")
    for number in range(40):
        node.write(table, "b1", f"nb-{number}-big-Data.db", node.bytes(MIB + number))
    node.write(table, "b2", "nb-90-big-Data.db", node.bytes(1000))
    minio.backup(node.data, "b1")
    minio.backup(node.data, "b2")
    minio("delete", "b1")
    before = Counter(minio_server.requests())
    answer = minio.json("gc")
    sent = Counter(minio_server.requests()) - before
    assert answer["deleted_objects"] >= 40
    assert sent["HeadObject"] < 5 and sum(count for name, count in sent.items() if "Delete" in name) < 10, sent


# ---- backup (3.1) ----

def test_a_snapshot_that_is_not_there_makes_no_empty_backup(repository, node):
    node.write(node.table("ks", "t"), "monday", "nb-1-big-Data.db", node.bytes(100))
    answer = repository(*repository.backup_arguments(node.data, "mondey"), code=ABSENT)
    assert "monday" in answer.err
    assert repository.json("list")["backups"] == [] and processes_of(repository.program.directory) == []


def test_several_data_directories_are_backed_up_together(repository, tmp_path):
    """There they were refused."""
    nodes = [Node(tmp_path / f"d{number}", seed=number) for number in range(2)]
    for number, node in enumerate(nodes):
        node.write(node.table("ks", "t"), "monday", f"nb-{number}-big-Data.db", node.bytes(1000))
    repository.backup([node.data for node in nodes], "monday")
    repository("restore", "monday", tmp_path / "out")
    assert describe_tree(tmp_path / "out") == {**describe_snapshot(nodes[0].data, "monday"), **describe_snapshot(nodes[1].data, "monday")}
