# SPDX-License-Identifier: Apache-2.0
"""restore-node of a real node that does not run and has nothing on its disks, as a machine in another's place: its rack and its version are compared
before anything is done. 5.0 daily, 4.1 too with SSTABLEFS_LONG=1."""

import shutil
import subprocess

import pytest
from cassandra_nodes import VERSIONS, Cluster

from harness import FAILED, FOUND, LONG
from place import LIMIT_SECONDS, create_keyspace
from test_live import write_rows
from test_restored_node import live_with_control, local, restore, rows, stop

pytestmark = pytest.mark.timeout(LIMIT_SECONDS)

OLDER = {"5.0": "4.1.10", "4.1": "4.0.17"}


@pytest.fixture(params=VERSIONS if LONG else VERSIONS[:1])
def racked(request):
    with Cluster(request.param, racks=("r1",)) as cluster:
        yield cluster.node
        stop(cluster.node)


def directories(node):
    return [*node.data_directories, *(node.home / name for name in ("commitlog", "hints", "saved_caches", "cdc_raw"))]


def started_in_vain(node):
    """What Cassandra itself says to what restore-node refuses."""
    begin = node.log.stat().st_size
    done = subprocess.run([node.bin / "cassandra"], capture_output=True, timeout=300, check=False)
    assert done.returncode != 0
    return (done.stdout + done.stderr).decode(errors="replace") + node.log_text(begin)


def test_a_machine_in_anothers_place_is_compared_before_it_is_restored(repository, racked):
    node, live = racked, live_with_control(repository, racked)
    create_keyspace(node, "shop")
    write_rows(node, "shop.t", 50)
    before = rows(node, "shop.t"), local(node)
    live.backup("b")
    node.stop()
    for path in directories(node):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
    properties = node.conf / "cassandra-rackdc.properties"
    right, (jar,) = properties.read_text(), (node.home / "lib").iterdir()

    properties.write_text(right.replace("rack=r1", "rack=r2"))
    answer = restore(live, "b", "--in-place", "--yes", code=FAILED)
    assert "rack r1 and this one in r2" in answer.err
    properties.write_text(right)
    older = jar.rename(jar.with_name(f"apache-cassandra-{OLDER[node.installation.version]}.jar"))
    answer = restore(live, "b", "--in-place", "--plan", code=FOUND)
    assert f"this node has {OLDER[node.installation.version]}, which does not read newer data" in answer.out
    older.rename(jar)
    assert not any(entry for path in directories(node) for entry in path.iterdir()), "nothing was done"

    assert "REFUSED" not in restore(live, "b", "--in-place", "--plan").out
    print(restore(live, "b", "--in-place", "--yes", "--check-query", "SELECT id FROM shop.t", "--check-rows", "50").out)
    assert (rows(node, "shop.t"), local(node)) == before
    node._disconnect()
    restore(live, "--finish")
    if LONG:
        stop(node)
        properties.write_text(right.replace("rack=r1", "rack=r2"))
        assert "differs from previous rack" in started_in_vain(node)
        properties.write_text(right)
        node.config.write_text(node.config.read_text().replace("num_tokens:", "# num_tokens:"))
        assert "Cannot change the number of tokens from 4 to 1" in started_in_vain(node)
