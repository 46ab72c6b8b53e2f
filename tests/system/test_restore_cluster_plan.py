# SPDX-License-Identifier: Apache-2.0
"""`restore-cluster --plan` where nodes take files as they are: every host is asked, nothing is changed, and what is told is what --yes does. Stand-ins, as in test_restore_cluster_files.py."""


from harness import FAILED, FOUND, USAGE, is_alive, wait_until

SECONDS = 180
FIRST, SEED, LAST = NAMES = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]


def of_host(document):
    return {target["host"]: target for target in document["targets"]}


def nothing_was_done(restoring):
    words = {what for _, what in restoring.target.events() if what.startswith(">") or what in ("stop", "start")}
    return restoring.is_as_before() and not restoring.plans() and words <= {">wait"}


def test_the_plan_is_what_happens_then(restoring, hosts):
    document = restoring("--plan")
    assert nothing_was_done(restoring)
    assert [(target["host"], target["source"], target["seed"]) for target in document["targets"]] == [(SEED, "n2", True), (FIRST, "n1", False), (LAST, "n3", False)]
    assert document["case"] == "same" and document["refusals"] == []
    for target in document["targets"]:
        own = target["plan"]
        assert target["reached"] and target["refusals"] == [] and own["running"] and own["state"] == "planned" and own["case"] == "in-place"
        assert own["files"] > 0 and own["total_bytes"] > 0 and any("stop Cassandra" in step for step in own["steps"])
        assert {place["path"] for place in own["directories"]} == {str(path) for path in hosts.nodes[target["host"]].places}
    said = restoring("--plan", json=False).out
    assert nothing_was_done(restoring)
    places = [said.index(f"{number}. {host}") for number, host in ((1, f"{SEED}, a seed, gets n2"), (2, f"{FIRST} gets n1"), (3, f"{LAST} gets n3"))]
    assert places == sorted(places) and said.count(" files, ") == 3 and said.count("then:  stop Cassandra") == 3 and "nothing is in the way" in said
    for node in hosts.nodes.values():
        assert f"replaces {node.data[0]}\n" in said
    restoring("--yes")
    starts = [host for host, what in hosts.events() if what == "start"]
    assert starts == [target["host"] for target in document["targets"]]


def test_who_cannot_be_reached_and_who_refuses_is_named(restoring, hosts):
    hosts.fail(FIRST, say="ssh: connect to host 10.0.0.1 port 22: No route to host")
    hosts.nodes[LAST].node["rack"] = "r1"
    hosts.nodes[LAST].save()
    document = restoring("--plan", code=FOUND)
    targets = of_host(document)
    assert nothing_was_done(restoring)
    assert {host: target["reached"] for host, target in targets.items()} == {FIRST: False, SEED: True, LAST: True}
    assert "No route to host" in targets[FIRST]["refusals"][0] and targets[FIRST]["plan"] is None
    assert "in rack r3 and this one in r1" in targets[LAST]["refusals"][0] and targets[LAST]["plan"]["refusals"] == targets[LAST]["refusals"]
    assert targets[SEED]["refusals"] == [] and targets[SEED]["plan"]["files"] > 0
    said = restoring("--plan", json=False, code=FOUND).out
    assert "NOT REACHED: " in said and "REFUSED: the backup's node is in rack r3" in said and "2 of 3 hosts are in the way" in said
    restoring.refused()


def test_machines_in_the_place_of_all_that_are_stopped_are_compared_by_their_disks(restoring, hosts, program):
    """Each says of itself what restore-node says there: two are listed for one another."""
    for rack, node in enumerate(hosts.nodes.values(), 1):
        node.kill()
        (node.yaml.parent / "cassandra-rackdc.properties").write_text(f"dc=dc 1\nrack=r{rack}\n")
        with open(node.yaml, "a") as yaml:
            yaml.write("endpoint_snitch: GossipingPropertyFileSnitch\n")
    path = program.directory / "list"

    def of_sources(*sources):
        path.write_text("".join(f"{name == SEED},{name},{source}\n" for name, source in zip(NAMES, sources, strict=True)))
        return ["--host-list", path, "--in-place"]

    before = hosts.contents()
    targets = of_host(restoring("--plan", *of_sources("n3", "n2", "n1"), code=FOUND))
    assert "in rack r3 and this one in r1" in targets[FIRST]["refusals"][0] and "in rack r1 and this one in r3" in targets[LAST]["refusals"][0]
    assert targets[SEED]["refusals"] == [] and any("does not run here" in note for note in targets[SEED]["plan"]["notes"])
    restoring("--yes", *of_sources("n3", "n2", "n1"), json=False, code=FAILED)
    assert hosts.contents() == before and not hosts.running()
    restoring("--yes", *of_sources("n1", "n2", "n3"))
    assert restoring.is_restored()


def test_what_hosts_refuse_together_is_in_the_plan(restoring, hosts):
    for node in hosts.nodes.values():
        node.write_yaml(seed_provider="[{class_name: x, parameters: [{seeds: '192.0.2.77'}]}]", listen_address="10.9.9.9")
    restoring.spoilt = hosts.contents()
    document = restoring("--plan", code=FOUND)
    assert "none of the 3 hosts is known to be a seed" in document["refusals"][0] and nothing_was_done(restoring)
    assert [target["refusals"] for target in document["targets"]] == [[], [], []]
    said = restoring("--plan", json=False, code=FOUND).out
    assert f"REFUSED: {document['refusals'][0]}" in said
    restoring.refused(words=["known to be a seed"], code=USAGE)


def test_what_was_begun_says_how_far_each_host_is(restoring, hosts):
    hosts.nodes[LAST].fail("start", first="not today")
    restoring("--yes", code=FOUND)
    before = hosts.contents(), hosts.journals()
    document = restoring("--plan")
    assert document["state"] == "begun" and [target["host"] for target in document["targets"]] == [SEED, FIRST, LAST]
    assert {host: target["plan"]["step"] for host, target in of_host(document).items()} == {SEED: "check", FIRST: "check", LAST: "start"}
    said = restoring("--plan", json=False).out
    assert "was begun" in said and "is at step start (begun)" in said
    assert (hosts.contents(), hosts.journals()) == before
    hosts.fail(SEED, say="ssh: connect to host 10.0.0.2 port 22: No route to host")
    assert not of_host(restoring("--plan", code=FOUND))[SEED]["reached"]


def test_a_host_that_hangs_when_it_is_ready_is_given_up(restoring, hosts):
    hosts.configure(timeout="20")
    hosts.fail(LAST, freeze_at="ready")
    running = restoring.repository.start(*restoring.words("--plan"))
    try:
        said, _ = running.communicate(timeout=SECONDS)
    finally:
        running.kill()
        hosts.thaw(LAST)
    wait_until(lambda: not is_alive(hosts.pid(LAST)), SECONDS, "it gives up")
    assert running.returncode == FOUND and "nothing was heard of it for 20 s" in said and "1 of 3 hosts are in the way" in said
    assert hosts.running() == NAMES and not hosts.journals()
