# SPDX-License-Identifier: Apache-2.0
"""A host that is gone for good, in a restore of a cluster that was begun: the others go on, back, or are finished without it, and it is said what is left to do there. Stand-ins, as in
test_restore_cluster_files.py."""

import pytest

from harness import FAILED, FOUND, USAGE, is_alive, wait_until
from restorehosts import OtherHosts, Restoring, states

SECONDS = 180
FIRST, SEED, LAST = NAMES = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
OTHERS = ["10.1.0.1", "10.1.0.2", "10.1.0.3"]
COMMAND = "sstablefs restore-node b --cluster Live_Test__1 --node n3 --in-place --yes"


def gave_up(hosts):
    wait_until(lambda: not any(is_alive(hosts.pid(host)) for host in hosts.names), SECONDS, "the hosts give up")
    hosts.heal()


def lose(hosts, name):
    """From now on nobody reaches it."""
    gave_up(hosts)
    hosts.nodes[name].kill()
    hosts.fail(name, say=f"ssh: connect to host {name} port 22: No route to host")
    hosts.forget()


def lose_at(restoring, hosts, event, name=None):
    """It is gone when it came so far, and the others wait where they are."""
    name = name or hosts.names[-1]
    hosts.fail(name, die_at=event)
    restoring("--yes", code=FAILED)
    lose(hosts, name)


def alone(restoring, host, *arguments):
    """restore-node on one host, by hand."""
    return restoring.repository("--config", host.configuration, "restore-node", *arguments)


def entry(document, host):
    return next(node for node in document["nodes"] if node["host"] == host)


def test_a_stopped_cluster_goes_on_without_the_host_that_is_gone(restoring, hosts):
    lose_at(restoring, hosts, "exchanged")
    assert hosts.running() == []
    for way in ("--yes", "--abort"):
        assert f"gone for good, --without {LAST} goes on" in restoring(way, json=False, code=FAILED).err
    document = restoring("--yes", "--without", LAST, code=FOUND)
    assert document["state"] == "incomplete" and (document["nodes_done"], document["nodes_expected"]) == (2, 3)
    assert states(document) == {FIRST: "restored", SEED: "restored", LAST: "left_out"}
    assert f"must not start before {COMMAND} has ended" in entry(document, LAST)["condition"] and hosts.running() == [FIRST, SEED]
    out = restoring("--yes", "--without", LAST, json=False, code=FOUND).out
    assert f"{LAST}: left out: its Cassandra must not start before" in out
    assert f"--finish --without {LAST} removes them, --abort --without {LAST} puts them back" in out
    hosts.heal()
    alone(restoring, hosts.nodes[LAST], *COMMAND.split()[2:])
    assert restoring.is_restored() and restoring("--finish")["state"] == "finished" and not hosts.journals()


def test_one_that_comes_back_is_taken_in_again(restoring, hosts):
    lose_at(restoring, hosts, "exchanged")
    restoring("--yes", "--without", LAST, code=FOUND)
    hosts.heal()
    assert restoring("--yes")["state"] == "restored" and restoring.is_restored()


def test_all_others_go_back_without_the_host_that_is_gone(restoring, hosts):
    lose_at(restoring, hosts, "exchanged")
    answer = restoring("--abort", "--without", LAST, json=False, code=FOUND)
    assert f"{LAST}: left out: its Cassandra must not start before sstablefs restore-node --abort has ended there" in answer.out
    assert "the same command goes on" not in answer.out
    assert hosts.running() == [FIRST, SEED] and list(hosts.journals()) == [LAST] and not restoring.plans()
    alone(restoring, hosts.nodes[LAST], "--abort")
    assert restoring.is_as_before()


def test_the_others_are_finished_without_the_host_that_is_gone(restoring, hosts):
    restoring("--yes")
    lose(hosts, LAST)
    assert f"--without {LAST}" in restoring("--finish", json=False, code=FAILED).err and len(hosts.journals()) == 3
    document = restoring("--finish", "--without", LAST, code=FOUND)
    assert states(document) == {FIRST: "finished", SEED: "finished", LAST: "left_out"} and list(hosts.journals()) == [LAST]
    assert "restore-node --finish is to be run there" in entry(document, LAST)["condition"] and not restoring.plans()


def test_a_seed_that_is_gone_takes_another_one_to_start_first(restoring, hosts):
    lose_at(restoring, hosts, "exchanged", SEED)
    answer = restoring("--yes", "--without", SEED, json=False, code=USAGE)
    assert "none of the 3 hosts is known to be a seed" in answer.err and hosts.running() == []
    last = hosts.nodes[LAST].yaml
    last.write_text(last.read_text().replace(SEED, LAST))
    restoring("--yes", "--without", SEED, code=FOUND)
    assert hosts.running() == [FIRST, LAST] and hosts.at(LAST, "started") < hosts.at(FIRST, "start")


@pytest.mark.parametrize("event", ["fetched", "exchanged"])
def test_without_a_seed_all_others_go_back_where_they_run(restoring, hosts, event):
    """Nobody is started then; else one must be named."""
    lose_at(restoring, hosts, event, SEED)
    if event == "fetched":
        answer = restoring("--yes", "--without", SEED, json=False, code=FAILED)
        assert f"--abort --without {SEED}" in answer.err
        assert states(restoring("--abort", "--without", SEED, code=FOUND)) == {FIRST: "aborted", SEED: "left_out", LAST: "aborted"}
        assert hosts.running() == [FIRST, LAST] and list(hosts.journals()) == [SEED] and not restoring.plans() and not hosts.happened("start")
    else:
        answer = restoring("--abort", "--without", SEED, json=False, code=USAGE)
        assert "none of the 3 hosts is known to be a seed" in answer.err and hosts.running() == [] and len(hosts.journals()) == 3


def test_those_that_have_started_need_no_seed(restoring, hosts):
    question = ["--check-query", "SELECT id FROM shop.users", "--check-rows"]
    restoring("--yes", *question, 5, code=FAILED)
    assert hosts.running() == NAMES
    lose(hosts, SEED)
    document = restoring("--yes", "--without", SEED, *question, 4, code=FOUND)
    assert states(document) == {FIRST: "restored", SEED: "left_out", LAST: "restored"} and not hosts.happened("start")
    assert restoring("--yes", "--without", SEED, code=FOUND)["nodes_done"] == 2
    # Who is a seed is known by the plan, too, when it is there again.
    for node in hosts.nodes.values():
        node.write_yaml(seed_provider="[{class_name: x, parameters: [{seeds: '192.0.2.77'}]}]", listen_address=None)
    hosts.heal()
    hosts.forget()
    assert restoring("--abort")["state"] == "aborted"
    assert hosts.at(SEED, "start") < min(hosts.at(FIRST, "start"), hosts.at(LAST, "start"))


def test_one_that_has_stopped_since_needs_a_seed_to_start_again(restoring, hosts):
    restoring("--yes")
    lose(hosts, SEED)
    hosts.nodes[FIRST].kill()
    answer = restoring("--yes", "--without", SEED, json=False, code=USAGE)
    assert "none of the 3 hosts is known to be a seed" in answer.err and not hosts.happened("start")
    last = hosts.nodes[LAST].yaml
    last.write_text(last.read_text().replace(SEED, LAST))
    restoring("--yes", "--without", SEED, code=FOUND)
    assert hosts.running() == [FIRST, LAST] and hosts.happened("start") == {FIRST}


def test_rows_are_asked_for_without_the_host_that_is_gone(restoring, hosts):
    lose_at(restoring, hosts, "exchanged")
    question = ["--check-query", "SELECT id FROM shop.users", "--check-rows", 4]
    document = restoring("--yes", "--without", LAST, *question, code=FOUND)
    assert states(document) == {FIRST: "restored", SEED: "restored", LAST: "left_out"}


def test_another_cluster_goes_on_too(program, repository, hosts):
    with OtherHosts(program, OTHERS) as others:
        restoring = Restoring(repository, hosts).into(others)
        lose_at(restoring, others, "exchanged")
        document = restoring("--yes", "--without", OTHERS[2], code=FOUND)
        assert "--remote --yes has ended there" in entry(document, OTHERS[2])["condition"] and others.running() == OTHERS[:2]


# ---- what is refused ----

def test_a_cluster_that_runs_does_not_become_one_that_misses_a_node(restoring, hosts):
    lose_at(restoring, hosts, "fetched")
    answer = restoring("--yes", "--without", LAST, json=False, code=FAILED)
    assert "no node was stopped yet" in answer.err and f"--abort --without {LAST}" in answer.err
    assert hosts.running() == [FIRST, SEED] and not hosts.happened("stop")
    assert restoring("--abort", "--without", LAST, code=FOUND)["nodes_done"] == 2
    assert list(hosts.journals()) == [LAST] and not hosts.happened("stop") and not restoring.plans()


def test_a_host_that_answers_is_not_left_out(restoring, hosts):
    restoring("--yes")
    hosts.forget()
    for way in ("--yes", "--abort", "--finish"):
        answer = restoring(way, "--without", LAST, json=False, code=USAGE)
        assert f"{LAST} answers, and can go on with the others" in answer.err
    assert restoring.is_restored() and len(hosts.journals()) == 3 and not hosts.happened("stop")


def test_a_host_that_can_not_go_back_is_not_left_out(restoring, hosts):
    """Its Cassandra is stopped and has lost its data, and with the plan it would be lost how to go on."""
    hosts.fail(FIRST, die_at="exchanged")
    restoring("--yes", "--no-stage", "--parallel", "1", code=FAILED)
    gave_up(hosts)
    answer = restoring("--abort", json=False, code=FAILED)
    assert "there is no way back" in answer.err and "--without" not in answer.err
    answer = restoring("--abort", "--without", FIRST, json=False, code=USAGE)
    assert f"{FIRST} answers, and --without is for a host that is gone" in answer.err and "there is no way back" in answer.err
    assert hosts.running() == [SEED, LAST] and len(hosts.journals()) == 3 and restoring.plans()
    assert restoring("--yes", "--no-stage")["state"] == "restored" and restoring.is_restored()


def test_a_host_that_is_not_done_is_not_left_out_of_the_finish(restoring, hosts):
    """The others would have no way back, and it would not be restored."""
    hosts.nodes[LAST].fail("start", first="not today")
    restoring("--yes", code=FOUND)
    hosts.heal()
    answer = restoring("--finish", "--without", LAST, json=False, code=USAGE)
    assert f"{LAST} answers" in answer.err and "is not done" in answer.err and len(hosts.journals()) == 3
    assert restoring("--yes")["state"] == "restored" and restoring.is_restored()


def break_configuration(hosts):
    with hosts.nodes[LAST].configuration.open("a") as configuration:
        configuration.write("this is none\n")


@pytest.mark.parametrize("spoil, code, words", [
    (break_configuration, USAGE, 'neither "[section]"'),
    (lambda hosts: hosts.nodes[LAST].yaml.unlink(), USAGE, "cassandra.yaml"),
    (lambda hosts: hosts.fail(LAST, say="sudo: a password is required", code=1), FAILED, "sudo: a password is required"),
], ids=["configuration", "cassandra.yaml", "sudo"])
def test_a_host_that_refuses_before_it_is_ready_is_not_left_out(restoring, hosts, spoil, code, words):
    """Its Cassandra runs with its own data: the others would meet it with the backup's."""
    hosts.fail(LAST, die_at="fetched")
    restoring("--yes", "--no-stage", code=FAILED)
    gave_up(hosts)
    hosts.forget()
    spoil(hosts)
    answer = restoring("--yes", "--no-stage", json=False, code=code)
    assert words in answer.err and "--without" not in answer.err
    for way in (["--yes", "--no-stage"], ["--abort"]):
        answer = restoring(*way, "--without", LAST, json=False, code=USAGE)
        assert f"{LAST} answers, and --without is for a host that is gone" in answer.err and words in answer.err
    assert hosts.running() == NAMES and not hosts.happened("stop") and len(hosts.journals()) == 3 and restoring.plans()


def test_a_machine_without_sstablefs_is_left_out(restoring, hosts):
    """One in the place of that which is gone."""
    restoring("--yes")
    hosts.fail(LAST, say="sh: sstablefs: not found", code=127)
    assert f"--without {LAST} goes on" in restoring("--finish", json=False, code=FAILED).err
    assert states(restoring("--finish", "--without", LAST, code=FOUND))[LAST] == "left_out" and list(hosts.journals()) == [LAST]


def test_a_node_that_was_to_be_stopped_and_runs_is_not_stopped(restoring, hosts):
    hosts.nodes[FIRST].fail("stop", first="it cannot stop today")
    restoring("--yes", "--no-stage", "--parallel", "1", code=FAILED)
    lose(hosts, LAST)
    answer = restoring("--yes", "--no-stage", "--without", LAST, json=False, code=FAILED)
    assert "no node was stopped yet" in answer.err and hosts.running() == [FIRST, SEED] and not hosts.happened("stop")
    assert restoring("--abort", "--without", LAST, code=FOUND)["nodes_done"] == 2 and not hosts.happened("stop")


def test_only_hosts_of_a_restore_that_was_begun_are_left_out(restoring, hosts):
    assert "no restore of b was begun" in restoring("--yes", "--without", LAST, json=False, code=USAGE).err
    assert restoring.is_as_before() and not restoring.plans()
    restoring("--yes")
    assert "--plan asks every host" in restoring("--plan", "--without", LAST, json=False, code=USAGE).err
    assert "no host of this restore" in restoring("--abort", "--without", "n3", json=False, code=USAGE).err
    every = [word for name in NAMES for word in ("--without", name)]
    assert "no host would be left" in restoring("--abort", *every, json=False, code=USAGE).err
    assert restoring.is_restored()
