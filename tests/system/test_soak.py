# SPDX-License-Identifier: Apache-2.0
"""Mixed load on one mount, as long as SSTABLEFS_SOAK_SECONDS says (30 minutes with SSTABLEFS_LONG=1): what the daemon holds must stay flat.

Copies, listings, random reads, restores and backups go on side by side; backups come and go, so the mount refreshes, invalidates and
evicts all the time. Memory (RssAnon + RssShmem), descriptors, threads and the size of the index are sampled; in the second half none
may grow by more than GROWTH says. The curve is printed.
"""

import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import LONG, in_threads
from load import Load, make_node
from test_memory import BESIDE, memory_of, release, release_binary  # noqa: F401  (fixtures)
from trees import MIB, files_below

SECONDS = int(os.environ.get("SSTABLEFS_SOAK_SECONDS") or (1800 if LONG else 8))
MEMORY = 64  # MiB
EVERY_SECONDS = SECONDS / 200
# What the median of the last quarter may exceed that of the third by: samples of a mixed load scatter by this much.
GROWTH = {"memory": 6.0, "descriptors": 6, "threads": 8, "index": 1.0, "cache": 8.0}


@dataclass
class Sample:
    seconds: float
    memory: float  # MiB
    descriptors: int
    threads: int
    index: float  # MiB, of both LMDB files on disk
    cache: float  # MiB, of the whole cache directory on disk


def on_disk(paths):
    total = 0
    for path in paths:
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:
            pass
    return total / MIB


def sample(mount, cache, began):
    process = Path(f"/proc/{mount.pid}")
    return Sample(time.monotonic() - began, memory_of(mount.pid), len(list((process / "fd").iterdir())),
                  len(list((process / "task").iterdir())), on_disk(cache.glob("*.mdb")), on_disk(cache.iterdir()))


@pytest.fixture
def node(tmp_path):
    """Three tables of 40 SSTables, together more than memory and cache hold."""
    return make_node(tmp_path / "node", sstables=40 if SECONDS >= 60 else 12)


def curve(samples):
    """Ten lines, and where it began and ended."""
    shown = samples[::max(1, len(samples) // 12)] + samples[-1:]
    return "\n".join(f"{s.seconds:6.0f} s  {s.memory:6.1f} MiB  {s.descriptors:3} descriptors  {s.threads:3} threads"
                     f"  index {s.index:5.2f} MiB  cache {s.cache:6.1f} MiB" for s in shown)


def grown(samples, field):
    """The median of the last quarter less that of the third."""
    values = [getattr(s, field) for s in samples]
    quarter = len(values) // 4
    return statistics.median(values[-quarter:]) - statistics.median(values[-2 * quarter:-quarter])


@pytest.mark.timeout(SECONDS + 600)
def test_nothing_grows_under_mixed_load(release, minio_server, node, tmp_path):  # noqa: F811
    release.environment.update(minio_server.environment())
    bucket = minio_server.make_bucket()
    repository = release.repository(minio_server.url(bucket)).init()
    repository.backup(node.data, "t0")
    with repository.mount(f"memory={MEMORY}M", "cache_size=128M", "refresh=1") as mount:
        load = Load(repository, mount, node, minio_server, bucket, tmp_path, ["--memory", f"{MEMORY}M"])
        cache, samples, began = Path(mount.status()["cache"]), [], time.monotonic()

        def watch():
            while not load.over.wait(EVERY_SECONDS):
                samples.append(sample(mount, cache, began))
                if samples[-1].seconds > SECONDS:
                    load.over.set()

        in_threads([watch, *load.functions(load.copy, load.list, load.read, load.read, load.restore, load.back_up)])
        print(f"{SECONDS} s: {load.done}\n{curve(samples)}")
        assert len(list(files_below(mount.data("t0")))) == len(load.expected)
    growth = {field: round(grown(samples, field), 2) for field in GROWTH}
    print(f"the last quarter less the third: {growth}")
    assert max(s.memory for s in samples) <= MEMORY + BESIDE
    if SECONDS >= 600:  # a shorter run is still filling its caches
        assert all(growth[field] <= most for field, most in GROWTH.items()), growth
