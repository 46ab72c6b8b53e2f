# SPDX-License-Identifier: Apache-2.0
"""`backup` of a real node that runs: what it says of itself, its snapshot, its schema, and what happens to it meanwhile."""

import json
import os
import signal
from pathlib import Path

import pytest
from cassandra_nodes import VERSIONS, Cluster
from cassandra_nodes.node import PASSWORD, TLS

from harness import DONE, FAILED, FOUND, LONG, wait_until
from place import create_keyspace, nodetool_import
from trees import describe_tree

SLOW = ["--limit-rate", "1M", "--connections", "1"]


class Live:
    """The repository and the configuration with which one node is backed up."""

    def __init__(self, repository, node, name="n1", **keys):
        self.repository, self.node, self.name = repository, node, name
        self.configuration = repository.program.directory / f"{name}.conf"
        self.environment = {**repository.environment, "HOME": str(node.home)}
        self.configure(**keys)

    def configure(self, **keys):
        keys = {"nodetool": self.node.bin / "nodetool", "cqlsh": self.node.bin / "cqlsh", "yaml": self.node.config,
                "node": self.name, **keys}
        self.configuration.write_text("[cassandra]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()))

    def arguments(self, *more):
        return ["--config", self.configuration, "backup", *more]

    def backup(self, name, *more, code=DONE):
        return self.repository(*self.arguments("--name", name, *more), code=code, environment=self.environment, timeout=600)

    def start(self, name, *more):
        self.repository.program.environment["HOME"] = str(self.node.home)
        return self.repository.start(*self.arguments("--name", name, *more))

    def record(self, name):
        return self.repository.json("show", name, "--node", self.name)["nodes"][0]

    def own_snapshots(self):
        return sorted({path.name for path in self.node.home.glob("*/*/*/snapshots/sstablefs-*")})


@pytest.fixture
def live(repository, node):
    return Live(repository, node)


def write_rows(node, table, count, size=100):
    node.cql(f"CREATE TABLE {table} (id int PRIMARY KEY, text blob) WITH compression = {{'enabled': false}}")
    for i in range(count):
        node.cql(f"INSERT INTO {table} (id, text) VALUES (%s, %s)", (i, os.urandom(size)))
    node.nodetool("flush", *table.split("."))


def local(node):
    row, = node.cql("SELECT * FROM system.local")
    return row


def test_a_running_node_is_backed_up_whole(live, node, keyspace):
    write_rows(node, f"{keyspace}.t", 10)
    node.cql(f"CREATE TABLE {keyspace}.\"Gone\" (id int PRIMARY KEY)")
    node.cql(f"INSERT INTO {keyspace}.\"Gone\" (id) VALUES (1)")
    node.cql(f"DROP TABLE {keyspace}.\"Gone\"")
    node.cql(f"ALTER TABLE {keyspace}.t WITH comment = 'Zürich'")
    live.backup("b")
    assert live.own_snapshots() == []
    said, row = live.record("b"), local(node)
    assert (said["host_id"], said["address"]) == (str(row.host_id), node.address)
    assert (said["dc"], said["rack"]) == (row.data_center, row.rack)
    assert sorted(said["tokens"]) == sorted(row.tokens)
    assert (said["cassandra_version"], said["partitioner"]) == (row.release_version, row.partitioner)
    assert said["cluster"] == row.cluster_name.replace(" ", "_")
    assert [member["host_id"] for member in said["topology"]] == [str(row.host_id)]
    listed, = live.repository.json("list")["backups"]
    assert (listed["nodes_finished"], listed["nodes_expected"], listed["complete"]) == (1, 1, True)
    with live.repository.mount() as mount:
        top = mount.node("n1", said["cluster"]) / "b"
        schema = (top / "schema.cql").read_text()
        assert f"CREATE KEYSPACE {keyspace} " in schema and "Zürich" in schema and schema.startswith("CREATE")
        table, = node.cql("SELECT id FROM system_schema.tables WHERE keyspace_name=%s AND table_name='t'", (keyspace,))
        assert f"ID = {table.id}" in schema
        assert json.loads((top / "topology.json").read_text())["cluster"] == row.cluster_name
        assert {path.name for path in (top / "data").iterdir()} >= {"system", "system_schema", "system_auth", keyspace}
        assert [path.name.split("-")[0] for path in (top / "data" / keyspace).iterdir()] == ["t"], "a dropped table is none"
        node.cql(f"TRUNCATE {keyspace}.t")
        nodetool_import(node, next((top / "data" / keyspace).glob("t-*")), keyspace, "t")
        assert node.count(f"{keyspace}.t") == 10


def test_what_happens_to_the_node_meanwhile_does_no_harm(live, node, keyspace):
    """Compaction, truncate, drop and schema changes between the snapshot and the last byte."""
    for name in ("truncated", "dropped", "compacted"):
        write_rows(node, f"{keyspace}.{name}", 20, 100_000)
    create_keyspace(node, "whole")
    write_rows(node, "whole.t", 5, 1000)
    files = {path.relative_to(node.data_directories[0]): path.read_bytes()
             for ks in (keyspace, "whole") for path in (node.data_directories[0] / ks).glob("*/*-*") if path.is_file()}
    process = live.start("b", *SLOW, "--only", keyspace, "--only", "whole")
    objects = live.repository.path / "nodes"
    wait_until(lambda: list(objects.glob("*/n1/objects/*/*")) or process.poll() is not None, 300, "the first object")
    process.send_signal(signal.SIGSTOP)  # what follows happens before the next byte is read
    assert process.poll() is None, "the backup was too quick for this test"
    node.cql(f"TRUNCATE {keyspace}.truncated")
    node.cql(f"DROP TABLE {keyspace}.dropped")
    node.cql("DROP KEYSPACE whole")
    node.cql(f"ALTER TABLE {keyspace}.compacted ADD more int")
    node.nodetool("compact", keyspace)
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == DONE, out + err
    assert live.own_snapshots() == [], "also in what was dropped"
    with live.repository.mount() as mount:
        top = mount.node("n1", live.record("b")["cluster"]) / "b/data"
        assert {Path(path): (top / path).read_bytes() for path in describe_tree(top)} == files


def test_a_killed_run_is_cleared_up_after_by_the_next(live, node, keyspace):
    write_rows(node, f"{keyspace}.t", 30, 100_000)
    node.nodetool("snapshot", "-t", "nightly", keyspace)
    process = live.start("b", *SLOW, "--only", keyspace)
    wait_until(lambda: live.own_snapshots() or process.poll() is not None, 300, "the snapshot")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    left, = live.own_snapshots()
    assert left in live.backup("c", "--only", keyspace).err
    assert live.own_snapshots() == []
    assert "nightly" in node.nodetool("listsnapshots")
    node.nodetool("clearsnapshot", "-t", "nightly")


@pytest.mark.parametrize("version", VERSIONS)
def test_what_cql_tells_and_what_nodetool_tells_make_the_same_backup(repository, tmp_path, version):
    """Two data directories, of which cassandra.yaml names one by a link, and a third of the node's own system tables."""
    calls, nodetool = tmp_path / "calls", tmp_path / "nodetool"
    (tmp_path / "linked").mkdir()
    with Cluster(version, data_directories=2, racks=("rack 0",), yaml={"local_system_data_file_directory": f"{tmp_path}/linked/../own/"}) as cluster:
        node = cluster.node
        link = node.home / "link"
        link.symlink_to(node.data_directories[0])
        node.restart({"data_file_directories": [f"{link}/", str(node.data_directories[1])]})
        create_keyspace(node, "ks")
        write_rows(node, "ks.t", 50)
        node.cql("CREATE TABLE ks.empty (id int PRIMARY KEY)")
        nodetool.write_text(f'#!/bin/sh\necho "$1" >>{calls}\nexec {node.bin}/nodetool "$@"\n')
        nodetool.chmod(0o755)
        live = Live(repository, node, nodetool=nodetool)
        ways, made = {"cql": {}, "nodetool": {"cqlsh": "/bin/false"}, "again": {}}, {}
        for way, keys in ways.items():
            live.configure(nodetool=nodetool, **keys)
            answer = json.loads(repository("--config", live.configuration, "backup", "--json", "--name", way, "--only", "ks",
                                           code=FOUND if keys else DONE, environment=live.environment, timeout=600).out)
            asked = sorted(calls.read_text().split())
            calls.unlink()
            assert asked == sorted([*(["info", "status", "describecluster", "datapaths"] if keys else []), "snapshot", "clearsnapshot"])
            assert way == "cql" or answer["new_bytes"] < 2000, "no SSTable is stored again, only what says which files there are"
            said = live.record(way)
            made[way] = {key: said[key] for key in ("host_id", "address", "dc", "rack", "tokens", "cassandra_version", "partitioner",
                                                    "storage_compatibility_mode", "topology", "tables", "cluster")}
        assert made["cql"] == made["nodetool"] == made["again"]
        assert made["cql"]["tokens"] == sorted(made["cql"]["tokens"], key=int) and len(made["cql"]["tokens"]) == 4
        with repository.mount() as mount:
            tops = [mount.node("n1", made["cql"]["cluster"]) / way for way in made]
            first, *others = [{str(path): (top / "data" / path).read_bytes() for path in describe_tree(top / "data")} for top in tops]
            assert first == others[0] == others[1] and any("/t-" in path for path in first)
            assert len({(top / "topology.json").read_bytes() for top in tops}) == 1
            assert not (tops[1] / "schema.cql").exists()
        # A whole node: its own system tables are found by either way, in the third directory.
        for way, keys in ways.items():
            live.configure(nodetool=nodetool, **keys)
            live.backup(f"whole-{way}", code=FOUND if keys else DONE)
        wholes = [{table["table"] for table in live.record(f"whole-{way}")["tables"]} for way in ways]
        assert wholes[0] == wholes[1] == wholes[2]
        assert {"local", "peers_v2"} <= {name.split("/")[1].split("-")[0] for name in wholes[0] if name.startswith("system/")}


# Two nodes on a machine of two cores take minutes: in the daily check the stand-in says that list knows n of m.
SECURE = [pytest.param("5.0", TLS, 2 if LONG else 1, {"storage_compatibility_mode": "NONE", "uuid_sstable_identifiers_enabled": True}, id="tls-5.0"),
          pytest.param("4.1", PASSWORD, 1, {}, id="password-4.1")]


@pytest.mark.parametrize("version, jmx, count, yaml", SECURE)
def test_passwords_tls_and_several_data_directories(repository, tmp_path, version, jmx, count, yaml):
    with Cluster(version, count=count, jmx=jmx, authentication=True, data_directories=2, yaml=yaml,
                 racks=tuple(f"rack {number}" for number in range(count))) as cluster:
        node = cluster.node
        create_keyspace(node, "ks")
        write_rows(node, "ks.t", 50)
        secret = tmp_path / "cql"
        secret.touch(mode=0o600)
        secret.write_text("[plain_text_auth]\nusername = cassandra\npassword = cassandra\n")
        words = node.jmx_words
        keys = {"jmx_username": words[1], "jmx_password_file": words[3], "jmx_ssl": "yes" if jmx == TLS else "no",
                "cql_credentials_file": secret}
        for number, other in enumerate(cluster.nodes, 1):
            live = Live(repository, other, f"n{number}", **keys)
            live.backup("b")
            listed, = repository.json("list")["backups"]
            assert (listed["nodes_finished"], listed["nodes_expected"]) == (number, count)
            assert live.own_snapshots() == []
        live = Live(repository, node, "n1", **keys)
        said = live.record("b")
        assert said["storage_compatibility_mode"] == yaml.get("storage_compatibility_mode", "")
        assert said["rack"] == "rack 0"
        assert sum(table["files"] for table in said["tables"] if table["table"].startswith("ks/t-")) >= 8

        wrong = tmp_path / "wrong"
        wrong.touch(mode=0o600)
        wrong.write_text(f"{words[1]} not-the-password\n")
        live.configure(**{**keys, "jmx_password_file": wrong})
        answer = live.backup("c", code=FAILED)
        assert "nvalid username or password" in answer.err and "jmx_password_file" in answer.err
        assert "not-the-password" not in answer.err
        live.configure(cql_credentials_file=secret, jmx_ssl=keys["jmx_ssl"])
        assert "name jmx_username" in live.backup("c", code=FAILED).err
        live.configure(**{key: value for key, value in keys.items() if key != "cql_credentials_file"})
        assert "no schema.cql" in live.backup("d", code=FOUND).err
        live.configure(**keys)
        for other in cluster.nodes:
            other.stop()
        assert "is Cassandra running" in live.backup("e", code=FAILED).err
        assert live.own_snapshots() == []
