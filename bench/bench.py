# SPDX-License-Identifier: Apache-2.0
"""Measures sstablefs beside its peers on a real MinIO, as ratios of runs that follow one another on this machine.

A case is rows that are compared with each other. Each round runs every row of every case once, in turn; a ratio is that of two runs of
one round. Before each timed run the page cache is dropped (not with --smoke); a mount is fresh and the caches of all tools are empty. What was
copied is compared with the source, in the first round byte by byte. docs/performance.md says what the rows mean.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import cases
import days
import link
import measure
import plots
import servers
import tools
from report import Report, machine
from world import World

SMOKE_SCALE = Fraction(1, 250)
SMOKE_PEER_SECONDS = 10
BUDGET_MINUTES, GRACE_MINUTES = 54, 4
OUR_SECONDS = 300
SMOKE_PEER_CASES = ("large", "backup")
PATIENT_SECONDS = 300


def parse_arguments():
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [case.name for case in cases.all_cases()]
    parser.add_argument("--case", help=f"only these, with commas between them: {', '.join(names)}")
    parser.add_argument("--row", help="only rows whose names match these, with commas between them, and what they are compared with")
    parser.add_argument("--rounds", type=int, help="(default 3)")
    parser.add_argument("--scale", type=Fraction, default=Fraction(1), help="of the sizes and counts of the data (default 1)")
    parser.add_argument("--link", choices=sorted(link.RATES), help="over this link instead of the case's own")
    parser.add_argument("--delay", type=int, help="milliseconds each way, instead of the case's own")
    parser.add_argument("--budget", type=float, default=BUDGET_MINUTES,
                        help=f"begin no row after so many minutes; the most important come first (default {BUDGET_MINUTES})")
    parser.add_argument("--peer-seconds", type=float, default=40, help="how long a run of another tool may take (default 40)")
    parser.add_argument("--days", type=int, default=0, help="and the metadata of so many backups, day by day, in a directory (default: not)")
    parser.add_argument("--no-peers", action="store_true", help="only sstablefs and what it is compared with")
    parser.add_argument("--smoke", action="store_true", help="everything once, as small as it can be")
    parser.add_argument("--directory", help="where to work: some 30 GB for all of it, not on overlayfs (default: a temporary one)")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--plots", type=Path, help="write plots of them into this directory")
    given = parser.parse_args()
    given.rounds = given.rounds or (1 if given.smoke else 3)
    if given.smoke:
        given.scale, given.peer_seconds = SMOKE_SCALE, SMOKE_PEER_SECONDS
    if given.case and set(given.case.split(",")) - set(names):
        parser.error(f"the cases are: {', '.join(names)}")
    rows = {row.name for case in chosen(given) for row in case.rows}
    if given.row and (unknown := set(given.row.split(",")) - rows):
        parser.error(f"there is no row {', '.join(sorted(unknown))} in these cases; there are: {', '.join(sorted(rows))}")
    if given.directory:
        tempfile.tempdir = given.directory
    return given


def chosen(arguments):
    found = [case for case in cases.all_cases() if not arguments.case or case.name in arguments.case.split(",")]
    if arguments.link or arguments.delay is not None:
        for case in found:
            case.rate, case.delay = arguments.link or case.rate, case.delay if arguments.delay is None else arguments.delay
    return found


class OutOfTime(BaseException):
    """The run has taken longer than its budget and a grace."""


class Run:
    """Fills a Report. save is called after each row, so that what was measured outlives whatever ends the run."""

    def __init__(self, arguments, world, report, save):
        self.arguments, self.world, self.report, self.save = arguments, world, report, save
        self.begun = time.monotonic()

    def minutes(self):
        return (time.monotonic() - self.begun) / 60

    def wanted(self, case):
        """Rows to run: those asked for, and those that they are compared with."""
        if not self.arguments.row:
            return {row.name for row in case.rows}
        rows = {row.name: row for row in case.rows}
        asked = [name for name in self.arguments.row.split(",") if name in rows]
        for name in asked:
            asked += [other for other in (rows[name].against, *rows[name].best_of) if other in rows and other not in asked]
        return {found for name in asked for found in (name, self.filler(case, rows[name]).name)}

    @staticmethod
    def filler(case, row):
        """The row whose run fills this one: itself, or that of which its name is the longest continuation."""
        if row.run or row.best_of:
            return row
        return max((other for other in case.rows if other.run and row.name.startswith(other.name)), key=lambda other: len(other.name))

    def excuse(self, case, row, number):
        """Why the row is not run; "" where it is."""
        if self.minutes() > self.arguments.budget:
            return f"--budget {self.arguments.budget:g}"
        if row.peer and self.arguments.smoke and case.name not in SMOKE_PEER_CASES:
            return f"--smoke: other tools only in {' and '.join(SMOKE_PEER_CASES)}"
        if row.peer and self.arguments.no_peers:
            return "--no-peers"
        if row.patience and row.patience not in self.world.stored and self.arguments.peer_seconds < PATIENT_SECONDS:
            return f"storing its data takes minutes: --peer-seconds {PATIENT_SECONDS}"
        if row.once and number > 1:
            return "run in the first round only"
        return self.report.why.get(row.name, "")

    def why(self, case, row, text, failed=False):
        """That a row has no figure, and those that it fills."""
        for name in (other.name for other in case.rows if self.filler(case, other) is row):
            self.report.why[name] = text
            if failed:
                self.report.failed.add(name)

    def row(self, case, row, number):
        if why := self.excuse(case, row, number):
            if not self.report.samples[row.name]:
                self.why(case, row, why)
            return
        self.world.round, self.world.whole = number, number == 1
        self.world.limit = (self.arguments.peer_seconds if self.arguments.smoke else max(row.limit, self.arguments.peer_seconds)) if row.peer else OUR_SECONDS
        try:
            result = row.run(self.world)
        except measure.NotHere as missing:
            self.why(case, row, str(missing))
        except measure.TooSlow as late:
            self.why(case, row, str(late))
            self.report.late[row.name] = self.world.limit or measure.LIMIT_SECONDS
            print(f"  {row.name}: {late}", file=sys.stderr, flush=True)
        except Exception as failure:  # whatever it was, the other rows are run
            text = str(failure) if isinstance(failure, measure.Failed) else f"{type(failure).__name__}: {failure}"
            self.why(case, row, text, failed=True)
            print(f"  {row.name}: {text}", file=sys.stderr, flush=True)
        else:
            for suffix, sample in (result if isinstance(result, dict) else {"": result}).items():
                self.report.add(row.name + suffix, number, sample)
                print(f"  {row.name}{suffix}: {sample.seconds:.2f} {row.unit}", file=sys.stderr, flush=True)
        finally:
            self.world.limit = None

    def sizes(self):
        self.report.sizes.update({name: (len(files.files), files.bytes) for name, files in self.world.sets.items()} | self.world.sizes)

    def rounds(self, case, numbers):
        wanted = self.wanted(case)
        for number in numbers:
            print(f"{case.name}, round {number} of {self.arguments.rounds}, after {self.minutes():.1f} min", file=sys.stderr, flush=True)
            for row in case.rows:
                if row.name not in wanted:
                    self.report.why[row.name] = "not asked for by --row"
                elif row.run:
                    self.row(case, row, number)
                elif row.best_of:
                    self.report.best(row, number)
                self.sizes()
                self.save()

    def on_its_link(self, case):
        if case.rate == "none" and not case.delay and case.name != "proxy":
            return contextlib.nullcontext(link.NONE)
        if why := link.missing(self.world.proxy):
            raise measure.NotHere(why)
        return link.made(case.rate, case.delay, self.world.server.ports[0], self.world.proxy)

    def on_its_stage(self, case):
        if not case.stage:
            return contextlib.nullcontext()
        if self.arguments.smoke:
            raise measure.NotHere("--smoke: no Cassandra")
        return case.stage(self.world)

    def visit(self, case, numbers):
        """Some rounds of a case, on its link and its stage."""
        if not self.wanted(case) or not any(not self.excuse(case, row, number) for row in case.rows for number in numbers if row.run):
            numbers = numbers if self.wanted(case) else []
            return self.rounds(case, numbers)
        try:
            with self.on_its_link(case) as self.world.link, self.on_its_stage(case) as self.world.stage:
                self.rounds(case, numbers)
        except Exception as failure:  # of the link or the stage: the other cases are run
            text = str(failure) if isinstance(failure, measure.Failed) else f"{type(failure).__name__}: {failure}"
            print(f"{case.name}: {text}", file=sys.stderr, flush=True)
            for row in case.rows:
                if not self.report.samples[row.name]:
                    self.why(case, row, text, failed=not isinstance(failure, measure.NotHere))
        finally:
            self.world.link, self.world.stage = link.NONE, None
            self.save()

    def all(self, found):
        every = range(1, self.arguments.rounds + 1)
        for number in every:
            for case in found:
                if not case.last and not (case.stage and number > 1):
                    self.visit(case, every if case.stage else [number])
        for case in found:
            if case.last:
                self.visit(case, every)


class Output:
    """Where a run's figures go, again and again while it runs: each file is whole at any time."""

    def __init__(self, arguments, report):
        self.arguments, self.report = arguments, report
        self.parameters = {k: str(v) for k, v in vars(arguments).items() if k not in ("json", "plots", "directory")}

    def save(self, finished=False):
        if path := self.arguments.json:
            path.parent.mkdir(parents=True, exist_ok=True)
            figures = self.report.json(self.parameters) | {"finished": finished}
            for target, text in ((path, json.dumps(figures, indent=1)), (path.with_suffix(".md"), self.report.text())):
                new = target.with_name(f"{target.name}.new")
                new.write_text(text + "\n")
                new.replace(target)


def out_of_time(*_):
    raise OutOfTime


def main():
    arguments = parse_arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    signal.signal(signal.SIGALRM, out_of_time)
    signal.setitimer(signal.ITIMER_REAL, 60 * (arguments.budget + GRACE_MINUTES))
    found = chosen(arguments)
    report, finished = Report(found), False
    output = Output(arguments, report)
    work = Path(tempfile.mkdtemp(prefix="sstablefs-bench-", dir=arguments.directory))
    load = os.getloadavg()[0]
    try:
        with servers.minio() as server:
            world = World(work, server, arguments.scale, not arguments.smoke, os.environ.get("SSTABLEFS_BENCH_DELAY", ""))
            facts = report.facts["The machine"] = {**machine(), "server": "MinIO, on the same cores"}
            report.facts["Versions"] = tools.versions(world)
            Run(arguments, world, report, output.save).all(found)
            facts |= {"load average before and after": f"{load:.1f}, {os.getloadavg()[0]:.1f}", "page cache dropped before each cold run": world.caches_dropped}
            finished = True
        if arguments.days:
            files = max(600, int(12_000 * arguments.scale))
            report.facts[f"Metadata of {arguments.days} day-steps of {files} files"] = days.measure_days(tools.Sstablefs(world).program, work / "days", files,
                                                                                                    arguments.days)
    except OutOfTime:
        print(f"the run was ended {GRACE_MINUTES} minutes after its budget", file=sys.stderr, flush=True)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        shutil.rmtree(work, ignore_errors=True)
        if finished and arguments.smoke and not (arguments.case or arguments.row):
            report.demand(row for case in found if not case.stage for row in case.rows if not row.peer)
        print(report.text(), flush=True)
        output.save(finished)
    if arguments.plots:
        plots.draw(report, arguments.plots)
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
