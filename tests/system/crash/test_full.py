# SPDX-License-Identifier: Apache-2.0
"""Disks that are full, over quota or broken: a clear error, nothing lost, and the next run works. The cache gives way instead of failing the mount."""

import errno
import os
import random
import shutil

import pytest

from harness import CLUSTER, DONE, FAILED, LONG, NODE, STORE, is_alive, is_mounted, is_sentence, run, wait_until
from hook import Hook, committed, listed, moments, run_backup, temporary_files
from trees import MIB, Node, attributes_of_directories, describe_snapshot, describe_tree, files_below

ERRORS = {"ENOSPC": errno.ENOSPC, "EDQUOT": errno.EDQUOT, "EIO": errno.EIO}
# Once, or from then on.
FAILURES = [(name, ever) for name in ERRORS for ever in (False, True)] if LONG else [("ENOSPC", True), ("EDQUOT", False), ("EIO", True)]
CLASSES = {"ENOSPC": "wsnt", "EDQUOT": "wsnt", "EIO": "wsntu"}


@pytest.fixture
def small(tmp_path):
    """Makes small file systems; the tests mount them where they like."""
    made = []

    def make(size, where=None, options=""):
        where = where or tmp_path / f"disk{len(made)}"
        where.mkdir(parents=True, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", f"size={size}{options}", "tmpfs", where)
        made.append(where)
        return where

    yield make
    for where in reversed(made):
        run("umount", "-l", where)


def fill(directory, leave=0):
    """Takes all space but so many bytes. The file that takes it."""
    file = directory / "filler"
    with open(file, "wb", buffering=0) as f:
        try:
            while True:
                f.write(bytes(1 << 16))
        except OSError as error:
            assert error.errno == errno.ENOSPC
        f.truncate(max(0, f.tell() - leave))
    return file


# ---- each call fails ----

@pytest.mark.parametrize("name, ever", FAILURES)
def test_a_backup_whose_store_fails(program, template, originals, name, ever):
    """At each change of the repository's files. The store is tried again where that may help; a failure is the store's: exit code 5."""
    chance, repository = random.Random(f"backup {name} {ever}"), program.repository()
    hook, codes = Hook(program, CLASSES[name], repository.path), {}
    shutil.copytree(template.path, repository.path)
    run_backup(repository, originals, "t2", "t2", code=DONE, **hook.environment())
    total = hook.calls()
    for at in moments(chance, 2, 60, total):
        shutil.rmtree(repository.path)
        shutil.copytree(template.path, repository.path)
        answer = run_backup(repository, originals, "t2", "t2", **hook.environment(at, ERRORS[name], ever))
        codes[answer.code] = codes.get(answer.code, 0) + 1
        there = committed(repository.path, originals)
        assert {"t1"} <= there <= {"t1", "t2"} and there == listed(repository)
        if answer.code == DONE:
            assert "t2" in there
        else:
            # FAILED: what became of the last write is not known, and the message says so.
            assert answer.code == STORE or "t2" in there, (at, answer)
            assert is_sentence(answer.err) and str(repository.path) in answer.err, answer.err
        run_backup(repository, originals, "t2", "t2-next", code=DONE)
        assert not temporary_files(repository)
        assert committed(repository.path, originals) == there | {"t2-next"}
    print(f"{name}, of {total} calls: exit codes {codes}")


@pytest.mark.parametrize("name, ever", FAILURES)
def test_a_restore_whose_target_fails(program, template, originals, tmp_path, name, ever):
    chance, out = random.Random(f"restore {name} {ever}"), tmp_path / "out"
    repository, hook = template.copy_to(program), Hook(program, CLASSES[name], tmp_path / "out")
    repository("restore", "t1", out, environment=hook.environment())
    total, expected, codes = hook.calls(), describe_snapshot(originals.node.data, "t1"), {}
    directories = attributes_of_directories(out)
    for at in moments(chance, 3, 50, total):
        shutil.rmtree(out)
        answer = repository("restore", "t1", out, environment=hook.environment(at, ERRORS[name], ever), code=None)
        codes[answer.code] = codes.get(answer.code, 0) + 1
        found = describe_tree(out) if out.exists() else {}
        published = {path: d for path, d in found.items() if not path.startswith(".sstablefs-restore/")}
        assert published.items() <= expected.items()
        if answer.code == DONE:
            assert found == expected
        else:
            assert answer.code == FAILED and is_sentence(answer.err) and str(out) in answer.err, (at, answer)
        repository("restore", "t1", out)
        assert describe_tree(out) == expected and attributes_of_directories(out) == directories, at
    print(f"{name}, of {total} calls: exit codes {codes}")


@pytest.mark.parametrize("name, ever", FAILURES)
def test_local_state_that_fails_stops_no_command(program, template, originals, tmp_path, name, ever):
    """It only saves work: list, backup and restore give the same without."""
    chance, repository = random.Random(f"local {name} {ever}"), template.copy_to(program)
    hook, out = Hook(program, CLASSES[name], program.cache), tmp_path / "out"
    commands = [["list"], repository.backup_arguments(originals.node.data, "t2", "t2-0"), ["restore", "t1", out]]
    totals = []
    for command in commands:
        repository(*command, environment=hook.environment())
        totals.append(hook.calls())
    runs = 0
    for command, total in zip(commands, totals, strict=True):
        for at in moments(chance, 1, 15, total):
            runs += 1
            shutil.rmtree(out, ignore_errors=True)
            if command[0] == "backup":
                command = repository.backup_arguments(originals.node.data, "t2", f"t2-{runs}")
            repository(*command, environment=hook.environment(at, ERRORS[name], ever))
            if command[0] == "restore":
                assert describe_tree(out) == describe_snapshot(originals.node.data, "t1")
    assert committed(repository.path, originals) == listed(repository)
    print(f"{name}, of {totals} calls")


@pytest.mark.parametrize("name, ever", FAILURES)
def test_a_mount_whose_cache_fails(program, template, originals, name, ever):
    """At any call, at its start and later: it mounts, every byte is right, link counts are right in the end."""
    chance, repository = random.Random(f"mount {name} {ever}"), template.copy_to(program)
    hook, where = Hook(program, CLASSES[name], program.cache), program.directory / "mnt"
    where.mkdir()

    def session(environment):
        repository("mount", where, "-o", f"refresh=1,log={where}.log", environment=environment)
        top = where / CLUSTER / "nodes" / NODE
        assert describe_tree(top / "t1/data") == describe_snapshot(originals.node.data, "t1")
        calls = hook.calls()
        program("umount", where)
        assert not is_mounted(where)
        return calls

    session(hook.environment())
    shutil.rmtree(program.cache)
    total = session(hook.environment())
    for at in moments(chance, 3, 50, total):
        if chance.random() < 0.5:
            shutil.rmtree(program.cache)
        session(hook.environment(at, ERRORS[name], ever))
        with repository.mount(where=where) as mount:
            assert describe_tree(mount.data("t1")) == describe_snapshot(originals.node.data, "t1")
    print(f"{name}, of {total} calls")


# ---- disks that are really full ----

@pytest.fixture(scope="module")
def big(tmp_path_factory):
    """A node of some 20 MiB in many files."""
    node = Node(tmp_path_factory.mktemp("big"))
    for i in range(8):
        node.write(node.table("ks", "t"), "t1", f"nb-{i}-big-Data.db", node.bytes(2 * MIB + i))
    for i in range(300):
        node.write(node.table("ks", "u"), "t1", f"nb-{i}-big-Index.db", node.bytes(9000 + i))
    return node


def test_a_full_repository_loses_nothing_and_works_again_with_space(program, small, big, originals):
    disk = small("12m")
    repository = program.repository(disk / "repository").init()
    repository.backup(originals.node.data, "t1")
    before = committed(repository.path, originals)
    answer = repository.backup(big.data, "t1", "big", code=STORE)
    assert "no space is left" in answer.err and str(repository.path) in answer.err and is_sentence(answer.err)
    assert committed(repository.path, originals) == before == listed(repository)
    filler = fill(disk)
    repository("restore", "t1", program.directory / "out")
    assert describe_tree(program.directory / "out") == describe_snapshot(originals.node.data, "t1")
    with repository.mount() as mount:
        assert describe_tree(mount.data("t1")) == describe_snapshot(originals.node.data, "t1")
    filler.unlink()
    run("mount", "-o", "remount,size=64m", disk)
    repository.backup(big.data, "t1", "big")
    with repository.mount() as mount:
        assert describe_tree(mount.data("big")) == describe_snapshot(big.data, "t1")


def test_a_restore_that_fills_its_target_says_so_and_goes_on(program, repository, small, big):
    repository.backup(big.data, "t1")
    disk = small("64m")
    answer = None
    filler = fill(disk, leave=12 * MIB)
    answer = repository("restore", "t1", disk / "out", code=FAILED)
    assert "no space left" in answer.err and "nothing was written" in answer.err and is_sentence(answer.err)
    os.truncate(filler, filler.stat().st_size - 9 * MIB)
    # Enough by what it asks for; blocks and directories take more.
    answer = repository("restore", "t1", disk / "out", code=None)
    if answer.code != DONE:
        assert answer.code == FAILED and "space" in answer.err and is_sentence(answer.err)
    filler.unlink()
    repository("restore", "t1", disk / "out")
    assert describe_tree(disk / "out") == describe_snapshot(big.data, "t1")


@pytest.mark.parametrize("free", [0, 64 << 10, 200 << 10, 400 << 10, MIB, 3 * MIB, 12 * MIB, 20 * MIB] if LONG else [0, 200 << 10, 3 * MIB])
def test_a_mount_with_a_full_cache_disk(program, repository, small, big, free):
    """No SIGBUS, no error: as much is kept as there is room for."""
    repository.backup(big.data, "t1")
    disk = small("64m", program.cache)
    fill(disk, leave=free)
    with repository.mount("memory=64M") as mount:
        for _ in range(2):
            assert describe_tree(mount.data("t1")) == describe_snapshot(big.data, "t1")
        assert is_alive(mount.pid)


def test_a_cache_disk_that_fills_while_mounted(program, repository, small, big, originals):
    """Somebody else takes all the space: the cache gives its own up for the index, and new backups still come in."""
    repository.backup(originals.node.data, "t1", "small")
    disk = small("64m", program.cache)
    with repository.mount("refresh=1", "memory=64M") as mount:
        assert describe_tree(mount.data("small")) == describe_snapshot(originals.node.data, "t1")
        fill(disk)
        repository.backup(big.data, "t1", "big")
        wait_until(lambda: "big" in os.listdir(mount.node()), 60, "the new backup")
        assert describe_tree(mount.data("big")) == describe_snapshot(big.data, "t1")
        assert describe_tree(mount.data("small")) == describe_snapshot(originals.node.data, "t1")


@pytest.mark.parametrize("option", ["log", "trace"])
def test_a_full_disk_below_a_log_stops_nothing(program, template, small, originals, option):
    repository = template.copy_to(program)
    disk = small("1m")
    fill(disk)
    with repository.mount(f"{option}={disk}/file", log=False) as mount:
        assert describe_tree(mount.data("t1")) == describe_snapshot(originals.node.data, "t1")


def test_a_limit_of_file_sizes_is_an_error_and_no_end(program, template, originals, tmp_path):
    """RLIMIT_FSIZE comes with SIGXFSZ, which ends who does not expect it. (Of the daemon: test_stale.py.)"""
    limit = ("prlimit", "--fsize=65536")
    repository = template.copy_to(program)
    answer = run_backup(repository, originals, "t2", "t2", prefix=limit)
    assert answer.code == STORE and is_sentence(answer.err), answer
    answer = repository("restore", "t1", tmp_path / "out", prefix=limit, code=FAILED)
    assert is_sentence(answer.err)
    assert describe_tree(tmp_path / "out").items() <= describe_snapshot(originals.node.data, "t1").items()
