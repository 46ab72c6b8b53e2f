# SPDX-License-Identifier: Apache-2.0
"""Incremental backups: an unchanged snapshot costs few requests and opens few files, and nothing that changed is ever missed.

A file that is rewritten on its inode at equal size, with its mtime put back, cannot be told from one that was not: tests
that want to know whether a file was read do just that, and see what the next backup holds.
"""

import os
import random
import shutil
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import pytest

from harness import CLUSTER, DONE, LONG, NODE, in_threads, run
from linux import Opens
from trees import Node, describe_snapshot, describe_tree

sys.path.append(str(Path(__file__).parents[2] / "bench"))
import node as synthetic  # noqa: E402

FILES = 60_000 if LONG else 6_000
TABLE = "shop/orders-00000000000000000000000000000001"
DATA = "nb-1-big-Data.db"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A node as the benchmarks have it, with the snapshots day0 and day0again of the same files."""
    top = tmp_path_factory.mktemp("node")
    made = synthetic.Node(str(top / "n1"), Fraction(1, 100_000), FILES)
    made.snapshot("day0")
    made.snapshot("day0again")
    yield made
    shutil.rmtree(top)


def restored(repository, backup):
    out = repository.program.directory / f"out-{backup}"
    shutil.rmtree(out, ignore_errors=True)
    repository("restore", backup, out)
    return describe_tree(out)


# ---- what it costs ----

@pytest.mark.parametrize("tag", ["day0", "day0again"])
def test_an_unchanged_snapshot_takes_few_requests(minio, minio_server, node, tag):
    """Counted by the server. Under another tag the snapshot's directories, manifest.json and schema.cql are new."""
    minio.backup(node.data, "day0", "b1")
    before = sum(minio_server.count_requests().values())
    done = minio.backup(node.data, tag, "b2")
    taken = sum(minio_server.count_requests().values()) - before
    print(f"{done['files']} files: {taken} requests, {done['requests']}, {done['duration_seconds']:.2f} s")
    assert done["files"] >= FILES * 0.9
    assert taken == sum(done["requests"].values()) <= 20
    # Of another tag: manifest.json of tables with so many SSTables that it does not lie in its run.
    assert done["new_bytes"] == 0 or tag == "day0again"


def test_of_an_unchanged_snapshot_only_what_cassandra_rewrites_is_opened(repository, node):
    repository.backup(node.data, "day0", "b1")
    with Opens(node.data) as opens:
        done = repository.backup(node.data, "day0again", "b2")
    opened = [name.rsplit("-", 1)[1] for name in opens.names if "-" in name]
    assert done["files"] >= FILES * 0.9
    assert set(opened) == {"Statistics.db", "Summary.db", "TOC.txt"}
    assert len(opened) < done["files"] / 2
    with Opens(node.data) as opens:
        repository.backup(node.data, "day0again", "b3", "--reread")
    assert len(opens.names) >= done["files"]


# ---- what is noticed ----

@pytest.fixture
def small(program, repository):
    """A node with one SSTable, backed up as b1."""
    made = Node(program.directory / "small")
    for component in ("Data.db", "Index.db", "Statistics.db", "Summary.db", "TOC.txt", "Filter.db"):
        made.write(TABLE, "t1", f"nb-1-big-{component}", made.bytes(300 if component == "Filter.db" else 3000), mtime_ns=10**18)
    repository.backup(made.data, "t1", "b1")
    return made


def rewrite(path, content, inode=False):
    """Other bytes, on the inode or on a new one, with the mtime put back."""
    old = os.stat(path)
    assert len(content) == old.st_size
    if inode:
        new = path.with_name("new")
        new.write_bytes(content)
        os.rename(new, path)
    else:
        with open(path, "r+b") as f:
            f.write(content)
    os.utime(path, ns=(old.st_mtime_ns, old.st_mtime_ns))
    assert (os.stat(path).st_ino != old.st_ino) == inode


def unseen(repository, small, name):
    """A backup after Data.db was rewritten unseen: whether that was read."""
    rewrite(small.path(TABLE, "t1", DATA), small.bytes(3000))
    repository.backup(small.data, "t1", name)
    return restored(repository, name) == describe_snapshot(small.data, "t1")


REWRITTEN = [("Statistics.db", False), ("Summary.db", False), ("TOC.txt", False),
             ("Statistics.db", True), ("Data.db", True), ("Filter.db", True)]


@pytest.mark.parametrize("component, inode", REWRITTEN, ids=[f"{name}-{'new' if inode else 'same'}-inode" for name, inode in REWRITTEN])
def test_what_was_rewritten_at_equal_size_is_noticed(repository, small, component, inode):
    rewrite(small.path(TABLE, "t1", f"nb-1-big-{component}"), small.bytes(300 if component == "Filter.db" else 3000), inode)
    repository.backup(small.data, "t1", "b2")
    assert restored(repository, "b2") == describe_snapshot(small.data, "t1") != restored(repository, "b1")


def test_a_reused_name_with_other_content_is_stored(repository, small):
    """TRUNCATE and a restart: generation 1 again, in the next snapshot."""
    small.write(TABLE, "t2", DATA, small.bytes(3000), mtime_ns=10**18)
    done = repository.backup(small.data, "t2", "b2")
    assert done["new_bytes"] == 3000
    assert restored(repository, "b2") == describe_snapshot(small.data, "t2")


def test_a_file_with_an_older_mtime_that_was_put_back_is_read(repository, small):
    path = small.path(TABLE, "t1", DATA)
    new = path.with_name("new")
    new.write_bytes(small.bytes(3000))
    os.utime(new, ns=(10**17, 10**17))
    os.rename(new, path)
    assert repository.backup(small.data, "t1", "b2")["new_bytes"] >= 3000
    assert restored(repository, "b2") == describe_snapshot(small.data, "t1")


def test_a_file_that_was_just_written_is_read_again(repository, small):
    path = small.path(TABLE, "t1", DATA)
    # Far enough from now that no machine is too slow for it.
    soon = time.time_ns() + 3600 * 10**9
    os.utime(path, ns=(soon, soon))
    repository.backup(small.data, "t1", "b2")
    rewrite(path, small.bytes(3000))
    repository.backup(small.data, "t1", "b3")
    assert restored(repository, "b3") == describe_snapshot(small.data, "t1")


def test_reread_trusts_nothing(repository, small):
    rewrite(small.path(TABLE, "t1", DATA), small.bytes(3000))
    repository.backup(small.data, "t1", "b2", "--reread")
    assert restored(repository, "b2") == describe_snapshot(small.data, "t1")
    assert not unseen(repository, small, "b3"), "what --reread read is remembered"


def test_another_repository_gets_everything(program, repository, small):
    """The same node, host and cache: content that is in the one is not in the other."""
    other = program.repository().init()
    done = other.backup(small.data, "t1", "b1")
    assert done["new_bytes"] == done["total_bytes"]
    assert restored(other, "b1") == describe_snapshot(small.data, "t1")
    assert not unseen(repository, small, "b9") and not unseen(other, small, "b9")


def test_a_backup_that_was_removed_by_hand_vouches_for_nothing(repository, small):
    shutil.rmtree(repository.path / "nodes" / CLUSTER / NODE)
    done = repository.backup(small.data, "t1", "b2")
    assert done["new_bytes"] == done["total_bytes"]
    assert restored(repository, "b2") == describe_snapshot(small.data, "t1")


# ---- local state ----

def state_of(program):
    (found,) = program.cache.glob("*-hints/*")
    return found


def in_place(change):
    """Changes the file's bytes, not its inode."""
    def apply(program):
        path = state_of(program)
        with open(path, "r+b") as f:
            content = change(bytearray(f.read()))
            f.seek(0)
            f.truncate()
            f.write(content)
    return apply


def flip(content):
    content[random.Random(1).randrange(len(content))] ^= 4
    return content


def copy(program):
    """As of another node: the same bytes in another file."""
    directory = state_of(program).parent
    shutil.copytree(directory, directory.with_name("copy"))
    shutil.rmtree(directory)
    os.rename(directory.with_name("copy"), directory)


DAMAGE = {
    "deleted": lambda program: state_of(program).unlink(),
    "cache-deleted": lambda program: shutil.rmtree(program.cache),
    "truncated": in_place(lambda content: content[:-7]),
    "empty": in_place(lambda content: b""),
    "flipped": in_place(flip),
    "garbage": in_place(lambda content: os.urandom(len(content))),
    "another-version": in_place(lambda content: content[:8] + b"\2" + content[9:]),
    "copied": copy,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_state_that_cannot_be_believed_is_made_anew(program, repository, small, damage):
    assert not unseen(repository, small, "b2")
    rewrite(small.path(TABLE, "t1", DATA), small.bytes(3000))
    DAMAGE[damage](program)
    answer = repository(*repository.backup_arguments(small.data, "t1", "b3"))
    assert restored(repository, "b3") == describe_snapshot(small.data, "t1")
    assert ("believed" in answer.err) == (not damage.endswith("deleted")), answer.err
    assert not unseen(repository, small, "b4")


def test_two_backups_with_one_state_at_once(repository, node):
    """And a list beside them. All are right, and the state is of use afterwards."""
    repository.backup(node.data, "day0", "b1")
    expected = describe_snapshot(node.data, "day0")
    in_threads([lambda: repository.backup(node.data, "day0", "b2"), lambda: repository.backup(node.data, "day0", "b3"),
                lambda: repository("list")])
    for name in ("b2", "b3"):
        repository("diff", "b1", name, code=DONE)
    assert restored(repository, "b2") == expected


def test_a_full_disk_under_the_state_costs_reading_only(program, repository, small):
    disk = program.directory / "disk"
    disk.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk)
    try:
        for name in ("b2", "b3"):
            with open(disk / "filler", "wb", buffering=0) as f:
                try:
                    while True:
                        f.write(bytes(4096))
                except OSError:
                    pass
            answer = repository(*repository.backup_arguments(small.data, "t1", name),
                                environment={"SSTABLEFS_CACHE_DIR": str(disk / "cache")})
            assert "No space left" in answer.err
            assert restored(repository, name) == describe_snapshot(small.data, "t1")
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
