# SPDX-License-Identifier: Apache-2.0
"""Backups appear by the thousand, in batches, while others read: nobody's reading stops for it.

10,000 with SSTABLEFS_LONG=1. What is counted is what readers got done between two events; how long the longest pause was is printed, not judged.
"""

import json
import os
import threading
import time

from harness import CLUSTER, LONG, NODE, in_threads, wait_until
from trees import describe_snapshot, describe_tree, reseal

BACKUPS = 10_000 if LONG else 200
BATCH = 1000 if LONG else 50
LIMIT = 300  # seconds for a batch to be shown
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def add_backups(repository, name, first, count):
    """Records of further backups with the trees of one that there is, as quick as files can be written."""
    records = repository.path / f"nodes/{CLUSTER}/{NODE}/records"
    (source,) = (records / name).iterdir()
    text = source.read_text()
    for i in range(first, first + count):
        digits = [i >> 5 * j & 31 for j in range(4)]
        writer = source.stem[:-4] + "".join(ALPHABET[d] for d in reversed(digits))
        directory = records / f"x{i:05d}"
        # Complete before it has the name by which it is listed.
        made = repository.path / f".sstablefs-tmp/x{i:05d}"
        made.mkdir(parents=True)
        (made / f"{writer}.json").write_text(text)
        reseal(made / f"{writer}.json", backup=directory.name, writer=writer)
        made.rename(directory)


class Reader:
    """Does a step again and again, and knows how long the longest took."""

    def __init__(self, step):
        self.step, self.count, self.longest = step, 0, 0.0

    def run(self, over):
        while not over.is_set():
            began = time.monotonic()
            self.step()
            self.longest = max(self.longest, time.monotonic() - began)
            self.count += 1


def watch(repository, node, mount, note=print):
    """Adds all backups batch by batch while readers read; the readers by name."""
    over = threading.Event()
    table = node.table("shop", "orders")
    path = mount.data("t1") / table / "nb-1-big-Data.db"
    expected = node.path(table, "t1", "nb-1-big-Data.db").read_bytes()

    def through_an_open_file():
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert os.pread(file.fileno(), len(expected), 0) == expected

    def by_name():
        with open(path, "rb") as f:
            assert f.read() == expected

    def by_list():
        assert "t1" in os.listdir(mount.node())

    readers = {step.__name__: Reader(step) for step in (through_an_open_file, by_name, by_list)}

    def add():
        try:
            for first in range(0, BACKUPS, BATCH):
                before = {name: reader.count for name, reader in readers.items()}
                began = time.monotonic()
                add_backups(repository, "t1", first, BATCH)
                wait_until(lambda first=first: (mount.node() / f"x{first + BATCH - 1:05d}").exists(), LIMIT, "a batch in the mount")
                # In that time, however long it was, or soon after, each reader got on.
                wait_until(lambda before=before: all(readers[name].count > count for name, count in before.items()), LIMIT, "readers that get on")
                note(f"{first + BATCH} backups, {time.monotonic() - began:.1f} s:", *(f"{name} {readers[name].count - before[name]}" for name in before))
        finally:
            over.set()

    with open(path, "rb", buffering=0) as file:
        in_threads([add, *[lambda reader=reader: reader.run(over) for reader in readers.values()]])
    return readers


def test_readers_get_on_while_backups_appear_in_batches(repository, small_node):
    repository.backup(small_node.data, "t1")
    with repository.mount("refresh=1") as mount:
        readers = watch(repository, small_node, mount)
        names = [name for name in os.listdir(mount.node()) if name.startswith("x")]
        assert sorted(names) == [f"x{i:05d}" for i in range(BACKUPS)]
        assert json.loads((mount.node() / f"x{BACKUPS - 1:05d}/backup.json").read_text())["backup"] == f"x{BACKUPS - 1:05d}"
        assert describe_tree(mount.data(f"x{BACKUPS // 2:05d}")) == describe_snapshot(small_node.data, "t1")
        wait_until(lambda: os.listdir(mount.node()) and os.stat(mount.data("t1") / small_node.table("shop", "orders") / "nb-1-big-Data.db").st_nlink == BACKUPS + 2,
                   LIMIT, "the count of links")
        print("longest pause:", *(f"{name} {reader.longest:.2f} s" for name, reader in readers.items()))
