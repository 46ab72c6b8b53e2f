# SPDX-License-Identifier: Apache-2.0
"""Programs of the operator before and after the phases of a backup ([hooks])."""

import pytest

from harness import DONE, FAILED, FOUND, USAGE
from standin import Cassandra

ALL = ["before_snapshot", "after_snapshot", "before_upload", "after_upload"]
PASSWORD = "a-secret-of-s3"


class Hooks:
    """Hooks that write down when they ran, with what environment, and what snapshots and backups there were."""

    def __init__(self, repository, program):
        self.repository, self.program = repository, program
        self.cassandra = Cassandra(program).fill()
        self.log = program.directory / "hooks.log"
        self.scripts = {}
        self.more = ""
        for key in ALL:
            self.script(key)

    def script(self, key, last="exit 0"):
        path = self.program.directory / f"hook {key}"  # a blank: no shell takes the name apart
        look = " ".join(f"{data}/*/*/snapshots" for data in self.cassandra.data)
        path.write_text(f"#!/bin/sh\necho \"{key} $# $SSTABLEFS_WHEN $SSTABLEFS_PHASE [$SSTABLEFS_RESULT] $SSTABLEFS_CLUSTER $SSTABLEFS_NODE "
                        f"$SSTABLEFS_BACKUP\" >>{self.log}\nenv >{self.log}.env\nls {look} 2>/dev/null >{self.log}.{key}\n{last}\n")
        path.chmod(0o755)
        self.scripts[key] = path

    def backup(self, *arguments, code=DONE):
        self.cassandra.configure()
        with open(self.cassandra.configuration, "a") as file:
            file.write("[hooks]\n" + "".join(f"{key} = {path}\n" for key, path in self.scripts.items()) + self.more)
        self.log.unlink(missing_ok=True)
        return self.repository("--config", self.cassandra.configuration, "backup", "--name", "b", *arguments, code=code,
                               environment={"AWS_SECRET_ACCESS_KEY": PASSWORD})

    def ran(self):
        return [line.split(" ", 1) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def snapshots_at(self, key):
        return "sstablefs-" in (self.log.parent / f"{self.log.name}.{key}").read_text()


@pytest.fixture
def hooks(repository, program):
    return Hooks(repository, program)


def test_each_hook_runs_at_its_time_and_is_told_what_for(hooks):
    hooks.backup()
    where = "Live_Test__1 n1 b"
    assert hooks.ran() == [["before_snapshot", f"0 before snapshot [] {where}"], ["after_snapshot", f"0 after snapshot [ok] {where}"],
                           ["before_upload", f"0 before upload [] {where}"], ["after_upload", f"0 after upload [ok] {where}"]]
    assert [hooks.snapshots_at(key) for key in ALL] == [False, True, True, True]


def test_a_hook_sees_no_secret(hooks):
    hooks.backup()
    assert PASSWORD not in (hooks.log.parent / f"{hooks.log.name}.env").read_text()


@pytest.mark.parametrize("key, ran, stored", [("before_snapshot", 1, False), ("after_snapshot", 2, False), ("before_upload", 3, False)])
def test_a_hook_that_fails_stops_the_backup_with_a_sentence(hooks, repository, key, ran, stored):
    hooks.script(key, "echo first >&2; echo 'the disk is being replaced' >&2; exit 7")
    answer = hooks.backup(code=FAILED)
    assert answer.err == (f"sstablefs: backup: the hook {key} ({hooks.scripts[key]}): it ended with exit code 7 (the disk is being replaced)\n")
    assert len(hooks.ran()) == ran and hooks.cassandra.snapshots() == []
    assert repository.json("list")["backups"] == []


def test_a_hook_after_the_upload_that_fails_is_told_and_the_backup_is_made(hooks, repository):
    hooks.script("after_upload", "exit 1")
    answer = hooks.backup(code=FOUND)
    assert "the backup is made, but the hook after_upload" in answer.err
    assert repository.json("list")["backups"][0]["nodes_finished"] == 1 and hooks.cassandra.snapshots() == []


def test_the_hook_after_a_phase_runs_where_the_phase_failed(hooks):
    hooks.cassandra.fail("snapshot", first="error: no")
    hooks.backup(code=FAILED)
    assert hooks.ran()[-1] == ["after_snapshot", "0 after snapshot [failed] Live_Test__1 n1 b"]


def test_a_hook_that_hangs_is_killed(hooks):
    hooks.script("before_snapshot", "exec sleep 1000")
    hooks.more = "timeout = 1\n"
    assert "did not end within 1 s and was killed" in hooks.backup(code=FAILED).err


@pytest.mark.parametrize("key", ["before_snapshot", "after_upload"])
@pytest.mark.parametrize("path, words", [("echo hello", "the whole path of a program"), ("/nowhere/hook", "cannot be run: No such file"), ("/tmp", "no executable file")])
def test_a_hook_that_is_no_program_is_refused_before_anything_is_taken(hooks, key, path, words):
    hooks.scripts[key] = path
    assert words in hooks.backup(code=USAGE).err and hooks.cassandra.calls() == [] and hooks.ran() == []
    checks = hooks.repository.json("--config", hooks.cassandra.configuration, "doctor", code=FOUND)["checks"]
    told = {check["message"]: check["result"] for check in checks if check["check"] == "hooks"}
    assert [result for message, result in told.items() if f"{key} = {path}" in message] == ["error"]
    assert list(told.values()).count("ok") == 3


def test_a_time_that_is_none_is_refused_before_anything_is_taken(hooks):
    del hooks.scripts["before_snapshot"], hooks.scripts["after_snapshot"], hooks.scripts["before_upload"]
    hooks.more = "timeout = long\n"
    assert "[hooks] timeout 'long'" in hooks.backup(code=USAGE).err and hooks.cassandra.calls() == []


def test_an_unknown_hook_names_the_nearest(hooks):
    hooks.more = "befor_upload = /bin/true\n"
    assert "unknown key 'befor_upload' (did you mean 'before_upload'?)" in hooks.backup(code=USAGE).err


def test_a_dry_run_uploads_nothing_and_tells_no_hook_so(hooks):
    hooks.backup("--dry-run")
    assert [key for key, _ in hooks.ran()] == ["before_snapshot", "after_snapshot"]
