# SPDX-License-Identifier: Apache-2.0
"""The rows of a run, as a table for people and as JSON."""

import os
import platform
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from statistics import median

MIB = 1 << 20
# What is measured, in the order of the table: (name, what a reader sees, the row that it is divided by).
ROWS = (
    ("read", "read the node's files to nowhere, 2 at once", None),
    ("backup", "first backup, as shipped", "read"),
    ("backup_fast", "first backup, --jobs 2 --connections 16", "read"),
    ("again", "second backup, nothing changed", "read"),
    ("next_day", "backup of the next day", "read"),
    ("curl_null", "raw GETs to nowhere, curl, 16 at once", None),
    ("walk", "read all of the mount to nowhere, 4 at once", "curl_null"),
    ("s5cmd", "raw GETs to disk, s5cmd, 16 at once", None),
    ("curl", "raw GETs to disk, curl, 16 at once", None),
    ("raw", "raw GETs to disk, the faster of the two", None),
    ("cp", "cp -a from the mount", "raw"),
    ("tar", "tar from the mount", "raw"),
    ("raw_synced", "raw, then sync -f", None),
    ("restore", "sstablefs restore (syncs)", "raw_synced"),
    ("local_cp", "cp -a of the node's files on the local disk", "raw"),
    ("small_local_cp", "small files: cp -a on the local disk", None),
    ("small_backup", "small files: first backup", "small_local_cp"),
    ("small_cp", "small files: cp -a from the mount", "small_local_cp"),
    ("small_restore", "small files: sstablefs restore (syncs)", "small_local_cp"),
    ("wide_local_cp", "a table beyond the caches: cp -a on the local disk", None),
    ("wide_cp", "a table beyond the caches: cp -a from the mount", "wide_local_cp"),
    ("wide_tar", "a table beyond the caches: tar from the mount", "wide_local_cp"),
)


def spread(values, digits=2):
    return " / ".join(f"{v:.{digits}f}" for v in (min(values), median(values), max(values)))


def machine():
    models = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
              if line.startswith("model name")]
    return {"cores": len(os.sched_getaffinity(0)), "processor": models[0] if models else platform.machine(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "kernel": platform.release()}


class Report:
    def __init__(self):
        self.samples = defaultdict(dict)  # row: {round: Sample}
        self.failures = {}  # row: why
        self.facts = {}  # what is said below the table: {title: {name: value}}
        self.fetched = defaultdict(list)  # row: (bytes from the store, bytes from the mount's disk cache) / bytes copied
        self.caches_dropped = True

    def add(self, row, number, sample):
        self.samples[row][number] = sample

    def ratios(self, row, base):
        """Of the runs of the same round, so that what else the machine did then weighs on both."""
        rounds = self.samples[row].keys() & self.samples[base].keys() if base else ()
        return [self.samples[row][r].seconds / self.samples[base][r].seconds for r in sorted(rounds)]

    def table(self):
        head = ("what", "n", "seconds min / med / max", "ratio min / med / max", "CPU s (server, mount)",
                "peak MiB (mount)", "requests", "other load")
        lines = [head]
        for name, text, base in ROWS:
            samples = list(self.samples[name].values())
            if not samples:
                why = f"failed: {self.failures[name][:100]}" if name in self.failures else "not run"
                lines.append((text, "0", "", why, *[""] * (len(head) - 4)))
                continue
            ratios = self.ratios(name, base)
            against = next((t for n, t, _ in ROWS if n == base), "").split(",")[0]
            lines.append((
                text, str(len(samples)), spread([s.seconds for s in samples]),
                f"{spread(ratios)} of {base}" if ratios else "-" if not against else f"no {against}",
                self._cpu(samples), self._memory(samples), self._requests(samples),
                f"{median([s.foreign for s in samples]):.1f}"))
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        lines.insert(1, ["-" * width for width in widths])
        return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths)) + " |" for line in lines)

    @staticmethod
    def _cpu(samples):
        text = f"{median([s.cpu for s in samples]):.2f}"
        others = [f"{median([s.others_cpu[k] for s in samples]):.2f}" for k in ("server", "mount")
                  if k in samples[0].others_cpu]
        return f"{text} ({', '.join(others)})" if others else text

    @staticmethod
    def _memory(samples):
        text = f"{max(s.memory for s in samples) / MIB:.0f}"
        mount = [s.others_memory["mount"] for s in samples if "mount" in s.others_memory]
        return f"{text} ({max(mount) / MIB:.0f})" if mount else text

    @staticmethod
    def _requests(samples):
        return " ".join(f"{name} {n}" for name, n in sorted(samples[-1].requests.items()))

    def text(self):
        parts = [self.table()]
        if self.fetched:
            title = "Bytes read for each byte copied"
            self.facts[title] = {name: " + ".join(f"{median(v):.2f} {where}" for v, where in zip(
                zip(*ratios), ("from the store", "from the mount's disk cache"))) for name, ratios in self.fetched.items()}
        for title, facts in self.facts.items():
            parts.append("\n".join([title, *(f"    {k}: {v}" if k else f"    {v}" for k, v in facts.items())]))
        if not self.caches_dropped:
            parts.append("The page cache was not dropped before these runs.")
        return "\n\n".join(parts)

    def json(self, parameters):
        rows = []
        for name, text, base in ROWS:
            samples = [dict(asdict(s), round=r) for r, s in self.samples[name].items()]
            row = {"name": name, "text": text, "state": "ran" if samples else "failed" if name in self.failures else "not run",
                   "runs": samples}
            if base:
                row.update(against=base, ratios=self.ratios(name, base))
            if name in self.failures:
                row["why"] = self.failures[name]
            rows.append(row)
        return {"machine": machine(), "parameters": parameters, "caches_dropped": self.caches_dropped, "rows": rows,
                "facts": self.facts, "read_for_each_byte_copied": self.fetched}
