# SPDX-License-Identifier: Apache-2.0
"""Where Cassandra and its Java are on this machine, and how its classes are started."""

import os
from pathlib import Path

VERSIONS = ("5.0", "4.1")

EXPORTS = """java.base/jdk.internal.misc java.base/java.lang.ref java.management.rmi/com.sun.jmx.remote.internal.rmi
java.management/com.sun.jmx.remote.security java.rmi/sun.rmi.registry java.rmi/sun.rmi.server java.sql/java.sql
java.base/jdk.internal.ref java.base/sun.nio.ch jdk.unsupported/sun.misc""".split()
OPENS = """java.base/java.lang.module java.base/jdk.internal.loader java.base/jdk.internal.ref
java.base/jdk.internal.reflect java.base/jdk.internal.math java.base/jdk.internal.module
java.base/jdk.internal.util.jar java.base/sun.nio.ch java.base/java.io java.base/java.lang.reflect
java.base/java.lang java.base/java.util java.base/java.nio jdk.management/com.sun.management.internal""".split()

# The name of a tool in Cassandra's own bin/ or tools/bin/, and its class.
TOOLS = {
    "nodetool": "NodeTool",
    "sstabledump": "SSTableExport",
    "sstableexpiredblockers": "SSTableExpiredBlockers",
    "sstablelevelreset": "SSTableLevelResetter",
    "sstableloader": "BulkLoader",
    "sstablemetadata": "SSTableMetadataViewer",
    "sstableofflinerelevel": "SSTableOfflineRelevel",
    "sstablerepairedset": "SSTableRepairedAtSetter",
    "sstablescrub": "StandaloneScrubber",
    "sstablesplit": "StandaloneSplitter",
    "sstableupgrade": "StandaloneUpgrader",
    "sstableutil": "StandaloneSSTableUtil",
    "sstableverify": "StandaloneVerifier",
}
TOOLS_5_0 = {"sstablepartitions": "SSTablePartitions"}


class Installation:
    """One version of Cassandra."""

    def __init__(self, version):
        if version not in VERSIONS:
            raise ValueError(f"there is no Cassandra {version} here, only {', '.join(VERSIONS)}")
        self.version = version
        self.lib = self._named("SSTABLEFS_CASSANDRA_" + version.replace(".", "_")) / "lib"
        self.java_of_nodetool = self._named("SSTABLEFS_JAVA_17")
        self.java = self.java_of_nodetool if version == "5.0" else self._named("SSTABLEFS_JAVA_11")
        self.tools = {**TOOLS, **(TOOLS_5_0 if version == "5.0" else {})}
        self.agent, = self.lib.glob("jamm-*.jar")

    @staticmethod
    def _named(variable):
        path = Path(os.environ.get(variable, "/nowhere"))
        if not path.exists():
            raise RuntimeError(f"{variable} does not name what is there; run by scripts/check cassandra or tests/cassandra/run")
        return path

    @staticmethod
    def module_flags():
        return [f"--add-exports={m}=ALL-UNNAMED" for m in EXPORTS] + [f"--add-opens={m}=ALL-UNNAMED" for m in OPENS]
