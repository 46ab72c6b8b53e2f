# SPDX-License-Identifier: Apache-2.0
"""Runs the real program as a user would: repositories, mounts, and the certainty that nothing of them is left behind.

A Program has an environment and a directory of its own. Whatever it starts carries that directory in its environment
(SSTABLEFS_TEST), so that clean_up() finds every process and every mount of a test, also of one that failed.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

CLUSTER = "c1"
NODE = "n1"
DONE, FAILED, USAGE, FOUND, ABSENT, STORE = range(6)
END_SECONDS = 20
LONG = bool(os.environ.get("SSTABLEFS_LONG"))  # full sizes
# What a program under test may inherit. All else would make a test depend on who runs it.
INHERITED = ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS")


@dataclass
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def is_sentence(text):
    """Whether an error message says something to a person: `sstablefs: COMMAND: what: why`, on one line."""
    return re.match(r"^sstablefs: ([a-z]+: )?\S.{15,}\n\Z", text.splitlines(keepends=True)[-1]) is not None


class Program:
    def __init__(self, binary, directory, environment=None):
        self.binary = Path(binary)
        self.directory = Path(directory)
        self.cache = self.directory / "cache"
        self.directory.mkdir(parents=True, exist_ok=True)
        configuration = self.directory / "sstablefs.conf"
        configuration.touch(mode=0o600)
        self.environment = {key: os.environ[key] for key in INHERITED if key in os.environ}
        self.environment.update(SSTABLEFS_TEST=str(self.directory), HOME=str(self.directory), SSTABLEFS_CACHE_DIR=str(self.cache),
                                SSTABLEFS_CONFIG=str(configuration), AWS_EC2_METADATA_DISABLED="true",
                                LC_ALL="C.UTF-8", **(environment or {}))
        self.repositories = 0

    def __call__(self, *arguments, code=DONE, environment=None, timeout=120, prefix=()):
        """Runs the program to its end and expects this exit code (None: any)."""
        command = [str(word) for word in (*prefix, self.binary, *arguments)]
        done = subprocess.run(command, env={**self.environment, **(environment or {})}, cwd=self.directory,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout)
        answer = Answer(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert code in (None, answer.code), f"{command} ended with {answer.code}, not {code}\n{answer.out}\n{answer.err}"
        return answer

    def start(self, *arguments, environment=None, prefix=(), **keywords):
        """Starts the program and returns at once. The caller waits for it."""
        return subprocess.Popen([str(word) for word in (*prefix, self.binary, *arguments)], env={**self.environment, **(environment or {})},
                                cwd=self.directory, stdout=subprocess.PIPE,
                                **{"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, **keywords})

    def repository(self, url=None, **environment):
        """A Repository; by default in a fresh directory."""
        self.repositories += 1
        if url is None:
            url = self.directory / f"repository{self.repositories}"
        return Repository(self, str(url), environment)


class Repository:
    def __init__(self, program, url, environment=None):
        self.program = program
        self.url = url
        self.environment = environment or {}
        self.mounts = 0

    def __call__(self, *arguments, **keywords):
        keywords.setdefault("environment", self.environment)
        return self.program("-r", self.url, *arguments, **keywords)

    def json(self, *arguments, **keywords):
        return self("--json", *arguments, **keywords).json

    def start(self, *arguments, **keywords):
        return self.program.start("-r", self.url, *arguments, **keywords)

    def init(self):
        self("init")
        return self

    def copy_to(self, program):
        """A copy of a directory repository, for another program: quicker than to make one again."""
        copy = program.repository()
        run("cp", "-a", self.url, copy.url)
        return copy

    @staticmethod
    def backup_arguments(data_dirs, tag, name=None, node=NODE, cluster=CLUSTER):
        data_dirs = [data_dirs] if isinstance(data_dirs, (str, Path)) else data_dirs
        return ["backup", "--cluster", cluster, "--node", node, "--snapshot", tag, "--name", name or tag,
                *(word for d in data_dirs for word in ("--data-dir", d))]

    def backup(self, data_dirs, tag, name=None, *more, node=NODE, cluster=CLUSTER, **keywords):
        """Backs up a snapshot; the JSON result, or the Answer where it is expected to fail."""
        answer = self("--json", *self.backup_arguments(data_dirs, tag, name, node, cluster), *more, **keywords)
        return answer.json if keywords.get("code", DONE) in (DONE, FOUND) else answer

    def mount(self, *options, where=None, **keywords):
        self.mounts += 1
        where = where or self.program.directory / f"mnt{self.mounts}"
        return Mount(self, where, options, **keywords)

    @property
    def path(self):
        """The directory of a directory repository."""
        return Path(self.url)


class Mount:
    """A mount that is ready. As a context manager it is unmounted at the end, as a user would."""

    def __init__(self, repository, where, options=(), log=True):
        self.repository = repository
        self.path = Path(where)
        if not is_mounted(self.path):  # one that is stale cannot even be looked at
            self.path.mkdir(exist_ok=True)
        self.log_path = self.path.with_name(self.path.name + ".log")
        options = [*options, *([f"log={self.log_path}"] if log else [])]
        repository("mount", self.path, *(["-o", ",".join(options)] if options else []))
        self.pid = int(self.status()["pid"])

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        if is_mounted(self.path):
            # A test that failed may have left readers behind; clean_up() ends them.
            self.unmount(code=DONE if kind is None else None)

    def node(self, node=NODE, cluster=CLUSTER):
        return self.path / cluster / "nodes" / node

    def data(self, backup, node=NODE, cluster=CLUSTER):
        return self.node(node, cluster) / backup / "data"

    def status(self):
        lines = (self.path / ".sstablefs/status").read_text().splitlines()
        return dict(line.split(": ", 1) for line in lines)

    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def unmount(self, *options, **keywords):
        return self.repository.program("umount", *options, self.path, **keywords)


# ---- processes and mounts ----

def is_mounted(path):
    return any(line.split()[4] == str(path) for line in Path("/proc/self/mountinfo").read_text().splitlines())


def mounts_below(directory):
    """Mount points below a directory, the innermost first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    found = [line.split()[4] for line in lines if line.split()[4].startswith(f"{directory}/")]
    return sorted(found, reverse=True)


def processes_of(directory):
    """Ids of the processes that were started for this directory."""
    mark = f"SSTABLEFS_TEST={directory}\0".encode()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError):
                if mark in Path(f"/proc/{entry}/environ").read_bytes() + b"\0":
                    found.append(int(entry))
    return found


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition, seconds, what):
    """Polls a condition that the outside world makes true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def clean_up(directory):
    """Ends everything below the directory: mounts, then processes. Returns what there was."""
    mounts, processes = mounts_below(directory), processes_of(directory)
    for mount in mounts:
        subprocess.run(["umount", "-f", "-l", mount], capture_output=True)
    deadline = time.monotonic() + 3
    while (left := [pid for pid in processes if is_alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(directory, ignore_errors=True)
    return mounts + processes


# ---- what several tests do ----

def run(*command, code=0, timeout=120, **keywords):
    """Runs another program and expects its exit code. Its standard output."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=timeout, **keywords)
    assert done.returncode == code, f"{command} ended with {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
    return done.stdout.decode(errors="replace")


def in_threads(functions):
    """Runs all functions at once; their results in order, or the first exception."""
    results, failures = [None] * len(functions), []

    def call(i, function):
        try:
            results[i] = function()
        except BaseException as failure:  # reported by the thread that waits
            failures.append(failure)

    threads = [threading.Thread(target=call, args=pair, daemon=True) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results
