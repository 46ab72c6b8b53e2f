# SPDX-License-Identifier: Apache-2.0
"""verify --repair: what is damaged or missing comes back from local files, byte for byte; nothing else is ever written."""

import hashlib
import struct

import pytest

from front import Front, error
from harness import CLUSTER, DONE, FAILED, FOUND, NODE, STORE, USAGE
from trees import MIB, Node, describe_snapshot, describe_tree

STORES = ["directory", "minio", "seaweedfs"]


class Bucket:
    """What lies in a repository, seen from outside."""

    def __init__(self, repository, server=None):
        self.repository, self.server = repository, server
        if server:
            self.client = server.client()
            self.name = repository.url.split("/")[2]

    def keys(self, kind):
        prefix = f"nodes/{CLUSTER}/{NODE}/{kind}/"
        if self.server:
            listed = self.client.list_objects_v2(Bucket=self.name, Prefix=f"some/prefix/{prefix}").get("Contents", [])
            return sorted(item["Key"].removeprefix("some/prefix/") for item in listed)
        return sorted(str(path.relative_to(self.repository.path)) for path in (self.repository.path / prefix).rglob("*") if path.is_file())

    def get(self, key):
        if self.server:
            return self.client.get_object(Bucket=self.name, Key=f"some/prefix/{key}")["Body"].read()
        return (self.repository.path / key).read_bytes()

    def put(self, key, data):
        if self.server:
            self.client.put_object(Bucket=self.name, Key=f"some/prefix/{key}", Body=data)
        else:
            (self.repository.path / key).parent.mkdir(parents=True, exist_ok=True)
            (self.repository.path / key).write_bytes(data)

    def delete(self, key):
        if self.server:
            self.client.delete_object(Bucket=self.name, Key=f"some/prefix/{key}")
        else:
            (self.repository.path / key).unlink()

    def everything(self):
        return {key: self.get(key) for kind in ("objects", "trees", "records", "pins", "condemned") for key in self.keys(kind)}


@pytest.fixture
def bucket(request):
    if request.param == "directory":
        return Bucket(request.getfixturevalue("repository"))
    return Bucket(request.getfixturevalue(request.param), request.getfixturevalue(f"{request.param}_server"))


@pytest.fixture
def node(tmp_path):
    """Own objects, raw and compressed, a tail, packs; a second backup that uses part of the first one's pack."""
    node = Node(tmp_path / "node")
    table = node.table("ks", "t")
    node.write(table, "b1", "nb-1-big-Data.db", node.bytes(9 * MIB + 1000))
    node.write(table, "b1", "nb-2-big-Data.db", node.text(2 * MIB + 1000))
    for i in range(3, 9):
        node.write(table, "b1", f"nb-{i}-big-Index.db", (node.bytes, node.text)[i % 2](3000 + 40_000 * i))
    node.keep(table, "b1", "b2")
    for i in range(3, 6):
        node.path(table, "b2", f"nb-{i}-big-Index.db").unlink()
    node.write(table, "b2", "nb-9-big-Data.db", node.bytes(700_000))
    return node


@pytest.fixture
def stored(bucket, node):
    for tag in ("b1", "b2"):
        bucket.repository.backup(node.data, tag)
    return bucket


def flags(data):
    return struct.unpack("<H", data[10:12])[0]


def frames(data):
    return struct.unpack("<I", data[12:16])[0]


def is_pack(data):
    return not flags(data) & 2


def changed(data, offset):
    copy = bytearray(data)
    copy[offset] ^= 4
    return bytes(copy)


DAMAGE = {
    "a bit of the last frame": lambda data: changed(data, -1),
    "a bit of every frame's neighbourhood": lambda data: data[:24 + 56 * frames(data)] + bytes(b ^ 1 for b in data[24 + 56 * frames(data):]),
    "a bit of the head": lambda data: changed(data, 30),
    "truncated": lambda data: data[:-1000],
    "nothing left but the head": lambda data: data[:24 + 56 * frames(data)],
    "empty": lambda data: b"",
    "garbage": lambda data: hashlib.shake_128(b"x").digest(len(data)),
    "missing": None,
}


def damage(bucket, key, how):
    if how:
        bucket.put(key, how(bucket.get(key)))
    else:
        bucket.delete(key)


def check_restores(bucket, node, tmp_path):
    for tag in ("b1", "b2"):
        bucket.repository("restore", tag, tmp_path / f"out-{tag}")
        assert describe_tree(tmp_path / f"out-{tag}") == describe_snapshot(node.data, tag)


@pytest.mark.parametrize("bucket", STORES, indirect=True)
def test_whatever_happened_to_the_objects_they_come_back_from_the_nodes_files(stored, node, tmp_path):
    good = stored.everything()
    every = stored.keys("objects")
    assert any(is_pack(good[key]) for key in every) and any(flags(good[key]) == 2 for key in every) and any(flags(good[key]) == 3 for key in every)
    for name, how in DAMAGE.items():
        print(name)
        for key in every:
            damage(stored, key, how)
        answer = stored.repository("--json", "verify", "b2", "--repair", "--data-dir", node.data, code=DONE)
        touched = [finding["key"] for finding in answer.json["repaired"]]
        assert touched and not answer.json["damaged"] and not answer.json["missing"]
        for key in every:
            assert key not in touched or stored.get(key) == good[key], "not byte for byte what was there"
        answer = stored.repository("--json", "verify", "--repair", "--data-dir", node.data, code=DONE)
        assert sorted(touched + [finding["key"] for finding in answer.json["repaired"]]) == every
        assert stored.everything() == good
        assert stored.repository.json("verify")["damaged"] == []
    check_restores(stored, node, tmp_path)


@pytest.mark.parametrize("bucket", ["directory"], indirect=True)
def test_what_is_whole_of_a_pack_is_taken_from_the_store_and_only_the_rest_from_files(stored, node, tmp_path):
    """Most of the pack's files are gone from the node; the damaged part is not."""
    good = stored.everything()
    key = max((key for key in stored.keys("objects") if is_pack(good[key])), key=lambda key: frames(good[key]))
    table = node.table("ks", "t")
    stored.put(key, changed(good[key], -1))
    repaired = 0
    for number in range(3, 9):
        for tag in ("b1", "b2"):
            node.path(table, tag, f"nb-{number}-big-Index.db").unlink(missing_ok=True)
        answer = stored.repository("--json", "verify", "--repair", "--data-dir", node.data, code=None)
        if answer.code == FOUND:
            (finding,) = answer.json["damaged"]
            assert "no local file has the content" in finding["not_repaired"]
            break
        repaired += 1
        assert stored.everything() == good
        stored.put(key, changed(good[key], -1))
    assert repaired > 0 and stored.get(key) == changed(good[key], -1)
    assert "not repaired: " in stored.repository("verify", "--repair", "--data-dir", node.data, code=FOUND).out


@pytest.mark.parametrize("bucket", ["directory"], indirect=True)
def test_files_of_the_right_name_and_size_but_other_content_are_never_stored(stored, node):
    good = stored.everything()
    for path in {path.stat().st_ino: path for path in node.data.rglob("*.db")}.values():  # hard links once
        data = path.read_bytes()
        path.write_bytes(changed(data, len(data) // 2))
    for how in (DAMAGE["a bit of every frame's neighbourhood"], DAMAGE["missing"]):
        for key in stored.keys("objects"):
            damage(stored, key, how)
        before = stored.everything()
        answer = stored.repository("--json", "verify", "--repair", "--data-dir", node.data, code=FOUND)
        assert stored.everything() == before
        assert answer.json["repaired"] == [] and all(finding["not_repaired"] for finding in answer.json["damaged"] + answer.json["missing"])
        for key, data in good.items():
            stored.put(key, data)


@pytest.mark.parametrize("bucket", ["directory"], indirect=True)
def test_live_files_under_other_names_serve_as_well(stored, node, tmp_path):
    good = stored.everything()
    for number, path in enumerate(sorted(node.data.rglob("*.db"))):
        path.rename(node.data / f"renamed-{number}")
    for key in stored.keys("objects"):
        stored.delete(key)
    stored.repository("verify", "--repair", "--data-dir", node.data)
    assert stored.everything() == good


@pytest.mark.parametrize("bucket", ["directory"], indirect=True)
def test_a_key_that_awaits_deletion_is_not_written(stored, node):
    good = stored.everything()
    bad = [key for key in stored.keys("objects")][0]
    text = f"condemned 1\n{bad.removeprefix(f'nodes/{CLUSTER}/{NODE}/')}\n"
    stored.put(f"nodes/{CLUSTER}/{NODE}/condemned/01HZZZZZZZZZZZZZZZZZZZZZZZ", f"{text}sha256 {hashlib.sha256(text.encode()).hexdigest()}\n".encode())
    stored.delete(bad)
    answer = stored.repository("--json", "verify", "--repair", "--data-dir", node.data, code=FOUND)
    assert "await deletion" in answer.json["missing"][0]["not_repaired"] and bad not in stored.keys("objects")
    stored.delete(f"nodes/{CLUSTER}/{NODE}/condemned/01HZZZZZZZZZZZZZZZZZZZZZZZ")
    stored.repository("verify", "--repair", "--data-dir", node.data)
    assert stored.everything() == good


@pytest.mark.parametrize("bucket", ["directory"], indirect=True)
def test_trees_and_records_are_named_as_not_repairable(stored, node):
    tree = stored.keys("trees")[0]
    stored.put(tree, changed(stored.get(tree), -1))
    answer = stored.repository("--json", "verify", "--repair", "--data-dir", node.data, code=FOUND)
    assert "run a new backup" in answer.json["damaged"][0]["not_repaired"]


@pytest.mark.parametrize("bucket", ["directory"], indirect=True)
def test_without_local_files_it_says_so_and_changes_nothing(stored, node, tmp_path):
    stored.repository("verify", "--repair", "--data-dir", tmp_path / "nowhere", code=USAGE)  # also where nothing is damaged
    stored.delete(stored.keys("objects")[0])
    before = stored.everything()
    answer = stored.repository("--json", "verify", "--repair", code=FOUND)
    assert "--data-dir" in answer.err and answer.json["missing"][0]["not_repaired"]
    (tmp_path / "empty").mkdir()
    stored.repository("verify", "--repair", "--data-dir", tmp_path / "empty", code=FOUND)
    for path in (tmp_path / "nowhere", __file__):  # said before anything is read
        answer = stored.repository("--json", "verify", "--repair", "--data-dir", path, code=USAGE)
        assert str(path) in answer.json["error"]["message"] and "missing" not in answer.json
    assert stored.everything() == before
    assert "--repair" in stored.repository("verify", "--data-dir", node.data, code=USAGE).err


@pytest.mark.parametrize("bucket", ["directory"], indirect=True)
def test_where_nothing_may_be_written_each_finding_says_so(stored, node):
    bad = stored.keys("objects")[0]
    stored.put(bad, changed(stored.get(bad), -1))
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
    answer = stored.repository("--json", "verify", "--repair", "--data-dir", node.data, code=FOUND,
                               prefix=("unshare", "-m", "sh", "-c", script, "sh", stored.repository.path))
    (finding,) = answer.json["damaged"]
    assert "ead-only" in finding["not_repaired"], finding


def test_objects_that_may_not_be_written_are_each_said_to_be_so(program, minio_server, tmp_path):
    """Objects that are gone. Pins are taken, the objects are refused, and backup after backup is needed: b3, b2, and b3 again."""
    node = Node(tmp_path / "node")
    table = node.table("ks", "t")
    node.write(table, "b1", "nb-1-big-Data.db", node.bytes(MIB))
    node.write(table, "b2", "nb-2-big-Data.db", node.bytes(MIB))
    node.keep(table, "b1", "b3")
    node.write(table, "b3", "nb-3-big-Data.db", node.bytes(MIB))
    program.environment.update(minio_server.environment())
    with Front(minio_server.ports[0]) as front:
        repository = program.repository(minio_server.url(minio_server.make_bucket(), "some/prefix", endpoint=front.endpoint)).init()
        bucket = Bucket(repository, minio_server)
        for tag in ("b1", "b2", "b3"):
            repository.backup(node.data, tag)
        repository("delete", "b1")
        whole = {key: bucket.get(key) for key in bucket.keys("objects")}
        for key in whole:
            bucket.delete(key)
        front.rules.append(lambda r: error(403, "AccessDenied") if r.method == "PUT" and "/objects/" in r.path else None)
        answer = repository("--json", "verify", "--repair", "--data-dir", node.data, code=FOUND).json
        assert [f["key"] for f in answer["missing"]] == sorted(whole)
        assert all("AccessDenied" in f["not_repaired"] and f["key"] in f["not_repaired"] for f in answer["missing"]), answer
        front.rules.clear()
        assert len(repository.json("verify", "--repair", "--data-dir", node.data)["repaired"]) == len(whole) == 3
        assert {key: bucket.get(key) for key in bucket.keys("objects")} == whole and bucket.keys("pins") == []


def test_a_repair_that_fails_takes_nothing_from_what_was_found(program, minio_server, tmp_path):
    """Hours of reading, and then the store takes no object any more."""
    node = Node(tmp_path / "node")
    node.write(node.table("ks", "t"), "b1", "nb-1-big-Data.db", node.bytes(MIB))
    program.environment.update(minio_server.environment())
    with Front(minio_server.ports[0]) as front:
        repository = program.repository(minio_server.url(minio_server.make_bucket(), "some/prefix", endpoint=front.endpoint)).init()
        bucket = Bucket(repository, minio_server)
        repository.backup(node.data, "b1")
        (key,) = bucket.keys("objects")
        bucket.delete(key)
        front.rules.append(lambda r: error(400, "EntityTooLarge") if r.method == "PUT" and "/objects/" in r.path else None)
        words = ("verify", "--repair", "--data-dir", node.data)
        answer = repository("--json", *words, code=None)
        assert answer.code in (FAILED, STORE) and "EntityTooLarge" in answer.json["error"]["message"]
        assert [f["key"] for f in answer.json["missing"]] == [key] and answer.json["missing"][0]["files"]
        answer = repository(*words, code=answer.code)
        assert f"missing: {key}" in answer.out and "EntityTooLarge" in answer.err
        front.rules.clear()
        repository(*words)
