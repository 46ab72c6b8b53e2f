# SPDX-License-Identifier: Apache-2.0
"""Every key of the configuration is in its manual page and in the example file, and these name no other; and every key is read by what the section is for."""

import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2]
CODE = (SOURCE / "tools/config.c").read_text()


def words(text):
    return re.findall(r'"((?:[^"\\]|\\.)*)"', text)


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
    assert example()[section] == sections()[section]


def test_options_of_mounts_are_documented():
    names = set(words(re.search(r"static const char \*const names\[\] = \{(.*?)\};", (SOURCE / "tools/mountopt.c").read_text(), re.S)[1]))
    assert manual()["mount"] == names - {"config"}


# What reads keys of a section that its caller names, and what the caller looks like; hooks are put together from what follows "before_" and "after_".
READERS = {"tools/cli.c": r'common_init\([^;]*"{}"', "tools/priority.c": r'priority_\w+\([^;]*"{}"'}


@pytest.mark.parametrize("section", sections())
def test_every_key_is_read(section):
    """By a file that asks for values of this section, or by one that is told it: no key is accepted and without effect."""
    sources = {path: path.read_text() for path in (SOURCE / "tools").glob("*.c") if path.name not in ("config.c", "medusawords.c", "doctorconf.c")}
    direct = [text for text in sources.values() if re.search(rf'config_get\([^;]*"{section}"', text)]
    told = [(SOURCE / path).read_text() for path, caller in READERS.items() if any(re.search(caller.format(section), text) for text in sources.values())]
    read = {word for text in direct + told for word in words(text)}
    read |= {f"{when}_{word}" for when in ("before", "after") for word in read}
    assert sections()[section] - read == set()


def test_no_section_is_made_up():
    assert manual().keys() - {"mount"} == sections().keys() == example().keys() - {"mount"}
