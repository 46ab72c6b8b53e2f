# SPDX-License-Identifier: Apache-2.0
"""Bad input: each a sentence that says what to do, the right exit code, and nothing changed."""

import json
import os
import shutil

import pytest

from harness import (ABSENT, CLUSTER, DONE, FAILED, FOUND, NODE, STORE, USAGE, Program, in_threads, is_mounted,
                     is_sentence, run)
from trees import Node, describe_snapshot, describe_tree, files_below, fingerprint, reseal

SECRET = "hunter2-in-the-url"
COMMANDS = ("init", "backup", "list", "show", "mount", "umount", "restore", "diff", "id", "verify", "delete", "purge", "gc", "doctor")


@pytest.fixture(scope="module")
def template(binary, tmp_path_factory):
    program = Program(binary, tmp_path_factory.mktemp("template") / "p")
    repository = program.repository().init()
    repository.backup(Node(program.directory / "small").fill_small("t1").data, "t1")
    return repository


@pytest.fixture
def stored(template, program):
    """A repository with the backup t1 of small_node."""
    return template.copy_to(program)


def expect(answer, code, *words):
    """A failure: its exit code, one sentence, and what the sentence must name."""
    assert answer.code == code, answer
    assert is_sentence(answer.err), answer.err
    for word in words:
        assert str(word) in answer.err, f"{word!r} is not in {answer.err!r}"


# ---- URLs, stores, credentials ----

@pytest.mark.parametrize("url, code, word", [
    ("ftp://host/path", USAGE, "s3://BUCKET"),
    ("s3://", USAGE, "bucket"),
    ("s3:///prefix", USAGE, "bucket"),
    ("s3://bucket?endpoint=nonsense", USAGE, "endpoint"),
    ("s3://bucket?endpiont=http://127.0.0.1:9", USAGE, "endpiont"),
    ("s3://bucket?addressing=sideways", USAGE, "addressing"),
    ("s3://bucket/a/../b", USAGE, "prefix"),
    ("s3://bucket/prefix#fragment", USAGE, "#"),
    ("file://host/path", USAGE, "file:///"),
    ("/nonexistent/repository", ABSENT, "/nonexistent/repository"),
    ("/dev/null", USAGE, "not a directory"),
    ("/", ABSENT, "sstablefs init"),
    ("", USAGE, "-r URL"),
    (f"s3://user:{SECRET}@bucket/prefix", USAGE, "credentials"),
    (f"s3://bucket?endpoint=http://user:{SECRET}@127.0.0.1:9", USAGE, "endpoint"),
])
def test_a_wrong_url_is_explained(program, url, code, word):
    (program.directory / "mnt").mkdir()
    for command in (["list"], ["mount", "mnt"]):
        answer = program("-r", url, *command, code=code)
        expect(answer, code, word)
        assert SECRET not in answer.err + answer.out
    assert not is_mounted(program.directory / "mnt")


def test_a_bucket_that_does_not_exist_is_named(program, minio_server):
    program.environment.update(minio_server.environment())
    missing = program.repository(minio_server.url("no-such-bucket", "prefix"))
    for command in (["list"], ["init"], ["mount", "."]):
        expect(missing(*command, code=None), ABSENT, "no-such-bucket")


def test_an_empty_prefix_is_no_repository(program, minio_server):
    program.environment.update(minio_server.environment())
    empty = program.repository(minio_server.url(minio_server.make_bucket(), "prefix"))
    expect(empty("list", code=None), ABSENT, "sstablefs init")


@pytest.mark.parametrize("change", [{"AWS_SECRET_ACCESS_KEY": SECRET}, {"AWS_ACCESS_KEY_ID": "nobody"},
                                    {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}], ids=["secret", "key", "none"])
def test_credentials_that_are_refused_end_with_5(minio, program, change):
    (program.directory / "mnt").mkdir()
    for command in (["list"], ["mount", "mnt"]):
        answer = minio(*command, environment=change, code=None)
        expect(answer, STORE, "credentials")
        assert SECRET not in answer.err
    assert not is_mounted(program.directory / "mnt")


def test_a_store_that_cannot_be_reached_ends_with_5(program, tmp_path):
    program.environment.update(AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b")
    (program.directory / "mnt").mkdir()
    nothing = program.repository("s3://bucket?endpoint=http://127.0.0.1:1")
    commands = (["list"], ["mount", "mnt"], ["mount", "-f", "mnt"], ["restore", "b", tmp_path / "out"])
    for answer in in_threads([lambda c=c: nothing(*c, code=None) for c in commands]):
        expect(answer, STORE, "127.0.0.1", "connect")
    assert not is_mounted(program.directory / "mnt") and not (tmp_path / "out").exists()


def test_a_server_whose_certificate_is_unknown_is_refused(program, minio_tls_server):
    program.environment.update(minio_tls_server.environment())
    url = minio_tls_server.url(minio_tls_server.make_bucket())
    program.repository(url).init()("list")
    expect(program("-r", url.split("&ca=")[0], "list", code=None), STORE, "certificate")
    expect(program("-r", url.split("&ca=")[0] + "&ca=/nonexistent.pem", "list", code=None), USAGE, "/nonexistent.pem")


# ---- what is in the repository ----

def test_init_refuses_a_repository_and_anything_else(program, stored, tmp_path):
    before = fingerprint(stored.path)
    expect(stored("init", code=None), FAILED, "repository already")
    assert fingerprint(stored.path) == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other/holiday.jpg").write_text("x")
    expect(program("-r", tmp_path / "other", "init", code=None), FAILED, "holiday.jpg")
    assert list(files_below(tmp_path / "other")) == ["holiday.jpg"]


def test_init_refuses_a_prefix_that_holds_something_else(program, minio_server):
    program.environment.update(minio_server.environment())
    bucket = minio_server.make_bucket()
    minio_server.client().put_object(Bucket=bucket, Key="prefix/holiday.jpg", Body=b"x")
    expect(program("-r", minio_server.url(bucket, "prefix"), "init", code=None), FAILED, "holiday.jpg")
    assert minio_server.client().list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    program("-r", minio_server.url(bucket, "pre"), "init")


@pytest.mark.parametrize("members, reads, writes, word", [
    ({"format": 2}, False, False, "newer"),
    ({"features": {"read": ["time-travel"], "write": [], "collect": []}}, False, True, "time-travel"),
    ({"features": {"read": [], "write": ["time-travel"], "collect": []}}, True, False, "time-travel"),
    ({"features": {"read": [], "write": [], "collect": ["time-travel"]}}, True, True, None),
    ({"encryption": "aes"}, False, False, "encrypted"),
    ({"compression": "brotli"}, True, False, "brotli"),
    ({"unknown_member": 1}, True, True, None),
])
def test_a_newer_format_is_refused_as_far_as_it_reaches(stored, small_node, tmp_path, members, reads, writes, word):
    reseal(stored.path / "repository.json", **members)
    before = fingerprint(stored.path)
    (tmp_path / "mnt").mkdir()
    for command in (["list"], ["verify"], ["restore", "t1", tmp_path / "out"], ["mount", tmp_path / "mnt"]):
        answer = stored(*command, code=None)
        if reads:
            assert answer.code == DONE, answer
        else:
            expect(answer, USAGE, word)
    assert is_mounted(tmp_path / "mnt") == reads
    if reads:
        stored("umount", tmp_path / "mnt")
    assert fingerprint(stored.path) == before
    if reads and writes:  # a backup reads, too
        stored.backup(small_node.data, "t1", "again")
    else:
        expect(stored.backup(small_node.data, "t1", "again", code=None), USAGE, word or "")
        assert fingerprint(stored.path) == before


def test_a_record_of_a_newer_format_hides_no_other_backup(stored, small_node, tmp_path):
    stored.backup(small_node.data, "t1", "newer")
    (record,) = (stored.path / f"nodes/{CLUSTER}/{NODE}/records/newer").iterdir()
    reseal(record, format=2)
    answer = stored("--json", "list", code=FOUND)
    assert [b["name"] for b in answer.json["backups"]] == ["t1"] and record.name in answer.err
    expect(stored("restore", "newer", tmp_path / "out", code=None), USAGE, "newer")
    with stored.mount() as mount:
        assert sorted(os.listdir(mount.node())) == ["latest", "objects", "t1"] and record.name in mount.log()
    stored("restore", "t1", tmp_path / "out")
    assert describe_tree(tmp_path / "out") == describe_snapshot(small_node.data, "t1")


# ---- names ----

BAD_NAMES = ("", ".hidden", "-x", "a/b", "../up", "a b", "é", "latest", "objects", "nodes", "backups", "x" * 129, "a\nb")


@pytest.mark.parametrize("what", ["--name", "--cluster", "--node"])
def test_names_outside_the_allowed_characters_are_refused(repository, small_node, what):
    before = fingerprint(repository.path)
    for name in BAD_NAMES:
        arguments = repository.backup_arguments(small_node.data, "t1")
        arguments[arguments.index(what) + 1] = name
        expect(repository(*arguments, code=None), USAGE, what.removeprefix("--").replace("name", "backup"))
    assert fingerprint(repository.path) == before


def test_names_of_128_characters_are_taken(repository, small_node):
    name = "A" + "b._-9" * 25 + "zz"
    assert len(name) == 128
    repository.backup(small_node.data, "t1", name, node=name, cluster=name)
    with repository.mount() as mount:
        assert describe_tree(mount.data(name, name, name)) == describe_snapshot(small_node.data, "t1")


@pytest.mark.parametrize("command", ["show", "restore", "verify", "diff"])
def test_a_backup_that_does_not_exist_ends_with_4(stored, tmp_path, command):
    for name, code in (("t", ABSENT), ("t10", ABSENT), ("../t1", USAGE)):
        more = {"restore": [tmp_path / "out"], "diff": ["t1"]}.get(command, [])
        expect(stored(command, name, *more, code=None), code, name)
    expect(stored("show", "t1", "--node", "n10", code=None), ABSENT, "t1")
    assert not (tmp_path / "out").exists()


def test_nodes_and_backups_whose_names_begin_alike_are_told_apart(repository, small_node):
    for name in ("b1", "b10"):
        for node in ("n1", "n10"):
            repository.backup(small_node.data, "t1", name, node=node)
    (backup,) = [b for b in repository.json("list", "--node", "n1")["backups"] if b["name"] == "b1"]
    assert [n["node"] for n in backup["nodes"]] == ["n1"]
    with repository.mount("node=n1") as mount:
        assert os.listdir(mount.path / CLUSTER / "nodes") == ["n1"]
        assert sorted(os.listdir(mount.node())) == ["b1", "b10", "latest", "objects"]


def test_a_name_that_several_have_must_be_made_clear(repository, small_node, tmp_path):
    for cluster, node in (("c1", "a"), ("c1", "b"), ("c2", "a")):
        repository.backup(small_node.data, "t1", "x", node=node, cluster=cluster)
    for command in (["show", "x"], ["restore", "x", tmp_path / "out"], ["verify", "x"], ["diff", "x", "x"]):
        expect(repository(*command, code=None), USAGE, "c1", "c2", "--cluster")
    expect(repository("restore", "x", "--cluster", "c1", tmp_path / "out", code=None), USAGE, "a", "b", "--node")
    assert not (tmp_path / "out").exists()
    repository("restore", "x", "--cluster", "c2", tmp_path / "out")


def test_a_name_that_is_taken_is_not_backed_up_again(stored, small_node):
    before = {p for p in fingerprint(stored.path) if "/records/t1/" in p}
    expect(stored.backup(small_node.data, "t1", code=None), FAILED, "t1")
    assert stored.json("list")["backups"][0]["complete"]
    assert before <= fingerprint(stored.path).keys()


# ---- the node ----

def test_a_data_directory_or_snapshot_that_is_none_is_refused(repository, small_node):
    before = fingerprint(repository.path)
    for data_dir, tag, code, word in (("/nonexistent", "t1", USAGE, "/nonexistent"), ("/dev/null", "t1", USAGE, "/dev/null"),
                                      (small_node.data, "t2", ABSENT, "t1"), (small_node.data, "", USAGE, "snapshot"),
                                      (small_node.data, "../t1", USAGE, "snapshot")):
        expect(repository.backup(data_dir, tag, "b", code=None), code, word)
    expect(repository.backup(small_node.data, "t1", "b", "--only", "shop.custmers", code=None), ABSENT, "shop.custmers")
    assert fingerprint(repository.path) == before


# ---- space, read-only ----

@pytest.fixture
def small_disk(program):
    """A file system with little space."""
    path = program.directory / "disk"
    path.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=2m", "none", path)
    yield path
    run("umount", path)


def test_no_space_left_in_the_repository_makes_no_backup(program, small_node, small_disk, tmp_path):
    small_node.write(small_node.table("shop", "big"), "t1", "nb-1-big-Data.db", small_node.bytes(6 << 20))
    repository = program.repository(small_disk / "repository").init()
    expect(repository.backup(small_node.data, "t1", code=None), STORE, "space")
    assert not [b for b in repository.json("list")["backups"] if b["complete"]]
    repository("verify")
    shutil.rmtree(small_node.data / small_node.table("shop", "big"))
    run("mount", "-o", "remount,size=20m", small_disk)
    repository.backup(small_node.data, "t1", "next")
    repository("restore", "next", tmp_path / "out")
    assert describe_tree(tmp_path / "out") == describe_snapshot(small_node.data, "t1")


def test_no_space_left_for_a_restore_is_said_before_it_begins(repository, small_node, small_disk):
    small_node.write(small_node.table("shop", "big"), "t1", "nb-1-big-Data.db", small_node.bytes(6 << 20))
    repository.backup(small_node.data, "t1")
    expect(repository("restore", "t1", small_disk / "out", code=None), FAILED, "space")
    assert list(files_below(small_disk)) == []


def test_a_read_only_target_is_refused_and_a_read_only_repository_can_be_read(stored, small_node, tmp_path):
    """Bound read-only in a name space of its own, so that nothing has to be cleaned up."""
    def read_only(path, *arguments):
        script = f'mount --bind "{path}" "{path}" && mount -o remount,bind,ro "{path}" && exec "$0" "$@"'
        return stored(*arguments, prefix=["unshare", "-m", "sh", "-ec", script], code=None)

    (tmp_path / "target").mkdir()
    before = fingerprint(stored.path)
    expect(read_only(tmp_path / "target", "restore", "t1", tmp_path / "target"), FAILED, "Read-only")
    expect(read_only(tmp_path / "target", "restore", "t1", tmp_path / "target/new"), FAILED, "Read-only")
    expect(read_only(stored.path, *stored.backup_arguments(small_node.data, "t1", "again")), STORE, "read-only")
    expect(read_only(tmp_path, "-r", tmp_path / "new", "init"), FAILED, "Read-only")
    assert read_only(stored.path, "list").code == DONE
    assert read_only(stored.path, "restore", "t1", tmp_path / "out").code == DONE
    assert fingerprint(stored.path) == before and os.listdir(tmp_path / "target") == []


def test_restore_does_not_overwrite_other_content(stored, small_node, tmp_path):
    stored("restore", "t1", tmp_path / "out")
    expected = describe_tree(tmp_path / "out")
    victim = tmp_path / "out" / next(p for p in expected if p.endswith("nb-1-big-Data.db"))
    shortened = tmp_path / "out" / next(p for p in expected if p.endswith("nb-1-big-Index.db"))
    victim.write_bytes(b"other" + victim.read_bytes()[5:])
    shortened.unlink()
    before = describe_tree(tmp_path / "out")
    expect(stored("restore", "t1", tmp_path / "out", code=None), FAILED, "nb-1-big-Data.db", "--overwrite")
    assert describe_tree(tmp_path / "out") == before
    stored("restore", "t1", "--overwrite", tmp_path / "out")
    assert describe_tree(tmp_path / "out") == expected


# ---- mount points ----

def test_a_mount_point_that_cannot_be_used_is_explained(stored, tmp_path):
    (tmp_path / "file").touch()
    expect(stored("mount", tmp_path / "absent", code=None), USAGE, "mkdir")
    expect(stored("mount", tmp_path / "file", code=None), USAGE, "not a directory")
    expect(stored("mount", code=None), USAGE, "mount point")
    expect(stored("umount", tmp_path, code=None), ABSENT, "nothing is mounted")
    expect(stored("umount", tmp_path / "absent", code=None), ABSENT, "nothing is mounted")
    expect(stored("umount", "/proc", code=None), USAGE, "not a mount of sstablefs")


@pytest.mark.parametrize("foreground", [[], ["-f"]], ids=["background", "foreground"])
def test_a_second_mount_of_the_same_place_is_refused(stored, foreground):
    with stored.mount() as mount:
        expect(stored("mount", *foreground, mount.path, code=None), FAILED, "mounted already", stored.url)
        assert int(mount.status()["pid"]) == mount.pid


def test_a_missing_dev_fuse_is_explained(stored, tmp_path):
    script = 'mount -t tmpfs none /dev && exec "$0" "$@"'
    answer = stored("mount", tmp_path, prefix=["unshare", "-m", "sh", "-ec", script], code=None)
    expect(answer, FAILED, "/dev/fuse", "modprobe fuse")
    doctor = stored("doctor", prefix=["unshare", "-m", "sh", "-ec", script], code=None)
    assert doctor.code == FOUND and "/dev/fuse" in doctor.out


def test_a_cache_directory_that_cannot_be_used_is_named(stored, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "mnt").mkdir()
    expect(stored("mount", tmp_path / "mnt", "-o", f"cache_dir={tmp_path}/file/x", code=None), FAILED, "file/x", "cache_dir=")
    assert not is_mounted(tmp_path / "mnt")


# ---- options, configuration, commands ----

@pytest.mark.parametrize("option, words", [
    ("refersh=5", ["refersh", "refresh"]), ("utter_nonsense_here=1", ["utter_nonsense_here"]), ("refresh=soon", ["refresh", "number"]),
    ("memory=1M", ["memory", "64"]), ("memory=lots", ["memory", "size"]), ("cache_size=1K", ["cache_size"]),
    ("uid=no-such-user", ["uid", "no-such-user"]),
    ("gid=no-such-group", ["gid"]), ("umask=9", ["umask", "octal"]), ("verify=md5", ["xxh3", "sha256"]), ("connections=0", ["connections"]),
    ("cluster=a/b", ["cluster"]), ("refresh", ["refresh", "value"]), ("pin=a/b", ["backup"]), ("pin", ["pin", "value"]),
    ("overlay_size=65M", ["overlay_size", "third", "memory="]), ("overlay_size=1K", ["overlay_size", "at least"]),
    ("log=/nonexistent/log", ["/nonexistent/log"]),
])
def test_a_wrong_mount_option_is_explained(stored, tmp_path, option, words):
    code = FAILED if option.startswith("log=") else USAGE
    expect(stored("mount", tmp_path, "-o", option, code=None), code, *words)
    assert not is_mounted(tmp_path)


@pytest.mark.parametrize("text, words", [
    ("[repository]\nulr = /x\n", ["ulr", "url", ":2"]), ("[repositry]\nurl = /x\n", ["repositry", "repository", ":1"]),
    (f"[{'s' * 60}]\nurl = /x\n", ["section", ":2"]),
    ("[mount]\nallow_othr = yes\n", ["allow_othr", "allow_other"]), ("[backup]\nlimit_rat = 1M\n", ["limit_rat", "limit_rate"]),
    ("[cassandra]\nclustr = c\n", ["clustr", "cluster"]), ("nonsense\n", [":1"]), ("[mount]\nrefresh = soon\n", ["refresh", "number"]),
    ("[repository]\nurl = " + "x" * 100_000 + "\n", [":2", "longer"]),
])
def test_a_misspelt_configuration_is_explained(stored, tmp_path, text, words):
    configuration = tmp_path / "wrong.conf"
    configuration.write_text(text)
    (tmp_path / "mnt").mkdir()
    expect(stored("--config", configuration, "mount", tmp_path / "mnt", code=None), USAGE, *words)
    expect(stored("mount", tmp_path / "mnt", environment={"SSTABLEFS_CONFIG": str(configuration)}, code=None), USAGE, *words)
    assert not is_mounted(tmp_path / "mnt")


def test_a_configuration_file_that_is_missing_is_named(stored):
    expect(stored("--config", "/nonexistent.conf", "list", code=None), USAGE, "/nonexistent.conf")


def test_a_file_of_secrets_that_others_can_read_is_refused(minio, program, tmp_path):
    secrets = tmp_path / "credentials"
    secrets.write_text("[default]\naws_access_key_id = sstablefs-test\naws_secret_access_key = sstablefs-test-secret\n")
    configuration = tmp_path / "ok.conf"
    configuration.write_text(f"[repository]\nurl = {minio.url}\ncredentials_file = {secrets}\n")
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del program.environment[variable]
    secrets.chmod(0o644)
    expect(program("--config", configuration, "list", code=None), USAGE, secrets, "chmod")
    secrets.chmod(0o600)
    assert program("--config", configuration, "list").code == DONE


@pytest.mark.parametrize("arguments, words", [
    (["lits"], ["lits", "list"]), (["frobnicate"], ["frobnicate"]), (["delete"], ["backup"]), (["delete", "b/c"], ["b/c"]), (["purge"], ["--keep-last"]), (["gc", "b1"], ["gc"]),
    (["restore-cluster"], ["restore-cluster"]), 
    (["verify", "--data-dir", "d"], ["--repair"]), (["backup", "--metrics-file"], ["--metrics-file"]), (["list", "--nonsense"], ["--nonsense"]),
    (["list", "extra"], ["extra"]), (["show"], ["backup"]), (["restore", "b"], ["directory"]), (["--nonsense", "list"], ["--nonsense"]),
    (["verify", "--sample", "0"], ["--sample"]), (["restore", "--memory", "x", "b", "d"], ["x"]), (["list", "--cluster"], ["--cluster"]),
    (["restore", "--jobs", "0", "b", "d"], ["jobs"]), (["restore", "--map-data-dir", "x", "b", "d"], ["INDEX=DIRECTORY"]),
    (["init", "--compression", "rar"], ["zstd"]),
])
def test_wrong_usage_ends_with_2(program, arguments, words):
    expect(program("-r", "/nonexistent", *arguments, code=None), USAGE, *words)


def test_no_arguments_and_help_show_what_there_is(program):
    assert all(f"  {command} " in program(code=USAGE).err for command in COMMANDS)
    assert all(f"  {command} " in program("--help").out for command in COMMANDS)
    for command in COMMANDS:
        text = program(command, "--help").out
        assert text.startswith("usage: sstablefs [-r URL] " + command)
        assert "  sstablefs " in text.partition("Example")[2]
    assert "format" in program("--version").out and "libcurl" in program("--version").out


def test_errors_as_json_keep_their_kind_and_exit_code(program, stored, small_node):
    for kind, code, arguments in (("usage", USAGE, ["list", "--nonsense"]), ("not_found", ABSENT, ["show", "absent"]),
                                  ("conflict", FAILED, ["init"])):
        answer = stored("--json", *arguments, code=code)
        error = answer.json["error"]
        assert error["kind"] == kind and error["message"] in answer.err and isinstance(error["detail"], dict)


def test_the_repository_is_named_by_option_variable_or_configuration(program, stored):
    (program.directory / "sstablefs.conf").write_text(f"[repository]\nurl = {stored.url}\n")
    assert [b["name"] for b in json.loads(program("--json", "list").out)["backups"]] == ["t1"]
    assert program("-r", "/nonexistent", "list", code=None).code == ABSENT, "-r wins"
    assert program("list", environment={"SSTABLEFS_REPOSITORY": "/nonexistent"}, code=None).code == ABSENT, "so does the variable"
