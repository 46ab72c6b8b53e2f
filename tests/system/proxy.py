# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy between the program and a server, which a test can let hang or break off."""

import contextlib
import socket
import threading


class Proxy:
    """Forwards to a port of 127.0.0.1 while the block lasts.

    hang()   nothing is forwarded any more, and nothing is closed: a store that does not answer
    fail()   all connections are closed, new ones at once: a store that is gone
    work()   back to normal
    after(count, how) calls one of the first two when so many bytes have passed from now on, and sets `down`
    """

    def __init__(self, port):
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.gate = threading.Event()
        self.gate.set()
        self.broken = False
        self.lock = threading.Lock()
        self.open = set()
        self.connections = 0
        self.down = threading.Event()
        self.left, self.how = None, None

    def after(self, count, how):
        with self.lock:
            self.left, self.how = count, how

    def _passes(self, count):
        with self.lock:
            if self.left is None:
                return
            self.left -= count
            if self.left > 0:
                return
            self.left = None
        self.how()
        self.down.set()

    def hang(self):
        self.gate.clear()

    def fail(self):
        self.gate.set()
        with self.lock:
            self.broken = True
            for s in self.open:
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)

    def work(self):
        self.broken = False
        self.gate.set()

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.fail()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.broken:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self.target))
            for s in (client, server):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                # It may have failed since: a connection that it did not see would carry everything on.
                broken = self.broken
                if not broken:
                    self.open |= {client, server}
            if broken:
                client.close()
                server.close()
                continue
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self.gate.wait()
                target.sendall(data)
                self._passes(len(data))
        for s in (source, target):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
        with self.lock:
            self.open -= {source}
        source.close()
