# SPDX-License-Identifier: Apache-2.0
"""A cluster grows from three nodes to four, and shrinks to three, between a backup and its restore: every kind of table (kinds.py) is lost each time, and
loaded again. Minutes on four nodes: only with SSTABLEFS_LONG=1."""

import time

import kinds
import pytest
from cassandra import InvalidRequest, ReadFailure
from cassandra_nodes import VERSIONS, Cluster
from test_live import Live
from test_restore_cluster import ALLOWED, HEAP, ONE, THREE, Loader

import place
from harness import LONG, wait_until

pytestmark = pytest.mark.timeout(place.LIMIT_SECONDS)

RACKS = ("r1", "r2", "r3", "r1")
FEW = ("lz4", "counters", "ranges")  # of keyspaces of which each node has rows of its own


class Story:
    def __init__(self, repository, cluster):
        self.repository, self.cluster = repository, cluster
        self.names = {node.address: f"n{number}" for number, node in enumerate(cluster.nodes, 1)}
        self.tables = {}

    def write(self, keyspace, replication, wanted):
        place.create_keyspace(self.cluster.node, keyspace, replication)
        self.tables[keyspace] = kinds.write_all(self.cluster.node, keyspace, wanted)
        self.check(keyspace)

    def back_up(self, name):
        for node in self.cluster.nodes:
            Live(self.repository, node, self.names.setdefault(node.address, f"n{len(self.names) + 1}")).backup(name)
        listed = next(backup for backup in self.repository.json("list")["backups"] if backup["name"] == name)
        assert (listed["nodes_finished"], listed["complete"]) == (len(self.cluster.nodes), True)

    def grow(self):
        self.cluster.yaml = {**self.cluster.yaml, "auto_bootstrap": True}
        self.cluster.add()

    def shrink(self):
        """One of the first leaves, not the one that came."""
        leaving = self.cluster.nodes[1]
        leaving.nodetool("decommission")
        leaving.remove()
        self.cluster.nodes.remove(leaving)
        wait_until(lambda: all(node.nodetool("status").count("\nUN ") == len(self.cluster.nodes) for node in self.cluster.nodes), 300, "one node less")

    def lose(self, *keyspaces):
        for keyspace in keyspaces:
            self.cluster.node.cql(f"DROP KEYSPACE {keyspace}")

    def load(self, name, *arguments):
        """The plan, when it was done."""
        load = Loader(self.repository, self.cluster, name)
        plan = load("--plan", *arguments).json
        assert plan["case"] == "loaded" and len(plan["targets"]) == len(self.cluster.nodes)
        document = load("--yes", *arguments).json
        assert (document["failed"], document["loaded"]) == ([], len(plan["tables"]))
        return plan

    def check(self, keyspace):
        """Every row at CONSISTENCY ALL, by the table, its indexes and its views, once these are built."""
        deadline = time.monotonic() + 120
        while wrong := {table.kind.name: what for table in self.tables[keyspace] if (what := differs(table))}:
            assert time.monotonic() < deadline, wrong
            time.sleep(1)


def differs(table):
    try:
        return table.check()
    except (InvalidRequest, ReadFailure) as error:  # of an index that is being built
        return str(error)


def sources(plan, keyspace):
    found, = (one["sources"] for one in plan["keyspaces"] if one["keyspace"] == keyspace)
    return found


if LONG:  # minutes, and four nodes
    @pytest.mark.parametrize("version", VERSIONS)
    def test_a_cluster_grows_to_four_nodes_and_shrinks_to_three_between_backup_and_restore(repository, version):
        with Cluster(version, 3, heap=HEAP, racks=RACKS, yaml=ALLOWED) as cluster:
            story = Story(repository, cluster)
            story.write("every", THREE, lambda kind: not kind.long)
            story.write("single", ONE, lambda kind: kind.name in FEW)
            story.back_up("of-three")

            story.grow()
            story.lose("every", "single")
            plan = story.load("of-three")
            # Each rack of the three had all of it; of the other keyspace each node a part.
            assert (len(sources(plan, "every")), sources(plan, "single")) == (1, ["n1", "n2", "n3"])
            story.check("every")
            story.check("single")

            story.write("later", ONE, lambda kind: kind.name in FEW)
            story.back_up("of-four")
            story.shrink()
            story.lose("every", "single", "later")
            plan = story.load("of-four")
            # Two of the four share a rack: one of the other two has all.
            assert sources(plan, "every") in (["n2"], ["n3"]) and sources(plan, "later") == ["n1", "n2", "n3", "n4"]
            for keyspace in ("every", "single", "later"):
                story.check(keyspace)

            # The first backup is of as many nodes, and one of them has left since.
            story.lose("single")
            story.load("of-three", "--only", "single")
            story.check("single")
