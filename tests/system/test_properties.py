# SPDX-License-Identifier: Apache-2.0
"""Random trees: what went in comes back by mount and by restore: bytes, mode, owner, mtime to the nanosecond."""

import os
import random
import shutil

import pytest

from harness import LONG
from trees import EDGES, MIB, Node, attributes_of_directories, change_tree, describe_snapshot, describe_tree, random_tree

SEEDS = range(1, 13 if LONG else 4)
SMALL_FILES = 20_000 if LONG else 2_000
LARGE_EDGES = (8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 9 * MIB - 1, 9 * MIB, 9 * MIB + 1)


def check_round_trip(repository, node, tags, tmp_path):
    """Backs up each tag, and compares every file as mounted and as restored."""
    for tag in tags:
        repository.backup(node.data, tag)
    with repository.mount() as mount:
        for tag in tags:
            expected = describe_snapshot(node.data, tag)
            assert describe_tree(mount.data(tag)) == expected
            aside = describe_snapshot(node.data, tag, "snapshot")
            assert (describe_tree(mount.node() / tag / "snapshot") if aside else {}) == aside
            repository("restore", tag, tmp_path / f"out-{tag}")
            assert describe_tree(tmp_path / f"out-{tag}") == expected
            assert attributes_of_directories(tmp_path / f"out-{tag}") == attributes_of_directories(mount.data(tag))
            shutil.rmtree(tmp_path / f"out-{tag}")
    assert repository.json("verify")["damaged"] == []


@pytest.mark.parametrize("seed", SEEDS)
def test_random_trees_come_back_identical(repository, tmp_path, seed):
    print(f"seed {seed}")
    chance = random.Random(seed)
    node = Node(tmp_path / "node", seed)
    random_tree(node, chance, "t1")
    change_tree(node, chance, "t1", "t2")
    check_round_trip(repository, node, ("t1", "t2"), tmp_path)


def test_every_size_at_an_edge_comes_back(any_repository, tmp_path):
    node = Node(tmp_path / "node")
    for kind in (node.bytes, node.text):
        for size in EDGES:
            node.write(node.table("ks", kind.__name__), "t", f"nb-{size}-big-Data.db", kind(size))
    check_round_trip(any_repository, node, ["t"], tmp_path)


def test_every_large_size_at_an_edge_comes_back(any_repository, tmp_path):
    node = Node(tmp_path / "node")
    for number, size in enumerate(LARGE_EDGES if LONG else (8 * MIB - 1, 8 * MIB, 9 * MIB, 9 * MIB + 1)):
        kind = (node.bytes, node.text)[number % 2]
        node.write(node.table("ks", "large"), "t", f"nb-{size}-big-Data.db", kind(size))
    check_round_trip(any_repository, node, ["t"], tmp_path)


def test_a_file_of_100_mib_comes_back(repository, tmp_path):
    node = Node(tmp_path / "node")
    piece = node.bytes(5 * MIB)
    content = b"".join(piece[i:] + piece[:i] for i in range(20))
    node.write(node.table("ks", "large"), "t", "nb-1-big-Data.db", content)
    result = repository.backup(node.data, "t")
    assert result["total_bytes"] == len(content)
    with repository.mount() as mount:
        assert describe_tree(mount.data("t")) == describe_snapshot(node.data, "t")
    repository("restore", "t", tmp_path / "out")
    assert describe_tree(tmp_path / "out") == describe_snapshot(node.data, "t")


def test_thousands_of_small_files_need_few_requests(any_repository, tmp_path):
    node = Node(tmp_path / "node")
    chance = random.Random(7)
    for i in range(SMALL_FILES):
        node.write(node.table("ks", f"t{i % 5}"), "t", f"nb-{i // 8}-big-{i % 8}.db", node.bytes(chance.choice((10, 300, 700, 3000))))
    result = any_repository.backup(node.data, "t")
    assert result["files"] == SMALL_FILES and sum(result["requests"].values()) < 60 + SMALL_FILES // 100
    with any_repository.mount() as mount:
        assert describe_tree(mount.data("t")) == describe_snapshot(node.data, "t")
    any_repository("restore", "t", tmp_path / "out")
    assert describe_tree(tmp_path / "out") == describe_snapshot(node.data, "t")


NAMES = ("a", "-", "--", "-a", "a-", ".hidden", "..two", "a+b", "a b", " a ", "a%2Fb", "a#b?c", "é", "é", "中文-Data.db", "\U0001f600",
         "x" * 255, "é" * 127 + "e", "nb-1-big-Data.db", "nb-10-big-Data.db", "nb-1-big-Data.db+", "a\nb", "a\\b", 'a"b', "a,b", "*")


def test_every_name_that_a_file_system_takes_comes_back(any_repository, tmp_path):
    node = Node(tmp_path / "node")
    for number, name in enumerate(NAMES):
        node.write(node.table("ks", "names"), "t", name, b"content %d" % number)
        node.write(node.table("ks", "names"), "t", f".index/{name}", node.bytes(600 + number))
    check_round_trip(any_repository, node, ["t"], tmp_path)


def test_deep_directories_come_back(repository, tmp_path):
    node = Node(tmp_path / "node")
    for depth in (1, 10, 40):
        node.write(node.table("ks", "deep"), "t", "/".join(["." + "d" * 60] * depth) + "/file", node.bytes(1000 + depth))
    check_round_trip(repository, node, ["t"], tmp_path)


def test_equal_content_is_stored_once_whatever_its_name(repository, tmp_path):
    node = Node(tmp_path / "node")
    content = node.bytes(3 * MIB + 77)
    first = node.write(node.table("ks", "one"), "t1", "nb-1-big-Data.db", content)
    node.write(node.table("ks", "two"), "t1", "nb-9-big-Data.db", content, mode=0o600, owner=(4711, 4711))
    linked = node.path(node.table("ks", "one"), "t1", "nb-2-big-Data.db")
    os.link(first, linked)
    node.write(node.table("ks", "three"), "t2", "renamed-Data.db", content)
    small = repository.backup(node.data, "t1")
    assert (small["new_bytes"], small["total_bytes"]) == (len(content), 3 * len(content))
    assert repository.backup(node.data, "t2")["new_bytes"] == 0
    with repository.mount() as mount:
        for tag in ("t1", "t2"):
            assert describe_tree(mount.data(tag)) == describe_snapshot(node.data, tag)
        inodes = {os.stat(mount.data("t1") / path).st_ino for path in describe_tree(mount.data("t1"))}
        assert len(inodes) == 3, "links of the source must not come back as links"


def test_same_name_and_size_with_other_content_are_two_files(repository, tmp_path):
    """P3: content decides. A Statistics.db is rewritten at equal size, with the time put back."""
    node, table = Node(tmp_path / "node"), "ks/t-" + "0" * 32
    for tag in ("t1", "t2"):
        node.write(table, tag, "nb-1-big-Statistics.db", node.bytes(5000), mtime_ns=10**18)
        node.write(table, tag, "nb-1-big-Data.db", b"same" * 5000, mtime_ns=10**18)
    check_round_trip(repository, node, ("t1", "t2"), tmp_path)
    with repository.mount() as mount:
        for name, same in (("Statistics.db", False), ("Data.db", True)):
            paths = [mount.data(tag) / table / f"nb-1-big-{name}" for tag in ("t1", "t2")]
            assert os.path.samefile(*paths) == same, name


def test_several_data_directories_are_merged_and_can_be_told_apart(repository, tmp_path):
    nodes = [Node(tmp_path / f"disk{i}", seed=i) for i in range(2)]
    table = nodes[0].table("ks", "t")
    for i, node in enumerate(nodes):
        node.write(table, "t", f"nb-{i}-big-Data.db", node.bytes(2000 + i))
        node.write(table, "t", "equal-Data.db", b"the same in both" * 100, mtime_ns=5)
    data_dirs = [node.data for node in nodes]
    repository.backup(data_dirs, "t")
    expected = {**describe_snapshot(nodes[1].data, "t"), **describe_snapshot(nodes[0].data, "t")}
    with repository.mount() as mount:
        assert describe_tree(mount.data("t")) == expected
    maps = [word for i in range(2) for word in ("--map-data-dir", f"{i}={tmp_path / f'out{i}'}")]
    repository("restore", "t", *maps, tmp_path / "out")
    assert sorted(describe_tree(tmp_path / "out0")) == [f"{table}/equal-Data.db", f"{table}/nb-0-big-Data.db"]
    assert sorted(describe_tree(tmp_path / "out1")) == [f"{table}/nb-1-big-Data.db"]


def test_a_path_that_differs_between_data_directories_is_refused(repository, tmp_path):
    nodes = [Node(tmp_path / f"disk{i}", seed=i) for i in range(2)]
    for node in nodes:
        node.write("ks/t-" + "0" * 32, "t", "nb-1-big-Data.db", node.bytes(2000))
    answer = repository.backup([node.data for node in nodes], "t", code=1)
    for node in nodes:
        assert str(node.data) in answer.err
    assert repository.json("list")["backups"] == [] or not repository.json("list")["backups"][0]["complete"]


def test_only_regular_files_of_existing_tables_are_taken(repository, tmp_path):
    """Leftovers of dropped tables have no snapshot of this name; what is no file is left out and said."""
    node = Node(tmp_path / "node").fill_small("t")
    node.write(node.table("shop", "dropped"), "dropped-1763808000-shop", "nb-1-big-Data.db", b"gone" * 200)
    node.write(node.table("shop", "empty"), "t", "manifest.json", b"{}")
    node.write(node.table("shop", "empty"), "t", "schema.cql", b"CREATE TABLE")
    expected = describe_snapshot(node.data, "t")
    pipe = node.path(node.table("shop", "orders"), "t", "a-pipe")
    os.mkfifo(pipe)
    os.symlink("/etc/passwd", pipe.with_name("a-link"))
    answer = repository.backup(node.data, "t", code=3)
    with repository.mount() as mount:
        assert describe_tree(mount.data("t")) == expected
        assert os.listdir(mount.data("t") / node.table("shop", "empty")) == []
        assert sorted(os.listdir(mount.node() / "t/snapshot" / node.table("shop", "empty"))) == ["manifest.json", "schema.cql"]
    assert answer["state"] == "committed"
    message = repository(*repository.backup_arguments(node.data, "t", "again"), code=3).err
    assert "a-pipe" in message and "a-link" in message
