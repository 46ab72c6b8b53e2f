# SPDX-License-Identifier: Apache-2.0
"""`backup-cluster`: one backup on all nodes, whatever happens to some of them. ssh, hosts and Cassandra are stand-ins here; test_backup_cluster_sshd.py has the real ssh."""

import contextlib
import json
import os
import pty
import re
import shlex
import signal
import termios
import time

import pytest

from harness import ABSENT, DONE, FAILED, FOUND, STORE, USAGE, is_sentence, wait_until
from sshstandin import Hosts
from trees import describe_tree

CLEAN_NAME = "Live_Test__1"
REFUSED = "backup@10.0.0.2: Permission denied (publickey,password)."
SECONDS = 180  # for what takes two of them on a machine with nothing else to do


@pytest.fixture
def hosts(program):
    return Hosts(program)


@pytest.fixture
def cluster(repository, hosts):
    """Runs `backup-cluster` with the stand-ins; its JSON document, or the Answer where json=False."""
    def start(*arguments, code=DONE, json=True, **keywords):
        answer = repository("--config", hosts.configuration, *(["--json"] if json else []), "backup-cluster", "--name", "b", *arguments, code=code,
                            **keywords)
        return answer.json if json else answer
    start.began = lambda *arguments, **keywords: repository.start("--config", hosts.configuration, "backup-cluster", "--name", "b", *arguments, **keywords)
    return start


def states(result):
    return {node["host"]: node["state"] for node in result["nodes"]}


def listed(repository):
    (backup,) = repository.json("list")["backups"]
    return backup["nodes_finished"], backup["nodes_expected"], backup["complete"]


# ---- all is well ----

def test_all_nodes_of_the_running_cluster_are_backed_up_under_one_name(repository, hosts, cluster):
    result = cluster()
    assert states(result) == dict.fromkeys(hosts.names, "stored")
    assert (result["state"], result["nodes_finished"], result["nodes_expected"], result["missing"]) == ("complete", 3, 3, [])
    assert (result["cluster"], result["name"]) == (CLEAN_NAME, "b")
    assert [(node["node"], node["rack"]) for node in result["nodes"]] == [("n1", "r1"), ("n2", "r2"), ("n3", "r3")]
    assert result["files"] == sum(node["files"] for node in result["nodes"]) > 0
    assert listed(repository) == (3, 3, True)
    assert hosts.snapshots() == {}
    with repository.mount() as mount:
        for number, name in enumerate(hosts.names, 1):
            data = mount.data("b", f"n{number}", CLEAN_NAME)
            assert {path: (data / path).read_bytes() for path in describe_tree(data)} == {
                path: source.read_bytes() for path, source in hosts.nodes[name].live_files().items()}


def test_people_see_each_node_and_the_whole(hosts, cluster):
    answer = cluster(json=False)
    for name in hosts.names:
        assert f"{name}: stored as node n" in answer.out
    assert "the snapshots were taken within " in answer.out
    assert f"backup b of cluster {CLEAN_NAME}: complete, 3 of 3 nodes" in answer.out
    assert answer.err == ""


def test_ssh_is_told_never_to_ask_and_what_the_configuration_says(hosts, cluster):
    hosts.configure(user="backup", port="2222", identity_file="/keys/id", certificate_file="/keys/id cert.pub", config="/keys/config",
                    connect_timeout="7", keepalive="9")
    cluster("--only", "shop", "--jobs", "1", "--limit-rate", "500M")
    for words in hosts.calls():
        options = " ".join(words[:words.index("--")])
        for expected in ("-oBatchMode=yes", "-oControlMaster=no", "-l backup", "-p 2222", "-i /keys/id", '-oCertificateFile="/keys/id cert.pub"', "-F /keys/config",
                         "-oConnectTimeout=7", "-oServerAliveInterval=9", "-T"):
            assert expected in options
        assert words[-1].endswith("'--only' 'shop' '--jobs' '1' '--limit-rate' '500M' '--name' 'b'")


def test_a_user_of_the_list_is_that_user(hosts, cluster):
    hosts.configure(user="backup")
    hosts.environments["admin@10.0.0.3"] = hosts.environments["10.0.0.3"]
    hosts.save()
    cluster("--host-list", hosts.list_file("10.0.0.1", "admin@10.0.0.3"), code=FOUND)
    users = {words[words.index("--") + 1]: "backup" in words[:words.index("--")] for words in hosts.calls()}
    assert users == {"10.0.0.1": True, "admin@10.0.0.3": False}


def test_a_shell_that_does_not_end_its_greeting_is_understood(hosts, cluster):
    hosts.fail("10.0.0.2", greet="\033]0;host\007")
    assert cluster()["state"] == "complete"


def test_a_hook_that_takes_its_time_is_waited_for_before_any_snapshot_is_taken(hosts, cluster):
    """And for longer than a host may say nothing."""
    go, hook = hosts.state / "go", hosts.state / "hook"
    hook.write_text(f"#!/bin/sh\nwhile ! [ -e {go} ]; do sleep 0.1; done\n")
    hook.chmod(0o755)
    hosts.configure(timeout=20)
    with open(hosts.nodes["10.0.0.3"].configuration, "a") as configuration:
        configuration.write(f"[hooks]\nbefore_snapshot = {hook}\n")
    running = cluster.began()
    wait_until(lambda: hosts.seen("10.0.0.1", "prepared") and hosts.seen("10.0.0.2", "prepared"), SECONDS, "two nodes")
    begun = time.monotonic()
    wait_until(lambda: time.monotonic() - begun > 25, SECONDS, "more time than a silent host has")
    assert hosts.snapshots() == {} and running.poll() is None
    go.touch()
    assert running.wait(SECONDS) == DONE


def test_words_reach_the_node_as_they_were_written(hosts, cluster):
    result = cluster("--only", "it's; touch x $(y) \"z\"", code=ABSENT)
    assert all("--only it's; touch x $(y) \"z\" names no keyspace" in node["message"] for node in result["nodes"])


def test_no_upload_begins_before_every_snapshot_is_there(hosts, cluster, repository):
    hosts.fail("10.0.0.3", hold_at="taken")
    running = cluster.began()
    wait_until(lambda: all(hosts.seen(name, "taken") for name in hosts.names), SECONDS, "three snapshots")
    assert not any(hosts.seen(name, "end") for name in hosts.names)
    assert repository.json("list")["backups"] == []
    hosts.go("10.0.0.3")
    assert running.wait(SECONDS) == DONE
    assert listed(repository) == (3, 3, True)


def test_no_snapshot_is_taken_before_every_node_is_ready(hosts, cluster):
    hosts.fail("10.0.0.3", hold_at="ready")
    running = cluster.began()
    wait_until(lambda: all(hosts.seen(name, "ready") for name in hosts.names), SECONDS, "three nodes")
    assert hosts.snapshots() == {} and not any(hosts.seen(name, "taken") for name in hosts.names)
    hosts.go("10.0.0.3")
    assert running.wait(SECONDS) == DONE


@pytest.mark.parametrize("options, others", [(("--parallel", "1"), False), (("--parallel", "1", "--per", "dc"), False),
                                             (("--parallel", "1", "--per", "rack"), True), ((), True)])
def test_uploads_at_once_are_counted_as_wanted(hosts, cluster, options, others):
    hosts.fail("10.0.0.1", hold_at="end")
    running = cluster.began(*options)
    wait_until(lambda: hosts.seen("10.0.0.1", "end"), SECONDS, "the first upload")
    if others:
        wait_until(lambda: hosts.seen("10.0.0.2", "end") and hosts.seen("10.0.0.3", "end"), SECONDS, "the others' uploads")
    else:
        assert not hosts.seen("10.0.0.2", "end") and not hosts.seen("10.0.0.3", "end")
    hosts.go("10.0.0.1")
    assert running.wait(SECONDS) == DONE


@pytest.mark.parametrize("rows, columns", [(0, 0), (24, 120)])
def test_a_view_of_all_nodes_on_a_terminal(hosts, repository, rows, columns):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (rows, columns))
    hosts.fail("10.0.0.2", hold_at="taken")
    command = [str(word) for word in (hosts.program.binary, "-r", repository.url, "--config", hosts.configuration, "backup-cluster")]
    pid = os.posix_spawn(command[0], command, hosts.program.environment, file_actions=[(os.POSIX_SPAWN_DUP2, theirs, 2)])
    os.close(theirs)
    seen = b""
    while b"3 of 3 nodes done" not in seen and b"10.0.0.2                 snapshot" not in seen:
        seen += os.read(ours, 4096)
    hosts.go("10.0.0.2")
    wait_until(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid, SECONDS, "its end")
    assert b"0 of 3 nodes done" in seen and b"10.0.0.1" in seen and b"\033[J" in seen
    os.close(ours)


@pytest.mark.parametrize("rows, columns", [(24, 30), (2, 12)])
def test_no_line_is_broken_by_a_small_terminal(hosts, repository, rows, columns):
    """What is erased is counted in lines: one that is broken would stay, four times a second."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (rows, columns))
    running = repository.start("--config", hosts.configuration, "backup-cluster", "--name", "b", stderr=theirs)
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # EIO: nobody writes any more
        while part := os.read(ours, 4096):
            seen += part
    os.close(ours)
    assert running.wait(SECONDS) == DONE
    lines = re.split(rb"\r\n|\r|\033\[\d*[AJ]", seen)
    assert b"backup-cluster: 0 of 3 nodes done"[:columns - 1] in lines
    assert max(map(len, lines)) < columns
    assert all(int(up) < rows for up in re.findall(rb"\033\[(\d+)A", seen))


def test_a_pipe_that_nobody_reads_holds_nothing_up(hosts, repository):
    """As a terminal that is stopped: what is said waits, the hosts do not."""
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(theirs, b"x" * 4096)
    os.set_blocking(theirs, True)
    hosts.fail("10.0.0.2", say=REFUSED)
    running = repository.start("--config", hosts.configuration, "backup-cluster", "--name", "b", stderr=theirs)
    os.close(theirs)
    wait_until(lambda: hosts.seen("10.0.0.1", "end") and hosts.seen("10.0.0.3", "end"), SECONDS, "two uploads")
    with open(ours, "rb") as said:
        assert b"10.0.0.2: backup@10.0.0.2: Permission denied" in said.read()
    assert running.wait(SECONDS) == FOUND


def test_lines_where_there_is_no_terminal_and_they_are_wanted(hosts, cluster):
    lines = cluster("--progress=always", json=False).err.splitlines()
    for name in hosts.names:
        assert [line.rsplit(" ", 1)[1] for line in lines if f" {name}: " in line] == [
            "connecting", "ready", "preparing", "prepared", "snapshot", "taken", "uploading", "stored"]


# ---- some fail ----

@pytest.mark.parametrize("fault, words", [
    ({"say": REFUSED}, [REFUSED[:-1], "nobody is asked for a password here", "identity_file"]),
    ({"say": "ssh: connect to host 10.0.0.2 port 22: No route to host"}, ["No route to host"]),
    ({"say": "Host key verification failed."}, ["Host key verification failed", "connect once by hand"]),
    ({"say": "sh: 1: sstablefs: not found", "code": 127}, ["sstablefs: not found", "command = under [ssh]"]),
    ({"say": "sudo: a password is required", "code": 1}, ["sudo: a password is required", "sudo -n"]),
    ({"say": "", "code": 3}, ["ended without having made a backup"]),
    ({"die_at": "ready"}, []),
    ({"die_at": "taken"}, ["the connection was lost"]),
    ({"die_at": "end"}, ["the connection was lost"]),
])
def test_a_node_that_fails_is_named_and_the_others_go_on(repository, hosts, cluster, fault, words):
    hosts.fail("10.0.0.2", **fault)
    result = cluster(code=FOUND)
    assert states(result) == {"10.0.0.1": "stored", "10.0.0.2": "failed", "10.0.0.3": "stored"}
    message = result["nodes"][1]["message"]
    for word in words:
        assert word in message, message
    assert (result["state"], result["nodes_finished"], result["nodes_expected"]) == ("incomplete", 2, 3)
    wait_until(lambda: hosts.snapshots() == {}, SECONDS, "the snapshot is cleared, also where the connection was lost")
    if fault.get("die_at") != "end":
        assert [node["address"] for node in result["missing"]] == ["10.0.0.2"]
        assert listed(repository) == (2, 3, False)
        for document in (repository.json("list")["backups"][0], repository.json("show", "b")):
            assert [(node["address"], node["rack"]) for node in document["missing"]] == [("10.0.0.2", "r2")]
    hosts.heal()
    wait_until(lambda: cluster("--retry-failed", code=None)["state"] == "complete", SECONDS, "the retry")
    assert listed(repository) == (3, 3, True)
    assert hosts.snapshots() == {}


def test_the_failure_of_a_node_is_said_with_its_own_words_and_how_to_go_on(hosts, cluster):
    hosts.nodes["10.0.0.3"].fail("snapshot", last="error: No space left on device\n-- StackTrace --")
    answer = cluster(code=FOUND, json=False)
    assert "sstablefs: backup-cluster: 10.0.0.3: nodetool snapshot failed: No space left on device" in answer.err
    assert "backup b of cluster Live_Test__1: incomplete, 2 of 3 nodes" in answer.out
    assert f"--config {hosts.configuration} backup-cluster --name b --retry-failed" in answer.out
    assert "missing: 10.0.0.3" in answer.out


def test_list_and_show_name_what_is_missing(repository, hosts, cluster):
    for name in ("10.0.0.1", "10.0.0.3"):
        hosts.nodes[name].fail("snapshot", first="error: no")
    cluster(code=FOUND)
    missing = "missing: 10.0.0.1 (dc 1, r1), 10.0.0.3 (dc 1, r3)"
    assert missing in repository("list").out and missing in repository("show", "b").out
    assert "missing" not in repository("list", "--node", "n2").out + repository("show", "b", "--node", "n2").out
    hosts.heal()
    cluster("--retry-failed")
    assert "missing" not in repository("list").out + repository("show", "b").out
    assert repository.json("show", "b")["missing"] == []
    # Of an older backup list only counts.
    hosts.nodes["10.0.0.1"].fail("snapshot", first="error: no")
    repository("--config", hosts.configuration, "backup-cluster", "--name", "c", code=FOUND)
    assert [entry.get("missing", []) != [] for entry in repository.json("list")["backups"]] == [True, False]
    hosts.heal()
    repository("--config", hosts.configuration, "backup-cluster", "--name", "d")
    assert not any("missing" in entry for entry in repository.json("list")["backups"])


def test_a_retry_leaves_nodes_alone_that_have_the_backup(hosts, cluster):
    hosts.nodes["10.0.0.3"].fail("snapshot", first="error: no")
    cluster(code=FOUND)
    hosts.heal()
    for node in hosts.nodes.values():
        node.calls()
    result = cluster("--retry-failed")
    assert states(result) == {"10.0.0.1": "exists", "10.0.0.2": "exists", "10.0.0.3": "stored"}
    assert not any("snapshot" in words for words in hosts.nodes["10.0.0.1"].calls())
    assert states(cluster("--retry-failed")) == dict.fromkeys(hosts.names, "exists")


def test_a_name_that_is_there_is_refused_before_any_snapshot(hosts, cluster):
    cluster()
    for node in hosts.nodes.values():
        node.calls()
    result = cluster(code=FAILED)
    assert all("has a backup b already" in node["message"] for node in result["nodes"])
    assert not any("snapshot" in words for node in hosts.nodes.values() for words in node.calls())


def test_what_a_node_found_is_said_and_told_by_the_exit_code(hosts, cluster):
    hosts.nodes["10.0.0.2"].fail("cqlsh", first="Connection error: no")
    answer = cluster(code=FOUND, json=False)
    assert "10.0.0.2: the backup has no schema.cql" in answer.err
    assert "complete, 3 of 3 nodes" in answer.out


def test_no_node_at_all(hosts, cluster):
    for name in hosts.names:
        hosts.fail(name, say="ssh: Could not resolve hostname x")
    result = cluster(code=FAILED)
    assert result["error"]["message"].startswith("no node made the backup") and result["state"] == "failed"
    assert states(result) == dict.fromkeys(hosts.names, "failed")
    said = cluster(code=FAILED, json=False).out
    assert "backup b: failed, 0 of 3 nodes" in said and "--name b --retry-failed" in said


def test_a_store_that_no_node_reaches(hosts, cluster, repository):
    for environment in hosts.environments.values():
        environment["SSTABLEFS_REPOSITORY"] = "s3://backups?endpoint=http://127.0.0.1:1"
        environment["AWS_ACCESS_KEY_ID"] = environment["AWS_SECRET_ACCESS_KEY"] = "x"
    hosts.save()
    answer = hosts.program("--config", hosts.configuration, "--json", "backup-cluster", "--name", "b", code=STORE, timeout=300)
    assert answer.json["error"]["kind"] == "store"
    assert not any("snapshot" in words for node in hosts.nodes.values() for words in node.calls())


def test_nodes_of_two_clusters_are_refused_before_anything_is_begun(hosts, cluster):
    hosts.nodes["10.0.0.2"].node["cluster"] = "Another"
    hosts.nodes["10.0.0.2"].save()
    result = cluster(code=USAGE)
    assert "belong to two clusters" in result["error"]["message"]
    assert (result["name"], result["state"], result["nodes_finished"], result["nodes_expected"]) == ("b", "failed", 0, 3)
    assert {node["host"]: node["state"] for node in result["nodes"]} == dict.fromkeys(hosts.names, "stopped")
    assert not any("snapshot" in words for node in hosts.nodes.values() for words in node.calls())


def test_the_command_that_completes_it_is_the_same_as_it_was(hosts, cluster):
    hosts.fail("10.0.0.2", say=REFUSED)
    answer = cluster("--parallel", "2", "--per=rack", "--only", "shop", "--metrics-file", "/tmp/it's here", json=False, code=None)
    (line,) = [line for line in answer.out.splitlines() if line.startswith("complete it with: ")]
    words = shlex.split(line)
    assert words[words.index("backup-cluster"):] == ["backup-cluster", "--parallel", "2", "--per", "rack", "--only", "shop", "--metrics-file", "/tmp/it's here",
                                                     "--name", "b", "--retry-failed"]


def test_a_node_that_is_there_under_two_names_is_counted_once(hosts, cluster):
    hosts.environments["n3.example.com"] = hosts.environments["10.0.0.3"]
    hosts.save()
    path = hosts.list_file(*hosts.names, "n3.example.com")
    result = cluster("--host-list", path, code=FOUND)
    assert "it is the node that 10.0.0.3 is" in result["nodes"][3]["message"]
    assert (result["state"], result["nodes_finished"], result["nodes_expected"], result["missing"]) == ("complete", 3, 3, [])
    said = cluster("--host-list", path, "--retry-failed", code=FOUND, json=False).out
    assert "complete, 3 of 3 nodes" in said and "complete it with" not in said, "a retry could not make it any better"


def test_two_hosts_with_one_name_are_told_apart(hosts, cluster):
    hosts.nodes["10.0.0.3"].configure(node="n1")
    result = cluster(code=FOUND)
    assert states(result)["10.0.0.3"] == "failed" and "a name is wanted for each" in result["nodes"][2]["message"]
    assert hosts.snapshots() == {}


# ---- hosts ----

def test_hosts_of_a_list_and_what_is_not_in_it(repository, hosts, cluster):
    result = cluster("--host-list", hosts.list_file("10.0.0.1", "admin@10.0.0.3"), code=FOUND)
    assert states(result) == {"10.0.0.1": "stored", "admin@10.0.0.3": "failed"}
    hosts.environments["admin@10.0.0.3"] = hosts.environments["10.0.0.3"]
    hosts.save()
    result = cluster("--host-list", hosts.list_file("10.0.0.1", "admin@10.0.0.3"), "--retry-failed", code=FOUND)
    assert states(result) == {"10.0.0.1": "exists", "admin@10.0.0.3": "stored"}
    assert [node["address"] for node in result["missing"]] == ["10.0.0.2"]
    hosts.fail("10.0.0.1", say=REFUSED)
    path = hosts.list_file("10.0.0.1")
    answer = repository("--config", hosts.configuration, "backup-cluster", "--name", "c", "--host-list", path, code=FAILED)
    assert f"backup-cluster --host-list {path} --name c --retry-failed" in answer.out


def test_a_node_that_was_not_asked_is_not_said_to_lack_the_backup(repository, hosts, cluster):
    cluster("--host-list", hosts.list_file("10.0.0.1"), code=FOUND)
    hosts.fail("10.0.0.3", say=REFUSED)
    told = cluster("--retry-failed", "--host-list", hosts.list_file("10.0.0.2", "10.0.0.3"), code=FOUND)
    assert [node["asked"] for node in told["missing"]] == [True, True]  # which of them 10.0.0.3 is nobody knows
    hosts.heal()
    answer = cluster("--retry-failed", "--host-list", hosts.list_file("10.0.0.3"), code=FOUND, json=False)
    assert all(any(f"missing: {name} (" in line and "was not asked" in line for line in answer.out.splitlines()) for name in hosts.names[:2])
    assert listed(repository) == (3, 3, True)


@pytest.mark.parametrize("lines, words, code", [
    (["-oProxyCommand=touch x"], ["is no host", "hosts:3"], USAGE), (["a b"], ["is no host"], USAGE), ([], ["names no host"], USAGE),
    (["h1", "h1"], ["h1 is there twice", "hosts:4"], USAGE), (None, ["cannot read the host list"], ABSENT)])
def test_a_bad_host_list_is_refused(hosts, cluster, lines, words, code):
    path = "/nowhere" if lines is None else hosts.list_file(*lines)
    answer = cluster("--host-list", path, json=False, code=code)
    assert is_sentence(answer.err) and all(word in answer.err for word in words), answer.err
    assert hosts.calls() == []


def test_a_host_list_of_another_system_s_editor_is_read(hosts, cluster):
    path = hosts.list_file()
    path.write_bytes(b"\xef\xbb\xbf10.0.0.1\r\n10.0.0.2\r\n")
    assert states(cluster("--host-list", path, code=FOUND)) == {"10.0.0.1": "stored", "10.0.0.2": "stored"}


def test_hosts_that_are_not_known(hosts, cluster):
    hosts.nodes["10.0.0.1"].fail("info", first="error: no")
    answer = cluster(code=FAILED, json=False)
    assert "name them with --host-list" in answer.err and is_sentence(answer.err)


@pytest.mark.parametrize("arguments, word", [(["--parallel", "0"], "--parallel"), (["--per", "rack"], "--parallel"),
                                             (["--parallel", "1", "--per", "row"], "--per"), (["--name", "a/b"], "a/b"), (["x"], "no argument"),
                                             (["--jobs", "many"], "--jobs")])
def test_wrong_usage(hosts, cluster, arguments, word):
    answer = cluster(*arguments, code=USAGE, json=False)
    assert is_sentence(answer.err) and word in answer.err
    assert hosts.calls() == []


def test_a_retry_names_its_backup(repository, hosts):
    answer = repository("--config", hosts.configuration, "backup-cluster", "--retry-failed", code=USAGE)
    assert "--name" in answer.err


# ---- stopped ----

@pytest.mark.parametrize("sign, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("event", ["ready", "taken"])
def test_a_run_that_is_stopped_clears_every_snapshot(repository, hosts, cluster, sign, code, event):
    hosts.fail("10.0.0.2", hold_at=event)
    running = cluster.began()
    wait_until(lambda: all(hosts.seen(name, event) for name in hosts.names), SECONDS, event)
    hosts.go("10.0.0.2") if event == "ready" else None
    running.send_signal(sign)
    hosts.go("10.0.0.2")
    out, err = running.communicate(timeout=SECONDS)
    assert running.returncode == code, err
    assert hosts.snapshots() == {}
    assert "stopped by SIG" in err
    assert repository.json("list")["backups"] == []
    hosts.heal()
    assert cluster()["state"] == "complete"


def test_a_coordinator_that_is_killed_leaves_no_snapshot(repository, hosts, cluster):
    hosts.fail("10.0.0.2", hold_at="taken")
    running = cluster.began()
    wait_until(lambda: all(hosts.seen(name, "taken") for name in hosts.names), SECONDS, "snapshots")
    running.kill()
    running.wait()
    hosts.go("10.0.0.2")
    wait_until(lambda: hosts.snapshots() == {}, SECONDS, "the nodes clear what they took")
    hosts.heal()
    assert cluster("--retry-failed")["state"] == "complete"


def test_a_node_that_says_nothing_is_given_up(hosts, cluster, tmp_path):
    hosts.configure(timeout="20")
    hosts.fail("10.0.0.2", freeze_at="taken")
    hosts.fail("10.0.0.3", freeze_at="ready")
    said = tmp_path / "said"
    with open(said, "w") as err:
        running = cluster.began(stderr=err)
    wait_until(lambda: hosts.seen("10.0.0.1", "end"), SECONDS, "the upload of the node that answers")
    for host in ("10.0.0.2", "10.0.0.3"):
        wait_until(lambda host=host: f"{host}: nothing was heard of it for 20 s" in said.read_text(), SECONDS, "it is given up")
        hosts.thaw(host)
    assert running.wait(SECONDS) == FOUND
    wait_until(lambda: hosts.snapshots() == {}, SECONDS, "they clear their snapshots by themselves")


def test_an_ssh_that_does_not_end_takes_nothing_from_what_was_done(hosts, cluster):
    """sshd holds a session for as long as something that a shell left in the background holds its output."""
    hosts.configure(timeout="4")
    hosts.fail("10.0.0.1", linger=True)
    hosts.nodes["10.0.0.2"].fail("snapshot", last="error: No space left on device")
    hosts.fail("10.0.0.2", linger=True)
    result = cluster(code=FOUND, timeout=60)
    assert states(result) == {"10.0.0.1": "stored", "10.0.0.2": "failed", "10.0.0.3": "stored"}
    assert "nodetool snapshot failed: No space left on device (and its ssh did not end)" in result["nodes"][1]["message"]
    hosts.nodes["10.0.0.2"].heal()
    answer = cluster("--retry-failed", code=FOUND, json=False, timeout=60)
    assert "10.0.0.1: node n1 has it already" in answer.out and "complete, 3 of 3 nodes" in answer.out
    for name in ("10.0.0.1", "10.0.0.2"):
        assert f"{name}: its work is done, but its ssh did not end" in answer.err


def test_a_connection_that_is_lost_behind_the_result_takes_nothing_from_it(hosts, cluster):
    hosts.fail("10.0.0.2", leave_at="end")
    answer = cluster(code=FOUND, json=False)
    assert "10.0.0.2: stored as node n2" in answer.out and "complete, 3 of 3 nodes" in answer.out
    assert "10.0.0.2: its work is done, but the connection was lost before its end" in answer.err


def test_an_ssh_that_hangs_before_anything_is_begun_is_not_waited_for_for_long(hosts, cluster):
    hosts.fail("10.0.0.2", mute=True)
    running = cluster.began()
    wait_until(lambda: hosts.seen("10.0.0.1", "ready") and hosts.seen("10.0.0.3", "ready"), SECONDS, "the others")
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 130 and "10.0.0.2: stopped" in out


# ---- the side of a node, alone ----

def test_a_coordinated_backup_is_no_command_for_people(repository, hosts):
    configuration = hosts.nodes["10.0.0.1"].configuration
    for more in ([], ["--name", "x", "--snapshot", "t"], ["--name", "x", "--dry-run"]):
        answer = repository("--config", configuration, "backup", "--coordinated", *more, code=USAGE)
        assert "how backup-cluster runs backup" in answer.err
    answer = repository("--config", configuration, "backup", "--coordinated", "--name", "x", code=129)
    assert "the coordinator hung up" in answer.err
    assert hosts.snapshots() == {}


def test_every_document_of_a_node_is_one_line(repository, hosts):
    answer = repository("--config", hosts.nodes["10.0.0.1"].configuration, "backup", "--coordinated", "--name", "x", "--only", "nothing", code=None)
    for line in answer.out.splitlines():
        json.loads(line)
