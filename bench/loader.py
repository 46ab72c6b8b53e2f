# SPDX-License-Identifier: Apache-2.0
"""How fast Cassandra's own tools restore from the mount, against the same files on the local disk.

A table of one node is backed up to MinIO, truncated and loaded again, by `nodetool import` and by `sstableloader`: from a copy on the local disk, from a fresh mount with an
empty cache (cold), and once more from the same mount (warm). Before the copy on disk and the cold mount are read the page cache is dropped. Rows are counted after each.
"""

import itertools
import shutil
import sys
import time
from statistics import median

import load
import measure
import place
import real
from cassandra_nodes import ToolError

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
    parser = real.parser("loader", __doc__, mib=512)
    parser.add_argument("--tool", choices=WAYS, action="append", help="only this one (default: all)")
    arguments = parser.parse_args()
    arguments.in_flight, arguments.row_bytes = 32, 16_000
    with real.site("loader", arguments, yaml={"auto_snapshot": False}) as site:
        node = site.node
        place.create_keyspace(node, KEYSPACE)
        node.cql(f"CREATE TABLE {KEYSPACE}.{TABLE} (id bigint PRIMARY KEY, v blob)")
        load.preload(node, arguments)
        node.nodetool("flush", KEYSPACE)
        with place.Backups(site.repository()) as backups:
            backup = backups.take(node, KEYSPACE)
            source = backups.table(node, backup, KEYSPACE, TABLE)
            copy = site.directory / "copy" / KEYSPACE / source.name
            shutil.copytree(source, copy)
            bench = Bench(node, backups, backup, copy, node.count(f"{KEYSPACE}.{TABLE}"), arguments.tool or list(WAYS))
            for number in range(1, arguments.rounds + 1):
                bench.round(number)
        print(bench.table())
    print(f"\n{arguments.mib} MiB, {arguments.rounds} rounds. {site.about('the node, MinIO, the mount and the tool')}"
          + ("" if bench.dropped else "; the page cache could not be dropped: cold is warm on the disk"))


if __name__ == "__main__":
    real.run("loader", main)
