# SPDX-License-Identifier: Apache-2.0
"""`restore-cluster` where a backup does not hold all that it might: a node without schema.cql, nodes that do not agree on it, tables that it does not know,
keyspaces that are where nobody is. Cassandra is a stand-in."""

import json

import pytest

from harness import ABSENT, FAILED, FOUND, USAGE
from loadstandin import Target
from test_cluster_load import ALL, done, load  # noqa: F401
from test_cluster_roles import AUTH, LOADED
from test_restore_cluster import OTHER_IDS, SCHEMA, hosts, plan, refused, status  # noqa: F401

WITHOUT_T = SCHEMA.replace("CREATE TABLE ks2.t (id int PRIMARY KEY);\n", "")
K2 = "CREATE KEYSPACE k2 WITH replication = {'class': 'NetworkTopologyStrategy', 'dc2': '1'};\n"
IN_K2 = K2 + "CREATE TABLE k2.u (id int PRIMARY KEY);\n"
AT_DC_1 = "{'class': 'NetworkTopologyStrategy', 'dc 1': '1'}"


@pytest.fixture
def back_up(repository, hosts):  # noqa: F811
    """A backup `name` of all, with these schemas: one of all, or one of each; None: cqlsh fails there."""
    def start(name, *schemas, expect=0):
        for node, schema in zip(hosts.nodes.values(), schemas * (3 // len(schemas))):
            node.heal()
            node.node["schema"] = schema
            node.save()
            if schema is None:
                node.fail("cqlsh", first="Connection refused")
        repository("--config", hosts.configuration, "backup-cluster", "--name", name, code=expect)
        for node in hosts.nodes.values():
            node.heal()
    return start


@pytest.fixture
def target(back_up, hosts, plan):  # noqa: F811
    """Two other nodes."""
    def start(*schemas, **keywords):
        back_up("c", *schemas, **keywords)
        plan.towards(status(OTHER_IDS[:2], ["r1", "r2"]))
        return Target(hosts)
    return start


@pytest.fixture
def into(repository):
    """restore-cluster of backup c into a Target: the document, or the Answer where it is expected to fail."""
    def start(target, *arguments, code=0, json=True):
        answer = repository("--config", target.configuration, *(["--json"] if json else []), "restore-cluster", "c", *arguments, code=code)
        return answer.json if json and code in (0, FOUND) else answer
    return start


def covered(document):
    return {one["keyspace"]: one["covered"] for one in document["incomplete"] if "covered" in one}


def incomplete(document):
    return [(one["keyspace"], one["table"], one["loaded"]) for one in document["incomplete"]]


# ---- schema.cql ----

@pytest.mark.parametrize("schemas, code", [((SCHEMA, None, SCHEMA), FOUND), ((SCHEMA, SCHEMA + IN_K2, SCHEMA), 0), (("CREATE SOMETHING;\n",), 0)],
                         ids=["none on one node", "another one", "not understood"])
def test_nodes_that_take_their_files_need_no_schema(repository, hosts, plan, back_up, schemas, code):  # noqa: F811
    back_up("c", *schemas, expect=code)
    words = ["--config", hosts.configuration, "--json", "restore-cluster", "c", "--plan"]
    # These hosts are none that could be restored.
    document = repository(*words, code=FOUND).json
    assert (document["case"], [target["source"] for target in document["targets"]]) == ("same", ["n1", "n2", "n3"])
    plan.towards(status(OTHER_IDS[:3], ["r1", "r2", "r3"]))
    assert repository(*words, code=FOUND).json["case"] == "other"


def test_a_node_without_a_schema_goes_by_the_others(target, into):
    cluster = target(SCHEMA, None, SCHEMA, expect=FOUND)
    assert into(cluster, "--yes")["loaded"] == 5
    assert done(cluster.loads()) == ALL
    refused(into(cluster, "--plan", "--schema-of", "n2", code=FAILED, json=False), "n2 does not hold a schema.cql")


def test_without_any_schema_nothing_is_loaded(target, into):
    cluster = target(None, expect=FOUND)
    refused(into(cluster, "--yes", code=FAILED, json=False), "the backup of no node holds a schema.cql", "cqlsh", "restore-node")
    assert cluster.statements() == []


def test_a_schema_that_is_not_understood_is_named_with_its_node(target, into):
    cluster = target("CREATE SOMETHING;\n", SCHEMA, SCHEMA)
    refused(into(cluster, "--plan", "--schema-of", "n1", code=FAILED, json=False), "schema.cql of n1", "line 1")
    assert into(cluster, "--plan", "--schema-of", "n2")["tables"]


def test_where_nodes_do_not_agree_somebody_says_which_schema_is_made(target, into, tmp_path):
    cluster = target(SCHEMA, SCHEMA + "CREATE TABLE shop.later (id int PRIMARY KEY);\n", SCHEMA)
    refused(into(cluster, "--yes", code=FAILED, json=False), "n1 and n2", "--schema-of")
    refused(into(cluster, "--yes", "--schema-of", "n4", code=ABSENT, json=False), "n4")
    assert cluster.statements() == []
    document = into(cluster, "--plan", "--schema-of", "n2")
    assert document["schema_of"] == "n2"
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(document))
    refused(into(cluster, "--yes", "--plan-file", path, "--schema-of", "n2", code=USAGE, json=False), "--plan-file", "--schema-of")
    assert into(cluster, "--yes", "--plan-file", path)["loaded"] == 5
    assert any("shop.later" in statement for statement in cluster.statements())
    assert into(cluster, "--plan", "--schema-of", "n1")["schema_of"] == "n1"


def test_a_schema_is_for_rows_that_are_loaded(repository, hosts):  # noqa: F811
    words = ["--config", hosts.configuration, "restore-cluster", "b", "--plan"]
    refused(repository(*words, "--schema-of", "n1", code=USAGE), "--schema-of")
    refused(repository(*words, "--node", "n1", code=USAGE), "restore-node", "--schema-of")


# ---- tables that the schema does not know ----

def test_a_table_without_a_statement_is_named(target, into):
    cluster = target(WITHOUT_T)
    refused(into(cluster, "--yes", code=FAILED, json=False), "ks2.t", "no CREATE", "--partial")
    assert cluster.statements() == []
    assert "table ks2.t is not loaded: schema.cql has no CREATE for it, or" in into(cluster, "--plan", "--partial", json=False).out
    assert incomplete(into(cluster, "--plan", "--partial")) == [("ks2", "t", False)]
    document = into(cluster, "--yes", "--partial", code=FOUND)
    assert (document["loaded"], incomplete(document)) == (2, [("ks2", "t", False)])
    assert "ks2.t is not loaded" in into(cluster, "--yes", "--partial", code=FOUND, json=False).out
    # Who names tables means these; Cassandra's own are none of them.
    document = into(cluster, "--yes", "--only", "shop")
    assert (document["loaded"], document["incomplete"]) == (2, [])
    refused(into(cluster, "--plan", "--only", "ks2", code=FAILED, json=False), "ks2.t")


# ---- keyspaces that are elsewhere ----

def test_what_is_only_in_the_data_centre_that_is_left_out_is_left_out(repository, hosts, target, into):  # noqa: F811
    for number, node in enumerate(hosts.nodes.values(), 1):
        for table in ("roles", *(["role_permissions"] if number == 3 else [])):
            node.write(node.table("system_auth", table), 1)
    auth = AUTH.replace("{'class': 'SimpleStrategy', 'replication_factor': '1'}", AT_DC_1)
    cluster = target(SCHEMA + IN_K2 + auth)
    cluster.schema(auth)
    words = ["--leave-out-dc", "dc2"]
    # Of ks2 replicas may be anywhere.
    refused(into(cluster, "--yes", *words, code=FAILED, json=False), "ks2", "NetworkTopologyStrategy", "--only", "--partial")
    assert cluster.statements() == []
    said = into(cluster, "--plan", *words, "--partial", json=False).out
    assert "keyspace k2 is not loaded: it is replicated in nothing but what is left out\n" in said and "keyspace ks2 is loaded in part" in said
    document = into(cluster, "--yes", *words, "--partial", code=FOUND)
    assert sorted(incomplete(document)) == [("k2", None, False), ("ks2", None, True)]
    assert done(cluster.loads()) == sorted([*ALL, *LOADED])
    assert not [statement for statement in cluster.statements() if "k2" in statement.replace("ks2", "")]
    refused(into(cluster, "--plan", *words, "--only", "k2", code=FAILED, json=False), "nothing is left", "k2", "left out")


def test_keyspaces_that_are_elsewhere_need_no_permission_where_that_is_asked_for(target, into):
    cluster = target(SCHEMA.replace("{'class': 'SimpleStrategy', 'replication_factor': '1'}", AT_DC_1) + IN_K2)
    document = into(cluster, "--yes", "--leave-out-dc", "dc2", code=FOUND)
    assert (document["loaded"], incomplete(document)) == (5, [("k2", None, False)])


@pytest.mark.parametrize("replication", ["{'class': 'NetworkTopologyStrategy', 'dc2': '1'}", "{'class': 'NetworkTopologyStrategy', 'dc 1': '0'}"])
def test_a_keyspace_of_which_nobody_has_a_replica_is_left_out_by_partial(target, into, replication):
    cluster = target(SCHEMA + IN_K2.replace("{'class': 'NetworkTopologyStrategy', 'dc2': '1'}", replication))
    refused(into(cluster, "--yes", code=FAILED, json=False), "keyspace k2", "--only", "--partial")
    assert cluster.statements() == []
    document = into(cluster, "--yes", "--partial", code=FOUND)
    assert (document["loaded"], incomplete(document)) == (5, [("k2", None, False)])
    assert not [statement for statement in cluster.statements() if " k2" in statement]


# ---- nodes that are missing, and backups of some tables ----

def test_what_only_missing_nodes_may_have_is_not_passed_over_in_silence(repository, target, into):
    cluster = target(SCHEMA)
    repository("delete", "c", "--node", "n2", "--force")
    refused(into(cluster, "--yes", code=FAILED, json=False), "10.0.0.2", "--partial")
    said = into(cluster, "--plan", "--load", "--partial", json=False).out
    assert "keyspace ks2 is loaded in part: 1 nodes are missing in the backup, 10.0.0.2 the first, and rows may be on them alone" in said
    assert "keyspace shop is loaded from the replicas that are left: 1 nodes are missing in the backup, 10.0.0.2 the first, fewer than each row has replicas" in said
    assert incomplete(into(cluster, "--yes", "--load", "--partial", "--only", "ks2", code=FOUND)) == [("ks2", None, True)]
    document = into(cluster, "--yes", "--load", "--partial", code=FOUND)
    assert sorted(incomplete(document)) == [("ks2", None, True), ("shop", None, True)] and document["failed"] == []
    assert covered(document) == {"ks2": False, "shop": True}


@pytest.mark.parametrize("replication, whole", [
    ("'SimpleStrategy', 'replication_factor': '2'", False), ("'SimpleStrategy', 'replication_factor': '3'", True),
    ("'NetworkTopologyStrategy', 'dc 1': '2'", False), ("'NetworkTopologyStrategy', 'dc 1': '3'", True), ("'NetworkTopologyStrategy', 'dc 1': '9'", True),
], ids=["simple, two", "simple, three", "two", "three", "more than nodes"])
def test_rows_that_have_more_replicas_than_nodes_are_missing_are_not_said_to_be_lost(repository, target, into, replication, whole):
    cluster = target(SCHEMA.replace("'SimpleStrategy', 'replication_factor': '1'", replication))
    for node in ("n1", "n2"):
        repository("delete", "c", "--node", node, "--force")
    document = into(cluster, "--plan", "--load", "--partial")
    assert covered(document)["ks2"] == whole and [one["dc"] for one in document["missing"]] == ["dc 1", "dc 1"]


def test_of_what_was_not_backed_up_no_replica_is_said_to_be_left(repository, hosts, plan, into):  # noqa: F811
    for number, node in enumerate(hosts.nodes.values(), 1):
        repository("--config", node.configuration, "backup", "--name", "c", *(["--only", "ks2"] if number == 2 else []))
    repository("delete", "c", "--node", "n3", "--force")
    plan.towards(status(OTHER_IDS[:2], ["r1", "r2"]))
    assert covered(into(Target(hosts), "--plan", "--load", "--partial")) == {"ks2": False, "shop": False}


def test_what_was_not_backed_up_is_not_passed_over_in_silence(repository, hosts, plan, into):  # noqa: F811
    for number, node in enumerate(hosts.nodes.values(), 1):
        repository("--config", node.configuration, "backup", "--name", "c", *(["--only", "shop"] if number == 2 else []))
    plan.towards(status(OTHER_IDS[:2], ["r1", "r2"]))
    cluster = Target(hosts)
    refused(into(cluster, "--yes", code=FAILED, json=False), "n2", "--partial")
    assert incomplete(into(cluster, "--yes", "--partial", code=FOUND)) == [("ks2", "t", True)]
    assert into(cluster, "--yes", "--partial", "--only", "shop")["incomplete"] == []
