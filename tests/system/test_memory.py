# SPDX-License-Identifier: Apache-2.0
"""P7: RssAnon + RssShmem of a process stay within memory= and 64 MiB. With a release build: sanitizers need memory of their own."""

import contextlib
import fcntl
import os
import threading
import time
from pathlib import Path

import pytest

from harness import LONG, in_threads, run
from trees import MIB, Node, describe_snapshot, describe_tree, files_below

SOURCE = Path(__file__).resolve().parents[2]
MEMORY = 192 if LONG else 64  # MiB
BESIDE = 64
READERS = 16
FILE_BYTES = (100 if LONG else 10) * MIB


@pytest.fixture(scope="session")
def release_binary():
    """SSTABLEFS_RELEASE_BIN, or what the release preset builds now."""
    if path := os.environ.get("SSTABLEFS_RELEASE_BIN"):
        return Path(path)
    (SOURCE / "build").mkdir(exist_ok=True)
    with open(SOURCE / "build/.release.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run("cmake", "--preset", "release", cwd=SOURCE, timeout=580)
        run("cmake", "--build", "--preset", "release", "--target", "sstablefs", cwd=SOURCE, timeout=580)
    return SOURCE / "build/release/tools/sstablefs"


@pytest.fixture
def release(program, release_binary):
    """The Program of the test, with the release binary."""
    program.binary = release_binary
    return program


@pytest.fixture
def large_files(tmp_path):
    """As many large files as there are readers, together more than may be kept; no two pieces of them are equal."""
    node = Node(tmp_path / "node")
    content = node.bytes(FILE_BYTES)
    for i in range(READERS):
        node.write(node.table("ks", "t"), "t1", f"nb-{i}-big-Data.db", content[i * 4096:] + content[:i * 4096])
    return node


def memory_of(pid):
    """RssAnon + RssShmem in MiB; 0 of a process that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    fields = {line.split(":")[0]: line.split() for line in lines}
    return sum(int(fields[name][1]) for name in ("RssAnon", "RssShmem") if name in fields) / 1024


@contextlib.contextmanager
def watched(pid):
    """A list that holds the peak of the process's memory while the block runs."""
    peak, enough = [0.0], threading.Event()

    def watch():
        while not enough.is_set():
            peak[0] = max(peak[0], memory_of(pid))
            time.sleep(0.01)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        enough.set()
        thread.join()


def test_memory_stays_within_its_bound(release, minio_server, large_files, tmp_path):
    release.environment.update(minio_server.environment())
    repository = release.repository(minio_server.url(minio_server.make_bucket())).init()
    peaks = {}

    def finish(name, process):
        with watched(process.pid) as peak:
            _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        peaks[name] = peak[0]

    limit = ["--memory", f"{MEMORY}M"]
    finish("backup", repository.start(*repository.backup_arguments(large_files.data, "t1"), *limit))
    with repository.mount(f"memory={MEMORY}M") as mount:
        files = [mount.data("t1") / path for path in files_below(mount.data("t1"))]
        with watched(mount.pid) as peak:
            in_threads([lambda path=path: run("dd", f"if={path}", "of=/dev/null", "bs=256k") for path in files])
            in_threads([lambda: list(files_below(mount.path))] * 4)
        peaks["mount"] = peak[0]
        assert int(mount.status()["memory_content"].split()[0]) <= MEMORY * MIB
    finish("restore", repository.start("restore", "t1", tmp_path / "out", *limit))
    finish("verify", repository.start("verify", *limit))
    assert describe_tree(tmp_path / "out") == describe_snapshot(large_files.data, "t1")
    print(peaks)
    assert max(peaks.values()) <= MEMORY + BESIDE, peaks
    assert peaks["mount"] > 10, "nothing was measured"
