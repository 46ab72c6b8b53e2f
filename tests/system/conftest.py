# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the system tests. Each test has a Program with a directory, a cache and mount points of its own."""

import shutil

import pytest

import harness
import trees


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.passed = outcome.get_result().passed


@pytest.fixture
def program(binary, tmp_path, request):
    """The program under test. A test that passes must have ended everything that it began."""
    directory = tmp_path / "p"
    yield harness.Program(binary, directory)
    left = harness.clean_up(directory)
    if getattr(request.node, "passed", False):
        shutil.rmtree(tmp_path)  # large files, which pytest would keep for three runs
        assert not left, f"the test left behind: {left}"


@pytest.fixture
def repository(program):
    """An empty repository in a directory."""
    return program.repository().init()


@pytest.fixture
def minio(program, minio_server):
    """An empty repository in a bucket of its own on MinIO."""
    program.environment.update(minio_server.environment())
    return program.repository(minio_server.url(minio_server.make_bucket(), "some/prefix")).init()


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
def small_node(program):
    """A data directory of a few made-up files, with the snapshot t1; more can be added."""
    return trees.Node(program.directory / "small").fill_small("t1")
