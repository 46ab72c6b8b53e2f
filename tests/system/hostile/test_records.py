# SPDX-License-Identifier: Apache-2.0
"""Records and repository.json that are sealed, and lie."""

import json

import pytest

from forge import Directory, File, Forge
from harness import DONE, FAILED, FOUND, LONG, USAGE, Program, is_sentence

SECONDS = 60


def good_root(forge):
    return forge.tree(Directory(children={b"data": Directory(children={b"ks": Directory(children={b"t": Directory(files=[File(b"f")])})})}))


def changed(**members):
    return lambda forge, name: forge.record(name, good_root(forge), **members)


def text(make):
    """The text of a sealed record is `make(text)` of a good one."""
    def function(forge, name):
        key = forge.record_key(name)
        forge.put(key, forge.seal(make(json.dumps(forge.record_document(name, good_root(forge)), indent=1).removesuffix("\n}") + ",\n").encode()))
        return key
    return function


def elsewhere(cluster="c1", node="n1", backup=None):
    """A good record, under the key of something else."""
    def function(forge, name):
        document = forge.record_document(name, good_root(forge), cluster=cluster, node=node, backup=backup or name)
        forge.put(forge.record_key(name), forge.seal(document))
        return forge.record_key(name)
    return function


def times(**values):
    return changed(times={"started": "2026-11-22T11:53:08Z", "store": "2026-11-22T11:53:08Z", **values})


def root(**values):
    def function(forge, name):
        place = forge.record_document(name, good_root(forge))["root"]
        return forge.record(name, good_root(forge), root={**place, **values})
    return function


# What each does to its record: all of them hide that backup, and name the record.
RECORDS = {
    "of-another-cluster": elsewhere(cluster="c2"), "of-another-node": elsewhere(node="n2"), "of-another-name": elsewhere(backup="good"),
    "of-another-writer": changed(writer="01JD8ZP4V7Q3K5N2M9R6T8W0XZ"),
    "state-nonsense": changed(state="EXCELLENT"), "state-number": changed(state=1), "state-null": changed(state=None),
    "sequence-negative": changed(sequence=-1), "sequence-2-64": text(lambda t: t.replace('"sequence": 2', '"sequence": 18446744073709551616')),
    "sequence-float": changed(sequence=2.5), "sequence-1e400": text(lambda t: t.replace('"sequence": 2', '"sequence": 1e400')),
    "bytes-negative": changed(bytes=-1), "nonce-short": changed(nonce="abc"), "type-repository": changed(type="repository"),
    "nul-in-a-string": changed(cluster_original="a\0b"), "names-that-climb": changed(cluster="../.."),
    "duplicate-members": text(lambda t: t.replace('"sequence": 2', '"sequence": 2, "sequence": 3')),
    "too-deep": changed(more=eval("[" * 40 + "]" * 40)), "a-million-levels": text(lambda t: t + '"x": ' + "[" * 1_000_000 + "]" * 1_000_000 + ",\n"),
    "zeros": text(lambda t: t + '"x": [' + "0," * 3_500_000 + "0],\n"),
    "empty-objects": text(lambda t: t + '"x": [' + "{}," * 2_500_000 + "{}],\n"),
    "too-long": text(lambda t: t + '"x": "' + "x" * (9 << 20) + '",\n'),
    "times-in-the-year-10-9": times(finished="1000000000-01-01T00:00:00Z"), "times-in-9999": times(store="9999-12-31T23:59:59Z"),
    "times-before-1970": times(store="1960-01-01T00:00:00Z", finished="1960-01-01T00:00:00Z"), "times-that-are-none": times(finished="2026-13-45T99:99:99Z"), "no-root": lambda forge, name: forge.record(name, None, files=0, bytes=0, directories=0),
    "root-offset-2-63": root(offset=2**63 - 1), "root-length-0": root(length=0), "root-beyond": root(length=2**31),
    "root-object-of-4-GiB": root(plain_bytes=2**32), "root-head-of-4-GiB": root(head_bytes=2**32 - 1), "root-digest-short": root(digest="00"),
    "packs-out-of-order": changed(packs=[{"writer": "01JD8ZP4V7Q3K5N2M9R6T8W0XZ", "object": d * 64, "used_bytes": 1, "plain_bytes": 1} for d in "ba"]),
    "packs-used-beyond": changed(packs=[{"writer": "01JD8ZP4V7Q3K5N2M9R6T8W0XZ", "object": "a" * 64, "used_bytes": 2**40, "plain_bytes": 1}]),
    "too-many-tokens": changed(host={"tokens": ["0"] * 9000}), "tokens-that-are-objects": changed(host={"tokens": [{}]}),
    "owners-of-2-33": changed(users=[{"id": 2**33, "name": "root"}]),
}
FINE = {
    "text-that-forges": changed(cluster_original="x\n\x1b[2J", host={"host_id": "\x1b[31m", "address": "a\nb", "tokens": []},
                                cassandra={"version": "4\n\u009b", "sstable_versions": ["\r", "nb"], "id_kinds": ["\x07"]}),
    "an-owner-called-root": changed(users=[{"id": 4711, "name": "root"}]),
    "newest-of-all": times(store="2260-01-01T00:00:00Z"),
}


@pytest.fixture(scope="module")
def repository(binary, tmp_path_factory):
    program = Program(binary, tmp_path_factory.mktemp("records") / "p")
    forge = Forge(program.directory / "repository").repository()
    forge.good()
    for name, make in {**RECORDS, **FINE}.items():
        make(forge, name)
    return program.repository(program.directory / "repository")


def test_a_record_that_lies_hides_its_own_backup(repository):
    answer = repository("--json", "list", code=FOUND, timeout=SECONDS)
    shown = {b["name"] for b in answer.json["backups"]}
    assert shown == {"good", *FINE}
    for name in RECORDS:
        assert f"/records/{name}/" in answer.err, name
    assert all(line.isprintable() for line in answer.err.splitlines())


@pytest.mark.parametrize("name", RECORDS if LONG else ["of-another-node", "zeros", "root-beyond", "too-deep"])
def test_what_it_hides_cannot_be_restored(repository, tmp_path, name):
    answer = repository("restore", name, tmp_path / "out", code=FAILED, timeout=SECONDS)
    assert f"/records/{name}/" in answer.err and is_sentence(answer.err)
    assert not (tmp_path / "out").exists()
    for command in (["show", name], ["diff", name, "good"]):
        assert repository(*command, code=FAILED, timeout=SECONDS).err.startswith("sstablefs: ")


def test_a_mount_shows_the_others(repository, tmp_path):
    with repository.mount("memory=64M", f"cache_dir={tmp_path}/cache", "cache_size=128M") as mount:
        names = set(p.name for p in mount.node().iterdir())
        assert names == {"good", *FINE, "objects", "latest"}
        assert (mount.node() / "latest").readlink().name == "newest-of-all"
        assert next((mount.node() / "good").rglob("nb-1-big-Data.db")).read_bytes() == b"good bytes"


def test_free_text_cannot_forge_lines(repository):
    for name in FINE:
        out = repository("show", name).out
        assert all(line.isprintable() for line in out.split("\n")), repr(out)
        assert repository("--json", "show", name).json["nodes"][0]["state"] == "committed"


def test_one_name_by_two_writers_is_the_newer_one(program, tmp_path):
    forge = Forge(program.directory / "twice").repository()
    forge.good("b", b"older")
    forge.writer = bytes([1]) + bytes(15)
    forge.backup("b", Directory(files=[File(b"nb-1-big-Data.db", b"newer")]), times={"store": "2026-11-23T00:00:00Z"})
    repository = program.repository(program.directory / "twice")
    repository("restore", "b", tmp_path / "out")
    assert next((tmp_path / "out").rglob("nb-1-big-Data.db")).read_bytes() == b"newer"
    with repository.mount() as mount:
        assert [p.name for p in mount.node().iterdir()].count("b") == 1
    repository("list")


@pytest.mark.parametrize("members, code", [
    ({"format": 2}, USAGE), ({"format": -1}, FAILED), ({"format": "1"}, FAILED), ({"encryption": "rot13"}, USAGE), ({"id": "short"}, FAILED),
    ({"id": "../../../../etc/passwd0123456789"}, FAILED), ({"features": {"read": ["time-travel"], "write": [], "collect": []}}, USAGE),
    ({"features": {"read": ["x"] * 100}}, FAILED), ({"features": 1}, FAILED), ({"type": "backup"}, FAILED), ({"compression": "\x1b[2J"}, None),
    ({"more": [0] * 30_000}, None)])
def test_a_hostile_repository_json_is_refused(program, tmp_path, members, code):
    forge = Forge(program.directory / "repository").repository(**members)
    forge.good()
    repository = program.repository(program.directory / "repository")
    (tmp_path / "mnt").mkdir()
    for command in (["list"], ["restore", "good", tmp_path / "out"], ["mount", tmp_path / "mnt"], ["verify"]):
        answer = repository(*command, code=None, timeout=SECONDS)
        if command[0] == "mount" and answer.code == DONE:
            program("umount", tmp_path / "mnt")
        assert code in (None, answer.code), answer
        assert answer.err.rstrip("\n").isprintable(), repr(answer.err)
        assert answer.code == DONE or "repository.json" in answer.err or "repository" in answer.err


def test_many_records(program):
    """50,000 of a node with SSTABLEFS_LONG, as many as there may be."""
    records = 50_000 if LONG else 300
    forge = Forge(program.directory / "many").repository()
    place = good_root(forge)
    for i in range(records):
        forge.record(f"b{i:06}", place)
    repository = program.repository(program.directory / "many")
    assert len(repository.json("list", timeout=600)["backups"]) == records
    with repository.mount("memory=64M") as mount:
        assert sum(1 for p in mount.node().iterdir() if p.name.startswith("b")) == records
