# SPDX-License-Identifier: Apache-2.0
"""delete: exact names, the newest complete backup, what is left alone, races, and credentials or stores that are not fit for it."""


import pytest

from front import Front, error
from harness import ABSENT, CLUSTER, DONE, FOUND, NODE, STORE, USAGE, in_threads, is_sentence
from trees import reseal


@pytest.fixture
def four(any_repository, small_node):
    """Four backups of n1, the last two are b2 and b10; of n10 there is b1 and b3."""
    for name in ("b1", "b3", "b2", "b10"):
        any_repository.backup(small_node.data, "t1", name)
    for name in ("b1", "b3"):
        any_repository.backup(small_node.data, "t1", name, node="n10")
    return any_repository


def committed(repository, node=NODE):
    return [b["name"] for b in repository.json("list", "--node", node)["backups"] if b["nodes"][0]["state"] == "committed"]


def change_record(repository, name, node=NODE, **members):
    """Changes a record of a directory repository; its seal fits."""
    (path,) = (repository.path / f"nodes/{CLUSTER}/{node}/records/{name}").iterdir()
    reseal(path, **members)


def test_names_are_whole_names(four):
    answer = four.json("delete", "--node", "n1", "b1")
    assert answer["removed_backups"] == ["b1"]
    assert [answer[key] for key in ("condemned_objects", "condemned_bytes", "deleted_objects", "deleted_bytes", "waiting_for")] == [0, 0, 0, 0, []]
    assert committed(four) == ["b10", "b2", "b3"] and committed(four, "n10") == ["b3", "b1"]
    for name in ("b", "1"):
        four("delete", name, code=ABSENT)
    four("delete", "b3", "--node", "n", code=ABSENT)
    assert committed(four) == ["b10", "b2", "b3"]


def test_without_a_node_every_node_is_meant_and_the_files_stay_readable(four, small_node, program):
    assert "2 nodes" in four("delete", "b1").out
    assert committed(four) == ["b10", "b2", "b3"] and committed(four, "n10") == ["b3"]
    four("show", "b1", code=ABSENT)
    four("restore", "b1", program.directory / "no", code=ABSENT)
    four("restore", "b2", program.directory / "yes")
    four("verify")


def test_of_several_names_those_that_exist_are_removed(four):
    answer = four("--json", "delete", "b1", "nothing", "b3", "nowhere", "--node", "n1", code=ABSENT)
    assert answer.json["removed_backups"] == ["b1", "b3"] and answer.json["not_found"] == ["nothing", "nowhere"]
    assert answer.json["error"]["kind"] == "not_found" and "nothing, nowhere" in answer.json["error"]["message"]
    assert is_sentence(answer.err)
    assert committed(four) == ["b10", "b2"]
    assert four("--json", "delete", "b1", "--node", "n1", code=ABSENT).json["error"]["kind"] == "not_found"


def test_the_newest_complete_backup_of_a_node_takes_force(four):
    answer = four("delete", "b10", "b1", code=USAGE)
    assert "newest complete" in answer.err and "--force" in answer.err and "nothing was removed" in answer.err
    assert "node n10" in four("delete", "b3", code=USAGE).err
    assert len(committed(four)) == 4
    four("delete", "b10", "--force")
    assert committed(four) == ["b2", "b3", "b1"]
    four("delete", "b1", "b2", "b3", "--force")
    assert four.json("list")["backups"] == []


def test_clusters_that_share_a_name_are_told_apart(repository, small_node):
    for cluster in ("one", "two"):
        for name in ("a", "b"):
            repository.backup(small_node.data, "t1", name, cluster=cluster)
    answer = repository("delete", "a", code=USAGE)
    assert "one" in answer.err and "two" in answer.err and "--cluster" in answer.err
    repository("delete", "a", "--cluster", "one")
    assert sorted((b["cluster"], b["name"]) for b in repository.json("list")["backups"]) == [("one", "b"), ("two", "a"), ("two", "b")]


def test_what_is_not_finished_is_left_alone(repository, small_node):
    for name in ("b1", "b2", "b3"):
        repository.backup(small_node.data, "t1", name)
    repository.backup(small_node.data, "t1", "b1", node="n2")
    change_record(repository, "b1", "n2", state="OPEN")
    answer = repository("--json", "delete", "b1", code=FOUND)
    assert answer.json["removed_backups"] == ["b1"] and "of node n2 is not finished" in answer.err
    (backup,) = [b for b in repository.json("list")["backups"] if b["name"] == "b1"]
    assert [(n["node"], n["state"]) for n in backup["nodes"]] == [("n2", "open")]
    answer = repository("--json", "delete", "b1", code=ABSENT)
    assert answer.json["error"]["kind"] == "not_found" and "is not finished" in answer.err


def test_a_backup_that_is_not_on_all_nodes_is_not_the_newest_complete_one(repository, small_node):
    """b2 is newer than b1, but a node of the cluster has not made it: b1 is what is kept."""
    for name in ("b1", "b2"):
        repository.backup(small_node.data, "t1", name)
    change_record(repository, "b2", peers=[{"host_id": str(i), "address": f"10.0.0.{i}", "dc": "d", "rack": "r"} for i in (1, 2)])
    assert "newest complete" in repository("delete", "b1", code=USAGE).err
    repository("delete", "b2")
    assert committed(repository) == ["b1"]


def test_a_record_that_cannot_be_read_is_named_and_stays(repository, small_node):
    for name in ("b1", "b2", "b3"):
        repository.backup(small_node.data, "t1", name)
    (path,) = (repository.path / f"nodes/{CLUSTER}/{NODE}/records/b1").iterdir()
    path.write_bytes(path.read_bytes()[:-20])
    answer = repository("--json", "delete", "b1", "b2", code=FOUND)
    assert answer.json["removed_backups"] == ["b2"] and answer.json["not_found"] == []
    assert "b1 was not removed" in answer.err and path.name in answer.err


def test_a_record_of_a_newer_version_is_named_and_stays(repository, small_node):
    for name in ("b1", "b2"):
        repository.backup(small_node.data, "t1", name)
    change_record(repository, "b1", features={"read": [], "write": [], "collect": ["of-later"]})
    answer = repository("delete", "b1", code=USAGE)
    assert "of-later" in answer.err or "newer" in answer.err
    assert "b1" in committed(repository)


def test_two_that_remove_the_same_both_end_and_one_did_it(four):
    answers = in_threads([lambda: four("--json", "delete", "b1", "b3", "--node", "n1", code=None)] * 4)
    assert {a.code for a in answers} <= {DONE, FOUND, ABSENT}, [a.err for a in answers]
    removed = [name for a in answers for name in a.json.get("removed_backups", [])]
    assert sorted(removed) == ["b1", "b3"]
    assert committed(four) == ["b10", "b2"]


@pytest.fixture
def fronted(program, minio_server, small_node):
    """(front, repository behind it with the backups b1 and b2)"""
    program.environment.update(minio_server.environment())
    with Front(minio_server.ports[0]) as front:
        repository = program.repository(minio_server.url(minio_server.make_bucket(), "p", endpoint=front.endpoint)).init()
        for name in ("b1", "b2"):
            repository.backup(small_node.data, "t1", name)
        yield front, repository


def test_credentials_that_only_read_are_told_what_it_takes(fronted, program):
    front, repository = fronted
    front.rules.append(lambda r: error(403, "AccessDenied") if r.method in ("PUT", "POST", "DELETE") else None)
    answer = repository("--json", "delete", "b1", code=STORE, environment={"SSTABLEFS_CACHE_DIR": str(program.directory / "new")})
    assert answer.json["error"]["kind"] == "credentials" and "may not write" in answer.err
    # Where it is remembered that the store is fit, the record itself is refused.
    answer = repository("--json", "delete", "b1", code=STORE)
    assert answer.json["error"]["kind"] == "credentials" and "/records/b1/" in answer.err
    front.rules.clear()
    assert committed(repository) == ["b2", "b1"]


def test_credentials_without_delete_are_enough(fronted):
    front, repository = fronted
    front.rules.append(lambda r: error(403, "AccessDenied") if r.method in ("POST", "DELETE") else None)
    assert repository.json("delete", "b1")["removed_backups"] == ["b1"]
    assert committed(repository) == ["b2"]


def test_credentials_of_one_node_are_enough_for_it(fronted, small_node):
    front, repository = fronted
    repository.backup(small_node.data, "t1", "b3", node="n2")

    def confined(request):
        of_node = f"nodes%2F{CLUSTER}%2F{NODE}%2F" in request.path or f"/nodes/{CLUSTER}/{NODE}/" in request.path
        return None if of_node or "repository.json" in request.path else error(403, "AccessDenied")

    front.rules.append(confined)
    repository("delete", "b1", code=STORE)
    repository("delete", "b2", "--cluster", CLUSTER, "--node", NODE, code=USAGE)
    assert repository.json("delete", "b1", "--cluster", CLUSTER, "--node", NODE)["removed_backups"] == ["b1"]


@pytest.mark.parametrize("condition", ["If-None-Match", "If-Match"])
def test_a_store_that_ignores_conditions_is_refused(fronted, program, condition):
    front, repository = fronted

    def ignore(request):
        # A signed header cannot be taken away on the road: the answer that such a store gives is given here.
        if request.method == "PUT" and condition in request.headers and "/probe/" in request.path:
            return error(200, "", ETag='"0123"')
        return None

    front.rules.append(ignore)
    answer = repository("--json", "delete", "b1", code=None, environment={"SSTABLEFS_CACHE_DIR": str(program.directory / "new")})
    assert answer.code == STORE and condition in answer.err and "nothing was removed" in answer.err
    assert committed(repository) == ["b2", "b1"]


def test_help_says_what_it_does(program):
    text = program("delete", "--help").out
    assert "--force" in text and "exit code 4" in text
