# SPDX-License-Identifier: Apache-2.0
"""How costs grow from 1x to 100x: a backup by all cores, `restore`, `cp -a` from a fresh mount, and `cp -a` on the local disk, each once, from a cold page cache.

size: one SSTable, whose Data.db is 10 MB to 1 GB. files: 600 to 60,000, of 5 kB in the middle. streams: the same 64 files of 16 MB, read by 1 to 64 `cat` at once.
What was copied is compared with its source, names and sizes.
"""

import argparse
import shutil
import signal
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import actions
import data
import servers
import tools
from node import BIG, Node
from world import World

SIZES_MB = (10, 32, 100, 320, 1000)
FILES = (600, 2_000, 6_000, 20_000, 60_000)
STREAMS = (1, 2, 4, 8, 16, 32, 64)
STREAMED = (64, 16 << 20)  # files, bytes of each
MB = 10**6
WORK = {"backup": lambda w, name: actions.backup(w, "sstablefs", name, *tools.FAST), "restore": lambda w, name: actions.restore(w, "sstablefs", name),
        "cp from the mount": lambda w, name: actions.copy_from_mount(w, "sstablefs", name), "cp on ext4": actions.local_copy}


def add_set(world, name, *node, **more):
    directory = world.work / f"set-{name}"
    world.sets[name] = data.Set(name, directory, Node(str(directory), 1, *node, **more))
    return world.sets[name]


def curve(world, what, points, make):
    """[(amount, {work: Sample})]"""
    found = []
    for amount in points:
        name = f"{what}{amount}"
        files = make(name, amount)
        samples = {work: function(world, name) for work, function in WORK.items()}
        found.append((amount, len(files.files), files.bytes, samples))
        print(f"{what} {amount}: " + ", ".join(f"{work} {sample.seconds:.2f} s" for work, sample in samples.items()), file=sys.stderr, flush=True)
    return found


def table(title, unit, found):
    """Seconds, and what one more of the unit costs between a point and the one before: the slope, which is the same all along where the cost is linear."""
    lines = [f"{title}:", "", f"| {unit} | " + " | ".join(f"{work}, s (CPU s)" for work in WORK) + " | ms for each more: " + ", ".join(WORK) + " |", "|---" * (len(WORK) + 2) + "|"]
    before = None
    for amount, _, _, samples in found:
        slopes = "" if before is None else ", ".join(
            f"{1000 * (samples[work].seconds - before[1][work].seconds) / (amount - before[0]):.2f}" for work in WORK)
        lines.append(f"| {amount:,} | " + " | ".join(f"{s.seconds:.2f} ({s.cpu + s.others_cpu.get('mount', 0):.2f})" for s in samples.values()) + f" | {slopes} |")
        before = amount, samples
    return "\n".join(lines)


def read_streams(world, files, count):
    """All files once, by so many readers at once."""
    with tools.Sstablefs(world).mount(files) as (top, pid):
        names = "\n".join(str(top / name) for name in files.component("-Data.db"))
        return world.time("sh", "-c", 'printf "%s\\n" "$1" | xargs -P "$0" -n 1 cat >/dev/null', count, names, mount=pid)[0]


def streams(world, count, size):
    files = add_set(world, "streams", count * len(BIG), small_tables=1, sizes=(size, size + 1))
    total = sum(files.files[name][1] for name in files.component("-Data.db"))
    found = []
    for number in STREAMS:
        sample = read_streams(world, files, number)
        found.append((number, sample))
        print(f"streams {number}: {sample.seconds:.2f} s", file=sys.stderr, flush=True)
    lines = [f"Readers of {count} files, {total / MB:.0f} MB in all:", "", "| readers | s | MB/s | of one reader | CPU s of the mount | peak MiB of the mount | GETs |", "|---" * 7 + "|"]
    for number, s in found:
        lines.append(f"| {number} | {s.seconds:.2f} | {total / MB / s.seconds:.0f} | {found[0][1].seconds / s.seconds:.2f} | {s.others_cpu['mount']:.2f} | "
                     f"{s.others_memory['mount'] >> 20} | {s.requests.get('GetObject', 0)} |")
    return "\n".join(lines), found


def draw(path, curves, readers):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(1, len(curves) + 1, figsize=(5 * (len(curves) + 1), 4))
    for axis, (unit, found) in zip(axes, curves.items()):
        for work in WORK:
            axis.plot([amount for amount, *_ in found], [samples[work].seconds for *_, samples in found], marker="o", label=work)
        axis.set(xscale="log", yscale="log", xlabel=unit, ylabel="s")
        axis.legend()
    axes[-1].plot([number for number, _ in readers], [sample.seconds for _, sample in readers], marker="o")
    axes[-1].set(xscale="log", xlabel="readers at once, of the same bytes", ylabel="s", ylim=(0, None))
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(prog="bench/scale/grow", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=Fraction, default=Fraction(1), help="of all sizes and counts (default 1)")
    parser.add_argument("--directory", help="where to work, not on overlayfs (default: a temporary one)")
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    tempfile.tempdir = arguments.directory or tempfile.tempdir
    work = tempfile.mkdtemp(prefix="sstablefs-grow-")
    try:
        with servers.minio() as server:
            world = World(work, server, arguments.scale, True, "")
            world.whole = False

            def scaled(points, least):
                return sorted({max(least, int(point * arguments.scale)) for point in points})

            def one_file(name, megabytes):
                return add_set(world, name, len(BIG), small_tables=1, sizes=(megabytes * MB, megabytes * MB + 1))

            def many_files(name, count):
                return add_set(world, name, count, small_tables=max(1, count // 1000), sizes=(5_000, 60_000))

            curves = {"MB of one file": curve(world, "size", scaled(SIZES_MB, 1), one_file), "files": curve(world, "files", scaled(FILES, 80), many_files)}
            text, readers = streams(world, STREAMED[0], max(1 << 16, int(STREAMED[1] * arguments.scale)))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(table("One SSTable", "MB", curves["MB of one file"]), table("Small files", "files", curves["files"]), text, sep="\n\n")
    if not world.caches_dropped:
        print("\nThe page cache could not be dropped.")
    if arguments.plot:
        draw(arguments.plot, curves, readers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
