# SPDX-License-Identifier: Apache-2.0
"""Pins that a mount takes by itself while files are open, as others see them, and what readers see when a backup is deleted under them."""

import contextlib
import errno
import mmap
import os
import signal
import threading

import pytest

from front import Front, error
from harness import CLUSTER, NODE, is_alive, run, wait_until
from test_pin import pin_files, pins
from trees import describe_snapshot, describe_tree, reseal

DATA = "nb-1-big-Data.db"


@pytest.fixture
def stored(repository, small_node):
    repository.backup(small_node.data, "t1")
    return repository


def orders(mount, node, backup="t1"):
    return mount.data(backup) / node.table("shop", "orders")


def delete(repository, backup):
    """As another machine does: the record says DELETED from now on."""
    (record,) = (repository.path / f"nodes/{CLUSTER}/{NODE}/records/{backup}").iterdir()
    reseal(record, state="DELETED")


def collect_without_regard(repository, *backups):
    """What no collector does: the objects of these backups go, pinned or not."""
    for backup in backups:
        (record,) = (repository.path / f"nodes/{CLUSTER}/{NODE}/records/{backup}").iterdir()
        for kind in ("objects", "trees"):
            run("rm", "-rf", repository.path / f"nodes/{CLUSTER}/{NODE}/{kind}/{record.stem}")


def test_a_backup_is_pinned_while_files_of_it_are_open_and_not_by_a_look(stored, small_node):
    with stored.mount() as mount:
        run("ls", "-lR", mount.path)
        run("find", mount.path, "-type", "f")
        assert pin_files(stored) == []
        with open(orders(mount, small_node) / DATA, "rb") as first, open(orders(mount, small_node) / "nb-1-big-Index.db", "rb") as second:
            assert pins(stored) == [(CLUSTER, NODE, "t1", "mount")]
            assert mount.status()["pins"] == "1 held of 1 wanted"
            assert mount.status()[f"pinned {CLUSTER}/{NODE}/t1"].startswith("held, 2 files open, renewed ")
            first.read(), second.read()
        assert describe_tree(mount.data("t1")) == describe_snapshot(small_node.data, "t1")
        assert pins(stored) == [(CLUSTER, NODE, "t1", "mount")], "it stays for a while"
        assert "sstablefs_pins_held 1\n" in (mount.path / ".sstablefs/metrics").read_text()
    assert pin_files(stored) == []


def test_a_signal_takes_the_pins_along_and_a_kill_leaves_them(stored, small_node):
    mount = stored.mount()
    (orders(mount, small_node) / DATA).read_bytes()
    assert len(pin_files(stored)) == 1
    os.kill(mount.pid, signal.SIGTERM)
    wait_until(lambda: not is_alive(mount.pid), 60, "the end of the daemon")
    assert pin_files(stored) == []
    mount = stored.mount(where=mount.path)
    (orders(mount, small_node) / DATA).read_bytes()
    os.kill(mount.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(mount.pid), 60, "the end of the daemon")
    assert len(pin_files(stored)) == 1  # a collector ends it
    mount.unmount()


def test_a_mount_with_a_pin_takes_no_second_one_of_that_backup(stored, small_node):
    stored.backup(small_node.data, "t1", "t2")
    with stored.mount("pin=t1") as mount:
        assert describe_tree(mount.data("t1")) == describe_snapshot(small_node.data, "t1")
        assert pins(stored) == [(CLUSTER, NODE, "t1", "mount")]


def test_a_backup_that_was_deleted_cannot_be_opened_although_its_name_is_still_shown(stored, small_node):
    """refresh= has not passed: the pin finds out, and the kernel looks again."""
    with stored.mount("refresh=3600") as mount:
        path = orders(mount, small_node) / DATA
        assert path.stat().st_size == 300_000
        delete(stored, "t1")
        with pytest.raises(FileNotFoundError):
            path.open()
        assert pin_files(stored) == [] and not (mount.node() / "t1").exists()
        assert os.listdir(mount.node()) in (["objects"], ["latest", "objects"])


def test_a_file_that_another_backup_has_too_is_opened_by_its_name_there(stored, small_node):
    stored.backup(small_node.data, "t1", "t2")
    with stored.mount("refresh=3600") as mount:
        expected = (small_node.path(small_node.table("shop", "orders"), "t1", DATA)).read_bytes()
        assert (orders(mount, small_node) / DATA).stat().st_ino == (orders(mount, small_node, "t2") / DATA).stat().st_ino
        delete(stored, "t2")
        assert (orders(mount, small_node) / DATA).read_bytes() == expected
        assert pins(stored) == [(CLUSTER, NODE, "t1", "mount")]


# ---- stores that do not let us ----

@pytest.fixture
def fronted(program, minio_server, small_node):
    """(front, repository behind it with the backup t1); rules can be added to the front."""
    program.environment.update(minio_server.environment())
    with Front(minio_server.ports[0]) as front:
        repository = program.repository(minio_server.url(minio_server.make_bucket(), "p", endpoint=front.endpoint)).init()
        repository.backup(small_node.data, "t1")
        front.requests.clear()
        yield front, repository


def of_pins(front):
    return [r.method for r in front.requests if "/pins/" in r.path or b"/pins/" in r.body]


def test_a_pin_is_written_before_the_record_is_read_again(fronted, small_node):
    front, repository = fronted
    with repository.mount() as mount:
        run("ls", "-lR", mount.path)
        front.requests.clear()
        assert describe_tree(mount.data("t1")) == describe_snapshot(small_node.data, "t1")
        paths = [r.path for r in front.requests]
        pin = next(i for i, r in enumerate(front.requests) if r.method == "PUT" and "/pins/" in r.path)
        record = next(i for i, path in enumerate(paths) if i > pin and "/records/" in path and "list-type" not in path)
        assert not any("/objects/" in path for path in paths[:record]), "nothing is read before the pin is valid"
    assert of_pins(front) == ["PUT", "POST"]


def test_credentials_that_only_read_are_said_once_and_reads_go_on(fronted, small_node):
    front, repository = fronted
    repository.backup(small_node.data, "t1", "t2")
    front.requests.clear()
    front.rules.append(lambda r: error(403, "AccessDenied") if r.method in ("PUT", "POST", "DELETE") else None)
    with repository.mount() as mount:
        for backup in ("t1", "t2"):
            assert describe_tree(mount.data(backup)) == describe_snapshot(small_node.data, "t1")
        assert of_pins(front) == ["PUT"]
        assert mount.log().count("this mount pins nothing that it reads") == 1
        assert mount.status()["pins"].startswith("none: the repository cannot be written")


def test_a_reader_without_a_pin_is_told_why_its_backup_is_gone(fronted, small_node):
    front, repository = fronted
    front.rules.append(lambda r: error(403, "AccessDenied") if r.method in ("PUT", "POST", "DELETE") else None)
    with repository.mount() as mount:
        run("ls", "-lR", mount.node())
        front.rules.append(lambda r: error(404, "NoSuchKey") if "/objects/" in r.path else None)
        with open(orders(mount, small_node) / DATA, "rb", buffering=0) as f, pytest.raises(OSError) as caught:
            f.read(1000)
        assert caught.value.errno == errno.EIO
        assert "if its backup was deleted and collected, that is why (this mount may not write" in mount.log()


def test_an_open_goes_on_when_the_store_does_not_answer_for_the_pin(fronted, small_node):
    front, repository = fronted
    go_on = threading.Event()

    def slow(answer):
        go_on.wait(60)
        return answer

    front.rules.append(lambda r: slow if r.method == "PUT" and "/pins/" in r.path else None)
    with repository.mount() as mount:
        assert describe_tree(mount.data("t1")) == describe_snapshot(small_node.data, "t1")
        assert not go_on.is_set() and mount.status()["pins"] == "0 held of 1 wanted"
        go_on.set()
        wait_until(lambda: mount.status()["pins"] == "1 held of 1 wanted", 60, "the pin, in the background")


def test_a_store_that_refuses_pins_is_read_without_them(fronted, small_node):
    front, repository = fronted
    front.rules.append(lambda r: error(507, "XMinioStorageFull") if r.method == "PUT" else None)
    with repository.mount() as mount:
        assert describe_tree(mount.data("t1")) == describe_snapshot(small_node.data, "t1")


# ---- what is open ----

def test_what_is_open_or_mapped_is_read_to_its_end_when_its_backup_is_deleted(stored, small_node):
    source = small_node.path(small_node.table("shop", "orders"), "t1", DATA)
    with stored.mount("refresh=1") as mount, contextlib.ExitStack() as stack:
        path = orders(mount, small_node) / DATA
        file = stack.enter_context(open(path, "rb", buffering=0))
        mapped = stack.enter_context(open(path, "rb"))
        pages = stack.enter_context(mmap.mmap(mapped.fileno(), 0, access=mmap.ACCESS_READ))
        delete(stored, "t1")
        wait_until(lambda: not (mount.node() / "t1").exists(), 60, "the end of the name")
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert file.read() == source.read_bytes() and pages[:] == source.read_bytes()
        assert pins(stored) == [(CLUSTER, NODE, "t1", "mount")]
        assert os.fstat(file.fileno()).st_nlink == 0


def test_bytes_are_right_or_an_error_when_pin_and_objects_are_taken_away(stored, small_node):
    with stored.mount("refresh=1") as mount, open(orders(mount, small_node) / DATA, "rb", buffering=0) as f:
        for pin in pin_files(stored):
            pin.unlink()
        delete(stored, "t1")
        collect_without_regard(stored, "t1")
        wait_until(lambda: not (mount.node() / "t1").exists(), 60, "the end of the name")
        with contextlib.suppress(OSError):  # what is cached is right, the rest an error
            data = f.read()
            assert data == small_node.path(small_node.table("shop", "orders"), "t1", DATA).read_bytes()[:len(data)]
