# SPDX-License-Identifier: Apache-2.0
"""`backup-cluster` through the real ssh and an sshd for each host, on 127.0.0.x. Cassandra is a stand-in."""

import random

import pytest

from harness import DONE, FOUND, wait_until
from sshd import Fleet
from sshstandin import Hosts

SECONDS = 180


@pytest.fixture
def hosts(program):
    net = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}"
    hosts = Hosts(program, [f"{net}.{number}" for number in (1, 2, 3)])
    kept = ("SSTABLEFS_TEST", "SSTABLEFS_CONFIG", "SSTABLEFS_CACHE_DIR", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS")
    environments = [(name, {key: value for key, value in hosts.environments[name].items() if key in kept}) for name in hosts.names]
    with Fleet(program.directory / "ssh-real", environments) as fleet:
        hosts.settings = {"config": fleet.configuration, "port": fleet.port, "command": program.binary}
        hosts.configure()
        hosts.fleet = fleet
        yield hosts


@pytest.fixture
def cluster(repository, hosts):
    return lambda *arguments, code=DONE: repository.json("--config", hosts.configuration, "backup-cluster", "--name", "b", *arguments, code=code)


def states(result):
    return [node["state"] for node in result["nodes"]]


def test_a_host_that_wants_a_password_fails_and_the_retry_completes_the_backup(repository, hosts, cluster):
    hosts.fleet.servers[hosts.names[1]].start(pubkey=False)
    result = cluster(code=FOUND)
    assert states(result) == ["stored", "failed", "stored"]
    assert "Permission denied" in result["nodes"][1]["message"] and "nobody is asked for a password" in result["nodes"][1]["message"]
    hosts.fleet.servers[hosts.names[1]].start()
    assert states(cluster("--retry-failed")) == ["exists", "stored", "exists"]
    (backup,) = repository.json("list")["backups"]
    assert (backup["nodes_finished"], backup["nodes_expected"], backup["complete"]) == (3, 3, True)
    assert hosts.snapshots() == {}


def test_a_host_that_is_not_there_and_one_with_another_key(hosts, cluster):
    hosts.fleet.servers[hosts.names[0]].stop()
    known = hosts.fleet.directory / "known_hosts"
    first, second, third = known.read_text().splitlines()
    known.write_text("\n".join([first, second, f"{third.rsplit(' ', 1)[0]} {first.rsplit(' ', 1)[1]}"]) + "\n")
    result = cluster(code=FOUND)
    assert states(result) == ["failed", "stored", "failed"]
    assert "Connection refused" in result["nodes"][0]["message"]
    assert "Host key verification failed" in result["nodes"][2]["message"]


def test_nodes_clear_their_snapshots_when_the_coordinator_is_killed(repository, hosts, cluster):
    hosts.nodes[hosts.names[2]].fail("snapshot", hang="after")
    running = repository.start("--config", hosts.configuration, "backup-cluster", "--name", "b")
    wait_until(lambda: len(hosts.snapshots()) == 3, SECONDS, "a snapshot on each")
    hosts.nodes[hosts.names[2]].heal()
    running.kill()
    running.communicate()
    wait_until(lambda: hosts.snapshots() == {}, SECONDS, "they are cleared")
    assert cluster("--retry-failed")["state"] == "complete"
