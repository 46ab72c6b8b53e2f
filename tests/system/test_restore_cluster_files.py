# SPDX-License-Identifier: Apache-2.0
"""`restore-cluster --yes` where nodes take files as they are: who does what, and when. ssh, hosts and Cassandra are stand-ins; tests/cassandra does the same with real ones,
test_restore_cluster_faults.py lets things fail."""

import json

import pytest

from harness import ABSENT, USAGE, wait_until
from host import NEW_ID
from restorehosts import OtherHosts, RestoreHosts, Restoring, states

SECONDS = 180
FIRST, SEED, LAST = "10.0.0.1", "10.0.0.2", "10.0.0.3"
OTHERS = ["10.1.0.1", "10.1.0.2", "10.1.0.3"]


@pytest.fixture
def others(program):
    with OtherHosts(program, OTHERS, racks="cab") as others:
        yield others


def check_order(hosts):
    """All have fetched before anybody stops, all are exchanged before anybody starts, the seed is up before the others start."""
    places = {what: [hosts.at(name, what) for name in hosts.names] for what in (">fetch", "fetched", "stop", "exchanged", "start", "started", ">check")}
    assert max(places["fetched"]) < min(places["stop"])
    assert max(places["exchanged"]) < min(places["start"])
    others = [name for name in hosts.names if name != hosts.names[1]]
    assert hosts.at(hosts.names[1], "started") < min(hosts.at(name, "start") for name in others)
    assert max(places["started"]) < min(places[">check"])


# ---- the same nodes ----

def test_every_node_becomes_what_it_was_step_by_step(restoring, hosts):
    document = restoring("--yes", "--check-query", "SELECT id FROM shop.users; -- it's", "--check-rows", 4)
    assert states(document) == dict.fromkeys(hosts.names, "restored") and document["state"] == "restored"
    assert (document["case"], document["nodes_done"], document["nodes_expected"]) == ("same", 3, 3)
    assert restoring.is_restored()
    check_order(hosts)
    assert all(node["downtime_seconds"] > 0 for node in document["nodes"])
    # Again is once more nothing; the data of before wait on every node.
    assert restoring("--yes")["state"] == "restored" and restoring.is_restored()
    assert len(restoring.plans()) == 1 and len(hosts.journals()) == 3
    assert restoring("--finish")["state"] == "finished"
    assert not hosts.journals() and not restoring.plans() and restoring.is_restored()
    answer = restoring("--finish", json=False, code=ABSENT)
    assert "no restore of backup b into a cluster was begun" in answer.err


def test_what_was_restored_goes_back_on_all_nodes(restoring, hosts):
    restoring("--yes")
    hosts.forget()
    document = restoring("--abort")
    assert document["state"] == "aborted" and states(document) == dict.fromkeys(hosts.names, "aborted")
    assert restoring.is_as_before() and not restoring.plans()
    assert max(hosts.at(name, "exchanged") for name in hosts.names) < min(hosts.at(name, "start") for name in hosts.names)
    assert hosts.at(SEED, "start") < min(hosts.at(FIRST, "start"), hosts.at(LAST, "start"))


def test_people_read_what_became_of_each_and_what_comes_next(restoring, hosts):
    said = restoring("--yes", json=False).out
    for number, name in enumerate(hosts.names, 1):
        assert f"{name}: restored as n{number}, down for " in said
    assert "backup b of cluster Live_Test__1: restored, 3 of 3 nodes" in said and "restore-cluster b --cluster Live_Test__1 --finish" in said
    assert f"{SEED}: was restored as n2 before, and waits for --finish" in restoring("--yes", json=False).out
    said = restoring("--plan", json=False).out
    assert "was begun" in said and "sstablefs restore-node b --cluster Live_Test__1 --node n2 --in-place --yes\n" in said
    assert restoring("--plan")["state"] == "begun"
    assert f"{LAST}: aborted" in restoring("--abort", json=False).out


def test_the_plan_has_the_commands_of_all_hosts(restoring, hosts):
    targets = restoring("--plan", "--no-stage", "--keep-auth")["targets"]
    assert [target["command"] for target in targets] == [
        f"sstablefs restore-node b --cluster Live_Test__1 --node n{number} --in-place --no-stage --keep-auth --yes" for number in (2, 1, 3)]
    assert restoring("--plan", json=False).out.count("sstablefs restore-node b ") == 3


def test_so_many_fetch_at_once_as_wanted(restoring, hosts):
    hosts.fail(FIRST, hold_at="fetched")
    running = restoring.begin("--parallel", "1")
    wait_until(lambda: hosts.seen(FIRST, "fetched"), SECONDS, "the first")
    assert hosts.happened(">fetch") == {FIRST}
    hosts.go(FIRST)
    assert running.wait(SECONDS) == 0
    for former, later in ((FIRST, SEED), (SEED, LAST)):
        assert hosts.at(former, "fetched") < hosts.at(later, ">fetch")


def test_nodes_of_a_rack_start_together_and_racks_one_after_another(program, repository):
    names = [f"10.0.0.{number}" for number in range(1, 6)]
    with RestoreHosts(program, names, racks="11122") as hosts:
        restoring = Restoring(repository, hosts)
        hosts.hold(names[0], "start")
        running = restoring.begin()
        wait_until(lambda: (names[2], "started") in hosts.events(), SECONDS, "the neighbour in the rack")
        assert hosts.happened("start") == {names[0], names[1], names[2]}
        hosts.release(names[0], "start")
        assert running.wait(SECONDS) == 0 and restoring.is_restored()
        assert max(hosts.at(name, "started") for name in names[:3]) < min(hosts.at(name, "start") for name in names[3:])


def test_without_staging_all_are_down_while_they_fetch(restoring, hosts):
    assert restoring("--yes", "--no-stage", "--parallel", "1")["state"] == "restored"
    assert restoring.is_restored() and len(hosts.journals()) == 3
    assert max(hosts.at(name, "exchanged") for name in hosts.names) < min(hosts.at(name, "start") for name in hosts.names)
    assert hosts.at(FIRST, "exchanged") < hosts.at(SEED, "stop"), "one after another"


def test_a_list_names_the_hosts_where_the_cluster_cannot_be_asked(restoring, hosts, program):
    """As after a loss of all machines."""
    for node in hosts.nodes.values():
        node.kill()
    path = program.directory / "list"
    path.write_text("".join(f"{name == LAST},{name},n{number}\n" for number, name in enumerate(hosts.names, 1)))
    document = restoring("--yes", "--host-list", path, "--in-place")
    assert document["case"] == "same" and restoring.is_restored()
    assert hosts.at(LAST, "started") < hosts.at(FIRST, "start"), "a seed of the list, too"


# ---- another cluster ----

def took_over(others):
    """{host: source} by what the hosts became, and whether their cassandra.yaml says it."""
    found = {}
    for name, node in others.nodes.items():
        now = json.loads((node.state / "node.json").read_text())
        assert now["host_id"] == NEW_ID
        assert f"initial_token: {','.join(now['tokens'])}\n" in node.yaml.read_text()
        found[name] = f"n{int(now['tokens'][0]) // 1000}"
    return found


def test_another_cluster_takes_over_tokens_and_files_by_racks(restoring, others):
    """Racks have other names there: what counts is who shares one."""
    restoring.into(others)
    document = restoring("--yes")
    assert (document["case"], document["state"]) == ("other", "restored")
    assert took_over(others) == {node["host"]: node["source"] for node in document["nodes"]}
    assert sorted(took_over(others).values()) == ["n1", "n2", "n3"] and others.running() == others.names
    check_order(others)
    restoring("--abort")
    assert restoring.is_as_before()


def test_another_cluster_as_a_list_or_a_saved_plan_says(restoring, others, program):
    restoring.into(others)
    path = program.directory / "list"
    path.write_text("true,10.1.0.3,n1\nfalse,10.1.0.2,n3\nfalse,10.1.0.1,n2\n")
    restoring("--yes", "--host-list", path)
    assert took_over(others) == {"10.1.0.1": "n2", "10.1.0.2": "n3", "10.1.0.3": "n1"}
    for former in ("10.1.0.3", "10.1.0.2"):  # the seed of the list, that of cassandra.yaml
        assert others.at(former, "started") < others.at("10.1.0.1", "start")
    assert restoring("--abort", "--host-list", path)["state"] == "aborted" and restoring.is_as_before()

    plan = restoring("--plan")
    for target, source in zip(plan["targets"], ("n3", "n2", "n1")):
        target["source"] = source
    path.write_text(json.dumps(plan))
    document = restoring("--yes", "--plan-file", path)
    assert took_over(others) == {target["host"]: target["source"] for target in plan["targets"]} and document["state"] == "restored"


# ---- what is begun is not mixed with something else ----

def test_what_was_begun_is_gone_on_with_and_nothing_else(restoring, hosts, others, program):
    hosts.nodes[LAST].fail("start", first="not today")
    restoring("--yes", code=3)
    path = program.directory / "list"
    path.write_text("true,10.0.0.1,n1\nfalse,10.0.0.2,n3\nfalse,10.0.0.3,n2\n")
    for options in (["--no-stage"], ["--keep-auth"], ["--load"], ["--only", "shop"], ["--host-list", path, "--in-place"], ["--host-list", path]):
        assert "was begun with" in restoring("--yes", *options, json=False, code=USAGE).err, options
    hosts.heal()
    others.configure()
    answer = restoring.repository("--config", others.configuration, "restore-cluster", "b", "--yes", code=USAGE)
    assert "was begun into the cluster of 10.0.0.1" in answer.err and "10.1.0.1" in answer.err
    path.write_text("true,10.0.0.1,n1\nfalse,10.0.0.2,n2\nfalse,10.0.0.3,n3\n")
    assert restoring("--yes", "--host-list", path, "--in-place")["state"] == "restored" and restoring.is_restored()


@pytest.mark.parametrize("arguments, word", [
    (["--abort", "--finish"], "--plan"), (["--yes", "--abort"], "--plan"), (["--yes", "--in-place"], "--host-list"),
    (["--yes", "--check-query", "x"], "--check-rows"), (["--yes", "--only", "shop"], "--load"), (["--yes", "--wait", "0"], "--wait"),
    (["--yes", "--load", "--no-stage"], "files as they are")])
def test_what_cannot_be_meant_is_wrong_usage(restoring, arguments, word):
    assert word in restoring(*arguments, json=False, code=USAGE).err
    assert restoring.is_as_before() and not restoring.plans()
