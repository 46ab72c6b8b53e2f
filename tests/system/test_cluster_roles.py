# SPDX-License-Identifier: Apache-2.0
"""`restore-cluster` and roles: what of system_auth is loaded, when, and where it is left alone. Cassandra is a stand-in; real ones: tests/cassandra/test_restore_roles.py."""

import json

import pytest

from harness import FAILED, USAGE
from loadstandin import Target
from test_cluster_load import ALL, done, load  # noqa: F401
from test_restore_cluster import OTHER_IDS, SCHEMA, hosts, plan, refused, status  # noqa: F401

ROLES = "CREATE TABLE system_auth.roles (role text PRIMARY KEY, salted_hash text);\n"
AUTH = ("CREATE KEYSPACE system_auth WITH replication = {'class': 'SimpleStrategy', 'replication_factor': '1'};\n" + ROLES
        + "CREATE TABLE system_auth.role_permissions (role text PRIMARY KEY);\n")
OLD = "CREATE TABLE system_auth.credentials (username text PRIMARY KEY);\n"
LOADED = [("system_auth", "role_permissions", "n3"), *(("system_auth", "roles", f"n{number}") for number in (1, 2, 3))]


@pytest.fixture
def backup(repository, hosts):
    """A backup r, of nodes that hold roles, and one of them permissions too."""
    for number, node in enumerate(hosts.nodes.values(), 1):
        for table in ("roles", "credentials", *(["role_permissions"] if number == 3 else [])):
            node.write(node.table("system_auth", table), 1)
        node.node["schema"] = SCHEMA + AUTH + OLD
        node.save()
    repository("--config", hosts.configuration, "backup-cluster", "--name", "r")


@pytest.fixture
def target(backup, hosts, plan):  # noqa: F811
    """A cluster that has the same tables for them."""
    plan.towards(status(OTHER_IDS[:2], ["r1", "r2"]))
    target = Target(hosts)
    target.schema(AUTH)
    return target


def test_roles_come_last_beside_those_of_the_cluster(load, target):
    target.fail(**{"shop.orders": "fail"})
    load(code=FAILED, backup="r")
    assert done(target.loads()) == [one for one in ALL if one[1] != "orders"]
    target.fail(**{"CREATE MATERIALIZED": "InvalidRequest: a reason"})
    load(code=FAILED, backup="r")
    assert done(target.loads()) == [("shop", "orders", "n1")]
    target.fail(**{"system_auth.roles": "fail"})
    refused(load(code=FAILED, json=False, backup="r"), "3 of 9 tables", "system_auth.roles of node n2")
    assert done(target.loads()) == LOADED[:1]
    target.fail()
    document = load(backup="r")
    assert (document["loaded"], document["loaded_before"]) == (3, 6)
    assert done(target.loads()) == LOADED[1:]
    assert not [statement for statement in target.statements() if "system_auth" in statement]


def test_who_may_log_in_comes_behind_all_else(load, target):
    """Of all sources: behind the first of them the password of who loads may be another one."""
    load(backup="r")
    assert [one["table"] for one in target.loads() if one["event"] == "end"][-4:] == ["role_permissions", "roles", "roles", "roles"]


def test_what_becomes_of_roles_is_said_before(repository, load, target):
    def said(*arguments):
        return repository("--config", target.configuration, "restore-cluster", "r", "--plan", *arguments).out

    for words in ("data/system_auth/roles-", "data/system_auth/role_permissions-", "superusers too", "passwords of the backup are valid afterwards", "--keep-auth"):
        assert words in said()
    assert "credentials" not in said() and "permissions are for the names in the backup" not in said()
    assert "permissions are for the names in the backup" in said("--rename", "shop=shop2")
    assert "passwords of the backup count now" in load(json=False, backup="r").out
    for arguments in (["--keep-auth"], ["--only", "shop"]):
        assert "data/system_auth" not in said(*arguments) and "stay those of the cluster\n" in said(*arguments)
        target.loads()
        assert "passwords" not in load(*arguments, json=False, backup="r").out
        assert not [one for one in target.loads() if one["keyspace"] == "system_auth"]


@pytest.mark.parametrize("there, words", [(ROLES.replace("role text", "role blob"), "other columns"), (ROLES, "role_permissions")])
def test_a_cluster_that_keeps_them_otherwise_is_left_alone(load, target, there, words):
    target.schema(there)
    refused(load(code=FAILED, json=False, backup="r"), "--keep-auth", words)
    assert target.loads() == [] and target.statements() == []
    assert load("--keep-auth", backup="r")["loaded"] == 5


def test_a_saved_plan_says_whether_roles_come(repository, load, target, program):
    path = program.directory / "plan.json"

    def save(*arguments, **changes):
        document = repository("--config", target.configuration, "--json", "restore-cluster", "r", "--plan", *arguments).json
        path.write_text(json.dumps({**document, **changes}))
        return document

    document = save()
    assert document["keep_auth"] is False and len(document["tables"]) == 9
    refused(load("--plan-file", path, "--keep-auth", code=USAGE, json=False, backup="r"), "--plan-file")
    save(keep_auth="true")
    refused(load("--plan-file", path, code=USAGE, json=False, backup="r"), "keep_auth")
    save(tables=[row for row in document["tables"] if row["table"] != "role_permissions"])
    assert load("--plan-file", path, backup="r")["loaded"] == 8
    assert ("system_auth", "role_permissions", "n3") not in done(target.loads())
    assert save("--keep-auth")["keep_auth"] is True
    assert load("--plan-file", path, backup="r")["loaded"] == 5
    # The roles are one keyspace more of which a part may be missing.
    save(tables=[row for row in document["tables"] if row["keyspace"] != "system_auth" or row["source"] != "n2"])
    refused(load("--plan-file", path, code=FAILED, json=False, backup="r"), "system_auth.roles", "% of the ring")


def test_roles_that_cannot_be_whole_are_refused_with_a_way_out(repository, hosts, backup):
    words = ["--config", hosts.configuration, "--json", "restore-cluster"]
    for number, node in enumerate(hosts.nodes.values(), 1):
        repository("--config", node.configuration, "backup", "--name", "some", *(["--only", "shop", "--only", "ks2"] if number > 1 else []))
    refused(repository(*words, "some", "--plan", "--load", code=FAILED), "n2, n3", "system_auth.role", "--keep-auth")
    assert len(repository(*words, "some", "--plan", "--load", "--keep-auth").json["tables"]) == 5
    refused(repository(*words, "r", "--plan", "--load", "--leave-out-dc", "west", code=FAILED), "ks2", "--only")
