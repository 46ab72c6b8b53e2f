# SPDX-License-Identifier: Apache-2.0
"""Every kind of table, as data: how it is created, what is written to it, and the rows that must be there afterwards.

A writer is a generator: it writes, yields where the table is to be flushed, and returns the rows that it expects, by a model
of its own. All tables of a keyspace are written in step (`write_all`), so that a flush of all costs one nodetool.
"""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass

from cassandra.concurrent import execute_concurrent_with_args

from harness import wait_until

LONG_TTL = 1_000_000


class Table:
    """A table of a kind in a keyspace of a node. Statements name it as {t}, its keyspace as {ks}."""

    def __init__(self, node, keyspace, kind):
        self.node, self.keyspace, self.kind = node, keyspace, kind
        self.rows = None

    def text(self, statement):
        name = f'"{self.kind.name}"'
        return statement.replace("{t}", f'"{self.keyspace}".{name}').replace("{ks}", f'"{self.keyspace}"')

    def cql(self, statement):
        return self.node.cql(self.text(statement))

    def many(self, statement, parameters):
        """The same statement for many rows at once."""
        session = self.node.connect()
        execute_concurrent_with_args(session, session.prepare(self.text(statement)), parameters, concurrency=32)

    def create(self):
        for statement in self.kind.types:
            self.cql(statement)
        options = f" WITH {self.kind.options}" if self.kind.options else ""
        self.cql(f"CREATE TABLE {{t}} ({self.kind.columns}){options}")
        for statement in self.kind.more:
            self.cql(statement)

    def read(self):
        return ordered(self.cql(f"SELECT {self.kind.select} FROM {{t}}"))

    def check(self):
        """None where the rows are those of the model, by the table and by its indexes and views, else what differs."""
        expected = ordered(self.rows)
        found = self.read()
        if found != expected:
            return f"{len(found)} rows {found[:3]}..., not {len(expected)} rows {expected[:3]}..."
        for statement, keep in self.kind.queries:
            found, expected = ordered(self.cql(statement)), ordered(row for row in self.rows if keep(row))
            if found != expected:
                return f"{statement}: {len(found)} rows {found[:3]}..., not {len(expected)} rows {expected[:3]}..."
        return self.kind.also(self) if self.kind.also else None

    @property
    def names(self):
        """The tables that hold its data: itself and its views."""
        return [self.kind.name, *self.kind.views]


@dataclass
class Kind:
    name: str
    columns: str = "id int, ck int, n bigint, v text, PRIMARY KEY (id, ck)"
    write: Callable = None
    options: str = ""
    select: str = "id, ck, n, v"
    types: tuple = ()
    more: tuple = ()
    queries: tuple = ()  # pairs: a statement that selects the same columns, and which rows of the model it finds
    also: Callable = None  # takes the Table; what is wrong, or None
    views: tuple = ()
    compact: bool = False
    empty: bool = False  # no SSTable of it is left
    versions: tuple = ("5.0", "4.1")
    each_format: bool = False  # the format of the SSTable matters to it: part of every leg, also of the short ones
    long: bool = False


def ordered(rows):
    return sorted((plain(row) for row in rows), key=repr)


def plain(value):
    """What the driver returns and what a model holds, in one form."""
    if isinstance(value, Mapping):
        return {"map": sorted(((plain(k), plain(v)) for k, v in value.items()), key=repr)}
    if isinstance(value, Set) or type(value).__name__ == "SortedSet":
        return {"set": sorted((plain(item) for item in value), key=repr)}
    if isinstance(value, (list, tuple)):
        return tuple(plain(item) for item in value)
    return value


# The writers.

def rows_twice(t, partitions=5, rows=8):
    """Rows, some of them written over and some deleted before the second flush."""
    model = {}
    for turn in range(2):
        wanted = {(i, c): (turn * 10**12 + i * c, f"{t.kind.name} {turn} {i} {c} " + "x" * 40)
                  for i in range(partitions) for c in range(rows) if turn == 0 or c % 3 == 0}
        model.update(wanted)
        t.many("INSERT INTO {t} (id, ck, n, v) VALUES (?, ?, ?, ?)", [(*key, *value) for key, value in wanted.items()])
        if turn:
            t.many("DELETE FROM {t} WHERE id = ? AND ck = ?", [(i, 1) for i in range(partitions)])
            model = {key: value for key, value in model.items() if key[1] != 1}
        yield
    return [(*key, *value) for key, value in model.items()]


def wide(t):
    rows = [(1, c, c, f"{c} " + "w" * 150) for c in range(1500)]
    t.many("INSERT INTO {t} (id, ck, n, v) VALUES (?, ?, ?, ?)", rows)
    yield
    return rows


def one_of_100_mib(t):
    rows = [(1, c, c, f"{c} " + f"{c * 7919 % 99991:05d}" * 3000) for c in range(7000)]
    t.many("INSERT INTO {t} (id, ck, n, v) VALUES (?, ?, ?, ?)", rows)
    yield
    return rows


def many_sstables(t):
    """Each row is in an SSTable of its own: the table flushes by itself (the option that creates it says so)."""
    directory, = t.node.table_directories(t.keyspace, t.kind.name)
    rows = [(turn, 0, turn, "s") for turn in range(300)]
    for row in rows:
        t.many("INSERT INTO {t} (id, ck, n, v) VALUES (?, ?, ?, ?)", [row])
        wait_until(lambda: len(list(directory.glob("*-TOC.txt"))) > row[0], 120, f"the flush of row {row[0]}")
    yield
    return rows


def statics(t):
    rows = [(i, c, f"of {i}", f"{i} {c}") for i in range(4) for c in range(3)]
    t.many("INSERT INTO {t} (id, ck, s, v) VALUES (?, ?, ?, ?)", rows)
    yield
    t.cql("UPDATE {t} SET s = 'changed' WHERE id = 2")
    t.cql("INSERT INTO {t} (id, s) VALUES (9, 'alone')")
    yield
    return [(i, c, "changed" if i == 2 else s, v) for i, c, s, v in rows] + [(9, None, "alone", None)]


def collections(t):
    t.cql("INSERT INTO {t} (id, l, s, m, f) VALUES (1, ['a', 'b'], {1, 2, 3}, {'x': 1, 'y': 2}, {'k': ['p', 'q']})")
    t.cql("INSERT INTO {t} (id, l, s, m, f) VALUES (2, ['z'], {7}, {'gone': 0}, {'k': []})")
    yield
    t.cql("UPDATE {t} SET l = l + ['c'], s = s - {2}, m['x'] = 10 WHERE id = 1")
    t.cql("DELETE m['gone'], l[0] FROM {t} WHERE id = 2")
    yield
    return [(1, ["a", "b", "c"], {1, 3}, {"x": 10, "y": 2}, {"k": ("p", "q")}), (2, None, {7}, None, {"k": ()})]


def types(t):
    for i in range(5):
        t.cql(f"INSERT INTO {{t}} (id, a, o, p) VALUES ({i}, {{street: 'Road {i}', zip: {i}}}, {{street: 'Lane', zip: 1}}, "
              f"({i}, 'two', {i}.5))")
    yield
    t.cql("UPDATE {t} SET o.zip = 2 WHERE id = 3")
    yield
    return [(i, (f"Road {i}", i), ("Lane", 2 if i == 3 else 1), (i, "two", i + 0.5)) for i in range(5)]


def counters(t):
    for turn in range(2):
        for page in ("home", "cart", "help"):
            for _ in range(3):
                t.cql(f"UPDATE {{t}} SET c = c + {len(page) * (turn + 1) - 9 * turn} WHERE page = '{page}'")
        yield
    return [(page, 3 * (4 + 8 - 9)) for page in ("home", "cart", "help")]


def expiring(t):
    t.many(f"INSERT INTO {{t}} (id, ck, n, v) VALUES (?, ?, ?, ?) USING TTL {LONG_TTL}", [(1, c, c, "stays") for c in range(9)])
    t.many("INSERT INTO {t} (id, ck, n, v) VALUES (?, ?, ?, ?) USING TTL 1", [(2, c, c, "goes") for c in range(9)])
    yield
    t.cql("UPDATE {t} USING TTL 1 SET v = 'goes alone' WHERE id = 1 AND ck = 5")
    yield
    wait_until(lambda: not t.cql("SELECT id FROM {t} WHERE id = 2"), 60, "rows expire")
    wait_until(lambda: not t.cql("SELECT v FROM {t} WHERE id = 1 AND ck = 5")[0].v, 60, "a cell expires")
    return [(1, c, c, None if c == 5 else "stays") for c in range(9)]


def still_expires(t):
    left = [row[0] for row in t.cql("SELECT TTL(n) FROM {t} WHERE id = 1")]
    return None if all(0 < ttl <= LONG_TTL for ttl in left) else f"TTLs of {left}"


def range_tombstones(t):
    rows = [(i, c, c, "r") for i in range(3) for c in range(40)]
    t.many("INSERT INTO {t} (id, ck, n, v) VALUES (?, ?, ?, ?)", rows)
    yield
    t.cql("DELETE FROM {t} WHERE id = 1 AND ck > 10 AND ck <= 30")
    t.cql("DELETE FROM {t} WHERE id = 2")
    t.cql("INSERT INTO {t} (id, ck, n, v) VALUES (2, 0, 0, 'after')")
    yield
    return [row for row in rows if row[0] == 0 or (row[0] == 1 and not 10 < row[1] <= 30)] + [(2, 0, 0, "after")]


def only_tombstones(t):
    t.many("DELETE FROM {t} WHERE id = ? AND ck = ?", [(i, i) for i in range(20)])
    yield
    return []


def gone(t):
    t.many("INSERT INTO {t} (id, ck, n, v) VALUES (?, 1, 1, 'x')", [(i,) for i in range(20)])
    yield
    t.many("DELETE FROM {t} WHERE id = ?", [(i,) for i in range(20)])
    yield
    return []


def never_written(t):
    yield
    return []


def column_twice(t):
    t.many("INSERT INTO {t} (id, ck, n, v) VALUES (?, 0, 5, 'old')", [(i,) for i in range(10)])
    yield
    t.cql("ALTER TABLE {t} DROP n")
    t.cql("ALTER TABLE {t} ADD n bigint")
    t.many("INSERT INTO {t} (id, ck, n, v) VALUES (?, 0, 6, 'new')", [(i,) for i in range(5, 15)])
    yield
    return [(i, 0, 6 if i >= 5 else None, "new" if i >= 5 else "old") for i in range(15)]


def quoted(t):
    rows = [(f"Key {i}", i, "Größe ✓") for i in range(10)]
    t.many('INSERT INTO {t} ("Id", "Sort Key", "select") VALUES (?, ?, ?)', rows)
    yield
    return rows


def composite(t):
    rows = [(a, b, c, d, a * 1000 + d) for a in range(3) for b in ("p", "q") for c in range(3) for d in range(3)]
    t.many("INSERT INTO {t} (a, b, c, d, v) VALUES (?, ?, ?, ?, ?)", rows)
    yield
    return rows


def blobs(t):
    rows = [(i, bytes((i * j * 2654435761 >> 7) & 255 for j in range(50_000))) for i in range(8)]
    t.many("INSERT INTO {t} (id, b) VALUES (?, ?)", rows)
    yield
    return rows


def of_v(start):
    return lambda row: row[3].startswith(start)


def compressed_by(name):
    return f"compression = {{'class': '{name}Compressor', 'chunk_length_in_kb': 16}}"


def compacted_by(name, more=""):
    return f"compaction = {{'class': '{name}CompactionStrategy'{more}}}"


NAMED = "SELECT id, ck, n, v FROM {t} WHERE v = 'index_2i 1 2 3 " + "x" * 40 + "'"

KINDS = (
    Kind("lz4", write=rows_twice, options=compressed_by("LZ4"), each_format=True),
    Kind("zstd", write=rows_twice, options=compressed_by("Zstd")),
    Kind("snappy", write=rows_twice, options=compressed_by("Snappy")),
    Kind("deflate", write=rows_twice, options=compressed_by("Deflate")),
    Kind("none", "id int PRIMARY KEY, b blob", blobs, "compression = {'enabled': false}", "id, b", each_format=True),
    Kind("stcs", write=rows_twice, options=compacted_by("SizeTiered")),
    Kind("lcs", write=rows_twice, options=compacted_by("Leveled", ", 'sstable_size_in_mb': 1")),
    Kind("twcs", write=rows_twice, options=compacted_by("TimeWindow", ", 'compaction_window_unit': 'HOURS', 'compaction_window_size': 1")),
    Kind("ucs", write=rows_twice, options=compacted_by("Unified"), versions=("5.0",), each_format=True),
    Kind("min_index", write=rows_twice, options="min_index_interval = 64 AND bloom_filter_fp_chance = 1.0"),
    Kind("index_2i", write=rows_twice, more=("CREATE INDEX ON {t} (v)",), queries=((NAMED, of_v("index_2i 1 2 3")),), each_format=True),
    Kind("index_sasi", write=rows_twice, more=("CREATE CUSTOM INDEX ON {t} (v) USING 'org.apache.cassandra.index.sasi.SASIIndex'",),
         queries=(("SELECT id, ck, n, v FROM {t} WHERE v LIKE 'index_sasi 1 %'", of_v("index_sasi 1 ")),)),
    Kind("index_sai", write=rows_twice, more=("CREATE INDEX ON {t} (n) USING 'sai'",), versions=("5.0",),
         queries=(("SELECT id, ck, n, v FROM {t} WHERE n >= 1000000000000", lambda row: row[2] >= 10**12),), each_format=True),
    Kind("viewed", write=rows_twice, views=("by_ck",),
         more=("CREATE MATERIALIZED VIEW {ks}.by_ck AS SELECT * FROM {t} WHERE ck IS NOT NULL AND id IS NOT NULL PRIMARY KEY (ck, id)",),
         queries=(("SELECT id, ck, n, v FROM {ks}.by_ck", lambda row: True),)),
    Kind("statics", "id int, ck int, s text STATIC, v text, PRIMARY KEY (id, ck)", statics, select="id, ck, s, v", each_format=True),
    Kind("collections", "id int PRIMARY KEY, l list<text>, s set<int>, m map<text, int>, f frozen<map<text, frozen<list<text>>>>",
         collections, select="id, l, s, m, f", each_format=True),
    Kind("types", "id int PRIMARY KEY, a frozen<address>, o address, p tuple<int, text, double>", types, select="id, a, o, p",
         types=("CREATE TYPE {ks}.address (street text, zip int)",)),
    Kind("counters", "page text PRIMARY KEY, c counter", counters, select="page, c", each_format=True),
    Kind("expiring", write=expiring, also=still_expires, each_format=True),
    Kind("ranges", write=range_tombstones, each_format=True),
    Kind("tombstones", write=only_tombstones),
    Kind("gone", write=gone, options="gc_grace_seconds = 0", compact=True, empty=True),
    Kind("never", write=never_written, empty=True),
    Kind("column_twice", write=column_twice),
    Kind("Mixed_Case", '"Id" text, "Sort Key" int, "select" text, PRIMARY KEY ("Id", "Sort Key")', quoted,
         select='"Id", "Sort Key", "select"'),
    Kind("composite", "a int, b text, c int, d int, v int, PRIMARY KEY ((a, b), c, d)", composite,
         "CLUSTERING ORDER BY (c DESC, d ASC)", "a, b, c, d, v"),
    Kind("wide", write=wide, each_format=True),
    Kind("wide_100_mib", write=one_of_100_mib, options="compression = {'enabled': false}", long=True),
    Kind("sstables_300", write=many_sstables, long=True,
         options=compacted_by("SizeTiered", ", 'enabled': 'false'") + " AND memtable_flush_period_in_ms = 50"),
)


def write_all(node, keyspace, wanted):
    """Creates and writes the kinds that are wanted and that this version of Cassandra has. The tables."""
    tables = [Table(node, keyspace, kind) for kind in KINDS if wanted(kind) and node.installation.version in kind.versions]
    writers = {}
    for table in tables:
        table.create()
        writers[table] = table.kind.write(table)
    while writers:
        for table, writer in list(writers.items()):
            try:
                next(writer)
            except StopIteration as end:
                table.rows = end.value
                del writers[table]
        node.nodetool("flush", keyspace)
    for table in tables:
        if table.kind.compact:
            node.nodetool("compact", keyspace, table.kind.name)
    return tables
