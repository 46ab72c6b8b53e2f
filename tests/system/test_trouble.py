# SPDX-License-Identifier: Apache-2.0
"""A mount whose store hangs or is gone: readers can be killed at once, and names do not wait. Outages: faults/test_outage.py."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from harness import END_SECONDS, FAILED, STORE, in_threads, is_alive, is_mounted, wait_until
from proxy import Proxy
from trees import MIB, Node, files_below

LIMIT_SECONDS = 120  # docs/mount.md: no request waits longer
KILL_SECONDS = 1.0


@pytest.fixture
def proxied(program, minio_server, tmp_path):
    """(repository on MinIO behind a proxy, the proxy, the node that was backed up)"""
    program.environment.update(minio_server.environment())
    node = Node(tmp_path / "node")
    for i in range(4):
        node.write(node.table("ks", "t"), "t1", f"nb-{i}-big-Data.db", node.bytes(6 * MIB + i))
    with Proxy(minio_server.ports[0]) as proxy:
        url = minio_server.url(minio_server.make_bucket(), "p", endpoint=f"http://127.0.0.1:{proxy.port}")
        repository = program.repository(url).init()
        repository.backup(node.data, "t1")
        yield repository, proxy, node
        proxy.fail()


def file(mount, number):
    return next(mount.data("t1") / path for path in files_below(mount.data("t1")) if f"nb-{number}-" in path)


def original(node, number):
    return node.path(node.table("ks", "t"), "t1", f"nb-{number}-big-Data.db").read_bytes()


@contextlib.contextmanager
def reading(mount, command, trace):
    """A process whose read has reached the mount and gets no answer. (Its open may have waited for a pin before.)"""
    def reads():
        return sum(line.startswith("read ") for line in trace.read_text().splitlines())

    before = reads()  # of .sstablefs/status
    process = subprocess.Popen([str(word) for word in command], env=mount.repository.program.environment,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: reads() > before, 60, "a READ")
        assert is_alive(process.pid)
        yield process
    finally:
        process.kill()
        process.wait()


READERS = {
    "buffered": lambda path: ["cat", path],
    "direct": lambda path: ["dd", f"if={path}", "iflag=direct", "bs=1M", "of=/dev/null"],
    "mapped": lambda path: [sys.executable, "-c", "import mmap, sys; f = open(sys.argv[1], 'rb'); m = mmap.mmap(f.fileno(), 0, prot=1); sum(map(ord, m))", path],
}


@pytest.mark.parametrize("kind", READERS)
def test_a_fatal_signal_ends_a_reader_at_once_while_the_store_hangs(proxied, tmp_path, kind):
    repository, proxy, node = proxied
    trace = tmp_path / "trace"
    with repository.mount(f"trace={trace}") as mount:
        path = file(mount, 0)
        proxy.hang()
        with reading(mount, READERS[kind](path), trace) as process:
            time.sleep(0.3)  # so that it waits in the kernel, not on its way there
            begun = time.monotonic()
            process.kill()
            process.wait(timeout=LIMIT_SECONDS)
            assert time.monotonic() - begun < KILL_SECONDS
        proxy.work()
        assert path.read_bytes() == original(node, 0)


def test_an_interrupted_direct_read_is_answered_at_once(proxied, tmp_path):
    """With O_DIRECT the kernel passes the signal on as INTERRUPT: the answer is EINTR, and the handler runs."""
    repository, proxy, _ = proxied
    trace = tmp_path / "trace"
    script = """
import mmap, os, signal, sys
def handler(*_): raise InterruptedError
signal.signal(signal.SIGUSR1, handler)
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT)
try:
    os.preadv(fd, [mmap.mmap(-1, 1 << 20)], 0)
except InterruptedError:
    sys.exit(42)
"""
    with repository.mount(f"trace={trace}") as mount:
        path = file(mount, 1)
        proxy.hang()
        with reading(mount, [sys.executable, "-c", script, path], trace) as process:
            time.sleep(0.3)
            begun = time.monotonic()
            process.send_signal(signal.SIGUSR1)
            assert process.wait(timeout=LIMIT_SECONDS) == 42
            assert time.monotonic() - begun < KILL_SECONDS
        proxy.work()


def test_names_that_are_known_do_not_wait_for_a_store_that_hangs(proxied):
    repository, proxy, _ = proxied
    with repository.mount("refresh=1") as mount:
        path = file(mount, 0)
        proxy.hang()
        time.sleep(1.1)  # so that the next look would ask the store
        begun = time.monotonic()
        assert sorted(os.listdir(mount.node())) == ["latest", "objects", "t1"] and os.stat(path).st_size == 6 * MIB
        assert time.monotonic() - begun < 6, "two looks of at most 2 s, and some time for a busy machine"
        proxy.work()


@pytest.mark.parametrize("how", ["lazy", "force", "sigterm"])
def test_a_mount_whose_store_hangs_can_be_ended(proxied, tmp_path, how):
    repository, proxy, _ = proxied
    trace = tmp_path / "trace"
    mount = repository.mount(f"trace={trace}")
    path = file(mount, 0)
    proxy.hang()
    with reading(mount, ["cat", path], trace) as process:
        if how == "sigterm":
            os.kill(mount.pid, signal.SIGTERM)
        else:
            mount.unmount(f"--{how}")
        if how == "lazy":
            process.kill()
        process.wait(timeout=END_SECONDS)
        wait_until(lambda: not is_alive(mount.pid) and not is_mounted(mount.path), END_SECONDS, "the end of the daemon")


def test_an_idle_mount_asks_the_store_for_nothing(proxied, minio_server):
    repository, proxy, _ = proxied
    with repository.mount("refresh=1") as mount:
        file(mount, 0).read_bytes()
        before = minio_server.requests()
        time.sleep(2.5)
        assert minio_server.requests() == before


def test_a_mount_asks_for_nothing_of_another_node(minio, minio_server, small_node):
    for name in ("n1", "n2"):
        minio.backup(small_node.data, "t1", node=name)
    with minio.mount() as mount:
        os.listdir(mount.path / "c1/nodes")
        before = minio_server.requests()
        for path in files_below(mount.node("n1")):
            (mount.node("n1") / path).read_bytes()
        one = {name: count - before.get(name, 0) for name, count in minio_server.requests().items()}
        assert [key for key in mount.status() if key.startswith("node ")] == ["node c1/n1"]
        assert one.get("GetObject", 0) < 12


def test_commands_end_with_5_when_the_store_goes_away(proxied, tmp_path):
    repository, proxy, node = proxied
    proxy.fail()
    commands = (["list"], ["restore", "t1", tmp_path / "out"], ["verify"], repository.backup_arguments(node.data, "t1", "t2"))
    for answer in in_threads([lambda c=c: repository(*c, code=None) for c in commands]):
        assert answer.code == STORE, answer
    proxy.work()
    assert [b["name"] for b in repository.json("list")["backups"]] == ["t1"]
    repository("restore", "t1", tmp_path / "out")


def test_umount_says_what_helps_where_a_mount_does_not_answer(repository, program):
    with repository.mount() as mount:
        user = subprocess.Popen(["sleep", "600"], cwd=mount.path)
        os.kill(mount.pid, signal.SIGSTOP)
        try:
            told = mount.unmount(code=FAILED, timeout=60).err
            assert f"{user.pid} (sleep)" in told and "does not answer" in told and "--force" in told
            mount.unmount("--lazy", "--force", timeout=60)
            assert not is_mounted(mount.path)
        finally:
            user.kill()
            user.wait()
            os.kill(mount.pid, signal.SIGCONT)
    wait_until(lambda: not is_alive(mount.pid), END_SECONDS, "the end of the daemon")


def test_a_stopped_daemon_stops_no_other_command(repository, program):
    """Its mount keeps whoever looks at it in the kernel, also when killed."""
    with repository.mount() as mount:
        os.kill(mount.pid, signal.SIGSTOP)
        try:
            repository("doctor", code=None, timeout=60)
            other = program.repository().init()
            with other.mount(where=program.directory / "other"):
                pass
        finally:
            os.kill(mount.pid, signal.SIGCONT)
