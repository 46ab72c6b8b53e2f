# SPDX-License-Identifier: Apache-2.0
"""Roles, passwords and permissions of a cluster that asks for passwords are loaded into another one, which has some of its own; and a backup of a newer
Cassandra is refused by an older. Minutes: only with SSTABLEFS_LONG=1."""

import contextlib
import json
import re
import shlex
from pathlib import Path

import pytest
from cassandra import Unauthorized
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, ExecutionProfile, NoHostAvailable
from cassandra.cluster import Cluster as Driver
from cassandra.policies import WhiteListRoundRobinPolicy
from cassandra_nodes import Cluster
from test_live import Live

import place
from harness import LONG, USAGE, wait_until

pytestmark = pytest.mark.timeout(place.LIMIT_SECONDS)

SECURE = {"authorizer": "CassandraAuthorizer"}
OPTIONS = {"heap": "400M", "authentication": True, "yaml": SECURE, "java_options": ("-Dcassandra.superuser_setup_delay_ms=2000",)}
ROWS = {1: "one", 2: "two", 3: "three"}


def secret(program, name, user, password):
    """A file for cqlsh --credentials."""
    path = program.directory / name
    path.touch(mode=0o600)
    path.write_text(f"[plain_text_auth]\nusername = {user}\npassword = {password}\n")
    return path


def loader(program, node, user, password):
    """sstableloader takes its password as an argument only: Java is started by the script of docs/restore-cluster.md, by which nobody sees it. A role that may
    log in is enough."""
    document = (Path(__file__).parents[2] / "docs/restore-cluster.md").read_text()
    java, path, own = program.directory / "java", program.directory / "loader", str(node.installation.java)
    java.write_text(re.search(r"```bash\n(#!/bin/bash\n# As java;.*?)```", document, re.DOTALL)[1])
    text = (node.bin / "sstableloader").read_text()
    # Java opens no file of options in another one.
    options = node.conf / "tools.options"
    words = " ".join(shlex.quote(json.loads(line)) for line in options.read_text().splitlines())
    began = f"exec {own} @{options} "
    assert text.count(began) == 1
    path.write_text(text.replace(began, f"exec env JAVA={own} SECRET={secret(program, 'loader-secret', user, password)} {java} {words} "))
    for script in (java, path):
        script.chmod(0o755)
    return path


@contextlib.contextmanager
def session(node, user, password):
    profile = ExecutionProfile(load_balancing_policy=WhiteListRoundRobinPolicy([node.address]), request_timeout=60)
    driver = Driver([node.address], protocol_version=5, connect_timeout=60, auth_provider=PlainTextAuthProvider(user, password),
                    execution_profiles={EXEC_PROFILE_DEFAULT: profile})
    try:
        yield driver.connect()
    finally:
        driver.shutdown()


def logs_in(node, user, password):
    try:
        with session(node, user, password):
            return True
    except NoHostAvailable:
        return False


def back_up(repository, version):
    """Backup b of a cluster with roles of each kind. Its superuser has another password than a new cluster's."""
    with Cluster(version, **OPTIONS) as cluster:
        node = cluster.node
        place.create_keyspace(node, "shop")
        node.cql("CREATE TABLE shop.orders (id int PRIMARY KEY, v text)")
        for row in ROWS.items():
            node.cql("INSERT INTO shop.orders (id, v) VALUES (%s, %s)", row)
        for statement in ("CREATE ROLE staff", "CREATE ROLE ann WITH LOGIN = true AND PASSWORD = 'of ann'", "GRANT staff TO ann",
                          "GRANT SELECT ON shop.orders TO staff", "CREATE ROLE boss WITH SUPERUSER = true AND LOGIN = true AND PASSWORD = 'of boss'",
                          "CREATE ROLE both WITH LOGIN = true AND PASSWORD = 'of then'", "CREATE ROLE gone WITH LOGIN = true AND PASSWORD = 'of gone'",
                          "DROP ROLE gone", "ALTER ROLE cassandra WITH PASSWORD = 'of the backup'"):
            node.cql(statement)
        live = Live(repository, node, cql_credentials_file=secret(repository.program, "source", "boss", "of boss"))
        live.backup("b")


def check_roles(node):
    """Both clusters' roles, and what they may do."""
    wait_until(lambda: logs_in(node, "boss", "of boss"), 60, "the roles of the backup count")
    # Of a role that both have, what was set later: a new cluster's superuser counts as set before everything.
    assert logs_in(node, "cassandra", "of the backup") and not logs_in(node, "cassandra", "cassandra")
    assert logs_in(node, "both", "of now") and not logs_in(node, "both", "of then")
    assert logs_in(node, "kept", "of kept") and not logs_in(node, "gone", "of gone")
    with session(node, "ann", "of ann") as ann:
        assert dict(ann.execute("SELECT id, v FROM shop.orders")) == ROWS
        with pytest.raises(Unauthorized):
            ann.execute("INSERT INTO shop.orders (id, v) VALUES (9, 'x')")
    with session(node, "boss", "of boss") as boss:
        said = {(row.role, row.resource, row.permission) for row in boss.execute("LIST ALL PERMISSIONS OF ann")}
        assert said == {("staff", "<table shop.orders>", "SELECT")}


if LONG:  # minutes, and three nodes
    @pytest.mark.parametrize("version, to", [("5.0", "5.0"), ("4.1", "4.1"), ("4.1", "5.0")])
    def test_roles_passwords_and_permissions_come_unless_they_are_to_stay(repository, version, to):
        back_up(repository, version)
        with Cluster(to, 2, **OPTIONS) as cluster:
            node, program = cluster.node, repository.program
            for statement in ("CREATE ROLE kept WITH LOGIN = true AND PASSWORD = 'of kept'", "CREATE ROLE both WITH LOGIN = true AND PASSWORD = 'of now'"):
                node.cql(statement)
            live = Live(repository, node, "target", cql_credentials_file=secret(program, "target", "cassandra", "cassandra"),
                        sstableloader=loader(program, node, "kept", "of kept"))

            def load(*more):
                return repository("--config", live.configuration, "restore-cluster", "b", *more, environment=live.environment, timeout=1800).out

            assert "data/system_auth/roles-" in load("--plan") and "passwords of the backup are valid afterwards" in load("--plan")
            load("--yes", "--keep-auth")
            assert dict(node.cql("SELECT id, v FROM shop.orders")) == ROWS
            assert not logs_in(node, "boss", "of boss") and logs_in(node, "cassandra", "cassandra")
            assert "passwords of the backup count now" in load("--yes")
            check_roles(node)
            # The password that all of this was done with is none any more; that of the backup is.
            secret(program, "target", "cassandra", "of the backup")
            load("--yes", "--only", "shop")
            check_roles(node)

    def test_a_backup_of_a_newer_cassandra_is_refused_before_anything_is_made(repository):
        back_up(repository, "5.0")
        with Cluster("4.1", heap="400M") as cluster:
            live = Live(repository, cluster.node, "target", sstableloader=cluster.node.bin / "sstableloader")
            answer = repository("--config", live.configuration, "restore-cluster", "b", "--load", "--yes", environment=live.environment, code=USAGE, timeout=600)
            assert "made by Cassandra 5.0" in answer.err and "runs 4.1" in answer.err
            assert "shop" not in [row.keyspace_name for row in cluster.node.cql("SELECT keyspace_name FROM system_schema.keyspaces")]
