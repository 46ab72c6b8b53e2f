# SPDX-License-Identifier: Apache-2.0
"""Everything at once on a real MinIO: backups, collectors, deletes, purges, restores and mounts that read and compare, each killed now and then, behind a
proxy that breaks off or hangs. A model beside it knows what must exist.

0 lost: a backup whose command ended with 0, and that nobody began to remove, is listed, restored and verified. 0 wrong: whatever is read is what was backed up.
What was removed is not listed. At the end, when all is quiet, gc leaves exactly the objects that the backups reach, by a reader that knows nothing but docs/format.md.

It lasts as long as SSTABLEFS_TORTURE_SECONDS says (100 s; 30 minutes with SSTABLEFS_LONG=1). What is drawn comes from SSTABLEFS_SEED, which is printed; real processes make no
exact replay of it.
"""

import contextlib
import json
import os
import random
import shutil
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from harness import ABSENT, CLUSTER, DONE, FOUND, LONG, is_mounted
from model import COMMITTED, DELETED, MAYBE, RUNNING, Model
from proxy import Proxy
from reader import ssfs_reader
from trees import Node, describe, describe_snapshot, describe_tree

SECONDS = int(os.environ.get("SSTABLEFS_TORTURE_SECONDS") or (1800 if LONG else 100))
SEED = int(os.environ.get("SSTABLEFS_SEED") or random.SystemRandom().randrange(10**6))
NODES = ("n1", "n10")
WRITERS = 2  # of each node
COLLECTORS = 2
KEPT_BY_PURGE = 9
SURELY_KEPT = 3  # of these: others may be begun and committed while a purge begins
FENCE_SECONDS = 25  # of some collectors. Longer than a backup takes: it is renewed every two minutes only
COMMAND_SECONDS = 240
CONTENTS = 30


class Torture:
    def __init__(self, program, server, seconds):
        self.program = program
        self.model = Model()
        self.over = threading.Event()
        self.until = time.monotonic() + seconds
        self.failures, self.counts = [], Counter()
        self.proxy = Proxy(server.ports[0])
        self.server = server
        self.bucket = server.make_bucket()
        self.direct = program.repository(server.url(self.bucket, "t")).init()
        self.contents = [random.Random(SEED + i).randbytes(size) for i, size in enumerate([0, 100, 513, 20_000, 131_072, 1_100_000] * (CONTENTS // 6))]

    # ---- commands ----

    def command(self, chance, *words, kill=0.2, cache="cache", after=None):
        """(exit code, stdout, stderr); None as the code of one that was killed. after: seconds until it is, at most."""
        url = self.server.url(self.bucket, "t", endpoint=f"http://127.0.0.1:{self.proxy.port}")
        environment = {**self.program.environment, "SSTABLEFS_CACHE_DIR": str(self.program.directory / cache)}
        process = subprocess.Popen([str(w) for w in (self.program.binary, "-r", url, *words)], env=environment, cwd=self.program.directory,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        killed = chance.random() < kill
        try:
            out, err = process.communicate(timeout=min(10 ** chance.uniform(-2.5, 0.5), after or 9) if killed else COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            self.counts[f"{words[0] if words[0] != '--json' else words[1]} killed"] += 1
            return (None, "", "") if killed else self.fail(f"{words} did not end within {COMMAND_SECONDS} s")
        verb = words[1] if words[0] == "--json" else words[0]
        self.counts[f"{verb} {process.returncode}"] += 1
        if process.returncode not in range(6):
            self.fail(f"{words} ended with {process.returncode}: {err}")
        return process.returncode, out, err

    def fail(self, what):
        self.failures.append(what)
        self.over.set()
        raise AssertionError(what)

    def check(self, condition, what):
        return condition or self.fail(what)

    def goes_on(self):
        return not self.over.is_set() and time.monotonic() < self.until

    def run(self, *loops):
        def guarded(loop, chance):
            try:
                while self.goes_on():
                    loop(chance)
            except BaseException as failure:
                self.failures.append(failure)
                self.over.set()

        threads = [threading.Thread(target=guarded, args=(loop, random.Random(SEED * 100 + i)), daemon=True) for i, loop in enumerate(loops)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=SECONDS + 2 * COMMAND_SECONDS)
        if self.failures:
            raise self.failures[0] if isinstance(self.failures[0], BaseException) else AssertionError(self.failures[0])

    # ---- who takes part ----

    def writer(self, name, number):
        """Backs up a snapshot that changes a little each time. One that was killed is sometimes run again under its name."""
        node = Node(self.program.directory / f"{name}-{number}")
        state = {"round": 0}

        def snapshot(chance):
            tag, old = f"s{state['round']}", f"s{state['round'] - 1}"
            table = node.table("ks", f"t{number}")
            if state["round"]:
                node.keep(table, old, tag)
                shutil.rmtree(node.data / table / "snapshots" / old)
            for i in chance.sample(range(12), chance.randrange(1, 5)):
                file = f"nb-{i}-big-{chance.choice(('Data', 'Index', 'Statistics'))}.db"
                with contextlib.suppress(FileNotFoundError):
                    node.path(table, tag, file).unlink()
                node.write(table, tag, file, chance.choice(self.contents))
            state["round"] += 1
            return tag

        def loop(chance):
            tag = snapshot(chance)
            backup = self.model.begin(name, f"{number}-{state['round']}", describe_snapshot(node.data, tag))
            for _ in range(chance.randrange(1, 4)):
                self.model.started(backup)
                code, _, _ = self.command(chance, *self.direct.backup_arguments(node.data, tag, backup.name, node=name), kill=0.25, cache=f"cache-{name}")
                self.model.ended(backup, code in (DONE, FOUND))
                if code in (DONE, FOUND):
                    return

        return loop

    def collector(self, chance):
        node = ["--node", chance.choice(NODES)] if chance.random() < 0.5 else []
        full = ["--full"] if chance.random() < 0.3 else []
        fence = ["--fence-after", f"{FENCE_SECONDS}s"] if chance.random() < 0.7 else []
        code, out, _ = self.command(chance, "--json", "gc", "--cluster", CLUSTER, *node, *full, *fence, kill=0.3, cache=f"cache-gc{chance.randrange(2)}")
        if code in (DONE, FOUND):
            self.counts["objects condemned"] += json.loads(out)["condemned_objects"]
            self.counts["objects deleted"] += json.loads(out)["deleted_objects"]
        self.over.wait(chance.uniform(0, 0.5))

    @staticmethod
    def sometimes(chance):
        return [MAYBE] if chance.random() < 0.2 else []

    def deleter(self, chance):
        victims = self.model.of(COMMITTED, *self.sometimes(chance))
        if len(victims) < 8:
            self.over.wait(0.5)
            return
        backup = chance.choice(victims)
        with self.model.removal([backup]) as outcome:
            code, out, err = self.command(chance, "--json", "delete", backup.name, "--cluster", CLUSTER, "--node", backup.node, "--force", cache="cache-delete")
            if code == DONE:
                self.check(json.loads(out)["removed_backups"] == [backup.name], f"delete removed something else: {out} {err}")
                outcome.add(backup)
        self.over.wait(chance.uniform(0, 1))

    def purger(self, chance):
        name = chance.choice(NODES)
        protected = self.model.of(COMMITTED, node=name)[-SURELY_KEPT:]
        others = [b for b in self.model.of(COMMITTED, MAYBE, RUNNING, node=name) if b not in protected]
        with self.model.removal(others) as outcome:
            code, out, err = self.command(chance, "--json", "purge", "--keep-last", KEPT_BY_PURGE, "--cluster", CLUSTER, "--node", name, "--fence-after",
                                          f"{FENCE_SECONDS}s", cache="cache-purge")
            if code in (DONE, FOUND):
                removed = [self.model.find(name, n) for n in json.loads(out)["removed_backups"]]
                for backup in removed:
                    self.check(backup and backup not in protected, f"purge removed {backup} of {name}: {err}")
                # A record whose removal failed is named, and nobody knows.
                outcome.update(removed, ["known"] if "was not removed" not in err else [])
        self.over.wait(chance.uniform(1, 4))

    def lister(self, chance):
        """What must be there is listed, and what must not is not."""
        required, gone = self.model.of(COMMITTED), self.model.gone()
        code, out, _ = self.command(chance, "--json", "list", kill=0.05, cache="cache-list")
        if code == DONE:
            listed = {(n["node"], b["name"]) for b in json.loads(out)["backups"] for n in b["nodes"] if n["state"] == "committed"}
            for backup in set_of(required) & set_of(self.model.of(COMMITTED)):
                self.check(backup in listed, f"{backup} is lost")
            for node, backup, attempts in gone & self.model.gone():
                self.check((node, backup) not in listed, f"{backup} of {node} was removed and is listed, after {attempts} attempts to make it")
        self.over.wait(chance.uniform(0, 1))

    def restorer(self, chance):
        """A restore gives what was backed up, or says that it cannot."""
        backups = self.model.of(COMMITTED, *self.sometimes(chance))
        if not backups:
            self.over.wait(0.2)
            return
        backup, target = chance.choice(backups), self.program.directory / "restored"
        shutil.rmtree(target, ignore_errors=True)
        code, _, err = self.command(chance, "restore", backup.name, "--cluster", CLUSTER, "--node", backup.node, target, cache="cache-restore")
        if code == DONE:
            self.check(describe_tree(target) == backup.content, f"{backup.node} {backup.name} was restored otherwise than it was backed up")
        elif code == ABSENT:
            self.check(not self.model.is_required(backup), f"{backup.node} {backup.name} is lost: {err}")
        elif code is not None:
            self.check("damaged" not in err and "does not fit" not in err, f"{backup.node} {backup.name}: {err}")
            self.check("is missing" not in err or not self.model.is_required(backup), f"{backup.node} {backup.name} has lost an object: {err}")

    def mounter(self, chance):
        """Reads and compares files of some backups through a mount, which ends in one way or another."""
        where = self.program.directory / "mnt"
        where.mkdir(exist_ok=True)
        code, _, _ = self.command(chance, "mount", where, "-o", "refresh=1,cache_size=128M", kill=0.05, cache="cache-mount")
        if code == DONE:
            with contextlib.suppress(OSError):  # the daemon may be killed, or the store be gone
                pid = int(dict(line.split(": ", 1) for line in (where / ".sstablefs/status").read_text().splitlines())["pid"])
                end = time.monotonic() + chance.uniform(1, 8)
                while time.monotonic() < end and self.goes_on():
                    self.read_one(chance, where)
                if chance.random() < 0.4:
                    self.counts["mount killed"] += 1
                    os.kill(pid, 9)
        while is_mounted(where):
            subprocess.run([self.program.binary, "umount", chance.choice(("--force", "--lazy")), where], env=self.program.environment,
                           capture_output=True, timeout=COMMAND_SECONDS)

    def read_one(self, chance, where):
        backups = self.model.of(COMMITTED, *self.sometimes(chance))
        if not backups:
            self.over.wait(0.1)
            return
        backup = chance.choice(backups)
        top = where / CLUSTER / "nodes" / backup.node / backup.name / "data"
        for path in chance.sample(sorted(backup.content), min(4, len(backup.content))):
            try:
                found = describe(top / path)
            except OSError as failure:
                self.counts[f"read {failure.errno}"] += 1
                continue
            self.counts["read"] += 1
            self.check(found == backup.content[path], f"{top / path} is read as {found}, and was backed up as {backup.content[path]}")

    def breaker(self, chance):
        """The store hangs, or is gone, for a moment."""
        self.over.wait(chance.uniform(1, 12))
        chance.choice((self.proxy.fail, self.proxy.hang))()
        self.over.wait(chance.uniform(0.05, 2.5))
        self.proxy.work()

    # ---- the end ----

    def settle(self):
        """All is quiet: what died is fenced, what is condemned goes."""
        self.proxy.work()
        time.sleep(3)  # older than what --fence-after says, by the store's clock, which counts in seconds
        for _ in range(6):
            answer = self.direct("--json", "gc", "--full", "--fence-after", "1s", code=None)
            assert answer.code in (DONE, FOUND), answer.err
            if answer.code == DONE and not answer.json["condemned_objects"] and not answer.json["awaiting_objects"]:
                return
        raise AssertionError(f"gc does not come to an end: {answer.out}")

    def copy_bucket(self, directory):
        client = self.server.client()
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix="t/"):
            for entry in page.get("Contents", []):
                path = directory / entry["Key"].removeprefix("t/")
                path.parent.mkdir(parents=True, exist_ok=True)
                client.download_file(self.bucket, entry["Key"], str(path))
        return ssfs_reader.Repository(str(directory))

    def check_the_end(self, tmp_path):
        listed = {(n["node"], b["name"]): n["state"] for b in self.direct.json("list")["backups"] for n in b["nodes"]}
        assert set(listed.values()) <= {"committed"}, listed
        assert set_of(self.model.of(COMMITTED)) <= listed.keys(), f"lost: {set_of(self.model.of(COMMITTED)) - listed.keys()}"
        assert not set_of(self.model.of(DELETED)) & listed.keys()
        self.direct("verify", "--cluster", CLUSTER, timeout=COMMAND_SECONDS)
        for number, (node, name) in enumerate(sorted(listed)):
            target = tmp_path / f"end{number}"
            self.direct("restore", name, "--cluster", CLUSTER, "--node", node, target)
            assert describe_tree(target) == self.model.find(node, name).content, (node, name)
            shutil.rmtree(target)
        self.check_what_is_left(self.copy_bucket(tmp_path / "bucket"))
        return len(listed)

    @staticmethod
    def check_what_is_left(repository):
        needed, top = set(), Path(repository.directory)
        for record in repository.records():
            assert record["state"] != "OPEN", record
            if record["state"] == "COMMITTED":
                needed |= repository.keys_of(record)
        there = {str(p.relative_to(top)) for kind in ("objects", "trees") for p in top.glob(f"nodes/*/*/{kind}/*/*")}
        assert there == needed, f"left behind: {sorted(there - needed)[:9]}; missing: {sorted(needed - there)[:9]}"
        assert not list(top.glob("nodes/*/*/condemned/*")) and not list(repository.pins())


def set_of(backups):
    return {(b.node, b.name) for b in backups}


@pytest.mark.timeout(SECONDS + 1500)
def test_nothing_is_lost_and_nothing_is_left(program, minio_server, tmp_path):
    print(f"SSTABLEFS_SEED={SEED}, {SECONDS} s")
    program.environment.update(minio_server.environment())
    torture = Torture(program, minio_server, SECONDS)
    with torture.proxy:
        writers = [torture.writer(name, number) for name in NODES for number in range(WRITERS)]
        try:
            torture.run(*writers, *[torture.collector] * COLLECTORS, torture.deleter, torture.purger, torture.lister, torture.restorer, torture.mounter,
                        torture.breaker)
        finally:
            torture.over.set()
            print(dict(sorted(torture.counts.items())), flush=True)
        torture.settle()
        left = torture.check_the_end(tmp_path)
    states = Counter(b.state for b in torture.model.backups)
    print(f"{len(torture.model.backups)} backups begun: {dict(states)}; {left} at the end")
    assert states[COMMITTED] + states[DELETED] >= SECONDS / 60, "hardly anything happened: the run shows nothing"
