# SPDX-License-Identifier: Apache-2.0
"""The first backup of a real Cassandra node by sstablefs and by Medusa, into the same MinIO: seconds, CPU, memory, and requests by the server's own counters. With --restore also
what each takes to make the node again what it was (restores.py).

Both back up the same snapshot, which is there before (`--own-snapshot`: each command takes one itself, as an operator would have it), from a page cache that is empty but for the
programs, into a bucket of their own. Medusa at its best settings: 16 transfers at once and 2000 MB/s for each; it always runs at nice 19 and in the idle I/O class. In the first
round each backup is brought back by its own tool, and every byte compared with the snapshot.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median

import data
import measure
import place
import real
import restores
from real import LIMIT_SECONDS, MIB
from tools import FAST, FAST_SETTINGS
from world import remove_bucket

KEYSPACE, TAG, NODE = "medusabench", "first", "n1"
GOAL_SPEED, GOAL_REQUESTS = 4, 0.1
# What of a snapshot the tools do not bring back: Medusa does not back it up; `restore` leaves Cassandra's own records of the snapshot to the mount.
RECORDS = ("manifest.json", "schema.cql")
MEDUSA_LEAVES_OUT = ("system_traces", *RECORDS)
SAME_PRIORITY = "[backup]\nnice = 19\nionice = idle\n"
# name: what it is, its options, its configuration
OURS = {"fast": ("`sstablefs backup`, 16 connections, all cores, nice 0", FAST, FAST_SETTINGS),
        "low": ("`sstablefs backup`, 16 connections, all cores, at Medusa's priority", FAST, SAME_PRIORITY),
        "shipped": ("`sstablefs backup`, as shipped", (), "")}
THEIRS = {"medusa": ("16 transfers, 2000 MB/s", {"concurrent_transfers": 16, "transfer_max_bandwidth": "2000MB/s"}), "medusa_shipped": ("as shipped", {})}


class Medusa:
    def __init__(self, bench, text, settings):
        self.bench, self.program, self.settings = bench, os.environ["SSTABLEFS_BENCH_MEDUSA"], settings
        self.text = f"Medusa {self.version()}, {text}"

    def version(self):
        python = Path(self.program).with_name("python")
        return subprocess.run([python, "-c", "import importlib.metadata as m; print(m.version('cassandra-medusa'))"], check=True, capture_output=True,
                              text=True).stdout.strip()

    def prepare(self, directory, bucket):
        site = self.bench.site
        commands = {f"{word}_cmd": self.bench.supervisor.command(site.node, word) for word in ("stop", "start")} if self.bench.supervisor else {}
        sections = {
            "storage": {"storage_provider": "s3_compatible", "bucket_name": bucket, "host": "127.0.0.1", "port": site.server.ports[0], "secure": False,
                        "region": site.server.region, "fqdn": site.node.address, "use_sudo_for_restore": False, **self.settings},
            "cassandra": {"config_file": site.node.config, "nodetool_executable": site.node.bin / "nodetool", "use_sudo": False, "resolve_ip_addresses": False,
                          **commands}}
        self.configuration = directory / "medusa.ini"
        self.configuration.write_text("".join(f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()) for name, keys in sections.items()))
        self.staging = directory / "staging"  # on the disk of the data, so that what it moves it renames
        self.staging.mkdir()
        # Its marker of a backup that runs is in TMPDIR; no module of ours may come in the way of its own.
        self.environment = {**site.server.environment(), "HOME": str(directory), "TMPDIR": str(directory), "PYTHONPATH": ""}

    def words(self, *arguments):
        return [self.program, "--config-file", self.configuration, *arguments]

    def backup(self):
        existing = [] if self.bench.own_snapshot else ["--use-existing-snapshot", "--keep-snapshot"]
        return self.words("backup-node", "--backup-name", TAG, *existing)

    def restore(self):
        return self.words("restore-node", "--in-place", "--backup-name", TAG, "--temp-dir", self.staging)

    def finish(self):
        return None

    def warm(self):
        return self.words("--help")

    def bring_back(self, where):
        """Returns what was left out: names of keyspaces and of files."""
        where.mkdir()
        measure.run(self.words("download", "--backup-name", TAG, "--download-destination", where), self.environment)
        for path in [path for path in where.iterdir() if path.is_file()]:  # its own records of the backup
            path.unlink()
        return MEDUSA_LEAVES_OUT


class Sstablefs:
    def __init__(self, bench, text, options, settings):
        self.bench, self.text, self.options, self.settings = bench, text, options, settings

    def prepare(self, directory, bucket):
        node, supervisor = self.bench.site.node, self.bench.supervisor
        keys = {"nodetool": node.bin / "nodetool", "cqlsh": node.bin / "cqlsh", "yaml": node.config, "node": NODE, **(supervisor.commands(node) if supervisor else {})}
        asked = "[cassandra]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())
        self.repository = self.bench.site.repository(bucket, name=directory.name + "/p", settings=self.settings + (asked if self.bench.own_snapshot else ""))
        self.environment = {**self.repository.program.environment, "HOME": str(node.home)}

    def words(self, *arguments):
        return [self.repository.program.binary, "-r", self.repository.url, "--json", *arguments]

    def backup(self):
        if self.bench.own_snapshot:
            return self.words("backup", "--name", TAG, *self.options)
        return self.words(*self.repository.backup_arguments(self.bench.site.node.data_directories, TAG, node=NODE, cluster=place.CLUSTER), *self.options)

    def restore(self):
        return self.words("restore-node", TAG, "--in-place", "--yes", *self.options)

    def finish(self):
        return self.words("restore-node", "--finish")

    def warm(self):
        """What it starts: it is warm itself, as nodetool is (real.drop_caches)."""
        return [self.bench.site.node.bin / "cqlsh", "--version"]

    def bring_back(self, where):
        measure.run(self.words("restore", TAG, "--node", NODE, where), self.environment)
        return RECORDS


class Unstaged(Sstablefs):
    """Restores where there is no room for both."""

    def restore(self):
        return [*super().restore(), "--no-stage"]

    def finish(self):
        return None


def tools_of(bench):
    return {**{name: Medusa(bench, *how) for name, how in THEIRS.items()}, **{name: Sstablefs(bench, *how) for name, how in OURS.items()}}


def restorers_of(bench):
    text, options, settings = OURS["fast"]
    found = {name: tool for name, tool in tools_of(bench).items() if name in ("medusa", "fast", "shipped")}
    return {**found, "unstaged": Unstaged(bench, f"{text}, `--no-stage`", options, settings)}


class Bench:
    supervisor = None  # nobody is stopped

    def __init__(self, site):
        self.site, self.own_snapshot = site, site.arguments.own_snapshot
        self.tools = tools_of(self)
        self.samples, self.dropped = {name: [] for name in self.tools}, True
        site.node.nodetool("snapshot", "-t", TAG)
        self.files = {}  # {path below data/: (path on disk, size)}
        for directory in site.node.data_directories[0].glob(f"*/*/snapshots/{TAG}"):
            table = directory.parents[1].relative_to(site.node.data_directories[0])
            self.files |= {str(table / path.relative_to(directory)): (path, path.stat().st_size) for path in directory.rglob("*") if path.is_file()}
        self.bytes = sum(size for _, size in self.files.values())

    def verify(self, tool, where):
        """That the tool brings back what it backed up. Of a snapshot of its own only the tables that are not Cassandra's can be told beforehand."""
        left_out = set(tool.bring_back(where))
        expected = {name: found for name, found in self.files.items() if left_out.isdisjoint(Path(name).parts)}
        if self.own_snapshot:
            expected = {name: found for name, found in expected.items() if name.startswith(f"{KEYSPACE}/")}
            for path in where.iterdir():
                if path.name != KEYSPACE:
                    shutil.rmtree(path)
        data.Files(expected).verify(where, whole=True)

    def row(self, name, number, limit=None):
        """One backup: its Sample. In the first round it is brought back and compared. limit: the seconds that it may take."""
        tool, node, directory = self.tools[name], self.site.node, self.site.directory / f"{name}{number}"
        bucket = self.site.server.make_bucket()
        directory.mkdir()
        try:
            tool.prepare(directory, bucket)
            self.dropped &= real.drop_caches(node)
            measure.run(tool.warm(), tool.environment)
            server = measure.children_of(self.site.server.guard.pid)[0]
            sample, _ = measure.run(tool.backup(), tool.environment, {"server": server, "cassandra": node.pid}, self.site.server.count_requests,
                                    limit or LIMIT_SECONDS)
            print(f"round {number}: {name}: {sample.seconds:.1f} s, {json.dumps(sample.requests)}", file=sys.stderr, flush=True)
            if number == 1:
                self.verify(tool, directory / "back")
        finally:
            shutil.rmtree(directory)
            remove_bucket(self.site.server, bucket)
        self.samples[name].append(sample)
        return sample


def table(texts, samples):
    """texts, samples: {name: what it is}, {name: [Sample of each round]}, both with "medusa" and "fast"."""
    def each(values, digits=2):
        return " / ".join(f"{value:.{digits}f}" for value in values)

    def against(name):
        """Of each round: how many times Medusa's speed, and which part of its requests."""
        pairs = list(zip(samples["medusa"], samples[name]))
        return [m.seconds / s.seconds for m, s in pairs], [sum(s.requests.values()) / sum(m.requests.values()) for m, s in pairs]

    lines = ["| first backup by | seconds | each round | times Medusa's speed | requests | part of Medusa's | CPU s | peak MiB | other load |", "|---" * 9 + "|"]
    for name, found in samples.items():
        speed, part = ("", "") if name == "medusa" else (each(against(name)[0]), each(against(name)[1], 3))
        last = found[-1].requests
        requests = ", ".join(f"{count} {kind}" for kind, count in sorted(last.items(), key=lambda item: -item[1])[:4])
        lines.append(f"| {texts[name]} | {median(s.seconds for s in found):.1f} | {each([s.seconds for s in found], 1)} | {speed} | {sum(last.values())}: {requests} | "
                     f"{part} | {median(s.cpu for s in found):.1f} | {max(s.memory for s in found) / MIB:.0f} | {each([s.foreign for s in found], 1)} |")
    speed, part = (median(values) for values in against("fast"))
    return "\n".join(lines) + (
        f"\n\nGoals, {texts['fast']}: at least {GOAL_SPEED} times Medusa's speed: {speed:.2f}, {'met' if speed >= GOAL_SPEED else 'not met'} in this run; "
        f"at most {GOAL_REQUESTS} of its requests: {part:.3f}, {'met' if part <= GOAL_REQUESTS else 'not met'}")


def main():
    parser = real.parser("medusa", __doc__, mib=1800)
    parser.add_argument("--tables", type=int, default=40, help="(default 40)")
    parser.add_argument("--flushes", type=int, default=9, help="of each table: tables x flushes SSTables of 8 files, and more where memory fills (default 9)")
    parser.add_argument("--own-snapshot", action="store_true", help="each command takes a snapshot itself, and clears it")
    parser.add_argument("--restore", action="store_true", help="restore the node by each tool, too")
    arguments = parser.parse_args()
    with real.site("medusa", arguments) as site:
        rows = arguments.mib * MIB // real.ROW_BYTES
        tables = real.fill(site.node, KEYSPACE, arguments.tables, arguments.flushes, rows)
        bench = Bench(site)
        for number in range(1, arguments.rounds + 1):
            for name in bench.tools:
                if name != "medusa_shipped" or number == 1:  # slow, and nothing is compared with it
                    bench.row(name, number)
        print(table({name: tool.text for name, tool in bench.tools.items()}, bench.samples), flush=True)
        if arguments.restore:
            print("\n" + restores.measured(site, restorers_of, tables, rows), flush=True)
    how = ("a snapshot of its own each; in the first round every byte of the tables that are not Cassandra's own came back" if arguments.own_snapshot else
           "the same snapshot each; in the first round every byte came back")
    print(f"\n{len(bench.files)} files, {bench.bytes / MIB:.0f} MiB, {how}. {site.about('the node, MinIO and the backup')}" + ("" if bench.dropped else "; the page cache could not be dropped"))


if __name__ == "__main__":
    real.run("medusa", main)
