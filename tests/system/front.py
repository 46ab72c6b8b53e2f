# SPDX-License-Identifier: Apache-2.0
"""HTTP between the program and a real S3 server: a front that answers some requests itself, and a proxy.

A Front forwards to a server of 127.0.0.1 as it is asked, byte for byte, so that signatures hold. Before each request its
rules are asked, in order; the first that returns an Answer has it. Every request is noted.
"""

import base64
import contextlib
import http.client
import re
import select
import socket
import threading
from dataclasses import dataclass, field
from email.utils import formatdate, parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    status: int
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    # Sent as the length instead of the body's own; the connection is closed behind the body.
    claimed: int | None = None


DROP = object()  # the connection is closed without an answer


@dataclass
class Request:
    method: str
    path: str
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def region(self):
        return re.search(r"Credential=[^/]+/\d+/([^/]+)/s3/", self.headers["Authorization"])[1]

    @property
    def is_listing(self):
        return "list-type=2" in self.path


def error(status, code, inside="", **headers):
    return Answer(status, headers, f"<Error><Code>{code}</Code>{inside}</Error>".encode())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *words):
        pass

    def take(self):
        return Request(self.command, self.path, self.headers, self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def give(self, answer, method):
        self.send_response_only(answer.status)
        length = len(answer.body) if answer.claimed is None else answer.claimed
        for name, value in {"Content-Length": length, **answer.headers}.items():
            self.send_header(name, str(value))
        if answer.claimed is not None:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if method != "HEAD":
            self.wfile.write(answer.body)

    def forward(self, host, port, path, request):
        connection = http.client.HTTPConnection(host, port, timeout=60)
        with contextlib.closing(connection):
            connection.putrequest(request.method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                if not name.lower().startswith("proxy-"):
                    connection.putheader(name, value)
            connection.endheaders(request.body or None)
            got = connection.getresponse()
            body = got.read()
            headers = {name: value for name, value in got.headers.items() if name.lower() not in ("transfer-encoding", "connection")}
            return Answer(got.status, headers, body)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, handler, host="127.0.0.1"):
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, 0), handler)
        self.port = self.server_address[1]
        self.name = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self.endpoint = f"http://{self.name}"

    def handle_error(self, request, address):
        pass  # the other side has closed

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.shutdown()
        self.server_close()


class FrontHandler(Handler):
    def handle_any(self):
        front, request = self.server, self.take()
        with front.lock:
            front.requests.append(request)
            decided = next((a for a in (rule(request) for rule in front.rules) if a is not None), None)
        if callable(decided):  # to be made of the server's own
            decided = decided(self.forward("127.0.0.1", front.target, request.path, request))
        answer = decided or self.forward("127.0.0.1", front.target, request.path, request)
        if answer is DROP:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if front.ahead_seconds and "Date" in answer.headers:
            answer.headers["Date"] = formatdate(parsedate_to_datetime(answer.headers["Date"]).timestamp() + front.ahead_seconds, usegmt=True)
        self.give(answer, request.method)

    do_GET = do_PUT = do_HEAD = do_POST = handle_any


class Front(Server):
    """rules: functions of a Request, called one at a time: None (the next rule, or the server), an Answer, DROP, or a
    function that makes one of these from the server's own Answer, after the request was carried out."""

    def __init__(self, target, *rules, host="127.0.0.1"):
        super().__init__(FrontHandler, host)
        self.target = target
        self.rules = list(rules)
        self.requests = []
        self.lock = threading.Lock()
        self.ahead_seconds = 0  # of the server's clock


def once_for_each(kind, what):
    """A rule: requests of which kind() holds get what() the first time that their method and path are seen."""
    seen = set()

    def rule(request):
        if not kind(request) or (request.method, request.path) in seen:
            return None
        seen.add((request.method, request.path))
        return what

    rule.seen = seen
    return rule


class ProxyHandler(Handler):
    def is_allowed(self):
        wanted = self.server.password and "Basic " + base64.b64encode(self.server.password.encode()).decode()
        self.server.lines.append(f"{self.command} {self.path}")
        return not wanted or self.headers.get("Proxy-Authorization") == wanted

    def do_CONNECT(self):
        if not self.is_allowed():
            self.close_connection = True
            return self.give(Answer(407, {"Proxy-Authenticate": "Basic"}), "CONNECT")
        host, port = self.path.rsplit(":", 1)
        self.close_connection = True
        with socket.create_connection((host.strip("[]"), int(port))) as there:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            pair = {self.connection: there, there: self.connection}
            while True:
                for ready in select.select(list(pair), [], [])[0]:
                    data = ready.recv(1 << 16)
                    if not data:
                        return None
                    pair[ready].sendall(data)

    def handle_any(self):
        request = self.take()
        if not self.is_allowed():
            return self.give(Answer(407, {"Proxy-Authenticate": "Basic"}), request.method)
        host, port, path = re.match(r"http://([^/]+):(\d+)(/.*)", self.path).groups()
        return self.give(self.forward(host.strip("[]"), int(port), path, request), request.method)

    do_GET = do_PUT = do_HEAD = do_POST = handle_any


class HttpProxy(Server):
    """A forward proxy, which may want "user:password"."""

    def __init__(self, password=None):
        super().__init__(ProxyHandler)
        self.password = password
        self.lines = []  # the first line of each request
