# SPDX-License-Identifier: Apache-2.0
"""P7: RssAnon + RssShmem of a process stay within memory= and 64 MiB; descriptors and threads within what docs/mount.md says.

With a release build: sanitizers need memory of their own.
"""

import contextlib
import errno
import fcntl
import itertools
import os
import random
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import LONG, in_threads, run
from trees import MIB, Node, describe_snapshot, describe_tree, files_below

SOURCE = Path(__file__).resolve().parents[2]
MEMORY = 192 if LONG else 64  # MiB
BESIDE = 64
STREAMS = 64
FILE_BYTES = (40 if LONG else 3) * MIB
RANDOM_READS = 2000 if LONG else 100  # of each stream
ENTRIES = 1_800_000 if LONG else 45_000
COMPONENTS = ("Data", "Index", "Filter", "Statistics", "Summary", "CompressionInfo", "CRC", "Digest", "TOC")
TABLE_ENTRIES = 9000
THREADS = 127 + 16  # docs/mount.md, with 16 connections
DESCRIPTORS = 24 + 16


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
    """As many large files as there are streams, together more than may be kept; no two pieces of them are equal."""
    node = Node(tmp_path / "node")
    content = node.bytes(FILE_BYTES)
    for i in range(STREAMS):
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


def count(pid, what):
    try:
        return len(os.listdir(f"/proc/{pid}/{what}"))
    except OSError:
        return 0


@dataclass
class Peak:
    memory: float = 0.0
    descriptors: int = 0
    threads: int = 0


@contextlib.contextmanager
def watched(pid):
    """The peaks of a process while the block runs."""
    peak, enough = Peak(), threading.Event()

    def watch():
        while not enough.wait(0.01):
            peak.memory = max(peak.memory, memory_of(pid))
            peak.descriptors = max(peak.descriptors, count(pid, "fd"))
            peak.threads = max(peak.threads, count(pid, "task"))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        enough.set()
        thread.join()


def finish(process, timeout=600, code=0):
    """The peaks of a command until it ends as it should."""
    with watched(process.pid) as peak:
        _, err = process.communicate(timeout=timeout)
    assert process.returncode == code, err
    return peak


def read_in_order(path):
    run("dd", f"if={path}", "of=/dev/null", "bs=256k")


def read_at_random(path):
    chance = random.Random(str(path))
    with open(path, "rb", buffering=0) as f:
        size = os.fstat(f.fileno()).st_size
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        for _ in range(RANDOM_READS):
            os.pread(f.fileno(), 4096, chance.randrange(size))


def test_memory_descriptors_and_threads_stay_within_their_bounds(release, minio_server, large_files, tmp_path):
    release.environment.update(minio_server.environment())
    repository = release.repository(minio_server.url(minio_server.make_bucket())).init()
    limit = ["--memory", f"{MEMORY}M"]
    peaks = {"backup": finish(repository.start(*repository.backup_arguments(large_files.data, "t1"), *limit))}
    with repository.mount(f"memory={MEMORY}M", "cache_size=128M") as mount:
        files = [mount.data("t1") / path for path in files_below(mount.data("t1"))]
        with watched(mount.pid) as peak:
            in_threads([lambda path=path: read_in_order(path) for path in files])
            in_threads([lambda path=path: read_at_random(path) for path in files])
            in_threads([lambda: list(files_below(mount.path))] * 4)
        peaks["mount"] = peak
        assert int(mount.status()["memory_content"].split()[0]) <= MEMORY * MIB
    peaks["restore"] = finish(repository.start("restore", "t1", tmp_path / "out", *limit))
    peaks["verify"] = finish(repository.start("verify", *limit))
    assert describe_tree(tmp_path / "out") == describe_snapshot(large_files.data, "t1")
    print(peaks)
    assert max(peak.memory for peak in peaks.values()) <= MEMORY + BESIDE, peaks
    assert peaks["mount"].memory > 10, "nothing was measured"
    assert peaks["mount"].threads <= THREADS and peaks["mount"].descriptors <= DESCRIPTORS, peaks


@pytest.fixture
def many_entries(tmp_path):
    """Names of nine small files, as links of one another: what grows with the number of entries is not their bytes."""
    node = Node(tmp_path / "many")
    sources = []
    for component in COMPONENTS:
        sources.append(node.top / component)
        sources[-1].write_text(component * 5)
    for number in range(ENTRIES // TABLE_ENTRIES):
        directory = node.data / node.table("ks", f"t{number}") / "snapshots/t1"
        directory.mkdir(parents=True)
        for generation in range(TABLE_ENTRIES // len(COMPONENTS)):
            for component, source in zip(COMPONENTS, sources):
                os.link(source, directory / f"nb-{generation}-big-{component}.db")
    return node


@pytest.mark.timeout(4 * 3600 if LONG else 600)
def test_memory_does_not_follow_the_number_of_entries(release, many_entries):
    """What must follow it, in a backup, is bounded by bytes an entry: at the default memory= 1.8 million fit."""
    repository = release.repository().init()
    limit = ["--memory", f"{MEMORY}M"]
    peaks = {name: finish(repository.start(*repository.backup_arguments(many_entries.data, "t1", name), *limit), 7200)
             for name in ("b1", "b2")}
    for command in (["list"], ["show", "b1"], ["diff", "b1", "b2"], ["verify", *limit]):
        peaks[command[0]] = finish(repository.start(*command), 7200)
    # The index of 1.8 million entries in two backups: docs/mount.md.
    with repository.mount(f"memory={MEMORY}M", "cache_size=6G") as mount:
        with watched(mount.pid) as peak:
            found = run("find", mount.data("b1"), "-type", "f", "-printf", ".", timeout=7200)
            run("ls", "-lR", mount.data("b2"), timeout=7200)
        peaks["mount"] = peak
    print(peaks)
    assert len(found) == ENTRIES // TABLE_ENTRIES * TABLE_ENTRIES
    assert max(peak.memory for peak in peaks.values()) <= MEMORY + BESIDE, peaks
    if not LONG:  # there it is the bound that tells
        assert max(peaks[name].memory for name in ("b1", "b2")) <= 10 + ENTRIES * 130 / MIB, peaks
    assert max(peak.memory for name, peak in peaks.items() if name not in ("b1", "b2", "mount")) <= 30, peaks


def fill(step):
    """Calls step(0), step(1)... until there is no room left. How many went well."""
    for number in itertools.count():
        try:
            step(number)
        except OSError as failure:
            assert failure.errno == errno.ENOSPC, failure
            return number


def overlay_of(mount):
    """Bytes used of the scratch overlay, and its bound."""
    words = mount.status()["overlay"].split()
    return int(words[0]), int(words[2])


def content_of(mount):
    return int(mount.status()["memory_content"].split()[0])


def test_a_full_overlay_stays_within_memory(release, large_files):
    """Full of names and inodes, then of data, with the caches full of what was read: that takes what the overlay does not use, and gives it back."""
    content = MEMORY * MIB - 2 * min(MEMORY * MIB // 8, 24 * MIB)
    repository = release.repository().init()
    repository.backup(large_files.data, "t1")
    with repository.mount(f"memory={MEMORY}M", "cache_size=128M") as mount, watched(mount.pid) as peak:
        files = [mount.data("t1") / path for path in files_below(mount.data("t1"))]
        made = files[0].with_name("made")
        made.mkdir()

        def make(number):
            os.link(files[0], made / f"link{number}")
            os.close(os.open(made / f"file{number}", os.O_CREAT | os.O_WRONLY))

        in_threads([lambda path=path: read_in_order(path) for path in files])
        assert content_of(mount) > content - overlay_of(mount)[1]
        names = fill(make)
        used, limit = overlay_of(mount)
        assert content_of(mount) <= content - used
        assert names > 1000 and 0.98 * limit < used <= limit, (names, used, limit)
        in_threads([lambda path=path: read_at_random(path) for path in files])
        assert len(os.listdir(made)) in (2 * names, 2 * names + 1)
        run("rm", "-r", made)
        assert overlay_of(mount)[0] < limit / 10  # tables do not shrink
        with open(files[0].with_name("full"), "wb", buffering=0) as f:
            fill(lambda number: os.pwrite(f.fileno(), b"x" * MIB, number * MIB))
            used, limit = overlay_of(mount)
            assert 0.98 * limit < used <= limit, (used, limit)
            in_threads([lambda path=path: read_at_random(path) for path in files])
    print(peak, names)
    assert 10 < peak.memory <= MEMORY + BESIDE and peak.threads <= THREADS and peak.descriptors <= DESCRIPTORS, peak


def test_64_descriptors_are_enough(release, minio_server, small_node):
    """Also where more connections are allowed than there can be."""
    release.environment.update(minio_server.environment())
    repository = release.repository(minio_server.url(minio_server.make_bucket())).init()
    few = ["prlimit", "--nofile=64:64"]
    repository(*repository.backup_arguments(small_node.data, "t1"), prefix=few)
    where = release.directory / "few"
    where.mkdir()
    repository("mount", where, "-o", "connections=256", prefix=few)
    try:
        paths = list(files_below(where / "c1/nodes/n1/t1/data"))
        in_threads([lambda path=path: read_at_random(where / "c1/nodes/n1/t1/data" / path) for path in paths * 16])
        assert len(paths) == 4
    finally:
        release("umount", where)
