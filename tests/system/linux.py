# SPDX-License-Identifier: Apache-2.0
"""System calls that Python does not offer, and the little that tests of a file system need beside them."""

import contextlib
import ctypes
import errno
import os
import select
import struct
import threading
from pathlib import Path

import pytest

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
NOBODY = 65534

libc = ctypes.CDLL(None, use_errno=True)


def check(result, *what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), *what)
    return result


@contextlib.contextmanager
def refused(*numbers):
    """Expects an OSError with one of these errno values."""
    with pytest.raises(OSError) as caught:
        yield
    assert caught.value.errno in numbers, f"{caught.value}, not {[errno.errorcode[n] for n in numbers]}"


def drop_caches(what=3):
    """1: pages, 2: inodes and dentries, 3: both. Of the whole host, as there is no narrower way."""
    Path("/proc/sys/vm/drop_caches").write_text(str(what))


# ---- file handles ----

class FileHandle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("data", ctypes.c_ubyte * 128)]


def name_to_handle(path, dir_fd=AT_FDCWD, flags=0):
    """What the kernel needs to open the file again without its name: opaque bytes, and the id of the mount."""
    handle, mount_id = FileHandle(bytes=128), ctypes.c_int()
    check(libc.name_to_handle_at(dir_fd, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount_id), flags), path)
    return bytes(handle)[:8 + handle.bytes], mount_id.value


def open_by_handle(mount_fd, handle, flags=os.O_RDONLY):
    raw = FileHandle.from_buffer_copy(handle.ljust(ctypes.sizeof(FileHandle), b"\0"))
    return check(libc.open_by_handle_at(mount_fd, ctypes.byref(raw), flags | os.O_CLOEXEC))


# ---- who opens what ----

class Opens:
    """Names of the files that anybody opens in the directories below one, while the block runs."""

    IN_OPEN, IN_Q_OVERFLOW, IN_ISDIR = 0x20, 0x4000, 0x40000000

    def __init__(self, top):
        self.names = []
        self.fd = check(libc.inotify_init1(ctypes.c_int(os.O_CLOEXEC)))
        for directory, _, _ in os.walk(top):
            check(libc.inotify_add_watch(self.fd, os.fsencode(directory), ctypes.c_uint32(self.IN_OPEN)), directory)
        self.end, self.tell = os.pipe()
        self.reader = threading.Thread(target=self._read, daemon=True)

    def _read(self):
        over = False
        while not over:
            ready = select.select([self.fd, self.end], [], [])[0]
            over = self.fd not in ready  # the end, and nothing before it
            if not over:
                self._parse(os.read(self.fd, 1 << 16))

    def _parse(self, data):
        at = 0
        while at < len(data):
            _, mask, _, length = struct.unpack_from("=iIII", data, at)
            assert not mask & self.IN_Q_OVERFLOW
            if not mask & self.IN_ISDIR:
                self.names.append(os.fsdecode(data[at + 16:at + 16 + length].rstrip(b"\0")))
            at += 16 + length

    def __enter__(self):
        self.reader.start()
        return self

    def __exit__(self, *exception):
        os.write(self.tell, b".")
        self.reader.join()
        for fd in (self.fd, self.end, self.tell):
            os.close(fd)


# ---- directories, without the C library's buffer ----

libc.syscall.restype = ctypes.c_long
SYS_getdents64 = {"x86_64": 217, "aarch64": 61}[os.uname().machine]


def getdents(fd, size):
    """One getdents64(2): [(inode, offset behind it, type, name)]; [] at the end."""
    buffer = ctypes.create_string_buffer(size)
    got = check(libc.syscall(ctypes.c_long(SYS_getdents64), ctypes.c_int(fd), buffer, ctypes.c_size_t(size)))
    found, at = [], 0
    while at < got:
        ino, off = (int.from_bytes(buffer[at + i:at + i + 8], "little") for i in (0, 8))
        length, kind = int.from_bytes(buffer[at + 16:at + 18], "little"), buffer[at + 18][0]
        name = bytes(buffer[at + 19:at + length]).split(b"\0", 1)[0]
        found.append((ino, off, kind, os.fsdecode(name)))
        at += length
    return found
