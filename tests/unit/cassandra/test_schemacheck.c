/* SPDX-License-Identifier: Apache-2.0 */
/* Which statements of a backup's schema a cluster needs that has some of it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "cassandra/schemacheck.h"

static const char backup[] =
	"CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': '3'};\n"
	"CREATE TYPE shop.addr (street text, n int);\n"
	"CREATE TABLE shop.orders (\n    id int PRIMARY KEY,\n    a frozen<addr>,\n    old text\n) WITH ID = 1 AND comment = 'x';\n"
	"ALTER TABLE shop.orders DROP old USING TIMESTAMP 5;\n"
	"CREATE CUSTOM INDEX by_a ON shop.orders (a) USING 'StorageAttachedIndex';\n"
	"CREATE MATERIALIZED VIEW shop.v AS SELECT id FROM shop.orders PRIMARY KEY (id);\n";

#define ITEMS 6
#define HAS_KEYSPACE "CREATE KEYSPACE shop WITH replication = {'class': 'LocalStrategy'};\n"
#define HAS_TYPE "CREATE TYPE shop.addr (street text, n int);\n"
#define HAS_TABLE \
	"CREATE TABLE shop.orders (\"id\" int PRIMARY KEY, a frozen<addr>, old text) WITH ID = 2 AND comment = 'y';\n"
#define HAS_ALTER "ALTER TABLE shop.orders DROP old USING TIMESTAMP 5;\n"
#define HAS_INDEX "CREATE CUSTOM INDEX by_a ON shop.orders (a) USING 'StorageAttachedIndex';\n"
#define HAS_VIEW \
	"CREATE MATERIALIZED VIEW shop.v AS SELECT id, a FROM shop.orders PRIMARY KEY (id);\n"

/* A digit for each item: 1 where it is missing. */
static int look(const char *there, const char *rename, char out[ITEMS + 1], struct err *e)
{
	_cleanup_(cql_freep) struct cql *q = NULL, *has = NULL;
	_cleanup_(schema_freep) struct schema *s = NULL;
	struct schema_rename renamed;
	struct schema_options o = { .renames = &renamed };
	bool missing[ITEMS] = { false };
	int r;

	*e = ERR_INIT;
	if (rename)
		cr_assert_eq(schema_parse_rename(rename, &renamed), 0);
	o.rename_count = rename != NULL;
	cr_assert_eq(cql_read(backup, strlen(backup), &q, e), 0, "%s", e->message);
	cr_assert_eq(cql_read(there, strlen(there), &has, e), 0, "%s", e->message);
	cr_assert_eq(schema_choose(q, &o, &s, e), 0, "%s", e->message);
	cr_assert_eq(s->item_count, ITEMS);
	r = schemacheck_missing(s, has, missing, e);
	for (size_t i = 0; i < ITEMS; i++)
		out[i] = missing[i] ? '1' : '0';
	out[ITEMS] = '\0';
	return r;
}

Test(schemacheck, what_is_there_is_not_made_again)
{
	static const struct {
		const char *there, *missing;
	} cases[] = {
		{ "", "111111" },
		{ HAS_KEYSPACE, "011111" },
		{ HAS_KEYSPACE HAS_TYPE, "001111" },
		{ HAS_KEYSPACE HAS_TYPE HAS_TABLE, "000111" },
		{ HAS_KEYSPACE HAS_TYPE HAS_TABLE HAS_ALTER, "000011" },
		{ HAS_KEYSPACE HAS_TYPE HAS_TABLE HAS_ALTER HAS_INDEX HAS_VIEW, "000000" },
		{ "ALTER TABLE shop.orders DROP old USING TIMESTAMP 6;\n", "111111" },
		{ "CREATE CUSTOM INDEX of_a ON shop.others (a) USING 'StorageAttachedIndex';\n",
		  "111111" },
		{ "CREATE CUSTOM INDEX of_a ON shop.orders (a) USING 'StorageAttachedIndex';\n",
		  "111101" },
		{ "CREATE TABLE other.orders (k int PRIMARY KEY);\n", "111111" },
	};
	char found[ITEMS + 1];
	struct err e;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_expect_eq(look(cases[i].there, NULL, found, &e), 0, "%s", e.message);
		cr_expect_str_eq(found, cases[i].missing, "%s", cases[i].there);
	}
}

Test(schemacheck, what_is_there_and_differs_is_refused)
{
	static const struct {
		const char *there, *word;
	} cases[] = {
		{ "CREATE TABLE shop.orders (id int PRIMARY KEY, a frozen<addr>);\n",
		  "table shop.orders" },
		{ "CREATE TABLE shop.orders (id bigint PRIMARY KEY, a frozen<addr>, old text);\n",
		  "other columns" },
		{ "CREATE TABLE shop.orders (id int, a frozen<addr>, old text, PRIMARY KEY (id, a));\n",
		  "other columns" },
		{ "CREATE TYPE shop.addr (street text);\n", "other fields" },
		{ "CREATE MATERIALIZED VIEW shop.v AS SELECT id FROM shop.others PRIMARY KEY (id);\n",
		  "view shop.v" },
		{ "CREATE CUSTOM INDEX by_a ON shop.others (a) USING 'StorageAttachedIndex';\n",
		  "an index shop.by_a" },
		{ "CREATE INDEX by_a ON shop.orders (old);\n", "an index shop.by_a" },
	};
	char found[ITEMS + 1];
	struct err e;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_expect_eq(look(cases[i].there, NULL, found, &e), -EEXIST);
		cr_expect_eq(e.kind, ERR_CONFLICT);
		cr_expect(strstr(e.message, cases[i].word), "%s", e.message);
	}
}

/* How the first statement stands to a cluster that has the second: 0 it is there, 1 it is missing, or what is refused. */
static int stands(const char *wanted, const char *there)
{
	_cleanup_(cql_freep) struct cql *q = NULL, *has = NULL;
	_cleanup_(schema_freep) struct schema *s = NULL;
	struct schema_options o = { .only_count = 0 };
	bool missing[1] = { false };
	struct err e = ERR_INIT;
	int r;

	cr_assert_eq(cql_read(wanted, strlen(wanted), &q, &e), 0, "%s", e.message);
	cr_assert_eq(cql_read(there, strlen(there), &has, &e), 0, "%s", e.message);
	cr_assert_eq(schema_choose(q, &o, &s, &e), 0, "%s", e.message);
	cr_assert_eq(s->item_count, 1);
	r = schemacheck_missing(s, has, missing, &e);
	return r < 0 ? r : missing[0];
}

Test(schemacheck, rows_of_another_order_are_not_loaded)
{
#define OF(order) "CREATE TABLE k.t (a int, b int, c int, PRIMARY KEY (a, b, c))" order ";"
#define ORDERED(b, c) " WITH ID = 1 AND CLUSTERING ORDER BY (b " b ", c " c ") AND comment = 'x'"
	cr_expect_eq(stands(OF(ORDERED("DESC", "ASC")), OF(ORDERED("DESC", "ASC"))), 0);
	cr_expect_eq(stands(OF(ORDERED("ASC", "ASC")), OF("")), 0);
	cr_expect_eq(stands(OF(""), OF(" WITH comment = 'CLUSTERING ORDER BY (b DESC)'")), 0);
	cr_expect_eq(stands(OF(ORDERED("DESC", "ASC")), OF(ORDERED("ASC", "ASC"))), -EEXIST);
	cr_expect_eq(stands(OF(ORDERED("DESC", "ASC")), OF(ORDERED("ASC", "DESC"))), -EEXIST);
	cr_expect_eq(stands(OF(ORDERED("DESC", "ASC")), OF("")), -EEXIST);
	cr_expect_eq(stands(OF(""), OF(ORDERED("ASC", "DESC"))), -EEXIST);
}

Test(schemacheck, a_mask_is_no_other_column)
{
#define MASKED(mask) "CREATE TABLE k.t (a int PRIMARY KEY, b text" mask ", c int);"
	cr_expect_eq(stands(MASKED(" MASKED WITH system.mask_inner(1, 2, '#')"), MASKED("")), 0);
	cr_expect_eq(stands(MASKED(""), MASKED(" MASKED WITH k.f((1), 'x')")), 0);
	cr_expect_eq(stands(MASKED(" STATIC"), MASKED(" MASKED WITH k.f()")), -EEXIST);
}

Test(schemacheck, the_type_that_create_does_not_know_is_there_as_describe_has_it)
{
#define EMPTY "CREATE TABLE k.t (a int PRIMARY KEY, b empty, c int);"
	cr_expect_eq(stands(EMPTY, EMPTY), 0);
	cr_expect_eq(stands(EMPTY, "CREATE TABLE k.t (a int PRIMARY KEY, b text, c int);"),
		     -EEXIST);
}

Test(schemacheck, a_function_is_told_by_its_arguments)
{
#define FUNCTION(arguments, body)        \
	"CREATE FUNCTION k.f(" arguments \
	") CALLED ON NULL INPUT RETURNS int LANGUAGE java AS $$" body "$$;"
#define AGGREGATE(arguments, more) "CREATE AGGREGATE k.f(" arguments ") SFUNC g STYPE int" more ";"
	cr_expect_eq(stands(FUNCTION("x int", "1"), FUNCTION("x int", "1")), 0);
	cr_expect_eq(stands(FUNCTION("x int", "1"), FUNCTION("y int", "2")), -EEXIST);
	cr_expect_eq(stands(FUNCTION("x int", "1"), FUNCTION("x text", "1")), 1);
	cr_expect_eq(stands(FUNCTION("x map<int, text>, y int", "1"),
			    FUNCTION("a map<int, text>, b int", "2")),
		     -EEXIST);
	cr_expect_eq(stands(FUNCTION("x map<int, text>", "1"), FUNCTION("x map<int, int>", "1")),
		     1);
	cr_expect_eq(stands(FUNCTION("", "1"), FUNCTION("", "2")), -EEXIST);
	cr_expect_eq(stands(FUNCTION("", "1"), FUNCTION("x int", "1")), 1);
	cr_expect_eq(stands(AGGREGATE("int", ""), AGGREGATE("int", "")), 0);
	cr_expect_eq(stands(AGGREGATE("int", ""), AGGREGATE("int", " INITCOND 1")), -EEXIST);
	cr_expect_eq(stands(AGGREGATE("int", ""), AGGREGATE("text", "")), 1);
}

Test(schemacheck, it_is_looked_for_under_its_new_name)
{
	char found[ITEMS + 1];
	struct err e;

	cr_expect_eq(look("CREATE TABLE shop.orders (k int PRIMARY KEY);\n", "shop=s2", found, &e),
		     0);
	cr_expect_str_eq(found, "111111");
	cr_expect_eq(look("CREATE TABLE s2.orders (k int PRIMARY KEY);\n", "shop=s2", found, &e),
		     -EEXIST);
	cr_expect_eq(
		look("CREATE TABLE s2.orders (id int PRIMARY KEY, a frozen<addr>, old text);\n",
		     "shop=s2", found, &e),
		0);
	cr_expect_str_eq(found, "110111");
}

Test(schemacheck, a_storage_attached_index_is_seen)
{
	static const struct {
		const char *index;
		bool sai;
	} cases[] = {
		{ "CREATE CUSTOM INDEX i ON k.t (c) USING 'StorageAttachedIndex';", true },
		{ "CREATE INDEX i ON k.t (c) USING 'SAI' WITH OPTIONS = {'x': 'y'};", true },
		{ "CREATE CUSTOM INDEX i ON k.t (c) USING 'org.apache.cassandra.index.sai.StorageAttachedIndex';",
		  true },
		{ "CREATE CUSTOM INDEX i ON k.t (c) USING 'org.apache.cassandra.index.sasi.SASIIndex';",
		  false },
		{ "CREATE INDEX sai ON k.t (c);", false },
		{ "CREATE CUSTOM INDEX i ON k.other (c) USING 'sai';", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_(cql_freep) struct cql *q = NULL;
		struct err e = ERR_INIT;

		cr_assert_eq(cql_read(cases[i].index, strlen(cases[i].index), &q, &e), 0, "%s",
			     e.message);
		cr_expect_eq(schemacheck_has_sai(q, "k", "t"), cases[i].sai, "%s", cases[i].index);
	}
}

Test(schemacheck, a_table_is_told_by_its_id)
{
	static const struct {
		const char *wanted, *there;
		bool same;
	} cases[] = {
		{ "WITH ID = 5a1c-b41f AND comment = 'x'", "WITH ID = 5a1c-b41f AND comment = 'y'",
		  true },
		{ "WITH ID = 5a1c-b41f", "WITH ID = 5a1c-b41f AND comment = 'y'", true },
		{ "WITH ID = 5a1c-b41f", "WITH ID = 5a1c-b420", false },
		{ "WITH ID = 5a1c-b41f", "", false },
		{ "", "", false },
		{ "WITH comment = 'x'", "WITH comment = 'x'", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_(cql_freep) struct cql *q = NULL, *has = NULL;
		char one[200], two[200];
		struct err e = ERR_INIT;

		snprintf(one, sizeof(one), "CREATE TABLE k.t (id int PRIMARY KEY) %s;\n",
			 cases[i].wanted);
		snprintf(two, sizeof(two), "CREATE TABLE k.t (id int PRIMARY KEY) %s;\n",
			 cases[i].there);
		cr_assert_eq(cql_read(one, strlen(one), &q, &e), 0, "%s", e.message);
		cr_assert_eq(cql_read(two, strlen(two), &has, &e), 0, "%s", e.message);
		cr_expect_eq(schemacheck_has_id(has, q, &q->statements[0]), cases[i].same, "%zu",
			     i);
	}
}
