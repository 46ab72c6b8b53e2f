# SPDX-License-Identifier: Apache-2.0
"""The tools that are compared: how each is called to store a data set, to mount it, and to bring it back.

A Tool says why it is not here (missing), which version it is, and gives command lines; rows.py runs and times them. `store` brings a set
into the tool's bucket, untimed, where no timed row has done so.
"""

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

CLUSTER = "bench"
PASSWORD = "benchmark"
UPLOADS = 16
FAST = ("--connections", "16", "--jobs", str(len(os.sched_getaffinity(0))))
FAST_SETTINGS = "[backup]\nnice = 0\nionice = none\n"


class Tool:
    name = ""
    program = ""
    version_words = ("--version",)
    stores_as = None  # the tool whose bucket it reads, where not its own

    def __init__(self, world):
        self.world = world

    def missing(self):
        return "" if shutil.which(self.program) else f"{self.program} is not installed"

    def version(self):
        done = subprocess.run([self.program, *self.version_words], capture_output=True, text=True, check=False)
        return next(iter((done.stdout or done.stderr).splitlines()), "").strip()

    def key(self, files):
        return (self.stores_as or self.name, files.name)

    def store(self, files):
        """Where the set is, in the tool's own words; stores it first where it is not there."""
        if self.key(files) not in self.world.stored:
            limit, self.world.limit = self.world.limit, None
            self.world.stored[self.key(files)] = self.upload(files, self.world.call)
            self.world.limit = limit
        return self.world.stored[self.key(files)]

    def upload(self, files, run):
        """Stores a set by `run`, a function that takes words and an environment; returns where it is, the "bucket" among it."""
        raise NotImplementedError

    def again(self, files, run):
        """Stores the same again, nothing having changed."""
        raise NotImplementedError

    def mount(self, files, **options):
        """A fresh mount with empty caches, for a block: what lies below data/, and the pid that serves it."""
        raise NotImplementedError

    def restore(self, files, target):
        """(The command, its environment, where the files are then.)"""
        raise NotImplementedError


class Sstablefs(Tool):
    name = "sstablefs"

    def __init__(self, world):
        super().__init__(world)
        self.program = str(Path(os.environ["SSTABLEFS_BINARY"]).resolve())

    def surroundings(self, settings=""):
        """An environment with an empty cache directory and a configuration of its own."""
        place = self.world.fresh("cache")
        configuration = place.with_suffix(".conf")
        configuration.touch(mode=0o600)
        configuration.write_text(settings)
        return {"SSTABLEFS_CONFIG": str(configuration), "SSTABLEFS_CACHE_DIR": str(place)}

    def words(self, url, *arguments):
        return [self.program, "-r", url, "--json", *arguments]

    def backup_words(self, files, url, name, *options):
        return self.words(url, "backup", "--cluster", CLUSTER, "--node", "n1", "--data-dir", files.node.data, "--snapshot", files.tag,
                          "--name", name, *options)

    def upload(self, files, run, *options):
        settings = FAST_SETTINGS if options == FAST else ""
        bucket, surroundings = self.world.bucket(self.name, files), self.surroundings(settings)
        url = self.world.server.url(bucket, "r")
        self.world.call(*self.words(url, "init"), environment=surroundings)
        run(*self.backup_words(files, url, "first", *options), environment=surroundings)
        return {"bucket": bucket, "url": url, "surroundings": surroundings, "backup": "first"}

    def again(self, files, run, *options):
        stored = self.store(files)
        return run(*self.backup_words(files, stored["url"], f"again{next(self.world.numbers)}", *options), environment=stored["surroundings"])

    def objects(self, files):
        """The data objects of what is stored, with their sizes, and their prefix."""
        prefix = f"r/nodes/{CLUSTER}/n1/objects/"
        return self.world.objects(self.store(files)["bucket"], prefix), prefix

    @contextlib.contextmanager
    def mount(self, files, *options):
        stored = self.store(files)
        with self.mount_of(stored["url"], *options) as (where, pid):
            yield where / CLUSTER / "nodes/n1" / stored["backup"] / "data", pid

    @contextlib.contextmanager
    def mount_of(self, url, *options):
        """A mount of a whole repository."""
        where, surroundings = self.world.fresh("mnt"), self.surroundings()
        self.world.call(*self.words(url, "mount", where, "-o", ",".join([f"log={self.world.work / 'mount.log'}", *options])),
                        environment=surroundings)
        try:
            status = dict(line.split(": ", 1) for line in (where / ".sstablefs/status").read_text().splitlines())
            yield where, int(status["pid"])
        finally:
            self.world.call(self.program, "umount", where, environment=surroundings)

    def restore(self, files, target):
        stored = self.store(files)
        return self.words(stored["url"], "restore", stored["backup"], "--cluster", CLUSTER, "--node", "n1", target), self.surroundings(), target


class Rclone(Tool):
    """Objects as files. Its own uploads carry the times of the files, which its mount asks for with a HEAD for each."""

    name = "rclone"
    program = "rclone"
    version_words = ("version",)
    stores_as = "plain"

    def words(self, *arguments):
        return [self.program, *arguments, "--config", "/dev/null"]

    def surroundings(self):
        server = self.world.server
        return {f"RCLONE_CONFIG_B_{key}": value for key, value in {
            "TYPE": "s3", "PROVIDER": "Minio", "ENV_AUTH": "true", "ENDPOINT": server.endpoint, "REGION": server.region}.items()
        } | {"RCLONE_CACHE_DIR": str(self.world.fresh("rclone"))}

    def upload(self, files, run):
        bucket = self.world.bucket("plain", files)
        run(*self.copy_words(files.top, f"b:{bucket}/data"), environment=self.surroundings())
        return {"bucket": bucket}

    def copy_words(self, source, target):
        return self.words("copy", str(source), str(target), "--transfers", "16", "--checkers", "16")

    @contextlib.contextmanager
    def mount(self, files, *options):
        where, bucket = self.world.fresh("mnt"), self.store(files)["bucket"]
        with self.world.serve(self.words("mount", f"b:{bucket}/data", str(where), "--read-only", *options), where, self.surroundings()) as pid:
            yield where, pid

    def restore(self, files, target):
        return self.copy_words(f"b:{self.store(files)['bucket']}/data", target), self.surroundings(), target


class S5cmd(Tool):
    name = "s5cmd"
    program = "s5cmd"
    version_words = ("version",)
    stores_as = "plain"

    def words(self, *arguments):
        return [self.program, "--endpoint-url", self.world.server.endpoint, "--log", "error", "--numworkers", str(UPLOADS), *map(str, arguments)]

    def upload(self, files, run):
        bucket = self.world.bucket("plain", files)
        run(*self.words("cp", f"{files.top}/", f"s3://{bucket}/data/"))
        return {"bucket": bucket}

    def restore(self, files, target):
        return self.words("cp", f"s3://{Rclone(self.world).store(files)['bucket']}/data/*", f"{target}/"), {}, target


class S3fs(Tool):
    name = "s3fs"
    program = "s3fs"
    stores_as = "plain"

    def upload(self, files, run):
        return Rclone(self.world).upload(files, run)

    @contextlib.contextmanager
    def mount(self, files, *options):
        where, bucket, server = self.world.fresh("mnt"), self.store(files)["bucket"], self.world.server
        environment = {"AWSACCESSKEYID": server.access_key, "AWSSECRETACCESSKEY": server.secret_key}
        words = [self.program, f"{bucket}:/data", where, "-f", "-o", ",".join(
            ["ro", f"url={server.endpoint}", "use_path_request_style", *options])]
        with self.world.serve(words, where, environment) as pid:
            yield where, pid


class Juicefs(Tool):
    """Its metadata is an sqlite3 file on the local disk; the blocks of 4 MiB are in the store."""

    name = "juicefs"
    program = "juicefs"

    def upload(self, files, run):
        server, meta = self.world.server, f"sqlite3://{self.world.fresh('juicefs')}/meta.db"
        bucket = self.world.bucket(self.name, files)
        run(self.program, "format", "--no-update", "--storage", "minio", "--bucket", f"{server.endpoint}/{bucket}", "--access-key", server.access_key,
            "--secret-key", server.secret_key, meta, "bench")
        with self.serve(meta) as (where, _):
            run("cp", "-a", files.top, where / "data")
        return {"bucket": bucket, "meta": meta}

    @contextlib.contextmanager
    def serve(self, meta, *options):
        where = self.world.fresh("mnt")
        words = [self.program, "mount", "--no-usage-report", "--cache-dir", self.world.fresh("juicefs-cache"), *options, meta, where]
        with self.world.serve(words, where) as pid:
            yield where, pid

    @contextlib.contextmanager
    def mount(self, files, *options):
        with self.serve(self.store(files)["meta"], "--read-only", *options) as (where, pid):
            yield where / "data", pid


class Restic(Tool):
    """It encrypts and compresses; both cannot be left out."""

    name = "restic"
    program = "restic"
    version_words = ("version",)

    def surroundings(self, repository):
        return {"RESTIC_REPOSITORY": repository, "RESTIC_PASSWORD": PASSWORD, "RESTIC_CACHE_DIR": str(self.world.fresh("restic"))}

    def upload(self, files, run):
        bucket = self.world.bucket(self.name, files)
        surroundings = self.surroundings(f"s3:{self.world.server.endpoint}/{bucket}")
        self.world.call(self.program, "init", environment=surroundings)
        run(*self.backup_words(files), environment=surroundings)
        return {"bucket": bucket, "surroundings": surroundings}

    def backup_words(self, files):
        return [self.program, "backup", "-o", "s3.connections=16", "--ignore-ctime", files.top]

    def again(self, files, run):
        return run(*self.backup_words(files), environment=self.store(files)["surroundings"])

    @contextlib.contextmanager
    def mount(self, files):
        where, repository = self.world.fresh("mnt"), self.store(files)["surroundings"]["RESTIC_REPOSITORY"]
        with self.world.serve([self.program, "mount", where], where, self.surroundings(repository)) as pid:
            yield Path(f"{where}/snapshots/latest{files.top}"), pid

    def restore(self, files, target):
        repository = self.store(files)["surroundings"]["RESTIC_REPOSITORY"]
        return [self.program, "restore", "latest", "--target", target, "-o", "s3.connections=16"], self.surroundings(repository), Path(f"{target}{files.top}")


ALL = {tool.name: tool for tool in (Sstablefs, Rclone, S5cmd, S3fs, Juicefs, Restic)}


def versions(world):
    found = {}
    for tool in (cls(world) for cls in ALL.values()):
        found[tool.name] = f"not here: {tool.missing()}" if tool.missing() else tool.version()
    done = subprocess.run([os.environ["SSTABLEFS_MINIO"], "--version"], capture_output=True, text=True, check=False)
    found["minio"] = next(iter(done.stdout.splitlines()), "")
    found["curl"] = next(iter(subprocess.run(["curl", "--version"], capture_output=True, text=True, check=False).stdout.splitlines()), "")
    return found
