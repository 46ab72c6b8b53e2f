# SPDX-License-Identifier: Apache-2.0
"""Fixtures for every Python test: the program under test, real servers, real SSTables."""

import os
import subprocess
from pathlib import Path

import pytest

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
