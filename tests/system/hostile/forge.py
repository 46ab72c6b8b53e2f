# SPDX-License-Identifier: Apache-2.0
"""Writes repositories as an attacker would who knows docs/format.md: every seal and digest fits, except where the attack is.

Nothing is checked here. Names, sizes, offsets and totals go into the bytes as they are given."""

import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field
from pathlib import Path

import xxhash
import zstandard

from reader.ssfs_format import FRAME, INLINE, OBJECT, RAW, UNIFORM, content_id, name_key

WRITER = bytes.fromhex("019351fb1367b8e65a8a89c1b48e03be")
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
TABLE = b"users-5aa88304163d50faa9727443e9e8887d"
MTIME = 1763808000000000000


def writer_text(raw):
    number = int.from_bytes(raw, "big")
    return "".join(ALPHABET[number >> 5 * i & 31] for i in range(25, -1, -1))


def varint(value):
    out = bytearray()
    while True:
        out.append(value & 127 | (128 if value > 127 else 0))
        value >>= 7
        if not value:
            return bytes(out)


def string(data):
    return varint(len(data)) + data


def put_name(before, name, bit):
    begin = 0
    while begin < min(len(before), len(name)) and before[begin] == name[begin]:
        begin += 1
    end, most = 0, min(len(before), len(name)) - begin
    while end < most and before[-1 - end] == name[-1 - end]:
        end += 1
    return varint(begin * 2 + bit) + varint(end) + string(name[begin:len(name) - end])


def put_attributes(before, now, with_data_dir):
    """(mode, uid, gid, data directory, mtime); (encoding, whether the fixed ones are the same)."""
    same = before is not None and before[:4] == now[:4]
    out = b"" if same else varint(now[0]) + varint(now[1]) + varint(now[2])
    if with_data_dir and not same:
        out += varint(0 if now[3] is None else now[3] + 1)
    difference = (now[4] - (before[4] if before else 0)) & (1 << 64) - 1
    return out + varint((difference << 1 ^ (-(difference >> 63) & (1 << 64) - 1)) & (1 << 64) - 1), same


@dataclass(frozen=True)
class Object:
    identity: bytes
    plain: int
    frames: int
    flags: int
    writer: bytes = WRITER


@dataclass
class File:
    name: bytes
    data: bytes = b"content"
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    data_dir: int | None = 0
    mtime: int = MTIME
    size: int | None = None  # as the entry says; None: as it is
    content: bytes | None = None  # likewise
    extents: list | None = None  # (Object, offset, length); None: the data is stored

    @property
    def attributes(self):
        return (self.mode, self.uid, self.gid, self.data_dir, self.mtime)


@dataclass
class Directory:
    files: list = field(default_factory=list)
    children: dict = field(default_factory=dict)  # name: Directory, or a Place of a tree that is stored already
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime: int = MTIME
    totals: tuple | None = None  # files, bytes, directories as the tree says


@dataclass(frozen=True)
class Place:
    digest: bytes
    object: Object
    offset: int
    length: int
    totals: tuple = (0, 0, 0)


def table_of(objects):
    """7.1, and the number of each object."""
    ordered = sorted(set(objects), key=lambda o: (o.writer, o.identity))
    out, writers = b"", sorted({o.writer for o in ordered})
    for writer in writers:
        mine = [o for o in ordered if o.writer == writer]
        out += writer + varint(len(mine))
        for o in mine:
            out += o.identity + varint((OBJECT - o.plain) * 4 + o.flags)
            out += b"" if o.flags & UNIFORM else varint(o.frames)
    return varint(len(writers)) + out, {o: i for i, o in enumerate(ordered)}


class Forge:
    """A repository in a directory, or in a dictionary of keys (put: what stores a key)."""

    def __init__(self, path, cluster="c1", node="n1", put=None):
        self.path, self.cluster, self.node = Path(path), cluster, node
        self.put = put or self.put_file
        self.prefix = f"nodes/{cluster}/{node}"
        self.writer = WRITER
        self.records = 0

    def put_file(self, key, data):
        path = self.path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    # ---- documents ----

    @staticmethod
    def seal(document):
        body = document if isinstance(document, bytes) else json.dumps(document, indent=1).encode().removesuffix(b"\n}") + b",\n"
        return body + b'"sha256":"' + hashlib.sha256(body).hexdigest().encode() + b'"}\n'

    def repository(self, **members):
        features = {"read": [], "write": [], "collect": []}
        self.put("repository.json", self.seal({
            "type": "repository", "format": 1, "features": features, "id": "0123456789abcdef0123456789abcdef",
            "created": "2026-11-22T11:40:42Z", "compression": "zstd", "encryption": "none", **members}))
        return self

    def record_document(self, name, place, **members):
        document = {
            "type": "backup", "format": 1, "features": {"read": [], "write": [], "collect": []}, "state": "COMMITTED", "sequence": 2,
            "nonce": "c2c9a2f456b7065c527dcddd775a2ad3", "writer": writer_text(self.writer), "cluster": self.cluster, "node": self.node,
            "backup": name, "cluster_original": self.cluster, "host": {"tokens": []},
            "times": {"started": "2026-11-22T11:53:08Z", "finished": "2026-11-22T11:53:09Z", "store": "2026-11-22T11:53:08Z"},
            "cassandra": {"sstable_versions": ["nb"], "id_kinds": ["generation"]}, "users": [], "groups": [], "packs": [],
            "new_bytes": 0, "reused_bytes": 0}
        if place:
            document |= {"files": place.totals[0], "bytes": place.totals[1], "directories": place.totals[2], "root": {
                "digest": place.digest.hex(), "writer": writer_text(place.object.writer), "object": place.object.identity.hex(),
                "head_bytes": 24 + 56 * place.object.frames, "plain_bytes": place.object.plain, "raw": bool(place.object.flags & RAW),
                "uniform": bool(place.object.flags & UNIFORM), "offset": place.offset, "length": place.length}}
        return document | members

    def record_key(self, name, writer=None):
        return f"{self.prefix}/records/{name}/{writer_text(writer or self.writer)}.json"

    def record(self, name, place, key=None, **members):
        """A record that is sealed; its key."""
        key = key or self.record_key(name)
        self.put(key, self.seal(self.record_document(name, place, **members)))
        return key

    # ---- objects ----

    def object(self, kind, frames, stored=None, plain=None, head=None):
        """An object of these plain frames. stored: their stored bytes, plain: their plain sizes, as the head says; head: changes the head's bytes."""
        stored = stored or frames
        sizes = plain or [len(f) for f in frames]
        flags = (RAW if all(len(s) == n for s, n in zip(stored, sizes)) else 0) | (UNIFORM if all(n == FRAME for n in sizes[:-1]) else 0)
        raw = b"SSTFSOB1" + struct.pack("<HHIQ", 1, flags, len(frames), sum(sizes))
        for frame, kept, size in zip(frames, stored, sizes):
            raw += struct.pack("<II", len(kept), size) + hashlib.sha256(frame).digest() + xxhash.xxh3_128_digest(frame)[::-1]
        raw = head(raw) if head else raw
        identity = hashlib.sha256(b"sstablefs/1 object\0" + raw).digest()
        self.put(self.object_key(kind, identity), raw + b"".join(stored))
        return Object(identity, sum(sizes), len(frames), flags, self.writer)

    def object_key(self, kind, identity):
        return f"{self.prefix}/{kind}/{writer_text(self.writer)}/{identity.hex()}"

    def store(self, kind, data):
        return self.object(kind, [data[i:i + FRAME] for i in range(0, len(data), FRAME)])

    def blob(self, data, totals=(0, 0, 0)):
        return Place(content_id(data), self.store("trees", data), 0, len(data), totals)

    # ---- runs and trees ----

    def extents_of(self, f):
        if f.extents is not None or f.size is None and len(f.data) <= INLINE:
            return f.extents or []
        return [(self.store("objects", f.data[i:i + OBJECT]), 0, len(f.data[i:i + OBJECT])) for i in range(0, len(f.data), OBJECT)]

    def run(self, files):
        """A run of these files, in this order. Its Place."""
        extents = [self.extents_of(f) for f in files]
        table, number = table_of(o for of_file in extents for o, _, _ in of_file)
        out, name, before = b"R\1" + table + varint(len(files)), b"", None
        for f, own in zip(files, extents):
            attributes, same = put_attributes(before, f.attributes, True)
            size = len(f.data) if f.size is None else f.size
            out += put_name(name, f.name, same) + attributes + varint(size)
            if size <= INLINE:
                out += f.data
            else:
                out += f.content or content_id(f.data)
                for o, offset, length in own:
                    whole = (offset, length) == (0, o.plain)
                    out += varint(number[o] * 2 + whole) + (b"" if whole else varint(offset) + varint(length))
            name, before = f.name, f.attributes
        return self.blob(out)

    @staticmethod
    def cut(files):
        """Files in order, as runs."""
        runs = []
        for f in sorted(files, key=lambda f: name_key(f.name)):
            if runs and name_key(runs[-1][0].name)[0] == name_key(f.name)[0] and len(runs[-1]) < 64:
                runs[-1].append(f)
            else:
                runs.append([f])
        return runs

    def tree_bytes(self, totals, children, runs):
        """children: (name, attributes, Place), runs: (name, number of files, Place), written in the order given."""
        table, number = table_of([p.object for *_, p in children] + [p.object for *_, p in runs])
        out, last = b"T\1" + b"".join(map(varint, totals)) + table, None

        def place(p):
            nonlocal last
            follows = last is not None and last.object == p.object and last.offset + last.length == p.offset
            last = p
            return p.digest + varint(number[p.object] * 2 + follows) + (b"" if follows else varint(p.offset)) + varint(p.length)

        out += varint(len(children))
        name, before = b"", None
        for child, now, p in children:
            attributes, same = put_attributes(before, now, False)
            out += put_name(name, child, same) + attributes + place(p)
            name, before = child, now
        out += varint(len(runs))
        name, count = b"", None
        for first, files, p in runs:
            out += put_name(name, first, files == count) + (b"" if files == count else varint(files)) + place(p)
            name, count = first, files
        return out

    def tree(self, directory):
        """Stores a Directory and all below it. Its Place."""
        children = [(name, (d.mode, d.uid, d.gid, None, d.mtime) if isinstance(d, Directory) else (0o755, 0, 0, None, MTIME),
                     self.tree(d) if isinstance(d, Directory) else d) for name, d in sorted(directory.children.items())]
        runs = [(run[0].name, len(run), self.run(run)) for run in self.cut(directory.files)]
        totals = directory.totals or (
            sum(p.totals[0] for *_, p in children) + len(directory.files),
            sum(p.totals[1] for *_, p in children) + sum(len(f.data) if f.size is None else f.size for f in directory.files),
            sum(p.totals[2] + 1 for *_, p in children))
        return self.blob(self.tree_bytes(totals, children, runs), totals)

    def backup(self, name, directory, **members):
        """A backup whose data/ks/<table> is this Directory (or the Place of one). The key of its record."""
        root = self.tree(Directory(children={b"data": Directory(children={b"ks": Directory(children={TABLE: directory})})}))
        return self.record(name, root, **members)

    def good(self, name="good", data=b"good bytes"):
        return self.backup(name, Directory(files=[File(b"nb-1-big-Data.db", data), File(b"nb-1-big-TOC.txt", b"Data.db\n")]))


def zstd(data, **keywords):
    return zstandard.ZstdCompressor(**keywords).compress(data)


def md5_text(data):
    return base64.b64encode(hashlib.md5(data).digest()).decode()
