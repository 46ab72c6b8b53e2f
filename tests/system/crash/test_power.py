# SPDX-License-Identifier: Apache-2.0
"""Power cuts: whatever was not synced is lost, all of it or some of it by chance. What was reported as done is there and whole.

The program runs once with its calls recorded (hook.c); then what a cut after each of them leaves is built by a model (power.py) and looked at.
"""

import random
import shutil

import pytest

from harness import DONE, LONG
from hook import Hook, committed, run_backup, temporary_files
from power import Disk, Operation, read_record
from trees import attributes_of_directories, describe_snapshot, describe_tree

SEEDS = 4 if LONG else 1  # reorderings for each moment, beside the loss of all


class Recorded:
    """A disk, programs that ran on it one after the other, and what of it a power cut leaves at any moment."""

    def __init__(self, program, tmp_path):
        self.program, self.top = program, tmp_path / "disk"
        self.top.mkdir()
        self.record = tmp_path / "record"
        self.hook = Hook(program, below=self.top)
        self.disk = Disk(self.top)
        self.done = []  # (calls so far, what was reported as done)
        self.operations = []
        self.offset = 0

    def environment(self):
        return self.hook.environment(record=self.record)

    def note_done(self, what):
        found, self.offset = read_record(self.record, self.offset)
        self.operations += found
        self.done.append((len(self.operations), what))

    def cuts(self, chance, daily, into):
        """Yields (number of calls done, what was reported before, directory) for each moment, or `daily` of them; the first and last always."""
        total = len(self.operations)
        chosen = set(range(total + 1)) if LONG else {0, total, *(at for at, _ in self.done), *chance.sample(range(total), daily)}
        for at in range(total + 1):
            if at in chosen:
                for number in range(1 + SEEDS):
                    shutil.rmtree(into, ignore_errors=True)
                    self.disk.cut(into, random.Random(f"{at} {number}") if number else None)
                    yield at, [what for when, what in self.done if when <= at], into
            if at < total:
                self.disk.feed(self.operations[at])


def repair(program, path, originals, done):
    """What an operator does after the cut: goes on. (init where there was none, a backup, a look.)"""
    repository = program.repository(path)
    if "init" not in done:
        answer = repository("init", code=None)
        assert answer.code == DONE or "there is a repository already" in answer.err, answer
    run_backup(repository, originals, "t2", "t2-after", code=DONE)
    assert not temporary_files(repository)
    there = committed(path, originals)
    assert {*done, "t2-after"} - {"init"} <= there
    assert repository.json("verify")["damaged"] == []


def test_a_backup_that_was_reported_survives_a_power_cut(program, originals, tmp_path):
    chance, recorded = random.Random("power"), Recorded(program, tmp_path)
    repository = program.repository(recorded.top / "repository")
    repository("init", environment=recorded.environment())
    recorded.note_done("init")
    for tag in ("t1", "t2"):
        run_backup(repository, originals, tag, tag, code=DONE, **recorded.environment())
        recorded.note_done(tag)
    states = repaired = 0
    for at, done, left in recorded.cuts(chance, 15, tmp_path / "left"):
        path, states = left / "repository", states + 1
        if (path / "repository.json").exists():
            there = committed(path, originals)
            following = ["t1", "t2"][len([name for name in done if name != "init"]):][:1]
            assert {*done} - {"init"} <= there <= {*done, *following} - {"init"}, f"after {at} calls"
        else:
            assert not done, f"after {at} calls"
        if chance.random() < (0.05 if LONG else 0.1):
            repair(program, path, originals, done)
            repaired += 1
    print(f"{len(recorded.operations)} calls, {states} states of the disk, of which {repaired} were worked on")


@pytest.mark.parametrize("victim", ["init", "backup"])
def test_what_follows_a_kill_does_not_rest_on_what_was_not_synced(program, originals, tmp_path, victim):
    """First kill -9, then the same again, then the cut: what the killed one left in memory only may be lost, what the next one reported may not."""
    chance, states = random.Random(f"killed {victim}"), 0
    total = number = 0
    for at in (None, *(range(1, 6) if victim == "init" else (None,) * (30 if LONG else 2))):
        directory, number = tmp_path / f"run{number}", number + 1
        directory.mkdir()
        recorded = Recorded(program, directory)
        repository = program.repository(recorded.top / "repository")
        shutil.rmtree(program.cache, ignore_errors=True)

        def run(what, kill_at=0, recorded=recorded, repository=repository):
            """Under the record; 0: to its end. How many calls it made."""
            environment = {**recorded.environment(), "CRASH_AT": str(kill_at)}
            if what == "init":
                repository("init", environment=environment, code=None)
            else:
                run_backup(repository, originals, "t1", what, code=None if kill_at else DONE, **environment)
            return recorded.hook.calls()

        if victim == "init" and at:
            run("init", at)
        run("init")
        if victim == "backup" and number > 1:
            run("t1-killed", chance.randrange(total) + 1)
        total = run("t1")
        recorded.note_done("t1")
        for operation in recorded.operations:
            recorded.disk.feed(operation)
        for seed in (None, random.Random(number)):
            recorded.disk.cut(directory / f"left{seed is None}", seed)
            assert "t1" in committed(directory / f"left{seed is None}/repository", originals), f"killed at {at}"
            states += 1
        shutil.rmtree(directory)
    print(f"{states} states")


def test_what_restore_reported_survives_a_power_cut(program, template, originals, tmp_path):
    chance, recorded = random.Random("restore"), Recorded(program, tmp_path)
    repository = template.copy_to(program)
    repository("restore", "t1", recorded.top / "out", environment=recorded.environment())
    recorded.note_done("restore")
    expected, directories = describe_snapshot(originals.node.data, "t1"), attributes_of_directories(recorded.top / "out")
    states = again = 0
    for at, done, left in recorded.cuts(chance, 15, tmp_path / "left"):
        out, states = left / "out", states + 1
        found = describe_tree(out) if out.exists() else {}
        published = {path: d for path, d in found.items() if not path.startswith(".sstablefs-restore/")}
        assert published.items() <= expected.items(), f"after {at} calls"
        assert not done or found == expected, f"after {at} calls"
        if chance.random() < 0.1:
            repository("restore", "t1", out)
            assert describe_tree(out) == expected and attributes_of_directories(out).keys() == directories.keys()
            again += 1
    print(f"{len(recorded.operations)} calls, {states} states of the disk, {again} of them restored again")


def test_local_state_after_a_power_cut_is_right_or_discarded(program, template, originals, tmp_path):
    """The index is written without a sync; the mark of its clean end is not."""
    chance, recorded = random.Random("cache"), Recorded(program, tmp_path)
    repository, cache = template.copy_to(program), recorded.top / "cache"
    expected = describe_snapshot(originals.node.data, "t1")
    environment = {**recorded.environment(), "SSTABLEFS_CACHE_DIR": str(cache)}
    for _ in range(2):
        repository("list", environment=environment)
        repository("restore", "t1", tmp_path / "out", environment=environment)
        shutil.rmtree(tmp_path / "out")
        recorded.note_done("commands")
    mount = tmp_path / "mnt"
    mount.mkdir()
    repository("mount", mount, environment=environment)
    assert describe_tree(mount / "c1/nodes/n1/t1/data") == expected
    program("umount", mount)
    recorded.note_done("mount")
    states = 0
    for _, _, left in recorded.cuts(chance, 3, tmp_path / "left"):
        if LONG and chance.random() < 0.95:
            continue
        states += 1
        program.environment["SSTABLEFS_CACHE_DIR"] = str(left / "cache")
        assert len(repository.json("list")["backups"]) == 1
        repository("restore", "t1", tmp_path / "out")
        assert describe_tree(tmp_path / "out") == expected
        shutil.rmtree(tmp_path / "out")
        with repository.mount() as again:
            assert describe_tree(again.data("t1")) == expected
    print(f"{states} states of the local state")


@pytest.mark.parametrize("lost", ["file", "directory"])
def test_the_model_loses_what_was_not_synced(tmp_path, lost):
    """Of the model itself: a name without its directory's sync, bytes without the file's."""
    top = tmp_path / "disk"
    top.mkdir()
    disk, name = Disk(top), str(top / "name").encode()
    inode = top.stat().st_ino
    disk.feed(Operation("create", 10**9, 0, name, b""))
    disk.feed(Operation("write", 10**9, 2, b"bytes", b""))
    disk.feed(Operation("fsync", inode if lost == "file" else 10**9, 0, b"", b""))
    disk.cut(tmp_path / "left")
    found = {path.name: path.read_bytes() for path in (tmp_path / "left").iterdir()}
    assert found == ({"name": b""} if lost == "file" else {})
    disk.feed(Operation("syncfs", inode, 0, b"", b""))
    disk.cut(tmp_path / "whole")
    assert (tmp_path / "whole/name").read_bytes() == b"\0\0bytes"
