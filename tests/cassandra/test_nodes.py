# SPDX-License-Identifier: Apache-2.0
"""The harness itself: a node that does not start says why, and nothing is left behind, however it ends."""

import os
import signal
import subprocess
import sys
import tempfile

import pytest
from cassandra_nodes import VERSIONS, Cluster, NodeError

import place
from harness import is_alive, wait_until

pytestmark = pytest.mark.timeout(place.LIMIT_SECONDS)

KILLED_RUN = "import cassandra_nodes\nwith cassandra_nodes.Cluster('5.0'): pass"


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """An empty directory, in which temporary files are made."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_a_node_that_cannot_start_says_why_and_leaves_nothing(directory):
    with pytest.raises(NodeError, match="no_such_key"), Cluster("5.0", yaml={"no_such_key": "1"}):
        pass
    assert not list(directory.iterdir())


def test_a_killed_test_run_leaves_neither_process_nor_file(directory):
    run = subprocess.Popen([sys.executable, "-c", KILLED_RUN], stdin=subprocess.DEVNULL,
                           env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    try:
        wait_until(lambda: list(directory.glob("*/pid")) and list(directory.glob("*/log.txt")), 60, "a node starts")
        pid_file, = directory.glob("*/pid")
        wait_until(lambda: pid_file.read_text().strip(), 60, "its process id is known")
        pid = int(pid_file.read_text())
        assert is_alive(pid)
    finally:
        run.send_signal(signal.SIGKILL)
        run.wait()
    wait_until(lambda: not is_alive(pid), 60, "the node has ended")
    wait_until(lambda: not list(directory.iterdir()), 60, "its files are gone")


@pytest.mark.parametrize("node", VERSIONS[:1], indirect=True)
def test_the_tools_of_a_stopped_node_work_on_its_own_data(node, keyspace):
    rows = {number: f"row {number}" for number in range(4)}
    node.cql(f"CREATE TABLE {keyspace}.t (id int PRIMARY KEY, v text)")
    for row in rows.items():
        node.cql(f"INSERT INTO {keyspace}.t (id, v) VALUES (%s, %s)", row)
    node.nodetool("flush", keyspace)
    directory, = node.table_directories(keyspace, "t")
    node.drain()
    try:
        before = {str(path) for path in directory.glob("*-*-*")}
        assert before and set(node.run("sstableutil", keyspace, "t").out.split()) >= before
        node.run("sstableverify", "-f", keyspace, "t")
        node.run("sstablescrub", keyspace, "t")
        after = {str(path) for path in directory.glob("*-*-*")}
        assert after and not after & before  # written anew
    finally:
        node.start()
    assert dict(node.cql(f"SELECT id, v FROM {keyspace}.t")) == rows
