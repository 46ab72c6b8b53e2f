# SPDX-License-Identifier: Apache-2.0
"""Every kind of table (kinds.py) comes back from the mount by nodetool import, in the formats of SHORT only those kinds to which the
format matters. With SSTABLEFS_LONG=1: every kind in every format by every way, a partition of 100 MiB and 300 SSTables."""

import re

import pytest
from cassandra_nodes import Cluster

import kinds
import place
from harness import LONG

pytestmark = pytest.mark.timeout(place.LIMIT_SECONDS)

# What cassandra.yaml says for each format, and how its SSTables are named.
NEW = {"storage_compatibility_mode": "NONE", "uuid_sstable_identifiers_enabled": True}
FORMATS = {
    "5.0 nb": ("5.0", {}, r"nb-\d+-big-Data\.db"),
    "5.0 oa": ("5.0", NEW, r"oa-\w{28}-big-Data\.db"),
    "5.0 da": ("5.0", {**NEW, "sstable": {"selected_format": "bti"}}, r"da-\w{28}-bti-Data\.db"),
    "4.1 nb": ("4.1", {}, r"nb-\d+-big-Data\.db"),
    "4.1 nb uuid": ("4.1", {"uuid_sstable_identifiers_enabled": True}, r"nb-\w{28}-big-Data\.db"),
}
ALL = ["4.1 nb", "5.0 da"]
SHORT = ["5.0 nb", "5.0 oa"]
WAYS = place.WAYS if LONG else {"nodetool import": place.nodetool_import}


@pytest.fixture(params=list(FORMATS) if LONG else ALL + SHORT)
def node(request, shared_nodes):
    """A node that writes the format; the shared one where that is its default."""
    version, yaml, _ = FORMATS[request.param]
    if not yaml:
        yield shared_nodes(version)
    else:
        with Cluster(version, yaml=yaml) as cluster:
            yield cluster.node


def components_of(node, tables):
    """The Data.db of each table, as the node has them now."""
    return {table: [path for directory in node.table_directories(table.keyspace, table.kind.name)
                    for path in directory.glob("*-Data.db")] for table in tables}


def names_to_restore(table, way):
    """The directories of a backup that bring a table back, each by this way."""
    if table.kind.empty:
        return []
    # sstableloader writes to the views of a table as it loads it.
    return [table.kind.name] if way == place.load else table.names


def can(way, table):
    """sstableloader of 5.0.9 fails for a table with a SAI index, on any file system."""
    return not (way == place.load and table.kind.name == "index_sai")


def test_every_kind_of_table_comes_back(request, node, keyspace, backups):
    leg = request.node.callspec.params["node"]
    pattern = FORMATS[leg][2]
    tables = kinds.write_all(node, keyspace, lambda kind: LONG or (not kind.long and (kind.each_format or leg in ALL)))
    for table, paths in components_of(node, tables).items():
        assert bool(paths) != table.kind.empty, f"{table.kind.name}: {paths}"
        assert all(re.fullmatch(pattern, path.name) for path in paths), f"{paths} are not all {pattern}"
    wrong = {table.kind.name: what for table in tables if (what := table.check())}
    assert not wrong, "not even before the backup"

    backup = backups.take(node, keyspace)
    for way, restore in WAYS.items():
        for table in filter(lambda table: can(restore, table), tables):
            table.cql("TRUNCATE {t}")
            assert not table.read(), f"{table.kind.name} is not truncated"
            for name in names_to_restore(table, restore):
                restore(node, backups.table(node, backup, keyspace, name), keyspace, name)
            if what := table.check():
                wrong[way, table.kind.name] = what
        node.nodetool("verify", "--force", "--extended-verify", keyspace)
    assert not wrong
