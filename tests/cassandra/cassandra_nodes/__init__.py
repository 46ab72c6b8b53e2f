# SPDX-License-Identifier: Apache-2.0
"""Real Cassandra for tests: nodes on loopback addresses of their own, each in a temporary directory.

    with Cluster("5.0") as cluster:                   # also Cluster("4.1", nodes=3, heap="768M", yaml={...}, jmx=PASSWORD)
        node = cluster.node                           # or cluster.nodes[2]
        rows = node.cql("SELECT * FROM ks.t")         # the Python driver, CONSISTENCY ALL
        node.nodetool("flush", "ks")                  # every tool of Cassandra: node.run("sstabledump", path)
        node.cqlsh("DESCRIBE KEYSPACES")
        node.data_directories, node.snapshots("monday"), node.bin  # bin/ holds nodetool, cqlsh, ... that point at this node
        node.restart(yaml={...}); node.kill(); node.start()

scripts/lib.sh fetches Cassandra and says by SSTABLEFS_CASSANDRA_5_0 and so on where it is. Nothing is left at the end of the
block, neither processes nor files, however it ends; also where the test run itself is killed.
"""

from .cluster import Cluster
from .install import VERSIONS
from .node import NONE, PASSWORD, TLS, Node, NodeError, ToolError

__all__ = ["NONE", "PASSWORD", "TLS", "VERSIONS", "Cluster", "Node", "NodeError", "ToolError"]
