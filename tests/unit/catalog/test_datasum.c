/* SPDX-License-Identifier: Apache-2.0 */
/* Data.db against Digest.crc32: what agrees, what does not, what cannot be told. */
#include "base/crc.h"
#include "catalog/datasum.h"
#include "tests/unit/catalog/rig.h"

Test(datasum, a_digest_is_a_decimal_number_of_32_bits)
{
	static const struct {
		const char *text;
		bool good;
		uint32_t value;
	} rows[] = {
		{ "0", true, 0 },
		{ "3721234567", true, 3721234567 },
		{ "4294967295", true, UINT32_MAX },
		{ "00000042\n", true, 42 },
		{ " 42\r\n", true, 42 },
		{ "4294967296", false, 0 },
		{ "99999999999", false, 0 },
		{ "", false, 0 },
		{ "\n", false, 0 },
		{ "-1", false, 0 },
		{ "+1", false, 0 },
		{ "0x1f", false, 0 },
		{ "12 34", false, 0 },
		{ "da39a3ee5e6b4b0d3255bfef95601890afd80709", false, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint32_t value = 7;
		bool good = datasum_parse(rows[i].text, strlen(rows[i].text), &value);

		cr_expect_eq(good, rows[i].good, "'%s'", rows[i].text);
		if (good)
			cr_expect_eq(value, rows[i].value, "'%s'", rows[i].text);
	}
}

/* Data.db of that name and length with the digest that belongs to it, or another. */
static void put_sstable(struct rig *rig, const char *prefix, size_t len, uint32_t add)
{
	_cleanup_free_ uint8_t *data = rig_bytes(len, len);
	char name[128], text[16];

	snprintf(name, sizeof(name), "%sData.db", prefix);
	rig_put(rig, name, data, len);
	snprintf(text, sizeof(text), "%u", crc_add(0, data, len) + add);
	snprintf(name, sizeof(name), "%sDigest.crc32", prefix);
	rig_put(rig, name, text, strlen(text));
}

Test(datasum, data_of_every_length_agrees_with_its_digest)
{
	static const size_t lengths[] = {
		0,	     1,		  512,	       513,
		128 * 1024,  1024 * 1024, 1048577,     8 * 1024 * 1024,
		8388608 + 1, 9437183,	  2 * 8388608, 17 * 1024 * 1024 + 5
	};
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *record = NULL;
	char prefix[64];

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		snprintf(prefix, sizeof(prefix), "nb-%zu-big-", i);
		put_sstable(&rig, prefix, lengths[i], 0);
		rig_put(&rig, "nb-1-big-TOC.txt", "x", 1);
	}
	record = rig_commit(&rig, "b1");
	cr_expect(record->digests.known);
	cr_expect_eq(record->digests.checked, ARRAY_SIZE(lengths));
	cr_expect_eq(record->digests.unchecked, 0);
	cr_expect_eq(record->digests.mismatched, 0);
	cr_expect_eq(record->digests.file_count, 0);
}

Test(datasum, data_that_does_not_agree_is_stored_and_named)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *record = NULL, *read = NULL;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	put_sstable(&rig, "nb-1-big-", 3000, 0);
	put_sstable(&rig, "nb-2-big-", 9 * MIB, 1);
	put_sstable(&rig, ".idx/nb-2-big-", 600, 0);
	put_sstable(&rig, ".idx/nb-3-big-", 600, 7);
	record = rig_commit(&rig, "b1");
	read = rig_read_record(&rig, "b1");
	for (int i = 0; i < 2; i++) {
		const struct record_digests *d = i ? &read->digests : &record->digests;

		cr_expect_eq(d->checked, 4);
		cr_expect_eq(d->mismatched, 2);
		cr_assert_eq(d->file_count, 2);
		cr_expect_str_eq(d->files[0], "data/" RIG_TABLE "/nb-2-big-Data.db");
		cr_expect_str_eq(d->files[1], "data/" RIG_TABLE "/.idx/nb-3-big-Data.db");
	}
	rig_expect_random(&rig, record, "nb-2-big-Data.db", 9 * MIB, 9 * MIB);
}

Test(datasum, without_a_usable_digest_nothing_is_said_to_be_damaged)
{
	static const char *const digests[] = { "", "\n", "not a number", "99999999999" };
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *record = NULL;
	_cleanup_free_ uint8_t *long_text = sample_text(1, 600);
	char name[64];

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig_put_random(&rig, "la-1-big-Data.db", 1, 1000);
	rig_put(&rig, "la-1-big-Digest.adler32", "1234", 4);
	for (size_t i = 0; i < ARRAY_SIZE(digests); i++) {
		snprintf(name, sizeof(name), "nb-%zu-big-Data.db", i);
		rig_put_random(&rig, name, i, 1000);
		snprintf(name, sizeof(name), "nb-%zu-big-Digest.crc32", i);
		rig_put(&rig, name, digests[i], strlen(digests[i]));
	}
	rig_put_random(&rig, "nb-7-big-Data.db", 1, 1000);
	rig_put(&rig, "nb-7-big-Digest.crc32", long_text, 600);
	/* Digests without data, and data that is no component, concern nobody. */
	rig_put(&rig, "nb-8-big-Digest.crc32", "1", 1);
	rig_put_random(&rig, "Data.db", 1, 1000);
	rig_put(&rig, "Digest.crc32", "1", 1);
	record = rig_commit(&rig, "b1");
	cr_expect_eq(record->digests.checked, 0);
	cr_expect_eq(record->digests.unchecked, 2 + ARRAY_SIZE(digests));
	cr_expect_eq(record->digests.mismatched, 0);
}

Test(datasum, the_same_file_in_two_data_directories_counts_once)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *record = NULL;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig.data_dirs = 2;
	put_sstable(&rig, "nb-1-big-", 3000, 1);
	put_sstable(&rig, "d1:nb-1-big-", 3000, 1);
	record = rig_commit(&rig, "b1");
	cr_expect_eq(record->digests.checked, 1);
	cr_expect_eq(record->digests.unchecked, 0);
	cr_expect_eq(record->digests.mismatched, 1);
}

Test(datasum, a_record_names_so_many_and_counts_the_rest)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *record = NULL;
	char prefix[64];

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	for (size_t i = 0; i < FORMAT_MISMATCHES + 5; i++) {
		snprintf(prefix, sizeof(prefix), "nb-%zu-big-", i + 1);
		put_sstable(&rig, prefix, 10, 1);
	}
	record = rig_commit(&rig, "b1");
	cr_expect_eq(record->digests.mismatched, FORMAT_MISMATCHES + 5);
	cr_expect_eq(record->digests.file_count, FORMAT_MISMATCHES);
}
