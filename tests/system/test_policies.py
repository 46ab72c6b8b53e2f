# SPDX-License-Identifier: Apache-2.0
"""The policies of docs/store.md, as they stand there, enforced by MinIO: what works with each, and what is said of the rest."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from fake_aws import temporary_credentials
from front import Front
from harness import CLUSTER, DONE, FOUND, NODE, STORE, is_sentence
from trees import MIB, describe_snapshot, describe_tree

PAGE = Path(__file__).parents[2] / "docs/store.md"
WHERE = ("--cluster", CLUSTER, "--node", NODE)


def policy(name, bucket):
    """A policy of the page, for a bucket and the node of the tests."""
    text = re.search(rf"^```json policy={name}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)[1]
    for word, value in (("BUCKET", bucket), ("PREFIX", "p"), ("CLUSTER", CLUSTER), ("NODE", NODE)):
        text = re.sub(rf"\b{word}\b", value, text)
    json.loads(text)
    return text


class Place:
    """A repository with backups of two nodes, and how it is reached with fewer rights."""

    def __init__(self, program, server, front, node):
        self.program, self.server, self.front, self.node = program, server, front, node
        self.bucket = server.make_bucket()
        self.url = server.url(self.bucket, "p", endpoint=front.endpoint)
        program.environment.update(server.environment())
        self.all = program.repository(self.url).init()
        self.all.backup(node.data, "t1", "b1")
        self.all.backup(node.data, "t1", "b1", node="n2")

    def restrict(self, name):
        """From now on the program has no more rights than these. What it wrote is counted from here."""
        credentials = temporary_credentials(self.server, policy(name, self.bucket))
        self.program.environment.update(AWS_ACCESS_KEY_ID=credentials["AccessKeyId"], AWS_SECRET_ACCESS_KEY=credentials["SecretAccessKey"],
                                        AWS_SESSION_TOKEN=credentials["SessionToken"])
        subprocess.run(["rm", "-rf", self.program.cache], check=True)
        self.front.requests.clear()
        return self.program.repository(self.url)

    def written(self):
        return [f"{r.method} {r.path}" for r in self.front.requests if r.method in ("PUT", "DELETE", "POST")]


@pytest.fixture
def place(program, minio_server, small_node):
    small_node.write(small_node.table("shop", "carts"), "t1", "nb-1-big-Data.db", small_node.bytes(MIB))
    with Front(minio_server.ports[0]) as front:
        yield Place(program, minio_server, front, small_node)


def expect_readable(repository, node, name, *mount_options):
    """Everything that reads."""
    expected = describe_snapshot(node.data, "t1")
    assert name in [b["name"] for b in repository.json("list", *WHERE)["backups"]]
    assert repository("show", name, *WHERE).code == DONE
    out = repository.program.directory / f"out-{name}"
    assert repository("restore", name, out, *WHERE).code == DONE
    assert describe_tree(out) == expected
    assert repository("verify", name, *WHERE).code == DONE
    assert repository("verify", *WHERE).code == DONE  # with no name: pins, lists and what no backup needs are looked at too
    with repository.mount(*mount_options) as mount:
        assert describe_tree(mount.data(name)) == expected


def test_credentials_of_a_node_are_enough_for_all_that_concerns_it(place):
    repository = place.restrict("node")
    repository.backup(place.node.data, "t1", "b2")
    expect_readable(repository, place.node, "b2", f"cluster={CLUSTER}", f"node={NODE}")
    assert repository("diff", "b1", "b2", *WHERE).code == DONE
    assert repository("delete", "b1", *WHERE).code == DONE
    assert repository("gc", *WHERE).code in (DONE, FOUND)
    assert repository("gc", "--full", *WHERE).code in (DONE, FOUND)
    repository.backup(place.node.data, "t1", "b3")
    assert repository("purge", "--keep-last", "2", *WHERE).code in (DONE, FOUND)
    assert repository("verify", "b2", *WHERE).code == DONE


def test_credentials_of_a_node_reach_no_other_node(place):
    repository = place.restrict("node")
    other = ("--cluster", CLUSTER, "--node", "n2")
    for words in (("list", *other), ("restore", "b1", place.program.directory / "out", *other), ("verify", "b1", *other), ("gc", *other),
                  repository.backup_arguments(place.node.data, "t1", "b9", node="n2")):
        answer = repository(*words, code=STORE)
        assert "denies access" in answer.err and is_sentence(answer.err), answer.err


def test_without_delete_all_but_gc_works_and_gc_says_what_it_needs(place):
    repository = place.restrict("node-without-delete")
    repository.backup(place.node.data, "t1", "b2")
    expect_readable(repository, place.node, "b2", f"cluster={CLUSTER}", f"node={NODE}")
    assert repository("delete", "b1", *WHERE).code == DONE
    answer = repository("gc", *WHERE, code=None)
    assert answer.code in (1, STORE) and is_sentence(answer.err) and "delete" in answer.err.lower(), answer
    assert repository("verify", "b2", *WHERE).code == DONE


def test_a_reader_reads_everything_and_writes_nothing(place):
    repository = place.restrict("reader")
    expect_readable(repository, place.node, "b1")
    assert {(b["name"], n["node"]) for b in repository.json("list")["backups"] for n in b["nodes"]} == {("b1", NODE), ("b1", "n2")}
    assert repository("verify").code == DONE
    assert [w for w in place.written() if "/pins/" not in w] == []
    answer = repository(*repository.backup_arguments(place.node.data, "t1", "b2"), code=STORE)
    assert "denies access" in answer.err and is_sentence(answer.err)
