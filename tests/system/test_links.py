# SPDX-License-Identifier: Apache-2.0
"""Hard links, counted again by a program that knows nothing of the index: it reads the snapshots on disk."""

import collections
import contextlib
import mmap
import os
import random
import signal
import time

import pytest

from harness import CLUSTER, LONG, NODE, run, wait_until
from trees import Node, change_tree, content_id, files_below, random_tree, snapshot_files

REFRESH = 1
PATIENCE = 2.0  # beside the refresh time, for a machine that is busy


def identities(node, tags, name=NODE):
    """{(backup, path in it): identity}: node, data directory, path below it, content, mode, owner, mtime."""
    found = {}
    for tag in tags:
        for path, source in snapshot_files(node.data, tag).items():
            st = os.stat(source)
            with open(source, "rb") as f:
                content = content_id(f.read())
            data_dir = 0 if path.startswith("data/") else 65535
            found[tag, path] = (name, data_dir, path, content, st.st_mode, st.st_uid, st.st_gid, st.st_mtime_ns)
    return found


def check_links(mount, expected, name=NODE):
    """Every file: its number of links, one inode for each identity, and objects/ exactly the entries that there must be."""
    backups = collections.Counter(expected.values())
    inodes = {}
    for (tag, path), identity in expected.items():
        st = os.lstat(mount.node(name) / tag / path)
        assert st.st_nlink == backups[identity] + 1, (tag, path)
        inodes.setdefault(st.st_ino, set()).add(identity)
    assert all(len(who) == 1 for who in inodes.values()) and len(inodes) == len(backups)

    objects = mount.node(name) / "objects"
    names = {f"{who[3][:2]}/{who[3]}.{ino:016x}" for ino, (who,) in inodes.items()}
    assert set(files_below(objects)) == names
    for path in names:
        assert os.lstat(objects / path).st_ino == int(path.split(".")[1], 16)
    walked = {os.path.relpath(p, mount.node(name)) for p in run("find", mount.node(name), "-type", "f").splitlines()}
    assert walked == {f"{tag}/{path}" for tag, path in expected} | {f"objects/{p}" for p in names} | {
        f"{tag}/backup.json" for tag, _ in expected}


def within_refresh_time(check):
    """A check that comes true within the refresh time."""
    def holds():
        try:
            check()
            return True
        except (AssertionError, OSError):
            return False

    begun = time.monotonic()
    wait_until(holds, REFRESH + PATIENCE + 10, "the right counts")
    assert time.monotonic() - begun < REFRESH + PATIENCE


def make_week(tmp_path, seed, tags):
    node, chance = Node(tmp_path / "node", seed), random.Random(seed)
    random_tree(node, chance, tags[0])
    for old, new in zip(tags, tags[1:]):
        change_tree(node, chance, old, new)
    return node


@pytest.mark.parametrize("seed", range(1, 9 if LONG else 3))
def test_link_counts_are_those_of_the_snapshots(repository, tmp_path, seed):
    print(f"seed {seed}")
    tags = ("t1", "t2", "t3", "t4")
    node = make_week(tmp_path, seed, tags)
    for tag in tags[:2]:
        repository.backup(node.data, tag)
    with repository.mount(f"refresh={REFRESH}") as mount:
        check_links(mount, identities(node, tags[:2]))
        for count in (3, 4):
            repository.backup(node.data, tags[count - 1])
            expected = identities(node, tags[:count])
            sample = {key: value for key, value in expected.items() if key[0] == "t1"}
            counts = collections.Counter(expected.values())

            def right():
                for (tag, path), identity in sample.items():
                    assert os.stat(mount.node() / tag / path).st_nlink == counts[identity] + 1

            within_refresh_time(right)
            check_links(mount, expected)
    with repository.mount(where=mount.path) as mount:
        check_links(mount, identities(node, tags))


def map_whole(path):
    with path.open("rb") as f:
        return mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)


def test_a_new_backup_costs_no_second_read(minio, tmp_path):
    """Stat before, stat after: the count changes, the pages stay."""
    node = make_week(tmp_path, 3, ("t1", "t2"))
    minio.backup(node.data, "t1")
    trace = tmp_path / "trace"
    with minio.mount(f"refresh={REFRESH}", f"trace={trace}") as mount, contextlib.ExitStack() as stack:
        files = [mount.data("t1") / path for path in files_below(mount.data("t1"))]
        before = {path: os.stat(path) for path in files}
        contents = {path: path.read_bytes() for path in files}
        # What is mapped stays when another test drops the page cache; what the mount itself invalidates goes all the same.
        maps = [stack.enter_context(map_whole(path)) for path in files if contents[path]]
        assert [bytes(m) for m in maps] == [contents[path] for path in files if contents[path]]
        assert any(line.startswith("read ") for line in trace.read_text().splitlines())
        minio.backup(node.data, "t2")
        counts = collections.Counter(identities(node, ("t1", "t2")).values())
        first = identities(node, ("t1",))
        within_refresh_time(lambda: _assert_counts(mount, first, counts))
        after = {path: os.stat(path) for path in files}
        assert any(after[p].st_nlink != before[p].st_nlink for p in files)
        assert all(after[p].st_ino == before[p].st_ino for p in files)
        trace.write_text("")
        assert {path: path.read_bytes() for path in files} == contents
        reads = [int(line.split()[3]) for line in trace.read_text().splitlines() if line.startswith("read ")]
        assert not reads, "the kernel had to read again"


def _assert_counts(mount, expected, counts):
    for (tag, path), identity in expected.items():
        assert os.stat(mount.node() / tag / path).st_nlink == counts[identity] + 1, path


def test_backups_that_vanish_take_their_links_along(repository, tmp_path):
    """As a purge on another machine would: the record goes, and nothing else is known of it here."""
    tags = ("t1", "t2", "t3")
    node = make_week(tmp_path, 5, tags)
    for tag in tags:
        repository.backup(node.data, tag)
    with repository.mount(f"refresh={REFRESH}") as mount:
        check_links(mount, identities(node, tags))
        assert os.readlink(mount.node() / "latest") == "t3"
        run("rm", "-r", repository.path / f"nodes/{CLUSTER}/{NODE}/records/t3")
        within_refresh_time(lambda: _assert_absent(mount.node() / "t3"))
        check_links(mount, identities(node, tags[:2]))
        assert os.readlink(mount.node() / "latest") == "t2"
        repository.backup(node.data, "t3")
        within_refresh_time(lambda: os.stat(mount.node() / "t3"))
        check_links(mount, identities(node, tags))
        assert os.readlink(mount.node() / "latest") == "t3"


def _assert_absent(path):
    assert not os.path.lexists(path)


def test_counts_that_failed_once_are_told_to_the_kernel_once_they_are_right(repository, tmp_path):
    """The kernel holds attributes from when all was counted; a new backup's trees cannot be read for a while."""
    node = make_week(tmp_path, 7, ("t1", "t2"))
    repository.backup(node.data, "t1")
    expected = identities(node, ("t1", "t2"))
    first = {key: value for key, value in expected.items() if key[0] == "t1"}
    trees = repository.path / f"nodes/{CLUSTER}/{NODE}/trees"
    with repository.mount(f"refresh={REFRESH}") as mount:
        wait_until(lambda: os.stat(mount.node()) and ", indexed," in mount.status()[f"node {CLUSTER}/{NODE}"], 60, "an index")
        check_links(mount, identities(node, ("t1",)))
        before = set(trees.rglob("*"))
        hidden = tmp_path / "hidden"
        hidden.mkdir()
        repository.backup(node.data, "t2")
        fresh = [path for path in trees.rglob("*") if path not in before and path.is_file()]
        assert fresh
        for path in fresh:
            path.rename(hidden / path.name)
        wait_until(lambda: os.path.lexists(mount.node() / "t2"), 60, "the new backup")
        wait_until(lambda: ", indexing," in mount.status()[f"node {CLUSTER}/{NODE}"], 60, "a count that fails")
        _assert_counts(mount, first, collections.Counter(first.values()))
        for path in fresh:
            (hidden / path.name).rename(path)
        within_refresh_time(lambda: os.stat(mount.node()) and _assert_counts(mount, first, collections.Counter(expected.values())))


def test_nodes_share_no_links(repository, small_node):
    for name in ("n1", "n2"):
        repository.backup(small_node.data, "t1", node=name)
        repository.backup(small_node.data, "t1", "again", node=name)
    expected = identities(small_node, ("t1",))
    both = {(backup, path): identity for (_, path), identity in expected.items() for backup in ("t1", "again")}
    with repository.mount() as mount:
        for name in ("n1", "n2"):
            check_links(mount, both, name)
        numbers = [{os.stat(mount.data("t1", name) / path).st_ino for path in files_below(mount.data("t1", name))}
                   for name in ("n1", "n2")]
        assert not numbers[0] & numbers[1]


def test_a_node_is_exact_once_its_status_says_indexed(repository, tmp_path):
    tags = ("t1", "t2", "t3")
    node = make_week(tmp_path, 8, tags)
    for tag in tags:
        repository.backup(node.data, tag)
    with repository.mount() as mount:
        assert not any(key.startswith("node ") for key in mount.status()), "nobody has looked into a node yet"
        os.stat(mount.node())
        wait_until(lambda: "indexed" in mount.status()[f"node {CLUSTER}/{NODE}"], 60, "an index")
        check_links(mount, identities(node, tags))


@pytest.mark.parametrize("harm", ["none", "killed", "garbled", "cut", "emptied", "removed"])
def test_counts_of_the_mount_before_are_taken_over_or_made_anew(program, repository, tmp_path, harm):
    """Between two mounts a backup comes and another goes; what the first one left may be damaged."""
    tags = ("t1", "t2", "t3")
    node = make_week(tmp_path, 6, tags)
    for tag in tags[:2]:
        repository.backup(node.data, tag)
    with repository.mount() as mount:
        check_links(mount, identities(node, tags[:2]))
        if harm == "killed":
            os.kill(mount.pid, signal.SIGKILL)
            wait_until(lambda: not os.path.exists(f"/proc/{mount.pid}"), 10, "the end of the daemon")
    (counts,) = program.cache.rglob("links-*")
    data = bytearray(counts.read_bytes())
    if harm == "garbled":
        data[len(data) // 2] ^= 1
        counts.write_bytes(data)
    elif harm == "cut":
        counts.write_bytes(data[:-4096])
    elif harm == "emptied":
        counts.write_bytes(b"")
    elif harm == "removed":
        counts.unlink()
    repository.backup(node.data, "t3")
    run("rm", "-r", repository.path / f"nodes/{CLUSTER}/{NODE}/records/t1")
    with repository.mount() as mount:
        check_links(mount, identities(node, tags[1:]))
