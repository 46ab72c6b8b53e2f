# SPDX-License-Identifier: Apache-2.0
"""What lies in a repository and what its backups need, by a reader that knows nothing but docs/format.md. In a directory or on an S3 server."""

import contextlib
import os
import re
import tempfile
import urllib.parse
from pathlib import Path

import boto3
from botocore.config import Config

from reader import ssfs_reader

OBJECT = re.compile(r"nodes/[^/]+/[^/]+/(objects|trees)/[^/]+/[0-9a-f]{64}\Z")
ATTEMPTS = 5


class Bucket:
    """The keys below the prefix of an s3:// URL as sstablefs takes it."""

    def __init__(self, repository):
        parts = urllib.parse.urlsplit(repository.url)
        query = dict(urllib.parse.parse_qsl(parts.query))
        environment = {**repository.program.environment, **repository.environment}
        self.bucket = parts.netloc
        self.prefix = parts.path.strip("/") + "/" if parts.path.strip("/") else ""
        self.client = boto3.client(
            "s3", endpoint_url=query["endpoint"], region_name=query.get("region", "us-east-1"), verify=query.get("ca"),
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"], aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"max_attempts": ATTEMPTS}, s3={"addressing_style": "path"},
                          request_checksum_calculation="when_required", response_checksum_validation="when_required"))

    def keys(self):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        return {found["Key"].removeprefix(self.prefix) for page in pages for found in page.get("Contents", [])}

    def put(self, key, data):
        self.client.put_object(Bucket=self.bucket, Key=self.prefix + key, Body=data)

    def download(self, target):
        for key in self.keys():
            path = Path(target) / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.client.get_object(Bucket=self.bucket, Key=self.prefix + key)["Body"].read())


def is_directory(repository):
    return not repository.url.startswith("s3://")


def all_keys(repository):
    """Every key of the repository."""
    if not is_directory(repository):
        return Bucket(repository).keys()
    top = repository.path
    # os.walk passes over directories that vanish meanwhile: some tests look while a collector is at work.
    keys = {os.path.relpath(os.path.join(directory, name), top) for directory, _, names in os.walk(top) for name in names}
    return {key for key in keys if not key.startswith(".sstablefs-tmp/")}


def object_keys(repository):
    """The keys of all objects: data, trees and runs."""
    return {key for key in all_keys(repository) if OBJECT.match(key)}


@contextlib.contextmanager
def as_directory(repository):
    """The repository as a directory, for ssfs_reader: a copy where it lies elsewhere. Nothing may be deleted meanwhile."""
    if is_directory(repository):
        yield repository.path
        return
    with tempfile.TemporaryDirectory(prefix="sstablefs-copy-") as copy:
        Bucket(repository).download(copy)
        yield Path(copy)


def reachable_keys(repository, pins=True):
    """
    The keys of all objects that the COMMITTED backups (and with pins, the HELD pins) need. Reads every byte of them and checks it: what is missing or
    damaged is an error. Afterwards a collector must have left exactly these in object_keys().
    """
    with as_directory(repository) as directory:
        reader = ssfs_reader.Repository(directory)
        roots = [record for record in reader.records() if record["state"] == "COMMITTED"]
        if pins:
            roots += list(reader.pins())
        return set().union(*(reader.keys_of(root) for root in roots))
