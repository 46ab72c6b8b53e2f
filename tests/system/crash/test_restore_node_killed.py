# SPDX-License-Identifier: Apache-2.0
"""restore-node is killed at calls that make, move or remove a name below the node's directories: the same command then ends what was begun, and
--abort puts back what was there. Nothing is lost on the way."""

import contextlib
import random
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from harness import DONE, FAILED, wait_until
from hook import Hook, moments
from host import OWN, Host, files

KILLED = -9


class Story:
    """A host whose data differ from its backup, and who knows both."""

    def __init__(self, program):
        self.program, self.host = program, Host(program).fill(200).start()
        self.repository = program.repository().init()
        self.repository("--config", self.host.configuration, "backup", "--name", "b")
        self.backed_up = files({path: data for path, data in self.host.content().items() if path.startswith("data")})
        self.host.spoil()
        self.spoilt = files(self.host.content())
        self.hook = Hook(program, "nu", below=self.host.node_directory)

    def run(self, *arguments, code=DONE, **environment):
        return self.repository("--config", self.host.configuration, "restore-node", *arguments, code=code, environment=environment)

    def restore(self, **keywords):
        return self.run("b", "--in-place", "--yes", **keywords)

    def everything(self):
        """All bytes that are anywhere, ours included."""
        return sorted(data for path, data in self.host.content().items() if data is not None and "/backups/new/" not in path)

    def is_as_before(self):
        assert files(self.host.content()) == self.spoilt and self.host.running
        assert not [place for place in self.host.places if (place / OWN).exists()]


@pytest.fixture
def story(program):
    story = Story(program)
    yield story
    story.host.kill()


def calls_of(story, run):
    run(**story.hook.environment())
    return story.hook.calls()


def test_a_restore_killed_anywhere_goes_on_or_goes_back(story):
    chance, kills = random.Random("restore-node"), 0
    story.host.fail("stop", first="not yet")
    fetch = calls_of(story, lambda **environment: story.restore(code=FAILED, **environment))
    story.host.heal()
    story.run("--abort")
    story.is_as_before()
    total = calls_of(story, story.restore)
    story.run("--abort")
    chosen = moments(chance, 2, 20, fetch) + [fetch + at for at in moments(chance, 8, 1000, total - fetch)]
    for number, at in enumerate(chosen):
        answer = story.restore(code=None, **story.hook.environment(at))
        assert answer.code in (DONE, KILLED), answer
        kills += answer.code == KILLED
        kept = story.everything()
        assert all(data in kept for data in story.spoilt.values()), f"data are lost at call {at}"
        if number % 4 == 1 and not story.host.running:
            story.host.start(check=False)  # a supervisor, or a reboot
        if number % 2:
            story.restore()
            assert files(story.host.content()) == story.backed_up and story.host.running
        if story.host.journal():
            story.run("--abort")
        story.is_as_before()
    assert kills >= len(chosen) * 2 // 3
    print(f"restore-node, of {fetch} + {total - fetch} calls: killed at {kills} moments")


def test_an_abort_killed_anywhere_is_ended_by_the_next(story):
    story.restore()
    total, kills = calls_of(story, lambda **environment: story.run("--abort", **environment)), 0
    story.is_as_before()
    for at in (chosen := moments(random.Random("abort"), 6, 1000, total)):
        story.restore()
        answer = story.run("--abort", code=None, **story.hook.environment(at))
        kills += answer.code == KILLED
        kept = story.everything()
        assert all(data in kept for data in story.spoilt.values()), f"data are lost at call {at}"
        if story.host.journal():
            assert "--abort again" in story.restore(code=FAILED).err
            story.run("--abort")
        story.is_as_before()
    assert kills >= len(chosen) * 2 // 3


def test_a_finish_killed_anywhere_is_ended_by_the_next(story):
    story.restore()
    copy = story.host.directory / "copy"
    shutil.copytree(story.host.node_directory, copy, symlinks=True)
    total, kills = calls_of(story, lambda **environment: story.run("--finish", **environment)), 0
    for at in (chosen := moments(random.Random("finish"), 4, 60, total)):
        story.host.kill()
        for place in story.host.places:
            shutil.rmtree(place)
            shutil.copytree(copy / place.name, place, symlinks=True)
        story.host.start()
        answer = story.run("--finish", code=None, **story.hook.environment(at))
        kills += answer.code == KILLED
        if story.host.journal():
            assert "there is no way back" in story.run("--abort", code=FAILED).err
            story.run("--finish")
        assert files(story.host.content()) == story.backed_up
        assert not [place for place in story.host.places if (place / OWN / "backups").exists()]
    assert kills >= len(chosen) * 2 // 3


def paused(process):
    stat = Path("/proc", str(process.pid), "stat")
    wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", 30, "the pause")


@pytest.mark.parametrize("end", ["--finish", "--abort", "--no-stage"])
def test_a_long_removal_ends_at_a_signal_and_the_same_command_goes_on(story, end):
    words = ["b", "--in-place", end, "--yes"] if end == "--no-stage" else [end]
    if words == [end]:
        story.restore()
    hook = Hook(story.program, "u", below=story.host.data[0] / ("shop" if end == "--no-stage" else OWN + "/backups"))
    process = story.repository.start("--config", story.host.configuration, "restore-node", *words, environment={**hook.environment(3), "CRASH_PAUSE": "1"})
    paused(process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signal.SIGINT and "stopped by SIGINT" in err
    assert hook.calls() == 3, "nothing is removed any more"
    assert story.host.journal()["old_data"] == ("removed" if end == "--no-stage" else "aside" if end == "--finish" else "in place")
    story.run(*words)
    if end == "--abort":
        story.is_as_before()
    else:
        assert files(story.host.content()) == story.backed_up and story.host.running and not story.host.journal()


def test_who_leads_hears_of_a_long_removal(story):
    """Else it would take a host that removes for minutes for one that hangs."""
    story.restore()
    many = story.host.old(story.host.data[0]) / "many"
    many.mkdir()
    for number in range(20000):
        (many / str(number)).touch()
    said = story.host.directory / "said"
    with open(said, "w") as err:
        process = story.repository.start("--config", story.host.configuration, "restore-node", "--finish", "--coordinated", stdin=subprocess.PIPE, stderr=err)
    assert '"step":"check"' in next(line for line in process.stdout if "ready" in line)
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write("finish\n")
        while process.poll() is None:
            process.stdin.write("wait\n")
            process.stdin.flush()
    assert process.wait(60) == DONE and '"finished"' in process.stdout.read()
    assert said.read_text().count('{"progress":{}}') > 5, "no more than one, for the word that let it begin, would be silence"
    assert not [place for place in story.host.places if (place / OWN).exists()]
