/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "cassandra/nodeconf.h"

static int read_text(const char *text, struct nodeconf **ret, struct err *e)
{
	return nodeconf_read("c.yaml", text, strlen(text), ret, e);
}

Test(nodeconf, what_is_of_use_is_read_and_all_else_passed_over)
{
	_cleanup_(nodeconf_freep) struct nodeconf *y = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(read_text("# a comment\n"
			       "cluster_name: 'Test Cluster'\n"
			       "seed_provider:\n"
			       "  - class_name: org.apache.cassandra.locator.SimpleSeedProvider\n"
			       "    parameters:\n"
			       "      - seeds: \"127.0.0.1\"\n"
			       "        cluster_name: not this one\n"
			       "? [a, b]\n"
			       ": {rpc_address: nor this one}\n"
			       "data_file_directories:\n"
			       "    - /a\n"
			       "    - \"/b c\"\n"
			       "local_system_data_file_directory: /s\n"
			       "anchor: &x data\n"
			       "alias: *x\n"
			       "rpc_address: 10.0.0.1\n"
			       "native_transport_port: 9042\n"
			       "storage_compatibility_mode: NONE\n"
			       "partitioner: org.apache.cassandra.dht.Murmur3Partitioner\n",
			       &y, &e),
		     0, "%s", e.message);
	cr_expect_str_eq(y->cluster, "Test Cluster");
	cr_expect_str_eq(y->rpc_address, "10.0.0.1");
	cr_expect_str_eq(y->native_port, "9042");
	cr_expect_str_eq(y->compatibility_mode, "NONE");
	cr_expect_str_eq(y->partitioner, "org.apache.cassandra.dht.Murmur3Partitioner");
	cr_expect_str_eq(y->local_system_dir, "/s");
	cr_assert_eq(y->data_dir_count, 2);
	cr_expect_str_eq(y->data_dirs[0], "/a");
	cr_expect_str_eq(y->data_dirs[1], "/b c");
}

Test(nodeconf, what_is_no_mapping_is_refused_with_its_line)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "- a\n- b\n", "no mapping" },
		{ "a: b\n\tc: d\n", "line 2" },
		{ "cluster_name: 'open\n", "line 2" },
		{ "a: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n",
		  "too deeply" },
		{ "cluster_name: \"a\\0b\"\n", "NUL" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct nodeconf *y = NULL;
		struct err e = ERR_INIT;

		cr_expect_eq(read_text(cases[i].text, &y, &e), -EBADMSG, "%s", cases[i].text);
		cr_expect(strstr(e.message, "c.yaml, line ") && strstr(e.message, cases[i].says),
			  "%s", e.message);
		cr_expect_eq(e.kind, ERR_USAGE);
	}
}

Test(nodeconf, too_much_is_refused)
{
	_cleanup_wbuf_ struct wbuf text;
	struct nodeconf *y = NULL;
	struct err e = ERR_INIT;

	wbuf_init(&text, NODECONF_BYTES_MAX);
	for (int i = 0; i < NODECONF_EVENTS_MAX / 2; i++)
		wbuf_put(&text, "a: b\n", 5);
	cr_expect_eq(nodeconf_read("c.yaml", (char *)text.data, text.len, &y, &e), -EBADMSG);
	cr_expect(strstr(e.message, "too much"), "%s", e.message);
	cr_expect_eq(nodeconf_read_file("/nonexistent/c.yaml", &y, &e), -ENOENT);
}
