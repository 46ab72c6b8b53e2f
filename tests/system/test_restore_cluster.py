# SPDX-License-Identifier: Apache-2.0
"""`restore-cluster --plan`: which node's backup goes where, or what is loaded from where. ssh, hosts and Cassandra are stand-ins; the decisions
themselves are compared with models in the unit tests."""

import json

import pytest

from harness import ABSENT, FAILED, FOUND, USAGE, is_sentence
from sshstandin import Hosts

SCHEMA = """CREATE KEYSPACE shop WITH replication = {'class': 'NetworkTopologyStrategy', 'dc 1': '3'};
CREATE TABLE shop.orders (id int PRIMARY KEY);
CREATE TABLE shop."Users" (id int PRIMARY KEY);
CREATE MATERIALIZED VIEW shop.of_users AS SELECT * FROM shop."Users" PRIMARY KEY (id);
CREATE KEYSPACE ks2 WITH replication = {'class': 'SimpleStrategy', 'replication_factor': '1'};
CREATE TABLE ks2.t (id int PRIMARY KEY);
"""
OTHER_IDS = [f"aaaaaaaa-0000-0000-0000-00000000000{number}" for number in range(1, 5)]


def status(ids, racks, tokens=2):
    return [f"UN  10.1.0.{number}    114.42 KiB  {tokens}       100.0%            {host_id}  {rack}"
            for number, (host_id, rack) in enumerate(zip(ids, racks), 1)]


@pytest.fixture
def hosts(program, repository):
    """Three nodes, one a rack, in a backup b."""
    hosts = Hosts(program)
    for number, node in enumerate(hosts.nodes.values()):
        node.node.update(schema=SCHEMA, tokens=[str(number * 1000), str(number * 1000 + 500)])
        node.save()
    repository("--config", hosts.configuration, "backup-cluster", "--name", "b")
    return hosts


@pytest.fixture
def plan(repository, hosts):
    """Plans with what nodetool says now; its JSON document, or the Answer where it is expected to fail."""
    def start(*arguments, code=0, **keywords):
        answer = repository("--config", hosts.configuration, "--json", "restore-cluster", "b", "--plan", *arguments, code=code, **keywords)
        return answer if code else answer.json

    def towards(lines):
        first = hosts.nodes[hosts.names[0]]
        first.node["status"] = lines
        # nodetool names itself by its host id.
        first.node["host_id"] = next(word for word in lines[0].split() if len(word) == 36)
        first.save()
    start.towards = towards
    return start


def pairs(document):
    return {target["host"]: target["source"] for target in document["targets"]}


def refused(answer, *words):
    assert '"error"' in answer.out or is_sentence(answer.err), answer.err
    for word in words:
        assert word in answer.out + answer.err, answer.out + answer.err


def test_the_same_nodes_get_their_own_files(plan):
    """What the hosts say to it: test_restore_cluster_plan.py. These are none that could be restored."""
    document = plan(code=FOUND).json
    assert (document["case"], document["missing"], document["tables"]) == ("same", [], [])
    assert pairs(document) == {"10.0.0.1": "n1", "10.0.0.2": "n2", "10.0.0.3": "n3"}


def test_another_cluster_of_the_same_shape_takes_over_by_racks(plan):
    plan.towards(status(OTHER_IDS[:3], ["r3", "r1", "r2"]))
    document = plan(code=FOUND).json
    assert document["case"] == "other"
    assert pairs(document) == {"10.1.0.1": "n3", "10.1.0.2": "n1", "10.1.0.3": "n2"}


@pytest.mark.parametrize("racks, tokens", [(["r1", "r2", "r3", "r1"], 2), (["r1", "r2"], 2), (["r1", "r2", "r2"], 2), (["r1", "r2", "r3"], 16)])
def test_any_other_shape_is_loaded_from_as_few_nodes_as_hold_all(plan, racks, tokens):
    plan.towards(status(OTHER_IDS[:len(racks)], racks, tokens))
    document = plan()
    assert document["case"] == "loaded" and document["reason"]
    assert set(pairs(document).values()) == {None}
    chosen = {keyspace["keyspace"]: keyspace for keyspace in document["keyspaces"]}
    assert (len(chosen["shop"]["sources"]), chosen["shop"]["copies"], chosen["shop"]["choice"]) == (1, 1, "exact")
    assert (chosen["ks2"]["sources"], chosen["ks2"]["copies"]) == (["n1", "n2", "n3"], 1)
    assert sorted((table["keyspace"], table["table"], table["source"]) for table in document["tables"]) == [
        ("ks2", "t", "n1"), ("ks2", "t", "n2"), ("ks2", "t", "n3"), ("shop", "Users", "n1"), ("shop", "orders", "n1")]
    assert all(table["total_bytes"] > 0 and table["directory"].startswith(f"data/{table['keyspace']}/{table['table']}-")
               for table in document["tables"])


def test_less_or_more_can_be_asked_for(plan):
    plan.towards(status(OTHER_IDS[:2], ["r1", "r2"]))
    document = plan("--only", "shop.orders")
    assert [(table["table"], table["source"]) for table in document["tables"]] == [("orders", "n1")]
    document = plan("--all-replicas", "--only", "shop")
    assert [(keyspace["sources"], keyspace["copies"], keyspace["choice"]) for keyspace in document["keyspaces"]] == [(["n1", "n2", "n3"], 3, "all")]
    refused(plan("--only", "shop.none", code=ABSENT), "shop.none")


def test_a_host_list_decides_where_it_can_be_right(plan, program):
    path = program.directory / "list"
    path.write_text("# is_seed,target,source\n\nFalse, 10.2.0.1, n2\nTrue,10.2.0.2,n1 # the seed\nfalse,10.2.0.3,n3\n")
    document = plan("--host-list", path, code=FOUND).json
    assert document["case"] == "other"
    assert [(target["host"], target["source"], target["seed"]) for target in document["targets"]] == [
        ("10.2.0.2", "n1", True), ("10.2.0.1", "n2", False), ("10.2.0.3", "n3", False)]
    for text, word in (("True,h1,n1\nFalse,h2,n2\n", "n3"), ("True,h1,n1\nFalse,h2,n1\nFalse,h3,n2\n", "n1 is there twice"),
                       ("True,h1\n", "is_seed"), ("maybe,h1,n1\n", "is_seed"), ("True,-oProxyCommand=x,n1\n", "list:1"), ("", "no host")):
        path.write_text(text)
        refused(plan("--host-list", path, code=USAGE), word)
    refused(plan("--host-list", program.directory / "none", code=ABSENT), "none")


def test_a_backup_that_misses_a_node_is_planned_only_where_that_is_said(plan, repository, hosts):
    repository("delete", "b", "--node", "n2", "--force")
    plan.towards(status(OTHER_IDS[:3], ["r1", "r2", "r3"]))
    refused(plan(code=FAILED), "10.0.0.2", "--partial")
    document = plan("--partial")
    assert [node["address"] for node in document["missing"]] == ["10.0.0.2"]
    assert document["case"] == "loaded"
    assert all(keyspace["sources"] == ["n1", "n3"] for keyspace in document["keyspaces"])


def test_what_a_backup_of_some_tables_may_not_have_is_refused(repository, hosts, plan, program):
    for number, (name, node) in enumerate(hosts.nodes.items(), 1):
        repository("--config", node.configuration, "backup", "--name", "some", *(["--only", "shop"] if number > 1 else []))
    plan.towards(status(OTHER_IDS[:2], ["r1", "r2"]))
    words = ["--config", hosts.configuration, "--json", "restore-cluster", "some", "--plan"]
    refused(repository(*words, code=FAILED), "n2, n3", "ks2.t", "--only", "--partial")
    refused(repository(*words, "--only", "ks2", code=FAILED), "n2, n3")
    assert len(repository(*words, "--only", "shop", "--all-replicas").json["tables"]) == 6
    document = repository(*words, "--partial").json
    assert [table["source"] for table in document["tables"] if table["table"] == "t"] == ["n1"]
    assert [(one["keyspace"], one["table"], one["loaded"]) for one in document["incomplete"]] == [("ks2", "t", True)]
    assert "n2 was made with --only" in document["incomplete"][0]["reason"]
    # What was said once is not said for ever: nor does a plan that was saved hold all.
    path = program.directory / "plan.json"
    path.write_text(json.dumps(document))
    refused(repository(*words, "--plan-file", path, code=FAILED), "ks2.t", "% of the ring")
    assert repository(*words, "--plan-file", path, "--partial").json["tables"] == document["tables"]
    path.write_text(json.dumps({**document, "tables": [table for table in document["tables"] if table["keyspace"] == "shop"]}))
    assert len(repository(*words, "--plan-file", path).json["tables"]) == 2


def test_two_data_centres_do_not_become_one(repository, hosts, plan):
    """Each was a ring of its own: in one, rows would be looked for on nodes that never had them."""
    second = hosts.nodes[hosts.names[1]]
    second.node["dc"] = "dc 2"
    second.save()
    repository("--config", hosts.configuration, "backup-cluster", "--name", "two")
    words = ["--config", hosts.configuration, "--json", "restore-cluster", "two", "--plan", "--load", "--only", "shop"]
    refused(repository(*words, "--map-dc", "dc 2=dc 1", code=USAGE), "dc 1", "dc 2", "--leave-out-dc")
    refused(repository(*words, "--map-dc", "dc 1=x", "--map-dc", "dc 2=x", code=USAGE), "both become x")
    assert repository(*words, "--map-dc", "dc 1=dc 2", "--map-dc", "dc 2=dc 1").json["tables"]
    # The stand-ins of the others name it in dc 1.
    assert repository(*words, "--map-dc", "dc 1=dc 2", "--leave-out-dc", "dc 2", "--partial").json["tables"]


def test_a_node_that_is_down_or_moves_is_named(plan):
    lines = status(OTHER_IDS[:3], ["r1", "r2", "r3"])
    for state in ("DN", "UJ", "UL"):
        plan.towards([*lines[:2], lines[2].replace("UN", state)])
        refused(plan(code=FAILED), "10.1.0.3")


def test_people_read_the_same(repository, hosts, plan):
    plan.towards(status(OTHER_IDS[:2], ["r1", "r2"]))
    said = repository("--config", hosts.configuration, "restore-cluster", "b", "--plan").out
    for words in ("3 of 3 nodes", "the backup has 3 nodes, the cluster 2", "keyspace shop: each row is sent 1.00 times", "data/shop/orders-"):
        assert words in said


def test_it_is_said_whether_it_is_to_be_done(repository, hosts, plan):
    refused(repository("restore-cluster", "b", code=USAGE), "--plan", "--yes")
    refused(repository("restore-cluster", "b", "--plan", "--yes", code=USAGE), "--plan", "--yes")
    refused(repository("restore-cluster", "b", "--plan", "--node", "n1", code=USAGE), "--node")
    assert plan("--load", "--only", "shop.orders")["case"] == "loaded"
