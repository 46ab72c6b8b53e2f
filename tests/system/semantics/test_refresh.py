# SPDX-License-Identifier: Apache-2.0
"""What programs see of a tree that changes under them: backups come, go, and come again under their name."""

import errno
import json
import os
import subprocess

import pytest

from harness import CLUSTER, LONG, NODE, processes_of, run, wait_until

REFRESH = 1


def remove(repository, tag):
    """As a purge on another machine would: the record goes, and nothing else is known of it here."""
    run("rm", "-r", repository.path / f"nodes/{CLUSTER}/{NODE}/records/{tag}")


def wait_for_absence(path):
    wait_until(lambda: not os.path.lexists(path), 60, f"the end of {path}")


def test_a_node_that_was_only_listed_can_be_entered(stored):
    """READDIRPLUS gives the kernel a name for the node, so no LOOKUP of the node comes before that of the backup in it."""
    with stored.mount("refresh=3600") as mount:
        run("ls", "-l", mount.path / CLUSTER / "nodes")
        assert sorted(os.listdir(mount.node() / "t1/data")) == ["shop"]
    with stored.mount("refresh=3600") as mount:
        run("ls", "-l", mount.path / CLUSTER / "nodes")
        assert os.readlink(mount.node() / "latest") == "t1"
    with stored.mount("refresh=3600") as mount:
        run("ls", "-l", mount.path / CLUSTER / "nodes")
        assert os.listdir(mount.node() / "objects")


def test_a_new_backup_is_found_while_somebody_keeps_listing_the_nodes(stored, node):
    """Each listing renews what the kernel knows of the node's name: it must not put off the look."""
    with stored.mount(f"refresh={REFRESH}") as mount:
        assert not (mount.node() / "t2").exists()
        script = f"while :; do ls -l {mount.path / CLUSTER / 'nodes'}; done >/dev/null"
        lister = subprocess.Popen(["sh", "-c", script], env=stored.program.environment)
        try:
            stored.backup(node.data, "t1", "t2")
            wait_until((mount.node() / "t2").exists, 60, "the new backup")
        finally:
            lister.kill()
            lister.wait()
            wait_until(lambda: not [pid for pid in processes_of(stored.program.directory) if pid != mount.pid], 60, "the end of ls")


def test_an_open_file_outlives_its_backup(stored, node):
    """As on any file system: it can be read to its end, and fstat(2) says that it has no name."""
    source = node.path(node.table("shop", "orders"), "t1", "nb-1-big-Data.db")
    with stored.mount(f"refresh={REFRESH}") as mount:
        table = mount.data("t1") / node.table("shop", "orders")
        record = (mount.node() / "t1/backup.json").read_bytes()
        before = os.stat(table / source.name)
        with open(table / source.name, "rb") as f, open(mount.node() / "t1/backup.json", "rb") as j:
            directory = os.open(table, os.O_RDONLY | os.O_DIRECTORY)
            begin = f.read(10)
            remove(stored, "t1")
            wait_for_absence(mount.node() / "t1")
            assert begin + f.read() == source.read_bytes(), "a read that passes the end asks for the size first"
            st = os.fstat(f.fileno())
            assert (st.st_ino, st.st_size, st.st_mtime_ns, st.st_mode) == (before.st_ino, before.st_size, before.st_mtime_ns, before.st_mode)
            assert st.st_nlink == 0
            assert j.read() == record and os.fstat(j.fileno()).st_nlink == 0
            assert sorted(os.listdir(directory)) == sorted(p.name for p in source.parent.iterdir())
            assert os.fstat(directory).st_nlink == 0
            os.close(directory)


def test_a_removed_backup_is_enoent_by_name_and_estale_from_within(stored, node):
    with stored.mount(f"refresh={REFRESH}") as mount:
        inside = os.open(mount.data("t1"), os.O_PATH)
        remove(stored, "t1")
        wait_for_absence(mount.node() / "t1")
        with pytest.raises(FileNotFoundError):
            os.stat(mount.data("t1"))
        for attempt in (lambda: os.stat("no-such-name", dir_fd=inside), lambda: os.open("no-such-name", os.O_RDONLY, dir_fd=inside)):
            with pytest.raises(OSError) as caught:
                attempt()
            assert caught.value.errno in (errno.ESTALE, errno.ENOENT)
        os.close(inside)


def test_backup_json_is_that_of_the_backup_which_has_the_name_now(stored, node):
    """The kernel must not mix pages of the old text with the new one's size."""
    with stored.mount(f"refresh={REFRESH}") as mount:
        path = mount.node() / "t1/backup.json"
        old = json.loads(path.read_text())
        holder = path.open()  # so that the kernel keeps the inode
        assert json.load(holder) == old
        remove(stored, "t1")
        wait_for_absence(path)
        for i in range(20):
            node.write(node.table("shop", f"more{i}"), "t1", "nb-7-big-Data.db", node.bytes(5000))
        stored.backup(node.data, "t1")
        wait_until(path.exists, 60, "the new backup")
        new = json.loads(path.read_text())
        assert new["writer"] != old["writer"]
        (record,) = (stored.path / f"nodes/{CLUSTER}/{NODE}/records/t1").iterdir()
        assert path.read_text() == record.read_text()
        assert path.stat().st_size == record.stat().st_size
        holder.close()
        assert sorted(os.listdir(mount.data("t1") / "shop")) == sorted(p.name for p in (node.data / "shop").iterdir())


def test_names_that_nothing_lists_do_not_exist(stored):
    with stored.mount() as mount:
        for path in (".sstablefsX", ".sstablefs2", ".sstablefs-1", f"{CLUSTER}/nodesX", f"{CLUSTER}/backupsX"):
            assert not os.path.lexists(mount.path / path), path
        listed = set(os.listdir(mount.node() / "objects"))
        for byte in range(256):
            assert os.path.lexists(mount.node() / f"objects/{byte:02x}") == (f"{byte:02x}" in listed), byte
        for byte in listed:
            (name,) = os.listdir(mount.node() / "objects" / byte)
            for other in (name.upper(), name[:-1], name + "0", "0" * 64 + name[64:], name[:65] + "0" * 16):
                assert not os.path.lexists(mount.node() / "objects" / byte / other) or other == name
            assert not os.path.lexists(mount.node() / "objects" / f"{byte.upper()}x")


def test_a_directory_in_use_shows_new_backups_after_rewinddir(stored, node):
    """A program that keeps a directory open and reads it again from its beginning (rewinddir) sees what there is then."""
    with stored.mount(f"refresh={REFRESH}") as mount:
        fd = os.open(mount.node(), os.O_RDONLY | os.O_DIRECTORY)
        try:
            assert "t2" not in os.listdir(fd)
            stored.backup(node.data, "t1", "t2")
            wait_until(lambda: "t2" in os.listdir(fd), 60, "the new backup, in the directory that was open before")
        finally:
            os.close(fd)


def test_listings_miss_nothing_and_double_nothing_while_backups_come_and_go(stored, node):
    """Readers list a node with a small buffer, while backups are added and removed before, behind and between."""
    kept = {f"k{i:02d}" for i in range(16 if LONG else 5)}
    for name in kept:
        stored.backup(node.data, "t1", name)
    with stored.mount("refresh=0") as mount:
        script = """
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
must = set(sys.argv[2].split(","))
rounds = 0
while os.path.lexists(sys.argv[3]):
    names = os.listdir(sys.argv[1]) if rounds % 2 else os.listdir(fd)
    assert len(names) == len(set(names)), sorted(names)
    assert must <= set(names), sorted(must - set(names))
    rounds += 1
assert rounds > 3, rounds
"""
        flag = stored.program.directory / "flag"
        flag.touch()
        for directory in (mount.node(), mount.path / CLUSTER / "backups"):
            os.listdir(directory)
        readers = [subprocess.Popen(["python3", "-c", script, where, ",".join(kept), flag], env=stored.program.environment,
                                    stderr=subprocess.PIPE, text=True)
                   for where in (mount.node(), mount.path / CLUSTER / "backups")]
        try:
            for name in ("a0", "k03x", "z9"):
                stored.backup(node.data, "t1", name)
                remove(stored, name)
            flag.unlink()
            for reader in readers:
                _, errors = reader.communicate(timeout=60)
                assert reader.returncode == 0, errors
        finally:
            for reader in readers:
                reader.kill()
                reader.wait()
