# SPDX-License-Identifier: Apache-2.0
"""MinIO, as scripts/lib.sh builds it. SSTABLEFS_MINIO names the binary."""

import os
import subprocess
from pathlib import Path

from .server import Server, ServerError, read_counters


class MinIO(Server):
    name = "minio"
    port_count = 2

    def __init__(self, tls, address):
        self.binary = os.environ.get("SSTABLEFS_MINIO", "")
        if not os.access(self.binary, os.X_OK):
            raise ServerError("SSTABLEFS_MINIO does not name a MinIO binary; run the tests by scripts/check, or build it by "
                              "`scripts/check deps` and set the variable to what it prints")
        super().__init__()
        self.address = address
        (self.directory / "certs").mkdir()
        (self.directory / "data").mkdir()
        if tls:
            self._make_certificate()

    def command(self):
        settings = {"MINIO_ROOT_USER": self.access_key, "MINIO_ROOT_PASSWORD": self.secret_key,
                    "MINIO_PROMETHEUS_AUTH_TYPE": "public", "MINIO_BROWSER": "off", "MINIO_UPDATE": "off",
                    "HOME": self.directory}
        return ["env", *(f"{key}={value}" for key, value in settings.items()), self.binary, "server", "--quiet",
                "--certs-dir", self.directory / "certs", "--address", f"{self.address}:{self.ports[0]}",
                "--console-address", f"{self.address}:{self.ports[1]}", self.directory / "data"]

    def count_requests(self):
        # Version 3 of the metrics is exact at once; version 2 lags behind by seconds.
        return read_counters(f"{self.endpoint}/minio/metrics/v3/api/requests",
                             r'^minio_api_requests_total\{name="(?P<name>\w+)".*type="s3"\} (?P<value>\S+)$', self.ca_file)

    def _make_certificate(self):
        certs = self.directory / "certs"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=sstablefs test", "-addext", f"subjectAltName=IP:{self.address}",
                        "-keyout", certs / "private.key", "-out", certs / "public.crt"],
                       check=True, stdin=subprocess.DEVNULL, capture_output=True)
        self.scheme = "https"
        self.ca_file = Path(certs / "public.crt")


def minio(tls=False, address=Server.address):
    return MinIO(tls, address)
