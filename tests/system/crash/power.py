# SPDX-License-Identifier: Apache-2.0
"""What is left on a disk after a power cut: a model of a file system that keeps what was synced, and of the rest whatever chance says.

It is fed with the record of hook.c. The rules, weaker than those of any journalling file system:
- the bytes and the time of a file are durable once the file was synced; until then any of its writes may be there or not;
- a name is durable once its directory was synced: not by a sync of the file. A rename is durable in both directories at once, and replaces atomically;
- changes of one name stay in their order; changes of different names may come in any order;
- syncfs makes all of it durable.
"""

import os
import re
from collections import namedtuple
from pathlib import Path

HEAD = re.compile(rb"(\w+) (\d+) (\d+) (\d+) (\d+)\n")
Operation = namedtuple("Operation", "kind a b one two")


def read_record(path, start=0):
    """(operations from that offset on, the offset behind them)"""
    data, operations, at = Path(path).read_bytes(), [], start
    while at < len(data):
        head = HEAD.match(data, at)
        kind, (a, b, one, two) = head[1].decode(), map(int, head.groups()[1:])
        middle = head.end() + one
        operations.append(Operation(kind, a, b, data[head.end():middle], data[middle:middle + two]))
        at = middle + two
    return operations, at


class File:
    def __init__(self, data=b"", mtime=0, mode=0o644):
        self.data, self.mtime, self.mode = data, mtime, mode  # durable
        self.pending = []  # ("write", offset, bytes), ("truncate", size, b""), ("utime", ns, b""), ("chmod", mode, b"")

    def settled(self, kept):
        """The file with these of its pending changes."""
        data, mtime, mode = bytearray(self.data), self.mtime, self.mode
        for kind, number, content in kept:
            if kind == "write":
                data.extend(bytes(max(0, number - len(data))))
                data[number:number + len(content)] = content
            elif kind == "truncate":
                del data[number:]
                data.extend(bytes(number - len(data)))
            elif kind == "utime":
                mtime = number
            else:
                mode = number
        return bytes(data), mtime, mode

    def sync(self):
        self.data, self.mtime, self.mode = self.settled(self.pending)
        self.pending = []


class Directory:
    def __init__(self):
        self.names = {}  # durable: name -> File or Directory


class Change:
    """Of names, all at once: [(directory, name, what is there then, or None)]"""

    def __init__(self, *places):
        self.places = places

    def apply(self, names_of):
        for directory, name, target in self.places:
            if target is None:
                names_of(directory).pop(name, None)
            else:
                names_of(directory)[name] = target


class Disk:
    """Everything below a directory, which exists when the record begins. What is in it then is durable."""

    def __init__(self, top):
        self.top = os.fspath(top)
        self.by_inode = {}
        self.changes = []  # of names, not yet durable
        self.live = {}  # directory -> its names as a program sees them
        self.root = self._scan(self.top)

    def _scan(self, path):
        directory = self._new(Directory(), os.stat(path).st_ino)
        for entry in os.scandir(path):
            st = entry.stat(follow_symlinks=False)
            if entry.is_dir():
                found = self._scan(entry.path)
            else:
                found = self._new(File(Path(entry.path).read_bytes(), st.st_mtime_ns, st.st_mode & 0o7777), st.st_ino)
            directory.names[entry.name] = found
        self.live[directory] = dict(directory.names)
        return directory

    def _new(self, thing, inode):
        self.by_inode[inode] = thing
        if isinstance(thing, Directory):
            self.live[thing] = {}
        return thing

    def _place(self, path):
        """(directory, name) of an absolute path."""
        parts = os.path.relpath(os.fsdecode(path), self.top).split("/")
        directory = self.root
        for part in parts[:-1]:
            directory = self.live[directory][part]
        return directory, parts[-1]

    def _change(self, *places):
        change = Change(*places)
        change.apply(self.live.__getitem__)
        self.changes.append(change)

    def _make_durable(self, wanted):
        """Those changes of names, and before each what concerns the same names."""
        touched, kept = set(), []
        for change in reversed(self.changes):
            where = {(id(d), name) for d, name, _ in change.places}
            if wanted(change) or where & touched:
                touched |= where
                kept.append(change)
        for change in reversed(kept):
            change.apply(lambda d: d.names)
            self.changes.remove(change)

    def feed(self, operation):
        kind, a, b, one, two = operation
        if kind in ("create", "mkdir"):
            self._change((*self._place(one), self._new(File() if kind == "create" else Directory(), a)))
        elif kind in ("unlink", "rmdir"):
            self._change((*self._place(one), None))
        elif kind == "link":
            self._change((*self._place(two), self.by_inode[a]))
        elif kind == "nameless":
            self._new(File(), a)
        elif kind == "rename":
            directory, name = self._place(one)
            self._change((directory, name, None), (*self._place(two), self.live[directory][name]))
        elif kind in ("write", "truncate", "utime", "chmod"):
            if isinstance(self.by_inode[a], File):  # the attributes of directories are left out
                self.by_inode[a].pending.append((kind, b if b < 2**63 else b - 2**64, one))
        elif kind == "fsync" and isinstance(self.by_inode[a], File):
            self.by_inode[a].sync()
        elif kind == "fsync":
            self._make_durable(lambda change: any(d is self.by_inode[a] for d, _, _ in change.places))
        elif kind == "syncfs":
            self._make_durable(lambda change: True)
            for thing in self.by_inode.values():
                if isinstance(thing, File):
                    thing.sync()
        else:
            raise ValueError(kind)

    def cut(self, target, chance=None):
        """Writes what is left after a power cut here to a new directory: only what is durable, or with chance some of the rest too."""
        names = {}
        kept = self._some_changes(chance) if chance else []

        def names_of(directory):
            if directory not in names:
                names[directory] = dict(directory.names)
            return names[directory]

        for change in kept:
            change.apply(names_of)
        self._write(self.root, names_of, target, chance, {})

    def _some_changes(self, chance):
        likely = chance.choice((0.1, 0.5, 0.9))
        touched, kept = set(), []
        for change in reversed(self.changes):
            where = {(id(d), name) for d, name, _ in change.places}
            if where & touched or chance.random() < likely:
                touched |= where
                kept.append(change)
        return kept[::-1]

    def _write(self, directory, names_of, path, chance, made):
        os.makedirs(path, exist_ok=True)
        for name, thing in names_of(directory).items():
            where = os.path.join(path, name)
            if isinstance(thing, Directory):
                self._write(thing, names_of, where, chance, made)
            elif thing in made:
                os.link(made[thing], where)
            else:
                likely = chance.choice((0, 0.5, 1)) if chance else 0
                data, mtime, mode = thing.settled([p for p in thing.pending if chance and chance.random() < likely])
                Path(where).write_bytes(data)
                os.chmod(where, mode)
                os.utime(where, ns=(mtime, mtime))
                made[thing] = where
