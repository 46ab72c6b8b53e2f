# SPDX-License-Identifier: Apache-2.0
"""docs/format.md is enough to read a repository: reader/ssfs_reader.py, which knows nothing else, reads what sstablefs wrote. And what was written once stays readable."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from harness import DONE
from reader import ssfs_reader

ssfs_format = ssfs_reader.ssfs_format
DATA = Path(__file__).parent.parent / "data"
GOLDEN = DATA / "golden"
EXPECTED = json.loads((DATA / "golden.json").read_text(encoding="utf-8"))


@pytest.fixture
def golden(program, tmp_path):
    """A copy of the golden repository: tests damage it."""
    return program.repository(shutil.copytree(GOLDEN, tmp_path / "golden"))


def snapshot_files(node_directory, tag):
    """Path below the backup -> file of the snapshot."""
    found = {}
    for path in node_directory.glob(f"*/*/snapshots/{tag}/**/*"):
        if path.is_file():
            keyspace, table, _, _, *rest = path.relative_to(node_directory).parts
            own = len(rest) == 1 and rest[0] in ("manifest.json", "schema.cql")
            found["/".join(["snapshot" if own else "data", keyspace, table, *rest])] = path
    return found


def test_another_program_reads_every_file_of_a_repository(repository, node_directory, tmp_path):
    for tag in ("monday", "tuesday"):
        repository.backup(node_directory, tag)
    other = ssfs_reader.Repository(repository.path)
    backups = {record["backup"]: record for record in other.records()}
    assert set(backups) == {"monday", "tuesday"}
    for tag, record in backups.items():
        ssfs_reader.extract(other, record, tmp_path / tag)
        expected = snapshot_files(node_directory, tag)
        found = {str(p.relative_to(tmp_path / tag)): p for p in (tmp_path / tag).rglob("*") if p.is_file()}
        assert set(found) == set(expected)
        for path, source in expected.items():
            assert found[path].read_bytes() == source.read_bytes(), path
            assert found[path].stat().st_mtime_ns == source.stat().st_mtime_ns, path
            assert found[path].stat().st_mode == source.stat().st_mode, path
    ssfs_reader.verify(other)


def test_another_program_computes_the_same_content_ids(program, tmp_path):
    sizes = [0, 1, 512, 131071, 131072, 131073, 8 << 20, (8 << 20) + 1]
    for size in sizes:
        (tmp_path / str(size)).write_bytes(os.urandom(size))
    paths = [tmp_path / str(size) for size in sizes]
    for line, path in zip(program("id", *paths).out.splitlines(), paths, strict=True):
        assert line.split()[0] == ssfs_format.content_id(path.read_bytes()).hex()


def test_the_golden_repository_holds_what_was_put_in():
    other = ssfs_reader.Repository(GOLDEN)
    seen = set()
    for record in other.records():
        expected = dict(EXPECTED[record["backup"]])
        for path, (mode, uid, gid, data_dir, mtime), file in other.files(record):
            content = other.content((record["cluster"], record["node"]), file)
            assert expected.pop(path.decode()) == {
                "mode": mode, "uid": uid, "gid": gid, "data_dir": data_dir, "mtime_ns": mtime,
                "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        assert not expected
        seen.add(record["backup"])
    assert seen == set(EXPECTED)


@pytest.mark.parametrize("backup", sorted(EXPECTED))
def test_the_golden_repository_is_verified_and_restored(golden, backup, tmp_path):
    golden("verify", backup)
    golden("restore", backup, "--cluster", "golden", "--node", "n1", tmp_path / "out")
    expected = {path.removeprefix("data/"): f for path, f in EXPECTED[backup].items() if path.startswith("data/")}
    restored = {str(p.relative_to(tmp_path / "out")): p for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert set(restored) == set(expected)
    for path, f in expected.items():
        assert hashlib.sha256(restored[path].read_bytes()).hexdigest() == f["sha256"], path
        assert restored[path].stat().st_mode & 0o7777 == f["mode"], path
        assert restored[path].stat().st_mtime_ns == f["mtime_ns"], path


def test_a_mount_shows_the_inode_numbers_that_the_documentation_says(golden):
    other = ssfs_reader.Repository(golden.path)
    compared = 0
    with golden.mount() as mount:
        for record in other.records():
            for path, attributes, file in other.files(record):
                stat = os.stat(os.path.join(os.fsencode(mount.node("n1", "golden") / record["backup"]), path))
                assert stat.st_ino == ssfs_reader.inode(record, path, attributes, file), path
                compared += 1
    assert compared == sum(map(len, EXPECTED.values()))


def test_a_flipped_byte_of_any_object_is_found_by_both(golden):
    for path in sorted(p for p in golden.path.rglob("*") if p.is_file()):
        whole = path.read_bytes()
        for at in (11, len(whole) * 2 // 3):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1:])
            answer = golden("verify", code=None)
            assert answer.code != DONE, f"{path} {at}"
            assert path.name[:20] in answer.out + answer.err, f"{path} {at}: {answer}"
        with pytest.raises((ssfs_format.Damaged, ssfs_reader.zstandard.ZstdError)):
            ssfs_reader.verify(ssfs_reader.Repository(golden.path))
        path.write_bytes(whole)
    ssfs_reader.verify(ssfs_reader.Repository(golden.path))
