/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "cassandra/compressors.h"

static const char schema[] =
	"CREATE TABLE shop.a (id int PRIMARY KEY) WITH ID = 1\n"
	"    AND compaction = {'class': 'org.example.Compaction'}\n"
	"    AND compression = {'chunk_length_in_kb': '16', 'class': 'org.apache.cassandra.io.compress.LZ4Compressor'};\n"
	"CREATE TABLE shop.b (compression text PRIMARY KEY) WITH compression = {'class': 'org.example.Fast'}\n"
	"    AND caching = {'class': 'none'};\n"
	"CREATE TABLE shop.c (id int PRIMARY KEY) WITH compression = {'enabled': 'false'} AND comment = 'x';\n"
	"CREATE TABLE shop.d (id int PRIMARY KEY) WITH compression = {'sstable_compression': 'SnappyCompressor'};\n"
	"CREATE MATERIALIZED VIEW shop.v AS SELECT id FROM shop.a PRIMARY KEY (id) WITH COMPRESSION={'class':'Own'};\n"
	"CREATE TABLE shop.e (id int PRIMARY KEY) WITH compression = {'class': 'org.apache.cassandra.io.compress.Zst'};\n"
	"CREATE TABLE shop.f (id int PRIMARY KEY) WITH comment = 'compression = {''class'': ''No''}';\n";

static int take(void *ctx, const struct cql_statement *table, const char *class_name, struct err *e)
{
	char *out = ctx;

	sprintf(out + strlen(out), "%s.%s %s, ", table->keyspace, table->name, class_name);
	return strcmp(class_name, "Own") == 0 && *out == '!' ? -ECANCELED : 0;
}

Test(compressors, those_of_somebody_else_are_named_with_their_tables)
{
	_cleanup_(cql_freep) struct cql *q = NULL;
	struct err e = ERR_INIT;
	char out[500] = "";

	cr_assert_eq(cql_read(schema, strlen(schema), &q, &e), 0, "%s", e.message);
	cr_expect_eq(compressors_foreign(q, take, out, &e), 0);
	cr_expect_str_eq(
		out,
		"shop.b org.example.Fast, shop.v Own, shop.e org.apache.cassandra.io.compress.Zst, ");
	strcpy(out, "!");
	cr_expect_eq(compressors_foreign(q, take, out, &e), -ECANCELED);
	cr_expect_str_eq(out, "!shop.b org.example.Fast, shop.v Own, ");
}
