# SPDX-License-Identifier: Apache-2.0
"""Data directories made up for tests, and comparing what came back with what went in."""

import hashlib
import json
import os
import random
import shutil
import struct
import uuid
import zlib
from pathlib import Path

FRAME = 128 << 10
MIB = 1 << 20
OWNERS = ((0, 0), (4711, 4712), (65534, 65534), (0, 4711))
MODES = (0o644, 0o600, 0o640, 0o444, 0o755, 0o1711)
# The sizes at which something changes: inline, frame, own object, object's end.
EDGES = (0, 1, 511, 512, 513, FRAME - 1, FRAME, FRAME + 1, MIB - 1, MIB, MIB + 1, 2 * FRAME - 1)


def content_id(data):
    """The content id of docs/format.md, section 5."""
    h = hashlib.sha256(b"sstablefs/1 content\0" + struct.pack("<Q", len(data)))
    for i in range(0, len(data), FRAME):
        h.update(hashlib.sha256(data[i:i + FRAME]).digest())
    return h.hexdigest()


def describe(path):
    """What must come back of a file: bytes, mode, owner, mtime in nanoseconds."""
    st = os.lstat(path)
    with open(path, "rb") as f:
        digest = hashlib.file_digest(f, "sha256").hexdigest()
    return digest, st.st_size, oct(st.st_mode), st.st_uid, st.st_gid, st.st_mtime_ns


def files_below(top):
    """Relative paths of all that is below a directory and is no directory itself."""
    top = os.fspath(top)
    for directory, _, names in os.walk(top, onerror=_fail):
        for name in names:
            yield os.path.relpath(os.path.join(directory, name), top)


def _fail(error):
    raise error


def describe_tree(top):
    return {path: describe(os.path.join(top, path)) for path in files_below(top)}


def attributes_of_directories(top):
    """{relative path: attributes} of the directories below top, top itself left out."""
    found = {}
    for directory, _, _ in os.walk(top, onerror=_fail):
        st = os.lstat(directory)
        if directory != os.fspath(top):
            found[os.path.relpath(directory, top)] = (oct(st.st_mode), st.st_uid, st.st_gid, st.st_mtime_ns)
    return found


def snapshot_files(data_dir, tag):
    """{path in the backup: path on disk} of a snapshot, by the layout of Cassandra and nothing of ours."""
    found = {}
    for directory, _, names in os.walk(data_dir, onerror=_fail):
        parts = Path(directory).relative_to(data_dir).parts
        if len(parts) < 4 or parts[2:4] != ("snapshots", tag):
            continue
        keyspace, table, below = parts[0], parts[1], parts[4:]
        for name in names:
            aside = not below and name in ("manifest.json", "schema.cql")
            found["/".join(("snapshot" if aside else "data", keyspace, table, *below, name))] = os.path.join(directory, name)
    return found


def describe_snapshot(data_dir, tag, top="data"):
    """{path below `top` of the backup: description} of a snapshot on disk."""
    return {path.removeprefix(f"{top}/"): describe(source) for path, source in snapshot_files(data_dir, tag).items()
            if path.startswith(f"{top}/")}


def fingerprint(top):
    """All that a repository in a directory holds, except what is reserved for files that are being written."""
    return {path: description for path, description in describe_tree(top).items()
            if not path.startswith(".sstablefs-tmp/")}


def reseal(path, **members):
    """Changes members of a sealed document (docs/format.md, section 3) and seals it again."""
    document = json.loads(path.read_text())
    del document["sha256"]
    body = json.dumps({**document, **members}, indent=1).removesuffix("\n}") + ",\n"
    path.write_text(f'{body}"sha256":"{hashlib.sha256(body.encode()).hexdigest()}"}}\n')


def flip(path, offset, bit=0x10, keep_time=True):
    """Changes one bit of a file in place: called again it undoes that. With its time kept nothing tells of the change."""
    st = os.stat(path)
    with open(path, "r+b") as f:
        f.seek(offset)
        byte = f.read(1)[0]
        f.seek(offset)
        f.write(bytes([byte ^ bit]))
    if keep_time:
        os.utime(path, ns=(st.st_atime_ns, st.st_mtime_ns))


class Node:
    """A data directory that is filled table by table."""

    def __init__(self, top, seed=1):
        self.top = Path(top)
        self.data = self.top / "data"
        self.data.mkdir(parents=True, exist_ok=True)
        self.random = random.Random(seed)

    def table(self, keyspace, table):
        """<keyspace>/<table>-<id>; the id is the same for the same name."""
        return f"{keyspace}/{table}-{uuid.uuid5(uuid.NAMESPACE_DNS, keyspace + table).hex}"

    def path(self, table, tag, name):
        return self.data / table / "snapshots" / tag / name

    def write(self, table, tag, name, content, mode=0o644, owner=(0, 0), mtime_ns=None):
        """One file of a snapshot; what is not said is drawn by chance."""
        path = self.path(table, tag, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.chown(path, *owner)
        os.chmod(path, mode)
        if mtime_ns is None:
            mtime_ns = self.random.randrange(10**18, 18 * 10**17)
        os.utime(path, ns=(mtime_ns, mtime_ns))
        return path

    def keep(self, table, old_tag, new_tag):
        """Takes a snapshot's files into another one, as hard links: what Cassandra does with what did not change."""
        for source in sorted((self.data / table / "snapshots" / old_tag).rglob("*")):
            target = self.data / table / "snapshots" / new_tag / source.relative_to(self.data / table / "snapshots" / old_tag)
            if source.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                os.link(source, target)

    def bytes(self, size):
        return self.random.randbytes(size)

    def text(self, size):
        """What compresses."""
        return (b"%06d the same row over and over\n" % self.random.randrange(10**6) * (size // 30 + 1))[:size]

    def fill_small(self, tag):
        table = self.table("shop", "orders")
        data = self.write(table, tag, "nb-1-big-Data.db", self.bytes(300_000))
        self.write(table, tag, "nb-1-big-Index.db", self.text(40_000))
        self.write(table, tag, "nb-1-big-Digest.crc32", b"%d" % zlib.crc32(data.read_bytes()))
        self.write(table, tag, "nb-1-big-TOC.txt", b"Data.db\nIndex.db\nDigest.crc32\nTOC.txt\n")
        return self

    def add_sstable(self, table, tag, generation, size=2000):
        for component in ("Data.db", "Index.db"):
            self.write(table, tag, f"nb-{generation}-big-{component}", self.bytes(size))


def attributes(chance):
    return {"mode": chance.choice(MODES), "owner": chance.choice(OWNERS),
            "mtime_ns": chance.choice((0, 1, chance.randrange(2**31 * 10**9), -1_500_000_001, 10**18 + 999_999_999))}


def random_name(chance, at_least=1):
    alphabet = "abcXYZ019 +._=,~@#%&'é中\U0001f600-"
    while True:
        name = "".join(chance.choice(alphabet) for _ in range(chance.randrange(at_least, at_least + 40)))
        if name not in (".", "..", "manifest.json", "schema.cql") and len(name.encode()) <= 255:
            return name


def random_tree(node, chance, tag):
    """Some tables of the kinds of files that have ever given trouble; prior files give content and names again."""
    contents = [b"", b"x"]
    for number in range(chance.randrange(2, 5)):
        table = node.table(f"ks{number % 2}", f"table{number}")
        node.write(table, tag, "manifest.json", b'{"files": []}', **attributes(chance))
        for _ in range(chance.randrange(40)):
            size = chance.choice(EDGES) if chance.random() < 0.4 else int(2 ** chance.uniform(0, 19))
            content = chance.choice(contents) if chance.random() < 0.3 else chance.choice((node.bytes, node.text))(size)
            contents.append(content)
            directory = chance.choice(("", "", "", ".an_index/", ".other.index/", ".an_index/"))
            node.write(table, tag, directory + random_name(chance), content, **attributes(chance))
        node.path(table, tag, ".empty_index").mkdir(parents=True, exist_ok=True)


def change_tree(node, chance, old, new):
    """The next snapshot: most files are kept as links, some are replaced under the same name and size, some vanish."""
    for path, source in snapshot_files(node.data, old).items():
        _, keyspace, table, name = path.split("/", 3)
        target = node.path(f"{keyspace}/{table}", new, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if chance.random() < 0.1:
            continue
        if chance.random() < 0.1:
            node.write(f"{keyspace}/{table}", new, name, node.bytes(os.path.getsize(source)), **attributes(chance))
        elif chance.random() < 0.5:
            shutil.copy2(source, target)
            os.chown(target, os.stat(source).st_uid, os.stat(source).st_gid)
            os.chmod(target, os.stat(source).st_mode & 0o7777)  # chown took the set-uid bit away
        else:
            os.link(source, target)
