# SPDX-License-Identifier: Apache-2.0
"""How long Cassandra takes to start on an overlay over the mount (`sstablefs clone`), against the same files on the local disk.

A node of many small SSTables is backed up whole to MinIO, and stopped. Each round starts it on hard links of what `sstablefs restore` made of the backup, and on a clone with an
empty cache; in every second round the other way round. The page cache is empty but for the programs. The clock runs until the first query is answered. In the first round
every row is read on the clone, and compared with what was written.

All lies below $TMPDIR, which must not be on overlayfs.
"""

import os
import re
import shutil
import sys
import time
from pathlib import Path
from statistics import median

import measure
import place
import real
from harness import run
from real import LIMIT_SECONDS, MIB

KEYSPACE, BACKUP = "startbench", "b"
GOAL = 1.1
FETCHED = re.compile(r'^sstablefs_store_bytes_total\{direction="in"\} (\d+)$', re.MULTILINE)


class Bench:
    def __init__(self, site, tables, rows):
        self.site, self.node, self.tables, self.rows = site, site.node, tables, rows
        self.results = {"disk": [], "clone": []}
        self.dropped = True
        self.repository = site.repository()
        self.backup()

    def backup(self):
        """Of the whole node, which is down afterwards; and what its files are without the overlay."""
        node = self.node
        node.nodetool("snapshot", "-t", BACKUP)
        self.made = self.repository.backup(node.data_directories, BACKUP, node=place.node_name(node), cluster=place.CLUSTER, timeout=LIMIT_SECONDS)
        node.drain()
        self.restored = self.site.directory / "restored"
        self.repository("restore", BACKUP, *self.whose(), self.restored, timeout=LIMIT_SECONDS)

    def whose(self):
        return ["--node", place.node_name(self.node), "--cluster", place.CLUSTER]

    def measure(self, way, directory, yaml, mount=None):
        """Starts the node and asks it for a row. The page cache has been dropped."""
        foreign, begun = real.Foreign(*([mount.pid] if mount else [])), time.monotonic()
        with real.running_on(self.node, directory, yaml):
            key = self.rows // 2
            (value,), = self.node.cql(f"SELECT v FROM {self.tables[key % len(self.tables)]} WHERE id = {key}")
            result = {"seconds": time.monotonic() - begun, "foreign": foreign.cores(), "cpu": measure.cpu_of(self.node.pid)}
            if value != real.value_of(key):
                raise measure.Failed(f"the row {key} is not what was written")
            if mount:
                result["mount_cpu"] = measure.cpu_of(mount.pid)
                result["fetched"] = int(FETCHED.search((mount.path / ".sstablefs/metrics").read_text())[1])
                if not self.results[way]:
                    real.check_rows(self.node, self.tables, self.rows)
        self.results[way].append(result)
        print(f"{way}: {result}", file=sys.stderr, flush=True)
        return result

    def disk(self, directory):
        data = directory / "data"
        run("cp", "-al", self.restored, data, timeout=LIMIT_SECONDS)
        self.dropped &= real.drop_caches(self.node)
        self.measure("disk", directory, {"data_file_directories": [str(data)]})

    def clone(self, directory):
        data = directory / "data"
        self.dropped &= real.drop_caches(self.node)
        begun = time.monotonic()
        made = self.repository.json("clone", BACKUP, *self.whose(), "-o", f"cache_dir={directory / 'cache'}", data, timeout=LIMIT_SECONDS)
        took = time.monotonic() - begun
        try:
            self.measure("clone", directory, made["yaml"], Served(Path(f"{data}.sstablefs/backup")))["clone"] = took
        finally:
            self.repository.program("clone", "--undo", data)

    def round(self, number):
        for way in (self.disk, self.clone) if number % 2 else (self.clone, self.disk):
            directory = self.site.directory / f"{way.__name__}{number}"
            directory.mkdir()
            way(directory)
            shutil.rmtree(directory)


class Served:
    """The mount below a clone."""

    def __init__(self, path):
        self.path = path
        self.pid = int(re.search(r"^pid: (\d+)$", (path / ".sstablefs/status").read_text(), re.MULTILINE)[1])


def table(results):
    """results: {"disk": [of each round], "clone": the same}."""
    disk, clone = results["disk"], results["clone"]
    ratios = [c["seconds"] / d["seconds"] for d, c in zip(disk, clone)]
    with_clone = [(c["seconds"] + c["clone"]) / d["seconds"] for d, c in zip(disk, clone)]

    def each(values, digits=2):
        return " / ".join(f"{value:.{digits}f}" for value in values)

    def line(name, found, *more):
        cpu = f"{median(r['cpu'] for r in found):.1f}" + (f" + {median(r['mount_cpu'] for r in found):.1f}" if "mount_cpu" in found[0] else "")
        return (f"| {name} | {median(r['seconds'] for r in found):.1f} | {each([r['seconds'] for r in found], 1)} | {' | '.join(more)} | {cpu} | "
                f"{each([r['foreign'] for r in found], 1)} |")

    return "\n".join([
        "| Cassandra starts on | first query answered after s | each round | times the local disk, each round | with the command itself | MiB fetched until then | CPU s of Cassandra + mount | other load |",
        "|---" * 8 + "|",
        line("the local disk", disk, "", "", ""),
        line("`sstablefs clone`", clone, each(ratios), each(with_clone), each([r["fetched"] / MIB for r in clone], 1)),
        f"\nGoal: at most {GOAL} times the local disk. Median {median(ratios):.2f}: {'met' if median(ratios) <= GOAL else 'not met'} in this run."])


def main():
    parser = real.parser("start", __doc__, mib=256)
    parser.add_argument("--tables", type=int, default=40, help="(default 40)")
    parser.add_argument("--flushes", type=int, default=9, help="of each table: tables x flushes SSTables of 8 files, and more where memory fills (default 9)")
    arguments = parser.parse_args()
    if os.geteuid():
        raise measure.Failed("only root can clone")
    with real.site("start", arguments) as site:
        rows = arguments.mib * MIB // real.ROW_BYTES
        bench = Bench(site, real.fill(site.node, KEYSPACE, arguments.tables, arguments.flushes, rows), rows)
        for number in range(1, arguments.rounds + 1):
            bench.round(number)
        print(table(bench.results))
        kind = run("findmnt", "-n", "-o", "FSTYPE", "-T", site.directory).strip()
    print(f"\nThe backup: {bench.made['total_bytes'] / MIB:.0f} MiB in {bench.made['files']} files; the local disk is {kind}. "
          f"{site.about('the node, MinIO and the mount')}" + ("" if bench.dropped else "; the page cache could not be dropped"))


if __name__ == "__main__":
    real.run("start", main)
