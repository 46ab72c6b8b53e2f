# SPDX-License-Identifier: Apache-2.0
"""clone: overlayfs over a mount, made and undone, with what a data directory goes through. Takes root and a kernel with overlayfs.

The clones lie on a tmpfs of the test's own: /tmp may be overlayfs itself, as it is in containers.
"""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

import harness
from harness import ABSENT, CLUSTER, DONE, FAILED, NODE, USAGE, is_alive, is_mounted, is_sentence, run, wait_until
from standin import CLUSTER as CLUSTER_OF_CASSANDRA
from standin import Cassandra
from test_pin import pins
from trees import describe_snapshot, describe_tree


@pytest.fixture
def disk(program):
    """A file system that can hold an upper directory; nothing may be left on it."""
    where = program.directory / "disk"
    where.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", where)
    yield where
    for mount in harness.mounts_below(where):
        subprocess.run(["umount", "-l", mount], check=False)
    run("umount", where)


@pytest.fixture
def stored(repository, small_node):
    small_node.write(small_node.table("shop", "big"), "t1", "nb-1-big-Data.db", small_node.bytes(3_000_000))
    repository.backup(small_node.data, "t1")
    return repository


def clone(repository, directory, *options, **keywords):
    return repository.json("clone", "t1", *options, directory, **keywords)


def undo(repository, directory, **keywords):
    return repository.program("clone", "--undo", directory, **keywords)


def daemon_of(directory):
    lines = Path(f"{directory}.sstablefs/backup/.sstablefs/status").read_text().splitlines()
    return int(dict(line.split(": ", 1) for line in lines)["pid"])


def nothing_left(repository, disk, *but):
    return sorted(p.name for p in disk.iterdir()) == sorted(but) and harness.mounts_below(disk) == [] and pins(repository) == []


def upper_bytes(directory):
    return sum(p.lstat().st_blocks * 512 for p in Path(f"{directory}.sstablefs/upper").rglob("*") if p.is_file())


def test_a_clone_is_the_backup_and_can_be_written(stored, small_node, disk):
    directory, expected = disk / "data", describe_snapshot(small_node.data, "t1")
    made = clone(stored, directory)
    assert made["state"] == "cloned" and made["pinned"] and made["yaml"]["data_file_directories"] == [str(directory)]
    assert describe_tree(directory) == expected
    assert pins(stored) == [(CLUSTER, NODE, "t1", "mount")]
    before = describe_tree(made["lower"])
    big = next(directory.glob("shop/big-*/nb-1-big-Data.db"))
    # What Cassandra does: a snapshot is hard links, a flush is new files, a compaction removes, a truncate empties.
    (big.parent / "snapshots/s1").mkdir(parents=True)
    os.link(big, big.parent / "snapshots/s1" / big.name)
    assert upper_bytes(directory) < 100_000, "a link copies no data"
    assert (big.parent / "snapshots/s1" / big.name).read_bytes() == big.read_bytes()
    (big.parent / "nb-2-big-Data.db").write_bytes(b"flushed")
    for path in directory.glob("shop/orders-*/nb-1-*"):
        path.unlink()
    with next(directory.glob("shop/*/nb-2-big-Data.db")).open("ab") as f:
        f.write(b" and appended")
    assert describe_tree(made["lower"]) == before, "the backup does not change"
    undo(stored, directory)
    assert nothing_left(stored, disk)


@pytest.mark.parametrize("name", ["a b", "a,b", "a:b", "a\\b", "a'b", "ä=ü", "a\nb"])
def test_any_name_of_a_directory_will_do(stored, small_node, disk, name):
    directory = disk / name
    clone(stored, directory)
    assert describe_tree(directory) == describe_snapshot(small_node.data, "t1")
    (directory / "new").write_bytes(b"x")
    assert (Path(f"{directory}.sstablefs/upper") / "new").read_bytes() == b"x"
    undo(stored, directory)
    assert nothing_left(stored, disk)


def test_the_text_names_what_to_do(stored, disk):
    directory = disk / "data"
    text = stored("clone", "t1", directory).out
    for words in ("cloned t1 of", f"data_file_directories: ['{directory}']", f"{directory}.sstablefs/upper", "pinned", "metacopy=on",
                  "no system keyspaces", "clone --undo"):
        assert words in text, words
    undo(stored, directory)


def test_the_directory_has_the_owner_of_the_backup_and_another_on_request(stored, small_node, disk):
    made = clone(stored, disk / "data")
    assert (os.stat(disk / "data").st_uid, os.stat(disk / "data").st_mode) == (os.stat(made["lower"]).st_uid, os.stat(made["lower"]).st_mode)
    undo(stored, disk / "data")
    clone(stored, disk / "data", "-o", "uid=4711,gid=4712")
    run("setpriv", "--reuid=4711", "--regid=4712", "--clear-groups", "sh", "-c", "echo x >shop/new && cat shop/*/nb-* >/dev/null",
        cwd=disk / "data")  # pytest's directories above it are private
    undo(stored, disk / "data")
    assert nothing_left(stored, disk)


def test_undo_refuses_while_the_clone_is_used_and_works_twice(stored, disk):
    directory = disk / "data"
    directory.mkdir()
    clone(stored, directory)
    user = subprocess.Popen(["sleep", "1000"], cwd=directory / "shop", env=stored.program.environment)
    try:
        answer = undo(stored, directory, code=FAILED)
        assert f"{user.pid} (sleep)" in answer.err and is_sentence(answer.err)
        assert is_mounted(directory) and (directory / "shop").is_dir()
    finally:
        user.kill()
        user.wait()
    undo(stored, directory)
    assert nothing_left(stored, disk, "data") and list(directory.iterdir()) == [], "it was there before"
    assert "nothing to undo" in undo(stored, directory).out


def test_a_killed_daemon_is_no_obstacle(stored, small_node, disk):
    directory = disk / "data"
    clone(stored, directory)
    (directory / "new").write_bytes(b"kept")
    pid = daemon_of(directory)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), 60, "the end of the daemon")
    assert clone(stored, directory)["state"] == "cloned again"
    assert (directory / "new").read_bytes() == b"kept"
    pid = daemon_of(directory)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), 60, "the end of the daemon")
    undo(stored, directory)
    assert sorted(disk.iterdir()) == [] and harness.mounts_below(disk) == []


def test_after_a_reboot_the_same_command_puts_it_up_again(stored, small_node, disk):
    directory = disk / "data"
    clone(stored, directory)
    (directory / "new").write_bytes(b"kept")
    next(directory.glob("shop/big-*/nb-1-big-Data.db")).unlink()
    expected = describe_tree(directory)
    run("umount", directory)  # mounts gone, directories there
    stored.program("umount", f"{directory}.sstablefs/backup")
    assert clone(stored, directory)["state"] == "cloned again"
    assert describe_tree(directory) == expected
    assert clone(stored, directory)["state"] == "already cloned"
    run("umount", directory)
    stored.program("umount", f"{directory}.sstablefs/backup")
    undo(stored, directory)
    assert nothing_left(stored, disk)


def test_a_clone_that_was_killed_while_it_tried_overlayfs_can_be_made_and_undone(stored, disk):
    def killed():
        probe = Path(f"{directory}.sstablefs/probe")
        for name in ("lower", "upper", "work", "merged"):
            (probe / name).mkdir(parents=True)
        run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={probe}/lower,upperdir={probe}/upper,workdir={probe}/work", probe / "merged")

    directory = disk / "data"
    clone(stored, directory)
    run("umount", directory)
    stored.program("umount", f"{directory}.sstablefs/backup")
    killed()
    assert clone(stored, directory)["state"] == "cloned again"
    killed()
    undo(stored, directory)
    assert nothing_left(stored, disk)


def test_what_was_written_while_nothing_was_mounted_is_not_removed(stored, disk):
    directory = disk / "data"
    clone(stored, directory)
    run("umount", directory)
    stored.program("umount", f"{directory}.sstablefs/backup")
    (directory / "foreign").write_bytes(b"x")
    undo(stored, directory)
    assert nothing_left(stored, disk, "data") and [p.name for p in directory.iterdir()] == ["foreign"]


def test_another_backup_does_not_take_the_place_of_a_clone(stored, small_node, disk):
    directory = disk / "data"
    stored.backup(small_node.data, "t1", "t2")
    clone(stored, directory)
    answer = stored("clone", "t2", directory, code=FAILED)
    assert is_sentence(answer.err) and "t1" in answer.err and "--undo" in answer.err
    assert is_mounted(directory)
    undo(stored, directory)
    assert nothing_left(stored, disk)


def test_what_cannot_work_is_said_and_leaves_nothing(stored, small_node, disk, program):
    full = disk / "full"
    full.mkdir()
    (full / "file").touch()
    foreign = disk / "foreign.sstablefs"
    foreign.mkdir()
    (foreign / "file").touch()
    names = sorted(p.name for p in disk.iterdir())
    rows = [
        (["t1", full], FAILED, ["not empty"]), (["t9", disk / "data"], ABSENT, ["t9"]), (["t1", disk / "foreign"], FAILED, ["was not made by clone"]),
        (["t1", disk / "no/data"], USAGE, ["no/data"]), (["t1"], USAGE, ["a backup and a directory"]), (["--undo"], USAGE, ["one directory"]),
        (["--undo", disk / "foreign"], FAILED, ["nothing was removed"]), (["t1", "-o", "memry=1", disk / "data"], USAGE, ["memory"]),
        (["t1", "--nde", "n1", disk / "data"], USAGE, ["--nde"]),
    ]
    for arguments, code, words in rows:
        answer = stored("clone", *arguments, code=code)
        assert is_sentence(answer.err) and all(word in answer.err for word in words), answer.err
        assert sorted(p.name for p in disk.iterdir()) == names and pins(stored) == [], arguments


def test_an_upper_directory_that_cannot_be_one_is_named(stored, program, disk):
    clone(stored, disk / "data")
    answer = stored("clone", "t1", disk / "data/on-overlay", code=FAILED)
    assert is_sentence(answer.err) and "overlayfs itself" in answer.err
    assert sorted(p.name for p in (disk / "data").iterdir()) == sorted(p.name for p in Path(f"{disk}/data.sstablefs/backup/{CLUSTER}/nodes/{NODE}/t1/data").iterdir())
    undo(stored, disk / "data")
    assert nothing_left(stored, disk)


def test_users_are_told_that_it_takes_root(stored, program):
    answer = program("clone", "--undo", "/nonexistent", code=FAILED,
                     prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "env", "SSTABLEFS_CONFIG="])
    assert is_sentence(answer.err) and "takes root" in answer.err


def test_a_kernel_that_refuses_overlayfs_is_explained(stored, disk):
    """Without CAP_SYS_ADMIN, as root is in a container."""
    answer = stored("clone", "t1", disk / "data", code=FAILED, prefix=["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"])
    assert is_sentence(answer.err) and "CAP_SYS_ADMIN" in answer.err
    assert nothing_left(stored, disk)


def test_the_cluster_has_its_own_name_whatever_the_backup_calls_it(repository, program, disk):
    node = Cassandra(program).fill()
    repository("--config", node.configuration, "backup", "--name", "t1", "--cluster", "alias")
    assert clone(repository, disk / "data")["yaml"]["cluster_name"] == CLUSTER_OF_CASSANDRA
    undo(repository, disk / "data")


def test_several_clones_of_one_backup_do_not_see_each_other(stored, disk):
    for name in "ab":
        clone(stored, disk / name)
        (disk / name / "mine").write_text(name)
    assert [(disk / name / "mine").read_text() for name in "ab"] == ["a", "b"]
    for name in "ab":
        undo(stored, disk / name)
    assert nothing_left(stored, disk)


def test_what_is_documented_as_json_is_there(stored, disk):
    made = clone(stored, disk / "data")
    assert {"cluster", "node", "name", "state", "directory", "lower", "upper", "work", "pinned", "yaml", "steps", "cassandra_version",
            "duration_seconds"} == set(made)
    # Made without Cassandra, the backup does not know what the cluster calls itself: a wrong name would keep Cassandra from starting.
    assert "cluster_name" not in made["yaml"] and any(step.startswith("cluster_name must be") for step in made["steps"])
    gone = stored.program("--json", "clone", "--undo", disk / "data")
    assert json.loads(gone.out) == {"directory": str(disk / "data"), "undone": True}
    assert gone.code == DONE and nothing_left(stored, disk)


def test_a_clone_lives_through_the_deletion_and_collection_of_its_backup(any_repository, small_node, disk):
    """Its pin is a root until it is undone; what it has not read yet is still there, every byte."""
    small_node.write(small_node.table("shop", "big"), "t1", "nb-1-big-Data.db", small_node.bytes(3_000_000))
    any_repository.backup(small_node.data, "t1")
    expected = describe_snapshot(small_node.data, "t1")
    directory = disk / "clone"
    clone(any_repository, directory)
    any_repository("delete", "--force", "t1")
    assert any_repository.json("gc", code=None)["deleted_objects"] == 0
    run("sh", "-c", "echo 3 > /proc/sys/vm/drop_caches")
    assert describe_tree(directory) == expected
    undo(any_repository, directory)
    assert any_repository.json("gc")["deleted_objects"] > 0
