# SPDX-License-Identifier: Apache-2.0
"""The whole way on real SSTables: snapshot, repository, mount, copy, the same bytes. On a directory and on MinIO."""

import mmap
import os
import random
import subprocess
import tarfile

import pytest

from harness import ABSENT, CLUSTER, END_SECONDS, FOUND, NODE, in_threads, is_alive, is_mounted, run, wait_until
from trees import attributes_of_directories, content_id, describe, describe_snapshot, describe_tree, files_below, snapshot_files

TAGS = ("monday", "tuesday")


@pytest.fixture
def week(any_repository, node_directory):
    """A repository with both snapshots of the real node."""
    for tag in TAGS:
        any_repository.backup(node_directory, tag)
    return any_repository


def large(path):
    """Files that do not lie in the metadata."""
    return sorted(p for p in files_below(path) if os.path.getsize(path / p) > 512)


def test_a_backup_reports_what_it_stored(any_repository, node_directory):
    results = [any_repository.backup(node_directory, tag) for tag in TAGS]
    for tag, result in zip(TAGS, results):
        sources = snapshot_files(node_directory, tag).values()
        assert (result["cluster"], result["node"], result["name"], result["state"]) == (CLUSTER, NODE, tag, "committed")
        assert result["files"] == len(sources)
        assert result["total_bytes"] == sum(os.path.getsize(path) for path in sources)
        assert result["new_bytes"] + result["reused_bytes"] == result["total_bytes"]
        assert set(result["requests"]) == {"put", "get", "head", "list", "delete"}
    assert results[1]["reused_bytes"] > results[1]["new_bytes"]


def test_list_and_show_tell_what_there_is(week, node_directory):
    backups = week.json("list")["backups"]
    assert [b["name"] for b in backups] == ["tuesday", "monday"]
    for backup in backups:
        assert backup["cluster"] == CLUSTER and backup["complete"] and backup["nodes_expected"] is None
        assert [n["node"] for n in backup["nodes"]] == [NODE] and backup["nodes_finished"] == 1
        assert backup["started"] <= backup["finished"]
    (node,) = week.json("show", "tuesday")["nodes"]
    tables = {table["table"]: table["files"] for table in node["tables"]}
    expected = {}
    for path in snapshot_files(node_directory, "tuesday"):
        top, keyspace, table, *_ = path.split("/")
        expected[f"{keyspace}/{table}"] = expected.get(f"{keyspace}/{table}", 0) + (top == "data")
    assert tables == expected
    assert node["sstable_versions"] == ["nb"]
    for name in ("monday", "tuesday"):
        assert name in week("list").out and name in week("show", name).out


def test_a_mount_shows_the_snapshot_exactly(week, node_directory):
    with week.mount() as mount:
        for tag in TAGS:
            for top in ("data", "snapshot"):
                assert describe_tree(mount.node() / tag / top) == describe_snapshot(node_directory, tag, top)
        assert sorted(os.listdir(mount.path)) == [".sstablefs", CLUSTER]
        assert sorted(os.listdir(mount.path / CLUSTER)) == ["backups", "nodes"]
        assert sorted(os.listdir(mount.node())) == ["latest", "monday", "objects", "tuesday"]
        assert os.readlink(mount.node() / "latest") == "tuesday"
        assert sorted(os.listdir(mount.path / CLUSTER / "backups")) == ["monday", "tuesday"]
        link = mount.path / CLUSTER / "backups/monday" / NODE
        assert os.readlink(link) == f"../../nodes/{NODE}/monday"
        assert describe_tree(link / "data") == describe_snapshot(node_directory, "monday")
        assert '"state"' in (mount.node() / "monday/backup.json").read_text()
        assert mount.status()["repository"] == week.url
        assert "# TYPE" in (mount.path / ".sstablefs/metrics").read_text()


def test_cp_copies_an_identical_tree(week, node_directory, tmp_path):
    with week.mount() as mount:
        run("cp", "-a", mount.data("tuesday"), tmp_path / "copy")
        assert describe_tree(tmp_path / "copy") == describe_snapshot(node_directory, "tuesday")
        assert attributes_of_directories(tmp_path / "copy") == attributes_of_directories(mount.data("tuesday"))
        run("diff", "-r", mount.data("tuesday"), tmp_path / "copy")


def test_no_two_files_of_a_copy_are_links_of_each_other(week, tmp_path):
    """Cassandra appends to TOC.txt in place: equal files of one backup must not be one inode."""
    with week.mount() as mount:
        run("cp", "-a", mount.data("monday"), tmp_path / "copy")
    files = list(files_below(tmp_path / "copy"))
    contents = {(tmp_path / "copy" / path).read_bytes() for path in files}
    assert len(contents) < len(files), "the sample has no two equal files"
    assert len({os.stat(tmp_path / "copy" / path).st_ino for path in files}) == len(files)


def test_rsync_keeps_hard_links_between_backups(week, tmp_path):
    with week.mount() as mount:
        run("rsync", "-aH", f"{mount.node()}/monday", f"{mount.node()}/tuesday", tmp_path / "copy")
        shared = 0
        for path in files_below(mount.data("monday")):
            pair = [tmp_path / "copy" / tag / "data" / path for tag in TAGS]
            if not pair[1].exists():
                continue
            linked = os.path.samefile(mount.data("monday") / path, mount.data("tuesday") / path)
            assert os.path.samefile(*pair) == linked, path
            shared += linked
        assert shared > 20
        run("rsync", "-aHc", "--dry-run", "--itemize-changes", f"{mount.node()}/monday", f"{mount.node()}/tuesday",
            tmp_path / "copy")
        assert describe_tree(tmp_path / "copy/tuesday/data") == describe_tree(mount.data("tuesday"))


def test_tar_stores_shared_files_once(week, node_directory, tmp_path):
    with week.mount() as mount:
        run("tar", "-C", mount.node(), "-cf", tmp_path / "both.tar", "monday/data", "tuesday/data")
    with tarfile.open(tmp_path / "both.tar") as tar:
        links = [member for member in tar if member.islnk()]
    run("tar", "-C", tmp_path, "-xpf", tmp_path / "both.tar")
    for tag in TAGS:
        copied = {path: d[:5] for path, d in describe_tree(tmp_path / tag / "data").items()}
        assert copied == {path: d[:5] for path, d in describe_snapshot(node_directory, tag).items()}
    assert len(links) > 20


def test_find_names_every_link_of_a_file(week):
    with week.mount() as mount:
        path = next(p for p in large(mount.data("monday")) if (mount.data("tuesday") / p).exists())
        found = run("find", mount.node(), "-samefile", mount.data("monday") / path).splitlines()
        st = os.stat(mount.data("monday") / path)
        content = content_id((mount.data("monday") / path).read_bytes())
        assert sorted(found) == sorted([str(mount.data("monday") / path), str(mount.data("tuesday") / path),
                                        f"{mount.node()}/objects/{content[:2]}/{content}.{st.st_ino:016x}"])
        assert st.st_nlink == 3


def test_du_counts_what_backups_share_once(week):
    with week.mount() as mount:
        def du(*tags):
            *_, total = run("du", "-cs", "--block-size=512", *(mount.data(tag) for tag in tags)).splitlines()
            return int(total.split()[0])

        shared = sum(os.stat(mount.data("monday") / path).st_blocks for path in files_below(mount.data("monday"))
                     if (mount.data("tuesday") / path).exists()
                     and os.path.samefile(mount.data("monday") / path, mount.data("tuesday") / path))
        assert shared > 0
        assert du(*TAGS) == du("monday") + du("tuesday") - shared


def test_mapped_files_and_random_reads_give_the_original_bytes(week, node_directory):
    chance = random.Random(4711)
    with week.mount() as mount:
        for path, source in snapshot_files(node_directory, "tuesday").items():
            path = mount.node() / "tuesday" / path
            with open(source, "rb") as f:
                original = f.read()
            if not original:
                continue
            with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ) as mapped:
                assert mapped[:] == original
                for _ in range(8):
                    offset, length = chance.randrange(len(original) + 10), chance.randrange(70_000)
                    assert os.pread(f.fileno(), length, offset) == original[offset:offset + length], (path, offset, length)


def test_sixteen_readers_at_once_see_the_same(week, node_directory):
    expected = describe_snapshot(node_directory, "tuesday")

    def read(seed):
        paths = sorted(expected)
        random.Random(seed).shuffle(paths)
        return {path: describe(mount.data("tuesday") / path) for path in paths}

    with week.mount() as mount:
        assert in_threads([lambda seed=seed: read(seed) for seed in range(16)]) == [expected] * 16


def test_inode_numbers_survive_a_remount_and_a_lost_cache(week):
    def numbers(mount):
        found = {}
        for directory, directories, files in os.walk(mount.path):
            for name in directories + files:
                path = os.path.join(directory, name)
                found[os.path.relpath(path, mount.path)] = os.lstat(path).st_ino
        return found

    with week.mount() as mount:
        first = numbers(mount)
    with week.mount(where=mount.path) as mount:
        assert numbers(mount) == first
    run("rm", "-r", week.program.cache)
    with week.mount() as elsewhere:
        assert numbers(elsewhere) == first


def test_umount_under_load_ends_with_the_daemon_gone(week):
    mount = week.mount()
    reader = subprocess.Popen(["sh", "-c", f"while cat {mount.data('tuesday')}/*/*/*.db >/dev/null; do :; done"],
                              env=week.program.environment, stderr=subprocess.DEVNULL)
    busy = mount.unmount(code=None)
    if busy.code:  # the reader may happen to have nothing open
        assert "busy" in busy.err
        mount.unmount("--force")
        wait_until(lambda: not is_alive(mount.pid), END_SECONDS, "the end of the daemon")
    assert not is_mounted(mount.path) and not is_alive(mount.pid)
    reader.terminate()
    reader.wait(timeout=10)


def test_restore_writes_the_same_tree_as_the_snapshot(week, node_directory, tmp_path):
    result = week.json("restore", "tuesday", tmp_path / "out")
    expected = describe_snapshot(node_directory, "tuesday")
    assert describe_tree(tmp_path / "out") == expected
    assert (result["files_written"], result["files_kept"]) == (len(expected), 0)
    with week.mount() as mount:
        assert attributes_of_directories(tmp_path / "out") == attributes_of_directories(mount.data("tuesday"))
    again = week.json("restore", "tuesday", tmp_path / "out")
    assert (again["files_written"], again["files_kept"]) == (0, len(expected))


def test_restore_takes_only_what_is_asked_for(week, node_directory, tmp_path):
    week("restore", "tuesday", "--only", "shop.orders", tmp_path / "no", code=ABSENT)
    assert not (tmp_path / "no").exists() or not list(files_below(tmp_path / "no"))
    week("restore", "tuesday", "--only", "shop.photos", tmp_path / "out")
    expected = describe_snapshot(node_directory, "tuesday")
    assert describe_tree(tmp_path / "out") == {p: d for p, d in expected.items() if p.startswith("shop/photos-")}


def test_verify_reads_every_object(week):
    result = week.json("verify")
    assert result["damaged"] == [] and result["missing"] == [] and result["bytes_checked"] > 250_000
    assert result["objects_checked"] >= 10
    assert week.json("verify", "monday")["objects_checked"] < result["objects_checked"]


def test_diff_names_what_differs_between_two_backups(week, node_directory):
    before, after = (snapshot_files(node_directory, tag) for tag in TAGS)

    def same(path, describe):
        return describe(before[path]) == describe(after[path])

    expected = {(path, "removed") for path in before.keys() - after.keys()}
    expected |= {(path, "added") for path in after.keys() - before.keys()}
    for path in before.keys() & after.keys():
        if not same(path, lambda p: describe(p)[0]):
            expected.add((path, "changed"))
        elif not same(path, describe):
            expected.add((path, "attributes"))
    answer = week("--json", "diff", *TAGS, code=FOUND)
    assert {(d["path"], d["change"]) for d in answer.json["differences"]} == expected
    assert week.json("diff", "monday", "monday") == {"differences": []}


def test_the_content_id_is_ten_lines_of_python(program, node_directory):
    paths = list(snapshot_files(node_directory, "monday").values())
    printed = program("id", *paths).out.splitlines()
    assert [line.split("  ", 1)[0] for line in printed] == [content_id(open(path, "rb").read()) for path in paths]
    assert program("--json", "id", paths[0]).json["files"][0]["content"] == content_id(open(paths[0], "rb").read())


def test_doctor_finds_nothing_wrong(week):
    checks = week.json("doctor", "--cluster", CLUSTER, "--node", NODE)["checks"]
    assert {c["check"]: c["result"] for c in checks} == dict.fromkeys(
        ("fuse", "cache", "repository", "settings", "clock", "conditional", "cassandra", *(["credentials"] if week.url.startswith("s3:") else [])), "ok")


def test_seaweedfs_serves_a_repository_too(seaweedfs, node_directory, tmp_path):
    for tag in TAGS:
        seaweedfs.backup(node_directory, tag)
    with seaweedfs.mount() as mount:
        run("cp", "-a", mount.data("tuesday"), tmp_path / "copy")
    seaweedfs("restore", "monday", tmp_path / "monday")
    assert describe_tree(tmp_path / "copy") == describe_snapshot(node_directory, "tuesday")
    assert describe_tree(tmp_path / "monday") == describe_snapshot(node_directory, "monday")
    assert seaweedfs.json("verify")["damaged"] == []
