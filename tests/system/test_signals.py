# SPDX-License-Identifier: Apache-2.0
"""A backup or restore that is stopped half-way: nothing visible is left, and the next run works."""

import os
import signal
import threading
import time

import pytest

from harness import ABSENT, CLUSTER, DONE, FAILED, NODE, is_sentence, wait_until
from proxy import Proxy
from trees import MIB, Node, describe_snapshot, describe_tree, files_below

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
SLOW = ["--limit-rate", "2M", "--connections", "1"]
END_SECONDS = 10


@pytest.fixture
def node(tmp_path):
    """Enough for some seconds at 1 MiB/s: many small files and a few large ones."""
    node = Node(tmp_path / "node")
    for i in range(600):
        node.write(node.table("ks", "small"), "t1", f"nb-{i}-big-Index.db", node.bytes(6000 + i))
    for i in range(3):
        node.write(node.table("ks", "zlarge"), "t1", f"nb-{i}-big-Partitions.db", node.bytes(2 * MIB + i))
    return node


def objects(repository):
    top = repository.path / f"nodes/{CLUSTER}/{NODE}/objects"
    return list(files_below(top)) if top.exists() else []


def end(process, number, code):
    """Sends the signal; the process must end soon, saying so. Its standard error."""
    begun = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert time.monotonic() - begun < END_SECONDS
    return err


def started_backup(repository, node, name, **keywords):
    process = repository.start(*repository.backup_arguments(node.data, "t1", name), *SLOW, **keywords)
    wait_until(lambda: objects(repository) or process.poll() is not None, 30, "the first object")
    assert process.poll() is None
    return process


@pytest.mark.parametrize("number, code", SIGNALS)
def test_a_backup_that_is_stopped_does_not_exist(repository, node, number, code):
    err = end(started_backup(repository, node, "b"), number, code)
    assert "stopped by" in err and is_sentence(err)
    assert repository.json("list")["backups"] == []
    repository("restore", "b", repository.path.with_name("out"), code=ABSENT)
    with repository.mount() as mount:
        assert os.listdir(mount.path / CLUSTER / "backups/b") == [], "its record is known by name, and no node finished it"
    assert repository.json(*repository.backup_arguments(node.data, "t1", "b"))["state"] == "committed", "the name is free again"
    with repository.mount() as mount:
        assert describe_tree(mount.data("b")) == describe_snapshot(node.data, "t1")


def test_a_backup_that_is_killed_is_not_taken_for_one(repository, node, tmp_path):
    process = started_backup(repository, node, "b")
    process.kill()
    process.communicate()
    (backup,) = repository.json("list")["backups"]
    assert not backup["complete"] and backup["nodes_finished"] == 0
    assert "incomplete" in repository("list").out
    repository("restore", "b", tmp_path / "out", code=ABSENT)
    assert not (tmp_path / "out").exists()
    repository.backup(node.data, "t1", "next")
    with repository.mount() as mount:
        assert "b" not in os.listdir(mount.node()) and os.readlink(mount.node() / "latest") == "next"
        assert describe_tree(mount.data("next")) == describe_snapshot(node.data, "t1")
    assert repository.json("verify", "next")["damaged"] == []


@pytest.fixture
def hanging(program, minio_server):
    """(an empty repository behind a proxy, the proxy, which hangs)"""
    program.environment.update(minio_server.environment())
    with Proxy(minio_server.ports[0]) as proxy:
        url = minio_server.url(minio_server.make_bucket(), endpoint=f"http://127.0.0.1:{proxy.port}")
        repository = program.repository(url).init()
        proxy.hang()
        yield repository, proxy


def test_a_backup_whose_store_hangs_can_be_stopped(hanging, small_node):
    repository, proxy = hanging
    seen = proxy.connections
    process = repository.start(*repository.backup_arguments(small_node.data, "t1", "b"))
    wait_until(lambda: proxy.connections > seen, 60, "a request")
    end(process, signal.SIGTERM, 143)
    proxy.work()
    assert repository.json("list")["backups"] == []


def check_no_half_files(out, node):
    """What lies under its final name is whole."""
    expected = describe_snapshot(node.data, "t1")
    found = {path: d for path, d in describe_tree(out).items() if not path.startswith(".sstablefs-restore/")}
    assert found.items() <= expected.items()
    return found


def started_restore(repository, out):
    process = repository.start("restore", "t1", out, *SLOW)

    def published():
        try:
            found = list(files_below(out)) if out.exists() else ()
        except FileNotFoundError:  # the staging directory lives while we look
            return process.poll() is not None
        return process.poll() is not None or any(not p.startswith(".sstablefs-restore") for p in found)

    wait_until(published, 60, "the first files")
    assert process.poll() is None, "it ended too early"
    return process


@pytest.mark.parametrize("number, code", [*SIGNALS, (signal.SIGKILL, -signal.SIGKILL)])
def test_a_restore_that_is_stopped_leaves_no_half_file_and_goes_on(repository, node, tmp_path, number, code):
    repository.backup(node.data, "t1")
    out = tmp_path / "out"
    end(started_restore(repository, out), number, code)
    if number != signal.SIGKILL:
        assert not (out / ".sstablefs-restore").exists()
    kept = check_no_half_files(out, node)
    assert 0 < len(kept) < 603
    result = repository.json("restore", "t1", out)
    assert describe_tree(out) == describe_snapshot(node.data, "t1")
    assert result["files_kept"] >= len(kept) and result["files_kept"] + result["files_written"] == 603


def test_two_restores_into_one_directory_are_refused(repository, node, tmp_path):
    repository.backup(node.data, "t1")
    process = started_restore(repository, tmp_path / "out")
    answer = repository("restore", "t1", tmp_path / "out", code=FAILED)
    assert is_sentence(answer.err)
    assert process.communicate(timeout=60) and process.returncode == DONE
    assert describe_tree(tmp_path / "out") == describe_snapshot(node.data, "t1")


def changed_between_scan_and_read(hanging, node, change):
    """Backs up; the first request comes between the two, and hangs until the change is made. (exit code, standard error)"""
    repository, proxy = hanging
    seen = proxy.connections
    process = repository.start(*repository.backup_arguments(node.data, "t1", "b"))
    wait_until(lambda: proxy.connections > seen, 60, "a request")
    change(node.path(node.table("shop", "orders"), "t1", "nb-1-big-Index.db"))
    proxy.work()
    _, err = process.communicate(timeout=60)
    return process.returncode, err


CHANGES = {
    "grows": lambda p: p.write_bytes(b"rewritten" * 200_000), "is cut": lambda p: os.truncate(p, 100),
    "is emptied": lambda p: os.truncate(p, 0), "is overwritten": lambda p: p.write_bytes(bytes(p.stat().st_size)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_file_that_changed_since_the_scan_is_taken_as_it_is_now(hanging, small_node, change):
    assert changed_between_scan_and_read(hanging, small_node, change) == (DONE, "")
    with hanging[0].mount() as mount:
        assert describe_tree(mount.data("b")) == describe_snapshot(small_node.data, "t1")


def test_a_file_that_vanishes_under_a_backup_is_named(hanging, small_node):
    code, err = changed_between_scan_and_read(hanging, small_node, os.unlink)
    assert code == FAILED and is_sentence(err) and "nb-1-big-Index.db" in err and "vanished" in err
    assert hanging[0].json("list")["backups"] == []


def test_a_file_that_never_keeps_still_is_no_mixture(repository, small_node):
    victim = small_node.path(small_node.table("shop", "orders"), "t1", "nb-1-big-Index.db")
    os.truncate(victim, 24 * MIB)  # takes so long to read that it must change meanwhile
    enough = threading.Event()

    def change():
        number = 10**18
        while not enough.is_set():
            number += 1
            os.utime(victim, ns=(number, number))

    thread = threading.Thread(target=change)
    thread.start()
    try:
        answer = repository.backup(small_node.data, "t1", "b", code=FAILED)
    finally:
        enough.set()
        thread.join()
    assert victim.name in answer.err and "again and again" in answer.err
    assert repository.json("list")["backups"] == []
    repository.backup(small_node.data, "t1", "b")


def test_progress_is_shown_where_it_is_asked_for(repository, node):
    answer = repository("--progress=always", *repository.backup_arguments(node.data, "t1", "b"), *SLOW)
    assert "MiB" in answer.err and "/s" in answer.err
    assert repository(*repository.backup_arguments(node.data, "t1", "quiet")).err == ""
