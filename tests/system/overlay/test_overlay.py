# SPDX-License-Identifier: Apache-2.0
"""The scratch overlay of a mount: what Cassandra's tools do to names, and what bounds it."""

import errno
import mmap
import os

import pytest

from harness import run
from trees import describe_snapshot, describe_tree, files_below


@pytest.fixture
def stored(repository, small_node):
    repository.backup(small_node.data, "t1")
    return repository


def first_file(mount, backup="t1"):
    return sorted(mount.data(backup) / path for path in files_below(mount.data(backup)))[0]


def test_what_sstableloader_does(stored, small_node):
    """Links beside the source, read and unlinked; a Summary.db that it does not like is deleted."""
    with stored.mount() as mount:
        path = first_file(mount)
        tmp = path.with_name("nb-1-big-Statistics.db.0c4f.tmp")
        inode, links = path.stat().st_ino, path.stat().st_nlink
        os.link(path, tmp)
        assert tmp.stat().st_ino == inode and path.stat().st_nlink == tmp.stat().st_nlink == links + 1
        assert tmp.read_bytes() == path.read_bytes() and tmp.name in os.listdir(tmp.parent)
        tmp.unlink()
        assert not tmp.exists() and path.stat().st_nlink == links and tmp.name not in os.listdir(tmp.parent)
        path.unlink()
        assert not path.exists() and path.name not in os.listdir(path.parent)
        with pytest.raises(FileNotFoundError):
            path.read_bytes()
    with stored.mount() as mount:
        assert describe_tree(mount.data("t1")) == describe_snapshot(small_node.data, "t1")


def test_what_nodetool_import_does(stored):
    """A rewritten Statistics.db.tmp takes the place of the backup's."""
    with stored.mount() as mount:
        path = first_file(mount)
        tmp = path.with_name(path.name + ".tmp")
        tmp.write_bytes(b"rewritten" * 1000)
        with tmp.open("rb") as f:
            os.fsync(f.fileno())
        tmp.rename(path)
        assert path.read_bytes() == b"rewritten" * 1000 and path.stat().st_nlink == 1
        assert sorted(os.listdir(path.parent)).count(path.name) == 1 and tmp.name not in os.listdir(path.parent)
        with path.open("r+b") as f, mmap.mmap(f.fileno(), 0) as m:
            m[:9] = b"REWRITTEN"
        assert path.read_bytes().startswith(b"REWRITTENrewritten")
