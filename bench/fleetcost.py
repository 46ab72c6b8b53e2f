# SPDX-License-Identifier: Apache-2.0
"""See bench/fleet."""

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from fleet import Fleet

PEERS, PACKS = 20, 4  # of each record
GOALS = {"list, a node": 2, "list --cached": 2, "list --cached, JSON": 2}  # seconds
LIMIT_MIB = 192 + 64
COMMANDS = [
    ("list, a node", ["list", "--node", "node0007"]),
    ("list, nothing known", ["list"]),
    ("list, all known", ["list"]),
    ("list, a node, known", ["list", "--node", "node0007"]),
    ("list --cached", ["list", "--cached"]),
    ("list --cached, JSON", ["--json", "list", "--cached"]),
    ("purge, a node", ["purge", "--dry-run", "--keep-daily", "7", "--keep-weekly", "5", "--node", "node0007"]),
    ("purge, the fleet", ["purge", "--dry-run", "--keep-daily", "7", "--keep-weekly", "5"]),
    ("purge, JSON", ["--json", "purge", "--dry-run", "--keep-daily", "7", "--keep-weekly", "5"]),
]


def own_memory(pid):
    """MiB of RssAnon + RssShmem; 0 of a process that is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return sum(int(kib) for kib in re.findall(r"^Rss(?:Anon|Shmem):\s+(\d+)", text, re.M)) / 1024


def measure(binary, repository, cache, words):
    """(seconds, MiB, what it said of its requests)"""
    environment = {**os.environ, "SSTABLEFS_CACHE_DIR": str(cache)}
    begin, peak = time.monotonic(), 0
    process = subprocess.Popen([binary, "-v", "-r", repository, *words], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    said = []
    reader = threading.Thread(target=lambda: said.append(process.stderr.read()))
    reader.start()
    while process.poll() is None:
        peak = max(peak, own_memory(process.pid))
        time.sleep(0.005)
    reader.join()
    if process.returncode != 0:
        sys.exit(f"{words} ended with {process.returncode}: {said[0]}")
    requests = re.search(r"(\d+) lists, (\d+) gets", said[0])
    return time.monotonic() - begin, peak, requests.groups() if requests else ("0", "0")


def main(nodes=1000, backups=365, directory=None):
    with tempfile.TemporaryDirectory(prefix="sstablefs-fleet-") as temporary:
        repository = Path(directory or temporary) / "repository"
        if not repository.exists():
            begin = time.monotonic()
            Fleet(repository).fill(int(nodes), int(backups), peers=PEERS, packs=PACKS)
            print(f"{nodes} nodes x {backups} backups, made in {time.monotonic() - begin:.0f} s")
        print(f"{'':24} {'seconds':>8} {'lists':>7} {'gets':>7} {'MiB':>6}")
        missed = []
        for what, words in COMMANDS:
            seconds, memory, (lists, gets) = measure(os.environ["SSTABLEFS_BINARY"], str(repository), Path(temporary) / "cache", words)
            print(f"{what:24} {seconds:8.2f} {lists:>7} {gets:>7} {memory:6.1f}", flush=True)
            if seconds > GOALS.get(what, 1e9) or memory > LIMIT_MIB:
                missed.append(what)
        print(f"over its goal: {', '.join(missed)}" if missed else "all within their goals")


if __name__ == "__main__":
    main(*sys.argv[1:])
