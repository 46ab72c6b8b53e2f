# SPDX-License-Identifier: Apache-2.0
"""Pins as others see them: which are there while a mount or a restore reads, and that none is left."""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

import harness
from front import Front, error
from harness import ABSENT, CLUSTER, NODE, USAGE, is_alive, is_mounted, is_sentence, wait_until
from trees import describe_snapshot, describe_tree

READER = Path(__file__).parents[1] / "reader/ssfs_reader.py"


@pytest.fixture
def stored(repository, small_node):
    repository.backup(small_node.data, "t1")
    return repository


def pins(repository):
    """What a program that knows only docs/format.md sees: cluster, node, backup, purpose of each pin that is held."""
    lines = harness.run(sys.executable, READER, repository.url, "pins").splitlines()
    return [(*words[:3], words[5]) for words in (line.split() for line in lines)]


def pin_files(repository):
    return sorted(Path(repository.url).glob("nodes/*/*/pins/*"))


def test_a_mount_holds_its_pin_from_start_to_end(stored, small_node):
    with stored.mount("pin=t1") as mount:
        assert pins(stored) == [(CLUSTER, NODE, "t1", "mount")]
        assert mount.status()["pin"].startswith(f"{CLUSTER}/{NODE}/t1 held, renewed ")
        assert describe_tree(mount.data("t1")) == describe_snapshot(small_node.data, "t1")
    assert pin_files(stored) == []


def test_a_signal_takes_the_pin_along(stored):
    mount = stored.mount("pin=t1")
    os.kill(mount.pid, signal.SIGTERM)
    wait_until(lambda: not is_alive(mount.pid), 60, "the end of the daemon")
    assert pin_files(stored) == []


def test_a_mount_that_was_killed_leaves_its_pin_and_the_next_one_has_another(stored):
    mount = stored.mount("pin=t1")
    os.kill(mount.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(mount.pid), 60, "the end of the daemon")
    left = pin_files(stored)
    assert len(left) == 1
    with stored.mount("pin=t1", where=mount.path):
        assert len(pin_files(stored)) == 2
    assert pin_files(stored) == left  # a collector ends it


@pytest.mark.parametrize("looked", [True, False], ids=["seen before", "first seen deleted"])
def test_what_a_mount_pins_keeps_its_names_though_it_is_deleted_and_collected(stored, small_node, looked):
    """Who reads file after file, as sstableloader does, opens by name."""
    expected = describe_snapshot(small_node.data, "t1")
    stored.backup(small_node.data, "t1", name="t2")
    with stored.mount("pin=t1", "refresh=0") as mount:
        if looked:
            assert sorted(os.listdir(mount.node())) == ["latest", "objects", "t1", "t2"]
        stored("delete", "t1", "t2", "--force")
        assert stored.json("gc")["deleted_objects"] >= 0
        assert sorted(os.listdir(mount.node())) == ["objects", "t1"]
        assert describe_tree(mount.data("t1")) == expected
        assert os.listdir(mount.path / CLUSTER / "backups") == ["t1"]
        assert os.listdir(mount.path / CLUSTER / "backups" / "t1") == [NODE]
        again = stored.backup(small_node.data, "t1", name="t1")
        assert again["state"] == "committed"
        assert describe_tree(mount.data("t1")) == expected
    with stored.mount() as mount:
        assert sorted(os.listdir(mount.node())) == ["latest", "objects", "t1"]


def test_a_backup_that_does_not_exist_is_not_mounted(stored, program):
    where = program.directory / "mnt"
    where.mkdir()
    answer = stored("mount", where, "-o", "pin=t9", code=ABSENT)
    assert is_sentence(answer.err) and "t9" in answer.err
    assert not is_mounted(where) and pin_files(stored) == []


def test_a_pin_that_could_mean_two_nodes_asks_which(stored, small_node, program):
    stored.backup(small_node.data, "t1", node="n2")
    where = program.directory / "mnt"
    where.mkdir()
    answer = stored("mount", where, "-o", "pin=t1", code=USAGE)
    assert is_sentence(answer.err) and "n1" in answer.err and "n2" in answer.err
    with stored.mount("pin=t1", "node=n2", where=where):
        assert pins(stored) == [(CLUSTER, "n2", "t1", "mount")]


@pytest.fixture
def fronted(program, minio_server, small_node):
    """(front, repository behind it with the backup t1); rules can be added to the front."""
    program.environment.update(minio_server.environment())
    with Front(minio_server.ports[0]) as front:
        repository = program.repository(minio_server.url(minio_server.make_bucket(), "p", endpoint=front.endpoint)).init()
        repository.backup(small_node.data, "t1")
        front.requests.clear()
        yield front, repository


def requests_of_pins(front):
    return [r.method for r in front.requests if "/pins/" in r.path or b"/pins/" in r.body]


def test_credentials_that_only_read_do_without_a_pin(fronted, small_node, program):
    front, repository = fronted
    front.rules.append(lambda r: error(403, "AccessDenied") if r.method in ("PUT", "POST", "DELETE") else None)
    with repository.mount("pin=t1") as mount:
        assert mount.status()["pin"].endswith("no pin: the repository cannot be written")
        assert "is not pinned" in mount.log()
        assert describe_tree(mount.data("t1")) == describe_snapshot(small_node.data, "t1")
    answer = repository("restore", "t1", program.directory / "restored")
    assert "is not pinned while it is restored" in answer.err
    assert describe_tree(program.directory / "restored") == describe_snapshot(small_node.data, "t1")
    assert requests_of_pins(front) == ["PUT", "PUT"]


def test_credentials_that_do_not_delete_leave_an_ended_pin(fronted):
    front, repository = fronted
    front.rules.append(lambda r: error(403, "AccessDenied") if r.method in ("POST", "DELETE") else None)
    with repository.mount("pin=t1") as mount:
        assert " held, " in mount.status()["pin"]
    bodies = [r.body for r in front.requests if r.method == "PUT" and "/pins/" in r.path]
    assert len(bodies) == 2 and b'"HELD"' in bodies[0] and b'"ENDED"' in bodies[1]


def test_a_restore_holds_a_pin_and_leaves_none(fronted, small_node, program):
    front, repository = fronted
    repository("restore", "t1", program.directory / "restored")
    assert requests_of_pins(front) == ["PUT", "POST"]  # written, deleted
    paths = [r.path for r in front.requests]
    pin = next(i for i, path in enumerate(paths) if "/pins/" in path)
    record = next(i for i, path in enumerate(paths) if i > pin and "/records/" in path)
    assert record < next(i for i, path in enumerate(paths) if "/objects/" in path)
    assert describe_tree(program.directory / "restored") == describe_snapshot(small_node.data, "t1")


def test_a_restore_that_is_interrupted_leaves_no_pin(fronted, program):
    front, repository = fronted
    go_on = threading.Event()

    def slow(answer):
        go_on.wait(60)
        return answer

    front.rules.append(lambda r: slow if "/objects/" in r.path else None)
    process = repository.start("restore", "t1", program.directory / "restored")
    wait_until(lambda: any("/objects/" in r.path for r in front.requests), 60, "the first read")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    go_on.set()
    assert process.returncode == 143 and requests_of_pins(front) == ["PUT", "POST"]


def test_a_restore_goes_on_where_the_pin_cannot_be_written(fronted, small_node, program):
    front, repository = fronted
    front.rules.append(lambda r: error(507, "XMinioStorageFull") if r.method == "PUT" else None)
    answer = repository("restore", "t1", program.directory / "restored")
    assert "is not pinned while it is restored" in answer.err
    assert describe_tree(program.directory / "restored") == describe_snapshot(small_node.data, "t1")
