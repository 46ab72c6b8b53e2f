# SPDX-License-Identifier: Apache-2.0
"""Hosts whose Cassandra can be stopped and started, behind the stand-in for ssh: what restore-cluster needs. Their starts and stops are among the events."""

from harness import FAILED
from host import Host, files
from sshstandin import Hosts

SCHEMA = """CREATE KEYSPACE shop WITH replication = {'class': 'NetworkTopologyStrategy', 'dc 1': '3'};
CREATE TABLE shop.orders (id int PRIMARY KEY);
"""
CONTROL = """#!/bin/sh
echo "{name} {tool}" >>{state}/events
while [ -e {state}/hold-{name}-{tool} ]; do sleep 0.02; done
exec {real} "$@"
"""


def data_of(host):
    return {path: data for path, data in files(host.content()).items() if path.startswith("data")}


class RestoreHosts(Hosts):
    """Each node has tokens of its own; the second of them is the seed of all."""

    kind = Host
    first_token = 0

    def configure_node(self, node, name, number):
        first = self.first_token + 1000 * number
        node.node.update(tokens=[str(first), str(first + 500)], schema=SCHEMA, address=name)
        node.save()
        node.write_yaml(seed_provider=f"[{{class_name: x, parameters: [{{seeds: '{self.names[1]}:7000'}}]}}]", listen_address=name)
        for tool in ("start", "stop"):
            control = node.directory / f"{tool}-{name}"
            control.write_text(CONTROL.format(name=name, tool=tool, state=self.state, real=node.directory / tool))
            control.chmod(0o755)
        node.configure(node=self.of_node.format(number), yaml=node.yaml, start_command=node.directory / f"start-{name}",
                       stop_command=node.directory / f"stop-{name}")

    def __enter__(self):
        for node in self.nodes.values():
            node.start()
        return self

    def __exit__(self, *exception):
        for node in self.nodes.values():
            node.kill()

    def hold(self, name, tool):
        (self.state / f"hold-{name}-{tool}").touch()

    def release(self, name, tool):
        (self.state / f"hold-{name}-{tool}").unlink()

    def forget(self):
        (self.state / "events").unlink(missing_ok=True)
        for path in self.state.glob("seen-*"):
            path.unlink()

    def at(self, host, what, last=False):
        """The place of an event among all."""
        places = [place for place, event in enumerate(self.events()) if event == (host, what)]
        assert places, f"{host} {what} is not among {self.events()}"
        return places[-1 if last else 0]

    def happened(self, what):
        return {host for host, event in self.events() if event == what}

    def contents(self):
        return {name: node.content() for name, node in self.nodes.items()}

    def data(self):
        return {name: data_of(node) for name, node in self.nodes.items()}

    def running(self):
        return [name for name, node in self.nodes.items() if node.running]

    def journals(self):
        return {name: node.journal() for name, node in self.nodes.items() if node.journal()}


class OtherHosts(RestoreHosts):
    """A cluster of the same shape, with names, tokens and racks of its own."""

    of_host = "other{}"
    of_node = "m{}"
    first_token = 100000


class Restoring:
    """A repository with backup b of the hosts, which were spoilt since. before, spoilt: what each had."""

    def __init__(self, repository, hosts):
        self.repository, self.hosts = repository, hosts
        repository("--config", hosts.configuration, "backup-cluster", "--name", "b", timeout=300)
        self.before = hosts.data()
        self.into(hosts)

    def into(self, target):
        """What is restored to from now on."""
        self.target = target
        for node in target.nodes.values():
            node.spoil()
        self.spoilt = target.contents()
        target.forget()
        return self

    def words(self, *arguments):
        return ["--config", self.target.configuration, "restore-cluster", "b", *arguments]

    def __call__(self, *arguments, json=True, **keywords):
        """The Answer, or its document."""
        answer = self.repository(*(["--json"] if json else []), *self.words(*arguments), timeout=300, **keywords)
        return answer.json if json else answer

    def begin(self, *arguments):
        return self.repository.start("--json", *self.words("--yes", *arguments))

    def is_restored(self):
        return self.target.data() == self.before and self.target.running() == self.target.names

    def is_as_before(self):
        return self.target.contents() == self.spoilt and self.target.running() == self.target.names and not self.target.journals()

    def plans(self):
        return list(self.repository.program.cache.glob("restore-cluster/*"))

    def refused(self, *arguments, words=(), code=FAILED):
        """What is said; nothing was done."""
        answer = self("--yes", *arguments, json=False, code=code)
        for word in words:
            assert word in answer.err, answer.err
        assert self.is_as_before() and not self.plans()
        return answer


def states(document):
    return {node["host"]: node["state"] for node in document["nodes"]}
