# SPDX-License-Identifier: Apache-2.0
"""What a mount fetches and what it keeps, by the counts of the server and of its own metrics."""

import os
import re
import subprocess
from collections import Counter

import pytest

from harness import wait_until
from trees import Node

MIB = 1 << 20
CACHES = "memory=64M,cache_size=128M"


def drop_pages(path):
    """What the kernel holds of a file (or of all below a directory) goes: the next read comes to the mount."""
    for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
        fd = os.open(file, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def metric(mount, name):
    return int(re.search(rf"^sstablefs_{name} (\d+)$", (mount.path / ".sstablefs/metrics").read_text(), re.M)[1])


def read_pages(path, offsets, size=4096):
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    found = [os.pread(fd, size, at) for at in offsets]
    os.close(fd)
    return found


@pytest.fixture
def node(program):
    """A table of 200 MiB, and an Index.db of 6 MiB."""
    node = Node(program.directory / "node")
    table = node.table("shop", "orders")
    for i in range(10):
        node.write(table, "t1", f"nb-{i}-big-Data.db", node.bytes(20 * MIB))
    node.write(table, "t1", "nb-1-big-Index.db", node.bytes(6 * MIB))
    return node


def data_files(mount):
    return sorted(mount.data("t1").rglob("*Data.db"))


def copy(files, to):
    for file in files:
        drop_pages(file)
    subprocess.run(["cp", "-a", *files, to], check=True)
    for file in files:
        assert subprocess.run(["cmp", file, to / file.name]).returncode == 0
        drop_pages(file)


def test_a_copy_that_passes_is_not_written_to_disk_and_a_hot_index_needs_no_request_after_it(minio, minio_server, node, tmp_path):
    minio.backup(node.data, "t1")
    with minio.mount(CACHES) as mount:
        index, = mount.data("t1").rglob("*Index.db")
        offsets = [at + 777 for at in range(0, 6 * MIB - 5000, 300_000)]
        hot = read_pages(index, offsets)
        kept = metric(mount, "cache_loaded_bytes")
        assert 0 < kept <= 6 * MIB
        wait_until(lambda: metric(mount, "cache_disk_written_bytes") == kept, 60, "pages that were asked for lie on disk")
        for _ in range(2):
            copy(data_files(mount), tmp_path)
            # What gave way on a busy machine before it was read is loaded twice, and so written: hardly ever anything of 400 MiB.
            assert metric(mount, "cache_disk_written_bytes") <= kept + 40 * MIB
        drop_pages(index)
        before = metric(mount, "cache_loaded_bytes")
        assert read_pages(index, offsets) == hot
        assert metric(mount, "cache_loaded_bytes") == before


def gets(server):
    return Counter(server.requests())["GetObject"]


def test_what_is_copied_again_comes_from_disk(minio, minio_server, node):
    """Hardly ever a write is passed over, because others are under way: so not just the third time is looked at."""
    minio.backup(node.data, "t1")
    counts = []
    with minio.mount(CACHES) as mount:
        while not counts or counts[-1] > 0 and len(counts) < 8:
            before = gets(minio_server)
            for file in data_files(mount)[:3]:
                drop_pages(file)
                file.read_bytes()
            counts.append(gets(minio_server) - before)
    assert counts[0] > 9 and counts[-1] == 0, counts


def listing(directory):
    with os.scandir(directory) as entries:
        return [(entry.inode(), entry.name) for entry in entries]


def test_the_next_files_are_under_way_before_they_are_opened(repository, program):
    """Where they are opened by number, as cp does it, or as listed, as tar does it; in another order nothing is guessed."""
    node = Node(program.directory / "many")
    for i in range(24):
        node.write(node.table("shop", "orders"), "t1", f"nb-{i}-big-Data.db", node.bytes(2 * MIB))
    repository.backup(node.data, "t1")
    orders = {"by number": sorted, "as listed": list, "otherwise": lambda entries: sorted(entries)[::-3]}
    for name, order in orders.items():
        with repository.mount() as mount:
            directory = next(mount.data("t1").glob("data/shop/orders-*"), None) or next(mount.data("t1").glob("shop/orders-*"))
            for _, file in order(listing(directory))[:5]:
                (directory / file).read_bytes()
            read = 5 * 2 * MIB
            if name == "otherwise":
                assert metric(mount, "cache_loaded_bytes") <= read
            else:
                wait_until(lambda m=mount: metric(m, "cache_loaded_bytes") >= 3 * read, 30, f"ten files are there unread ({name})")


def test_a_listing_of_an_older_backup_does_not_hold_up_who_reads_a_newer_one(repository, program):
    """They share files: what comes next for the reader lies in the listing that was made last too, at another place."""
    node = Node(program.directory / "shared")
    table = node.table("shop", "orders")
    for i in range(3, 8):
        node.write(table, "older", f"nb-{i}-big-Data.db", node.bytes(3 * MIB))
    node.keep(table, "older", "newer")
    for i in range(3):
        node.write(table, "newer", f"nb-{i}-big-Data.db", node.bytes(3 * MIB))
    newer = node.data / table / "snapshots/newer"
    for tag in ("older", "newer"):
        repository.backup(node.data, tag)
    with repository.mount("connections=1") as mount:
        directories = [mount.data(tag) / table for tag in ("older", "newer")]
        names = [name for _, name in listing(directories[1])]
        own = [i for i in range(len(names) - 1) if names[i] in {f"nb-{i}-big-Data.db" for i in range(3)}]
        assert own == [0, 1, 2], names
        for name in names[:2]:
            assert (directories[1] / name).read_bytes() == (newer / name).read_bytes()
        with (directories[1] / names[2]).open("rb") as f:
            listing(directories[0])
            assert f.read() == (newer / names[2]).read_bytes()


@pytest.fixture
def small_files(program):
    """A table of 2,400 files, 180 MiB in all: more than the caches hold."""
    node = Node(program.directory / "small")
    table = node.table("shop", "orders")
    for i in range(2400):
        node.write(table, "t1", f"nb-{i}-big-Index.db", node.bytes(20_000 + i * 50))
    return node, sum(20_000 + i * 50 for i in range(2400))


def directory_of(mount):
    return next(mount.data("t1").rglob("*.db")).parent


def test_small_files_beyond_the_caches_are_fetched_by_themselves(minio, minio_server, small_files, tmp_path):
    """cp opens them by number, and so jumps between packs: each pack costs one load or two, then each file its own bytes and one request."""
    node, total = small_files
    minio.backup(node.data, "t1")
    with minio.mount(CACHES) as mount:
        directory = directory_of(mount)
        before = gets(minio_server)
        subprocess.run(["cp", "-a", directory, tmp_path / "copy"], check=True)
        assert metric(mount, "cache_loaded_bytes") < 3 * total
        assert gets(minio_server) - before < 2400 + 200
        assert subprocess.run(["diff", "-r", directory, tmp_path / "copy"]).returncode == 0


def test_small_files_beyond_the_caches_cost_each_pack_once_in_order(minio, minio_server, small_files):
    node, total = small_files
    minio.backup(node.data, "t1")
    with minio.mount(CACHES) as mount:
        directory = directory_of(mount)
        before = gets(minio_server)
        subprocess.run(f"tar -C '{directory}' -cf - . | cat > /dev/null", shell=True, check=True)
        assert metric(mount, "cache_loaded_bytes") < 1.05 * total
        assert gets(minio_server) - before < 100
