# SPDX-License-Identifier: Apache-2.0
"""What every S3 server of this package has in common: starting, waiting until it is ready, counters, stopping."""

import contextlib
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

import boto3
import botocore.exceptions
from botocore.config import Config

GUARD = Path(__file__).with_name("guard.py")
START_SECONDS = 90
START_ATTEMPTS = 3
POLL_SECONDS = 0.05


class ServerError(Exception):
    """A server did not start; the message holds the end of its log."""


def free_ports(count, address):
    """Ports of the address that were free a moment ago. All sockets are open at once, so that all differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind((address, 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


class Server:
    """Subclasses set name and port_count, and say in command() what to run and in count_requests() what was asked of it."""

    name = ""
    port_count = 0
    region = "us-east-1"
    access_key = "sstablefs-test"
    secret_key = "sstablefs-test-secret"
    scheme = "http"
    ca_file = None
    address = "127.0.0.1"

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix=f"sstablefs-{self.name}-"))
        self.log = self.directory / "log.txt"
        self.ports = None
        self.guard = None

    # What subclasses provide.

    def command(self):
        """The command line, as a list. Called again for each start; self.ports is set."""
        raise NotImplementedError

    def litter(self):
        """Files that the server leaves outside of its directory."""
        return []

    def count_requests(self):
        """{name of a request: how many}, from the server's own counters."""
        raise NotImplementedError

    # What tests use.

    @property
    def endpoint(self):
        return f"{self.scheme}://{self.address}:{self.ports[0]}"

    def url(self, bucket, prefix="", **query):
        """The repository URL of a prefix of a bucket."""
        query = {"endpoint": self.endpoint, "region": self.region, "addressing": "path", **query}
        if self.ca_file:
            query.setdefault("ca", str(self.ca_file))
        path = f"{bucket}/{prefix}" if prefix else bucket
        return f"s3://{path}?" + urllib.parse.urlencode(query, safe=":/")

    def environment(self):
        """The environment variables from which a client takes its credentials."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            # Nothing may come from the user's own files or from a metadata service.
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self):
        return boto3.client(
            "s3", endpoint_url=self.endpoint, region_name=self.region, aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key, verify=str(self.ca_file) if self.ca_file else None,
            config=Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"},
                          connect_timeout=5, read_timeout=30, request_checksum_calculation="when_required",
                          response_checksum_validation="when_required"))

    def make_bucket(self, name=None):
        name = name or f"test-{uuid.uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=name)
        return name

    def requests(self):
        return self.count_requests()

    def start(self):
        """Starts the server, again on its ports where it ran before, and returns when it answers."""
        attempts = 1 if self.ports else START_ATTEMPTS
        for attempt in range(attempts):
            self.ports = self.ports or free_ports(self.port_count, self.address)
            self.guard = subprocess.Popen([sys.executable, str(GUARD), str(self.log), str(self.directory),
                                           ":".join(self.litter()), *map(str, self.command())], stdin=subprocess.PIPE, start_new_session=True)
            try:
                self._wait_until_ready()
                return
            except ServerError:
                self.stop()
                if attempt == attempts - 1:
                    raise
                self.ports = None  # somebody else may have taken one in the meantime

    def stop(self):
        """Stops the server and keeps its directory."""
        self._end_guard(b"keep")

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception):
        self._end_guard(b"")
        shutil.rmtree(self.directory, ignore_errors=True)

    def _end_guard(self, word):
        if self.guard:
            with contextlib.suppress(BrokenPipeError):
                self.guard.communicate(word)
            self.guard = None

    def _wait_until_ready(self):
        """Ready is a server that makes a bucket, and stores and deletes an object."""
        deadline = time.monotonic() + START_SECONDS
        client, bucket, why = self.client(), "ready", "it did not answer"
        while time.monotonic() < deadline:
            if self.guard.poll() is not None:
                why = "it ended by itself"
                break
            try:
                if not any(b["Name"] == bucket for b in client.list_buckets()["Buckets"]):
                    client.create_bucket(Bucket=bucket)
                client.put_object(Bucket=bucket, Key="probe", Body=b"probe")
                client.delete_object(Bucket=bucket, Key="probe")
                client.delete_bucket(Bucket=bucket)
                return
            except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError) as error:
                why = str(error)
            time.sleep(POLL_SECONDS)
        end = "\n".join(self.log_text().splitlines()[-30:])
        raise ServerError(f"{self.name} did not become ready: {why}. The end of its log:\n{end}")


def read_counters(url, pattern, ca_file=None):
    """Sums the samples of a Prometheus page whose line matches the pattern, by its group "name"."""
    context = ssl.create_default_context(cafile=str(ca_file)) if ca_file else None
    with urllib.request.urlopen(url, timeout=10, context=context) as answer:
        text = answer.read().decode()
    counters = {}
    for match in re.finditer(pattern, text, re.MULTILINE):
        counters[match["name"]] = counters.get(match["name"], 0) + int(float(match["value"]))
    return counters
