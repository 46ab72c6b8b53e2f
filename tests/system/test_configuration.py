# SPDX-License-Identifier: Apache-2.0
"""The configuration file: what it may not say, what it is told then, and what of it reaches the programs that are started."""

import os

import pytest

from harness import DONE, USAGE, wait_until
from standin import Cassandra
from test_priority import nice_of

SECRET = "a-secret-of-s3"


@pytest.fixture
def cassandra(program):
    return Cassandra(program).fill()


# ---- words ----

@pytest.mark.parametrize("text, told", [
    ("[hook]\n", "1: unknown section 'hook' (did you mean 'hooks'?)"),
    ("[shs]\n", "1: unknown section 'shs' (did you mean 'ssh'?)"),
    ("[verify]\n[xyz]\n", "2: unknown section 'xyz'"),
    ("url = /x\n", "1: 'url' stands before the first [section]"),
    ("[ssh]\nq = 1\n", "2: unknown key 'q'"),
    ("[ssh]\nprot = 22\n", "2: unknown key 'prot' (did you mean 'port'?)"),
    ("[storage]\n", "1: [storage] is a section of Medusa's: docs/from-medusa.md says what stands for each of its keys"),
    ("[cassandra]\nstart_cmd = x\n", "2: 'start_cmd' is a key of Medusa's, here it is start_command: see docs/from-medusa.md"),
    ("[cassandra]\ncql_password = x\n", "2: 'cql_password' is a key of Medusa's, here it is cql_credentials_file: see docs/from-medusa.md"),
    ("[mount]\nconfig = /x\n", "2: config names this file: it is for the command line and fstab"),
    ("[cassandra]\nuse_sudo = x\n", "2: 'use_sudo' is a key of Medusa's: see docs/from-medusa.md"),
    ("[backup]\nkeep_daily = 3\n", "2: 'keep_daily' is a key of [purge], and none of [backup]"),
    ("[cassandra]\nurl = /x\n", "2: 'url' is a key of [repository], and none of [cassandra]"),
    ("[repository]\nURL = /x\n", "2: unknown key 'URL' (did you mean 'url'?)"),
    ("\ufeff[mout]\nuid = 5\n", "1: unknown section 'mout' (did you mean 'mount'?)"),
    ("\v[mout]\nuid = 5\n", "2: unknown section 'mout'"),
])
def test_a_word_that_is_not_known_is_told_with_what_was_meant(program, text, told):
    configuration = program.directory / "c.conf"
    configuration.write_text(text)
    assert program("--config", configuration, "list", code=USAGE).err == f"sstablefs: list: {configuration}:{told}\n"


# ---- where CQL is asked ----

@pytest.mark.parametrize("host, words", [("[::1]:9142", ["::1", "9142"]), ("[::1]", ["::1", "9042"]), ("::1", ["::1", "9042"]),
                                         ("db1:9142", ["db1", "9142"]), ("db1", ["db1", "9042"])])
def test_cqlsh_is_given_host_and_port(repository, cassandra, host, words):
    yaml = cassandra.directory / "cassandra.yaml"
    yaml.write_text("native_transport_port: 9042\n")
    secret = cassandra.directory / "a b"  # not for nodetool, which would take it apart
    secret.write_text("[plain_text_auth]\n")
    secret.chmod(0o600)
    cassandra.configure(cql_host=host, yaml=yaml, cql_credentials_file=secret)
    repository("--config", cassandra.configuration, "backup", "--name", "b")
    calls = [call for call in cassandra.calls() if call[0] == "cqlsh"]
    assert calls and all(call[-2:] == words and f"--credentials={secret}" in call for call in calls)


@pytest.mark.parametrize("host, told", [("db1:x", "port of [cassandra] cql_host 'x'"), ("db1:", "port of [cassandra] cql_host ''"),
                                        ("[::1", "[ADDRESS]:PORT is wanted"), ("[::1]9042", "[ADDRESS]:PORT is wanted")])
def test_an_address_that_is_none_is_refused(repository, cassandra, host, told):
    cassandra.configure(cql_host=host)
    assert told in repository("--config", cassandra.configuration, "backup", "--name", "b", code=USAGE).err
    assert cassandra.calls() == []


# ---- what other programs inherit ----

def test_no_program_inherits_the_keys_of_the_store(repository, cassandra):
    for tool in ("nodetool", "cqlsh"):
        path = cassandra.directory / tool
        path.rename(cassandra.directory / f"{tool}.real")
        (cassandra.directory / "real").mkdir(exist_ok=True)
        (cassandra.directory / f"{tool}.real").rename(cassandra.directory / "real" / tool)
        path.write_text(f"#!/bin/sh\nenv >>{cassandra.directory}/env\nexec {cassandra.directory}/real/{tool} \"$@\"\n")
        path.chmod(0o755)
    repository("--config", cassandra.configuration, "backup", "--name", "b",
               environment={"AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": SECRET, "AWS_PROFILE": "ours", "OF_THE_OPERATOR": "kept"})
    inherited = (cassandra.directory / "env").read_text()
    assert SECRET not in inherited and "AWS_PROFILE=ours" in inherited and "OF_THE_OPERATOR=kept" in inherited


# ---- doctor ----

def checks(repository, configuration, *arguments, code=None, **keywords):
    return repository.json("--config", configuration, "doctor", *arguments, code=code, **keywords)["checks"]


def told(repository, configuration, name="settings"):
    return [(check["result"], check["message"]) for check in checks(repository, configuration) if check["check"] == name]


@pytest.mark.parametrize("text, words", [
    ("[cassandra]\ncluster = my cluster!\n", "my cluster!"), ("[cassandra]\nnode = -x\n", "-x"),
    *((f"[cassandra]\n{line}\n", line) for line in ("start_command = nosuch start", "stop_command = /nowhere/stop", "sstableloader = nosuchloader", "cqlsh = /tmp",
                                                    "nodetool = nosuchnodetool")),
    ("[cassandra]\njmx_port = x\n", "jmx_port 'x'"), ("[cassandra]\ncql_host = a:b\n", "cql_host 'b'"),
    ("[cassandra]\ntimeout = 0\n", "timeout '0'"), ("[cassandra]\nyaml = /nowhere/c.yaml\n", "/nowhere/c.yaml"),
    *((f"[{section}]\n{key} = {value}\n", f"[{section}]: --{key.replace('_', '-')}") for section in ("backup", "restore", "verify", "gc")
      for key, value in (("jobs", "many"), ("memory", "1"), ("connections", "0"), ("limit_rate", "x"))),
    *((f"[{section}]\n{line}\n", f"[{section}]: {line.split()[0]}") for section in ("backup", "restore") for line in ("nice = 99", "ionice = foo")),
    ("[gc]\nfence_after = soon\n", "fence_after"), ("[purge]\nkeep_last = all\n", "keep_last 'all'"), ("[purge]\nolder_than = 3\n", "older_than"),
    ("[mount]\ncache_size = 1\n", "cache_size=1"), ("[mount]\nmemory = 64M\noverlay_size = 60M\n", "overlay_size"), ("[hooks]\ntimeout = x\n", "[hooks] timeout"),
    ("[ssh]\nprogram = nosuchssh\n", "program = nosuchssh"), ("[ssh]\nidentity_file = id\n", "identity_file = id"), ("[ssh]\nport = x\n", "[ssh] port"),
    ("[ssh]\nidentity_file = /nowhere/id\n", "/nowhere/id"), ("[ssh]\ntimeout = 0\n", "[ssh] timeout"),
    ("[repository]\nurl = s3://\n", "s3://"), ("[repository]\nca = /nowhere/ca\n", "/nowhere/ca"),
    ("[checks]\nquery = SELECT 1\n", "[checks] query"), ("[checks]\nexpected_rows = 1\n", "[checks] query"), ("[checks]\nquery = x\nexpected_rows = x\n", "expected_rows 'x'"),
])
def test_doctor_names_a_value_that_cannot_be_gone_by(repository, program, text, words):
    configuration = program.directory / "c.conf"
    configuration.write_text(text)
    found = told(repository, configuration)
    assert [result for result, _ in found] == ["error"] and words in found[0][1], found


def test_doctor_names_the_first_wrong_value_of_every_part(repository, program):
    configuration = program.directory / "c.conf"
    configuration.write_text("[backup]\njobs = many\nnice = 99\n[ssh]\nport = x\n[gc]\nfence_after = soon\n")
    assert len(told(repository, configuration)) == 4
    configuration.write_text("[backup]\njobs = 3\n[ssh]\nidentity_file = ~/.ssh/id\n")
    assert [result for result, _ in told(repository, configuration)] == ["ok"]


def test_doctor_asks_by_cql_and_takes_the_names_from_where_a_backup_does(repository, cassandra):
    found = {check["check"]: check for check in checks(repository, cassandra.configuration, code=DONE)}
    assert {check["result"] for check in found.values()} == {"ok"}
    assert "honours" in found["conditional"]["message"] and "answers at" in found["cql"]["message"]
    cassandra.fail("cqlsh", first="Connection error: Bad credentials")
    assert told(repository, cassandra.configuration, "cql") == [("error", f"{cassandra.directory}/cqlsh failed: Connection error: Bad credentials")]
    cassandra.heal()
    checks(repository, cassandra.configuration, code=DONE)


def test_doctor_sees_that_another_node_answers(repository, cassandra):
    (cassandra.directory / "real").mkdir()
    (cassandra.directory / "cqlsh").rename(cassandra.directory / "real/cqlsh")
    (cassandra.directory / "cqlsh").write_text(f"#!/bin/sh\n{cassandra.directory}/real/cqlsh \"$@\" | sed s/{cassandra.node['host_id']}/another/\n")
    (cassandra.directory / "cqlsh").chmod(0o755)
    (result, message), = told(repository, cassandra.configuration, "cql")
    assert result == "warning" and "another" in message and "cql_host" in message


def test_a_host_without_cassandra_has_nothing_wrong(repository, program):
    answer = repository.json("doctor", code=DONE, environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    assert {check["result"] for check in answer["checks"]} == {"ok"}


# ---- what is accepted is gone by ----

def test_a_restore_has_the_priority_that_is_asked_for(repository, cassandra, program):
    repository("--config", cassandra.configuration, "backup", "--name", "b")
    with open(cassandra.configuration, "a") as file:
        file.write("[restore]\nnice = 7\nlimit_rate = 8K\n")
    process = repository.start("--config", cassandra.configuration, "restore", "b", program.directory / "to")
    try:
        wait_until(lambda: nice_of(process.pid) == max(7, nice_of(os.getpid())), 30, "nice 7")
    finally:
        process.kill()
        process.communicate()


def test_a_purge_goes_by_the_limits_of_gc(repository, program):
    configuration = program.directory / "c.conf"
    configuration.write_text("[gc]\njobs = many\n[purge]\nkeep_last = 1\n")
    assert "[gc]: --jobs 'many'" in repository("--config", configuration, "purge", code=USAGE).err
