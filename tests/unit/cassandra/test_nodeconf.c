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

	cr_assert_eq(
		read_text(
			"# a comment\n"
			"cluster_name: 'Test Cluster'\n"
			"seed_provider:\n"
			"  - class_name: org.apache.cassandra.locator.SimpleSeedProvider\n"
			"    parameters:\n"
			"      - seeds: \"127.0.0.1,127.0.0.2:7000\"\n"
			"        cluster_name: not this one\n"
			"? [a, b]\n"
			": {rpc_address: nor this one}\n"
			"data_file_directories:\n"
			"    - /a\n"
			"    - \"/b c\"\n"
			"local_system_data_file_directory: /s\n"
			"num_tokens: 16\n? [a]\n: none\n? {b: c}\nuuid_sstable_identifiers_enabled: true\n"
			"commitlog_directory: /c\nhints_directory: /h\n"
			"saved_caches_directory: /k\ncdc_raw_directory: /r\n"
			"anchor: &x data\n"
			"alias: *x\n*x : *x\nlist: [*x]\nother: {<<: *x, rpc_address: *x}\n"
			"rpc_address: 10.0.0.1\nlisten_address: 10.0.0.2\nlisten_interface: eth0\nbroadcast_address: 10.0.0.3\nendpoint_snitch: SimpleSnitch\n"
			"native_transport_port: 9042\n"
			"storage_compatibility_mode: NONE\n"
			"partitioner: org.apache.cassandra.dht.Murmur3Partitioner\n",
			&y, &e),
		0, "%s", e.message);
	cr_expect_null(y->unfollowed, "%s", y->unfollowed);
	cr_expect_str_eq(y->cluster, "Test Cluster");
	cr_expect_str_eq(y->rpc_address, "10.0.0.1");
	cr_expect_str_eq(y->listen_address, "10.0.0.2");
	cr_expect_str_eq(y->listen_interface, "eth0");
	cr_expect_str_eq(y->broadcast_address, "10.0.0.3");
	cr_expect_str_eq(y->snitch, "SimpleSnitch");
	cr_expect_str_eq(y->seeds, "127.0.0.1,127.0.0.2:7000");
	cr_expect_str_eq(y->native_port, "9042");
	cr_expect_str_eq(y->compatibility_mode, "NONE");
	cr_expect_str_eq(y->partitioner, "org.apache.cassandra.dht.Murmur3Partitioner");
	cr_expect_str_eq(y->local_system_dir, "/s");
	cr_expect_str_eq(y->num_tokens, "16");
	cr_expect_str_eq(y->uuid_ids, "true");
	cr_expect_str_eq(y->commitlog_dir, "/c");
	cr_expect_str_eq(y->hints_dir, "/h");
	cr_expect_str_eq(y->saved_caches_dir, "/k");
	cr_expect_str_eq(y->cdc_dir, "/r");
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

Test(nodeconf, an_alias_that_stands_for_a_setting_is_told_with_its_line)
{
	static const struct {
		const char *text, *says;
		bool dirs;
	} cases[] = {
		{ "x: &d /a\ndata_file_directories: [*d, /b]\n", "line 2: an alias", true },
		{ "x: &d [/a]\ndata_file_directories:\n  *d\n", "line 3: an alias", true },
		{ "x: &d /a\ncdc_raw_directory: *d\n", "line 2: an alias", false },
		{ "x: &t {keystore: /k}\nclient_encryption_options: *t\n", "line 2: an alias",
		  false },
		{ "x: &k /k\nclient_encryption_options:\n  keystore: *k\n", "line 3: an alias",
		  false },
		{ "x: &t {keystore: /k}\nclient_encryption_options:\n  <<: *t\n",
		  "line 3: an alias", false },
		{ "x: &t {keystore: /k}\n<<: *t\n", "line 2: an alias", true },
		{ "x: &s 10.0.0.1\nseed_provider:\n  - parameters:\n    - seeds: *s\n",
		  "line 4: an alias", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(nodeconf_freep) struct nodeconf *y = NULL;
		struct err e = ERR_INIT;

		cr_assert_eq(read_text(cases[i].text, &y, &e), 0, "%s", e.message);
		cr_assert_not_null(y->unfollowed, "%s", cases[i].text);
		cr_expect(strstr(y->unfollowed, "c.yaml, line ") &&
				  strstr(y->unfollowed, cases[i].says),
			  "%s", y->unfollowed);
		cr_expect_eq(y->unfollowed_dirs, cases[i].dirs, "%s", cases[i].text);
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

Test(nodeconf, options_of_a_mapping_are_read_where_they_are_its_own)
{
	_cleanup_(nodeconf_freep) struct nodeconf *y = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(
		read_text(
			"server_encryption_options:\n"
			"    internode_encryption: rack\n"
			"    deeper: {keystore: not this one, enabled: nor this}\n"
			"    list: [keystore, {keystore: nor this}]\n"
			"    keystore: /k1\n"
			"    ? {a: b}\n"
			"    : none\n"
			"client_encryption_options: {enabled: true, optional: false, keystore: /k2}\n"
			"transparent_data_encryption_options:\n"
			"    enabled: true\n"
			"    key_provider:\n"
			"      - class_name: x\n"
			"        parameters:\n"
			"          - keystore: nor this\n"
			"            enabled: nor this\n"
			"keystore: nor this\n"
			"sequence:\n  - keystore: nor this\n"
			"server_encryption_options.keystore: nor this\n"
			"num_tokens: 3\n",
			&y, &e),
		0, "%s", e.message);
	cr_expect_str_eq(y->internode_encryption, "rack");
	cr_expect_str_eq(y->internode_keystore, "/k1");
	cr_expect_str_eq(y->client_tls, "true");
	cr_expect_str_eq(y->client_tls_optional, "false");
	cr_expect_str_eq(y->client_keystore, "/k2");
	cr_expect_str_eq(y->data_encryption, "true");
	cr_expect_str_eq(y->num_tokens, "3");
}
