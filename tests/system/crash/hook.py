# SPDX-License-Identifier: Apache-2.0
"""Crashes and failures at a chosen call of the program, by hook.c, and what must hold whatever happened."""

import os
import struct
import subprocess
from pathlib import Path

from harness import CLUSTER, LONG, NODE, Answer
from reader import ssfs_reader
from trees import MIB, Node, content_id, snapshot_files

ALL = "wsnut"  # every call about files; see hook.c


def moments(chance, daily, long, total):
    """So many of 1 … total, spread evenly and chosen by chance: each once at most."""
    wanted = min(long if LONG else daily, total)
    return sorted({chance.randrange(i * total // wanted, (i + 1) * total // wanted) + 1 for i in range(wanted)})


class Hook:
    """What the program is preloaded with. below: whose calls count, by default all that is the test's own."""

    def __init__(self, program, classes=ALL, below=None):
        self.library = program.binary.parent.parent / "tests/system/crash/libcrash_hook.so"
        assert self.library.exists(), f"{self.library} is missing: the tests of this build were not built"
        self.state = program.directory.with_name(program.directory.name + ".calls")
        self.below, self.classes = Path(below or program.directory), classes

        linked = subprocess.run(["ldd", program.binary], capture_output=True, text=True, check=True).stdout
        # A sanitizer's library wants to be the first.
        self.preloaded = [word for word in linked.split() if word.startswith("/") and "libasan" in word] + [str(self.library)]

    def environment(self, at=0, error=0, ever=False, record=None):
        """Nothing happens (at=0); or SIGKILL, or an error number, at that call; ever: and at all after it."""
        self.set_calls(0)
        values = {"LD_PRELOAD": " ".join(self.preloaded), "CRASH_STATE": self.state, "CRASH_BELOW": self.below, "CRASH_AT": at,
                  "CRASH_CLASSES": self.classes, "CRASH_ERROR": error, "CRASH_EVER": int(ever)}
        if record:
            values["CRASH_RECORD"] = record
        return {key: str(value) for key, value in values.items()}

    def calls(self):
        return struct.unpack("=Q", self.state.read_bytes())[0]

    def set_calls(self, calls):
        self.state.write_bytes(struct.pack("=Q", calls))

    def reached(self, at):
        return self.calls() >= at


# ---- what is backed up ----

class Originals:
    """A node with the snapshots t1 and t2, and what each holds: {path in the backup: (content id, size, mode, owner, mtime)}."""

    def __init__(self, top, large=MIB + 70_000):
        self.node = Node(top)
        orders, items = self.node.table("shop", "orders"), self.node.table("shop", "items")
        self.node.write(orders, "t1", "nb-1-big-Data.db", self.node.bytes(large))
        self.node.write(orders, "t1", "nb-1-big-TOC.txt", b"Data.db\nTOC.txt\n")
        self.node.write(orders, "t1", "manifest.json", b'{"files": []}')
        for i in range(6):
            self.node.write(items, "t1", f"nb-{i}-big-Index.db", self.node.text(3000 + 40_000 * i), mode=0o600)
            self.node.write(items, "t1", f".an_index/nb-{i}-big-Data.db", self.node.bytes(900 * i))
        for table in (orders, items):
            self.node.keep(table, "t1", "t2")
        self.node.write(orders, "t2", "nb-2-big-Data.db", self.node.bytes(large // 2))
        self.node.write(items, "t2", "nb-9-big-Statistics.db", self.node.bytes(5000))
        self.of = {tag: self._describe(tag) for tag in ("t1", "t2")}

    def _describe(self, tag):
        found = {}
        for path, source in snapshot_files(self.node.data, tag).items():
            data, st = Path(source).read_bytes(), os.stat(source)
            found[path] = (content_id(data), len(data), st.st_mode & 0o7777, st.st_uid, st.st_gid, st.st_mtime_ns)
        return found


def committed(path, originals, tag_of=lambda name: name.split("-")[0]):
    """Names of the finished backups of a directory repository, each read back whole by the independent reader."""
    reader, found = ssfs_reader.Repository(path), set()
    for record in reader.records():
        if record["state"] != "COMMITTED":
            continue
        is_there = {}
        for name, attributes, file in reader.files(record):
            content = reader.content((record["cluster"], record["node"]), file)
            mode, uid, gid, _, mtime = attributes
            is_there[os.fsdecode(name)] = (content_id(content), len(content), mode & 0o7777, uid, gid, mtime)
        assert is_there == originals.of[tag_of(record["backup"])], f"{record['backup']} is not what was backed up"
        found.add(record["backup"])
    return found


def run_backup(repository, originals, tag, name, code=None, prefix=(), **environment) -> Answer:
    return repository(*repository.backup_arguments(originals.node.data, tag, name), code=code, prefix=prefix,
                      environment=environment)


def listed(repository):
    return {backup["name"] for backup in repository.json("list")["backups"] if backup["nodes_finished"] == 1}


def records_of(repository, name):
    return list((repository.path / f"nodes/{CLUSTER}/{NODE}/records/{name}").glob("*.json"))


def temporary_files(repository):
    return [path.name for path in (repository.path / ".sstablefs-tmp").glob("put-*")]
