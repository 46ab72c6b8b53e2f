# SPDX-License-Identifier: Apache-2.0
"""verify: what it finds and whom it names, what its samples cover, and how a run that was killed is continued."""

import fcntl
import hashlib
import os
import signal


import pytest

from harness import ABSENT, CLUSTER, DONE, FOUND, NODE, USAGE, Program, wait_until
from trees import MIB, Node, files_below, flip, reseal

SHOWN = f"{CLUSTER}/nodes/{NODE}"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """Two snapshots; the second adds to the first. Large files (objects of their own), small ones (packs), inline ones."""
    node = Node(tmp_path_factory.mktemp("node"))
    table = node.table("ks", "t")
    node.write(table, "b1", "nb-1-big-Data.db", node.bytes(17 * MIB))
    for i in range(2, 12):
        node.write(table, "b1", f"nb-{i}-big-Data.db", node.bytes(MIB + 1000 * i))
        node.write(table, "b1", f"nb-{i}-big-Index.db", node.text(3000 + 40_000 * (i % 4)))
        node.write(table, "b1", f"nb-{i}-big-TOC.txt", b"inline %d" % i)
    node.keep(table, "b1", "b10")
    node.write(table, "b10", "nb-20-big-Data.db", node.bytes(2 * MIB))
    return node


@pytest.fixture(scope="module")
def template(binary, node, tmp_path_factory):
    repository = Program(binary, tmp_path_factory.mktemp("template") / "p").repository().init()
    for tag in ("b1", "b10"):
        repository.backup(node.data, tag)
    return repository


@pytest.fixture
def stored(template, program):
    return template.copy_to(program)


def keys(repository, kind="objects"):
    """Keys of all objects, or trees."""
    top = repository.path / f"nodes/{CLUSTER}/{NODE}/{kind}"
    return sorted(f"nodes/{CLUSTER}/{NODE}/{kind}/{path}" for path in files_below(top))


def flip_all(repository, which):
    for key in which:
        path = repository.path / key
        flip(path, path.stat().st_size - 1)


def damaged(answer):
    return [finding["key"] for finding in answer.json["damaged"]]


def remembered(repository):
    (directory,) = repository.program.cache.glob("*-verify")
    return directory


# ---- samples ----

@pytest.mark.parametrize("percent, slices", [("25", 4), ("30", 4), ("50", 2)])
def test_n_samples_read_everything_and_tell_again_what_was_found_before(stored, percent, slices):
    """Every data object is damaged, at its last byte, with its size and time as they were."""
    every = keys(stored)
    flip_all(stored, every)
    found = []
    for turn in range(slices):
        answer = stored("--json", "verify", "--sample", percent, code=None)
        assert answer.json["slices"] == slices and answer.code == (FOUND if answer.json["damaged"] else DONE)
        assert set(found) <= set(damaged(answer))
        found = damaged(answer)
        assert turn == slices - 1 or len(found) < len(every), "the first ones read everything"
    assert found == every
    flip_all(stored, every)
    answer = stored("--json", "verify", "--sample", percent)
    assert answer.json["damaged"] == []
    assert stored.json("verify", "--sample", percent)["objects_checked"] < answer.json["objects_checked"], "what was damaged is read again once, not for ever"


def test_every_content_id_is_recomputed_in_some_sample(stored, node):
    """The objects of a large file are of several slices; heads are enough for its content id."""
    everything = stored.json("verify")
    turns = [stored.json("verify", "--sample", "20") for _ in range(5)]
    assert sorted(turn["slice"] for turn in turns) == [1, 2, 3, 4, 5]
    metadata = len(keys(stored, "trees"))
    assert sum(turn["objects_checked"] - metadata for turn in turns) == everything["objects_checked"] - metadata


def test_the_slice_is_remembered_for_each_thing_that_is_verified(stored):
    first = [stored.json("verify", "--sample", "10")["slice"] for _ in range(2)]
    other = [stored.json("verify", "b1", "--sample", "10")["slice"] for _ in range(2)]
    again = stored.json("verify", "--sample", "10")["slice"]
    assert first[1] == first[0] % 10 + 1 and again == first[1] % 10 + 1 and other[1] == other[0] % 10 + 1
    assert stored.json("verify", "b10", "b1", "--sample", "10")["slice"] % 10 + 1 == stored.json("verify", "b1", "b10", "--sample", "10")["slice"]


def test_what_was_remembered_and_is_damaged_is_not_believed(stored):
    stored("verify", "--sample", "50")
    (path,) = remembered(stored).glob("*.next")
    flip(path, 12)
    assert "begun anew" in stored("verify", "--sample", "50").err
    path.unlink()
    assert "begun anew" not in stored("verify", "--sample", "50").err


def test_with_nothing_remembered_the_slice_is_drawn_by_chance(stored):
    """A container that forgets everything must not read the same slice for ever."""
    stored("list")
    not_a_directory = stored.path / "repository.json"
    environment = {"SSTABLEFS_CACHE_DIR": str(not_a_directory)}
    slices = set()
    for _ in range(40):  # all the same by chance: once in 10^12
        answer = stored("--json", "verify", "b1", "--sample", "50", environment=environment)
        assert "nothing is remembered" in answer.err
        slices.add(answer.json["slice"])
        if len(slices) == 2:
            break
    assert slices == {1, 2}


@pytest.mark.parametrize("percent", ["0", "101", "-5", "0.001", "x", "5x", "", "nan"])
def test_wrong_percentages_are_refused(stored, percent):
    assert "--sample" in stored("verify", "--sample", percent, code=USAGE).err


def test_a_run_beside_another_takes_the_next_slice(stored):
    first = stored.json("verify", "--sample", "25")["slice"]
    (name,) = (path.name.removesuffix(".next") for path in remembered(stored).glob("*.next"))
    with open(remembered(stored) / f"{name}.{first % 4}", "w") as busy:  # the next one, counted from 0
        fcntl.flock(busy, fcntl.LOCK_EX)
        assert stored.json("verify", "--sample", "25")["slice"] == (first + 1) % 4 + 1
    stored("verify")
    assert sorted(path.name for path in remembered(stored).glob(f"{name}.*")) == [f"{name}.next"]


def test_its_limits_come_from_the_configuration_too(stored):
    configuration = stored.program.directory / "verify.conf"
    for line, code, word in (("memory = 64M\nlimit_rate = 500M\njobs = 1\nconnections = 2", DONE, ""), ("memory = 1M", USAGE, "[verify]"),
                             ("conections = 2", USAGE, "connections")):
        configuration.write_text(f"[verify]\n{line}\n")
        assert word in stored("--config", configuration, "verify", code=code).err


# ---- continuing ----

@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("arguments", [["verify"], ["verify", "--sample", "50"]], ids=["everything", "sample"])
def test_a_run_that_was_stopped_is_continued(stored, arguments, how):
    bad = keys(stored)
    flip_all(stored, bad[:3])
    process = stored.start(*arguments, "--limit-rate", "2M", "--connections", "1")
    try:
        def is_under_way():
            return any(path.stat().st_size > 32 + 24 for directory in stored.program.cache.glob("*-verify") for path in directory.iterdir())
        wait_until(is_under_way, 60, "some objects to be checked")
        process.send_signal(how)
    finally:
        if process.poll() is None and how == signal.SIGKILL:
            process.kill()
        process.communicate(timeout=60)
    answer = stored("--json", *arguments, code=None)
    assert "continuing the run of 20" in answer.err
    assert answer.json["objects_continued"] > 0
    assert answer.json["objects_checked"] < answer.json["objects_known"]
    if arguments == ["verify"]:
        assert answer.json["objects_continued"] + answer.json["objects_checked"] == answer.json["objects_known"]
        assert damaged(answer) == bad[:3]
    fresh = stored("--json", *arguments, code=None)
    assert "continuing" not in fresh.err and fresh.json["objects_continued"] == 0


def test_what_became_damaged_and_was_not_checked_yet_is_found_by_the_run_that_continues(stored):
    process = stored.start("verify", "--limit-rate", "2M", "--connections", "1")
    wait_until(lambda: any(p.stat().st_size > 32 for d in stored.program.cache.glob("*-verify") for p in d.iterdir()), 60, "an object to be checked")
    process.kill()
    process.communicate(timeout=60)
    every = keys(stored)
    flip_all(stored, every)
    answer = stored("--json", "verify", code=FOUND)
    assert len(damaged(answer)) + answer.json["objects_continued"] == len(every)
    assert damaged(stored("--json", "verify", code=FOUND)) == every


def test_a_journal_that_is_garbled_or_torn_is_not_believed(stored):
    process = stored.start("verify", "--limit-rate", "2M", "--connections", "1")
    wait_until(lambda: any(p.stat().st_size > 32 + 48 for d in stored.program.cache.glob("*-verify") for p in d.iterdir()), 60, "two objects to be checked")
    process.kill()
    process.communicate(timeout=60)
    (journal,) = remembered(stored).iterdir()
    flip(journal, 32 + 5)
    os.truncate(journal, journal.stat().st_size - 3)
    notes = (journal.stat().st_size - 32) // 24
    answer = stored("--json", "verify")
    assert answer.json["objects_continued"] == notes - 1
    assert answer.json["objects_continued"] + answer.json["objects_checked"] == answer.json["objects_known"]


def test_a_backup_that_is_deleted_and_collected_during_a_verify_is_no_damage(stored):
    process = stored.start("--json", "verify", "--limit-rate", "4M", "--connections", "1")
    try:
        wait_until(lambda: any(p.stat().st_size > 32 for d in stored.program.cache.glob("*-verify") for p in d.iterdir()), 60, "an object to be checked")
        stored("delete", "b10", "--force")
        stored("gc", "--full")
        out, err = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate(timeout=60)
    assert process.returncode == DONE, out + err


# ---- whom it names ----

def test_a_damaged_object_names_the_files_of_every_backup_as_they_are_in_the_mount(stored):
    flip_all(stored, keys(stored))
    answer = stored("--json", "verify", code=FOUND)
    named = {path for finding in answer.json["damaged"] for path in finding["files"]}
    with stored.mount() as mount:
        for path in named:
            assert os.path.exists(mount.path / path)
        for backup in ("b1", "b10"):
            for path in files_below(mount.data(backup)):
                is_inline = (mount.data(backup) / path).stat().st_size <= 512
                assert is_inline == (f"{SHOWN}/{backup}/data/{path}" not in named)


def test_a_record_whose_tree_is_gone_is_found_and_the_whole_backup_named(stored):
    for key in keys(stored, "trees"):
        (stored.path / key).unlink()
    answer = stored("--json", "verify", code=FOUND)
    assert answer.json["damaged"] == []
    assert sorted(path for finding in answer.json["missing"] for path in finding["files"]) == [f"{SHOWN}/b1/", f"{SHOWN}/b10/"]


def test_a_damaged_record_names_its_backup(stored):
    (path,) = (stored.path / f"nodes/{CLUSTER}/{NODE}/records/b10").iterdir()
    flip(path, 100)
    answer = stored("--json", "verify", code=FOUND)
    assert [finding["files"] for finding in answer.json["damaged"]] == [[f"{SHOWN}/b10/"]]


def test_nodes_are_verified_one_after_the_other_and_counted_together(stored, node):
    """What was met of a node is forgotten when it is left; b10 and b1 are named in an order that would come back to it."""
    for name in ("n10", "n2"):
        for tag in ("b1", "b10"):
            stored.backup(node.data, tag, node=name)
    for words in ([], ["b10", "b1"]):
        together = stored.json("verify", *words)
        each = [stored.json("verify", *words, "--node", name) for name in (NODE, "n10", "n2")]
        for count in ("objects_checked", "objects_known", "bytes_checked"):
            assert together[count] == sum(one[count] for one in each) > 0, count
    bad = [sorted((stored.path / f"nodes/{CLUSTER}/{name}/objects").glob("*/*"))[0] for name in (NODE, "n10", "n2")]
    for path in bad:
        flip(path, path.stat().st_size - 1)
    answer = stored("--json", "verify", "b10", "b1", code=FOUND)
    assert damaged(answer) == [str(path.relative_to(stored.path)) for path in bad]
    for finding in answer.json["damaged"]:
        assert finding["files"] and {path.split("/")[2] for path in finding["files"]} == {finding["key"].split("/")[2]}


def test_a_name_that_is_not_finished_is_said_beside_a_damaged_record(stored):
    (path,) = (stored.path / f"nodes/{CLUSTER}/{NODE}/records/b1").iterdir()
    (unfinished,) = (stored.path / f"nodes/{CLUSTER}/{NODE}/records/b10").iterdir()
    flip(path, 100)
    reseal(unfinished, state="OPEN")
    assert "b10 is not finished" in stored("verify", "b1", "b10", code=ABSENT).err
    assert "b10 is not finished" in stored("verify", "b10", "b1", code=ABSENT).err


def test_where_nothing_is_left_of_what_is_named_there_is_nothing_to_find(stored):
    """Not the same as a name that means nothing: its records are there."""
    stored("delete", "b1", "b10", "--force")
    for words in ([], ["--cluster", CLUSTER], ["--node", NODE], ["--cluster", CLUSTER, "--node", NODE]):
        assert stored.json("verify", *words)["objects_checked"] == 0


def test_two_objects_that_changed_places_are_both_found(stored):
    one, other = keys(stored)[:2]
    (stored.path / one).rename(stored.path / "aside")
    (stored.path / other).rename(stored.path / one)
    (stored.path / "aside").rename(stored.path / other)
    assert damaged(stored("--json", "verify", code=FOUND)) == [one, other]


def sealed(*lines):
    text = "".join(f"{line}\n" for line in lines)
    return f"{text}sha256 {hashlib.sha256(text.encode()).hexdigest()}\n"


def test_a_flipped_bit_of_a_pin_or_of_a_list_of_what_awaits_deletion_is_found(stored):
    node = stored.path / f"nodes/{CLUSTER}/{NODE}"
    (node / "condemned").mkdir()
    listed, waits = node / "condemned/01HZZZZZZZZZZZZZZZZZZZZZZZ", node / "condemned/01HZZZZZZZZZZZZZZZZZZZZZZZ.waits"
    listed.write_text(sealed("condemned 1", "objects/01HZZZZZZZZZZZZZZZZZZZZZZZ/" + "0" * 64))
    waits.write_text(sealed("waits 1", "records/b7/01HZZZZZZZZZZZZZZZZZZZZZZZ.json"))
    with stored.mount("pin=b1"):
        stored("verify")
        (pin,) = (node / "pins").iterdir()
        for path in (pin, listed, waits):
            flip(path, 20)
            for scope in ([], ["b10"]):
                answer = stored("--json", "verify", *scope, code=FOUND)
                assert damaged(answer) == [str(path.relative_to(stored.path))]
            flip(path, 20)
        stored("verify")


def test_what_no_backup_needs_is_counted_and_is_no_damage(stored):
    answer = stored.json("verify")
    assert (answer["unreferenced_objects"], answer["awaiting_objects"], answer["foreign_keys"]) == (0, 0, 0)
    own = (stored.path / keys(stored)[0]).parent
    other = own.with_name("01HZZZZZZZZZZZZZZZZZZZZZZZ")
    other.mkdir()
    (other / ("0" * 64)).write_bytes(bytes(1000))
    (other / "notes.txt").write_text("not ours")
    before = set(files_below(stored.path))
    answer = stored.json("verify")
    assert (answer["unreferenced_objects"], answer["unreferenced_bytes"], answer["foreign_keys"]) == (1, 1000, 1)
    assert "1 objects (1000 B) are needed by no backup" in stored("verify").out
    assert set(files_below(stored.path)) == before


def test_it_needs_no_right_to_write(stored):
    """The repository bound read-only in a name space of its own."""
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
    for arguments, code in ((["verify"], DONE), (["verify", "--sample", "20"], DONE)):
        stored(*arguments, prefix=("unshare", "-m", "sh", "-c", script, "sh", stored.path), code=code)
    flip_all(stored, keys(stored)[:1])
    assert len(damaged(stored("--json", "verify", prefix=("unshare", "-m", "sh", "-c", script, "sh", stored.path), code=FOUND))) == 1


def test_a_data_file_that_was_damaged_when_it_was_backed_up_is_told_again(any_repository, small_node):
    path = small_node.path(small_node.table("shop", "orders"), "t1", "nb-1-big-Data.db")
    flip(path, 1000)
    any_repository.backup(small_node.data, "t1", code=FOUND)
    answer = any_repository("--json", "verify")
    (told,) = answer.json["mismatched_digests"]
    assert told["name"] == "t1" and told["mismatched"] == 1 and [name.rsplit("/", 1)[1] for name in told["files"]] == ["nb-1-big-Data.db"]
    assert f"note: did not match its Digest.crc32 when it was backed up: {SHOWN}/t1/{told['files'][0]}" in any_repository("verify").out
