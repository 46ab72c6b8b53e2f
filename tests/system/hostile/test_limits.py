# SPDX-License-Identifier: Apache-2.0
"""P7 against forged backups: RssAnon + RssShmem stay within memory= and 64 MiB. With a release build."""

import os

import pytest

import attacks
import test_records
from forge import Directory, File, Forge
from harness import DONE, FAILED, FOUND, LONG
from test_memory import BESIDE, release, release_binary, watched  # noqa: F401 (fixtures)

MEMORY, DEFAULT = 64, 192
SECONDS = 300


def peak_of(repository, *command, codes=(DONE, FAILED, FOUND)):
    process = repository.start(*command)
    with watched(process.pid) as peak:
        out, err = process.communicate(timeout=SECONDS)
    assert process.returncode in codes, err
    return peak.memory, out, err


def test_large_records_take_turns(release, tmp_path):  # noqa: F811
    """Each of 16 is as much JSON as there may be; some are refused for it."""
    forge = Forge(release.directory / "r").repository()
    forge.good()
    packs = [{"writer": "01JD8ZP4V7Q3K5N2M9R6T8W0XZ", "object": f"{i:064x}", "used_bytes": 1, "plain_bytes": 600} for i in range(30_000)]
    for i in range(8):
        forge.record(f"large{i}", test_records.good_root(forge), packs=packs)
        test_records.RECORDS["zeros"](forge, f"zeros{i}")
    repository = release.repository(release.directory / "r")
    peak, _, _ = peak_of(repository, "list")
    assert peak <= DEFAULT + BESIDE
    with repository.mount(f"memory={MEMORY}M", f"cache_dir={tmp_path}/cache") as mount, watched(mount.pid) as peak:
        assert {"good", "large0", "large7"} <= set(os.listdir(mount.node()))
    assert peak.memory <= MEMORY + BESIDE


def bushy(forge, names, levels):
    """Many directories out of a few trees."""
    place = forge.tree(Directory(files=[File(b"f", b"")]))
    for _ in range(levels):
        place = forge.tree(Directory(children={name: place for name in names}))
    return place


@pytest.mark.parametrize("shape", ["wide", "bushy", "flat"])
def test_as_much_metadata_as_there_may_be(release, tmp_path, shape):  # noqa: F811
    """Long names, so that little in the store is much in memory."""
    forge = Forge(release.directory / "r").repository()
    forge.good()
    long = [b"%03d" % i + b"n" * 245 for i in range(500)]
    if shape == "wide":  # one tree of 8 MiB
        place = forge.tree(Directory())
        forge.backup("evil", Directory(children={b"n" * 240 + b"%06d" % i: place for i in range(60_000 if LONG else 20_000)}))
    elif shape == "bushy":
        forge.backup("evil", bushy(forge, long[:60] if LONG else long[:18], 3))
    else:
        forge.backup("evil", Directory(files=[File(b"n" * 240 + b"%06d" % i, b"") for i in range(200_000 if LONG else 10_000)]))
    repository = release.repository(release.directory / "r")
    for command in (["show", "evil"], ["diff", "good", "evil"], ["verify", "--memory", f"{MEMORY}M"],
                    ["restore", "evil", "--memory", f"{MEMORY}M", tmp_path / "out"]):
        peak, out, err = peak_of(repository, *command)
        print(shape, command[0], peak, err[-200:])
        assert peak <= (MEMORY if "--memory" in command else DEFAULT) + BESIDE, command
    with repository.mount(f"memory={MEMORY}M", f"cache_dir={tmp_path}/cache") as mount, watched(mount.pid) as peak:
        met = 0
        for _, directories, files in os.walk(mount.node() / "evil"):
            met += len(directories) + len(files)
        assert next((mount.node() / "good").rglob("nb-1-big-Data.db")).read_bytes() == b"good bytes"
    print(shape, "mount", peak.memory, met)
    assert peak.memory <= MEMORY + BESIDE


def test_the_attacks_stay_within_their_memory(release, tmp_path):  # noqa: F811
    attacks.make_all(release.directory / "r")
    repository = release.repository(release.directory / "r")
    for name in attacks.ATTACKS if LONG else [n for n in attacks.ATTACKS if "zstd" in n or "bomb" in n or "repeat" in n]:
        peak, _, _ = peak_of(repository, "restore", name, "--memory", f"{MEMORY}M", tmp_path / name)
        assert peak <= MEMORY + BESIDE, name
