# SPDX-License-Identifier: Apache-2.0
"""What a backup of an unchanged node costs, nodetool apart: a synthetic node, MinIO, a warm page cache and warm local state."""

import argparse
import json
import os
import tempfile
from fractions import Fraction
from pathlib import Path
from statistics import median

import measure
import node as synthetic
import servers
from harness import Program


class Bench:
    def __init__(self, directory, server, files):
        self.server = server
        self.program = Program(os.environ["SSTABLEFS_BINARY"], directory / "p")
        self.program.environment.update(server.environment())
        self.repository = self.program.repository(server.url(server.make_bucket())).init()
        self.node = synthetic.Node(str(directory / "n1"), Fraction(1, 100_000), files)
        self.count = 0
        self.files = 0

    def backup(self, tag, *options):
        """One backup: its Sample, its requests by the server's own count."""
        self.count += 1
        words = self.repository.backup_arguments(self.node.data, tag, f"b{self.count}")
        sample, out = measure.run([self.program.binary, "-r", self.repository.url, "--json", *words, *options], self.program.environment,
                                  requests=self.server.count_requests)
        self.files = json.loads(out)["files"]
        return sample

    def find(self, tag):
        places = sorted(str(path) for path in Path(self.node.data).glob(f"*/*/snapshots/{tag}"))
        return measure.run(["find", *places, "-printf", "%p %i %s %T@\n"])[0]


def row(name, samples, base):
    seconds, cpu = median(s.seconds for s in samples), median(s.cpu for s in samples)
    requests = max(sum(s.requests.values()) for s in samples)
    memory = max(s.memory for s in samples)
    return f"| {name} | {seconds:.2f} | {cpu:.2f} | {seconds / base:.1f} | {requests} | {memory / (1 << 20):.0f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--backups", type=int, default=30, help="more backups of days that differ a little, before the last measurement")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sstablefs-bench-") as directory, servers.minio() as server:
        bench = Bench(Path(directory), server, arguments.files)
        for tag in ("day0", "day0again"):
            bench.node.snapshot(tag)
        first = [bench.backup("day0")]
        rounds = range(arguments.rounds)
        found = [bench.find("day0") for _ in rounds]
        same = [bench.backup("day0") for _ in rounds]
        again = [bench.backup("day0again")]
        reread = [bench.backup("day0", "--reread") for _ in rounds]
        bench.node.clear("day0again")
        for day in range(arguments.backups):
            bench.node.day()
            bench.node.snapshot(f"later{day}")
            bench.backup(f"later{day}")
            if day + 1 < arguments.backups:
                bench.node.clear(f"later{day}")
        later = [bench.backup(f"later{arguments.backups - 1}") for _ in rounds] if arguments.backups else []
    base = median(s.seconds for s in found)
    print(f"{bench.files} files\n\n| what | seconds | CPU s | times find | requests | MiB |\n|---|---|---|---|---|---|")
    print(row("`find -printf`", found, base))
    print(row("unchanged", same, base))
    print(row("unchanged, under another tag", again, base))
    if later:
        print(row(f"unchanged, after {arguments.backups} days of change", later, base))
    print(row("`--reread`", reread, base))
    print(row("the first", first, base))


if __name__ == "__main__":
    main()
