/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>
#include "base/util.h"
#include "cassandra/seedlist.h"

Test(seedlist, seeds_are_words_between_commas_with_or_without_a_port)
{
	static const struct {
		const char *list, *hosts; /* hosts: each with a blank behind it */
	} cases[] = {
		{ "", "" },
		{ " , ,", "" },
		{ "10.0.0.1", "10.0.0.1 " },
		{ "10.0.0.1:7000, cass1.example ,cass2:7001,", "10.0.0.1 cass1.example cass2 " },
		{ "2001:db8::1:5", "2001:db8::1:5 " },
		{ "[2001:db8::1]:7000,[::1]", "2001:db8::1 ::1 " },
		{ "::1,a", "::1 a " },
		{ ":7000,[]:7000,[,a", "[ a " },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *list = cases[i].list;
		char host[SEEDLIST_HOST_BYTES], all[256] = "";

		while (seedlist_next(&list, host)) {
			strcat(all, host);
			strcat(all, " ");
		}
		cr_expect_str_eq(all, cases[i].hosts, "%s: %s", cases[i].list, all);
	}
}

Test(seedlist, a_word_that_is_too_long_is_passed_over)
{
	char text[2 * SEEDLIST_HOST_BYTES], host[SEEDLIST_HOST_BYTES];
	const char *list = text;

	memset(text, 'a', sizeof(text));
	strcpy(text + SEEDLIST_HOST_BYTES, ",b");
	cr_assert(seedlist_next(&list, host));
	cr_expect_str_eq(host, "b");
	cr_expect_not(seedlist_next(&list, host));
}

Test(seedlist, an_address_has_one_form_and_a_name_is_none)
{
	static const char *const cases[][2] = {
		{ "10.0.0.1", "10.0.0.1" },
		{ "2001:DB8:0::1", "2001:db8::1" },
		{ "::ffff:10.0.0.1", "10.0.0.1" },
		{ "::1", "::1" },
		{ "10.0.1", NULL },
		{ "cass1.example", NULL },
		{ "[::1]", NULL },
		{ "", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char ret[SEEDLIST_HOST_BYTES];
		bool is = seedlist_address(cases[i][0], ret);

		cr_assert_eq(is, cases[i][1] != NULL, "%s", cases[i][0]);
		if (is)
			cr_expect_str_eq(ret, cases[i][1]);
	}
}
