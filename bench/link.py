# SPDX-License-Identifier: Apache-2.0
"""Links between the tools and the server: a network namespace of its own, whose loopback is slowed down, and a proxy in it that delays.

The server stays outside. The proxy listens inside, on the server's port of 127.0.0.1, and connects from outside: so each byte passes the
slowed loopback once, and a tool is told the same address on every link.
"""

import contextlib
import shutil
import subprocess
import time
from dataclasses import dataclass

import measure

RATES = {"none": None, "2500mbit": "2500mbit"}
START_SECONDS = 10


@dataclass
class Link:
    """prefix: the words in front of a command that runs on this link."""

    rate: str = "none"
    delay: int = 0
    prefix: tuple = ()


NONE = Link()


def missing(proxy):
    """Why no link can be made; "" where it can."""
    for program in ("unshare", "nsenter", "ip", "tc"):
        if not shutil.which(program):
            return f"there is no {program}"
    return "" if proxy and shutil.which(proxy) else "the delaying proxy is not built"


def wait_until(what, why):
    deadline = time.monotonic() + START_SECONDS
    while not what():
        if time.monotonic() > deadline:
            raise measure.Failed(why)
        time.sleep(0.02)


def answers(prefix, port):
    """Whether somebody listens on the port inside: by the kernel's table, as a connection would go on to the server."""
    listening = subprocess.run([*prefix, "cat", "/proc/net/tcp"], capture_output=True, text=True, check=False).stdout
    return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in listening.splitlines()[1:])


@contextlib.contextmanager
def made(rate, delay, port, proxy):
    """A Link for as long as the block runs. delay: milliseconds, each way."""
    holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo ready && exec sleep infinity"], stdout=subprocess.PIPE, start_new_session=True)
    process = None
    try:
        if holder.stdout.readline() != b"ready\n":
            raise measure.Failed("no network namespace can be made")
        prefix = ("nsenter", f"--net=/proc/{holder.pid}/ns/net", "--")
        commands = [["ip", "link", "set", "lo", "up"]]
        if RATES[rate]:
            commands.append(["tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", RATES[rate], "burst", "2mb", "latency", "50ms"])
        for command in commands:
            done = subprocess.run([*prefix, *command], capture_output=True, text=True, check=False)
            if done.returncode:
                raise measure.Failed(f"{' '.join(command)}: {done.stderr.strip()}")
        process = subprocess.Popen([proxy, f"/proc/{holder.pid}/ns/net", str(port), str(delay)], start_new_session=True)
        wait_until(lambda: process.poll() is not None or answers(prefix, port), "the delaying proxy does not listen")
        if process.poll() is not None:
            raise measure.Failed("the delaying proxy ended")
        yield Link(rate, delay, prefix)
    finally:
        for one in filter(None, (process, holder)):
            measure.end(one)
