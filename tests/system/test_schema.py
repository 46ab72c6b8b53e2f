# SPDX-License-Identifier: Apache-2.0
"""`schema`: the statements that make the tables of a backup again. What they are, unit tests say; that Cassandra takes them,
tests/cassandra."""

import random

import pytest

from harness import ABSENT, FAILED, USAGE, is_sentence
from standin import OTHER_ID, Cassandra

SCHEMA = """CREATE TABLE shop.orders (id int PRIMARY KEY) WITH comment = 'a;\x01\tß
b';
CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy'};
CREATE TABLE shop."Users" (id int PRIMARY KEY);
CREATE TABLE system_auth.roles (role text PRIMARY KEY);
"""
KEYSPACE = "CREATE KEYSPACE IF NOT EXISTS shop WITH replication = {'class': 'SimpleStrategy'};"
ORDERS = "CREATE TABLE shop.orders (id int PRIMARY KEY) WITH comment = 'a;\x01\tß\nb';"
USERS = "CREATE TABLE shop.\"Users\" (id int PRIMARY KEY);"


def back_up(repository, name, schema, node="n1", host_id=None):
    cassandra = Cassandra(repository.program, f"{node}-{name}", *([host_id] if host_id else [])).fill()
    cassandra.node["schema"] = schema
    cassandra.save()
    cassandra.configure(node=node)
    repository("--config", cassandra.configuration, "backup", "--name", name)


def refused(answer, *words):
    assert is_sentence(answer.err), answer.err
    for word in words:
        assert word in answer.err, answer.err


def test_statements_are_printed_in_an_order_in_which_they_run(any_repository):
    back_up(any_repository, "b", SCHEMA)
    assert any_repository("schema", "b").out == "\n\n".join([KEYSPACE, ORDERS, USERS]) + "\n"
    assert any_repository("schema", "b", "--only", "shop.Users").out == f"{KEYSPACE}\n\n{USERS}\n"
    renamed = any_repository("schema", "b", "--only", "shop.orders", "--rename", "shop.orders=shop.old").out
    assert renamed == KEYSPACE + "\n\n" + ORDERS.replace("orders", '"old"') + "\n"
    said = any_repository.json("schema", "b", "--only", "shop.orders")
    assert (said["cluster"], said["node"], said["name"]) == ("Live_Test__1", "n1", "b")
    assert said["statements"] == [
        {"kind": "KEYSPACE", "keyspace": "shop", "name": "shop", "table": "shop", "cql": KEYSPACE},
        {"kind": "TABLE", "keyspace": "shop", "name": "orders", "table": "orders", "cql": ORDERS}]


def test_a_large_schema_is_read_whole(any_repository):
    words = random.Random(1)
    tables = [f"CREATE TABLE shop.t{i} (id int PRIMARY KEY) WITH comment = '{words.randbytes(40).hex()}';" for i in range(20_000)]
    back_up(any_repository, "b", "\n".join([KEYSPACE, *tables]) + "\n")
    assert any_repository("schema", "b").out == "\n\n".join([KEYSPACE, *tables]) + "\n"


def test_nodes_that_do_not_agree_are_named(repository):
    back_up(repository, "b", SCHEMA)
    back_up(repository, "b", SCHEMA.replace("orders", "bills"), "n2", OTHER_ID)
    refused(repository("schema", "b", code=USAGE), "n1", "n2", "--node")
    assert "shop.bills" in repository("schema", "b", "--node", "n2").out
    back_up(repository, "c", SCHEMA)
    back_up(repository, "c", SCHEMA, "n2", OTHER_ID)
    assert ORDERS in repository("schema", "c").out


@pytest.mark.parametrize("arguments", [["b", "--only", "shop.no"], ["b", "--only", "shop.orders", "--rename", "shop.Users=shop.x"],
                                       ["nosuch"], ["b", "--node", "n9"]])
def test_what_is_not_there_is_told(repository, arguments):
    back_up(repository, "b", SCHEMA)
    refused(repository("schema", *arguments, code=ABSENT))


@pytest.mark.parametrize("arguments", [[], ["b", "c"], ["b", "--only", "a.b.c"], ["b", "--rename", "a.b"], ["b", "--rename", "a.b=c"],
                                       ["b", "--rename", "shop.orders=shop.Users"]])
def test_wrong_usage_is_told(repository, arguments):
    back_up(repository, "b", SCHEMA)
    assert repository("schema", *arguments, code=USAGE).out == ""


def test_a_backup_without_a_schema_says_so(repository, small_node):
    repository.backup([small_node.data], "t1", "b")
    refused(repository("schema", "b", code=ABSENT), "schema.cql")


def test_a_schema_that_nobody_can_read_is_refused_with_its_line(repository):
    back_up(repository, "b", SCHEMA + "DROP TABLE shop.orders;\n")
    answer = repository("schema", "b", code=FAILED)
    refused(answer, "schema.cql", "line 6", "DROP TABLE")
    assert answer.out == ""


def test_what_cannot_be_written_is_no_success(repository):
    back_up(repository, "b", SCHEMA)
    repository("schema", "b", code=FAILED, prefix=("sh", "-c", 'exec "$@" >/dev/full', "sh"))
