# SPDX-License-Identifier: Apache-2.0
"""backup --metrics-file, as Prometheus reads it: after success, after failure, and whatever lay there before."""

import os
import stat
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness import CLUSTER, DONE, FAILED, FOUND, NODE, STORE, USAGE, is_sentence, wait_until
from test_signals import SLOW, node, objects  # noqa: F401 (node is a fixture)
from trees import flip

RUN = {"last_run_timestamp_seconds", "last_run_duration_seconds", "last_run_success", "last_run_exit_code"}
GOOD = {f"last_success_{name}" for name in ("timestamp_seconds", "duration_seconds", "size_bytes", "new_bytes", "files", "damaged_files")}
DEAD = "s3://bucket?endpoint=http://127.0.0.1:9"  # nobody listens on port 9


def metrics(path, cluster=CLUSTER, node=NODE):  # noqa: F811
    """{name: value}, by Prometheus's own parser; every sample is a gauge of this node."""
    found = {}
    for family in text_string_to_metric_families(path.read_text()):
        assert family.type == "gauge" and family.documentation
        (sample,) = family.samples
        assert sample.labels == {"cluster": cluster, "node": node} and sample.name == family.name
        found[sample.name.removeprefix("sstablefs_backup_")] = sample.value
    return found


@pytest.fixture
def file(tmp_path):
    return tmp_path / "sstablefs.prom"


def backup(repository, node_directory, file, tag="monday", name=None, *more, **keywords):
    return repository.backup(node_directory, tag, name, "--metrics-file", file, *more, **keywords)


def test_a_backup_that_was_made_is_told(repository, node_directory, file):
    for tag in ("monday", "tuesday"):
        begun = time.time()
        result = backup(repository, node_directory, file, tag)
        m = metrics(file)
        assert set(m) == RUN | GOOD
        assert (m["last_run_success"], m["last_run_exit_code"]) == (1, DONE)
        assert int(begun) <= m["last_run_timestamp_seconds"] == m["last_success_timestamp_seconds"] <= time.time() + 1
        assert 0 <= m["last_run_duration_seconds"] == m["last_success_duration_seconds"] < 120
        assert (m["last_success_size_bytes"], m["last_success_new_bytes"], m["last_success_files"]) == (
            result["total_bytes"], result["new_bytes"], result["files"])
        assert m["last_success_damaged_files"] == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert os.listdir(file.parent).count(file.name) == 1 and not list(file.parent.glob("*.tmp"))


def test_the_file_can_be_read_by_others_whatever_the_umask(repository, node_directory, file):
    repository(*repository.backup_arguments(node_directory, "monday"), "--metrics-file", file,
               prefix=("sh", "-c", 'umask 077; exec "$0" "$@"'))
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_a_run_that_fails_keeps_what_the_last_good_one_was(program, repository, node_directory, file):
    backup(repository, node_directory, file)
    good = metrics(file)
    failures = [
        (repository, ("monday",), FAILED),  # the name is taken
        (program.repository(DEAD, AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b"), ("tuesday",), STORE),
        (program.repository(), ("tuesday",), None),  # no repository there
        (repository, ("no-such-snapshot",), None),
    ]
    for where, arguments, code in failures:
        answer = where(*where.backup_arguments(node_directory, *arguments), "--metrics-file", file, code=code, timeout=180)
        m = metrics(file)
        assert answer.code not in (DONE, FOUND)
        assert (m["last_run_success"], m["last_run_exit_code"]) == (0, answer.code)
        assert m["last_run_timestamp_seconds"] >= good["last_run_timestamp_seconds"]
        assert {name: m[name] for name in GOOD} == {name: good[name] for name in GOOD}


def test_a_first_run_that_fails_says_so_and_nothing_of_a_good_one(program, node_directory, file):
    where = program.repository()
    answer = where(*where.backup_arguments(node_directory, "monday"), "--metrics-file", file, code=None)
    m = metrics(file)
    assert set(m) == RUN and m["last_run_success"] == 0 and m["last_run_exit_code"] == answer.code != DONE


def test_wrong_usage_is_told_under_the_names_of_the_file_that_is_there(repository, node_directory, file):
    backup(repository, node_directory, file)
    good = metrics(file)
    repository("backup", "--metrics-file", file, "--snapshot", "monday", "--cluster", "not a name", code=USAGE)
    m = metrics(file)
    assert (m["last_run_success"], m["last_run_exit_code"]) == (0, USAGE)
    assert m["last_success_timestamp_seconds"] == good["last_success_timestamp_seconds"]


def test_a_backup_in_which_something_was_found_is_good_and_its_code_tells(repository, node_directory, file):
    flip(sorted(node_directory.rglob("snapshots/monday/*-Data.db"))[0], 0)
    backup(repository, node_directory, file, code=FOUND)
    m = metrics(file)
    assert (m["last_run_success"], m["last_run_exit_code"], m["last_success_damaged_files"]) == (1, FOUND, 1)


def test_a_run_that_is_killed_leaves_the_file_as_it_was(repository, node, file):  # noqa: F811
    file.write_text("# the one before\n")
    process = repository.start(*repository.backup_arguments(node.data, "t1", "b"), *SLOW, "--metrics-file", file)
    wait_until(lambda: objects(repository) or process.poll() is not None, 60, "the first object")
    assert process.poll() is None
    process.kill()
    process.communicate()
    assert file.read_text() == "# the one before\n"


def test_a_run_that_is_stopped_is_told(repository, node, file):  # noqa: F811
    process = repository.start(*repository.backup_arguments(node.data, "t1", "b"), *SLOW, "--metrics-file", file)
    wait_until(lambda: objects(repository) or process.poll() is not None, 60, "the first object")
    process.terminate()
    process.communicate(timeout=60)
    m = metrics(file)
    assert (m["last_run_success"], m["last_run_exit_code"]) == (0, 143)


@pytest.mark.parametrize("make, why", [
    (lambda path: path.parent / "no such directory/f.prom", "No such file or directory"),
    (lambda path: path.mkdir() or path, "Is a directory"),
    (lambda path: path.write_text("") and None or path / "f.prom", "Not a directory")])
def test_a_file_that_cannot_be_written_does_not_fail_the_backup(repository, node_directory, file, make, why):
    arguments = ["--metrics-file", make(file)]
    answer = repository(*repository.backup_arguments(node_directory, "monday"), *arguments, code=FOUND)
    assert is_sentence(answer.err) and "--metrics-file: cannot write" in answer.err and why in answer.err
    assert [b["name"] for b in repository.json("list")["backups"]] == ["monday"]
    repository(*repository.backup_arguments(node_directory, "monday"), *arguments, code=FAILED)


LINE = 'sstablefs_backup_last_success_timestamp_seconds{cluster="%s",node="%s"} %s'


@pytest.mark.parametrize("old", [
    b"", b"\0" * 100, b"\xff\xfe", b"x" * 70_000, b"sstablefs_backup_", b"sstablefs_backup_last_success_timestamp_seconds",
    (LINE % (CLUSTER, NODE, "")).encode(), (LINE % (CLUSTER, NODE, "1e400")).encode(), (LINE % (CLUSTER, NODE, "NaN")).encode(),
    (LINE % (CLUSTER, NODE, "1 2")).encode(), (LINE % (CLUSTER, NODE, "9" * 400)).encode(),
    (LINE % (CLUSTER, "other", "1700000000.5")).encode(), (LINE % ("other", NODE, "1700000000.5")).encode(),
    (LINE % ("a" * 300, NODE, "1")).encode(), b'sstablefs_backup_x{cluster="', b'sstablefs_backup_x{cluster="a b",node="c"} 1'],
    ids=range(16))
def test_a_file_that_says_nothing_of_this_node_is_replaced(repository, node_directory, file, old):
    file.write_bytes(old)
    repository(*repository.backup_arguments(node_directory, "no-such-snapshot"), "--metrics-file", file, code=None)
    assert set(metrics(file)) == RUN


def test_what_is_there_already_is_no_failure_with_once(repository, node_directory, file):
    result = backup(repository, node_directory, file, "monday", "b", "--once")
    assert result["state"] == "committed"
    good = metrics(file)
    records = sorted(repository.path.rglob("records/**/*.json"))
    again = repository.json(*repository.backup_arguments(node_directory, "tuesday", "b"), "--once", "--metrics-file", file)
    assert (again["state"], again["name"], again["node"]) == ("exists", "b", NODE)
    assert sorted(repository.path.rglob("records/**/*.json")) == records, "nothing is written for it"
    m = metrics(file)
    assert (m["last_run_success"], m["last_run_exit_code"]) == (1, DONE)
    assert {name: m[name] for name in GOOD} == {name: good[name] for name in GOOD}
    assert "is there already" in repository(*repository.backup_arguments(node_directory, "monday", "b"), "--once").out
    assert repository.backup(node_directory, "monday", "c", "--once")["state"] == "committed"


def test_a_dry_run_tells_nothing(repository, node_directory, file):
    backup(repository, node_directory, file, "monday", None, "--dry-run")
    assert not file.exists()


def test_a_node_that_cannot_be_asked_is_told_under_its_name(repository, file):
    Path(repository.program.environment["SSTABLEFS_CONFIG"]).write_text(
        f"[cassandra]\ncluster = {CLUSTER}\nnode = {NODE}\nnodetool = /no/such/nodetool\n")
    answer = repository("backup", "--metrics-file", file, code=None)
    m = metrics(file)
    assert answer.code not in (DONE, FOUND) and set(m) == RUN
    assert (m["last_run_success"], m["last_run_exit_code"]) == (0, answer.code)
