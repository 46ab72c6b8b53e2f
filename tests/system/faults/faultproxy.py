# SPDX-License-Identifier: Apache-2.0
"""An HTTP proxy before an S3 server that does one fault to one request, and counts.

Requests are told apart by what they are about ("GET object", "PUT record", "LIST records"...) and numbered within that, so that a number
means the same in every run although requests overtake each other.
"""

import contextlib
import re
import socket
import struct
import threading
import urllib.parse
from collections import Counter

BUSY = (b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message>'
        b"<RequestId>F1</RequestId></Error>")
BROKEN = BUSY.replace(b"SlowDown", b"InternalError")

# What may happen to a request. "carried out": the server gets it and does it.
MODES = {
    "503": "answered SlowDown, not carried out",
    "500": "carried out, answered InternalError",
    "reset-before": "connection reset, not carried out",
    "reset-after": "carried out, connection reset instead of an answer",
    "truncated": "carried out; the connection ends in the middle of the answer",
    "longer": "carried out; the body is longer than what was asked for, and so is its Content-Length",
    "excess": "carried out; bytes follow behind the end of the answer",
    "flipped": "one bit of the body is another: of what is stored on its way there, else of the answer",
    "empty": "answered 200 without a body by somebody who is no S3 server, not carried out",
    "stalled": "carried out; half of the answer comes, then nothing any more, and nothing is closed",
}


class Message:
    """A request or an answer: first line, headers (name in lower case, value), body."""

    def __init__(self, first, headers, body=b""):
        self.first, self.headers, self.body = first, headers, body

    def header(self, name, default=""):
        return next((value for key, value in self.headers if key == name), default)

    def head(self, length=None):
        """The bytes of the head; with another Content-Length, if one is given."""
        lines = [self.first]
        for name, value in self.headers:
            lines.append(f"{name}: {length if name == 'content-length' and length is not None else value}")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


class Wire:
    """One end of a connection, read message by message."""

    def __init__(self, s):
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.s, self.buffer = s, b""

    def _more(self):
        data = self.s.recv(1 << 18)
        if not data:
            raise EOFError
        self.buffer += data

    def _until(self, mark):
        while mark not in self.buffer:
            self._more()
        found, self.buffer = self.buffer.split(mark, 1)
        return found

    def _exactly(self, count):
        parts = [self.buffer[:count]]
        self.buffer = self.buffer[count:]
        missing = count - len(parts[0])
        while missing:
            data = self.s.recv(min(missing, 1 << 20))
            if not data:
                raise EOFError
            parts.append(data)
            missing -= len(data)
        return b"".join(parts)

    def _chunks(self):
        body = b""
        while size := int(self._until(b"\r\n").split(b";")[0], 16):
            body += self._exactly(size)
            self._exactly(2)
        self._until(b"\r\n")
        return body

    def message(self, has_body=True):
        """The next message; a body in chunks becomes one with a length."""
        first, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        message = Message(first, [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)])
        if message.header("transfer-encoding") == "chunked":
            message.body = self._chunks()
            message.headers = [pair for pair in message.headers if pair[0] != "transfer-encoding"]
            message.headers.append(("content-length", str(len(message.body))))
        elif has_body:
            message.body = self._exactly(int(message.header("content-length", "0")))
        return message

    def reset(self):
        """Closes with RST: the other side gets ECONNRESET."""
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.s.close()


def flip(data, chance):
    i = chance.randrange(len(data))
    return data[:i] + bytes([data[i] ^ 1 << chance.randrange(8)]) + data[i + 1:]


class FaultProxy:
    """Forwards to a port of 127.0.0.1 while the block lasts. `top` is what comes before the repository's keys: bucket and prefix."""

    def __init__(self, port, top):
        self.target, self.top = port, f"/{top}/"
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.wires = set()
        self.arm(None, 0, None, None)

    def arm(self, kind, number, mode, chance):
        """The number-th request of this kind from now on gets a fault; all counting begins again."""
        with self.lock:
            self.kind, self.number, self.mode, self.chance = kind, number, mode, chance
            self.seen, self.forwarded, self.hit = Counter(), 0, False

    def disarm(self):
        """No fault any more; counting goes on."""
        with self.lock:
            self.kind = None

    def _name(self, request):
        method, target, _ = request.first.split(" ", 2)
        url = urllib.parse.urlsplit(target)
        path = urllib.parse.unquote(url.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        if method == "GET" and not path.startswith(self.top):
            method, path = "LIST", f"/{self.top.split('/')[1]}/{query.get('prefix', '')}"
        key = path.removeprefix(self.top)
        found = re.match(r"nodes/[^/]+/[^/]+/([a-z]+)/", key)
        return f"{method} {found[1] if found else 'repository' if key == 'repository.json' else 'names'}"

    def _decide(self, request):
        name = self._name(request)
        with self.lock:
            number = self.seen[name]
            self.seen[name] += 1
            if name != self.kind or number != self.number or self.hit:
                return None
            if self.mode == "flipped" and (name.startswith("HEAD") or not (request.body or name.startswith(("GET", "LIST")))):
                return None
            self.hit = True
            return self.mode

    def _forward(self, request, upstream):
        """The server's answer; `upstream` is a list that holds the kept connection, if there is one."""
        with self.lock:
            self.forwarded += 1
        answer = None
        while answer is None:
            kept = bool(upstream)
            if not kept:
                upstream.append(self._wire(socket.create_connection(("127.0.0.1", self.target))))
            try:
                upstream[0].s.sendall(request.head() + request.body)
                answer = upstream[0].message(has_body=not request.first.startswith("HEAD"))
            except (OSError, EOFError):
                upstream.clear()
                if not kept:  # else the server has closed it as idle, and has not got the request
                    raise
        if answer.header("connection") == "close":
            upstream.clear()
        return answer

    @staticmethod
    def _answer(client, status, body=b""):
        client.s.sendall(f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    def _damage(self, mode, client, request, upstream):
        """Does the fault. False: the connection is of no more use."""
        if mode == "503":
            self._answer(client, "503 Slow Down", BUSY)
            return True
        if mode == "empty":
            self._answer(client, "200 OK")
            return True
        if mode == "reset-before":
            client.reset()
            return False
        if mode == "flipped" and request.body:
            request.body = flip(request.body, self.chance)
        answer = self._forward(request, upstream)
        head, body = answer.head(), answer.body
        if mode == "500":
            self._answer(client, "500 Internal Server Error", BROKEN if not request.first.startswith("HEAD") else b"")
        elif mode == "reset-after":
            client.reset()
        elif mode in ("truncated", "stalled"):
            client.s.sendall(head + body[:len(body) // 2] if body else head[:len(head) // 2])
            if mode == "stalled":
                self.over.wait()
            client.s.close()
        elif mode == "longer" and body:
            client.s.sendall(answer.head(len(body) + 7) + body + b"another")
        elif mode == "flipped" and not request.body:
            client.s.sendall(head + flip(body, self.chance) if body else head)
        else:
            client.s.sendall(head + body + (b"" if mode == "flipped" else b"another"))
        return mode in ("500", "longer", "excess", "flipped")

    def _serve(self, client):
        upstream = []
        with contextlib.suppress(OSError, EOFError):
            while not self.over.is_set():
                request = client.message()
                mode = self._decide(request)
                if mode is None:
                    answer = self._forward(request, upstream)
                    client.s.sendall(answer.head() + answer.body)
                elif not self._damage(mode, client, request, upstream):
                    break
        for wire in (client, *upstream):
            wire.s.close()
            with self.lock:
                self.wires.discard(wire)

    def _wire(self, s):
        wire = Wire(s)
        with self.lock:
            self.wires.add(wire)
        return wire

    def _accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(self._wire(s),), daemon=True).start()

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.over.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            wires = list(self.wires)
        for wire in wires:
            with contextlib.suppress(OSError):
                wire.s.shutdown(socket.SHUT_RDWR)
