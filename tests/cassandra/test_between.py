# SPDX-License-Identifier: Apache-2.0
"""Two backups, and between them what changes SSTables behind a snapshot or uses their names again: each restores to exactly its
own state, rows and bytes."""

import hashlib

import pytest

import place

pytestmark = pytest.mark.timeout(place.LIMIT_SECONDS)

TABLES = ("indexed", "repaired", "compacted", "reused")


def fill(node, keyspace, table, text):
    """Two SSTables more, whose rows say who wrote them."""
    for part in range(2):
        for i in range(part * 10, part * 10 + 20):
            node.cql(f"INSERT INTO {keyspace}.{table} (id, v) VALUES (%s, %s)", (i, f"{text} {part}"))
        node.nodetool("flush", keyspace, table)


def rows_of(node, keyspace, table):
    return dict(node.cql(f"SELECT id, v FROM {keyspace}.{table}"))


def data_files(node, keyspace, table):
    directory, = node.table_directories(keyspace, table)
    return sorted(directory.glob("*-Data.db"))


def digests(directory):
    """{path below it: SHA-256} of the components in a directory."""
    skipped = ("manifest.json", "schema.cql")  # these are shown beside data/
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in directory.rglob("*") if path.is_file() and path.name not in skipped}


def snapshot_digests(node, keyspace, tag):
    found = {}
    for table in TABLES:
        directory, = node.table_directories(keyspace, table)
        found[table] = digests(directory / "snapshots" / tag)
    return found


def take(node, keyspace, backups):
    """Backs up, and remembers what was in the snapshot at that time."""
    seen = {}
    backup = backups.take(node, keyspace, look=lambda tag: seen.update(snapshot_digests(node, keyspace, tag)))
    return backup, seen, {table: rows_of(node, keyspace, table) for table in TABLES}


def test_each_of_two_backups_restores_to_its_own_state(node, keyspace, backups):
    for table in TABLES:
        node.cql(f"CREATE TABLE {keyspace}.{table} (id int PRIMARY KEY, v text) WITH compaction = "
                 "{'class': 'SizeTieredCompactionStrategy', 'enabled': 'false'}")
        fill(node, keyspace, table, "first")
    first = take(node, keyspace, backups)

    # TOC.txt is appended to in place.
    node.cql(f"CREATE CUSTOM INDEX ON {keyspace}.indexed (v) USING 'org.apache.cassandra.index.sasi.SASIIndex'")
    node.nodetool("compact", keyspace, "compacted")
    node.cql(f"TRUNCATE {keyspace}.reused")
    marked = data_files(node, keyspace, "repaired")
    node.drain()
    # What a repair does to Statistics.db when it ends; the size stays the same.
    node.run("sstablerepairedset", "--really-set", "--is-repaired", *marked)
    node.start()
    fill(node, keyspace, "reused", "second")
    second = take(node, keyspace, backups)

    def changed(table):
        was, is_now = first[1][table], second[1][table]
        return {name.rsplit("-", 1)[1] for name in was if name in is_now and was[name] != is_now[name]}

    assert changed("indexed") == {"TOC.txt"} and changed("repaired") == {"Statistics.db"}
    assert "Data.db" in changed("reused") and not changed("compacted")
    assert first[1]["compacted"].keys().isdisjoint(second[1]["compacted"])
    for backup, bytes_then, rows_then in (first, second):
        for table in TABLES:
            source = backups.table(node, backup, keyspace, table)
            assert digests(source) == bytes_then[table], (backup, table)
            node.cql(f"TRUNCATE {keyspace}.{table}")
            place.nodetool_import(node, source, keyspace, table)
            assert rows_of(node, keyspace, table) == rows_then[table], (backup, table)
    node.nodetool("verify", "--force", "--extended-verify", keyspace)
