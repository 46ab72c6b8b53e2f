/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>
#include "base/util.h"
#include "cassandra/cqlfacts.h"

#define ID_A "3512f072-ed46-4bcb-84c8-a395dc445594"
#define ID_B "90e31f5e-13a5-4d02-a8c5-a0bd7e5c2aa1"
#define WARNED \
	"WARNING: cqlsh was built against 5.0.0, but this server is 5.0.9.  All features may not work!\n"
#define LOCAL                                                                                  \
	"\n [json]\n------\n {\"key\": \"local\", \"host_id\": \"" ID_A                        \
	"\", \"data_center\": \"dc 1\", \"rack\": \"r\\n1\", \"release_version\": \"5.0.9\", " \
	"\"tokens\": [\"-2668846264744616811\", \"7\"]}\n\n(1 rows)\n"

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
	cr_expect_str_eq(f->host_id, ID_A);
	cr_expect_str_eq(f->dc, "dc 1");
	cr_expect_not(strchr(f->rack, '\n'));
	cr_expect_str_eq(f->version, "5.0.9");
	cr_assert_eq(f->token_count, 2);
	cr_expect_str_eq(f->tokens[0], "-2668846264744616811");
	cr_assert_eq(f->member_count, 3);
	cr_expect_eq(f->members[0].status, 'U');
	cr_expect_str_eq(f->members[1].host_id, ID_B);
	cr_expect_str_eq(f->members[1].address, "10.0.0.2");
	cr_expect_eq(f->members[1].status, '?');
	cr_expect_str_eq(f->members[2].rack, "");
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
