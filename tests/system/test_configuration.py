# SPDX-License-Identifier: Apache-2.0
"""The configuration file: what it may not say, what it is told then, and what of it reaches the programs that are started."""

import pytest

from harness import USAGE
from standin import Cassandra

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
    ("[cassandra]\nuse_sudo = x\n", "2: 'use_sudo' is a key of Medusa's: see docs/from-medusa.md"),
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
