# SPDX-License-Identifier: Apache-2.0
"""The real daemon and commands under ThreadSanitizer and real load: 16 readers, some killed while they read, backups that come and go
under refresh, eviction from memory and disk, dropped caches, extended attributes, processes that change names and files in the same
directories of backups (change.py), and an unmount in the middle of it all.

SSTABLEFS_BINARY is a build of the preset tsan. Any report of the sanitizer is a failure.
"""

import contextlib
import ctypes
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import harness
from harness import LONG, in_threads, is_alive, wait_until
from load import Load, make_node
from trees import files_below

SECONDS = 300 if LONG else 8
READERS = 16
WRITERS = 3
CHANGE = Path(__file__).with_name("change.py")
SOURCE = Path(__file__).resolve().parents[2]
ADDR_NO_RANDOMIZE = 0x0040000


@pytest.fixture
def reports(tmp_path):
    """The directory of the sanitizer's reports. Its shadow memory does not fit every randomised address layout (children inherit)."""
    ctypes.CDLL(None).personality(ADDR_NO_RANDOMIZE)
    directory = tmp_path / "reports"
    directory.mkdir()
    return directory


@pytest.fixture
def program(binary, tmp_path, reports):
    symbols = subprocess.run(["nm", "-D", binary], capture_output=True, text=True, check=True).stdout
    assert "__tsan_init" in symbols, f"{binary} is no build of the preset tsan"
    program = harness.Program(binary, tmp_path / "p", {
        "TSAN_OPTIONS": f"halt_on_error=0:second_deadlock_stack=1:log_path={reports}/tsan:suppressions={SOURCE}/cmake/tsan.supp"})
    yield program
    left = harness.clean_up(program.directory)
    shutil.rmtree(tmp_path)
    assert not left, f"the test left behind: {left}"


class HardLoad(Load):
    """Also what no well-behaved reader does."""

    def read_for_a_moment(self):
        """A reader that is killed in the middle of it; the kernel sends INTERRUPT for what it waits for."""
        flags = random.choice(([], ["iflag=direct"]))
        path = self.mount.data("t0") / random.choice([path for path in self.expected if path.endswith("Data.db")])
        process = subprocess.Popen(["dd", f"if={path}", "of=/dev/null", "bs=64k", *flags], stderr=subprocess.DEVNULL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(random.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.wait()

    def ask_for_attributes(self):
        path = self.mount.data("t0") / random.choice(list(self.expected))
        assert len(os.getxattr(path, "user.sstablefs.content")) == 64
        os.listxattr(path)
        os.statvfs(path)
        for name in ("status", "metrics"):
            (self.mount.path / ".sstablefs" / name).read_bytes()

    def drop_caches(self):
        self.over.wait(0.7)
        Path("/proc/sys/vm/drop_caches").write_text("2")  # names and inodes: the kernel asks again, and forgets

    def start_to_change(self):
        """change.py in a table of t0, and in the same table of another backup, which may be removed under it."""
        table = self.node.table("ks", "orders")
        tag = random.choice([name for name in os.listdir(self.mount.node()) if name.startswith("t")])
        process = subprocess.Popen([sys.executable, CHANGE, *(self.mount.data(backup) / table for backup in ("t0", tag))], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env={**os.environ, "SSTABLEFS_TEST": str(self.repository.program.directory)})
        assert process.stdout.readline() == "ready\n"
        return process

    def change(self):
        process = self.start_to_change()
        self.over.wait(2)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        self.done["changes"] += 1


def wait_for_the_end(process):
    """Of a change.py that ends with the mount. What it has mapped may go away under it."""
    process.wait(120)
    assert process.returncode in (0, -signal.SIGBUS), process.stderr.read()


def read_until_it_fails(load):
    """Goes on until the mount is gone under it: then a read is short, and the next one an error."""
    with contextlib.suppress(OSError):
        while True:
            load.read(may_end_early=True)


def test_no_race_is_seen_under_load(program, reports, minio_server, tmp_path):
    program.environment.update(minio_server.environment())
    bucket = minio_server.make_bucket()
    repository = program.repository(minio_server.url(bucket)).init()
    node = make_node(tmp_path / "node", sstables=60 if LONG else 24)
    repository.backup(node.data, "t0")
    mount = repository.mount("memory=64M", "cache_size=128M", "refresh=0", "xattr")
    load = HardLoad(repository, mount, node, minio_server, bucket, tmp_path, ["--jobs", "4"])
    load.done["changes"] = 0
    timer = threading.Timer(SECONDS, load.over.set)
    timer.start()
    in_threads(load.functions(*[load.read] * READERS, load.list, load.back_up, load.restore, load.read_for_a_moment,
                              load.ask_for_attributes, load.drop_caches, *[load.change] * WRITERS))
    timer.join()
    print(f"{SECONDS} s: {load.done}")
    assert load.done["reads"] and load.done["backups"] and load.done["restores"] and load.done["changes"]
    assert sorted(name for name in files_below(mount.data("t0")) if "/scratch-" not in name) == sorted(load.expected)
    writers = [load.start_to_change() for _ in range(WRITERS)]
    in_threads([*[lambda: read_until_it_fails(load)] * READERS, lambda: mount.unmount("--force"),
                *[lambda writer=writer: wait_for_the_end(writer) for writer in writers]])
    wait_until(lambda: not is_alive(mount.pid), 60, "the daemon's end")
    found = sorted(reports.iterdir())
    assert not found, "\n".join(path.read_text()[:6000] for path in found[:3])
