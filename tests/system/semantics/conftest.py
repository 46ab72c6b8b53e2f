# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests that hold the mount against what POSIX and Linux say of a file system.

Most of them only read: they share one node, one repository and one mount for each module, which is quick enough to ask a
thousand questions. Tests that change the repository or end the mount make their own.
"""

import tempfile
from pathlib import Path

import pytest

import harness
import trees


@pytest.fixture(scope="module")
def shared(binary):
    """A Program for a whole module, in a directory that other users can reach; on a tmpfs, where thousands of files are made and removed in no time."""
    directory = Path(tempfile.mkdtemp(prefix="sstablefs-semantics-"))
    harness.run("mount", "-t", "tmpfs", "-o", "mode=755,size=2g", "tmpfs", directory)
    try:
        yield harness.Program(binary, directory / "p")
        left = harness.clean_up(directory / "p")
    finally:
        harness.clean_up(directory / "p")
        harness.run("umount", directory)
        directory.rmdir()
    assert not left, f"the module left behind: {left}"


@pytest.fixture
def node(program):
    """A small node with the snapshot t1, to which a test adds what it needs."""
    return trees.Node(program.directory / "node").fill_small("t1")


@pytest.fixture
def stored(repository, node):
    repository.backup(node.data, "t1")
    return repository
