# SPDX-License-Identifier: Apache-2.0
"""Runs a command beside real servers:

    python -m servers run --with minio,seaweedfs -- COMMAND [ARGUMENT...]

The command finds in its environment, for each server, SSTABLEFS_TEST_MINIO or SSTABLEFS_TEST_SEAWEEDFS (the endpoint);
SSTABLEFS_TEST_BUCKET (a fresh bucket, made on each of them); and the credentials, the same for all. Exits as it does.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import uuid

from . import ALL


def main():
    parser = argparse.ArgumentParser(prog="servers", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    run = parser.add_subparsers(required=True).add_parser("run")
    run.add_argument("--with", dest="names", required=True, help="names, separated by commas: " + ", ".join(ALL))
    run.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    names = arguments.names.split(",")
    if not set(names) <= set(ALL):
        parser.error(f"--with takes {', '.join(ALL)}")

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    with contextlib.ExitStack() as stack:
        environment = dict(os.environ, SSTABLEFS_TEST_BUCKET=f"test-{uuid.uuid4().hex[:12]}")
        for name in names:
            server = stack.enter_context(ALL[name]())
            server.make_bucket(environment["SSTABLEFS_TEST_BUCKET"])
            environment[f"SSTABLEFS_TEST_{name.upper()}"] = server.endpoint
            environment.update(server.environment())
        return subprocess.run(arguments.command, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
