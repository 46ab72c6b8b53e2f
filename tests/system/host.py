# SPDX-License-Identifier: Apache-2.0
"""A host with a Cassandra that can be stopped and started: the stand-in with a process that uses its data directories, a cassandra.yaml,
and the directories beside the data. As Cassandra does, it does not start over a .db file that is no SSTable."""

import json
import os
import signal
import stat
import subprocess
import sys
import zlib
from pathlib import Path

from harness import is_alive, is_sentence, wait_until
from standin import CLUSTER, Cassandra

NEW_ID = "77e0ad09-2b0c-4f2e-9f31-6d9a3a1c5b10"  # of a node that starts without system.local

OWN = ".sstablefs-restore-node"

CONTROL = r'''#!{python}
import json, os, re, signal, subprocess, sys, time
from pathlib import Path

if os.environ.pop("LD_PRELOAD", None):  # meant for sstablefs, not for Cassandra
    os.execv(sys.executable, [sys.executable, *sys.argv])
state, yaml = Path({state!r}), Path({yaml!r})
node = json.loads((state / "node.json").read_text())
fault = json.loads((state / "faults.json").read_text()).get(Path(sys.argv[0]).name, {{}})
pid = state / "pid"
with open(state / "calls", "a") as calls:
    calls.write(json.dumps([Path(sys.argv[0]).name, *sys.argv[1:]]) + "\n")
if fault.get("first"):
    sys.exit(fault["first"])


def find_out_who_it_is():
    """As Cassandra: system.local says it, and where there is none the node is new, with the tokens of cassandra.yaml."""
    setting = dict(re.findall(r"^(\w+): *'?([^'\n]*)'?$", yaml.read_text(), re.M))
    own = "system/local-7ad54392bcdd35a684174e047860b377/nb-9-big-Data.db"
    tokens = setting["initial_token"].split(",") if "initial_token" in setting else node["tokens"]
    if not any(path for data in node["data"] for path in Path(data).glob("system/local-*/*-Data.db")):
        if len(tokens) != int(setting["num_tokens"]):
            sys.exit(f"The number of initial tokens ({{len(tokens)}}) is not num_tokens")
        node.setdefault("before", {{key: node[key] for key in ("host_id", "tokens")}})
        node.update(host_id={new!r}, tokens=tokens)
        path = Path(node["data"][0], own)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"new")
    elif "before" in node and not any(Path(data, own).exists() for data in node["data"]):
        node.update(node.pop("before"))
    (state / "node.json").write_text(json.dumps(node))


if Path(sys.argv[0]).name == "stop":
    if pid.exists():
        os.kill(int(pid.read_text()), signal.SIGTERM)
        pid.unlink()
else:
    for data in map(Path, node["data"]):
        stray = [path for path in data.rglob("*.db") if "backups" not in path.parts and not path.name.startswith(("nb-", "oa-"))]
        if stray:
            sys.exit(f"Detected unreadable sstables {{stray}}")
    find_out_who_it_is()
    files = [open(path, "rb") for data in map(Path, node["data"]) for path in sorted(data.glob("*/*/*-Data.db"))[:1]]
    done = subprocess.Popen(["sleep", "10000"], start_new_session=True, cwd=node["data"][0],
                            pass_fds=[file.fileno() for file in files], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    pid.write_text(str(done.pid))
'''


class Host(Cassandra):
    """running: whether the process lives. Everything that Cassandra would keep lies below `node_directory`."""

    below = "node"

    def __init__(self, program, name="cassandra", **keywords):
        super().__init__(program, name, **keywords)
        self.node_directory = self.directory / self.below
        self.beside = {key: self.node_directory / key for key in ("commitlog", "hints", "saved_caches")}
        for path in self.beside.values():
            path.mkdir()
        self.yaml = self.node_directory / "conf/cassandra.yaml"
        self.yaml.parent.mkdir()
        self.write_yaml()
        for tool in ("start", "stop"):
            path = self.directory / tool
            path.write_text(CONTROL.format(python=sys.executable, state=str(self.state), yaml=str(self.yaml), new=NEW_ID))
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        self.node["process"] = True
        self.save()
        self.configure(yaml=self.yaml, start_command=self.directory / "start", stop_command=f"{self.directory / 'stop'} now")

    def write_yaml(self, **values):
        lines = {"cluster_name": f"'{CLUSTER}'", "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner", "num_tokens": 2,
                 **{f"{key}_directory": path for key, path in self.beside.items()}, **values}
        self.yaml.write_text("".join(f"{key}: {value}\n" for key, value in lines.items() if value is not None)
                             + "data_file_directories:\n" + "".join(f"    - {path}\n" for path in self.data))

    @property
    def places(self):
        return [*self.data, *self.beside.values()]

    @property
    def running(self):
        pid = self.state / "pid"
        return pid.exists() and is_alive(int(pid.read_text()))

    def start(self, check=True):
        subprocess.run([self.directory / "start"], check=check, capture_output=not check, env={**os.environ, **self.program.environment})
        self.calls()
        return self

    def kill(self):
        pid = self.state / "pid"
        if self.running:
            os.kill(int(pid.read_text()), signal.SIGKILL)
            wait_until(lambda: not self.running, 10, "the end of the stand-in")
        pid.unlink(missing_ok=True)

    def fill(self, size=3000):
        super().fill(size)
        self.write(self.table("system_schema", "tables"), 1)
        self.write(self.table("system_auth", "roles"), 1)
        for name, path in self.beside.items():
            (path / f"{name}-1").write_bytes(os.urandom(100))
        return self

    def content(self):
        """{path: bytes} of all that Cassandra has, and empty directories; nothing of ours may be among it."""
        return {str(path.relative_to(self.node_directory)): path.read_bytes() if path.is_file() else None
                for place in self.places for path in sorted(place.rglob("*"))}

    def spoil(self):
        """What an accident leaves: other files, other commit logs, a table that is gone."""
        for path in self.table("shop", "orders").glob("nb-*"):
            path.unlink()
        self.write(self.table("shop", "later"), 1)
        self.write(self.table("system_auth", "roles"), 2)
        (self.beside["commitlog"] / "commitlog-2").write_bytes(b"later")

    def password(self):
        """That cqlsh is asked for from now on: it is among the data, of the node or of the backup."""
        self.node["roles"] = True
        self.save()
        roles = sorted(path.read_bytes() for data in self.data for path in data.glob("system_auth/roles-*/*-Data.db"))
        return zlib.crc32(b"".join(roles))

    def log_in_with(self, password):
        path = self.directory / "credentials"
        if not path.exists():
            path.touch(0o600)
            with open(self.configuration, "a") as configuration:
                configuration.write(f"cql_credentials_file = {path}\n")
        path.write_text(f"[plain_text_auth]\nusername = backup\npassword = {password}\n")

    def journal(self):
        path = self.data[0] / OWN / "journal.json"
        return json.loads(path.read_text()) if path.exists() else None

    def old(self, place):
        return Path(place) / OWN / "backups/old"


def files(content):
    """What of Host.content() is Cassandra's."""
    return {path: data for path, data in content.items() if data is not None and OWN not in path}


def with_own(host):
    return [place for place in host.places if (place / OWN).exists()]


def refused(answer, *words):
    assert is_sentence(answer.err.replace("restore-node", "restore")), answer.err
    for word in words:
        assert str(word) in answer.err, f"{word!r} is not in {answer.err!r}"
