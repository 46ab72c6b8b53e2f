# SPDX-License-Identifier: Apache-2.0
"""What is done to a repository while a request fails, and how it is judged.

A Master makes a repository with two backups once and remembers what lies in the bucket after each step. A Lane is a copy of it under a prefix
of its own, behind a fault proxy of its own, with a program that has a home of its own: lanes can be used at the same time.
"""

import os
import random
import shutil
import stat
import subprocess
import time

import harness
import trees
from faultproxy import FaultProxy
from harness import DONE, FAILED, STORE
from reader import ssfs_reader

OLD_NS = 10**18
NODE = (harness.CLUSTER, harness.NODE)


class BucketReader(ssfs_reader.Repository):
    """The independent reader of docs/format.md, on a bucket."""

    def __init__(self, lane):
        self.lane = lane
        super().__init__("")

    def file(self, key):
        return self.lane.get(key)

    def records(self):
        for key in self.lane.etags():
            if "/records/" in key:
                yield self.document(key, "backup")

    def describe(self, record):
        """As trees.describe_snapshot, of what lies under data/."""
        found = {}
        for path, attributes, file in self.files(record):
            path = os.fsdecode(path)
            if path.startswith("data/"):
                content = self.content(NODE, file)
                mode, uid, gid, _, mtime = attributes
                found[path.removeprefix("data/")] = (trees.hashlib.sha256(content).hexdigest(), len(content),
                                                     oct(stat.S_IFREG | mode & 0o7777), uid, gid, mtime)
        return found


def make_node(top):
    """A large file, files that are packed together, files that lie in the tree; t2 keeps most of t1 and adds an SSTable."""
    node = trees.Node(top)
    table = node.table("shop", "orders")

    def write(tag, name, content):
        node.write(table, tag, name, content, mtime_ns=OLD_NS + len(content))

    write("t1", "nb-1-big-Data.db", node.bytes(9 * trees.MIB + 300_000))
    write("t1", "nb-1-big-Index.db", node.text(500_000))
    write("t1", "nb-1-big-Statistics.db", node.bytes(5000))
    write("t1", "nb-1-big-TOC.txt", b"Data.db\nIndex.db\nStatistics.db\nTOC.txt\n")
    write("t1", ".an_index/nb-1-big-Data.db", node.bytes(3000))
    node.keep(table, "t1", "t2")
    write("t2", "nb-2-big-Data.db", node.bytes(2 * trees.MIB))
    write("t2", "nb-2-big-TOC.txt", b"Data.db\nTOC.txt\n")
    return node


class Bucket:
    """What lies below a prefix of a bucket, past the proxy and the program."""

    def __init__(self, server, bucket, prefix):
        self.client, self.bucket, self.prefix = server.client(), bucket, prefix

    def etags(self):
        """{key: ETag}"""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{self.prefix}/")
        return {item["Key"].removeprefix(f"{self.prefix}/"): item["ETag"] for page in pages for item in page.get("Contents", [])}

    def get(self, key):
        return self.client.get_object(Bucket=self.bucket, Key=f"{self.prefix}/{key}")["Body"].read()

    def put(self, key, body):
        self.client.put_object(Bucket=self.bucket, Key=f"{self.prefix}/{key}", Body=body)

    def make_hold(self, state):
        """Makes these keys, and no others, hold these bytes."""
        there = self.etags().keys()
        if extra := there - state.keys():
            self.client.delete_objects(Bucket=self.bucket, Delete={
                "Objects": [{"Key": f"{self.prefix}/{key}"} for key in extra], "Quiet": True})
        for key in state.keys() - there:
            self.put(key, state[key])


class Master(Bucket):
    def __init__(self, server, binary, directory):
        super().__init__(server, server.make_bucket(), "master")
        self.server, self.binary, self.directory = server, binary, directory
        self.node = make_node(directory / "node")
        program = self.program("master")
        repository = program.repository(server.url(self.bucket, self.prefix)).init()
        self.states, self.caches, self.known = {}, {}, {}
        self._remember("empty", program)
        for tag in ("t1", "t2"):
            repository.backup(self.node.data, tag)
            self._remember(tag, program)
        self.expected = {tag: trees.describe_snapshot(self.node.data, tag) for tag in ("t1", "t2")}
        self.answers = {command: repository("--json", *command.split()).out for command in ("list", "show t2")}
        self.lanes = []

    def program(self, name):
        program = harness.Program(self.binary, self.directory / name)
        # One mark for all, so that what is left behind can be found.
        program.environment.update(self.server.environment(), SSTABLEFS_TEST=str(self.directory))
        return program

    def _remember(self, name, program):
        known = {key: value for state in self.states.values() for key, value in state.items()}
        self.known.update(self.etags())
        self.states[name] = {key: known.get(key) or self.get(key) for key in self.etags()}
        self.caches[name] = self.directory / f"cache-{name}"
        if program.cache.exists():
            shutil.copytree(program.cache, self.caches[name])

    def lane(self, number):
        while len(self.lanes) <= number:
            lane = Lane(self, len(self.lanes))
            lane.proxy.__enter__()
            self.lanes.append(lane)
        return self.lanes[number]

    def close(self):
        for lane in self.lanes:
            lane.proxy.__exit__()


class Lane(Bucket):
    def __init__(self, master, number):
        super().__init__(master.server, master.bucket, f"lane{number}")
        self.master, self.server = master, master.server
        self.proxy = FaultProxy(master.server.ports[0], f"{self.bucket}/{self.prefix}")
        self.program = master.program(f"lane{number}")
        endpoint = f"http://127.0.0.1:{self.proxy.port}"
        self.repository = self.program.repository(master.server.url(self.bucket, self.prefix, endpoint=endpoint))

    def reset(self, state, without=""):
        """As it was after that step; local state too. Some keys may be left out."""
        self.make_hold({key: body for key, body in self.master.states[state].items() if not without or without not in key})
        shutil.rmtree(self.program.cache, ignore_errors=True)
        if self.master.caches[state].exists():
            shutil.copytree(self.master.caches[state], self.program.cache)

    def scratch(self):
        path = self.program.directory / "out"
        shutil.rmtree(path, ignore_errors=True)
        return path


# ---- scenarios: each prepares a lane, runs, and returns an Answer after checking what it says ----

class Scenario:
    state = "t2"
    looks_per_second = 0  # requests that belong to the time that a run takes, not to the fault
    own_puts = 0  # requests that the scenario itself makes past the proxy while it runs

    def prepare(self, lane):
        lane.reset(self.state)

    def run(self, lane):
        raise NotImplementedError

    def check(self, lane, answer):
        """What must hold after success."""


class Backup(Scenario):
    def __init__(self, tag, state):
        self.tag, self.state = tag, state

    def run(self, lane):
        arguments = lane.repository.backup_arguments(lane.master.node.data, self.tag)
        return lane.repository("--json", *arguments, code=None)

    def check(self, lane, answer):
        assert answer.json["state"] == "committed"
        assert any(r["backup"] == self.tag and r["state"] == "COMMITTED" for r in BucketReader(lane).records())


class Command(Scenario):
    def __init__(self, command):
        self.command = command

    def run(self, lane):
        return lane.repository("--json", *self.command.split(), code=None)

    def check(self, lane, answer):
        if self.command == "verify":
            assert answer.json["damaged"] == [] and answer.json["missing"] == [] and answer.json["bytes_checked"] > 0
        else:
            assert answer.out == lane.master.answers[self.command]


class Restore(Scenario):
    def run(self, lane):
        return lane.repository("restore", "t2", lane.scratch(), code=None)

    def check(self, lane, answer):
        assert trees.describe_tree(lane.program.directory / "out") == lane.master.expected["t2"]


class MountSession(Scenario):
    """mount, ls -lR, cp -a, a new backup appears, a second look, umount."""

    looks_per_second = 1  # refresh=1
    own_puts = 1

    def prepare(self, lane):
        lane.reset("t2", without="records/t2/")
        self.record = next(key for key in lane.master.states["t2"] if "records/t2/" in key)

    def run(self, lane):
        path = lane.program.directory / "mnt"
        path.mkdir(exist_ok=True)
        self.log(lane).unlink(missing_ok=True)
        mounted = lane.repository("mount", path, "-o", f"refresh=1,log={self.log(lane)}", code=None)
        if mounted.code:
            return mounted
        self._use(lane, path / harness.CLUSTER / "nodes" / harness.NODE)
        return lane.program("umount", path, code=None)

    @staticmethod
    def log(lane):
        return lane.program.directory / "mnt.log"

    def check(self, lane, answer):
        """The kernel reads again, page by page, what its read-ahead did not get: only the log knows of a read that failed."""
        failed = [line for line in self.log(lane).read_text().splitlines() if " error read " in line]
        assert not failed, failed

    def _use(self, lane, node):
        out, expected = lane.scratch(), lane.master.expected
        out.mkdir()
        harness.run("ls", "-lR", node)
        harness.run("cp", "-a", node / "t1/data", out)
        assert trees.describe_tree(out / "data") == expected["t1"]
        lane.put(self.record, lane.master.states["t2"][self.record])
        harness.wait_until(lambda: "t2" in os.listdir(node), 100, "the new backup to show")
        assert trees.describe_tree(node / "t2/data") == expected["t2"]


SCENARIOS = {
    "first backup": Backup("t1", "empty"),
    "second backup": Backup("t2", "t1"),
    "mount session": MountSession(),
    "restore": Restore(),
    "verify": Command("verify"),
    "list": Command("list"),
    "show": Command("show t2"),
}

EXTRA_REQUESTS = 8  # that one fault may cost


class Run:
    """A scenario with a fault in one request. Preparing, running and judging are apart, so that the requests of the middle can be counted."""

    def __init__(self, scenario, lane, slot=None, mode=None, seed=0):
        self.scenario, self.lane, self.slot, self.mode, self.seed = scenario, lane, slot, mode, seed

    def prepare(self):
        self.scenario.prepare(self.lane)
        self.lane.proxy.arm(*(self.slot or (None, 0)), self.mode, random.Random(f"{self.slot} {self.mode} {self.seed}"))

    def run(self):
        proxy = self.lane.proxy
        self.failure = None
        began = time.monotonic()
        try:
            self.answer = self.scenario.run(self.lane)
        except (AssertionError, OSError, subprocess.SubprocessError) as failure:
            self.failure = failure
        proxy.disarm()
        self.reached, self.kinds = proxy.hit, dict(proxy.seen)
        self.seen = sum(self.kinds.values())
        self.seconds = time.monotonic() - began

    def looks(self):
        return int(self.scenario.looks_per_second * self.seconds)

    def requests(self):
        """What the server must have counted by now: a request that nobody waits for any more may still be on its way."""
        return self.lane.proxy.forwarded + self.scenario.own_puts

    def judge(self):
        """The exit code. Raises AssertionError where it, the answer or what lies in the store is wrong."""
        if self.failure:
            raise AssertionError(f"{self.failure}") from self.failure
        answer = self.answer
        every_visible_backup_reads(self.lane, self.scenario.state)
        if answer.code == DONE:
            self.scenario.check(self.lane, answer)
        else:
            assert answer.code in (FAILED, STORE), answer
            assert '"error"' in answer.out or harness.is_sentence(answer.err), answer
        return answer.code


def every_visible_backup_reads(lane, state):
    """Every backup that says COMMITTED holds exactly what was backed up, as a reader sees it that is not ours."""
    there, known = lane.etags(), lane.master.known
    changed = [key for key in lane.master.states[state] if there.get(key, known[key]) != known[key]]
    assert not changed, f"what lay in the store was changed: {changed}"
    reader = BucketReader(lane)
    for key in there:
        if "/records/" in key and key not in known:
            record = reader.document(key, "backup")
            if record["state"] == "COMMITTED":
                assert reader.describe(record) == lane.master.expected[record["backup"]], record["backup"]
