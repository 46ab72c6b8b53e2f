# SPDX-License-Identifier: Apache-2.0
"""Runs one Cassandra node, writes a few tables, takes the snapshots `monday` and `tuesday` of the keyspace `shop`, and
keeps the snapshot directories, laid out as below a node's data directory. Called by make-sstables.

What each table is for:

  events       LZ4, two flushes on Monday; compacted on Tuesday, so that the SSTables of Monday vanish
  photos       uncompressed, larger than a frame of 128 KiB, the same on both days
  customers    collections and a secondary index (a dot-directory), one flush more on Tuesday
  products     a storage-attached index (component names with `+`)
  visits       counters
  nothing      no rows: its snapshot is manifest.json and schema.cql
  old_orders   dropped before Monday: only the `dropped-...` snapshot that Cassandra makes by itself is left
"""

import argparse
import contextlib
import ctypes
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

from cassandra.cluster import Cluster

KEYSPACE = "shop"
LIMIT_BYTES = 900_000

YAML = """\
cluster_name: demo
num_tokens: 4
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
seed_provider: [{{class_name: org.apache.cassandra.locator.SimpleSeedProvider, parameters: [{{seeds: "127.0.0.1:{storage}"}}]}}]
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
storage_port: {storage}
start_native_transport: true
native_transport_port: {native}
commitlog_sync: periodic
commitlog_sync_period: 1s
commitlog_segment_size: 4MiB
commitlog_total_space: 64MiB
memtable_heap_space: 64MiB
memtable_offheap_space: 64MiB
file_cache_size: 32MiB
key_cache_size: 4MiB
auto_bootstrap: false
auto_snapshot: true
"""

LOGBACK = """\
<configuration><appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
<encoder><pattern>%-5level %d{ISO8601} %logger{0} %msg%n</pattern></encoder></appender>
<root level="INFO"><appender-ref ref="OUT"/></root></configuration>
"""

EXPORTS = """java.base/jdk.internal.misc java.base/java.lang.ref java.management.rmi/com.sun.jmx.remote.internal.rmi
java.management/com.sun.jmx.remote.security java.rmi/sun.rmi.registry java.rmi/sun.rmi.server java.sql/java.sql
jdk.unsupported/sun.misc""".split()
OPENS = """java.base/java.lang.module java.base/jdk.internal.loader java.base/jdk.internal.ref
java.base/jdk.internal.reflect java.base/jdk.internal.math java.base/jdk.internal.module
java.base/jdk.internal.util.jar java.base/sun.nio.ch java.base/java.io java.base/java.lang.reflect
java.base/java.lang java.base/java.util java.base/java.nio jdk.management/com.sun.management.internal""".split()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Node:
    def __init__(self, lib, home):
        self.lib, self.home, self.jmx = Path(lib), Path(home), free_port()
        self.native = free_port()
        (self.home / "conf").mkdir()
        (self.home / "conf/cassandra.yaml").write_text(YAML.format(storage=free_port(), native=self.native))
        (self.home / "conf/logback.xml").write_text(LOGBACK)
        self.log = open(self.home / "log.txt", "wb")
        self.process = None

    def java(self, main, *arguments, options=()):
        flags = [f"--add-exports={m}=ALL-UNNAMED" for m in EXPORTS] + [f"--add-opens={m}=ALL-UNNAMED" for m in OPENS]
        flags += ["-Djdk.attach.allowAttachSelf=true", "-Dio.netty.tryReflectionSetAccessible=true"]
        flags += [f"-Dcassandra.storagedir={self.home}", f"-Dcassandra.logdir={self.home}/log"]
        flags += [f"-Dcassandra.config=file://{self.home}/conf/cassandra.yaml"]
        flags += [f"-Dlogback.configurationFile=file:{self.home}/conf/logback.xml"]
        # No class of a tool may leave its files in the user's home.
        flags += [f"-Duser.home={self.home}", *options]
        return ["java", *flags, "-cp", f"{self.home}/conf:{self.lib}/*", main, *arguments]

    def start(self):
        agent, = self.lib.glob("jamm-*.jar")
        self.process = subprocess.Popen(
            self.java("org.apache.cassandra.service.CassandraDaemon", options=[
                "-Xms512m", "-Xmx512m", f"-javaagent:{agent}", "-Djava.net.preferIPv4Stack=true",
                "-Dchronicle.analytics.disable=true", "-Dcassandra-foreground=yes",
                f"-Dcassandra.triggers_dir={self.home}/triggers", f"-Dcassandra.jmx.local.port={self.jmx}",
                "-Dcom.sun.management.jmxremote.authenticate=false",
                "-Dcassandra.skip_wait_for_gossip_to_settle=0", "-Dcassandra.ring_delay_ms=1000",
                "-Dcassandra.superuser_setup_delay_ms=0"]),
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, preexec_fn=die_with_parent)
        deadline = time.monotonic() + 180
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"Cassandra ended with status {self.process.returncode}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.native), 1):
                return
            time.sleep(0.2)
        raise RuntimeError("Cassandra did not answer within 180 seconds")

    def nodetool(self, *arguments):
        subprocess.run(self.java("org.apache.cassandra.tools.NodeTool", "-h", "127.0.0.1", "-p", str(self.jmx),
                                 *arguments, options=["-Xmx128m"]),
                       check=True, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


class Shop:
    """Writes rows that are the same in every run: fixed table ids, timestamps and random numbers."""

    def __init__(self, node, session):
        self.node, self.session = node, session
        self.random = random.Random(1)
        self.timestamp = 1_700_000_000_000_000

    def table(self, name, columns, options="", comment=""):
        table_id = uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.sstablefs")
        # A table id is a version 1 UUID in Cassandra; only its text matters here.
        self.session.execute(f"CREATE TABLE {KEYSPACE}.{name} ({columns}) WITH ID = {table_id} "
                             f"AND comment = '{comment}' {options}")

    def insert(self, table, **row):
        self.timestamp += 1000
        statement = (f"INSERT INTO {KEYSPACE}.{table} ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))}) "
                     f"USING TIMESTAMP {self.timestamp}")
        self.session.execute(statement, list(row.values()))

    def create(self):
        self.session.execute(f"CREATE KEYSPACE {KEYSPACE} WITH replication = "
                             "{'class': 'SimpleStrategy', 'replication_factor': 1}")
        self.table("events", "day int, id int, text text, PRIMARY KEY (day, id)", comment="LZ4")
        self.table("photos", "id int PRIMARY KEY, bytes blob", "AND compression = {'enabled': false}")
        self.table("customers", "id int PRIMARY KEY, name text, city text, tags set<text>, notes map<text, text>")
        self.session.execute(f"CREATE INDEX customers_by_city ON {KEYSPACE}.customers (city)")
        self.table("products", "id int PRIMARY KEY, name text, price int")
        self.session.execute(f"CREATE INDEX products_by_price ON {KEYSPACE}.products (price) USING 'sai'")
        self.table("visits", "page text PRIMARY KEY, times counter")
        self.table("nothing", "id int PRIMARY KEY, text text")
        self.table("old_orders", "id int PRIMARY KEY, text text")

    def words(self, count):
        return " ".join(self.random.choice(("alpha", "beta", "gamma", "delta", "omega")) + str(self.random.randrange(999))
                        for _ in range(count))

    def events(self, day, count):
        for i in range(count):
            self.insert("events", day=day, id=i, text=self.words(12))

    def customers(self, first, count):
        for i in range(first, first + count):
            self.insert("customers", id=i, name=f"Customer {i}", city=self.random.choice(("Basel", "Berne", "Zug")),
                        tags={f"t{self.random.randrange(9)}" for _ in range(3)}, notes={"first": self.words(4)})

    def monday(self):
        self.insert("old_orders", id=1, text="gone")
        self.node.nodetool("flush", KEYSPACE, "old_orders")
        self.session.execute(f"DROP TABLE {KEYSPACE}.old_orders")
        for day in (1, 2):
            self.events(day, 400)
            self.node.nodetool("flush", KEYSPACE, "events")
        for i in range(20):
            self.insert("photos", id=i, bytes=self.random.randbytes(8192))
        self.customers(0, 100)
        for i in range(100):
            self.insert("products", id=i, name=f"Product {i}", price=self.random.randrange(1000))
        for page in ("home", "cart", "help"):
            self.session.execute(f"UPDATE {KEYSPACE}.visits SET times = times + 7 WHERE page = %s", [page])
        self.node.nodetool("flush", KEYSPACE)
        self.node.nodetool("snapshot", "-t", "monday", KEYSPACE)

    def tuesday(self):
        self.events(3, 100)
        self.customers(100, 20)
        self.node.nodetool("flush", KEYSPACE)
        self.node.nodetool("compact", KEYSPACE, "events")
        self.node.nodetool("snapshot", "-t", "tuesday", KEYSPACE)


def keep_snapshots(data, output):
    """Copies the snapshot directories of the keyspace to `output`, replacing what is there."""
    new = output.with_name(output.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    for snapshots in sorted(data.glob(f"{KEYSPACE}/*/snapshots")):
        shutil.copytree(snapshots, new / "data" / snapshots.relative_to(data))
    size = sum(f.stat().st_size for f in new.rglob("*") if f.is_file())
    if size > LIMIT_BYTES:
        raise RuntimeError(f"the SSTables have {size} bytes, more than {LIMIT_BYTES}")
    shutil.rmtree(output, ignore_errors=True)
    new.rename(output)
    print(f"{output}: {sum(1 for f in output.rglob('*') if f.is_file())} files, {size} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lib", required=True, help="directory with Cassandra's jars")
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sstablefs-cassandra-") as home:
        node = Node(arguments.lib, home)
        try:
            print("Starting Cassandra", flush=True)
            node.start()
            with Cluster(["127.0.0.1"], port=node.native) as cluster:
                shop = Shop(node, cluster.connect())
                print("Writing Monday and Tuesday", flush=True)
                shop.create()
                shop.monday()
                shop.tuesday()
            keep_snapshots(Path(home) / "data", arguments.output)
        except Exception:
            node.log.flush()
            sys.stderr.write("".join(open(node.log.name, errors="replace").readlines()[-60:]))
            raise
        finally:
            node.stop()


if __name__ == "__main__":
    main()
