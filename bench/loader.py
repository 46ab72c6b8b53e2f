# SPDX-License-Identifier: Apache-2.0
"""How fast Cassandra's own tools restore from the mount, against the same files on the local disk.

A table of one node is backed up to MinIO, truncated and loaded again, by `nodetool import` and by `sstableloader`: from a copy on the local disk, from a fresh mount with an
empty cache (cold), and once more from the same mount (warm). Before the copy on disk and the cold mount are read the page cache is dropped. Rows are counted after each.
"""

import argparse
import itertools
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import load
import measure
import place
import report
import servers
from cassandra_nodes import Cluster, ToolError
from harness import Program

KEYSPACE, TABLE = "load", "rows"


def nodetool_import(node, source):
    node.nodetool("import", "--copy-data", "-l", "-r", KEYSPACE, TABLE, source, timeout=1800)


def sstableloader(node, source):
    node.run("sstableloader", "-d", node.address, "-t", "0", source, timeout=1800)


WAYS = {"nodetool import": nodetool_import, "sstableloader": sstableloader}
FROM = ("disk, cold", "disk, warm", "mount, cold", "mount, warm")


class Bench:
    def __init__(self, node, backups, backup, copy, rows, ways):
        self.node, self.backups, self.backup, self.copy, self.rows = node, backups, backup, copy, rows
        self.ways = ways
        self.seconds, self.failed, self.dropped = {}, {}, True

    def measure(self, way, where, number, source):
        self.node.cql(f"TRUNCATE {KEYSPACE}.{TABLE}")
        if "cold" in where:
            self.dropped &= measure.drop_caches()
        begun = time.monotonic()
        try:
            WAYS[way](self.node, source)
        except ToolError as error:
            self.failed[way, where] = next((line for line in str(error).splitlines() if "Exception" in line), str(error))[:300]
            return
        seconds = time.monotonic() - begun
        count = self.node.count(f"{KEYSPACE}.{TABLE}")
        if count != self.rows:
            self.failed[way, where] = f"{count} rows of {self.rows}"
            return
        self.seconds.setdefault((way, where), {})[number] = seconds
        print(f"round {number}: {way}: {where}: {seconds:.1f} s", file=sys.stderr, flush=True)

    def round(self, number):
        for way in self.ways:
            for where in FROM[:2]:
                self.measure(way, where, number, self.copy)
            cache = self.backups.repository.program.directory / f"cache{number}{len(way)}"
            with self.backups.repository.mount(f"cache_dir={cache}") as mount:
                data = mount.data(self.backup, place.node_name(self.node), place.CLUSTER) / KEYSPACE
                for where in FROM[2:]:
                    self.measure(way, where, number, next(data.glob(f"{TABLE}-*")))

    def table(self):
        lines = ["| tool | from | seconds | speed against the disk, as cold or warm |", "|---" * 4 + "|"]
        for way, where in itertools.product(self.ways, FROM):
            rounds = self.seconds.get((way, where))
            if not rounds:
                lines.append(f"| {way} | {where} | | failed: {' '.join(self.failed.get((way, where), 'not run').split())[:200]} |")
                continue
            base = self.seconds.get((way, where.replace("mount", "disk")), {})
            ratios = " / ".join(f"{v:.2f}" for v in sorted(base[n] / s for n, s in rounds.items() if n in base))
            lines.append(f"| {way} | {where} | {median(rounds.values()):.1f} | {ratios} |")
        return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(prog="bench/loader", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", default="5.0", help="of Cassandra: 5.0 (default) or 4.1")
    parser.add_argument("--heap", default="1G", help="of the node (default 1G)")
    parser.add_argument("--mib", type=int, default=512, help="data of the table (default 512)")
    parser.add_argument("--rounds", type=int, default=3, help="(default 3)")
    parser.add_argument("--tool", choices=WAYS, action="append", help="only this one (default: all)")
    arguments = parser.parse_args()
    arguments.in_flight, arguments.row_bytes = 32, 16_000
    with tempfile.TemporaryDirectory(prefix="sstablefs-loader-") as work, servers.minio() as server, \
            Cluster(arguments.version, heap=arguments.heap, yaml={"auto_snapshot": False}) as cluster:
        node = cluster.node
        place.create_keyspace(node, KEYSPACE)
        node.cql(f"CREATE TABLE {KEYSPACE}.{TABLE} (id bigint PRIMARY KEY, v blob)")
        load.preload(node, arguments)
        node.nodetool("flush", KEYSPACE)
        program = Program(os.environ["SSTABLEFS_BINARY"], Path(work) / "p")
        program.environment.update(server.environment())
        with place.Backups(program.repository(server.url(server.make_bucket())).init()) as backups:
            backup = backups.take(node, KEYSPACE)
            source = backups.table(node, backup, KEYSPACE, TABLE)
            copy = Path(work) / "copy" / KEYSPACE / source.name
            shutil.copytree(source, copy)
            bench = Bench(node, backups, backup, copy, node.count(f"{KEYSPACE}.{TABLE}"), arguments.tool or list(WAYS))
            for number in range(1, arguments.rounds + 1):
                bench.round(number)
        print(bench.table())
    machine = report.machine()
    print(f"\n{machine['processor']}, {machine['cores']} cores for the node, MinIO, the mount and the tool together; Cassandra {arguments.version}, heap "
          f"{arguments.heap}; {arguments.mib} MiB, {arguments.rounds} rounds; load of the machine now {os.getloadavg()[0]:.1f}"
          + ("" if bench.dropped else "; the page cache could not be dropped: cold is warm on the disk"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
