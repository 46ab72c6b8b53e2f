# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests with real Cassandra. A node is started once for each version; each test has keyspaces, a repository
and a mount of its own. With pytest -n 2 all tests of a version run on one worker, so that its node is started once."""

import contextlib
import functools
import itertools
import re

import pytest
from cassandra_nodes import VERSIONS, Cluster
from xdist.scheduler import LoadScopeScheduling

import place

KEYSPACES = itertools.count(1)


class ByVersion(LoadScopeScheduling):
    """Tests whose parameters begin with the same version of Cassandra go to the same worker."""

    def _split_scope(self, nodeid):
        version = re.search(r"\[(\d\.\d)", nodeid)
        return version[1] if version else nodeid


def pytest_xdist_make_scheduler(config, log):
    return ByVersion(config, log)


@pytest.fixture(scope="session")
def shared_nodes():
    """A function from a version to a node of it, with the defaults of its cassandra.yaml, which lives as long as the session.
    Tests may restart it, no more."""
    with contextlib.ExitStack() as stack:
        yield functools.cache(lambda version: stack.enter_context(Cluster(version)).node)


@pytest.fixture(params=VERSIONS)
def node(request, shared_nodes):
    """The shared node of each version."""
    return shared_nodes(request.param)


@pytest.fixture
def keyspace(node):
    """A keyspace of the test's own, of replication factor 1."""
    name = f"ks{next(KEYSPACES)}"
    place.create_keyspace(node, name)
    yield name
    node.cql(f"DROP KEYSPACE {name}")


@pytest.fixture
def backups(minio):
    """Backs up nodes to a repository in MinIO, and mounts it."""
    with place.Backups(minio) as backups:
        yield backups
