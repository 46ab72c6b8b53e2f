# SPDX-License-Identifier: Apache-2.0
"""A production node is not hurt: a backup steps back by itself, and as far as the configuration says."""

import ctypes
import mmap
import os
import re
from pathlib import Path

import pytest

from harness import DONE, USAGE, is_sentence, run, wait_until
from test_signals import node, started_backup  # noqa: F401 (node is a fixture)
from trees import MIB, Node


def nice_of(pid):
    """The nice value of proc(5): field 19, behind the name in brackets."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[16])


@pytest.mark.parametrize("text, nice", [("", 10), ("[backup]\nnice = 3\nionice = none\n", 3)])
def test_a_backup_runs_at_the_priority_that_the_configuration_says(repository, node, text, nice):  # noqa: F811
    Path(repository.program.environment["SSTABLEFS_CONFIG"]).write_text(text)
    process = started_backup(repository, node, "b")
    try:
        wanted = max(nice, nice_of(os.getpid()))
        wait_until(lambda: nice_of(process.pid) == wanted, 60, f"nice {wanted}")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("text", ["", "[backup]\nnice = 0\nionice = none\n", "[backup]\nnice = 3\nionice = best-effort\n"])
def test_a_backup_never_raises_the_priority_that_it_was_started_with(repository, node, text):  # noqa: F811
    Path(repository.program.environment["SSTABLEFS_CONFIG"]).write_text(text)
    prefix = ("ionice", "-c", "3", "nice", "-n", "15")
    process = started_backup(repository, node, "b", prefix=prefix)
    try:
        assert nice_of(process.pid) == min(nice_of(os.getpid()) + 15, 19)
        assert run("ionice", "-p", process.pid).strip() == "idle"
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("line", ["nice = 20", "nice = low", "ionice = fast", "jobs = 0", "memory = 1M", "conections = 4"])
def test_a_limit_that_means_nothing_is_refused_before_anything_is_read(repository, node, line):  # noqa: F811
    Path(repository.program.environment["SSTABLEFS_CONFIG"]).write_text(f"[backup]\n{line}\n")
    answer = repository(*repository.backup_arguments(node.data, "t1", "b"), code=USAGE)
    assert is_sentence(answer.err)
    assert re.search(line.split(" ")[0].replace("conections", "connections"), answer.err)
    Path(repository.program.environment["SSTABLEFS_CONFIG"]).write_text("")
    assert repository.json("list", code=DONE)["backups"] == []


def resident_pages(path):
    """Which pages of a file are in the page cache, by mincore(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    size = path.stat().st_size
    fd = os.open(path, os.O_RDONLY)
    try:
        where = ctypes.c_void_p(libc.mmap(None, ctypes.c_size_t(size), mmap.PROT_READ, mmap.MAP_SHARED, fd, ctypes.c_long(0)))
        vector = (ctypes.c_ubyte * (-(-size // mmap.PAGESIZE)))()
        assert libc.mincore(where, ctypes.c_size_t(size), vector) == 0
        libc.munmap(where, ctypes.c_size_t(size))
    finally:
        os.close(fd)
    return [page & 1 for page in vector]


def use_only(path, *ranges):
    """What another program has read of a file, and nothing else, is in the page cache."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    for offset, size in ranges:
        os.pread(fd, size, offset)
    os.close(fd)


def test_a_backup_takes_no_page_of_the_cache_and_leaves_none(repository, tmp_path):
    node = Node(tmp_path / "other")
    table = node.table("ks", "t")
    hot = [(0, 20 * MIB)]
    uses = {"nb-1-big-Data.db": hot, "nb-2-big-Data.db": [], "nb-3-big-Data.db": [(3 * MIB, 100_000), (8 * MIB - 4096, 8192)],
            "nb-1-big-Index.db": hot, "nb-2-big-Index.db": []}
    for name in uses:
        node.write(table, "t1", name, node.bytes(30_000 if "Index" in name else 20 * MIB))
    files = sorted(path for path in node.data.rglob("*.db") if path.name in uses)
    for path in files:
        use_only(path, *uses[path.name])
    before = {path: resident_pages(path) for path in files}
    assert all(all(pages) for path, pages in before.items() if uses[path.name] == hot)
    repository.backup(node.data, "t1", "b", "--jobs", "2", "--connections", "8")
    for path in files:
        assert resident_pages(path) == before[path], path.name
