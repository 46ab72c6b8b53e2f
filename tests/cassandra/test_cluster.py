# SPDX-License-Identifier: Apache-2.0
"""A cluster of three nodes, each of which backs itself up: sstableloader streams from the mount to all of them."""

import pytest
from cassandra_nodes import VERSIONS, Cluster

import place
from harness import LONG

pytestmark = pytest.mark.timeout(place.LIMIT_SECONDS)

ROWS = 300
REPLICATION = "'class': 'SimpleStrategy', 'replication_factor': {}"


@pytest.fixture(params=VERSIONS if LONG else VERSIONS[:1])
def cluster(request):
    with Cluster(request.param, 3, heap="400M") as cluster:
        yield cluster


def fill(node, keyspace, model):
    for table, compression in (("compressed", "{'class': 'LZ4Compressor'}"), ("plain", "{'enabled': false}")):
        node.cql(f"CREATE TABLE {keyspace}.{table} (id int PRIMARY KEY, v text) WITH compression = {compression}")
        for row in model.items():
            node.cql(f"INSERT INTO {keyspace}.{table} (id, v) VALUES (%s, %s)", row)


def content(directory, component):
    """{name: bytes} of one component of all SSTables."""
    return {path.name: path.read_bytes() for path in directory.glob(f"*-{component}")}


def test_sstableloader_restores_a_cluster_as_it_was_before_a_repair(cluster, backups):
    model = {i: f"row {i} " + "x" * 200 for i in range(ROWS)}
    keyspaces = {"rf1": 1, "rf3": 3}
    for keyspace, factor in keyspaces.items():
        place.create_keyspace(cluster.node, keyspace, REPLICATION.format(factor))
        fill(cluster.node, keyspace, model)
    taken = {node.address: backups.take(node, *keyspaces) for node in cluster.nodes}
    # An incremental repair writes Statistics.db anew, and nothing else.
    cluster.node.nodetool("repair", "rf3")
    repaired = backups.table(cluster.node, backups.take(cluster.node, "rf3"), "rf3", "plain")
    original = backups.table(cluster.node, taken[cluster.node.address], "rf3", "plain")
    assert content(repaired, "Data.db") == content(original, "Data.db")
    assert content(repaired, "Statistics.db").keys() == content(original, "Statistics.db").keys()
    assert content(repaired, "Statistics.db") != content(original, "Statistics.db")

    for keyspace, factor in keyspaces.items():
        for table in ("compressed", "plain"):
            cluster.node.cql(f"TRUNCATE {keyspace}.{table}")
            assert cluster.node.count(f"{keyspace}.{table}") == 0
            # With replication factor 1 each node holds its own share; with 3 each holds all, and any one will do.
            for node in cluster.nodes if factor == 1 else cluster.nodes[1:2]:
                place.load(cluster.node, backups.table(node, taken[node.address], keyspace, table), keyspace, table)
            for node in cluster.nodes:
                assert dict(node.cql(f"SELECT id, v FROM {keyspace}.{table}")) == model, (keyspace, table)
