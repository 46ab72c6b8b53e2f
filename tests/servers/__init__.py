# SPDX-License-Identifier: Apache-2.0
"""Real S3 servers for tests, each on free ports of 127.0.0.1 and in a temporary directory of its own.

    with minio() as server:                 # also minio(tls=True), minio(address=...), seaweedfs()
        bucket = server.make_bucket()
        server.url(bucket, "prefix")        # s3://bucket/prefix?endpoint=...
        server.environment()                # AWS_ACCESS_KEY_ID and so on
        server.client()                     # a boto3 client
        server.requests()                   # {"PutObject": 3, ...}, from the server's own counters
        server.directory                    # what the server stores lies below (for tests that damage it)
        server.stop(); server.start()       # the same ports and data again

The process and the directory are gone at the end of the block, also where the test or the whole test run was killed.
"""

from .minio import minio
from .seaweedfs import seaweedfs

ALL = {"minio": minio, "seaweedfs": seaweedfs}

__all__ = ["ALL", "minio", "seaweedfs"]
