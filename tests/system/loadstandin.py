# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for the cqlsh and the sstableloader of a cluster that is loaded into: the first keeps a schema, the second reads what it is given, and both
fail as they are told. Real ones: tests/cassandra/test_restore_cluster.py."""

import json
import sys

# `state` is a directory: schema.cql, statements, loads (JSON lines), faults.json ({"KS.TABLE": fault, or a statement's first words: message}).
CQLSH = r'''#!{python}
import json, sys
from pathlib import Path

state = Path({state!r})
statement = sys.argv[sys.argv.index("-e") + 1] if "-e" in sys.argv else sys.stdin.read()
if statement.startswith("SHOW VERSION;\n"):
    print("[cqlsh 6.2.2 | Cassandra 5.0.9 | CQL spec 3.4.7 | Native protocol v5]")
    statement = statement.partition("\n")[2]
if statement.startswith("DESCRIBE"):
    print(state.joinpath("schema.cql").read_text(), end="")
    sys.exit()
faults = json.loads((state / "faults.json").read_text())
if statement.startswith("SELECT"):
    print("\n id\n----\n\n(0 rows)" if faults.get(statement) == "empty" else "\n id\n----\n  1\n\n(1 rows)")
    sys.exit()
for words, message in faults.items():
    if statement.startswith(words):
        sys.exit(f"<stdin>:1:{{message}}")
with open(state / "statements", "a") as file:
    file.write(statement + "\n")
with open(state / "schema.cql", "a") as file:
    file.write(statement.replace("IF NOT EXISTS ", "") + "\n")
'''

LOADER = r'''#!{python}
import json, os, sys, time
from pathlib import Path

state = Path({state!r})
directory = Path(sys.argv[-1])
keyspace, table = directory.parts[-2], directory.name.rsplit("-", 1)[0]
fault = json.loads((state / "faults.json").read_text()).get(f"{{keyspace}}.{{table}}")


def note(**what):
    with open(state / "loads", "a") as file:
        file.write(json.dumps({{"node": directory.parts[-5], "keyspace": keyspace, "table": table, "words": sys.argv[1:], "time": time.monotonic(), **what}}) + "\n")


note(event="begin", pid=os.getpid())
print("Established connection to initial hosts\nOpening sstables and calculating sections to stream")
files = sorted(path for path in directory.iterdir() if path.is_file())
# As the real one does, which needs a directory that it can write.
os.link(files[0], directory / "it.tmp")
os.unlink(directory / "it.tmp")
if fault == "hang":
    with open(files[0], "rb") as held:
        while not (state / "go").exists():
            os.listdir(directory)  # fails once the mount is gone
            time.sleep(0.05)
if fault == "skip":
    print(f"Skipping file {{files[0].name}}: table {{keyspace}}.{{table}} doesn't exist")
if fault == "fail":
    print("Streaming to the following hosts failed:\n[/10.1.0.1:7000]\njava.io.IOError: a reason\n\tat x.Y", file=sys.stderr)
    sys.exit(1)
data = [str(path) for path in files if path.name.endswith("-Data.db")]
print(f"Streaming relevant part of {{' '.join(data[fault == 'blind':])}} to [/10.1.0.1:7000, /10.1.0.2:7000]")
total = sum(len(path.read_bytes()) for path in files)
# No newline in more than any line may have: so does the real one where tables are large.
for part in range(40000):
    print(f"\rprogress: [/10.1.0.1:7000]0:{{part}}/40000 1% total: 1% 1.0MiB/s (avg: 1.0MiB/s)", end="")
if fault != "silent":
    print(f"\nSummary statistics: \n   Connections per host    : 1         \n   Total files transferred : {{len(files)}}         ")
if fault in (None, "hang"):
    note(event="end", bytes=total)
'''


class Target:
    def __init__(self, hosts):
        self.hosts = hosts
        self.state = hosts.program.directory / "target"
        self.state.mkdir()
        self.schema("")
        self.faults = {}
        self.fail()
        for name, text in (("cqlsh", CQLSH), ("sstableloader", LOADER)):
            path = self.state / name
            path.write_text(text.format(python=sys.executable, state=str(self.state)))
            path.chmod(0o755)
        self.configuration = self.state / "sstablefs.conf"
        first = hosts.nodes[hosts.names[0]]
        self.configuration.write_text(f"[cassandra]\nnodetool = {first.directory / 'nodetool'}\ncqlsh = {self.state / 'cqlsh'}\n"
                                      f"sstableloader = {self.state / 'sstableloader'}\ncql_host = 10.9.9.9:9142\ntimeout = 60\n")

    def schema(self, text):
        (self.state / "schema.cql").write_text("CREATE KEYSPACE system WITH replication = {'class': 'LocalStrategy'};\n" + text)

    def fail(self, **faults):
        """Names may have dots: fail(**{"shop.orders": "skip"})."""
        (self.state / "faults.json").write_text(json.dumps(faults))

    def _take(self, name):
        path = self.state / name
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines

    def statements(self):
        """Those that were run, and forgets them."""
        return self._take("statements")

    def loads(self):
        """What was noted of each loader, in order, and forgets it."""
        return [json.loads(line) for line in self._take("loads")]

    def go(self):
        (self.state / "go").touch()
