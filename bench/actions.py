# SPDX-License-Identifier: Apache-2.0
"""What rows do: each function takes the World and returns a Sample, or {suffix of a row's name: Sample} where one run fills several rows."""

import contextlib
import os
import shutil

import measure
import tools
from world import remove_bucket

CONNECTIONS = 16
RANGE_BYTES = 8 << 20
ENTRIES_OF_TABLE = 3600  # of 8 to an SSTable


def tool_of(world, name):
    tool = tools.ALL[name](world)
    if why := tool.missing():
        raise measure.NotHere(why)
    return tool


@contextlib.contextmanager
def target(world, files):
    """A fresh directory to copy into, gone afterwards."""
    path = world.fresh("copy")
    try:
        yield path
    finally:
        world.discard(path, files)


def synced(path):
    return ["sync", "-f", path]


# ---- copies out of the store ----

def curl_lines(world, bucket, objects, where):
    """Objects in ranges, each to a file of its own."""
    for number, (key, size) in enumerate(objects.items()):
        url = world.server.client().generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})
        for at in range(0, max(size, 1), RANGE_BYTES):
            yield "" if not number and not at else "next\n"
            yield f'url = "{url}"\noutput = "{where}/{number}.{at // RANGE_BYTES}"\nsilent\nfail\n'
            if size > RANGE_BYTES:
                yield f'range = "{at}-{min(at + RANGE_BYTES, size) - 1}"\n'


def raw(world, client, name):
    """The objects that sstablefs stored, fetched by a client that knows nothing of what is in them."""
    files, sstablefs = world.set(name), tool_of(world, "sstablefs")
    bucket = sstablefs.store(files)["bucket"]
    objects, prefix = sstablefs.objects(files)
    with target(world, files) as where:
        if client == "curl":
            configuration = world.work / "curl.conf"
            configuration.write_text("".join(curl_lines(world, bucket, objects, where)))
            words = ["curl", "-q", "-Z", "--parallel-max", str(CONNECTIONS), "-K", configuration]
        else:
            words = tool_of(world, "s5cmd").words("cp", f"s3://{bucket}/{prefix}*", f"{where}/")
        sample, _ = world.time(*words, after=synced(where))
        got = sum(path.stat().st_size for path in where.rglob("*") if path.is_file())
        if got != sum(objects.values()):
            raise measure.Failed(f"{got} bytes came of {sum(objects.values())}")
    return sample


def copy_from(world, files, source, pid, how="cp"):
    with target(world, files) as where:
        words = ["cp", "-a", source, where / "data"] if how == "cp" else [
            "bash", "-c", 'set -o pipefail; mkdir "$1" && tar -C "$0" -cf - . | tar -C "$1" -xpf -', source, where / "data"]
        sample, _ = world.time(*words, mount=pid, after=synced(where))
        files.verify(where / "data", world.whole)
    return sample


def copy_from_mount(world, name, set_name, *options, how="cp"):
    files = world.set(set_name)
    with tool_of(world, name).mount(files, *options) as (source, pid):
        return copy_from(world, files, source, pid, how)


def local_copy(world, set_name):
    files = world.set(set_name)
    return copy_from(world, files, files.top, None)


def restore(world, name, set_name):
    files = world.set(set_name)
    with target(world, files) as where:
        words, environment, found = tool_of(world, name).restore(files, where)
        sample, _ = world.time(*words, environment=environment, after=synced(where))
        files.verify(found, world.whole)
    return sample


# ---- into the store ----

def backup(world, name, set_name, *options):
    """A first backup. What it stored serves the rows that read, where nothing did so yet."""
    files, tool, samples = world.set(set_name), tool_of(world, name), []

    def run(*words, environment=None):
        sample, out = world.time(*words, environment=environment)
        samples.append(sample)
        return out

    stored = tool.upload(files, run, *options)
    if world.stored.setdefault(tool.key(files), stored) is not stored:
        remove_bucket(world.server, stored["bucket"])
    return samples[0]


def backup_again(world, name, set_name, *options):
    """Nothing has changed, and the files are in the page cache, as the small ones of a node that is in use are."""
    files, tool = world.set(set_name), tool_of(world, name)
    tool.store(files)
    read_all(world, files.top, None, True)
    sample, _ = tool.again(files, lambda *words, environment=None: world.time(*words, environment=environment, cold=False), *options)
    return sample


# ---- names and attributes ----

WALKS = {"find": ("find",), "ls": ("ls", "-lR"), "du": ("du", "-s")}


def walk(world, name, what, set_name):
    """Cold, and then at once again."""
    files = world.set(set_name)
    with contextlib.nullcontext((files.top, None)) if name == "ext4" else tool_of(world, name).mount(files) as (top, pid):
        words = [WALKS[what][0], *WALKS[what][1:], str(top)]
        if what == "find":
            words += ["-type", "f"]
        cold, out = world.time(*words, mount=pid)
        if what == "find" and len(out.splitlines()) != len(files.files):
            raise measure.Failed(f"find saw {len(out.splitlines())} files of {len(files.files)}")
        warm, _ = world.time(*words, mount=pid, cold=False)
    return {"": cold, "_warm": warm}


# ---- reads ----

def read_all(world, top, pid, cold):
    return world.time("sh", "-c", 'find "$0" -type f -print0 | xargs -0 cat >/dev/null', top, mount=pid, cold=cold)[0]


def read_warm(world, name, set_name):
    """What was read before: from the page cache; and from the tool's cache on disk, the page cache having been dropped."""
    files = world.set(set_name)
    if name == "ext4":
        disk = read_all(world, files.top, None, True)
        return {"": read_all(world, files.top, None, False), "_disk": disk}
    with tool_of(world, name).mount(files, f"cache_size={2 * files.bytes + (1 << 30)}") as (top, pid):
        # An object goes to the cache disk when it is read from the store for the second time.
        for _ in range(2):
            read_all(world, top, pid, True)
        disk = read_all(world, top, pid, True)
        return {"": read_all(world, top, pid, False), "_disk": disk}


def store_entries(world, files, count):
    """A repository in a bucket with one backup of so many small files (scale_history), and one of `files`: its URL."""
    key = ("entries", files.name)
    if key not in world.stored:
        program = os.environ.get("SSTABLEFS_BENCH_HISTORY", "")
        if not os.access(program, os.X_OK):
            raise measure.NotHere("scale_history is not built")
        tool, directory, bucket = tools.Sstablefs(world), world.fresh("history") / "r", world.bucket("entries", files)
        world.call(program, directory, count, 1, 0, max(1, count // ENTRIES_OF_TABLE))
        client = world.server.client()
        for path in (path for path in directory.rglob("*") if path.is_file()):
            client.upload_file(str(path), bucket, f"r/{path.relative_to(directory)}")
        shutil.rmtree(directory.parent)
        url = world.server.url(bucket, "r")
        world.call(*tool.backup_words(files, url, "first", *tools.FAST), environment=tool.surroundings(tools.FAST_SETTINGS))
        world.stored[key] = url
    return world.stored[key]


WALK_AND_STREAM = """n=$(find "$1" -type f | wc -l) && [ "$n" -eq "$2" ] || { echo "find saw $n files of $2" >&2; exit 1; }
find "$1" -type f >/dev/null & walk=$!; shift 2
cats=; for f; do cat "$f" >/dev/null & cats="$cats $!"; done
for cat in $cats; do wait "$cat" || exit 1; done; kill "$walk" 2>/dev/null || true"""


def streams_and_entries(world, set_name, count, entries):
    """The kernel, and so the mount, knows of all entries; then so many readers of a file each, and one that walks them again, at once."""
    files, entries = world.set(set_name), max(ENTRIES_OF_TABLE, int(entries * world.scale) // ENTRIES_OF_TABLE * ENTRIES_OF_TABLE)
    tool = tool_of(world, "sstablefs")
    with tool.mount_of(store_entries(world, files, entries)) as (top, pid):
        large = top / tools.CLUSTER / "nodes/n1/first/data"
        names = [large / name for name in files.component("-Data.db")[:count]]
        return world.time("sh", "-c", WALK_AND_STREAM, "sh", top / "c1/nodes/n1/latest/data", entries, *names, mount=pid)[0]
