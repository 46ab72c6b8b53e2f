# SPDX-License-Identifier: Apache-2.0
"""Credentials from each link of the chain, real ones of MinIO: found, renewed, rotated, refused, and never shown."""

import contextlib
import os
import socket
import sys
from pathlib import Path

import pytest

from fake_aws import CONTAINER_TOKEN, IMDS_TOKEN, ROLE, ROLE_ARN, WEB_TOKEN, FakeAWS, Gatekeeper, Server, temporary_credentials
from harness import DONE, STORE, is_sentence, processes_of, wait_until
from trees import Node

GIVEN = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@pytest.fixture(scope="module")
def temporary(minio_server):
    """Two sets of temporary credentials."""
    return [temporary_credentials(minio_server) for _ in range(2)]


@pytest.fixture
def aws(temporary):
    with FakeAWS(temporary[0]) as fake:
        yield fake


@pytest.fixture
def gate(minio_server):
    with Gatekeeper(minio_server.ports[0]) as gatekeeper:
        yield gatekeeper


@pytest.fixture
def store(program, minio_server, gate):
    """A repository on MinIO behind the gatekeeper. The program itself has no credentials: a test gives it some."""
    url = minio_server.url(minio_server.make_bucket(), "p", endpoint=gate.url)
    program.repository(url, **minio_server.environment()).init()
    return program.repository(url)


def write(path, text, mode=0o600):
    """As a careful administrator changes it: whole."""
    path.parent.mkdir(exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.chmod(mode)
    new.rename(path)
    return path


def keys(credentials):
    token = credentials.get("SessionToken")
    return (f"aws_access_key_id = {credentials['AccessKeyId']}\naws_secret_access_key = {credentials['SecretAccessKey']}\n"
            + (f"aws_session_token = {token}\n" if token else ""))


def secrets_of(*credentials):
    return [c[name] for c in credentials for name in ("SecretAccessKey", "SessionToken") if c.get(name)]


def own(server):
    return {"AccessKeyId": server.access_key, "SecretAccessKey": server.secret_key}


def process_json(c):
    return ('{"Version": 1, "AccessKeyId": "%s", "SecretAccessKey": "%s", "SessionToken": "%s", '
            '"Expiration": "2099-01-01T00:00:00+00:00"}' % (c["AccessKeyId"], c["SecretAccessKey"], c["SessionToken"]))


# ---- each link ----

def by_environment(program, aws, server):
    program.environment.update(dict(zip(GIVEN, (aws.credentials[k] for k in ("AccessKeyId", "SecretAccessKey", "SessionToken")))))
    return "from the environment"


def by_credentials_file(program, aws, server):
    write(program.directory / ".aws/credentials", "[default]\n" + keys(aws.credentials))
    return "from profile [default] of "


def by_config_file(program, aws, server):
    write(program.directory / ".aws/config", "[profile night]\n" + keys(aws.credentials))
    program.environment["AWS_PROFILE"] = "night"
    return "from profile [night] of "


def by_assumed_role(program, aws, server):
    """MinIO's STS checks the signature."""
    write(program.directory / ".aws/credentials", "[keys]\n" + keys(own(server)))
    write(program.directory / ".aws/config", f"[default]\nrole_arn = {ROLE_ARN}\nsource_profile = keys\n", 0o644)
    program.environment["AWS_ENDPOINT_URL_STS"] = server.endpoint
    return f"from role {ROLE_ARN} of profile [default], by profile [keys] of "


def by_chained_role(program, aws, server):
    """A role assumed with the temporary keys that another profile's source, the environment, has."""
    write(program.directory / ".aws/config", f"[default]\nrole_arn = {ROLE_ARN}\ncredential_source = Environment\n", 0o644)
    program.environment.update(AWS_ENDPOINT_URL=server.endpoint + "/")
    config = program.directory / "sstablefs.conf"
    config.write_text("[repository]\nprofile = default\n")  # so that the environment is not the first choice
    program.environment.update(AWS_ACCESS_KEY_ID=server.access_key, AWS_SECRET_ACCESS_KEY=server.secret_key)
    return f"from role {ROLE_ARN} of profile [default], by the environment"


def by_process(program, aws, server):
    answer = write(program.directory / "answer", process_json(aws.credentials))
    write(program.directory / ".aws/config", f"[default]\ncredential_process = cat '{answer}'\n", 0o644)
    return "from credential_process of profile [default], until 2099-01-01T00:00:00Z"


def by_web_identity(program, aws, server):
    token = write(program.directory / "jwt", WEB_TOKEN + "\n")
    program.environment.update(AWS_WEB_IDENTITY_TOKEN_FILE=str(token), AWS_ROLE_ARN=ROLE_ARN, AWS_ENDPOINT_URL_STS=aws.url)
    return f"from role {ROLE_ARN}, by the web identity in {token}"


def by_web_identity_of_profile(program, aws, server):
    token = write(program.directory / "jwt", WEB_TOKEN + "\n")
    write(program.directory / ".aws/config", f"[default]\nrole_arn = {ROLE_ARN}\nweb_identity_token_file = {token}\n", 0o644)
    program.environment["AWS_ENDPOINT_URL_STS"] = aws.url
    return f"from role {ROLE_ARN} of profile [default], by web identity"


def by_container(program, aws, server):
    token = write(program.directory / "token", CONTAINER_TOKEN + "\n")
    program.environment.update(AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{aws.url}/container?x=1",
                               AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(token))
    return f"from the container endpoint {aws.url}"


def by_metadata_service(program, aws, server):
    program.environment.update(AWS_EC2_METADATA_SERVICE_ENDPOINT=aws.url, AWS_EC2_METADATA_DISABLED="false")
    return f"from the metadata service {aws.url}, role {ROLE}"


LINKS = [by_environment, by_credentials_file, by_config_file, by_assumed_role, by_chained_role, by_process, by_web_identity,
         by_web_identity_of_profile, by_container, by_metadata_service]


@pytest.mark.parametrize("link", LINKS)
def test_each_link_of_the_chain_gives_credentials_and_shows_none(program, store, aws, minio_server, link):
    assert "no credentials" in store("list", code=STORE).err
    source = link(program, aws, minio_server)
    said = [store("-v", "list"), store("doctor", code=None)]
    lines = [line.split(None, 2) for line in said[1].out.splitlines()]
    found = [text for result, check, text in lines if check == "credentials" and result == "ok"]
    assert found and found[0].startswith(source), said[1].out
    for secret in [*secrets_of(aws.credentials, own(minio_server)), WEB_TOKEN, CONTAINER_TOKEN, IMDS_TOKEN]:
        assert not any(secret in answer.out + answer.err for answer in said)


def test_a_backup_with_temporary_credentials_is_a_backup(program, store, aws, minio_server, small_node):
    by_container(program, aws, minio_server)
    store.backup(small_node.data, "t1")
    assert [b["name"] for b in store.json("list")["backups"]] == ["t1"]


def test_the_order_is_that_of_the_documentation(program, store, aws, minio_server):
    """From the last link to the first: each one that is added is the one that is used."""
    for link in (by_metadata_service, by_container, by_web_identity, by_credentials_file, by_environment):
        source = link(program, aws, minio_server)
        assert f"credentials  {source}" in store("doctor", code=None).out


def test_a_link_that_is_set_up_and_fails_is_not_passed_over(program, store, aws, minio_server):
    by_metadata_service(program, aws, minio_server)
    by_container(program, aws, minio_server)
    write(program.directory / "token", "Bearer of another pod")
    answer = store("list", code=STORE)
    assert is_sentence(answer.err) and "the container endpoint" in answer.err and "HTTP status 400" in answer.err
    assert "Bearer" not in answer.err
    assert not any(path.startswith("/latest") for _, path, _, _ in aws.requests)


def test_an_endpoint_that_has_a_hiccup_is_asked_again(program, store, aws, minio_server):
    by_container(program, aws, minio_server)
    aws.failing = [503, 500]
    store("list")
    assert aws.handed_out == 1 and len(aws.requests) == 3


def test_a_token_that_sts_repeats_is_not_shown(program, store, aws, minio_server):
    by_web_identity(program, aws, minio_server)
    aws.web_token = "another"
    answer = store("list", code=STORE)
    assert "InvalidIdentityToken" in answer.err and WEB_TOKEN[:20] not in answer.err


def test_endpoints_on_this_host_are_not_asked_through_a_proxy(program, store, aws, minio_server):
    """Environments with a proxy for everything are common, and it must not see the tokens."""
    with Server() as proxy:
        program.environment.update(http_proxy=proxy.url, HTTP_PROXY=proxy.url, all_proxy=proxy.url, no_proxy="unrelated.example")
        for link in (by_metadata_service, by_container):
            link(program, aws, minio_server)
            store("doctor", code=None)
        asked = {path for _, path, _, _ in aws.requests}
        assert "/latest/api/token" in asked and "/container?x=1" in asked
        assert not any("latest" in path or "container" in path for _, path, _, _ in proxy.requests)


def test_a_metadata_service_that_drops_the_token_is_explained(program, store):
    """As an instance with a hop limit of 1 does to a container: the connection stands, no answer comes."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        program.environment.update(AWS_EC2_METADATA_SERVICE_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}",
                                   AWS_EC2_METADATA_DISABLED="")
        answer = store("list", code=STORE)
        assert is_sentence(answer.err) and "hop limit is 1" in answer.err
        order = ["environment (", "shared files (", "web identity (", "container (", "metadata service ("]
        places = [answer.err.find(word) for word in order]
        assert places == sorted(places) and places[0] > 0, answer.err


# ---- as time passes ----

@pytest.fixture
def mounted(program, store, minio_server, small_node):
    """A function that mounts the backup t1 with what credentials the program has, and refreshes each second."""
    program.repository(store.url, **minio_server.environment()).backup(small_node.data, "t1")
    return lambda: store.mount("refresh=1")


def is_there(mount, name):
    with contextlib.suppress(OSError):
        return name in os.listdir(mount.node())


def looking(mount, condition):
    """A mount asks its store for what is new when somebody looks, whatever it then sees."""
    def look():
        with contextlib.suppress(OSError):
            os.listdir(mount.node())
        return condition()
    return look


def backup_elsewhere(store, minio_server, node, name):
    """Another host's backup, so that a mount has something new to see."""
    store.program.repository(store.url, **minio_server.environment()).backup(node.data, "t1", name)


def expect_nothing_shown(program, mount, secrets):
    daemon = Path(f"/proc/{mount.pid}")
    for secret in secrets:
        assert secret not in mount.log()
        assert secret.encode() not in (daemon / "cmdline").read_bytes()
        assert secret.encode() not in (daemon / "environ").read_bytes()


def test_a_mount_goes_on_while_its_credentials_expire_and_rotate(program, store, aws, gate, minio_server, temporary, mounted, small_node):
    by_container(program, aws, minio_server)
    aws.seconds = 3
    with mounted() as mount:
        for round_number in range(1, 4):
            before, old = aws.handed_out, aws.credentials
            aws.credentials = temporary[round_number % 2]
            wait_until(looking(mount, lambda: aws.handed_out > before), 60, "another fetch")
            gate.refused = {old["AccessKeyId"]: "ExpiredToken"}
            backup_elsewhere(store, minio_server, small_node, f"b{round_number}")
            wait_until(lambda: is_there(mount, f"b{round_number}"), 60, "the new backup in the mount")
        expect_nothing_shown(program, mount, [*secrets_of(*temporary), CONTAINER_TOKEN])
        assert "credentials: from the container endpoint" in mount.log()


def test_a_mount_lives_through_a_time_without_its_endpoint(program, store, aws, minio_server, mounted, small_node):
    by_container(program, aws, minio_server)
    aws.seconds = 2
    with mounted() as mount:
        backup_elsewhere(store, minio_server, small_node, "b1")
        aws.failing = [500, 503, 429]
        wait_until(looking(mount, lambda: not aws.failing), 60, "an endpoint that works again")
        wait_until(lambda: is_there(mount, "b1"), 60, "the new backup in the mount")


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "ExpiredTokenException", "RequestExpired",
                                  "TokenRefreshRequired", "SignatureDoesNotMatch"])
def test_credentials_that_the_store_refuses_are_fetched_again_and_the_request_made_again(program, store, aws, gate, minio_server, temporary, code):
    by_process(program, aws, minio_server)
    # The program gives the refused ones first.
    script = write(program.directory / "program", "#!/bin/sh\ncd \"$(dirname \"$0\")\"\n[ -e asked ] && exec cat answer\n"
                   ": > asked; exec cat refused\n", 0o700)
    write(program.directory / "refused", process_json(temporary[1]))
    write(program.directory / ".aws/config", f"[default]\ncredential_process = {script}\n")
    gate.refused = {temporary[1]["AccessKeyId"]: code}
    store("list")
    assert gate.refusals == 1


def test_credentials_that_stay_refused_are_refused_once_more_and_said(program, store, aws, gate, minio_server, temporary):
    by_container(program, aws, minio_server)
    gate.refused = {temporary[0]["AccessKeyId"]: "ExpiredToken"}
    answer = store("list", code=STORE)
    assert is_sentence(answer.err) and "ExpiredToken" in answer.err
    assert aws.handed_out == 2 and gate.refusals == 1


def test_access_that_is_denied_asks_for_no_other_credentials(program, store, aws, gate, minio_server, temporary):
    by_container(program, aws, minio_server)
    gate.refused = {temporary[0]["AccessKeyId"]: "AccessDenied"}
    assert "denies access" in store("list", code=STORE).err
    assert aws.handed_out == 1 and gate.refusals == 1


def test_a_rotated_credentials_file_needs_no_new_mount(program, store, gate, minio_server, temporary, mounted, small_node):
    path = write(program.directory / "keys", "[default]\n" + keys(temporary[0]))
    (program.directory / "sstablefs.conf").write_text(f"[repository]\ncredentials_file = {path}\n")
    with mounted() as mount:
        gate.refused = {temporary[0]["AccessKeyId"]: "InvalidAccessKeyId"}
        wait_until(looking(mount, lambda: gate.refusals > 0), 60, "a refusal")
        write(path, "[default]\n" + keys(temporary[1]))
        backup_elsewhere(store, minio_server, small_node, "b1")
        wait_until(lambda: is_there(mount, "b1"), 60, "the new backup in the mount")
        expect_nothing_shown(program, mount, secrets_of(*temporary))


def test_a_mount_runs_its_program_without_its_descriptors_and_without_secrets(program, store, aws, minio_server, temporary, mounted):
    """What the program sees of the daemon: no descriptor beyond 2, and no secret in any environment or argument."""
    seen = program.directory / "seen"
    script = write(program.directory / "program",
                   f"#!{sys.executable}\nimport os, pathlib\n"
                   "pid = os.getppid()\n"
                   f"with open({str(seen)!r}, 'a') as out:\n"
                   "    print('descriptors', sorted(int(n) for n in os.listdir('/proc/self/fd') if int(n) > 2 and int(n) != out.fileno()), file=out)\n"
                   "    print(os.environb, file=out)\n"
                   f"print(pathlib.Path({str(program.directory / 'answer')!r}).read_text())\n", 0o700)
    write(program.directory / ".aws/config", f"[default]\ncredential_process = {script}\n")
    write(program.directory / "answer", process_json(temporary[0]))
    with mounted() as mount:
        expect_nothing_shown(program, mount, secrets_of(*temporary))
    text = seen.read_text()
    for line in text.splitlines():
        if line.startswith("descriptors"):
            # One is that of the listing itself, gone by then.
            assert len(eval(line.removeprefix("descriptors "))) <= 1, line
    assert not any(secret in text for secret in secrets_of(*temporary, own(minio_server)))


def test_a_program_that_hangs_ends_with_the_command(program, store):
    write(program.directory / ".aws/config", "[default]\ncredential_process = sh -c 'sleep 1000 & sleep 1001'\n")
    process = store.start("list")

    def programs():
        return [pid for pid in processes_of(program.directory) if pid != process.pid]

    wait_until(lambda: len(programs()) >= 2, 60, "the program runs")
    process.terminate()
    assert process.wait(timeout=20) == 143
    wait_until(lambda: not [pid for pid in programs() if Path(f"/proc/{pid}/environ").exists() and os.stat(f"/proc/{pid}")], 60, "its end")
