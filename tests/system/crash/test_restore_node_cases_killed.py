# SPDX-License-Identifier: Apache-2.0
"""As test_restore_node_killed.py, for the other cases: another cluster's tokens with an edit of cassandra.yaml; no staging, where from some step on
there is no way back; tables for a node that runs."""

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
THIRD_ID = "5d1b2c3e-aaaa-4bbb-8ccc-0123456789ab"


def data_of(host):
    return {path: data for path, data in files(host.content()).items() if path.startswith("data") and "/system/local-" not in path}


class Story:
    """A backup b of one host, and the host that is to be restored, which can be put back to what it is now."""

    def __init__(self, program, options, other):
        self.options = options
        source = Host(program).fill(200).start()
        self.repository = program.repository().init()
        self.repository("--config", source.configuration, "backup", "--name", "b")
        self.backed_up = data_of(source)
        self.host = source
        if other:
            source.kill()
            self.host = Host(program, "other", host_id=THIRD_ID).fill(200)
            self.host.node.update(cluster="Other", tokens=["1", "2"])
            self.host.save()
            self.host.configure(yaml=self.host.yaml, start_command=self.host.directory / "start",
                                stop_command=self.host.directory / "stop", node="n9")
            self.host.write_yaml(cluster_name="'Other'", num_tokens=16)
            self.host.start()
        self.host.spoil()
        self.spoilt, self.yaml = files(self.host.content()), self.host.yaml.read_text()
        self.hook = Hook(program, "nu", below=self.host.node_directory)
        self.copy = self.host.directory / "copy"
        shutil.copytree(self.host.node_directory, self.copy, symlinks=True)
        self.node = (self.host.state / "node.json").read_text()

    def run(self, *arguments, code=DONE, **environment):
        return self.repository("--config", self.host.configuration, "restore-node", *arguments, code=code, environment=environment)

    def restore(self, **keywords):
        return self.run("b", *self.options, "--yes", **keywords)

    def abort(self):
        if self.host.journal():
            self.run("--abort")
        self.is_as_before()

    def put_back(self):
        self.host.kill()
        shutil.rmtree(self.host.node_directory)
        shutil.copytree(self.copy, self.host.node_directory, symlinks=True)
        (self.host.state / "node.json").write_text(self.node)
        self.host.start()

    def nothing_is_left(self):
        """The very last call killed leaves an empty directory with the lock."""
        assert not [place for place in self.host.places if (place / OWN / "backups").exists()] and not self.host.journal()
        assert not list(self.host.yaml.parent.glob("*before*")) and not list(self.host.yaml.parent.glob(".*")) and not list(self.host.node_directory.rglob(".sstablefs-restore"))

    def is_as_before(self):
        assert files(self.host.content()) == self.spoilt and self.host.running
        assert self.host.yaml.read_text() == self.yaml
        self.nothing_is_left()

    def chosen(self, daily, name):
        self.restore(**self.hook.environment())
        total = self.hook.calls()
        return total, moments(random.Random(name), daily, 1000, total)


@pytest.fixture
def story(program):
    stories = []

    def story(*options, other=False):
        stories.append(Story(program, options, other))
        return stories[-1]
    yield story
    for one in stories:
        one.host.kill()


def test_another_clusters_tokens_killed_anywhere(story):
    story, kills = story("--remote", "--node", "n1", other=True), 0
    total, chosen = story.chosen(10, "remote")
    # The last calls are those about cassandra.yaml, the start and the check.
    chosen = sorted({*chosen, *range(max(1, total - 14), total + 1, 2)})
    story.run("--abort")
    story.is_as_before()
    for number, at in enumerate(chosen):
        kills += story.restore(code=None, **story.hook.environment(at)).code == KILLED
        texts = [path.read_text() for path in story.host.yaml.parent.iterdir()]
        assert story.yaml in texts, f"what cassandra.yaml was is lost at call {at}"
        if number % 3 == 1 and not story.host.running:
            story.host.start(check=False)  # a supervisor, or a reboot
        if number % 2:
            story.restore()
            assert data_of(story.host) == story.backed_up and story.host.running
            assert "initial_token: -42,7" in story.host.yaml.read_text()
        story.abort()
    assert kills >= len(chosen) * 2 // 3


def test_an_abort_of_another_clusters_tokens_killed_anywhere(story):
    story, kills = story("--remote", "--node", "n1", other=True), 0
    story.restore()
    story.run("--abort", **story.hook.environment())
    story.is_as_before()
    for at in (chosen := moments(random.Random("abort remote"), 6, 1000, story.hook.calls())):
        story.restore()
        kills += story.run("--abort", code=None, **story.hook.environment(at)).code == KILLED
        story.abort()
    assert kills >= len(chosen) * 2 // 3


def test_without_staging_killed_anywhere_it_is_ended_or_given_up_but_never_lost(story):
    story, kills, back = story("--in-place", "--no-stage"), 0, 0
    _, chosen = story.chosen(10, "no-stage")
    story.put_back()
    for number, at in enumerate(chosen):
        kills += story.restore(code=None, **story.hook.environment(at)).code == KILLED
        journal = story.host.journal()
        removed = journal and journal["old_data"] == "removed"
        if journal and not removed:
            now = files(story.host.content())
            assert {path: now.get(path) for path in story.spoilt} == story.spoilt, f"data are lost at call {at}"
        if number % 3 == 1 and not story.host.running:
            story.host.start(check=False)  # a supervisor, or a reboot
            assert not story.host.running or not removed or journal["step"] in ("start", "check"), "half a node started"
        if removed:
            assert "there is no way back" in story.run("--abort", code=FAILED).err
        if journal and not removed and number % 2:
            back += 1
            story.abort()
        elif journal:
            story.restore()
            assert data_of(story.host) == story.backed_up and story.host.running
        else:  # killed before it began, or after it ended
            assert files(story.host.content()) == story.spoilt or data_of(story.host) == story.backed_up
        story.nothing_is_left()
        story.put_back()
    assert kills >= len(chosen) * 2 // 3
    print(f"--no-stage: killed at {kills} moments, {back} went back")


def test_who_uses_the_data_before_they_are_removed_leaves_the_way_back_open(story):
    """The fourth time the journal is written the stop is done: then somebody is in a directory, as a backup of the files would be."""
    story = story("--in-place", "--no-stage")
    hook = Hook(story.repository.program, "n", below=story.host.data[0] / OWN / "journal.json")
    process = story.repository.start("--config", story.host.configuration, "restore-node", "b", *story.options, "--yes",
                                     environment={**hook.environment(4), "CRASH_PAUSE": "1"})
    stat = Path("/proc", str(process.pid), "stat")
    wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", 20, "the pause")
    user = subprocess.Popen(["sleep", "1000"], cwd=story.host.data[1])
    try:
        assert not story.host.running, "it is paused where the stop is done"
        process.send_signal(signal.SIGCONT)
        err = process.communicate(timeout=60)[1]
    finally:
        user.kill()
        user.wait()
        process.kill()
    assert process.returncode == FAILED and "still in use by" in err and "--abort" in err
    story.abort()


def test_tables_for_a_node_that_runs_killed_anywhere(story):
    story, kills = story("--only", "shop"), 0
    _, chosen = story.chosen(8, "only")
    story.put_back()
    wanted = {data for path, data in story.backed_up.items() if "/shop/" in path and path.endswith("Data.db")}
    for number, at in enumerate(chosen):
        kills += story.restore(code=None, **story.hook.environment(at)).code == KILLED
        assert story.host.running
        now = files(story.host.content())
        assert {path: now.get(path) for path in story.spoilt} == story.spoilt
        if number % 2 and story.host.journal():
            story.run("--abort")
        elif story.host.journal():
            story.restore()
            assert wanted <= set(files(story.host.content()).values())
        story.nothing_is_left()
        story.put_back()
    assert kills >= len(chosen) * 2 // 3
