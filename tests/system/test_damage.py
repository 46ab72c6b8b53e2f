# SPDX-License-Identifier: Apache-2.0
"""P2: no wrong byte is ever served. One bit of each kind of thing is changed; then everything is read, by mount and by restore."""

import errno
import os
import random
import shutil
import struct

import pytest

from harness import CLUSTER, FAILED, FOUND, LONG, NODE, Program, wait_until
from trees import MIB, Node, describe_snapshot, describe_tree, files_below, flip, snapshot_files

CHUNK = 48 << 10  # not a frame's size: reads span frames
UNIFORM = 2  # flag of an object, docs/format.md section 6


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """Files of every kind that is stored differently: own objects (raw and compressed), packs, inline."""
    node = Node(tmp_path_factory.mktemp("node"))
    table = node.table("ks", "t")
    node.write(table, "t1", "nb-1-big-Data.db", node.bytes(3 * MIB + 1000))
    node.write(table, "t1", "nb-2-big-Data.db", node.text(2 * MIB + 1000))
    for i in range(12):
        node.write(table, "t1", f"nb-{i + 3}-big-Index.db", (node.bytes, node.text)[i % 2](3000 + 40_000 * (i % 4)))
        node.write(table, "t1", f"nb-{i + 3}-big-TOC.txt", b"inline %d" % i)
    return node


@pytest.fixture(scope="module")
def template(binary, node, tmp_path_factory):
    repository = Program(binary, tmp_path_factory.mktemp("template") / "p").repository().init()
    repository.backup(node.data, "t1")
    return repository


@pytest.fixture
def stored(template, program):
    return template.copy_to(program)


# ---- what lies where ----

def head(path):
    """(flags, frames) of an object."""
    with open(path, "rb") as f:
        _, _, flags, frames = struct.unpack("<8sHHI", f.read(16))
    return flags, frames


def objects(repository, kind):
    top = repository.path / f"nodes/{CLUSTER}/{NODE}/{kind}"
    return sorted(top / path for path in files_below(top))


def raw_object(repository):
    return next(p for p in objects(repository, "objects") if p.stat().st_size > MIB)


def compressed_object(repository):
    return next(p for p in objects(repository, "objects") if head(p)[0] == UNIFORM)


def pack(repository):
    return next(p for p in objects(repository, "objects") if not head(p)[0] & UNIFORM)


def body(path):
    return 24 + 56 * head(path)[1]


def record(repository):
    (path,) = (repository.path / f"nodes/{CLUSTER}/{NODE}/records/t1").iterdir()
    return path


# (which object, where in it); negative: from the end.
CLASSES = {
    "magic": (raw_object, lambda p: 3), "flags": (raw_object, lambda p: 10), "frame count": (raw_object, lambda p: 12),
    "plain bytes": (raw_object, lambda p: 16), "stored length": (raw_object, lambda p: 24), "sha256": (raw_object, lambda p: 24 + 56 + 8),
    "xxh3": (raw_object, lambda p: 24 + 56 + 40), "first frame": (raw_object, body), "last byte": (raw_object, lambda p: -1),
    "compressed frame": (compressed_object, lambda p: body(p) + 30), "compressed frame's size": (compressed_object, lambda p: body(p) + 5),
    "pack": (pack, lambda p: body(p) + 10), "pack's table": (pack, lambda p: 24 + 8), "pack's last frame": (pack, lambda p: -1),
}


def names(answer, path):
    """Whether a message names the object, however long its key."""
    return path.name[-16:] in answer.err


def read_chunks(path, original):
    """Reads a file in pieces. What a read gives is right, or it fails with EIO. Whether any failed."""
    failed, offset = False, 0
    fd = os.open(path, os.O_RDONLY)
    try:
        while offset < len(original):
            try:
                data = os.pread(fd, CHUNK, offset)
                assert data, f"{path} seems to end at {offset} of {len(original)}"
                assert data == original[offset:offset + len(data)], f"wrong bytes of {path} at {offset}"
                offset += len(data)  # a read may stop short of what cannot be read
            except OSError as error:
                assert error.errno == errno.EIO, error
                failed = True
                offset += CHUNK
    finally:
        os.close(fd)
    return failed


def read_everything(mount, node, backup="t1"):
    """Paths of the files that could not be read whole."""
    failed = set()
    for path, source in snapshot_files(node.data, "t1").items():
        with open(source, "rb") as f:
            original = f.read()
        try:
            if read_chunks(mount.node() / backup / path, original):
                failed.add(path)
        except OSError as error:
            assert error.errno == errno.EIO, error
            failed.add(path)
    return failed


def check_restore_refuses(repository, node, tmp_path, damaged):
    """Restore fails and names the object; what it left is right; once the damage is gone it completes."""
    cold = {"SSTABLEFS_CACHE_DIR": str(tmp_path / "cold-restore")}
    answer = repository("restore", "t1", tmp_path / "out", environment=cold, code=FAILED)
    assert names(answer, damaged), answer.err
    expected = describe_snapshot(node.data, "t1")
    left = describe_tree(tmp_path / "out") if (tmp_path / "out").exists() else {}
    assert left.items() <= expected.items()


def check_restore_completes(repository, node, tmp_path):
    repository("restore", "t1", tmp_path / "out")
    assert describe_tree(tmp_path / "out") == describe_snapshot(node.data, "t1")


@pytest.mark.parametrize("what, verify", [(what, "xxh3") for what in CLASSES] + [(what, "sha256") for what in ("sha256", "first frame", "pack")])
def test_a_flipped_bit_of_a_data_object_is_never_served(stored, node, tmp_path, what, verify):
    choose, where = CLASSES[what]
    damaged = choose(stored)
    offset = where(damaged) % damaged.stat().st_size
    flip(damaged, offset)
    with stored.mount(f"verify={verify}") as mount:
        failed = read_everything(mount, node)
        assert failed, "nothing failed: the flipped bit was not where it was meant to be"
        assert damaged.name in mount.log()
        report = stored("--json", "verify", code=FOUND).json
        assert [d["key"] for d in report["damaged"]] == [str(damaged.relative_to(stored.path))]
        check_restore_refuses(stored, node, tmp_path, damaged)
        flip(damaged, offset)
        assert read_everything(mount, node) == set(), "something bad was kept"
    check_restore_completes(stored, node, tmp_path)


def truncate(path):
    os.truncate(path, path.stat().st_size - 1)


@pytest.mark.parametrize("damage", [truncate, lambda p: os.truncate(p, 0), os.unlink, lambda p: os.truncate(p, 20),
                                    lambda p: p.write_bytes(random.Random(1).randbytes(p.stat().st_size))],
                         ids=["truncated", "empty", "missing", "no head", "garbage"])
@pytest.mark.parametrize("choose", [raw_object, pack], ids=["own object", "pack"])
def test_objects_damaged_as_a_whole_are_never_served(stored, node, tmp_path, choose, damage):
    damaged = choose(stored)
    shutil.copy2(damaged, tmp_path / "good")
    damage(damaged)
    with stored.mount() as mount:
        assert read_everything(mount, node)
        assert damaged.name in mount.log()
        report = stored("--json", "verify", code=FOUND).json
        assert [d["key"] for d in report["damaged"] + report["missing"]] == [str(damaged.relative_to(stored.path))]
        check_restore_refuses(stored, node, tmp_path, damaged)
        shutil.copy2(tmp_path / "good", damaged)
        assert read_everything(mount, node) == set()
    check_restore_completes(stored, node, tmp_path)


@pytest.mark.parametrize("choose", [raw_object, pack], ids=["own object", "pack"])
def test_an_object_that_became_longer_is_found_and_gives_no_wrong_byte(stored, node, choose):
    damaged = choose(stored)
    with open(damaged, "ab") as f:
        f.write(b"more")
    with stored.mount() as mount:
        read_everything(mount, node)  # the frames that are asked for may all be there
    report = stored("--json", "verify", code=FOUND).json
    assert [d["key"] for d in report["damaged"]] == [str(damaged.relative_to(stored.path))]


def test_an_object_in_the_place_of_another_is_never_served(stored, node, tmp_path):
    one, other = raw_object(stored), pack(stored)
    shutil.copy2(one, tmp_path / "good")
    shutil.copy2(other, one)
    with stored.mount() as mount:
        assert read_everything(mount, node) and one.name in mount.log()
    check_restore_refuses(stored, node, tmp_path, one)


def test_every_flipped_bit_of_the_metadata_is_found(stored, node, tmp_path):
    """Trees and runs: several places in each object that holds them."""
    chance = random.Random(99)
    for number, damaged in enumerate(objects(stored, "trees")):
        kinds = ("head", "table", "frame")
        for kind in kinds if LONG else (kinds[number % 3],):
            first, last = {"head": (0, 24), "table": (24, body(damaged)), "frame": (body(damaged), damaged.stat().st_size)}[kind]
            offset = chance.randrange(first, last)
            print(f"{damaged} at {offset}")
            flip(damaged, offset)
            with stored.mount(f"cache_dir={tmp_path}/cache-{number}-{kind}", "refresh=1") as mount:
                try:
                    failed = read_everything(mount, node)
                except OSError as error:
                    failed = error.errno == errno.EIO
                assert failed and damaged.name in mount.log()
                check_restore_refuses(stored, node, tmp_path, damaged)
                flip(damaged, offset)
                # A link count may have failed before; what is asked again must work.
                wait_until(lambda: not read_everything(mount, node), 60, "everything readable again")
            shutil.rmtree(tmp_path / "cold-restore", ignore_errors=True)
    check_restore_completes(stored, node, tmp_path)


def test_a_flipped_bit_of_a_record_hides_that_backup_and_no_other(stored, node, tmp_path):
    stored.backup(node.data, "t1", "good")
    damaged = record(stored)
    chance = random.Random(5)
    with stored.mount("refresh=1") as mount:
        for offset in [0, damaged.stat().st_size - 10, *(chance.randrange(damaged.stat().st_size) for _ in range(8 if LONG else 1))]:
            print(f"at {offset}")
            flip(damaged, offset, keep_time=False)
            wait_until(lambda: "t1" not in os.listdir(mount.node()), 60, "the damaged backup to vanish")
            assert "good" in os.listdir(mount.node()) and damaged.name in mount.log()
            answer = stored("--json", "list", code=FOUND)
            assert [b["name"] for b in answer.json["backups"]] == ["good"] and names(answer, damaged)
            stored("restore", "t1", tmp_path / "out", code=FAILED)
            assert stored("--json", "verify", code=FOUND).json["damaged"][0]["key"].endswith(damaged.name)
            flip(damaged, offset, keep_time=False)
            wait_until(lambda: "t1" in os.listdir(mount.node()), 60, "the backup again")
        assert read_everything(mount, node) == set()


def test_a_flipped_bit_of_repository_json_is_refused(stored, node, tmp_path):
    path = stored.path / "repository.json"
    chance = random.Random(6)
    for offset in [0, *(chance.randrange(path.stat().st_size) for _ in range(4))]:
        flip(path, offset)
        for command in (["list"], ["restore", "t1", tmp_path / "out"], ["mount", tmp_path]):
            answer = stored(*command, code=FAILED)
            assert "repository.json" in answer.err and "damaged" in answer.err
        assert "repository.json" in stored.backup(node.data, "t1", "more", code=FAILED).err
        flip(path, offset)
    stored("list")


def test_a_flipped_bit_on_minio_is_never_served(minio, minio_server, node, tmp_path):
    minio.backup(node.data, "t1")
    client, bucket = minio_server.client(), minio.url.split("/")[2]
    keys = [o["Key"] for o in client.list_objects_v2(Bucket=bucket, Prefix="some/prefix/nodes/")["Contents"] if "/objects/" in o["Key"]]
    for key in keys:
        good = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        bad = bytearray(good)
        bad[len(bad) * 2 // 3] ^= 1
        client.put_object(Bucket=bucket, Key=key, Body=bytes(bad))
        with minio.mount(f"cache_dir={tmp_path}/cache-{key[-8:]}") as mount:
            assert read_everything(mount, node) and key.rsplit("/", 1)[1] in mount.log()
            assert key[-16:] in minio("restore", "t1", tmp_path / f"out-{key[-8:]}", code=FAILED).err
            client.put_object(Bucket=bucket, Key=key, Body=good)
            assert read_everything(mount, node) == set()
    check_restore_completes(minio, node, tmp_path)


# ---- a file in several objects ----

@pytest.fixture(scope="module")
def twice(template, binary, node, tmp_path_factory):
    """The same files in two backups that share no object: the second did not see the first."""
    repository = template.copy_to(Program(binary, tmp_path_factory.mktemp("twice") / "p"))
    aside = tmp_path_factory.mktemp("aside") / "record"
    first = record(repository)
    shutil.move(first, aside)
    repository.backup(node.data, "t1", "t2")
    shutil.move(aside, first)
    return repository, objects(template, "objects")


@pytest.fixture
def copies(twice, template, program):
    """(repository, objects of t1, objects of t2), in the same order."""
    repository = twice[0].copy_to(program)
    firsts = {path.relative_to(template.path) for path in twice[1]}
    found = objects(repository, "objects")
    first = [path for path in found if path.relative_to(repository.path) in firsts]
    second = [path for path in found if path not in first]
    assert len(first) == len(second) == len(firsts)
    return repository, first, second


def of_class(paths, kind):
    return next(p for p in paths if {"raw": p.stat().st_size > MIB, "compressed": head(p)[0] == UNIFORM, "pack": not head(p)[0] & UNIFORM}[kind])


def flip_in_the_middle(path):
    flip(path, body(path) + (path.stat().st_size - body(path)) // 2)


def read_both(repository, node, tmp_path, damaged):
    """With a cache of its own. What could not be read of either backup, and what the log says of copies."""
    with repository.mount(f"cache_dir={tmp_path}/cache-{damaged.name}") as mount:
        failed = read_everything(mount, node) | read_everything(mount, node, "t2")
        log = mount.log().splitlines()
    assert bool(failed) == any("failed" in line for line in log)
    said = [line for line in log if "is read from another copy" in line]
    assert all(damaged.name[-16:] in line and f"verify --cluster {CLUSTER} --node {NODE}" in line for line in said)
    return failed, said


@pytest.mark.parametrize("damage", [flip_in_the_middle, truncate, os.unlink, lambda p: os.truncate(p, 20)], ids=["flipped", "truncated", "missing", "no head"])
@pytest.mark.parametrize("kind", ["raw", "compressed", "pack"])
def test_what_is_damaged_in_one_copy_is_read_from_the_other(copies, node, tmp_path, kind, damage):
    repository, all_said = copies[0], []
    for paths in copies[1:]:
        damaged = of_class(paths, kind)
        shutil.copy2(damaged, tmp_path / "good")
        damage(damaged)
        failed, said = read_both(repository, node, tmp_path, damaged)
        assert failed == set()
        all_said += said
        shutil.copy2(tmp_path / "good", damaged)
    assert all_said, "each time the other copy was read from the beginning"


def test_copies_that_are_damaged_in_different_places_complete_each_other(copies, node):
    """Whichever it begins with, it must go to the other and come back."""
    repository, one, other = copies[0], of_class(copies[1], "raw"), of_class(copies[2], "raw")
    flip(one, body(one) + 10)
    flip_in_the_middle(other)
    flip(one, one.stat().st_size - 1)
    with repository.mount() as mount:
        assert read_everything(mount, node) == set()
        said = [line for line in mount.log().splitlines() if "is read from another copy" in line]
        # Of reads beside each other one may come to a damaged place when the copy that is whole there was chosen for another.
        assert len(said) in (1, 2) and all(sum(str(path.relative_to(repository.path)) in line for path in (one, other)) == 1 for line in said)


def test_what_is_damaged_in_all_copies_is_never_served(copies, node, tmp_path):
    repository, *both = copies
    for paths in both:
        flip(of_class(paths, "raw"), body(of_class(paths, "raw")) + 10)
    failed, _ = read_both(repository, node, tmp_path, of_class(both[0], "raw"))
    assert [path.rsplit("/", 1)[1] for path in failed] == ["nb-1-big-Data.db"]


# ---- the local cache ----

def cache_files(program):
    return sorted(program.cache / path for path in files_below(program.cache) if (program.cache / path).stat().st_size)


@pytest.mark.parametrize("kind", ["frames", "index", "both"])
def test_a_flipped_cache_file_gives_the_right_bytes(stored, node, program, tmp_path, kind):
    """The cache is rebuilt or checked, never believed: the mount's frames, the index beside them, and the commands' own."""
    expected = describe_snapshot(node.data, "t1")

    def use():
        with stored.mount() as mount:
            ask_for_pages(mount)
            assert read_everything(mount, node) == set()
            assert os.stat(mount.data("t1") / next(iter(expected))).st_nlink == 2
        assert len(stored.json("list")["backups"]) == 1
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        check_restore_completes(stored, node, tmp_path)

    use()
    assert any("-commands" in str(path) for path in cache_files(program))
    for round_number in range(12 if LONG else 2):
        print(f"seed {round_number}")
        chance = random.Random(round_number)
        files = [p for p in cache_files(program) if kind == "both" or (p.name == "frames") == (kind == "frames")]
        assert files
        for path in files:
            flip_often(path, chance)
        use()


def ask_for_pages(mount):
    """What is read in its order once is not kept on disk; pages that are asked for by themselves are."""
    for path in files_below(mount.data("t1")):
        fd = os.open(mount.data("t1") / path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        os.pread(fd, 1, os.fstat(fd).st_size // 2)
        os.close(fd)


def flip_often(path, chance):
    """In every block that a sparse file really has."""
    size, offset = path.stat().st_size, 0
    with open(path, "rb") as f:
        while offset < size:
            try:
                offset = os.lseek(f.fileno(), offset, os.SEEK_DATA)
            except OSError:  # only holes follow
                return
            flip(path, min(offset + chance.randrange(16 << 10), size - 1), 1 << chance.randrange(8))
            offset += 16 << 10


@pytest.mark.parametrize("damage", [lambda p: os.truncate(p, p.stat().st_size // 2), lambda p: os.truncate(p, 0), lambda p: os.truncate(p, 100),
                                    lambda p: p.write_bytes(random.Random(3).randbytes(min(p.stat().st_size, 4 * MIB))), os.unlink,
                                    lambda p: p.write_bytes(bytes(min(p.stat().st_size, 4 * MIB)))],
                         ids=["halved", "empty", "stump", "garbage", "missing", "zeros"])
def test_a_garbled_cache_is_made_anew(stored, node, program, tmp_path, damage):
    for _ in range(2):
        with stored.mount() as mount:
            assert read_everything(mount, node) == set()
        stored("list")
        check_restore_completes(stored, node, tmp_path)
        shutil.rmtree(tmp_path / "out")
        for path in cache_files(program):
            damage(path)
