# SPDX-License-Identifier: Apache-2.0
"""Data.db against the Digest.crc32 that Cassandra wrote beside it: damage of the node's disk is found when it is backed up."""

import os
import sys
from pathlib import Path

from harness import DONE, FOUND
from trees import describe, flip, snapshot_files

sys.path.insert(0, str(Path(__file__).parents[1] / "reader"))
import ssfs_reader  # noqa: E402


def files_of(node_directory, component):
    return {path: Path(source) for path, source in snapshot_files(node_directory, "monday").items() if path.endswith(component)}


def test_the_files_of_a_real_node_agree_with_their_digests(repository, node_directory):
    result = repository.backup(node_directory, "monday")
    count = len(files_of(node_directory, "-Data.db"))
    assert count >= 2
    assert result["digests"] == {"checked": count, "unchecked": 0, "mismatched": 0, "files": []}
    (shown,) = repository.json("show", "monday")["nodes"]
    assert shown["digests"] == result["digests"]
    assert f"{count} of {count} Data.db checked, 0 damaged" in repository("show", "monday").out


def test_a_data_file_that_is_damaged_is_backed_up_and_named(any_repository, node_directory):
    path, source = sorted(files_of(node_directory, "-Data.db").items())[-1]
    flip(source, os.path.getsize(source) // 2)
    arguments = any_repository.backup_arguments(node_directory, "monday", "damaged")
    answer = any_repository(*arguments, code=FOUND)
    lines = answer.err.splitlines()
    assert f"sstablefs: backup: not what its Digest.crc32 says: {path}" in lines
    assert any("nodetool verify" in line for line in lines)
    result = any_repository.backup(node_directory, "monday", "again", code=FOUND)
    assert result["state"] == "committed" and result["digests"]["files"] == [path] and result["digests"]["mismatched"] == 1
    for name in ("damaged", "again"):
        assert f"damaged: {path}" in any_repository("show", name).out
        (shown,) = any_repository.json("show", name)["nodes"]
        assert shown["digests"] == result["digests"]
    with any_repository.mount() as mount:
        assert describe(mount.node() / "damaged" / path) == describe(source)
        assert path in (mount.node() / "damaged" / "backup.json").read_text()


def test_another_program_reads_such_a_backup_and_says_so(repository, node_directory, capsys):
    path, source = sorted(files_of(node_directory, "-Data.db").items())[0]
    flip(source, 0)
    repository.backup(node_directory, "monday", code=FOUND)
    ssfs_reader.main(repository.url, "verify")
    ssfs_reader.main(repository.url, "list")
    assert f"damaged when it was backed up: {path}" in capsys.readouterr().out


def test_a_digest_that_is_missing_or_says_nothing_is_counted_and_no_damage(repository, node_directory):
    digests = sorted(files_of(node_directory, "-Digest.crc32").values())
    digests[0].unlink()
    digests[1].write_bytes(b"")
    answer = repository(*repository.backup_arguments(node_directory, "monday"), code=DONE)
    assert f"2 of {len(digests)} Data.db files have no usable Digest.crc32" in answer.err
    (shown,) = repository.json("show", "monday")["nodes"]
    assert shown["digests"] == {"checked": len(digests) - 2, "unchecked": 2, "mismatched": 0, "files": []}


def test_a_dry_run_finds_the_damage_too(repository, node_directory):
    path, source = sorted(files_of(node_directory, "-Data.db").items())[0]
    flip(source, 0)
    answer = repository(*repository.backup_arguments(node_directory, "monday"), "--dry-run", code=FOUND)
    assert path in answer.err
    assert repository.json("list")["backups"] == []
