# SPDX-License-Identifier: Apache-2.0
"""restore-node of a real node: what was truncated, dropped and written after the backup is undone; the ways back; without staging; another
cluster's tokens; tables of a node that runs; and that Cassandra does not start while it is not finished. Most are some starts of a node of its
own: those of 5.0 daily, all and 4.1 too with SSTABLEFS_LONG=1."""

import os
import shlex
import signal
import subprocess
import sys

import pytest
from cassandra_nodes import VERSIONS, Cluster

import kinds
from harness import DONE, FAILED, LONG, wait_until
from place import LIMIT_SECONDS, create_keyspace
from test_live import Live, write_rows

pytestmark = pytest.mark.timeout(LIMIT_SECONDS)

CONTROL = r"""#!{python}
# Stops or starts the node as its init script would.
import os, signal, subprocess, sys, time
pid = {pid!r}
if sys.argv[1] == "stop":
    number = int(open(pid).read())
    os.kill(number, signal.SIGTERM)
    while os.path.exists(f"/proc/{{number}}/fd") and os.listdir(f"/proc/{{number}}/fd"):
        time.sleep(0.1)
else:
    with open({log!r}, "ab") as log:
        subprocess.Popen([{cassandra!r}], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
"""


@pytest.fixture(params=VERSIONS if LONG else VERSIONS[:1])
def alone(request):
    """A node of the test's own with two data directories."""
    with Cluster(request.param, data_directories=2) as cluster:
        yield cluster.node
        stop(cluster.node)


def stop(node):
    """Also one that restore-node has started."""
    try:
        os.kill(int(node.pid_file.read_text()), signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        pass


def live_with_control(repository, node, **keywords):
    control = node.home / "control"
    control.write_text(CONTROL.format(python=sys.executable, pid=str(node.pid_file), log=str(node.log), cassandra=str(node.bin / "cassandra")))
    control.chmod(0o755)
    return Live(repository, node, start_command=f"{control} start", stop_command=f"{control} stop", **keywords)


@pytest.fixture
def live(repository, alone):
    return live_with_control(repository, alone)


def restore(live, *arguments, code=DONE):
    return live.repository("--config", live.configuration, "restore-node", *arguments, code=code, environment=live.environment, timeout=600)


def rows(node, table):
    return sorted(tuple(row) for row in node.cql(f"SELECT id, text FROM {table}"))


def test_a_node_becomes_what_it_was(live):
    node = live.node
    create_keyspace(node, "shop")
    write_rows(node, "shop.t", 50)
    write_rows(node, "shop.gone", 20)
    node.cql("CREATE INDEX by_text ON shop.t (text)")
    before = rows(node, "shop.t"), rows(node, "shop.gone"), node.cql("SELECT tokens, host_id FROM system.local")
    live.backup("b")

    node.cql("TRUNCATE shop.t")
    node.cql("INSERT INTO shop.t (id, text) VALUES (1000, 0xff)")  # in the commit log only
    node.cql("DROP TABLE shop.gone")
    create_keyspace(node, "later")
    node._disconnect()
    answer = restore(live, "b", "--in-place", "--yes", "--check-query", "SELECT id FROM shop.t", "--check-rows", "50")
    print(answer.out)
    assert (rows(node, "shop.t"), rows(node, "shop.gone"), node.cql("SELECT tokens, host_id FROM system.local")) == before
    text = before[0][0][1]
    assert [row.id for row in node.cql("SELECT id FROM shop.t WHERE text = %s", (text,))] == [before[0][0][0]]
    assert not node.cql("SELECT * FROM system_schema.keyspaces WHERE keyspace_name = 'later'")
    write_rows(node, "shop.new", 3)
    node.nodetool("compact")
    assert "truncated-" not in node.nodetool("listsnapshots"), "what was set aside is not seen by Cassandra"

    node._disconnect()
    restore(live, "--abort")
    assert rows(node, "shop.t") == [(1000, b"\xff")], "the commit log came back too"
    assert node.cql("SELECT * FROM system_schema.keyspaces WHERE keyspace_name = 'later'")
    assert not node.cql("SELECT * FROM system_schema.tables WHERE keyspace_name = 'shop' AND table_name = 'gone'")
    node._disconnect()
    restore(live, "b", "--in-place", "--yes")
    restore(live, "--finish")
    assert rows(node, "shop.t") == before[0]
    assert not list(node.home.glob("*/.sstablefs-restore-node"))
    live.backup("c")


def test_without_staging_a_node_becomes_what_it_was(live):
    node = live.node
    create_keyspace(node, "shop")
    write_rows(node, "shop.t", 50)
    before = rows(node, "shop.t"), local(node)
    live.backup("b")
    node.cql("TRUNCATE shop.t")
    create_keyspace(node, "later")
    node._disconnect()
    print(restore(live, "b", "--in-place", "--no-stage", "--yes", "--check-query", "SELECT id FROM shop.t", "--check-rows", "50").out)
    assert (rows(node, "shop.t"), local(node)) == before
    assert not node.cql("SELECT * FROM system_schema.keyspaces WHERE keyspace_name = 'later'")
    assert not list(node.home.glob("*/.sstablefs-restore*"))


@pytest.fixture
def other(alone):
    """A node of another cluster, with another number of tokens."""
    with Cluster(alone.installation.version, data_directories=2, yaml={"num_tokens": 8}) as cluster:
        yield cluster.node
        stop(cluster.node)


def local(node):
    row, = node.cql("SELECT cluster_name, host_id, tokens FROM system.local")
    return row.cluster_name, row.host_id, sorted(row.tokens)


if LONG:  # minutes, and two nodes
    def test_a_node_of_another_cluster_takes_the_tokens_over(live, other):
        source, there = live.node, live_with_control(live.repository, other, name="n2")
        create_keyspace(source, "shop")
        write_rows(source, "shop.t", 50)
        source.cql("CREATE INDEX by_text ON shop.t (text)")
        source.cql("INSERT INTO system_auth.roles (role, can_login, is_superuser) VALUES ('boss', true, false)")
        before, (_, host_id, tokens) = rows(source, "shop.t"), local(source)
        live.backup("b")
        create_keyspace(other, "own")
        write_rows(other, "own.t", 7)
        own, had, yaml = local(other), rows(other, "own.t"), other.config.read_text()
        assert len(own[2]) == 8 and len(tokens) == 4
        other.config.write_text("# a comment\n" + yaml)
        for node in (source, other):
            node._disconnect()
        stop(source)  # its machine is gone

        print(restore(there, "b", "--remote", "--node", "n1", "--yes", "--check-query", "SELECT id FROM shop.t", "--check-rows", "50").out)
        assert rows(other, "shop.t") == before
        now = local(other)
        assert (now[0], now[2]) == (own[0], tokens), "the cluster's name stays, the tokens are the backup's"
        assert now[1] not in (host_id, own[1]), "a third node, that nobody has met"
        text = before[0][1]
        assert [row.id for row in other.cql("SELECT id FROM shop.t WHERE text = %s", (text,))] == [before[0][0]]
        assert [row.role for row in other.cql("SELECT role FROM system_auth.roles WHERE role = 'boss'")] == ["boss"]
        assert not other.cql("SELECT * FROM system_schema.keyspaces WHERE keyspace_name = 'own'")
        assert not other.cql("SELECT peer FROM system.peers_v2")
        assert other.config.read_text().startswith("# a comment\n")
        write_rows(other, "shop.new", 3)
        other._disconnect()

        restore(there, "--abort")
        assert (local(other), rows(other, "own.t")) == (own, had)
        assert other.config.read_text() == "# a comment\n" + yaml
        other._disconnect()
        restore(there, "b", "--remote", "--node", "n1", "--yes")
        restore(there, "--finish")
        assert rows(other, "shop.t") == before and local(other)[2] == tokens
        assert not list(other.home.glob("*/.sstablefs-restore-node")) and not list(other.conf.glob("*before*"))


def test_every_kind_of_table_comes_back_while_the_node_runs(repository, node, keyspace):
    live = Live(repository, node)
    tables = kinds.write_all(node, keyspace, lambda kind: LONG or not kind.long)
    live.backup("b")
    pid = node.pid
    for table in tables:
        table.cql("TRUNCATE {t}")
    restore(live, "b", "--only", keyspace, "--plan")
    print(restore(live, "b", "--only", keyspace, "--yes").out)
    wrong = {table.kind.name: what for table in tables if (what := table.check())}
    assert not wrong and node.pid == pid
    node.nodetool("verify", "--force", "--extended-verify", keyspace)
    assert not list(node.home.glob("*/.sstablefs-restore-node"))
    restore(live, "b", "--only", keyspace, "--yes")
    wrong = {table.kind.name: what for table in tables if (what := table.check())}
    assert not wrong, "a second time makes no difference"


@pytest.mark.parametrize("after", [["--abort"], ["b", "--only", "KEYSPACE", "--yes"]], ids=["abort", "again"])
def test_an_import_whose_restore_node_was_killed_comes_to_its_end(repository, node, keyspace, after):
    """Cassandra imports into a table once at a time: what waits is removed when it is through, whether nodetool was killed too or lives on."""
    live = Live(repository, node)
    write_rows(node, f"{keyspace}.t", 50)
    node.cql(f"CREATE INDEX ON {keyspace}.t (text)")
    before = rows(node, f"{keyspace}.t")
    live.backup("b")
    node.cql(f"TRUNCATE {keyspace}.t")
    nodetool = repository.program.directory / "nodetool"
    nodetool.write_text(f"#!/bin/sh\ncase $* in *import*) if mkdir {nodetool}-mark 2>/dev/null; then setsid {node.bin}/nodetool \"$@\" >/dev/null 2>&1 &\n"
                        f"  kill -9 $PPID; exit; fi;; esac\nexec {node.bin}/nodetool \"$@\"\n")
    nodetool.chmod(0o755)
    live.configure(nodetool=nodetool)
    restore(live, "b", "--only", keyspace, "--yes", code=-signal.SIGKILL)
    restore(live, *(keyspace if word == "KEYSPACE" else word for word in after))
    assert rows(node, f"{keyspace}.t") == before
    node.nodetool("verify", "--force", "--extended-verify", keyspace)
    assert not list(node.home.glob("*/.sstablefs-restore-node"))


if LONG:  # minutes
    def test_cassandra_does_not_start_in_the_middle(live):
        node = live.node
        create_keyspace(node, "shop")
        write_rows(node, "shop.t", 10)
        before = rows(node, "shop.t")
        live.backup("b")
        node.cql("TRUNCATE shop.t")
        node._disconnect()
        guard = node.data_directories[0] / ".sstablefs-restore-node/unfinished.db"
        (node.home / "blocked").write_text(f"#!/bin/sh\nmkdir -p {shlex.quote(str(guard.parent))}/backups/old/shop\n{node.home}/control stop\n")
        (node.home / "blocked").chmod(0o755)
        live.configure(start_command=f"{node.home}/control start", stop_command=node.home / "blocked")
        assert "cannot be moved" in restore(live, "b", "--in-place", "--yes", code=FAILED).err
        assert guard.exists()
        begin = node.log.stat().st_size
        done = subprocess.run([node.bin / "cassandra"], capture_output=True, timeout=300, check=False)
        said = (done.stdout + done.stderr).decode(errors="replace") + node.log_text(begin)
        assert done.returncode != 0 and "unfinished.db" in said, said[-3000:]
        (guard.parent / "backups/old/shop").rmdir()
        restore(live, "b", "--in-place", "--yes")
        assert rows(node, "shop.t") == before

    def test_a_cluster_of_two_takes_the_tokens_of_another(repository):
        """While its neighbour lives as it was, a node cannot start as somebody else; when both are restored, all rows are where they belong."""
        with Cluster("5.0", 2) as cluster, Cluster("5.0", 2, yaml={"num_tokens": 8}) as target:
            sources = [live_with_control(repository, node, name=f"n{number}") for number, node in enumerate(cluster.nodes, 1)]
            targets = [live_with_control(repository, node, name=f"m{number}") for number, node in enumerate(target.nodes, 1)]
            create_keyspace(cluster.node, "shop")
            write_rows(cluster.node, "shop.t", 200)
            before = rows(cluster.node, "shop.t")
            tokens = [local(node)[2] for node in cluster.nodes]
            for live in sources:
                live.node.nodetool("flush")
                live.backup("b")
            for node in (*cluster.nodes, *target.nodes):
                node._disconnect()
            for node in cluster.nodes:
                stop(node)
            begin = target.nodes[1].log.stat().st_size
            answer = restore(targets[1], "b", "--remote", "--node", "n2", "--yes", "--wait", "60", code=FAILED)
            assert "does not answer" in answer.err and "cancelling join" in target.nodes[1].log_text(begin)
            restore(targets[0], "b", "--remote", "--node", "n1", "--yes")
            restore(targets[1], "b", "--remote", "--node", "n2", "--yes")
            wait_until(lambda: target.node.nodetool("status").count("\nUN ") == 2, 120, "both nodes")
            assert rows(target.node, "shop.t") == before
            assert [local(node)[2] for node in target.nodes] == tokens
            for live in targets:
                live.node._disconnect()
                restore(live, "--finish")
                stop(live.node)
