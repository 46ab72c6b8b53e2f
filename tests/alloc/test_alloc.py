# SPDX-License-Identifier: Apache-2.0
"""Each call of our own code that can fail for want of memory, descriptors or threads fails once, on a tiny repository.

A scenario is run once to record the distinct call stacks (failing.c), then once for each of them. Whatever fails: exit code 0
with the right answer or 1 with a sentence, no sanitizer report (leaks included), no hang; earlier backups stay whole, and the
same again works. A mount answers the one request with an error and goes on.

A sample of the stacks is tried, drawn by SSTABLEFS_SEED (printed); with SSTABLEFS_LONG=1 all of them.
"""

import errno
import os
import random
import re
import shutil
import stat
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

import harness
from harness import DONE, FAILED, FOUND, LONG, STORE, is_mounted
from linux import AT_FDCWD, check, libc
from trees import Node, describe_snapshot, describe_tree

SAMPLE = 7  # stacks of a scenario
HANG_SECONDS = 90
SEED = int(os.environ.get("SSTABLEFS_SEED") or random.SystemRandom().randrange(10**6))
# What a request of the kernel may end with when the daemon lacks something.
LACKING = (errno.ENOMEM, errno.EIO, errno.EMFILE, errno.EAGAIN)
MEMORY_CALLS = ("malloc", "calloc", "realloc", "strdup", "strndup", "vasprintf", "__getdelim", "realpath", "mmap64")
ASAN = {"ASAN_OPTIONS": "abort_on_error=1:detect_leaks=1:strict_string_checks=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:abort_on_error=1"}
ORDERS = ("nb-1-big-Data.db", "nb-1-big-Index.db", "nb-1-big-TOC.txt")  # of a table
CONFIGURATION = """[repository]
url = {url}
[cassandra]
cluster = c1
node = n1
[backup]
jobs = 2
connections = 3
memory = 64M
[restore]
jobs = 2
[mount]
refresh = 3
memory = 64M
"""


@pytest.fixture(scope="session")
def failing_binary(binary):
    path = Path(binary).parents[1] / "tests/alloc/sstablefs_failing"
    assert os.access(path, os.X_OK), f"{path} cannot be run: only the preset asan builds it (scripts/check build)"
    return path


class Place:
    """A directory in which every run finds the same: a repository with the backups b1 and b2 and the local state after them."""

    def __init__(self, binary, top, server=None):
        self.binary, self.top = binary, top
        self.node = Node(top / "node").fill_small("t1")
        for path in ("t1", "t2"):
            table = self.node.table("shop", "lines")
            self.node.write(table, path, "nb-1-big-Data.db", b"x" * 700 + path.encode())
            self.node.write(table, path, "nb-1-big-TOC.txt", b"Data.db\n")
            self.node.write(table, path, ".an_index/nb-1-big-Data.db", self.node.bytes(70_000))
            self.node.write(table, path, "manifest.json", b"{}")
        self.node.keep(self.node.table("shop", "orders"), "t1", "t2")
        self.server, self.number = server, 0
        self.program = harness.Program(binary, top / "p", ASAN)
        self.program.environment.update(server.environment() if server else {})
        url = server.url(server.make_bucket(), "some/prefix") if server else None
        self.repository = self.program.repository(url)
        (self.program.directory / "full.conf").write_text(CONFIGURATION.format(url=self.repository.url))
        (self.program.directory / "full.conf").chmod(0o600)
        (self.program.directory / "mnt").mkdir()
        self.save("nothing")
        self.repository.init()
        self.save("empty")
        for tag in ("t1", "t2"):
            self.repository.backup(self.node.data, tag, "b" + tag[1:])
        self.save("two")

    def save(self, name):
        harness.run("cp", "-a", self.program.directory, self.top / name)

    def reset(self, name):
        shutil.rmtree(self.program.directory)
        harness.run("cp", "-a", self.top / name, self.program.directory)
        self.number += 1

    @property
    def mountpoint(self):
        return self.program.directory / "mnt"

    def run(self, arguments, environment):
        command = [str(word) for word in (self.binary, "-r", self.repository.url, *arguments)]
        done = subprocess.run(command, env={**self.program.environment, **environment}, cwd=self.program.directory,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=HANG_SECONDS)
        return done.returncode, done.stdout.decode(), done.stderr.decode()


def expect(condition, text):
    """An assertion without pytest's explanation, which takes pages here."""
    if not condition:
        raise AssertionError(text)


def check_answer(code, err, environment, codes=(DONE, FAILED)):
    expect("Sanitizer" not in err and "runtime error" not in err,
           f"a sanitizer report:\n{err}")
    # A directory that cannot be opened is a store that cannot be reached.
    of_memory = environment.get("SSTABLEFS_FAIL_CALL") in MEMORY_CALLS
    expect(code in (codes if of_memory else (*codes, STORE)), f"exit code {code}: {err}")
    if code in (FAILED, STORE):
        expect(harness.is_sentence(err), f"no sentence: {err!r}")
        expect(not of_memory or "memory" in err, f"memory is not named: {err!r}")


class Command:
    """A command that changes nothing in the repository, or only adds to it."""

    def __init__(self, *arguments, start="two", same_output=True, check=None, codes=(DONE, FAILED)):
        self.arguments, self.start, self.same_output, self.check, self.codes = arguments, start, same_output, check, codes
        self.right = None

    def words(self, place):
        names = {"NODE": place.node.data, "DIR": place.program.directory, "N": f"r{place.number}",
                 "FILE": place.node.path(place.node.table("shop", "orders"), "t1", "nb-1-big-Data.db")}
        return [word.format(**names) for word in self.arguments]

    def __call__(self, place, environment):
        place.reset(self.start)
        code, out, err = place.run(self.words(place), environment)
        check_answer(code, err, environment, self.codes)
        if not environment.get("SSTABLEFS_FAIL_AT"):
            assert code not in (FAILED, STORE), err
            self.right = code, out
        elif code == self.right[0] and self.same_output:
            expect(out == self.right[1], f"another answer than without the failure:\n{out}\n{self.right[1]}\n{err}")
        if self.check:
            self.check(place, code)


def check_backups(place, code):
    """Earlier backups are whole, and the same again works."""
    if place.server is None and (place.top / "p/repository1/nodes/c1/n1/records/b1").exists():
        place.repository("verify", "b1")
    if code != DONE:
        place.repository.backup(place.node.data, "t2", f"again{place.number}")


def check_first_backup(place, code):
    name = f"r{place.number}"
    if code != DONE:
        name = "again"
        place.repository.backup(place.node.data, "t1", name)
    place.repository("verify", name)


def check_restored(place, code):
    if code != DONE:
        place.repository("restore", "b1", place.program.directory / "out")
    assert describe_tree(place.program.directory / "out") == describe_snapshot(place.node.data, "t1")


def check_made(place, code):
    if code != DONE:
        place.run(["init"], {})
    place.repository("list")


BACKUP = ("backup", "--cluster", "c1", "--node", "n1", "--data-dir", "{NODE}", "--name", "{N}", "--jobs", "2", "--snapshot")


class MountSession:
    """A mount in the foreground, looked at twice: what failed at first works then."""

    OPTIONS = "refresh=0,xattr,memory=64M,cache_size=128M,cluster=c1"
    LACKING = LACKING

    def __init__(self):
        self.right = None

    def look(self, mountpoint):
        """{what was asked: its answer, or the OSError}"""
        return look(mountpoint)

    def is_right(self, path, value):
        """Whether an answer given when something failed is as without the failure. A directory may show less."""
        return isinstance(value, OSError) or value == self.right[path] or stat.S_ISDIR(value[0])

    def __call__(self, place, environment):
        place.reset("two")
        process = subprocess.Popen(
            [place.binary, "-r", place.repository.url, "mount", place.mountpoint, "-f", "-o", self.OPTIONS],
            env={**place.program.environment, **environment}, cwd=place.program.directory, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            self.use(place, process, environment)
        finally:
            subprocess.run(["umount", "-l", place.mountpoint], capture_output=True)
            process.kill()
            process.wait()

    def use(self, place, process, environment):
        harness.wait_until(lambda: process.poll() is not None or is_mounted(place.mountpoint), HANG_SECONDS, "the mount")
        looks = []
        if process.poll() is None:
            looks = [self.look(place.mountpoint) for _ in range(2)]
            # Names are waited for two seconds at most, which a busy machine may need.
            deadline = time.monotonic() + HANG_SECONDS
            while self.right and looks[1] != self.right and process.poll() is None and time.monotonic() < deadline:
                looks[1] = self.look(place.mountpoint)
            if process.poll() is None:
                harness.run("umount", place.mountpoint)
        _, err = process.communicate(timeout=HANG_SECONDS)
        check_answer(process.returncode, err, environment)
        if not environment.get("SSTABLEFS_FAIL_AT"):
            assert looks[0] == looks[1] and process.returncode == DONE, err
            assert not any(isinstance(value, OSError) for value in looks[0].values()), looks[0]
            self.right = looks[0]
        elif process.returncode == DONE:
            expect(looks[1] == self.right, f"the mount did not recover: {differences(looks[1], self.right)}\n{err}")
            failed = {value.errno for value in looks[0].values() if isinstance(value, OSError)}
            expect(failed <= set(self.LACKING), f"{failed}\n{err}")
            wrong = {path: value for path, value in looks[0].items() if not self.is_right(path, value)}
            expect(not wrong, f"wrong answers: {wrong}\n{err}")


def change(top):
    """{step: its answer}: what tools do to the directory of a table, up to the first step that fails, and nothing of it is left."""
    directory = top / "c1/nodes/n1/b2/data" / Node.table(None, "shop", "orders")
    data, index, toc, made, tmp, sub = (directory / name for name in (*ORDERS, "made", "x.tmp", "sub"))
    steps = {
        "undo": lambda: undo(directory),
        "link": lambda: os.link(data, tmp),
        "move": lambda: tmp.rename(directory / "y.tmp") and None,
        "write": lambda: made.write_bytes(b"x" * 5000),
        "write far behind": lambda: write_at(made, b"far", 5 << 20),
        "replace": lambda: (toc.rename(f"{toc}.saved"), made.rename(toc)) and None,
        "hide": lambda: index.rename(f"{index}.saved") and None,
        "mkdir": sub.mkdir,
        "symlink": lambda: (sub / "link").symlink_to("t" * 300),
        "readlink": lambda: os.readlink(sub / "link"),
        "many": lambda: [os.link(data, sub / f"name{number}") for number in range(100)] and None,
        "exchange": lambda: exchange(sub / "name0", sub / "link"),
        "list": lambda: (sorted(os.listdir(directory)), sorted(os.listdir(sub))),
        "read": lambda: read(toc)[:5003],
        "count": lambda: data.stat().st_nlink,
        "undo again": lambda: undo(directory),
        "what is left": lambda: sorted(os.listdir(directory)),
    }
    found = {}
    for name, step in steps.items():
        try:
            found[name] = step()
        except OSError as error:
            found[name] = error
            break
    return found


def undo(directory):
    for name in ORDERS:
        if (saved := directory / f"{name}.saved").exists():
            saved.rename(directory / name)
    for where, _, names in os.walk(directory, topdown=False):
        top = where == str(directory)
        for name in names:
            if not (top and name.startswith("nb-")):
                os.unlink(os.path.join(where, name))
        if not top:
            os.rmdir(where)


def exchange(old, new):
    check(libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), 2))


def write_at(path, content, offset):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(fd, content, offset)
    finally:
        os.close(fd)


def clear(directory):
    """Leaves nothing there."""
    for where, _, names in os.walk(directory, topdown=False):
        for name in names:
            os.unlink(os.path.join(where, name))
        if where != str(directory):
            os.rmdir(where)


class OverlaySession(MountSession):
    """The same with what is written in a mount: what fails leaves everything as it was, and works when it is asked again."""

    LACKING = (*LACKING, errno.ENOSPC)

    def look(self, mountpoint):
        return change(mountpoint)

    def is_right(self, path, value):
        """A backup that could not be read is not shown: a file that it has, too, has a link less."""
        return isinstance(value, OSError) or value == self.right[path] or (path == "count" and value == self.right[path] - 1)


def differences(one, other):
    return "\n".join(f"{path}: {one.get(path)} and not {other.get(path)}" for path in sorted(one.keys() | other.keys())
                     if one.get(path) != other.get(path))


def look(top):
    """{path: attributes and content, or the OSError} of all of a mount; generated files only read."""
    found = {}

    def visit(path):
        try:
            st = os.lstat(path)
            content = sorted(os.listdir(path)) if stat.S_ISDIR(st.st_mode) else os.readlink(path) if stat.S_ISLNK(st.st_mode) else read(path)
        except OSError as error:
            found[str(path)] = error
            return
        if ".sstablefs" not in str(path):
            found[str(path)] = (st.st_mode, st.st_size, st.st_nlink, st.st_ino, content)
        if stat.S_ISDIR(st.st_mode):
            for name in content:
                visit(path / name)

    visit(top)
    for path, value in list(found.items()):
        if not isinstance(value, OSError) and value[0] == stat.S_IFREG | 0o644:
            try:
                found[path + " xattr"] = (0, os.getxattr(path, "user.sstablefs.content"))
            except OSError as error:
                found[path + " xattr"] = error
    return found


def read(path):
    with open(path, "rb", buffering=0) as f:
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return f.readall()


SCENARIOS = {
    "init": lambda: Command("init", start="nothing", same_output=False, check=check_made),
    "first backup": lambda: Command(*BACKUP, "t1", start="empty", same_output=False, check=check_first_backup),
    "second backup": lambda: Command("--json", *BACKUP, "t2", same_output=False, check=check_backups),
    "list": lambda: Command("list"),
    "list of all as JSON": lambda: Command("--json", "list"),
    "show": lambda: Command("show", "b1"),
    "show as JSON": lambda: Command("--json", "show", "b2"),
    "diff": lambda: Command("diff", "b1", "b2", codes=(FOUND, FAILED)),
    "verify": lambda: Command("verify", same_output=False),
    "verify as JSON": lambda: Command("--json", "verify", "b1"),
    "restore": lambda: Command("restore", "b1", "--jobs", "2", "{DIR}/out", same_output=False, check=check_restored),
    "id": lambda: Command("id", "{FILE}", "{FILE}"),
    "doctor": lambda: Command("doctor", same_output=False, codes=(DONE, FAILED, FOUND)),
    "configuration": lambda: Command("--config", "{DIR}/full.conf", "list"),
    "mount": MountSession,
    "writes in a mount": OverlaySession,
}
S3_SCENARIOS = {
    "list": lambda: Command("list", same_output=False),
    "second backup": lambda: Command("--json", *BACKUP, "t2", same_output=False, check=check_backups),
}


def record(scenario, place, path):
    """{hash: line} of the stacks of one run without a failure."""
    path.unlink(missing_ok=True)
    scenario(place, {"SSTABLEFS_FAIL_RECORD": str(path)})
    return {line.split()[0]: line for line in path.read_text().splitlines()}


def names_of(binary, line):
    """The functions of a recorded stack, the innermost first."""
    frames = [hex(int(frame, 16) - 1) for frame in line.split()[2:]]
    out = harness.run("addr2line", "-f", "-s", "-e", binary, *frames).splitlines()
    names = [f"{name} {at}" for name, at in zip(out[::2], out[1::2]) if at.split(":")[0] != "failing.c"]
    return f"{line.split()[1]} at " + " < ".join(names[:9])


def try_each(name, scenario, place, tmp_path, only=None):
    stacks = record(scenario, place, tmp_path / "recorded")
    # Threads meet in other orders: what only some runs call is found by a second one.
    stacks |= record(scenario, place, tmp_path / "recorded")
    chance = random.Random(f"{SEED} {name}")
    drawn = sorted(stacks) if LONG or len(stacks) <= SAMPLE else chance.sample(sorted(stacks), SAMPLE)
    findings, counts, started = [], Counter(), time.monotonic()
    for number, stack in enumerate(drawn):
        if only and not re.search(only, names_of(place.binary, stacks[stack])):
            continue
        fired = tmp_path / "fired"
        fired.unlink(missing_ok=True)
        always = number % 4 == 3
        environment = {"SSTABLEFS_FAIL_AT": stack, "SSTABLEFS_FAIL_FIRED": str(fired),
                       "SSTABLEFS_FAIL_CALL": stacks[stack].split()[1],
                       **({"SSTABLEFS_FAIL_ALWAYS": "1"} if always and not isinstance(scenario, MountSession) else {})}
        try:
            scenario(place, environment)
        except (AssertionError, subprocess.TimeoutExpired, OSError) as finding:
            findings.append(f"{stack}{' and all that follow' if always else ''}: {names_of(place.binary, stacks[stack])}\n    {finding}")
        counts["failed as asked" if fired.exists() else "not reached"] += 1
    print(f"{name}: {len(stacks)} stacks, seed {SEED}: {dict(counts)}, {len(findings)} findings, {time.monotonic() - started:.0f} s")
    assert not findings, "\n\n".join(findings)
    assert counts["failed as asked"] >= min(1, len(drawn))


@pytest.fixture
def place(failing_binary, tmp_path, request):
    place = Place(failing_binary, tmp_path)
    yield place
    assert not harness.clean_up(place.program.directory)
    shutil.rmtree(tmp_path)


@pytest.fixture
def s3_place(failing_binary, tmp_path, minio_server):
    place = Place(failing_binary, tmp_path, minio_server)
    yield place
    assert not harness.clean_up(place.program.directory)
    shutil.rmtree(tmp_path)


@pytest.mark.timeout(24 * 3600 if LONG else 600)
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_failed_call_is_survived(name, place, tmp_path):
    try_each(name, SCENARIOS[name](), place, tmp_path, os.environ.get("SSTABLEFS_ALLOC_ONLY"))


@pytest.mark.timeout(24 * 3600 if LONG else 600)
@pytest.mark.parametrize("name", S3_SCENARIOS)
def test_every_failed_call_is_survived_on_s3(name, s3_place, tmp_path):
    try_each(f"{name} on S3", S3_SCENARIOS[name](), s3_place, tmp_path, os.environ.get("SSTABLEFS_ALLOC_ONLY"))
