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
import random
import shutil
import uuid
from pathlib import Path

from cassandra_nodes import Cluster

KEYSPACE = "shop"
LIMIT_BYTES = 900_000


class Shop:
    """Writes rows that are the same in every run: fixed table ids, timestamps and random numbers."""

    def __init__(self, node):
        self.node, self.session = node, node.connect()
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
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args()
    print("Starting Cassandra", flush=True)
    with Cluster("5.0") as cluster:
        shop = Shop(cluster.node)
        print("Writing Monday and Tuesday", flush=True)
        shop.create()
        shop.monday()
        shop.tuesday()
        keep_snapshots(cluster.node.data_directories[0], arguments.output)


if __name__ == "__main__":
    main()
