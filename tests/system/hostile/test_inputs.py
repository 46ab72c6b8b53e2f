# SPDX-License-Identifier: Apache-2.0
"""What comes from this host: files, directories, configurations and options of a kind that nobody meant."""

import os
import re
import socket
import threading

import pytest

from harness import ABSENT, DONE, FAILED, FOUND, USAGE, is_sentence, run
from trees import Node, describe_snapshot, describe_tree

SECONDS = 60


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as s:
        here = os.getcwd()
        os.chdir(path.parent)  # the path of a socket is short
        try:
            s.bind(path.name)
        finally:
            os.chdir(here)


KINDS = {"fifo": os.mkfifo, "socket": make_socket, "null": lambda p: os.mknod(p, 0o020600, os.makedev(1, 3)),
         "zero": lambda p: os.mknod(p, 0o020600, os.makedev(1, 5)), "directory": os.mkdir, "loop": lambda p: p.symlink_to(p.name)}


@pytest.mark.parametrize("kind", KINDS)
def test_id_reads_files_only(program, tmp_path, kind):
    KINDS[kind](tmp_path / kind)
    answer = program("id", tmp_path / kind, code=None, timeout=SECONDS)
    assert answer.code in (FAILED, USAGE, ABSENT) and is_sentence(answer.err), answer
    assert kind in answer.err


@pytest.mark.parametrize("kind", KINDS)
def test_a_configuration_is_a_file(program, tmp_path, kind):
    KINDS[kind](tmp_path / kind)
    answer = program("--config", tmp_path / kind, "-r", tmp_path, "list", code=None, timeout=SECONDS)
    # An empty configuration is one.
    assert answer.code == USAGE or (kind == "null" and answer.code == ABSENT), answer
    assert is_sentence(answer.err)


@pytest.mark.parametrize("content", [b"\0" * 100, bytes(range(256)) * 10, b"x" * 2_000_000, b"[mount]\n" + b"a" * 9000 + b"=1\n", b"[" * 1_000_000,
                                     b"[mount]\ncluster=\x1b[2J\n", b"\xef\xbb\xbf[nothing]\nurl = x\n", b"[repository]\nurl\n"])
def test_a_hostile_configuration_is_explained(program, tmp_path, content):
    path = tmp_path / "conf"
    path.write_bytes(content)
    path.chmod(0o600)
    (tmp_path / "mnt").mkdir()
    answer = program("--config", path, "-r", tmp_path, "mount", tmp_path / "mnt", code=USAGE, timeout=SECONDS)
    assert is_sentence(answer.err) and answer.err.rstrip("\n").isprintable(), repr(answer.err)


def test_what_is_no_file_is_left_out_of_a_backup(repository, program, tmp_path):
    node = Node(program.directory / "node").fill_small("t1")
    table = node.data / node.table("shop", "orders") / "snapshots/t1"
    good = describe_snapshot(node.data, "t1")
    for kind, make in KINDS.items():
        if kind != "directory":
            make(table / f"nb-9-big-{kind}")
    (table / "loop-to-the-top").symlink_to(node.data)
    (node.data / "loop").symlink_to(node.data)
    answer = repository("--json", *repository.backup_arguments(node.data, "t1"), code=None, timeout=SECONDS)
    assert answer.code in (DONE, FOUND), answer.err
    for kind in KINDS:
        assert kind == "directory" or f"nb-9-big-{kind}" in answer.err, (kind, answer.err)
    repository("restore", "t1", tmp_path / "out")
    assert describe_tree(tmp_path / "out") == good


def test_names_of_any_bytes_come_back(repository, program, tmp_path):
    node = Node(program.directory / "node").fill_small("t1")
    table = os.fsencode(node.data / node.table("shop", "orders") / "snapshots/t1")
    names = [b"new\nline", b"\x1b[2J", b"\xff\xfe", b"\xc3", b" ", b"-", b"--", b"a" * 255, b"\\", b"%n%s", b"..."]
    for name in names:
        with open(table + b"/" + name, "wb") as f:
            f.write(name)
    os.mkdir(table + b"/.ind\nex")
    with open(table + b"/.ind\nex/\xff", "wb") as f:
        f.write(b"inner")
    answer = repository("--json", *repository.backup_arguments(node.data, "t1"), timeout=SECONDS)
    assert answer.json["state"] == "committed"
    repository("restore", "t1", tmp_path / "out")
    assert describe_tree(tmp_path / "out") == describe_snapshot(node.data, "t1")
    with repository.mount() as mount:
        assert describe_tree(mount.data("t1")) == describe_snapshot(node.data, "t1")
    repository("verify")


def test_a_file_that_grows_for_ever_does_not_hold_up_a_backup(repository, program, tmp_path):
    node = Node(program.directory / "node").fill_small("t1")
    path = node.write(node.table("shop", "orders"), "t1", "nb-9-big-Data.db", b"x" * 4_000_000)
    stop = threading.Event()

    def grow():
        with open(path, "ab", buffering=0) as f:
            while not stop.is_set():
                f.write(b"y" * 65536)
                if f.tell() > 1 << 28:
                    f.truncate(1 << 20)

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        answer = repository("--json", *repository.backup_arguments(node.data, "t1"), code=None, timeout=SECONDS)
    finally:
        stop.set()
        thread.join()
    assert answer.code in (DONE, FAILED, FOUND), answer
    if answer.code == FAILED:
        assert "nb-9-big-Data.db" in answer.err
    else:
        repository("restore", "t1", tmp_path / "out", timeout=SECONDS)
        repository("verify")


def test_sparse_files_come_back(repository, program, tmp_path):
    node = Node(program.directory / "node").fill_small("t1")
    path = node.write(node.table("shop", "orders"), "t1", "nb-9-big-Data.db", b"begin")
    os.truncate(path, 64 << 20)
    repository.backup(node.data, "t1")
    repository("restore", "t1", tmp_path / "out")
    assert describe_tree(tmp_path / "out") == describe_snapshot(node.data, "t1")


@pytest.mark.parametrize("name", ["a,allow_other,uid=12345", "new\nline 0 0 etc fuse", "sp ace\ttab\\134back", "quo'te\"", "höhe", "a=b,fsname=root"])
def test_a_repository_of_any_name_adds_no_option(program, tmp_path, name):
    repository = program.repository(program.directory / name).init()
    node = Node(program.directory / "node").fill_small("t1")
    repository.backup(node.data, "t1")
    with repository.mount() as mount:
        line, = [line for line in open("/proc/self/mountinfo").read().splitlines() if line.split()[4] == str(mount.path)]
        options, source = line.split(" - ")[1].split()[2], line.split(" - ")[1].split()[1]
        assert "12345" not in options and "allow_other" not in options
        source = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), source)
        assert source == repository.url
        assert describe_tree(mount.data("t1")) == describe_snapshot(node.data, "t1")
    assert run("findmnt", "-n", mount.path, code=1) == ""
