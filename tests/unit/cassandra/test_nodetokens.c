/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>
#include "base/util.h"
#include "cassandra/nodetokens.h"

Test(nodetokens, what_cassandra_yaml_gets)
{
	char *tokens[] = { (char[]){ "-9223372036854775808" }, (char[]){ "7" }, (char[]){ "0" } };
	_cleanup_free_ char *text = nodetokens_join(tokens, 3);
	_cleanup_free_ char *none = nodetokens_join(NULL, 0);
	struct nodetokens_edit edit;

	cr_assert_str_eq(text, "-9223372036854775808,7,0");
	cr_expect_str_eq(none, "");
	nodetokens_edit(&edit, text);
	cr_expect_str_eq(edit.changes[0].key, "initial_token");
	cr_expect_str_eq(edit.changes[0].value, text);
	cr_expect_str_eq(edit.changes[1].value, "3");
	cr_expect_str_eq(edit.changes[2].key, "auto_bootstrap");
	cr_expect_str_eq(edit.changes[2].value, "false");
	nodetokens_edit(&edit, "5");
	cr_expect_str_eq(edit.changes[1].value, "1");
}

Test(nodetokens, order_does_not_matter)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{ "", "", true },	 { "1", "1", true },	{ "1,2,3", "3,1,2", true },
		{ "1,2", "1", false },	 { "1", "1,2", false }, { "1,2", "1,3", false },
		{ "12", "1,2", false },	 { "-1", "1", false },	{ "1", "11", false },
		{ "1,1", "1,2", false }, { "", "1", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		cr_expect_eq(nodetokens_same(cases[i].a, cases[i].b), cases[i].same, "%s and %s",
			     cases[i].a, cases[i].b);
}
