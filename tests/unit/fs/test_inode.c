/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>
#include "fs/inode.h"

/* Expected numbers come from a few lines of Python that follow docs/format.md, not from this code. */
static struct entry an_entry(uint32_t data_dir, uint32_t mode, uint32_t uid, uint32_t gid,
			     int64_t mtime_ns)
{
	struct entry en = { .name = "nb-1-big-Data.db",
			    .attr = { mode, uid, gid, mtime_ns },
			    .data_dir = data_dir };

	for (int i = 0; i < SHA256_BYTES; i++)
		en.content.b[i] = (uint8_t)i;
	return en;
}

static const struct node_name node = { "prod", "n1" };

Test(inode, a_file_has_the_number_that_the_format_says)
{
	struct entry en = an_entry(2, 0644, 999, 998, INT64_C(1700000000123456789));
	struct id256 d = inode_file_digest(&node, "shop/orders-00/nb-1-big-Data.db", &en);

	cr_assert_eq(inode_number(&d), UINT64_C(4429271665889892525));
}

Test(inode, times_before_1970_and_files_outside_of_data_have_numbers_too)
{
	struct entry en = an_entry(FORMAT_NO_DATA_DIR, 0600, 0, 0, -1);
	struct id256 d = inode_file_digest(&node, "schema.cql", &en);

	cr_assert_eq(inode_number(&d), UINT64_C(4283161099391382553));
}

Test(inode, directories_symlinks_and_generated_files_are_numbered_by_path)
{
	struct id256 dir = inode_dir_digest("prod/nodes"),
		     link = inode_symlink_digest("prod/nodes/n1/latest", "monday"),
		     file = inode_generated_digest(".sstablefs/status");

	cr_assert_eq(inode_number(&dir), UINT64_C(273004606870880483));
	cr_assert_eq(inode_number(&link), UINT64_C(6976483538757356));
	cr_assert_eq(inode_number(&file), UINT64_C(4581405368610085214));
}

Test(inode, every_part_of_an_identity_changes_the_number)
{
	const struct node_name other_node = { "prod", "n10" }, other_cluster = { "prod2", "n1" };
	struct entry base = an_entry(0, 0644, 1, 2, 3), changed[6];
	struct id256 d = inode_file_digest(&node, "a/b", &base);
	uint64_t seen[10];
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(changed); i++)
		changed[i] = base;
	changed[0].data_dir = 1;
	changed[1].attr.mode = 0640;
	changed[2].attr.uid = 9;
	changed[3].attr.gid = 9;
	changed[4].attr.mtime_ns = 4;
	changed[5].content.b[31] ^= 1;
	seen[count++] = inode_number(&d);
	for (size_t i = 0; i < ARRAY_SIZE(changed); i++) {
		d = inode_file_digest(&node, "a/b", &changed[i]);
		seen[count++] = inode_number(&d);
	}
	d = inode_file_digest(&node, "a/c", &base);
	seen[count++] = inode_number(&d);
	d = inode_file_digest(&other_node, "a/b", &base);
	seen[count++] = inode_number(&d);
	d = inode_file_digest(&other_cluster, "a/b", &base);
	seen[count++] = inode_number(&d);
	for (size_t i = 0; i < count; i++)
		for (size_t k = i + 1; k < count; k++)
			cr_assert_neq(seen[i], seen[k], "%zu and %zu", i, k);
}

Test(inode, small_numbers_are_hashed_again_and_the_highest_bits_are_free)
{
	struct id256 d = { { 0 } }, again = digest_sha256(d.b, sizeof(d.b));
	uint64_t ino = inode_number(&d);

	cr_assert_eq(memcmp(&d, &again, sizeof(d)), 0);
	cr_assert_geq(ino, INODE_FIRST);
	memset(d.b, 0xff, sizeof(d.b));
	cr_assert_eq(inode_number(&d), (UINT64_C(1) << 62) - 1);
}
