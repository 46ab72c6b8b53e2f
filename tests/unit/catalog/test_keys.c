/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include "catalog/keys.h"

static const struct node_name node = { "prod", "10.0.0.1" };

static char *long_name(size_t len)
{
	static char name[300];

	memset(name, 'a', len);
	name[len] = '\0';
	return name;
}

Test(keys, names_of_letters_digits_dot_underscore_and_dash_are_allowed)
{
	const char *const names[] = { "a",	 "0",		"20261122T104200Z", "Test_Cluster",
				      "a.b-c_d", "10.0.0.1",	"object",	    "latest2",
				      "Latest",	 long_name(128) };
	struct err e = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		cr_expect_eq(keys_check_name("backup", names[i], &e), 0, "%s: %s", names[i],
			     e.message);
}

Test(keys, other_names_are_refused_with_a_sentence)
{
	const char *const names[] = { "",	 ".",	   "..",      ".a",    "-a",	      "_a",
				      "a/b",	 "a b",	   "a+b",     "a\n",   "\xc3\xa4",    "a%",
				      "objects", "latest", "backups", "nodes", long_name(129) };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct err e = ERR_INIT;

		cr_expect_eq(keys_check_name("node", names[i], &e), -EINVAL, "%s", names[i]);
		cr_expect_eq(e.kind, ERR_USAGE);
		cr_expect(strstr(e.message, "node"), "%s", e.message);
	}
}

Test(keys, any_name_can_be_cleaned)
{
	static const struct {
		const char *original, *clean;
	} cases[] = {
		{ "Test Cluster", "Test_Cluster" },
		{ "", "x" },
		{ "-a", "x-a" },
		{ "\xc3\xa4", "x__" },
		{ "..", "x.." },
		{ "ok-1.2_3", "ok-1.2_3" },
		{ "objects", "objects_" },
		{ "nodes", "nodes_" },
		{ " x", "x_x" },
	};
	char out[FORMAT_NAME_BYTES + 1];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		keys_clean_name(out, cases[i].original);
		cr_expect_str_eq(out, cases[i].clean);
		cr_expect_eq(keys_check_name("cluster", out, NULL), 0, "%s", out);
	}
	keys_clean_name(out, long_name(200));
	cr_expect_eq(strlen(out), 128);
}

Test(keys, every_kind_of_key_lies_below_its_node)
{
	struct ulid writer;
	struct id256 id;
	char key[KEY_BYTES];

	memset(id.b, 0xab, sizeof(id.b));
	cr_assert_eq(ulid_parse(&writer, "01JD8ZP4V7Q3K5N2M9R6T8W0XY"), 0);
	cr_expect_str_eq(keys_node_prefix(key, &node), "nodes/prod/10.0.0.1/");
	cr_expect_str_eq(keys_records_prefix(key, &node, NULL), "nodes/prod/10.0.0.1/records/");
	cr_expect_str_eq(keys_records_prefix(key, &node, "mon"),
			 "nodes/prod/10.0.0.1/records/mon/");
	cr_expect_str_eq(keys_record(key, &node, "mon", &writer),
			 "nodes/prod/10.0.0.1/records/mon/01JD8ZP4V7Q3K5N2M9R6T8W0XY.json");
	cr_expect_str_eq(keys_condemned_prefix(key, &node), "nodes/prod/10.0.0.1/condemned/");
	cr_expect_str_eq(keys_probe(key, &node, &writer),
			 "nodes/prod/10.0.0.1/probe/01JD8ZP4V7Q3K5N2M9R6T8W0XY");
	cr_expect_str_eq(keys_object(key, &node, KEY_OBJECT_DATA, &writer, &id),
			 "nodes/prod/10.0.0.1/objects/01JD8ZP4V7Q3K5N2M9R6T8W0XY/"
			 "abababababababababababababababababababababababababababababababab");
	cr_expect_str_eq(keys_object(key, &node, KEY_OBJECT_META, &writer, &id),
			 "nodes/prod/10.0.0.1/trees/01JD8ZP4V7Q3K5N2M9R6T8W0XY/"
			 "abababababababababababababababababababababababababababababababab");
}

Test(keys, the_longest_names_fit)
{
	struct node_name longest;
	struct ulid writer = { { 1 } };
	struct id256 id = { { 0 } };
	char key[KEY_BYTES];

	memcpy(longest.cluster, long_name(128), 129);
	memcpy(longest.node, long_name(128), 129);
	keys_record(key, &longest, long_name(128), &writer);
	cr_expect(strlen(key) < KEY_BYTES - 1);
	cr_expect_str_eq(key + strlen(key) - 5, ".json");
	keys_object(key, &longest, KEY_OBJECT_DATA, &writer, &id);
	cr_expect_str_eq(key + strlen(key) - 4, "0000");
}

Test(keys, the_key_of_a_record_is_read_back)
{
	char backup[FORMAT_NAME_BYTES + 1], text[ULID_TEXT];
	struct ulid writer;

	cr_assert_eq(keys_parse_record("mon/01JD8ZP4V7Q3K5N2M9R6T8W0XY.json", backup, &writer), 0);
	cr_expect_str_eq(backup, "mon");
	cr_expect_str_eq(ulid_format(text, &writer), "01JD8ZP4V7Q3K5N2M9R6T8W0XY");
}

Test(keys, foreign_keys_among_the_records_are_told_apart)
{
	static const char *const keys[] = {
		"",
		"mon",
		"mon/",
		"mon/x.json",
		"mon/01JD8ZP4V7Q3K5N2M9R6T8W0XY",
		"mon/01JD8ZP4V7Q3K5N2M9R6T8W0XY.jsonx",
		"mon/01JD8ZP4V7Q3K5N2M9R6T8W0XY.jsom",
		"mon/01jd8zp4v7q3k5n2m9r6t8w0xy.json",
		"mon/01JD8ZP4V7Q3K5N2M9R6T8W0XU.json",
		"mon/a/01JD8ZP4V7Q3K5N2M9R6T8W0XY.json",
		"/01JD8ZP4V7Q3K5N2M9R6T8W0XY.json",
		"latest/01JD8ZP4V7Q3K5N2M9R6T8W0XY.json",
		"m n/01JD8ZP4V7Q3K5N2M9R6T8W0XY.json",
	};
	char backup[FORMAT_NAME_BYTES + 1];
	struct ulid writer;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		cr_expect_eq(keys_parse_record(keys[i], backup, &writer), -EINVAL, "%s", keys[i]);
}

Test(keys, nodes_are_equal_by_both_names)
{
	struct node_name other = { "prod", "10.0.0.2" }, same = { "prod", "10.0.0.1" };

	cr_expect(keys_node_equal(&node, &same));
	cr_expect_not(keys_node_equal(&node, &other));
	strcpy(same.cluster, "test");
	cr_expect_not(keys_node_equal(&node, &same));
}
