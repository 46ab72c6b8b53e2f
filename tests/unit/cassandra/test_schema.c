/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>
#include "cassandra/schema.h"

#define ID "1cfe3c00-c83d-11f0-a4b5-a9f5d3d0d5d5"

/* In an order that nobody can run. */
static const char text[] =
	"CREATE MATERIALIZED VIEW shop.by_n AS SELECT * FROM shop.\"Users\" WHERE n IS NOT NULL PRIMARY KEY (n, id) WITH ID = " ID
	" AND comment = 'of shop.Users';\n"
	"CREATE INDEX users_v ON shop.\"Users\" (v);\n"
	"CREATE TABLE shop.\"Users\" (id int PRIMARY KEY, n int, a frozen<\"Addr\">) WITH ID = " ID
	"\n    AND comment = 'x; shop.Users ''y''';\n"
	"ALTER TABLE shop.\"Users\" DROP n USING TIMESTAMP 1;\n"
	"ALTER TABLE shop.\"Users\" ADD n int;\n"
	"CREATE TABLE shop.plain (id int PRIMARY KEY, x int MASKED WITH shop.hide()) WITH ID = " ID
	";\n"
	"CREATE FUNCTION shop.hide(x int) LANGUAGE java AS $$ return \"shop.plain; \"; $$;\n"
	"CREATE AGGREGATE shop.total(int) SFUNC shop.hide STYPE int;\n"
	"CREATE TYPE shop.inner_t (a int);\n"
	"CREATE TYPE shop.\"Addr\" (i frozen<inner_t>);\n"
	"CREATE TYPE shop.unused (a int);\n"
	"CREATE KEYSPACE shop WITH replication = {'class': 'shop'};\n"
	"CREATE KEYSPACE IF NOT EXISTS test WITH replication = {'class': 'test'};\n"
	"CREATE TABLE test.t (id int PRIMARY KEY);\n"
	"CREATE KEYSPACE system_auth WITH x;\n"
	"CREATE TABLE system_auth.roles (role text PRIMARY KEY);\n";

#define KEYSPACE "CREATE KEYSPACE IF NOT EXISTS shop WITH replication = {'class': 'shop'};\n"
#define KEYSPACE_2 "CREATE KEYSPACE IF NOT EXISTS \"s2\" WITH replication = {'class': 'shop'};\n"
#define USERS                                                                                       \
	"CREATE TABLE shop.\"Users\" (id int PRIMARY KEY, n int, a frozen<\"Addr\">) WITH ID = " ID \
	"\n    AND comment = 'x; shop.Users ''y''';\n"
#define ALTERS                                                   \
	"ALTER TABLE shop.\"Users\" DROP n USING TIMESTAMP 1;\n" \
	"ALTER TABLE shop.\"Users\" ADD n int;\n"
#define VIEW                                                                                                                       \
	"CREATE MATERIALIZED VIEW shop.by_n AS SELECT * FROM shop.\"Users\" WHERE n IS NOT NULL PRIMARY KEY (n, id) WITH ID = " ID \
	" AND comment = 'of shop.Users';\n"

#define LIST 3

/* What is printed for these, up to the first NULL of each; or what is said. */
static char *chosen(const char *of, const char *const *only, const char *const *renames, int *ret,
		    struct err *e)
{
	_cleanup_(cql_freep) struct cql *q = NULL;
	_cleanup_(schema_freep) struct schema *s = NULL;
	struct schema_name names[LIST];
	struct schema_rename pairs[LIST];
	struct schema_options o = { .only = names, .renames = pairs };
	struct wbuf out;

	*e = ERR_INIT;
	wbuf_init(&out, 1 << 20);
	while (o.only_count < LIST && only[o.only_count]) {
		cr_assert_eq(schema_parse_name(only[o.only_count], &names[o.only_count]), 0);
		o.only_count++;
	}
	while (o.rename_count < LIST && renames[o.rename_count]) {
		cr_assert_eq(schema_parse_rename(renames[o.rename_count], &pairs[o.rename_count]),
			     0);
		o.rename_count++;
	}
	cr_assert_eq(cql_read(of, strlen(of), &q, e), 0, "%s", e->message);
	*ret = schema_choose(q, &o, &s, e);
	for (size_t i = 0; *ret == 0 && i < s->item_count; i++) {
		schema_print(s, &s->items[i], &out);
		wbuf_u8(&out, '\n');
	}
	wbuf_u8(&out, 0);
	return (char *)out.data;
}

Test(schema, all_of_it_in_an_order_that_can_be_run)
{
	struct err e;
	int r;
	_cleanup_free_ char *found =
		chosen(text, (const char *[]){ NULL }, (const char *[]){ NULL }, &r, &e);

	cr_assert_eq(r, 0, "%s", e.message);
	cr_expect_str_eq(
		found, KEYSPACE
		"CREATE KEYSPACE IF NOT EXISTS test WITH replication = {'class': 'test'};\n"
		"CREATE TYPE shop.inner_t (a int);\n"
		"CREATE TYPE shop.\"Addr\" (i frozen<inner_t>);\n"
		"CREATE TYPE shop.unused (a int);\n"
		"CREATE FUNCTION shop.hide(x int) LANGUAGE java AS $$ return \"shop.plain; \"; $$;\n"
		"CREATE AGGREGATE shop.total(int) SFUNC shop.hide STYPE int;\n" USERS
		"CREATE TABLE shop.plain (id int PRIMARY KEY, x int MASKED WITH shop.hide()) WITH ID = " ID
		";\n"
		"CREATE TABLE test.t (id int PRIMARY KEY);\n" ALTERS
		"CREATE INDEX users_v ON shop.\"Users\" (v);\n" VIEW);
}

Test(schema, a_type_that_only_describe_knows_is_printed_as_create_knows_it)
{
#define KEPT "CREATE KEYSPACE IF NOT EXISTS k WITH x;\n"
#define WITH_EMPTY(type) \
	"CREATE TABLE k.t (empty int, v " type ", PRIMARY KEY (empty)) WITH comment = 'v empty';\n"
#define OWN "CREATE TYPE k.empty (a int);\n"
	static const char *const cases[][2] = {
		{ KEPT WITH_EMPTY("empty"), KEPT WITH_EMPTY("'EmptyType'") },
		{ KEPT OWN WITH_EMPTY("empty"), KEPT OWN WITH_EMPTY("empty") },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err e;
		int r;
		_cleanup_free_ char *found = chosen(cases[i][0], (const char *[]){ NULL },
						    (const char *[]){ NULL }, &r, &e);

		cr_assert_eq(r, 0, "%s", e.message);
		cr_expect_str_eq(found, cases[i][1]);
	}
}

/* Somebody may have changed a type since the backup: no table is refused for it that has only the name in common. */
Test(schema, what_only_has_the_name_of_a_type_does_not_need_it)
{
#define OTHERS \
	"CREATE KEYSPACE k WITH x;\nCREATE TYPE k.comment (a int);\nCREATE TYPE k.v (a int);\n"
#define MADE "CREATE KEYSPACE IF NOT EXISTS k WITH x;\n"
#define OF_TYPE "CREATE TYPE k.v (a int);\n"
	static const char *const cases[][2] = {
		{ "CREATE TABLE k.t (id int, v text, PRIMARY KEY (id, v)) WITH comment = '';\n",
		  "" },
		{ "CREATE TABLE k.t (v int PRIMARY KEY) WITH CLUSTERING ORDER BY (v ASC) AND v = {'v': v};\n",
		  "" },
		{ "CREATE TABLE k.t (id int PRIMARY KEY, v v) WITH comment = '';\n", OF_TYPE },
		{ "CREATE TABLE k.t (id int PRIMARY KEY, a map<int, frozen<v>>);\n", OF_TYPE },
		{ "CREATE TABLE k.t (id int PRIMARY KEY, a tuple<v, int>, b int);\n", OF_TYPE },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_free_ char *of = util_printf("%s%s", OTHERS, cases[i][0]);
		_cleanup_free_ char *want = util_printf("%s%s%s", MADE, cases[i][1], cases[i][0]);
		struct err e;
		int r;
		_cleanup_free_ char *found = chosen(of, (const char *[]){ "k.t", NULL },
						    (const char *[]){ NULL }, &r, &e);

		cr_assert_eq(r, 0, "%s", e.message);
		cr_expect_str_eq(found, want);
	}
}

Test(schema, a_table_comes_with_what_it_needs_and_nothing_else)
{
	static const struct {
		const char *only[LIST], *renames[LIST], *printed;
	} cases[] = {
		{ { "shop.Users" },
		  { NULL },
		  KEYSPACE "CREATE TYPE shop.inner_t (a int);\n"
			   "CREATE TYPE shop.\"Addr\" (i frozen<inner_t>);\n" USERS ALTERS
			   "CREATE INDEX users_v ON shop.\"Users\" (v);\n" VIEW },
		{ { "shop.plain" },
		  { NULL },
		  KEYSPACE
		  "CREATE FUNCTION shop.hide(x int) LANGUAGE java AS $$ return \"shop.plain; \"; $$;\n"
		  "CREATE TABLE shop.plain (id int PRIMARY KEY, x int MASKED WITH shop.hide()) WITH ID = " ID
		  ";\n" },
		{ { "test" },
		  { NULL },
		  "CREATE KEYSPACE IF NOT EXISTS test WITH replication = {'class': 'test'};\n"
		  "CREATE TABLE test.t (id int PRIMARY KEY);\n" },
		/* Into another keyspace: with its types, without its id. */
		{ { "shop.Users" },
		  { "shop.Users=s2.People", "shop.by_n=s2.By" },
		  KEYSPACE_2
		  "CREATE TYPE \"s2\".inner_t (a int);\n"
		  "CREATE TYPE \"s2\".\"Addr\" (i frozen<inner_t>);\n"
		  "CREATE TABLE \"s2\".\"People\" (id int PRIMARY KEY, n int, a frozen<\"Addr\">) WITH comment = 'x; shop.Users ''y''';\n"
		  "ALTER TABLE \"s2\".\"People\" DROP n USING TIMESTAMP 1;\n"
		  "ALTER TABLE \"s2\".\"People\" ADD n int;\n"
		  "CREATE INDEX users_v ON \"s2\".\"People\" (v);\n"
		  "CREATE MATERIALIZED VIEW \"s2\".\"By\" AS SELECT * FROM \"s2\".\"People\" WHERE n IS NOT NULL PRIMARY KEY (n, id) WITH comment = 'of shop.Users';\n" },
		/* Beside the original: the name of its index is taken. */
		{ { "shop.Users" },
		  { "shop.Users=shop.u2", "shop.by_n=shop.v2" },
		  KEYSPACE
		  "CREATE TYPE shop.inner_t (a int);\n"
		  "CREATE TYPE shop.\"Addr\" (i frozen<inner_t>);\n"
		  "CREATE TABLE shop.\"u2\" (id int PRIMARY KEY, n int, a frozen<\"Addr\">) WITH comment = 'x; shop.Users ''y''';\n"
		  "ALTER TABLE shop.\"u2\" DROP n USING TIMESTAMP 1;\n"
		  "ALTER TABLE shop.\"u2\" ADD n int;\n"
		  "CREATE INDEX ON shop.\"u2\" (v);\n"
		  "CREATE MATERIALIZED VIEW shop.\"v2\" AS SELECT * FROM shop.\"u2\" WHERE n IS NOT NULL PRIMARY KEY (n, id) WITH comment = 'of shop.Users';\n" },
		/* A whole keyspace; a table whose only property is its id. */
		{ { "shop.plain" },
		  { "shop=s2" },
		  KEYSPACE_2
		  "CREATE FUNCTION \"s2\".hide(x int) LANGUAGE java AS $$ return \"shop.plain; \"; $$;\n"
		  "CREATE TABLE \"s2\".plain (id int PRIMARY KEY, x int MASKED WITH \"s2\".hide());\n" },
		/* Into a keyspace of the backup: it has a replication of its own. */
		{ { "test.t", "shop.plain" },
		  { "shop.plain=test.p" },
		  "CREATE KEYSPACE IF NOT EXISTS test WITH replication = {'class': 'test'};\n"
		  "CREATE FUNCTION \"test\".hide(x int) LANGUAGE java AS $$ return \"shop.plain; \"; $$;\n"
		  "CREATE TABLE \"test\".\"p\" (id int PRIMARY KEY, x int MASKED WITH \"test\".hide());\n"
		  "CREATE TABLE test.t (id int PRIMARY KEY);\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e;
		int r;
		_cleanup_free_ char *found = chosen(text, cases[i].only, cases[i].renames, &r, &e);

		cr_assert_eq(r, 0, "%zu: %s", i, e.message);
		cr_expect_str_eq(found, cases[i].printed);
	}
}

Test(schema, what_cannot_be_made_is_refused)
{
	static const struct {
		const char *only[LIST], *renames[LIST], *said;
		enum err_kind kind;
	} cases[] = {
		{ { "shop.users" },
		  { NULL },
		  "shop.users names no table or keyspace of the schema that has to be made",
		  ERR_NOT_FOUND },
		{ { "shop.Addr" },
		  { NULL },
		  "shop.Addr names no table or keyspace of the schema that has to be made",
		  ERR_NOT_FOUND },
		{ { "system_auth" },
		  { NULL },
		  "system_auth names no table or keyspace of the schema that has to be made",
		  ERR_NOT_FOUND },
		{ { "test" },
		  { "shop.plain=shop.p" },
		  "shop.plain, which is to be renamed, is not among what is chosen",
		  ERR_NOT_FOUND },
		{ { NULL },
		  { "shop.plain=test.t" },
		  "shop.plain and test.t would both be test.t",
		  ERR_USAGE },
		{ { NULL },
		  { "shop.plain=shop.by_n" },
		  "shop.plain and shop.by_n would both be shop.by_n",
		  ERR_USAGE },
		{ { NULL },
		  { "shop.by_n=test.v" },
		  "the view shop.by_n is made where its table is, in shop",
		  ERR_USAGE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e;
		int r;
		_cleanup_free_ char *found = chosen(text, cases[i].only, cases[i].renames, &r, &e);

		cr_expect_lt(r, 0, "%zu: %s", i, found);
		cr_expect_str_eq(e.message, cases[i].said);
		cr_expect_eq(e.kind, cases[i].kind);
	}
}

Test(schema, types_that_need_each_other_come_to_an_end)
{
	struct err e;
	int r;
	_cleanup_free_ char *found =
		chosen("CREATE KEYSPACE k WITH x; CREATE TYPE k.a (b frozen<b>);"
		       "CREATE TYPE k.b (a frozen<a>); CREATE TABLE k.t (i frozen<a>);"
		       "CREATE TABLE k.u (i frozen<b>);",
		       (const char *[]){ "k.t", "k.u", NULL }, (const char *[]){ "k.t=l.t", NULL },
		       &r, &e);

	cr_assert_eq(r, 0, "%s", e.message);
	cr_expect_str_eq(found, "CREATE KEYSPACE IF NOT EXISTS k WITH x;\n"
				"CREATE KEYSPACE IF NOT EXISTS \"l\" WITH x;\n"
				"CREATE TYPE k.a (b frozen<b>);\n"
				"CREATE TYPE \"l\".a (b frozen<b>);\n"
				"CREATE TYPE k.b (a frozen<a>);\n"
				"CREATE TYPE \"l\".b (a frozen<a>);\n"
				"CREATE TABLE \"l\".t (i frozen<a>);\n"
				"CREATE TABLE k.u (i frozen<b>);\n");
}

Test(schema, what_stands_close_together_stays_apart)
{
	struct err e;
	int r;
	_cleanup_free_ char *found = chosen(
		"CREATE KEYSPACE\"k\"WITH x; CREATE TABLE\"k\".\"t\"(i int)WITH ID=1-2 AND\"c\"=1;"
		"CREATE INDEX\"i\"ON\"k\".\"t\"(v); CREATE TABLE k.v(i int)WITH ID=3;"
		"CREATE MATERIALIZED VIEW k.w AS WITH ID = 1 AND 2 FROM k.t;",
		(const char *[]){ NULL }, (const char *[]){ "k.t=k.u", "k.v=k.x", "k.w=k.y" }, &r,
		&e);

	cr_assert_eq(r, 0, "%s", e.message);
	cr_expect_str_eq(found,
			 "CREATE KEYSPACE IF NOT EXISTS \"k\"WITH x;\n"
			 "CREATE TABLE\"k\".\"u\"(i int)WITH \"c\"=1;\n"
			 "CREATE TABLE k.\"x\"(i int);\n"
			 "CREATE INDEX ON\"k\".\"u\"(v);\n"
			 "CREATE MATERIALIZED VIEW k.\"y\" AS WITH ID = 1 AND 2 FROM k.\"u\";\n");
}

Test(schema, names_on_the_command_line_are_those_of_directories)
{
	static const char *const names[] = { "", ".", "a.", ".b", "a.b.c", "a b", "a-b", "\"a\"" };
	static const char *const pairs[] = { "a.b",   "a=",    "=a",	   "a.b=c",
					     "a=b.c", "a=b=c", "a.b=c.d.e" };
	struct schema_name n;
	struct schema_rename r;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		cr_expect_eq(schema_parse_name(names[i], &n), -EINVAL, "%s", names[i]);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		cr_expect_eq(schema_parse_rename(pairs[i], &r), -EINVAL, "%s", pairs[i]);
	cr_expect_eq(schema_parse_rename("Shop.t_1=s2.T", &r), 0);
	cr_expect_str_eq(r.from.keyspace, "Shop");
	cr_expect_str_eq(r.from.table, "t_1");
	cr_expect_str_eq(r.to.keyspace, "s2");
	cr_expect_str_eq(r.to.table, "T");
}

Test(schema, data_centres_of_a_keyspace_become_others_or_are_left_out)
{
	static const struct {
		const char *keyspace, *dcs[2], *wanted;
		bool leave_out[2];
	} cases[] = {
		{ "{'class': 'N', 'a': '3', 'b': '2'}",
		  { "a=x" },
		  "{'class': 'N', 'x': '3', 'b': '2'}",
		  { false } },
		{ "{'class': 'N', 'a': '3', 'b': '2'}",
		  { "a" },
		  "{'class': 'N', 'b': '2'}",
		  { true } },
		{ "{'class': 'N', 'a': '3', 'b': '2'}",
		  { "b" },
		  "{'class': 'N', 'a': '3'}",
		  { true } },
		{ "{'class':'N','a':'3','b':'2'} AND x = {'a': '1'}",
		  { "a=b", "b=a" },
		  "{'class': 'N', 'b': '3', 'a': '2'} AND x = {'a': '1'}",
		  { false, false } },
		{ "{'class': 'N', 'a': '3', 'b': '2'}",
		  { "a", "b" },
		  "{'class': 'N'}",
		  { true, true } },
		{ "{'class': 'N', 'ab': '3'}", { "a=x" }, "{'class': 'N', 'ab': '3'}", { false } },
		{ "{'class': 'N', 'a'", { "a=x" }, "{'class': 'N', 'a'", { false } },
		{ "{}", { "a=x" }, "{}", { false } },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_free_ char *of = util_printf(
			"CREATE KEYSPACE k WITH replication = %s AND durable_writes = true;",
			cases[i].keyspace);
		_cleanup_free_ char *wanted = util_printf(
			"CREATE KEYSPACE IF NOT EXISTS k WITH replication = %s AND durable_writes = true;",
			cases[i].wanted);
		_cleanup_(cql_freep) struct cql *q = NULL;
		_cleanup_(schema_freep) struct schema *s = NULL;
		struct schema_dc dcs[2];
		struct schema_options o = { .dcs = dcs };
		struct err e = ERR_INIT;
		struct wbuf out;

		for (; o.dc_count < 2 && cases[i].dcs[o.dc_count]; o.dc_count++)
			cr_assert_eq(schema_parse_dc(cases[i].dcs[o.dc_count],
						     cases[i].leave_out[o.dc_count],
						     &dcs[o.dc_count]),
				     0);
		cr_assert_eq(cql_read(of, strlen(of), &q, &e), 0, "%s", e.message);
		cr_assert_eq(schema_choose(q, &o, &s, &e), 0, "%s", e.message);
		wbuf_init(&out, 1 << 20);
		schema_print(s, &s->items[0], &out);
		wbuf_u8(&out, 0);
		cr_expect_str_eq((char *)out.data, wanted);
		wbuf_deinit(&out);
	}
}

Test(schema, what_is_no_data_centre_is_refused)
{
	struct schema_dc dc;

	cr_expect_neq(schema_parse_dc("a", false, &dc), 0);
	cr_expect_neq(schema_parse_dc("=b", false, &dc), 0);
	cr_expect_neq(schema_parse_dc("a=", false, &dc), 0);
	cr_expect_neq(schema_parse_dc("a=b', 'c': '1", false, &dc), 0);
	cr_expect_neq(schema_parse_dc("", true, &dc), 0);
	cr_expect_eq(schema_parse_dc("dc 1=dc=2", false, &dc), 0);
	cr_expect_str_eq(dc.from, "dc 1");
	cr_expect_str_eq(dc.to, "dc=2");
}
