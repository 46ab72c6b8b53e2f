# SPDX-License-Identifier: Apache-2.0
"""Local state that is damaged, foreign, unwritable, shared or gone: mounts and commands work, and give the right bytes."""

import os
import random
import shutil

import pytest

from harness import LONG, is_alive, run, wait_until
from trees import MIB, describe, describe_snapshot, describe_tree, files_below

PAGE = 4096


@pytest.fixture
def repository(program, template):
    """Used once: there is a cache of a mount and one of the commands, both closed as they should be."""
    repository = template.copy_to(program)
    use(repository)
    return repository


def use(repository, *options):
    """A mount that is read through, a restore and a list; right in all."""
    expected, out = describe_snapshot(repository.originals, "t1"), repository.program.directory / "out"
    (repository.program.directory / "mnt.log").unlink(missing_ok=True)
    with repository.mount(*options, where=repository.program.directory / "mnt") as mount:
        assert describe_tree(mount.data("t1")) == expected
        assert os.stat(mount.data("t1") / next(iter(expected))).st_nlink == 2
        log = mount.log()
    shutil.rmtree(out, ignore_errors=True)
    repository("restore", "t1", out)
    assert describe_tree(out) == expected
    assert len(repository.json("list")["backups"]) == 1
    return log


@pytest.fixture(autouse=True)
def _originals(request, originals):
    """What use() compares with."""
    type(request.getfixturevalue("template")).originals = originals.node.data


def caches(program):
    found = sorted(path for path in program.cache.iterdir() if path.is_dir())
    assert len(found) == 2
    return found


def files_of(program, *names):
    return [path / name for path in caches(program) for name in names if (path / name).exists()]


# ---- damage in place, with the mark of a clean end beside it ----

def places(size, chance):
    """Every part of the meta pages, something of each page, and the end."""
    fine = range(0, min(size, 2 * PAGE), 8)
    coarse = (at + chance.randrange(PAGE) for at in range(0, size, PAGE))
    return sorted({*fine, *(at for at in coarse if at < size), size - 1})


def test_a_garbled_index_is_discarded_wherever_it_is_garbled(repository, program):
    chance = random.Random("garbled")
    count = 100 if LONG else 4
    index = files_of(program, "data.mdb")[0]
    chosen = chance.sample(places(index.stat().st_size, chance), count)
    for number, at in enumerate(chosen):
        for path in files_of(program, "data.mdb"):
            data = bytearray(path.read_bytes())
            at %= len(data)
            length = min(chance.choice((1, 8, 100, PAGE)), len(data) - at)
            was = bytes(data)
            data[at:at + length] = chance.choice((chance.randbytes, bytes, lambda n: b"\xff" * n))(length)
            data[at] = was[at] ^ 1 if data == was else data[at]
            if chance.random() < 0.3:
                del data[at:]
            path.write_bytes(data)
        assert "made anew" in use(repository), f"number {number}, at {at}"


DAMAGE = {
    "emptied": lambda p: os.truncate(p, 0),
    "huge": lambda p: os.truncate(p, 1 << 40),
    "garbage": lambda p: p.write_bytes(random.Random(1).randbytes(MIB)),
    "a directory": lambda p: (p.unlink(), p.mkdir(), (p / "file").touch()),
    "a link to nothing": lambda p: (p.unlink(), p.symlink_to("nowhere")),
    "a link to a foreign file": lambda p: (p.unlink(), p.symlink_to(p.parent.parent.parent / "foreign")),
    "another name of a foreign file": lambda p: (p.unlink(), os.link(p.parent.parent.parent / "foreign", p)),
    "a pipe": lambda p: (p.unlink(), os.mkfifo(p)),
    "without permissions": lambda p: p.chmod(0),
    "somebody else's": lambda p: (os.chown(p, 4711, 4711), p.chmod(0o600)),
    "gone": lambda p: p.unlink(),
}
NAMES = ("data.mdb", "mount.mdb", "data.mdb-lock", "mount.mdb-lock", "closed", "lock", "frames")


@pytest.mark.parametrize("name", NAMES)
def test_whatever_lies_in_the_place_of_a_file_of_the_cache(repository, program, name):
    foreign = program.directory / "foreign"
    foreign.write_bytes(b"precious")
    for what in (DAMAGE if LONG else random.Random(name).sample(sorted(DAMAGE), 2)):
        for path in caches(program):
            if not (path / name).exists():
                (path / name).touch()
            DAMAGE[what](path / name)
        print(name, what)
        use(repository)
        assert foreign.read_bytes() == b"precious", what
        assert not (program.directory / "nowhere").exists(), what


def test_a_cache_of_another_version_is_discarded(repository, program):
    for mark in files_of(program, "closed"):
        assert mark.read_text().startswith("sstablefs cache 1 ")
        mark.write_text(mark.read_text().replace("cache 1", "cache 2"))
    assert "made anew" in use(repository)
    for path in caches(program):
        (path / "unknown").mkdir()
        (path / "unknown/file").touch()
    use(repository)


# ---- directories ----

def a_file(program, repository):
    for path in caches(program):
        shutil.rmtree(path)
        path.touch()


def links_to_elsewhere(program, repository):
    for path in caches(program):
        path.rename(path.with_name("moved-" + path.name))
        path.symlink_to("moved-" + path.name)


@pytest.mark.parametrize("change", [a_file, links_to_elsewhere])
def test_something_else_in_the_place_of_the_directory_of_a_mount(repository, program, change):
    change(program, repository)
    use(repository)


@pytest.mark.parametrize("how", ["read-only", "full of inodes", "cannot be made"])
def test_a_cache_directory_that_cannot_be_written_is_done_without(repository, program, how):
    where, identity = program.cache, caches(program)[0].name[:32]
    if how == "cannot be made":
        program.environment["SSTABLEFS_CACHE_DIR"] = "/proc/self/none"
    else:
        run("mount", "-t", "tmpfs", "-o", "ro" if how == "read-only" else "nr_inodes=1", "tmpfs", where)
    try:
        log = use(repository)
    finally:
        if how != "cannot be made":
            run("umount", where)
    assert "keeps its index in memory" in log and "cache" in log
    assert not [name for name in os.listdir("/dev/shm") if identity in name], "the index in memory has a name"


def test_the_caches_may_go_while_they_are_in_use(repository, program, originals):
    with repository.mount("refresh=1") as mount:
        files = sorted(files_below(mount.data("t1")))
        (mount.data("t1") / files[0]).read_bytes()
        shutil.rmtree(program.cache)
        assert describe_tree(mount.data("t1")) == describe_snapshot(originals.node.data, "t1")
        repository.backup(originals.node.data, "t2")
        wait_until(lambda: "t2" in os.listdir(mount.node()), 60, "the new backup")
        assert describe_tree(mount.data("t2")) == describe_snapshot(originals.node.data, "t2")
        # A second mount makes the directory anew; the first one's end must not spoil it.
        with repository.mount() as second:
            mount.unmount()
            assert describe_tree(second.data("t2")) == describe_snapshot(originals.node.data, "t2")


def test_several_mounts_share_a_cache_directory(repository, program, originals):
    with repository.mount() as one, repository.mount() as other:
        assert one.status()["cache"] != other.status()["cache"]
        for mount in (one, other):
            assert describe_tree(mount.data("t1")) == describe_snapshot(originals.node.data, "t1")
        os.kill(one.pid, 9)
        wait_until(lambda: not is_alive(one.pid), 60, "the end of the daemon")
        assert describe_tree(other.data("t1")) == describe_snapshot(originals.node.data, "t1")
        with repository.mount(where=one.path) as again:
            assert again.status()["cache"] != other.status()["cache"]
            assert describe_tree(again.data("t1")) == describe_snapshot(originals.node.data, "t1")


def test_damage_while_it_is_mapped_never_gives_a_wrong_byte(repository, program, originals):
    """The daemon may end of it; what it gives until then is right, and the next mount works."""
    chance, died = random.Random("mapped"), 0
    for _ in range(30 if LONG else 3):
        mount = repository.mount("refresh=1", "memory=64M", where=program.directory / "mnt")
        expected = describe_snapshot(originals.node.data, "t1")
        for path in files_below(mount.data("t1")):
            (mount.data("t1") / path).read_bytes()
        for path in files_of(program, "data.mdb", "mount.mdb", "frames"):
            size = path.stat().st_size
            with open(path, "r+b") as f:
                for _ in range(20):
                    f.seek(chance.randrange(max(size, 1)))
                    f.write(chance.randbytes(64))
                if chance.random() < 0.3:
                    f.truncate(size // 2)
        run("sh", "-c", "echo 3 >/proc/sys/vm/drop_caches")
        for path, description in expected.items():
            try:
                assert describe(mount.data("t1") / path) == description
            except OSError:
                died += not is_alive(mount.pid)
                break
        os.kill(mount.pid, 9) if is_alive(mount.pid) else None
        wait_until(lambda pid=mount.pid: not is_alive(pid), 60, "the end of the daemon")
        program("umount", mount.path)
        use(repository)
    print(f"the daemon ended {died} times")
