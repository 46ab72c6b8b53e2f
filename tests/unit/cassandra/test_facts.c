/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include "base/util.h"
#include "cassandra/cqlsh.h"
#include "cassandra/facts.h"
#include "cassandra/nodetool.h"
#include "cassandra/topology.h"

#define ID_A "3512f072-ed46-4bcb-84c8-a395dc445594"
#define ID_B "90e31f5e-13a5-4d02-a8c5-a0bd7e5c2aa1"
#define ID_C "a2f0b6a1-7a35-4f4f-9bd0-6d1f0b7b2c33"

/* What nodetool 5.0.9 printed, shortened. */
static const char info[] = "ID                     : " ID_A "\n"
			   "Gossip active          : true\n"
			   "Load                   : 114.42 KiB\n"
			   "Heap Memory (MB)       : 469.27 / 512.00\n"
			   "Data Center            : datacenter1\n"
			   "Rack                   : rack 1\n"
			   "Key Cache              : entries 8, size 640 bytes\n"
			   "Token                  : -3151725334330678705\n"
			   "Token                  : 2863631429969773783\n"
			   "Bootstrap state        : COMPLETED\n";
static const char status[] =
	"Datacenter: dc 1\n"
	"=======================\n"
	"Status=Up/Down\n"
	"|/ State=Normal/Leaving/Joining/Moving\n"
	"--  Address     Load        Tokens  Owns (effective)  Host ID                               Rack \n"
	"UN  127.40.0.1  114.42 KiB  4       100.0%            " ID_A "  rack 1\n"
	"DL  fe80:0:0:0:0:0:0:1  ?   16      ?                 " ID_B "  r2\n"
	"Datacenter: dc2\n"
	"===============\n"
	"?J  10.0.0.3    1.5 GiB     16      33.3%             " ID_C "  r2\n"
	"\n"
	"Note: Non-system keyspaces don't have the same replication settings, effective ownership information is meaningless\n";
static const char cluster[] = "Cluster Information:\n"
			      "\tName: Test: Cluster\n"
			      "\tSnitch: org.apache.cassandra.locator.SimpleSnitch\n"
			      "\tPartitioner: org.apache.cassandra.dht.Murmur3Partitioner\n"
			      "\tSchema versions:\n"
			      "\t\td03783d7-b468-3c1a-82f1-8e30b2edde8b: [127.40.0.1]\n"
			      "\n"
			      "Database versions:\n"
			      "\t4.1.10: [10.0.0.3:7000, 127.40.0.11:7000]\n"
			      "\t5.0.9: [127.40.0.1:7000]\n"
			      "\n"
			      "Keyspaces:\n"
			      "\tName -> Replication class: LocalStrategy {}\n";

static struct facts *all(void)
{
	struct facts *f = facts_new();
	struct err e = ERR_INIT;

	cr_assert_eq(facts_read_info(f, info, &e), 0, "%s", e.message);
	cr_assert_eq(facts_read_status(f, status, &e), 0, "%s", e.message);
	cr_assert_eq(facts_complete(f, &e), 0, "%s", e.message);
	cr_assert_eq(facts_read_describecluster(f, cluster, &e), 0, "%s", e.message);
	return f;
}

Test(facts, a_node_says_what_it_is)
{
	_cleanup_(facts_freep) struct facts *f = all();

	cr_expect_str_eq(f->host_id, ID_A);
	cr_expect_str_eq(f->address, "127.40.0.1");
	cr_expect_str_eq(f->dc, "datacenter1");
	cr_expect_str_eq(f->rack, "rack 1");
	cr_expect_str_eq(f->cluster, "Test: Cluster");
	cr_expect_str_eq(f->partitioner, "org.apache.cassandra.dht.Murmur3Partitioner");
	cr_expect_str_eq(f->version, "5.0.9");
	cr_assert_eq(f->token_count, 2);
	cr_expect_str_eq(f->tokens[0], "-3151725334330678705");
}

Test(facts, every_node_of_the_cluster_is_seen)
{
	static const struct facts_member expected[] = {
		{ (char *)(size_t)ID_A, (char *)(size_t) "127.40.0.1", (char *)(size_t) "dc 1",
		  (char *)(size_t) "rack 1", 'U', 'N', 4 },
		{ (char *)(size_t)ID_B, (char *)(size_t) "fe80:0:0:0:0:0:0:1",
		  (char *)(size_t) "dc 1", (char *)(size_t) "r2", 'D', 'L', 16 },
		{ (char *)(size_t)ID_C, (char *)(size_t) "10.0.0.3", (char *)(size_t) "dc2",
		  (char *)(size_t) "r2", '?', 'J', 16 },
	};
	_cleanup_(facts_freep) struct facts *f = all();

	cr_assert_eq(f->member_count, ARRAY_SIZE(expected));
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		cr_expect_str_eq(f->members[i].host_id, expected[i].host_id);
		cr_expect_str_eq(f->members[i].address, expected[i].address);
		cr_expect_str_eq(f->members[i].dc, expected[i].dc);
		cr_expect_str_eq(f->members[i].rack, expected[i].rack);
		cr_expect_eq(f->members[i].status, expected[i].status);
		cr_expect_eq(f->members[i].state, expected[i].state);
		cr_expect_eq(f->members[i].token_count, expected[i].token_count);
	}
}

/* Where every node has one token (num_tokens: 1), the token stands between the host id and the rack. */
Test(facts, a_token_is_not_the_rack)
{
	static const char text[] =
		"Datacenter: dc1\n===============\nStatus=Up/Down\n|/ State=Normal/Leaving/Joining/Moving\n"
		"--  Address    Load       Owns (effective)  Host ID                               Token                 Rack \n"
		"UN  127.0.0.1  70.3 KiB   50.0%             " ID_A
		"  -9223372036854775808  rack 1\n"
		"UN  127.0.0.2  ?          50.0%             " ID_B "  0                     r2\n";
	_cleanup_(facts_freep) struct facts *f = facts_new();
	struct err e = ERR_INIT;

	cr_assert_eq(facts_read_status(f, text, &e), 0, "%s", e.message);
	cr_assert_eq(f->member_count, 2);
	cr_expect_str_eq(f->members[0].rack, "rack 1");
	cr_expect_str_eq(f->members[1].rack, "r2");
	cr_expect_str_eq(f->members[1].host_id, ID_B);
	cr_expect_eq(f->members[0].token_count, 1);
}

Test(facts, a_node_that_has_not_joined_has_no_token)
{
	_cleanup_(facts_freep) struct facts *f = facts_new();
	struct err e = ERR_INIT;

	cr_assert_eq(
		facts_read_info(f,
				"ID                     : " ID_A "\n"
				"Token                  : (node is not joined to the cluster)\n",
				&e),
		0, "%s", e.message);
	cr_expect_eq(f->token_count, 0);
}

Test(facts, data_directories_come_in_the_order_of_cassandra_yaml)
{
	/* `local` lies where the node keeps its own tables; the order of tables is that of a hash map. */
	static const char *const texts[] = {
		"OpenJDK 64-Bit Server VM warning: Option X was deprecated\n[0.01s][warning] {x}\n{\"ks\": {\"t\": [\"/b/ks/t-2\", \"/a/ks/t-2\"], \"v\": [\"/s y/ks/v-1\"]}}\n",
		"{\"system\": {\"local\": [\"/s y/system/local-1\"]}, \"ks\": {\"t\": [\"/b/ks/t-2\", \"/a/ks/t-2\"]}}",
		"{\"ks\": {\"t\": [\"/b/ks/t-2\", \"/a/ks/t-2\"]}, \"system\": {\"peers\": [\"/b/system/p-3\"], \"local\": [\"/s y/system/local-1\"]}}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_(facts_freep) struct facts *f = facts_new();
		struct err e = ERR_INIT;

		cr_assert_eq(facts_read_datapaths(f, texts[i], &e), 0, "%s", e.message);
		cr_assert_eq(f->data_dir_count, 3);
		cr_expect_str_eq(f->data_dirs[0], "/b");
		cr_expect_str_eq(f->data_dirs[1], "/a");
		cr_expect_str_eq(f->data_dirs[2], "/s y");
		cr_expect(facts_has_table(f, "ks"));
		cr_expect(facts_has_table(f, "ks.t"));
		cr_expect_not(facts_has_table(f, "ks.u"));
		cr_expect_not(facts_has_table(f, "k"));
	}
}

Test(facts, what_is_something_else_is_refused)
{
	static const char *const paths[] = {
		"",
		"[]",
		"{\"ks\": {\"t\": [\"relative/ks/t-1\"]}}",
		"{\"ks\": {\"t\": [\"/a/other/t-1\"]}}",
		"{\"ks\": {\"t\": [3]}}",
		"{}",
		"{\"ks\": 7}",
		"{\"ks\": {\"t\": [\"/ks/t-1\"]}}",
	};
	_cleanup_(facts_freep) struct facts *f = facts_new();
	_cleanup_free_ char *huge = malloc(3000);
	struct err e = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		cr_expect_lt(facts_read_datapaths(f, paths[i], &e), 0, "%s", paths[i]);
	cr_expect_eq(facts_read_info(f, "Rack : r\n", &e), -EBADMSG);
	cr_expect_eq(facts_read_status(f, "Datacenter: d\n", &e), -EBADMSG);
	cr_expect_eq(facts_read_describecluster(f, "Cluster Information:\n", &e), -EBADMSG);
	memset(huge, 'x', 2999);
	memcpy(huge, "Rack:", 5);
	huge[2999] = 0;
	cr_expect_eq(facts_read_info(f, huge, &e), -EBADMSG);
	/* A node that its own cluster does not know. */
	cr_expect_eq(facts_read_status(f, status, &e), 0);
	cr_expect_eq(facts_complete(f, &e), -EBADMSG);
}

Test(facts, a_version_that_several_share_is_none)
{
	_cleanup_(facts_freep) struct facts *f = facts_new();
	struct err e = ERR_INIT;

	cr_assert_eq(
		facts_read_describecluster(
			f,
			"\tName: c\nDatabase versions:\n\t4.1.10: [10.0.0.2]\n\t5.0.9: [10.0.0.3]\n",
			&e),
		0);
	cr_expect_str_eq(f->version, "");
	cr_assert_eq(facts_read_describecluster(
			     f, "\tName: c\nDatabase versions:\n\t4.1.10: [10.0.0.2]\n", &e),
		     0);
	cr_expect_str_eq(f->version, "4.1.10");
}

Test(topology, the_order_of_nodes_does_not_matter)
{
	_cleanup_(facts_freep) struct facts *f = all();
	_cleanup_free_ char *a = topology_text(f), *b = NULL;
	struct facts_member first = f->members[0];

	f->members[0] = f->members[2];
	f->members[2] = first;
	b = topology_text(f);
	cr_expect_str_eq(a, b);
	cr_expect(strstr(a, "\"state\": \"leaving\""));
	cr_expect(strstr(a, "\"status\": \"unknown\""));
}

Test(nodetool, the_sentence_that_says_why_is_found)
{
	static const struct {
		const char *errors, *out, *reason;
	} cases[] = {
		{ "error: Snapshot t1 already exists.\n-- StackTrace --\njava.io.IOException: x\n",
		  "Requested\n", "Snapshot t1 already exists" },
		{ "",
		  "Requested creating\nnodetool: Keyspace x does not exist\nSee 'nodetool help'\n",
		  "Keyspace x does not exist" },
		{ "WARN something\nnodetool: Failed to connect to '127.0.0.1:7199' - ConnectException: 'refused'.\n",
		  "", "Failed to connect to '127.0.0.1:7199' - ConnectException: 'refused'" },
		{ "sh: java: not found", "", "sh: java: not found" },
		{ "", "Requested\n", "" },
		{ "error: a\tb\x1b[31m\n", "", "a?b?[31m" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char reason[100];

		nodetool_reason(cases[i].errors, cases[i].out, reason, sizeof(reason));
		cr_expect_str_eq(reason, cases[i].reason);
	}
}

Test(cqlsh, the_schema_begins_at_its_first_statement_and_is_whole)
{
	static const struct {
		const char *text, *statements;
	} cases[] = {
		{ "WARNING: cqlsh was built against 5.0.0\n\nCREATE KEYSPACE a;\n\n",
		  "CREATE KEYSPACE a;\n\n" },
		{ "/* Warning: Table ks.t omitted */\nCREATE KEYSPACE a;",
		  "/* Warning: Table ks.t omitted */\nCREATE KEYSPACE a;" },
		{ "CREATE KEYSPACE a", NULL },
		{ "", NULL },
		{ "no statement;", NULL },
		{ "  \n\n", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *found = cqlsh_statements(cases[i].text);

		if (!cases[i].statements)
			cr_expect_null(found, "%s", cases[i].text);
		else
			cr_expect(found && strcmp(found, cases[i].statements) == 0, "%s",
				  cases[i].text);
	}
}

Test(cqlsh, a_setting_is_read_from_its_row)
{
	static const struct {
		const char *text, *value;
	} cases[] = {
		{ "WARNING\n [json]\n----\n {\"name\": \"m\", \"value\": \"NONE\"}\n\n(1 rows)\n",
		  "NONE" },
		{ " [json]\n----\n {\"name\": \"m\", \"value\": null}\n\n(1 rows)\n", "" },
		{ " [json]\n----\n {\"value\": [\"-5\", \"7\"]}\n\n(1 rows)\n", "-5,7" },
		{ " [json]\n----\n {\"value\": [\"-5\", 7]}\n\n(1 rows)\n", "-5," },
		{ " [json]\n----\n {\"value\": []}\n\n(1 rows)\n", "" },
		{ " [json]\n----\n\n(0 rows)\n", "" },
		{ "\n {\"name\": ", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *value = cqlsh_json_value(cases[i].text);

		cr_expect_str_eq(value, cases[i].value);
	}
}

Test(cqlsh, rows_are_counted_by_the_last_line)
{
	uint64_t rows = 7;

	cr_expect_eq(cqlsh_row_count(" id\n----\n  1\n\n(4 rows)\n", &rows), 0);
	cr_expect_eq(rows, 4);
	cr_expect_eq(cqlsh_row_count("\n(9 rows)\n text\n------\n(3 rows)\n\n(12 rows)\n", &rows),
		     0);
	cr_expect_eq(rows, 12);
	cr_expect_lt(cqlsh_row_count("no rows", &rows), 0);
	cr_expect_lt(cqlsh_row_count("\n(1", &rows), 0);
	cr_expect_lt(cqlsh_row_count("\n(10rows)\n", &rows), 0);
}

Test(cqlsh, the_first_row_is_what_stands_below_the_names)
{
	static const struct {
		const char *text, *row;
	} rows[] = {
		{ "WARNING: x\n\n id | name\n----+------\n  1 |  one\n  2 |  two\n\n(2 rows)\n",
		  "1 ,  one" },
		{ "\n id\n----\n -42\n\n(1 rows)\n", "-42" },
		{ "\n id\n----\n\n(0 rows)\n", "" },
		{ "\n a\n---\n ---\n\n(1 rows)\n", "---" },
		{ "-- no table", "" },
		{ "----", "" },
		{ "", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *row = cqlsh_first_row(rows[i].text);

		cr_expect_str_eq(row, rows[i].row);
	}
}
