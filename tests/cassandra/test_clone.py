# SPDX-License-Identifier: Apache-2.0
"""Cassandra runs on a clone: the whole node is cloned from its backup, and started there with what `clone` said.

The node that is cloned stays down meanwhile. The clone lies on a tmpfs, because /tmp may be overlayfs itself.
"""

import os
import random
import subprocess
import tempfile
from pathlib import Path

import pytest

import harness
import place
from harness import run

pytestmark = pytest.mark.timeout(place.LIMIT_SECONDS)

ROWS, FLUSHES, BYTES = 40, 3, 10_000  # fewer flushes than make Cassandra compact by itself


@pytest.fixture
def disk():
    where = Path(tempfile.mkdtemp(prefix="sstablefs-clone-"))
    run("mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", where)
    yield where
    for mount in [*harness.mounts_below(where), where]:
        subprocess.run(["umount", "-l", mount], check=True)
    where.rmdir()


@pytest.fixture
def on_clone(node, disk):
    """Starts the node on a clone, as clone says; at the end the node is on its own directories again."""
    names = ["commitlog", "hints", "saved_caches", "cdc_raw"]
    changed = set()

    def start(made):
        yaml = {**made["yaml"], **{f"{name}_directory": str(disk / name) for name in names}}
        changed.update(yaml)
        node.yaml.update(yaml)
        node.start()

    yield start
    node.stop()
    for name in changed:
        node.yaml.pop(name, None)
    subprocess.run([os.environ["SSTABLEFS_BINARY"], "clone", "--undo", disk / "data"], check=True)
    assert not (disk / "data.sstablefs").exists()
    node.start()


def metric(made, name):
    text = Path(made["directory"] + ".sstablefs/backup/.sstablefs/metrics").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"sstablefs_{name} "))


def disk_bytes(directory):
    return sum(path.lstat().st_blocks * 512 for path in Path(directory).rglob("*") if path.is_file())


def fill(node, table, rows):
    insert = node.connect().prepare(f"INSERT INTO {table} (id, value) VALUES (?, ?)")
    for row in rows.items():
        node.connect().execute(insert, row)


def rows_of(node, table):
    return {row.id: row.value for row in node.cql(f"SELECT id, value FROM {table}")}


def test_a_node_runs_on_a_clone(node, keyspace, backups, disk, on_clone):
    table, other = f"{keyspace}.t", f"{keyspace}.other"
    random.seed(7)
    for name in (table, other):
        node.cql(f"CREATE TABLE {name} (id int PRIMARY KEY, value blob) WITH compression = {{'enabled': false}}")
    model = {}
    for i in range(FLUSHES):
        more = {n: random.randbytes(BYTES) for n in range(i * ROWS, (i + 1) * ROWS)}
        fill(node, table, more)
        fill(node, other, dict(list(more.items())[:3]))
        node.nodetool("flush", keyspace)
        model.update(more)
    backup = backups.take(node)
    fill(node, table, {-1: b"after the backup"})

    node.drain()
    made = backups.repository.json("clone", backup, "--node", place.node_name(node), "--cluster", place.CLUSTER, disk / "data")
    assert made["pinned"] and made["state"] == "cloned"
    on_clone(made)
    fetched = metric(made, "cache_loaded_bytes")
    print(f"fetched until it answered: {fetched} bytes; upper: {disk_bytes(made['upper'])} bytes")
    assert rows_of(node, table) == model
    assert node.count(other) == 3 * FLUSHES

    # A snapshot copies nothing and reads nothing.
    before = disk_bytes(made["upper"]), metric(made, "cache_loaded_bytes")
    node.nodetool("snapshot", "-t", "s1", keyspace)
    after = disk_bytes(made["upper"]), metric(made, "cache_loaded_bytes")
    assert after[0] - before[0] < ROWS * BYTES, "no data is copied up"
    assert after[1] - before[1] < ROWS * BYTES, "no data is fetched"
    directory, = node_tables(made, keyspace, "t")
    links = sorted((directory / "snapshots/s1").glob("*-Data.db"))
    assert len(links) == FLUSHES and all(link.read_bytes() == (directory / link.name).read_bytes() for link in links)

    model.update({n: b"changed" for n in range(0, 50)})
    fill(node, table, {n: b"changed" for n in range(0, 50)})
    node.nodetool("flush", keyspace)
    node.nodetool("compact", keyspace, "t")
    assert rows_of(node, table) == model
    node.cql(f"TRUNCATE {other}")
    node.restart()
    assert rows_of(node, table) == model and node.count(other) == 0
    # Nothing of this is in the backup.
    lower, = (Path(made["lower"]) / keyspace).glob("other-*")
    assert len(list(lower.glob("*-Data.db"))) == FLUSHES


def node_tables(made, keyspace, table):
    return list((Path(made["directory"]) / keyspace).glob(f"{table}-*"))
