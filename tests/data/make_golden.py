#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Made tests/data/golden once: make_golden.py SSTABLEFS [DIRECTORY].

Format 1 is fixed: the repository that lies there is never made again, or it would prove nothing. Run this into another directory
to see what it holds: a file of every kind that the format tells apart, in two backups of a node with two data directories.
"""
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TABLE = "ks/t-5a1c395e4cd311f0a8d7f9d6c4b1e200"
OTHER = "ks/empty-0b2c395e4cd311f0a8d7f9d6c4b1e200"
MTIME = 1763808000123456789


def noise(seed, n):
    return random.Random(seed).randbytes(n)


def text(seed, n):
    line = "".join("%06x " % (i * seed % 0xFFFFFF) for i in range(100)).encode() + b"\n"
    return (line * (n // len(line) + 1))[:n]


def files(day):
    """(data directory, path below the snapshot's table, content, mode)"""
    tables = {
        (0, TABLE): {
            "nb-1-big-Data.db": text(7, (8 << 20) + 300000),  # a whole object, and a packed tail
            "nb-1-big-Index.db": text(11, (1 << 20) + 1),  # an object of its own
            "nb-1-big-Filter.db": noise(1, 700),  # packed, raw
            "nb-1-big-Statistics.db": text(13, 131072) + noise(2, 6),  # two frames, one compressed
            "nb-1-big-Summary.db": text(17, 131072),  # exactly a frame
            "nb-1-big-CompressionInfo.db": noise(3, 513),  # the smallest that is not inline
            "nb-1-big-CRC.db": noise(4, 512),  # the largest that is
            "nb-1-big-Digest.crc32": b"3721234567",
            "nb-1-big-TOC.txt": b"Data.db\nIndex.db\nTOC.txt\n",
            "nb-1-big-SAI+aa+t_v+ColumnComplete.db": b"",
            ".t_v_idx/nb-1-big-Data.db": noise(5, 900),
            ".t_v_idx/nb-1-big-TOC.txt": b"Data.db\nIndex.db\nTOC.txt\n",
            "manifest.json": b'{"files":["nb-1-big-Data.db"]}',
            "schema.cql": b"CREATE TABLE ks.t (k int PRIMARY KEY, v int);\n",
            "no dash": b"a name with a space\n",
        },
        (1, TABLE): {"da-3gxy_0abc_2fghi0jklmnopqrstu-bti-Data.db": noise(6, 3000)},
        (0, OTHER): {"manifest.json": b'{"files":[]}', "schema.cql": b"CREATE TABLE ks.empty (k int PRIMARY KEY);\n"},
    }
    if day == "tuesday":
        tables[0, TABLE]["nb-1-big-Statistics.db"] = text(13, 131072) + noise(7, 6)  # rewritten at equal size
        tables[0, TABLE]["nb-2-big-Data.db"] = noise(8, 2000)
        tables[0, TABLE]["nb-2-big-TOC.txt"] = b"Data.db\nTOC.txt\n"
        del tables[1, TABLE]
    return tables


def lay_out(root, day):
    for directory in ("data0", "data1"):
        (root / directory).mkdir(parents=True)
    for (directory, table), contents in files(day).items():
        for name, data in contents.items():
            path = root / f"data{directory}" / table / "snapshots" / day / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            os.chmod(path, 0o600 if name.endswith("TOC.txt") else 0o640)
            os.chown(path, 12345, 12346)
            times = MTIME + sum(name.encode()) * 1000000007 + hashlib.sha256(data).digest()[0] * 3600 * 10**9
            os.utime(path, ns=(times, times))


def main(binary, target):
    shutil.rmtree(target, ignore_errors=True)
    repository = str(Path(target).resolve())
    with tempfile.TemporaryDirectory() as work:
        subprocess.run([binary, "-r", repository, "init"], check=True)
        expected = {}
        for day in ("monday", "tuesday"):
            root = Path(work) / day
            lay_out(root, day)
            # Exit code 3: the Digest.crc32 in it is made up.
            done = subprocess.run([binary, "-r", repository, "backup", "--cluster", "golden", "--node", "n1", "--snapshot", day, "--name", day,
                            "--data-dir", root / "data0", "--data-dir", root / "data1"], check=False)
            assert done.returncode in (0, 3)
            expected[day] = describe(root, day)
    shutil.rmtree(Path(repository) / ".sstablefs-tmp", ignore_errors=True)
    with open(Path(repository).parent / "golden.json", "w", encoding="utf-8") as f:
        json.dump(expected, f, indent=1, sort_keys=True)
        f.write("\n")


def describe(root, day):
    """What the backup must hold, said without reading it: path below the backup -> attributes and SHA-256."""
    described = {}
    for (directory, table), contents in files(day).items():
        for name, data in contents.items():
            stat = os.stat(root / f"data{directory}" / table / "snapshots" / day / name)
            own = name in ("manifest.json", "schema.cql")
            described[f"{'snapshot' if own else 'data'}/{table}/{name}"] = {
                "data_dir": None if own else directory, "gid": stat.st_gid, "mode": stat.st_mode & 0o7777,
                "mtime_ns": stat.st_mtime_ns, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "uid": stat.st_uid}
    return described


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else str(Path(__file__).parent / "golden"))
