# SPDX-License-Identifier: Apache-2.0
"""Three real nodes in three racks, each in a network namespace of its own with its own sshd on port 22, led from a fourth over real ssh; the store is on the
same network. Cables are pulled while a backup uploads and at each step of a restore. Nine starts of nodes: only with SSTABLEFS_LONG=1."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import servers
from cassandra_nodes import VERSIONS, Cluster
from cassandra_nodes.files import write_executable
from namespaces import Network

import place
from harness import FAILED, FOUND, LONG, Program, clean_up, is_alive, wait_until
from hosts import SECONDS, Hosts
from test_cluster_files import Controls, read_table, write_table
from test_three_nodes import check_tokens

pytestmark = pytest.mark.timeout(place.LIMIT_SECONDS)

ROWS = {"shop": {i: f"row {i} " + "x" * 200 for i in range(300)}, "whole": {i: f"of all {i}" for i in range(100)}}
OWN = ".sstablefs-restore-node"
PROGRAM = """
import sys
sys.path[:0] = {path!r}
from namespaces import Network, run
with Network(2) as network:
    print(network.link, *(host.pid for host in network.hosts), flush=True)
    import os, subprocess
    host = network.hosts[0]
    sleeping = subprocess.Popen([*host.prefix, "sleep", "1000"], stdout=subprocess.DEVNULL)
    while os.readlink(f"/proc/{{sleeping.pid}}/ns/net") != os.readlink(f"/proc/{{host.pid}}/ns/net"):
        pass  # who enters after the end is seen by nobody
    print(sleeping.pid, flush=True)
    {ending}
"""


def network_of_a_program(ending, prefix=()):
    """A program that makes a network and ends in this way; its output."""
    path = [str(Path(__file__).parent)]
    return subprocess.run([*prefix, sys.executable, "-c", PROGRAM.format(path=path, ending=ending)], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("ending", ["raise SystemExit(1)", "os.kill(os.getpid(), 9)"], ids=["an exception", "kill -9"])
def test_a_network_leaves_nothing_behind(ending):
    done = network_of_a_program(ending)
    (link, *holders), (sleeping,) = (line.split() for line in done.stdout.splitlines())
    for pid in (*holders, sleeping):
        wait_until(lambda: not Path("/proc", pid, "ns/net").exists(), 30, f"the end of {pid}: {done.stderr}")
    wait_until(lambda: not Path("/sys/class/net", link).exists(), 30, f"the end of {link}")


def test_where_there_are_no_namespaces_a_network_says_why():
    done = network_of_a_program("pass", ["setpriv", "--bounding-set=-sys_admin"])
    assert done.returncode == 1 and "no network namespace can be made here: Operation not permitted" in done.stderr, done.stderr


class Cables(Controls):
    """Stops and starts nodes; one that has a file `pull` loses its cable when it is stopped."""

    def __init__(self, nodes, hosts):
        super().__init__(nodes)
        self.hosts = hosts

    def commands(self, node):
        found = super().commands(node)
        node._write_files()  # the options of a node that is started again
        cable = " ".join(map(str, self.hosts[self.nodes.index(node)].cable("down")))
        write_executable(node.home / "stop", f"#!/bin/sh\n{found['stop_command']} || exit\nif [ -e {node.home}/pull ]; then rm {node.home}/pull; exec {cable}; fi\n")
        return {**found, "stop_command": node.home / "stop"}


class Far(Hosts):
    """The hosts of the nodes, led from the last one of the network. last: the node whose cable is pulled, and its host."""

    def __init__(self, network, cluster, repository, controls):
        *self.places, leader = network.hosts
        super().__init__(cluster, repository, controls, port=22, prefix=leader.prefix)
        self.last, self.last_host = cluster.nodes[-1], self.places[-1]
        # There is no Cassandra where it is led from: the first node's nodetool, as JMX answers nobody else.
        nodetool = self.directory / "nodetool"
        write_executable(nodetool, f'#!/bin/sh\nexec ssh -F {self.fleet.configuration} {cluster.node.address} {cluster.node.bin}/nodetool "$@"\n')
        self.configure(nodetool, connect_timeout=60, keepalive=5)
        self.uploads = self.directory / "uploads"  # is there when the last node uploads
        uploading = self.directory / "uploading"
        write_executable(uploading, f"#!/bin/sh\nexec touch {self.uploads}\n")
        self.every = self.configuration(self.last).read_text()
        self.change_last(f"[hooks]\nbefore_upload = {uploading}\n")

    def change_last(self, text):
        """What the last node's configuration says beside that of every node."""
        self.configuration(self.last).write_text(self.every + text)

    def start(self, *arguments):
        return self.repository.start("--config", self.coordinator, "--json", *arguments, prefix=self.prefix)

    def pids(self):
        """{address: pid} of the nodes that run."""
        return {node.address: node.pid for node in self.cluster.nodes if is_alive(node.pid)}

    def begun(self):
        """Directories of a restore on any node."""
        return [path for node in self.cluster.nodes for path in node.home.glob(f"*/{OWN}")]


def end(running, code):
    """Waits for a command that was started; its document."""
    out, err = running.communicate(timeout=3 * SECONDS)
    print(out, err)
    assert running.returncode == code, (out, err)
    return json.loads(out)


def write(node):
    for (keyspace, rows), replication in zip(ROWS.items(), (1, 3)):
        write_table(node, keyspace, replication, rows)


def check_rows(cluster):
    """Every row, at CONSISTENCY ALL, asked of each node in turn."""
    for node in cluster.nodes:
        assert {keyspace: read_table(node, keyspace) for keyspace in ROWS} == ROWS, node.address


@pytest.fixture(scope="module", params=VERSIONS)
def far(request, binary, tmp_path_factory):
    directory = tmp_path_factory.mktemp("namespaces") / "p"
    program = Program(binary, directory)
    with contextlib.ExitStack() as stack:
        stack.callback(clean_up, directory)
        network = stack.enter_context(Network(4))
        store = stack.enter_context(servers.minio(address=network.address))
        program.environment.update(store.environment())
        repository = program.repository(store.url(store.make_bucket())).init()
        cluster = stack.enter_context(Cluster(request.param, 3, heap="400M", racks=("r1", "r2", "r3"), java_options=("-Dcassandra.superuser_setup_delay_ms=2000",),
                                              places=[(host.address, host.prefix) for host in network.hosts[:3]]))
        controls = stack.enter_context(Cables(cluster.nodes, network.hosts))
        far = Far(network, cluster, repository, controls)
        stack.enter_context(far.fleet)
        yield far


def condition(result, node):
    """(state, condition, why) of a node in a result."""
    said, = [said for said in result["nodes"] if said["host"] == node.address]
    return said["state"], said["condition"], said.get("message", "")


def before_anything(far):
    far.last_host.unplug()
    message = far.restore("before", "--yes", code=FAILED).json["error"]["message"]
    assert far.last.address in message, message
    far.last_host.plug()
    far.cluster._wait_until_joined()


def while_it_fetches(far):
    """The cable is put back before the node has found out that nobody leads it: it is still there when the next command comes."""
    far.change_last("[restore]\nlimit_rate = 5K\nconnections = 1\n")
    running = far.start("restore-cluster", "before", "--yes")
    fetched = f"*/{OWN}/backups/new/*/*/*"
    wait_until(lambda: list(far.last.home.glob(fetched)) or running.poll() is not None, SECONDS, "the last node fetches")
    far.last_host.unplug()
    result = end(running, FAILED)
    assert far.states(result) == ["fetched", "fetched", "failed"]
    assert condition(result, far.last) == ("failed", "runs as before, and has a part of the backup", "the connection was lost")
    far.last_host.plug()
    far.change_last("")


def between_stop_and_start(far):
    (far.last.home / "pull").touch()
    result = far.restore("before", "--yes", code=FAILED).json
    assert not (far.last.home / "pull").exists()
    assert far.states(result) == ["exchanged", "exchanged", "failed"]
    assert condition(result, far.cluster.node)[1] == "is stopped, with the backup's data in place"
    assert condition(result, far.last)[1] == "is between its own data and the backup's, and does not start by itself"
    far.last_host.plug()


if LONG:  # minutes
    def test_a_cable_is_pulled_at_the_moment_of_the_uploads(far):
        write(far.cluster.node)
        running = far.start("backup-cluster", "--name", "before", "--limit-rate", "20K", "--connections", "1")
        wait_until(lambda: far.uploads.exists() or running.poll() is not None, SECONDS, "the upload of the last node")
        far.last_host.unplug()
        result = end(running, FOUND)
        assert (result["state"], far.states(result)) == ("incomplete", ["stored", "stored", "failed"])
        assert [node["address"] for node in result["missing"]] == [far.last.address]
        assert far.listed("before") == (2, 3, False) and not far.snapshots().keys() - {far.last.address}
        wait_until(lambda: not far.snapshots(), SECONDS, "the node that nobody leads any more clears its snapshot")

        far.last_host.plug()
        far.cluster._wait_until_joined()
        result = far.backup("--name", "before", "--retry-failed")
        assert (result["state"], far.states(result)) == ("complete", ["exists", "exists", "stored"])
        assert far.listed("before") == (3, 3, True) and not far.snapshots()
        check_tokens(far.cluster, far, "before")

    def test_cables_are_pulled_at_each_step_of_a_restore(far):
        """The same command each time; it is the third that restores."""
        for keyspace in ROWS:
            far.cluster.node.cql(f"TRUNCATE {keyspace}.t")
        for node in far.cluster.nodes:
            node._disconnect()
        pids = far.pids()
        assert len(pids) == 3

        before_anything(far)
        assert far.pids() == pids and not far.begun()
        while_it_fetches(far)
        assert far.pids() == pids
        between_stop_and_start(far)
        assert not far.pids()

        result = far.restore("before", "--yes", "--check-query", "SELECT id FROM shop.t", "--check-rows", len(ROWS["shop"]))
        assert (result["case"], result["state"], far.states(result)) == ("same", "restored", ["restored"] * 3)
        far.cluster._wait_until_joined()
        check_rows(far.cluster)
        check_tokens(far.cluster, far, "before")
        assert far.restore("before", "--finish")["state"] == "finished"
        assert not far.begun()
