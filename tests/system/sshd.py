# SPDX-License-Identifier: Apache-2.0
"""Real sshd, one for each node on the node's own address, and the configuration with which ssh reaches them."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

from harness import run, wait_until

SSHD = "/usr/sbin/sshd"
CONFIGURATION = """
ListenAddress {address}
Port {port}
HostKey {directory}/host_key
PidFile none
AuthorizedKeysFile {keys}
StrictModes no
UsePAM no
PermitRootLogin yes
PubkeyAuthentication {pubkey}
PasswordAuthentication yes
SetEnv {environment}
"""


def free_port(address):
    with socket.socket() as s:
        s.bind((address, 0))
        return s.getsockname()[1]


def make_key(path):
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path)
    return path


class Sshd:
    """Who logs in at it has this environment."""

    def __init__(self, directory, address, port, environment, keys, prefix):
        self.directory, self.address, self.port = Path(directory), address, port
        self.environment, self.keys, self.prefix = environment, keys, prefix
        self.directory.mkdir()
        make_key(self.directory / "host_key")
        self.process = None

    def start(self, pubkey=True):
        self.stop()
        configuration = self.directory / "sshd_config"
        environment = " ".join(f'{key}="{value}"' for key, value in self.environment.items())
        configuration.write_text(CONFIGURATION.format(address=self.address, port=self.port, directory=self.directory, keys=self.keys,
                                                      pubkey="yes" if pubkey else "no", environment=environment))
        Path("/run/sshd").mkdir(exist_ok=True)
        log = self.directory / "log"
        self.process = subprocess.Popen([*self.prefix, SSHD, "-D", "-f", configuration, "-E", log], stdin=subprocess.DEVNULL, env=dict(os.environ))
        wait_until(lambda: log.exists() and "Server listening" in log.read_text(), 30, f"sshd of {self.address}")

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            (self.directory / "log").unlink()
        self.process = None

    def known_host(self):
        kind, key = (self.directory / "host_key.pub").read_text().split()[:2]
        name = self.address if self.port == 22 else f"[{self.address}]:{self.port}"
        return f"{name} {kind} {key}\n"


class Fleet:
    """An sshd for each (address, environment), on a port of its own or this one; `prefix` says what runs it on the host of an address. As a context manager
    they end with it."""

    def __init__(self, directory, hosts, port=None, prefix=lambda address: ()):
        self.directory = Path(directory)
        self.directory.mkdir()
        assert shutil.which("ssh") and Path(SSHD).exists(), "openssh-client and openssh-server are missing"
        key = make_key(self.directory / "id")
        self.port = port or free_port(hosts[0][0])
        self.servers = {address: Sshd(self.directory / address, address, self.port, environment, f"{key}.pub", prefix(address))
                        for address, environment in hosts}
        (self.directory / "known_hosts").write_text("".join(server.known_host() for server in self.servers.values()))
        self.configuration = self.directory / "ssh_config"
        self.configuration.write_text(f"UserKnownHostsFile {self.directory}/known_hosts\nStrictHostKeyChecking yes\n"
                                      f"IdentityFile {key}\nIdentitiesOnly yes\n")

    def __enter__(self):
        for server in self.servers.values():
            server.start()
        return self

    def __exit__(self, *exception):
        for server in self.servers.values():
            server.stop()
