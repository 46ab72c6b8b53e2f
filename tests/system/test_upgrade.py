# SPDX-License-Identifier: Apache-2.0
"""A repository that was written before there was deletion (tests/data/before-deletion) is read, continued and cleaned by the program of today."""

import os
import shutil
import sys
import time
from pathlib import Path

import pytest

from harness import ABSENT, DONE, FOUND, in_threads
from reader import ssfs_reader
from trees import describe_tree

DATA = Path(__file__).parent.parent / "data"
sys.path.insert(0, str(DATA))

import make_before_deletion as made  # noqa: E402

DAYS = made.DAYS
NAMES = ("--cluster", made.CLUSTER, "--node", made.NODE)
DAY_SECONDS = 24 * 3600


@pytest.fixture
def old(program, tmp_path):
    """A copy of the repository as if all of it had been written an hour ago."""
    repository = program.repository(shutil.copytree(DATA / "before-deletion", tmp_path / "before"))
    age(repository, 3600)
    return repository


def node_path(repository):
    return repository.path / f"nodes/{made.CLUSTER}/{made.NODE}"


def age(repository, seconds):
    then = time.time() - seconds
    for path in repository.path.rglob("*"):
        os.utime(path, (then, then))


def objects(repository):
    return {str(p.relative_to(repository.path)) for kind in ("objects", "trees") for p in (node_path(repository) / kind).glob("*/*")}


def reached(repository):
    """By a reader that knows nothing but docs/format.md: every key that a committed backup needs."""
    other = ssfs_reader.Repository(repository.path)
    return {key for record in other.records() if record["state"] == "COMMITTED" for key in other.keys_of(record)}


def bytes_of(top):
    return {path: description[0] for path, description in describe_tree(top).items()}


def expected(tmp_path, day):
    """{path below data/: SHA-256} of a day."""
    data = made.lay_out(tmp_path / f"expected-{day}", day, made.files(day))
    return {f"{made.TABLE}/{path.name}": bytes_of(data)[str(path.relative_to(data))]
            for path in (data / made.TABLE / "snapshots" / day).iterdir()}


def committed(repository):
    return [b["name"] for b in repository.json("list", *NAMES)["backups"] if b["nodes"][0]["state"] == "committed"]


def check_days(repository, tmp_path, days):
    """What is listed is there, verifies, and restores to what was put in."""
    assert committed(repository) == list(reversed(days))
    repository("verify", *NAMES)
    for day in days:
        where = tmp_path / f"restored-{day}-{time.monotonic_ns()}"
        repository("restore", day, *NAMES, where)
        assert bytes_of(where) == expected(tmp_path, day)


def test_it_is_listed_verified_restored_and_mounted(old, tmp_path):
    check_days(old, tmp_path, list(DAYS))
    states = {b["name"]: b["nodes"][0]["state"] for b in old.json("list", *NAMES)["backups"]}
    assert states == {**{day: "committed" for day in DAYS}, "killed": "open"}
    with old.mount() as mount:
        for day in DAYS:
            assert bytes_of(mount.data(day, made.NODE, made.CLUSTER)) == expected(tmp_path, day)


def test_it_is_backed_up_to_and_what_it_holds_is_reused(old, tmp_path):
    contents = {**made.files("wednesday"), "nb-9-big-Data.db": made.noise(9, 5000), "nb-9-big-TOC.txt": b"Data.db\nTOC.txt\n"}
    data = made.lay_out(tmp_path / "new", "thursday", contents)
    answer = old("--json", *made.arguments(data, "thursday")).json
    assert answer["state"] == "committed" and 5000 <= answer["new_bytes"] < 6000 and answer["reused_bytes"] > 60000
    assert committed(old) == ["thursday", *reversed(DAYS)]
    ssfs_reader.verify(ssfs_reader.Repository(old.path))


def test_the_backup_that_was_killed_is_left_alone_for_a_day_and_then_collected(old, tmp_path):
    before = objects(old)
    (killed,) = (node_path(old) / "records/killed").iterdir()
    old("gc", *NAMES, code=None)
    assert any(killed.stem in key for key in objects(old))
    check_days(old, tmp_path, list(DAYS))
    age(old, 2 * DAY_SECONDS)
    old("gc", *NAMES)
    assert not any(killed.stem in key for key in objects(old))
    assert objects(old) == reached(old) < before
    assert not list(node_path(old).glob("pins/*"))
    check_days(old, tmp_path, list(DAYS))


def test_a_pin_that_was_left_behind_keeps_its_backup_until_it_is_dead(old, tmp_path):
    other = ssfs_reader.Repository(old.path)
    (monday,) = (record for record in other.records() if record["backup"] == "monday")
    kept = other.keys_of(monday)
    old("delete", "monday", *NAMES)
    old("gc", *NAMES, code=None)
    assert kept <= objects(old)
    age(old, 2 * DAY_SECONDS)
    old("gc", *NAMES)
    assert not kept <= objects(old)
    assert objects(old) == reached(old)
    check_days(old, tmp_path, list(DAYS[1:]))


def test_it_is_purged_and_nothing_is_left_but_what_is_reached(old, tmp_path):
    age(old, 2 * DAY_SECONDS)
    answer = old.json("purge", "--keep-last", 1, *NAMES)
    assert sorted(answer["removed_backups"]) == ["monday", "tuesday"] and answer["deleted_objects"] > 0
    assert objects(old) == reached(old)
    check_days(old, tmp_path, ["wednesday"])
    old("show", "monday", *NAMES, code=ABSENT)
    assert old.json("gc", "--full", *NAMES)["deleted_objects"] == 0


def test_backups_purges_and_collections_at_once(old, tmp_path):
    contents = {**made.files("wednesday"), "nb-9-big-Data.db": made.noise(9, 5000)}
    data = made.lay_out(tmp_path / "new", "thursday", contents)
    age(old, 2 * DAY_SECONDS)
    in_threads([lambda: old(*made.arguments(data, "thursday")),
                lambda: old("delete", "monday", "tuesday", *NAMES),
                lambda: old("gc", *NAMES, code=None), lambda: old("gc", "--full", *NAMES, code=None)])
    assert old("gc", *NAMES, code=None).code in (DONE, FOUND)
    ssfs_reader.verify(ssfs_reader.Repository(old.path))
    assert objects(old) >= reached(old)
