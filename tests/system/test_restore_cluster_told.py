# SPDX-License-Identifier: Apache-2.0
"""What restore-cluster tells of hosts whose work is not done, and how it ends where somebody wants it to. Stand-ins, as in test_restore_cluster_files.py."""

import json
import signal

import pytest

from harness import FAILED, USAGE, is_alive, wait_until
from restorehosts import states

SECONDS = 180
FIRST, SEED, LAST = NAMES = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]


def conditions(document):
    return {node["host"]: node["condition"] for node in document["nodes"]}


def gave_up(hosts):
    wait_until(lambda: not any(is_alive(hosts.pid(name)) for name in hosts.names), SECONDS, "the hosts give up")


def interrupt(running):
    """And waits until it has heard of it."""
    running.send_signal(signal.SIGINT)
    said = ""
    while "Ctrl-C once more" not in said:
        said = running.stderr.readline()
        assert said, "it ended"


# ---- what a host is like ----

@pytest.mark.parametrize("options", [[], ["--no-stage"]], ids=["staged", "not-staged"])
def test_what_a_host_is_like_is_known_from_its_journal_too(restoring, hosts, options):
    """A run that ends before it did anything there finds it as the run before left it."""
    hosts.nodes[SEED].fail("start", first="no seed today")
    restoring("--yes", *options, code=FAILED)
    hosts.heal()
    gave_up(hosts)
    hosts.fail(FIRST, die_at="fetched")
    document = restoring("--yes", *options, code=FAILED)
    assert conditions(document)[LAST] == "is stopped, with the backup's data in place" and states(document)[LAST] == "fetched"
    assert conditions(document)[SEED] == "has the backup's data in place, and may run"
    gave_up(hosts)
    hosts.heal()
    assert restoring("--yes", *options)["state"] == "restored" and restoring.is_restored()


def test_without_staging_nothing_is_said_to_be_fetched(restoring, hosts):
    hosts.nodes[FIRST].fail("stop", first="it cannot stop today")
    found = conditions(restoring("--yes", "--no-stage", "--parallel", "1", code=FAILED))
    assert found[SEED] == found[LAST] == "runs as before, and has nothing of the backup"
    assert found[FIRST] == "is between its own data, which may be removed, and the backup's, and does not start by itself"


def test_who_only_fetched_is_not_said_to_be_stopped_by_an_abort(restoring, hosts):
    hosts.fail(LAST, die_at="fetched")
    restoring("--yes", code=FAILED)
    gave_up(hosts)
    hosts.heal()
    hosts.fail(LAST, die_at="exchanged")
    assert conditions(restoring("--abort", code=FAILED))[FIRST] == "runs as before"
    gave_up(hosts)
    hosts.heal()
    assert restoring("--abort")["state"] == "aborted" and restoring.is_as_before()


# ---- a refusal ----

def test_a_refusal_names_the_hosts(restoring, hosts):
    restoring("--yes")
    document = restoring("--abort", "--without", LAST, code=USAGE)
    assert "answers" in document["error"]["message"] and document["state"] == "failed" and document["nodes_expected"] == 3
    assert states(document) == {FIRST: "ready", SEED: "ready", LAST: "left_out"}
    assert conditions(document)[FIRST] == "nothing is changed there by this run"


# ---- a signal ----

def test_a_plan_that_is_interrupted_when_all_have_said_theirs(restoring, hosts):
    hosts.fail(LAST, hold_at="end")
    running = restoring.repository.start("--json", *restoring.words("--plan"))
    wait_until(lambda: hosts.seen(LAST, "end") and {(FIRST, "end"), (SEED, "end")} <= set(hosts.events()), SECONDS, "the plans")
    interrupt(running)
    hosts.go(LAST)
    out, err = running.communicate(timeout=SECONDS)
    document = json.loads(out)
    assert running.returncode == 130 and "stopped by SIGINT" in err, err
    assert document["state"] == "planned" and set(states(document).values()) == {"planned"}


def test_a_second_interrupt_waits_for_nobody(restoring, hosts):
    hosts.hold(LAST, "stop")
    running = restoring.repository.start(*restoring.words("--yes"))
    wait_until(lambda: (LAST, "stop") in hosts.events() and (FIRST, "exchanged") in hosts.events(), SECONDS, "the stop")
    interrupt(running)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=SECONDS)
    assert running.returncode == 130 and "stopped by SIGINT" in err, err
    assert f"{LAST}: fetched: is between its own data and the backup's, and does not start by itself: its end was not waited for" in out, out
    assert f"{FIRST}: exchanged: is stopped" in out and "the same command goes on" in out
    assert is_alive(hosts.pid(LAST)), "it ends its step by itself"
    hosts.release(LAST, "stop")
    assert restoring("--yes")["state"] == "restored" and restoring.is_restored()
