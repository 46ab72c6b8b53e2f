# SPDX-License-Identifier: Apache-2.0
"""Fixtures for every Python test: the program under test, real servers, real SSTables."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import harness
import servers

TESTS = Path(__file__).parent


@pytest.fixture(scope="session")
def binary():
    """The sstablefs program under test, named by SSTABLEFS_BINARY (scripts/check sets it)."""
    path = Path(os.environ.get("SSTABLEFS_BINARY", TESTS.parent / "build/asan/tools/sstablefs"))
    assert os.access(path, os.X_OK), f"{path} cannot be run; build it by `scripts/check build`, or set SSTABLEFS_BINARY"
    return path


@pytest.fixture(scope="session")
def minio_server():
    """A MinIO for the whole session (one for each xdist worker). Tests share it: make a bucket of your own."""
    with servers.minio() as server:
        yield server


@pytest.fixture(scope="session")
def minio_tls_server():
    """The same behind TLS, with a certificate that only server.ca_file vouches for."""
    with servers.minio(tls=True) as server:
        yield server


@pytest.fixture(scope="session")
def seaweedfs_server():
    """A SeaweedFS for the whole session (one for each xdist worker)."""
    with servers.seaweedfs() as server:
        yield server


@pytest.fixture
def node_directory(tmp_path):
    """A Cassandra node's data directory with the snapshots monday and tuesday; unchanged files are hard links."""
    subprocess.run([TESTS / "data/lay-out", tmp_path / "node"], check=True, stdin=subprocess.DEVNULL)
    return tmp_path / "node/data"


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
