# SPDX-License-Identifier: Apache-2.0
"""What people do with a mount, all at once and for as long as wanted: for tests of races, and of what grows."""

import os
import random
import shutil
import subprocess
import threading

from harness import CLUSTER, NODE, run, wait_until
from trees import Node, describe_snapshot, describe_tree

KEPT = 6  # backups beside the first, which stays


def make_node(top, sstables):
    """Three tables of some 1.5 MB an SSTable, with the snapshot t0."""
    node = Node(top)
    for name in ("orders", "lines", "users"):
        table = node.table("ks", name)
        for generation in range(sstables):
            node.write(table, "t0", f"nb-{generation}-big-Data.db", node.bytes(1_500_000))
            node.write(table, "t0", f"nb-{generation}-big-Index.db", node.bytes(20_000))
            node.write(table, "t0", f"nb-{generation}-big-TOC.txt", b"Data.db\nIndex.db\n")
    return node


class Load:
    """Steps that are repeated until `over` is set, each in a thread of its own. Backup t0 stays; others come and go."""

    def __init__(self, repository, mount, node, server, bucket, tmp_path, options=()):
        self.repository, self.mount, self.node, self.tmp_path = repository, mount, node, tmp_path
        self.client, self.bucket = server.client(), bucket
        self.options = options  # of backup and restore
        self.over = threading.Event()
        self.done = dict.fromkeys(("copies", "listings", "reads", "restores", "backups", "removed"), 0)
        self.expected = describe_snapshot(node.data, "t0")

    def until_over(self, step):
        try:
            while not self.over.is_set():
                step()
        except BaseException:
            self.over.set()
            raise

    def copy(self):
        target = self.tmp_path / "copy"
        run("cp", "-a", self.mount.data("t0"), target)
        assert describe_tree(target) == self.expected
        shutil.rmtree(target)
        self.done["copies"] += 1

    def list(self):
        # Backups vanish under find: it may say so.
        subprocess.run(["find", self.mount.path, "-printf", "%p %s %n\\n"], capture_output=True, timeout=120)
        self.done["listings"] += 1

    def read(self, may_end_early=False):
        path = random.choice(list(self.expected))
        data = self.node.path(path.rsplit("/", 1)[0], "t0", path.rsplit("/", 1)[1]).read_bytes()
        with open(self.mount.data("t0") / path, "rb", buffering=0) as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            for _ in range(20):
                at = random.randrange(len(data) + 1)
                got, expected = os.pread(f.fileno(), 100_000, at), data[at:at + 100_000]
                assert got == (expected[:len(got)] if may_end_early else expected), path
        self.done["reads"] += 20

    def restore(self):
        target = self.tmp_path / "restored"
        self.repository("restore", "t0", *self.options, target)
        shutil.rmtree(target)
        self.done["restores"] += 1

    def back_up(self):
        number = self.done["backups"] + 1
        tag, table = f"t{number}", self.node.table("ks", "orders")
        for other in self.node.data.glob("ks/*"):
            self.node.keep(f"ks/{other.name}", "t0", tag)
        self.node.write(table, tag, f"nb-{number + 100}-big-Data.db", os.urandom(300_000))
        self.repository.backup(self.node.data, tag, tag, *self.options)
        wait_until(lambda: os.path.isdir(self.mount.data(tag)), 60, f"{tag} in the mount")
        for path in self.node.data.glob(f"ks/*/snapshots/{tag}"):
            shutil.rmtree(path)
        self.done["backups"] = number
        if number > KEPT:
            self.remove(f"t{number - KEPT}")

    def remove(self, name):
        prefix = f"nodes/{CLUSTER}/{NODE}/records/{name}/"
        for entry in self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", []):
            self.client.delete_object(Bucket=self.bucket, Key=entry["Key"])
            self.done["removed"] += 1

    def functions(self, *steps):
        """For in_threads()."""
        return [lambda step=step: self.until_over(step) for step in steps]
