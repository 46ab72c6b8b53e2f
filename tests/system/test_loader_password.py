# SPDX-License-Identifier: Apache-2.0
"""The script of docs/restore-cluster.md that keeps sstableloader's password out of arguments; java is a stand-in that reads a file of arguments as java(1) says."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs/restore-cluster.md"
PASSWORD = 'of "the" \\ loader'
JAVA = """#!{python}
import json, shlex, sys

words = sys.argv[1:]
if len(words) == 1 and words[0].startswith("@"):
    words = [word for line in open(words[0][1:]) for word in shlex.split(line)]
print(json.dumps([sys.argv[1:], words]))
"""


@pytest.fixture
def java(tmp_path):
    def script(name, text):
        path = tmp_path / name
        path.write_text(text)
        path.chmod(0o700)
        return path
    secret = script("secret", f"[plain_text_auth]\nusername = loader\npassword = {PASSWORD}\n")
    wrapper = script("wrapper", re.search(r"```bash\n(.*?)```", DOCUMENT.read_text(), re.S)[1])
    environment = {"PATH": "/usr/bin:/bin", "SECRET": str(secret), "JAVA": str(script("java", JAVA.format(python=sys.executable)))}

    def run(*words):
        return json.loads(subprocess.run([wrapper, *words], env=environment, check=True, capture_output=True, text=True).stdout)
    return run


def test_sstableloader_gets_the_password_and_no_argument_has_it(java):
    words = ["-ea", "-cp", "/a b:c\\d", "org.apache.cassandra.tools.BulkLoader", "--nodes", "10.0.0.1", '/ks/"t"-1']
    arguments, read = java(*words)
    assert read == [*words, "--username", "loader", "--password", PASSWORD]
    assert len(arguments) == 1 and arguments[0].startswith("@/")


def test_what_else_java_is_asked_for_is_passed_on(java):
    assert java("-version") == [["-version"], ["-version"]]
