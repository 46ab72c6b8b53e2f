# SPDX-License-Identifier: Apache-2.0
"""`restore-cluster` into another cluster of the same shape, over real ssh: three nodes, whose racks have other names, take over the tokens and the files of three that are gone, with vnodes and
with single tokens. Twelve starts of nodes: only with SSTABLEFS_LONG=1."""

import sys

import kinds
import pytest
from cassandra_nodes import VERSIONS, Cluster

import place
from harness import LONG
from hosts import Hosts, list_file, tokens_of, tokens_seen_by
from test_restored_node import CONTROL, stop

pytestmark = pytest.mark.timeout(place.LIMIT_SECONDS)

NAMES = ("lz4", "index_2i", "index_sai", "viewed", "statics", "collections", "types", "counters", "expiring", "ranges", "tombstones", "Mixed_Case")
REPLICATION = "'class': 'NetworkTopologyStrategy', 'dc1': {}"
SHOP = {i: f"row {i} " + "x" * 100 for i in range(200)}
OWN = {1: "what the target had"}


class Controls:
    """Stops and starts nodes as their init scripts would, with their files as they are."""

    def __init__(self, nodes):
        self.nodes = nodes

    def commands(self, node):
        node._write_files()  # with the ring delay of one that starts again
        control = node.home / "control"
        control.write_text(CONTROL.format(python=sys.executable, pid=str(node.pid_file), log=str(node.log), cassandra=str(node.bin / "cassandra")))
        control.chmod(0o755)
        return {"start_command": f"{control} start", "stop_command": f"{control} stop"}

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for node in self.nodes:
            if any(exception):
                print(f"the log of {node.address} ends with:\n{node.log_text()[-6000:]}")
            node._disconnect()
            stop(node)


def write_table(node, keyspace, replication, rows):
    place.create_keyspace(node, keyspace, REPLICATION.format(replication))
    node.cql(f"CREATE TABLE {keyspace}.t (id int PRIMARY KEY, v text)")
    for row in rows.items():
        node.cql(f"INSERT INTO {keyspace}.t (id, v) VALUES (%s, %s)", row)


def read_table(node, keyspace):
    return dict(node.cql(f"SELECT id, v FROM {keyspace}.t"))


class Source:
    """A cluster in backup b, and what it held; it is gone."""

    def __init__(self, repository, settings):
        with Cluster(racks=("r1", "r2", "r3"), **settings) as cluster:
            place.create_keyspace(cluster.node, "whole", REPLICATION.format(3))
            self.tables = kinds.write_all(cluster.node, "whole", lambda kind: kind.name in NAMES)
            write_table(cluster.node, "shop", 1, SHOP)
            hosts = Hosts(cluster, repository, Controls(cluster.nodes), "sources")
            with hosts.fleet:
                assert hosts.backup("--name", "b")["state"] == "complete"
            found = tokens_of(cluster)
            self.tokens = {place.node_name(node): found[node.address][1] for node in cluster.nodes}
            self.ids = {host_id for host_id, _ in found.values()}
            self.nodes = list(cluster.nodes)


def check_rows(cluster, source):
    """Every row, at CONSISTENCY ALL, asked of each node in turn."""
    for node in cluster.nodes:
        for table in source.tables:
            table.node = node
            assert table.check() is None, (node.address, table.kind.name, table.check())
        assert read_table(node, "shop") == SHOP


def check_tokens(cluster, source, result):
    """Each node has the tokens of its source, and is none of those that there were."""
    found = tokens_of(cluster)
    taken = {node["host"]: source.tokens[node["source"]] for node in result["nodes"]}
    assert {address: tokens for address, (_, tokens) in found.items()} == taken
    assert not source.ids & {host_id for host_id, _ in found.values()}
    for node in cluster.nodes:
        assert tokens_seen_by(node) == found, node.address


if LONG:  # minutes
    @pytest.mark.parametrize("num_tokens, listed", [(4, False), (1, True)], ids=["vnodes", "single-tokens-and-a-list"])
    @pytest.mark.parametrize("version", VERSIONS)
    def test_another_cluster_of_three_racks_takes_over_tokens_and_files(minio, version, num_tokens, listed):
        settings = {"version": version, "count": 3, "heap": "400M", "yaml": {"num_tokens": num_tokens},
                    "java_options": ("-Dcassandra.superuser_setup_delay_ms=2000",)}
        source = Source(minio, settings)
        with Cluster(racks=("c", "a", "b"), **settings) as cluster, Controls(cluster.nodes) as controls:
            hosts = Hosts(cluster, minio, controls, "targets")
            write_table(cluster.node, "own", 3, OWN)
            had = tokens_of(cluster)
            pairs = list(zip(cluster.nodes, source.nodes[1:] + source.nodes[:1]))
            options = ["--host-list", list_file(hosts.directory / "list", pairs, cluster.nodes[:1])] if listed else []
            for node in cluster.nodes:
                node._disconnect()
            with hosts.fleet:
                result = hosts.restore("b", "--yes", *options)
                assert (result["case"], result["state"]) == ("other", "restored")
                if listed:
                    assert {node["host"]: node["source"] for node in result["nodes"]} == {
                        target.address: place.node_name(of) for target, of in pairs}
                cluster._wait_until_joined()
                check_tokens(cluster, source, result)
                with pytest.raises(AssertionError):  # another mapping would be noticed
                    swapped = [node["source"] for node in result["nodes"]]
                    check_tokens(cluster, source, {"nodes": [{**node, "source": name} for node, name in zip(result["nodes"], swapped[1:] + swapped[:1])]})
                check_rows(cluster, source)
                assert not cluster.node.cql("SELECT * FROM system_schema.keyspaces WHERE keyspace_name = 'own'")
                for node in cluster.nodes:
                    node._disconnect()

                assert hosts.restore("b", "--abort", *options)["state"] == "aborted"
                cluster._wait_until_joined()
                assert tokens_of(cluster) == had and read_table(cluster.node, "own") == OWN
                for node in cluster.nodes:
                    node._disconnect()
                assert hosts.restore("b", "--yes", *options)["state"] == "restored"
                assert hosts.restore("b", "--finish", *options)["state"] == "finished"
                cluster._wait_until_joined()
                check_tokens(cluster, source, result)
                check_rows(cluster, source)
                assert not any(list(node.home.glob("*/.sstablefs-restore-node")) for node in cluster.nodes)
