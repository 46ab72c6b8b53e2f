# SPDX-License-Identifier: Apache-2.0
"""Directory repositories of many records: what lists and policies read. The trees that the records name do not exist.

    python tests/system/fleet.py DIRECTORY NODES BACKUPS [PEERS [PACKS]]      makes one (BACKUPS days of all nodes)
"""

import hashlib
import itertools
import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ROOT_WRITER = "01J0000000000000000000ROOT"
IDS = itertools.count(1)
EVENING = datetime(2026, 1, 1, 22, 0, tzinfo=timezone.utc)


def ulid(number):
    return "01" + "".join(ALPHABET[number >> 5 * i & 31] for i in range(23, -1, -1))


def time_text(when):
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def seal(document):
    body = json.dumps(document).removesuffix("}") + ",\n"  # without indents ten times as fast
    return f'{body}"sha256":"{hashlib.sha256(body.encode()).hexdigest()}"}}\n'


def record_document(cluster, node, backup, writer, when, state="COMMITTED", peers=None, packs=0, **members):
    """when: the store's time, a datetime; None: not known. peers: how many nodes the cluster has; None: made with no topology."""
    times = {} if when is None else {"started": time_text(when), "finished": time_text(when + timedelta(minutes=9)), "store": time_text(when)}
    document = {
        "type": "backup", "format": 1, "features": {"read": [], "write": [], "collect": []}, "state": state, "sequence": 2,
        "nonce": hashlib.md5(writer.encode()).hexdigest(), "writer": writer, "cluster": cluster, "node": node, "backup": backup,
        "cluster_original": cluster, "host": {"tokens": [str(i) for i in range(16)]}, "times": times,
        "cassandra": {"version": "5.0.4", "sstable_versions": ["nb"], "id_kinds": ["generation"]}, "users": [], "groups": [],
        "files": 3500, "directories": 40, "bytes": 10 ** 12, "new_bytes": 10 ** 9, "reused_bytes": 999 * 10 ** 9,
        "packs": [{"writer": writer, "object": f"{i:064x}", "used_bytes": 4000, "plain_bytes": 8000} for i in range(packs)],
        "root": {"digest": "ab" * 32, "writer": ROOT_WRITER.replace("O", "0"), "object": "cd" * 32, "head_bytes": 80, "plain_bytes": 4096,
                 "raw": True, "uniform": True, "offset": 0, "length": 4096}}
    if peers is not None:
        document["peers"] = [{"host_id": f"{i:032x}", "address": f"10.0.{i // 250}.{i % 250}", "dc": "dc1", "rack": f"r{i % 3}"}
                             for i in range(peers)]
    return document | members


class Fleet:
    """Writes records into the directory of a repository that exists, or makes one."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        description = self.directory / "repository.json"
        if not description.exists():
            description.write_text(seal({
                "type": "repository", "format": 1, "features": {"read": [], "write": [], "collect": []},
                "id": hashlib.md5(str(directory).encode()).hexdigest(), "created": "2026-01-01T00:00:00Z", "compression": "zstd",
                "encryption": "none"}))

    def record(self, node, backup, when, cluster="c1", **members):
        writer = ulid(next(IDS))
        path = self.directory / f"nodes/{cluster}/{node}/records/{backup}/{writer}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(seal(record_document(cluster, node, backup, writer, when, **members)))
        return path

    def fill(self, nodes, backups, **members):
        """So many nodes with a backup each evening, of the same name on all."""
        for day in range(backups):
            when = EVENING + timedelta(days=day)
            for node in range(nodes):
                self.record(f"node{node:04}", f"daily-{when:%Y%m%d}", when + timedelta(seconds=node), **members)
        return self


def main(directory, *numbers):
    nodes, backups, peers, packs = [*(int(n) for n in numbers), 0, 0][:4]
    Fleet(directory).fill(nodes, backups, peers=peers or None, packs=packs)


if __name__ == "__main__":
    main(*sys.argv[1:])
