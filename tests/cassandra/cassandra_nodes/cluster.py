# SPDX-License-Identifier: Apache-2.0
"""Several nodes that form one cluster."""

import random
import shutil
import socket
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from .install import Installation
from .node import NONE, Node, NodeError

JOIN_SECONDS = 300
POLL_SECONDS = 0.2


@dataclass
class Settings:
    """What all nodes of a cluster share, and (seed, rack, prefix) what Cluster sets for each."""
    cluster_name: str
    heap: str
    yaml: dict
    data_directories: int
    jmx: str
    credentials: tuple
    java_options: list
    measured: bool
    seed: str = ""
    dc: str = "dc1"
    rack: str = ""
    prefix: tuple = ()


def free_address(taken):
    """A loopback address whose ports 7000 and 9042 are free. It is drawn, so that several test runs do not meet."""
    while True:
        address = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
        try:
            for port in (7000, 9042):
                with socket.socket() as s:
                    s.bind((address, port))
        except OSError:
            continue
        if address not in taken:
            return address


@dataclass
class Cluster:
    """version: "5.0" or "4.1". nodes: how many. heap: of each. yaml: changes of cassandra.yaml. racks: one a node, which also
    chooses GossipingPropertyFileSnitch; dcs: the same, with racks, where not all are in `dc`. data_directories: how many each node has. jmx: NONE, PASSWORD or TLS (which has the
    password too). authentication: CQL asks for cassandra/cassandra. java_options: more for the server.
    measured: for benchmarks, as in production; else Java compiles once and quickly, which takes half the CPU time of a node that lives for a minute.
    places: the address of each node and the words before a command that make it run there (else loopback addresses of this host)."""
    version: str = "5.0"
    count: int = 1
    heap: str = "512M"
    yaml: dict = field(default_factory=dict)
    racks: tuple = ()
    dc: str = "dc1"
    dcs: tuple = ()
    data_directories: int = 1
    jmx: str = NONE
    authentication: bool = False
    java_options: tuple = ()
    measured: bool = False
    name: str = ""
    places: tuple = ()

    def __post_init__(self):
        self.installation = Installation(self.version)
        self.name = self.name or f"test {uuid.uuid4().hex[:8]}"
        self.nodes = []

    @property
    def node(self):
        """The first node."""
        return self.nodes[0]

    def add(self):
        """One more node, which is started."""
        yaml = {**({"authenticator": "PasswordAuthenticator", "role_manager": "CassandraRoleManager"}
                   if self.authentication else {}), **self.yaml}
        number = len(self.nodes)
        address, prefix = self.places[number] if self.places else (free_address([node.address for node in self.nodes]), ())
        settings = Settings(self.name, self.heap, yaml, self.data_directories, self.jmx,
                            ("cassandra", "cassandra") if self.authentication else None, list(self.java_options), self.measured,
                            seed=self.nodes[0].address if self.nodes else address,
                            dc=self.dcs[number] if self.dcs else self.dc,
                            rack=self.racks[number] if self.racks else "", prefix=tuple(prefix))
        # Of its own, so that the guard of the node removes all there is.
        home = Path(tempfile.mkdtemp(prefix=f"sstablefs-cassandra-{number + 1}-"))
        node = Node(self.installation, home, address, settings)
        self.nodes.append(node)
        node.start()
        if number:
            self._wait_until_joined()
        return node

    def _wait_until_joined(self):
        """Until every node sees every other as up and normal, as a client at CONSISTENCY ALL needs."""
        deadline = time.monotonic() + JOIN_SECONDS
        for node in self.nodes:
            while node.nodetool("status").count("\nUN ") != len(self.nodes):
                if time.monotonic() > deadline:
                    raise NodeError(f"{node.address} does not see {len(self.nodes)} nodes up:\n{node.nodetool('status')}")
                time.sleep(POLL_SECONDS)

    def __enter__(self):
        try:
            for _ in range(self.count):
                self.add()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception):
        for node in reversed(self.nodes):
            node.remove()
            shutil.rmtree(node.home, ignore_errors=True)
