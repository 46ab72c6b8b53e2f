# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks with real Cassandra share: their arguments, a node beside MinIO and the program, rows that a function gives, the node on other data, and what is said of the machine."""

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import measure
import place
import report
import servers
from cassandra.concurrent import execute_concurrent_with_args
from cassandra_nodes import Cluster, Node
from harness import Program
from servers.server import Server

MIB, GIB = 1 << 20, 1 << 30
ROW_BYTES, SEED = 20_000, 5
IN_FLIGHT = 16
LIMIT_SECONDS = 7200  # of one command


# ---- a benchmark as a program ----

def parser(name, description, mib, rounds=3):
    found = argparse.ArgumentParser(prog=f"bench/{name}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--version", default="5.0", help="of Cassandra: 5.0 (default) or 4.1")
    found.add_argument("--heap", default="1G", help="of the node (default 1G)")
    found.add_argument("--mib", type=int, default=mib, help=f"of rows on the node (default {mib})")
    if rounds:
        found.add_argument("--rounds", type=int, default=rounds, help=f"(default {rounds})")
    return found


@dataclass
class Site:
    """What a benchmark works with: all of it is gone at its end."""

    name: str
    arguments: argparse.Namespace
    directory: Path
    server: Server
    node: Node
    load: float  # of the machine before

    def program(self, name="p", settings=""):
        """sstablefs with a configuration and an empty cache of its own."""
        made = Program(os.environ["SSTABLEFS_BINARY"], self.directory / name)
        made.environment.update(self.server.environment())
        Path(made.environment["SSTABLEFS_CONFIG"]).write_text(settings)
        return made

    def repository(self, bucket=None, **keywords):
        """A new one, in a new bucket or this one, for a program of `keywords`."""
        return self.program(**keywords).repository(self.server.url(bucket or self.server.make_bucket())).init()

    def about(self, who):
        """What the figures were taken on: the machine, and what else it did."""
        machine, arguments = report.machine(), self.arguments
        return (f"{machine['processor']}, {machine['cores']} cores for {who} together; Cassandra {arguments.version}, heap {arguments.heap}; "
                f"load of the machine before {self.load:.1f}, now {os.getloadavg()[0]:.1f}")


@contextlib.contextmanager
def site(name, arguments, **cluster):
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix=f"sstablefs-{name}-") as work, servers.minio() as server, \
            Cluster(arguments.version, heap=arguments.heap, measured=True, **cluster) as nodes:
        yield Site(name, arguments, Path(work), server, nodes.node, load)


def run(name, main):
    """Ends the process as main says. However it is ended, nothing stays mounted or running."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    try:
        sys.exit(main())
    except measure.Failed as failure:
        sys.exit(f"bench/{name}: {failure}")


# ---- rows that a function gives ----

def value_of(key):
    return random.Random(SEED << 32 | key).randbytes(ROW_BYTES)


def create_table(node, table):
    """Without compaction, so that what runs beside a measurement does not depend on chance; it also leaves more SSTables."""
    node.cql(f"CREATE TABLE {table} (id bigint PRIMARY KEY, v blob) WITH compaction = {{'class': 'SizeTieredCompactionStrategy', 'enabled': false}}")


def insert(node, table, keys):
    statement = node.connect().prepare(f"INSERT INTO {table} (id, v) VALUES (?, ?)")
    for _ in execute_concurrent_with_args(node.connect(), statement, ((key, value_of(key)) for key in keys), concurrency=IN_FLIGHT,
                                          results_generator=True):
        pass


def fill(node, keyspace, tables, flushes, rows):
    """A node of many files: so many tables, written in so many parts, each of which is flushed. Each key is in one table only."""
    place.create_keyspace(node, keyspace)
    names = [f"{keyspace}.t{number}" for number in range(tables)]
    for name in names:
        create_table(node, name)
    for part in range(flushes):
        for number, name in enumerate(names):
            insert(node, name, range(part * tables + number, rows, tables * flushes))
        node.nodetool("flush", keyspace)
    return names


def check_rows(node, tables, rows):
    """Reads all rows of the function, and compares each."""
    seen = 0
    for table in tables:
        for row in node.connect().execute(f"SELECT id, v FROM {table}"):
            if row.v != value_of(row.id):
                raise measure.Failed(f"the row {row.id} is not what was written")
            seen += 1
    if seen != rows:
        raise measure.Failed(f"{seen} rows of {rows}")


# ---- a start ----

def drop_caches(node):
    """Empties the page cache but for Java and Cassandra's classes, which weigh on all starts alike. False where this machine does not allow it."""
    dropped = measure.drop_caches()
    programs = [node.installation.lib, Path(node.installation.java).resolve().parents[1], Path(os.environ["SSTABLEFS_BINARY"]).resolve()]
    subprocess.run(["sh", "-c", 'find -L "$@" -type f -exec cat {} + >/dev/null', "sh", *programs], check=True)
    return dropped


@contextlib.contextmanager
def running_on(node, directory, yaml):
    """The node, which is down, runs with these lines of cassandra.yaml, and with a commit log and so on of its own below the directory."""
    changed = {**yaml, **{f"{kind}_directory": str(directory / kind) for kind in ("commitlog", "hints", "saved_caches", "cdc_raw")}}
    node.yaml.update(changed)
    try:
        node.start()
        yield
    finally:
        node.stop()
        for key in changed:
            node.yaml.pop(key)


class Foreign:
    """How many cores were busy with neither this process, nor what it started, nor these other processes."""

    def __init__(self, *others):
        self.pids = (os.getpid(), *others)
        self.begun, self.own, self.machine = time.monotonic(), self._own(), measure.cpu_of_machine()

    def _own(self):
        return sum(measure.cpu_of(pid) for pid in self.pids)

    def cores(self):
        busy = measure.cpu_of_machine() - self.machine - (self._own() - self.own)
        return max(0.0, busy / (time.monotonic() - self.begun))
