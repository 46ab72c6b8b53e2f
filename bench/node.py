# SPDX-License-Identifier: Apache-2.0
"""Makes the data directory of a Cassandra node that never ran: names, sizes and link counts are those of a real one, the
bytes come from a seed. The same arguments make the same files, days included.

    node = Node(directory, scale=Fraction(1, 1000), files=12_000)
    node.snapshot("day0")        # hard links, as `nodetool snapshot` makes them
    node.day()                   # one day of compaction, repair and housekeeping
    node.snapshot("day1")

At `scale` 1 and 60,000 files the node holds some 4 TB: 60 system tables, 3 tables of LeveledCompactionStrategy (2,000
SSTables of 160 MiB each), 4 of SizeTiered (one with a secondary index), 3 of TimeWindow and 2 of Unified in the trie
format (one with storage-attached indexes). `scale` shrinks Data.db and what follows from it, `files` the number of
SSTables.
"""

import hashlib
import os
import random
import shutil
import struct
import zlib
from dataclasses import dataclass, field

FULL_FILES = 60_000
GB = 10**9
LEVELED_BYTES = 160 << 20
START_NS = 1_760_000_000 * 10**9
DAY_NS = 86_400 * 10**9
PIECE = 1 << 20
TIERS = 8 * [0] + 6 * [1] + 4 * [2] + 3 * [3] + 3 * [4] + [5]

BIG = ("Data.db", "Index.db", "CompressionInfo.db", "Filter.db", "Summary.db", "Statistics.db", "Digest.crc32", "TOC.txt")
BTI = ("Data.db", "Partitions.db", "Rows.db", "CompressionInfo.db", "Filter.db", "Statistics.db", "Digest.crc32", "TOC.txt")
SAI_TABLE = ("GroupComplete", "GroupMeta", "RowToToken", "RowToPartition", "PartitionToSize", "PartitionKeyBlocks",
             "PartitionKeyBlockOffsets", "ClusteringKeyBlocks", "ClusteringKeyBlockOffsets")
SAI_INDEX = ("ColumnComplete", "Meta", "BalancedTree", "TermsData", "PostingLists")
SAI = tuple([f"SAI+aa+{name}.db" for name in SAI_TABLE] + [f"SAI+aa+by_name+{name}.db" for name in SAI_INDEX])

# Bytes of a component for each byte of Data.db, and at least; what is absent here is made by a rule of its own.
SHARES = {"Index.db": (0.03, 40), "Partitions.db": (0.02, 40), "CompressionInfo.db": (0.00125, 47), "Filter.db": (0.005, 24),
          "Summary.db": (0.0003, 60)}
SAI_SHARE = (0.004, 80)


def rough(chance, size):
    """Bytes of which a compressor saves something, as of an index: every second one is zero."""
    block = bytearray(size)
    block[::2] = chance.randbytes((size + 1) // 2)
    return bytes(block)


@dataclass
class SSTable:
    prefix: str  # nb-7-big, da-3gse_..-bti
    size: int
    group: int = 0  # the size tier, or the day of the window
    names: list = field(default_factory=list)


class Table:
    """One table's directory, and what compaction does in it on a day."""

    def __init__(self, node, keyspace, name, strategy, components=BIG, index=None):
        self.node, self.keyspace, self.name, self.strategy, self.index = node, keyspace, name, strategy, index
        self.id = hashlib.md5(f"{keyspace}.{name}".encode()).hexdigest()
        self.path = os.path.join(node.data, keyspace, f"{name}-{self.id}")
        self.components = components
        self.bti = "Rows.db" in components
        self.next, self.sstables = 1, []
        self.toc = ["\n".join(random.Random(f"toc {i}").sample(components, len(components))) + "\n" for i in range(6)]
        os.makedirs(self.path)
        if index:
            os.makedirs(os.path.join(self.path, index))

    def chance(self, *what):
        return random.Random("/".join(map(str, (self.node.seed, self.keyspace, self.name, *what))))

    def add(self, size, group=0):
        """Writes one new SSTable, its secondary index too."""
        number, self.next = self.next, self.next + 1
        sstable = SSTable(self._prefix(number), max(int(size), self.node.least), group)
        self._write(sstable, "", self.chance(number, self.node.today), sstable.size)
        if self.index:
            self._write(sstable, self.index + "/", self.chance(number, self.node.today, "index"), sstable.size // 20)
        self.sstables.append(sstable)
        return sstable

    def drop(self, sstables):
        gone = {s.prefix for s in sstables}
        for sstable in sstables:
            for name in sstable.names:
                os.unlink(os.path.join(self.path, name))
        self.sstables = [s for s in self.sstables if s.prefix not in gone]

    def _prefix(self, number):
        if not self.bti:
            return f"nb-{number}-big"
        digits = hashlib.md5(f"{self.id} {number}".encode()).hexdigest()
        return f"da-{digits[:4]}_{digits[4:8]}_{digits[8:26]}-bti"

    def _write(self, sstable, below, chance, size):
        crc = 0
        for component in self.components:
            name = f"{below}{sstable.prefix}-{component}"
            if component == "Data.db":
                crc = self._write_data(name, chance, size)
            else:
                self.put(name, self._content(component, chance, size, crc))
            sstable.names.append(name)

    def _write_data(self, name, chance, size):
        crc = 0
        with open(os.path.join(self.path, name), "wb") as f:
            for at in range(0, size, PIECE):
                piece = chance.randbytes(min(PIECE, size - at))
                crc = zlib.crc32(piece, crc)
                f.write(piece)
        self._set_time(name)
        return crc

    def _content(self, component, chance, size, crc):
        if component == "Digest.crc32":
            return str(crc).encode()
        if component == "TOC.txt":
            return chance.choice(self.toc).encode()
        if component == "Statistics.db":
            return chance.randbytes(min(chance.randrange(4_500, 12_000), 1_000 + size * 4))
        if component == "Rows.db" or component.endswith("Complete.db"):
            return b""
        if component == "CompressionInfo.db":
            chunks = max(1, self.node.least // 8 if self.node.least > 50 else 1, int(size * SHARES[component][0]) // 8)
            return struct.pack(f">{chunks}Q", *range(0, chunks * 6_400, 6_400))
        share, least = SHARES.get(component, SAI_SHARE)
        return rough(chance, max(least, self.node.least, int(size * share)))

    def put(self, name, content):
        """Replaces a file as Cassandra does: another inode under the same name."""
        path = os.path.join(self.path, name)
        with open(path + ".tmp", "wb") as f:
            f.write(content)
        os.rename(path + ".tmp", path)
        self._set_time(name)

    def _set_time(self, name):
        when = START_NS + self.node.today * DAY_NS + zlib.crc32(name.encode())
        os.utime(os.path.join(self.path, name), ns=(when, when))

    # Housekeeping that leaves the data alone.

    def rewrite(self, sstable, component):
        """Other bytes at the same size."""
        name = f"{sstable.prefix}-{component}"
        if name in sstable.names:
            size = os.path.getsize(os.path.join(self.path, name))
            self.put(name, self.chance(name, "rewritten", self.node.today).randbytes(size))

    def append_toc(self, sstable):
        """In place, so that it changes in the snapshots that hold it as well."""
        name = f"{sstable.prefix}-TOC.txt"
        with open(os.path.join(self.path, name), "a", encoding="ascii") as f:
            f.write("SI_by_day.db\n")
        self._set_time(name)

    # Days.

    def day(self):
        getattr(self, f"_day_{self.strategy}")(self.chance("day", self.node.today))

    def _day_system(self, chance):
        if chance.random() < 1 / 6:  # the few system tables that are flushed daily
            self._replace(self.sstables[-1:])

    def _day_leveled(self, chance):
        """A fifth of the table, eleven neighbours at a time."""
        group = min(11, len(self.sstables))
        for _ in range(max(1, len(self.sstables) // (5 * group))):
            at = chance.randrange(len(self.sstables) - group + 1)
            self._replace(self.sstables[at:at + group])

    def _day_tiered(self, _):
        """Tier t is merged and filled again every 4^t days."""
        for tier in range(TIERS[-1] + 1):
            if self.node.today % 4**tier == 0:
                self._replace([s for s in self.sstables if s.group == tier])

    def _day_window(self, _):
        """The oldest window expires, a new one is closed."""
        oldest = self.sstables[:1]
        self.drop(oldest)
        self.add(oldest[0].size)

    def _day_unified(self, chance):
        self._replace(chance.sample(self.sstables, max(1, len(self.sstables) // 30)))

    def _replace(self, old):
        self.drop(old)
        for sstable in old:
            self.add(sstable.size, sstable.group)

    def truncate(self):
        """TRUNCATE and a restart: the numbers begin at 1 again, with other bytes."""
        old = self.sstables
        self.drop(old)
        self.next = 1
        for sstable in old:
            self.add(sstable.size, sstable.group)


class Node:
    """A data directory. No component with a share of Data.db is smaller than `least` bytes. `small_tables` makes the other
    kind instead: so many tables of SSTables, not scaled, each of a number of bytes in the range `sizes`."""

    def __init__(self, directory, scale, files, seed=1, small_tables=0, least=50, sizes=(20_000, 180_000)):
        self.data = os.path.join(directory, "data")
        self.seed, self.least, self.today, self.tables = seed, least, 0, []
        if small_tables:
            self._make_small(small_tables, files, sizes)
        else:
            self._make_tables(scale, files / FULL_FILES)

    def _make_small(self, tables, files, sizes):
        for i in range(tables):
            table = Table(self, "small", f"t{i}", "leveled")
            for n in range(max(1, files // (tables * len(BIG)))):
                table.add(table.chance("size", n).randrange(*sizes))
            self.tables.append(table)

    def _make_tables(self, scale, share):
        def count(full, least=2):
            return max(least, round(full * share))

        for i in range(count(60, 6)):
            table = self._table(f"system{'' if i % 3 else '_schema'}", f"s{i}", "system")
            for n in range(2):
                table.add(table.chance("size", n).randrange(50, 8_000))
        for i in range(3):
            table = self._table("shop", f"leveled{i}", "leveled")
            for n in range(count(2_000, 11)):
                table.add(LEVELED_BYTES * scale * (980 + n % 40) // 1_000)
        for i in range(4):
            table = self._table("shop", f"tiered{i}", "tiered", index=None if i else ".by_day")
            n = count(25, 4)
            for tier in (TIERS[k * len(TIERS) // n] for k in range(n)):
                table.add(GB // 10 * 4**tier * scale, tier)
        for i in range(3):
            table = self._table("metrics", f"window{i}", "window")
            for n in range(count(60, 3)):
                table.add(2 * GB * scale)
        for i in range(2):
            table = self._table("docs", f"unified{i}", "unified", BTI if i else BTI + SAI)
            for n in range(count(300, 4)):
                table.add(table.chance("size", n).randrange(GB, 6 * GB) * scale)

    def _table(self, *what, **more):
        self.tables.append(Table(self, *what, **more))
        return self.tables[-1]

    def day(self):
        """The next day: compaction, 5 % of Statistics.db and 2 % of Summary.db written anew, one TOC.txt longer; each
        seventh day a repair that touches every Statistics.db; once a truncated table whose file names come back."""
        self.today += 1
        for table in self.tables:
            table.day()
        chance = random.Random(f"{self.seed} {self.today}")
        everything = [(t, s) for t in self.tables for s in t.sstables]
        repair = self.today % 7 == 0
        for table, sstable in everything if repair else chance.sample(everything, max(1, len(everything) // 20)):
            table.rewrite(sstable, "Statistics.db")
        for table, sstable in chance.sample(everything, max(1, len(everything) // 50)):
            table.rewrite(sstable, "Summary.db")
        table, sstable = chance.choice(everything)
        table.append_toc(sstable)
        if self.today == 10:
            next(t for t in self.tables if t.strategy == "tiered" and not t.index).truncate()

    def snapshot(self, tag):
        for table in self.tables:
            below = os.path.join(table.path, "snapshots", tag)
            os.makedirs(os.path.join(below, table.index) if table.index else below)
            for sstable in table.sstables:
                for name in sstable.names:
                    os.link(os.path.join(table.path, name), os.path.join(below, name))
            names = ",".join(f'"{s.prefix}-Data.db"' for s in table.sstables)
            for name, text in (("manifest.json", f'{{"files":[{names}]}}\n'),
                               ("schema.cql", f"CREATE TABLE {table.keyspace}.{table.name} (k int PRIMARY KEY);\n")):
                with open(os.path.join(below, name), "w", encoding="ascii") as f:
                    f.write(text)

    def clear(self, tag):
        for table in self.tables:
            shutil.rmtree(os.path.join(table.path, "snapshots", tag))

    def files_of(self, tag):
        """Paths of a snapshot's files with their sizes: {path below data/ of the backup: (path on disk, size)}."""
        found = {}
        for table in self.tables:
            top = os.path.join(table.path, "snapshots", tag)
            for directory, _, names in os.walk(top):
                for name in names:
                    path = os.path.join(directory, name)
                    if directory != top or name not in ("manifest.json", "schema.cql"):
                        below = os.path.relpath(path, top)
                        found[f"{table.keyspace}/{os.path.basename(table.path)}/{below}"] = (path, os.path.getsize(path))
        return found
