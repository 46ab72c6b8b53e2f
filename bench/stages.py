# SPDX-License-Identifier: Apache-2.0
"""Stages: what a case sets up once for all its rounds and takes down after them. Here the nodes of real Cassandra, of bench/medusa and bench/start."""

import argparse
import contextlib
import os
import shutil

import measure

MEDUSA_MIB, START_MIB = 1800, 256
TABLES, FLUSHES = 40, 10  # SSTables of 8 files: some 3,500 files with Cassandra's own


@contextlib.contextmanager
def site(name):
    """real.Site, where Cassandra is on this machine."""
    if "SSTABLEFS_CASSANDRA_5_0" not in os.environ:
        raise measure.NotHere("Cassandra is not on this machine")
    import real  # it wants the driver
    with real.site(name, argparse.Namespace(version="5.0", heap="1G", own_snapshot=False)) as made:
        yield made


def amount(world, mib):
    """(MiB of rows, tables, flushes) at the run's scale."""
    return max(8, int(mib * world.scale)), max(4, int(TABLES * min(1, world.scale * 2))), max(2, int(FLUSHES * min(1, world.scale * 2)))


class Backups:
    """First backups of one snapshot, as bench/medusa makes them."""

    def __init__(self, world, bench):
        self.world, self.bench = world, bench

    def backup(self, name):
        return self.bench.row(name, self.world.round, self.world.limit)


@contextlib.contextmanager
def medusa(world):
    if not os.environ.get("SSTABLEFS_BENCH_MEDUSA"):
        raise measure.NotHere("Medusa is not on this machine")
    with site("medusa") as made:
        import medusa as bench_medusa
        import real
        mib, tables, flushes = amount(world, MEDUSA_MIB)
        real.fill(made.node, bench_medusa.KEYSPACE, tables, flushes, mib * real.MIB // real.ROW_BYTES)
        bench = bench_medusa.Bench(made)
        world.sizes["cassandra"] = len(bench.files), bench.bytes
        yield Backups(world, bench)


class Starts:
    """Starts of a node on its restored files and on a clone, as bench/start makes them."""

    def __init__(self, world, bench):
        self.world, self.bench = world, bench

    def round(self):
        """Both, every second round the other way round."""
        found = {}
        for way in ("disk", "clone") if self.world.round % 2 else ("clone", "disk"):
            directory = self.bench.site.directory / f"{way}{self.world.round}"
            directory.mkdir()
            getattr(self.bench, way)(directory)
            shutil.rmtree(directory)
            result = self.bench.results[way][-1]
            mount = {"mount": result["mount_cpu"]} if "mount_cpu" in result else {}
            more = {key: result[key] for key in ("fetched", "clone") if key in result}
            found["" if way == "disk" else "_clone"] = measure.Sample(result["seconds"], result["cpu"], 0, mount, foreign=result["foreign"], more=more)
        return found


@contextlib.contextmanager
def start(world):
    if os.geteuid():
        raise measure.NotHere("only root can clone")
    with site("start") as made:
        import real
        import start as bench_start
        mib, tables, flushes = amount(world, START_MIB)
        rows = mib * real.MIB // real.ROW_BYTES
        bench = bench_start.Bench(made, real.fill(made.node, bench_start.KEYSPACE, tables, flushes, rows), rows)
        world.sizes["start"] = bench.made["files"], bench.made["total_bytes"]
        yield Starts(world, bench)
