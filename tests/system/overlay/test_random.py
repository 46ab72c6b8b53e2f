# SPDX-License-Identifier: Apache-2.0
"""A random story is told to two mounts of one repository, and to a tmpfs beside each: every answer and the whole tree must be alike, the
mounts know nothing of each other, and the repository does not change. SSTABLEFS_SEED tells the same story again."""

import os
import random

import pytest

from harness import LONG, NODE, CLUSTER, run
from mirror import Pair, Story, describe, make_reference
from trees import Node, fingerprint

SEED = int(os.environ.get("SSTABLEFS_SEED") or random.SystemRandom().randrange(10**6))
STORIES = 40 if LONG else 2
STEPS = 3000 if LONG else 350


def small(top):
    """Two backups that share files, with a directory inside of a table's."""
    node = Node(top)
    table = node.table("shop", "orders")
    for tag in ("t1", "t2"):
        for name in ("nb-1-big-Data.db", "nb-1-big-Statistics.db", "nb-1-big-TOC.txt", "nb-2-big-Data.db"):
            node.write(table, tag, name, (name * 500).encode(), mtime_ns=10**18)
        node.write(table, tag, ".idx/nb-1-big-Data.db", b"an index")
        node.write(table, tag, f"only-in-{tag}", tag.encode() * 3000)
    return node


@pytest.mark.timeout(3600 if LONG else 300)
@pytest.mark.parametrize("story", range(STORIES))
def test_a_random_story_goes_as_on_tmpfs(program, tmp_path, story):
    seed = SEED * 1000 + story
    print(f"SSTABLEFS_SEED={SEED} tells this story again")
    node = small(tmp_path / "node")
    repository = program.repository().init()
    for tag in ("t1", "t2"):
        repository.backup(node.data, tag)
    before = fingerprint(repository.path)
    pairs, references = [], []
    with repository.mount("allow_other") as one, repository.mount("allow_other") as two:
        try:
            for number, mount in enumerate((one, two)):
                references.append(tmp_path / f"reference{number}")
                make_reference(mount, references[-1])
                for tag in ("t1", "t2"):
                    pairs.append(Pair(mount.node() / tag, references[-1] / tag, f"{seed}-{number}-{tag}"))
            stories = [Story(pair) for pair in pairs]
            chance = random.Random(seed)
            for step in range(STEPS * len(pairs)):
                number = chance.randrange(len(stories))
                stories[number].step()
                if step % 100 == 99:
                    pairs[number].compare()
            for pair in pairs:
                pair.compare()
            for pair in pairs:
                pair.close()
            for pair in pairs:
                pair.compare()
        except AssertionError:
            print("\n".join(f"{p.mounted.top}: {line}" for p in pairs for line in p.log[-400:]))
            raise
        finally:
            for pair in pairs:
                pair.close()
            for reference in references:
                run("umount", reference)
    assert fingerprint(repository.path) == before
