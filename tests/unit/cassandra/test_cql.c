/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "cassandra/cql.h"

/* The tokens of a text, each between [ and ]. */
static char *tokens(const char *text, struct err *e)
{
	static char out[4096];
	size_t pos = 0, len = 0;
	struct cql_token t;
	int r;

	*e = ERR_INIT;
	out[0] = '\0';
	while ((r = cql_next(text, strlen(text), &pos, &t, e)) > 0)
		len += (size_t)snprintf(out + len, sizeof(out) - len, "[%.*s]", (int)t.len_bytes,
					text + t.at);
	return r < 0 ? NULL : out;
}

Test(cql, tokens_are_those_of_the_grammar)
{
	static const struct {
		const char *text, *tokens;
	} cases[] = {
		{ "", "" },
		{ " \n\t\r ", "" },
		{ "CREATE TABLE a.b_1;", "[CREATE][TABLE][a][.][b_1][;]" },
		{ "'it''s; -- /* $$ \"'x", "['it''s; -- /* $$ \"'][x]" },
		{ "''", "['']" },
		{ "''''", "['''']" },
		{ "\"a\"\"b;'\".c", "[\"a\"\"b;'\"][.][c]" },
		{ "$$ a ' ; $ \n -- $$;", "[$$ a ' ; $ \n -- $$][;]" },
		{ "$$$$ x", "[$$$$][x]" },
		/* The first two that stand together end it. */
		{ "$$a$$$b", "[$$a$$][$][b]" },
		{ "$ a", "[$][a]" },
		{ "a -- b ' ; \n c", "[a][c]" },
		{ "a // b\r c", "[a][c]" },
		{ "a -- to the end", "[a]" },
		{ "a/* ; ' /* */b */", "[a][b][*][/]" },
		{ "a/**/b", "[a][b]" },
		{ "a/b-c", "[a][/][b][-][c]" },
		{ "-1.5e-3", "[-][1][.][5e][-][3]" },
		{ "'\xc3\xa4' \xc3\xa4", "['\xc3\xa4'][\xc3][\xa4]" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e;
		char *found = tokens(cases[i].text, &e);

		cr_assert(found, "%s: %s", cases[i].text, e.message);
		cr_expect_str_eq(found, cases[i].tokens);
	}
}

Test(cql, what_does_not_end_is_told_with_its_line)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{ "a\nb 'x", "line 2: a string does not end" },
		{ "'x''", "line 1: a string does not end" },
		{ "\n\n\"x", "line 3: a name does not end" },
		{ "a\n$$ x $", "line 2: a string does not end" },
		{ "$$$", "line 1: a string does not end" },
		{ "a /* x *", "line 1: a comment does not end" },
		{ "a /*/", "line 1: a comment does not end" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e;

		cr_expect_null(tokens(cases[i].text, &e), "%s", cases[i].text);
		cr_expect_str_eq(e.message, cases[i].said);
		cr_expect_eq(e.kind, ERR_CORRUPT);
	}
}

static struct cql *read_text(const char *text)
{
	struct cql *q = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(cql_read(text, strlen(text), &q, &e), 0, "%s: %s", text, e.message);
	return q;
}

Test(cql, each_statement_says_what_it_is_and_of_which_table)
{
	static const struct {
		const char *text, *keyspace, *name, *table;
		enum cql_kind kind;
	} cases[] = {
		{ "CREATE KEYSPACE Shop WITH x;", "shop", "shop", "shop", CQL_KEYSPACE },
		{ "create keyspace if not exists \"Shop\" WITH x;", "Shop", "Shop", "Shop",
		  CQL_KEYSPACE },
		{ "CREATE TYPE s.\"Addr\"(a int);", "s", "Addr", "Addr", CQL_TYPE },
		{ "CREATE TABLE \"S\" . /* here */ \"t\" (id int)  WITH comment = ';';", "S", "t",
		  "t", CQL_TABLE },
		{ "CREATE TABLE IF NOT EXISTS s.t (id int);", "s", "t", "t", CQL_TABLE },
		{ "ALTER TABLE s.t DROP n USING TIMESTAMP 1;", "s", "t", "t", CQL_ALTER },
		{ "CREATE INDEX i ON s.t (v);", "s", "i", "t", CQL_INDEX },
		{ "CREATE INDEX ON s.t (v);", "s", "", "t", CQL_INDEX },
		{ "CREATE INDEX \"On\" ON s.t (v);", "s", "On", "t", CQL_INDEX },
		{ "CREATE CUSTOM INDEX IF NOT EXISTS \"I i\" ON s.\"T\" (v) USING 'x';", "s", "I i",
		  "T", CQL_INDEX },
		{ "CREATE MATERIALIZED VIEW s.v AS SELECT \"from\", f(b) FROM s.t WHERE x;", "s",
		  "v", "t", CQL_VIEW },
		{ "CREATE FUNCTION s.f(a int) RETURNS int LANGUAGE java AS $$ return ';'; $$;", "s",
		  "f", "f", CQL_FUNCTION },
		{ "CREATE OR REPLACE FUNCTION s.f() LANGUAGE java AS 'x;';", "s", "f", "f",
		  CQL_FUNCTION },
		{ "CREATE AGGREGATE s.\"A b\"(int) SFUNC f STYPE int;", "s", "A b", "A b",
		  CQL_AGGREGATE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(cql_freep) struct cql *q = read_text(cases[i].text);

		cr_assert_eq(q->statement_count, 1, "%s", cases[i].text);
		cr_expect_eq(q->statements[0].kind, cases[i].kind, "%s", cases[i].text);
		cr_expect_str_eq(q->statements[0].keyspace, cases[i].keyspace);
		cr_expect_str_eq(q->statements[0].name, cases[i].name);
		cr_expect_str_eq(q->statements[0].table, cases[i].table);
	}
}

Test(cql, a_semicolon_ends_a_statement_only_where_it_is_a_token)
{
	_cleanup_(cql_freep) struct cql *q = read_text(
		";;/* Warning: CREATE TABLE x.y (i int); */\n"
		"CREATE KEYSPACE a WITH x; -- ; '\n"
		"CREATE TABLE a.t (i int) WITH comment = 'x; ''y''; -- CREATE TABLE a.z ();';\n"
		"CREATE FUNCTION a.f() LANGUAGE java AS $$ \"; ' */ -- ; $$;"
		"CREATE TABLE a.\"t;2\" (i int); ;");

	cr_assert_eq(q->statement_count, 4);
	cr_expect_str_eq(q->statements[1].name, "t");
	cr_expect_str_eq(q->statements[2].name, "f");
	cr_expect_str_eq(q->statements[3].name, "t;2");
}

Test(cql, what_is_no_schema_is_refused)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{ "DROP TABLE a.t;",
		  "line 1: no statement that is known, or not all of one: DROP TABLE a.t" },
		{ "CREATE KEYSPACE a WITH x;\nCREATE TABLE t (i int);",
		  "line 2: no statement that is known, or not all of one: CREATE TABLE t (i int)" },
		{ "CREATE KEYSPACE a WITH x",
		  "line 1: no statement that is known, or not all of one: CREATE KEYSPACE a WITH x" },
		{ "CREATE TABLE 'a'.t (i int);",
		  "line 1: no statement that is known, or not all of one: CREATE TABLE 'a'.t (i int)" },
		{ "CREATE MATERIALIZED VIEW a.v AS SELECT 1;",
		  "line 1: no statement that is known, or not all of one: CREATE MATERIALIZED VIEW a.v AS SELECT 1" },
		{ "CREATE;", "line 1: no statement that is known, or not all of one: CREATE" },
		{ "CREATE INDEX;",
		  "line 1: no statement that is known, or not all of one: CREATE INDEX" },
		/* A body that holds $$: nobody knows where it ends. */
		{ "CREATE FUNCTION a.f() LANGUAGE java AS $$ a $$ b $$ c $$;",
		  "line 1: no statement that is known, or not all of one: CREATE FUNCTION a.f() LANGUAGE java AS $$ a $$ b $$ c $$" },
		{ "GRANT SELECT ON a.t TO b\x1b[0m;",
		  "line 1: no statement that is known, or not all of one: GRANT SELECT ON a.t TO b?[0m" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cql *q = NULL;
		struct err e = ERR_INIT;

		cr_expect_eq(cql_read(cases[i].text, strlen(cases[i].text), &q, &e), -EBADMSG, "%s",
			     cases[i].text);
		cr_expect_str_eq(e.message, cases[i].said);
	}
}

Test(cql, a_name_that_is_longer_than_any_is_none)
{
	char text[1200];
	struct cql *q = NULL;
	struct err e = ERR_INIT;
	int len = snprintf(text, sizeof(text), "CREATE TABLE a.%01100d (i int);", 1);

	cr_expect_eq(cql_read(text, (size_t)len, &q, &e), -EBADMSG);
	/* An index of a table of 48 letters and a column of 190, as Cassandra itself names it. */
	len = snprintf(text, sizeof(text), "CREATE INDEX %048d_%0190d_idx ON a.t (i);", 1, 1);
	cr_assert_eq(cql_read(text, (size_t)len, &q, &e), 0, "%s", e.message);
	cql_free(q);
}

Test(cql, a_schema_may_be_empty)
{
	struct cql *q = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(cql_read(NULL, 0, &q, &e), 0, "%s", e.message);
	cr_expect_eq(q->statement_count, 0);
	cql_free(q);
}
