# SPDX-License-Identifier: Apache-2.0
"""A stand-in for a running Cassandra: a nodetool and a cqlsh that lay out snapshots as Cassandra does, and fail as they are told.

Its answers are those that Cassandra 5.0.9 gave. What real nodes do is tested in tests/cassandra."""

import json
import os
import stat
import sys
import uuid
import zlib
from pathlib import Path

HOST_ID = "3512f072-ed46-4bcb-84c8-a395dc445594"
OTHER_ID = "90e31f5e-13a5-4d02-a8c5-a0bd7e5c2aa1"
JOINING_ID = "a2f0b6a1-7a35-4f4f-9bd0-6d1f0b7b2c33"
VERSION = "5.0.9"
CLUSTER = "Live Test #1"
PASSWORD = "the-password-of-jmx"
SCHEMA = "CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy'};\n\nCREATE TABLE shop.orders (id int PRIMARY KEY) WITH ID = x;\n"

# Runs as nodetool and as cqlsh. `state` is a directory: node.json, faults.json, calls.
TOOL = r'''#!{python}
import json, os, re, sys, time
from pathlib import Path

if os.environ.pop("LD_PRELOAD", None):  # meant for sstablefs, not for Cassandra
    os.execv(sys.executable, [sys.executable, *sys.argv])
state = Path({state!r})
node = json.loads((state / "node.json").read_text())
tool = Path(sys.argv[0]).name
words = sys.argv[1:]
with open(state / "calls", "a") as calls:
    calls.write(json.dumps([tool, *words]) + "\n")
globals_of_it = {{}}
if tool == "nodetool":
    while words and words[0].startswith("-"):
        name = words.pop(0)
        globals_of_it[name] = True if name == "--ssl" else words.pop(0)
command = words[0] if tool == "nodetool" else "cqlsh"
fault = json.loads((state / "faults.json").read_text()).get(command, {{}})


def tables(only=()):
    for data in map(Path, node["data"]):
        for path in sorted(data.glob("*/*-*")):
            name = f"{{path.parent.name}}.{{path.name.rsplit('-', 1)[0]}}"
            live = any(child.is_file() for child in path.iterdir())
            if live and (not only or name in only or path.parent.name in only):
                yield path


def snapshot():
    tag, only = "", []
    rest = words[1:]
    while rest:
        word = rest.pop(0)
        if word == "-t":
            tag = rest.pop(0)
        elif word == "-kt":
            only += rest.pop(0).split(",")
        else:
            only.append(word)
    print(f"Requested creating snapshot(s) for [{{only or 'all keyspaces'}}] with snapshot name [{{tag}}]")
    for path in tables(only):
        below = path / "snapshots" / tag
        below.mkdir(parents=True)
        for child in path.rglob("*"):
            inside = child.relative_to(path)
            if child.is_file() and inside.parts[0] not in ("snapshots", "backups"):
                (below / inside).parent.mkdir(exist_ok=True)
                os.link(child, below / inside)
        (below / "manifest.json").write_text('{{"files": []}}\n')
        (below / "schema.cql").write_text("CREATE TABLE;\n")
        if fault.get("half"):
            break
    if "half" not in fault:
        print("Snapshot directory:", tag)


def clear():
    tag = words[words.index("-t") + 1]
    for data in map(Path, node["data"]):
        for path in data.glob(f"*/*/snapshots/{{tag}}"):
            for child in sorted(path.rglob("*"), reverse=True):
                child.rmdir() if child.is_dir() else child.unlink()
            path.rmdir()


def info():
    print("ID                     : " + node["host_id"])
    print("Gossip active          : true")
    print("Load                   : 114.42 KiB")
    print(f"Data Center            : {{node.get('dc', 'dc 1')}}\nRack                   : {{node.get('rack', 'r1')}}\nExceptions             : 0")
    for token in node["tokens"]:
        print(f"Token                  : {{token}}")


def status():
    print("Datacenter: " + node.get("dc", "dc 1") + "\n================\nStatus=Up/Down\n|/ State=Normal/Leaving/Joining/Moving")
    print("--  Address     Load        Tokens  Owns (effective)  Host ID                               Rack ")
    for line in node["status"]:
        print(line)
    print()


def describecluster():
    print("Cluster Information:\n\tName: " + node["cluster"] + "\n\tSnitch: org.apache.cassandra.locator.SimpleSnitch")
    print("\tPartitioner: org.apache.cassandra.dht.Murmur3Partitioner\n\tSchema versions:\n\t\tx: [10.0.0.1, 10.0.0.2]\n")
    print("Database versions:\n\t4.1.10: [10.0.0.2:7000]\n\t" + node["version"] + ": [" + node.get("address", "10.0.0.1") + ":7000]\n\nKeyspaces:")


def datapaths():
    found = {{}}
    for path in tables():
        found.setdefault(path.parent.name, {{}}).setdefault(path.name.rsplit("-", 1)[0], []).append(str(path))
    print(json.dumps(found, indent=2))


def take_in():
    """import: SSTables move into the live directory, under generations that are free."""
    keyspace, table, source = words[-3:]
    live = next(path for data in map(Path, node["data"]) for path in sorted(data.glob(f"{{keyspace}}/{{table}}-*")))
    for path in sorted(Path(source).glob("nb-*")):
        _, generation, rest = path.name.split("-", 2)
        os.rename(path, live / f"nb-{{1000 + int(generation) + 10 * node['data'].index(source[:source.index('/.sstablefs')])}}-{{rest}}")


def is_up():
    """Whether the process of host.py lives; a stand-in that never had one is always up. "listens": CQL is taken where cqlsh is sent; "only_at": at that address alone."""
    pid = state / "pid"
    if tool == "cqlsh" and node.get("only_at"):
        return node["only_at"] in words
    if tool == "cqlsh" and node.get("listens"):
        import socket
        with socket.socket() as s:
            return s.connect_ex((words[-2], int(words[-1]))) == 0
    return not node.get("process") or pid.exists() and Path("/proc", pid.read_text()).exists()


def check_login():
    """"roles": what system_auth holds is the password, so that it comes and goes with it. "needs": a file without which roles cannot be read, as where their replicas are others; "role": one without which no role is made yet."""
    if node.get("needs") and not Path(node["needs"]).exists():
        refuse("Unable to perform authentication: Cannot achieve consistency level LOCAL_QUORUM")
    if node.get("role") and not Path(node["role"]).exists():
        refuse("Provided username cassandra and/or password are incorrect")
    if node.get("roles"):
        import zlib
        roles = sorted(path.read_bytes() for data in node["data"] for path in Path(data).glob("system_auth/roles-*/*-Data.db"))
        given = [Path(word.partition("=")[2]).read_text() for word in words if word.startswith("--credentials=")]
        if f"password = {{zlib.crc32(b''.join(roles))}}\n" not in "".join(given):
            refuse("Provided username backup and/or password are incorrect")


def refuse(why):
    sys.exit("Connection error: ('Unable to connect to any servers', {{'10.0.0.1:9042': AuthenticationFailed('Failed to authenticate to 10.0.0.1:9042: "
             f"Error from server: code=0100 [Bad credentials] message=\"{{why}}\"')" + "}})")


def print_rows(statement):
    """Of system.local, system.peers_v2, the settings and, where they are asked for, tables and views: rows of JSON. "cql": what it says otherwise of itself; "settings": the same of them."""
    own = {{"key": "local", "cluster_name": node["cluster"], "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner", "host_id": node["host_id"],
           "broadcast_address": node.get("address", "10.0.0.1"), "data_center": node.get("dc", "dc 1"), "rack": node.get("rack", "r1"),
           "release_version": node["version"], "tokens": sorted(node["tokens"]), **node.get("cql", {{}})}}
    # Who joins is no peer yet; of who left, a row may stay.
    found = [re.match(r"[UD][NLM] +(\S+) .* ([0-9a-f-]{{36}}) +(.*)", line) for line in node["status"]]
    peers = [{{"peer": m[1], "host_id": m[2], "data_center": "dc 1", "rack": m[3]}} for m in found if m and m[2] != node["host_id"]]
    settings = {{"data_file_directories": "[" + ", ".join(node["data"]) + "]", "local_system_data_file_directory": None,
                "storage_compatibility_mode": "UPGRADING", **node.get("settings", {{}})}}
    sets = [[own], peers + [{{"peer": "10.9.9.9", "host_id": None, "data_center": None, "rack": None}}],
            [{{"name": name, "value": value}} for name, value in settings.items()]]
    if "system_schema.tables" in statement:
        sets += [[{{"keyspace_name": path.parent.name, "table_name": path.name.rsplit("-", 1)[0]}} for path in tables()], []]
    for rows in sets:
        texts = [json.dumps(row) for row in rows]
        width = max(map(len, texts), default=0)  # values stand at the right
        print("\n [json]\n--------\n" + "".join(f" {{text:>{{width}}}}\n" for text in texts) + f"\n({{len(rows)}} rows)")
    if node.get("unauthorized"):
        sys.exit("<stdin>:1:Unauthorized: Error from server: code=2100 [Unauthorized]")


def cqlsh():
    print("WARNING: cqlsh was built against 5.0.0, but this server is 5.0.9.  All features may not work!\n")
    statement = words[words.index("-e") + 1]
    if statement.startswith("DESCRIBE"):
        print(node["schema"], end="")
    elif "release_version" in statement:
        print_rows(statement)
    elif "host_id" in statement:
        print(' [json]\n--------\n {{"value": "' + node["host_id"] + '"}}\n\n(1 rows)')
    elif "JSON tokens" in statement:
        print(" [json]\n--------\n " + json.dumps({{"value": sorted(node["tokens"])}}) + "\n\n(1 rows)")
    elif "system_views" not in statement and (state / "unavailable").exists():
        (state / "unavailable").rename(state / "available")
        sys.exit("<stdin>:1:NoHostAvailable: Unavailable('Error from server: code=1000 [Unavailable exception] message=\"Cannot achieve consistency level ONE\"')")
    elif "system_views" not in statement:
        print(f"\n id\n----\n  1\n\n({{node['rows']}} rows)")
    else:
        print(' [json]\n--------\n {{"name": "storage_compatibility_mode", "value": "UPGRADING"}}\n\n(1 rows)')


for _ in range(1200):  # "beside": so many calls have begun
    if len((state / "calls").read_text().splitlines()) >= fault.get("beside", 0):
        break
    time.sleep(0.05)
else:
    sys.exit("called alone")
if fault.get("first"):
    print(fault["first"], file=sys.stderr)
    sys.exit(fault.get("code", 1))
if not is_up():
    sys.exit("Connection error: ('Unable to connect to any servers', {{}})" if tool == "cqlsh" else
             "nodetool: Failed to connect to '127.0.0.1:7199' - ConnectException: 'Connection refused (Connection refused)'.")
if tool == "cqlsh":
    check_login()
password_file = globals_of_it.get("-pwf")
if tool == "nodetool" and node.get("password"):
    given = Path(password_file).read_text() if password_file else ""
    if given.split() != [globals_of_it.get("-u"), node["password"]]:
        said = "Authentication failed! Invalid username or password" if given else "Authentication failed! Credentials required"
        print(f"error: {{said}}\n-- StackTrace --", file=sys.stderr)
        sys.exit(1)
if fault.get("hang") == "before":
    time.sleep(100000)
{{"snapshot": snapshot, "clearsnapshot": clear, "info": info, "status": status, "describecluster": describecluster,
  "datapaths": datapaths, "import": take_in, "cqlsh": cqlsh}}[command]()
sys.stdout.flush()
if fault.get("hang") == "after":
    time.sleep(100000)
if fault.get("last"):
    print(fault["last"], file=sys.stderr)
    sys.exit(fault.get("code", 2))
'''


class Cassandra:
    below = "."  # where its data directories lie

    def __init__(self, program, name="cassandra", host_id=HOST_ID):
        self.program = program
        self.directory = program.directory / name
        self.state = self.directory / "state"
        self.data = [self.directory / self.below / name for name in ("data1", "data2")]
        for path in (self.state, *self.data):
            path.mkdir(parents=True)
        for tool in ("nodetool", "cqlsh"):
            path = self.directory / tool
            path.write_text(TOOL.format(python=sys.executable, state=str(self.state)))
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        self.node = {"host_id": host_id, "cluster": CLUSTER, "version": VERSION, "tokens": ["-42", "7"],
                     "data": [str(path) for path in self.data], "schema": SCHEMA, "rows": 4,
                     "status": [f"UN  10.0.0.1    114.42 KiB  2       100.0%            {host_id}  r1",
                                f"DN  10.0.0.2    ?           16      ?                 {OTHER_ID}  r 2",
                                f"UJ  10.0.0.3    1.5 GiB     16      ?                 {JOINING_ID}  r1"]}
        self.faults = {}
        self.save()
        self.configuration = self.directory / "sstablefs.conf"
        self.configure()

    def configure(self, **keys):
        keys = {"nodetool": self.directory / "nodetool", "cqlsh": self.directory / "cqlsh", "node": "n1", "timeout": 60, **keys}
        lines = [f"{key} = {value}\n" for key, value in keys.items() if value is not None]
        self.configuration.write_text("[cassandra]\n" + "".join(lines))

    def save(self):
        (self.state / "node.json").write_text(json.dumps(self.node))
        (self.state / "faults.json").write_text(json.dumps(self.faults))

    def fail(self, command, **fault):
        self.faults[command] = fault
        self.save()

    def heal(self):
        self.faults.clear()
        self.save()

    def calls(self):
        """[tool, word...] of each call so far, and forgets them."""
        path = self.state / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]

    def table(self, keyspace, table, data_dir=0):
        path = self.data[data_dir] / keyspace / f"{table}-{uuid.uuid5(uuid.NAMESPACE_DNS, keyspace + table).hex}"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, table, generation, size=3000):
        """A live SSTable."""
        data = os.urandom(size)
        for name, content in (("Data.db", data), ("Digest.crc32", b"%d" % zlib.crc32(data)), ("TOC.txt", b"Data.db\nTOC.txt\n")):
            (table / f"nb-{generation}-big-{name}").write_bytes(content)

    def fill(self, size=3000):
        for keyspace, table in (("shop", "orders"), ("shop", "Users"), ("ks2", "t")):
            for data_dir in (0, 1):
                self.write(self.table(keyspace, table, data_dir), data_dir + 1, size)
        self.write(self.table("system", "local"), 1)
        return self

    def live_files(self):
        """{path in the backup: path on disk} of what a backup must hold now."""
        return {f"{path.parent.parent.name}/{path.parent.name}/{path.name}": path
                for data in self.data for path in data.glob("*/*/*") if path.is_file()}

    def snapshots(self):
        return sorted({path.name for data in self.data for path in data.glob("*/*/snapshots/*")})
