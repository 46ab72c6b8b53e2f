# SPDX-License-Identifier: Apache-2.0
"""Which rows there are: a case is rows that are run in turn, on the same data over the same link, and compared with each other.

Round by round all cases that a bar was set for are run, in this order, and at the end the others: --budget cuts off what comes last.
"""

from dataclasses import dataclass
from typing import Callable, Optional

import actions
import randomread
import stages
from bars import faster, memory, mount_cpu, no_gets, requests, requests_part, seconds, speed, times
from tools import FAST

SPEED, TIME = "speed", "time"  # a ratio is how many times as fast as the other row, or how many times as long
RCLONE_TUNED = ("--vfs-cache-mode", "off", "--buffer-size", "32M", "--vfs-read-chunk-streams", "8", "--vfs-read-chunk-size", "8M")
JUICEFS_TUNED = ("--cache-size", "0", "--buffer-size", "1024", "--max-readahead", "128")
WIDE = ("memory=64M", "cache_size=128M")
STREAMS, ENTRIES = 16, 1_800_000
UPLOAD_SECONDS = 60  # for another tool that stores a file at a time
MEDUSA_SECONDS = 150
MEMORY_MIB = 192 + 64  # memory= as shipped, and what a process may take besides


@dataclass
class Row:
    """run: takes the World; none where another row's run fills it, or where it is the best of other rows of its round."""

    name: str
    text: str
    run: Optional[Callable] = None
    against: str = ""
    bars: tuple = ()
    best_of: tuple = ()
    ratio: str = SPEED
    peer: bool = False  # not ours: it gets a limit of time
    once: bool = False  # in the first round only: no bar is about its time
    limit: float = 0  # seconds, where not --peer-seconds
    patience: tuple = ()  # the tool and the set that takes minutes to store: not run where nobody did so yet
    bytes_of: str = ""  # the set whose bytes it moves, for CPU seconds per GB
    unit: str = "s"

    @property
    def bar(self):
        return "; ".join(bar.text for bar in self.bars)


@dataclass
class Case:
    name: str
    text: str
    rows: list
    rate: str = "none"
    delay: int = 0
    stage: Optional[Callable] = None  # of the World: a context that its rows run in; then all its rounds follow one another
    last: bool = False  # no bar is about it: after all rounds of the others


def raw_rows(prefix, set_name, text="raw"):
    what = f"{text}: the same objects"
    return [
        Row(f"{prefix}s5cmd", f"{what}, s5cmd cp, 16 workers", lambda w: actions.raw(w, "s5cmd", set_name), bytes_of=set_name),
        Row(f"{prefix}curl", f"{what}, curl, ranges of 8 MiB, 16 at once", lambda w: actions.raw(w, "curl", set_name), bytes_of=set_name),
        Row(f"{prefix}raw", f"**{text}: the faster of the two**", best_of=(f"{prefix}s5cmd", f"{prefix}curl"), bytes_of=set_name),
    ]


def mount_row(name, text, tool, set_name, against, *bars, options=(), how="cp", **more):
    return Row(name, text, lambda w: actions.copy_from_mount(w, tool, set_name, *options, how=how), against, bars, peer=tool != "sstablefs",
               bytes_of=set_name, **more)


def restore_row(name, text, tool, set_name, against, *bars, **more):
    return Row(name, text, lambda w: actions.restore(w, tool, set_name), against, bars, peer=tool != "sstablefs", bytes_of=set_name, **more)


def backup_row(name, text, tool, set_name, against, *bars, options=(), **more):
    return Row(name, text, lambda w: actions.backup(w, tool, set_name, *options), against, bars, peer=tool != "sstablefs", bytes_of=set_name, **more)


def again_row(name, text, tool, set_name, *bars, against="", **more):
    return Row(name, text, lambda w: actions.backup_again(w, tool, set_name), against, bars, ratio=TIME, peer=tool != "sstablefs", bytes_of=set_name, **more)


FAST_TEXT = "`sstablefs backup`, 16 connections, all cores, nice 0"


def large():
    return Case("large", "Large: 40 SSTables, 3 GiB, cold, fresh mount, to disk, with a final sync", [
        *raw_rows("", "large"),
        mount_row("cp", "`cp -a` from sstablefs", "sstablefs", "large", "raw", speed(0.9), mount_cpu(1.2),
                  faster(1.4, "the fastest peer mount", "cp_rclone_tuned", "cp_rclone", "cp_s3fs", "cp_juicefs", "cp_restic")),
        restore_row("restore", "`sstablefs restore`", "sstablefs", "large", "raw", speed(0.95)),
        mount_row("cp_juicefs", "`cp -a` from juicefs, tuned", "juicefs", "large", "raw", options=JUICEFS_TUNED),
        mount_row("cp_s3fs", "`cp -a` from s3fs", "s3fs", "large", "raw"),
        mount_row("cp_rclone_tuned", "`cp -a` from rclone mount, 8 streams", "rclone", "large", "raw", options=RCLONE_TUNED),
        mount_row("cp_rclone", "`cp -a` from rclone mount, as shipped", "rclone", "large", "raw", once=True),
        mount_row("cp_restic", "`cp -a` from restic mount", "restic", "large", "raw", once=True),
        restore_row("restore_rclone", "`rclone copy -t16` to disk", "rclone", "large", "raw"),
        restore_row("restore_restic", "`restic restore`", "restic", "large", "raw", once=True),
        Row("local", "`cp -a` from ext4 to ext4", lambda w: actions.local_copy(w, "large"), "raw", bytes_of="large"),
    ])


def small():
    return Case("small", "Small: 60,000 files, 300 MiB, cold, to disk, with a final sync", [
        Row("small_local", "**`cp -a` from ext4 to ext4**", lambda w: actions.local_copy(w, "small"), bytes_of="small"),
        mount_row("small_cp", "`cp -a` from sstablefs", "sstablefs", "small", "small_local", speed(0.8)),
        restore_row("small_restore", "`sstablefs restore`", "sstablefs", "small", "small_local", speed(1), faster(1.5, "restic", "small_restore_restic")),
        restore_row("small_restore_restic", "`restic restore`", "restic", "small", "small_local"),
    ])


def small_peers():
    return Case("small-peers", "The same by other tools, beside it once more", [
        Row("peers_local", "**`cp -a` from ext4 to ext4**", lambda w: actions.local_copy(w, "small"), bytes_of="small"),
        mount_row("peers_cp", "`cp -a` from sstablefs", "sstablefs", "small", "peers_local"),
        restore_row("small_restore_s5cmd", "`s5cmd cp` to disk", "s5cmd", "small", "peers_local", patience=("plain", "small"), once=True),
        restore_row("small_restore_rclone", "`rclone copy -t16` to disk", "rclone", "small", "peers_local", patience=("plain", "small"), once=True),
        mount_row("small_cp_rclone", "`cp -a` from rclone mount, tuned, times of the server", "rclone", "small", "peers_local",
                  options=(*RCLONE_TUNED, "--use-server-modtime"), patience=("plain", "small"), once=True),
        mount_row("small_cp_restic", "`cp -a` from restic mount", "restic", "small", "peers_local", once=True),
        mount_row("small_cp_s3fs", "`cp -a` from s3fs", "s3fs", "small", "peers_local", patience=("plain", "small"), once=True),
        mount_row("small_cp_juicefs", "`cp -a` from juicefs, tuned", "juicefs", "small", "peers_local", options=JUICEFS_TUNED, patience=("juicefs", "small"), once=True),
    ], last=True)


def uploads():
    return Case("backup", "First backup of large, from a cold page cache", [
        backup_row("up_rclone", "`rclone copy -t16`", "rclone", "large", ""),
        backup_row("up_s5cmd", "`s5cmd cp`, 16 workers", "s5cmd", "large", ""),
        Row("up", "**the faster of the two**", best_of=("up_rclone", "up_s5cmd"), bytes_of="large"),
        backup_row("backup_fast", FAST_TEXT, "sstablefs", "large", "up", speed(0.9), memory(MEMORY_MIB), options=FAST),
        backup_row("backup", "`sstablefs backup`, as shipped", "sstablefs", "large", "up", memory(MEMORY_MIB), once=True),
        backup_row("backup_restic", "`restic backup`", "restic", "large", "up", once=True),
    ])


def small_uploads():
    return Case("small-backup", "First backup of small from a cold page cache, and one with nothing changed", [
        backup_row("small_backup_restic", "`restic backup`", "restic", "small", ""),
        backup_row("small_backup_fast", FAST_TEXT, "sstablefs", "small", "small_backup_restic", speed(2), memory(MEMORY_MIB),
                   faster(10, "rclone and s5cmd", "small_backup_rclone", "small_backup_s5cmd"), options=FAST),
        backup_row("small_backup", "`sstablefs backup`, as shipped", "sstablefs", "small", "small_backup_restic"),
        backup_row("small_backup_s5cmd", "`s5cmd cp`, 16 workers", "s5cmd", "small", "small_backup_restic", once=True, limit=UPLOAD_SECONDS),
        backup_row("small_backup_rclone", "`rclone copy -t16`", "rclone", "small", "small_backup_restic", once=True, limit=UPLOAD_SECONDS),
        again_row("again", "unchanged: `sstablefs backup`, as shipped", "sstablefs", "small", seconds(2), requests(20)),
        again_row("again_restic", "unchanged: `restic backup`", "restic", "small", against="again"),
    ])


def over_link(delay):
    prefix = f"link{delay}_"
    return Case(f"link-{delay}", f"Large over 2.5 Gbit/s, {delay} ms of delay each way", [
        *raw_rows(prefix, "large"),
        mount_row(f"{prefix}cp", "`cp -a` from sstablefs", "sstablefs", "large", f"{prefix}raw", speed(0.95)),
        restore_row(f"{prefix}restore", "`sstablefs restore`", "sstablefs", "large", f"{prefix}raw"),
        mount_row(f"{prefix}cp_juicefs", "`cp -a` from juicefs, tuned", "juicefs", "large", f"{prefix}raw", options=JUICEFS_TUNED, once=True),
        mount_row(f"{prefix}cp_rclone", "`cp -a` from rclone mount, 8 streams", "rclone", "large", f"{prefix}raw", options=RCLONE_TUNED, once=True),
        mount_row(f"{prefix}cp_s3fs", "`cp -a` from s3fs", "s3fs", "large", f"{prefix}raw", once=True),
    ], rate="2500mbit", delay=delay)


def proxy():
    return Case("proxy", "What the proxy of the links costs: large, no limit, no delay", [*raw_rows("proxy_", "large", "raw through the proxy")], last=True)


WALKED = (("ext4", "ext4"), ("sstablefs", "sstablefs"), ("restic", "restic mount"), ("juicefs", "juicefs"))


def walks():
    rows = []
    for what, command in (("find", "find -type f"), ("ls", "ls -lR"), ("du", "du -s")):
        for tool, text in WALKED:
            ours, name = tool in ("ext4", "sstablefs"), f"{what}_{tool}"
            for suffix, state, goal in (("", "cold", 3), ("_warm", "warm", 1)):
                run = None if suffix else lambda w, tool=tool, what=what: actions.walk(w, tool, what, "many")
                rows.append(Row(f"{name}{suffix}", f"`{command}`, {state}: {text}", run, "" if tool == "ext4" else f"{what}_ext4{suffix}",
                                (times(goal),) if tool == "sstablefs" else (), ratio=TIME, peer=not ours, once=not ours, patience=(tool, "many") if tool == "juicefs" else ()))
    return Case("walk", "Names and attributes of 100,000 files", rows)


def warm():
    return Case("warm", "Reading what was read before: large, by cat to nowhere", [
        Row("warm_ext4", "from ext4's page cache", lambda w: actions.read_warm(w, "ext4", "large"), bytes_of="large"),
        Row("warm_ext4_disk", "from ext4, cold", bytes_of="large"),
        Row("warm", "sstablefs, from the page cache", lambda w: actions.read_warm(w, "sstablefs", "large"), "warm_ext4", (speed(0.9),), bytes_of="large"),
        Row("warm_disk", "sstablefs, from its cache on disk", None, "warm_ext4_disk", (speed(0.8),), bytes_of="large"),
    ])


def random_reads():
    rows = []
    for size, text in ((4 << 10, "4 KiB"), (64 << 10, "64 KiB")):
        key = f"random{size >> 10}"
        for suffix, word in (("", "p50"), ("_p99", "p99")):
            run = None if suffix else lambda w: randomread.gets(w, "index")
            rows.append(Row(f"{key}_gets{suffix}", f"two ranged GETs of 128 KiB at once, {word}", run, ratio=TIME, unit="ms"))
        for suffix, word in (("", "p50"), ("_p99", "p99")):
            run = None if suffix else lambda w, size=size: randomread.reads(w, "index", size)
            rows.append(Row(f"{key}{suffix}", f"{text} of Index.db from sstablefs, {word}", run, f"{key}_gets{suffix}", (times(1.3),), ratio=TIME, unit="ms"))
        rows.append(Row(f"{key}_again", f"{text} of Index.db, the same again, p50", None, f"{key}_gets", (no_gets(),), ratio=TIME, unit="ms"))
    return Case("random", "Random reads of an Index.db of 128 MiB, cold", rows)


def memories():
    return Case("memory", "Memory", [
        Row("memory_mount", f"the mount: {STREAMS} `cat` of a file each, and a second `find` of 1.8 million entries",
            lambda w: actions.streams_and_entries(w, "large", STREAMS, ENTRIES), "", (memory(MEMORY_MIB, "mount"),), once=True),
        backup_row("memory_backup", f"{FAST_TEXT}: of 100,000 files", "sstablefs", "many", "", memory(MEMORY_MIB), options=FAST, once=True),
    ])


def medusa():
    def row(name, text, against, *bars, **more):
        return Row(f"cassandra_{name}", text, lambda w: w.stage.backup(name), against, bars, bytes_of="cassandra", **more)

    base = "cassandra_medusa"
    return Case("medusa", "First backup of a real Cassandra node (1.8 GiB, 3,500 files), from a cold page cache", [
        row("medusa", "Medusa 0.31, 16 transfers, 2000 MB/s", "", peer=True, limit=MEDUSA_SECONDS),
        row("fast", FAST_TEXT, base, faster(4, "Medusa", base), requests_part(0.1, "Medusa", base), memory(MEMORY_MIB)),
        row("low", "`sstablefs backup`, 16 connections, all cores, at Medusa's priority", base, once=True),
        row("shipped", "`sstablefs backup`, as shipped", base),
        row("medusa_shipped", "Medusa 0.31, as shipped", base, peer=True, once=True, limit=UPLOAD_SECONDS),
    ], stage=stages.medusa)


def start():
    return Case("start", "Start of Cassandra, cold, until it answers a query", [
        Row("start", "on ext4", lambda w: w.stage.round(), ratio=TIME),
        Row("start_clone", "on `sstablefs clone`, an overlay over the mount", None, "start", (times(1.1),), ratio=TIME),
    ], stage=stages.start)


def node():
    return Case("node", "The synthetic node: 12,000 files, 0.8 GB", [
        Row("node_local", "**`cp -a` from ext4 to ext4**", lambda w: actions.local_copy(w, "node"), bytes_of="node"),
        backup_row("node_backup_fast", FAST_TEXT, "sstablefs", "node", "node_local", options=FAST),
        backup_row("node_backup", "`sstablefs backup`, as shipped", "sstablefs", "node", "node_local"),
        Row("node_again", "unchanged: `sstablefs backup`, as shipped", lambda w: actions.backup_again(w, "sstablefs", "node"), ratio=TIME),
        mount_row("node_cp", "`cp -a` from sstablefs", "sstablefs", "node", "node_local"),
        mount_row("node_tar", "`tar` from sstablefs", "sstablefs", "node", "node_local", how="tar"),
        restore_row("node_restore", "`sstablefs restore`", "sstablefs", "node", "node_local"),
        mount_row("node_narrow", "`cp -a` from sstablefs, memory=64M,cache_size=128M", "sstablefs", "node", "node_local", options=WIDE),
    ], last=True)


def all_cases():
    return [large(), small(), uploads(), over_link(0), walks(), small_uploads(), random_reads(), warm(), medusa(), start(), memories(), over_link(1),
            over_link(20), proxy(), node(), small_peers()]
