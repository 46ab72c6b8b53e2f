# SPDX-License-Identifier: Apache-2.0
"""A store that goes away in the middle of the work: for a while, and for ever."""

import errno
import mmap
import os
import threading
import time

import pytest

import harness
import trees
from harness import DONE, LONG, in_threads
from proxy import Proxy

OUTAGE_SECONDS = 30 if LONG else 12
LIMIT_SECONDS = 120  # docs/mount.md: no request waits longer
FILES, FILE_BYTES = 6, 4 * trees.MIB
HALF = FILES * FILE_BYTES // 2
# 32 repetitions at once and 10 a second (store/retry.h), and what was under way when it began.
MOST_CONNECTIONS = 32 + 10 * (OUTAGE_SECONDS + 5) + 32


class Site:
    """A repository with one backup, and any number of programs that reach it through proxies of their own."""

    def __init__(self, server, binary, directory):
        self.server, self.binary, self.directory = server, binary, directory
        self.bucket = server.make_bucket()
        self.node = trees.Node(directory / "node")
        for i in range(FILES):
            self.node.write(self.node.table("ks", "t"), "t1", f"nb-{i}-big-Data.db", self.node.bytes(FILE_BYTES + i), mtime_ns=10**18)
        self.expected = trees.describe_snapshot(self.node.data, "t1")

    def repository(self, name, proxy, prefix="p"):
        program = harness.Program(self.binary, self.directory / name)
        program.environment.update(self.server.environment(), SSTABLEFS_TEST=str(self.directory))
        endpoint = f"http://127.0.0.1:{proxy.port if proxy else self.server.ports[0]}"
        return program.repository(self.server.url(self.bucket, prefix, endpoint=endpoint))

    def proxy(self):
        return Proxy(self.server.ports[0])


@pytest.fixture
def site(binary, minio_server, tmp_path):
    made = Site(minio_server, binary, tmp_path)
    made.repository("direct", None).init().backup(made.node.data, "t1")
    yield made
    assert not harness.clean_up(tmp_path), "processes or mounts were left behind"


def outage(proxy, running):
    """From the moment when the proxy broke off: the store is away for a while, then back. `running` must not have ended by itself."""
    assert proxy.down.wait(60), "the outage did not begin"
    before = proxy.connections
    assert running.wait_for(OUTAGE_SECONDS) is None, f"ended while the store was away: {running}"
    connections = proxy.connections - before
    proxy.work()
    assert connections <= MOST_CONNECTIONS, f"{connections} connections in {OUTAGE_SECONDS} s to a store that is away"
    return connections


class Running:
    """A command that runs beside the test."""

    def __init__(self, function):
        self.result, self.failure = None, None
        self.thread = threading.Thread(target=self._call, args=(function,), daemon=True)
        self.thread.start()

    def _call(self, function):
        try:
            self.result = function()
        except BaseException as failure:  # given to whoever waits
            self.failure = failure

    def wait_for(self, seconds):
        """None while it runs; then what it gave."""
        self.thread.join(seconds)
        if self.thread.is_alive():
            return None
        if self.failure:
            raise self.failure
        return self.result


def copy_from_a_mount(site, kind):
    with site.proxy() as proxy:
        repository = site.repository(f"cp-{kind}", proxy)
        with repository.mount("refresh=1") as mount:
            out = repository.program.directory / "out"
            assert len(list(trees.files_below(mount.data("t1")))) == FILES
            proxy.after(HALF, getattr(proxy, kind))
            copy = Running(lambda: harness.run("cp", "-a", mount.data("t1"), out, timeout=LIMIT_SECONDS))
            assert proxy.down.wait(60)
            begun = time.monotonic()
            assert len(list(trees.files_below(mount.data("t1")))) == FILES, "what is known is shown while the store is away"
            assert time.monotonic() - begun < OUTAGE_SECONDS
            outage(proxy, copy)
            assert copy.wait_for(LIMIT_SECONDS) is not None, "cp -a did not go on"
            assert trees.describe_tree(out) == site.expected


def restore(site, kind):
    with site.proxy() as proxy:
        repository = site.repository(f"restore-{kind}", proxy)
        proxy.after(HALF, getattr(proxy, kind))
        out = repository.program.directory / "out"
        running = Running(lambda: repository("restore", "t1", out, code=None))
        outage(proxy, running)
        answer = running.wait_for(LIMIT_SECONDS)
        assert answer.code == DONE, answer
        assert trees.describe_tree(out) == site.expected


def backup(site, kind):
    with site.proxy() as proxy:
        site.repository(f"init-{kind}", None, f"backup-{kind}").init()
        repository = site.repository(f"backup-{kind}", proxy, f"backup-{kind}")
        proxy.after(HALF, getattr(proxy, kind))
        running = Running(lambda: repository(*repository.backup_arguments(site.node.data, "t1"), code=None))
        outage(proxy, running)
        answer = running.wait_for(LIMIT_SECONDS)
        assert answer.code == DONE, answer
        out = repository.program.directory / "out"
        repository("restore", "t1", out)
        assert trees.describe_tree(out) == site.expected


def read_once(path):
    """One request: with a buffered read the kernel asks a second time for what its read-ahead did not get."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        os.preadv(fd, [mmap.mmap(-1, 1 << 20)], 0)
    finally:
        os.close(fd)


def gone_for_ever(site, kind):
    """EIO in time; the mount lives on, shows what it has, says why in its log, and works again when the store does."""
    with site.proxy() as proxy:
        repository = site.repository(f"gone-{kind}", proxy)
        with repository.mount("refresh=1") as mount:
            paths = sorted(mount.data("t1") / path for path in trees.files_below(mount.data("t1")))
            first = paths[0].read_bytes()
            getattr(proxy, kind)()
            begun = time.monotonic()
            with pytest.raises(OSError) as caught:
                read_once(paths[-1])
            assert caught.value.errno == errno.EIO
            assert time.monotonic() - begun < LIMIT_SECONDS + 5
            assert paths[0].read_bytes() == first, "what was read stays readable"
            assert os.stat(paths[1]).st_size == FILE_BYTES + 1
            assert "/objects/" in mount.log() and "read" in mount.log(), mount.log()
            proxy.work()
            assert trees.describe_tree(mount.data("t1")) == site.expected


def test_an_outage_is_survived_and_a_lasting_one_ends_in_time(site, record_property):
    """All at once, because all of it is waiting. A silent store costs the limit for a stall at each attempt: that one is long."""
    began = time.monotonic()
    jobs = [(what, kind) for what in (copy_from_a_mount, restore, backup) for kind in ("fail", "hang")]
    jobs += [(gone_for_ever, kind) for kind in (("fail", "hang") if LONG else ("fail",))]
    in_threads([lambda what=what, kind=kind: what(site, kind) for what, kind in jobs])
    record_property("ran", f"faults: outages of {OUTAGE_SECONDS} s, refusing and silent, in cp -a, restore and backup; "
                           f"and for ever in a mount: {time.monotonic() - began:.0f} s")
