#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What gc costs on a node with many keys: time, requests and the most memory of its own, of a dry run and of a real one.

    bench/scale/gc.py [--keys 1250000] [--backups 365] [--live 30] [--deleted 180] [--build build/release] [--directory DIR]

The repository is a directory, made by scale_make. It takes some 4 KiB of disk a key, and is removed at the end.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from measure import Memory  # noqa: E402


def run(binary, directory, *arguments):
    """Runs a command of sstablefs; (its JSON, seconds, most RssAnon + RssShmem)."""
    environment = {**os.environ, "SSTABLEFS_CACHE_DIR": str(directory / "cache"), "SSTABLEFS_CONFIG": "/dev/null"}
    started = time.monotonic()
    process = subprocess.Popen([str(binary), "-r", str(directory / "repository"), "--json", *arguments], env=environment,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    with Memory([process.pid]) as memory:
        out = process.communicate()[0]
    seconds = time.monotonic() - started
    if process.returncode:
        sys.exit(f"{arguments} ended with {process.returncode}: {out.decode()}")
    return json.loads(out), seconds, max(memory.peaks.values())


def show(name, answer, seconds, memory):
    requests = ", ".join(f"{count} {kind.upper()}" for kind, count in answer["requests"].items() if count)
    print(f"{name:22} {seconds:7.1f} s  {memory / (1 << 20):6.1f} MiB  {requests}; "
          f"{answer['condemned_objects']} condemned, {answer['deleted_objects']} deleted", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option, default in (("keys", 1_250_000), ("backups", 365), ("live", 30), ("deleted", 180)):
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--build", type=Path, default=Path("build/release"))
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()))
    a = parser.parse_args()
    binary = a.build / "tools/sstablefs"
    with tempfile.TemporaryDirectory(prefix="sstablefs-scale-", dir=a.directory) as name:
        directory = Path(name)
        started = time.monotonic()
        made = subprocess.run([a.build / "bench/scale_make", directory / "repository", *map(str, (a.keys, a.backups, a.live, a.deleted))],
                              check=True, capture_output=True, text=True)
        print(f"{made.stdout.strip()} objects made in {time.monotonic() - started:.0f} s", flush=True)
        show("gc --full --dry-run", *run(binary, directory, "gc", "--full", "--dry-run"))
        show("gc --dry-run", *run(binary, directory, "gc", "--dry-run"))
        show("gc", *run(binary, directory, "gc"))
        show("gc --full", *run(binary, directory, "gc", "--full"))


if __name__ == "__main__":
    main()
