# SPDX-License-Identifier: Apache-2.0
"""The hooks of restore-node and restore-cluster, and the query of [checks]; on stand-ins."""

import os
from pathlib import Path

import pytest

from harness import DONE, FAILED, FOUND, USAGE, wait_until
from host import Host, files, refused
from restorehosts import RestoreHosts, Restoring
from test_cluster_load import done, load, target  # noqa: F401
from test_priority import nice_of
from test_restore_cluster import hosts, plan  # noqa: F401

PHASES = ("fetch", "exchange", "check", "load")


class Hooks:
    def __init__(self, configuration, directory):
        self.configuration, self.log, self.directory = configuration, directory / "hooks.log", directory
        self.text = configuration.read_text()
        self.last = {}
        self.write()

    def write(self, more=""):
        lines = []
        for when in ("before", "after"):
            for phase in PHASES:
                path = self.directory / f"{when}_{phase}"
                path.write_text(f"#!/bin/sh\necho \"$SSTABLEFS_WHEN $SSTABLEFS_PHASE $SSTABLEFS_RESULT $SSTABLEFS_NODE $SSTABLEFS_BACKUP\" >>{self.log}\n"
                                f"{self.last.get(path.name, 'exit 0')}\n")
                path.chmod(0o755)
                lines.append(f"{path.name} = {path}\n")
        self.configuration.write_text(self.text + "[hooks]\n" + "".join(lines) + more)

    def fail(self, name):
        self.last = {name: f"echo {name} says no >&2; exit 3"} if name else {}
        self.write()

    def ran(self):
        """When, which phase, with what result; and forgets it."""
        lines = [tuple(line.split()) for line in self.log.read_text().splitlines()] if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines


@pytest.fixture
def host(program):
    host = Host(program).fill().start()
    yield host
    host.kill()


@pytest.fixture
def stored(repository, host):
    repository("--config", host.configuration, "backup", "--name", "b")
    repository.before = {path: data for path, data in host.content().items() if path.startswith("data")}
    host.spoil()
    repository.spoilt = host.content()
    host.calls()
    return repository


@pytest.fixture
def hooks(host, program):
    return Hooks(host.configuration, program.directory)


def restore(repository, host, *arguments, **keywords):
    return repository("--config", host.configuration, "restore-node", "b", *(arguments or ("--in-place",)), "--yes", **keywords)


def test_each_phase_of_a_restored_node_has_its_hooks(stored, host, hooks):
    restore(stored, host)
    assert hooks.ran() == [(when, phase, *result, "n1", "b") for phase in ("fetch", "exchange", "check") for when, result in (("before", ()), ("after", ("ok",)))]
    stored.program("--config", host.configuration, "restore-node", "--abort")
    assert hooks.ran() == []


def test_without_a_stage_nothing_is_fetched_before(stored, host, hooks):
    restore(stored, host, "--in-place", "--no-stage")
    assert [line[:2] for line in hooks.ran()] == [(when, phase) for phase in ("exchange", "check") for when in ("before", "after")]


def test_tables_that_are_added_are_a_load(stored, host, hooks):
    restore(stored, host, "--only", "shop")
    assert [line[:2] for line in hooks.ran()] == [(when, phase) for phase in ("fetch", "load") for when in ("before", "after")]


@pytest.mark.parametrize("phase", ["fetch", "exchange", "check"])
def test_a_hook_before_a_phase_that_fails_stops_there_and_the_same_command_goes_on(stored, host, hooks, phase):
    hooks.fail(f"before_{phase}")
    where = f"before the {phase}, of which nothing is done: the node has its own data" if phase == "exchange" else f"before the {phase} (run"
    refused(restore(stored, host, code=FAILED), f"the hook before_{phase}", f"before_{phase} says no", where, "run the same command again to go on")
    assert hooks.ran()[-1][:2] == ("before", phase)
    assert host.running and (phase == "check" or files(host.content()) == files(stored.spoilt))
    hooks.fail(None)
    restore(stored, host)
    assert hooks.ran()[0][:2] == ("before", phase)
    assert files(host.content()) == files(stored.before)


@pytest.mark.parametrize("phase", ["fetch", "exchange"])
def test_a_hook_after_a_phase_that_fails_stops_behind_it(stored, host, hooks, phase):
    hooks.fail(f"after_{phase}")
    refused(restore(stored, host, code=FAILED), f"after the {phase} (run the same command again to go on", f"the hook after_{phase}")
    assert host.running
    restore(stored, host)
    assert hooks.ran()[-1][:2] == ("after", "check") and files(host.content()) == files(stored.before)


def test_a_hook_that_fails_in_the_middle_of_an_exchange_says_so_and_the_same_command_goes_on(stored, host, hooks):
    host.fail("stop", first="not yet")
    restore(stored, host, code=FAILED)
    host.heal()
    (host.old(host.data[1]) / "ks2").mkdir()
    refused(restore(stored, host, code=FAILED), "ks2", "cannot be moved")
    hooks.fail("before_exchange")
    refused(restore(stored, host, code=FAILED), "before the exchange (run the same command again to go on", "before_exchange says no")
    hooks.fail(None)
    (host.old(host.data[1]) / "ks2").rmdir()
    restore(stored, host)
    assert files(host.content()) == files(stored.before) and host.running


def test_a_hook_after_the_last_phase_that_fails_is_told(stored, host, hooks):
    hooks.fail("after_check")
    assert "the restore is done, but the hook after_check" in restore(stored, host, code=FOUND).err
    assert files(host.content()) == files(stored.before)
    restore(stored, host, code=DONE)


def test_the_hook_after_a_phase_that_failed_is_told_so(stored, host, hooks):
    host.fail("stop", first="no")
    restore(stored, host, code=FAILED)
    assert hooks.ran()[-1] == ("after", "exchange", "failed", "n1", "b")


@pytest.mark.parametrize("line, words", [("after_check = /nowhere/x\n", "after_check = /nowhere/x cannot be run"), ("timeout = x\n", "[hooks] timeout 'x'"),
                                         ("after_exchange = /tmp\n", "after_exchange = /tmp cannot be run: it is no executable file")])
def test_hooks_that_cannot_be_run_are_refused_before_anything(stored, host, hooks, line, words):
    hooks.write(line)
    refused(restore(stored, host, code=USAGE), words)
    assert host.calls() == [] and hooks.ran() == [] and host.journal() is None


def test_a_load_into_a_cluster_has_its_hooks(load, target, program):  # noqa: F811
    hooks = Hooks(target.configuration, program.directory)
    hooks.fail("before_load")
    load(code=FAILED)
    assert [line[:2] for line in hooks.ran()] == [("before", "load")] and target.statements() == [] and target.loads() == []
    hooks.fail("after_load")
    assert "all is loaded, but the hook after_load" in load(code=FOUND, json=False).err
    assert [line[:3] for line in hooks.ran()] == [("before", "load", "b"), ("after", "load", "ok")] and done(target.loads())
    hooks.write("before_load = /tmp\n")
    refused(load("--restart", code=USAGE, json=False), "before_load = /tmp cannot be run")
    assert target.loads() == []


@pytest.fixture
def fleet(program):
    with RestoreHosts(program) as fleet:
        yield fleet


def test_a_cluster_that_is_led_over_ssh_has_the_hooks_and_the_query_of_each_node(repository, fleet):
    restoring = Restoring(repository, fleet)
    nodes = {name: fleet.nodes[name] for name in fleet.names}
    hooks = {name: Hooks(node.configuration, node.directory) for name, node in nodes.items()}
    last = fleet.names[2]
    hooks[last].fail("before_exchange")
    document = restoring("--yes", code=FAILED)
    assert "before_exchange says no" in document["error"]["message"]
    assert nodes[last].running and [line[:2] for line in hooks[last].ran()][-1] == ("before", "exchange")
    hooks[last].fail(None)
    configure_checks(nodes[last], query=QUERY, expected_rows=5)
    document = restoring("--yes", code=FOUND)
    assert "gave 4 rows, not 5" in document["nodes"][2]["message"]
    configure_checks(nodes[last], query=QUERY, expected_rows=4)
    restoring("--yes", "--check-query", QUERY, "--check-result", 1)
    assert restoring.is_restored()
    assert [line[:2] for line in hooks[last].ran()][-1] == ("after", "check")


# ---- [restore] ----

def test_loaders_have_the_throttle_and_the_priority_of_the_configuration(load, target):  # noqa: F811
    loader = target.state / "sstableloader"
    loader.rename(target.state / "real")
    loader.write_text(f"#!/bin/sh\nnice >>{target.state}/nice\nexec {target.state}/real \"$@\"\n")
    loader.chmod(0o755)
    with open(target.configuration, "a") as file:
        file.write("[restore]\nnice = 9\nlimit_rate = 6M\n")
    load()
    assert {int(line) for line in (target.state / "nice").read_text().split()} == {max(9, nice_of(os.getpid()))}
    assert all(one["words"][-3:-1] == ["--entire-sstable-throttle-mib", "3"] for one in target.loads())


def test_a_fetch_steps_back_and_cassandra_does_not(stored, host):
    with open(host.configuration, "a") as file:
        file.write("[restore]\nnice = 9\nlimit_rate = 16K\n")
    own = nice_of(os.getpid())
    process = stored.start("--config", host.configuration, "restore-node", "b", "--in-place", "--yes")
    wait_until(lambda: {nice_of_thread(path) for path in Path(f"/proc/{process.pid}/task").glob("*")} == {own, max(own, 9)}, 30, "threads of two priorities")
    assert process.wait(60) == 0
    process.communicate()
    assert nice_of((host.state / "pid").read_text()) == own


def nice_of_thread(path):
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[16])
    except OSError:  # it ended
        return None


# ---- [checks] ----

def configure_checks(host, **keys):
    host.configuration.write_text(host.configuration.read_text().split("[checks]")[0] + "[checks]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items()))


QUERY = "SELECT id FROM shop.users"


@pytest.mark.parametrize("keys, words", [({"expected_rows": 5}, "gave 4 rows, not 5"), ({"expected_result": 2}, 'gave "1", not "2"'), ({"expected_result": "1,1"}, "not"),
                                         ({"expected_rows": 4, "expected_result": 1}, None), ({"expected_result": " 1 "}, None)])
def test_a_restored_node_answers_the_query_of_the_configuration(stored, host, keys, words):
    configure_checks(host, query=QUERY, **keys)
    answer = restore(stored, host, code=FAILED if words else DONE)
    if words:
        refused(answer, words, QUERY)
    assert [words for words in host.calls() if words[0] == "cqlsh" and QUERY in words], "it was asked"


def test_what_the_command_line_says_wins(stored, host):
    configure_checks(host, query="SELECT nothing", expected_rows=77)
    restore(stored, host, "--in-place", "--check-query", QUERY, "--check-result", 1)
    assert not [words for words in host.calls() if "SELECT nothing" in words]


def test_tables_that_are_added_are_not_asked_for_with_the_query_of_whole_nodes(stored, host):
    configure_checks(host, query="SELECT nothing", expected_rows=77)
    restore(stored, host, "--only", "shop")
    assert not [words for words in host.calls() if "SELECT nothing" in words]


@pytest.mark.parametrize("arguments", [("--check-query", QUERY), ("--check-rows", 1), ("--check-result", 1)])
def test_a_query_and_what_it_gives_go_together(stored, host, arguments):
    refused(restore(stored, host, "--in-place", *arguments, code=USAGE), "--check-query goes with --check-rows or --check-result")
