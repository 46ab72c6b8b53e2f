# SPDX-License-Identifier: Apache-2.0
"""Runs, trees and content ids, by docs/format.md sections 5 and 7 to 9. Whatever breaks a rule raises Damaged."""
import hashlib
import struct

FRAME, OBJECT, INLINE = 128 << 10, 8 << 20, 512
RAW, UNIFORM = 1, 2


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
