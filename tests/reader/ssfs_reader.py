#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads a repository in a directory, knowing nothing but docs/format.md.

    ssfs_reader.py DIRECTORY list
    ssfs_reader.py DIRECTORY extract CLUSTER NODE BACKUP TARGET
    ssfs_reader.py DIRECTORY verify
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

FRAME, OBJECT, INLINE = 128 << 10, 8 << 20, 512
RAW, UNIFORM = 1, 2
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")
ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}\Z")


class Damaged(Exception):
    pass


def need(condition, what):
    if not condition:
        raise Damaged(what)


def content_id(data):
    h = hashlib.sha256(b"sstablefs/1 content\0" + struct.pack("<Q", len(data)))
    for i in range(0, len(data), FRAME):
        h.update(hashlib.sha256(data[i:i + FRAME]).digest())
    return h.digest()


def ulid_text(raw):
    number = int.from_bytes(raw, "big")
    return "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[number >> 5 * i & 31] for i in range(25, -1, -1))


class Bytes:
    """What is left of a tree or run."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        need(n <= len(self.data) - self.at, "cut short")
        self.at += n
        return self.data[self.at - n:self.at]

    def varint(self):
        value = 0
        for i in range(10):
            byte = self.take(1)[0]
            value |= (byte & 127) << 7 * i
            if byte < 128:
                need(byte or i == 0, "varint is not in its shortest form")
                need(value < 1 << 64, "varint is too large")
                return value
        raise Damaged("varint is too long")


def take_objects(b):
    """7.1: a list of (writer, id, plain bytes, frames, flags)."""
    objects, last_writer = [], b""
    for _ in range(b.varint()):
        writer, last_id = b.take(16), b""
        need(writer > last_writer, "writers are not in order")
        last_writer = writer
        count = b.varint()
        need(count, "a writer without objects")
        for _ in range(count):
            identity, lacks = b.take(32), b.varint()
            need(identity > last_id, "objects are not in order")
            last_id = identity
            plain, flags = OBJECT - (lacks >> 2), lacks & 3
            need(plain >= 1, "an object's size is out of range")
            frames = -(-plain // FRAME)
            if not flags & UNIFORM:
                least, frames = max(frames, 2), b.varint()
                need(least <= frames <= 2048, "number of frames is out of range")
            objects.append((ulid_text(writer), identity, plain, frames, flags))
    return objects


def take_name(b, before):
    """7.2: (name, bit)."""
    lead, end = b.varint(), b.varint()
    begin = lead >> 1
    need(begin + end <= len(before), "a name shares more than there is")
    middle = b.take(b.varint())
    name = before[:begin] + middle + before[len(before) - end:]
    need(1 <= len(name) <= 255 and not set(name) & {0, ord("/")} and name not in (b".", b".."), "name is not allowed")
    rest, before = name[begin:], before[begin:]
    need(not rest or not before or rest[0] != before[0], "a name shares less than it could")
    rest, before = rest[:len(rest) - end], before[:len(before) - end]
    need(not rest or not before or rest[-1] != before[-1], "a name shares less than it could")
    return name, lead & 1


def take_attributes(b, before, same, with_data_dir):
    """7.3: (mode, uid, gid, data directory or None, mtime)."""
    need(before or not same, "the first cannot be the same")
    if same:
        fixed = before[:4]
    else:
        fixed = (b.varint(), b.varint(), b.varint(), b.varint() - 1 if with_data_dir else -1)
        fixed = fixed[:3] + (None if fixed[3] < 0 else fixed[3],)
        need(fixed[0] <= 0o7777 and max(fixed[1:3]) < 1 << 32 and (fixed[3] or 0) < 1024, "attributes out of range")
        need(not before or fixed != before[:4], "attributes are the same and do not say so")
    z = b.varint()
    difference = z >> 1 ^ (-(z & 1) & (1 << 64) - 1)
    mtime = ((before[4] if before else 0) + difference) & (1 << 64) - 1
    return fixed + (mtime - (1 << 64) if mtime >> 63 else mtime,)


def check_extent(o, offset, length):
    need(length >= 1 and offset + length <= o[2], "an extent is outside its object")
    if o[4] & UNIFORM:
        end = offset + length
        need(offset % FRAME == 0 and (end % FRAME == 0 or end == o[2]), "an extent is not made of frames")


def name_key(name):
    return (name[:name.rfind(b"-")] if b"-" in name else b"", name)


def parse_run(data):
    """8: a list of (name, attributes, size, content id, inline content or None, extents)."""
    b = Bytes(data)
    need(b.take(2) == b"R\1", "not a run of version 1")
    objects, files, used = take_objects(b), [], set()
    name, attributes = b"", None
    count = b.varint()
    need(1 <= count <= 64, "number of files is out of range")
    for i in range(count):
        before = name_key(name)
        name, same = take_name(b, name)
        need(i == 0 or (name_key(name) > before and name_key(name)[0] == before[0]), "files are not in order")
        attributes = take_attributes(b, attributes, same, True)
        size, inline, extents = b.varint(), None, []
        if size <= INLINE:
            inline = b.take(size)
            identity = content_id(inline)
        else:
            identity, left = b.take(32), size
            while left:
                number, whole = divmod(b.varint(), 2)
                need(number < len(objects), "no such object")
                used.add(number)
                offset, length = (0, objects[number][2]) if whole else (b.varint(), b.varint())
                need(whole or (offset, length) != (0, objects[number][2]), "a whole object that does not say so")
                check_extent(objects[number], offset, length)
                need(length == left or (length < left and length % FRAME == 0), "an extent does not fit the file")
                left -= length
                extents.append((objects[number], offset, length))
        files.append((name, attributes, size, identity, inline, extents))
    need(b.at == len(data) and len(used) == len(objects), "bytes left over, or an unused object")
    return files


def parse_tree(data):
    """9: (totals, children, runs), with children (name, attributes, place) and runs (first name, number of files, place)."""
    b = Bytes(data)
    need(b.take(2) == b"T\1", "not a tree of version 1")
    totals = (b.varint(), b.varint(), b.varint())
    objects, used, last = take_objects(b), set(), None

    def take_place():
        nonlocal last
        digest = b.take(32)
        number, follows = divmod(b.varint(), 2)
        need(number < len(objects), "no such object")
        used.add(number)
        expected = last[1] + last[2] if last and last[0] == objects[number] else None
        need(not follows or expected is not None, "a place that follows on nothing")
        offset = expected if follows else b.varint()
        need(follows or offset != expected, "a place that follows and does not say so")
        last = (objects[number], offset, b.varint())
        check_extent(*last)
        return (digest,) + last

    children, runs, name, attributes = [], [], b"", None
    for i in range(b.varint()):
        before = name
        name, same = take_name(b, name)
        need(i == 0 or name > before, "children are not in order")
        attributes = take_attributes(b, attributes, same, False)
        children.append((name, attributes, take_place()))
    name, count = b"", None
    for i in range(b.varint()):
        before = name_key(name)
        name, same = take_name(b, name)
        need(i == 0 or name_key(name) > before, "runs are not in order")
        need(i == 0 or name_key(name)[0] != before[0] or count == 64, "runs are not cut where they must be")
        if same:
            need(count is not None, "the first cannot be the same")
        else:
            old, count = count, b.varint()
            need(1 <= count <= 64 and count != old, "number of files is out of range")
        runs.append((name, count, take_place()))
    need(b.at == len(data) and len(used) == len(objects), "bytes left over, or an unused object")
    return totals, children, runs


class Repository:
    def __init__(self, directory):
        self.directory = directory
        self.objects = {}  # the few that were read last
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

    def committed(self, cluster, node, backup):
        for record in self.records():
            if (record["cluster"], record["node"], record["backup"]) == (cluster, node, backup):
                if record["state"] == "COMMITTED":
                    return record
        raise Damaged("no such backup")

    def frames(self, node, kind, o):
        """6: the checked frames of an object, and their digests."""
        key = "nodes/%s/%s/%s/%s/%s" % (*node, kind, o[0], o[1].hex())
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
    elif command == "verify":
        verify(repository)
    elif command == "extract":
        extract(repository, repository.committed(*rest[:3]), rest[3])
    elif command == "inode":
        record = repository.committed(*rest)
        for path, attributes, file in repository.backup(record):
            if file:
                print(inode(record, path, attributes, file), os.fsdecode(path))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
