# SPDX-License-Identifier: Apache-2.0
"""Machines whose clocks are hours off, or jump while they work, on a real server: nothing is lost, and nothing is taken for dead.

Each command gets a wall clock of its own (clock.c); MinIO has the right one.
"""

import os
import random
import re
import struct
import time

import pytest

from front import Front
from harness import DONE, FOUND, in_threads, is_sentence, wait_until
from trees import MIB, Node, describe_snapshot, describe_tree

HOUR = 3600
SEED = os.environ.get("SSTABLEFS_SEED", "1")


class Machine:
    def __init__(self, program, name, offset_s):
        library = program.binary.parent.parent / "tests/system/crash/libcrash_clock.so"
        assert library.exists(), f"{library} is missing: the tests of this build were not built"
        self.file = program.directory / f"{name}.clock"
        self.set(offset_s)
        self.environment = {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(self.file), "SSTABLEFS_CACHE_DIR": str(program.directory / f"{name}.cache")}

    def set(self, offset_s):
        if not self.file.exists():
            self.file.write_bytes(bytes(8))
        with open(self.file, "r+b") as f:  # in place: it is mapped
            f.write(struct.pack("=q", offset_s))


@pytest.fixture
def front(minio_server):
    with Front(minio_server.ports[0]) as front:
        yield front


@pytest.fixture
def store(program, minio_server, front):
    program.environment.update(minio_server.environment())
    return program.repository(minio_server.url(minio_server.make_bucket(), "p", endpoint=front.endpoint)).init()


def test_the_clock_of_a_command_is_what_the_test_says(program):
    """The name of a backup is the time of its machine: this is what the rest of these tests rests on."""
    repository, node = program.repository().init(), Node(program.directory / "node").fill_small("t1")
    for offset, year in ((0, None), (-30 * 366 * 24 * HOUR, r"199\d"), (30 * 366 * 24 * HOUR, r"205\d")):
        words = repository.backup_arguments(node.data, "t1", "x")
        at = words.index("--name")
        answer = repository("--json", *words[:at], *words[at + 2:], environment=Machine(program, "m", offset).environment)
        assert re.match(year or r"20[234]\d", answer.json["name"])


def next_second_of_the_store():
    """Its Date has whole seconds; of two backups of one second the order is that of their writers, so of the clocks that are off."""
    now = int(time.time())
    wait_until(lambda: int(time.time()) > now, 60, "the next second")


@pytest.mark.parametrize("writer, collector", [(-5 * HOUR, 7 * HOUR), (7 * HOUR, -5 * HOUR), (30 * 24 * HOUR, 0), (0, 30 * 24 * HOUR)])
def test_clocks_that_are_off_lose_nothing(program, store, front, writer, collector):
    chance = random.Random(f"{SEED} {writer} {collector}")
    node, at_work = Node(program.directory / "node"), Machine(program, "writer", writer)
    others = [Machine(program, f"c{i}", collector * sign) for i, sign in enumerate((1, -1))]
    table, jumps, calm, since = node.table("ks", "t"), [0], [0], [0]

    def jump(request):
        """Now and then the writer's clock is set; not again while a request that was refused for it is made a second time. Those of the collectors come between."""
        calm[0] += 1
        if request.method == "PUT" and calm[0] > 12 and time.monotonic() > since[0] + 1 and chance.random() < 0.2:
            jumps[0] += 1
            calm[0], since[0] = 0, time.monotonic()
            at_work.set(writer + chance.randrange(-10 * HOUR, 10 * HOUR))

    front.rules.append(jump)
    for i in range(6):
        node.write(table, "t0", f"nb-{i}-big-Data.db", node.bytes(MIB + i))
    store.backup(node.data, "t0", "b0", environment=at_work.environment)
    for number in range(1, 3):
        node.keep(table, f"t{number - 1}", f"t{number}")
        node.path(table, f"t{number}", f"nb-{number}-big-Data.db").unlink()
        node.write(table, f"t{number}", f"nb-{number + 10}-big-Data.db", node.bytes(MIB + number))
        next_second_of_the_store()
        in_threads([lambda: store.backup(node.data, f"t{number}", f"b{number}", environment=at_work.environment),
                    *(lambda m=m: store("gc", environment=m.environment, code=None) for m in others)])
        assert store("delete", f"b{number - 1}", environment=others[0].environment).code == DONE
    for machine in others:
        assert store("gc", environment=machine.environment, code=None).code in (DONE, FOUND)
    assert jumps[0] > 0, f"SSTABLEFS_SEED={SEED}"
    names = [b["name"] for b in store.json("list", environment=others[1].environment)["backups"] if b["complete"]]
    assert names == ["b2"], "the newest by the store's time"
    out = program.directory / "out"
    store("restore", "b2", out, environment=others[0].environment)
    assert describe_tree(out) == describe_snapshot(node.data, "t2")
    assert store.json("verify", environment=others[1].environment)["damaged"] == []


@pytest.mark.parametrize("kind", ["directory", "minio"])
def test_a_clock_before_1970_loses_nothing(program, kind, request, tmp_path):
    repository = request.getfixturevalue("repository" if kind == "directory" else "minio")
    source = Node(program.directory / "early")
    table = source.table("ks", "t")
    for i in (1, 2, 3):
        source.write(table, f"b{i}", f"nb-{i}-big-Data.db", source.bytes(MIB + 5))
        source.write(table, f"b{i}", "nb-9-big-Data.db", b"the same" * 1000, mtime_ns=10**18)
        repository.backup(source.data, f"b{i}")
    early = {**repository.environment, **Machine(program, "early", -int(time.time()) - 240 * HOUR).environment}
    made = repository(*repository.backup_arguments(source.data, "b3", "early"), environment=early, code=None)
    assert made.code == DONE or is_sentence(made.err), made
    # A directory has no clock but this one: there it is what counts.
    assert made.code == DONE or kind == "minio"
    for words in (("delete", "b1"), ("gc",), ("gc", "--full"), ("purge", "--keep-last", "2", "--dry-run"), ("gc", "--fence-after", "1s")):
        answer = repository(*words, environment=early, code=None)
        assert answer.code in (DONE, FOUND) or is_sentence(answer.err), (words, answer)
    repository("gc", code=None)
    repository("verify")
    left = [b["name"] for b in repository.json("list")["backups"]]
    assert {"b2", "b3"} <= set(left)
    for name in left:
        repository("restore", name, tmp_path / name)
        assert describe_tree(tmp_path / name) == describe_snapshot(source.data, name.replace("early", "b3"))
