# SPDX-License-Identifier: Apache-2.0
"""Starts nodes by hand; called by tests/cassandra/run, which says how."""

import argparse
import os
import signal
import subprocess
import sys

from . import NONE, PASSWORD, TLS, VERSIONS, Cluster, files


def arguments():
    parser = argparse.ArgumentParser(prog="tests/cassandra/run", description="Starts real Cassandra nodes, runs a command or a "
                                     "shell with the tools of the first node in its PATH, and stops them.")
    parser.add_argument("--version", choices=VERSIONS, default=VERSIONS[0])
    parser.add_argument("--nodes", type=int, default=1, help="how many; with 0 the command only gets the environment of the tests")
    parser.add_argument("--heap", default="512M")
    parser.add_argument("--yaml", action="append", default=[], metavar="KEY=VALUE", help="a line of cassandra.yaml")
    parser.add_argument("--data-directories", type=int, default=1)
    parser.add_argument("--jmx", choices=(NONE, PASSWORD, TLS), default=NONE)
    parser.add_argument("--authentication", action="store_true", help="CQL asks for cassandra/cassandra")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="[-- COMMAND...]")
    found = parser.parse_args()
    found.command = found.command[1:] if found.command[:1] == ["--"] else found.command
    return found


def show(cluster):
    for node in cluster.nodes:
        print(f"Cassandra {cluster.version} on {node.address}: CQL 9042, JMX 127.0.0.1:{node.jmx_port}, pid {node.pid}, "
              f"data {' '.join(map(str, node.data_directories))}, tools {node.bin}, log {node.log}", file=sys.stderr)
    if cluster.jmx != NONE:
        words = " ".join(map(str, cluster.node.jmx_words))
        print(f"JMX: nodetool {'--ssl ' if cluster.jmx == TLS else ''}{words} ...; secret {files.JMX_SECRET}", file=sys.stderr)


def main():
    wanted = arguments()
    command = wanted.command or [os.environ.get("SHELL", "bash")]
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    if not wanted.nodes:
        return subprocess.run(command).returncode
    yaml = dict(word.split("=", 1) for word in wanted.yaml)
    with Cluster(wanted.version, wanted.nodes, wanted.heap, yaml, data_directories=wanted.data_directories, jmx=wanted.jmx,
                 authentication=wanted.authentication) as cluster:
        show(cluster)
        return subprocess.run(command, env={**os.environ, **cluster.node.environment(), "HOME": os.environ.get("HOME", "/")}).returncode


if __name__ == "__main__":
    sys.exit(main())
