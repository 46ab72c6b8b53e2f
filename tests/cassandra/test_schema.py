# SPDX-License-Identifier: Apache-2.0
"""`schema` prints what makes every table of a real node again that it has no more: piped to cqlsh, and described again, it is the same.
4.1 with SSTABLEFS_LONG=1."""

import subprocess

import kinds
import pytest
from cassandra_nodes import VERSIONS, Cluster
from test_live import Live

import place
from harness import LONG

pytestmark = pytest.mark.timeout(place.LIMIT_SECONDS)

ALLOWED = {"user_defined_functions_enabled": True, "materialized_views_enabled": True, "sasi_indexes_enabled": True}
COMMENT = "x; y ''q'' -- z // \" $$ CREATE TABLE a.b (i int);\n;"
STATEMENTS = [
    "CREATE KEYSPACE \"Shop 1\" WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}".replace("Shop 1", "Shop1"),
    "CREATE KEYSPACE fns WITH replication = {'class': 'NetworkTopologyStrategy', 'datacenter1': 1} AND durable_writes = false",
    "CREATE TYPE \"Shop1\".zz_inner (a int, b text)",
    "CREATE TYPE \"Shop1\".\"Addr\" (street text, \"select\" int, i frozen<zz_inner>)",
    f"CREATE TABLE \"Shop1\".\"Users\" (\"Id\" int, ck int, a frozen<\"Addr\">, n bigint, v text, PRIMARY KEY (\"Id\", ck)) "
    f"WITH comment = '{COMMENT}' AND CLUSTERING ORDER BY (ck DESC)",
    "CREATE TABLE \"Shop1\".dropped (id int PRIMARY KEY, n bigint, s text, l list<text>)",
    "ALTER TABLE \"Shop1\".dropped DROP n",
    "ALTER TABLE \"Shop1\".dropped ADD n bigint",
    "ALTER TABLE \"Shop1\".dropped DROP s",
    "ALTER TABLE \"Shop1\".dropped DROP l",
    "CREATE TABLE \"Shop1\".dropped_static (id int, ck int, st text static, v text, PRIMARY KEY (id, ck))",
    "ALTER TABLE \"Shop1\".dropped_static DROP st",
    "CREATE INDEX ON \"Shop1\".dropped (n)",
    "CREATE INDEX \"My_Idx\" ON \"Shop1\".\"Users\" (v)",
    "CREATE MATERIALIZED VIEW \"Shop1\".\"By_ck\" AS SELECT * FROM \"Shop1\".\"Users\" WHERE ck IS NOT NULL AND \"Id\" IS NOT NULL "
    "PRIMARY KEY (ck, \"Id\") WITH comment = 'view; of'",
    "CREATE FUNCTION fns.plus1(x int) RETURNS NULL ON NULL INPUT RETURNS int LANGUAGE java AS "
    "$$ int y = x + 1; // it's; \"\n return y; $$",
    "CREATE FUNCTION fns.quote(x text) CALLED ON NULL INPUT RETURNS text LANGUAGE java AS 'return \"a;''b\" + x;'",
    "CREATE FUNCTION fns.\"Weird_Name\"(s int, x int) CALLED ON NULL INPUT RETURNS int LANGUAGE java AS $$return s + x;$$",
    "CREATE AGGREGATE fns.total(int) SFUNC \"Weird_Name\" STYPE int FINALFUNC plus1 INITCOND 0",
]
OF_5_0 = [
    "CREATE TABLE \"Shop1\".sai (id int PRIMARY KEY, v text, m map<text, int>, e vector<float, 3>)",
    "CREATE INDEX sai_v ON \"Shop1\".sai (v) USING 'sai' WITH OPTIONS = {'case_sensitive': 'false'}",
    "CREATE INDEX sai_m ON \"Shop1\".sai (entries(m)) USING 'sai'",
]
KEYSPACES = ["Shop1", "fns", "kinds"]


def make(node):
    for statement in STATEMENTS + (OF_5_0 if node.installation.version == "5.0" else []):
        node.cql(statement)
    place.create_keyspace(node, "kinds")
    for kind in kinds.KINDS:
        if node.installation.version in kind.versions:
            kinds.Table(node, "kinds", kind).create()


def described(node, *keyspaces):
    """One cqlsh for all: starting it takes longer than what it does."""
    return node.cqlsh(" ".join(f'DESCRIBE KEYSPACE "{keyspace}" WITH INTERNALS;' for keyspace in keyspaces or KEYSPACES))


def pipe(node, text):
    """As `sstablefs schema … | cqlsh`."""
    done = subprocess.run([node.bin / "cqlsh"], input=text, capture_output=True, text=True, cwd=node.home, timeout=600,
                          env={**node.environment(), "CQLSH_NO_BUNDLED": ""})
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize("version", VERSIONS if LONG else VERSIONS[:1])
def test_a_node_without_its_keyspaces_gets_the_same_schema_again(repository, version):
    with Cluster(version, yaml=ALLOWED) as cluster:
        node = cluster.node
        make(node)
        Live(repository, node).backup("b")
        expected = described(node)
        for keyspace in KEYSPACES:
            node.cql(f'DROP KEYSPACE "{keyspace}"')
        pipe(node, repository("schema", "b").out)
        assert described(node) == expected

        # Beside the original, and in another keyspace.
        node.cql("DROP MATERIALIZED VIEW \"Shop1\".\"By_ck\"")
        pipe(node, repository("schema", "b", "--only", "Shop1.Users", "--rename", "Shop1.Users=Shop2.people").out
             + repository("schema", "b", "--only", "fns", "--rename", "fns=fns2").out)
        found = described(node, "Shop2", "fns2")
        assert "FROM \"Shop2\".people" in found
        assert expected[expected.index("CREATE KEYSPACE fns"):].split("CREATE KEYSPACE kinds")[0].replace("fns", "fns2").strip() in found
