#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Made tests/data/before-deletion once: make_before_deletion.py SSTABLEFS [DIRECTORY], with SSTABLEFS built from commit 5e661a8.

A repository as it was written before there was deletion: three backups of a node, the record and the objects of one that was killed, that of
one that was interrupted, the pin of a mount that was killed. A program of today would make another one: it is never made again, or it would
prove nothing.
"""
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TABLE = "ks/t-5a1c395e4cd311f0a8d7f9d6c4b1e200"
MTIME_NS = 1763808000123456789
DAYS = ("monday", "tuesday", "wednesday")
CLUSTER, NODE = "old", "n1"


def noise(seed, n):
    return random.Random(seed).randbytes(n)


def files(day):
    """Each day an SSTable is flushed and one is compacted away; name -> content."""
    number = DAYS.index(day)
    held = {}
    for generation in range(number + 1, number + 4):
        held[f"nb-{generation}-big-Data.db"] = noise(generation, 20000)
        held[f"nb-{generation}-big-Index.db"] = noise(100 + generation, 700)
        held[f"nb-{generation}-big-Statistics.db"] = noise(200 + generation, 600)
        held[f"nb-{generation}-big-TOC.txt"] = b"Data.db\nIndex.db\nStatistics.db\nTOC.txt\n"
    return held


def lay_out(root, tag, contents):
    """A data directory with one snapshot; returns it."""
    directory = Path(root) / "data"
    for name, data in contents.items():
        path = directory / TABLE / "snapshots" / tag / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, ns=(MTIME_NS, MTIME_NS))
    return directory


def arguments(data, tag):
    return ["backup", "--cluster", CLUSTER, "--node", NODE, "--snapshot", tag, "--name", tag, "--data-dir", data]


class Maker:
    def __init__(self, binary, repository, work):
        self.binary, self.repository, self.work = binary, Path(repository), Path(work)
        self.environment = {**os.environ, "HOME": str(work), "SSTABLEFS_CACHE_DIR": str(work / "cache")}

    def command(self, *words):
        return [str(w) for w in (self.binary, "-r", self.repository, *words)]

    def run(self, *words):
        subprocess.run(self.command(*words), env=self.environment, check=True)

    def end_in_the_middle(self, tag, seed, end):
        """A backup of 40 KB at 10 KB a second that is ended once its pack is there, and its trees are not."""
        data = lay_out(self.work / tag, tag, {"nb-50-big-Data.db": noise(seed, 40000), "nb-50-big-TOC.txt": b"Data.db\nTOC.txt\n"})
        before = set(self.objects())
        process = subprocess.Popen(self.command(*arguments(data, tag), "--limit-rate", "10K"), env=self.environment)
        while not set(self.objects()) - before:
            assert process.poll() is None, "it ended too early"
            time.sleep(0.001)
        process.send_signal(end)
        process.wait()

    def objects(self):
        return self.repository.glob("nodes/*/*/objects/*/*")

    def leave_a_pin(self):
        where = self.work / "mnt"
        where.mkdir()
        process = subprocess.Popen(self.command("mount", "-f", where, "-o", "pin=monday"), env=self.environment)
        while not list(self.repository.glob("nodes/*/*/pins/*")):
            assert process.poll() is None, "the mount ended too early"
            time.sleep(0.01)
        process.kill()
        process.wait()
        subprocess.run(["fusermount3", "-u", "-z", where], check=False)

    def make(self):
        self.run("init")
        for day in DAYS:
            self.run(*arguments(lay_out(self.work / day, day, files(day)), day))
        self.end_in_the_middle("killed", 1001, signal.SIGKILL)
        self.end_in_the_middle("interrupted", 1002, signal.SIGINT)
        self.leave_a_pin()
        shutil.rmtree(self.repository / ".sstablefs-tmp", ignore_errors=True)


def main(binary, target):
    shutil.rmtree(target, ignore_errors=True)
    with tempfile.TemporaryDirectory() as work:
        Maker(Path(binary).resolve(), Path(target).resolve(), Path(work)).make()


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else Path(__file__).parent / "before-deletion")
