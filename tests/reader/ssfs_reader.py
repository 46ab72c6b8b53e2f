#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads a repository in a directory, knowing nothing but docs/format.md (ssfs_format.py has trees and runs).

    ssfs_reader.py DIRECTORY list
    ssfs_reader.py DIRECTORY extract CLUSTER NODE BACKUP TARGET
    ssfs_reader.py DIRECTORY verify
    ssfs_reader.py DIRECTORY pins
    ssfs_reader.py DIRECTORY inode CLUSTER NODE BACKUP      (number and path of each file)

Needs xxhash and zstandard from PyPI.
"""
import hashlib
import json
import os
import re
import struct
import sys

import xxhash
import zstandard

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ssfs_format  # noqa: E402
from ssfs_format import FRAME, RAW, UNIFORM, content_id, name_key, need, parse_run, parse_tree  # noqa: E402

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")
ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}\Z")


class Repository:
    def __init__(self, directory):
        self.directory = directory
        self.objects = {}  # the few that were read last
        self.touched = set()  # keys of all that were asked for
        self.description = self.document("repository.json", "repository")
        need(self.description["encryption"] == "none", "encrypted")

    def file(self, key):
        with open(os.path.join(self.directory, key), "rb") as f:
            return f.read()

    def document(self, key, kind):
        """3: sealed JSON."""
        text = self.file(key)
        seal = b'"sha256":"' + hashlib.sha256(text[:-77]).hexdigest().encode() + b'"}\n'
        need(text[-77:] == seal and text[-78:-77] == b"\n", key + ": its seal does not fit")
        value = json.loads(text)
        need(value["type"] == kind and value["format"] == 1, key + ": another type or format")
        need(not value["features"].get("read"), key + ": unknown features")
        return value

    def records(self):
        nodes = os.path.join(self.directory, "nodes")
        for path, _, files in sorted(os.walk(nodes)):
            parts = os.path.relpath(path, nodes).split(os.sep)
            if len(parts) != 4 or parts[2] != "records" or not all(NAME.match(p) for p in parts):
                continue
            for file in sorted(files):
                if not file.endswith(".json") or not ULID.match(file[:-5]):
                    continue
                record = self.document(os.path.join("nodes", *parts, file), "backup")
                where = [record["cluster"], record["node"], record["backup"], record["writer"]]
                need(where == [parts[0], parts[1], parts[3], file[:-5]], path + ": not where it says")
                yield record

    def pins(self):
        """12b: the pins that are held."""
        nodes = os.path.join(self.directory, "nodes")
        for path, _, files in sorted(os.walk(nodes)):
            parts = os.path.relpath(path, nodes).split(os.sep)
            if len(parts) != 3 or parts[2] != "pins" or not all(NAME.match(p) for p in parts):
                continue
            for file in sorted(files):
                if not file.endswith(".json") or not ULID.match(file[:-5]):
                    continue
                pin = self.document(os.path.join("nodes", *parts, file), "pin")
                need([pin["cluster"], pin["node"], pin["id"]] == [parts[0], parts[1], file[:-5]], path + ": not where it says")
                need(pin["state"] in ("HELD", "ENDED") and pin["sequence"] >= 1, path + ": its state")
                if pin["state"] == "HELD":
                    yield pin

    def committed(self, cluster, node, backup):
        for record in self.records():
            if (record["cluster"], record["node"], record["backup"]) == (cluster, node, backup):
                if record["state"] == "COMMITTED":
                    return record
        raise KeyError(backup)

    def frames(self, node, kind, o):
        """6: the checked frames of an object, and their digests."""
        key = "nodes/%s/%s/%s/%s/%s" % (*node, kind, o[0], o[1].hex())
        self.touched.add(key)
        if key in self.objects:
            return self.objects[key]
        data = self.file(key)
        magic, version, flags, count, plain_bytes = struct.unpack("<8sHHIQ", data[:24])
        head, body = data[:24 + 56 * count], data[24 + 56 * count:]
        need(magic == b"SSTFSOB1" and version == 1, key + ": not an object of version 1")
        need(hashlib.sha256(b"sstablefs/1 object\0" + head).digest() == o[1], key + ": its head does not fit its id")
        need((plain_bytes, count, flags) == o[2:], key + ": not as its reference says")
        frames, raw, uniform = [], RAW, UNIFORM
        for i in range(count):
            stored, plain, sha256, xxh = struct.unpack_from("<II32s16s", head, 24 + 56 * i)
            need(1 <= stored <= plain <= FRAME and stored <= len(body), key + ": a frame's length")
            frame, body = body[:stored], body[stored:]
            if stored < plain:
                raw = 0
                frame = zstandard.ZstdDecompressor().decompress(frame, max_output_size=plain)
            if plain < FRAME and i + 1 < count:
                uniform = 0
            need(len(frame) == plain and hashlib.sha256(frame).digest() == sha256, key + ": a frame's SHA-256")
            need(xxhash.xxh3_128_digest(frame)[::-1] == xxh, key + ": a frame's XXH3")
            frames.append(frame)
        need(not body and sum(map(len, frames)) == plain_bytes and flags == raw | uniform, key + ": its length or flags")
        if len(self.objects) == 8:
            self.objects.pop(next(iter(self.objects)))
        self.objects[key] = frames
        return frames

    def piece(self, node, kind, o, offset, length):
        """Content of an object; a piece is made of whole frames."""
        at, found = 0, []
        for frame in self.frames(node, kind, o):
            if offset <= at < offset + length:
                found.append(frame)
            at += len(frame)
        data = b"".join(found)
        need(len(data) == length and all(len(f) == FRAME for f in found[:-1]), "a piece is not made of its object's frames")
        return data

    def blob(self, node, place):
        data = self.piece(node, "trees", *place[1:])
        need(content_id(data) == place[0], "a tree or run does not fit its digest")
        return data

    def content(self, node, file):
        name, _, size, identity, inline, extents = file
        if inline is not None:
            return inline
        data = b"".join(self.piece(node, "objects", *extent) for extent in extents)
        need(len(data) == size and content_id(data) == identity, name.decode(errors="replace") + ": its content id")
        return data

    def walk(self, node, place, path=b"", attributes=None):
        """Yields (path, attributes, None) for directories, then (path, attributes, file) for what is in them."""
        totals, children, runs = parse_tree(self.blob(node, place))
        yield path, attributes, None
        files, size, directories, last = 0, 0, len(children), None
        for first, count, run_place in runs:
            run = parse_run(self.blob(node, run_place))
            need(run[0][0] == first and len(run) == count, "a run is not what its tree says")
            need(last is None or name_key(first) > last, "runs overlap")
            last = name_key(run[-1][0])
            for file in run:
                files, size = files + 1, size + file[2]
                yield os.path.join(path, file[0]), file[1], file
        for name, child_attributes, child_place in children:
            for below in self.walk(node, child_place, os.path.join(path, name), child_attributes):
                files, size = files + (below[2] is not None), size + (below[2][2] if below[2] else 0)
                directories += below[2] is None
                yield below
            directories -= 1  # counted as a child already
        need(totals == (files, size, directories), path.decode(errors="replace") + ": its totals")

    def backup(self, record):
        r = record["root"]
        flags = RAW * r["raw"] | UNIFORM * r["uniform"]
        o = (r["writer"], bytes.fromhex(r["object"]), r["plain_bytes"], (r["head_bytes"] - 24) // 56, flags)
        place = (bytes.fromhex(r["digest"]), o, r["offset"], r["length"])
        return self.walk((record["cluster"], record["node"]), place)

    def keys_of(self, record):
        """The keys of all objects that a backup needs."""
        self.touched = set()
        for _, _, file in self.files(record):
            self.content((record["cluster"], record["node"]), file)
        return self.touched

    def files(self, record):
        return (found for found in self.backup(record) if found[2])


def extract(repository, record, target):
    os.makedirs(target, exist_ok=True)
    times = []
    for path, attributes, file in repository.backup(record):
        full = os.path.join(os.fsencode(target), path)
        if file:
            with open(full, "wb") as f:
                f.write(repository.content((record["cluster"], record["node"]), file))
        else:
            os.makedirs(full, exist_ok=True)
        if attributes:
            times.append((full, attributes))
    for full, (mode, _, _, _, mtime) in reversed(times):
        os.chmod(full, mode)
        os.utime(full, ns=(mtime, mtime))


def verify(repository):
    for record in repository.records():
        if record["state"] != "COMMITTED":
            continue
        files = size = directories = 0
        for _, _, file in repository.backup(record):
            if file:
                repository.content((record["cluster"], record["node"]), file)
                files, size = files + 1, size + file[2]
            else:
                directories += 1
        need((files, size, directories - 1) == (record["files"], record["bytes"], record["directories"]), "totals")
        print("ok", record["cluster"], record["node"], record["backup"], files, size)


def inode(record, path, attributes, file):
    """12: of a file of a backup."""
    def string(value):
        return struct.pack("<I", len(value)) + value

    mode, uid, gid, data_dir, mtime = attributes
    where = path.removeprefix(b"data/") if data_dir is not None else path
    d = hashlib.sha256(
        b"sstablefs/1 inode\0\1" + string(record["cluster"].encode()) + string(record["node"].encode())
        + struct.pack("<I", 65535 if data_dir is None else data_dir) + string(where) + file[3]
        + struct.pack("<IIIq", mode, uid, gid, mtime)).digest()
    while struct.unpack("<Q", d[:8])[0] & (1 << 62) - 1 < 1024:
        d = hashlib.sha256(d).digest()
    return struct.unpack("<Q", d[:8])[0] & (1 << 62) - 1


def main(directory, command, *rest):
    repository = Repository(directory)
    if command == "list":
        for r in repository.records():
            print(r["cluster"], r["node"], r["backup"], r["state"], r["files"], r["bytes"])
            for path in r.get("digests", {}).get("files", []):
                print("    damaged when it was backed up:", path)
    elif command == "pins":
        for p in repository.pins():
            print(p["cluster"], p["node"], p["backup"], p["writer"], p["root"]["digest"], p["reader"].get("purpose", "-"))
    elif command == "verify":
        verify(repository)
    elif command == "extract":
        extract(repository, repository.committed(*rest[:3]), rest[3])
    elif command == "inode":
        record = repository.committed(*rest)
        for path, attributes, file in repository.files(record):
            print(inode(record, path, attributes, file), os.fsdecode(path))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
