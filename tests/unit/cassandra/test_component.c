/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "base/util.h"
#include "cassandra/component.h"

Test(component, names_of_sstables_are_taken_apart)
{
	static const struct {
		const char *file, *version, *name;
		enum component_id_kind kind;
	} rows[] = {
		{ "nb-1-big-Data.db", "nb", "Data.db", COMPONENT_ID_GENERATION },
		{ "la-77-big-Digest.adler32", "la", "Digest.adler32", COMPONENT_ID_GENERATION },
		{ "me-123456789-big-TOC.txt", "me", "TOC.txt", COMPONENT_ID_GENERATION },
		{ "da-3gse_1syu_3qlog2deomt6h5p53n-bti-Partitions.db", "da", "Partitions.db",
		  COMPONENT_ID_UUID },
		{ "oa-1-big-SAI+aa+by_name+TermsData.db", "oa", "SAI+aa+by_name+TermsData.db",
		  COMPONENT_ID_GENERATION },
		{ "nb-1-big-NeverSeenBefore", "nb", "NeverSeenBefore", COMPONENT_ID_GENERATION },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct component c;

		cr_assert(component_parse(rows[i].file, &c), "%s", rows[i].file);
		cr_expect_str_eq(c.version, rows[i].version);
		cr_expect_str_eq(c.name, rows[i].name);
		cr_expect_eq(c.id_kind, rows[i].kind, "%s", rows[i].file);
	}
}

Test(component, other_names_are_files_like_any_other)
{
	static const char *const names[] = {
		"",
		"manifest.json",
		"nb-1-big",
		"nb-1-big-",
		"nb--big-Data.db",
		"-1-big-Data.db",
		"NB-1-big-Data.db",
		"nb-1a-big-Data.db",
		"nb-1-BIG-Data.db",
		"nb-1-big-Data-db",
		"ks-table-ka-1-Data.db",
		"abcdefgh-1-big-Data.db",
		"nb-3gse_1syu_3qlog2deomt6h5p53-big-Data.db",
		"nb-3gse.1syu_3qlog2deomt6h5p53n-big-Data.db",
		"nb-3gse_1syu_3qlog2deomt6h5p53N-big-Data.db",
	};
	struct component c;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		cr_expect_not(component_parse(names[i], &c), "%s", names[i]);
}

Test(component, what_cassandra_rewrites_is_mutable)
{
	cr_expect(component_is_mutable("nb-1-big-Statistics.db"));
	cr_expect(component_is_mutable("nb-1-big-Summary.db"));
	cr_expect(component_is_mutable("nb-1-big-TOC.txt"));
	cr_expect(component_is_mutable("ks-t-ka-1-Statistics.db"));
	cr_expect_not(component_is_mutable("nb-1-big-Data.db"));
	cr_expect_not(component_is_mutable("TOC.txt"));
	cr_expect_not(component_is_mutable("nb-1-big-TOC.txt.bak"));
}

Test(component, a_tables_directory_is_its_name_and_32_hex_digits)
{
	cr_expect_eq(component_table_directory("users-7ad54392bcdd35a684174e047860b377"), 5);
	cr_expect_eq(component_table_directory("a-b-7ad54392bcdd35a684174e047860b377"), 3);
	cr_expect_eq(component_table_directory("users"), 0);
	cr_expect_eq(component_table_directory("-7ad54392bcdd35a684174e047860b377"), 0);
	cr_expect_eq(component_table_directory("users-7AD54392bcdd35a684174e047860b377"), 0);
	cr_expect_eq(component_table_directory("users-7ad54392bcdd35a684174e047860b37"), 0);
	cr_expect_eq(component_table_directory("users_7ad54392bcdd35a684174e047860b377"), 0);
}
