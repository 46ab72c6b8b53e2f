# SPDX-License-Identifier: Apache-2.0
"""S3 as it really behaves: a front before a real server gives the answers that only AWS, busy servers, proxies and portals give."""

import gzip
import re
import time

import pytest

from front import DROP, Answer, Front, HttpProxy, error, once_for_each
from harness import STORE, USAGE
from trees import MIB, Node, describe_snapshot, describe_tree

HTML = b"<!DOCTYPE html><html><body>Please log in to use this network.</body></html>"


@pytest.fixture
def node(tmp_path):
    """Small files, which are packed, and one of three objects of its own."""
    node = Node(tmp_path / "node").fill_small("t1")
    node.write(node.table("ks", "large"), "t1", "nb-1-big-Data.db", node.bytes(9 * MIB + 5))
    return node


@pytest.fixture
def behind(program, minio_server):
    """Gives the repository in a bucket of its own that is reached through a front."""
    program.environment.update(minio_server.environment())
    bucket = minio_server.make_bucket()

    def repository(front, **query):
        return program.repository(minio_server.url(bucket, "p", endpoint=front.endpoint, **query))

    return repository


@pytest.fixture
def fronted(behind, minio_server, node):
    """(front, repository with the backup t1 behind it)"""
    with Front(minio_server.ports[0]) as front:
        repository = behind(front).init()
        repository.backup(node.data, "t1")
        front.requests.clear()
        yield front, repository


def round_trip(repository, node, tmp_path, name="t1"):
    """Makes, lists, mounts, reads and restores a backup; the restored files are those that were backed up."""
    made = repository.backup(node.data, "t1", name)
    assert made["state"] == "committed"
    assert name in [b["name"] for b in repository.json("list")["backups"]]
    with repository.mount() as mount:
        assert describe_tree(mount.data(name)) == describe_snapshot(node.data, "t1")
    repository("restore", name, tmp_path / f"restored-{name}")
    assert describe_tree(tmp_path / f"restored-{name}") == describe_snapshot(node.data, "t1")
    return made


# ---- region, redirects, clock ----

def in_region(region, how):
    def rule(request):
        if request.region == region:
            return None
        if how == "400" and request.method != "HEAD":
            return error(400, "AuthorizationHeaderMalformed", f"<Region>{region}</Region>")
        code = {"301": "PermanentRedirect", "403": "AccessDenied", "400": ""}[how]
        return error(int(how), code, **{"x-amz-bucket-region": region})
    return rule


@pytest.mark.parametrize("how", ["301", "400", "403"])
def test_a_bucket_in_another_region_is_found_with_one_request_more(behind, minio_server, node, tmp_path, how):
    with Front(minio_server.ports[0], in_region("eu-west-1", how)) as front:
        repository = behind(front)
        told = repository("init").err
        assert "lies in region eu-west-1" in told and "region=eu-west-1" in told
        round_trip(repository, node, tmp_path)
        refused = [r for r in front.requests if r.region != "eu-west-1"]
        assert len(refused) <= 5, "init, backup, list, mount and restore learn it once each"


@pytest.mark.parametrize("variables", [{"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"},
                                       {"AWS_REGION": "", "AWS_DEFAULT_REGION": "eu-west-1"}])
def test_without_a_region_in_the_url_that_of_the_environment_is_asked(program, minio_server, variables):
    program.environment.update({**minio_server.environment(), **variables})
    with Front(minio_server.ports[0], in_region("eu-west-1", "400")) as front:
        program.repository(f"s3://{minio_server.make_bucket()}/p?endpoint={front.endpoint}").init()
        assert {r.region for r in front.requests} == {"eu-west-1"}


def test_a_temporary_redirect_is_followed_with_method_and_body(behind, minio_server, node, tmp_path):
    with Front(minio_server.ports[0]) as there:
        def elsewhere(request):
            return Answer(307, {"Location": there.endpoint + request.path})

        with Front(minio_server.ports[0], elsewhere) as front:
            round_trip(behind(front).init(), node, tmp_path)
            assert len(there.requests) == len(front.requests)
            assert [(r.method, r.path) for r in there.requests] != []


def test_a_redirect_to_a_host_that_the_url_does_not_name_is_not_followed(fronted, minio_server):
    front, repository = fronted
    with Front(minio_server.ports[0]) as stranger:
        front.rules.append(lambda request: Answer(307, {"Location": f"http://localhost:{stranger.port}{request.path}"}))
        told = repository("list", code=USAGE).err
        assert f"redirects to http://localhost:{stranger.port}, which is not followed" in told
        assert not stranger.requests


def test_a_clock_that_the_store_refuses_is_corrected_and_told(fronted, node, tmp_path):
    front, repository = fronted
    front.ahead_seconds = 600

    def refuse(request):
        signed = time.mktime(time.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ")) - time.timezone
        if abs(time.time() + 600 - signed) < 300:
            return None
        # As S3 does: the answer to a HEAD has no body that says why.
        return error(403, "RequestTimeTooSkewed", Date=time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()))

    front.rules.append(refuse)
    told = repository("list").err
    assert re.search(r"clock is (5[89]\d|60\d) s behind the store's", told)
    round_trip(repository, node, tmp_path, "t2")


# ---- load and lost answers ----

def test_a_busy_store_is_asked_again_and_less(fronted, node, tmp_path):
    front, repository = fronted
    count = [0]

    def busy(request):
        count[0] += 1
        if count[0] % 4:
            return None
        return error(*[(503, "SlowDown"), (429, "TooManyRequests"), (500, "InternalError"), (502, "")][count[0] // 4 % 4],
                     **{"Retry-After": "0"})

    front.rules.append(busy)
    round_trip(repository, node, tmp_path, "t2")
    front.rules[:] = [once_for_each(lambda r: "/objects/" in r.path, error(503, "SlowDown"))]
    # A cache of its own: what the mount before has read is on disk.
    with repository.mount(f"cache_dir={tmp_path}/empty") as mount:
        describe_tree(mount.data("t1"))
        metrics = dict(re.findall(r"^(\w+) (\d+)$", (mount.path / ".sstablefs/metrics").read_text(), re.MULTILINE))
    assert int(metrics["sstablefs_store_busy_answers_total"]) > 0 and int(metrics["sstablefs_store_retries_total"]) > 0
    assert int(metrics["sstablefs_store_requests_allowed"]) <= 16


def test_writes_whose_answers_are_lost_are_settled_and_not_doubled(behind, minio_server, node, tmp_path):
    lost = once_for_each(lambda r: r.method in ("PUT", "POST"), lambda answer: DROP)
    with Front(minio_server.ports[0], lost) as front:
        repository = behind(front).init()
        made = round_trip(repository, node, tmp_path)
        records = [r for r in front.requests if r.method == "PUT" and "/records/" in r.path]
        assert len({r.path for r in records}) == 1
        for kind in ("/repository.json", "/records/", "/objects/", "/trees/", "/probe/"):
            assert any(kind in path for _, path in lost.seen), kind
        front.rules.clear()
        # Nothing is there twice: a second backup of the same uploads nothing.
        assert repository.backup(node.data, "t1", "t2")["new_bytes"] == 0
        assert made["new_bytes"] > 0
        repository("verify")


# ---- bodies ----

def damaged(how, answer):
    body = answer.body
    headers = {k: v for k, v in answer.headers.items() if k.lower() not in ("content-length", "content-range")}
    ranged = answer.headers.get("Content-Range")
    if how == "short":
        return Answer(answer.status, {k: v for k, v in answer.headers.items() if k != "Content-Length"}, body[:-1], claimed=len(body))
    if how == "shorter than asked for":
        return Answer(answer.status, {**headers, **({"Content-Range": ranged} if ranged else {})}, body[: len(body) // 2])
    if how == "another range" and ranged:
        first, last, total = map(int, re.match(r"bytes (\d+)-(\d+)/(\d+)", ranged).groups())
        return Answer(206, {**headers, "Content-Range": f"bytes {first + 1}-{last + 1}/{total + 1}"}, body)
    if how == "a whole object for a range" and ranged:
        return Answer(200, headers, b"x" * (len(body) + 1))
    if how == "empty":
        return Answer(answer.status, headers, b"")
    return answer


def is_bare(request):
    return request.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"


@pytest.mark.parametrize("kind", ["minio", "seaweedfs"])
def test_a_server_that_checks_bodies_spares_their_second_hash_and_finds_each_changed_byte(program, request, kind, node, tmp_path):
    server = request.getfixturevalue(f"{kind}_server")
    program.environment.update(server.environment())
    changed = set()

    def change(request):
        """One bit of each object and tree, the first time."""
        if request.method == "PUT" and re.search("/(objects|trees)/", request.path) and request.path not in changed:
            changed.add(request.path)
            request.body = request.body[:-1] + bytes([request.body[-1] ^ 1])

    with Front(server.ports[0], change) as front:
        repository = program.repository(server.url(server.make_bucket(), "p", endpoint=front.endpoint)).init()
        told = repository(*repository.backup_arguments(node.data, "t1")).err
        puts = [r for r in front.requests if r.method == "PUT"]
        assert all("x-amz-checksum-crc32" in r.headers for r in puts)
        large = [r for r in puts if len(r.body) >= 65536]
        assert len(large) >= 4 and all(is_bare(r) for r in large) and not any(is_bare(r) for r in puts if r not in large)
        for path in changed:
            assert sum(r.path == path for r in puts) == 2, "refused, and sent again"
            assert path.rsplit("/", 1)[1] in told
        assert told.count("whose bytes were changed on their way to it") == len(changed)
        repository("restore", "t1", tmp_path / "restored")
    assert describe_tree(tmp_path / "restored") == describe_snapshot(node.data, "t1")


def test_bodies_that_are_changed_each_time_end_a_backup(behind, minio_server, node):
    def change(request):
        if request.method == "PUT" and "/objects/" in request.path:
            request.body = request.body[:-1] + bytes([request.body[-1] ^ 1])

    with Front(minio_server.ports[0], change) as front:
        repository = behind(front).init()
        told = repository.backup(node.data, "t1", code=STORE).err
        assert "the request was damaged on its way" in told


def test_a_server_that_answers_no_checksum_gets_bodies_that_are_signed(behind, minio_server, node):
    def forget(answer):
        return Answer(answer.status, {k: v for k, v in answer.headers.items() if not k.lower().startswith("x-amz-checksum")}, answer.body)

    with Front(minio_server.ports[0], lambda r: forget if r.method == "PUT" else None) as front:
        behind(front).init().backup(node.data, "t1")
        puts = [r for r in front.requests if r.method == "PUT"]
        assert all("x-amz-checksum-crc32" in r.headers for r in puts) and not any(is_bare(r) for r in puts)


def test_a_server_that_refuses_checksums_is_asked_without(behind, minio_server, node, tmp_path):
    def refuse(request):
        return error(400, "InvalidArgument") if "x-amz-checksum-crc32" in request.headers else None

    with Front(minio_server.ports[0], refuse) as front:
        repository = behind(front).init()
        front.requests.clear()
        round_trip(repository, node, tmp_path)
        with_checksum = [r for r in front.requests if "x-amz-checksum-crc32" in r.headers]
        assert len(with_checksum) <= 3, "backup, mount and restore learn it once each"
        assert not any(is_bare(r) for r in front.requests)


@pytest.mark.parametrize("how", ["short", "shorter than asked for", "another range", "a whole object for a range", "empty"])
def test_a_body_that_is_not_what_was_asked_for_is_asked_for_again(fronted, node, tmp_path, how):
    front, repository = fronted
    rule = once_for_each(lambda r: r.method == "GET" and "/objects/" in r.path, lambda answer: damaged(how, answer))
    front.rules.append(rule)
    with repository.mount() as mount:
        assert describe_tree(mount.data("t1")) == describe_snapshot(node.data, "t1")
    rule.seen.clear()
    repository("restore", "t1", tmp_path / "out")
    assert describe_tree(tmp_path / "out") == describe_snapshot(node.data, "t1")
    assert rule.seen


def test_a_proxy_that_compresses_is_named(fronted, tmp_path):
    front, repository = fronted

    def compressed(answer):
        body = gzip.compress(answer.body)
        return Answer(answer.status, {**answer.headers, "Content-Length": len(body), "Content-Encoding": "gzip"}, body)

    front.rules.append(lambda r: compressed if r.method == "GET" else None)
    assert "Content-Encoding" in repository("list", code=STORE).err


def test_an_answer_that_is_no_listing_never_means_that_there_are_no_backups(fronted):
    front, repository = fronted
    for answer in (Answer(200), Answer(200, {}, b"<?xml version=\"1.0\"?><ListBucketResult><Cont"), error(200, "InternalError")):
        front.rules[:] = [once_for_each(lambda r: r.is_listing, answer)]
        assert [b["name"] for b in repository.json("list")["backups"]] == ["t1"]
    front.rules[:] = [lambda r: Answer(200, {"Content-Type": "text/html"}, HTML) if r.is_listing else None]
    answer = repository("list", code=STORE)
    assert "web page" in answer.err and not answer.out


def test_a_portal_that_says_200_to_everything_stores_nothing(fronted, node):
    front, repository = fronted
    for headers in ({"Content-Type": "text/html"}, {}):
        front.rules[:] = [lambda r, h=headers: Answer(200, h, HTML if h else b"") if r.method == "PUT" and "/objects/" in r.path else None]
        node.write(node.table("ks", "large"), "t1", f"nb-{2 + len(headers)}-big-Data.db", node.bytes(MIB))
        assert repository.backup(node.data, "t1", f"portal{len(headers)}", code=STORE).json["error"]["kind"] == "store"
    front.rules.clear()
    assert [b["name"] for b in repository.json("list")["backups"] if b["complete"]] == ["t1"]


# ---- addresses ----

def test_an_ipv6_address_is_an_endpoint(behind, minio_server, node, tmp_path):
    with Front(minio_server.ports[0], host="::1") as front:
        assert front.endpoint.startswith("http://[::1]:")
        round_trip(behind(front).init(), node, tmp_path)
        assert {r.headers["Host"] for r in front.requests} == {front.name}


@pytest.mark.parametrize("dead", ["127.9.9.9", "::1"])
def test_one_dead_address_of_a_name_is_passed_over(fronted, program, tmp_path, dead):
    front, repository = fronted
    hosts = tmp_path / "hosts"
    hosts.write_text(f"{dead} store.test\n127.0.0.1 store.test\n")
    repository.url = repository.url.replace("127.0.0.1", "store.test")
    inside = ["unshare", "--mount", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh"]
    for _ in range(3):
        assert "t1" in repository("list", prefix=inside).out
    assert {r.headers["Host"] for r in front.requests} == {f"store.test:{front.port}"}


# ---- proxies ----

def test_the_proxy_of_the_environment_is_used_and_its_password_is_never_shown(fronted, program, node, tmp_path):
    front, repository = fronted
    with HttpProxy("user:hunter2") as proxy:
        program.environment["http_proxy"] = f"http://user:hunter2@{proxy.name}"
        round_trip(repository, node, tmp_path, "t2")
        assert len(proxy.lines) == len(front.requests) > 0
        assert all(line.split()[1].startswith(front.endpoint) for line in proxy.lines)
        proxy.lines.clear()
        program.environment["no_proxy"] = "127.0.0.1"
        repository("list")
        assert not proxy.lines
        del program.environment["no_proxy"]
        program.environment["http_proxy"] = f"http://user:hunter3@{proxy.name}"
        told = repository("list", code=STORE)
        assert "proxy" in told.err and "password (407)" in told.err and "hunter" not in told.err + told.out
        for url in ("http://user:hunter2@[::1", "bad://user:hunter2@h", "http://[::1"):
            program.environment["http_proxy"] = url
            told = repository("list", code=USAGE)
            assert "proxy of the environment" in told.err and "hunter" not in told.err + told.out


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy"])
def test_tls_goes_through_a_proxy_in_a_tunnel(program, minio_tls_server, variable):
    program.environment.update(minio_tls_server.environment())
    repository = program.repository(minio_tls_server.url(minio_tls_server.make_bucket(), "p")).init()
    with HttpProxy("user:hunter2") as proxy:
        program.environment[variable] = f"http://user:hunter2@{proxy.name}"
        repository("list")
        assert proxy.lines and set(proxy.lines) == {f"CONNECT 127.0.0.1:{minio_tls_server.ports[0]}"}
        program.environment[variable] = f"http://user:hunter3@{proxy.name}"
        told = repository("list", code=STORE).err
        assert "407" in told and "password" in told and "hunter" not in told
