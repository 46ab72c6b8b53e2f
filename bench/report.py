# SPDX-License-Identifier: Apache-2.0
"""The rows of a run, as a table for people and as JSON."""

import os
import platform
import re
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from statistics import median

from bars import verdict
from cases import TIME

MIB, GB = 1 << 20, 10**9
HEAD = ("what", "bar", "verdict", "ratio: median (min to max)", "n", "median (min to max)", "CPU-s per GB: client + mount", "peak MiB: client, mount", "requests",
        "other load")


def spread(values, digits=2):
    low, middle, high = (f"{v:.{digits}f}" for v in (min(values), median(values), max(values)))
    return middle if low == high else f"{middle} ({low} to {high})"


def machine():
    models = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
              if line.startswith("model name")]
    return {"cores": len(os.sched_getaffinity(0)), "processor": models[0] if models else platform.machine(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "kernel": platform.release()}


class Report:
    def __init__(self, cases):
        self.cases = cases
        self.rows = {row.name: row for case in cases for row in case.rows}
        self.samples = defaultdict(dict)  # row: {round: Sample}
        self.why = {}  # row: why there is no figure
        self.late = {}  # row: the seconds that it did not end in
        self.failed = set()
        self.sizes = {}  # set: (files, bytes)
        self.facts = {}  # title: {name: value}

    def add(self, name, number, sample):
        self.samples[name][number] = sample

    def demand(self, rows):
        """These have to have run: those that have not are failures."""
        self.failed.update(row.name for row in rows if not self.samples[row.name])

    def best(self, row, number):
        """The best of a round: only where each of those that are here has run, so that it is the same choice each time."""
        found = [self.samples[name][number] for name in row.best_of if number in self.samples[name]]
        if found and all(number in self.samples[name] or name in self.why for name in row.best_of):
            self.add(row.name, number, min(found, key=lambda sample: sample.seconds))

    def ratios(self, row):
        """Of the runs of the same round, so that what else the machine did then weighs on both."""
        mine, base = self.samples[row.name], self.samples.get(row.against, {})
        pairs = [(mine[number].seconds, base[number].seconds) for number in sorted(mine.keys() & base.keys())]
        return [a / b if row.ratio == TIME else b / a for a, b in pairs]

    def state(self, name):
        if self.samples[name]:
            return "ran"
        return "failed" if name in self.failed else "too slow" if name in self.late else "not run"

    # For people.

    def _ratio(self, row):
        if row.name in self.late and not self.samples[row.name]:
            base = [s.seconds for s in self.samples.get(row.against, {}).values()]
            return "-" if not base else f"more than {self.late[row.name] / max(base):.1f} times" if row.ratio == TIME else \
                f"less than {max(base) / self.late[row.name]:.2f}"
        ratios = self.ratios(row)
        return f"{spread(ratios)} {'times' if row.ratio == TIME else 'of the speed'}" if ratios else "-"

    def _cpu(self, row, samples):
        size = self.sizes.get(row.bytes_of, (0, 0))[1]
        if not size:
            return "-"
        own, mount = (median([each(s) for s in samples]) * GB / size for each in (lambda s: s.cpu, lambda s: s.others_cpu.get("mount", 0.0)))
        return f"{own:.2f} + {mount:.2f}" if any("mount" in s.others_cpu for s in samples) else f"{own:.2f}"

    @staticmethod
    def _memory(samples):
        text = f"{max(s.memory for s in samples) / MIB:.0f}"
        mount = [s.others_memory["mount"] for s in samples if "mount" in s.others_memory]
        return f"{text}, {max(mount) / MIB:.0f}" if mount else text

    def line(self, row):
        samples = list(self.samples[row.name].values())
        if not samples:
            why = " ".join(self.why.get(row.name, "").split())
            state = f"more than {self.late[row.name]:.0f} s" if row.name in self.late else f"{self.state(row.name)}{': ' if why else ''}{why[:160]}"
            return (row.text, row.bar, verdict(self, row)[0], self._ratio(row), "0", state, "", "", "", "")
        requests = " ".join(f"{n} {name}" for name, n in sorted(samples[-1].requests.items(), key=lambda item: -item[1])[:4])
        return (row.text, row.bar, verdict(self, row)[0], self._ratio(row), str(len(samples)), f"{spread([s.seconds for s in samples])} {row.unit}", self._cpu(row, samples),
                self._memory(samples), requests, f"{median([s.foreign for s in samples]):.1f}")

    def table(self, case):
        lines = [HEAD, *[self.line(row) for row in case.rows]]
        widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
        lines.insert(1, ["-" * width for width in widths])
        return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths)) + " |" for line in lines)

    def summary(self):
        """Each bar in one line."""
        lines = ["### Bars", "", "| case | what | bar | verdict |", "|---|---|---|---|"]
        for case in self.cases:
            lines += [f"| {case.name} | {row.text} | {row.bar} | {verdict(self, row)[0]} |" for row in case.rows if row.bars]
        return "\n".join(lines)

    def text(self):
        parts = [f"### {case.text}\n\n{self.table(case)}" for case in self.cases]
        parts.append(self.summary())
        for title, facts in self.facts.items():
            parts.append("\n".join([f"{title}:", "", *(f"- {k}: {v}" for k, v in facts.items())]))
        return "\n\n".join(parts)

    # For programs.

    def json(self, parameters):
        found = []
        for case in self.cases:
            rows = []
            for row in case.rows:
                entry = {"name": row.name, "text": re.sub(r"[*`]", "", row.text), "state": self.state(row.name), "bars": verdict(self, row)[1], "unit": row.unit,
                         "runs": [dict(asdict(s), round=r) for r, s in self.samples[row.name].items()]}
                if row.against:
                    entry.update(against=row.against, ratio=row.ratio, ratios=self.ratios(row))
                if row.name in self.why:
                    entry["why"] = self.why[row.name]
                if row.name in self.late:
                    entry["more_than_seconds"] = self.late[row.name]
                rows.append(entry)
            found.append({"name": case.name, "text": case.text, "link": {"rate": case.rate, "delay_ms": case.delay}, "rows": rows})
        return {"machine": machine(), "parameters": parameters, "facts": self.facts, "cases": found,
                "sets": {name: {"files": files, "bytes": size} for name, (files, size) in self.sizes.items()}}
