# SPDX-License-Identifier: Apache-2.0
"""`restore-cluster` and data centres, with real nodes: one of a cluster of two is loaded into one of another name, the other one is left
out. Four nodes, minutes: only with SSTABLEFS_LONG=1."""

import pytest
from cassandra_nodes import Cluster

import place
from harness import FAILED, FOUND, LONG
from test_live import Live
from test_restore_cluster import HEAP, Loader, rows

pytestmark = pytest.mark.timeout(place.LIMIT_SECONDS)

ROWS = 300
# Where each keyspace is replicated.
KEYSPACES = {"everywhere": {"dc1": 1, "dc2": 1}, "here": {"dc1": 1}, "there": {"dc2": 1}}
OF_ROLES = {"dc1": 1, "dc2": 1}


def replication(dcs):
    return "'class': 'NetworkTopologyStrategy', " + ", ".join(f"'{dc}': {factor}" for dc, factor in dcs.items())


def fill(node):
    """Rows of each keyspace: at CONSISTENCY ALL, as all that node.cql() does."""
    node.cql(f"ALTER KEYSPACE system_auth WITH replication = {{{replication(OF_ROLES)}}}")
    for name, dcs in KEYSPACES.items():
        place.create_keyspace(node, name, replication(dcs))
        node.cql(f"CREATE TABLE {name}.t (id int PRIMARY KEY, v text)")
        for i in range(ROWS):
            node.cql(f"INSERT INTO {name}.t (id, v) VALUES (%s, %s)", (i, f"{name} {i}"))
    return {name: rows(node, f"{name}.t") for name in KEYSPACES}


def replicated(node):
    """{keyspace: {data centre: factor}} of what the test made."""
    found = {row.keyspace_name: dict(row.replication) for row in node.cql("SELECT keyspace_name, replication FROM system_schema.keyspaces")}
    return {name: {dc: factor for dc, factor in found[name].items() if dc != "class"} for name in KEYSPACES if name in found}


def left_out(document):
    return [(one["keyspace"], one["table"], one["loaded"]) for one in document["incomplete"]]


if LONG:
    def test_one_of_two_data_centres_is_loaded_into_one_of_another_name(repository):
        with Cluster("5.0", 3, heap=HEAP, racks=("r1", "r2", "r1"), dcs=("dc1", "dc1", "dc2")) as cluster:
            expected = fill(cluster.node)
            for number, node in enumerate(cluster.nodes, 1):
                Live(repository, node, f"n{number}").backup("b")
        with Cluster("5.0", 1, heap=HEAP, racks=("a",), dc="east") as cluster:
            node = cluster.node
            load = Loader(repository, cluster)
            assert "dc1" in load("--yes", "--leave-out-dc", "dc2", code=FAILED).err, "the cluster has no dc1"
            first = ["--map-dc", "dc1=east", "--leave-out-dc", "dc2"]
            plan = load("--plan", *first).json
            assert plan["case"] == "loaded" and plan["dcs"] == [{"from": "dc1", "to": "east"}, {"from": "dc2", "to": None}]
            assert left_out(plan) == [("there", None, False)]
            # Each of two nodes has rows that the other has not.
            assert {one["keyspace"]: (one["sources"], one["copies"]) for one in plan["keyspaces"] if one["keyspace"] in KEYSPACES} == {
                "everywhere": (["n1", "n2"], 1), "here": (["n1", "n2"], 1)}
            shown = repository(*[word for word in load.words("--plan", *first) if word != "--json"], environment=load.live.environment, timeout=600).out
            assert "CREATE KEYSPACE IF NOT EXISTS everywhere WITH replication = {'class': 'NetworkTopologyStrategy', 'east': '1'}" in shown
            assert "keyspace there is not loaded" in shown and "dc2" not in shown
            document = load("--yes", *first, code=FOUND).json
            assert document["failed"] == [] and left_out(document) == [("there", None, False)]
            assert replicated(node) == {"everywhere": {"east": "1"}, "here": {"east": "1"}}
            for name in ("everywhere", "here"):
                assert rows(node, f"{name}.t") == expected[name], name
