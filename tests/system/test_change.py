# SPDX-License-Identifier: Apache-2.0
"""A mount while backups are deleted and collected by the real commands: names vanish, counts follow, what is open stays, and plain tools
see no error on what still exists. On a directory and on MinIO."""

import contextlib
import mmap
import os
import re
import subprocess
import threading

import pytest

from harness import CLUSTER, LONG, NODE, in_threads, run, wait_until
from trees import describe_snapshot, describe_tree

DATA = "nb-1-big-Data.db"
LIMIT = 90  # seconds that a refresh may take on a slow machine
REFRESH = "refresh=1"


@pytest.fixture
def three(any_repository, small_node):
    """Backups a, b and c: orders is in all of them, own-<x> in one each."""
    for name in "abc":
        if name != "a":
            small_node.keep(small_node.table("shop", "orders"), "t1", name)
        tag = "t1" if name == "a" else name
        small_node.write(small_node.table("shop", f"own{name}"), tag, DATA, small_node.bytes(200_000))
        any_repository.backup(small_node.data, tag, name)
    return any_repository


def tag_of(name):
    return "t1" if name == "a" else name


def delete(repository, *names):
    repository("delete", "--force", *names)


def gone(mount, name):
    return not os.path.lexists(mount.node() / name)


def wait_for_the_end_of(mount, *names):
    wait_until(lambda: all(gone(mount, name) for name in names), LIMIT, f"the end of {names}")


def test_names_vanish_counts_follow_and_latest_moves(three, small_node):
    orders = small_node.table("shop", "orders") + "/" + DATA
    with three.mount(REFRESH) as mount:
        os.listdir(mount.node())
        wait_until(lambda: ", indexed" in mount.status()[f"node {CLUSTER}/{NODE}"], LIMIT, "the index")
        assert os.stat(mount.data("a") / orders).st_nlink == 4 and os.readlink(mount.node() / "latest") == "c"
        own = os.stat(mount.data("c") / small_node.table("shop", "ownc") / DATA).st_ino
        entry = f"objects/*/*.{own:016x}"
        assert len(list(mount.node().glob(entry))) == 1
        delete(three, "c")
        three("gc")
        wait_for_the_end_of(mount, "c")
        assert os.readlink(mount.node() / "latest") == "b"
        assert "c" not in os.listdir(mount.node())
        wait_until(lambda: sorted(os.listdir(mount.path / CLUSTER / "backups")) == ["a", "b"], LIMIT, "the name across the cluster")
        wait_until(lambda: os.stat(mount.data("a") / orders).st_nlink == 3, LIMIT, "the count")
        assert os.stat(mount.data("b") / orders).st_nlink == 3
        assert list(mount.node().glob(entry)) == []
        for name in "ab":
            assert describe_tree(mount.data(name)) == describe_snapshot(small_node.data, tag_of(name))


def test_what_is_open_is_read_to_its_end_after_deletion_and_gc_and_collected_when_the_mount_ends(three, small_node):
    with three.mount(REFRESH) as mount, contextlib.ExitStack() as stack:
        sources, files = [], []
        for path in (small_node.table("shop", "ownc") + "/" + DATA, small_node.table("shop", "orders") + "/" + DATA):
            files.append(stack.enter_context(open(mount.data("c") / path, "rb", buffering=0)))
            sources.append(small_node.path(path.rsplit("/", 1)[0], "c", DATA).read_bytes())
        pages = stack.enter_context(mmap.mmap(files[0].fileno(), 0, access=mmap.ACCESS_READ))
        delete(three, "c")
        assert three.json("gc", code=None)["deleted_objects"] == 0, "the mount's pin is a root"
        wait_for_the_end_of(mount, "c")
        run("sh", "-c", "echo 3 > /proc/sys/vm/drop_caches")
        for file, source in zip(files, sources):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            assert file.read() == source and os.fstat(file.fileno()).st_size == len(source)
        assert pages[:] == sources[0]
    assert three.json("gc")["deleted_objects"] > 0
    three("verify")


def test_a_backup_that_was_deleted_and_collected_before_it_was_opened_is_enoent(three, small_node):
    """refresh= has not passed: the names are still there, in the kernel and in the mount."""
    with three.mount("refresh=3600") as mount:
        known = mount.data("a") / small_node.table("shop", "owna")
        assert os.listdir(known) == [DATA]
        os.listdir(mount.node() / "b")
        delete(three, "a", "b")
        three("gc")
        for path in (known / DATA, mount.data("b") / small_node.table("shop", "ownb") / DATA):
            with pytest.raises(FileNotFoundError):
                path.open()
        assert describe_tree(mount.data("c")) == describe_snapshot(small_node.data, "c")


def test_a_name_that_was_absent_appears_and_a_backup_made_again_is_the_new_one(three, small_node):
    with three.mount(REFRESH) as mount:
        assert gone(mount, "d")
        own = mount.data("b") / small_node.table("shop", "ownb") / DATA
        assert len(own.read_bytes()) == 200_000
        delete(three, "b")
        three("gc", code=None)
        small_node.write(small_node.table("shop", "ownb"), "b2", DATA, small_node.bytes(150_000))
        three.backup(small_node.data, "b2", "b")
        three.backup(small_node.data, "b2", "d")
        wait_until(lambda: not gone(mount, "d"), LIMIT, "d")
        wait_until(lambda: own.stat().st_size == 150_000, LIMIT, "the new b")
        for name in "bd":
            assert describe_tree(mount.data(name)) == describe_snapshot(small_node.data, "b2")


def test_a_directory_that_is_open_is_listed_whole_after_deletion(three, small_node):
    """As find(1) reads one. The names are those of another backup: the kernel would keep a list that it had."""
    with three.mount(REFRESH) as mount:
        names = sorted(os.listdir(mount.node() / "b"))
        assert "backup.json" in names and "data" in names
        fd = os.open(mount.node() / "c", os.O_RDONLY | os.O_DIRECTORY)
        try:
            delete(three, "c")
            wait_for_the_end_of(mount, "c")
            assert sorted(os.listdir(fd)) == names
        finally:
            os.close(fd)


def test_a_directory_that_vanished_under_its_user_hangs_nobody(three, small_node):
    with three.mount(REFRESH) as mount:
        script = 'cd "$1" && echo in && read line; ls; cat nb-1-big-Data.db | wc -c; ls ../..; cd / && ls "$2"'
        shell = subprocess.Popen(["sh", "-c", script, "sh", mount.data("a") / small_node.table("shop", "owna"), mount.data("c")],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 env=three.program.environment)
        try:
            assert shell.stdout.readline() == "in\n"
            delete(three, "a")
            three("gc", code=None)
            wait_for_the_end_of(mount, "a")
            out, _ = shell.communicate("go on\n", timeout=LIMIT)
        finally:
            shell.kill()
            shell.wait()
        assert out.splitlines()[-1] == "shop" and shell.returncode == 0


def test_two_mounts_hold_the_same_backup_each_by_itself(three, small_node):
    path = small_node.table("shop", "ownc") + "/" + DATA
    expected = small_node.path(small_node.table("shop", "ownc"), "c", DATA).read_bytes()
    with three.mount(REFRESH) as second:
        with three.mount(REFRESH) as first:
            with open(first.data("c") / path, "rb", buffering=0) as one, open(second.data("c") / path, "rb", buffering=0) as other:
                delete(three, "c")
                three("gc", code=None)
                for mount in (first, second):
                    wait_for_the_end_of(mount, "c")
                assert one.read() == expected
                one.close()
                first.unmount()
                assert three.json("gc", code=None)["deleted_objects"] == 0
                assert other.read() == expected
    assert three.json("gc")["deleted_objects"] > 0


def test_plain_tools_see_no_error_on_what_exists_while_others_come_and_go(three, small_node, tmp_path):
    """b stays; others are made, deleted and collected, as fast as can be."""
    expected, over, done = describe_snapshot(small_node.data, "b"), threading.Event(), dict.fromkeys(("ls", "find", "cp", "node"), 0)

    def until_over(what, step):
        while not over.is_set():
            step()
            done[what] += 1

    def copy():
        target = tmp_path / "copy"
        run("cp", "-a", mount.data("b"), target)
        assert describe_tree(target) == expected
        run("rm", "-r", target)

    def find_in_the_node():
        """Others vanish under find, which may say so; of b there is everything."""
        found = subprocess.run(["find", mount.node(), "-path", "*/b/data/*", "-type", "f"], capture_output=True, text=True, timeout=120)
        assert len(found.stdout.splitlines()) == len(expected), found
        assert not [line for line in found.stderr.splitlines() if not re.search(f"{NODE}/x[0-9]", line)], found.stderr

    def change():
        try:
            for i in range(30 if LONG else 4):
                three.backup(small_node.data, "c", f"x{i}")
                wait_until(lambda i=i: not gone(mount, f"x{i}"), LIMIT, f"x{i}")
                (mount.data(f"x{i}") / small_node.table("shop", "ownc") / DATA).read_bytes()
                delete(three, f"x{i}")
                three("gc", code=None)
        finally:
            over.set()

    with three.mount("refresh=0") as mount:
        in_threads([change, lambda: until_over("ls", lambda: run("ls", "-lR", mount.node() / "b")), lambda: until_over("cp", copy),
                    lambda: until_over("find", lambda: run("find", mount.data("b"), "-type", "f")),
                    lambda: until_over("node", find_in_the_node)])
        assert all(done.values()), done
        log = [line for line in mount.log().splitlines() if " error " in line]
        assert not log, log


def test_a_mount_with_a_pin_shows_what_it_read_after_deletion_and_gc(three, small_node):
    path = small_node.table("shop", "ownc") + "/" + DATA
    with three.mount(REFRESH, "pin=c") as mount, open(mount.data("c") / path, "rb", buffering=0) as f:
        delete(three, "c")
        assert three.json("gc", code=None)["deleted_objects"] == 0
        wait_until(lambda: not (mount.node() / "latest").is_symlink() or os.readlink(mount.node() / "latest") != "c", LIMIT, "another latest")
        assert (mount.data("c") / path).exists()  # its names stay with it
        assert f.read() == small_node.path(small_node.table("shop", "ownc"), "c", DATA).read_bytes()
    assert three.json("gc")["deleted_objects"] > 0
