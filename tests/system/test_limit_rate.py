# SPDX-License-Identifier: Apache-2.0
"""--limit-rate, by what goes over the wire: all bytes of all connections, both directions, headers and retries included."""

import shutil
import threading
import time

import pytest

from harness import LONG, NODE
from proxy import Proxy
from trees import MIB, Node

RATE = 8 * MIB if LONG else 4 * MIB
BYTES = (40 if LONG else 3) * RATE
TOLERANCE = 0.05
WINDOW = 5  # seconds, of which none may have much more than its share
BURST = 8 * MIB  # an object goes at the speed of the line


class Meter(Proxy):
    """Notes how many bytes had passed at which time."""

    def __init__(self, port):
        super().__init__(port)
        self.noted, self.total, self.counting = [], 0, threading.Lock()

    def _passes(self, count):
        with self.counting:
            self.total += count
            self.noted.append((time.monotonic(), self.total))

    def most_within(self, seconds):
        """The most bytes of any such time."""
        most = first = 0
        for last, (now, total) in enumerate(self.noted):
            while now - self.noted[first][0] > seconds:
                first += 1
            before = self.noted[first - 1][1] if first else 0
            most = max(most, total - before)
        return most


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """Large files, small files, and files of a few hundred bytes, each a third or less."""
    node = Node(tmp_path_factory.mktemp("limit"))
    for i in range(BYTES * 2 // 3 // (10 * MIB) or 1):
        node.write(node.table("ks", "large"), "t1", f"nb-{i}-big-Data.db", node.bytes(10 * MIB - i))
    for i in range(BYTES // 4 // 70_000):
        node.write(node.table("ks", "small"), "t1", f"nb-{i}-big-Index.db", node.bytes(70_000 + i))
    for i in range(300):
        node.write(node.table("ks", "tiny"), "t1", f"nb-{i}-big-Filter.db", node.bytes(200 + i % 400))
    yield node
    shutil.rmtree(node.top)


def through(meter, repository):
    return repository.program.repository(repository.url.replace(f":{meter.target}", f":{meter.port}"))


def backup(repository, node, tmp_path, *options):
    repository.backup(node.data, "t1", "b", *options, timeout=600)


def restore(repository, node, tmp_path, *options):
    repository("restore", "b", "--node", NODE, *options, tmp_path / "out", timeout=600)
    shutil.rmtree(tmp_path / "out")


@pytest.mark.parametrize("connections", [1, 4, 16] if LONG else [4])
def test_no_more_passes_than_the_limit_and_not_much_less(minio, minio_server, node, tmp_path, connections):
    for name, command in (("backup", backup), ("restore", restore)):
        with Meter(minio_server.ports[0]) as meter:
            begun = time.monotonic()
            command(through(meter, minio), node, tmp_path, "--limit-rate", str(RATE), "--connections", str(connections))
        seconds = meter.noted[-1][0] - begun  # what follows is the disk's, not the wire's
        rate = meter.total / seconds
        said = f"{name}: {meter.total / MIB:.1f} MiB in {seconds:.2f} s: {rate / RATE:.3f} of the limit; " \
               f"most within {WINDOW} s: {meter.most_within(WINDOW) / RATE / WINDOW:.2f} of it"
        print(said)
        assert meter.total > BYTES * 0.9
        # A slow machine only makes this smaller.
        assert rate <= RATE * (1 + TOLERANCE), said
        assert meter.most_within(WINDOW) <= RATE * (WINDOW + 1) * (1 + TOLERANCE) + BURST * connections, said
        if LONG:
            assert rate >= RATE * (1 - TOLERANCE), said
