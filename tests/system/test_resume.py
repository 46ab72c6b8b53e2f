# SPDX-License-Identifier: Apache-2.0
"""A backup that was killed is continued: what was stored is not sent again, counted at the server; and two backups of one node at once."""

import os
import random
import re
import shutil
import signal
import threading

import pytest

from front import DROP, Front, error
from harness import CLUSTER, DONE, FAILED, LONG, NODE, STORE, in_threads, is_sentence, wait_until
from trees import MIB, Node, describe_snapshot, describe_tree, flip

PACKS = 10 if LONG else 5
SEED = os.environ.get("SSTABLEFS_SEED", "1")


def is_data(request):
    return request.method == "PUT" and "/objects/" in request.path


def is_record(request):
    return request.method == "PUT" and "/records/" in request.path


class Killer:
    """A rule of a Front: kills the process at the n-th request of a kind, before that is passed on, or after it was carried out."""

    def __init__(self, kind, number, after=False):
        self.kind, self.number, self.after = kind, number, after
        self.seen, self.process, self.started, self.done = 0, None, threading.Event(), False

    def kill(self):
        assert self.started.wait(60)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.done = True
        return DROP

    def __call__(self, request):
        if self.done:
            return DROP if self.process.poll() is None else None
        if not self.kind(request):
            return None
        self.seen += 1
        if self.seen < self.number:
            return None
        return (lambda answer: self.kill()) if self.after else self.kill()

    def run(self, repository, *arguments):
        """Starts the backup and waits for its end."""
        self.process = repository.start(*arguments)
        self.started.set()
        self.process.communicate(timeout=120)
        assert self.done and self.process.returncode == -signal.SIGKILL


@pytest.fixture
def front(minio_server):
    with Front(minio_server.ports[0]) as front:
        yield front


@pytest.fixture
def store(program, minio_server, front):
    """An empty repository on MinIO behind the front."""
    program.environment.update(minio_server.environment())
    return program.repository(minio_server.url(minio_server.make_bucket(), "p", endpoint=front.endpoint)).init()


def sent(front):
    """The bytes of data that were sent since the last call."""
    with front.lock:
        total = sum(len(request.body) for request in front.requests if is_data(request))
        front.requests.clear()
    return total


def arguments(repository, node, tag, name, *more):
    return [*repository.backup_arguments(node.data, tag, name), "--connections", "2", *more]


def unnamed(words):
    at = words.index("--name")
    return words[:at] + words[at + 2:]


def restored(repository, name):
    out = repository.program.directory / "out"
    repository("restore", name, out)
    found = describe_tree(out)
    shutil.rmtree(out)
    return found


def large_files(node, tag):
    for i in range(32):
        node.write(node.table("ks", "t"), tag, f"nb-{i:03}-big-Data.db", node.bytes(3 * MIB // 2))


def small_files(node, tag):
    """Packs of 2,048 files, some 1.6 MB each."""
    for i in range(PACKS * 2048):
        node.write(node.table("ks", f"t{i // 4000}"), tag, f"nb-{i:05}-big-Index.db", node.bytes(600 + i % 400))


# How they are made, how many objects they are, and the largest of them.
KINDS = {"large files": (large_files, 32, 3 * MIB // 2 + 1000), "many small files": (small_files, PACKS, 2048 * (1000 + 56))}


@pytest.mark.parametrize("kind", KINDS)
def test_a_backup_killed_at_nine_tenths_sends_the_last_tenth(program, store, front, tmp_path, kind):
    make, objects, largest = KINDS[kind]
    node = Node(tmp_path / "node")
    make(node, "t1")
    killer = Killer(is_data, objects * 9 // 10 + 1)
    front.rules.append(killer)
    killer.run(store, *arguments(store, node, "t1", "b"))
    total = sum(size for _, size, *_ in describe_snapshot(node.data, "t1").values())
    sent(front)
    answer = store("--json", *arguments(store, node, "t1", "b"))
    again = sent(front)
    print(f"{kind}: {total} bytes, {again} sent by the second run")
    assert again <= total * (1 - objects * 9 // 10 / objects) + 2 * largest
    assert answer.json["resumed"] and answer.json["new_bytes"] == total
    assert answer.json["resumed_bytes"] >= total * (objects * 9 // 10 / objects) - 2 * largest
    assert "continuing backup b" in answer.err
    assert restored(store, "b") == describe_snapshot(node.data, "t1")
    assert store.json("verify")["damaged"] == []


def test_a_backup_that_the_store_ended_is_continued(store, front, small_node):
    """Credentials that ran out, a bucket that is full: what was stored until then is not thrown away."""
    for i in range(8):
        small_node.write(small_node.table("shop", "big"), "t1", f"nb-{i}-big-Data.db", small_node.bytes(3 * MIB // 2))
    seen = []

    def refuse(request):
        seen.extend([request.path] if is_data(request) else [])
        return error(403, "AccessDenied") if is_data(request) and len(seen) > 6 else None

    front.rules.append(refuse)
    answer = store(*arguments(store, small_node, "t1", "b"), code=STORE)
    assert "run it again, and it is continued" in answer.err
    front.rules.clear()
    sent(front)
    answer = store("--json", *unnamed(arguments(store, small_node, "t1", "b")))
    assert answer.json["resumed"] and answer.json["name"] == "b" and answer.json["resumed_bytes"] >= 3 * MIB
    assert sent(front) < 8 * (3 * MIB // 2)
    assert restored(store, "b") == describe_snapshot(small_node.data, "t1")


@pytest.mark.parametrize("kind", KINDS)
def test_with_a_fresh_snapshot_what_is_the_same_is_not_sent_again(program, store, front, tmp_path, kind):
    make, objects, largest = KINDS[kind]
    node = Node(tmp_path / "node")
    make(node, "t1")
    killer = Killer(is_data, objects * 9 // 10 + 1)
    front.rules.append(killer)
    killer.run(store, *unnamed(arguments(store, node, "t1", "b")))
    total = sum(size for _, size, *_ in describe_snapshot(node.data, "t1").values())
    tables = {path.rsplit("/", 1)[0] for path in describe_snapshot(node.data, "t1")}
    for table in tables:
        node.keep(table, "t1", "t2")
        sstables = sorted(os.listdir(node.path(table, "t2", "")))
        os.unlink(node.path(table, "t2", sstables[0]))
        node.write(table, "t2", sstables[1], node.bytes(700))
        node.write(table, "t2", "nb-00000-big-Summary.db", node.bytes(50_000))
    sent(front)
    answer = store("--json", *unnamed(arguments(store, node, "t2", "b")))
    again = sent(front)
    print(f"{kind}: {total} bytes, {again} sent by the second run")
    assert again <= total * (1 - objects * 9 // 10 / objects) + 2 * largest + len(tables) * 51_000
    name = answer.json["name"]
    assert re.search(f"continuing backup {name}, which was begun at .* and interrupted", answer.err)
    assert [b["name"] for b in store.json("list")["backups"] if b["complete"]] == [name]
    assert restored(store, name) == describe_snapshot(node.data, "t2")


MOMENTS = {"before the first write": (is_record, 1, False), "between the first write and the listing of the name": (is_record, 1, True),
           "before an upload": (is_data, 2, False), "after an upload": (is_data, 2, True),
           "before the commit": (is_record, 2, False), "after the commit": (is_record, 2, True)}


@pytest.mark.parametrize("moment", MOMENTS)
def test_wherever_it_is_killed_the_next_run_ends_with_the_backup(program, store, front, tmp_path, moment):
    node = Node(tmp_path / "node")
    for i in range(4):
        node.write(node.table("ks", "t"), "t1", f"nb-{i}-big-Data.db", node.bytes(MIB + 1000 * i))
    kind, number, after = MOMENTS[moment]
    for twice in range(2):  # the run that continues it may be killed as well
        killer = Killer(kind, number if not twice else 1, after)
        front.rules[:] = [killer]
        if twice and moment == "after the commit":
            break
        killer.run(store, *arguments(store, node, "t1", "b"))
    front.rules.clear()
    sent(front)
    answer = store("--json", *arguments(store, node, "t1", "b", "--once"))
    if moment == "after the commit":
        assert answer.json["state"] == "exists"
    else:
        assert answer.json["state"] == "committed"
    assert restored(store, "b") == describe_snapshot(node.data, "t1")
    assert store("verify").code == DONE


def test_without_local_state_it_is_refused_as_long_as_it_may_live(program, store, front, tmp_path):
    node = Node(tmp_path / "node").fill_small("t1")
    killer = Killer(is_record, 2)
    front.rules.append(killer)
    killer.run(store, *arguments(store, node, "t1", "b"))
    shutil.rmtree(program.cache)
    answer = store(*arguments(store, node, "t1", "b"), code=FAILED)
    assert "backup b of node n1 is being written by another process" in answer.err and is_sentence(answer.err)
    front.ahead_seconds = 3600  # the store's clock; MinIO says when the record was written
    assert "continuing backup b" in store(*arguments(store, node, "t1", "b")).err
    assert restored(store, "b") == describe_snapshot(node.data, "t1")


# ---- two at once ----

@pytest.fixture
def two_trees(tmp_path):
    node = Node(tmp_path / "two")
    node.fill_small("t1")
    node.write(node.table("shop", "carts"), "t1", "nb-1-big-Data.db", node.bytes(2 * MIB))
    node.keep(node.table("shop", "carts"), "t1", "t2")
    node.write(node.table("shop", "carts"), "t2", "nb-2-big-Data.db", node.bytes(MIB + 1))
    return node


def test_two_backups_of_a_node_under_different_names_are_both_right(any_repository, two_trees):
    for number in range(20 if LONG else 4):
        in_threads([lambda t=t: any_repository.backup(two_trees.data, t, f"{t}-{number}") for t in ("t1", "t2")])
    for number in range(number + 1):
        for tag in ("t1", "t2"):
            assert restored(any_repository, f"{tag}-{number}") == describe_snapshot(two_trees.data, tag)
    assert any_repository.json("verify")["damaged"] == []


def test_of_two_backups_under_one_name_at_most_one_is_made(any_repository, two_trees):
    chance, made = random.Random(SEED), 0
    for number in range(60 if LONG else 8):
        name = f"b{number}"
        many = chance.choice((2, 2, 3))
        caches = [{**any_repository.environment, "SSTABLEFS_CACHE_DIR": str(any_repository.program.directory / f"cache{i}")}
                  for i in range(many)] if chance.random() < 0.5 else [any_repository.environment] * many
        answers = in_threads([lambda e=e: any_repository(*any_repository.backup_arguments(two_trees.data, "t1", name), code=None, environment=e)
                              for e in caches])
        done = [a for a in answers if a.code == DONE]
        assert len(done) <= 1, f"SSTABLEFS_SEED={SEED}"
        for answer in answers:
            assert answer.code in (DONE, FAILED) and (answer.code == DONE or is_sentence(answer.err)), answer
            assert answer.code == DONE or "is being written by another process" in answer.err or "exists already" in answer.err, answer.err
        listed = [b for b in any_repository.json("list")["backups"] if b["name"] == name and b["complete"]]
        assert len(listed) == len(done)
        made += len(done)
        if not done:
            any_repository.backup(two_trees.data, "t1", name)
    print(f"one was made in {made} of {number + 1} rounds")
    assert any_repository.json("verify")["damaged"] == []


def test_one_that_runs_is_not_disturbed_by_another_that_wants_its_name(repository, tmp_path):
    node = Node(tmp_path / "node")
    for i in range(8):
        node.write(node.table("ks", "t"), "t1", f"nb-{i}-big-Data.db", node.bytes(MIB))
    words = repository.backup_arguments(node.data, "t1", "b")
    first = repository.start(*words, "--limit-rate", "2M", "--connections", "1")
    records = repository.path / f"nodes/{CLUSTER}/{NODE}/records/b"
    wait_until(lambda: records.exists() and os.listdir(records), 30, "the record")
    for _ in range(3):
        answer = repository(*words, code=FAILED)
        assert "is being written by another process" in answer.err
    first.communicate(timeout=120)
    assert first.returncode == DONE
    assert len(os.listdir(records)) == 1, "who is refused writes nothing"


# ---- restore ----

def test_a_restore_goes_by_content_and_not_by_size_or_date(repository, small_node):
    repository.backup(small_node.data, "t1")
    out = repository.program.directory / "out"
    repository("restore", "t1", out)
    expected = describe_tree(out)
    victim = next(out.rglob("nb-1-big-Data.db"))
    flip(victim, 200_000)
    found = describe_tree(out)
    assert [a[1:] for a in found.values()] == [a[1:] for a in expected.values()], "size, mode, owner and date tell nothing"
    answer = repository("restore", "t1", out, code=FAILED)
    assert str(victim) in answer.err and is_sentence(answer.err)
    assert describe_tree(out) == found, "what may be somebody's is not replaced unasked"
    assert repository.json("restore", "--overwrite", "t1", out)["files_kept"] == len(expected) - 1
    assert describe_tree(out) == expected
