# SPDX-License-Identifier: Apache-2.0
"""kill -9 at many moments of backup, restore and mount: what was finished stays whole, what was not is not seen, and the next run works.

The moments: every call that changes a file or sends to the store (hook.c), and by the clock, both by seeded chance. 60 daily, 500 with SSTABLEFS_LONG=1.
"""

import contextlib
import errno
import os
import random
import shutil
import threading
import time

import pytest

from harness import CLUSTER, DONE, FAILED, LONG, NODE, is_mounted, is_sentence, processes_of, run, wait_until
from hook import Hook, committed, listed, moments, records_of, run_backup, temporary_files
from trees import attributes_of_directories, describe_snapshot, describe_tree, snapshot_files

KILLED = (-9, 137)  # 137: by timeout(1)
GONE = (errno.ECONNABORTED, errno.ENOTCONN)
LATER = 10**6  # calls that no run comes to by itself
DEAD_NS = 3 * 24 * 3600 * 10**9


def report(kind, kills, unreached=0):
    print(f"{kind}: killed at {kills} moments, {unreached} runs ended before")


# ---- backup ----

def check_after_backup(repository, originals, before, name, chance):
    """A backup of t2 was killed, or not: consistent, and the next run works under another name and, when it is due, the same."""
    there = committed(repository.path, originals, tag_of)
    assert before <= there <= before | {name}
    assert listed(repository) == there
    run_backup(repository, originals, "t2", "t2-next", code=DONE)
    assert not temporary_files(repository)
    there |= {"t2-next"}
    if name not in there:
        retry(repository, originals, name, chance)
        there.add(name)
    assert committed(repository.path, originals, tag_of) == there
    assert repository.json("verify")["damaged"] == []


def tag_of(name):
    return name.split("-")[0]


def retry(repository, originals, name, chance):
    """Under the same name: at once where nothing was written, else when the record is dead by the store's clock."""
    answer = run_backup(repository, originals, "t2", name)
    if answer.code == DONE:
        return
    assert answer.code == FAILED and "is being written by another process" in answer.err and is_sentence(answer.err)
    for record in records_of(repository, name):
        before = record.stat().st_mtime_ns - DEAD_NS - chance.randrange(1000)
        os.utime(record, ns=(before, before))
    run_backup(repository, originals, "t2", name, code=DONE)


@pytest.mark.parametrize("kind, daily, long", [("first", 10, 90), ("with reuse", 10, 90)])
def test_a_backup_killed_at_any_change_of_a_file(program, template, originals, kind, daily, long):
    chance = random.Random(f"backup {kind}")
    hook = Hook(program)

    def fresh():
        repository = program.repository()
        if kind == "first":
            return repository.init(), set()
        shutil.copytree(template.path, repository.path)
        return repository, {"t1"}

    repository, before = fresh()
    run_backup(repository, originals, "t2", "t2", code=DONE, **hook.environment())
    total, kills = hook.calls(), 0
    for at in (chosen := moments(chance, daily, long, total)):
        shutil.rmtree(repository.path)
        shutil.rmtree(program.cache)  # as in the run that was counted
        repository, before = fresh()
        answer = run_backup(repository, originals, "t2", "t2", **hook.environment(at))
        assert answer.code in (DONE, *KILLED), answer
        kills += answer.code in KILLED
        check_after_backup(repository, originals, before, "t2", chance)
    assert kills >= len(chosen) * 2 // 3
    report(f"backup, {kind}, of {total} calls", kills, len(chosen) - kills)


def test_a_backup_killed_at_any_time(program, template, originals):
    chance = random.Random("backup, time")
    repository, kills, count = program.repository(), 0, 90 if LONG else 6
    shutil.copytree(template.path, repository.path)
    begun = time.monotonic()
    run_backup(repository, originals, "t2", "t2-0", code=DONE)
    takes = time.monotonic() - begun
    for number in range(count):
        name = f"t2-{number + 1}"
        before = committed(repository.path, originals)
        answer = run_backup(repository, originals, "t2", name, prefix=("timeout", "-s", "KILL", f"{chance.uniform(0.001, 0.7 * takes):.3f}"))
        kills += answer.code in KILLED
        assert before <= (there := committed(repository.path, originals)) <= before | {name}
        assert there == listed(repository)
    report("backup, by the clock", kills, count - kills)
    run_backup(repository, originals, "t2", "t2-last", code=DONE)
    assert not temporary_files(repository)


def test_a_backup_killed_at_any_request_to_a_server(program, minio, originals):
    chance, hook = random.Random("requests"), Hook(program, "x")
    minio.backup(originals.node.data, "t1")
    run_backup(minio, originals, "t2", "t2-0", code=DONE, **hook.environment())
    total, kills, whole = hook.calls(), 0, {"t1", "t2-0"}
    chosen = moments(chance, 5, 40, total)
    for number, at in enumerate(chosen):
        name = f"t2-{number + 1}"
        answer = run_backup(minio, originals, "t2", name, **hook.environment(at))
        assert answer.code in (DONE, *KILLED), answer
        kills += answer.code in KILLED
        now = listed(minio)
        assert whole <= now <= whole | {name}
        whole = now
    report(f"backup to MinIO, of {total} sends", kills, len(chosen) - kills)
    minio.backup(originals.node.data, "t2", "t2-last")
    assert minio.json("verify")["damaged"] == []
    with minio.mount() as mount:
        for name in whole | {"t2-last"}:
            assert describe_tree(mount.data(name)) == describe_snapshot(originals.node.data, tag_of(name))


# ---- restore ----

def check_after_restore(repository, originals, out, code):
    """Nothing half under its final name; run again it completes, and leaves nothing of its own."""
    expected = describe_snapshot(originals.node.data, "t1")
    found = describe_tree(out) if out.exists() else {}
    published = {path: d for path, d in found.items() if not path.startswith(".sstablefs-restore/")}
    assert published.items() <= expected.items()
    assert code != DONE or found == expected
    result = repository.json("restore", "t1", out)
    assert result["files_kept"] >= len(published)
    assert describe_tree(out) == expected
    assert not (out / ".sstablefs-restore").exists()


def test_a_restore_killed_at_any_change_of_a_file(program, template, originals, tmp_path):
    chance, out = random.Random("restore"), tmp_path / "out"
    repository, hook, kills = template.copy_to(program), Hook(program, below=tmp_path), 0
    repository("restore", "t1", out, environment=hook.environment())
    total, directories = hook.calls(), attributes_of_directories(out)
    for at in (chosen := moments(chance, 8, 80, total)):
        shutil.rmtree(out)
        shutil.rmtree(program.cache)
        answer = repository("restore", "t1", out, environment=hook.environment(at), code=None)
        assert answer.code in (DONE, *KILLED), answer
        kills += answer.code in KILLED
        check_after_restore(repository, originals, out, answer.code)
        assert attributes_of_directories(out) == directories, f"at {at}"
    report(f"restore, of {total} calls", kills, len(chosen) - kills)


def test_a_restore_killed_again_and_again_ends(program, template, originals, tmp_path):
    chance, out = random.Random("restore, time"), tmp_path / "out"
    repository, kills, count = template.copy_to(program), 0, 40 if LONG else 5
    for _ in range(count):
        limit = ("timeout", "-s", "KILL", f"{chance.uniform(0.001, 0.1):.3f}")
        answer = repository("restore", "t1", out, prefix=limit, code=None)
        kills += answer.code in KILLED
        if answer.code == DONE or chance.random() < 0.3:
            check_after_restore(repository, originals, out, answer.code)
            shutil.rmtree(out)
    check_after_restore(repository, originals, out, None)
    report("restore, by the clock", kills, count - kills)


# ---- mount ----

class Mounted:
    """A mount under the hook, whose daemon may die at any moment."""

    def __init__(self, repository, environment, *options):
        self.repository, self.path = repository, repository.program.directory / "mnt"
        if not is_mounted(self.path):  # one that is stale cannot even be looked at
            self.path.mkdir(exist_ok=True)
        self.answer = repository("mount", self.path, "-o", ",".join(("refresh=1", f"log={self.path}.log", *options)), environment=environment, code=None)
        assert self.answer.code in (DONE, FAILED), self.answer
        self.forced = False

    @contextlib.contextmanager
    def never_hanging(self):
        """A daemon that is killed while the kernel, at its own request, waits for a directory that a reader holds never ends: umount --force (docs/mount.md)."""
        def force():
            self.forced = True
            self.repository.program("umount", "--force", self.path, code=None)

        timer = threading.Timer(20, force)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    def node(self):
        return self.path / CLUSTER / "nodes" / NODE

    def read(self, originals, tags):
        """Every file; a byte that comes is right. False: the daemon died."""
        try:
            with self.never_hanging():
                for tag in tags:
                    for path, source in snapshot_files(originals.node.data, tag).items():
                        with open(self.node() / tag / path, "rb") as f, open(source, "rb") as original:
                            assert f.read() == original.read(), f"wrong bytes of {path}"
            return True
        except OSError as error:
            assert error.errno in GONE, error
            return False

    def end(self, chance):
        """The daemon is gone, or goes. Half of the time the stale mount point stays for the next mount to clear."""
        for pid in processes_of(self.repository.program.directory):
            os.kill(pid, 9)
        wait_until(lambda: not processes_of(self.repository.program.directory), 60, "the end of the daemon")
        if is_mounted(self.path) and chance.random() < 0.5:
            self.repository.program("umount", self.path)
            assert not is_mounted(self.path)


def check_after_mount(repository, originals, tags):
    with repository.mount("refresh=1", where=repository.program.directory / "mnt") as mount:
        assert set(os.listdir(mount.node())) == {*tags, "latest", "objects"}
        for tag in tags:
            assert describe_tree(mount.data(tag)) == describe_snapshot(originals.node.data, tag)
    assert not is_mounted(repository.program.directory / "mnt")


def test_a_mount_killed_at_any_change_of_its_cache(program, template, originals):
    """While it starts, reads (the index and the disk cache are written) and ends."""
    chance, hook, kills = random.Random("mount"), Hook(program), 0
    repository = template.copy_to(program)
    mounted = Mounted(repository, hook.environment())
    start = hook.calls()
    assert mounted.read(originals, ["t1"])
    reading = hook.calls()
    program("umount", mounted.path)
    total = hook.calls()
    assert start > 10 and reading > start + 10 and total > reading
    chosen = sorted({*moments(chance, 5, 60, start), *(start + at for at in moments(chance, 6, 110, total - start))})
    for number, at in enumerate(chosen):
        if number % 2:
            shutil.rmtree(program.cache)  # else what an unclean end left
        mounted = Mounted(repository, hook.environment(at))
        if mounted.answer.code == DONE and mounted.read(originals, ["t1"]):
            program("umount", mounted.path, code=None)
        kills += hook.reached(at)
        assert hook.reached(at) or not mounted.forced
        mounted.end(chance)
        check_after_mount(repository, originals, ["t1"])
    report(f"mount, of {start} calls of its start and {total - start} after", kills, len(chosen) - kills)


def test_a_mount_killed_while_it_takes_in_a_new_backup(program, template, originals):
    chance, hook, kills = random.Random("refresh"), Hook(program), 0
    base, repository = template.copy_to(program), program.repository()

    def session(at):
        """Mounts, makes a backup, waits for it to be seen, and reads it."""
        shutil.rmtree(repository.path, ignore_errors=True)
        run("cp", "-a", base.url, repository.url)
        mounted = Mounted(repository, hook.environment(LATER))
        os.listdir(mounted.node())
        run_backup(repository, originals, "t2", "t2", code=DONE)
        hook.set_calls(LATER - at)
        try:
            with mounted.never_hanging():
                wait_until(lambda: "t2" in os.listdir(mounted.node()), 60, "the new backup")
            mounted.read(originals, ["t2"])
        except OSError as error:
            assert error.errno in GONE, error
        return mounted

    session(LATER // 2).end(chance)
    total = hook.calls() - LATER // 2
    assert total > 5
    chosen = moments(chance, 4, 40, total)
    for at in chosen:
        mounted = session(at)
        kills += hook.reached(LATER)
        mounted.end(chance)
        check_after_mount(repository, originals, ["t1", "t2"])
    report(f"refresh, of {total} calls", kills, len(chosen) - kills)
