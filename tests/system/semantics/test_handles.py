# SPDX-License-Identifier: Apache-2.0
"""File handles (name_to_handle_at, open_by_handle_at): what an NFS server, fanotify and backup tools hold instead of a name.

They hold for the life of a mount, whatever the kernel has forgotten meanwhile; docs/mount.md says what they promise beyond it.
"""

import errno
import os

import pytest

from harness import CLUSTER, wait_until
from linux import drop_caches, name_to_handle, open_by_handle, refused
from test_refresh import REFRESH, remove, wait_for_absence
from trees import files_below


@pytest.fixture
def mounted(stored):
    with stored.mount(f"refresh={REFRESH}") as mount:
        fd = os.open(mount.path, os.O_RDONLY)
        yield stored, mount, fd
        os.close(fd)


def everything(mount):
    """Each kind of inode: the root, directories inside and outside of backups, files, generated files, entries of objects/."""
    top = mount.path
    paths = [top, top / ".sstablefs", top / ".sstablefs/status", top / CLUSTER / "backups/t1", mount.node() / "t1/backup.json"]
    for directory, directories, names in os.walk(mount.path / CLUSTER / "nodes"):
        paths += [os.path.join(directory, name) for name in [*directories, *names] if name != "latest"]
    return [os.fspath(p) for p in paths]


def key(st):
    return st.st_ino, st.st_mode, st.st_uid, st.st_size, st.st_mtime_ns


def opened(fd, handle):
    """The stat of what a handle leads to, and its bytes or names."""
    again = open_by_handle(fd, handle)
    try:
        st = os.fstat(again)
        if os.path.stat.S_ISDIR(st.st_mode):
            return key(st), sorted(os.listdir(again))
        return key(st), os.read(again, 1 << 20)
    finally:
        os.close(again)


def test_a_handle_leads_back_to_the_same_file(mounted):
    _, mount, fd = mounted
    generated = (".sstablefs/status",)
    for path in everything(mount):
        handle, _ = name_to_handle(path)
        st, content = opened(fd, handle)
        assert st == key(os.lstat(path)), path
        if not path.endswith(generated):
            assert content == (sorted(os.listdir(path)) if os.path.isdir(path) else open(path, "rb").read()), path


def test_a_handle_holds_when_the_kernel_has_forgotten_the_inode(mounted):
    _, mount, fd = mounted
    kept = [(path, name_to_handle(path)[0], key(os.lstat(path))) for path in everything(mount)]
    for _ in range(3):
        drop_caches()
        for path, handle, st in kept:
            assert opened(fd, handle)[0] == st, path
    drop_caches()
    for path, handle, st in reversed(kept):
        assert opened(fd, handle)[0] == st, path
    assert [name_to_handle(path)[0] for path, _, _ in kept] == [handle for _, handle, _ in kept], "handles do not change"


def test_a_directory_that_was_found_by_handle_knows_its_parents(mounted):
    """The kernel has to connect it to the tree: it looks up ".." by number, step by step, and finds each name in a listing."""
    _, mount, fd = mounted
    paths = [path for path in everything(mount) if os.path.isdir(path)]
    kept = [(path, name_to_handle(path)[0]) for path in paths]
    for path, handle in kept:
        drop_caches()
        again = open_by_handle(fd, handle)
        assert os.readlink(f"/proc/self/fd/{again}") == path
        if path != os.fspath(mount.path):
            up = os.open("..", os.O_RDONLY, dir_fd=again)
            assert os.fstat(up).st_ino == os.stat(os.path.dirname(path)).st_ino
            os.close(up)
        os.close(again)


def test_a_handle_of_a_removed_backup_is_stale_also_when_the_name_comes_back(mounted, node):
    stored, mount, fd = mounted
    stored.backup(node.data, "t1", "kept")
    wait_until((mount.node() / "kept").exists, 60, "the second backup")
    data = mount.data("t1")
    directories = [name_to_handle(p)[0] for p in (mount.node() / "t1", data, data / "shop")]
    files = {path: name_to_handle(data / path)[0] for path in files_below(data)}
    remove(stored, "t1")
    wait_for_absence(mount.node() / "t1")
    for drop in (False, True):
        if drop:
            drop_caches()
        for path, handle in files.items():
            assert opened(fd, handle)[1] == (mount.data("kept") / path).read_bytes(), "the other backup holds the same inode"
    drop_caches()
    for handle in directories:
        with refused(errno.ESTALE):
            open_by_handle(fd, handle)
    stored.backup(node.data, "t1")
    wait_until((mount.node() / "t1").exists, 60, "the backup of the same name")
    assert os.listdir(mount.data("t1"))
    for drop in (False, True):
        if drop:
            drop_caches()
        for handle in directories:
            with refused(errno.ESTALE):
                open_by_handle(fd, handle)
    assert name_to_handle(mount.node() / "t1")[0] != directories[0]


def test_a_handle_whose_last_backup_went_is_stale(mounted):
    stored, mount, fd = mounted
    handles = [name_to_handle(mount.data("t1") / path)[0] for path in files_below(mount.data("t1"))]
    remove(stored, "t1")
    wait_for_absence(mount.node() / "t1")
    drop_caches()
    for handle in handles:
        with refused(errno.ESTALE):
            open_by_handle(fd, handle)


def test_after_a_remount_handles_of_files_hold_once_the_node_was_looked_at(stored):
    with stored.mount() as mount:
        kept = {path: name_to_handle(mount.data("t1") / path)[0] for path in files_below(mount.data("t1"))}
        directory = name_to_handle(mount.data("t1"))[0]
        content = {path: (mount.data("t1") / path).read_bytes() for path in kept}
    with stored.mount(where=mount.path) as mount:
        fd = os.open(mount.path, os.O_RDONLY)
        for handle in (*kept.values(), directory):
            with refused(errno.ESTALE):
                open_by_handle(fd, handle)
        os.listdir(mount.node() / "objects")  # waits for the index
        for path, handle in kept.items():
            assert opened(fd, handle)[1] == content[path]
        with refused(errno.ESTALE):
            open_by_handle(fd, directory)
        os.stat(mount.data("t1"))
        assert opened(fd, directory)[1] == ["shop"]
        os.close(fd)


def test_handles_of_nothing_are_stale(mounted):
    """What a client invents: other numbers, other generations, other types."""
    _, mount, fd = mounted
    handle, _ = name_to_handle(mount.data("t1"))
    for at in range(8, len(handle)):
        wrong = bytearray(handle)
        wrong[at] ^= 0x41
        with refused(errno.ESTALE, errno.EINVAL):
            open_by_handle(fd, bytes(wrong))
    for cut in (0, 4, 8):
        with refused(errno.ESTALE, errno.EINVAL):
            open_by_handle(fd, cut.to_bytes(4, "little") + handle[4:8 + cut])
    assert mount.status()["pid"]
