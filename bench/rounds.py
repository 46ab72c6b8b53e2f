# SPDX-License-Identifier: Apache-2.0
"""What is run and timed, step by step: backups, raw GETs, copies from mounts, restores."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import measure
from node import Node

CLUSTER = "bench"
CONNECTIONS = 16
WIDE_CACHES = ("memory=64M", "cache_size=128M")
ROOM_BYTES = 40 * 10**9


class Bench:
    def __init__(self, binary, work, server, report, cold):
        self.binary, self.work, self.server, self.report, self.cold = binary, work, server, report, cold
        self.round, self.verified = 0, set()
        self.nodes = {}  # name: Node
        self.server_pid = measure.children_of(server.guard.pid)[0]
        self.caches = self.targets = 0
        configuration = work / "sstablefs.conf"
        configuration.touch(mode=0o600)
        self.environment = {"SSTABLEFS_CONFIG": str(configuration), "HOME": str(work), **server.environment()}

    # One measured command.

    def measure(self, row, command, mount=None):
        """Runs and times a command for a row; its output, or None where it failed."""
        others = {"server": self.server_pid} | ({"mount": mount} if mount else {})
        if not self.cold or not measure.drop_caches():
            self.report.caches_dropped = False
        try:
            sample, out = measure.run(command, self.environment, others, self.server.requests)
        except measure.Failed as failure:
            self.report.failures[row] = str(failure)
            print(f"{row}: {failure}", file=sys.stderr)
            return None
        self.report.add(row, self.round, sample)
        print(f"  {row}: {sample.seconds:.2f} s", file=sys.stderr, flush=True)
        return out

    def fresh_cache(self):
        self.caches += 1
        self.environment["SSTABLEFS_CACHE_DIR"] = str(self.work / f"cache{self.caches}")

    def target(self):
        """A fresh directory to copy into."""
        self.targets += 1
        path = self.work / f"copy{self.targets}"
        path.mkdir()
        return path

    def discard(self, target):
        if shutil.disk_usage(self.work).free < ROOM_BYTES:
            shutil.rmtree(target)

    def program(self, *arguments):
        return [self.binary, "-r", self.url, "--json", *arguments]

    def call(self, *arguments):
        done = subprocess.run(self.program(*arguments), env={**os.environ, **self.environment}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise measure.Failed(f"sstablefs {arguments[0]} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        return done.stdout

    # Repositories.

    @contextlib.contextmanager
    def bucket(self):
        name = self.server.make_bucket()
        self.bucket_name, self.url = name, self.server.url(name, "r")
        self.fresh_cache()
        try:
            self.call("init")
            yield
        finally:
            client = self.server.client()
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
                keys = [{"Key": o["Key"]} for o in page.get("Contents", [])]
                if keys:
                    client.delete_objects(Bucket=name, Delete={"Objects": keys, "Quiet": True})
            client.delete_bucket(Bucket=name)

    def objects(self, node):
        """The data objects of a node: {key: size}."""
        found = {}
        for page in self.server.client().get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket_name, Prefix=f"r/nodes/{CLUSTER}/{node}/objects/"):
            found |= {o["Key"]: o["Size"] for o in page.get("Contents", [])}
        return found

    def backup(self, row, node, tag, name, *options):
        out = self.measure(row, self.program("backup", "--cluster", CLUSTER, "--node", node, "--data-dir",
                                             self.nodes[node].data, "--snapshot", tag, "--name", name, *options))
        return json.loads(out) if out else None

    # The raw limit.

    def raw(self):
        """The node's objects, fetched by clients that know nothing of what is in them."""
        objects = self.objects("n1")
        urls = {key: self.server.client().generate_presigned_url("get_object", {"Bucket": self.bucket_name, "Key": key})
                for key in objects}
        for row, target in (("curl_null", None), ("curl", self.target())):
            lines = []
            for i, url in enumerate(urls.values()):
                lines.append(f'url = "{url}"\noutput = "{target / str(i) if target else "/dev/null"}"\n')
            (self.work / "curl.conf").write_text("".join(lines))
            self.measure(row, ["curl", "-q", "-s", "-f", "-Z", "--parallel-max", CONNECTIONS, "-K", self.work / "curl.conf"])
            if target:
                self.finish_raw(row, target, objects)
        target = self.target()
        self.measure("s5cmd", ["s5cmd", "--endpoint-url", self.server.endpoint, "--log", "error", "--numworkers", CONNECTIONS,
                               "cp", f"s3://{self.bucket_name}/r/nodes/{CLUSTER}/n1/objects/*", f"{target}/"])
        self.finish_raw("s5cmd", target, objects)

    def finish_raw(self, row, target, objects):
        """Checks what came and keeps the faster client's run as this round's limit."""
        sample = self.report.samples[row].get(self.round)
        got = sum(p.stat().st_size for p in target.rglob("*") if p.is_file())
        if sample and got != sum(objects.values()):
            raise measure.Failed(f"{row} fetched {got} bytes of {sum(objects.values())}")
        if sample:
            started = time.perf_counter()
            subprocess.run(["sync", "-f", target], check=True)
            flushed = time.perf_counter() - started
            best = self.report.samples["raw"].get(self.round)
            if not best or sample.seconds < best.seconds:
                self.report.add("raw", self.round, sample)
                self.report.add("raw_synced", self.round, measure.Sample(**{**vars(sample), "seconds": sample.seconds + flushed}))
        self.discard(target)

    # Reading back.

    @contextlib.contextmanager
    def mount(self, *options):
        """A fresh mount with an empty cache: its path and its process."""
        self.fresh_cache()
        where = self.work / "mnt"
        where.mkdir(exist_ok=True)
        self.call("mount", str(where), "-o", ",".join([f"log={self.work / 'mount.log'}", *options]))
        try:
            status = dict(line.split(": ", 1) for line in (where / ".sstablefs/status").read_text().splitlines())
            yield where, int(status["pid"])
        finally:
            subprocess.run([self.binary, "umount", where], check=True, env={**os.environ, **self.environment}, timeout=60)

    def copy(self, row, node, source):
        target = self.target()
        if self.measure(row, ["cp", "-a", source, target / "data"]) is not None:
            self.verify(row, node, target / "data")
        self.discard(target)

    def copy_from_mount(self, row, node, how, *options):
        """By cp -a or tar, and how much the mount read for it."""
        target = self.target()
        with self.mount(*options) as (where, pid):
            data = where / CLUSTER / "nodes" / node / "day0/data"
            command = ["cp", "-a", data, target / "data"] if how == "cp" else [
                "bash", "-c", 'set -o pipefail; tar -C "$0" -cf - data | tar -C "$1" -xpf -', data.parent, target]
            if self.measure(row, command, pid) is not None:
                self.verify(row, node, target / "data")
                metrics = dict(line.rsplit(" ", 1) for line in (where / ".sstablefs/metrics").read_text().splitlines())
                size = sum(size for _, size in self.nodes[node].files_of("day0").values())
                self.report.fetched[row].append([int(metrics[name]) / size for name in (
                    'sstablefs_store_bytes_total{direction="in"}', "sstablefs_cache_disk_read_bytes")])
        self.discard(target)

    def restore(self, row, node):
        self.fresh_cache()
        target = self.target()
        out = self.measure(row, self.program("restore", "day0", "--cluster", CLUSTER, "--node", node, target))
        if out is not None:
            self.verify(row, node, target)
        self.discard(target)

    def verify(self, row, node, top):
        """All bytes the first time, then names and sizes."""
        expected = self.nodes[node].files_of("day0")
        found = {os.path.relpath(p, top): p for p in top.rglob("*") if p.is_file()}
        if found.keys() != expected.keys():
            raise measure.Failed(f"{row}: {len(found.keys() ^ expected.keys())} files are missing or too many")
        whole = row not in self.verified
        self.verified.add(row)
        for name, (path, size) in expected.items():
            if found[name].stat().st_size != size or whole and found[name].read_bytes() != Path(path).read_bytes():
                raise measure.Failed(f"{row}: {name} differs")

    # A round.

    def run_round(self, number, fast):
        self.round = number
        node = self.nodes["n1"]
        names = self.work / "names"
        names.write_text("\0".join(path for path, _ in node.files_of("day0").values()))
        self.measure("read", ["xargs", "-0", "-a", names, "-P", "2", "-n", "200", "sh", "-c", 'exec cat "$@" >/dev/null', "sh"])
        if fast:
            with self.bucket():
                self.backup("backup_fast", "n1", "day0", "day0", "--jobs", "2", "--connections", str(CONNECTIONS))
        with self.bucket():
            done = self.backup("backup", "n1", "day0", "day0")
            if not done:
                return
            self.report.facts["The node"] = {"files": done["files"], "bytes": done["total_bytes"]}
            self.backup("again", "n1", "day0", "again")
            self.raw()
            self.read_back()
            self.small()
            if "wide" in self.nodes:
                self.wide()
            self.backup("next_day", "n1", "day1", "day1")

    def read_back(self):
        self.copy_from_mount("cp", "n1", "cp")
        self.copy_from_mount("tar", "n1", "tar")
        with self.mount() as (where, pid):
            self.measure("walk", ["sh", "-c", 'find "$0" -type f -print0 | xargs -0 -P 4 -n 200 cat >/dev/null',
                                  where / CLUSTER / "nodes/n1/day0/data"], pid)
        self.restore("restore", "n1")
        self.copy("local_cp", "n1", self.lay_out("n1"))

    def small(self):
        self.copy("small_local_cp", "small", self.lay_out("small"))
        if self.backup("small_backup", "small", "day0", "day0"):
            self.copy_from_mount("small_cp", "small", "cp")
            self.restore("small_restore", "small")

    def wide(self):
        """One directory of more than the mount may keep, as a leveled table of a real node is."""
        self.copy("wide_local_cp", "wide", self.lay_out("wide"))
        self.call("backup", "--cluster", CLUSTER, "--node", "wide", "--data-dir", self.nodes["wide"].data,
                  "--snapshot", "day0", "--name", "day0")
        for how in ("cp", "tar"):
            self.copy_from_mount(f"wide_{how}", "wide", how, *WIDE_CACHES)

    def lay_out(self, node):
        """A directory with a snapshot's files, as links, in the shape that the mount gives them."""
        top = self.work / f"{node}-laid-out"
        for below, (path, _) in self.nodes[node].files_of("day0").items() if not top.exists() else ():
            target = top / below
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target)
        return top

    # Requests at a real node's count of files.

    def count_requests(self, files):
        top = self.work / "many"
        self.nodes["many"] = Node(str(top), Fraction(1, 10_000), files)
        self.nodes["many"].snapshot("day0")
        before = {}
        with self.bucket():
            before = self.server.requests()
            started = time.perf_counter()
            done = json.loads(self.call("backup", "--cluster", CLUSTER, "--node", "many", "--data-dir",
                                        self.nodes["many"].data, "--snapshot", "day0", "--name", "day0"))
            seconds = time.perf_counter() - started
            counted = {k: n - before.get(k, 0) for k, n in self.server.requests().items() if n > before.get(k, 0)}
        self.report.facts[f"Requests of a first backup of {done['files']} files, by the server's counters"] = {
            "bytes": done["total_bytes"], "seconds": round(seconds, 1), "requests": sum(counted.values()),
            "of each kind": counted, "per 1,000 files": round(sum(counted.values()) * 1000 / done["files"], 2)}
        shutil.rmtree(top)
