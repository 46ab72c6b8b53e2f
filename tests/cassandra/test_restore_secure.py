# SPDX-License-Identifier: Apache-2.0
"""restore-node of a real node whose JMX and CQL ask for passwords, the former by TLS as well: rows, roles, passwords and permissions; what --keep-auth leaves
alone; tables of the node while it runs. Some starts of a node: only with SSTABLEFS_LONG=1."""

import pytest
from cassandra import Unauthorized
from cassandra_nodes import Cluster
from cassandra_nodes.node import PASSWORD, TLS
from test_live import write_rows
from test_restore_roles import logs_in, secret, session
from test_restored_node import live_with_control, restore, rows, stop

from harness import LONG, wait_until
from place import LIMIT_SECONDS, create_keyspace

pytestmark = pytest.mark.timeout(LIMIT_SECONDS)

OPTIONS = {"authentication": True, "data_directories": 2, "java_options": ("-Dcassandra.superuser_setup_delay_ms=2000",)}
YAML = {"authorizer": "CassandraAuthorizer"}
ROLES = ("CREATE ROLE ann WITH LOGIN = true AND PASSWORD = 'of ann'", "GRANT SELECT ON shop.t TO ann",
         "CREATE ROLE boss WITH SUPERUSER = true AND LOGIN = true AND PASSWORD = 'of boss'")
LATER = ("REVOKE SELECT ON shop.t FROM ann", "CREATE ROLE later WITH LOGIN = true AND PASSWORD = 'of later'", "ALTER ROLE ann WITH PASSWORD = 'of now'")


def reads(node, user, password):
    """Whether this role may read the table; it may log in."""
    with session(node, user, password) as own:
        try:
            return bool(list(own.execute("SELECT id FROM shop.t LIMIT 1")))
        except Unauthorized:
            return False


if LONG:  # minutes
    @pytest.mark.parametrize("version, jmx", [("5.0", TLS), ("4.1", PASSWORD)])
    def test_a_node_that_asks_for_passwords_becomes_what_it_was(repository, version, jmx):
        with Cluster(version, jmx=jmx, yaml=YAML, **OPTIONS) as cluster:
            node = cluster.node
            try:
                check(repository, node, jmx)
            finally:
                stop(node)


def check(repository, node, jmx):
    words = node.jmx_words
    live = live_with_control(repository, node, jmx_username=words[1], jmx_password_file=words[3], jmx_ssl="yes" if jmx == TLS else "no",
                             cql_credentials_file=secret(repository.program, "cql", "boss", "of boss"))
    create_keyspace(node, "shop")
    write_rows(node, "shop.t", 50)
    for statement in ROLES:
        node.cql(statement)
    before = rows(node, "shop.t")
    live.backup("b")
    node.cql("TRUNCATE shop.t")
    for statement in LATER:
        node.cql(statement)
    wait_until(lambda: not reads(node, "ann", "of now"), 60, "the permission is gone")

    # Tables, while the node runs: roles are left alone.
    restore(live, "b", "--only", "shop.t", "--yes")
    assert rows(node, "shop.t") == before and logs_in(node, "later", "of later") and logs_in(node, "ann", "of now")

    node.cql("TRUNCATE shop.t")
    node._disconnect()
    restore(live, "b", "--in-place", "--keep-auth", "--yes", "--check-query", "SELECT id FROM shop.t", "--check-rows", "50")
    assert rows(node, "shop.t") == before
    assert logs_in(node, "later", "of later") and logs_in(node, "ann", "of now") and not reads(node, "ann", "of now")
    node._disconnect()
    restore(live, "--finish")

    restore(live, "b", "--in-place", "--yes")
    assert rows(node, "shop.t") == before
    assert not logs_in(node, "later", "of later") and not logs_in(node, "ann", "of now") and reads(node, "ann", "of ann")
    node._disconnect()
    restore(live, "--abort")
    assert logs_in(node, "later", "of later") and not reads(node, "ann", "of now")
    node._disconnect()
