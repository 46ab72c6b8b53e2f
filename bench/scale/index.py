#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long a mount of a node with many backups takes: to its names, until its link counts are exact, cold and from the cache of the mount before.

    bench/scale/index.py [--files 60000] [--backups 365] [--permille 170] [--tables 50] [--build build/release] [--directory DIR] [--cache-size 1G]
                         [--curve 1,10,100] [--repository DIR]

The repository is a directory, made by scale_history (2 GB and a minute at the default size), and removed at the end; --repository takes one that is there, or an s3:// URL.
--curve measures repositories of so many backups before the last. Page caches are dropped before a cold mount where that is allowed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from measure import Memory, cpu_of, drop_caches  # noqa: E402

PATIENCE = 1800


class Mount:
    """A mount in the foreground, timed from its start; where: an empty directory. Its cache outlives it."""

    def __init__(self, a, repository, where, cache):
        self.where = where
        self.log = cache.parent / "log"
        environment = {**os.environ, "SSTABLEFS_CONFIG": "/dev/null"}
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [a.build / "tools/sstablefs", "-r", repository, "mount", "-f", where, "-o", f"cache_dir={cache},cache_size={a.cache_size},log={self.log}"],
            env=environment, stdin=subprocess.DEVNULL)
        self.memory = Memory([self.process.pid])
        self.memory.__enter__()

    def seconds(self):
        return time.monotonic() - self.began

    def until(self, condition):
        while not condition():
            if self.process.poll() is not None or self.seconds() > PATIENCE:
                sys.exit(f"the mount failed: {self.log.read_text()[-500:]}")
            time.sleep(0.01)
        return self.seconds()

    def node(self):
        return self.where / "c1/nodes/n1"

    def status(self):
        return (self.where / ".sstablefs/status").read_text()

    def end(self):
        subprocess.run(["fusermount3", "-u", self.where], check=True)
        self.process.wait()
        self.memory.__exit__()


def timed(command):
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def measure(a, title, repository, directory):
    """One mount: prints a line of a table."""
    where, cache = directory / "mnt", directory / "cache"
    where.mkdir(exist_ok=True)
    dropped = drop_caches()
    m = Mount(a, repository, where, cache)
    m.until(lambda: where.is_mount())
    names = len(os.listdir(m.node()))
    shown = m.seconds()
    indexed = m.until(lambda: ", indexed" in m.status())
    cpu = cpu_of(m.process.pid)
    latest = m.node() / "latest"
    walks = [timed(words) for words in (["find", f"{latest}/"], ["du", "-s", f"{latest}/"], ["ls", "-lR", f"{latest}/"], ["ls", "-lR", f"{latest}/"])]
    fetched = [line for line in m.status().splitlines() if line.startswith(("requests", "store", "index"))]
    m.end()
    kept = sum(path.stat().st_blocks * 512 for path in cache.rglob("*") if path.is_file() and path.name != "ring")
    print(f"| {title}{'' if dropped else ' (page cache kept)'} | {names - 2} | {shown:.2f} | {indexed:.2f} | {cpu:.1f} | {max(m.memory.peaks.values()) >> 20} "
          f"| {kept >> 20} | {' / '.join(f'{s:.2f}' for s in walks)} |", flush=True)
    if a.verbose:
        print("\n".join(fetched))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option, default in (("files", 60_000), ("backups", 365), ("permille", 170), ("tables", 50)):
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--build", type=Path, default=Path("build/release"))
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--cache-size", default="1G")
    parser.add_argument("--curve", default="", help="numbers of backups to measure before, with commas")
    parser.add_argument("--repository", help="one that was made before")
    parser.add_argument("--verbose", action="store_true")
    a = parser.parse_args()
    counts = [int(word) for word in a.curve.split(",") if word] + [a.backups]
    print("| mount | backups | names, s | indexed, s | CPU s until then | peak MiB | local files, MiB | find / du / ls -lR / again, s |\n|---|---|---|---|---|---|---|---|")
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="sstablefs-index-", dir=a.directory) as name:
            directory = Path(name)
            repository = a.repository or str(directory / "repository")
            if not a.repository:
                subprocess.run([a.build / "bench/scale_history", repository, *map(str, (a.files, count, a.permille, a.tables))], check=True,
                               stdout=subprocess.DEVNULL)
            measure(a, "cold", repository, directory)
            measure(a, "from the cache", repository, directory)


if __name__ == "__main__":
    main()
