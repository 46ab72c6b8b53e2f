# SPDX-License-Identifier: Apache-2.0
"""Which hosts `restore-cluster` starts first where nodes take files as they are: those that Cassandra takes for seeds, by address. Stand-ins, as in test_restore_cluster_files.py."""

import json
import socket
import sys

import pytest

from harness import FOUND, USAGE

FIRST, SECOND, LAST = NAMES = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
LOOPBACK, NOBODY = "127.0.0.1", "192.0.2.77"
# An sstablefs that looks no seed up: of what they are it says the text in cassandra.yaml alone.
FORMER = """#!{python}
import json, subprocess, sys
program = subprocess.Popen(["{binary}", *sys.argv[1:]], stdout=subprocess.PIPE, text=True)
for line in program.stdout:
    if line.startswith('{{"event"') and json.loads(line)["event"] == "ready":
        ready = json.loads(line)
        del ready["seed_addresses"]
        line = json.dumps(ready) + "\\n"
        with open("{told}", "a") as told:
            told.write(line)
    print(end=line, flush=True)
sys.exit(program.wait())
"""


def write(hosts, seeds, **of_host):
    """What the cassandra.yaml of all say of seeds, and of a host's own addresses ({"n1": settings})."""
    for number, (name, node) in enumerate(hosts.nodes.items(), 1):
        node.write_yaml(**{"seed_provider": f"[{{class_name: x, parameters: [{{seeds: '{seeds}'}}]}}]", "listen_address": name, **of_host.get(f"n{number}", {})})


def list_of(hosts, seed):
    path = hosts.program.directory / "list"
    path.write_text("".join(f"{name == seed},{name},n{number}\n" for number, name in enumerate(hosts.names, 1)))
    return ["--host-list", path, "--in-place"]


def started_first(hosts, seed):
    others = [name for name in hosts.names if name != seed]
    return hosts.at(seed, "started") < min(hosts.at(name, "start") for name in others)


@pytest.mark.parametrize("seeds, own", [
    ("localhost:7000", {"listen_address": LOOPBACK}),
    (f"{NOBODY}, localhost", {"listen_address": "10.9.9.9", "broadcast_address": LOOPBACK}),
    (LOOPBACK, {"listen_address": "10.9.9.9", "broadcast_address": "localhost"}),
    (f"{LOOPBACK}:7000", {"listen_address": None, "listen_interface": "lo"}),
    (socket.gethostname(), {"listen_address": None}),
    ("[2001:db8:0::1:5]:7000", {"listen_address": "2001:DB8::1:5"}),
], ids=["a name", "broadcast", "broadcast by name", "interface", "blank", "IPv6"])
def test_a_seed_is_known_by_its_address_however_that_is_written(restoring, hosts, seeds, own):
    write(hosts, seeds, n2=own)
    restoring("--yes")
    assert restoring.is_restored() and started_first(hosts, SECOND)
    hosts.forget()
    restoring("--abort")
    assert restoring.target.running() == hosts.names and hosts.at(SECOND, "start") < min(hosts.at(FIRST, "start"), hosts.at(LAST, "start"))


def test_the_end_of_an_address_is_no_port(restoring, hosts):
    """2001:db8::1 and port 5 is another one than 2001:db8::1:5."""
    write(hosts, "2001:db8::1:5", n1={"listen_address": "2001:db8::1"}, n2={"listen_address": "2001:db8::1:5"})
    restoring("--yes")
    assert restoring.is_restored() and started_first(hosts, SECOND)


def test_without_a_seed_nobody_is_stopped(restoring, hosts):
    write(hosts, NOBODY)
    restoring.spoilt = hosts.contents()
    restoring.refused(words=["none of the 3 hosts is known to be a seed", f"{FIRST} names {NOBODY}", "is_seed", "--host-list FILE --in-place", "nothing was done"],
                      code=USAGE)
    assert not hosts.happened(">fetch")
    restoring("--yes", *list_of(hosts, LAST))
    assert restoring.is_restored() and started_first(hosts, LAST)


def test_what_is_begun_goes_on_with_the_seeds_of_a_list(restoring, hosts):
    """The first list named a seed that does not start."""
    write(hosts, NOBODY)
    hosts.nodes[FIRST].fail("start", first="not today")
    restoring("--yes", *list_of(hosts, FIRST), code=1)
    assert hosts.running() == []
    restoring("--yes", *list_of(hosts, LAST), code=FOUND)
    assert hosts.running() == [SECOND, LAST] and hosts.at(LAST, "started") < hosts.at(SECOND, "start")
    hosts.heal()
    hosts.forget()
    # They are those of the list from then on, and what undoes it takes one as well.
    restoring("--abort", *list_of(hosts, SECOND))
    assert restoring.is_as_before() and started_first_again(hosts, SECOND)


def started_first_again(hosts, seed):
    return hosts.at(seed, "start") < min(hosts.at(name, "start") for name in hosts.names if name != seed)


def test_the_seeds_of_the_start_are_kept_for_the_way_back(restoring, hosts):
    """Whoever changes cassandra.yaml meanwhile, the restored nodes among them."""
    restoring("--yes")
    write(hosts, NOBODY)
    hosts.forget()
    restoring("--abort")
    assert hosts.running() == hosts.names and started_first_again(hosts, SECOND)


# ---- two versions ----

def run_former(hosts):
    """From now on the hosts are of another version than the coordinator. Where what they told is written down."""
    program, told = hosts.program.directory / "former", hosts.program.directory / "told"
    program.write_text(FORMER.format(python=sys.executable, binary=hosts.program.binary, told=told))
    program.chmod(0o755)
    hosts.configure(command=program)
    return told


@pytest.mark.parametrize("seeds, own", [(f"{NOBODY},{SECOND}:7000", {}), ("[2001:db8:0::1:5]:7000", {"listen_address": "2001:DB8::1:5"})], ids=["IPv4", "IPv6"])
def test_hosts_that_look_no_seed_up_are_led_by_what_their_cassandra_yaml_names(restoring, hosts, seeds, own):
    """And one that does tells a coordinator of before, which reads a text, the same."""
    write(hosts, seeds, n2=own)
    told = run_former(hosts)
    assert [target["host"] for target in restoring("--plan")["targets"]][0] == SECOND
    restoring("--yes")
    assert restoring.is_restored() and started_first(hosts, SECOND)
    assert {json.loads(line)["seeds"] for line in told.read_text().splitlines()} == {seeds}


def test_what_a_former_host_names_and_nobody_is_is_said(restoring, hosts):
    write(hosts, NOBODY)
    run_former(hosts)
    restoring.spoilt = hosts.contents()
    restoring.refused(words=[f"{FIRST} names {NOBODY})"], code=USAGE)
