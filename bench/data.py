# SPDX-License-Identifier: Apache-2.0
"""The data sets: what is backed up, copied and restored. The same name and scale make the same bytes."""

import os
import random
import shutil
from fractions import Fraction
from pathlib import Path

import measure
import xxhash
from node import BIG, Node

TAG = "day0"
MIB = 1 << 20
PIECE = 8 << 20


def digest_of(path):
    digest = xxhash.xxh3_128()
    with open(path, "rb") as f:
        while piece := f.read(PIECE):
            digest.update(piece)
    return digest.digest()


class Files:
    """{path below some directory: (path on disk, size)}, and whether a copy is the same."""

    def __init__(self, files):
        self.files, self.digests = files, {}

    def verify(self, top, whole):
        """That the files below `top` are these, no more and no fewer: names and sizes, and all bytes where `whole`."""
        found = {}
        for directory, _, names in os.walk(top):
            found |= {os.path.relpath(os.path.join(directory, name), top): os.path.join(directory, name) for name in names}
        if differ := found.keys() ^ self.files.keys():
            raise measure.Failed(f"{len(differ)} files are missing or too many, such as {min(differ)}")
        for name, (path, size) in self.files.items():
            if os.path.getsize(found[name]) != size:
                raise measure.Failed(f"{name} has another size")
            if whole:
                if name not in self.digests:
                    self.digests[name] = digest_of(path)
                if digest_of(found[name]) != self.digests[name]:
                    raise measure.Failed(f"{name} has other bytes")


class Set(Files):
    """A node's data directory, a snapshot of it, and the same files laid out as a backup shows them (hard links)."""

    def __init__(self, name, directory, node):
        super().__init__({})
        self.name, self.node, self.directory = name, node, Path(directory)
        self.take(TAG)

    def take(self, tag):
        self.tag = tag
        self.node.snapshot(tag)
        self.files = self.node.files_of(tag)  # {path below data/: (path on disk, size)}
        self.bytes = sum(size for _, size in self.files.values())
        self.top = self.directory / f"{tag}-laid-out"
        for below, (path, _) in self.files.items():
            target = self.top / below
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target)

    def component(self, ending):
        """The files whose names end so, largest first: paths below data/."""
        names = [name for name in self.files if name.endswith(ending)]
        return sorted(names, key=lambda name: (-self.files[name][1], name))

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)


def at_least(number, least):
    return max(least, int(number))


def large(directory, scale):
    """40 SSTables, 3 GiB, incompressible."""
    return Node(directory, 1, 40 * len(BIG), small_tables=1, sizes=(at_least(17 * MIB * scale, 4096), at_least(135 * MIB * scale, 8192)))


def small(directory, scale):
    """60,000 files in 60 tables, 300 MiB."""
    return Node(directory, 1, at_least(60_000 * scale, 240), small_tables=at_least(60 * min(1, scale * 4), 3), sizes=(5_000, 60_000))


def many(directory, scale):
    """100,000 files in 100 tables, next to nothing in them."""
    return Node(directory, 1, at_least(100_000 * scale, 240), small_tables=at_least(100 * min(1, scale * 4), 3), sizes=(100, 300))


def index(directory, scale):
    """Four SSTables whose Index.db has 128 MiB: half of it compresses, as keys and offsets do."""
    made = Node(directory, 1, 4 * len(BIG), small_tables=1, sizes=(at_least(8 * MIB * scale, 4096), at_least(9 * MIB * scale, 8192)))
    table, = made.tables
    for sstable in table.sstables:
        chance = random.Random(sstable.prefix)
        table.put(f"{sstable.prefix}-Index.db", b"".join(chance.randbytes(512) + bytes(512) for _ in range(at_least((128 << 10) * scale, 4096))))
    return made


def synthetic(directory, scale):
    """The synthetic node: every strategy of compaction, secondary indexes, the trie format; 12,000 files, 0.8 GB."""
    return Node(directory, Fraction(scale) / 1000 if scale < 1 else Fraction(1, 1000), at_least(12_000 * scale, 600))


MAKERS = {"large": large, "small": small, "many": many, "index": index, "node": synthetic}


def make(name, work, scale):
    directory = Path(work) / f"set-{name}"
    return Set(name, directory, MAKERS[name](str(directory), scale))
