# SPDX-License-Identifier: Apache-2.0
"""`restore-cluster --yes` where nodes take files as they are, and something fails: nobody is stopped in vain, nobody starts too early, it is said what each host is like, and the same command ends
it, or --abort puts all back. Stand-ins, as in test_restore_cluster_files.py."""

import json
import os
import signal

import pytest

from harness import ABSENT, DONE, FAILED, FOUND, USAGE, is_alive, run, wait_until
from host import Host
from restorehosts import OtherHosts, RestoreHosts, Restoring, states

SECONDS = 180
FIRST, SEED, LAST = NAMES = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
CLUSTER_NAME = "Live_Test__1"
OTHERS = ["10.1.0.1", "10.1.0.2", "10.1.0.3"]
STRANGER = "77e0ad09-2b0c-4f2e-9f31-6d9a3a1c5b11"
REFUSED = "backup@10.0.0.3: Permission denied (publickey,password)."


def node(document, host):
    return next(node for node in document["nodes"] if node["host"] == host)


def sessions_ended(hosts):
    """Of the hosts that are led, nobody runs any more."""
    return not any(is_alive(hosts.pid(name)) for name in hosts.names)


# ---- before anything is begun ----

def change(host, **values):
    host.node.update(values)
    host.save()


BEFORE = {
    "password": (lambda hosts: hosts.fail(LAST, say=REFUSED), ["Permission denied", "nobody is asked for a password"]),
    "unreachable": (lambda hosts: hosts.fail(LAST, say="ssh: connect to host 10.0.0.3 port 22: No route to host"), ["No route to host"]),
    "wrong rack": (lambda hosts: change(hosts.nodes[LAST], rack="r1"), ["in rack r3 and this one in r1"]),
    "other tokens": (lambda hosts: change(hosts.nodes[LAST], tokens=["5", "6"]), ["other tokens than the backup"]),
    "pre-flight": (lambda hosts: hosts.nodes[LAST].write_yaml(cluster_name="'Another'"), ["cluster_name"]),
    "another node": (lambda hosts: change(hosts.nodes[LAST], host_id=STRANGER, status=[f"UN  {LAST}  1 KiB  2  100.0%  {STRANGER}  r3"]),
                     ["host id " + STRANGER]),
    "older Cassandra": (lambda hosts: change(hosts.nodes[LAST], version="4.1.10"), ["does not read newer data"]),
}


@pytest.mark.parametrize("fault", BEFORE)
def test_what_is_wrong_with_one_host_keeps_all_from_beginning(restoring, hosts, fault):
    spoil, words = BEFORE[fault]
    node = hosts.nodes[LAST]
    had = node.yaml.read_text(), dict(node.node)
    spoil(hosts)
    restoring.refused(words=[f"{LAST}: ", *words])
    assert not hosts.happened(">fetch")
    hosts.heal()
    node.yaml.write_text(had[0])
    change(node, **had[1])
    restoring("--yes")
    assert restoring.is_restored()


def test_a_host_of_another_repository_is_refused(restoring, hosts, program):
    """It has a backup of that name, of that node."""
    other = program.repository().init()
    last = hosts.nodes[LAST]
    other("--config", last.configuration, "backup", "--name", "b")
    restoring.spoilt = hosts.contents()
    hosts.environments[LAST]["SSTABLEFS_REPOSITORY"] = str(other.url)
    for name in (FIRST, SEED):
        hosts.environments[name]["SSTABLEFS_REPOSITORY"] = str(restoring.repository.url)
    hosts.save()
    answer = program("--config", hosts.configuration, "restore-cluster", "b", "--yes", code=USAGE,
                     environment={"SSTABLEFS_REPOSITORY": str(restoring.repository.url)})
    assert f"{LAST}: it is configured for another repository" in answer.err
    assert restoring.is_as_before() and not restoring.plans()


@pytest.mark.parametrize("racks, tokens, words", [("112", 2, ["in one rack, n1 and n2 were in two"]), ("123", 3, ["has 3 tokens"])])
def test_another_cluster_of_a_list_is_looked_at_before_anything_is_begun(program, repository, hosts, racks, tokens, words):
    """A list says neither racks nor tokens: the hosts do."""
    with OtherHosts(program, OTHERS, racks=racks) as others:
        if tokens != 2:
            change(others.nodes[OTHERS[2]], tokens=["1", "2", "3"])
        restoring = Restoring(repository, hosts).into(others)
        path = program.directory / "list"
        path.write_text("".join(f"false,{name},n{number}\n" for number, name in enumerate(OTHERS, 1)))
        restoring.refused("--host-list", path, words=words, code=USAGE)


def test_one_node_under_two_names_is_refused(program, repository, hosts):
    with OtherHosts(program, OTHERS) as others:
        restoring = Restoring(repository, hosts).into(others)
        again = f"root@{OTHERS[0]}"
        others.environments[again] = others.environments[OTHERS[0]]
        others.save()
        path = program.directory / "list"
        path.write_text(f"true,{OTHERS[0]},n1\nfalse,{again},n2\nfalse,{OTHERS[2]},n3\n")
        restoring.refused("--host-list", path, words=["are one node"], code=USAGE)


def write_pairs(program, hosts):
    """A list in which each host takes the node of its place."""
    path = program.directory / "list"
    path.write_text("".join(f"false,{name},n{number}\n" for number, name in enumerate(hosts, 1)))
    return path


@pytest.mark.parametrize("runs", [True, False], ids=["runs", "stopped"])
def test_a_host_of_another_cluster_keeps_all_from_beginning(program, repository, hosts, runs):
    """A name that was mistaken: its data centre and number of tokens are those that they should be."""
    with OtherHosts(program, OTHERS) as others:
        stranger = others.nodes[OTHERS[2]]
        stranger.write_yaml(cluster_name="'Production'")
        if not runs:
            stranger.kill()
        restoring = Restoring(repository, hosts).into(others)
        answer = restoring("--yes", "--host-list", write_pairs(program, OTHERS), json=False, code=USAGE)
        assert f"{OTHERS[0]} and {OTHERS[2]} belong to two clusters" in answer.err and "'Live Test #1' and 'Production'" in answer.err
        assert others.contents() == restoring.spoilt and not others.journals() and not restoring.plans() and not others.happened(">fetch")


@pytest.mark.parametrize("many", [1, 3], ids=["one", "all"])
def test_a_node_of_the_backup_is_none_of_another_cluster(program, repository, hosts, many):
    with OtherHosts(program, OTHERS) as others:
        restoring = Restoring(repository, hosts).into(others)
        others.environments.update(hosts.environments)
        others.save()
        before = hosts.contents()
        answer = restoring.refused("--host-list", write_pairs(program, NAMES[:many] + OTHERS[many:]), code=USAGE)
        for number in range(many):
            assert f"{NAMES[number]}: it is node n{number + 1} of the backup itself, host id {hosts.nodes[NAMES[number]].node['host_id']}" in answer.err
        assert hosts.contents() == before and hosts.running() == NAMES


def test_nodes_of_a_backup_do_not_become_each_other(program, restoring):
    """A saved plan in which somebody exchanged two sources."""
    plan = restoring("--plan")
    first, second = plan["targets"][:2]
    first["source"], second["source"] = second["source"], first["source"]
    path = program.directory / "plan.json"
    path.write_text(json.dumps(plan))
    restoring.refused("--plan-file", path, words=[f"{SEED} is node n2 of the backup itself, and would become n1"], code=USAGE)


def test_a_host_of_another_cluster_is_the_one_that_was_asked_about(program, repository, hosts):
    """The address of a node of the cluster may lead to another machine than this one believes."""
    with OtherHosts(program, OTHERS) as others:
        restoring = Restoring(repository, hosts).into(others)
        change(others.nodes[OTHERS[2]], host_id=STRANGER, status=[f"UN  {OTHERS[2]}  1 KiB  2  100.0%  {STRANGER}  r3"])
        restoring.refused(words=[f"{OTHERS[2]}: the node there has host id {STRANGER}, and the one that was to be restored there"])


def alone(restoring, node, *arguments):
    """restore-node on one host, by hand."""
    return restoring.repository("--config", node.configuration, "restore-node", *arguments)


def begin_and_take_back_one(restoring, target, *arguments):
    """All have fetched, and the last was aborted by hand."""
    last = target.names[-1]
    target.fail(last, die_at="fetched")
    restoring("--yes", *arguments, code=FAILED)
    target.heal()
    wait_until(lambda: sessions_ended(target), SECONDS, "the host gives up")
    alone(restoring, target.nodes[last], "--abort")


def test_what_was_begun_goes_on_with_the_same_host(program, repository, hosts):
    """Of a list, too: who the hosts are is known since they were asked."""
    with OtherHosts(program, OTHERS) as others:
        restoring = Restoring(repository, hosts).into(others)
        last, path = others.nodes[OTHERS[2]], write_pairs(program, OTHERS)
        begin_and_take_back_one(restoring, others, "--host-list", path)
        had = dict(last.node)
        change(last, host_id=STRANGER, status=[f"UN  {OTHERS[2]}  1 KiB  2  100.0%  {STRANGER}  r3"])
        answer = restoring("--yes", "--host-list", path, json=False, code=FAILED)
        assert f"{OTHERS[2]}: the node there has host id {STRANGER}" in answer.err and had["host_id"] in answer.err
        assert not last.journal() and not others.happened("stop")
        change(last, **had)
        assert restoring("--yes", "--host-list", path)["state"] == "restored"


def test_a_backup_that_misses_a_node_is_refused_also_with_partial(restoring, hosts, program):
    restoring.repository("delete", "b", "--node", "n3", "--force")
    path = program.directory / "list"
    path.write_text(f"true,{FIRST},n1\nfalse,{SEED},n2\n")
    restoring.refused("--host-list", path, words=[LAST, "--partial"])
    restoring.refused("--host-list", path, "--partial", words=[LAST, "--load"])


# ---- while they fetch ----

def test_a_disk_that_is_full_on_one_host_stops_nobody(program, repository):
    with RestoreHosts(program) as hosts:
        restoring = Restoring(repository, hosts)
        disk = hosts.nodes[LAST].data[0]
        node = hosts.nodes[LAST]
        node.kill()
        run("cp", "-a", disk, f"{disk}.kept")
        run("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk)
        try:
            run("cp", "-a", f"{disk}.kept/.", disk)
            node.start()
            hosts.forget()
            hosts.fail(SEED, hold_at="ready")
            running = restoring.begin()
            wait_until(lambda: hosts.seen(SEED, "ready") and (LAST, "ready") in hosts.events(), SECONDS, "they are ready")
            filler = disk / "system/filler"
            with open(filler, "wb", buffering=0) as file, pytest.raises(OSError):
                while True:
                    file.write(bytes(4096))
            os.truncate(filler, filler.stat().st_size - 3 * 4096)  # enough for a journal
            hosts.go(SEED)
            out, err = running.communicate(timeout=SECONDS)
            assert running.returncode == FAILED and f"{LAST}: fetching" in err and "no space left" in err, err
            assert hosts.running() == NAMES and not hosts.happened("stop")
            assert set(hosts.journals()) == set(NAMES)
            filler.unlink()
            hosts.heal()
            assert restoring("--yes")["state"] == "restored" and restoring.is_restored()
            assert restoring("--abort")["state"] == "aborted"
        finally:
            node.kill()
            run("umount", "-l", disk)


def test_a_disk_that_has_no_room_is_seen_before(program, repository):
    with RestoreHosts(program, size=300000) as hosts:
        restoring = Restoring(repository, hosts)
        disk = hosts.nodes[LAST].data[0]
        hosts.nodes[LAST].kill()
        run("mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", disk)
        try:
            answer = restoring("--yes", "--host-list", write_list(program), "--in-place", json=False, code=FAILED)
            assert f"{LAST}: nothing was done" in answer.err and "room" in answer.err + answer.out or "free" in answer.err
            assert not hosts.journals() and not restoring.plans()
        finally:
            run("umount", "-l", disk)


def write_list(program):
    path = program.directory / "list"
    path.write_text("".join(f"{name == SEED},{name},n{number}\n" for number, name in enumerate(NAMES, 1)))
    return path


def test_a_connection_that_is_lost_while_others_fetch(restoring, hosts):
    hosts.fail(LAST, die_at="fetched")
    document = restoring("--yes", code=FAILED)
    assert states(document) == {FIRST: "fetched", SEED: "fetched", LAST: "failed"}
    assert "runs as before" in node(document, FIRST)["condition"] and "the connection was lost" in node(document, LAST)["message"]
    assert hosts.running() == NAMES and not hosts.happened("stop")
    assert "before" in restoring("--yes", json=False, code=FAILED).out
    hosts.heal()
    wait_until(lambda: sessions_ended(hosts), SECONDS, "the host gives up")
    assert restoring("--yes")["state"] == "restored" and restoring.is_restored()


def test_what_was_fetched_can_be_thrown_away(restoring, hosts):
    hosts.fail(LAST, die_at="fetched")
    restoring("--yes", code=FAILED)
    hosts.heal()
    wait_until(lambda: sessions_ended(hosts), SECONDS, "the host gives up")
    assert restoring("--abort")["state"] == "aborted"
    assert restoring.is_as_before() and not restoring.plans() and not hosts.happened("stop")


# ---- while they stop ----

@pytest.mark.parametrize("back", [False, True], ids=["on", "back"])
def test_one_that_does_not_stop_keeps_all_from_starting(restoring, hosts, back):
    hosts.nodes[LAST].fail("stop", first="it cannot stop today")
    answer = restoring("--yes", json=False, code=FAILED)
    assert f"{FIRST}: exchanged: is stopped, with the backup's data in place" in answer.out
    assert f"{LAST}: failed: is between" in answer.out and "restore-cluster b --cluster Live_Test__1 --abort" in answer.out
    assert f"{LAST}: stopping Cassandra" in answer.err
    assert not hosts.happened("start") and hosts.running() == [LAST]
    hosts.heal()
    if back:
        assert restoring("--abort")["state"] == "aborted" and restoring.is_as_before() and not restoring.plans()
    else:
        assert restoring("--yes")["state"] == "restored" and restoring.is_restored()
    assert hosts.at(SEED, "start") < hosts.at(FIRST, "start")


def test_without_staging_nobody_more_is_stopped_than_must_be(restoring, hosts):
    hosts.nodes[FIRST].fail("stop", first="it cannot stop today")
    options = ["--no-stage", "--parallel", "1"]
    document = restoring("--yes", *options, code=FAILED)
    assert states(document) == {FIRST: "failed", SEED: "fetched", LAST: "fetched"}
    assert hosts.happened("stop") == {FIRST} and hosts.running() == NAMES
    # Its data were not removed yet, so all can go back; later nobody can.
    assert restoring("--abort")["state"] == "aborted" and restoring.is_as_before()
    hosts.heal()
    hosts.nodes[SEED].fail("start", first="no seed today")
    answer = restoring("--yes", *options, json=False, code=FAILED)
    assert "there is no way back" in answer.out
    assert "there is no way back" in restoring("--abort", json=False, code=FAILED).err and hosts.running() == []
    hosts.heal()
    assert restoring("--yes", *options)["state"] == "restored" and restoring.is_restored()


def test_without_staging_those_that_are_restored_keep_what_was_written_since(restoring, hosts):
    """There is no way back from a second removal."""
    hosts.nodes[FIRST].fail("start", first="not today")
    document = restoring("--yes", "--no-stage", code=FOUND)
    assert states(document) == {FIRST: "failed", SEED: "restored", LAST: "restored"}
    hosts.heal()
    written = next(path for path in hosts.nodes[SEED].data[0].rglob("*-Data.db") if "shop" in str(path)).with_name("nb-99-big-Data.db")
    written.write_bytes(b"written since")
    hosts.forget()
    assert restoring("--yes", "--no-stage")["state"] == "restored"
    assert written.read_bytes() == b"written since" and hosts.happened("stop") <= {FIRST}
    written.unlink()
    assert restoring.is_restored() and len(hosts.journals()) == 3
    assert restoring("--finish")["state"] == "finished" and not hosts.journals() and not restoring.plans()


# ---- while they start ----

def test_without_a_seed_nobody_starts(restoring, hosts):
    hosts.nodes[SEED].fail("start", first="no seed today")
    document = restoring("--yes", code=FAILED)
    assert states(document) == {FIRST: "exchanged", SEED: "failed", LAST: "exchanged"}
    assert hosts.happened("start") == {SEED} and hosts.running() == []
    hosts.heal()
    assert restoring("--yes")["state"] == "restored" and restoring.is_restored()


def test_one_that_does_not_start_leaves_the_others_to_run(restoring, hosts):
    hosts.nodes[FIRST].fail("start", first="not today")
    document = restoring("--yes", code=FOUND)
    assert document["state"] == "incomplete" and states(document) == {FIRST: "failed", SEED: "restored", LAST: "restored"}
    assert "not today" in node(document, FIRST)["message"] or "start" in node(document, FIRST)["message"]
    assert hosts.running() == [SEED, LAST]
    answer = restoring("--finish", json=False, code=FAILED)
    assert "is not done" in answer.err and "--yes goes on with it" in answer.out and "run restore-node" not in answer.out + answer.err
    assert len(hosts.journals()) == 3, "nobody can go back alone, and nobody is finished alone"
    hosts.heal()
    hosts.forget()
    assert restoring("--yes")["state"] == "restored" and restoring.is_restored()
    assert hosts.happened("start") == {FIRST} and not hosts.happened("stop")


def test_rows_are_asked_for_when_all_run_and_a_wrong_number_is_named(restoring, hosts):
    question = ["--check-query", "SELECT id FROM shop.users", "--check-rows", 4]
    hosts.nodes[FIRST].fail("start", first="not today")
    assert states(restoring("--yes", *question, code=FAILED)) == {FIRST: "failed", SEED: "started", LAST: "started"}
    hosts.heal()
    change(hosts.nodes[LAST], rows=3)
    document = restoring("--yes", *question, code=FOUND)
    assert states(document) == {FIRST: "restored", SEED: "restored", LAST: "failed"}
    assert "gave 3 rows, not 4" in node(document, LAST)["message"]
    change(hosts.nodes[LAST], rows=4)
    assert restoring("--yes", *question)["state"] == "restored"


@pytest.mark.parametrize("back", [False, True], ids=["again", "abort"])
def test_a_password_of_the_backups_time_leaves_all_to_run(program, repository, hosts, back):
    """Also where a seed that is alone cannot read its roles."""
    passwords = {name: node.password() for name, node in hosts.nodes.items()}
    for name, node in hosts.nodes.items():
        node.log_in_with(passwords[name])
    restoring = Restoring(repository, hosts)
    for name, node in hosts.nodes.items():
        node.log_in_with(node.password())
    change(hosts.nodes[SEED], needs=str(hosts.nodes[LAST].state / "pid"))
    document = restoring("--yes", "--wait", 30, code=FAILED)
    assert states(document) == dict.fromkeys(NAMES, "failed") and hosts.running() == NAMES
    assert all("refuses the login" in node["message"] for node in document["nodes"])
    if back:
        assert restoring("--abort")["state"] == "aborted" and restoring.is_as_before()
        return
    for name, node in hosts.nodes.items():
        node.log_in_with(passwords[name])
    hosts.forget()
    assert restoring("--yes")["state"] == "restored" and restoring.is_restored()
    assert not hosts.happened("start") and not hosts.happened("stop")


# ---- who leads is killed, or one of those who are led ----

@pytest.mark.parametrize("event, stopped", [("ready", False), ("fetched", False), ("exchanged", True), ("started", True)])
def test_a_coordinator_that_is_killed_at_a_barrier(restoring, hosts, event, stopped):
    hosts.fail(LAST, hold_at=event)
    running = restoring.begin()
    wait_until(lambda: hosts.seen(LAST, event), SECONDS, event)
    running.kill()
    running.communicate()
    hosts.go(LAST)
    wait_until(lambda: sessions_ended(hosts), SECONDS, "the hosts give up")
    started = hosts.happened("start")
    assert hosts.happened("stop") == (set(NAMES) if stopped else set())
    assert bool(started) == (event == "started")
    if event == "ready":
        assert restoring.is_as_before() and not any(path.joinpath("plan.json").exists() for path in restoring.plans())
    hosts.heal()
    assert restoring("--yes")["state"] == "restored" and restoring.is_restored()
    assert hosts.at(SEED, "start") < hosts.at(LAST, "start", last=True)
    assert restoring("--finish")["state"] == "finished" and not restoring.plans()


@pytest.mark.parametrize("back", [False, True], ids=["on", "back"])
def test_a_coordinator_that_is_killed_while_a_node_stops(restoring, hosts, back):
    """The node ends its exchange, and waits; the next run waits for it."""
    hosts.hold(LAST, "stop")
    running = restoring.begin()
    wait_until(lambda: (LAST, "stop") in hosts.events() and (FIRST, "exchanged") in hosts.events(), SECONDS, "the stop")
    running.kill()
    running.communicate()
    again = restoring.repository.start("--json", *restoring.words("--abort" if back else "--yes"))
    wait_until(lambda: hosts.events().count((FIRST, "ready")) == 2, SECONDS, "the next run")
    assert hosts.events().count((LAST, "ready")) == 1
    hosts.release(LAST, "stop")
    assert again.wait(SECONDS) == DONE, again.communicate()
    assert restoring.is_as_before() if back else restoring.is_restored()


def test_a_coordinator_that_is_killed_while_it_aborts(restoring, hosts):
    restoring("--yes")
    hosts.forget()
    hosts.fail(LAST, hold_at="exchanged")
    running = restoring.repository.start("--json", *restoring.words("--abort"))
    wait_until(lambda: hosts.seen(LAST, "exchanged"), SECONDS, "they are stopped")
    running.kill()
    running.communicate()
    hosts.go(LAST)
    wait_until(lambda: sessions_ended(hosts), SECONDS, "the hosts give up")
    assert hosts.running() == [] and len(hosts.journals()) == 3
    for other in ("--yes", "--finish"):
        assert "restore-cluster b --cluster Live_Test__1 --abort again" in restoring(other, json=False, code=FAILED).err
    hosts.heal()
    assert restoring("--abort")["state"] == "aborted" and restoring.is_as_before()


def test_what_runs_on_a_host_is_killed(restoring, hosts):
    hosts.hold(LAST, "stop")
    running = restoring.begin()
    wait_until(lambda: (LAST, "stop") in hosts.events(), SECONDS, "the stop")
    os.killpg(hosts.pid(LAST), signal.SIGKILL)
    out, err = running.communicate(timeout=SECONDS)
    assert running.returncode == FAILED and LAST in err
    assert not hosts.happened("start")
    hosts.release(LAST, "stop")
    assert restoring("--yes")["state"] == "restored" and restoring.is_restored()


def test_an_interrupted_run_ends_what_is_begun_on_the_nodes(restoring, hosts):
    hosts.hold(LAST, "stop")
    running = restoring.begin()
    wait_until(lambda: (LAST, "stop") in hosts.events(), SECONDS, "the stop")
    running.send_signal(signal.SIGINT)
    hosts.release(LAST, "stop")
    out, err = running.communicate(timeout=SECONDS)
    assert running.returncode == 130 and "stopped by SIGINT" in err
    assert '"exchanged"' in out and hosts.running() == [] and not hosts.happened("start")
    assert {journal["step"] for journal in hosts.journals().values()} == {"in"}
    assert restoring("--yes")["state"] == "restored" and restoring.is_restored()


def test_one_coordinator_at_a_time(restoring, hosts):
    hosts.fail(LAST, hold_at="fetched")
    running = restoring.begin()
    wait_until(lambda: hosts.seen(LAST, "fetched"), SECONDS, "it is at work")
    assert "another restore-cluster is at work on backup b" in restoring("--yes", json=False, code=FAILED).err
    hosts.go(LAST)
    assert running.wait(SECONDS) == DONE and restoring.is_restored()


# ---- the way back ----

def test_nobody_goes_back_where_one_cannot(restoring, hosts):
    restoring("--yes")
    hosts.forget()
    hosts.fail(LAST, say=REFUSED)
    document = restoring("--abort", code=FAILED)
    assert states(document) == {FIRST: "ready", SEED: "ready", LAST: "failed"} and restoring.is_restored()
    hosts.heal()
    # One was finished by hand: it has no other data any more, and is not to be restored once more either.
    by_hand = lambda name: restoring.repository("--config", hosts.nodes[name].configuration, "restore-node", "--finish")  # noqa: E731
    by_hand(LAST)
    hosts.forget()
    for word in ("--abort", "--yes", "--finish"):
        answer = restoring(word, json=False, code=FAILED)
        assert f"there is no restore on {LAST} any more" in answer.err, answer.err
    assert restoring.is_restored() and not hosts.happened("stop") and len(hosts.journals()) == 2
    by_hand(FIRST)
    by_hand(SEED)
    assert restoring("--finish")["state"] == "finished" and not restoring.plans()


def test_a_data_disk_that_is_not_there_is_no_restore_that_is_over(restoring, hosts):
    restoring("--yes")
    data = hosts.nodes[LAST].data[0]
    data.rename(data.with_name("elsewhere"))
    document = restoring("--finish", code=ABSENT)
    assert states(document)[LAST] == "failed" and "is not there" in node(document, LAST)["message"]
    data.with_name("elsewhere").rename(data)
    assert len(hosts.journals()) == 3


def of_another_node(program, restoring, others):
    alone(restoring, others.nodes[OTHERS[2]], "b", "--cluster", CLUSTER_NAME, "--node", "n1", "--remote", "--yes")
    return f"backup b of {CLUSTER_NAME}/n1 is being restored there (restore-node), not that of {CLUSTER_NAME}/n3"


def of_another_cluster(program, restoring, others):
    """Of the same name, and of a node of the same name."""
    foreign = Host(program, "foreign", host_id=STRANGER)
    foreign.node.update(cluster="Foreign", tokens=["7", "8"], rack="r3", status=[f"UN  10.0.0.1  1 KiB  2  100.0%  {STRANGER}  r3"])
    foreign.save()
    foreign.write_yaml(cluster_name="Foreign")
    foreign.configure(node="n3")
    foreign.fill()
    foreign.start()
    restoring.repository("--config", foreign.configuration, "backup", "--name", "b")
    foreign.kill()
    alone(restoring, others.nodes[OTHERS[2]], "b", "--cluster", "Foreign", "--node", "n3", "--remote", "--yes")
    return "backup b of Foreign/n3 is being restored there"


@pytest.mark.parametrize("begin", [of_another_node, of_another_cluster])
@pytest.mark.parametrize("way", ["--abort", "--finish"])
def test_what_another_one_began_on_a_host_is_neither_aborted_nor_finished(program, repository, hosts, begin, way):
    with OtherHosts(program, OTHERS) as others:
        restoring = Restoring(repository, hosts).into(others)
        restoring("--yes", "--host-list", write_pairs(program, OTHERS))
        alone(restoring, others.nodes[OTHERS[2]], "--abort")
        words = begin(program, restoring, others)
        named = [way, "--cluster", CLUSTER_NAME]
        answer = restoring(*named, json=False, code=FAILED)
        assert f"{OTHERS[2]}: {words}" in answer.err, answer.err
        assert len(others.journals()) == 3 and others.running() == OTHERS and restoring.plans()
        for other in others.nodes.values():
            alone(restoring, other, way)
        assert restoring(*named)["state"] == ("aborted" if way == "--abort" else "finished") and not restoring.plans()


def test_a_backup_that_was_made_again_is_not_mixed_with_the_one_of_before(restoring, hosts):
    begin_and_take_back_one(restoring, hosts)
    last = hosts.nodes[LAST]
    restoring.repository("delete", "b", "--node", "n3", "--force")
    restoring.repository("--config", last.configuration, "backup", "--name", "b")
    restoring.spoilt[LAST] = last.content()  # snapshots leave directories
    answer = restoring("--yes", json=False, code=FAILED)
    assert f"{LAST}: backup b of n3 was made again since this restore was begun" in answer.err
    assert not last.journal() and not hosts.happened("stop")
    alone(restoring, last, "b", "--in-place", "--yes")
    answer = restoring("--abort", json=False, code=FAILED)
    assert f"{LAST}: another backup of the name b is being restored there" in answer.err
    alone(restoring, last, "--abort")
    assert restoring("--abort")["state"] == "aborted" and restoring.is_as_before() and not restoring.plans()


# ---- a side of a node, alone ----

def test_a_coordinated_restore_is_no_command_for_people(restoring, hosts):
    words = ["--config", hosts.nodes[FIRST].configuration, "restore-node", "b", "--in-place", "--coordinated"]
    assert "--only does not go with it" in restoring.repository(*words[:-2], "--only", "shop", "--yes", "--coordinated", code=USAGE).err
    answer = restoring.repository(*words, "--yes", code=129)
    assert "the coordinator hung up" in answer.err and restoring.is_as_before()
