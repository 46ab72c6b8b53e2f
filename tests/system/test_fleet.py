# SPDX-License-Identifier: Apache-2.0
"""list of many records: little memory, nothing read twice, and what is kept of them is never believed where it is wrong."""

import json
import os
import re
import shutil
import subprocess

import pytest

from fleet import Fleet
from front import Front, error
from harness import ABSENT, FAILED, FOUND, LONG, STORE, USAGE
from reachable import Bucket
from test_memory import finish, release, release_binary  # noqa: F401  (fixtures)
from trees import flip, reseal

MEMORY = 64  # MiB; what the records of this fleet take when they are all held is twice that
FORMAT_PACKS = 32768  # of a record at most
LARGE_MEMORY = 192
NODES, BACKUPS = (200, 60) if LONG else (25, 20)


@pytest.fixture
def records(program):
    """(repository of 3 nodes with 4 backups each, its Fleet)"""
    repository = program.repository()
    return repository, Fleet(repository.path).fill(3, 4)


def read(repository, *words, code=0):
    """How many records had to be read."""
    answer = repository("-v", "list", *words, code=code)
    return int(re.search(r"of which (\d+) had to be read", answer.err)[1])


def kept(program):
    (path,) = program.cache.glob("survey-*")
    return path


def test_memory_does_not_grow_with_what_the_records_hold(release):  # noqa: F811
    repository = release.repository()
    Fleet(repository.path).fill(NODES, BACKUPS, peers=1000)
    for words in (["list"], ["list"], ["--json", "list", "--cached"], ["purge", "--dry-run", "--keep-last", "3"], ["--json", "purge", "--dry-run", "--keep-last", "3"]):
        peak = finish(repository.start(*words))
        print(f"{' '.join(words)}: {peak.memory:.1f} MiB")
        assert peak.memory < MEMORY, words
    # Their trees do not exist, so each node has a finding.
    peak = finish(repository.start("verify"), code=FOUND)
    print(f"verify: {peak.memory:.1f} MiB")
    assert peak.memory < MEMORY


def test_memory_does_not_grow_with_how_large_records_are_that_are_removed_at_once(release):  # noqa: F811
    """Records of large nodes, of some MiB each: sixteen of them at once were more than the whole of memory=."""
    repository = release.repository()
    Fleet(repository.path).fill(1, 20, packs=FORMAT_PACKS)
    peak = finish(repository.start("delete", *(f"daily-202601{day:02}" for day in range(1, 20))))
    print(f"delete: {peak.memory:.1f} MiB")
    assert peak.memory < LARGE_MEMORY
    Fleet(repository.path).fill(1, 20, cluster="c2", packs=FORMAT_PACKS)
    peak = finish(repository.start("purge", "--cluster", "c2", "--keep-last", "1"))
    print(f"purge: {peak.memory:.1f} MiB")
    assert peak.memory < LARGE_MEMORY


def test_a_record_is_read_again_only_where_it_changed(records, program):
    repository, fleet = records
    assert read(repository) == 12 and read(repository) == 0
    path = fleet.record("node0001", "more", None)
    assert read(repository) == 1
    reseal(path, state="DELETED")
    assert read(repository) == 1 and read(repository) == 0
    shutil.rmtree(repository.path / "nodes/c1/node0002")
    assert read(repository) == 0
    assert {n["node"] for b in repository.json("list")["backups"] for n in b["nodes"]} == {"node0000", "node0001"}
    # Parts are kept beside each other.
    kept(program).unlink()
    assert read(repository, "--node", "node0000") == 4 and read(repository, "--node", "node0001") == 5
    assert read(repository, "--node", "node0000") == 0 and read(repository) == 0


def test_the_local_view_is_what_the_last_whole_list_saw(records, program):
    repository, fleet = records
    repository("list", "--cached", code=ABSENT)
    repository("list", "--node", "node0000")
    repository("list", "--cached", code=ABSENT)
    whole = repository.json("list")
    cached = repository.json("list", "--cached")
    assert cached.pop("as_of") and cached == whole
    assert [b["name"] for b in whole["backups"]] == [f"daily-2026010{d}" for d in (4, 3, 2, 1)]
    shutil.rmtree(repository.path)
    assert repository.json("list", "--cached")["backups"] == whole["backups"]
    assert "as of" in repository("list", "--cached").out
    assert repository.json("list", "--cached", "--cluster", "c2")["backups"] == []
    repository("list", "--cached", "--node", "node0000", code=USAGE)


def test_what_is_kept_is_not_believed_where_it_is_damaged_or_of_another_repository(records, program):
    repository, fleet = records
    whole = repository.json("list")
    path = kept(program)
    good = path.read_bytes()
    for damage in (lambda: flip(path, 20), lambda: flip(path, len(good) // 2), lambda: flip(path, len(good) - 1), lambda: path.write_bytes(good[:-1]),
                   lambda: path.write_bytes(b""), lambda: path.write_bytes(good + b"x"), lambda: path.write_bytes(good[:100] + bytes(len(good) - 100))):
        path.write_bytes(good)
        damage()
        repository("list", "--cached", code=ABSENT)
        assert read(repository) == 12 and repository.json("list") == whole
    path.write_bytes(good)
    description = json.loads((repository.path / "repository.json").read_text())
    reseal(repository.path / "repository.json", id=description["id"][::-1])
    assert read(repository) == 12


def test_a_damaged_record_is_named_and_the_others_are_listed(records):
    repository, fleet = records
    path = fleet.record("node0001", "broken", None)
    flip(path, 30)
    assert read(repository, code=FOUND) == 13
    assert read(repository, code=FOUND) == 1  # it is looked at again each time
    answer = repository("--json", "list", code=FOUND)
    assert path.name in answer.err and len(answer.json["backups"]) == 4


@pytest.mark.parametrize("words", [("list",), ("list", "--cached"), ("gc", "--dry-run"), ("gc",), ("purge", "--keep-last", "9"), ("purge", "--keep-last", "9", "--dry-run"),
                                   ("verify", "--sample", "1"), ("--json", "list")], ids=" ".join)
def test_a_result_that_cannot_be_written_is_a_failure(records, program, words):
    """A report on a disk that is full, or cut off: whoever looks at the exit code only would take it for whole."""
    repository, fleet = records
    repository("list")
    whole = subprocess.run([program.binary, "-r", repository.url, *words], env=program.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    assert whole.stdout
    with open("/dev/full", "wb") as full:
        done = subprocess.run([program.binary, "-r", repository.url, *words], env=program.environment, stdin=subprocess.DEVNULL, stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == FAILED and "cannot write the result" in done.stderr, (done.returncode, done.stderr)
    # Whoever closes a pipe has read enough.
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run([program.binary, "-r", repository.url, *[w for w in words if w != "--json"]], env=program.environment, stdin=subprocess.DEVNULL,
                          stdout=write_end, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(write_end)
    assert "cannot write" not in done.stderr, done.stderr


def test_what_was_not_tried_is_counted_and_not_listed(program, minio_server):
    """A store that takes no record any more: one line for what is left of a fleet."""
    program.environment.update(minio_server.environment())
    with Front(minio_server.ports[0]) as front:
        bucket = minio_server.make_bucket()
        repository = program.repository(minio_server.url(bucket, endpoint=front.endpoint)).init()
        local = program.repository()
        Fleet(local.path).fill(3, 4)
        store = Bucket(repository)
        for path in local.path.glob("nodes/**/*.json"):
            store.put(str(path.relative_to(local.path)), path.read_bytes())
        front.rules.append(lambda r: error(403, "AccessDenied") if r.method == "PUT" and "/records/" in r.path else None)
        answer = repository("purge", "--keep-last", "1", "--connections", "1", code=STORE)
        assert "8 removals were not tried" in answer.err and answer.err.count("was not removed") == 1, answer.err
        assert len(answer.err.splitlines()) == 3
