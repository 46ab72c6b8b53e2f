# SPDX-License-Identifier: Apache-2.0
"""Changes names and files in directories of backups, at random and with others who do the same, until the standard input ends.

change.py KEPT-DIRECTORY DIRECTORY: in the first one nothing that the backup brought is renamed or removed. Exits 1 where an answer is none
of those that a local file system could give to one of several who change the same directory; the mount may go away (then: 0, or SIGBUS).
"""

import contextlib
import errno
import mmap
import os
import random
import select
import sys

MINE = "scratch-"  # how names begin that are made here
MAPPED = "mapped-"  # the same, and only who made them touches them: who maps a file that another one truncates is killed
# Another one was faster, the backup was removed, a backup's inode is not written, a directory of a backup is not moved, it is full.
ORDINARY = (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.ESTALE, errno.EISDIR, errno.ENOTDIR, errno.EINVAL, errno.EROFS, errno.EXDEV, errno.EPERM, errno.ENOSPC)


def pick(directory, kept):
    """A name that there is, or a fresh one, which others draw too; in a kept directory nothing of the backup."""
    names = [name for name in os.listdir(directory) if not name.startswith(MAPPED) and (name.startswith(MINE) or not kept)]
    if names and random.random() < 0.7:
        return os.path.join(directory, random.choice(names))
    return os.path.join(directory, MINE + str(random.randrange(8)))


def link(directory, kept):
    # What is linked may be of the backup in any case.
    names = [name for name in os.listdir(directory) if not name.startswith(MAPPED)]
    os.link(os.path.join(directory, random.choice(names or [MINE])), pick(directory, kept), follow_symlinks=False)


def rename(directory, kept):
    os.rename(pick(directory, kept), pick(directory, kept))


def write(directory, kept):
    flags = os.O_RDWR | os.O_CREAT | random.choice((0, os.O_TRUNC, os.O_EXCL, os.O_APPEND))
    fd = os.open(pick(directory, kept), flags, 0o644)
    try:
        for _ in range(random.randrange(4)):
            os.pwrite(fd, b"x" * random.choice((1, 4096, 60_000)), random.choice((0, 100, 1 << 20)))
        os.ftruncate(fd, random.randrange(100_000))
        os.pread(fd, 100_000, 0)
        os.fsync(fd)
    finally:
        os.close(fd)


def write_mapped(directory, _):
    path = os.path.join(directory, f"{MAPPED}{os.getpid()}")
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.ftruncate(fd, 20_000)
        with mmap.mmap(fd, 20_000) as m:
            m[100:110] = b"0123456789"
            m.flush()
            os.unlink(path)
            m[9000:9010] = b"0123456789"
        assert os.pread(fd, 10, 100) == os.pread(fd, 10, 9000) == b"0123456789"
    finally:
        os.close(fd)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def remove(directory, kept):
    path = pick(directory, kept)
    (os.rmdir if os.path.isdir(path) else os.unlink)(path)


def make_directory(directory, kept):
    path = pick(directory, kept)
    os.mkdir(path)
    os.symlink("nowhere", os.path.join(path, "link"))
    os.unlink(os.path.join(path, "link"))


def look(directory, _):
    for entry in os.scandir(directory):
        entry.stat(follow_symlinks=False)


STEPS = (link, link, rename, rename, write, write, write_mapped, remove, remove, make_directory, look)


def main(kept, other):
    print("ready", flush=True)
    while os.path.isdir(kept) and not select.select([sys.stdin], [], [], 0)[0]:
        step, directory = random.choice(STEPS), random.choice((kept, other))
        try:
            step(directory, directory == kept)
        except OSError as failure:
            if failure.errno not in ORDINARY and os.path.isdir(kept):
                sys.exit(f"{step.__name__} in {directory}: {failure}")


main(*sys.argv[1:])
