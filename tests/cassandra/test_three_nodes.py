# SPDX-License-Identifier: Apache-2.0
"""A cluster of three real nodes, each behind an sshd of its own, in the hands of its operator: backup-cluster, timers without a coordinator, and the whole
cluster made again what it was. One cluster serves all of it, the last test restarts it; 4.1 with SSTABLEFS_LONG=1."""

import shutil
import subprocess
import threading
import time

import kinds
import pytest
from cassandra_nodes import VERSIONS, Cluster

import place
from harness import DONE, FAILED, FOUND, LONG, wait_until
from hosts import SECONDS, Hosts, list_file, tokens_of, tokens_seen_by
from supervisor import Supervisor
from test_metrics_file import metrics
from test_systemd import at, exec_start

pytestmark = pytest.mark.timeout(place.LIMIT_SECONDS)

APART_SECONDS = 60  # between the first and the last snapshot; seconds on a machine that does nothing else
REPLICATION = "'class': 'NetworkTopologyStrategy', 'dc1': {}"


@pytest.fixture(scope="module", params=VERSIONS if LONG else VERSIONS[:1])
def cluster(request):
    # A node that is alone for a while tries again and again to make its first role: not without a pause.
    with Cluster(request.param, 3, heap="400M", racks=("r1", "r2", "r3"), yaml={"user_defined_functions_enabled": True},
                 java_options=("-Dcassandra.superuser_setup_delay_ms=2000",)) as cluster:
        yield cluster


@pytest.fixture
def hosts(cluster, minio):
    with Supervisor(cluster.nodes) as supervisor:
        hosts = Hosts(cluster, minio, supervisor)
        with hosts.fleet:
            yield hosts


@pytest.fixture
def shop(cluster):
    """A table of which each node holds its own share, and its rows."""
    rows = {i: f"row {i} " + "x" * 200 for i in range(300)}
    place.create_keyspace(cluster.node, "shop", REPLICATION.format(1))
    cluster.node.cql("CREATE TABLE shop.orders (id int PRIMARY KEY, v text)")
    for row in rows.items():
        cluster.node.cql("INSERT INTO shop.orders (id, v) VALUES (%s, %s)", row)
    yield rows
    cluster.node.cql("DROP KEYSPACE shop")


class Watch:
    """When each node first had a snapshot of sstablefs, and when it first had none any more."""

    def __init__(self, hosts):
        self.hosts, self.came, self.gone, self.over = hosts, {}, {}, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        while not self.over.wait(0.05):
            now, there = time.monotonic(), self.hosts.snapshots()
            for address in there:
                self.came.setdefault(address, now)
            for address in self.came.keys() - there.keys():
                self.gone.setdefault(address, now)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.over.set()
        self.thread.join()


# ---- backup-cluster ----

def test_all_nodes_take_their_snapshots_before_any_uploads(hosts, shop):
    with Watch(hosts) as watch:
        result = hosts.backup("--name", "monday", "--limit-rate", "1M")  # slow enough to be watched
    assert (result["state"], hosts.states(result), result["missing"]) == ("complete", ["stored"] * 3, [])
    assert hosts.listed("monday") == (3, 3, True) and hosts.snapshots() == {}
    assert len(watch.came) == 3 and max(watch.came.values()) < min(watch.gone.values()), "a node cleared its snapshot before another had one"
    assert max(watch.came.values()) - min(watch.came.values()) <= APART_SECONDS
    assert 0 < result["snapshot_seconds"] <= APART_SECONDS


def test_a_node_that_cannot_be_reached_is_named_and_the_retry_completes_the_backup(cluster, hosts, shop):
    last = cluster.nodes[2]
    hosts.fleet.servers[last.address].stop()
    result = hosts.backup("--name", "monday", code=FOUND)
    assert (result["state"], hosts.states(result)) == ("incomplete", ["stored", "stored", "failed"])
    assert "Connection refused" in next(node["message"] for node in result["nodes"] if node["host"] == last.address)
    assert [node["address"] for node in result["missing"]] == [last.address]
    assert hosts.listed("monday") == (2, 3, False) and hosts.snapshots() == {}
    assert last.address in hosts.repository("list").out, "who is missing is said where people look"

    hosts.fleet.servers[last.address].start()
    result = hosts.backup("--name", "monday", "--retry-failed", "--parallel", "1", "--per", "rack")
    assert (result["state"], hosts.states(result)) == ("complete", ["exists", "exists", "stored"])
    assert hosts.listed("monday") == (3, 3, True) and hosts.snapshots() == {}

    cluster.node.cql("TRUNCATE shop.orders")
    with hosts.repository.mount() as mount:
        for node in cluster.nodes:
            source, = (mount.data("monday", place.node_name(node), result["cluster"]) / "shop").glob("orders-*")
            place.nodetool_import(node, source, "shop", "orders")
    for node in cluster.nodes:
        assert dict(node.cql("SELECT id, v FROM shop.orders")) == shop


def test_the_nodes_of_a_coordinator_that_was_killed_clear_their_snapshots(hosts, shop):
    running = hosts.program.start("--config", hosts.coordinator, "backup-cluster", "--name", "b", "--limit-rate", "20K", "--connections", "1")
    wait_until(lambda: len(hosts.snapshots()) == 3 or running.poll() is not None, SECONDS, "a snapshot on each node")
    running.kill()
    out, err = running.communicate()
    assert running.returncode < 0, f"it ended before it was killed: {out}{err}"
    wait_until(lambda: not hosts.snapshots(), SECONDS, "the snapshots are cleared")
    assert hosts.backup("--name", "b", "--retry-failed")["state"] == "complete"
    assert hosts.listed("b") == (3, 3, True) and hosts.snapshots() == {}


# ---- the check-list: on schedule, with schema, tokens and metrics ----

class Timers:
    """Runs on each host, at a time of the calendar, what systemd would."""

    def __init__(self, hosts):
        self.hosts, self.bin = hosts, hosts.directory / "bin"
        self.bin.mkdir()
        (self.bin / "sstablefs").symlink_to(hosts.program.binary)

    def metrics_file(self, node):
        return self.hosts.directory / f"{place.node_name(node)}.prom"

    def run(self, instance, node, seconds):
        date = self.bin / "date"
        date.write_text(f'#!/bin/sh\nexec {shutil.which("date")} -d @{seconds} "$@"\n')
        date.chmod(0o755)
        environment = self.hosts.environments[node.address]
        done = subprocess.run(exec_start(instance), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=SECONDS,
                              env={**environment, "PATH": f"{self.bin}:{environment['PATH']}", "BACKUP_OPTIONS": f"--metrics-file {self.metrics_file(node)}"})
        assert done.returncode == DONE, done
        return done.stdout


def test_the_operators_check_list(cluster, hosts, shop):
    """Nobody leads: each node's timer elapses at its own moment of the day, and its backups meet under one name."""
    timers, name = Timers(hosts), "daily-20261122"
    for number, (node, moment) in enumerate(zip(cluster.nodes, ((0, 3), (0, 29, 59), (23, 59, 59))), 1):
        timers.run("daily", node, at(2026, 11, 22, *moment))
        assert hosts.listed(name) == (number, 3, number == 3)
    assert "is there already" in timers.run("daily", cluster.nodes[0], at(2026, 11, 22, 12))
    assert hosts.snapshots() == {}

    table, = cluster.node.cql("SELECT id FROM system_schema.tables WHERE keyspace_name = 'shop' AND table_name = 'orders'")
    with hosts.repository.mount() as mount:
        for node in cluster.nodes:
            said, (local,) = hosts.record(name, node), node.cql("SELECT * FROM system.local")
            assert sorted(said["tokens"]) == sorted(local.tokens)
            assert (said["host_id"], said["address"], said["dc"], said["rack"]) == (str(local.host_id), node.address, local.data_center, local.rack)
            assert sorted(member["address"] for member in said["topology"]) == sorted(node.address for node in cluster.nodes)
            schema = (mount.node(place.node_name(node), said["cluster"]) / name / "schema.cql").read_text()
            assert "CREATE KEYSPACE shop " in schema and f"ID = {table.id}" in schema
            told = metrics(timers.metrics_file(node), said["cluster"], place.node_name(node))
            assert (told["last_run_success"], told["last_run_exit_code"]) == (1, DONE)
            assert told["last_success_files"] == said["files"] > 0 and told["last_success_size_bytes"] == said["total_bytes"] > 0
            assert told["last_success_damaged_files"] == 0 and abs(time.time() - told["last_success_timestamp_seconds"]) < SECONDS


# ---- the whole cluster, as it was ----

NAMES = ("lz4", "none", "index_2i", "index_sasi", "index_sai", "viewed", "statics", "collections", "types", "counters", "expiring", "ranges", "tombstones",
         "column_twice", "Mixed_Case")
FUNCTIONS = ("CREATE FUNCTION shop.plus(s int, x int) CALLED ON NULL INPUT RETURNS int LANGUAGE java AS $$ return s + x; /* ; '' */ $$",
             "CREATE AGGREGATE shop.total(int) SFUNC plus STYPE int INITCOND 0",
             "ALTER TABLE shop.orders WITH comment = 'two  blanks; a '' and -- no comment'")
DESCRIBE = "DESCRIBE KEYSPACE whole WITH INTERNALS; DESCRIBE KEYSPACE shop WITH INTERNALS"
# What happens after the backup; all of it is to be undone.
ACCIDENT = ("TRUNCATE whole.lz4", "DROP TABLE whole.ranges", "DROP MATERIALIZED VIEW whole.by_ck", "UPDATE whole.counters SET c = c + 1000 WHERE page = 'home'",
            "DELETE FROM whole.statics WHERE id = 1", "INSERT INTO whole.index_2i (id, ck, n, v) VALUES (77, 7, 7, 'later')", "ALTER TABLE whole.column_twice DROP v",
            "DROP AGGREGATE shop.total", "CREATE KEYSPACE later WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")


def check_tokens(cluster, hosts, name, sources=()):
    """Each node has the tokens that its own backup (that of its source) tells, and all nodes see them so."""
    records = {node.address: hosts.record(name, source) for node, source in zip(cluster.nodes, sources or cluster.nodes)}
    expected = {address: (said["host_id"], sorted(said["tokens"])) for address, said in records.items()}
    assert tokens_of(cluster) == expected
    for node in cluster.nodes:
        assert tokens_seen_by(node) == expected, node.address


def check_rows(cluster, tables, shop):
    """Every row, at CONSISTENCY ALL, asked of each node in turn."""
    for node in cluster.nodes:
        for table in tables:
            table.node = node
            assert table.check() is None, (node.address, table.kind.name, table.check())
        assert dict(node.cql("SELECT id, v FROM shop.orders")) == shop
        assert [row[0] for row in node.cql("SELECT shop.total(id) FROM shop.orders")] == [sum(shop)]


def restored_by_another_nodes_backup(hosts, cluster):
    """What restore-node says to a mapping that is wrong."""
    answer = hosts.on(cluster.nodes[1], "restore-node", "before", "--in-place", "--yes", "--node", place.node_name(cluster.nodes[2]), code=FAILED)
    return answer.err


def a_wrong_mapping_is_refused_of_a_node_that_is_stopped(hosts, cluster):
    """Its Cassandra would not start in the neighbour's rack (test_restored_still.py)."""
    err = restored_by_another_nodes_backup(hosts, cluster)
    assert "nothing was done" in err and "Cassandra would not start; correct the snitch's properties" in err, err


def restore_by_list_and_back(hosts, cluster, shop, tables):
    """No node runs, so the cluster cannot be asked: a list names its hosts. Then all go back to what the accident left."""
    for node in cluster.nodes:
        node.stop()
    a_wrong_mapping_is_refused_of_a_node_that_is_stopped(hosts, cluster)
    path = list_file(hosts.directory / "list", [(node, node) for node in cluster.nodes])
    assert hosts.restore("before", "--yes", "--host-list", path, "--in-place")["state"] == "restored"
    cluster._wait_until_joined()
    check_tokens(cluster, hosts, "before")
    check_rows(cluster, tables, shop)
    assert hosts.restore("before", "--abort", "--host-list", path)["state"] == "aborted"
    for node in cluster.nodes:
        node.start()  # those that did not run before were not started
    cluster._wait_until_joined()
    assert cluster.node.cql("SELECT * FROM system_schema.keyspaces WHERE keyspace_name = 'later'")
    assert not cluster.node.cql("SELECT * FROM whole.lz4")


def check_downtime(hosts, events, count):
    """All are stopped before one starts, and the first, which is the seed, is up before another starts."""
    stops, starts = [event for event in events if event[0] == "stop"], [event for event in events if event[0] == "start"]
    assert len(stops) == len(starts) == count
    assert max(ended for _, _, ended in stops) < min(begun for _, begun, _ in starts)
    first, *others = sorted(starts, key=lambda event: event[1])
    assert first[2] < min(begun for _, begun, _ in others)


def test_the_whole_cluster_becomes_what_it_was(cluster, hosts, shop):
    """One command: all fetch, all are stopped and exchanged, then the seed starts, then one rack after another."""
    for statement in FUNCTIONS:
        cluster.node.cql(statement)
    place.create_keyspace(cluster.node, "whole", REPLICATION.format(3))
    tables = kinds.write_all(cluster.node, "whole", lambda kind: kind.name in NAMES)
    check_rows(cluster, tables, shop)
    before = tokens_of(cluster), cluster.node.cqlsh(DESCRIBE)
    assert hosts.backup("--name", "before")["state"] == "complete"
    check_tokens(cluster, hosts, "before")
    for statement in ACCIDENT:
        cluster.node.cql(statement)

    said = restored_by_another_nodes_backup(hosts, cluster)
    assert "in rack r3 and this one in r2" in said and "has other tokens than the backup" in said and "nothing was done" in said
    if LONG:
        restore_by_list_and_back(hosts, cluster, shop, tables)
    for node in cluster.nodes:
        node._disconnect()
    del hosts.supervisor.events[:]
    # Each row of shop is on one node: asked of each when all run.
    result = hosts.restore("before", "--yes", "--check-query", "SELECT id FROM shop.orders", "--check-rows", len(shop))
    assert (result["case"], result["state"], hosts.states(result)) == ("same", "restored", ["restored"] * 3)
    check_downtime(hosts, hosts.supervisor.events, 3)
    cluster._wait_until_joined()

    check_tokens(cluster, hosts, "before")
    with pytest.raises(AssertionError):  # another mapping would be noticed
        check_tokens(cluster, hosts, "before", cluster.nodes[1:] + cluster.nodes[:1])
    assert (tokens_of(cluster), cluster.node.cqlsh(DESCRIBE)) == before
    check_rows(cluster, tables, shop)
    assert not cluster.node.cql("SELECT * FROM system_schema.keyspaces WHERE keyspace_name = 'later'")
    assert hosts.restore("before", "--finish")["state"] == "finished"
    assert not any(list(node.home.glob("*/.sstablefs-restore-node")) for node in cluster.nodes)
    assert hosts.backup("--name", "after")["state"] == "complete"
    cluster.node.cql("DROP KEYSPACE whole")
