# SPDX-License-Identifier: Apache-2.0
"""Runs the recipes of docs/restore.md as they stand there, and counts rows after each.

A block of shell below a line `<!-- recipe NAME -->` is one recipe. A test runs it by bash, with the names that the page
explains in its environment and the tools of a real node in its PATH.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest
from cassandra_nodes import VERSIONS

import place
from harness import LONG
from supervisor import Supervisor

pytestmark = pytest.mark.timeout(place.LIMIT_SECONDS)

PAGE = Path(__file__).parents[2] / "docs/restore.md"
RECIPE = re.compile(r"^<!-- recipe ([a-z-]+) -->\n```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RECIPES = dict(RECIPE.findall(PAGE.read_text()))
RECIPE_SECONDS = 300
# The options of import that the page names.
IMPORT_OPTIONS = re.findall(r"`(-[a-z])`", re.search(r"^Options: .*$", PAGE.read_text(), re.MULTILINE)[0])
ORDERS = {number: f"order {number}" for number in range(200)}


@pytest.fixture
def systemctl(node, tmp_path):
    """A directory for PATH with a systemctl that knows this node."""
    with Supervisor([node]) as supervisor:
        shim = tmp_path / "shim"
        shim.mkdir()
        (shim / "systemctl").write_text(f'#!/bin/sh\n[ "$2" = cassandra ] && exec {supervisor.command(node, "$1")}\n')
        (shim / "systemctl").chmod(0o755)
        yield shim


class Shop:
    """A keyspace with the table `orders`, its backup, and what a recipe says when it is run on a fresh mount."""

    def __init__(self, node, keyspace, backups, path):
        self.node, self.keyspace, self.backups, self.path = node, keyspace, backups, path
        self.table = f"{keyspace}.orders"
        node.cql(f"CREATE TABLE {self.table} (id int PRIMARY KEY, text text)")
        for half in range(2):
            for pair in list(ORDERS.items())[half::2]:
                node.cql(f"INSERT INTO {self.table} (id, text) VALUES (%s, %s)", pair)
            node.nodetool("flush", keyspace)

    def take(self, *keyspaces):
        self.backup = self.backups.take(self.node, *keyspaces)
        return self

    def run(self, *names, before=None, code=0, **more):
        """Runs recipes one after another, as an operator would, on a fresh mount. Their output."""
        with self.backups.repository.mount("refresh=1") as mount:
            base = mount.node(place.node_name(self.node), place.CLUSTER) / self.backup
            if before:
                before(base)
            environment = {**os.environ, **self.node.environment(), "BACKUP": str(base), "KS": self.keyspace, "T": "orders",
                           "DATA": str(self.node.data_directories[0]), "HOST": self.node.address, **more}
            environment["PATH"] = f"{self.path}:{environment['PATH']}"
            out = ""
            for name in names:
                done = subprocess.run(["bash", "-euo", "pipefail", "-c", RECIPES[name]], env=environment, capture_output=True,
                                      stdin=subprocess.DEVNULL, text=True, timeout=RECIPE_SECONDS)
                out += done.stdout + done.stderr
                assert done.returncode == code, f"recipe {name} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
            return out

    def rows(self, table=None):
        return dict(self.node.cql(f"SELECT id, text FROM {table or self.table}"))

    def truncate(self):
        self.node.cql(f"TRUNCATE {self.table}")
        assert self.rows() == {}

    def metadata(self, directory, line):
        """What sstablemetadata says in this line of each SSTable."""
        paths = sorted(Path(directory).glob("*-Data.db"))
        assert paths, directory
        out = self.node.run("sstablemetadata", *paths).out
        return set(re.findall(rf"^{line}: (\S+)", out, re.MULTILINE))

    def live(self):
        directory, = self.node.table_directories(self.keyspace, "orders")
        return directory


@pytest.fixture
def shop(node, keyspace, backups, systemctl):
    return Shop(node, keyspace, backups, systemctl)


def test_a_table_is_imported_by_each_recipe(shop):
    shop.take(shop.keyspace)
    for recipe in ("import", "import-fresh", "import-move", "rebuild"):
        shop.truncate()
        shop.run(recipe)
        assert shop.rows() == ORDERS, recipe
    # The last one is looked at as the page says.
    assert "200" in shop.run("check")


@pytest.mark.parametrize("node", VERSIONS if LONG else VERSIONS[:1], indirect=True)
def test_import_takes_each_option_of_the_page(shop):
    assert sorted(IMPORT_OPTIONS) == ["-c", "-e", "-q", "-t", "-v"]
    shop.take(shop.keyspace)
    source = shop.backups.table(shop.node, shop.backup, shop.keyspace, "orders")
    for option in IMPORT_OPTIONS:
        shop.truncate()
        shop.node.nodetool("import", "--copy-data", "-l", "-r", option, shop.keyspace, "orders", source)
        assert shop.rows() == ORDERS, option


def test_the_repaired_state_is_changed_in_the_mount(shop):
    def mark_repaired(base):
        source, = (base / "data" / shop.keyspace).glob("orders-*")
        shop.node.run("sstablerepairedset", "--really-set", "--is-repaired", *source.glob("*-Data.db"))
        assert "0" not in shop.metadata(source, "Repaired at")

    shop.take(shop.keyspace)
    shop.truncate()
    shop.run("import", before=mark_repaired)
    assert shop.rows() == ORDERS and "0" not in shop.metadata(shop.live(), "Repaired at")
    shop.truncate()
    shop.run("repairedset", before=mark_repaired)
    assert shop.rows() == ORDERS and shop.metadata(shop.live(), "Repaired at") == {"0"}


def test_levels_are_reset_in_the_mount(shop):
    shop.node.cql(f"ALTER TABLE {shop.table} WITH compaction = {{'class': 'LeveledCompactionStrategy'}}")
    shop.node.nodetool("compact", shop.keyspace)
    assert shop.metadata(shop.live(), "SSTable Level") == {"1"}
    # Size-tiered, or the level that comes back could not be told from a compaction of the node.
    shop.node.cql(f"ALTER TABLE {shop.table} WITH compaction = {{'class': 'SizeTieredCompactionStrategy'}}")
    shop.take()
    for recipe, level in (("import", "1"), ("levelreset", "0")):
        shop.truncate()
        shop.run(recipe)
        assert shop.rows() == ORDERS and shop.metadata(shop.live(), "SSTable Level") == {level}, recipe


def test_a_table_is_copied_and_refreshed(shop):
    shop.take(shop.keyspace)
    shop.truncate()
    shop.run("cp-refresh")
    assert shop.rows() == ORDERS
    # Where a name is taken the recipe refuses before it overwrites anything.
    source = shop.backups.table(shop.node, shop.backup, shop.keyspace, "orders")
    taken = shop.live() / sorted(path.name for path in source.iterdir())[-1]
    assert not taken.exists()  # refresh gives new names
    taken.write_text("another time's")
    assert f"{taken} exists: use nodetool import" in shop.run("cp-refresh", code=1)
    assert taken.read_text() == "another time's"
    taken.unlink()
    assert shop.rows() == ORDERS


def test_a_table_is_streamed_by_sstableloader(shop):
    shop.take(shop.keyspace)
    shop.truncate()
    shop.run("sstableloader")
    assert shop.rows() == ORDERS


def test_a_table_is_streamed_into_another_keyspace_and_another_table(shop):
    shop.take(shop.keyspace)
    other = shop.keyspace + "_other"
    place.create_keyspace(shop.node, other)
    shop.node.cql(f"CREATE TABLE {other}.orders (id int PRIMARY KEY, text text)")
    shop.run("sstableloader-keyspace", TARGET=other)
    assert shop.rows(f"{other}.orders") == ORDERS
    shop.node.cql(f"CREATE TABLE {shop.keyspace}.copied (id int PRIMARY KEY, text text)")
    shop.run("sstableloader-table", TARGET="copied")
    assert shop.rows(f"{shop.keyspace}.copied") == ORDERS
    shop.node.cql(f"DROP KEYSPACE {other}")


def test_a_table_with_another_index_interval_is_streamed(shop):
    """Its Summary.db is one that the loader deletes; in the mount's memory it can."""
    shop.node.cql(f"ALTER TABLE {shop.table} WITH min_index_interval = 64")
    shop.node.nodetool("upgradesstables", "-a", shop.keyspace)
    shop.take(shop.keyspace)
    shop.truncate()
    shop.run("sstableloader")
    assert shop.rows() == ORDERS


def test_a_table_with_a_storage_attached_index_is_streamed(shop):
    if shop.node.installation.version != "5.0":
        # 4.1 has no such index: the statement itself must say so, or this page is wrong about 4.1.
        with pytest.raises(Exception, match="(?i)sai|index"):
            shop.node.cql(f"CREATE INDEX by_text ON {shop.table} (text) USING 'sai'")
        return
    shop.node.cql(f"CREATE INDEX by_text ON {shop.table} (text) USING 'sai'")
    shop.take(shop.keyspace)
    shop.truncate()
    shop.run("sstableloader-sai", INDEX="by_text", COLUMN="text")
    assert shop.rows() == ORDERS
    assert list(shop.node.cql(f"SELECT id FROM {shop.table} WHERE text = 'order 7'")) == [(7,)]


def test_a_backup_is_looked_into(shop):
    shop.take(shop.keyspace)
    out = shop.run("look")
    for number in ORDERS:
        assert f"order {number}" in out
    assert "Partitioner: org.apache.cassandra.dht.Murmur3Partitioner" in out


def test_a_whole_node_comes_back_with_its_system_tables(shop):
    shop.take()
    host_id, = (row.host_id for row in shop.node.cql("SELECT host_id FROM system.local"))
    shop.node.cql(f"DROP TABLE {shop.table}")
    shop.run("whole-node")
    assert shop.rows() == ORDERS
    assert [row.host_id for row in shop.node.cql("SELECT host_id FROM system.local")] == [host_id]


def test_no_recipe_of_the_page_is_left_out():
    text = Path(__file__).read_text()
    assert RECIPES and not [name for name in RECIPES if f'"{name}"' not in text]
    assert PAGE.read_text().count("<!-- recipe ") == len(RECIPES) + PAGE.read_text().count("`<!-- recipe ")
