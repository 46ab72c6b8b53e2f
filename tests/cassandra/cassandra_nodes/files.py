# SPDX-License-Identifier: Apache-2.0
"""Writes what a node has below its home: conf/ (cassandra.yaml, logback, the options of its Java) and bin/."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

LOGBACK = """\
<configuration><appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">{target}
<encoder><pattern>%-5level %d{{ISO8601}} %logger{{0}} %msg%n</pattern></encoder></appender>
<root level="{level}"><appender-ref ref="OUT"/></root></configuration>
"""

# Timeouts are those of a machine on which much else runs; sizes those of a small node.
YAML = {
    "num_tokens": 4,
    "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
    "start_native_transport": True,
    "commitlog_sync": "periodic",
    "commitlog_sync_period": "1s",
    "commitlog_segment_size": "16MiB",
    "commitlog_total_space": "128MiB",
    "memtable_heap_space": "64MiB",
    "memtable_offheap_space": "64MiB",
    "file_cache_size": "32MiB",
    "key_cache_size": "4MiB",
    "auto_bootstrap": False,
    "auto_snapshot": True,
    "materialized_views_enabled": True,
    "sasi_indexes_enabled": True,
    "request_timeout": "60s",
    "read_request_timeout": "60s",
    "range_request_timeout": "60s",
    "write_request_timeout": "60s",
    "counter_write_request_timeout": "60s",
    "truncate_request_timeout": "180s",
}

STORE_PASSWORD = "changeit"
JMX_USER, JMX_SECRET = "operator", "jmx-secret"

WRAPPER = """\
#!/bin/bash
# {name} of Cassandra {version}, for the node {address}.
{body}
"""

# As Cassandra's own script: --ssl and -D... are words of the script, not of the class.
NODETOOL = """\
jvm=() words=()
for word in "$@"; do
	case $word in
	--ssl)
		jvm+=(-Dssl.enable=true)
		[[ ! -r ~/.cassandra/nodetool-ssl.properties ]] || jvm+=($(cat ~/.cassandra/nodetool-ssl.properties))
		;;
	-D*) jvm+=("$word") ;;
	*) words+=("$word") ;;
	esac
done
exec {java} @{options} "${{jvm[@]}}" -cp {classpath} {main} -h 127.0.0.1 -p {port} "${{words[@]}}\""""


def write_yaml(path, values):
    """Each key on a line of its own, as in Cassandra's own file; what is below a key is JSON, which YAML contains."""
    lines = []
    for key, value in values.items():
        if isinstance(value, list):
            lines += [f"{key}:", *(f"    - {item if isinstance(item, str) else json.dumps(item)}" for item in value)]
        elif isinstance(value, (dict, bool)):
            lines.append(f"{key}: {json.dumps(value)}")
        else:
            lines.append(f"{key}: {value}")
    Path(path).write_text("\n".join(lines) + "\n")


def write_options(path, options):
    """A file for java's @: one option a line, which may hold spaces."""
    Path(path).write_text("".join('"' + option.replace("\\", "\\\\") + '"\n' for option in options))


def write_executable(path, text):
    path.write_text(text)
    path.chmod(0o755)


def write_logback(conf):
    (conf / "logback.xml").write_text(LOGBACK.format(level="INFO", target=""))
    (conf / "logback-tools.xml").write_text(LOGBACK.format(level="WARN", target="<target>System.err</target>"))


def write_lib(node):
    """As in Cassandra's archive, the name of a jar beside bin/ says which version its programs are of."""
    jar, = node.installation.lib.glob("cassandra-all-*.jar")
    (node.home / "lib").mkdir(exist_ok=True)
    link = node.home / "lib" / jar.name.replace("cassandra-all", "apache-cassandra")
    if not link.is_symlink():
        link.symlink_to(jar)


def write_bin(node):
    """Executables that an operator would have in his PATH, with everything that leads to this node built in."""
    installation, directory = node.installation, node.bin
    classpath = f"{node.conf}:{installation.lib}/*"
    for name, tool in installation.tools.items():
        words = {"java": installation.java, "options": node.conf / "tools.options", "classpath": f"'{classpath}'",
                 "main": f"org.apache.cassandra.tools.{tool}", "port": node.jmx_port}
        if name == "nodetool":
            words["java"] = installation.java_of_nodetool
            body = NODETOOL.format(**words)
        else:
            # JVM_OPTS as in Cassandra's own scripts: words, behind what the script itself says.
            body = 'exec {java} @{options} $JVM_OPTS -cp {classpath} {main} "$@"'.format(**words)
        write_executable(directory / name, WRAPPER.format(name=name, version=installation.version,
                                                          address=node.address, body=body))
    cqlsh = Path(sys.executable).with_name("cqlsh")
    body = f'export CQLSH_HOST={node.address} CQLSH_PORT=9042\nexec {sys.executable} {cqlsh} --connect-timeout=60 --request-timeout=120 "$@"'
    write_executable(directory / "cqlsh", WRAPPER.format(name="cqlsh", version=installation.version,
                                                         address=node.address, body=body))
    body = f"echo $$ >{node.pid_file}\nexec {installation.java} @{node.conf}/server.options -cp '{classpath}' org.apache.cassandra.service.CassandraDaemon"
    write_executable(directory / "cassandra", WRAPPER.format(name="cassandra", version=installation.version,
                                                             address=node.address, body=body))


def write_jmx_password(conf):
    """What the JMX of a node with a password asks for, and the file that nodetool -pwf reads."""
    for name, text in {"jmxremote.password": f"{JMX_USER} {JMX_SECRET}\n", "jmxremote.access": f"{JMX_USER} readwrite\n",
                       "nodetool.password": f"{JMX_USER} {JMX_SECRET}\n"}.items():
        (conf / name).touch(mode=0o600)
        (conf / name).write_text(text)
    return [f"-Dcom.sun.management.jmxremote.password.file={conf}/jmxremote.password",
            f"-Dcom.sun.management.jmxremote.access.file={conf}/jmxremote.access"]


def write_jmx_tls(conf, java):
    """A certificate for 127.0.0.1 and stores of it; conf/nodetool-ssl.properties is what belongs into ~/.cassandra."""
    keytool = Path(java).resolve().with_name("keytool")
    common = ["-storepass", STORE_PASSWORD, "-storetype", "PKCS12", "-noprompt"]
    for command in (["-genkeypair", "-keystore", conf / "keystore", "-alias", "node", "-keyalg", "EC", "-dname", "CN=127.0.0.1",
                     "-ext", "SAN=IP:127.0.0.1,DNS:localhost", "-validity", "2", *common],
                    ["-exportcert", "-keystore", conf / "keystore", "-alias", "node", "-file", conf / "node.crt", *common],
                    ["-importcert", "-keystore", conf / "truststore", "-alias", "node", "-file", conf / "node.crt", *common]):
        subprocess.run([keytool, *command], check=True, stdin=subprocess.DEVNULL, capture_output=True)
    client = [f"-Djavax.net.ssl.trustStore={conf}/truststore", f"-Djavax.net.ssl.trustStorePassword={STORE_PASSWORD}"]
    (conf / "nodetool-ssl.properties").write_text("\n".join(client) + "\n")
    # Java's own look-up of the registry in the server uses TLS as well, so it wants the trust store too.
    return ["-Dcom.sun.management.jmxremote.ssl=true", "-Dcom.sun.management.jmxremote.registry.ssl=true",
            f"-Djavax.net.ssl.keyStore={conf}/keystore", f"-Djavax.net.ssl.keyStorePassword={STORE_PASSWORD}", *client]


def install_ssl_properties(conf, home):
    """Puts nodetool-ssl.properties where nodetool --ssl looks for it, below a HOME."""
    (Path(home) / ".cassandra").mkdir(parents=True, exist_ok=True)
    shutil.copy(conf / "nodetool-ssl.properties", Path(home) / ".cassandra/nodetool-ssl.properties")
