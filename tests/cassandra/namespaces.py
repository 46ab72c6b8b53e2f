# SPDX-License-Identifier: Apache-2.0
"""Hosts that share nothing but a network: each in a network namespace of its own, on a cable to one switch.

    with Network(4) as network:                       # takes root, and fails with the reason where there are no namespaces
        host = network.hosts[0]
        run(*host.prefix, "ip", "address")            # on that host; host.address is reached from here, too
        host.unplug(); host.plug()

A namespace has no name, and lives as long as its processes. One of them, which is this file as a program, holds it: when its standard input ends, as it does
however the test ends, it ends all others, and with the last one the namespace goes, its end of the cable, and so the other end. Nothing is left."""

import contextlib
import ctypes
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

CLONE_NEWNET = 0x40000000
END_SECONDS = 60
TEST = 1  # the last part of addresses: of the test itself, and of the first host
FIRST = 11


class NetworkError(Exception):
    """There can be no such network here; the message says why."""


def run(*command):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise NetworkError(f"{' '.join(map(str, command))}: {done.stdout.strip()}")


class Namespace:
    """prefix: the words before a command that make it run there."""

    def __init__(self, stack):
        self.holder = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        stack.callback(self.end)
        said = self.holder.stdout.readline().strip()
        if said != "ready":
            raise NetworkError(f"no network namespace can be made here: {said}")
        self.pid = self.holder.pid
        self.prefix = ("nsenter", f"--net=/proc/{self.pid}/ns/net")
        self.run("ip", "link", "set", "lo", "up")

    def run(self, *command):
        run(*self.prefix, *command)

    def end(self):
        self.holder.communicate()


class Host(Namespace):
    def __init__(self, stack, switch, address):
        super().__init__(stack)
        self.switch, self.address = switch, address
        self.port = f"port{address.rsplit('.', 1)[1]}"
        self.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", self.port, "netns", switch.pid)
        switch.run("ip", "link", "set", self.port, "master", "switch")
        self.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.plug()

    def cable(self, state):
        """The command that takes the cable out of the switch ("down"), or puts it back ("up"). The host's own interface stays as it is."""
        return [*self.switch.prefix, "ip", "link", "set", self.port, state]

    def plug(self):
        run(*self.cable("up"))

    def unplug(self):
        run(*self.cable("down"))


class Network:
    """hosts: `count` of them. address: of the test itself, on the same network."""

    def __init__(self, count):
        self.count = count
        while True:
            # What is drawn is of the block for measurements (RFC 2544), which no real network uses.
            net = f"198.{random.randint(18, 19)}.{random.randint(0, 255)}"
            self.link = f"ssfs{net.replace('.', '-')[3:]}"
            if not Path("/sys/class/net", self.link).exists():
                break
        self.address, self.addresses = f"{net}.{TEST}", [f"{net}.{FIRST + number}" for number in range(count)]

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            switch = Namespace(stack)
            switch.run("ip", "link", "add", "switch", "type", "bridge")
            switch.run("ip", "link", "set", "switch", "up")
            run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "test", "netns", switch.pid)
            stack.callback(run, "ip", "link", "delete", self.link)  # the kernel would remove it a moment later
            switch.run("ip", "link", "set", "test", "master", "switch", "up")
            run("ip", "address", "add", f"{self.address}/24", "dev", self.link)
            run("ip", "link", "set", self.link, "up")
            self.hosts = [Host(stack, switch, address) for address in self.addresses]
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self.stack.close()


# ---- as a program ----

def others():
    """Processes in the namespace of this one."""
    own = os.readlink("/proc/self/ns/net")
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError):  # it has ended
                if os.readlink(f"/proc/{entry}/ns/net") == own:
                    yield int(entry)


def hold():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        print(os.strerror(ctypes.get_errno()))
        return 1
    print("ready", flush=True)
    sys.stdin.read()
    deadline = time.monotonic() + END_SECONDS
    while (left := list(others())) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return bool(left)


if __name__ == "__main__":
    sys.exit(hold())
