# SPDX-License-Identifier: Apache-2.0
"""What is known of a file beside its bytes, and what may be done with it once it is open: statx, statfs, times, locks, execve, inotify."""

import ctypes
import errno
import fcntl
import os
import select
import stat
import struct
import subprocess
from pathlib import Path

import pytest

from harness import run, wait_until
from linux import AT_FDCWD, check, drop_caches, libc, refused
from test_refresh import REFRESH
from trees import Node

TABLE = "shop/orders-" + "0" * 32
S = 10**9
TIMES = {
    "first": -(2**63), "before-1901": -2**31 * S - 1, "before-1970": -1_500_000_001, "epoch": 0, "nanosecond": 1, "now": 1_763_808_000 * S + 999_999_999,
    "after-2038": 2**31 * S + 123_456_789, "after-2106": 2**32 * S + 1, "last": 2**63 - 1,
}


@pytest.fixture(scope="module")
def world(shared):
    node = Node(shared.directory / "node")
    for name, ns in TIMES.items():
        node.write(TABLE, "t1", name, b"some bytes", mtime_ns=ns)
    for size in (1, 511, 512, 513, 4096, 4097, 300_000):
        node.write(TABLE, "t1", f"size-{size}", node.bytes(size))
    node.write(TABLE, "t1", "program", b"#!/bin/sh\necho it runs as $(id -u)\n", mode=0o755)
    node.write(TABLE, "t1", "no-program", b"#!/bin/sh\n", mode=0o644)
    node.write(TABLE, "t1", "id", Path("/usr/bin/id").read_bytes(), mode=0o6755)
    repository = shared.repository().init()
    repository.backup(node.data, "t1")
    with repository.mount("allow_other") as mount:
        yield mount.data("t1") / TABLE, mount


# ---- statx(2) and its relatives ----

class Statx(ctypes.Structure):
    _fields_ = [("mask", ctypes.c_uint32), ("blksize", ctypes.c_uint32), ("attributes", ctypes.c_uint64), ("nlink", ctypes.c_uint32),
                ("uid", ctypes.c_uint32), ("gid", ctypes.c_uint32), ("mode", ctypes.c_uint16), ("pad", ctypes.c_uint16), ("ino", ctypes.c_uint64),
                ("size", ctypes.c_uint64), ("blocks", ctypes.c_uint64), ("attributes_mask", ctypes.c_uint64),
                ("times", ctypes.c_int64 * 8), ("rdev_major", ctypes.c_uint32), ("rdev_minor", ctypes.c_uint32),
                ("dev_major", ctypes.c_uint32), ("dev_minor", ctypes.c_uint32), ("mnt_id", ctypes.c_uint64), ("rest", ctypes.c_uint64 * 13)]


STATX_BASIC, STATX_BTIME, STATX_MNT_ID, STATX_ALL = 0x7FF, 0x800, 0x1000, 0xFFFF
FORCE_SYNC, DONT_SYNC, NOFOLLOW = 0x2000, 0x4000, 0x100


def statx(path, flags=0, mask=STATX_ALL):
    found = Statx()
    check(libc.statx(AT_FDCWD, os.fsencode(path), flags, mask, ctypes.byref(found)), path)
    return found


def test_statx_gives_what_stat_gives_and_invents_nothing(world):
    directory, mount = world
    for flags in (0, FORCE_SYNC, DONT_SYNC):
        for drop in (False, True):
            if drop:
                drop_caches()
            for path in (*directory.iterdir(), directory, mount.path, mount.node() / "latest"):
                found, st = statx(path, flags | NOFOLLOW), os.lstat(path)
                assert (found.ino, found.mode, found.nlink, found.uid, found.gid, found.size, found.blocks, found.blksize) == (
                    st.st_ino, st.st_mode, st.st_nlink, st.st_uid, st.st_gid, st.st_size, st.st_blocks, st.st_blksize)
                assert found.mask & STATX_BASIC == STATX_BASIC and not found.mask & STATX_BTIME, "no time of birth was recorded"
                assert os.makedev(found.dev_major, found.dev_minor) == st.st_dev
                if found.mask & STATX_MNT_ID:
                    assert f"\n{found.mnt_id} " in "\n" + Path("/proc/self/mountinfo").read_text()


def test_times_are_kept_to_the_nanosecond_from_1677_to_2262(world):
    directory, _ = world
    for name, ns in TIMES.items():
        st = os.stat(directory / name)
        assert (st.st_mtime_ns, st.st_ctime_ns, st.st_atime_ns) == (ns, ns, ns), name


def test_a_time_that_cannot_be_recorded_becomes_the_nearest_one(stored, node):
    """A file system can hold times that 64 bits of nanoseconds cannot: such a file is backed up all the same."""
    run("mount", "-t", "tmpfs", "tmpfs", node.data)
    try:
        for name, seconds in (("later", 9_999_999_999), ("much-later", 2**40), ("earlier", -9_999_999_999)):
            path = node.write(TABLE, "t9", name, b"some bytes")
            run("touch", "-d", f"@{seconds}.5", path)
            assert abs(os.stat(path).st_mtime - seconds) < 2
        stored.backup(node.data, "t9")
    finally:
        run("umount", node.data)
    with stored.mount() as mount:
        found = {name: os.stat(mount.data("t9") / TABLE / name).st_mtime_ns for name in ("later", "much-later", "earlier")}
        assert found == {"later": 2**63 - 1, "much-later": 2**63 - 1, "earlier": -(2**63)}
    stored("verify", "t9")


def test_blocks_are_the_size_in_units_of_512_and_directories_have_one_link(world):
    directory, mount = world
    for path in directory.iterdir():
        st = os.stat(path)
        assert st.st_blocks == (st.st_size + 511) // 512 and st.st_blksize == 1 << 20 and st.st_nlink == 2
    for path in (directory, mount.path, mount.node(), mount.node() / "objects"):
        assert os.stat(path).st_nlink == 1, "find(1) and fts(3) take one for: not known, look at every entry"
    st = os.lstat(mount.node() / "latest")
    assert stat.S_ISLNK(st.st_mode) and st.st_size == len(os.readlink(mount.node() / "latest"))
    buffer = ctypes.create_string_buffer(4)
    assert libc.readlink(os.fsencode(mount.node() / "latest"), buffer, 1) == 1 and buffer.raw == b"t\0\0\0", "cut off, not ended"


def test_statfs_says_what_is_free_in_the_overlay_and_what_it_is(world):
    directory, mount = world
    fd = os.open(directory / "now", os.O_RDONLY)
    for vfs in (os.statvfs(mount.path), os.statvfs(directory / "now"), os.fstatvfs(fd)):
        assert vfs.f_namemax == 255 and vfs.f_blocks > 0 and vfs.f_bsize == vfs.f_frsize == 4096
        assert vfs.f_bfree == vfs.f_bavail and 0.9 * (64 << 20) < vfs.f_bavail * 4096 <= 64 << 20 and vfs.f_ffree == vfs.f_favail == 0
        assert vfs.f_flag & os.ST_NOSUID and vfs.f_flag & os.ST_NODEV and not vfs.f_flag & os.ST_RDONLY
    os.close(fd)
    assert run("stat", "-f", "-c", "%t", mount.path).strip() == "65735546", "FUSE_SUPER_MAGIC"


# ---- what is open ----

def test_what_is_open_for_reading_can_be_locked_and_synced_and_not_written(world):
    directory, _ = world
    fd, other = (os.open(directory / "now", os.O_RDONLY) for _ in range(2))
    fcntl.flock(fd, fcntl.LOCK_SH)
    fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
    with refused(errno.EWOULDBLOCK):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(other, fcntl.LOCK_UN)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    with refused(errno.EBADF):
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.fsync(fd)
    os.fdatasync(fd)
    check(libc.syncfs(fd))
    for attempt in (lambda: os.write(fd, b"x"), lambda: os.pwrite(fd, b"x", 0), lambda: os.posix_fallocate(fd, 0, 10)):
        with refused(errno.EBADF):
            attempt()
    with refused(errno.EINVAL):
        os.ftruncate(fd, 0)
    for attempt in (lambda: os.fchmod(fd, 0o600), lambda: os.fchown(fd, 1, 1), lambda: os.utime(fd)):
        with refused(errno.EROFS):
            attempt()
    with refused(errno.EOPNOTSUPP):
        os.setxattr(fd, "user.x", b"1")
    for request in (0x80086601, 0x801C581F):  # FS_IOC_GETFLAGS, FS_IOC_FSGETXATTR
        with refused(errno.ENOTTY, errno.EOPNOTSUPP):
            fcntl.ioctl(fd, request, bytes(64))
    with refused(errno.ENOTTY, errno.EOPNOTSUPP, errno.EROFS):
        fcntl.ioctl(fd, 0x40086602, struct.pack("l", 0))  # FS_IOC_SETFLAGS
    assert select.select([fd], [], [], 0)[0] == [fd]
    os.close(fd)
    os.close(other)
    directory_fd = os.open(directory, os.O_RDONLY)
    os.fsync(directory_fd)
    with refused(errno.EISDIR):
        os.read(directory_fd, 1)
    with refused(errno.EOPNOTSUPP, errno.EROFS):
        os.open(directory, os.O_TMPFILE | os.O_RDWR)
    os.close(directory_fd)


def test_programs_run_and_set_user_id_does_nothing(world, shared):
    directory, _ = world
    assert run(directory / "program") == "it runs as 0\n"
    with refused(errno.EACCES):
        os.execv(directory / "no-program", ["x"])
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    assert run(*drop, directory / "id", "-u") == run(*drop, directory / "id", "-ru") == "65534\n"
    assert run(*drop, directory / "id", "-g") == "65534\n"


def test_inotify_can_be_set_and_says_nothing_of_new_backups(stored, node):
    """Other machines make them, and the kernel has no way to tell a watcher of a FUSE file system: look again instead (docs/mount.md)."""
    with stored.mount(f"refresh={REFRESH}") as mount:
        fd = check(libc.inotify_init1(os.O_NONBLOCK))
        check(libc.inotify_add_watch(fd, os.fsencode(mount.node()), 0x00000FC0))  # moves, creation, deletion
        stored.backup(node.data, "t1", "t2")
        wait_until((mount.node() / "t2").exists, 60, "the new backup")
        with refused(errno.EAGAIN):
            os.read(fd, 4096)
        os.close(fd)


def test_a_deep_directory_is_reached_step_by_step(stored, node):
    """Longer than PATH_MAX from the root, as a program with a short current directory may have it."""
    mount_point = stored.program.directory / ("m" * 200) / ("n" * 200)
    mount_point.parent.mkdir()
    with stored.mount(where=mount_point) as mount:
        path = mount.data("t1")
        fd = os.open(path, os.O_PATH)
        long = "./" * ((4095 - len("shop")) // 2) + "shop"
        assert len(long) < 4096 and os.path.stat.S_ISDIR(os.stat(long, dir_fd=fd).st_mode)
        with refused(errno.ENAMETOOLONG):
            os.stat("./" * 2048 + "shop", dir_fd=fd)
        os.close(fd)
