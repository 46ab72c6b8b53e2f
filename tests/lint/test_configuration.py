# SPDX-License-Identifier: Apache-2.0
"""Every key of the configuration is in its manual page and in the example file, and these name no other."""

import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2]
CODE = (SOURCE / "tools/config.c").read_text()


def words(text):
    return re.findall(r'"([^"]+)"', text)


def sections():
    """{section: keys} of tools/config.c, without the options of mounts."""
    arrays = {name: words(body) for name, body in re.findall(r"static const char \*const (\w+)\[\] = \{(.*?)\};", CODE, re.S)}
    table = re.search(r"\} sections\[\] = \{(.*?)\n\};", CODE, re.S)[1]
    return {section: set(arrays[array]) for section, array in re.findall(r'\{ "(\w+)", (\w+) \}', table) if array != "NULL"}


def manual():
    """{section: keys} of the manual page."""
    found = {}
    for title, body in re.findall(r"^\.SH (\[.*?\])\n(.*?)(?=^\.SH )", (SOURCE / "man/sstablefs.conf.5").read_text(), re.S | re.M):
        keys = set(re.findall(r"^\.T[PQ]\n\.B (\w+)$", body, re.M))
        for section in re.findall(r"\w+", title):
            found[section] = keys
    return found


def example():
    found, section = {}, None
    for line in (SOURCE / "packaging/sstablefs.conf").read_text().splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = found.setdefault(match[1], set())
        elif match := re.match(r"#(\w+) = ", line):
            section.add(match[1])
    return found


def test_there_are_sections():
    assert {"repository", "cassandra", "backup", "ssh", "hooks"} <= sections().keys()


@pytest.mark.parametrize("section", sections())
def test_every_key_is_documented(section):
    assert manual()[section] == sections()[section]


@pytest.mark.parametrize("section", sections())
def test_every_key_is_in_the_example(section):
    allowed = {"restore": {"nice", "ionice"}}.get(section, set())  # which a restore does not use
    assert example()[section] == sections()[section] - allowed


def test_no_section_is_made_up():
    assert manual().keys() - {"mount"} == sections().keys() == example().keys() - {"mount"}
