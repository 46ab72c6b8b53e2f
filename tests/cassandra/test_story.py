# SPDX-License-Identifier: Apache-2.0
"""The story that sstablefs is for: a table is backed up, truncated by mistake, and restored from the mount by Cassandra's own
tools. Rows are counted; exit statuses prove nothing (sstableloader ends with 0 also where it loaded nothing)."""

import json
import re

import pytest
from cassandra_nodes import VERSIONS

import place
from harness import DONE, LONG
from supervisor import Supervisor
from test_live import Live

pytestmark = pytest.mark.timeout(place.LIMIT_SECONDS)

KEYSPACE = "medusa_test"
USERS = {"id1": "Ada", "id2": "Grace", "id3": "Edsger", "id4": "Barbara"}


@pytest.fixture
def users(node):
    """The table `users` of the keyspace medusa_test, with 4 rows."""
    place.create_keyspace(node, KEYSPACE)
    node.cql(f"CREATE TABLE {KEYSPACE}.users (id text PRIMARY KEY, name text)")
    for row in USERS.items():
        node.cql(f"INSERT INTO {KEYSPACE}.users (id, name) VALUES (%s, %s)", row)
    yield f"{KEYSPACE}.users"
    node.cql(f"DROP KEYSPACE {KEYSPACE}")


def test_a_truncated_table_comes_back_by_each_way(node, users, backups):
    backup = backups.take(node, KEYSPACE)
    source = backups.table(node, backup, KEYSPACE, "users")
    for name, restore in {**place.WAYS, **place.OVERLAY_WAYS}.items():
        node.cql(f"TRUNCATE {users}")
        assert node.count(users) == 0
        restore(node, source, KEYSPACE, "users")
        assert node.count(users) == 4, name
        assert dict(node.cql(f"SELECT id, name FROM {users}")) == USERS, name


def test_the_tools_that_read_sstables_read_them_on_the_mount(node, users, backups):
    backup = backups.take(node, KEYSPACE)
    data, = backups.table(node, backup, KEYSPACE, "users").glob("*-Data.db")
    rows = json.loads(node.run("sstabledump", data).out)
    assert {row["partition"]["key"][0]: row["rows"][0]["cells"][0]["value"] for row in rows} == USERS
    assert re.search(r"^totalRows: 4$", node.run("sstablemetadata", data).out, re.MULTILINE)


def test_sstableloader_says_that_the_table_does_not_exist(node, users, backups):
    backup = backups.take(node, KEYSPACE)
    source = backups.table(node, backup, KEYSPACE, "users")
    node.cql(f"DROP TABLE {users}")
    said = node.run("sstableloader", "-d", node.address, source, code=None)
    assert f"table {KEYSPACE}.users doesn't exist" in said.out + said.err
    # Nothing was harmed: the backup still has it, for a table that is created again under another id.
    node.cql(f"CREATE TABLE {users} (id text PRIMARY KEY, name text)")
    place.load(node, source, KEYSPACE, "users")
    assert dict(node.cql(f"SELECT id, name FROM {users}")) == USERS


@pytest.mark.parametrize("node", VERSIONS if LONG else VERSIONS[:1], indirect=True)
def test_the_walk_through_with_minio_ends_with_four_rows_twice(node, users, minio):
    """The node is backed up as it runs, and restored both ways: the table while it runs, the whole node by one command."""
    with Supervisor([node]) as supervisor:
        live = Live(minio, node, **supervisor.commands(node))

        def sstablefs(*arguments):
            return minio("--config", live.configuration, *arguments, environment=live.environment, code=DONE, timeout=600)

        live.backup("monday")
        assert "monday" in sstablefs("list").out and "CREATE TABLE medusa_test.users" in sstablefs("schema", "monday").out
        node.cql(f"TRUNCATE {users}")
        assert node.count(users) == 0
        with minio.mount() as mount:
            source, = (mount.data("monday", live.name, live.record("monday")["cluster"]) / KEYSPACE).glob("users-*")
            place.nodetool_import(node, source, KEYSPACE, "users")
        assert node.count(users) == 4 and dict(node.cql(f"SELECT id, name FROM {users}")) == USERS

        node.cql(f"TRUNCATE {users}")
        assert node.count(users) == 0
        sstablefs("restore-node", "monday", "--in-place", "--yes", "--check-query", f"SELECT id FROM {users}", "--check-rows", 4)
        assert node.count(users) == 4 and dict(node.cql(f"SELECT id, name FROM {users}")) == USERS
        sstablefs("restore-node", "--finish")
