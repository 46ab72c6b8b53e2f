# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the crash tests; those of tests/system are there too."""

import pytest

from harness import Program
from hook import Originals


@pytest.fixture(scope="session")
def originals(tmp_path_factory):
    """Snapshots t1 and t2 of a small node. Nobody changes them."""
    return Originals(tmp_path_factory.mktemp("originals") / "node")


@pytest.fixture(scope="session")
def template(binary, originals, tmp_path_factory):
    """A repository with backup t1, to be copied."""
    repository = Program(binary, tmp_path_factory.mktemp("template") / "p").repository().init()
    repository.backup(originals.node.data, "t1")
    return repository
