# SPDX-License-Identifier: Apache-2.0
"""What all rows share: the server, the data sets, fresh directories, one way to time a command, and what each tool has stored."""

import contextlib
import itertools
import os
import shutil
import subprocess
import time
from pathlib import Path

import data
import link
import measure

ROOM_BYTES = 30 * 10**9
LARGE_FILE = 1 << 20
MOUNT_SECONDS = 60
UMOUNT_SECONDS = 120


def remove_bucket(server, name):
    """By the server's own files, where it has many objects: a deletion by requests takes a minute for 60,000."""
    client = server.client()
    shutil.rmtree(Path(server.directory) / "data" / name, ignore_errors=True)
    with contextlib.suppress(client.exceptions.NoSuchBucket):
        client.delete_bucket(Bucket=name)


class World:
    def __init__(self, work, server, scale, cold, proxy):
        self.work, self.server, self.scale, self.cold, self.proxy = Path(work), server, scale, cold, proxy
        self.server_pid = measure.children_of(server.guard.pid)[0]
        self.environment = {"HOME": str(work), **server.environment()}
        self.caches_dropped = True
        self.whole = True  # compare all bytes of what is copied
        self.link = link.NONE
        self.limit = None  # seconds for one command
        self.round, self.stage = 1, None
        self.sizes = {}  # set: (files, bytes), of what a stage made
        self.sets, self.stored, self.numbers = {}, {}, itertools.count(1)

    # Data and places.

    def set(self, name):
        if name not in self.sets:
            self.sets[name] = data.make(name, self.work, self.scale)
        return self.sets[name]

    def fresh(self, name):
        path = self.work / f"{name}{next(self.numbers)}"
        path.mkdir()
        return path

    def discard(self, path, files):
        """Copies of many small files stay while there is room: ext4 makes files slowly in the minutes after it deleted many."""
        if files.bytes > LARGE_FILE * len(files.files) or shutil.disk_usage(self.work).free < ROOM_BYTES:
            shutil.rmtree(path)

    # Commands.

    def call(self, *words, environment=None, timeout=measure.LIMIT_SECONDS):
        """Runs what is not timed, and returns what it printed."""
        done = subprocess.run([*self.link.prefix, *map(str, words)], env={**os.environ, **self.environment, **(environment or {})},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)
        if done.returncode:
            raise measure.Failed(f"{' '.join(map(str, words))[:200]} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def time(self, *words, environment=None, mount=None, after=None, cold=True):
        """Runs what is timed: its Sample and what it printed. cold: with an empty page cache, nothing waiting to be written."""
        if cold and (not self.cold or not measure.drop_caches()):
            self.caches_dropped = False
        others = {"server": self.server_pid} | ({"mount": mount} if mount else {})
        return measure.run([*self.link.prefix, *words], {**self.environment, **(environment or {})}, others, self.server.requests,
                           self.limit or measure.LIMIT_SECONDS, after=after)

    # Mounts of peers.

    @contextlib.contextmanager
    def serve(self, command, where, environment=None):
        """Runs a mount in the foreground until the block ends: its pid."""
        log = self.work / f"mount{next(self.numbers)}.log"
        with open(log, "wb") as output:
            process = subprocess.Popen([*self.link.prefix, *map(str, command)], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                       env={**os.environ, **self.environment, **(environment or {})}, start_new_session=True)
        try:
            deadline = time.monotonic() + MOUNT_SECONDS
            while not os.path.ismount(where):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise measure.Failed(f"{command[0]} did not mount: {log.read_text(errors='replace')[-500:]}")
                time.sleep(0.05)
            yield process.pid
        finally:
            if os.path.ismount(where):
                subprocess.run(["umount", where], check=False, capture_output=True)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(UMOUNT_SECONDS)
                subprocess.run(["umount", "-l", where], check=False, capture_output=True)
            measure.end(process)

    # Buckets.

    def bucket(self, tool, files):
        """A new bucket for what a tool stores of a set."""
        return self.server.make_bucket(f"{tool}-{files.name}-{next(self.numbers)}")

    def objects(self, bucket, prefix=""):
        """{key: size}"""
        found = {}
        for page in self.server.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            found |= {o["Key"]: o["Size"] for o in page.get("Contents", [])}
        return found
