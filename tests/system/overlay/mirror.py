# SPDX-License-Identifier: Apache-2.0
"""A mount and its reference: a copy of the node's directory on a tmpfs, to which the same is done.

Both must answer alike, but for what the overlay refuses by design (docs/mount.md, "Writes"): a backup's inode is never written (EROFS), a
backup's directory is never moved (EXDEV), backup.json is neither moved (EXDEV) nor linked (EPERM).
"""

import errno
import mmap
import os
import random
import stat

from harness import run
from linux import AT_FDCWD, check, libc

RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE = 1, 2
PAGE = 4096


def rename_2(old, new, flags):
    check(libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags))


def fallocate(fd, mode, offset, length):
    check(libc.fallocate64(fd, mode, offset, length))


def look(path):
    """What two file systems must agree upon. Inode numbers are compared by which names share one."""
    st = os.lstat(path)
    what = (stat.S_IFMT(st.st_mode), stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid)
    if stat.S_ISDIR(st.st_mode):
        return what, sorted(os.listdir(path))
    if stat.S_ISLNK(st.st_mode):
        return what, st.st_nlink, os.readlink(path)
    if not stat.S_ISREG(st.st_mode):
        return what, st.st_nlink
    with open(path, "rb") as f:
        return what, st.st_nlink, st.st_size, f.read()


def describe(top):
    """The whole tree: every name, what it leads to, and which names lead to the same."""
    found, inodes = {"": look(top)}, {}
    for where, directories, names in os.walk(top):
        for name in directories + names:
            path = os.path.join(where, name)
            relative = os.path.relpath(path, top)
            found[relative] = look(path)
            inodes.setdefault(os.lstat(path).st_ino, []).append(relative)
    return found, sorted(sorted(names) for names in inodes.values())


class Side:
    """One of the two: where it is, and what is open in it."""

    def __init__(self, top):
        self.top = os.fspath(top)
        self.files, self.maps = {}, {}

    def path(self, relative):
        return os.path.join(self.top, relative)

    def close(self):
        for m in self.maps.values():
            m.close()
        for fd in self.files.values():
            os.close(fd)
        self.maps, self.files = {}, {}


# ---- what is done: a function of a Side and arguments, which must be the same for both ----

def do_create(s, slot, path, flags, mode):
    fd = os.open(s.path(path), flags, mode)
    if slot in s.files:
        os.close(s.files[slot])
    s.files[slot] = fd


def do_close(s, slot):
    os.close(s.files.pop(slot))


def do_write(s, slot, offset, data):
    return os.pwrite(s.files[slot], data, offset)


def do_append(s, slot, data):
    return os.write(s.files[slot], data)


def do_read(s, slot, offset, length):
    return os.pread(s.files[slot], length, offset)


def do_fstat(s, slot):
    st = os.fstat(s.files[slot])
    return st.st_mode, st.st_uid, st.st_gid, not stat.S_ISDIR(st.st_mode) and (st.st_size, st.st_nlink)


def do_ftruncate(s, slot, size):
    os.ftruncate(s.files[slot], size)


def do_fallocate(s, slot, mode, offset, length):
    fallocate(s.files[slot], mode, offset, length)


def do_fsync(s, slot):
    os.fsync(s.files[slot])


def do_map(s, slot, offset, data):
    """Written through a shared mapping, which outlives the descriptor until it is replaced. Sizes of directories differ: any length is tried."""
    st = os.fstat(s.files[slot])
    size = st.st_size if stat.S_ISREG(st.st_mode) else PAGE + offset + len(data)
    if size < offset + len(data):
        return "too small"
    m = mmap.mmap(s.files[slot], size)
    if old := s.maps.pop(slot, None):
        old.close()
    s.maps[slot] = m
    m[offset:offset + len(data)] = data
    m.flush()
    return bytes(m[:64])


def do_link(s, path, new):
    os.link(s.path(path), s.path(new), follow_symlinks=False)


def do_unlink(s, path):
    os.unlink(s.path(path))


def do_rmdir(s, path):
    os.rmdir(s.path(path))


def do_mkdir(s, path, mode):
    os.mkdir(s.path(path), mode)


def do_symlink(s, path, target):
    os.symlink(target, s.path(path))


def do_mkfifo(s, path):
    os.mkfifo(s.path(path))


def do_rename(s, path, new, flags):
    rename_2(s.path(path), s.path(new), flags)


def do_truncate(s, path, size):
    os.truncate(s.path(path), size)


def do_chmod(s, path, mode):
    os.chmod(s.path(path), mode)


def do_chown(s, path, uid, gid):
    os.chown(s.path(path), uid, gid, follow_symlinks=False)


def do_utime(s, path, ns):
    os.utime(s.path(path), ns=(ns, ns), follow_symlinks=False)
    return os.lstat(s.path(path)).st_mtime_ns


def do_look(s, path):
    return look(s.path(path))


# What writes an inode, and the argument that is its path. Names may be changed, whatever they name.
WRITES = {do_truncate: 0, do_chmod: 0, do_chown: 0, do_utime: 0}


class Pair:
    """The mount and the tmpfs, and what of the tmpfs the backup brought."""

    def __init__(self, mounted, reference, seed):
        self.mounted, self.reference = Side(mounted), Side(reference)
        self.random = random.Random(seed)
        self.of_backup = {os.lstat(os.path.join(where, name)).st_ino
                          for where, directories, names in os.walk(reference) for name in directories + names}
        self.generated = os.lstat(os.path.join(reference, "backup.json")).st_ino
        self.log = []

    def inode(self, path):
        """Its number in the reference, or None."""
        try:
            return os.lstat(self.reference.path(path)).st_ino
        except OSError:
            return None

    def is_of_backup(self, path):
        return self.inode(path) in self.of_backup

    def is_fixed(self, path):
        """Whether it may be hidden, but not moved."""
        return self.is_of_backup(path) and (self.inode(path) == self.generated or stat.S_ISDIR(os.lstat(self.reference.path(path)).st_mode))

    def refusal(self, what, arguments):
        """The errno that the mount must answer where the tmpfs would do it, or None."""
        if what in WRITES and self.is_of_backup(arguments[WRITES[what]]):
            return errno.EROFS
        if what is do_create:
            _, path, flags, _ = arguments
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_TRUNC)
            if writes and self.is_of_backup(path) and not flags & os.O_EXCL:
                return errno.EROFS
        if what is do_rename:
            path, new, flags = arguments
            if self.is_fixed(path) or (flags & RENAME_EXCHANGE and self.is_fixed(new)):
                return errno.EXDEV
        if what is do_link and self.inode(arguments[0]) == self.generated:
            return errno.EPERM
        return None

    def both(self, what, *arguments):
        """Does it on both sides and compares the answers."""
        self.log.append(f"{what.__name__}{arguments!r}"[:300])
        refusal = self.refusal(what, arguments)
        here = attempt(what, self.mounted, arguments)
        if refusal is not None and here == ("failed", errno.errorcode[refusal]):
            return here
        there = attempt(what, self.reference, arguments)
        assert here == there, f"{self.log[-1]}: {here!r:.300}, but on tmpfs {there!r:.300}"
        return here

    def compare(self):
        here, there = describe(self.mounted.top), describe(self.reference.top)
        for path in sorted(here[0].keys() | there[0].keys()):
            assert here[0].get(path) == there[0].get(path), path
        assert here[1] == there[1]

    def close(self):
        self.mounted.close()
        self.reference.close()


def attempt(what, side, arguments):
    try:
        return "gave", what(side, *arguments)
    except OSError as failure:
        return "failed", errno.errorcode[failure.errno]


# ---- a random story ----

SLOTS = range(6)


class Story:
    def __init__(self, pair):
        self.pair = pair
        self.chance = pair.random

    def existing(self, kind=None):
        """Some path that there is now (in the reference), of that kind; None where there is none."""
        found = []
        for where, directories, names in os.walk(self.pair.reference.top):
            found += [os.path.join(where, name) for name in (directories if kind == "dir" else names if kind == "file" else directories + names)]
        return os.path.relpath(self.chance.choice(sorted(found)), self.pair.reference.top) if found else None

    def directory(self):
        return self.existing("dir") or "."

    def fresh(self):
        return os.path.join(self.directory(), f"{self.chance.choice(('n', 'nb-1-big-Statistics.db.tmp', 'é', 'd'))}{self.chance.randrange(12)}")

    def any_path(self):
        return self.chance.choice([self.existing, self.existing, self.fresh])() or self.fresh()

    def slot(self):
        return self.chance.choice(sorted(self.pair.reference.files)) if self.pair.reference.files else None

    def bytes(self):
        return self.chance.randbytes(self.chance.choice((1, 7, 100, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE, 40000)))

    def offset(self):
        return self.chance.choice((0, 1, PAGE - 1, PAGE, self.chance.randrange(60000), 1 << 20, (1 << 21) + 5))

    def on_names(self):
        c, both = self.chance, self.pair.both
        flags = c.choice((os.O_CREAT | os.O_RDWR, os.O_CREAT | os.O_EXCL | os.O_RDWR, os.O_CREAT | os.O_TRUNC | os.O_RDWR, os.O_RDONLY,
                          os.O_RDWR | os.O_APPEND | os.O_CREAT, os.O_RDWR, os.O_RDONLY | os.O_TRUNC))
        return c.choice((
            lambda: both(do_create, c.choice(SLOTS), c.choice((self.fresh, self.any_path))(), flags | os.O_NONBLOCK, c.choice((0o644, 0o600))),
            lambda: both(do_create, c.choice(SLOTS), self.fresh(), os.O_CREAT | os.O_RDWR, 0o644),
            lambda: both(do_link, self.existing("file") or self.fresh(), self.fresh()),
            lambda: both(do_link, self.any_path(), self.any_path()),
            lambda: both(do_unlink, self.existing("file") or self.fresh()),
            lambda: both(do_unlink, self.any_path()),
            lambda: both(do_rmdir, self.directory()),
            lambda: both(do_mkdir, self.fresh(), c.choice((0o755, 0o2775, 0o700))),
            lambda: both(do_symlink, self.fresh(), c.choice(("target", "no/where", "x" * 4000))),
            lambda: both(do_mkfifo, self.fresh()),
            lambda: both(do_rename, self.any_path(), self.any_path(), c.choice((0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE))),
            lambda: both(do_rename, self.existing("file") or self.fresh(), self.fresh(), 0),
            lambda: both(do_rename, self.existing("dir") or self.fresh(), self.any_path(), 0),
            lambda: both(do_look, self.any_path()),
        ))()

    def on_inodes(self):
        c, both = self.chance, self.pair.both
        return c.choice((
            lambda: both(do_truncate, self.any_path(), self.offset()),
            lambda: both(do_chmod, self.any_path(), c.choice((0o644, 0o640, 0o4755, 0o1777))),
            lambda: both(do_chown, self.any_path(), c.choice((0, 4711)), c.choice((0, 4712))),
            lambda: both(do_utime, self.any_path(), c.randrange(-10**18, 4 * 10**18)),
        ))()

    def on_open(self):
        c, both, slot = self.chance, self.pair.both, self.slot()
        if slot is None:
            return None
        return c.choice((
            lambda: both(do_write, slot, self.offset(), self.bytes()),
            lambda: both(do_write, slot, self.offset(), self.bytes()),
            lambda: both(do_append, slot, self.bytes()),
            lambda: both(do_read, slot, self.offset(), 70000),
            lambda: both(do_fstat, slot),
            lambda: both(do_ftruncate, slot, self.offset()),
            lambda: both(do_fallocate, slot, c.choice((0, FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE)), self.offset(), c.randrange(1, 30000)),
            lambda: both(do_fsync, slot),
            lambda: both(do_map, slot, self.offset(), self.bytes()),
            lambda: both(do_close, slot),
        ))()

    def step(self):
        self.chance.choices((self.on_names, self.on_inodes, self.on_open), (6, 1, 4))[0]()


def make_reference(mount, where):
    """A tmpfs with a copy of what the mount shows; links are links."""
    where.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", where)
    run("cp", "-a", f"{mount.node()}/.", where)
