# SPDX-License-Identifier: Apache-2.0
"""What the fault tests ran is said at the end of the run, also where they passed."""

import pytest

import harness
from scenarios import Master


@pytest.fixture(scope="session")
def master(binary, minio_server, tmp_path_factory):
    """A repository with two backups on MinIO, of which lanes are copies. One for each worker."""
    directory = tmp_path_factory.mktemp("faults")
    made = Master(minio_server, binary, directory)
    yield made
    made.close()
    assert not harness.clean_up(directory), "a fault test left processes or mounts behind"


def pytest_terminal_summary(terminalreporter):
    lines = [value for reports in terminalreporter.stats.values() for report in reports
             for name, value in getattr(report, "user_properties", ()) if name == "ran"]
    for line in sorted(set(lines)):
        terminalreporter.write_line(line)
