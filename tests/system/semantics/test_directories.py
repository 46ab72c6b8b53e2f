# SPDX-License-Identifier: Apache-2.0
"""Directories: listed in pieces of any size, sought at any time, with what stat(2) says of each entry, while the kernel forgets them."""

import os
import random
import stat
import subprocess
import time

import pytest

from harness import CLUSTER, LONG, run
from linux import drop_caches, getdents, refused
from test_reads import in_processes
from trees import Node, files_below
import errno

TABLE = "shop/orders-" + "0" * 32
ENTRIES = 40_000 if LONG else 3_000
TYPES = {stat.S_IFDIR: 4, stat.S_IFREG: 8, stat.S_IFLNK: 10}


@pytest.fixture(scope="module")
def world(shared):
    """(names of the large directory, mount): two backups of a table of very many files and some directories."""
    node, names = Node(shared.directory / "node", seed=5), set()
    directory = node.path(TABLE, "t1", "")
    directory.mkdir(parents=True)
    for i in range(ENTRIES):
        name = f"nb-{i // 4}-big-{'x' * (i % 97 if i % 13 == 0 else 0)}{('Data.db', 'Index.db', 'TOC.txt', 'Filter.db')[i % 4]}"
        names.add(name)
        with open(directory / name, "wb") as f:
            f.write(b"%d" % i)
    for i in range(30):
        node.write(TABLE, "t1", f".index{i}/nb-{i}-big-Data.db", b"of an index")
        names.add(f".index{i}")
    repository = shared.repository().init()
    repository.backup(node.data, "t1")
    with repository.mount("memory=64M") as mount:
        yield names, mount


def large(mount):
    return mount.data("t1") / TABLE


def listing(fd, size):
    """Everything from where the descriptor stands."""
    found = []
    while part := getdents(fd, size):
        found += part
    return found


def names_of(entries):
    return [name for _, _, _, name in entries]


def test_buffers_of_any_size_give_the_same_listing(world):
    names, mount = world
    fd = os.open(large(mount), os.O_RDONLY)
    whole = listing(fd, 1 << 20)
    assert sorted(names_of(whole)) == sorted([".", "..", *names])
    for size in (280, 281, 4096, 4097, 32768) if LONG else (280, 32768):
        os.lseek(fd, 0, os.SEEK_SET)
        assert listing(fd, size) == whole, size
    os.lseek(fd, 0, os.SEEK_SET)
    for size in (0, 1, 18, 23):
        with refused(errno.EINVAL):
            getdents(fd, size)
    assert getdents(fd, 24)[0][3] == ".", "an entry that did not fit is not lost"
    os.close(fd)


def test_any_offset_can_be_sought_at_any_time_by_anybody(world):
    """Offsets of a directory in a backup are positions: good in another descriptor, and after everything was forgotten."""
    _, mount = world
    chance = random.Random(3)
    fd = os.open(large(mount), os.O_RDONLY)
    whole = listing(fd, 1 << 20)
    for turn in range(60):
        if turn % 10 == 0:
            drop_caches()
            os.close(fd)
            fd = os.open(large(mount), os.O_RDONLY)
        at = chance.randrange(len(whole))
        os.lseek(fd, whole[at][1], os.SEEK_SET)
        assert getdents(fd, 600)[:2] == whole[at + 1:at + 3]
    os.lseek(fd, whole[-1][1], os.SEEK_SET)
    assert getdents(fd, 600) == []
    for beyond in (whole[-1][1] + 1, 1 << 40, (1 << 63) - 1):
        os.lseek(fd, beyond, os.SEEK_SET)
        assert getdents(fd, 600) == [], beyond
    os.close(fd)


def test_listings_say_of_each_entry_what_stat_says(world):
    """Type and inode number, in a first listing (READDIRPLUS) and in one that the kernel kept; at the mount's root as well."""
    _, mount = world
    sample = random.Random(1)
    for directory in (mount.path, mount.path / ".sstablefs", mount.path / CLUSTER, mount.path / CLUSTER / "nodes", mount.path / CLUSTER / "backups",
                      mount.path / CLUSTER / "backups/t1", mount.node(), mount.node() / "t1", mount.data("t1"), mount.node() / "objects",
                      next((mount.node() / "objects").iterdir()), large(mount)):
        for drop in (True, False):
            if drop:
                drop_caches()
            fd = os.open(directory, os.O_RDONLY)
            entries = listing(fd, 65536)
            os.close(fd)
            for ino, _, kind, name in sample.sample(entries, min(len(entries), 300)):
                if (directory, name) == (mount.path, ".."):
                    continue  # the kernel's to answer
                st = os.lstat(directory / name)
                assert (st.st_ino, TYPES[stat.S_IFMT(st.st_mode)]) == (ino, kind), (directory, name)


def test_numbers_and_attributes_are_the_same_after_forgetting_and_remounting(world):
    _, mount = world
    paths = [large(mount) / name for name in random.Random(2).sample(sorted(world[0]), 400)] + [mount.data("t1"), mount.node() / "objects", mount.node()]

    def look():
        return [(st.st_ino, st.st_mode, st.st_nlink, st.st_size, st.st_blocks, st.st_mtime_ns, st.st_uid) for st in map(os.lstat, paths)]

    before = look()
    for what in (2, 3):
        drop_caches(what)
        assert look() == before
    with mount.repository.mount() as other:
        def there(path):
            return os.lstat(other.path / path.relative_to(mount.path))
        os.listdir(other.node() / "objects")  # counts are exact then
        assert [there(p).st_ino for p in paths] == [row[0] for row in before]
        assert [there(p).st_nlink for p in paths] == [row[2] for row in before]


def test_walks_are_whole_while_the_kernel_forgets_all_the_time(world):
    """find, ls, tar and a storm of stat(2), by several processes, with dentries and inodes dropped continuously."""
    names, mount = world
    expected = len(names) + 30
    where = large(mount)

    def walk(number):
        chance = random.Random(number)
        if number % 3 == 0:
            found = list(files_below(where))
            assert len(found) == len(set(found)) == expected - 30, len(found)
        elif number % 3 == 1:
            assert sum(1 for _ in os.scandir(where)) == len(names)
            for entry in os.scandir(where):
                if chance.random() < 0.05:
                    assert entry.inode() == os.lstat(entry.path).st_ino
        else:
            for name in chance.sample(sorted(names), 1500):
                st = os.lstat(where / name)
                assert stat.S_ISDIR(st.st_mode) == name.startswith(".index"), name
            for i in range(300):
                assert not os.path.lexists(where / f"missing{i}")

    for _ in in_processes(6, walk):
        drop_caches(2)
        time.sleep(0.02)  # the pace of the disturbance; nothing waits for it


def test_many_processes_that_look_for_the_same_new_name_agree(world):
    names, mount = world
    for name in sorted(names)[:5]:
        drop_caches()
        processes = [subprocess.Popen(["stat", "-c", "%i %s", large(mount) / name], stdout=subprocess.PIPE, text=True) for _ in range(8)]
        assert len({p.communicate()[0] for p in processes}) == 1 and not any(p.returncode for p in processes)


def test_the_usual_tools_find_the_copy_equal(world, tmp_path):
    _, mount = world
    source = mount.node() / "t1/data/shop" / TABLE.split("/")[1]
    copy = tmp_path / "copy"
    run("sh", "-c", f"cd {source} && tar -cf - . | (mkdir {copy} && tar -xpf - -C {copy})")
    run("sh", "-c", f"tar -cf {tmp_path}/a.tar -C {source} . && tar -df {tmp_path}/a.tar -C {source}")
    run("diff", "-r", source, copy)
    assert run("rsync", "-aHn", "--checksum", "--delete", "--itemize-changes", f"{source}/", f"{copy}/") == ""
    one = source / "nb-7-big-Index.db"
    same = run("find", mount.node(), "-samefile", one).splitlines()
    assert len(same) == os.stat(one).st_nlink == 2 and os.fspath(one) in same
    count = len(run("ls", "-lR", source).splitlines())
    assert count >= ENTRIES
    assert int(run("du", "-s", "--apparent-size", "--block-size=1", source).split()[0]) == sum(os.lstat(source / p).st_size for p in files_below(source))
