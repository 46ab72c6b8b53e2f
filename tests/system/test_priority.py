# SPDX-License-Identifier: Apache-2.0
"""A production node is not hurt: a backup steps back by itself, and as far as the configuration says."""

import re
from pathlib import Path

import pytest

from harness import DONE, USAGE, is_sentence, wait_until
from test_signals import node, started_backup  # noqa: F401 (node is a fixture)


def nice_of(pid):
    """The nice value of proc(5): field 19, behind the name in brackets."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[16])


@pytest.mark.parametrize("text, nice", [("", 10), ("[backup]\nnice = 3\nionice = none\n", 3)])
def test_a_backup_runs_at_the_priority_that_the_configuration_says(repository, node, text, nice):  # noqa: F811
    Path(repository.program.environment["SSTABLEFS_CONFIG"]).write_text(text)
    process = started_backup(repository, node, "b")
    try:
        wait_until(lambda: nice_of(process.pid) == nice, 10, f"nice {nice}")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("line", ["nice = 20", "nice = low", "ionice = fast", "jobs = 0", "memory = 1M", "conections = 4"])
def test_a_limit_that_means_nothing_is_refused_before_anything_is_read(repository, node, line):  # noqa: F811
    Path(repository.program.environment["SSTABLEFS_CONFIG"]).write_text(f"[backup]\n{line}\n")
    answer = repository(*repository.backup_arguments(node.data, "t1", "b"), code=USAGE)
    assert is_sentence(answer.err)
    assert re.search(line.split(" ")[0].replace("conections", "connections"), answer.err)
    Path(repository.program.environment["SSTABLEFS_CONFIG"]).write_text("")
    assert repository.json("list", code=DONE)["backups"] == []
