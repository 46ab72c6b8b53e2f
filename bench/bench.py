# SPDX-License-Identifier: Apache-2.0
"""Measures sstablefs on a synthetic node and a real MinIO, as ratios of runs that follow one another on this machine.

Each round does everything once, in the same order, on a bucket of its own; a ratio is that of two runs of one round.
Before each timed run the page cache is dropped (not with --smoke), and a mount is fresh with an empty cache. What was copied
is removed at the end where there is room: ext4 makes files slowly in the minutes after it deleted many.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import days
import measure
import servers
from node import Node
from report import Report
from rounds import Bench

WIDE_FILES = 16_000  # some 220 MB
NOT_RUN = {"": "not run"}


def parse_arguments():
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=Fraction, help="sizes of Data.db, of those of a real node (default 1/1000)")
    parser.add_argument("--files", type=int, help="files of the node (default 12000; a real one has 60000)")
    parser.add_argument("--small-files", type=int, help="files of the set of small files (default 6000)")
    parser.add_argument("--days", type=int, help="day-steps for the size of the metadata (default 30; 0: none)")
    parser.add_argument("--rounds", type=int, help="(default 3)")
    parser.add_argument("--requests-files", type=int,
                        help="files of the node whose first backup's requests are counted (default 60000; 0: none)")
    parser.add_argument("--smoke", action="store_true", help="everything once, as small as it can be")
    parser.add_argument("--long", action="store_true", help="60000 files and 365 day-steps")
    parser.add_argument("--directory", help="where to work (default: a temporary one)")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    given = parser.parse_args()
    default = {"scale": Fraction(1, 1000), "files": 12_000, "small_files": 6_000, "days": 30, "rounds": 3,
               "requests_files": 60_000}
    if given.smoke:
        default = {"scale": Fraction(1, 20_000), "files": 600, "small_files": 240, "days": 2, "rounds": 1, "requests_files": 0}
    if given.long:
        default.update(files=60_000, small_files=24_000, days=365)
    for name, value in default.items():
        if getattr(given, name) is None:
            setattr(given, name, value)
    return given


def measure_all(arguments, binary, work, report):
    with servers.minio() as server:
        bench = Bench(binary, work, server, report, cold=not arguments.smoke)
        print(f"making a node of {arguments.files} files at {arguments.scale}", file=sys.stderr, flush=True)
        node = bench.nodes["n1"] = Node(str(work / "n1"), arguments.scale, arguments.files)
        node.snapshot("day0")
        node.day()
        node.snapshot("day1")
        bench.nodes["small"] = Node(str(work / "small"), 1, arguments.small_files,
                                    small_tables=min(60, arguments.small_files // 24))
        bench.nodes["small"].snapshot("day0")
        if not arguments.smoke:
            bench.nodes["wide"] = Node(str(work / "wide"), 1, WIDE_FILES, small_tables=1)
            bench.nodes["wide"].snapshot("day0")
        for number in range(1, arguments.rounds + 1):
            print(f"round {number} of {arguments.rounds}", file=sys.stderr, flush=True)
            bench.run_round(number, fast=not arguments.smoke)
        if arguments.requests_files:
            print("counting requests", file=sys.stderr, flush=True)
            bench.count_requests(arguments.requests_files)
        else:
            report.facts["Requests of a first backup of a real node's count of files"] = NOT_RUN
    if arguments.days:
        print(f"{arguments.days} days", file=sys.stderr, flush=True)
        report.facts[f"Metadata of {arguments.days} day-steps, in a directory"] = days.measure_days(
            binary, work / "days", arguments.files, arguments.days)
    else:
        report.facts["Metadata of day-steps"] = NOT_RUN


def main():
    arguments = parse_arguments()
    binary = Path(os.environ["SSTABLEFS_BINARY"]).resolve()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    report = Report()
    work = Path(tempfile.mkdtemp(prefix="sstablefs-bench-", dir=arguments.directory))
    load = os.getloadavg()[0]
    try:
        measure_all(arguments, binary, work, report)
    except measure.Failed as failure:
        report.failures["run"] = str(failure)
        print(f"bench: {failure}", file=sys.stderr)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    report.facts["The machine"] = {"load before and after": f"{load:.1f}, {os.getloadavg()[0]:.1f}",
                                   "cores": len(os.sched_getaffinity(0)), "server": "MinIO, on the same cores"}
    print(report.text())
    if arguments.json:
        parameters = {k: str(v) for k, v in vars(arguments).items() if k not in ("json", "directory")}
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(report.json(parameters), indent=1) + "\n")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
