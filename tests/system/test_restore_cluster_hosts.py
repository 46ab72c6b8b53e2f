# SPDX-License-Identifier: Apache-2.0
"""What hosts say of themselves when restore-cluster asks them, and what follows from it. Stand-ins, as in test_restore_cluster_files.py."""


from harness import FAILED, USAGE
from restorehosts import OtherHosts, Restoring, states

FIRST, SEED, LAST = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
OTHERS = ["10.1.0.1", "10.1.0.2", "10.1.0.3"]
STRANGER = "77e0ad09-2b0c-4f2e-9f31-6d9a3a1c5b11"


def test_rows_that_a_node_is_configured_to_ask_for_wait_until_all_run(restoring, hosts):
    """Some may be where only all nodes together have them, as with --check-query."""
    with open(hosts.nodes[LAST].configuration, "a") as file:
        file.write("[checks]\nquery = SELECT id FROM shop.users\nexpected_rows = 4\n")
    hosts.nodes[FIRST].fail("start", first="not today")
    document = restoring("--yes", code=FAILED)
    assert states(document) == {FIRST: "failed", SEED: "started", LAST: "started"} and not hosts.happened(">check")
    asked = [call for call in hosts.nodes[LAST].calls() if call[0] == "cqlsh" and "SELECT id FROM shop.users" in call]
    assert not asked
    hosts.heal()
    assert restoring("--yes")["state"] == "restored" and restoring.is_restored()


def test_two_clusters_of_one_name_are_not_taken_for_one(program, repository, hosts):
    """A host list says no host ids, but a node that runs says whom it knows."""
    with OtherHosts(program, OTHERS) as others:
        stranger = others.nodes[OTHERS[2]]
        known = list(stranger.node["status"])
        stranger.node.update(host_id=STRANGER, status=[f"UN  {OTHERS[2]}  1 KiB  2  100.0%  {STRANGER}  r3"])
        stranger.save()
        restoring = Restoring(repository, hosts).into(others)
        path = program.directory / "list"
        path.write_text("".join(f"false,{name},n{number}\n" for number, name in enumerate(OTHERS, 1)))
        answer = restoring.refused("--host-list", path, words=["does not know", f"{STRANGER}: they belong to two clusters of one name"], code=USAGE)
        assert OTHERS[2] in answer.err
        for node in others.nodes.values():
            node.node["status"] = known[:2] + stranger.node["status"]
            node.save()
        assert restoring("--yes", "--host-list", path)["state"] == "restored"


def test_tables_that_somebody_brings_back_on_a_host_are_not_aborted(restoring, hosts):
    """Of the same backup and node, by hand, where the host's restore was ended by hand before."""
    restoring("--yes")
    last = hosts.nodes[LAST]

    def alone(*arguments, code=0):
        return restoring.repository("--config", last.configuration, "restore-node", *arguments, code=code)

    alone("--finish")
    last.fail("import", first="not today")
    alone("b", "--only", "shop.orders", "--yes", code=FAILED)
    last.heal()
    answer = restoring("--abort", json=False, code=FAILED)
    assert f"{LAST}: backup b is being restored there with --only shop.orders, not with --in-place" in answer.err, answer.err
    assert last.journal()["only"] and len(hosts.journals()) == 3
