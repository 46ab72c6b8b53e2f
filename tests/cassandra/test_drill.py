# SPDX-License-Identifier: Apache-2.0
"""Runs docs/drill.md as it stands there, on a real node: with a sound repository it succeeds, with a damaged one it stops at the first step."""

import os
import re
import subprocess
from pathlib import Path

import pytest

import place
from harness import FOUND

pytestmark = pytest.mark.timeout(place.LIMIT_SECONDS)

PAGE = Path(__file__).parents[2] / "docs/drill.md"
STEPS = dict(re.findall(r"^<!-- drill ([a-z-]+) -->\n```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))
STEP_SECONDS = 600
ROWS = 150


@pytest.fixture
def drill(shared_nodes, backups, request, tmp_path):
    """A node whose backup is drilled on itself, after what was backed up was dropped there. A function that runs the steps: (exit code, output)."""
    node = shared_nodes(request.param)
    place.create_keyspace(node, "drilled")
    node.cql("CREATE TABLE drilled.orders (id int PRIMARY KEY, text text)")
    for number in range(ROWS):
        node.cql("INSERT INTO drilled.orders (id, text) VALUES (%s, %s)", (number, f"order {number}"))
    node.nodetool("flush", "drilled")
    backups.take(node, "drilled")
    node.cql("DROP KEYSPACE drilled")
    mount = backups.repository.program.directory / "drill"
    mount.mkdir()
    program = tmp_path / "bin"
    program.mkdir()
    (program / "sstablefs").symlink_to(backups.repository.program.binary)

    def run(expect=ROWS):
        environment = {**os.environ, **node.environment(), **backups.repository.program.environment, "SSTABLEFS_REPOSITORY": backups.repository.url,
                       "MOUNT": str(mount), "CLUSTER": place.CLUSTER, "NODE": place.node_name(node), "KS": "drilled", "T": "orders",
                       "EXPECT": str(expect), "DATA": str(node.data_directories[0])}
        environment["PATH"] = f"{program}:{node.environment()['PATH']}"
        done = subprocess.run(["bash", "-c", "set -euo pipefail\n" + "".join(STEPS.values())], env=environment, capture_output=True,
                              stdin=subprocess.DEVNULL, text=True, timeout=STEP_SECONDS)
        return done.returncode, done.stdout + done.stderr

    yield run
    node.cql("DROP KEYSPACE IF EXISTS drilled")


@pytest.mark.parametrize("drill", ["5.0"], indirect=True)
def test_the_weekly_drill_counts_rows_and_notices_what_is_missing(drill, backups, minio_server):
    assert list(STEPS) == ["verify", "mount", "import", "count", "tidy"]
    code, said = drill()
    assert code == 0, said
    assert f"{ROWS} rows of drilled.orders came back" in said
    # An object goes missing: whichever slice is read, the drill ends with what verify says.
    client, bucket = minio_server.client(), backups.repository.url.split("/")[2]
    keys = [item["Key"] for item in client.list_objects_v2(Bucket=bucket)["Contents"] if "/objects/" in item["Key"]]
    client.delete_object(Bucket=bucket, Key=keys[0])
    code, said = drill()
    assert code == FOUND and "missing" in said and "Data.db" in said, said
