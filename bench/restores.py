# SPDX-License-Identifier: Apache-2.0
"""What it takes to make a node again what it was, by Medusa's `restore-node --in-place` and by sstablefs's: the whole time, how long no CQL is answered, requests, memory, disk.

Each tool backs the node up once, into a bucket of its own. In each round the node is spoilt (a table truncated, a row written that the backup does not have) and restored by each tool in
turn, from an empty page cache; in the first round every row is then compared. Both stop and start it by the same commands, of which the second one returns when the node answers CQL;
the node's own stop and start are taken from these commands, whether it answers from its port, ten times a second. Medusa stages on the disk of the data, where it moves by renaming.
"""

import contextlib
import json
import os
import shutil
import socket
import sys
import threading
import time
from pathlib import Path
from statistics import median

import measure
import real
from real import LIMIT_SECONDS, MIB
from supervisor import Supervisor
from world import remove_bucket

GOAL_REST, GOAL_DOWN_SECONDS, GOAL_REQUESTS = 5, 2, 0.1
ASK_SECONDS, LOOK_SECONDS = 0.1, 1
OPTIONS_FRAME, SUPPORTED = bytes([4, 0, 0, 0, 5, 0, 0, 0, 0]), 6  # of CQL's protocol: what a client asks first
SPOILT = -1  # a key of no row


def answers(address):
    """Whether the node answers CQL."""
    with contextlib.suppress(OSError), socket.create_connection((address, 9042), 5) as s:
        s.sendall(OPTIONS_FRAME)
        return s.recv(9)[4:5] == bytes([SUPPORTED])
    return False


def disk_used(directory):
    """Bytes on the disk, each inode once."""
    seen = {}
    for top, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                st = os.lstat(os.path.join(top, name))
                seen[st.st_ino] = st.st_blocks * 512
    return sum(seen.values())


class Watch:
    """While the block runs: when the node last began to answer, the most disk below some directories, the most memory of the process that the block starts, by itself."""

    def __init__(self, address, *directories):
        self.address, self.directories = address, directories
        self.known = set(measure.children_of(os.getpid()))
        self.disk_before = self.disk = self.used()
        self.memory, self.up, self.answered, self.over = 0, True, None, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def used(self):
        return sum(disk_used(directory) for directory in self.directories)

    def look(self):
        up = answers(self.address)
        if up and not self.up:
            self.answered = time.monotonic()
        self.up = up
        for pid in measure.children_of(os.getpid()):
            if pid not in self.known:
                self.memory = max(self.memory, measure.own_memory_of(pid))

    def run(self):
        due = time.monotonic()
        while not self.over.wait(ASK_SECONDS):
            self.look()
            if time.monotonic() >= due:
                self.disk = max(self.disk, self.used())
                due = time.monotonic() + LOOK_SECONDS

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.over.set()
        self.thread.join()


def parts(sample, events, watch, begun):
    """Of one restore, in seconds: what the node's stop and start took, what all else before, between and after them, and how long it did not answer. events: the supervisor's."""
    (_, stop, stopped), (_, start, _) = events
    if watch.answered is None or watch.answered < start:
        raise measure.Failed("the node was not seen to come back")
    own = stopped - stop + watch.answered - start
    down = watch.answered - stop
    return {"down": down, "own": own, "rest": sample.seconds - own, "gap": down - own, "before": stop - begun, "between": start - stopped,
            "after": begun + sample.seconds - watch.answered, "disk": watch.disk - watch.disk_before, "memory": watch.memory}


class Restores:
    own_snapshot = True

    def __init__(self, site, supervisor, restorers_of, tables, rows):
        self.site, self.supervisor, self.tables, self.rows = site, supervisor, tables, rows
        self.tools = restorers_of(self)
        self.samples, self.buckets, self.dropped = {name: [] for name in self.tools}, [], True

    def back_up(self):
        for name, tool in self.tools.items():
            directory, bucket = self.site.directory / f"restore-{name}", self.site.server.make_bucket()
            self.buckets.append(bucket)
            directory.mkdir()
            tool.prepare(directory, bucket)
            measure.run(tool.backup(), tool.environment, timeout=LIMIT_SECONDS)

    def spoil(self):
        node = self.site.node
        node.cql(f"TRUNCATE {self.tables[0]}")
        node.cql(f"INSERT INTO {self.tables[1]} (id, v) VALUES ({SPOILT}, 0x00)")
        node.nodetool("clearsnapshot", "--all")  # of the truncated table

    def check(self, number):
        node = self.site.node
        if number == 1:
            real.check_rows(node, self.tables, self.rows)
        elif not node.count(self.tables[0]) or node.cql(f"SELECT id FROM {self.tables[1]} WHERE id = {SPOILT}"):
            raise measure.Failed("the node is not what it was")

    def row(self, name, number):
        tool, site = self.tools[name], self.site
        self.spoil()
        self.dropped &= real.drop_caches(site.node)
        measure.run(tool.warm(), tool.environment)
        self.supervisor.events.clear()
        server = measure.children_of(site.server.guard.pid)[0]
        with Watch(site.node.address, site.node.home, site.directory / f"restore-{name}") as watch:
            begun = time.monotonic()
            sample, _ = measure.run(tool.restore(), tool.environment, {"server": server}, site.server.count_requests, LIMIT_SECONDS)
        sample.more = parts(sample, self.supervisor.events, watch, begun)
        self.check(number)
        if tool.finish():
            sample.more["finish"] = measure.run(tool.finish(), tool.environment)[0].seconds
        print(f"round {number}: restore by {name}: {sample.seconds:.1f} s, {json.dumps(sample.more)}, {json.dumps(sample.requests)}", file=sys.stderr, flush=True)
        self.samples[name].append(sample)

    def end(self):
        for name in self.tools:
            shutil.rmtree(self.site.directory / f"restore-{name}", ignore_errors=True)
        for bucket in self.buckets:
            remove_bucket(self.site.server, bucket)


def table(texts, samples, size):
    """texts, samples: {name: what it is}, {name: [Sample of each round]}, both with "medusa" and "fast". size: of the data, in bytes."""
    def middle(name, what):
        return median(what(sample) for sample in samples[name])

    def more(key):
        return lambda sample: sample.more[key]

    def requests(sample):
        return sum(sample.requests.values())

    lines = ["| restore of the node by | seconds | each round | no CQL for s | Cassandra's own stop and start | all else | before, between, after them | times Medusa's | no CQL beyond stop and start | requests | part of Medusa's | "
             "peak MiB (with what it starts) | extra disk MiB, times the data | other load |", "|---" * 14 + "|"]
    for name, found in samples.items():
        faster = "" if name == "medusa" else f"{middle('medusa', more('rest')) / middle(name, more('rest')):.1f}"
        part = "" if name == "medusa" else f"{middle(name, requests) / middle('medusa', requests):.3f}"
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(found[-1].requests.items(), key=lambda item: -item[1])[:3])
        disk = max(sample.more["disk"] for sample in found)
        seconds = [middle(name, more(key)) for key in ("down", "own", "rest", "gap")]
        around = ", ".join(f"{middle(name, more(key)):.1f}" for key in ("before", "between", "after"))
        lines.append(f"| {texts[name]} | {middle(name, lambda sample: sample.seconds):.1f} | {' / '.join(f'{sample.seconds:.1f}' for sample in found)} | {seconds[0]:.1f} | {seconds[1]:.1f} | "
                     f"{seconds[2]:.1f} | {around} | {faster} | {seconds[3]:.1f} | {middle(name, requests):.0f}: {kinds} | {part} | {max(map(more('memory'), found)) / MIB:.0f} "
                     f"({max(sample.memory for sample in found) / MIB:.0f}) | {disk / MIB:.0f}, {disk / size:.2f} | {' / '.join(f'{sample.foreign:.1f}' for sample in found)} |")
    rest, gap = middle("medusa", more("rest")) / middle("fast", more("rest")), middle("fast", more("gap"))
    part = middle("fast", requests) / middle("medusa", requests)
    return "\n".join(lines) + (
        f"\n\nGoals, {texts['fast']}: all but Cassandra's own stop and start at least {GOAL_REST} times as fast: {rest:.2f}, {'met' if rest >= GOAL_REST else 'not met'} in this run; "
        f"no CQL for at most {GOAL_DOWN_SECONDS} s beyond them: {gap:.2f}, {'met' if gap <= GOAL_DOWN_SECONDS else 'not met'}; "
        f"at most {GOAL_REQUESTS} of its requests: {part:.3f}, {'met' if part <= GOAL_REQUESTS else 'not met'}"
        f"\nsstablefs keeps the data of before; `restore-node --finish`, which removes them, took {middle('fast', more('finish')):.1f} s.")


def measured(site, restorers_of, tables, rows):
    """The table of all rounds."""
    with Supervisor([site.node]) as supervisor:
        restores = Restores(site, supervisor, restorers_of, tables, rows)
        try:
            restores.back_up()
            size = disk_used(Path(site.node.data_directories[0]))
            for number in range(1, site.arguments.rounds + 1):
                for name in restores.tools:
                    restores.row(name, number)
        finally:
            restores.end()
    texts = {name: tool.text.replace("`sstablefs backup`", "`sstablefs restore-node`") for name, tool in restores.tools.items()}
    return table(texts, restores.samples, size) + ("" if restores.dropped else "; the page cache could not be dropped")
