# SPDX-License-Identifier: Apache-2.0
"""Backups that somebody forged who can write to the bucket: each may be lost, and nothing else."""

import os
import re
import stat
from errno import EACCES, EIO, ENAMETOOLONG

import pytest

import attacks
from attacks import ATTACKS, DAMAGED, FINE
from forge import TABLE, Directory, File, Forge
from harness import DONE, FAILED, FOUND, LONG, Program, is_alive, is_sentence, wait_until
from trees import fingerprint

SECONDS = 30  # within which everything ends
DIRECTORY = f"data/ks/{TABLE.decode()}"
# What is more than a parser: here every command shows that it ends, in the daily check too.
WALKS = [name for name in ATTACKS if re.search("bomb|deep|longer-paths|forge-lines|our-own|odd|run-of|overlap|window|content-id", name)]


@pytest.fixture(scope="module")
def hostile(binary, tmp_path_factory):
    """A repository with all attacks and the backup `good`."""
    program = Program(binary, tmp_path_factory.mktemp("hostile") / "p")
    attacks.make_all(program.directory / "repository")
    return program.repository(program.directory / "repository")


def stays_good(repository, out):
    """The good backup of the same bucket can be had, whatever lies beside it."""
    repository("restore", "good", out, timeout=SECONDS)
    assert (out / "ks" / TABLE.decode() / "nb-1-big-Data.db").read_bytes() == b"good bytes"


def explained(answer, name):
    """A failure says what is wrong, in one harmless line, and which key it is."""
    assert is_sentence(answer.err), answer.err
    assert answer.err.isprintable() or answer.err.rstrip("\n").isprintable(), repr(answer.err)
    assert re.search(r"nodes/c1/n1/(trees|objects|records)/", answer.err), answer.err


@pytest.mark.parametrize("name", ATTACKS)
def test_a_restore_ends_and_writes_only_what_it_may(hostile, tmp_path, name):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "canary").write_text("alive")
    before = fingerprint(tmp_path)
    answer = hostile("restore", name, tmp_path / "out", code=None, timeout=SECONDS)
    if ATTACKS[name][1] is FINE:
        assert answer.code == DONE, answer.err
    elif answer.code != DONE:
        assert answer.code == FAILED
        explained(answer, name)
    left = {path: what for path, what in fingerprint(tmp_path).items() if not path.startswith("out/")}
    assert left == before
    assert all(path.startswith("out/ks/") for path in fingerprint(tmp_path) if path not in before)
    for path in (tmp_path / "out").rglob("*"):
        mode = path.lstat().st_mode
        assert stat.S_ISDIR(mode) or (stat.S_ISREG(mode) and not mode & 0o6000), path


@pytest.mark.parametrize("name", ATTACKS if LONG else WALKS)
def test_show_and_diff_end(hostile, name):
    for command in (["show", name], ["diff", "good", name], ["diff", name, "good"], ["--json", "diff", name, "good"]):
        answer = hostile(*command, code=None, timeout=SECONDS)
        assert answer.code in (DONE, FAILED, FOUND), answer.err
        if answer.code == FAILED:
            explained(answer, name)
        shown = answer.out.replace("\x7f", "") if "--json" in command else answer.out  # JSON leaves DEL as it is
        assert all(line.isprintable() for line in shown.split("\n")), repr(answer.out)


def test_verify_names_every_damaged_backup(hostile):
    answer = hostile("--json", "verify", code=FOUND, timeout=4 * SECONDS)
    found = "\n".join([d["key"] + "\n" + "\n".join(d["files"]) for d in answer.json["damaged"] + answer.json["missing"]])
    # A directory that is named twice is read once, so a lie in the totals above it is met by those who walk it.
    missed = [name for name, (_, outcome) in ATTACKS.items()
              if outcome is DAMAGED and f"/{name}/" not in found and name != "a-bomb-with-a-lie-at-its-end"]
    assert not missed, "verify does not find them"
    wrong = [name for name, (_, outcome) in ATTACKS.items() if outcome is FINE and f"/{name}/" in found]
    assert not wrong, "verify finds something in them"
    text = hostile("verify", code=FOUND, timeout=4 * SECONDS)
    assert all(line.isprintable() for line in text.out.split("\n"))


def test_list_shows_what_can_be_read(hostile, tmp_path):
    answer = hostile("--json", "list", code=FOUND, timeout=SECONDS)
    names = {b["name"] for b in answer.json["backups"]}
    assert names >= {"good"} | set(ATTACKS) - {"totals-beyond-the-limits"}
    stays_good(hostile, tmp_path / "out")


def test_names_cannot_forge_lines_nor_get_lost(hostile, tmp_path):
    """16 names are 16 lines, and 16 objects in JSON, whatever bytes are in them."""
    name = "names-that-forge-lines"
    answer = hostile("diff", "good", name, code=FOUND)
    assert len(answer.out.splitlines()) == 16 + 2
    assert "\x1b" not in answer.out and "\x9b" not in answer.out and "‮" not in answer.out
    listed = [d["path"] for d in hostile.json("diff", "good", name, code=FOUND)["differences"] if d["change"] == "added"]
    assert len(listed) == 16 and f"{DIRECTORY}/a\nb" in listed and any("�" in path for path in listed)
    hostile("restore", name, tmp_path / "out")
    assert b"\xff\xfe not UTF-8" in os.listdir(os.fsencode(tmp_path / "out/ks" / TABLE.decode()))


# ---- the mount ----

def read_all(top):
    """Everything below a directory, read to its end; the errors that were met."""
    errors, met = [], 0

    def walk(directory):
        nonlocal met
        try:
            with os.scandir(directory) as entries:
                below = list(entries)
        except OSError as error:
            errors.append(error)
            return
        for entry in below:
            met += 1
            try:
                st = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(st.st_mode):
                    walk(entry.path)
                elif stat.S_ISREG(st.st_mode):
                    read_file(entry.path, st.st_size)
            except OSError as error:
                errors.append(error)

    walk(os.fsencode(top))
    return errors, met


def read_file(path, size):
    total = 0
    with open(path, "rb") as f:
        while chunk := f.read(1 << 20):
            total += len(chunk)
    assert total == size, path


def walk_the_mount(mount):
    """As find, ls -lR and cat would."""
    for backup in sorted(os.listdir(mount.node())):
        if backup in ("objects", "latest"):
            continue
        errors, met = read_all(mount.node() / backup)
        assert met < 20_000, f"{backup} has no end"
        for error in errors:
            # Nobody, not even root, may read what belongs to the user 2^32 - 1; and a path has its limit.
            assert error.errno == EIO or (backup, error.errno) == ("odd-attributes", EACCES) or (
                error.errno == ENAMETOOLONG and backup in ("a-thousand-directories-deep", "longer-paths-than-a-path-can-be")), (backup, error)
        if ATTACKS.get(backup, (0, FINE))[1] is FINE and backup != "odd-attributes":
            assert not errors, (backup, errors)


def test_a_mount_of_all_of_them_serves_the_good_one(hostile, tmp_path):
    with hostile.mount("memory=64M", "refresh=1", f"cache_dir={tmp_path}/cache", "cache_size=128M") as mount:
        os.listdir(mount.node())
        bombs = [name for name in ATTACKS if "says-it-is-small" in name or "lie-at-its-end" in name]
        wait_until(lambda: not set(bombs) & set(os.listdir(mount.node())), SECONDS, "backups without an end to vanish")
        walk_the_mount(mount)
        os.statvfs(mount.path)
        assert (mount.node() / "good" / DIRECTORY / "nb-1-big-Data.db").read_bytes() == b"good bytes"
        assert is_alive(mount.pid)
        log = mount.log()
        assert all(line.isprintable() for line in log.splitlines()) and "nodes/c1/n1/trees/" in log
        # Of one kind ten lines a second are told; which of these they are is chance.
        assert "holds more than the directories above it say" in log or "of kind index were left out" in log


def test_a_million_files_in_a_directory(program, tmp_path):
    """10,000 in the daily check. Lists, lookups and reads at both ends work within the memory."""
    files = 1_000_000 if LONG else 10_000
    forge = Forge(program.directory / "many").repository()
    forge.backup("many", Directory(files=[File(b"%07d.db" % i, b"") for i in range(files)]))
    forge.good()
    repository = program.repository(program.directory / "many")
    with repository.mount("memory=64M", "cache_size=1G") as mount:
        top = mount.node() / "many" / DIRECTORY
        assert sum(1 for _ in os.scandir(top)) == files
        for i in (0, files - 1):
            assert (top / f"{i:07}.db").stat().st_size == 0
    assert f"{files} files" in repository("show", "many").out
    assert len(repository("diff", "good", "many", code=FOUND, timeout=600).out.splitlines()) == files + 2


def test_set_id_bits_are_not_restored(hostile, tmp_path):
    """As root a file of uid 0 and mode 4755 would be a way to become root, made by whoever can write to the bucket."""
    hostile("restore", "odd-attributes", tmp_path / "out")
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "out/ks" / TABLE.decode()).iterdir()}
    assert modes["nb-1-big-Data.db"] == 0o1777 and modes["nb-5-big-Data.db"] == 0o755
    again = hostile.json("restore", "odd-attributes", tmp_path / "out")
    assert again["files_written"] == 0
    for name in ("nb-1-big-Data.db", "nb-5-big-Data.db"):
        assert not (tmp_path / "out/ks" / TABLE.decode() / name).stat().st_mode & 0o6000
