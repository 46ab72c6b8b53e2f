# SPDX-License-Identifier: Apache-2.0
"""The scratch overlay of a mount: what Cassandra's tools do to names, and what bounds it."""

import errno
import mmap
import os

import pytest

from harness import CLUSTER, NODE, run, wait_until
from trees import describe_snapshot, describe_tree, files_below


@pytest.fixture
def stored(repository, small_node):
    repository.backup(small_node.data, "t1")
    return repository


def first_file(mount, backup="t1"):
    return sorted(mount.data(backup) / path for path in files_below(mount.data(backup)))[0]


def test_what_sstableloader_does(stored, small_node):
    """Links beside the source, read and unlinked; a Summary.db that it does not like is deleted."""
    with stored.mount() as mount:
        path = first_file(mount)
        tmp = path.with_name("nb-1-big-Statistics.db.0c4f.tmp")
        inode, links = path.stat().st_ino, path.stat().st_nlink
        os.link(path, tmp)
        assert tmp.stat().st_ino == inode and path.stat().st_nlink == tmp.stat().st_nlink == links + 1
        assert tmp.read_bytes() == path.read_bytes() and tmp.name in os.listdir(tmp.parent)
        tmp.unlink()
        assert not tmp.exists() and path.stat().st_nlink == links and tmp.name not in os.listdir(tmp.parent)
        path.unlink()
        assert not path.exists() and path.name not in os.listdir(path.parent)
        with pytest.raises(FileNotFoundError):
            path.read_bytes()
    with stored.mount() as mount:
        assert describe_tree(mount.data("t1")) == describe_snapshot(small_node.data, "t1")


def test_what_nodetool_import_does(stored):
    """A rewritten Statistics.db.tmp takes the place of the backup's."""
    with stored.mount() as mount:
        path = first_file(mount)
        tmp = path.with_name(path.name + ".tmp")
        tmp.write_bytes(b"rewritten" * 1000)
        with tmp.open("rb") as f:
            os.fsync(f.fileno())
        tmp.rename(path)
        assert path.read_bytes() == b"rewritten" * 1000 and path.stat().st_nlink == 1
        assert sorted(os.listdir(path.parent)).count(path.name) == 1 and tmp.name not in os.listdir(path.parent)
        with path.open("r+b") as f, mmap.mmap(f.fileno(), 0) as m:
            m[:9] = b"REWRITTEN"
        assert path.read_bytes().startswith(b"REWRITTENrewritten")


def test_a_full_overlay_is_enospc_and_reads_go_on(stored):
    with stored.mount("overlay_size=2M", "allow_other") as mount:
        path = first_file(mount)
        content, full = path.read_bytes(), path.with_name("full")
        with pytest.raises(OSError) as caught, full.open("wb", buffering=0) as f:
            for _ in range(64):
                f.write(b"x" * 65536)
        assert caught.value.errno == errno.ENOSPC
        assert 0 < full.stat().st_size <= 2 << 20 and set(full.read_bytes()) == {ord("x")}
        used, limit = (int(word) for word in mount.status()["overlay"].split()[0:3:2])
        assert 0.9 * limit < used <= limit == 2 << 20
        assert "overlay_size=" in mount.log()
        run("sh", "-c", "echo 3 > /proc/sys/vm/drop_caches")
        assert path.read_bytes() == content
        full.unlink()
        path.with_name("again").write_bytes(b"y" * (1 << 20))
        metrics = (mount.path / ".sstablefs/metrics").read_text()
        assert "overlay_limit_bytes 2097152" in metrics and "overlay_hidden_names 0" in metrics
    with stored.mount() as mount:
        assert not path.with_name("again").exists() and mount.status()["overlay"].split()[4] == "0"


def test_a_bucket_is_as_it_was(minio, minio_server, small_node):
    """No object is written, replaced or removed by changes in a mount."""
    minio.backup(small_node.data, "t1")
    bucket = minio.url.split("/")[2]

    def objects():
        pages = minio_server.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [(entry["Key"], entry["ETag"], entry["Size"], entry["LastModified"]) for page in pages for entry in page["Contents"]]

    before = objects()
    assert len(before) > 3
    with minio.mount() as mount:
        path = first_file(mount)
        os.link(path, path.with_name("x.tmp"))
        path.with_name("made").write_bytes(path.read_bytes()[:100_000])
        path.with_name("made").rename(path)
        path.with_name("directory").mkdir()
        path.with_name("x.tmp").rename(path.with_name("directory") / "x")
        run("rm", "-rf", *(mount.node() / "t1").iterdir())
        assert not os.listdir(mount.node() / "t1")
    assert objects() == before


def test_another_user_may_what_modes_and_owners_allow(stored):
    """fs.protected_hardlinks lets users link only what is theirs: uid= makes it so."""
    with stored.mount("allow_other", "uid=4711", "gid=4711") as mount:
        path = first_file(mount)
        script = f"set -e; ln {path.name} x.tmp; rm x.tmp; echo new > made; stat -c %u made; mv made {path.name}; cat {path.name}"
        user = ["setpriv", "--reuid=4711", "--regid=4711", "--clear-groups", "sh", "-c"]
        assert run(*user, script, cwd=path.parent).split() == ["4711", "new"]
        user[1:3] = ["--reuid=4712", "--regid=4712"]
        for command, code in ((f"ln {path.name} y", 1), ("echo > made", 2), (f"rm -f {path.name}", 1), ("mkdir d", 1)):
            run(*user, command, cwd=path.parent, code=code)


def test_what_was_changed_goes_with_its_backup(repository, small_node):
    """A backup that is removed, and made again under its name, shows nothing of it; what is open can still be read."""
    repository.backup(small_node.data, "t1", "keep")
    repository.backup(small_node.data, "t1", "gone")
    with repository.mount("refresh=0") as mount:
        path = first_file(mount, "gone")
        other = mount.data("keep") / path.relative_to(mount.data("gone"))
        links, made = path.stat().st_nlink, path.with_name("made")
        path.unlink()
        made.write_bytes(b"scratch")
        os.link(other, path.with_name("link"))
        assert other.stat().st_nlink == links
        with made.open("rb") as f:
            run("rm", "-r", repository.path / f"nodes/{CLUSTER}/{NODE}/records/gone")
            wait_until(lambda: "gone" not in os.listdir(mount.node()), 60, "the backup vanishes")
            wait_until(lambda: mount.status()["overlay"].split()[6] == "0", 60, "what was hidden is forgotten")
            wait_until(lambda: other.stat().st_nlink == links - 1, 60, "the count is that of the backups")
            assert f.read() == b"scratch"
        repository.backup(small_node.data, "t1", "gone")
        wait_until(lambda: path.exists(), 60, "the new backup of that name")
        assert not made.exists() and other.stat().st_nlink == links


def test_the_trace_says_what_was_asked_and_answered(stored, tmp_path):
    trace = tmp_path / "trace"
    with stored.mount(f"trace={trace}") as mount:
        path = first_file(mount)
        directory, inode = path.parent.stat().st_ino, path.stat().st_ino
        os.link(path, path.with_name("x.tmp"))
        path.with_name("x.tmp").rename(path.with_name("y\ntmp"))
        with pytest.raises(OSError):
            path.chmod(0o600)
        with pytest.raises(OSError):
            (mount.node() / "new").mkdir()
        (path.parent / "made").write_bytes(b"12345")
    lines = trace.read_text().splitlines()
    made, = (line.split()[-1] for line in lines if line.startswith(f"create {directory} made = ok "))
    for line in (f"link {inode} 0 0 > {directory} x.tmp = ok {inode}", f"rename {directory} x.tmp > {directory} y?tmp = ok", f"setattr {inode} 0 0 = EROFS",
                 f"mkdir {mount_inode(lines, 'n1')} new = EROFS", f"write {made} 0 5 = ok", f"lookup {directory} x.tmp = ENOENT"):
        assert line in lines, line


def mount_inode(lines, name):
    return next(line.split()[-1] for line in lines if line.startswith("lookup ") and f" {name} = ok " in line)


def read_and(change, directory):
    """Streams the names of a directory, as find(1) does, and changes each."""
    names = []
    with os.scandir(directory) as entries:
        for entry in entries:
            names.append(entry.name)
            assert len(names) < 1000, "the listing has no end"
            change(entry.path)
    return sorted(names)


def test_a_directory_is_read_to_its_end_though_each_name_is_renamed(stored):
    """As in `for f in *: rewrite f to a file beside it and rename that over f`."""
    with stored.mount() as mount:
        where = first_file(mount).parent
        for number in range(5):
            (where / f"made{number}").write_bytes(b"old")

        def replace(path):
            beside = where / "beside"
            beside.write_bytes(b"new")
            beside.rename(path)

        def move_away_and_back(path):
            os.rename(path, where / "beside")
            os.rename(where / "beside", path)

        names = sorted(os.listdir(where))
        assert read_and(replace, where) == names
        assert all((where / name).read_bytes() == b"new" for name in names)
        read_and(move_away_and_back, where)  # which of them it still gives is open
        assert sorted(os.listdir(where)) == names


def test_a_backup_tells_when_it_was_changed(stored):
    with stored.mount("xattr") as mount:
        backup = mount.node() / "t1"
        finished, made = backup.stat(), backup / "made"
        made.mkdir()
        assert backup.stat().st_mtime_ns > finished.st_mtime_ns
        for name in ("user.sstablefs.content", "user.other"):
            with pytest.raises(OSError) as caught:
                os.getxattr(made, name)
            assert caught.value.errno == errno.ENODATA
        made.rmdir()
        assert backup.stat().st_mtime_ns == finished.st_mtime_ns
