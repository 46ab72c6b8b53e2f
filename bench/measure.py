# SPDX-License-Identifier: Apache-2.0
"""Runs commands and says what they cost: seconds, CPU seconds of each process, the most memory that was their own."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 0.05
LIMIT_SECONDS = 1800
DROP_CACHES = Path("/proc/sys/vm/drop_caches")


class Failed(Exception):
    """A command that was measured did not do its work."""


class NotHere(Failed):
    """What a row needs is not on this machine."""


class TooSlow(Failed):
    """A command that was measured did not end within its limit."""


@dataclass
class Sample:
    """One timed run. The other processes are those that serve it: the server, the mount."""

    seconds: float
    cpu: float
    memory: int
    others_cpu: dict = field(default_factory=dict)
    others_memory: dict = field(default_factory=dict)
    requests: dict = field(default_factory=dict)
    foreign: float = 0.0  # cores that were busy with none of all these
    more: dict = field(default_factory=dict)  # what a row measures besides


def family(pid):
    """A process and all that it started; those that are gone are left out."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += [int(word) for word in (task / "children").read_text().split()]
    return found


def cpu_of(pid):
    """CPU seconds of a running process and those below it, of all their threads and of the children that they waited for."""
    total = 0
    for one in family(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            total += sum(map(int, fields[11:15]))
    return total / TICKS


def own_memory_of(pid):
    """RssAnon + RssShmem in bytes; 0 for a process that is gone. What a file backs is left out: it can be dropped."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("RssAnon:", "RssShmem:")))


def memory_of(pid):
    """The same of those below it, too."""
    return sum(own_memory_of(one) for one in family(pid))


def cpu_of_machine():
    """CPU seconds that all processors have been busy."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(ticks[:8]) - ticks[3] - ticks[4]) / TICKS


class Memory:
    """The most memory of some processes while the block runs."""

    def __init__(self, pids):
        self.peaks = {pid: memory_of(pid) for pid in pids}
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self):
        while not self.over.wait(SAMPLE_SECONDS):
            self.look()

    def look(self):
        for pid in self.peaks:
            self.peaks[pid] = max(self.peaks[pid], memory_of(pid))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.over.set()
        self.thread.join()


def end(process):
    """Kills a process that leads a group of its own, and the group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def run(command, environment=None, others=None, requests=None, timeout=LIMIT_SECONDS, work=None, after=None):
    """Runs a command to its end and returns its Sample and what it printed.

    others: {name: pid} of processes that serve it; requests: a function that returns a server's counters; after: a command whose
    time counts as well, as of a sync.
    """
    others = others or {}
    counted = requests() if requests else {}
    before = {name: cpu_of(pid) for name, pid in others.items()}
    machine, children = cpu_of_machine(), os.times()
    started = time.perf_counter()
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, env={**os.environ, **(environment or {})}, cwd=work, start_new_session=True)
    with Memory([process.pid, *others.values()]) as memory:
        try:
            out, err = process.communicate(timeout=timeout)
            if after and not process.returncode:
                subprocess.run([str(word) for word in after], check=True)
        except subprocess.TimeoutExpired as late:
            end(process)
            raise TooSlow(f"{command[0]} did not end within {timeout} s") from late
        except BaseException:
            end(process)
            raise
    seconds = time.perf_counter() - started
    if process.returncode:
        raise Failed(f"{' '.join(map(str, command))[:200]} ended with {process.returncode}: {err.decode(errors='replace')[-500:].strip()}")
    now = os.times()
    cpu = now.children_user + now.children_system - children.children_user - children.children_system
    others_cpu = {name: cpu_of(pid) - before[name] for name, pid in others.items()}
    return Sample(
        seconds, cpu, memory.peaks[process.pid], others_cpu,
        {name: memory.peaks[pid] for name, pid in others.items()},
        {name: n - counted.get(name, 0) for name, n in requests().items() if n > counted.get(name, 0)} if requests else {},
        max(0.0, (cpu_of_machine() - machine - cpu - sum(others_cpu.values())) / seconds)), out.decode(errors="replace")


def drop_caches():
    """Empties the page cache; False where this machine does not allow it."""
    os.sync()
    try:
        DROP_CACHES.write_text("3")
    except OSError:
        return False
    return True


def children_of(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
