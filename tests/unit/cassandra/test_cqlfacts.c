/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>
#include "base/util.h"
#include "cassandra/cqlfacts.h"

#define ID_A "3512f072-ed46-4bcb-84c8-a395dc445594"
#define ID_B "90e31f5e-13a5-4d02-a8c5-a0bd7e5c2aa1"
#define WARNED \
	"WARNING: cqlsh was built against 5.0.0, but this server is 5.0.9.  All features may not work!\n"
#define LOCAL                                                                                    \
	"\n [json]\n------\n {\"key\": \"local\", \"cluster_name\": \"Test\", \"partitioner\": " \
	"\"org.apache.cassandra.dht.Murmur3Partitioner\", \"host_id\": \"" ID_A                  \
	"\", \"broadcast_address\": \"10.0.0.1\", \"data_center\": \"dc 1\", \"rack\": \"r1\", " \
	"\"release_version\": \"5.0.9\", \"tokens\": [\"-10\", \"-9\", \"11\", \"7\"]}\n\n(1 rows)\n"
#define SETTING(name, value) "   {\"name\": \"" name "\", \"value\": " value "}\n"

Test(cqlfacts, a_node_and_the_others_are_read)
{
	_cleanup_(facts_freep) struct facts *f = facts_new();
	struct err e = ERR_INIT;

	cr_assert_eq(cqlfacts_read(f,
				   WARNED LOCAL
				   "\n [json]\n------\n"
				   " {\"peer\": \"10.0.0.2\", \"host_id\": \"" ID_B
				   "\", \"data_center\": \"dc2\", \"rack\": \"r2\"}\n"
				   "      {\"peer\": \"10.0.0.3\", \"host_id\": null, "
				   "\"data_center\": null, \"rack\": null}\n\n(2 rows)\n",
				   &e),
		     0, "%s", e.message);
	cr_expect_str_eq(f->cluster, "Test");
	cr_expect_str_eq(f->partitioner, "org.apache.cassandra.dht.Murmur3Partitioner");
	cr_expect_str_eq(f->host_id, ID_A);
	cr_expect_str_eq(f->address, "10.0.0.1");
	cr_expect_str_eq(f->dc, "dc 1");
	cr_expect_str_eq(f->version, "5.0.9");
	cr_assert_eq(f->token_count, 4);
	for (size_t i = 0; i < 4; i++)
		cr_expect_str_eq(f->tokens[i], ((const char *[]){ "-10", "-9", "7", "11" })[i]);
	cr_assert_eq(f->member_count, 2, "who left is none");
	cr_expect_eq(f->members[0].status, 'U');
	cr_expect_eq(f->members[0].state, 'N');
	cr_expect_str_eq(f->members[0].address, "10.0.0.1");
	cr_expect_str_eq(f->members[1].host_id, ID_B);
	cr_expect_str_eq(f->members[1].address, "10.0.0.2");
	cr_expect_eq(f->members[1].status, '?');
	cr_expect_eq(f->members[1].state, '?');
	cr_expect_str_eq(cqlfacts_missing(f), "data directories");
	cr_expect(facts_has_table(f, "ks.t"), "tables that were not asked for are not known");
}

Test(cqlfacts, settings_and_tables_are_read)
{
	_cleanup_(facts_freep) struct facts *f = facts_new();
	struct err e = ERR_INIT;

	cr_assert_eq(
		cqlfacts_read(
			f,
			LOCAL
			"\n [json]\n------\n" SETTING("local_system_data_file_directory", "\"/c/\"")
				SETTING("storage_compatibility_mode", "\"NONE\"") SETTING(
					"data_file_directories",
					"\"[/b, /a,x, /b]\"") "\n [json]\n------\n"
							      "  {\"keyspace_name\": \"ks\", \"table_name\": \"t\"}\n"
							      " {\"keyspace_name\": \"ks\", \"table_name\": \"Two\"}\n",
			&e),
		0, "%s", e.message);
	cr_expect_str_eq(f->compatibility_mode, "NONE");
	cr_assert_eq(f->data_dir_count, 3);
	for (size_t i = 0; i < 3; i++)
		cr_expect_str_eq(f->data_dirs[i], ((const char *[]){ "/b", "/a,x", "/c/" })[i]);
	cr_expect_null(cqlfacts_missing(f));
	cr_expect(facts_has_table(f, "ks"));
	cr_expect(facts_has_table(f, "ks.Two"));
	cr_expect_not(facts_has_table(f, "ks.two"));
}

Test(cqlfacts, tokens_of_bytes_are_in_the_order_of_bytes)
{
	_cleanup_(facts_freep) struct facts *f = facts_new();
	struct err e = ERR_INIT;

	cr_assert_eq(
		cqlfacts_read(
			f,
			"\n {\"key\": \"local\", \"partitioner\": \"x.ByteOrderedPartitioner\", "
			"\"host_id\": \"" ID_A "\", \"release_version\": \"5.0.9\", "
			"\"tokens\": [\"20\", \"1234\"]}\n",
			&e),
		0, "%s", e.message);
	cr_expect_str_eq(f->tokens[0], "1234");
}

/* One directory of one name, or two: it cannot be told. */
Test(cqlfacts, directories_that_are_no_whole_paths_are_not_taken)
{
	static const char *const lists[] = { "\"[/a, b]\"", "\"[a]\"", "\"[]\"",
					     "\"/a\"",	    "null",    "7" };

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		_cleanup_(facts_freep) struct facts *f = facts_new();
		_cleanup_free_ char *text = util_printf(
			LOCAL "\n {\"name\": \"data_file_directories\", \"value\": %s}\n" SETTING(
				"local_system_data_file_directory", "\"/c\""),
			lists[i]);
		struct err e = ERR_INIT;

		cr_assert_eq(cqlfacts_read(f, text, &e), 0, "%zu", i);
		cr_expect_not_null(cqlfacts_missing(f), "%zu", i);
	}
}

Test(cqlfacts, what_does_not_name_the_node_is_refused)
{
	static const char *const texts[] = {
		"",
		WARNED,
		"\n [json]\n------\n\n(0 rows)\n",
		"\n {\"peer\": \"10.0.0.2\", \"host_id\": \"" ID_B
		"\", \"release_version\": \"5.0.9\"}\n",
		"\n {\"key\": \"local\", \"host_id\": \"" ID_A "\"}\n",
		/* A rack of r\1, whose backslash JSON doubles, and cqlsh again. */
		"\n {\"key\": \"local\", \"host_id\": \"" ID_A
		"\", \"rack\": \"r\\\\\\\\1\", \"release_version\": \"5.0.9\"}\n",
		"\n {\"key\": \"local\", \"host_id\": 7, \"release_version\": \"5.0.9\"}\n",
		"\n {\"key\": \"local\", \"host_id\": \"" ID_A "\", \"release_version\": \"5.0",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_(facts_freep) struct facts *f = facts_new();
		struct err e = ERR_INIT;

		cr_expect_lt(cqlfacts_read(f, texts[i], &e), 0, "%zu", i);
		cr_expect_neq(*e.message, '\0');
	}
}
