# SPDX-License-Identifier: Apache-2.0
"""Writes the tables of docs/tools.md: which operations each tool of Cassandra issues on the mount. Takes minutes; by hand:

    tests/cassandra/run --nodes 0 -- python tests/cassandra/tools_table.py [5.0] [4.1]

SSTABLEFS_BINARY names the program, as for the tests. Each tool has a mount of its own with a trace; counted is what concerns the
directory of the table and the files in it. Where a tool loads, rows are counted too, or the figures would be of a failure.
"""

import collections
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from cassandra_nodes import VERSIONS, Cluster, ToolError

import harness
import place
from test_recipes import RECIPES

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/tools.md"
KEYSPACE = "medusa_test"
ROWS = {f"id{i}": f"name {i}" for i in range(4)}
LINE = re.compile(r"(?P<kind>\w+) (?P<inode>\d+) (?P<what>.*?)(?: > \d+ (?P<to>\S+))? = (?P<result>\w+)(?: (?P<found>\d+))?")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PREFIX = re.compile(r"^\S*?-(?=[A-Z][A-Za-z]+\.)")  # of a component's name
LISTING = ("opendir", "readdir", "readdirplus")
NAMING = ("create", "link", "mkdir", "rename", "unlink")
COLUMNS = ("lookup", "getattr", "list", "open", "read", "link", "unlink", "create", "rename", "write", "setattr")


class Table:
    """A table in a mounted backup: what numbers it has there, which are those of every mount."""

    def __init__(self, mount, node, backup, name):
        directory, = (mount.data(backup, place.node_name(node), place.CLUSTER) / KEYSPACE).glob(f"{name}-*")
        self.name, self.inode = name, directory.stat().st_ino
        self.path = directory.relative_to(mount.path)
        self.files = {path.stat().st_ino: path for path in directory.iterdir() if path.is_file()}
        self.sizes = {inode: path.stat().st_size for inode, path in self.files.items()}
        self.data, = (path.name for path in self.files.values() if path.name.endswith("-Data.db"))

    def __str__(self):
        parts = sorted((PREFIX.sub("", path.name), self.sizes[inode]) for inode, path in self.files.items())
        return (f"`{self.name}` has {len(parts)} components of {sum(self.sizes.values())} bytes together: "
                f"{', '.join(f'{name} {size}' for name, size in parts)}.")


class Count:
    """The operations of a trace on a table."""

    def __init__(self, table, lines):
        self.table = table
        self.kinds, self.failed, self.names = collections.Counter(), collections.Counter(), collections.defaultdict(set)
        self.read, self.written = collections.Counter(), 0  # bytes; read of each inode
        self.own = {}  # what was made in the mount: its size
        for line in lines:
            if not line.endswith(" = waits"):  # its result follows
                self._add(LINE.fullmatch(line).groupdict())

    def _add(self, op):
        inode, kind = int(op["inode"]), op["kind"]
        if inode != self.table.inode and inode not in self.table.files and inode not in self.own:
            return
        self.kinds["list" if kind in LISTING else kind] += 1
        if op["result"] != "ok":
            self.failed[f"{kind}: {op['result']}"] += 1
        elif kind == "write":
            offset, size = map(int, op["what"].split())
            self.own[inode] = max(self.own[inode], offset + size)
            self.written += size
        elif kind == "read":  # the kernel asks for whole pages
            offset, size = map(int, op["what"].split())
            end = self.table.sizes.get(inode, self.own.get(inode))
            self.read[inode] += max(0, min(size, end - offset))
        elif kind in NAMING:
            name = op["to"] if kind == "link" else op["what"]
            self.names[kind].add(PREFIX.sub("", UUID.sub("UUID", name)))
            if kind == "create":
                self.own[int(op["found"])] = 0

    def row(self):
        data, = (inode for inode, path in self.table.files.items() if path.name == self.table.data)
        failed = {what: n for what, n in self.failed.items() if what != "lookup: ENOENT"}
        others = {**{kind: n for kind, n in self.kinds.items() if kind not in COLUMNS}, **failed}
        cells = [*(self.kinds[kind] for kind in COLUMNS), sum(self.read.values()),
                 f"{self.read[data] / self.table.sizes[data]:.3g}", self.written,
                 ", ".join(f"{what} {n}" for what, n in sorted(others.items()))]
        return ["–" if cell in (0, "0", "") else str(cell) for cell in cells]

    def changes(self):
        return "; ".join(f"{kind} {', '.join(sorted(names))}" for kind, names in sorted(self.names.items()))


class Bench:
    """A node with three tables of 4 rows in one SSTable each, and its whole backup."""

    def __init__(self, node, repository, backups):
        self.node, self.repository = node, repository
        self.release, = (row.release_version for row in node.cql("SELECT release_version FROM system.local"))
        place.create_keyspace(node, KEYSPACE)
        for name, more in (("users", ""), ("users64", " WITH min_index_interval = 64"),
                           ("levelled", " WITH compaction = {'class': 'LeveledCompactionStrategy'}")):
            node.cql(f"CREATE TABLE {KEYSPACE}.{name} (id text PRIMARY KEY, name text){more}")
            self._fill(name, 2 if name == "levelled" else 1)
        # One SSTable of level 1, or sstablelevelreset has nothing to do.
        node.nodetool("compact", KEYSPACE, "levelled")
        backup = backups.take(node)
        self.tables = {name: Table(backups.mount, node, backup, name) for name in ("users", "users64", "levelled")}
        self.backup = self.tables["users"].path.parents[2]

    def _fill(self, name, flushes):
        for part in range(flushes):
            for row in list(ROWS.items())[part::flushes]:
                self.node.cql(f"INSERT INTO {KEYSPACE}.{name} (id, name) VALUES (%s, %s)", row)
            self.node.nodetool("flush", KEYSPACE, name)

    def measure(self, tool, name="users", loads=True):
        """What `tool` does on a fresh mount: the Count, how many rows it brought back, and whether it does it with -o ro."""
        trace = self.repository.program.directory / "trace"
        rows = self._run(tool, name, loads, trace)
        assert rows == (ROWS if loads else None), rows
        lines = trace.read_text().splitlines()
        try:
            read_only = self._run(tool, name, loads, trace, "ro") == rows
        except (AssertionError, ToolError, subprocess.CalledProcessError) as failure:
            print("with -o ro:", str(failure).splitlines()[0], file=sys.stderr)
            read_only = False
        return Count(self.tables[name], lines), f"{len(rows)} rows" if loads else "–", "yes" if read_only else "**no**"

    def _run(self, tool, name, loads, trace, *options):
        """The rows of the table afterwards, where the tool loads any; they are truncated before."""
        if loads:
            self.node.cql(f"TRUNCATE {KEYSPACE}.{name}")
        with self.repository.mount(f"trace={trace}", *options) as mount:
            trace.write_text("")
            tool(mount.path / self.tables[name].path)
        return dict(self.node.cql(f"SELECT id, name FROM {KEYSPACE}.{name}")) if loads else None

    # The tools: each takes the mounted directory.

    def load(self, source):
        place.load(self.node, source, KEYSPACE, "")

    def importing(self, *options):
        return lambda source: self.node.nodetool("import", *options, KEYSPACE, "users", source)

    def copy(self, source):
        live, = self.node.table_directories(KEYSPACE, "users")
        harness.run("cp", "-a", f"{source}/.", live)
        self.node.nodetool("refresh", KEYSPACE, "users")

    def on_data(self, tool, *options):
        return lambda source: self.node.run(tool, *options, source / self.tables["users"].data)

    def level_reset(self, source):
        recipe = RECIPES["levelreset"].split("\nnodetool import")[0]
        base = str(source).removesuffix(str(self.tables["levelled"].path)) + str(self.backup)
        environment = {**os.environ, **self.node.environment(), "BACKUP": base, "KS": KEYSPACE, "T": "levelled",
                       "TMPDIR": str(self.repository.program.directory)}
        subprocess.run(["bash", "-euo", "pipefail", "-c", recipe], env=environment, check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL)

    def all(self):
        """The name and what measure() says of every tool that this version has."""
        # Each runs twice, the second time with -o ro.
        yield "sstableloader", *self.measure(self.load)
        yield "sstableloader, Summary.db not acceptable (min_index_interval 64)", *self.measure(self.load, "users64")
        for options in (["--copy-data", "-l", "-r"], *(["--copy-data", "-l", "-r", word] for word in "-v -t -c -q -e".split()),
                        ["--copy-data"], []):
            name = f"nodetool import {' '.join(options)}" if options else "nodetool import (moves)"
            yield name, *self.measure(self.importing(*options))
        yield "cp -a, then nodetool refresh", *self.measure(self.copy)
        for tool in ("sstabledump", "sstablemetadata", "sstablepartitions"):
            if tool in self.node.installation.tools:
                yield tool, *self.measure(self.on_data(tool), loads=False)
        yield "sstablelevelreset", *self.measure(self.level_reset, "levelled", loads=False)
        mark = self.on_data("sstablerepairedset", "--really-set", "--is-repaired")
        yield "sstablerepairedset", *self.measure(mark, loads=False)


def markdown(bench):
    """The part of the page for one version."""
    head = ["tool", *COLUMNS, "bytes read", "Data.db read, times", "bytes written", "others", "restored", "with `-o ro`"]
    kernel = re.match(r"\d+\.\d+", os.uname().release)[0]
    lines = [f"### Cassandra {bench.release}", "", f"Linux {kernel}. {bench.tables['users']}", "",
             f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    changes = []
    for name, count, rows, read_only in bench.all():
        print(f"{bench.release}: {name}", file=sys.stderr)
        lines.append(f"| {' | '.join([name, *count.row(), rows, read_only])} |")
        changes += [f"- {name}: {count.changes()}"] if count.names else []
    return "\n".join([*lines, "", "Names (of renames the old ones; the id of the SSTable is left out):", "", *changes])


def replace(text, version, part):
    begin, end = f"<!-- Cassandra {version} -->\n", f"<!-- end of Cassandra {version} -->\n"
    before, rest = text.split(begin)
    return f"{before}{begin}{part}\n{end}{rest.split(end)[1]}"


def main():
    binary = os.environ.get("SSTABLEFS_BINARY", ROOT / "build/asan/tools/sstablefs")
    for version in sys.argv[1:] or VERSIONS:
        with tempfile.TemporaryDirectory(prefix="sstablefs-tools-") as directory, Cluster(version) as cluster:
            program = harness.Program(binary, Path(directory) / "p")
            try:
                repository = program.repository().init()
                with place.Backups(repository) as backups:
                    part = markdown(Bench(cluster.node, repository, backups))
            finally:
                harness.clean_up(program.directory)
        PAGE.write_text(replace(PAGE.read_text(), version, part))


if __name__ == "__main__":
    main()
