# SPDX-License-Identifier: Apache-2.0
"""What operators and accidents hand to delete and gc: damaged, missing, foreign, newer and mistyped things. Nothing that might be needed is deleted."""

import json
import os
import shutil
import time

import pytest

from harness import ABSENT, CLUSTER, FAILED, FOUND, NODE, USAGE, Program, is_sentence
from trees import Node, fingerprint, flip, reseal

DAYS = 24 * 3600


@pytest.fixture(scope="module")
def template(binary, tmp_path_factory):
    """Backups b1, b2, b3 of three different snapshots; b1 is deleted, so that gc has something to do."""
    program = Program(binary, tmp_path_factory.mktemp("template"))
    repository = program.repository().init()
    fill(repository, program.directory / "node")
    repository("delete", "b1")
    return repository


@pytest.fixture
def three(template, program):
    """A copy of it, two days old."""
    repository = template.copy_to(program)
    age(repository)
    return repository


def fill(repository, where, node=NODE):
    source = Node(where)
    table = source.table("ks", "t")
    for i in (1, 2, 3):
        # Two tables: a run, a pack and large objects of its own in each backup.
        source.write(table, f"b{i}", f"nb-{i}-big-Data.db", source.bytes(1_200_000))
        source.write(table, f"b{i}", f"nb-{i}-big-TOC.txt", b"Data.db\nTOC.txt\n")
        source.write(table, f"b{i}", f"nb-{i}-big-Filter.db", source.bytes(3000))
        source.write(source.table("ks", "same"), f"b{i}", "nb-9-big-Data.db", b"the same" * 1000, mtime_ns=10**18)
        repository.backup(source.data, f"b{i}", node=node)


def age(repository, seconds=2 * DAYS):
    then = time.time() - seconds
    for path in repository.path.rglob("*"):
        os.utime(path, (then, then))


def node_path(repository, node=NODE):
    return repository.path / f"nodes/{CLUSTER}/{node}"


def record(repository, name):
    (path,) = (node_path(repository) / "records" / name).iterdir()
    return path


def root(repository, name):
    """The object that holds the root tree of a backup."""
    place = json.loads(record(repository, name).read_text())["root"]
    return node_path(repository) / "trees" / place["writer"] / place["object"]


def data(repository):
    """All objects and trees, as what is there."""
    top = node_path(repository)
    return {p.relative_to(top).as_posix() for kind in ("objects", "trees") for p in (top / kind).rglob("*") if p.is_file()}


def refuses(repository, key, *options):
    """gc deletes no object, names the key, and says so by its exit code. On a host that has not read these trees before: what is cached can be read."""
    shutil.rmtree(repository.program.cache, ignore_errors=True)
    before = data(repository)
    answer = repository("--json", "gc", *options, code=FOUND).json
    assert data(repository) == before
    assert answer["deleted_objects"] == 0 and answer["condemned_objects"] == 0
    assert any(key in item["key"] and item["reason"] for item in answer["unreadable"]), answer
    shutil.rmtree(repository.program.cache, ignore_errors=True)
    told = repository("gc", *options, code=FOUND).out
    assert key in told and "nothing is deleted" in told
    assert data(repository) == before
    return answer


# ---- what cannot be read ----

@pytest.mark.parametrize("full", [(), ("--full",)], ids=["gc", "full"])
@pytest.mark.parametrize("what", ["flipped", "empty", "cut", "newer", "feature"])
def test_a_committed_record_that_cannot_be_read_keeps_everything_of_its_node(three, what, full):
    path = record(three, "b2")
    whole = path.read_bytes()
    if what == "flipped":
        flip(path, 300)
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "cut":
        path.write_bytes(whole[:500])
    elif what == "newer":
        reseal(path, format=2)
    else:
        reseal(path, features={"read": [], "write": [], "collect": ["leases"]})
    changed = path.read_bytes()
    refuses(three, "records/b2/", *full)
    assert path.read_bytes() == changed
    path.write_bytes(whole)
    assert three.json("gc", *full)["deleted_objects"] > 0
    three("verify")


@pytest.mark.parametrize("state", ["OPEN", "ABORTED", "DELETED", "LOST"])
def test_a_record_in_any_state_of_a_newer_version_is_kept_with_what_it_may_reach(three, state):
    reseal(record(three, "b1"), format=2, state=state)
    age(three, 60 * DAYS)
    refuses(three, "records/b1/")
    refuses(three, "records/b1/", "--full")
    assert record(three, "b1").exists()


@pytest.mark.parametrize("what", ["missing", "flipped", "cut"])
def test_a_tree_that_cannot_be_read_keeps_everything_of_its_node(three, what):
    path = root(three, "b3")
    whole = path.read_bytes()
    if what == "missing":
        path.unlink()
    elif what == "flipped":
        flip(path, len(whole) - 3)
    else:
        path.write_bytes(whole[:60])
    refuses(three, "trees/")
    refuses(three, "trees/", "--full")
    path.write_bytes(whole)
    age(three)
    assert three.json("gc")["deleted_objects"] > 0
    three("verify")


@pytest.mark.parametrize("what", ["flipped", "empty", "newer", "feature"])
def test_a_pin_that_cannot_be_read_keeps_everything_of_its_node(three, what):
    with three.mount("pin=b2"):
        (path,) = node_path(three).glob("pins/*.json")
        whole = path.read_bytes()
    path.parent.mkdir(exist_ok=True)  # the mount took its pin away
    path.write_bytes(whole)
    if what == "flipped":
        flip(path, 300)
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "newer":
        reseal(path, format=2)
    else:
        reseal(path, features={"read": [], "write": [], "collect": ["leases"]})
    age(three)
    refuses(three, "pins/")
    path.unlink()
    assert three.json("gc")["deleted_objects"] > 0


def test_another_node_is_collected_all_the_same(three, program):
    fill(three, program.directory / "n2", node="n2")
    three("delete", "b1", "--node", "n2")
    flip(record(three, "b2"), 300)
    before = data(three)
    answer = three("--json", "gc", code=FOUND).json
    assert answer["deleted_objects"] > 0 and data(three) == before
    three("verify", "--node", "n2")


# ---- copies by hand ----

def copy_without(repository, program, tmp_path, *patterns):
    copy = program.repository(tmp_path / "copy")
    shutil.copytree(repository.path, copy.path)
    for pattern in patterns:
        for path in list(copy.path.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    return copy


def test_a_copy_without_its_trees_is_not_collected(three, program, tmp_path):
    copy = copy_without(three, program, tmp_path, "nodes/*/*/trees")
    refuses(copy, "trees/")
    refuses(copy, "trees/", "--full")


def test_a_copy_without_its_records_is_not_collected(three, program, tmp_path):
    copy = copy_without(three, program, tmp_path, "nodes/*/*/records")
    before = data(copy)
    copy("gc", code=None)
    assert data(copy) == before
    answer = copy("--json", "gc", "--full", code=FOUND).json
    assert data(copy) == before and answer["condemned_objects"] == answer["deleted_objects"] == 0
    assert any("records/" in item["key"] for item in answer["unreadable"])


def test_a_copy_without_some_of_its_data_keeps_what_it_has(three, program, tmp_path):
    copy = copy_without(three, program, tmp_path)
    writer = json.loads(record(copy, "b3").read_text())["writer"]
    lost = sorted((node_path(copy) / "objects" / writer).iterdir())[0]
    lost.unlink()
    three("gc")
    copy("gc")
    copy("gc", "--full")
    assert data(copy) == data(three) - {lost.relative_to(node_path(copy)).as_posix()}
    copy("verify", "b2")
    assert [m["key"] for m in copy("--json", "verify", "b3", code=FOUND).json["missing"]] == [lost.relative_to(copy.path).as_posix()]


def test_a_copy_without_repository_json_says_what_it_is(three, program, tmp_path):
    copy = copy_without(three, program, tmp_path, "repository.json")
    before = fingerprint(copy.path)
    for command in (("gc",), ("gc", "--full"), ("delete", "b2")):
        answer = copy(*command, code=ABSENT)
        assert is_sentence(answer.err), answer.err
    assert fingerprint(copy.path) == before


def test_a_damaged_list_is_named_and_removed_and_nothing_else_is_said_to_be_kept(three, small_node):
    """Backups refuse it and say what to do; gc, which does it, frees what it may all the same."""
    path = node_path(three) / "condemned/01JD8ZP4V7Q3K5N2M9R6T8W0XY"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"rubbish")
    answer = three(*three.backup_arguments(small_node.data, "t1", "b9"), code=FAILED)
    assert path.name in answer.err and "run sstablefs gc" in answer.err and is_sentence(answer.err)
    before = data(three)
    told = three("gc", code=FOUND).out
    assert path.name in told and "nothing is deleted" not in told and not path.exists() and data(three) < before
    three("gc")
    three.backup(small_node.data, "t1", "b9")


# ---- what is not ours ----

def test_an_object_that_is_not_ours_is_left_alone_and_reported(three):
    top = node_path(three)
    writer = json.loads(record(three, "b1").read_text())["writer"]
    places = [f"objects/{writer}/notes.txt", f"trees/{writer}/README", "objects/lost+found/x", "pins/readme", "condemned/todo",
              "records/b1/notes.txt", "records/stray", "of-somebody-else", "other/thing"]
    for place in places:
        path = top / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
    three("gc", code=None)
    age(three, 60 * DAYS)
    answer = three("--json", "gc", "--full", code=None).json
    for place in places:
        assert (top / place).read_bytes() == b"mine", place
    reported = {key.removeprefix(f"nodes/{CLUSTER}/{NODE}/") for key in answer["foreign"]}
    missing = [p for p in places if not any(p == r or p.startswith(r) for r in reported)]
    assert not missing, reported
    for place in places:
        assert any(r in three("gc", "--full", code=None).out for r in reported)
    three("verify")


# ---- neighbours ----

@pytest.mark.parametrize("kind", ["directory", "minio"])
def test_two_repositories_whose_prefixes_begin_alike_do_not_meet(program, minio_server, kind, tmp_path):
    if kind == "minio":
        program.environment.update(minio_server.environment())
        bucket = minio_server.make_bucket()
        urls = [minio_server.url(bucket, prefix) for prefix in ("a", "ab", "a/b")]
    else:
        urls = [str(tmp_path / prefix) for prefix in ("a", "ab", "b")]
    short, *others = [program.repository(url).init() for url in urls]
    for i, repository in enumerate((short, *others)):
        fill(repository, program.directory / f"node{i}")
    before = [sizes(other) for other in others]
    short("delete", "b1", "b2", "b3", "--force")
    assert short.json("gc", "--full")["deleted_objects"] > 0
    assert short.json("gc", "--full")["deleted_objects"] == 0
    for other, was in zip(others, before, strict=True):
        assert sizes(other) == was
        other("verify")
        assert other.json("gc", "--full")["deleted_objects"] == 0


def sizes(repository):
    return [(b["name"], b["nodes"][0]["state"], b["total_bytes"]) for b in repository.json("list")["backups"]]


# ---- words ----

@pytest.mark.parametrize("words", [("gc", "--fence-after", "5"), ("gc", "--fence-after", ""), ("gc", "--fence-after", "-1d"),
                                   ("gc", "--fence-after", "1 day"), ("gc", "--fence-after", "99999999999d"), ("gc", "b1"),
                                   ("delete",), ("purge",), ("purge", "--older-than", "30"), ("purge", "--older-than", "d"),
                                   ("purge", "--keep-last", "0"), ("purge", "--keep-last", "-1"), ("purge", "--keep-daily", "many"),
                                   ("purge", "--keep-last", "1", "b2"), ("delete", "../b2"), ("delete", "latest"), ("delete", "")])
def test_what_is_mistyped_changes_nothing(three, words):
    before = fingerprint(three.path)
    answer = three(*words, code=USAGE)
    assert is_sentence(answer.err), answer.err
    assert fingerprint(three.path) == before


@pytest.mark.parametrize("words", [("gc", "--node", "n"), ("gc", "--node", "n10"), ("gc", "--cluster", "c"), ("purge", "--keep-last", "1", "--node", "n"),
                                   ("purge", "--keep-last", "1", "--node", "n", "--dry-run"), ("purge", "--keep-last", "1", "--cluster", "c", "--dry-run"),
                                   ("verify", "--cluster", "c"), ("verify", "--node", "n"), ("verify", "--cluster", CLUSTER, "--node", "n10"),
                                   ("verify", "b2", "b22"), ("delete", "b"), ("delete", "b22"),
                                   ("delete", "b2", "--node", "n"), ("delete", "b2", "--cluster", "c")])
def test_a_name_that_does_not_exist_is_said_and_changes_nothing(three, words):
    before = fingerprint(three.path)
    answer = three("--json", *words, code=ABSENT)
    assert answer.json["error"]["kind"] == "not_found" and is_sentence(answer.err)
    assert fingerprint(three.path) == before


# ---- clocks: see also crash/test_clocks.py ----

def test_files_of_a_repository_that_are_older_than_1970_are_old(three):
    for path in three.path.rglob("*.json"):
        os.utime(path, (-10 * DAYS, -10 * DAYS))
    assert three.json("gc")["deleted_objects"] > 0
    three("gc", "--full")
    three("verify")
