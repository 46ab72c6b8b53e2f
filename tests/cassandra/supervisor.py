# SPDX-License-Identifier: Apache-2.0
"""Stops and starts nodes for programs that know no more than a command, as systemd does for its operator. The nodes stay those of the test, which ends them with it."""

import http.server
import logging
import threading
import time

LIMIT_SECONDS = 600


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        _, number, word = self.path.split("/")
        begun = time.monotonic()
        try:
            node = self.server.nodes[int(number)]
            {"stop": node.stop, "start": node.start}[word]()  # start: until it answers CQL, as a unit that says when it is ready
            self.send_response(200)
        except Exception:  # who asked ends with it, and knows no more than that
            logging.exception("node %s: %s", number, word)
            self.send_response(500)
        self.server.events.append((word, begun, time.monotonic()))
        self.end_headers()

    def log_message(self, *arguments):
        pass


class Supervisor:
    """events: (word, begun, ended) of each command, by the monotonic clock."""

    def __init__(self, nodes):
        self.nodes = nodes
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.nodes = nodes
        self.events = self.server.events = []

    def command(self, node, word):
        """Words, parted by blanks, that stop or start the node."""
        return f"curl -sSf --max-time {LIMIT_SECONDS} http://127.0.0.1:{self.server.server_port}/{self.nodes.index(node)}/{word}"

    def commands(self, node):
        """As keys of [cassandra] in sstablefs's configuration."""
        return {"stop_command": self.command(node, "stop"), "start_command": self.command(node, "start")}

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self.server.shutdown()
        self.server.server_close()
