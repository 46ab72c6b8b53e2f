# SPDX-License-Identifier: Apache-2.0
"""gc: what no backup reaches goes, and nothing else; on a directory, MinIO and SeaweedFS."""

import contextlib
import hashlib
import json
import os
import signal
import time

import pytest

from front import Front, error
from harness import ABSENT, CLUSTER, DONE, FOUND, NODE, STORE, USAGE, in_threads, is_sentence, wait_until
from reachable import Bucket, all_keys, object_keys, reachable_keys
from trees import describe_snapshot, describe_tree, fingerprint

WRITER = "01JD8ZP4V7Q3K5N2M9R6T8W0XY"
SLOW = ["--limit-rate", "64K", "--connections", "1"]


@pytest.fixture(params=["directory", "minio", "seaweedfs"])
def everywhere(request):
    return request.getfixturevalue("repository" if request.param == "directory" else request.param)


def backups(repository, node, tags, name=NODE):
    """A backup of each tag; each has the files of the one before and one SSTable of its own."""
    for number, tag in enumerate(tags):
        if number > 0:
            for table in node.data.glob("*/*"):
                node.keep(str(table.relative_to(node.data)), tags[number - 1], tag)
        node.add_sstable(node.table("shop", "orders"), tag, 10 + number, 200_000)
        repository.backup(node.data, tag, node=name)


def condemned(repository):
    return {key for key in all_keys(repository) if "/condemned/" in key}


def exact(repository):
    return object_keys(repository) == reachable_keys(repository) and not condemned(repository)


def killed_backup(repository, node, name):
    """A backup that was killed in the middle: its record stays OPEN."""
    node.add_sstable(node.table("shop", "orders"), "t1", 99, 2_000_000)
    running = repository.start(*repository.backup_arguments(node.data, "t1", name), *SLOW)
    wait_until(lambda: any(f"/records/{name}/" in key for key in all_keys(repository)), 60, "the record of the backup")
    running.send_signal(signal.SIGKILL)
    running.communicate(timeout=60)


def test_what_only_deleted_backups_reached_goes(everywhere, small_node, tmp_path):
    backups(everywhere, small_node, ["t1", "t2", "t3"])
    everywhere("delete", "t1", "t3", "--force")
    planned = everywhere.json("gc", "--dry-run")
    before = object_keys(everywhere)
    done = everywhere.json("gc")
    assert exact(everywhere)
    assert done["removed_backups"] == [] and done["waiting_for"] == []
    assert done["deleted_objects"] == len(before - object_keys(everywhere)) > 0
    assert done["deleted_bytes"] > 200_000
    assert (planned["condemned_objects"], planned["condemned_bytes"]) == (done["deleted_objects"], done["deleted_bytes"])
    everywhere("restore", "t2", tmp_path / "back")
    assert describe_tree(tmp_path / "back") == describe_snapshot(small_node.data, "t2")
    for arguments in (["gc"], ["gc", "--full"], ["gc", "--full", "--dry-run"]):
        again = everywhere.json(*arguments)
        assert again["condemned_objects"] == again["deleted_objects"] == 0
    assert exact(everywhere)


def test_a_backup_after_a_collection_is_whole(everywhere, small_node):
    backups(everywhere, small_node, ["t1", "t2"])
    everywhere("delete", "t1")
    everywhere("gc")
    everywhere.backup(small_node.data, "t1", "t1-again")
    everywhere("gc", "--full")
    assert exact(everywhere)


def test_a_dry_run_changes_nothing(repository, small_node):
    backups(repository, small_node, ["t1", "t2"])
    repository("delete", "t1")
    before = fingerprint(repository.path)
    assert "would be condemned" in repository("gc", "--dry-run").out
    assert fingerprint(repository.path) == before


def test_it_waits_for_a_backup_that_is_being_made_and_ends_one_that_is_dead(everywhere, small_node):
    backups(everywhere, small_node, ["t1", "t2"])
    killed_backup(everywhere, small_node, "killed")
    everywhere("delete", "t1")
    answer = everywhere("gc", code=FOUND)
    assert f"waiting for backup killed on {NODE}, renewed " in answer.out and " s ago" in answer.out
    report = everywhere("--json", "gc", code=FOUND).json
    (waiting,) = report["waiting_for"]
    assert (waiting["cluster"], waiting["node"], waiting["name"]) == (CLUSTER, NODE, "killed")
    assert report["deleted_objects"] == 0 and report["awaiting_objects"] > 0
    assert len(condemned(everywhere)) == 2
    assert reachable_keys(everywhere) < object_keys(everywhere)
    # A day later, as far as this run is concerned. The store's times are whole seconds.
    wait_until(lambda: everywhere("gc", "--fence-after", "1s", code=None).code == DONE, 60, "the end of the dead backup")
    assert exact(everywhere)
    assert everywhere.json("list")["backups"][0]["name"] == "t2"


def test_what_a_mount_has_pinned_stays_until_it_ends(repository, small_node):
    backups(repository, small_node, ["t1", "t2", "t3"])
    sources = describe_snapshot(small_node.data, "t1")
    with repository.mount("pin=t1") as mount, contextlib.ExitStack() as files:
        opened = {path: files.enter_context(open(mount.data("t1") / path, "rb")) for path in sources}
        repository("delete", "t1", "t2")
        assert repository.json("gc")["deleted_objects"] > 0
        assert object_keys(repository) == reachable_keys(repository) > reachable_keys(repository, pins=False)
        for path, file in opened.items():
            assert hashlib.sha256(file.read()).hexdigest() == sources[path][0], path
    repository("gc")
    assert exact(repository)


def test_what_cannot_be_read_blocks_its_node_only_and_is_named(repository, small_node):
    backups(repository, small_node, ["t1", "t2"])
    backups(repository, small_node, ["u1", "u2"], name="n2")
    repository("delete", "t1", "u1")
    (record,) = (repository.path / f"nodes/{CLUSTER}/{NODE}/records/t2").iterdir()
    data = bytearray(record.read_bytes())
    data[100] ^= 1
    record.write_bytes(data)
    before = {key for key in object_keys(repository) if f"/{NODE}/" in key}
    answer = repository("gc", code=FOUND)
    assert f"records/t2/{record.name}" in answer.out and "nothing is deleted" in answer.out
    report = repository("--json", "gc", "--full", code=FOUND).json
    assert [found["key"] for found in report["unreadable"]] == [str(record.relative_to(repository.path))]
    assert {key for key in object_keys(repository) if f"/{NODE}/" in key} == before
    assert not condemned(repository)
    data[100] ^= 1
    record.write_bytes(data)
    repository("gc")
    assert exact(repository)


def test_a_tree_that_is_missing_blocks(repository, small_node):
    backups(repository, small_node, ["t1", "t2"])
    repository("delete", "t1")
    (record,) = (repository.path / f"nodes/{CLUSTER}/{NODE}/records/t2").iterdir()
    root = json.loads(record.read_text())["root"]
    lost = repository.path / f"nodes/{CLUSTER}/{NODE}/trees/{root['writer']}/{root['object']}"
    kept = lost.read_bytes()
    lost.unlink()
    before = object_keys(repository)
    # Not even what this host remembers of it is asked: others cannot read the backup.
    answer = repository("gc", code=FOUND, environment={"SSTABLEFS_CACHE_DIR": str(repository.path.parent / "none")})
    assert root["object"] in answer.out
    assert object_keys(repository) == before
    lost.write_bytes(kept)
    repository("gc")
    assert exact(repository)


def test_keys_that_are_not_ours_are_left_alone_and_named(repository, small_node):
    backups(repository, small_node, ["t1", "t2"])
    repository("delete", "t1")
    node = repository.path / f"nodes/{CLUSTER}/{NODE}"
    strangers = [node / f"objects/{WRITER}/notes.txt", node / "pins/readme", node / "mine/x"]
    for path in strangers:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    report = repository.json("gc", "--full")
    named = [str(p.relative_to(repository.path)) for p in strangers[:2]] + [f"nodes/{CLUSTER}/{NODE}/mine/"]
    assert sorted(report["foreign"]) == sorted(named)
    assert all(path.read_text() == "mine" for path in strangers)
    assert object_keys(repository) == reachable_keys(repository)


def test_what_lies_above_the_nodes_and_is_not_ours_is_named_by_a_full_run(everywhere, small_node):
    """At the top, among the clusters, among the nodes of a cluster; groups by their name."""
    backups(everywhere, small_node, ["t1", "t2"])
    everywhere("delete", "t1")
    strangers = ["notes.txt", "old/backup.tar", "nodes/README", "nodes/-x/y", f"nodes/{CLUSTER}/stray.json", f"nodes/{CLUSTER}/latest/z"]
    for key in strangers:
        if everywhere.url.startswith("s3://"):
            Bucket(everywhere).put(key, b"mine")
        else:
            (everywhere.path / key).parent.mkdir(parents=True, exist_ok=True)
            (everywhere.path / key).write_text("mine")
    named = ["nodes/-x/", "nodes/README", f"nodes/{CLUSTER}/latest/", f"nodes/{CLUSTER}/stray.json", "notes.txt", "old/"]
    assert everywhere.json("verify")["foreign_keys"] == len(named)
    assert everywhere.json("gc", "--full", "--node", NODE)["foreign"] == everywhere.json("gc")["foreign"] == []
    assert sorted(everywhere.json("gc", "--full", "--dry-run")["foreign"]) == named
    assert f"not ours, left alone: nodes/{CLUSTER}/stray.json" in everywhere("gc", "--full").out
    assert set(strangers) <= all_keys(everywhere)
    assert exact(everywhere)


def test_a_full_run_frees_what_lies_under_no_record(everywhere, small_node):
    backups(everywhere, small_node, ["t1"])
    orphan = f"nodes/{CLUSTER}/{NODE}/objects/{WRITER}/{'5e' * 32}"
    if everywhere.url.startswith("s3://"):
        Bucket(everywhere).put(orphan, b"x")
    else:
        (everywhere.path / orphan).parent.mkdir(parents=True)
        (everywhere.path / orphan).write_bytes(b"x")
    everywhere("gc")
    assert orphan in object_keys(everywhere)
    assert everywhere.json("gc", "--full")["deleted_objects"] == 1
    assert exact(everywhere)


@pytest.mark.parametrize("server", ["minio", "seaweedfs"])
def test_two_repositories_of_a_bucket_never_touch_one_another(program, small_node, request, server):
    server = request.getfixturevalue(f"{server}_server")
    program.environment.update(server.environment())
    bucket = server.make_bucket()
    one, other = (program.repository(server.url(bucket, prefix)).init() for prefix in ("a", "ab"))
    backups(one, small_node, ["t1", "t2"])
    for tag in ("t1", "t2"):
        other.backup(small_node.data, tag)
    before = all_keys(other)
    one("delete", "t1", "t2", "--force")
    one("gc")
    one("gc", "--full")
    assert object_keys(one) == set()
    assert all_keys(other) == before
    other("delete", "t1")
    other("gc", "--full")
    assert exact(other)


def test_backups_deletes_and_collectors_at_once(everywhere, small_node):
    backups(everywhere, small_node, ["t1", "t2", "t3"])
    everywhere("delete", "t1")
    in_threads([lambda: everywhere.backup(small_node.data, "t1", "again"), lambda: everywhere("delete", "t2"),
                lambda: everywhere("gc", code=None), lambda: everywhere("gc", "--full", code=None)])
    everywhere("gc")
    assert exact(everywhere)
    assert {found["name"] for found in everywhere.json("list")["backups"]} == {"t3", "again"}


def test_a_collector_that_is_killed_is_continued(repository, small_node):
    backups(repository, small_node, ["t1", "t2", "t3"])
    repository("delete", "t1")
    for _ in range(8):
        running = repository.start("gc", "--full")
        wait_until(lambda: running.poll() is not None or condemned(repository), 60, "a list, or the end")
        running.send_signal(signal.SIGKILL)
        running.communicate(timeout=60)
        assert object_keys(repository) >= reachable_keys(repository)
    repository("gc")
    assert exact(repository)


def test_every_node_of_the_cluster_is_meant_and_clusters_are_told_apart(repository, small_node):
    backups(repository, small_node, ["t1", "t2"])
    repository.backup(small_node.data, "t1", node="n10")
    repository.backup(small_node.data, "t2", node="n10")
    repository("delete", "t1")
    repository("gc", "--node", "n10")
    assert not exact(repository)
    repository("gc")
    assert exact(repository)
    repository.backup(small_node.data, "t1", cluster="c2")
    answer = repository("gc", code=USAGE)
    assert is_sentence(answer.err) and "c1, c2" in answer.err and "--cluster" in answer.err
    for arguments, named in (["--cluster", "c3"], "c3"), (["--cluster", "c1", "--node", "n3"], "n3"), (["--node", NODE, "--cluster", "c10"], "c10"):
        answer = repository("gc", *arguments, code=ABSENT)
        assert is_sentence(answer.err) and named in answer.err


@pytest.mark.parametrize("age", ["10", "0s", "-1d", "1.5h", "5 min", "1000000y"])
def test_an_age_has_a_unit(repository, age, program):
    answer = repository("gc", f"--fence-after={age}", code=USAGE)
    assert is_sentence(answer.err) and age in answer.err
    configuration = program.directory / "sstablefs.conf"
    configuration.write_text(f"[gc]\nfence_after = {age}\n")
    assert "[gc] fence_after" in repository("gc", code=USAGE).err
    configuration.write_text("[gc]\nfence_after = 2d\nmemory = 64M\n")
    repository("gc")


def test_records_go_a_month_after_their_objects_and_probes_after_a_day(repository, small_node):
    backups(repository, small_node, ["t1"])
    repository("delete", "t1", "--force")
    repository("gc")
    node = repository.path / f"nodes/{CLUSTER}/{NODE}"
    left = node / f"probe/{WRITER}"
    left.parent.mkdir(exist_ok=True)
    left.write_text("1")
    repository("gc")
    assert left.exists() and list(node.glob("records/t1/*"))
    now = time.time()
    for path, days in ((left, 1.1), (next(node.glob("records/t1/*")), 30.1)):
        os.utime(path, (now, now - days * 86400))
    assert repository.json("gc")["removed_records"] == 1
    assert not left.exists() and not list(node.glob("records/t1/*"))


def test_a_node_that_fails_does_not_keep_the_others_from_their_turn(program, minio_server, small_node):
    """Its deletes are refused, and it is the first by name."""
    program.environment.update(minio_server.environment())
    bucket = minio_server.make_bucket()

    def refuse(request):
        return error(403, "AccessDenied") if request.method == "POST" and b"/a1/objects/" in request.body else None

    with Front(minio_server.ports[0], refuse) as front:
        repository = program.repository(minio_server.url(bucket, "p", endpoint=front.endpoint)).init()
        for node in ("a1", "b2"):
            for name in ("x", "y"):
                small_node.add_sstable(small_node.table("shop", "orders"), "t1", f"{node}{name}", 100_000)
                repository.backup(small_node.data, "t1", name=name, node=node)
        repository("delete", "x", "--node", "a1")
        repository("delete", "x", "--node", "b2")
        repository("delete", "y", "--node", "a1", "--force")
        repository("delete", "y", "--node", "b2", "--force")
        answer = repository("--json", "gc", code=STORE)
        assert "node a1" in answer.json["error"]["message"] + answer.err
        assert answer.json["deleted_objects"] > 0
        front.rules.clear()
        assert repository.json("gc")["deleted_objects"] > 0
        assert object_keys(repository) == set()
