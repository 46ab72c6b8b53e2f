# SPDX-License-Identifier: Apache-2.0
"""`restore-cluster --yes` through the real ssh and an sshd for each host, on 127.0.0.x. Cassandra is a stand-in."""

import random

import pytest

from harness import DONE, FAILED, wait_until
from restorehosts import RestoreHosts, Restoring, states
from sshd import Fleet

SECONDS = 180
KEPT = ("SSTABLEFS_TEST", "SSTABLEFS_CONFIG", "SSTABLEFS_CACHE_DIR", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS")


@pytest.fixture
def hosts(program):
    net = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}"
    with RestoreHosts(program, [f"{net}.{number}" for number in (1, 2, 3)]) as hosts:
        environments = [(name, {key: value for key, value in hosts.environments[name].items() if key in KEPT}) for name in hosts.names]
        with Fleet(program.directory / "ssh-real", environments) as fleet:
            hosts.settings = {"config": fleet.configuration, "port": fleet.port, "command": program.binary}
            hosts.configure()
            hosts.fleet = fleet
            yield hosts


def test_a_host_that_wants_a_password_and_a_coordinator_that_is_killed(repository, hosts):
    restoring = Restoring(repository, hosts)
    first, seed, last = hosts.names
    hosts.fleet.servers[last].start(pubkey=False)
    restoring.refused(words=[f"{last}: ", "Permission denied", "nobody is asked for a password"], code=FAILED)
    hosts.fleet.servers[last].start()

    hosts.hold(last, "stop")
    running = restoring.begin()
    wait_until(lambda: hosts.happened("stop") == set(hosts.names) and hosts.running() == [last], SECONDS, "they stop")
    running.kill()
    running.communicate()
    again = repository.start("--json", *restoring.words("--yes"))
    hosts.release(last, "stop")
    assert again.wait(SECONDS) == DONE, again.communicate()
    assert restoring.is_restored() and hosts.at(seed, "start") < min(hosts.at(first, "start"), hosts.at(last, "start"))
    assert states(restoring("--abort")) == dict.fromkeys(hosts.names, "aborted") and restoring.is_as_before()
