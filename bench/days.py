# SPDX-License-Identifier: Apache-2.0
"""How a node's metadata grows: a backup a day into a repository in a directory, and the bytes that each day adds.

The data is as small as it can be without changing the metadata: each component that is large on a real node has more
bytes than a tree would hold itself. What a file needs beyond one object (an extent for each further 8 MiB) is not in it.
"""

import json
import os
import shutil
import subprocess
import time
from fractions import Fraction
from pathlib import Path
from statistics import mean, median

import measure
import node as synthetic

LEAST = 600


def bytes_below(top):
    """{trees or records: bytes} of a node in a repository."""
    found = {"trees": 0, "records": 0}
    for kind in found:
        for directory, _, names in os.walk(top / "nodes/bench/n1" / kind):
            found[kind] += sum(os.path.getsize(os.path.join(directory, name)) for name in names)
    return found


def measure_days(binary, work, files, count):
    """Backs up day 0 and `count` days more. {what: value} for a report."""
    repository = work / "repository"
    node = synthetic.Node(str(work / "n1"), Fraction(1, 10**7), files, least=LEAST)
    (work / "sstablefs.conf").touch(mode=0o600)
    environment = {**os.environ, "SSTABLEFS_CONFIG": str(work / "sstablefs.conf"), "HOME": str(work),
                   "SSTABLEFS_CACHE_DIR": str(work / "cache")}

    def call(*arguments):
        done = subprocess.run([binary, "-r", repository, "--json", *arguments], env=environment, capture_output=True,
                              stdin=subprocess.DEVNULL, text=True, timeout=600)
        if done.returncode:
            raise measure.Failed(f"sstablefs {arguments[0]} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        return done.stdout

    call("init")
    sizes, seconds, requests = [], [], []
    for day in range(count + 1):
        if day:
            node.day()
        node.snapshot(f"day{day}")
        started = time.perf_counter()
        done = json.loads(call("backup", "--cluster", "bench", "--node", "n1", "--data-dir", node.data,
                               "--snapshot", f"day{day}", "--name", f"day{day}"))
        seconds.append(time.perf_counter() - started)
        requests.append(sum(done["requests"].values()))
        node.clear(f"day{day}")
        sizes.append(bytes_below(repository))
    shutil.rmtree(work)
    return describe(done["files"], sizes, seconds, requests)


def describe(files, sizes, seconds, requests):
    total = [s["trees"] + s["records"] for s in sizes]
    added = [b - a for a, b in zip(total, total[1:])]
    week = range(7, len(total), 7)
    ordinary = [a for day, a in enumerate(added, 1) if day % 7]
    some = max(1, len(added) // 6)
    per_day = mean(added)

    def first_and_last(values, digits):
        return f"{median(values[1:1 + some]):.{digits}f} in the first days, {median(values[-some:]):.{digits}f} in the last"

    return {
        "files": files, "first backup, bytes": total[0], "bytes per file": round(total[0] / files, 1),
        "an ordinary day, bytes (median)": int(median(ordinary or added)),
        "a day of repair, bytes (median)": int(median([added[d - 1] for d in week])) if len(week) else "not run",
        "records alone, bytes": f"{sizes[0]['records']} at first, {sizes[-1]['records']} at the end",
        "all days, bytes": total[-1],
        "a year": f"{int(total[0] + 365 * per_day)} bytes" + ("" if len(added) >= 365 else ", in proportion"),
        "requests of a backup": first_and_last(requests, 0),
        "seconds of a backup": first_and_last(seconds, 2),
    }
