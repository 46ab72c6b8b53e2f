# SPDX-License-Identifier: Apache-2.0
"""How a mount behaves: its begin and end, who may read, owners, directories, writes, mount(8), several at once."""

import contextlib
import ctypes
import errno
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

import harness
from harness import CLUSTER, DONE, FAILED, NODE, is_alive, is_mounted, run, wait_until
from trees import Node, content_id, describe_snapshot, describe_tree, files_below, reseal

NOBODY = 65534


@pytest.fixture
def small_node(small_node):
    """With a file that is private to root, and one of another owner."""
    small_node.write(small_node.table("shop", "orders"), "t1", "nb-2-big-Data.db", b"secret" * 200, mode=0o600, owner=(0, 0))
    small_node.write(small_node.table("shop", "orders"), "t1", "nb-3-big-Data.db", b"owned" * 200, mode=0o664, owner=(4711, 4712))
    return small_node


@pytest.fixture
def stored(repository, small_node):
    repository.backup(small_node.data, "t1")
    return repository


@pytest.fixture
def public(request):
    """A directory that every user can reach; pytest's own are private."""
    path = Path(tempfile.mkdtemp(prefix="sstablefs-public-"))
    path.chmod(0o755)
    yield path
    harness.clean_up(path)


def everything(mount):
    return [mount.data("t1") / path for path in files_below(mount.data("t1"))]


# ---- begin and end ----

def test_umount_returns_when_the_daemon_is_gone(stored):
    for _ in range(3):
        mount = stored.mount()
        everything(mount)[0].read_bytes()
        mount.unmount()
        assert not is_alive(mount.pid) and not is_mounted(mount.path)


def test_umount_names_who_uses_the_mount(stored):
    with stored.mount() as mount:
        open_file = everything(mount)[0].open("rb")
        sleeper = subprocess.Popen(["sleep", "1000"], cwd=mount.data("t1"), env=stored.program.environment)
        try:
            answer = mount.unmount(code=FAILED)
            assert f"{sleeper.pid} (sleep)" in answer.err and f"{os.getpid()} (" in answer.err and "--lazy" in answer.err
            assert is_mounted(mount.path)
        finally:
            open_file.close()
            sleeper.kill()
            sleeper.wait()


def test_a_lazy_umount_leaves_open_files_readable(stored, small_node):
    mount = stored.mount()
    path = next(p for p in everything(mount) if p.name == "nb-1-big-Data.db")
    with path.open("rb") as f:
        mount.unmount("--lazy")
        assert not is_mounted(mount.path) and os.listdir(mount.path) == []
        assert f.read() == small_node.path(small_node.table("shop", "orders"), "t1", path.name).read_bytes()
        assert is_alive(mount.pid)
    wait_until(lambda: not is_alive(mount.pid), 60, "the end of the daemon")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_a_foreground_mount_cleanly_with_readers_active(stored, program, number):
    where = program.directory / "mnt"
    where.mkdir()
    process = stored.start("mount", "-f", where)
    wait_until(lambda: is_mounted(where) and (where / ".sstablefs/status").exists(), 60, "the mount")
    script = f"while cat {where}/{CLUSTER}/nodes/{NODE}/t1/data/*/*/* >/dev/null; do :; done"
    reader = subprocess.Popen(["sh", "-c", script], env=program.environment, stderr=subprocess.DEVNULL)
    try:
        process.send_signal(number)
        _, log = process.communicate(timeout=20)
        assert process.returncode == DONE and "mounted" in log and not is_mounted(where)
        reader.wait(timeout=20)
    finally:
        reader.kill()
        reader.wait()


def test_a_signal_that_ends_the_daemon_leaves_the_cache_usable(stored):
    mount = stored.mount()
    paths = everything(mount)
    os.kill(mount.pid, signal.SIGTERM)
    wait_until(lambda: not is_alive(mount.pid), 60, "the end of the daemon")
    assert not is_mounted(mount.path)
    with stored.mount(where=mount.path) as again:
        assert everything(again) == paths


def test_two_mounts_of_one_repository_live_side_by_side(stored, small_node):
    expected = describe_snapshot(small_node.data, "t1")
    with stored.mount() as one:
        with stored.mount() as other:
            assert one.status()["cache"] != other.status()["cache"] and one.pid != other.pid
            for mount in (one, other):
                assert describe_tree(mount.data("t1")) == expected
            assert [os.stat(p).st_ino for p in everything(one)] == [os.stat(p).st_ino for p in everything(other)]
        assert describe_tree(one.data("t1")) == expected
        first = one.status()["cache"]
    with stored.mount() as next_one:
        assert next_one.status()["cache"] == first, "the directory of a mount that ended is used again"


def test_a_new_backup_appears_where_its_absence_was_remembered(stored, small_node):
    with stored.mount("refresh=1") as mount:
        for path in (mount.node() / "t2", mount.node("n2"), mount.path / "c2"):
            assert not path.exists()
        stored.backup(small_node.data, "t1", "t2")
        stored.backup(small_node.data, "t1", "x", node="n2")
        stored.backup(small_node.data, "t1", "x", cluster="c2")
        begun = time.monotonic()
        for path in (mount.node() / "t2", mount.node("n2") / "x", mount.node(cluster="c2") / "x/data"):
            wait_until(path.exists, 60, path)
        assert time.monotonic() - begun < 4
        assert os.readlink(mount.node() / "latest") == "t2"
        assert sorted(os.listdir(mount.path)) == [".sstablefs", "c1", "c2"]


def test_mounts_can_be_confined_to_a_cluster_and_a_node(stored, small_node):
    stored.backup(small_node.data, "t1", "x", node="n10")
    stored.backup(small_node.data, "t1", "x", cluster="c10")
    with stored.mount("cluster=c1") as mount:
        assert sorted(os.listdir(mount.path)) == [".sstablefs", "c1"] and not (mount.path / "c10").exists()
        assert sorted(os.listdir(mount.path / "c1/nodes")) == ["n1", "n10"]
    with stored.mount("cluster=c1", "node=n1") as mount:
        assert os.listdir(mount.path / "c1/nodes") == ["n1"] and not mount.node("n10").exists()


def test_the_cache_directory_may_be_deleted_while_mounted(stored, small_node, program):
    expected = describe_snapshot(small_node.data, "t1")
    with stored.mount("refresh=1") as mount:
        list(files_below(mount.node()))
        shutil.rmtree(program.cache)
        assert describe_tree(mount.data("t1")) == expected
        stored.backup(small_node.data, "t1", "t2")
        wait_until((mount.node() / "t2").exists, 60, "the new backup")
        assert describe_tree(mount.data("t2")) == expected
        with stored.mount() as other:
            assert describe_tree(other.data("t1")) == expected


# ---- who may read, and whose it is ----

def as_nobody(*command, code=0):
    return run("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command, code=code)


def test_only_allow_other_lets_other_users_in(stored, public):
    for options, code in ((["allow_other"], 0), ([], 1)):
        with stored.mount(*options, where=public / "mnt") as mount:
            as_nobody("ls", mount.data("t1"), code=code and 2)
            for name, readable in (("nb-1-big-Data.db", True), ("nb-2-big-Data.db", False)):
                path = next(p for p in everything(mount) if p.name == name)
                as_nobody("cat", path, code=0 if readable and code == 0 else 1)


def test_owner_group_and_umask_can_be_set(stored):
    with stored.mount("uid=nobody", "gid=4713", "umask=027") as mount:
        for directory, directories, files in os.walk(mount.path):
            for path in (os.path.join(directory, name) for name in directories + files):
                st = os.lstat(path)
                assert (st.st_uid, st.st_gid) == (NOBODY, 4713), path
                assert os.path.islink(path) or not st.st_mode & 0o027, path


def test_owners_are_found_by_name_unless_numbers_are_asked_for(stored, tmp_path):
    """The record says that 4711 was called nobody there, and 4712 nogroup; root was called something unknown here."""
    (record,) = (stored.path / f"nodes/{CLUSTER}/{NODE}/records/t1").iterdir()
    reseal(record, users=[{"id": 0, "name": "no-such-user"}, {"id": 4711, "name": "nobody"}],
           groups=[{"id": 0, "name": "no-such-group"}, {"id": 4712, "name": "nogroup"}])
    for options, expected in (([], (NOBODY, 65534)), (["numeric_ids"], (4711, 4712))):
        with stored.mount(*options) as mount:
            owners = {p.name: (os.stat(p).st_uid, os.stat(p).st_gid) for p in everything(mount)}
        assert owners["nb-3-big-Data.db"] == expected and owners["nb-1-big-Data.db"] == (0, 0)
        out = tmp_path / f"out{len(options)}"
        stored("restore", "t1", *(["--numeric-ids"] if options else []), out)
        (path,) = out.rglob("nb-3-big-Data.db")
        assert (path.stat().st_uid, path.stat().st_gid) == expected


def test_a_user_mounts_with_fusermount3(stored, public):
    """/dev/fuse is open to all, as on any usual host: in a name space of its own."""
    (public / "home").mkdir()
    (public / "mnt").mkdir()
    run("cp", "-a", stored.path, public / "repository")
    run("cp", stored.program.binary, public / "sstablefs")
    run("chown", "-R", f"{NOBODY}:{NOBODY}", public / "home", public / "mnt", public / "repository")
    script = """
mknod "$1/fuse" c 10 229; chmod 666 "$1/fuse"; mount --bind "$1/fuse" /dev/fuse
cd "$1"
user="setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=$1/home ./sstablefs"
$user -r repository mount mnt
setpriv --reuid=65534 --regid=65534 --clear-groups sh -ec '
	cat mnt/c1/nodes/n1/t1/data/shop/*/*TOC.txt
	stat -c "%u %a" mnt mnt/c1/nodes/n1/t1/data/shop/*/nb-1-big-Data.db
	ls home/.cache/sstablefs >/dev/null'
$user umount mnt
! mountpoint -q mnt
"""
    environment = {key: value for key, value in stored.program.environment.items() if not key.startswith("SSTABLEFS_C")}
    out = run("unshare", "-m", "sh", "-exc", script, "sh", public, env=environment)
    assert out.startswith("Data.db\n") and out.endswith(f"{NOBODY} 755\n{NOBODY} 644\n")


# ---- directories, attributes ----

class Dirent(ctypes.Structure):
    _fields_ = [("ino", ctypes.c_uint64), ("off", ctypes.c_int64), ("reclen", ctypes.c_ushort), ("type", ctypes.c_ubyte),
                ("name", ctypes.c_char * 256)]


libc = ctypes.CDLL(None, use_errno=True)
libc.opendir.restype = ctypes.c_void_p
libc.readdir.restype = ctypes.POINTER(Dirent)
libc.telldir.restype = ctypes.c_long
libc.opendir.argtypes = [ctypes.c_char_p]
libc.readdir.argtypes = libc.telldir.argtypes = libc.closedir.argtypes = [ctypes.c_void_p]
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]


def read_entry(directory):
    entry = libc.readdir(directory)
    return entry.contents.name if entry else None


def test_any_position_of_a_directory_can_be_sought(repository, tmp_path):
    node, chance = Node(tmp_path / "node"), random.Random(12)
    for i in range(700):
        node.write("ks/t-" + "0" * 32, "t1", f"nb-{i}-big-{'x' * (i % 60)}.db", b"%d" % i)
    repository.backup(node.data, "t1")
    repository.backup(node.data, "t1", "t2")
    with repository.mount() as mount:
        list(files_below(mount.node()))
        for path in (mount.path, mount.path / CLUSTER, mount.node(), mount.node() / "t1", mount.data("t1") / ("ks/t-" + "0" * 32),
                     mount.node() / "objects", next((mount.node() / "objects").iterdir()), mount.path / CLUSTER / "backups"):
            directory = libc.opendir(os.fsencode(path))
            listed, name = [(libc.telldir(directory), None)], b""
            while (name := read_entry(directory)) is not None:
                listed[-1] = (listed[-1][0], name)
                listed.append((libc.telldir(directory), None))
            names = [name for _, name in listed]
            assert sorted(n.decode() for n in names[:-1]) == sorted([".", "..", *os.listdir(path)])
            for _ in range(60):
                at = chance.randrange(len(listed))
                libc.seekdir(directory, listed[at][0])
                for i in range(at, min(at + 3, len(listed))):
                    assert read_entry(directory) == names[i], (path, at)
            libc.closedir(directory)


def test_space_and_the_type_of_the_file_system_are_told(stored):
    with stored.mount("ro") as mount:
        vfs = os.statvfs(mount.path)
        assert vfs.f_namemax == 255 and vfs.f_bfree == 0
        everything(mount)
        assert os.statvfs(mount.path).f_blocks > 0
        (line,) = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if line.split()[4] == str(mount.path)]
        options, _, rest = line.partition(" - ")
        assert rest.split()[:2] == ["fuse.sstablefs", stored.url]
        assert {"ro", "nosuid", "nodev"} <= set(options.split()[5].split(",")) and "default_permissions" in rest


def test_extended_attributes_are_answered_only_on_request_and_never_listed(stored):
    with stored.mount("xattr") as mount:
        for path in everything(mount):
            assert os.getxattr(path, "user.sstablefs.content").decode() == content_id(path.read_bytes())
            stored_as, key = (os.getxattr(path, f"user.sstablefs.{name}").decode() for name in ("stored", "object"))
            if path.stat().st_size <= 512:
                assert (stored_as, key) == ("inline", "inline")
            else:
                assert stored_as.split(",")[0] in ("raw", "zstd") and (stored.path / key).is_file()
            assert os.listxattr(path) == []
            with pytest.raises(OSError) as caught:
                os.getxattr(path, "user.other")
            assert caught.value.errno == errno.ENODATA
    with stored.mount() as mount, pytest.raises(OSError) as caught:
        os.getxattr(everything(mount)[0], "user.sstablefs.content")
    assert caught.value.errno == errno.EOPNOTSUPP


@pytest.mark.parametrize("options", [["overlay_size=0"], ["ro"]], ids=["rw", "ro"])
def test_without_an_overlay_whatever_would_write_gets_erofs(stored, small_node, options):
    with stored.mount(*options) as mount:
        path = everything(mount)[0]
        new, elsewhere = path.with_name("new"), mount.node() / "new"
        attempts = [lambda: path.open("wb"), lambda: path.open("ab"), lambda: path.open("r+b"), lambda: new.open("xb"), lambda: elsewhere.mkdir(),
                    lambda: new.mkdir(), lambda: path.unlink(), lambda: path.rename(new), lambda: os.link(path, new), lambda: os.symlink("x", new),
                    lambda: os.mkfifo(new), lambda: os.truncate(path, 0), lambda: path.chmod(0o600), lambda: os.chown(path, 1, 1),
                    lambda: os.utime(path), lambda: path.parent.rmdir(), lambda: (mount.node() / "t1").rename(elsewhere),
                    lambda: (mount.node() / "latest").unlink()]
        for number, attempt in enumerate(attempts):
            with pytest.raises(OSError) as caught:
                attempt()
            assert caught.value.errno == errno.EROFS, (number, caught.value)
        assert os.access(path, os.W_OK) == (options != ["ro"]), "nodetool import asks for it"
        assert mount.status()["overlay"] == "none" and os.statvfs(path).f_bavail == 0
        assert describe_tree(mount.data("t1")) == describe_snapshot(small_node.data, "t1")


# ---- mount(8) ----

@pytest.fixture(scope="session")
def installed(binary, tmp_path_factory):
    """`cmake --install` of the build that the binary belongs to."""
    to = tmp_path_factory.mktemp("install")
    run("cmake", "--install", binary.parent.parent, env={**os.environ, "DESTDIR": str(to)})
    return to


def helper_of(installed):
    (path,) = installed.rglob("mount.fuse.sstablefs")
    return path


def test_install_puts_everything_where_it_belongs(installed):
    found = {str(p.relative_to(installed)) for p in installed.rglob("*") if p.is_file()}
    for path in ("bin/sstablefs", "sbin/mount.fuse.sstablefs", "man1/sstablefs.1", "examples/sstablefs.conf"):
        assert any(f.endswith(path) for f in found), (path, found)
    example = next(installed.rglob("sstablefs.conf"))
    assert "[repository]" in example.read_text()


def test_the_helper_of_mount_works_with_an_empty_environment(installed, stored, small_node, tmp_path):
    helper, where, cache = helper_of(installed), stored.program.directory / "mnt", f"cache_dir={stored.program.cache}"
    where.mkdir()

    def call(*arguments, code=0):
        done = subprocess.run(["env", "-i", helper, *map(str, arguments)], capture_output=True, text=True, timeout=60)
        assert done.returncode == code, (arguments, done)
        return done.stderr

    call(stored.url, where, "-f", "-o", f"ro,{cache}")
    assert not is_mounted(where)
    call(stored.url, where, "-s", "-n", "-v", "-t", "fuse.sstablefs", "-o", f"rw,noauto,_netdev,nofail,x-systemd.automount,{cache}")
    assert describe_tree(where / CLUSTER / "nodes" / NODE / "t1/data") == describe_snapshot(small_node.data, "t1")
    assert "mounted already" in call(stored.url, where, "-o", cache, code=32)
    run("umount", where)
    wait_until(lambda: not is_mounted(where), 60, "the end of the mount")
    assert "refresh" in call(stored.url, where, "-o", f"refersh=1,{cache}", code=1)
    assert "usage" in call(stored.url, code=1)
    assert "init" in call(tmp_path, where, "-o", cache, code=32)
    assert not is_mounted(where)


def test_mount_8_and_fstab_work(installed, stored, small_node, tmp_path):
    """In a name space of its own, where the installed helper lies in /sbin."""
    where, cache = stored.program.directory / "mnt", f"cache_dir={stored.program.cache}"
    where.mkdir()
    (tmp_path / "fstab").write_text(f"{stored.url} {where} fuse.sstablefs ro,nofail,_netdev,{cache} 0 0\n")
    sbin = os.path.realpath("/sbin")
    script = f"""
mount -t overlay overlay -o lowerdir={helper_of(installed).parent}:{sbin} {sbin}
mount -t fuse.sstablefs '{stored.url}' '{where}' -o 'allow_other,{cache}'
cat {where}/c1/nodes/n1/t1/data/shop/*/*TOC.txt
umount {where}
mount -a -T {tmp_path}/fstab
mount -a -T {tmp_path}/fstab
grep -c '{where} ' /proc/self/mountinfo
findmnt -n -o FSTYPE,SOURCE {where}
umount {where}
"""
    out = run("unshare", "-m", "sh", "-exc", script, env=stored.program.environment).splitlines()
    assert out[0] == "Data.db" and out[-2] == "1" and out[-1].split() == ["fuse.sstablefs", stored.url]
    wait_until(lambda: not harness.processes_of(stored.program.directory), 60, "the end of the daemons")
