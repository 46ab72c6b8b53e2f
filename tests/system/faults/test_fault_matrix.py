# SPDX-License-Identifier: Apache-2.0
"""Each request of a backup, a mount session, a restore and the commands that read fails once, in each way that a network knows.

One fault is transient: the run must succeed with the right bytes, but for the few cases in MAY_FAIL. Requests are counted by MinIO. In the daily
check each request fails in one way, drawn by a seed that is printed (SSTABLEFS_SEED repeats it); with SSTABLEFS_LONG=1 in every way.
"""

import os
import random
import time
from collections import Counter

import pytest

from faultproxy import MODES
from harness import DONE, LONG, in_threads, wait_until
from scenarios import EXTRA_REQUESTS, SCENARIOS, Command, Run

SEED = int(os.environ.get("SSTABLEFS_SEED") or time.time())
REACH_ATTEMPTS = 4  # requests overtake each other: one that a run did not make is tried again
BASELINES = 3  # runs without a fault: how much a mount reads ahead, in how many requests, depends on the moment
STALL_LANES = 24  # that wait at the same time
STALLED_DAILY = 12
DAILY_AT_MOST = {"verify": 8}  # of its requests; restore makes the like

# (mode, what is asked) that may end in a clean error, or leave something out of what a command tells. A listing has no digest: a bit that is flipped in
# a name or an ETag cannot be told from another name; the error is that of what does not exist under it (docs/reliability.md).
MAY_FAIL = {("flipped", "LIST")}


def may_fail(mode, kind):
    return (mode, kind.split()[0]) in MAY_FAIL


def applies(mode, kind):
    """A HEAD has no body."""
    return not (kind.startswith("HEAD") and mode in ("flipped", "longer"))


def sampled(name, slots):
    """One mode for each request, all modes as often as each other; those that stall are a test of their own."""
    chance = random.Random(f"{name} {SEED}")
    if name in DAILY_AT_MOST:
        slots = chance.sample(slots, DAILY_AT_MOST[name])
    modes, drawn, all_modes = [], [], [mode for mode in MODES if mode != "stalled"]
    for slot in slots:
        for _ in range(2 * len(MODES)):
            modes = modes or chance.sample(all_modes, len(all_modes))
            mode = modes.pop(0)
            if applies(mode, slot[0]):
                drawn.append((slot, mode))
                break
            modes.append(mode)
    return drawn


def run_together(master, runs):
    """Each in a lane of its own. MinIO must have counted what passed the proxies."""
    in_threads([run.prepare for run in runs])
    before = sum(master.server.requests().values())
    in_threads([run.run for run in runs])

    def counted():
        return sum(master.server.requests().values()) - before

    def passed():
        return sum(run.requests() for run in runs)

    # A request is counted when it ends.
    wait_until(lambda: counted() == passed(), 60, f"MinIO counted {counted()} requests, {passed()} passed the proxies")


class Judge:
    """Of one scenario: what it does without a fault, and what became of the runs with one."""

    def __init__(self, name, master):
        self.master, self.scenario, self.name = master, SCENARIOS[name], name
        self.codes, self.missed, self.failures, self.counted, self.ran = Counter(), [], [], 0, Counter()
        runs = [Run(self.scenario, master.lane(number)) for number in range(BASELINES)]
        run_together(master, runs)
        for run in runs:
            assert run.judge() == DONE, run.answer
        self.baseline = max(runs, key=lambda run: run.seen)
        self.least = {kind: min(run.kinds.get(kind, 0) for run in runs) for kind in self.baseline.kinds}

    def slots(self):
        """Requests that every run makes."""
        return [(kind, number) for kind, count in sorted(self.least.items()) for number in range(count)]

    def note(self, run):
        what = f"{run.mode} in {run.slot}"
        self.counted += run.requests()
        try:
            code = run.judge()
        except AssertionError as failure:
            if may_fail(run.mode, run.slot[0]) and isinstance(self.scenario, Command):
                self.codes["0, something left out"] += 1
            else:
                self.failures.append(f"{what}: {failure}")
            return
        if not run.reached:
            return
        self.codes[code] += 1
        self.ran[run.mode] += 1
        if code != DONE and not may_fail(run.mode, run.slot[0]):
            self.failures.append(f"{what} ended with {code}: {run.answer.err or run.answer.out}")
        if run.seen > self.baseline.seen + EXTRA_REQUESTS + run.looks():
            self.failures.append(f"{what}: {run.seen} requests, {self.baseline.seen} without a fault: {run.kinds}, {self.baseline.kinds}")

    def report(self, record_property, began):
        total = sum(self.codes.values())
        outcomes = ", ".join(f"{count} x exit {code}" for code, count in sorted(self.codes.items(), key=str))
        modes = ", ".join(self.ran) if len(self.ran) == 1 else f"{len(self.ran)} modes"
        line = (f"faults: {self.name}: {self.baseline.seen} requests (MinIO counted {self.counted} in all), {total} runs with one "
                f"fault each, {modes}: {outcomes}; {len(self.missed)} not reached; {time.monotonic() - began:.0f} s; seed {SEED}")
        record_property("ran", line)
        print(line, *self.missed, *self.failures, sep="\n")
        assert not self.failures, f"{len(self.failures)} of {total}:\n" + "\n".join(self.failures[:30])
        assert len(self.missed) <= total // 20, self.missed


def inject(master, wanted):
    """One run for each (judge, slot, mode), all at the same time. Requests that a run did not make are tried for again."""
    for _ in range(REACH_ATTEMPTS):
        runs = [Run(judge.scenario, master.lane(i), slot, mode, SEED) for i, (judge, slot, mode) in enumerate(wanted)]
        run_together(master, runs)
        left = []
        for run, (judge, slot, mode) in zip(runs, wanted):
            judge.note(run)
            if not run.reached:
                left.append((judge, slot, mode))
        if not left:
            return
        wanted = left
    for judge, slot, mode in wanted:
        judge.missed.append(f"not reached: {mode} in {slot}")


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "stalled"] if LONG else ["sampled"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_one_fault_in_any_request_is_survived(master, record_property, name, mode):
    began = time.monotonic()
    judge = Judge(name, master)
    drawn = sampled(name, judge.slots()) if mode == "sampled" else [(slot, mode) for slot in judge.slots() if applies(mode, slot[0])]
    for slot, mode in drawn:
        inject(master, [(judge, slot, mode)])
    judge.report(record_property, began)


@pytest.mark.timeout(1800)
def test_a_request_that_stalls_is_made_again(master, record_property):
    """The limit for a stall is long: runs with a stalled request wait for it side by side. In the daily check some requests stall, by chance."""
    began = time.monotonic()
    judges = [Judge(name, master) for name in SCENARIOS]
    wanted = [(judge, slot, "stalled") for judge in judges for slot in judge.slots()]
    if not LONG:
        wanted = random.Random(SEED).sample(wanted, STALLED_DAILY)
    for i in range(0, len(wanted), STALL_LANES):
        inject(master, wanted[i:i + STALL_LANES])
    for judge in judges:
        judge.report(record_property, began)
