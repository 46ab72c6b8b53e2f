# SPDX-License-Identifier: Apache-2.0
"""A restore of a cluster that was begun, and is gone on with, aborted or finished: it is the one that is meant, as it was begun, and by one coordinator. Stand-ins, as in test_restore_cluster_files.py."""

import pytest

from harness import FAILED, FOUND, USAGE, is_alive, run, wait_until
from restorehosts import CONTROL, OtherHosts

SECONDS = 180
FIRST, SEED, LAST = NAMES = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
OTHERS = ["10.1.0.1", "10.1.0.2", "10.1.0.3"]
NAMED = ["--cluster", "Live_Test__1"]


def write_list(program):
    path = program.directory / "list"
    path.write_text("".join(f"{name == SEED},{name},n{number}\n" for number, name in enumerate(NAMES, 1)))
    return path


def ask(hosts, nodetool):
    """Whom the coordinator asks from now on."""
    lines = hosts.configuration.read_text().splitlines()
    hosts.configuration.write_text("".join(f"nodetool = {nodetool}\n" if line.startswith("nodetool") else f"{line}\n" for line in lines))


def leave_behind(restoring, hosts):
    """All have fetched, but for the last, whose connection is lost: nobody is stopped."""
    hosts.fail(LAST, die_at="fetched")
    restoring("--yes", code=FAILED)
    hosts.heal()
    wait_until(lambda: not any(is_alive(hosts.pid(name)) for name in hosts.names), SECONDS, "the hosts give up")
    hosts.forget()


# ---- which cluster is meant ----

@pytest.mark.parametrize("arguments", [["--plan"], ["--yes"], ["--abort"], ["--finish"]], ids=lambda words: words[0])
def test_a_plan_that_is_left_is_not_taken_for_that_of_a_cluster_that_does_not_answer(program, restoring, hosts, arguments):
    """Backups of several clusters may have one name, as those of a timer have."""
    if arguments == ["--finish"]:
        restoring("--yes")
        hosts.forget()
    else:
        leave_behind(restoring, hosts)
    with OtherHosts(program, OTHERS) as others:
        for node in others.nodes.values():
            node.kill()
        ask(hosts, others.nodes[OTHERS[0]].directory / "nodetool")
        answer = restoring(*arguments, json=False, code=USAGE)
        assert f"cluster Live_Test__1 into 3 hosts, {FIRST} the first" in answer.err and "say --cluster Live_Test__1" in answer.err
        assert hosts.events() == [] and hosts.running() == NAMES and len(hosts.journals()) == 3
        assert restoring(*arguments, *NAMED)["state"] in ("begun", "restored", "aborted", "finished")


def test_a_stopped_cluster_is_meant_where_nodetool_would_ask_the_node_of_then(restoring, hosts):
    hosts.nodes[SEED].fail("start", first="no seed today")
    restoring("--yes", code=FAILED)
    assert hosts.running() == []
    hosts.heal()
    assert restoring("--yes")["state"] == "restored" and restoring.is_restored()


def test_what_a_list_began_is_meant_by_its_list_or_by_name(program, restoring, hosts):
    path = write_list(program)
    restoring("--yes", "--host-list", path, "--in-place")
    for way in ("--yes", "--abort", "--finish"):
        assert "its --host-list is not named" in restoring(way, json=False, code=USAGE).err
    wrong = program.directory / "wrong"
    wrong.write_text(path.read_text().replace(LAST, "10.9.9.9"))
    assert "with other hosts" in restoring("--abort", "--host-list", wrong, json=False, code=USAGE).err
    assert restoring.is_restored() and len(hosts.journals()) == 3
    assert restoring("--yes", *NAMED)["state"] == "restored"
    assert restoring("--abort", "--host-list", path)["state"] == "aborted" and restoring.is_as_before()


def test_a_cluster_that_answers_and_is_another_is_not_aborted_or_finished(program, restoring, hosts):
    restoring("--yes")
    with OtherHosts(program, OTHERS) as others:
        ask(hosts, others.nodes[OTHERS[0]].directory / "nodetool")
        for way in ("--abort", "--finish"):
            answer = restoring(way, json=False, code=USAGE)
            assert f"begun into the cluster of {FIRST}, and nodetool reaches one with 10.1.0" in answer.err and "say --cluster" in answer.err
        assert restoring.is_restored() and restoring("--finish", *NAMED)["state"] == "finished"


def test_a_node_that_joined_since_keeps_nothing_from_being_finished(restoring, hosts):
    restoring("--yes")
    first = hosts.nodes[FIRST]
    first.node["status"].append("UN  10.0.0.4    114.42 KiB  2       100.0%            77e0ad09-2b0c-4f2e-9f31-6d9a3a1c5b11  r1")
    first.save()
    assert "nodetool reaches one with 10.0.0.4" in restoring("--yes", json=False, code=USAGE).err
    assert restoring("--finish")["state"] == "finished" and not restoring.plans()


# ---- one coordinator ----

def hold_nodetool(hosts):
    """The coordinator's waits until it is released."""
    held = hosts.state / "held-nodetool"
    held.write_text(CONTROL.format(name="coordinator", tool="nodetool", state=hosts.state, real=hosts.nodes[FIRST].directory / "nodetool"))
    held.chmod(0o755)
    ask(hosts, held)


def begin_and_hold(restoring, hosts, *arguments):
    """A run that has looked for a plan, and asks nodetool."""
    hosts.forget()
    hosts.hold("coordinator", "nodetool")
    running = restoring.begin(*arguments)
    wait_until(lambda: ("coordinator", "nodetool") in hosts.events(), SECONDS, "it asks the cluster")
    return running


def refused_as_late(running):
    out, err = running.communicate(timeout=SECONDS)
    assert running.returncode == FAILED and "has begun, changed or ended the restore of backup b meanwhile" in err, err


def test_what_another_coordinator_ends_meanwhile_is_not_begun_again(program, restoring, hosts):
    hold_nodetool(hosts)
    restoring("--yes")
    running = begin_and_hold(restoring, hosts)
    assert restoring("--finish", "--host-list", write_list(program))["state"] == "finished"
    hosts.release("coordinator", "nodetool")
    refused_as_late(running)
    assert not hosts.happened("stop") and not hosts.journals() and not restoring.plans() and restoring.is_restored()


def test_what_another_coordinator_begins_meanwhile_is_not_begun_otherwise(program, restoring, hosts):
    hold_nodetool(hosts)
    running = begin_and_hold(restoring, hosts, "--keep-auth")
    hosts.nodes[LAST].fail("start", first="not today")
    restoring("--yes", "--host-list", write_list(program), "--in-place", code=FOUND)
    plan = restoring.plans()[0].joinpath("plan.json").read_text()
    hosts.heal()
    hosts.release("coordinator", "nodetool")
    refused_as_late(running)
    assert restoring.plans()[0].joinpath("plan.json").read_text() == plan
    assert restoring("--yes", *NAMED)["state"] == "restored" and restoring.is_restored()


def test_a_plan_stays_where_a_full_disk_keeps_it_from_being_marked(program, restoring, hosts):
    program.cache.mkdir(exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", program.cache)
    try:
        restoring("--yes")
        with open(program.cache / "filler", "wb", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(bytes(4096))
        answer = restoring("--abort", json=False, code=FAILED)
        assert "No space left" in answer.err and restoring.is_restored() and restoring.plans(), answer.err
        (program.cache / "filler").unlink()
        assert restoring("--abort")["state"] == "aborted" and restoring.is_as_before() and not restoring.plans()
    finally:
        run("umount", "-l", program.cache)


# ---- an end that was cut off ----

def cut_off(restoring, hosts, way):
    """The first of them has ended it, and the last one's connection is lost at the word."""
    last = hosts.nodes[LAST]
    hosts.fail(LAST, die_on=way.strip("-") if way == "--finish" else "stop")
    restoring(way, code=FOUND if way == "--finish" else FAILED)
    hosts.heal()
    wait_until(lambda: not any(is_alive(hosts.pid(name)) for name in hosts.names), SECONDS, "the hosts give up")
    assert last.journal()


@pytest.mark.parametrize("way", ["--finish", "--abort"])
def test_how_far_each_host_is_is_shown_while_an_end_is_cut_off(restoring, hosts, way):
    restoring("--yes")
    cut_off(restoring, hosts, way)
    journals = hosts.journals()
    document = restoring("--plan", code=FOUND)
    assert document["state"] == "begun" and document["refusals"] == [f"an earlier restore-cluster b {way} has not ended: run sstablefs restore-cluster b --cluster Live_Test__1 {way} again"]
    assert {target["host"]: target["reached"] for target in document["targets"]} == {name: True for name in NAMES}
    assert next(target["plan"]["state"] for target in document["targets"] if target["host"] == LAST) == "begun"
    said = restoring("--plan", json=False, code=FOUND).out
    assert f"{way} of the restore of b into 3 nodes was begun, and has not ended" in said and "--yes goes on" not in said
    assert hosts.journals() == journals
    restoring(way)
    assert not hosts.journals() and not restoring.plans()


def test_a_finish_that_was_cut_off_does_not_say_that_nothing_was_removed(restoring, hosts):
    restoring("--yes")
    cut_off(restoring, hosts, "--finish")
    hosts.fail(LAST, say="ssh: connect to host 10.0.0.3 port 22: No route to host")
    said = restoring("--finish", json=False, code=FAILED).out
    assert "the same command goes on" in said and "nothing was removed" not in said and "--yes" not in said
    hosts.heal()
    assert restoring("--finish")["state"] == "finished"


def test_without_staging_a_finish_that_is_refused_names_no_way_back(restoring, hosts):
    restoring("--yes", "--no-stage")
    hosts.fail(LAST, say="ssh: connect to host 10.0.0.3 port 22: No route to host")
    said = restoring("--finish", json=False, code=FAILED).out
    assert "nothing was removed" in said and "--yes goes on with it" in said and "--abort" not in said
    hosts.heal()
    assert restoring("--finish")["state"] == "finished"


# ---- a node that has stopped since ----

def test_restored_nodes_that_have_stopped_since_are_started_again(restoring, hosts):
    """As after a reboot: the same command, and the plan says it."""
    restoring("--yes")
    for name in (FIRST, SEED):
        hosts.nodes[name].kill()
    targets = {target["host"]: target["plan"] for target in restoring("--plan")["targets"]}
    assert {name: plan["has_stopped"] for name, plan in targets.items()} == {FIRST: True, SEED: True, LAST: False}
    assert restoring("--plan", json=False).out.count("is at step check (done); Cassandra has stopped since, and --yes starts it again") == 2
    hosts.forget()
    said = restoring("--yes", json=False).out
    assert f"{FIRST}: restored as n1" in said and f"{LAST}: was restored as n3 before" in said
    assert restoring.is_restored() and hosts.happened("start") == {FIRST, SEED} and hosts.at(SEED, "started") < hosts.at(FIRST, "start")


def test_a_node_that_has_stopped_before_it_was_checked_is_started_again(restoring, hosts):
    question = ["--check-query", "SELECT id FROM shop.users", "--check-rows"]
    restoring("--yes", *question, 5, code=FAILED)
    for name in NAMES:
        hosts.nodes[name].kill()
    hosts.nodes[SEED].fail("start", first="not today")
    conditions = {node["host"]: node["condition"] for node in restoring("--yes", code=FAILED)["nodes"]}
    assert conditions[FIRST] == conditions[LAST] == "is stopped, with the backup's data in place"
    hosts.nodes[LAST].start()
    hosts.heal()
    hosts.forget()
    assert restoring("--yes", *question, 4)["state"] == "restored" and restoring.is_restored() and hosts.happened("start") == {FIRST, SEED}


# ---- what is said of how to go on ----

def test_who_is_to_end_what_was_begun_is_told_of_which_cluster(repository, restoring, hosts):
    """Backups of several clusters may have one name."""
    leave_behind(restoring, hosts)
    assert "restore-cluster b --cluster Live_Test__1 --abort or" in restoring("--yes", "--no-stage", json=False, code=USAGE).err
    last = hosts.nodes[LAST]
    repository("--config", last.configuration, "restore-node", "--abort")
    repository("delete", "b", "--node", "n3", "--force")
    repository("--config", last.configuration, "backup", "--name", "b")
    answer = restoring("--yes", json=False, code=FAILED)
    assert "made again since this restore was begun: sstablefs restore-cluster b --cluster Live_Test__1 --abort, then begin anew" in answer.err
