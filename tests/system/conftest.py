# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the system tests. Each test has a Program with a directory, a cache and mount points of its own."""

import pytest

import trees
from restorehosts import RestoreHosts, Restoring


@pytest.fixture
def seaweedfs(program, seaweedfs_server):
    """An empty repository in a bucket of its own on SeaweedFS."""
    program.environment.update(seaweedfs_server.environment())
    return program.repository(seaweedfs_server.url(seaweedfs_server.make_bucket(), "some/prefix")).init()


@pytest.fixture(params=["directory", "minio"])
def any_repository(request):
    """An empty repository, once in a directory and once on MinIO."""
    return request.getfixturevalue("repository" if request.param == "directory" else "minio")


@pytest.fixture
def hosts(program):
    """Three hosts of a backed-up cluster with what was written since, which restore-cluster is to make again what they were."""
    with RestoreHosts(program) as hosts:
        yield hosts


@pytest.fixture
def restoring(repository, hosts):
    """restore-cluster of their backup."""
    return Restoring(repository, hosts)


@pytest.fixture
def small_node(program):
    """A data directory of a few made-up files, with the snapshot t1; more can be added."""
    return trees.Node(program.directory / "small").fill_small("t1")
