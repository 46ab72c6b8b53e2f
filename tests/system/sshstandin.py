# SPDX-License-Identifier: Apache-2.0
"""A stand-in for ssh and the hosts behind it: each is an environment in which the command is run by a shell, in a session of its own, as
sshd does. It fails as it is told. The real ssh and sshd: test_backup_cluster_sshd.py."""

import json
import os
import signal
import sys
import uuid

from standin import Cassandra

# Runs as ssh. `state` is a directory: hosts.json ({host: environment}), faults.json ({host: fault}), calls, go-HOST, seen-HOST-EVENT,
# pid-HOST, events ("HOST EVENT" and "HOST >WORD" in the order in which they pass).
SSH = r'''#!{python}
import json, os, signal, subprocess, sys, threading, time
from pathlib import Path

state = Path({state!r})
with open(state / "calls", "a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\n")
separator = sys.argv.index("--")
host, command = sys.argv[separator + 1:]
fault = json.loads((state / "faults.json").read_text()).get(host, {{}})
while fault.get("mute"):
    time.sleep(1)
if "say" in fault:
    print(fault["say"], file=sys.stderr)
    sys.exit(fault.get("code", 255))
environment = json.loads((state / "hosts.json").read_text())[host]
print("Welcome to " + host + "\n{{\"a\": [}}", flush=True)  # what some shells greet with
print(end=fault.get("greet", ""), flush=True)
remote = subprocess.Popen(["/bin/sh", "-c", command], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
(state / f"pid-{{host}}").write_text(str(remote.pid))


def note(what):
    with open(state / "events", "a") as events:
        events.write(f"{{host}} {{what}}\n")


def to_remote():
    while part := os.read(0, 4096):
        for word in part.decode().split():
            note(">" + word)
            if fault.get("die_on") == word:
                os.killpg(remote.pid, signal.SIGKILL)
                os._exit(255)
        os.write(remote.stdin.fileno(), part)
    remote.stdin.close()


threading.Thread(target=to_remote, daemon=True).start()
for line in remote.stdout:
    if line == b"\n":  # before each event
        os.write(1, line)
        continue
    event = json.loads(line).get("event") if line.startswith(b'{{"event"') else "end"
    (state / f"seen-{{host}}-{{event}}").touch()
    if fault.get("freeze_at") == event:
        os.killpg(remote.pid, signal.SIGSTOP)
        (state / f"frozen-{{host}}").write_text(str(remote.pid))
    if fault.get("die_at") == event:
        sys.exit(255)
    while fault.get("hold_at") == event and not (state / f"go-{{host}}").exists():
        time.sleep(0.02)
    note(event)
    os.write(1, line)
    if fault.get("freeze_at") == event:  # what it said before it was stopped does not arrive
        sys.exit(remote.wait())
    if fault.get("leave_at") == event:
        if event == "end":  # who has said its last ends by itself
            remote.wait()
        sys.exit(255)
while fault.get("linger"):
    time.sleep(1)
sys.exit(remote.wait())
'''


class Hosts:
    """Three hosts 10.0.0.1 to 3 with a Cassandra each, racks r1, r2, r3, and a coordinator that reaches them through the stand-in."""

    kind = Cassandra
    of_host = "host{}"  # its directory
    of_node = "n{}"  # its name in the repository

    def __init__(self, program, names=("10.0.0.1", "10.0.0.2", "10.0.0.3"), size=3000, racks="123"):
        self.program = program
        self.state = program.directory / self.of_host.format("s-state")
        self.state.mkdir()
        self.names = list(names)
        ids = [str(uuid.uuid5(uuid.NAMESPACE_DNS, name)) for name in self.names]
        self.nodes = {}
        self.environments = {}
        status = [f"UN  {name}    114.42 KiB  2       100.0%            {host_id}  r{rack}"
                  for name, host_id, rack in zip(self.names, ids, racks)]
        for number, (name, host_id, rack) in enumerate(zip(self.names, ids, racks), 1):
            node = self.kind(program, self.of_host.format(number), host_id=host_id)
            node.node.update(status=status, rack=f"r{rack}")
            node.save()
            self.configure_node(node, name, number)
            node.fill(size)
            self.nodes[name] = node
            self.environments[name] = {**program.environment, "SSTABLEFS_CONFIG": str(node.configuration),
                                       "SSTABLEFS_CACHE_DIR": str(node.directory / "cache")}
        ssh = program.directory / self.of_host.format("s-ssh")
        ssh.write_text(SSH.format(python=sys.executable, state=str(self.state)))
        ssh.chmod(0o755)
        self.faults = {}
        self.save()
        self.settings = {"program": ssh, "command": program.binary}
        self.configuration = program.directory / self.of_host.format("s-coordinator.conf")
        self.configure()

    def configure_node(self, node, name, number):
        node.configure(node=self.of_node.format(number))

    def configure(self, **keys):
        first = self.nodes[self.names[0]]
        lines = ["[cassandra]", f"nodetool = {first.directory / 'nodetool'}", "timeout = 60", "[ssh]"]
        lines += [f"{key} = {value}" for key, value in {**self.settings, **keys}.items()]
        self.configuration.write_text("\n".join(lines) + "\n")

    def save(self):
        (self.state / "hosts.json").write_text(json.dumps(self.environments))
        (self.state / "faults.json").write_text(json.dumps(self.faults))

    def fail(self, host, **fault):
        self.faults[host] = fault
        self.save()

    def heal(self):
        self.faults.clear()
        self.save()
        for node in self.nodes.values():
            node.heal()

    def go(self, host):
        (self.state / f"go-{host}").touch()

    def thaw(self, host):
        os.killpg(int((self.state / f"frozen-{host}").read_text()), signal.SIGCONT)

    def seen(self, host, event):
        return (self.state / f"seen-{host}-{event}").exists()

    def events(self):
        """[host, what] in order, so far."""
        path = self.state / "events"
        return [tuple(line.split()) for line in path.read_text().splitlines()] if path.exists() else []

    def pid(self, host):
        """Of what runs there last, and of its process group."""
        return int((self.state / f"pid-{host}").read_text())

    def calls(self):
        path = self.state / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def snapshots(self):
        return {name: node.snapshots() for name, node in self.nodes.items() if node.snapshots()}

    def list_file(self, *names):
        path = self.program.directory / "hosts"
        path.write_text("# of a test\n\n" + "".join(f"{name}   # one\n" for name in names))
        return path
