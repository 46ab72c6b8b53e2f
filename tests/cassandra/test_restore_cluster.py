# SPDX-License-Identifier: Apache-2.0
"""`restore-cluster` with real nodes: a cluster of three racks, each node of which backs itself up, is loaded into a cluster of another shape, and every row
is compared. Minutes on five nodes: only with SSTABLEFS_LONG=1."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from cassandra import ReadFailure
from cassandra_nodes import VERSIONS, Cluster
from test_live import Live

import place
from harness import FAILED, FOUND, LONG, wait_until

pytestmark = pytest.mark.timeout(place.LIMIT_SECONDS)

HEAP = "400M"
ROWS = 400
THREE = "'class': 'NetworkTopologyStrategy', 'dc1': 3"
TWO = "'class': 'NetworkTopologyStrategy', 'dc1': 2"
ONE = "'class': 'SimpleStrategy', 'replication_factor': 1"
PLACEMENTS = (THREE, TWO, "'class': 'SimpleStrategy', 'replication_factor': 2")  # compared with whom Cassandra names, for so many keys
KEYS = 6
REPLICAS = Path(os.environ.get("SSTABLEFS_BINARY", "build/asan/tools/sstablefs")).parents[1] / "tests/cassandra/replicas"
TABLES = ("shop.orders", "shop.\"Users\"", "shop.counted", "single.t")
ALLOWED = {"materialized_views_enabled": True, "user_defined_functions_enabled": True}
COMMENT = "x; y ''z'' -- CREATE TABLE a.b (i int); /* $$ */"
STATEMENTS = (
    "CREATE TYPE shop.\"Addr\" (street text, n int)",
    "CREATE FUNCTION shop.plus1(x int) RETURNS NULL ON NULL INPUT RETURNS int LANGUAGE java AS $$ int y = x + 1; // it's; \"\n return y; $$",
    "CREATE FUNCTION shop.\"Sum_Of\"(s int, x int) CALLED ON NULL INPUT RETURNS int LANGUAGE java AS 'return s + (x == null ? 0 : x);'",
    "CREATE AGGREGATE shop.total(int) SFUNC \"Sum_Of\" STYPE int FINALFUNC plus1 INITCOND 0",
    "CREATE TABLE shop.orders (id int, ck int, v text, gone text, back text, PRIMARY KEY (id, ck))",
    "ALTER TABLE shop.orders DROP gone",
    "ALTER TABLE shop.orders DROP back",
    "ALTER TABLE shop.orders ADD back text",
    f"CREATE TABLE shop.\"Users\" (id int PRIMARY KEY, a frozen<\"Addr\">, n int, \"select\" text) WITH comment = '{COMMENT}'",
    "CREATE INDEX \"Users_n\" ON shop.\"Users\" (n)",
    "CREATE MATERIALIZED VIEW shop.by_n AS SELECT * FROM shop.\"Users\" WHERE n IS NOT NULL AND id IS NOT NULL PRIMARY KEY (n, id)",
    "CREATE TABLE shop.counted (id int PRIMARY KEY, c counter)",
    "CREATE TABLE single.t (id int PRIMARY KEY, v text)",
)


def fill(node):
    """What the tables hold, by their names."""
    place.create_keyspace(node, "shop", THREE)
    place.create_keyspace(node, "single", ONE)
    for statement in STATEMENTS:
        if " DROP gone" in statement:
            # Of a column that is no more, rows have values still.
            node.cql("INSERT INTO shop.orders (id, ck, v, gone, back) VALUES (%s, 0, 'first', 'g', 'b')", (ROWS,))
            node.nodetool("flush", "shop")
        node.cql(statement)
    for i in range(ROWS):
        node.cql("INSERT INTO shop.orders (id, ck, v) VALUES (%s, %s, %s)", (i, i % 7, f"row {i} " + "x" * 100))
        node.cql("INSERT INTO shop.\"Users\" (id, a, n, \"select\") VALUES (%s, {street: 's', n: 1}, %s, 'Größe')", (i, i % 5))
        node.cql("UPDATE shop.counted SET c = c + %s WHERE id = %s", (i + 1, i % 10))
        node.cql("INSERT INTO single.t (id, v) VALUES (%s, %s)", (i, str(i)))
    for i in range(0, ROWS, 9):
        node.cql("DELETE FROM shop.orders WHERE id = %s", (i,))
    return {table: rows(node, table) for table in TABLES}


def rows(node, table):
    return sorted(map(repr, node.cql(f"SELECT * FROM {table}")))


def placed(cluster, replication):
    """[(token, addresses)] of the ring of a cluster, as cassandra/ring.c has it for a keyspace of this replication."""
    lines = [f"CREATE KEYSPACE k WITH replication = {{{replication}}};".replace(": 3", ": '3'").replace(": 2", ": '2'").replace(": 1", ": '1'")]
    for node in cluster.nodes:
        row, = node.cql("SELECT data_center, rack, tokens FROM system.local")
        lines.append(" ".join([node.address, row.data_center, row.rack, *row.tokens]))
    done = subprocess.run([REPLICAS], input="\n".join(lines) + "\n", capture_output=True, text=True, check=True)
    return [(int(token), addresses) for token, *addresses in map(str.split, done.stdout.splitlines())]


def check_placement(cluster, replication):
    """Compares it with whom Cassandra names, key by key."""
    place.create_keyspace(cluster.node, "placed", replication)
    cluster.node.cql("CREATE TABLE placed.t (id int PRIMARY KEY)")
    ring = placed(cluster, replication)
    for key in range(KEYS):
        cluster.node.cql("INSERT INTO placed.t (id) VALUES (%s)", (key,))
    for key, token in cluster.node.cql("SELECT id, token(id) FROM placed.t"):
        expected = set(cluster.node.nodetool("getendpoints", "placed", "t", str(key)).split())
        found = next((addresses for end, addresses in ring if token <= end), ring[0][1])
        assert set(found) == expected, (key, token, replication)
    cluster.node.cql("DROP KEYSPACE placed")


def count(node, what):
    """-1 where it cannot be read: an index that is being built."""
    try:
        return len(node.cql(f"SELECT id FROM {what}"))
    except ReadFailure:
        return -1


class Source:
    """A cluster of three racks in a backup b, and what it held."""

    def __init__(self, repository, version, placements=PLACEMENTS, **yaml):
        with Cluster(version, 3, heap=HEAP, racks=("r1", "r2", "r3"), yaml={**ALLOWED, **yaml}) as cluster:
            for replication in placements:
                check_placement(cluster, replication)
            self.rows = fill(cluster.node)
            for number, node in enumerate(cluster.nodes, 1):
                Live(repository, node, f"n{number}").backup("b")


def check(node, source, keyspace="shop"):
    """Every row, by tables, index and view; what belongs to them."""
    for table, expected in source.rows.items():
        assert rows(node, table.replace("shop.", f"{keyspace}.")) == expected, table
    wait_until(lambda: count(node, f"{keyspace}.by_n") == ROWS, 120, "the view is built")
    wait_until(lambda: count(node, f"{keyspace}.\"Users\" WHERE n = 3") == ROWS // 5, 120, "the index is built")
    numbers, = node.cql(f"SELECT {keyspace}.total(n), {keyspace}.plus1(max(n)) FROM {keyspace}.\"Users\"")
    assert tuple(numbers) == (sum(i % 5 for i in range(ROWS)) + 1, 5)
    assert f"comment = '{COMMENT}'" in node.cqlsh(f"DESCRIBE TABLE {keyspace}.\"Users\"")
    assert "gone" not in node.cqlsh(f"DESCRIBE TABLE {keyspace}.orders")


class Loader:
    def __init__(self, repository, cluster, backup="b"):
        self.live = Live(repository, cluster.node, "target")
        self.live.configure(sstableloader=cluster.node.bin / "sstableloader")
        self.repository, self.backup = repository, backup

    def words(self, *more):
        return ["--config", self.live.configuration, "--json", "restore-cluster", self.backup, *more]

    def __call__(self, *more, **keywords):
        return self.repository(*self.words(*more), environment=self.live.environment, timeout=1800, **keywords)


if LONG:  # minutes, and five nodes
    @pytest.mark.parametrize("version", VERSIONS)
    def test_a_cluster_of_three_racks_is_loaded_into_two_nodes_and_again_after_kill_9(repository, version):
        source = Source(repository, version)
        with Cluster(version, 2, heap=HEAP, racks=("a", "b"), yaml=ALLOWED) as cluster:
            node = cluster.node
            load = Loader(repository, cluster)
            # Three replicas do not fit on two nodes: this keyspace is made by hand, and stays as it is.
            place.create_keyspace(node, "shop", TWO)
            plan = load("--plan").json
            assert plan["case"] == "loaded"
            chosen = {keyspace["keyspace"]: keyspace for keyspace in plan["keyspaces"]}
            # Each rack has all of shop; of single every node has rows of its own.
            assert (len(chosen["shop"]["sources"]), chosen["shop"]["copies"]) == (1, 1)
            assert (len(chosen["single"]["sources"]), chosen["single"]["copies"]) == (3, 1)

            # Killed in the middle: what is loaded is not loaded again.
            repository.program.environment.update(HOME=load.live.environment["HOME"])
            killed = repository.start(*load.words("--yes", "--parallel", "1"))
            journal = lambda: sum(len([line for line in path.read_text().splitlines() if not line.endswith(" made")])  # noqa: E731
                                  for path in repository.program.cache.glob("restore-cluster/*/loaded"))
            wait_until(lambda: journal() >= 2, 300, "two tables are loaded")
            os.kill(killed.pid, signal.SIGKILL)
            killed.communicate()
            document = load("--yes").json
            assert document["failed"] == [] and document["loaded_before"] >= 2
            assert document["loaded"] + document["loaded_before"] == len(plan["tables"])
            check(node, source)

            # A keyspace goes back under another name, with the cluster as it is; and a table, where the loader can.
            place.create_keyspace(node, "old", TWO)
            assert not load("--yes", "--only", "shop", "--rename", "shop=old").json["failed"]
            check(node, source, "old")
            if version == "5.0":
                load("--yes", "--only", "shop.orders", "--rename", "shop.orders=shop.orders_old")
                assert rows(node, "shop.orders_old") == source.rows["shop.orders"]
            # A table that is there with other columns is not touched.
            node.cql("DROP TABLE single.t")
            node.cql("CREATE TABLE single.t (id text PRIMARY KEY)")
            answer = load("--yes", "--only", "single.t", code=FAILED)
            assert "other columns" in answer.err
            # Fewer sources than the plan says, and rows are missing: what is compared above is not always there.
            node.cql("DROP TABLE single.t")
            plan = load("--plan", "--only", "single.t").json
            less = repository.program.directory / "less.json"
            less.write_text(json.dumps({**plan, "tables": [row for row in plan["tables"] if row["source"] != "n2"]}))
            assert "% of the ring" in load("--yes", "--plan-file", less, code=FAILED).err
            load("--yes", "--plan-file", less, "--partial", code=FOUND)
            assert set(rows(node, "single.t")) < set(source.rows["single.t"])
        assert not list(repository.program.cache.glob("restore-cluster/*"))

    @pytest.mark.parametrize("version", VERSIONS)
    def test_single_tokens_are_loaded_into_two_nodes(repository, version):
        source = Source(repository, version, num_tokens=1)
        with Cluster(version, 2, heap=HEAP, racks=("a", "b"), yaml={**ALLOWED, "num_tokens": 1}) as cluster:
            load = Loader(repository, cluster)
            place.create_keyspace(cluster.node, "shop", TWO)
            plan = load("--plan").json
            assert (plan["case"], {target["tokens"] for target in plan["targets"]}) == ("loaded", {1})
            assert [(one["copies"], len(one["sources"])) for one in plan["keyspaces"] if one["keyspace"] in ("shop", "single")] == [(1, 1), (1, 3)]
            load("--yes")
            check(cluster.node, source)

    def test_three_nodes_are_loaded_into_one_and_into_four(repository):
        """Of 4.1, whose sstableloader can do less. Four nodes of 5.0: test_cluster_grows.py."""
        source = Source(repository, "4.1", placements=())
        for count_of_nodes, replication in ((1, ONE), (4, THREE)):
            with Cluster("4.1", count_of_nodes, heap=HEAP, racks=("a", "b", "c", "a")[:count_of_nodes], yaml=ALLOWED) as cluster:
                place.create_keyspace(cluster.node, "shop", replication)
                load = Loader(repository, cluster)
                assert load("--plan").json["case"] == "loaded"
                load("--yes", "--throttle", "200M")
                check(cluster.node, source)
