# SPDX-License-Identifier: Apache-2.0
"""restore-node in its other cases, on a stand-in for Cassandra: a node of another cluster that takes the tokens over, a disk without room for
both, some tables of a node that runs. tests/cassandra does the same with real nodes, crash/test_restore_node_cases_killed.py kills it at every step."""

import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import ABSENT, DONE, FAILED, FOUND, USAGE, run, wait_until
from host import NEW_ID, OWN, Host, files, refused, with_own
from standin import HOST_ID
from test_pin import pin_files

THIRD_ID = "5d1b2c3e-aaaa-4bbb-8ccc-0123456789ab"
YAML_COMMENT = "# ours\n"


def restore(repository, host, *arguments, **keywords):
    return repository("--config", host.configuration, "restore-node", *arguments, **keywords)


def data_of(host):
    return {path: data for path, data in files(host.content()).items() if path.startswith("data")}


def without_local(content):
    return {path: data for path, data in content.items() if "/system/local-" not in path}


def identity(host):
    node = json.loads((host.state / "node.json").read_text())
    return node["host_id"], node["tokens"]


@pytest.fixture
def host(program):
    host = Host(program).fill().start()
    yield host
    host.kill()


@pytest.fixture
def stored(repository, host):
    repository("--config", host.configuration, "backup", "--name", "b")
    repository.before = data_of(host)
    host.spoil()
    repository.spoilt = host.content()
    host.calls()
    return repository


@pytest.fixture
def other(program):
    """A node of another cluster, with data, tokens and a comment in cassandra.yaml of its own."""
    other = Host(program, "other", host_id=THIRD_ID)
    other.node.update(cluster="Other", tokens=["1", "2"])
    other.save()
    other.configure(yaml=other.yaml, start_command=other.directory / "start", stop_command=f"{other.directory / 'stop'} now", node="n9")
    other.write_yaml(cluster_name="'Other'", num_tokens=16)
    other.yaml.write_text(YAML_COMMENT + other.yaml.read_text() + "# the end\n")
    other.yaml.chmod(0o640)
    other.fill().start()
    other.had = other.content(), other.yaml.read_text()
    yield other
    other.kill()


REBOOTED = ["b", "--in-place", "--yes"]
REMOTE = ["b", "--remote", "--node", "n1", "--yes"]


def backup_of(yaml):
    return yaml.with_name(yaml.name + ".before-restore-node")


# ---- compressors of somebody else's ----

def test_the_plan_names_a_compressor_that_cassandra_has_not(stored, host):
    host.node["schema"] = ("CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy'};\n"
                           "CREATE TABLE shop.orders (id int PRIMARY KEY) WITH ID = x AND compression = {'class': 'org.apache.cassandra.io.compress.LZ4Compressor'};\n"
                           "CREATE TABLE shop.Users (id int PRIMARY KEY) WITH ID = y AND compression = {'class': 'org.example.Fast'};\n")
    host.save()
    stored("--config", host.configuration, "backup", "--name", "c")
    plan = restore(stored, host, "c", "--in-place", "--plan").out
    assert "shop.users is compressed by org.example.Fast" in plan and "LZ4Compressor" not in plan
    assert "org.example.Fast" not in restore(stored, host, "c", "--only", "shop.orders", "--plan").out


# ---- an import whose restore-node was killed ----

@pytest.mark.parametrize("after", ["abort", "the same command"])
@pytest.mark.parametrize("told", [True, False], ids=["in Cassandra", "in nodetool"])
def test_an_import_that_goes_on_is_not_pulled_from_under(stored, host, told, after):
    """It has moved a part of an SSTable when restore-node and nodetool are killed. As Cassandra, the stand-in imports into a table once at a time. Or restore-node
    alone is killed, and nodetool has not told Cassandra yet."""
    nodetool, mark, lock = (host.directory / name for name in ("nodetool", "mark", "lock"))
    (host.directory / "real").write_text(nodetool.read_text().replace("Path(sys.argv[0]).name", '"nodetool"'))
    (host.directory / "real").chmod(0o755)
    (host.directory / "inside").write_text(
        f"#!/bin/sh\nset -e\nfor word in $IMPORT; do source=$word; done\n{'' if told else f'touch {mark}/moving; sleep 2; exec 9>{lock}; flock 9'}\n"
        f'for d in $source/*-Data.db; do mv $d $d.moving; done\ntouch {mark}/moving; sleep 2\n'
        f'for d in $source/*.moving; do mv $d ${{d%.moving}}; done\nexec {host.directory}/real $IMPORT\n')
    (host.directory / "inside").chmod(0o755)
    nodetool.write_text(f'#!/bin/sh\ncase $* in *import*) ;; *) exec {host.directory}/real "$@";; esac\n{f"exec 9>{lock}; flock 9" if told else ""}\n'
                        f"if mkdir {mark} 2>/dev/null; then IMPORT=$* setsid {host.directory}/inside {'' if told else '$*'} &\n"
                        f"  while [ ! -e {mark}/moving ]; do sleep 0.1; done; kill -9 $PPID; exit; fi\n"
                        f'exec 9>{lock}; flock 9; exec {host.directory}/real "$@"\n')
    restore(stored, host, "b", "--only", "shop.orders", "--yes", code=-9)
    table = host.journal()["importing"]
    assert table == "shop.orders"
    if after == "abort":
        restore(stored, host, "--abort")
    else:
        restore(stored, host, "b", "--only", "shop.orders", "--yes")
    run("flock", lock, "true")
    wanted = [data for path, data in stored.before.items() if "/orders-" in path and path.endswith("Data.db")]
    had = set(files(host.content()).values())
    assert all(data in had for data in wanted), "the import that was begun came to its end"
    assert with_own(host) == [] and host.running


def test_an_abort_waits_for_no_import_of_a_cassandra_that_is_down(stored, host):
    host.fail("import", first="it hangs up")
    restore(stored, host, "b", "--only", "shop.orders", "--yes", code=FAILED)
    refused(restore(stored, host, "--abort", code=FAILED), "may run still", "--abort again")
    host.kill()
    restore(stored, host, "--abort")
    assert with_own(host) == []


# ---- a container beside it ----

USE = {"file": 'exec sh -c "exec sleep 10000" 3<"$file"', "directory": 'cd "$(dirname "$file")"; exec sleep 10000',
       "map": 'exec python3 -c "import mmap, sys, time; f = open(sys.argv[1], \'rb\'); m = mmap.mmap(f.fileno(), 0, prot=1); f.close(); time.sleep(10000)" "$file"'}


@contextlib.contextmanager
def contained(host, use):
    """Its Cassandra runs in a mount namespace of its own, where the data have another path."""
    host.kill()
    elsewhere = host.directory / "elsewhere"
    elsewhere.mkdir()
    file = next(host.data[0].glob("shop/*/*-Data.db")).relative_to(host.node_directory)
    script = f'mount --bind {host.node_directory} {elsewhere}; mount -t tmpfs none {host.node_directory}; cd /; file={elsewhere}/{file}; {USE[use]}'
    with subprocess.Popen(["unshare", "-m", "sh", "-ec", script]) as process:
        try:
            wait_until(lambda: Path("/proc", str(process.pid), "comm").read_text().split()[0] in ("sleep", "python3"), 20, "the process")
            (host.state / "pid").write_text(str(process.pid))
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("use", USE)
def test_a_cassandra_that_has_its_directories_at_other_paths_is_seen(stored, host, use):
    with contained(host, use) as process:
        assert restore(stored, host, "b", "--in-place", "--plan").out
        (host.directory / "stop").write_text("#!/bin/sh\nexit 0\n")
        for question in ("info", "status", "describecluster"):
            host.fail(question, first="Connection refused")
        answer = restore(stored, host, "b", "--in-place", "--yes", "--wait", 1, code=FAILED)
        refused(answer, "still in use by", f"{process.pid} (")
        assert files(host.content()) == files(stored.spoilt)


def test_a_cassandra_in_a_container_is_stopped_and_restored(stored, host):
    with contained(host, "file") as process:
        restore(stored, host, "b", "--in-place", "--yes")
        process.wait(10)
    assert data_of(host) == stored.before and host.running


def test_a_cassandra_in_a_container_is_not_told_to_import_from_a_path_that_it_does_not_know(stored, host):
    with contained(host, "file"):
        refused(restore(stored, host, "b", "--only", "shop", "--yes", code=FAILED), "at other paths")
    assert host.content() == stored.spoilt


# ---- another cluster ----

def test_a_node_of_another_cluster_takes_the_tokens_over(stored, other):
    answer = restore(stored, other, *REMOTE, "--check-query", "SELECT id FROM shop.users", "--check-rows", 4)
    assert "--finish" in answer.out
    assert without_local(data_of(other)) == without_local(stored.before)
    assert identity(other) == (NEW_ID, ["-42", "7"]), "who the backup's node was does not come, its tokens do"
    text = other.yaml.read_text()
    assert text.startswith(YAML_COMMENT) and "cluster_name: 'Other'\n" in text and "\nnum_tokens: 2\n" in text
    assert text.endswith("# the end\ninitial_token: -42,7\nauto_bootstrap: false\n")
    assert backup_of(other.yaml).read_text() == other.had[1]
    for path in (other.yaml, backup_of(other.yaml)):
        assert path.stat().st_mode & 0o777 == 0o640
    restore(stored, other, "--finish")
    assert other.yaml.read_text() == text and not backup_of(other.yaml).exists() and with_own(other) == []


def test_abort_takes_the_tokens_back(stored, other):
    restore(stored, other, *REMOTE)
    restore(stored, other, "--abort")
    assert (other.content(), other.yaml.read_text()) == other.had
    assert other.running and identity(other) == (THIRD_ID, ["1", "2"]) and not backup_of(other.yaml).exists()


def test_cassandra_can_read_its_cassandra_yaml_whatever_the_umask(stored, other):
    strict = {"prefix": ("sh", "-c", 'umask 077; exec "$@"', "sh")}
    restore(stored, other, *REMOTE, **strict)
    for path in (other.yaml, backup_of(other.yaml)):
        assert path.stat().st_mode & 0o777 == 0o640, path
    restore(stored, other, "--abort", **strict)
    assert other.yaml.stat().st_mode & 0o777 == 0o640 and other.yaml.read_text() == other.had[1]


@pytest.mark.parametrize("link", ["file", "directory"])
def test_a_cassandra_yaml_behind_a_symbolic_link_is_edited_where_it_lies(stored, other, link):
    """As of Debian's alternatives, or of configuration management: the link stays one, and the file keeps its owner, group and mode."""
    there = other.directory / "managed"
    named = other.yaml if link == "file" else other.yaml.parent
    if link == "file":
        there.mkdir()
        real = other.yaml.rename(there / "node9.yaml")
        named.symlink_to("../../managed/node9.yaml")
    else:
        named.rename(there)
        named.symlink_to(there)
        real = there / "cassandra.yaml"
    os.chown(real, 0, 4711)
    restore(stored, other, *REMOTE)
    assert named.is_symlink() and not real.is_symlink() and "initial_token: -42,7\n" in real.read_text()
    for path in (real, backup_of(real)):
        assert (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o7777) == (0, 4711, 0o640), path
    assert link == "directory" or not backup_of(other.yaml).exists()
    restore(stored, other, "--abort")
    assert named.is_symlink() and other.yaml.read_text() == other.had[1] and not backup_of(real).exists()
    assert (real.stat().st_uid, real.stat().st_gid, real.stat().st_mode & 0o7777) == (0, 4711, 0o640)
    assert other.content() == other.had[0] and other.running
    restore(stored, other, *REMOTE)
    restore(stored, other, "--finish")
    assert named.is_symlink() and "initial_token: -42,7\n" in real.read_text() and sorted(real.parent.iterdir()) == [real]


def test_abort_does_not_undo_what_somebody_wrote_into_cassandra_yaml(stored, other):
    restore(stored, other, *REMOTE)
    with open(other.yaml, "a") as yaml:
        yaml.write("hand: made\n")
    refused(restore(stored, other, "--abort", code=FAILED), backup_of(other.yaml), "was changed since", "--abort again")
    assert other.yaml.read_text().endswith("hand: made\n") and not other.running
    backup_of(other.yaml).unlink()
    restore(stored, other, "--abort")
    assert other.content() == other.had[0] and other.running


def test_tokens_that_are_not_the_backups_are_noticed(stored, other):
    """What cassandra.yaml says is not what Cassandra does: as with a saved system.local."""
    start = other.directory / "start"
    start.write_text(start.read_text().replace('setting["initial_token"].split(",")', '["8", "9"]'))
    refused(restore(stored, other, *REMOTE, code=FAILED), "its tokens are 8,9", "-42,7")
    restore(stored, other, "--abort")
    assert (other.content(), other.yaml.read_text()) == other.had


def test_roles_of_the_other_cluster_may_stay(stored, other):
    roles = {path: data for path, data in files(other.had[0]).items() if "/system_auth/" in path}
    assert "no longer valid" in restore(stored, other, "b", "--remote", "--node", "n1", "--plan").out
    restore(stored, other, *REMOTE, "--keep-auth")
    assert {path: data for path, data in files(other.content()).items() if "/system_auth/" in path} == roles


def test_the_plan_of_another_cluster_says_what_changes(stored, other):
    answer = restore(stored, other, "b", "--remote", "--node", "n1", "--plan")
    for word in ("--remote", "initial_token: -42,7", str(other.yaml), "is of cluster", "every node of this cluster", "seeds start first"):
        assert word in answer.out
    plan = stored.json("--config", other.configuration, "restore-node", "b", "--remote", "--node", "n1", "--plan")
    assert plan["case"] == "remote" and plan["tokens"] == "-42,7" and plan["refusals"] == []
    assert (other.content(), other.yaml.read_text()) == other.had and other.running


def test_what_does_not_fit_another_cluster_is_refused(stored, other):
    def refuse(*words):
        refused(restore(stored, other, *REMOTE, code=FAILED), "nothing was done", *words)
        assert other.content() == other.had[0] and other.running and with_own(other) == []

    refused(restore(stored, other, "b", "--remote", "--yes", code=USAGE), "--node n1")
    backup_of(other.yaml).write_text("of another time")
    refuse(backup_of(other.yaml), "move it away")
    backup_of(other.yaml).unlink()
    text = other.yaml.read_text()
    other.yaml.write_text(text + "num_tokens: 4\n")
    refuse("the key is there twice")
    other.yaml.write_text(text)
    lines = other.node["status"]
    other.node["status"] = [*lines, f"UN  10.0.0.9    1 KiB  2       100.0%            {HOST_ID}  r1"]
    other.save()
    refuse(HOST_ID, "10.0.0.9", "--in-place")
    other.node.update(status=lines, version="4.1.10")
    other.save()
    refuse("does not read newer data")


def test_a_backup_without_tokens_is_refused(repository, host, other):
    host.kill()
    for data in host.data:
        for table in data.glob("*/*-*"):
            shutil.copytree(table, table / "snapshots/s")
    repository("backup", "--name", "c", "--cluster", "c", "--node", "n1", "--snapshot", "s",
               *(word for data in host.data for word in ("--data-dir", data)))
    refused(restore(repository, other, "c", *REMOTE[1:], code=FAILED), "which tokens its node had")


# ---- without room for both ----

def test_without_staging_the_old_data_go_first(stored, host):
    snapshot = host.table("shop", "orders") / "snapshots/mine"
    snapshot.mkdir(parents=True)
    answer = restore(stored, host, "b", "--in-place", "--no-stage", "--plan")
    assert "no way back" in answer.out and "straight into the data directories" in answer.out
    answer = restore(stored, host, "b", "--in-place", "--no-stage", "--yes")
    assert "--finish" not in answer.out and "the node was down for" in answer.out
    assert files(host.content()) == stored.before and host.running and not snapshot.exists()
    assert with_own(host) == [] and not list(host.node_directory.rglob(".sstablefs-restore"))
    refused(restore(stored, host, "--abort", code=ABSENT), "no restore-node was begun")
    restore(stored, host, "b", "--in-place", "--no-stage", "--yes")
    assert files(host.content()) == stored.before


def test_without_staging_roles_may_stay(stored, host):
    roles = {path: data for path, data in files(stored.spoilt).items() if "/system_auth/" in path}
    restore(stored, host, "b", "--in-place", "--no-stage", "--keep-auth", "--yes")
    now = data_of(host)
    assert {path: data for path, data in now.items() if "/system_auth/" in path} == roles
    assert {path for path in now if "/shop/" in path} == {path for path in stored.before if "/shop/" in path}


def test_before_anything_is_removed_there_is_a_way_back(stored, host):
    host.fail("stop", first="not now")
    refused(restore(stored, host, "b", "--in-place", "--no-stage", "--yes", code=FAILED), "--abort")
    host.heal()
    refused(restore(stored, host, "b", "--in-place", "--yes", code=USAGE), "begun with other options", "--in-place --no-stage")
    restore(stored, host, "--abort")
    assert host.content() == stored.spoilt and host.running


def test_afterwards_abort_refuses_rather_than_loses(stored, host):
    objects, = stored.path.glob("nodes/*/n1/objects")
    away = stored.path.with_name("away")
    (host.directory / "stop").write_text(f"#!/bin/sh\nmv {objects} {away}\nkill $(cat {host.state}/pid)\nrm {host.state}/pid\n")
    answer = restore(stored, host, "b", "--in-place", "--no-stage", "--yes", code=None)
    assert answer.code != 0 and "there is no way back" in answer.err
    assert host.journal()["old_data"] == "removed" and not host.running
    refused(restore(stored, host, "--abort", code=FAILED), "there is no way back", "--no-stage again")
    host.start(check=False)
    assert not host.running, "half a node does not start"
    away.rename(objects)
    restore(stored, host, "b", "--in-place", "--no-stage", "--yes")
    assert files(host.content()) == stored.before and host.running and with_own(host) == []


def test_without_staging_the_backup_is_pinned_before_anything_is_stopped(stored, host):
    stop, seen = host.directory / "stop", host.directory / "seen"
    stop.rename(host.directory / "really-stop")
    (host.directory / "really-stop").write_text((host.directory / "really-stop").read_text().replace("Path(sys.argv[0]).name", '"stop"'))
    stop.write_text(f"#!/bin/sh\nls {stored.path}/nodes/*/n1/pins >{seen}\nexec {host.directory}/really-stop\n")
    stop.chmod(0o755)
    restore(stored, host, "b", "--in-place", "--no-stage", "--yes")
    assert len(seen.read_text().split()) == 1
    assert pin_files(stored) == [] and files(host.content()) == stored.before


def test_without_staging_and_without_a_pin_the_node_keeps_what_it_has(stored, host):
    node, = stored.path.glob("nodes/*/n1")
    shutil.rmtree(node / "pins", ignore_errors=True)
    (node / "pins").write_text("in the way")
    answer = restore(stored, host, "b", "--in-place", "--no-stage", "--yes", code=None)
    assert answer.code != 0 and "pins" in answer.err
    assert files(host.content()) == files(stored.spoilt) and host.running
    (node / "pins").unlink()
    restore(stored, host, "b", "--in-place", "--no-stage", "--yes")
    assert files(host.content()) == stored.before


def test_without_staging_another_clusters_tokens_come_too(stored, other):
    restore(stored, other, *REMOTE, "--no-stage")
    assert without_local(data_of(other)) == without_local(stored.before)
    assert identity(other) == (NEW_ID, ["-42", "7"]) and not backup_of(other.yaml).exists() and with_own(other) == []


# ---- some tables ----

def bytes_of(content, table):
    return sorted(data for path, data in content.items() if f"/{table}-" in path and path.endswith("Data.db"))


def test_a_table_comes_back_while_the_node_runs(stored, host):
    lost = bytes_of(stored.before, "shop/orders")
    answer = restore(stored, host, "b", "--only", "shop.orders", "--yes", "--check-query", "SELECT id FROM shop.orders", "--check-rows", 4)
    assert "imported shop.orders" in answer.out and "down" not in answer.out and "--finish" not in answer.out
    now = files(host.content())
    assert all(data in bytes_of(now, "shop/orders") for data in lost)
    assert {path: data for path, data in now.items() if "/shop/orders-" not in path} == \
        {path: data for path, data in files(stored.spoilt).items() if "/shop/orders-" not in path}
    calls = host.calls()
    assert not [words for words in calls if words[0] in ("start", "stop")] and host.running
    imported = [words for words in calls if words[1:2] == ["import"]]
    assert [words[1:-1] for words in imported] == [["import", "-l", "-r", "-v", "shop", "orders"]] * 2, "one for each data directory"
    assert [words[-1].startswith(f"{data}/{OWN}/") for words, data in zip(imported, host.data)] == [True, True]
    assert with_own(host) == []


def test_a_keyspace_comes_back_table_by_table(stored, host):
    plan = stored.json("--config", host.configuration, "restore-node", "b", "--only", "shop", "--only", "ks2.t", "--plan")
    assert plan["case"] == "only" and plan["only"] == ["shop", "ks2.t"] and len(plan["steps"]) == 2
    assert [place["path"] for place in plan["directories"]] == [str(data) for data in host.data]
    restore(stored, host, "b", "--only", "shop", "--only", "ks2.t", "--yes")
    for table in ("shop/orders", "shop/Users", "ks2/t"):
        assert set(bytes_of(stored.before, table)) <= set(bytes_of(files(host.content()), table)), table


def test_what_cassandra_does_not_take_waits_for_the_next_run(stored, host):
    host.fail("import", first="error: Some directories failed to import, check server logs for details:")
    refused(restore(stored, host, "b", "--only", "shop.orders", "--yes", code=FAILED), "shop.orders", "failed to import", "--abort")
    assert host.journal()["step"] == "import"
    refused(restore(stored, host, "b", "--in-place", "--yes", code=USAGE), "begun with other options", "--only shop.orders")
    host.heal()
    away = stored.path.rename(stored.path.with_name("away"))
    restore(stored, host, "b", "--only", "shop.orders", "--yes")
    away.rename(stored.path)
    assert set(bytes_of(stored.before, "shop/orders")) <= set(bytes_of(files(host.content()), "shop/orders"))


def test_abort_of_some_tables_takes_away_what_waits(stored, host):
    host.fail("import", first="error: no")
    restore(stored, host, "b", "--only", "shop", "--yes", code=FAILED)
    host.heal()
    host.calls()
    assert "what was imported stays" in restore(stored, host, "--abort").out
    assert host.content() == stored.spoilt and host.running
    (call,) = host.calls()
    assert call[:2] == ["nodetool", "import"] and call[-1].endswith("/new/.empty"), "it waits for an import that may run still, and makes none"


def test_some_tables_that_cannot_be_taken_in_are_refused(stored, host):
    def refuse(only, *words):
        refused(restore(stored, host, "b", "--only", only, "--yes", code=FAILED), "nothing was done", *words)
        assert files(host.content()) == files(stored.spoilt) and with_own(host) == []

    refused(restore(stored, host, "b", "--only", "nothing", "--yes", code=ABSENT), "holds no keyspace nothing")
    refused(restore(stored, host, "b", "--only", "shop.nothing", "--yes", code=ABSENT), "holds no table shop.nothing")
    refuse("system", "cannot be replaced while it runs")
    refuse("system_schema.tables", "cannot be replaced while it runs")
    host.node["version"] = "3.11.19"
    host.save()
    refuse("shop", "has no nodetool import")
    host.node.update(version="5.0.9", tokens=["1", "2"])
    host.save()
    refuse("shop", "other tokens than the backup")
    host.node["tokens"] = ["-42", "7"]
    host.save()
    for data in host.data:
        for table in (data / "ks2").glob("t-*"):
            table.rename(host.directory / f"{data.name}-t")
    plan = stored.json("--config", host.configuration, "restore-node", "b", "--only", "ks2", "--plan", code=FOUND)
    assert any("sstablefs schema b --only ks2.t" in text for text in plan["refusals"])
    host.kill()
    refused(restore(stored, host, "b", "--only", "shop", "--yes", code=FAILED), "to a node that runs")
    host.write_yaml(cluster_name="Other")
    refused(restore(stored, host, "b", "--only", "shop", "--yes", code=FAILED), "sstableloader")


@pytest.mark.parametrize("arguments", [["--in-place", "--remote"], ["--only", "shop", "--in-place"], ["--only", "shop", "--keep-auth"],
                                       ["--only", "shop", "--no-stage"], ["--no-stage"], ["--only", "a/b"]])
def test_cases_that_contradict_each_other_are_wrong_usage(stored, host, arguments):
    restore(stored, host, "b", *arguments, "--yes", code=USAGE)
    assert host.content() == stored.spoilt and host.running


# ---- the room there is, and encryption ----

def small_disk(mount_tmpfs, path, size):
    content = {child.relative_to(path): child.read_bytes() for child in path.rglob("*") if child.is_file()}
    mount_tmpfs(path, size)
    for name, data in content.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)


@pytest.fixture
def mount_tmpfs():
    with contextlib.ExitStack() as stack:
        def mount(path, size):
            run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path)
            stack.callback(run, "umount", "--lazy", path)
        yield mount


def test_each_file_system_must_have_room_for_its_part(repository, host, mount_tmpfs):
    """There is room enough on the first; what the second is to take does not fit it, unless what is there goes first."""
    host.write(host.table("shop", "big", 1), 1, 3_000_000)
    repository("--config", host.configuration, "backup", "--name", "b")
    host.kill()
    small_disk(mount_tmpfs, host.data[1], "5M")
    host.start()
    plan = repository.json("--config", host.configuration, "restore-node", "b", "--in-place", "--plan", code=FOUND)
    assert len(plan["refusals"]) == 1 and str(host.data[1]) in plan["refusals"][0] and "--no-stage" in plan["refusals"][0]
    before = data_of(host)
    restore(repository, host, "b", "--in-place", "--no-stage", "--yes")
    assert data_of(host) == before and host.running
    host.write(host.table("shop", "more", 1), 1, 1_500_000)
    repository("--config", host.configuration, "backup", "--name", "c")
    shutil.rmtree(host.table("shop", "more", 1))
    (host.data[1] / "lost+found").mkdir()
    (host.data[1] / "lost+found/of-others").write_bytes(bytes(1_500_000))
    plan = repository.json("--config", host.configuration, "restore-node", "c", "--in-place", "--no-stage", "--plan", code=FOUND)
    assert "even without what is there now" in plan["refusals"][0]
    host.kill()


def test_what_is_staged_leaves_the_running_node_some_room(repository, host, mount_tmpfs):
    """3.2 MB of 64 are free beside the backup's part: less than 5 %, and the node goes on writing."""
    host.write(host.table("shop", "big", 1), 1, 3_000_000)
    repository("--config", host.configuration, "backup", "--name", "b")
    host.kill()
    small_disk(mount_tmpfs, host.data[1], "64M")
    (host.data[1] / "lost+found").mkdir()
    filling = host.data[1] / "lost+found/filling"

    def plan(free, code):
        filling.write_bytes(b"")
        fs = os.statvfs(host.data[1])
        filling.write_bytes(bytes(fs.f_bavail * fs.f_frsize - free))
        return repository.json("--config", host.configuration, "restore-node", "b", "--in-place", "--plan", code=code)["refusals"]

    assert "3.2 MiB must stay free for Cassandra" in plan(5_500_000, FOUND)[0]
    assert plan(7_500_000, DONE) == []


@pytest.mark.parametrize("words", [["--finish"], ["--abort"]], ids=["finish", "abort"])
def test_full_disks_are_freed_by_finish_and_by_abort(stored, host, mount_tmpfs, words):
    """Which is noted before anything is removed: to the last block of every disk, as Cassandra does that runs on."""
    host.kill()
    for data in host.data:
        small_disk(mount_tmpfs, data, "8M")
    host.start()
    restore(stored, host, *REBOOTED)
    for data in host.data:
        with open(data / "filling", "wb", buffering=0) as filling, pytest.raises(OSError, match="No space left"):
            while True:
                filling.write(bytes(4096))
    restore(stored, host, *words)
    assert host.running and with_own(host) == []
    for data in host.data:
        (data / "filling").unlink(missing_ok=True)
    assert files(host.content()) == (stored.before if words == ["--finish"] else files(stored.spoilt))
    host.kill()


@pytest.mark.parametrize("after, words", [("stop", REBOOTED), ("start", REBOOTED), ("start", ["--abort"])], ids=["fetched", "exchanged", "abort"])
def test_a_disk_that_is_not_mounted_after_a_reboot_is_not_taken_for_one_that_is_done(stored, host, after, words):
    """Its mount point is an empty directory: as if all that was fetched into it, or set aside, had been moved."""
    place, disk = host.data[1], host.directory / "disk"
    host.kill()
    place.rename(disk)
    place.mkdir()
    run("mount", "--bind", disk, place)
    try:
        host.start()
        host.fail(after, first="not now")
        restore(stored, host, *REBOOTED, code=FAILED)
        host.heal()
        host.kill()
        run("umount", place)
        refused(restore(stored, host, *words, code=FAILED), place, "is its file system mounted?")
        assert list(place.iterdir()) == [] and not host.running
        run("mount", "--bind", disk, place)
        restore(stored, host, *words)
        assert files(host.content()) == (stored.before if words == REBOOTED else files(stored.spoilt))
        host.kill()
    finally:
        run("umount", "--lazy", place)


def test_keystores_that_are_missing_are_found_before(stored, host):
    text = host.yaml.read_text()
    options = ("server_encryption_options:\n    internode_encryption: all\n    keystore: /nowhere/internode\n"
               "client_encryption_options: {enabled: true, keystore: /nowhere/client}\n"
               "transparent_data_encryption_options:\n    enabled: true\n")
    host.yaml.write_text(text + options)
    plan = stored.json("--config", host.configuration, "restore-node", "b", "--in-place", "--plan", code=FOUND)
    assert [word for word in ("/nowhere/internode", "/nowhere/client") if not any(word in said for said in plan["refusals"])] == []
    assert any("TLS alone" in note for note in plan["notes"]) and any("commit logs and hints" in note for note in plan["notes"])
    host.yaml.write_text(text + options.replace("all", "none").replace("enabled: true", "enabled: false"))
    assert stored.json("--config", host.configuration, "restore-node", "b", "--in-place", "--plan")["refusals"] == []
