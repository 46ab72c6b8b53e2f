# SPDX-License-Identifier: Apache-2.0
"""Reading at random in every way that Linux has, by many processes, against the bytes on disk: what fsx does, for a file system that is only read.

The mount has the least memory, and the kernel's caches are dropped all the time, so that most answers have to be made again.
"""

import ctypes
import errno
import mmap
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import LONG
from linux import drop_caches, libc, refused
from trees import FRAME, MIB, Node

TABLE = "shop/orders-" + "0" * 32
SIZES = (0, 1, 2, 511, 512, 513, 3000, 4095, 4096, 4097, FRAME - 1, FRAME, FRAME + 1, MIB - 1, MIB, MIB + 1,
         8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 17 * MIB + 12345)
PROCESSES = 4
OPERATIONS = 6000 if LONG else 250
GIB = 1 << 30


@pytest.fixture(scope="module")
def world(shared):
    """(files, mount): {path in the mount: the same file on disk}."""
    node = Node(shared.directory / "node", seed=3)
    for i, size in enumerate(SIZES):
        node.write(TABLE, "t1", f"nb-{i}-big-Data.db", node.bytes(size) if i % 2 else node.text(size))
    repository = shared.repository().init()
    repository.backup(node.data, "t1")
    with repository.mount("memory=64M", "cache_size=256M") as mount:
        files = {mount.data("t1") / TABLE / p.name: p for p in (node.data / TABLE / "snapshots/t1").iterdir()}
        assert len(files) == len(SIZES)
        yield files, mount


class Reader:
    """One process's view: every operation reads some bytes in its own way, and the caller compares them."""

    def __init__(self, files, seed):
        self.random = random.Random(seed)
        self.files = [(os.open(path, os.O_RDONLY), os.open(path, os.O_RDONLY | os.O_DIRECT), source.read_bytes()) for path, source in files.items()]
        self.scratch = os.memfd_create("scratch")
        self.pair = socket.socketpair()
        self.aligned = mmap.mmap(-1, 2 * MIB)
        self.maps = {}

    def place(self, size):
        """An offset and a length; often at an edge, at times beyond the end."""
        r = self.random
        edge = r.choice((0, 4096, FRAME, MIB, 8 * MIB, size))
        offset = r.choice((r.randrange(size + 1), max(0, edge + r.randrange(-5, 6)), max(0, size - r.randrange(100)), size + r.randrange(9000)))
        length = r.choice((0, 1, r.randrange(1, 600), r.randrange(1, 200_000), r.randrange(1, 2 * MIB)))
        return offset, length

    def pread(self, fd, direct, offset, length):
        return os.pread(fd, length, offset)

    def read(self, fd, direct, offset, length):
        os.lseek(fd, offset, os.SEEK_SET)
        got = os.read(fd, length)
        assert os.lseek(fd, 0, os.SEEK_CUR) == offset + len(got)
        return got

    def preadv(self, fd, direct, offset, length):
        buffers = [bytearray(n) for n in (length // 3, 0, 1, length - length // 3)]
        got = os.preadv(fd, buffers, offset)
        return b"".join(buffers)[:min(got, length)]

    def nowait(self, fd, direct, offset, length):
        buffer = bytearray(length)
        try:
            got = os.preadv(fd, [buffer], offset, os.RWF_NOWAIT)
        except OSError as failure:
            assert failure.errno in (errno.EAGAIN, errno.EOPNOTSUPP)
            return None
        return bytes(buffer[:got])  # may end early

    def map(self, fd, direct, offset, length, flags=mmap.MAP_SHARED):
        size = os.fstat(fd).st_size
        if size == 0:
            return b""
        if (fd, flags) not in self.maps or self.random.random() < 0.2:
            self.maps[fd, flags] = mmap.mmap(fd, size, flags, mmap.PROT_READ)
        mapped = self.maps[fd, flags]
        mapped.madvise(self.random.choice((mmap.MADV_NORMAL, mmap.MADV_RANDOM, mmap.MADV_SEQUENTIAL, mmap.MADV_WILLNEED, mmap.MADV_DONTNEED)))
        return mapped[offset:offset + length]

    def private(self, fd, direct, offset, length):
        return self.map(fd, direct, offset, length, mmap.MAP_PRIVATE)

    def advise(self, fd, direct, offset, length):
        os.posix_fadvise(fd, offset, length, self.random.choice((os.POSIX_FADV_WILLNEED, os.POSIX_FADV_DONTNEED, os.POSIX_FADV_RANDOM,
                                                                 os.POSIX_FADV_SEQUENTIAL, os.POSIX_FADV_NORMAL)))
        libc.readahead(fd, ctypes.c_int64(offset), ctypes.c_size_t(length))
        return os.pread(fd, length, offset)

    def copied(self, count):
        os.lseek(self.scratch, 0, os.SEEK_SET)
        return os.read(self.scratch, count)

    def sendfile(self, fd, direct, offset, length):
        os.ftruncate(self.scratch, 0)
        os.lseek(self.scratch, 0, os.SEEK_SET)
        return self.copied(os.sendfile(self.scratch, fd, offset, length))

    def sendfile_to_a_socket(self, fd, direct, offset, length):
        count = os.sendfile(self.pair[0].fileno(), fd, offset, min(length, 16000))
        return self.pair[1].recv(count, socket.MSG_WAITALL) if count else b""

    def copy_file_range(self, fd, direct, offset, length):
        os.ftruncate(self.scratch, 0)
        try:
            return self.copied(os.copy_file_range(fd, self.scratch, length, offset, 0))
        except OSError as failure:
            assert failure.errno in (errno.EXDEV, errno.EINVAL)  # kernels from 5.19 on leave it to the program
            return None

    def splice(self, fd, direct, offset, length):
        reader, writer = os.pipe()
        try:
            count = os.splice(fd, writer, min(length, 65536), offset_src=offset)
            return os.read(reader, count) if count else b""
        finally:
            os.close(reader)
            os.close(writer)

    def direct_aligned(self, fd, direct, offset, length):
        offset, length = offset // 4096 * 4096, (length + 4095) // 4096 * 4096
        got = os.preadv(direct, [memoryview(self.aligned)[:length]], offset)
        return self.aligned[:got], offset, length

    def direct_unaligned(self, fd, direct, offset, length):
        shift = self.random.randrange(1, 600)
        got = os.preadv(direct, [memoryview(self.aligned)[shift:shift + min(length, MIB)]], offset)
        return self.aligned[shift:shift + got], offset, min(length, MIB)

    # Whether a short answer is right where more bytes are there.
    MAY_BE_SHORT = {"nowait", "splice", "sendfile_to_a_socket", "copy_file_range"}
    WAYS = ("pread", "read", "preadv", "nowait", "map", "private", "advise", "sendfile", "sendfile_to_a_socket", "copy_file_range", "splice",
            "direct_aligned", "direct_unaligned")

    def step(self):
        fd, direct, expected = self.random.choice(self.files)
        way = self.random.choice(self.WAYS)
        offset, length = self.place(len(expected))
        got = getattr(self, way)(fd, direct, offset, length)
        if isinstance(got, tuple):
            got, offset, length = got
        if got is None:
            return
        right = expected[offset:offset + length]
        what = f"{way} of a file of {len(expected)} bytes at {offset}, {length} bytes: got {len(got)}"
        if way in self.MAY_BE_SHORT:
            assert got or not right, what
            right = right[:len(got)]
        assert bytes(got) == right, what


def in_processes(count, function):
    """Forks; each calls function(number). Yields while they run; fails if one of them did."""
    children = {}
    for number in range(count):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                function(number)
                status = 0
            except BaseException as failure:
                print(f"process {number}: {type(failure).__name__}: {failure}", file=sys.stderr, flush=True)
            finally:
                os._exit(status)
        children[pid] = number
    failed = []
    try:
        while children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid in children:
                number = children.pop(pid)
                if status:
                    failed.append(number)
            elif pid == 0:
                yield
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    assert not failed, f"processes that failed: {failed}"


def test_every_way_to_read_gives_the_bytes_on_disk(world):
    files, _ = world
    seed = int.from_bytes(os.urandom(4), "little") if LONG else 7
    print(f"seed {seed}")

    def read(number):
        reader = Reader(files, f"{seed} {number}")
        for _ in range(OPERATIONS):
            reader.step()

    for turn, _ in enumerate(in_processes(PROCESSES, read)):
        drop_caches(1 + turn % 3)
        time.sleep(0.05)  # the pace of the disturbance; nothing waits for it


def test_the_end_of_a_file_and_what_lies_beyond(world):
    files, _ = world
    greatest = (1 << 63) - 1
    for path, source in files.items():
        size = source.stat().st_size
        for flags in (os.O_RDONLY, os.O_RDONLY | os.O_DIRECT):
            fd, page = os.open(path, flags), mmap.mmap(-1, 8192)
            for offset in (size, size + 1, size + 4096, 1 << 31, 1 << 32, (1 << 32) + 1, 1 << 40, 1 << 62, greatest - 8192):
                offset = max(offset, size)
                assert os.preadv(fd, [page], offset) == 0, (size, offset, flags)
            with refused(errno.EINVAL):
                os.pread(fd, 1, -1)
            assert os.lseek(fd, size + 5, os.SEEK_SET) == size + 5 and os.read(fd, 10) == b""
            with refused(errno.EINVAL):
                os.lseek(fd, -1, os.SEEK_SET)
            assert os.lseek(fd, 0, os.SEEK_END) == size
            os.close(fd)


def test_data_and_holes_are_told_as_for_a_file_without_holes(world):
    for path, source in world[0].items():
        size = source.stat().st_size
        fd = os.open(path, os.O_RDONLY)
        for at in {0, 1, size // 2, size - 1}:
            if 0 <= at < size:
                assert os.lseek(fd, at, os.SEEK_DATA) == at and os.lseek(fd, at, os.SEEK_HOLE) == size
        for at in (size, size + 1, 1 << 40):
            for whence in (os.SEEK_DATA, os.SEEK_HOLE):
                with refused(errno.ENXIO):
                    os.lseek(fd, at, whence)
        os.close(fd)


def test_a_mapping_ends_with_zeros_and_beyond_its_last_page_with_sigbus(world):
    path = next(p for p, source in world[0].items() if source.stat().st_size == 4097)
    script = """
import mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
m = mmap.mmap(fd, 4097, mmap.MAP_SHARED, mmap.PROT_READ)
import ctypes
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
at = libc.mmap(None, ctypes.c_size_t(16384), 1, 1, fd, ctypes.c_long(0))
assert ctypes.string_at(at + 4097, 4095) == bytes(4095)
print("so far", flush=True)
ctypes.string_at(at + 8192, 1)
"""
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True)
    assert done.stdout == "so far\n" and done.returncode == -signal.SIGBUS, done


def test_mappings_that_could_write_are_refused_and_private_ones_are_not(world):
    path, source = next((p, s) for p, s in world[0].items() if s.stat().st_size == 3000)
    fd = os.open(path, os.O_RDONLY)
    with refused(errno.EACCES):
        mmap.mmap(fd, 3000, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    private = mmap.mmap(fd, 3000, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    private[:5] = b"mine!"
    assert private[:] == b"mine!" + source.read_bytes()[5:] and os.pread(fd, 3000, 0) == source.read_bytes()
    private.close()
    os.close(fd)


def test_files_of_unknown_size_are_read_by_every_tool(world):
    """status and metrics: st_size is 0, as below /proc."""
    _, mount = world
    for name in ("status", "metrics"):
        path = mount.path / ".sstablefs" / name
        assert path.stat().st_size == 0
        target = mount.path.with_name("copy")
        for command in (["cat", path], ["cp", path, target], ["cp", "--sparse=always", path, target], ["head", "-c", "100", path], ["tail", "-n", "1", path],
                        ["dd", f"if={path}", f"of={target}", "bs=7"], ["grep", "-c", "", path]):
            done = subprocess.run(command, capture_output=True, check=True)
            assert (done.stdout if command[0] not in ("cp", "dd") else target.read_bytes()), command
        fd = os.open(path, os.O_RDONLY)
        whole = os.read(fd, 1 << 20)
        assert os.pread(fd, 10, 3) == whole[3:13] and os.pread(fd, 10, len(whole)) == b"", "one open, one text"
        os.close(fd)


def test_offsets_beyond_4_gib(shared):
    """A file with marks around 2^31 and 2^32. Not in the daily check, where hashing so much takes minutes: there it has some objects only."""
    size = 5 * GIB if LONG else 40 * MIB
    marks = [at for at in (0, 2 * GIB - 3, 4 * GIB - 3, 4 * GIB + 8 * MIB - 3, size - 6) if at <= size - 6] + [size // 3]
    node = Node(shared.directory / "big")
    source = node.write(TABLE, "t1", "nb-1-big-Data.db", b"")
    with open(source, "r+b") as f:
        f.truncate(size)
        for at in marks:
            f.seek(at)
            f.write(b"marked")
    repository = shared.repository().init()
    repository.backup(node.data, "t1", timeout=1200)
    stored = sum(p.stat().st_size for p in Path(repository.url).rglob("*") if p.is_file())
    assert stored < size / 1000, "zeros are stored as next to nothing"
    with repository.mount("memory=64M", where=shared.directory / "big-mnt") as mount, open(mount.data("t1") / TABLE / source.name, "rb") as f:
        st = os.fstat(f.fileno())
        assert st.st_size == size and st.st_blocks == size // 512
        mapped = mmap.mmap(f.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ)
        for at in marks:
            for low, high in ((at, at + 6), (max(0, at - 100), min(size, at + 100_000))):
                expected = bytearray(high - low)
                expected[at - low:at - low + 6] = b"marked"
                assert os.pread(f.fileno(), high - low, low) == expected == mapped[low:high], at
        assert os.pread(f.fileno(), 10, size - 6) == b"marked"
        mapped.close()
