/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include "base/util.h"
#include "cassandra/snitch.h"

Test(snitch, names_are_those_that_java_reads)
{
	static const struct {
		const char *text, *dc,
			*rack; /* dc: NULL where it is refused, then rack is a part of why */
	} cases[] = {
		{ "dc=dc1\nrack=rack1\n", "dc1", "rack1" },
		{ "# a comment \\\n!another\\\n\n\tdc : dc 1 \t\r\nrack r=1:2\rprefer_local=true",
		  "dc 1", "r=1:2" },
		{ "dc\t=a\nrack:b\ndc=c", "c", "b" },
		{ "dcs=1\nrac=2\ndc==a\nrack\fb", "=a", "b" },
		{ "=dc\n:rack\ndc=a#b\nrack=!", "a#b", "!" },
		{ "caf\xe9=\xe9\ndc=a\nrack=b", "a", "b" },
		{ "", NULL, "it names no dc" },
		{ "dc\nrack=a", NULL, "it names no dc" },
		{ "dc=a\nrack = \n", NULL, "it names no rack" },
		{ "DC=a\nRACK=a\n", NULL, "it names no dc" },
		{ "dc=a\r\n\r\nrack=\xc3\xa4", NULL, "it, line 3: a name is not of ASCII" },
		{ "dc=a\nx=\\\nrack=b", NULL, "it, line 2: backslashes are not followed" },
		{ "d\\u0063=a\nrack=b", NULL, "it, line 1: backslashes are not followed" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(facts_freep) struct facts *f = facts_new();
		struct err e = ERR_INIT;
		int r = snitch_read("it", cases[i].text, strlen(cases[i].text), f, &e);

		if (cases[i].dc) {
			cr_expect_eq(r, 0, "%zu: %s", i, e.message);
			cr_expect_str_eq(f->dc, cases[i].dc, "%zu: %s", i, f->dc);
			cr_expect_str_eq(f->rack, cases[i].rack, "%zu: %s", i, f->rack);
		} else {
			cr_expect_lt(r, 0, "%zu", i);
			cr_expect_str_eq(e.message, cases[i].rack, "%zu: %s", i, e.message);
			cr_expect(!*f->dc && !*f->rack, "%zu: as it was", i);
		}
	}
}

Test(snitch, a_name_has_an_end)
{
	_cleanup_(facts_freep) struct facts *f = facts_new();
	char text[FACTS_WORD_MAX + 32] = "rack=r\ndc=";
	struct err e = ERR_INIT;

	memset(text + strlen(text), 'x', FACTS_WORD_MAX);
	cr_expect_eq(snitch_read("it", text, strlen(text), f, &e), 0, "%s", e.message);
	cr_expect_eq(strlen(f->dc), FACTS_WORD_MAX);
	text[strlen(text)] = 'x';
	cr_expect_eq(snitch_read("it", text, strlen(text), f, &e), -EBADMSG);
	cr_expect_eq(snitch_read("it", "dc=a\0\nrack=b", 13, f, &e), -EBADMSG);
	cr_expect_str_eq(e.message, "it has a NUL in it");
}
