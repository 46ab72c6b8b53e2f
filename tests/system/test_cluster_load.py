# SPDX-License-Identifier: Apache-2.0
"""`restore-cluster --yes` where rows are loaded: schema, loaders, journal. cqlsh and sstableloader are stand-ins that say what the real ones said."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from harness import ABSENT, DONE, FAILED, FOUND, LONG, USAGE, processes_of, wait_until
from loadstandin import Target
from test_restore_cluster import OTHER_IDS, hosts, plan, refused, status  # noqa: F401

ALL = [("ks2", "t", "n1"), ("ks2", "t", "n2"), ("ks2", "t", "n3"), ("shop", "Users", "n1"), ("shop", "orders", "n1")]
ORDERS = "CREATE TABLE shop.orders (id int PRIMARY KEY);\n"
SHOP = "CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': '1'};\n"


@pytest.fixture
def target(hosts, plan):
    plan.towards(status(OTHER_IDS[:2], ["r1", "r2"]))
    return Target(hosts)


@pytest.fixture
def load(repository, target):
    """Loads; its JSON document, or the Answer where it is expected to fail."""
    def start(*arguments, code=0, json=True, backup="b"):
        words = ["--config", target.configuration, *(["--json"] if json else []), "restore-cluster", backup, "--yes", *arguments]
        answer = repository(*words, code=code)
        return answer.json if json else answer
    return start


def done(loads):
    return sorted((one["keyspace"], one["table"], one["node"]) for one in loads if one["event"] == "end")


def left_behind(program):
    """Journals and mounts."""
    return [*program.cache.glob("restore-cluster/*"), *(line for line in open("/proc/mounts") if str(program.directory) in line)]


def test_the_schema_is_made_the_tables_are_loaded_and_nothing_is_left(load, target, program, hosts):
    document = load()
    assert (document["case"], document["loaded"], document["loaded_before"], document["failed"]) == ("loaded", 5, 0, [])
    statements = target.statements()
    assert document["statements"] == len(statements) == 6
    assert [statement.split()[1] for statement in statements] == ["KEYSPACE", "KEYSPACE", "TABLE", "TABLE", "TABLE", "MATERIALIZED"]
    loads = target.loads()
    assert done(loads) == ALL
    assert document["loaded_bytes"] == sum(one["bytes"] for one in loads if one["event"] == "end") > 0
    for one in loads:
        assert one["words"][:-1] == ["--nodes", "10.9.9.9,10.1.0.1,10.1.0.2", "--port", "9142", "--throttle-mib", "0", "--entire-sstable-throttle-mib", "0"]
    assert left_behind(program) == []


@pytest.fixture
def columns(repository, hosts):
    """Of a table in backup w."""
    columns = [f"a_column_with_quite_a_long_name_{number} text" for number in range(5000)]
    for node in hosts.nodes.values():
        node.node["schema"] += "CREATE TABLE shop.wide (\n    id int PRIMARY KEY,\n    " + ",\n    ".join(columns) + "\n);\n"
        node.save()
    repository("--config", hosts.configuration, "backup-cluster", "--name", "w", timeout=300)
    return columns


def wrap_cqlsh(target, script):
    """As who goes to another user or host by it."""
    real = target.state / "cqlsh"
    real.rename(target.state / "cqlsh-there")
    real.write_text(f"#!/bin/sh\n{script.format(target.state / 'cqlsh-there')}\n")
    real.chmod(0o755)


@pytest.mark.parametrize("script", ['exec {} "$@"', 'cat | {} "$@"'], ids=["sudo", "ssh"])
def test_a_table_that_is_too_wide_for_a_command_line_is_made(columns, load, target, script):
    """A word of one may have 128 KiB. What is more comes by standard input, the only file of ours that another user or host has."""
    wrap_cqlsh(target, script)
    load(backup="w")
    made = [statement for statement in target.statements() if "shop.wide" in statement]
    assert len(made) == 1 and all(column in made[0] for column in columns)


def test_a_cqlsh_that_is_given_no_input_is_told_from_one_that_made_the_table(columns, load, target):
    """As by docker exec without -i: it reads nothing, and says that all is well."""
    wrap_cqlsh(target, 'exec {} "$@" < /dev/null')
    said = load(backup="w", code=FAILED)["error"]["message"]
    assert "does not read its standard input" in said and "docker exec wants -i" in said
    assert target.loads() == []


def test_so_many_are_loaded_at_once_and_share_the_throttle(repository, load, target):
    target.fail(**{"shop.orders": "hang", "shop.Users": "hang", "ks2.t": "hang"})
    program = repository.start("--config", target.configuration, "restore-cluster", "b", "--yes", "--parallel", "3", "--throttle", "10M")
    path = target.state / "loads"
    wait_until(lambda: path.exists() and len(path.read_text().splitlines()) >= 3, 60, "three run")
    target.go()
    assert program.communicate(timeout=60) and program.returncode == 0
    running = most = 0
    for one in target.loads():
        running += 1 if one["event"] == "begin" else -1
        most = max(most, running)
        assert one["words"][4:8] == ["--throttle-mib", "3", "--entire-sstable-throttle-mib", "3"]
    assert most == 3
    target.fail()
    load("--parallel", "1")
    assert [one["event"] for one in target.loads()] == ["begin", "end"] * 5
    refused(load("--throttle", "1M", code=USAGE, json=False), "--throttle")


@pytest.mark.parametrize("fault, words", [("skip", "doesn't exist"), ("fail", "a reason"), ("silent", "without its summary"),
                                          ("blind", "passed over 1 of 2 SSTables without a word")])
def test_what_failed_is_named_and_loaded_by_the_same_command(load, target, program, fault, words):
    target.fail(**{"shop.orders": fault})
    answer = load("--parallel", "1", code=FAILED, json=False)
    refused(answer, "1 of 5 tables", "shop.orders of node n1", words)
    assert done(target.loads()) == [one for one in ALL if one[1] != "orders"]
    assert not [statement for statement in target.statements() if "VIEW" in statement]
    target.fail()
    document = load()
    assert (document["loaded"], document["loaded_before"]) == (1, 4)
    assert done(target.loads()) == [("shop", "orders", "n1")]
    assert [statement.split()[1] for statement in target.statements()] == ["MATERIALIZED"]
    assert left_behind(program) == []


def test_after_kill_9_the_same_command_goes_on(repository, load, target, program):
    target.fail(**{"shop.orders": "hang"})
    killed = repository.start("--config", target.configuration, "restore-cluster", "b", "--yes")
    # Three tables were made, and all but one of a source are loaded.
    wait_until(lambda: sum(len(path.read_text().splitlines()) for path in program.cache.glob("restore-cluster/*/loaded")) == 3 + 4, 60, "four are loaded")
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert left_behind(program)
    loads = target.loads()
    assert done(loads) == [one for one in ALL if one[1] != "orders"]
    # Its loader lives, and has a file of the mount open: the mount is taken from it.
    hanging, = (one["pid"] for one in loads if one["event"] == "begin" and one["table"] == "orders")
    assert Path("/proc", str(hanging)).exists()
    target.fail()
    document = load()
    wait_until(lambda: not Path("/proc", str(hanging)).exists(), 30, "the loader has ended")
    assert (document["loaded"], document["loaded_before"]) == (1, 4)
    assert done(target.loads()) == [("shop", "orders", "n1")]
    assert left_behind(program) == []


if LONG:  # half a minute
    def test_a_mount_of_which_a_container_has_a_copy_does_no_harm(repository, load, target, program):
        target.fail(**{"shop.orders": "hang"})
        run = repository.start("--config", target.configuration, "restore-cluster", "b", "--yes")
        wait_until(lambda: '"orders"' in "".join(path.read_text() for path in target.state.glob("loads")), 60, "orders is being loaded")
        with subprocess.Popen(["unshare", "--mount", "sh", "-c", "echo; exec sleep 600"], stdout=subprocess.PIPE) as container:
            container.stdout.readline()
            target.go()
            out, err = run.communicate(timeout=300)
            container.kill()
        assert run.returncode == DONE, out + err
        assert "is unmounted, but its process has not ended" in err and "it ends with the last container" in err
        assert left_behind(program) == []
        wait_until(lambda: not processes_of(program.directory), 30, "the daemon ends with the container")


def test_the_journal_counts_for_nothing_where_the_table_is_gone_or_that_is_said(load, target):
    target.fail(**{"shop.orders": "fail"})
    load(code=FAILED)
    target.loads()
    target.schema("")  # all was dropped
    load(code=FAILED)
    assert done(target.loads()) == [one for one in ALL if one[1] != "orders"]
    load(code=FAILED)
    assert done(target.loads()) == []
    load("--restart", code=FAILED)
    assert done(target.loads()) == [one for one in ALL if one[1] != "orders"]


def test_a_table_that_was_truncated_since_is_loaded_again(load, target):
    target.fail(**{"shop.orders": "fail"})
    load(code=FAILED)
    assert done(target.loads()) == [one for one in ALL if one[1] != "orders"]
    target.fail(**{'SELECT * FROM "ks2"."t" LIMIT 1': "empty"})
    document = load()
    assert (document["loaded"], document["loaded_before"]) == (4, 1)
    assert done(target.loads()) == [one for one in ALL if one[1] != "Users"]


def test_a_cluster_of_the_same_images_has_a_journal_of_its_own(load, target, plan):
    target.fail(**{"shop.orders": "fail"})
    load(code=FAILED)
    target.loads()
    # Name, host ids and schema are the same.
    plan.towards([line.replace("10.1.0.", "10.8.0.") for line in status(OTHER_IDS[:2], ["r1", "r2"])])
    target.fail()
    assert (load()["loaded"], done(target.loads())) == (5, ALL)


def test_a_statement_that_fails_ends_the_run_before_anything_is_loaded(load, target):
    target.fail(**{"CREATE TABLE shop.\"Users\"": "InvalidRequest: a reason"})
    refused(load(code=FAILED, json=False), "TABLE shop.Users", "a reason")
    assert target.loads() == []
    target.fail()
    assert load()["statements"] == 3  # Users, ks2.t, the view


@pytest.mark.parametrize("there, words", [
    (SHOP + "CREATE TABLE shop.orders (id bigint PRIMARY KEY);\n", ["table shop.orders", "other columns", "--rename"]),
    (SHOP + ORDERS + "CREATE CUSTOM INDEX i ON shop.orders (id) USING 'StorageAttachedIndex';\n", ["shop.orders", "storage-attached"]),
])
def test_what_cannot_be_right_is_refused_before_anything_is_changed(load, target, there, words):
    target.schema(there)
    refused(load(code=FAILED, json=False), *words)
    assert target.loads() == [] and target.statements() == []


def test_a_column_that_lives_is_not_dropped(repository, hosts):
    target = Target(hosts)
    with_dropped = ORDERS.replace("PRIMARY KEY)", "PRIMARY KEY, old text) WITH ID = 5a1c395e-b41f-11e5-9f22-ba0be0483c18 AND comment = ''")
    for node in hosts.nodes.values():
        node.node["schema"] = SHOP + with_dropped + "ALTER TABLE shop.orders DROP old USING TIMESTAMP 5;\n"
        node.save()
    repository("--config", hosts.configuration, "backup-cluster", "--name", "c")
    words = ["--config", target.configuration, "restore-cluster", "c", "--load", "--yes", "--only", "shop.orders"]
    target.schema(SHOP + with_dropped)
    refused(repository(*words, code=FAILED), "shop.orders", "alive")
    assert target.statements() == []
    # One that is made here gets it dropped, also by the next run.
    target.schema(SHOP)
    target.fail(**{"ALTER TABLE": "a reason"})
    repository(*words, code=FAILED)
    made = (target.state / "schema.cql").read_text()
    # Meanwhile somebody made another one.
    target.schema(SHOP + with_dropped.replace("5a1c", "5a1d"))
    refused(repository(*words, code=FAILED), "shop.orders", "alive")
    (target.state / "schema.cql").write_text(made)
    target.fail()
    repository(*words)
    assert [statement.split()[0] for statement in target.statements()] == ["CREATE", "ALTER"]
    # One of another name has no id to be told by.
    target.fail(**{"ALTER TABLE": "a reason"})
    repository(*words, "--rename", "shop.orders=shop.o2", code=FAILED)
    target.fail()
    refused(repository(*words, "--rename", "shop.orders=shop.o2", code=FAILED), "shop.o2", "alive")


def test_names_can_be_other_ones(load, target):
    load("--only", "shop.orders", "--rename", "shop.orders=shop2.orders2")
    one, = (one for one in target.loads() if one["event"] == "end")
    assert one["words"][8:12] == ["--target-keyspace", "shop2", "--target-table", "orders2"]
    statements = target.statements()
    assert len(statements) == 2 and '"shop2"' in statements[0] and '"shop2"."orders2"' in statements[1]


def test_a_plan_is_saved_edited_checked_and_done(repository, load, target, program, plan):
    document = plan("--only", "shop")
    path = program.directory / "plan.json"

    def save(**changes):
        path.write_text(json.dumps({**document, **changes}))
        return "--plan-file", path

    rows = [{**row, "source": "n3"} for row in document["tables"] if row["table"] == "orders"]
    assert load(*save(tables=rows))["loaded"] == 1
    assert done(target.loads()) == [("shop", "orders", "n3")]
    # Users is made, and not loaded.
    assert any('"Users"' in statement for statement in target.statements())
    shown = repository("--config", target.configuration, "--json", "restore-cluster", "b", "--plan", *save(tables=rows)).json
    assert [(row["table"], row["source"]) for row in shown["tables"]] == [("orders", "n3")]
    for changes, words in (({"tables": [{**rows[0], "source": "n4"}]}, ["n4"]), ({"tables": [{**rows[0], "directory": "data/shop/x-1"}]}, ["x-1"]),
                           ({"targets": document["targets"][:1]}, ["1 nodes"]), ({"format": 2}, ["format 2"]), ({"name": "c"}, ["backup c"]),
                           ({"only": "shop"}, ["only"]), ({"tables": None}, ["tables"])):
        refused(load(*save(**changes), code=USAGE, json=False), *words)
    refused(load(*save(), "--only", "shop", code=USAGE, json=False), "--plan-file")
    path.write_text("no JSON")
    refused(load("--plan-file", path, code=USAGE, json=False), "plan.json")
    refused(load("--plan-file", program.directory / "none", code=ABSENT, json=False), "none")
    assert target.loads() == []
    # With replication factor 1 each node has rows that no other has.
    document = plan("--only", "ks2")
    less = document["tables"][:2]
    refused(load(*save(tables=less), code=FAILED, json=False), "ks2.t", "% of the ring", "--partial")
    partly = load(*save(tables=less), "--partial", code=FOUND)
    assert partly["loaded"] == 2 and [(one["keyspace"], one["table"], one["loaded"]) for one in partly["incomplete"]] == [("ks2", "t", True)]


def test_a_backup_or_a_cluster_of_other_versions_is_refused(repository, hosts, request):
    for node in hosts.nodes.values():
        node.node["version"] = "4.1.7"
        node.save()
    repository("--config", hosts.configuration, "backup-cluster", "--name", "old")
    load, target = request.getfixturevalue("load"), request.getfixturevalue("target")
    first = hosts.nodes[hosts.names[0]]
    first.node.update(version="4.1.9", address="10.1.0.1")
    first.save()
    refused(load(code=USAGE, json=False), "made by Cassandra 5.0.9", "runs 4.1.9", "install 5.0.9")
    refused(repository("--config", target.configuration, "restore-cluster", "b", "--plan", code=USAGE), "install 5.0.9")
    assert target.statements() == []
    refused(load("--rename", "shop.orders=shop.o2", code=USAGE, json=False, backup="old"), "another name")
    assert load("--rename", "shop=s2", "--only", "shop", backup="old")["loaded"] == 2


def test_data_centres_become_others_or_are_left_out(repository, load, target, hosts, plan):
    first = hosts.nodes[hosts.names[0]]
    first.node["dc"] = "east"
    first.save()
    refused(load(code=FAILED, json=False), "keyspace shop", "dc 1", "--map-dc")
    assert target.statements() == []
    mapped = ["--map-dc", "dc 1=east"]
    shown = repository("--config", target.configuration, "restore-cluster", "b", "--plan", *mapped).out
    assert "CREATE KEYSPACE IF NOT EXISTS shop WITH replication = {'class': 'NetworkTopologyStrategy', 'east': '3'};" in shown
    assert [(one["choice"], one["sources"]) for one in plan(*mapped)["keyspaces"] if one["keyspace"] == "shop"] == [("exact", ["n1"])]
    assert load(*mapped, "--only", "shop")["loaded"] == 2
    assert any("'east': '3'" in statement for statement in target.statements())
    refused(plan("--leave-out-dc", "dc 1", code=FAILED), "left out")
    refused(plan("--leave-out-dc", "west", code=FAILED), "ks2", "NetworkTopologyStrategy")
    assert len(plan("--leave-out-dc", "west", "--only", "shop")["tables"]) == 2
    refused(plan("--map-dc", "a=b", "--leave-out-dc", "a", code=USAGE), "twice")
    refused(plan("--map-dc", "a", code=USAGE), "A=B")
