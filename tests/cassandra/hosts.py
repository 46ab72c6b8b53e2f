# SPDX-License-Identifier: Apache-2.0
"""The hosts of a real cluster: a configuration, a cache and an sshd for each node, and a coordinator that reaches them."""

import place
from harness import DONE, FOUND
from sshd import Fleet

SECONDS = 900  # of one command, which starts some twenty JVMs


class Hosts:
    """port: of every sshd (default: one that is free). prefix: words before a command of the coordinator's."""

    def __init__(self, cluster, repository, supervisor, name="hosts", port=None, prefix=()):
        self.cluster, self.repository, self.supervisor, self.prefix = cluster, repository, supervisor, prefix
        self.program = repository.program
        self.directory = self.program.directory / name
        self.directory.mkdir()
        self.environments = {node.address: self.environment(node) for node in cluster.nodes}
        prefixes = {node.address: node.settings.prefix for node in cluster.nodes}
        self.fleet = Fleet(self.directory / "ssh", list(self.environments.items()), port, prefixes.get)
        self.coordinator = self.directory / "coordinator.conf"
        self.configure(cluster.node.bin / "nodetool", connect_timeout=300)

    def configure(self, nodetool, **ssh):
        """The configuration of the coordinator."""
        keys = {"config": self.fleet.configuration, "port": self.fleet.port, "command": self.program.binary, **ssh}
        self.coordinator.write_text(f"[cassandra]\nnodetool = {nodetool}\ntimeout = {SECONDS}\n[ssh]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()))

    def configuration(self, node):
        return self.directory / f"{place.node_name(node)}.conf"

    def environment(self, node):
        name, configuration = place.node_name(node), self.configuration(node)
        keys = {"nodetool": node.bin / "nodetool", "cqlsh": node.bin / "cqlsh", "yaml": node.config, "node": name, "timeout": SECONDS,
                **self.supervisor.commands(node)}
        configuration.write_text(f"[repository]\nurl = {self.repository.url}\n[cassandra]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()))
        return {**self.program.environment, **self.repository.environment, "SSTABLEFS_CONFIG": str(configuration),
                "SSTABLEFS_CACHE_DIR": str(self.directory / f"cache-{name}")}

    def backup(self, *arguments, code=DONE):
        """backup-cluster, to its end."""
        return self.program("--config", self.coordinator, "--json", "backup-cluster", *arguments, code=code, timeout=SECONDS, prefix=self.prefix).json

    def restore(self, *arguments, code=DONE):
        """restore-cluster, to its end: its document, or the Answer where it fails."""
        answer = self.repository("--config", self.coordinator, "--json", "restore-cluster", *arguments, code=code, timeout=3 * SECONDS, prefix=self.prefix)
        print(answer.out, answer.err)
        return answer.json if code in (DONE, FOUND) else answer

    def on(self, node, *arguments, code=DONE):
        """sstablefs on the node's own host."""
        return self.program(*arguments, environment=self.environments[node.address], code=code, timeout=SECONDS, prefix=node.settings.prefix)

    def snapshots(self):
        """{address: tags} of the nodes that have snapshots of sstablefs."""
        found = {node.address: {path.name for path in node.home.glob("data*/*/*/snapshots/sstablefs-*")} for node in self.cluster.nodes}
        return {address: tags for address, tags in found.items() if tags}

    def listed(self, name):
        """(nodes that have it, nodes that there are, whether it is complete) by `list`."""
        backup, = [backup for backup in self.repository.json("list")["backups"] if backup["name"] == name]
        return backup["nodes_finished"], backup["nodes_expected"], backup["complete"]

    def states(self, result):
        found = {node["host"]: node["state"] for node in result["nodes"]}
        return [found[node.address] for node in self.cluster.nodes]

    def record(self, name, node):
        found, = self.repository.json("show", name, "--node", place.node_name(node))["nodes"]
        return found


def list_file(path, pairs, seeds=()):
    """A host list of (target, source) pairs of nodes."""
    path.write_text("".join(f"{target in seeds},{target.address},{place.node_name(source)}\n" for target, source in pairs))
    return path


def tokens_of(cluster):
    """{address: (host id, tokens)}, as each node says of itself."""
    found = {}
    for node in cluster.nodes:
        local, = node.cql("SELECT host_id, tokens FROM system.local")
        found[node.address] = str(local.host_id), sorted(local.tokens)
    return found


def tokens_seen_by(node):
    """The same of all nodes, as one of them sees it."""
    rows = [(node.address, row) for row in node.cql("SELECT host_id, tokens FROM system.local")]
    rows += [(str(row.peer), row) for row in node.cql("SELECT peer, host_id, tokens FROM system.peers_v2")]
    return {address: (str(row.host_id), sorted(row.tokens)) for address, row in rows}
