# SPDX-License-Identifier: Apache-2.0
"""How soon Cassandra answers on a clone of its backup, and what was fetched until then, against `cp -a` and start.

A node is filled with rows whose values a function gives, and backed up whole to MinIO. The node is down when it is started three times, each time with an empty page cache:
on its own directories (what a start alone takes), on `sstablefs clone` of the backup, and on a copy that `cp -a` makes of the backup's data/ from a mount; these two with
empty caches of their own. The clock runs from the command to the answer of the first query. Then every row is read, and compared with the function.

--sparse-gib adds a second table of large blobs of zeros, uncompressed: one SSTable that Cassandra wrote, and copies of it under generations of their own with holes for the zeros,
which `nodetool refresh` makes Cassandra load. Each is whole and can be read; in the backup they are one file. One row of them is read, which all of them hold.

All lies below $TMPDIR, which must not be on overlayfs.
"""

import os
import re
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

import measure
import place
import real
from harness import run, wait_until
from real import GIB, LIMIT_SECONDS, MIB

KEYSPACE = "clonebench"
ROWS, ZEROS = f"{KEYSPACE}.rows", f"{KEYSPACE}.zeros"
ZERO_BYTES, ZERO_ROWS = 4 << 20, 64
BACKUP = "b"


# ---- what the node holds ----

def fill(node, count):
    place.create_keyspace(node, KEYSPACE)
    real.create_table(node, ROWS)
    real.insert(node, ROWS, range(count))
    node.nodetool("flush", KEYSPACE)


def free_generation(name, taken):
    """The name of a component under the next generation: nb-7-big-Data.db, or da-7-bti-Data.db."""
    version, _, rest = name.split("-", 2)
    return f"{version}-{taken}-{rest}"


def fill_sparse(node, size):
    """A table of at least this size of zeros. The number of its SSTables."""
    node.cql(f"CREATE TABLE {ZEROS} (id int PRIMARY KEY, v blob) WITH compression = {{'enabled': false}} "
             "AND compaction = {'class': 'SizeTieredCompactionStrategy', 'enabled': false}")
    insert = node.connect().prepare(f"INSERT INTO {ZEROS} (id, v) VALUES (?, ?)")
    for key in range(ZERO_ROWS):
        node.connect().execute(insert, (key, bytes(ZERO_BYTES)))
    node.nodetool("flush", KEYSPACE)
    node.nodetool("compact", KEYSPACE, "zeros")
    directory, = node.table_directories(KEYSPACE, "zeros")
    wait_until(lambda: len(list(directory.glob("*-Data.db"))) == 1, 120, "Cassandra removes what it has compacted")
    first, = directory.glob("*-Data.db")
    files = list(directory.glob(first.name.removesuffix("Data.db") + "*"))
    count = -(-size // first.stat().st_size)
    begin = 1 + max(int(path.name.split("-")[1]) for path in directory.glob("*-Data.db"))
    for number in range(begin, begin + count - 1):
        for path in files:
            run("cp", "--sparse=always", "--preserve=all", path, directory / free_generation(path.name, number))
    node.nodetool("refresh", KEYSPACE, "zeros", timeout=LIMIT_SECONDS)
    found = len(list(directory.glob("*-Data.db")))
    if found != count:
        raise measure.Failed(f"Cassandra loaded {found} of {count} SSTables of zeros")
    return count


def check(node, rows, zeros):
    """Reads every row of the function and compares it; of the zeros one, which every SSTable of them has. Seconds."""
    begun = time.monotonic()
    real.check_rows(node, [ROWS], rows)
    if zeros and [row.v for row in node.cql(f"SELECT v FROM {ZEROS} WHERE id = 0")] != [bytes(ZERO_BYTES)]:
        raise measure.Failed("the row of zeros is not what was written")
    return time.monotonic() - begun


# ---- the ways to start ----

class Bench:
    def __init__(self, node, repository, directory, rows, zeros, traced):
        self.node, self.repository, self.directory = node, repository, directory
        self.rows, self.zeros, self.traced = rows, zeros, traced
        self.results, self.dropped = {}, True

    def options(self, name):
        (self.directory / name).mkdir()
        words = [f"cache_dir={self.directory / name / 'cache'}"]
        return [*words, f"trace={self.trace(name)}"] if self.traced else words

    def trace(self, name):
        return self.directory / name / "trace"

    def operations(self, name):
        """How many operations of each kind the kernel asked of the mount so far. One that waits has a second line when it is done."""
        lines = self.trace(name).read_text(errors="replace").splitlines()
        return Counter(line.split()[0] for line in lines if not line.endswith("= waits"))

    def answer(self):
        """The first query."""
        key = self.rows // 2
        (value,), = self.node.cql(f"SELECT v FROM {ROWS} WHERE id = {key}")
        if value != real.value_of(key):
            raise measure.Failed(f"the row {key} is not what was written")

    def start(self, name, yaml, prepared, mount):
        """Starts the node, asks, and reads all. prepared: when the clock began, and what was done by then in how many seconds."""
        begun, before = prepared
        with real.running_on(self.node, self.directory / name, yaml):
            self.answer()
            result = self.results[name] = {"before": before, "seconds": time.monotonic() - begun}
            if mount:
                result.update(fetched=fetched(mount))
                if self.traced:
                    result.update(operations=self.operations(name))
            print(f"{name}: {result}", file=sys.stderr, flush=True)
            result["read_seconds"] = check(self.node, self.rows, self.zeros)
            if mount:
                result["fetched_in_all"] = fetched(mount)
            self.node.drain()

    def drop_caches(self):
        self.dropped &= real.drop_caches(self.node)
        return time.monotonic()

    def own(self):
        (self.directory / "own").mkdir()
        begun = self.drop_caches()
        self.start("own", {}, (begun, 0.0), None)

    def clone(self):
        """Returns the lines of cassandra.yaml that it takes; a copy takes the same, but for the directory."""
        where, options = self.directory / "clone" / "data", self.options("clone")
        begun = self.drop_caches()
        made = self.repository.json("clone", BACKUP, "--node", place.node_name(self.node), "--cluster", place.CLUSTER, "-o", ",".join(options), where,
                                    timeout=LIMIT_SECONDS)
        try:
            self.start("clone", made["yaml"], (begun, time.monotonic() - begun), Path(f"{where}.sstablefs/backup"))
            self.results["clone"]["upper"] = sum(path.lstat().st_blocks * 512 for path in Path(made["upper"]).rglob("*"))
        finally:
            self.repository.program("clone", "--undo", where)
        return made["yaml"]

    def copy(self, yaml):
        where, options = self.directory / "copy" / "data", self.options("copy")
        begun = self.drop_caches()
        with self.repository.mount("ro", *options) as mount:
            run("cp", "-a", mount.data(BACKUP, place.node_name(self.node), place.CLUSTER), where, timeout=LIMIT_SECONDS)
            self.start("copy", {**yaml, "data_file_directories": [str(where)]}, (begun, time.monotonic() - begun), mount.path)
        shutil.rmtree(where)


def fetched(mount):
    """Bytes that the mount has had from the store, its own catalogue included."""
    return int(re.search(r'^sstablefs_store_bytes_total\{direction="in"\} (\d+)$', (mount / ".sstablefs/metrics").read_text(), re.MULTILINE)[1])


# ---- what is printed ----

def table(results):
    names = {"own": "its own directories", "clone": "`sstablefs clone`", "copy": "`cp -a` from a mount"}
    lines = ["| Cassandra starts on | ready to start after s | first query answered after s | MiB fetched until then | all rows read in s | MiB fetched in all |", "|---" * 6 + "|"]
    for name, result in results.items():
        sizes = [f"{result[key] / MIB:.1f}" if key in result else "" for key in ("fetched", "fetched_in_all")]
        lines.append(f"| {names[name]} | {result['before']:.1f} | {result['seconds']:.1f} | {sizes[0]} | {result['read_seconds']:.1f} | {sizes[1]} |")
    clone, copy = results["clone"], results["copy"]
    lines.append(f"\nclone against cp -a, in this run: {clone['seconds'] / copy['seconds']:.3f} of the seconds until the first answer, "
                 f"{clone['fetched'] / copy['fetched']:.4f} of the bytes; {clone['upper'] / MIB:.1f} MiB lie in the clone's upper directory")
    for name in names:
        if "operations" in results[name]:
            operations = ", ".join(f"{kind} {count}" for kind, count in results[name]["operations"].most_common())
            lines.append(f"operations of the mount until the first answer, {names[name]}: {operations}")
    return "\n".join(lines)


def measured(site):
    """Fills the node, backs it up, and takes each way."""
    arguments, directory, node = site.arguments, site.directory, site.node
    needed = 4 * arguments.mib * MIB + (arguments.sparse_gib + 1) * GIB
    if shutil.disk_usage(directory).free < needed:
        raise measure.Failed(f"{directory} has less than {needed >> 30} GiB free; set TMPDIR")
    rows, zeros = arguments.mib * MIB // real.ROW_BYTES, 0
    fill(node, rows)
    if arguments.sparse_gib:
        zeros = fill_sparse(node, arguments.sparse_gib * GIB)
    repository = site.repository()
    node.nodetool("snapshot", "-t", BACKUP)
    made = repository.backup(node.data_directories, BACKUP, node=place.node_name(node), cluster=place.CLUSTER, timeout=LIMIT_SECONDS)
    node.nodetool("clearsnapshot", "-t", BACKUP)
    node.drain()
    bench = Bench(node, repository, directory, rows, zeros, arguments.trace)
    bench.own()
    bench.copy(bench.clone())
    return bench, made, zeros


def main():
    parser = real.parser("clone", __doc__, mib=256, rounds=0)
    parser.add_argument("--sparse-gib", type=int, default=0, help="of zeros beside them (default 0)")
    parser.add_argument("--trace", action="store_true", help="count the operations of the mount too, which takes time")
    arguments = parser.parse_args()
    if os.geteuid():
        raise measure.Failed("only root can clone")
    with real.site("clone", arguments) as site:
        bench, made, zeros = measured(site)
        print(table(bench.results))
    print(f"\nThe backup: {made['total_bytes'] / GIB:.2f} GiB in {made['files']} files, {bench.rows} rows" + (f", {zeros} SSTables of zeros" if zeros else "")
          + f". {site.about('the node, MinIO, the mount and the reader')}" + ("" if bench.dropped else "; the page cache could not be dropped"))


if __name__ == "__main__":
    real.run("clone", main)
