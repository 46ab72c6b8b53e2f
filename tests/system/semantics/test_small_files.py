# SPDX-License-Identifier: Apache-2.0
"""What small files cost: their bytes are in the page cache when open(2) returns, wherever the daemon had them at hand."""

import collections
import ctypes
import mmap
import os
import threading

import pytest

from harness import CLUSTER, NODE, wait_until
from linux import drop_caches
from trees import Node

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)

TABLE = "shop/orders-" + "0" * 32
INLINE, PACKED, READERS = 40, 60, 8


@pytest.fixture
def world(program, repository):
    """(repository, {name: bytes}): files that lie in the tree, and files that share a pack."""
    node = Node(program.directory / "node", seed=5)
    for i in range(INLINE + PACKED):
        node.write(TABLE, "t1", f"nb-{i}-big-Data.db", node.bytes(1 + 12 * i if i < INLINE else 600 + 997 * (i - INLINE)))
    repository.backup(node.data, "t1")
    return repository, {p.name: p.read_bytes() for p in (node.data / TABLE / "snapshots/t1").iterdir()}


def asked(trace, directory, some):
    """How often the kernel asked for what of these files. A line is written after its answer: all opens are waited for."""
    inodes = {str((directory / name).stat().st_ino) for name in some}
    counts = {}

    def complete():
        lines = [line.split() for line in trace.read_text().splitlines() if not line.endswith("waits")]
        counts.update(collections.Counter(line[0] for line in lines if line[1] in inodes))
        return counts.get("open", 0) >= len(some)

    wait_until(complete, 60, "the trace of all opens")
    return counts


def names(first, last):
    return [f"nb-{i}-big-Data.db" for i in range(first, last)]


def read_and_stat(path):
    """As cp -a reads: it stats what it has open before and after."""
    with path.open("rb") as f:
        size = os.fstat(f.fileno()).st_size
        data = f.read()
        assert os.fstat(f.fileno()).st_size == size == len(data)
    return data


def wait_until_attributes_are_kept(mount, directory, trace):
    """The kernel is told of new link counts, and asks then: until it has stated everything three times without asking."""
    asked = []

    def is_quiet():
        for entry in os.scandir(directory):
            os.stat(entry.path)
        asked.append(trace.read_text().count("\ngetattr "))
        return len(asked) > 3 and asked[-4] == asked[-1]

    os.listdir(mount.node())
    wait_until(lambda: ", indexed" in mount.status()[f"node {CLUSTER}/{NODE}"], 60, "the index")
    wait_until(is_quiet, 60, "attributes that the kernel keeps")
    trace.write_text("")


def test_a_small_file_costs_an_open_and_nothing_else(world, tmp_path):
    repository, files = world
    trace = tmp_path / "trace"
    with repository.mount(f"trace={trace}") as mount:
        directory = mount.data("t1") / TABLE
        wait_until_attributes_are_kept(mount, directory, trace)
        inline, packed = names(0, INLINE), names(INLINE, INLINE + PACKED)
        assert all(read_and_stat(directory / name) == files[name] for name in inline + packed)
        for some, reads in ((inline, 0), (packed, PACKED / 2)):
            counts = asked(trace, directory, some)
            assert counts["open"] == len(some) and counts.get("read", 0) <= reads
            assert counts.get("getattr", 0) < len(some) / 2, "the time of access is not asked for again"


def test_what_the_kernel_gave_up_is_read_again(world):
    repository, files = world
    with repository.mount() as mount:
        for _ in range(3):
            assert {name: read_and_stat(mount.data("t1") / TABLE / name) for name in files} == files
            drop_caches()


def test_behind_the_end_of_a_small_file_a_mapping_has_zeros(world):
    repository, files = world
    with repository.mount() as mount:
        for name, data in files.items():
            whole_pages = -len(data) // mmap.PAGESIZE * -mmap.PAGESIZE
            fd = os.open(mount.data("t1") / TABLE / name, os.O_RDONLY)
            address = libc.mmap(None, whole_pages, mmap.PROT_READ, mmap.MAP_PRIVATE, fd, 0)
            assert ctypes.string_at(address, whole_pages) == data.ljust(whole_pages, b"\0"), name
            libc.munmap(address, whole_pages)
            os.close(fd)


def test_many_who_open_the_same_small_files_at_once_get_their_bytes(world):
    """Each file is opened by all of them at the same time, while the first of them puts it into the page cache."""
    repository, files = world
    wrong = []
    with repository.mount() as mount:
        for _ in range(2):
            barrier = threading.Barrier(READERS)

            def read_all(barrier=barrier):
                for name in files:
                    barrier.wait(60)
                    if read_and_stat(mount.data("t1") / TABLE / name) != files[name]:
                        wrong.append(name)

            threads = [threading.Thread(target=read_all) for _ in range(READERS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            drop_caches()
    assert not wrong
