# SPDX-License-Identifier: Apache-2.0
"""A repository that real nodes are backed up to, its mount, and the ways to restore a table from there."""

import contextlib
import itertools

from harness import LONG, run

CLUSTER = "c1"
LIMIT_SECONDS = 14400 if LONG else 1800  # of a test: a slow machine takes minutes for what takes seconds elsewhere


def create_keyspace(node, name, replication="'class': 'SimpleStrategy', 'replication_factor': 1"):
    node.cql(f"CREATE KEYSPACE {name} WITH replication = {{{replication}}}")


def node_name(node):
    return "n" + node.address.replace(".", "-")


class Backups:
    """The backups of some nodes in one repository. It is mounted when first looked at, as an operator would."""

    def __init__(self, repository):
        self.repository = repository
        self.tags = (f"t{number}" for number in itertools.count(1))
        self.stack = contextlib.ExitStack()
        self._mount = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stack.__exit__(*exception)

    @property
    def mount(self):
        if self._mount is None:
            self._mount = self.stack.enter_context(self.repository.mount("refresh=1"))
        return self._mount

    def take(self, node, *keyspaces, look=lambda tag: None):
        """Backs up a node by a snapshot of these keyspaces (none: all), at which `look` may look first. The backup's name."""
        tag = next(self.tags)
        node.nodetool("snapshot", "-t", tag, *keyspaces)
        look(tag)
        self.repository.backup(node.data_directories, tag, node=node_name(node), cluster=CLUSTER)
        node.nodetool("clearsnapshot", "-t", tag, *(["--", *keyspaces] if keyspaces else []))
        return tag

    def table(self, node, backup, keyspace, table):
        """The mounted directory of a table in a backup."""
        found, = (self.mount.data(backup, node_name(node), CLUSTER) / keyspace).glob(f"{table}-*")
        return found


# Each way to restore a table takes a node, the mounted directory, the keyspace and the table.

def copy_and_refresh(node, source, keyspace, table):
    # Not the hidden directories: refresh builds the indexes of what it finds.
    files = [path for path in source.iterdir() if path.is_file()]
    run("cp", "-a", "-t", node.table_directories(keyspace, table)[0], *files)
    node.nodetool("refresh", keyspace, table)


def nodetool_import(node, source, keyspace, table):
    node.nodetool("import", "--copy-data", "-l", "-r", keyspace, table, source)


def load(node, source, keyspace, table):
    """Its exit status proves nothing: what it skipped it says, and the caller counts rows."""
    said = node.run("sstableloader", "-d", node.address, source)
    assert "Skipping file" not in said.out + said.err, said


def import_that_rewrites(node, source, keyspace, table):
    """Without -l -r: Statistics.db of the source is written anew, in the overlay."""
    node.nodetool("import", "--copy-data", keyspace, table, source)


def import_that_moves(node, source, keyspace, table):
    """Without --copy-data: the source is empty afterwards, in this mount."""
    node.nodetool("import", keyspace, table, source)
    assert not [path for path in source.iterdir() if path.name.endswith(".db")]


WAYS = {"cp and nodetool refresh": copy_and_refresh, "nodetool import": nodetool_import, "sstableloader": load}
# What needs the overlay, beside sstableloader. The last one takes the source along.
OVERLAY_WAYS = {"nodetool import that rewrites": import_that_rewrites, "nodetool import that moves": import_that_moves}
