# SPDX-License-Identifier: Apache-2.0
"""A server that is no honest S3 server: whatever it lists or sends, commands end, say what is wrong, and keep to their memory."""

import itertools

import pytest

from forge import Forge
from harness import DONE, FAILED, STORE, in_threads, is_sentence
from server import HostileServer, list_page

SECONDS = 300  # a store that does not answer as it should is asked for half a minute, each time
counter = itertools.count()


@pytest.fixture
def credentials(program):
    program.environment.update(AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b")


@pytest.fixture
def server(program, credentials):
    with HostileServer() as server:
        Forge(program.directory, put=server.put).repository().good()
        yield server


def entities(depth):
    lol = "".join(f'<!ENTITY l{i + 1} "{f"&l{i};" * 10}">' for i in range(depth))
    return f'<!DOCTYPE x [<!ENTITY l0 "lol">{lol}]><ListBucketResult><Contents><Key>&l{depth};</Key></Contents></ListBucketResult>'


def new_names(prefix, n):
    return list_page([], [f"{prefix}c{i:012}/" for i in range(n * 1000, n * 1000 + 1000)], token=f"t{n}")


PAGES = {
    "a-token-for-ever": lambda server, q: list_page(["nodes/"], token="again"),
    "two-tokens-for-ever": lambda server, q: list_page([], token=f"t{next(counter) % 2}"),
    "new-tokens-and-no-keys-for-ever": lambda server, q: list_page([], token=f"t{next(counter)}"),
    "the-same-page-with-new-tokens": lambda server, q: list_page(server.names(q)[0], server.names(q)[1], token=f"t{next(counter)}"),
    "new-names-for-ever": lambda server, q: new_names(q.get("prefix", ""), next(counter)),
    "truncated-without-a-token": lambda server, q: "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
    "keys-out-of-order": lambda server, q: list_page(["nodes/c1/b", "nodes/c1/a"], ["nodes/z/", "nodes/a/"]),
    "keys-elsewhere": lambda server, q: list_page(["etc/passwd"], ["other/"]),
    "keys-that-climb": lambda server, q: list_page([q.get("prefix", "") + "../../etc/passwd"], [q.get("prefix", "") + "../"]),
    "entities": lambda server, q: entities(12),
    "an-external-entity": lambda server, q: '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><ListBucketResult><Contents><Key>&e;</Key>'
                                            "</Contents></ListBucketResult>",
    "a-million-levels": lambda server, q: "<a>" * 1_000_000,
    "a-key-of-a-megabyte": lambda server, q: list_page([q.get("prefix", "") + "k" * (1 << 20)]),
    "100-MB": lambda server, q: b" " * (100 << 20),
    "not-xml": lambda server, q: b"\0\xff" * 1000,
    "utf-16": lambda server, q: list_page([]).encode("utf-16"),
    "nothing": lambda server, q: b"",
    "sizes-that-wrap": lambda server, q: list_page([], extra="<Contents><Key>nodes/x</Key><Size>18446744073709551616</Size></Contents>"),
}


def listed(program, name):
    """What `list` says to such a server; the requests that it made."""
    with HostileServer() as server:
        Forge(program.directory, put=server.put).repository().good()
        server.page = lambda query: PAGES[name](server, query)
        return program("-r", server.url, "list", code=None, timeout=SECONDS), server.requests


def test_hostile_listings_are_errors_and_end(program, credentials):
    """All at once: what is no listing is asked for again, as after an outage, and that takes its time."""
    answers = in_threads([lambda name=name: listed(program, name) for name in PAGES])
    for name, (answer, requests) in zip(PAGES, answers):
        # Names that cannot be ours are passed over: there may be nothing, but then quickly.
        nothing = answer.code == DONE and name in ("keys-that-climb", "a-key-of-a-megabyte")
        assert answer.code in (STORE, FAILED) or nothing, (name, answer)
        assert nothing or (is_sentence(answer.err) and answer.err.rstrip("\n").isprintable()), (name, answer.err)
        assert "root:" not in answer.err + answer.out and requests < 500, (name, requests)


HEADS = {
    "longer-than-promised": {"Content_Range": "bytes 0-9/10"},
    "a-range-of-2-64": {"Content_Range": "bytes 0-18446744073709551615/18446744073709551616"},
    "a-range-that-turns": {"Content_Range": "bytes 9-0/10"},
    "an-etag-of-a-megabyte": {"ETag": "e" * 60_000},
    "an-etag-that-is-a-header": {"ETag": "x\tAuthorization: y"},
    "times-out-of-range": {"Last_Modified": "Fri, 31 Dec 9999 23:59:59 GMT", "Date": "Thu, 01 Jan 0001 00:00:00 GMT"},
    "many": {f"X_{i}": "x" * 1000 for i in range(90)},
}


def restored(program, name, out):
    with HostileServer() as server:
        Forge(program.directory, put=server.put).repository().good()
        honest = server.get

        def get(handler, key):
            answer = handler.answer
            handler.answer = lambda status, body=b"", **headers: answer(status, body, **{**headers, **HEADS[name]})
            return honest(handler, key)

        server.get = get
        return program("-r", server.url, "restore", "good", out, code=None, timeout=SECONDS)


def test_hostile_headers_give_the_right_bytes_or_an_error(program, credentials, tmp_path):
    answers = in_threads([lambda name=name: restored(program, name, tmp_path / name) for name in HEADS])
    for name, answer in zip(HEADS, answers):
        if answer.code == DONE:
            assert next((tmp_path / name).rglob("nb-1-big-Data.db")).read_bytes() == b"good bytes"
        else:
            assert answer.code in (STORE, FAILED) and is_sentence(answer.err), (name, answer)


def test_what_a_server_says_cannot_forge_lines(program, server):
    def get(handler, key):
        handler.answer(400, "<Error><Code>X&#10;sstablefs: all is well</Code><Message>\u009b31m &#13;red\u202e</Message></Error>".encode(),
                       x_amz_request_id="id")

    server.get = get
    answer = program("-r", server.url, "list", code=STORE, timeout=SECONDS)
    assert is_sentence(answer.err) and answer.err.rstrip("\n").isprintable(), repr(answer.err)
