# SPDX-License-Identifier: Apache-2.0
"""One Cassandra node: its files, its process, and its tools."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import servers
from cassandra import ConsistencyLevel
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, ExecutionProfile, NoHostAvailable
from cassandra.cluster import Cluster as Driver
from cassandra.policies import WhiteListRoundRobinPolicy

from . import files

GUARD = Path(servers.__file__).with_name("guard.py")
START_SECONDS = 300
STOP_SECONDS = 120
TOOL_SECONDS = 300
POLL_SECONDS = 0.1
# Somebody else has taken the port of JMX in the meantime; the seed, on a busy machine, did not answer in time.
ACCIDENTS = ("Port already in use", "RuntimeException: Unable to gossip with any peers")
PAGE_ROWS = 200  # a node of a small heap builds the whole page in memory
# How JMX is reached.
NONE, PASSWORD, TLS = "none", "password", "tls"


class NodeError(Exception):
    """A node did not start or stop; the message holds the end of its log."""


class ToolError(Exception):
    """A tool ended with another exit status than expected."""


@dataclass
class Answer:
    code: int
    out: str
    err: str


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Node:
    """Made by Cluster. All below `home`: conf/, bin/, data/ (data2/, ...), log.txt."""

    def __init__(self, installation, home, address, settings):
        self.installation, self.home, self.address = installation, Path(home), address
        self.settings = settings
        self.conf, self.bin, self.log = self.home / "conf", self.home / "bin", self.home / "log.txt"
        self.pid_file = self.home / "pid"
        self.guard = self.driver = self._session = None
        self.yaml = dict(settings.yaml)
        for directory in (self.conf, self.bin, self.home / "tmp"):
            directory.mkdir()
        names = [f"data{i or ''}" for i in (0, *range(2, settings.data_directories + 1))][:settings.data_directories]
        self.data_directories = [self.home / name for name in names]
        if settings.rack:
            (self.conf / "cassandra-rackdc.properties").write_text(f"dc={settings.dc}\nrack={settings.rack}\n")
        files.write_logback(self.conf)
        self.security = []
        if settings.jmx in (PASSWORD, TLS):
            self.security += files.write_jmx_password(self.conf)
        if settings.jmx == TLS:
            self.security += files.write_jmx_tls(self.conf, installation.java_of_nodetool)
            files.install_ssl_properties(self.conf, self.home)

    # Its files.

    @property
    def ring_delay_ms(self):
        """A node that is no seed ends where the seed does not answer within twice this, as one that is started again itself may not for a while. Who joins sleeps for so long."""
        if self.settings.seed == self.address:
            return 1000
        return 30000 if self.log.exists() else 5000

    @property
    def config(self):
        return self.conf / "cassandra.yaml"

    def _write_files(self):
        values = {"cluster_name": self.settings.cluster_name, **files.YAML,
                  "endpoint_snitch": "GossipingPropertyFileSnitch" if self.settings.rack else "SimpleSnitch",
                  "seed_provider": [{"class_name": "org.apache.cassandra.locator.SimpleSeedProvider",
                                     "parameters": [{"seeds": self.settings.seed}]}],
                  "listen_address": self.address, "rpc_address": self.address,
                  "data_file_directories": [str(path) for path in self.data_directories]}
        for name in ("commitlog", "hints", "saved_caches", "cdc_raw"):
            values[f"{name}_directory"] = str(self.home / name)
        values.update(self.yaml)
        files.write_yaml(self.config, {key: value for key, value in values.items() if value is not None})
        common = [*self.installation.module_flags(), "-Djdk.attach.allowAttachSelf=true", "-XX:-UsePerfData",
                  f"-Dcassandra.config=file://{self.config}", f"-Dcassandra.storagedir={self.home}",
                  f"-Dcassandra.logdir={self.home}/log", f"-Djava.io.tmpdir={self.home}/tmp",
                  # No class may leave its files in the user's home.
                  f"-Duser.home={self.home}", "-Djava.net.preferIPv4Stack=true"]
        files.write_options(self.conf / "tools.options", [
            *common, "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
            f"-Dlogback.configurationFile=file:{self.conf}/logback-tools.xml"])
        files.write_options(self.conf / "server.options", [
            *common, "-Xms256m", f"-Xmx{self.settings.heap}", "-Xss512k", "-XX:+UseG1GC", "-ea",
            f"-javaagent:{self.installation.agent}", "-Dio.netty.tryReflectionSetAccessible=true",
            f"-Dlogback.configurationFile=file:{self.conf}/logback.xml", "-Dchronicle.analytics.disable=true",
            "-Dcassandra-foreground=yes",
            f"-Dcassandra.triggers_dir={self.home}/triggers", f"-Dcassandra.jmx.local.port={self.jmx_port}",
            f"-Dcom.sun.management.jmxremote.authenticate={'true' if self.settings.jmx != NONE else 'false'}",
            "-Dcassandra.skip_wait_for_gossip_to_settle=0", f"-Dcassandra.ring_delay_ms={self.ring_delay_ms}",
            "-Dcassandra.superuser_setup_delay_ms=0", *self.security,
            *([] if self.settings.measured else ["-XX:TieredStopAtLevel=1"]), *self.settings.java_options])
        files.write_bin(self)
        files.write_lib(self)

    # Its process.

    @property
    def pid(self):
        return int(self.pid_file.read_text())

    @property
    def running(self):
        return self.guard is not None and self.guard.poll() is None

    def start(self):
        """Starts the node, again where it was stopped, and returns when it answers CQL."""
        if self.running:
            raise NodeError(f"the node {self.address} runs already")
        for attempts_left in (2, 1, 0):
            self.jmx_port = free_port()
            self._write_files()
            self.pid_file.unlink(missing_ok=True)
            begin = self.log.stat().st_size if self.log.exists() else 0
            self.guard = subprocess.Popen([sys.executable, GUARD, self.log, self.home, "", *self.settings.prefix, self.bin / "cassandra"],
                                          stdin=subprocess.PIPE, start_new_session=True)
            try:
                self._wait_for_cql()
                return
            except NodeError:
                self._end_guard(b"keep")
                if not attempts_left or not any(accident in self.log_text(begin) for accident in ACCIDENTS):
                    raise

    def _wait_for_cql(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if not self.running:
                raise NodeError(f"Cassandra on {self.address} ended:\n{self.log_end()}")
            with contextlib.suppress(OSError):
                socket.create_connection((self.address, 9042), 5).close()
                with contextlib.suppress(NoHostAvailable):
                    self.connect()
                    return
            time.sleep(POLL_SECONDS)
        raise NodeError(f"Cassandra on {self.address} did not answer within {START_SECONDS} s:\n{self.log_end()}")

    def drain(self):
        self.nodetool("drain")
        self.stop()

    def stop(self):
        """Ends the node as an init script does (SIGTERM); its files stay."""
        self._signal(signal.SIGTERM)

    def kill(self):
        """kill -9; its files stay."""
        self._signal(signal.SIGKILL)

    def _signal(self, number):
        self._disconnect()
        if not self.running:
            return
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            os.kill(self.pid, number)
        try:
            self.guard.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._end_guard(b"keep")
            raise NodeError(f"Cassandra on {self.address} did not end within {STOP_SECONDS} s:\n{self.log_end()}") from None
        self._end_guard(b"keep")

    def restart(self, yaml=None):
        """Drains, stops and starts the node, with these changes of its cassandra.yaml (None removes a key)."""
        self.drain()
        self.yaml.update(yaml or {})
        self.start()

    def remove(self):
        """Ends the node; its files go too."""
        self._disconnect()
        self._end_guard(b"")

    def _end_guard(self, word):
        if self.guard:
            with contextlib.suppress(BrokenPipeError):
                self.guard.stdin.write(word)
                self.guard.stdin.close()
            self.guard.wait()
            self.guard = None

    def log_text(self, begin=0):
        with contextlib.suppress(FileNotFoundError), open(self.log, errors="replace") as log:
            log.seek(begin)
            return log.read()
        return ""

    def log_end(self):
        return "".join(self.log_text().splitlines(keepends=True)[-60:])

    # CQL.

    def connect(self):
        """A session of the Python driver, which talks to this node only; kept until the node stops."""
        if self._session is None:
            profile = ExecutionProfile(load_balancing_policy=WhiteListRoundRobinPolicy([self.address]), request_timeout=180,
                                       consistency_level=ConsistencyLevel.ALL)
            credentials = self.settings.credentials and PlainTextAuthProvider(*self.settings.credentials)
            # No heartbeat: a node on a busy machine may be silent for longer than the driver bears.
            driver = Driver([self.address], port=9042, protocol_version=5, connect_timeout=60, control_connection_timeout=120,
                            idle_heartbeat_interval=0, auth_provider=credentials,
                            execution_profiles={EXEC_PROFILE_DEFAULT: profile})
            try:
                self._session = driver.connect()
                self._session.default_fetch_size = PAGE_ROWS
            except BaseException:
                driver.shutdown()
                raise
            self.driver = driver
        return self._session

    def _disconnect(self):
        if self.driver:
            self.driver.shutdown()
        self.driver = self._session = None

    def cql(self, statement, parameters=None):
        """All rows of a statement, at CONSISTENCY ALL."""
        return list(self.connect().execute(statement, parameters))

    def count(self, table):
        return self.cql(f"SELECT count(*) FROM {table}")[0][0]

    # Tools.

    def run(self, tool, *arguments, code=0, timeout=TOOL_SECONDS, environment=None, cwd=None):
        """Runs a tool of bin/ and expects this exit status (None: any). An Answer."""
        done = subprocess.run([*self.settings.prefix, self.bin / tool, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True,
                              cwd=cwd or self.home, timeout=timeout,
                              env={**os.environ, "HOME": str(self.home), **(environment or {})})
        answer = Answer(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
        if code not in (None, answer.code):
            raise ToolError(f"{tool} {' '.join(map(str, arguments))} ended with {answer.code}, not {code}\n"
                            f"{answer.out}\n{answer.err}")
        return answer

    def nodetool(self, *arguments, **keywords):
        """Its standard output."""
        words = {NONE: [], PASSWORD: self.jmx_words, TLS: ["--ssl", *self.jmx_words]}[self.settings.jmx]
        return self.run("nodetool", *words, *arguments, **keywords).out

    @property
    def jmx_words(self):
        return ["-u", files.JMX_USER, "-pwf", self.conf / "nodetool.password"]

    def cqlsh(self, statements, **keywords):
        """Its standard output."""
        credentials = self.settings.credentials
        words = ["-u", credentials[0], "-p", credentials[1]] if credentials else []
        return self.run("cqlsh", *words, "-e", statements, **keywords).out

    def environment(self):
        """What a shell needs to work on this node as its operator."""
        return {"PATH": f"{self.bin}:{os.environ['PATH']}", "HOME": str(self.home), "CASSANDRA_CONF": str(self.conf),
                "CASSANDRA_ADDRESS": self.address, "CASSANDRA_JMX_PORT": str(self.jmx_port),
                "CASSANDRA_DATA": ":".join(map(str, self.data_directories))}

    # Where things are.

    def table_directories(self, keyspace, table):
        """The directories of a table or view as it is now, one for each data directory that has it."""
        table_id, = (row.id for kind in ("table", "view") for row in self.cql(
            f"SELECT id FROM system_schema.{kind}s WHERE keyspace_name=%s AND {kind}_name=%s", (keyspace, table)))
        found = [data / keyspace / f"{table}-{table_id.hex}" for data in self.data_directories]
        return [path for path in found if path.is_dir()]
