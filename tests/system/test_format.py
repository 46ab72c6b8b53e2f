# SPDX-License-Identifier: Apache-2.0
"""docs/format.md is enough to read a repository: ssfs_reader.py, which knows nothing else, reads what sstablefs wrote. And what was written once stays readable."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from reader import ssfs_reader

ssfs_format = ssfs_reader.ssfs_format
DATA = Path(__file__).parent.parent / "data"
GOLDEN = DATA / "golden"
EXPECTED = json.loads((DATA / "golden.json").read_text(encoding="utf-8"))


def run(binary, *args, code=0):
    done = subprocess.run([binary, *args], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == code, f"{args}: exit {done.returncode}: {done.stderr}"
    return done


@pytest.fixture
def repository(binary, node_directory, tmp_path):
    """Two backups of real SSTables."""
    path = tmp_path / "repository"
    run(binary, "-r", path, "init")
    for tag in ("monday", "tuesday"):
        run(binary, "-r", path, "backup", "--cluster", "test", "--node", "n1", "--snapshot", tag, "--name", tag, "--data-dir", node_directory)
    return path


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
    other = ssfs_reader.Repository(repository)
    for record in other.records():
        assert record["state"] == "COMMITTED"
        target = tmp_path / record["backup"]
        ssfs_reader.extract(other, record, target)
        expected = snapshot_files(node_directory, record["backup"])
        assert {str(p.relative_to(target)) for p in target.rglob("*") if p.is_file()} == set(expected)
        for path, source in expected.items():
            copy = target / path
            assert copy.read_bytes() == source.read_bytes(), path
            assert copy.stat().st_mtime_ns == source.stat().st_mtime_ns, path
            assert copy.stat().st_mode == source.stat().st_mode, path
    ssfs_reader.verify(other)


def test_another_program_computes_the_same_content_ids(binary, tmp_path):
    sizes = [0, 1, 512, 131071, 131072, 131073, 8 << 20, (8 << 20) + 1]
    for size in sizes:
        (tmp_path / str(size)).write_bytes(os.urandom(size))
    paths = [tmp_path / str(size) for size in sizes]
    for line, path in zip(run(binary, "id", *paths).stdout.splitlines(), paths, strict=True):
        assert line.split()[0] == ssfs_format.content_id(path.read_bytes()).hex()


def test_the_golden_repository_holds_what_was_put_in():
    golden = ssfs_reader.Repository(GOLDEN)
    seen = set()
    for record in golden.records():
        expected = dict(EXPECTED[record["backup"]])
        for path, attributes, file in golden.backup(record):
            if not file:
                continue
            mode, uid, gid, data_dir, mtime = attributes
            content = golden.content((record["cluster"], record["node"]), file)
            assert expected.pop(path.decode()) == {
                "mode": mode, "uid": uid, "gid": gid, "data_dir": data_dir, "mtime_ns": mtime,
                "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        assert not expected
        seen.add(record["backup"])
    assert seen == set(EXPECTED)


@pytest.mark.parametrize("backup", sorted(EXPECTED))
def test_the_golden_repository_is_verified_and_restored(binary, backup, tmp_path):
    run(binary, "-r", GOLDEN, "verify", backup)
    run(binary, "-r", GOLDEN, "restore", backup, "--cluster", "golden", "--node", "n1", tmp_path / "out")
    expected = {path.removeprefix("data/"): f for path, f in EXPECTED[backup].items() if path.startswith("data/")}
    restored = {str(p.relative_to(tmp_path / "out")): p for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert set(restored) == set(expected)
    for path, f in expected.items():
        assert hashlib.sha256(restored[path].read_bytes()).hexdigest() == f["sha256"], path
        assert restored[path].stat().st_mode & 0o7777 == f["mode"], path
        assert restored[path].stat().st_mtime_ns == f["mtime_ns"], path


def test_a_flipped_byte_of_any_object_is_found_by_both(binary, tmp_path):
    copy = tmp_path / "golden"
    shutil.copytree(GOLDEN, copy)
    for path in sorted(p for p in copy.rglob("*") if p.is_file() and ".sstablefs-tmp" not in p.parts):
        whole = path.read_bytes()
        for at in (11, len(whole) * 2 // 3):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x20]) + whole[at + 1:])
            done = subprocess.run([binary, "-r", copy, "verify"], capture_output=True, text=True, check=False)
            assert done.returncode in (1, 3), f"{path} {at}: {done.returncode} {done.stderr}"
            assert path.name[:20] in done.stdout + done.stderr, f"{path} {at}: {done.stdout} {done.stderr}"
        with pytest.raises((ssfs_format.Damaged, ssfs_reader.zstandard.ZstdError)):
            ssfs_reader.verify(ssfs_reader.Repository(copy))
        path.write_bytes(whole)
    ssfs_reader.verify(ssfs_reader.Repository(copy))
