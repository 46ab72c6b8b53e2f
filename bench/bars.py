# SPDX-License-Identifier: Apache-2.0
"""What is asked of a row: bars, each of which can tell from a Report whether it is met."""

from dataclasses import dataclass
from statistics import median
from typing import Callable

MIB, GB = 1 << 20, 10**9


@dataclass(frozen=True)
class Bar:
    """value: of the Report and the row, None where it cannot be told; it is met from `goal` on, upwards or downwards."""

    text: str
    goal: float
    value: Callable
    least: bool  # the goal is the least that is wanted, not the most
    of_ratio: bool = False  # it is about the row's own ratio

    def met(self, report, row):
        found = self.value(report, row)
        return None if found is None else found >= self.goal if self.least else found <= self.goal


def middle(values):
    values = list(values)
    return median(values) if values else None


def of_samples(what):
    return lambda report, row: middle(what(sample) for sample in report.samples[row.name].values())


def speed(goal):
    """Of the speed of what the row is compared with."""
    return Bar(f"at least {goal:g}", goal, lambda report, row: middle(report.ratios(row)), True, True)


def times(goal):
    """As long as what the row is compared with, at most."""
    return Bar(f"at most {goal:g} times", goal, lambda report, row: middle(report.ratios(row)), False, True)


def faster(goal, text, *others):
    """So many times as fast as the fastest of those that ran. One that did not end in time counts with that time: it took longer."""
    def value(report, row):
        mine, found = report.samples[row.name], []
        for name in others:
            theirs = report.samples[name]
            if pairs := [theirs[number].seconds / mine[number].seconds for number in theirs.keys() & mine.keys()]:
                found.append(median(pairs))
            elif name in report.late and mine:
                found.append(report.late[name] / max(sample.seconds for sample in mine.values()))
        return min(found) if found else None

    return Bar(f"at least {goal:g} x {text}", goal, value, True)


def mount_cpu(goal):
    """CPU seconds of the mount for each GB."""
    def value(report, row):
        size = report.sizes.get(row.bytes_of, (0, 0))[1]
        used = middle(sample.others_cpu["mount"] for sample in report.samples[row.name].values() if "mount" in sample.others_cpu)
        return used * GB / size if size and used is not None else None

    return Bar(f"at most {goal:g} CPU-s per GB", goal, value, False)


def seconds(goal):
    return Bar(f"at most {goal:g} s", goal, of_samples(lambda sample: sample.seconds), False)


def requests(goal):
    return Bar(f"at most {goal:g} requests", goal, of_samples(lambda sample: sum(sample.requests.values())), False)


def no_gets():
    return Bar("no GET", 0, of_samples(lambda sample: sum(count for name, count in sample.requests.items() if name == "GetObject")), False)


def requests_part(goal, text, other):
    """Of the requests of another row."""
    def value(report, row):
        mine, theirs = (of_samples(lambda sample: sum(sample.requests.values()))(report, one) for one in (row, report.rows[other]))
        return mine / theirs if mine is not None and theirs else None

    return Bar(f"at most {goal:g} of {text}'s requests", goal, value, False)


def memory(goal, process=""):
    """MiB at the peak, of all rounds: of the command, or of the process that serves it."""
    def value(report, row):
        found = [sample.others_memory.get(process) if process else sample.memory for sample in report.samples[row.name].values()]
        found = [size for size in found if size is not None]
        return max(found) / MIB if found else None

    return Bar(f"at most {goal:g} MiB", goal, value, False)


def verdict(report, row):
    """In words, for each bar in turn where not all are met, and as JSON has it: a list of each bar's text, goal, value and whether it is met."""
    found = [{"bar": bar.text, "goal": bar.goal, "value": bar.value(report, row), "met": bar.met(report, row)} for bar in row.bars]
    if not found:
        return "", found
    if not report.samples[row.name]:
        return "NOT MET: failed" if row.name in report.failed else "not run", found
    if all(one["met"] for one in found):
        return "met", found
    return "; ".join("cannot be told" if one["met"] is None else "met" if one["met"] else f"NOT MET ({one['value']:.2f})" for one in found), found
