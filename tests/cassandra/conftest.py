# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests with real Cassandra. A node is started once for each version; each test has keyspaces, a repository
and a mount of its own. With pytest -n 2 all tests of a version run on one worker, so that its node is started once."""

import itertools
import re

import pytest
from cassandra_nodes import VERSIONS, Cluster
from xdist.scheduler import LoadScopeScheduling

import place

KEYSPACES = itertools.count(1)


class ByVersion(LoadScopeScheduling):
    """Tests whose parameters name the same version of Cassandra go to the same worker."""

    def _split_scope(self, nodeid):
        version = re.search(r"\[(?:.*-)?(\d\.\d)(?:-.*)?\]$", nodeid)
        return version[1] if version else nodeid


def pytest_xdist_make_scheduler(config, log):
    return ByVersion(config, log)


@pytest.fixture(scope="session", params=VERSIONS)
def node(request):
    """A node of each version, with the defaults of its cassandra.yaml. Tests share it; they may restart it, no more."""
    with Cluster(request.param) as cluster:
        yield cluster.node


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
