# SPDX-License-Identifier: Apache-2.0
"""restore writes below its target directory and nowhere else, whatever lies in the target, and whatever happens to it meanwhile."""

import os
import shutil
import stat
import threading

import pytest

from forge import TABLE, Directory, File, Forge
from harness import DONE, FAILED, LONG, is_sentence
from trees import fingerprint

SECONDS = 60
TABLE_NAME = TABLE.decode()
DATA = "nb-1-big-Data.db"


@pytest.fixture
def good(program):
    """A repository with the backup `good`, which claims modes that would harm another file, and where to put things."""
    forge = Forge(program.directory / "repository").repository()
    files = [File(DATA.encode(), b"good bytes", mode=0o666, uid=65534, gid=65534), File(b"nb-1-big-TOC.txt", b"Data.db\n")]
    forge.backup("good", Directory(files=files, children={b".index": Directory(files=[File(b"nb-1-big-Data.db", b"indexed")])}))
    return program.repository(program.directory / "repository")


@pytest.fixture
def outside(tmp_path):
    """What must not change: a file, and a directory."""
    (tmp_path / "outside/directory").mkdir(parents=True)
    victim = tmp_path / "outside/victim"
    victim.write_bytes(b"good bytes")  # the same content: restore need not write it
    victim.chmod(0o600)
    os.utime(victim, (1, 1))
    yield tmp_path / "outside"


def everything(outside):
    return fingerprint(outside), sorted(p.relative_to(outside) for p in outside.rglob("*"))


def in_the_way(out, path, make):
    (out / path).parent.mkdir(parents=True, exist_ok=True)
    make(out / path)


@pytest.mark.parametrize("path", ["ks", f"ks/{TABLE_NAME}", f"ks/{TABLE_NAME}/{DATA}", f"ks/{TABLE_NAME}/.index", ".sstablefs-restore"])
@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]], ids=["", "overwrite"])
def test_a_symbolic_link_in_the_target_is_not_followed(good, outside, tmp_path, path, overwrite):
    before = everything(outside)
    for target in ("directory", "victim", "nothing"):
        out = tmp_path / f"out-{target}"
        in_the_way(out, path, lambda p, target=target: p.symlink_to(outside / target))
        answer = good("restore", "good", out, *overwrite, code=FAILED, timeout=SECONDS)
        assert is_sentence(answer.err) and str(out) in answer.err
        assert everything(outside) == before and (out / path).is_symlink()


@pytest.mark.parametrize("make", [os.mkfifo, lambda p: os.mknod(p, stat.S_IFCHR | 0o600, os.makedev(1, 3)), lambda p: p.mkdir()],
                         ids=["fifo", "device", "directory"])
def test_what_is_no_file_is_not_opened(good, tmp_path, make):
    in_the_way(tmp_path / "out", f"ks/{TABLE_NAME}/{DATA}", make)
    for more in ([], ["--overwrite"]):
        answer = good("restore", "good", tmp_path / "out", *more, code=FAILED, timeout=SECONDS)
        assert "is in the way" in answer.err


def test_a_hard_link_keeps_its_attributes(good, outside, tmp_path):
    """Its content is that of the backup, so it counts as restored; but mode and owner belong to the file elsewhere too."""
    before = everything(outside)
    in_the_way(tmp_path / "out", f"ks/{TABLE_NAME}/{DATA}", lambda p: os.link(outside / "victim", p))
    st = (outside / "victim").stat()
    good("restore", "good", tmp_path / "out", timeout=SECONDS)
    after = (outside / "victim").stat()
    assert (after.st_mode, after.st_uid, after.st_mtime_ns) == (st.st_mode, st.st_uid, st.st_mtime_ns)
    assert everything(outside) == before
    (tmp_path / "out/ks" / TABLE_NAME / DATA).unlink()
    os.link(outside / "victim", tmp_path / "out/ks" / TABLE_NAME / DATA)
    (outside / "victim").write_bytes(b"other data")
    good("restore", "good", tmp_path / "out", "--overwrite", timeout=SECONDS)
    assert (outside / "victim").read_bytes() == b"other data"
    assert (tmp_path / "out/ks" / TABLE_NAME / DATA).read_bytes() == b"good bytes"


def test_the_target_itself_may_be_a_link(good, outside, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    good("restore", "good", tmp_path / "link")
    assert (tmp_path / "real/ks" / TABLE_NAME / DATA).read_bytes() == b"good bytes"
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere/else")
    assert is_sentence(good("restore", "good", tmp_path / "dangling", code=FAILED).err)


def test_maps_are_targets_like_any_other(good, outside, tmp_path):
    before = everything(outside)
    in_the_way(tmp_path / "map", "ks", lambda p: p.symlink_to(outside / "directory"))
    answer = good("restore", "good", "--map-data-dir", f"0={tmp_path}/map", tmp_path / "out", code=FAILED)
    assert is_sentence(answer.err) and everything(outside) == before


@pytest.mark.parametrize("what", [f"ks/{TABLE_NAME}", "ks", f"ks/{TABLE_NAME}/{DATA}", ".sstablefs-restore"])
def test_the_target_changes_while_it_is_written(good, outside, tmp_path, what):
    """Somebody swaps a directory or file of the target for a link to outside, and back, again and again."""
    before, stop = everything(outside), threading.Event()
    out = tmp_path / "out"
    good("restore", "good", out)

    def swap():
        aside = tmp_path / "aside"
        while not stop.is_set():
            try:
                os.rename(out / what, aside)
                os.symlink(outside / ("victim" if what.endswith(DATA) else "directory"), out / what)
                os.unlink(out / what)
                os.rename(aside, out / what)
            except OSError:
                if not aside.is_symlink() and aside.is_dir():
                    shutil.rmtree(aside, ignore_errors=True)
                elif aside.exists() or aside.is_symlink():
                    aside.unlink(missing_ok=True)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(100 if LONG else 6):
            answer = good("restore", "good", out, "--overwrite", code=None, timeout=SECONDS)
            assert answer.code in (DONE, FAILED), answer.err
            assert everything(outside) == before
    finally:
        stop.set()
        thread.join()
    for victim in outside.rglob("*"):
        assert victim.name in ("victim", "directory")
