# SPDX-License-Identifier: Apache-2.0
"""A daemon that was killed: its mount point is told from a live one, explained by whatever touches it, and in nobody's way."""

import os
import signal
import time

import pytest

from harness import FAILED, FOUND, USAGE, is_alive, is_mounted, is_sentence, run, wait_until
from trees import describe_snapshot, describe_tree


@pytest.fixture
def repository(program, template):
    return template.copy_to(program)


def kill(mount):
    os.kill(mount.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(mount.pid), 60, "the end of the daemon")
    assert is_mounted(mount.path)
    return mount


def check(mount, originals):
    with mount:
        assert describe_tree(mount.data("t1")) == describe_snapshot(originals.node.data, "t1")


@pytest.fixture
def stale(repository):
    mount = kill(repository.mount())
    yield mount
    if is_mounted(mount.path):
        mount.unmount()


def test_umount_and_a_new_mount_work_at_once(repository, originals):
    for _ in range(2):
        mount = kill(repository.mount(where=repository.program.directory / "mnt"))
        mount.unmount()
        assert not is_mounted(mount.path)
    check(repository.mount(where=mount.path), originals)


def test_mounting_again_clears_it_and_says_so(repository, stale, originals):
    check(repository.mount(where=stale.path), originals)
    assert "was a stale mount" in stale.log()
    assert not is_mounted(stale.path)


def test_it_is_told_also_where_the_ends_of_children_are_ignored(repository, stale):
    """Whoever starts us may ignore SIGCHLD, and we would inherit that."""
    repository("mount", "-o", f"cache_dir={repository.program.cache}", stale.path, prefix=("env", "--ignore-signal=CHLD"))
    assert os.path.exists(stale.node())
    stale.unmount()


def test_mounting_in_the_foreground_clears_it_too(repository, stale):
    process = repository.start("mount", "-f", stale.path)
    wait_until(lambda: os.path.exists(stale.node()), 60, "the mount")
    stale.unmount()
    assert "was a stale mount" in process.communicate(timeout=20)[1]
    assert not is_mounted(stale.path)


def test_several_on_top_of_each_other_are_cleared(repository, stale, originals):
    run("mount", "--bind", stale.path.parent / "cache", stale.path)
    again = kill(repository.mount(where=stale.path))
    run("umount", again.path)
    run("umount", again.path)
    with repository.mount(where=stale.path) as mount:
        assert mount.pid != stale.pid
    assert not is_mounted(stale.path)


@pytest.mark.parametrize("name", ["./mnt1", "mnt1/", "link"])
def test_other_names_of_the_mount_point_lead_to_it(repository, stale, program, name):
    (program.directory / "link").symlink_to("mnt1")
    program("umount", name)
    kill(repository.mount(where=stale.path))
    repository("mount", name)
    assert os.path.exists(stale.node())
    program("umount", name)
    assert not is_mounted(stale.path)


def test_the_helper_of_mount_clears_it(repository, stale, program):
    """In a name space of its own, where the helper lies in /sbin."""
    sbin = os.path.realpath("/sbin")
    script = f"""set -e
mount -t overlay overlay -o lowerdir={program.binary.parent}:{sbin} {sbin}
mount -t fuse.sstablefs '{repository.url}' '{stale.path}' -o 'cache_dir={program.cache}'
cat {stale.path}/.sstablefs/status
grep SigIgn /proc/$(sed -n 's/^pid: //p' {stale.path}/.sstablefs/status)/status
umount {stale.path}
"""
    out = run("unshare", "-m", "sh", "-ec", script, env=program.environment)
    assert f"mountpoint: {stale.path}" in out
    ignored = int(out.rsplit("SigIgn:", 1)[1].split()[0], 16)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        assert ignored >> number - 1 & 1, f"a write may end this daemon by {number.name}"


def test_whatever_touches_it_explains_it(repository, stale, originals, program, tmp_path):
    tmp_path.joinpath("conf").touch()
    calls = {
        "restore into it": ["restore", "t1", stale.path], "restore below it": ["restore", "t1", stale.path / "below"],
        "backup from it": repository.backup_arguments(stale.path, "t1", "b"),
        "backup from below it": repository.backup_arguments(stale.path / "data", "t1", "b"),
        "log": ["mount", tmp_path, "-o", f"log={stale.path}/log"], "mount below it": ["mount", stale.path / "below"],
        "id": ["id", stale.path / "file"],
    }
    for what, arguments in calls.items():
        answer = repository(*arguments, code=None)
        assert answer.code in (FAILED, USAGE), (what, answer)
        assert "umount" in answer.err and is_sentence(answer.err), (what, answer.err)
    for command in (["init"], ["list"]):
        answer = program("-r", stale.path, *command, code=None)
        assert answer.code != 0 and "umount" in answer.err, answer.err
    answer = repository("doctor", code=FOUND)
    assert f"{stale.path} is a stale mount" in answer.out and f"sstablefs umount {stale.path}" in answer.out
    stale.unmount()
    assert "stale" not in repository("doctor", code=None).out


def test_what_doctor_says_of_it_is_a_line_whatever_its_name_is(repository):
    """Whoever may mount chooses the name: it does not rule the terminal of who asks."""
    mount = kill(repository.mount(where=repository.program.directory / "mnt\x1b[2J"))
    try:
        answer = repository("doctor", code=FOUND)
    finally:
        mount.unmount()
    assert "mnt?[2J is a stale mount" in answer.out and "\x1b" not in answer.out


def test_a_cache_directory_on_it_is_done_without(repository, stale, originals, program):
    check(repository.mount(f"cache_dir={stale.path}/cache"), originals)


def test_a_mount_that_hangs_is_not_taken_for_one(repository):
    """Its daemon is stopped: mounting over it is refused, and does not hang itself."""
    with repository.mount() as mount:
        os.kill(mount.pid, signal.SIGSTOP)
        begun = time.monotonic()
        try:
            answer = repository("mount", mount.path, code=FAILED, timeout=60)
        finally:
            os.kill(mount.pid, signal.SIGCONT)
        assert "mounted already" in answer.err and time.monotonic() - begun < 30
        assert int(mount.status()["pid"]) == mount.pid
