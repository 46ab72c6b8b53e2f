# SPDX-License-Identifier: Apache-2.0
"""Backups that attack who reads them. Each function makes one in a Forge, by the name that it is given; all their digests and seals fit."""

import hashlib
import struct

import zstandard

from forge import FRAME, MTIME, OBJECT, RAW, TABLE, UNIFORM, Directory, File, Forge, Place, content_id, zstd

ATTACKS = {}  # name: (function, whether its content can be had)
FINE, DAMAGED = True, False


def attack(outcome):
    def register(function):
        ATTACKS[function.__name__.replace("_", "-")] = (function, outcome)
        return function
    return register


def table(*files, **children):
    return Directory(files=list(files), children={name.encode(): child for name, child in children.items()})


def raw_backup(forge, name, run, first=b"nb-1-big-Data.db", count=1, totals=(1, 7, 0)):
    """A table with this one run, said to begin with `first`."""
    forge.backup(name, forge.blob(forge.tree_bytes(totals, [], [(first, count, run)]), totals))


# ---- names ----

NAMES = {"dotdot": b"..", "dot": b".", "slash": b"a/b", "absolute": b"/etc/passwd", "empty": b"", "long": b"n" * 256, "nul": b"a\0b",
         "climbing": b"../../../../../../../../tmp/escaped"}
for label, bad in NAMES.items():
    def file_name(forge, name, bad=bad):
        raw_backup(forge, name, forge.run([File(bad)]), bad)

    def child_name(forge, name, bad=bad):
        below = forge.tree(table(File(b"inner")))
        forge.backup(name, forge.blob(forge.tree_bytes((1, 7, 1), [(bad, (0o755, 0, 0, None, MTIME), below)], [])))

    def first_name(forge, name, bad=bad):
        raw_backup(forge, name, forge.run([File(b"innocent")]), bad)

    def second_name(forge, name, bad=bad):
        raw_backup(forge, name, forge.run([File(b"!"), File(bad)]), b"!", 2, (2, 14, 0))

    for function in (file_name, child_name, first_name, second_name):
        ATTACKS[f"{function.__name__.replace('_', '-')}-{label}"] = (function, DAMAGED)


@attack(FINE)
def names_that_forge_lines(forge, name):
    forge.backup(name, table(*(File(n) for n in (
        b"a\nb", b"\x1b[2J\x1b[1;1Hgone", b"\x1b]0;title\x07", b"c\r0 findings", b"\xff\xfe not UTF-8", b"\xc2\x9b31m", b"tab\there", b"\x7f",
        b"name\ngood c1 2026", b'quote"backslash\\', b"%s%n%d", b"\xe2\x80\xaedesrever", b" ", b"-rf", b"--help", b"*"))))


@attack(FINE)
def names_like_our_own(forge, name):
    """The names that a mount and a restore have a meaning for, where a backup may have them too."""
    forge.backup(name, table(*(File(n) for n in (b".sstablefs-restore", b"backup.json", b".sstablefs", b"latest", b"objects", b"made")),
                             snapshots=table(File(b"x")), directory=table()))


@attack(DAMAGED)
def the_same_name_twice(forge, name):
    raw_backup(forge, name, forge.run([File(b"nb-1-big-Data.db"), File(b"nb-1-big-Data.db")]), count=2, totals=(2, 14, 0))


@attack(DAMAGED)
def names_out_of_order(forge, name):
    raw_backup(forge, name, forge.run([File(b"nb-1-big-TOC.txt"), File(b"nb-1-big-Data.db")]), b"nb-1-big-TOC.txt", 2, (2, 14, 0))


@attack(DAMAGED)
def children_out_of_order(forge, name):
    below, attributes = forge.tree(table()), (0o755, 0, 0, None, MTIME)
    forge.backup(name, forge.blob(forge.tree_bytes((0, 0, 2), [(b"b", attributes, below), (b"a", attributes, below)], [])))


@attack(DAMAGED)
def runs_out_of_order(forge, name):
    one, two = forge.run([File(b"nb-1-Data.db")]), forge.run([File(b"nb-2-Data.db")])
    forge.backup(name, forge.blob(forge.tree_bytes((2, 14, 0), [], [(b"nb-2-Data.db", 1, two), (b"nb-1-Data.db", 1, one)])))


@attack(DAMAGED)
def a_file_with_the_name_of_a_directory(forge, name):
    forge.backup(name, table(File(b"both"), both=table(File(b"inner"))))


@attack(DAMAGED)
def a_run_of_another_name(forge, name):
    raw_backup(forge, name, forge.run([File(b"nb-2-big-Data.db")]))


@attack(DAMAGED)
def a_run_of_more_files_than_said(forge, name):
    raw_backup(forge, name, forge.run([File(b"nb-1-big-Data.db"), File(b"nb-1-big-TOC.txt")]))


@attack(DAMAGED)
def a_run_of_fewer_files_than_said(forge, name):
    raw_backup(forge, name, forge.run([File(b"nb-1-big-Data.db")]), count=64, totals=(64, 7, 0))


@attack(DAMAGED)
def two_runs_that_overlap(forge, name):
    long = forge.run([File(b"nb-1-Data.db"), File(b"nb-1-TOC.txt")])
    other = forge.run([File(b"nb-1-Index.db")])
    forge.backup(name, forge.blob(forge.tree_bytes((65, 14, 0), [], [(b"nb-1-Data.db", 64, long), (b"nb-1-Index.db", 1, other)])))


@attack(DAMAGED)
def a_run_where_a_tree_should_be(forge, name):
    forge.backup(name, forge.run([File(b"nb-1-big-Data.db")]))


@attack(DAMAGED)
def a_tree_where_a_run_should_be(forge, name):
    raw_backup(forge, name, forge.tree(table(File(b"x"))))


# ---- attributes ----

@attack(FINE)
def odd_attributes(forge, name):
    files = [File(b"nb-1-big-Data.db", mode=0o7777), File(b"nb-2-big-Data.db", mode=0, uid=2**32 - 1, gid=2**32 - 1),
             File(b"nb-3-big-Data.db", mtime=-2**63), File(b"nb-4-big-Data.db", mtime=2**63 - 1), File(b"nb-5-big-Data.db", mode=0o4755)]
    forge.backup(name, Directory(files=files, mode=0o3777, mtime=-1))


for label, attributes in {"device": {"mode": 0o020644}, "fifo": {"mode": 0o010644}, "link": {"mode": 0o120777}, "uid": {"uid": 2**32},
                          "gid": {"gid": 2**32}, "mode": {"mode": 2**63}, "data-dir": {"data_dir": 1024}, "data-dir-64": {"data_dir": 2**63}}.items():
    def attribute(forge, name, attributes=attributes):
        raw_backup(forge, name, forge.run([File(b"nb-1-big-Data.db", **attributes)]))

    ATTACKS[f"attribute-{label}"] = (attribute, DAMAGED)


@attack(DAMAGED)
def a_directory_that_is_a_device(forge, name):
    forge.backup(name, Directory(files=[File(b"x")], children={b"d": Directory(mode=0o060777)}))


# ---- content ----

def with_extents(label, outcome=DAMAGED, size=None):
    def register(make):
        def function(forge, name):
            data, extents = make(forge)
            files = [File(b"nb-1-big-Data.db", data, size=size if size is not None else len(data), extents=extents)]
            raw_backup(forge, name, forge.run(files), totals=(1, min(files[0].size, 2**63 - 1), 0))
        ATTACKS[f"extents-{label}"] = (function, outcome)
        return make
    return register


BYTES = bytes(range(256)) * 4096  # 1 MiB


@with_extents("beyond-the-object")
def _(forge):
    return BYTES, [(forge.store("objects", BYTES[:FRAME]), 0, len(BYTES))]


@with_extents("offset-beyond-the-object")
def _(forge):
    return BYTES[:FRAME], [(forge.store("objects", BYTES[:FRAME]), 2**62, FRAME)]


@with_extents("offset-that-wraps")
def _(forge):
    return BYTES[:FRAME], [(forge.store("objects", BYTES[:FRAME]), 2**32 - FRAME, FRAME)]


@with_extents("length-that-wraps", size=2**63 - 1)
def _(forge):
    return b"", [(forge.store("objects", BYTES[:FRAME]), FRAME // 2, 2**64 - FRAME // 2)]


@with_extents("shorter-than-the-size", size=2 * FRAME)
def _(forge):
    return b"", [(forge.store("objects", BYTES[:FRAME]), 0, FRAME)]


@with_extents("longer-than-the-size", size=FRAME)
def _(forge):
    o = forge.store("objects", BYTES[:2 * FRAME])
    return b"", [(o, 0, 2 * FRAME)]


@with_extents("none", size=FRAME)
def _(forge):
    return b"", []


@with_extents("size-2-63", size=2**63)
def _(forge):
    return b"", [(forge.store("objects", BYTES[:FRAME]), 0, FRAME)]


@with_extents("size-2-64-less-1", size=2**64 - 1)
def _(forge):
    return b"", [(forge.store("objects", BYTES[:FRAME]), 0, FRAME)]


@with_extents("not-at-a-frame")
def _(forge):
    return BYTES[1:FRAME + 1], [(forge.store("objects", BYTES[:2 * FRAME]), 1, FRAME)]


@with_extents("of-nothing")
def _(forge):
    o = forge.store("objects", BYTES[:FRAME])
    return BYTES[:FRAME], [(o, 0, 0), (o, 0, FRAME)]


@with_extents("in-the-middle-of-a-packed-frame")
def _(forge):
    """Packs are not uniform, so nothing says where their frames begin before the head is read."""
    o = forge.object("objects", [BYTES[:1000], BYTES[:2000]])
    return BYTES[500:1000] + BYTES[:1500], [(o, 500, 2000)]


@with_extents("that-repeat", FINE)
def _(forge):
    """A gigabyte out of one frame."""
    o = forge.store("objects", bytes(FRAME))
    return bytes(64 * FRAME), [(o, 0, FRAME)] * 64


@with_extents("that-overlap", FINE)
def _(forge):
    o = forge.store("objects", BYTES[:2 * FRAME])
    return BYTES[:2 * FRAME] + BYTES[FRAME:2 * FRAME], [(o, 0, 2 * FRAME), (o, FRAME, FRAME)]


def with_object(label, outcome=DAMAGED):
    """The file is all of an object that `make` forged."""
    def register(make):
        def function(forge, name):
            o, data = make(forge)
            raw_backup(forge, name, forge.run([File(b"nb-1-big-Data.db", data, size=o.plain, extents=[(o, 0, o.plain)])]), totals=(1, o.plain, 0))
        ATTACKS[f"object-{label}"] = (function, outcome)
        return make
    return register


def frame_header(size, window=None):
    """The begin of a zstd frame that says its content size in 8 bytes; window: the exponent above 1 KiB."""
    descriptor = 0xC0 | (0x20 if window is None else 0)
    return b"\x28\xb5\x2f\xfd" + bytes([descriptor]) + (b"" if window is None else bytes([window << 3])) + struct.pack("<Q", size)


RLE_BLOCK = struct.pack("<I", 1 | 1 << 1 | FRAME << 3)[:3] + b"z"  # last block, 128 KiB of the same byte


def rle(blocks):
    """Blocks of 128 KiB each out of four bytes."""
    more = struct.pack("<I", 0 | 1 << 1 | FRAME << 3)[:3] + b"z"
    return more * (blocks - 1) + RLE_BLOCK


@with_object("zstd-16-GiB-claimed")
def _(forge):
    plain = b"z" * FRAME
    return forge.object("objects", [plain], [frame_header(16 << 30) + rle(1)]), plain


@with_object("zstd-16-GiB-claimed-in-a-window")
def _(forge):
    plain = b"z" * FRAME
    return forge.object("objects", [plain], [frame_header(16 << 30, 24) + rle(1)]), plain


@with_object("zstd-16-GiB-in-truth")
def _(forge):
    plain = b"z" * FRAME
    return forge.object("objects", [plain], [frame_header(FRAME, 17) + rle(30_000)]), plain


@with_object("zstd-window-of-2-GiB", FINE)
def _(forge):
    # Content of its own: with that of the others it would be one inode with their damaged copies, and which of them is read is open (docs/mount.md).
    plain = b"w" * FRAME
    return forge.object("objects", [plain], [frame_header(FRAME, 21) + rle(1)[:-1] + b"w"]), plain


@with_object("zstd-two-frames")
def _(forge):
    plain = b"z" * FRAME
    half = zstd(plain[:FRAME // 2])
    return forge.object("objects", [plain], [half + half]), plain


@with_object("zstd-no-size")
def _(forge):
    plain = b"z" * FRAME
    return forge.object("objects", [plain], [zstandard.ZstdCompressor(write_content_size=False).compress(plain)]), plain


@with_object("zstd-skippable")
def _(forge):
    plain = b"z" * FRAME
    return forge.object("objects", [plain], [b"\x50\x2a\x4d\x18" + struct.pack("<I", 8) + bytes(8) + zstd(plain)]), plain


@with_object("zstd-garbage")
def _(forge):
    plain = b"z" * FRAME
    return forge.object("objects", [plain], [b"\x28\xb5\x2f\xfd" + bytes(range(255))]), plain


@with_object("zstd-shorter")
def _(forge):
    plain = b"z" * FRAME
    return forge.object("objects", [plain], [zstd(plain[:-1])]), plain


@with_object("other-bytes")
def _(forge):
    """The head's digests are of other bytes than the body."""
    return forge.object("objects", [BYTES[:FRAME]], [bytes(FRAME)]), BYTES[:FRAME]


def count_of(n):
    return lambda head: head[:12] + struct.pack("<I", n) + head[16:]


@with_object("4-billion-frames")
def _(forge):
    return forge.object("objects", [BYTES[:FRAME]], head=count_of(2**32 - 1)), BYTES[:FRAME]


@with_object("no-frames")
def _(forge):
    return forge.object("objects", [BYTES[:FRAME]], head=count_of(0)), BYTES[:FRAME]


@with_object("plain-bytes-2-63")
def _(forge):
    return forge.object("objects", [BYTES[:FRAME]], head=lambda h: h[:16] + struct.pack("<Q", 2**63) + h[24:]), BYTES[:FRAME]


@with_object("frame-of-4-GiB")
def _(forge):
    return forge.object("objects", [BYTES[:FRAME]], head=lambda h: h[:24] + struct.pack("<II", 2**32 - 1, 2**32 - 1) + h[32:]), BYTES[:FRAME]


@with_object("stored-longer-than-plain")
def _(forge):
    return forge.object("objects", [BYTES[:FRAME]], [BYTES[:FRAME] + b"more"]), BYTES[:FRAME]


@with_object("wrong-flags")
def _(forge):
    return forge.object("objects", [BYTES[:100], BYTES[:200]], head=lambda h: h[:10] + struct.pack("<H", RAW | UNIFORM) + h[12:]), BYTES[:300]


@with_object("newer-version")
def _(forge):
    return forge.object("objects", [BYTES[:FRAME]], head=lambda h: h[:8] + struct.pack("<H", 2) + h[10:]), BYTES[:FRAME]


@attack(DAMAGED)
def a_content_id_of_other_bytes(forge, name):
    """Every digest of the object fits, but the entry promises other content."""
    o = forge.store("objects", BYTES[:FRAME])
    raw_backup(forge, name, forge.run([File(b"nb-1-big-Data.db", b"", size=FRAME, content=content_id(bytes(FRAME)), extents=[(o, 0, FRAME)])]),
               totals=(1, FRAME, 0))


# ---- places and depth ----

@attack(DAMAGED)
def a_place_beyond_its_object(forge, name):
    run = forge.run([File(b"nb-1-big-Data.db")])
    raw_backup(forge, name, Place(run.digest, run.object, 0, run.length + 1))


@attack(DAMAGED)
def a_place_of_another_digest(forge, name):
    run = forge.run([File(b"nb-1-big-Data.db")])
    raw_backup(forge, name, Place(bytes(32), run.object, 0, run.length))


@attack(DAMAGED)
def totals_beyond_the_limits(forge, name):
    forge.backup(name, Directory(files=[File(b"x")], totals=(2**63, 2**64 - 1, 2**63)))


@attack(DAMAGED)
def totals_that_are_too_small(forge, name):
    forge.backup(name, Directory(files=[File(b"x"), File(b"y")], totals=(1, 0, 0)))


@attack(DAMAGED)
def a_thousand_directories_deep(forge, name):
    place = forge.tree(table(File(b"deepest")))
    for _ in range(1000):
        place = forge.tree(Directory(children={b"d" * 255: place}))
    forge.backup(name, place)


@attack(DAMAGED)
def longer_paths_than_a_path_can_be(forge, name):
    """Not deeper than is allowed."""
    place = forge.tree(table(File(b"deepest")))
    for _ in range(40):
        place = forge.tree(Directory(children={b"d" * 255: place}))
    forge.backup(name, place)


@attack(DAMAGED)
def a_bomb_of_directories(forge, name):
    """Each refers twice to the next: 2^58 paths, and totals that say so."""
    place = forge.tree(table(File(b"one")))
    for _ in range(58):
        place = forge.tree(Directory(children={b"a": place, b"b": place}))
    forge.backup(name, place)


@attack(DAMAGED)
def a_bomb_of_directories_that_says_it_is_small(forge, name):
    place = forge.tree(table(File(b"one")))
    for _ in range(58):
        place = forge.tree(Directory(children={b"a": place, b"b": place}, totals=(2, 14, 2)))
    forge.backup(name, place)


@attack(DAMAGED)
def a_bomb_of_empty_directories(forge, name):
    place = forge.tree(table())
    for _ in range(6):
        place = forge.tree(Directory(children={b"%05d" % i: place for i in range(1000)}))
    forge.backup(name, place)


@attack(DAMAGED)
def a_bomb_of_files(forge, name):
    """64 files, a million times."""
    files = [File(b"%02d" % i) for i in range(64)]
    place = forge.tree(table(*files))
    for _ in range(2):
        place = forge.tree(Directory(children={b"%03d" % i: place for i in range(1000)}))
    forge.backup(name, place)


@attack(DAMAGED)
def a_bomb_with_a_lie_at_its_end(forge, name):
    """All totals are within the limits and seem to fit, but for the last directory."""
    place = forge.tree(Directory(children={b"%03d" % i: forge.tree(table()) for i in range(500)}, totals=(0, 0, 500)))
    forge.backup(name, forge.tree(Directory(children={b"a": place, b"b": place}, totals=(0, 0, 1001))))


def make_all(path, only=None):
    """All of them in one repository, each by its name, and the backup "good"."""
    forge = Forge(path).repository()
    forge.good()
    for name, (function, _) in ATTACKS.items():
        if only is None or name in only:
            make_one(forge, name, function)
    return forge


def make_one(forge, name, function):
    """By a writer of its own: the same head gives the same key, and one attack would mend the object of another."""
    forge.writer = b"\1" + hashlib.sha256(name.encode()).digest()[:15]
    function(forge, name)
