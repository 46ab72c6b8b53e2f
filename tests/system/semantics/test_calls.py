# SPDX-License-Identifier: Apache-2.0
"""Every call that takes a path, with every kind of path, as every kind of user: answered as tmpfs answers it.

The mount is compared with a copy of itself on a tmpfs. What fails there must fail here with the same errno, what reads there
must read the same here, and what changes something there must change the same here, or be refused as the overlay does by design
(docs/mount.md, "Writes"). With -o ro the tmpfs is read-only too, and both agree to the letter.
"""

import ctypes
import errno
import os
import stat
import time

import pytest

from harness import run
from linux import AT_FDCWD, check, libc, name_to_handle
from trees import Node

TABLE = "shop/orders-" + "0" * 32
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
USERS = {"root": (0, 0, []), "owner": (4711, 4711, []), "group": (4713, 4713, [4712]), "other": (65534, 65534, [])}
IN = f"t1/data/{TABLE}"
NODES = 48
NOW = time.time_ns() - 60 * 10**9
# The kinds of paths, relative to the directory of the node. Longest names and paths at the end.
PATHS = [
    ".", "./", "t1", "t1/", "t1/.", "t1/..", "latest", "latest/", "latest/.", "latest/data/shop", "missing", "missing/", "missing/x", "",
    "objects", "t1/backup.json", "t1/backup.json/", "t1/backup.json/x", f"{IN}", f"{IN}/", f"{IN}/.", f"{IN}/../orders-{'0' * 32}",
    f"{IN}/public", f"{IN}/public/", f"{IN}/public/.", f"{IN}/public/..", f"{IN}/public/x", f"{IN}/../../../../t1/data/{TABLE}/public",
    f"{IN}/private", f"{IN}/owned", f"{IN}/grouped", f"{IN}/empty", f"{IN}/setuid", f"{IN}/no-bits", f"{IN}/missing", f"{IN}/missing/",
    f"{IN}/.closed", f"{IN}/.closed/file", f"{IN}/.closed/missing", f"{IN}/.listed", f"{IN}/.listed/file", f"{IN}/.listed/missing",
    f"{IN}/.passed", f"{IN}/.passed/file", f"{IN}/.passed/missing", f"{IN}/.sticky", f"{IN}/.sticky/file", f"{IN}/.open/file", f"{IN}/.open/missing",
    f"{IN}/.open", f"{IN}/.open/{'n' * 255}", f"{IN}/.open/{'m' * 255}", f"{IN}/.open/{'m' * 256}", f"{IN}/.open/{'m' * 256}/x", f"{IN}/{'m' * 1025}",
    "t1/" + "./" * 2046, "t1/" + "./" * 2047 + "x",
]


def fill(node):
    def write(name, content=b"some bytes\n" * 100, **keywords):
        node.write(TABLE, "t1", name, content, **keywords)

    write("public")
    write("private", mode=0o600)
    write("owned", mode=0o640, owner=(4711, 4711))
    write("grouped", mode=0o060, owner=(4711, 4712))
    write("empty", b"")
    write("setuid", mode=0o4755)
    write("no-bits", mode=0, owner=(4711, 4712))
    for name, mode, owner in ((".closed", 0o700, (0, 0)), (".listed", 0o744, (4711, 4712)), (".passed", 0o711, (4711, 4712)),
                              (".sticky", 0o1777, (0, 0)), (".open", 0o777, (0, 0))):
        write(f"{name}/file", owner=(4711, 4711))
        os.chown(node.path(TABLE, "t1", name), *owner)
        node.path(TABLE, "t1", name).chmod(mode)
    write(f".open/{'n' * 255}")
    os.chmod(node.path(TABLE, "t1", ".open"), 0o777)


class Both:
    """A node's directory in the mount, and its copy on a tmpfs. Many nodes hold the same, so that there is always one that nothing was changed in."""

    def __init__(self, repository, options, nodes, reference):
        self.repository, self.options, self.nodes, self.top = repository, options, nodes, reference
        self.mounted, self.number = None, nodes
        self.next()
        run("cp", "-a", self.mount, self.top / "copy")
        self.reference = self.top / "n"
        self.renew()

    def renew(self):
        """The reference as it was at first."""
        run("sh", "-c", "rm -rf n && cp -a copy n", cwd=self.top)
        self.before = describe(self.reference)

    def next(self):
        """A node of the mount in which nothing was changed."""
        self.number += 1
        if self.number >= self.nodes:
            self.end()
            self.mounted, self.number = self.repository.mount(*self.options), 0
        self.mount = self.mounted.node(f"n{self.number}")

    def end(self):
        if self.mounted:
            self.mounted.unmount()


@pytest.fixture(scope="module", params=["rw", "ro"])
def both(shared, request):
    node = Node(shared.directory / f"node-{request.param}")
    fill(node)
    repository = shared.repository().init()
    nodes = NODES if request.param == "rw" else 1
    for number in range(nodes):
        repository.backup(node.data, "t1", node=f"n{number}")
    reference = shared.directory / f"reference-{request.param}"
    reference.mkdir()
    run("mount", "-t", "tmpfs", "tmpfs", reference)
    pair = Both(repository, ["allow_other", "xattr", *(["ro"] if request.param == "ro" else [])], nodes, reference)
    if request.param == "ro":
        run("mount", "-o", "remount,ro", reference)
    yield request.param, pair
    pair.end()
    run("umount", reference)


# ---- the calls ----

def with_open(path, flags, then=lambda fd: None):
    fd = os.open(path, flags, 0o644)
    try:
        return then(fd)
    finally:
        os.close(fd)


def look(st):
    """What two file systems must agree upon."""
    if stat.S_ISDIR(st.st_mode):
        return st.st_mode, st.st_uid, st.st_gid
    return st.st_mode, st.st_uid, st.st_gid, st.st_size, st.st_nlink, st.st_mtime_ns


def content(path, flags=0):
    def read(fd):
        return os.read(fd, 1 << 20) if stat.S_ISREG(os.fstat(fd).st_mode) else sorted(os.listdir(fd))
    return with_open(path, os.O_RDONLY | flags, read)


READING = {
    "stat": lambda p: look(os.stat(p)),
    "lstat": lambda p: look(os.lstat(p)),
    "readlink": os.readlink,
    "listdir": lambda p: sorted(os.listdir(p)),
    "chdir": lambda p: with_open(p, os.O_PATH, os.fchdir),
    "statfs": lambda p: os.statvfs(p).f_namemax,
    "listxattr": lambda p: [name for name in os.listxattr(p) if not name.startswith("security.")],
    "getxattr": lambda p: os.getxattr(p, "user.nothing"),
    **{f"access {mode:o}": lambda p, mode=mode: os.access(p, mode) for mode in range(4) if mode != os.W_OK},
    **{f"faccessat of the effective user {mode:o}": lambda p, mode=mode: os.access(p, mode, effective_ids=True) for mode in (1, 4, 5)},
    "open": content,
    "open O_DIRECTORY": lambda p: content(p, os.O_DIRECTORY),
    "open O_NOFOLLOW": lambda p: content(p, os.O_NOFOLLOW),
    "open O_PATH": lambda p: with_open(p, os.O_PATH, lambda fd: look(os.fstat(fd))),
    "open O_PATH|O_NOFOLLOW": lambda p: with_open(p, os.O_PATH | os.O_NOFOLLOW, lambda fd: look(os.fstat(fd))),
    "open O_NOATIME": lambda p: content(p, os.O_NOATIME),
    "open O_APPEND": lambda p: content(p, os.O_APPEND),
    "open O_NONBLOCK|O_CLOEXEC|O_SYNC": lambda p: content(p, os.O_NONBLOCK | os.O_SYNC),
    "name_to_handle_at": lambda p: name_to_handle(p) and None,
}


def rename_2(old, new, flags):
    check(libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags))


CHANGING = {
    "open O_WRONLY": lambda p: with_open(p, os.O_WRONLY),
    "open O_RDWR": lambda p: with_open(p, os.O_RDWR),
    "open O_WRONLY|O_APPEND": lambda p: with_open(p, os.O_WRONLY | os.O_APPEND),
    "open O_RDONLY|O_TRUNC": lambda p: with_open(p, os.O_RDONLY | os.O_TRUNC),
    "open O_WRONLY|O_TRUNC": lambda p: with_open(p, os.O_WRONLY | os.O_TRUNC),
    "open O_CREAT|O_RDONLY": lambda p: with_open(p, os.O_CREAT | os.O_RDONLY),
    "open O_CREAT|O_WRONLY": lambda p: with_open(p, os.O_CREAT | os.O_WRONLY),
    "open O_CREAT|O_EXCL": lambda p: with_open(p, os.O_CREAT | os.O_EXCL | os.O_WRONLY),
    "open O_CREAT|O_EXCL|O_RDONLY": lambda p: with_open(p, os.O_CREAT | os.O_EXCL),
    "open O_CREAT|O_NOFOLLOW": lambda p: with_open(p, os.O_CREAT | os.O_NOFOLLOW | os.O_WRONLY),
    "creat": lambda p: with_open(p, os.O_CREAT | os.O_WRONLY | os.O_TRUNC),
    "mkdir": os.mkdir,
    "rmdir": os.rmdir,
    "unlink": os.unlink,
    "mkfifo": os.mkfifo,
    "mknod": lambda p: os.mknod(p, stat.S_IFREG | 0o644),
    "symlink": lambda p: os.symlink("target", p),
    "link from": lambda p: os.link(p, f"{IN}/.open/new"),
    "link from, not following": lambda p: os.link(p, f"{IN}/.open/new", follow_symlinks=False),
    "link to": lambda p: os.link(f"{IN}/public", p),
    "rename from": lambda p: os.rename(p, f"{IN}/.open/new"),
    "rename to": lambda p: os.rename(f"{IN}/.open/file", p),
    "rename directory to": lambda p: os.rename(f"{IN}/.open", p),
    "rename to itself": lambda p: os.rename(p, p),
    "rename without replacing": lambda p: rename_2(f"{IN}/.open/file", p, RENAME_NOREPLACE),
    "exchange": lambda p: rename_2(f"{IN}/.open/file", p, RENAME_EXCHANGE),
    "truncate": lambda p: os.truncate(p, 5),
    "truncate to a negative size": lambda p: check(libc.truncate64(os.fsencode(p), ctypes.c_int64(-1))),
    "chmod": lambda p: os.chmod(p, 0o600),
    "chown": lambda p: os.chown(p, 4711, 4712),
    "chown to oneself": lambda p: os.chown(p, os.geteuid(), -1),
    "lchown": lambda p: os.lchown(p, 4711, -1),
    "utimes": lambda p: os.utime(p, (1, 1)),
    "utimes now": os.utime,
    "utimes of the link": lambda p: os.utime(p, (1, 1), follow_symlinks=False),
    "setxattr": lambda p: os.setxattr(p, "trusted.x", b"1"),
    "removexattr": lambda p: os.removexattr(p, "trusted.x"),
}

# POSIX leaves open whether these or EROFS and EXDEV come first, and the file system is asked, not the kernel.
AS_WELL_EROFS = (errno.ENOTEMPTY, errno.ENODATA, errno.EEXIST)
# What the overlay refuses by design, of what tmpfs does: names outside of a backup, and inodes of the backup (all that there are before something is made) ...
REFUSED_ANYWHERE = (errno.EROFS,)
# ... to move a directory of a backup, or backup.json, or to give that a second name.
REFUSED = {"rename": (errno.EROFS, errno.EXDEV), "exchange": (errno.EROFS, errno.EXDEV), "link from": (errno.EROFS, errno.EPERM)}
# What changes a name below a backup must be done there.
NAMES = ("unlink", "rmdir", "mkdir", "mkfifo", "mknod", "symlink", "link to", "open O_CREAT|O_EXCL", "open O_CREAT|O_EXCL|O_RDONLY")


def attempt(call, path, user):
    """The errno, or what the call gave."""
    uid, gid, groups = user
    os.setgroups(groups)
    os.setresgid(gid, gid, 0)
    os.setresuid(uid, uid, 0)
    try:
        return call(path)
    except OSError as failure:
        return failure
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups([])


def describe(top, like=None):
    """What is below a directory. Times that the calls set are compared only where they are not those of now."""
    found = {}
    for where, directories, names in os.walk(top):
        for name in directories + names:
            path = os.path.relpath(os.path.join(where, name), top)
            found[path] = look(os.lstat(os.path.join(where, name)))
            if like and len(found[path]) == 6 and len(like.get(path, ())) == 6 and min(found[path][5], like[path][5]) > NOW:
                found[path] = like[path][:5] + (like[path][5],) if found[path][:5] == like[path][:5] else found[path]
    return found


def number(result):
    return result.errno if isinstance(result, OSError) else None


def name_of(result):
    return errno.errorcode[result.errno] if isinstance(result, OSError) else f"{result!r:.200}"


@pytest.fixture
def at():
    """Calls something in a directory, and comes back."""
    home = os.open(".", os.O_PATH)

    def call(directory, *arguments):
        os.chdir(directory)
        try:
            return attempt(*arguments)
        finally:
            os.fchdir(home)

    yield call
    os.close(home)


def may_refuse(name, path, result):
    """Whether the overlay may answer so where tmpfs does it."""
    answers = next((answers for prefix, answers in REFUSED.items() if name.startswith(prefix)), REFUSED_ANYWHERE)
    inside = path.startswith(f"{IN}/") and path.rstrip("/.") != IN
    return number(result) in answers and not (name in NAMES and inside)


@pytest.mark.parametrize("who", USERS)
def test_what_reads_is_answered_as_by_tmpfs(both, at, who):
    _, pair = both
    wrong = []
    for name, call in READING.items():
        for path in PATHS:
            here, there = (at(top, call, path, USERS[who]) for top in (pair.mount, pair.reference))
            if number(here) != number(there) or (number(here) is None and here != there):
                wrong.append(f"{name} {path[:80]}: {name_of(here)}, but on tmpfs {name_of(there)}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("who", USERS)
def test_what_changes_something_is_answered_as_by_tmpfs(both, at, who):
    mode, pair = both
    wrong = []
    for name, call in CHANGING.items():
        for path in PATHS:
            here, there = (at(top, call, path, USERS[who]) for top in (pair.mount, pair.reference))
            right = number(here) == number(there)
            if mode == "rw" and number(there) is None:
                right = right or may_refuse(name, path, here)
            elif mode == "rw" and number(there) in AS_WELL_EROFS:
                right = right or number(here) in (errno.EROFS, errno.EXDEV)
            after = describe(pair.reference)
            if right and number(here) is None:
                same = describe(pair.reference / "t1/data")
                right = describe(pair.mount / "t1/data", same) == same
            if not right:
                wrong.append(f"{name} {path[:80]}: {name_of(here)}, but on tmpfs {name_of(there)}")
            if after != pair.before:
                pair.renew()
                if number(here) is None:
                    pair.next()
    assert not wrong, "\n".join(wrong)
