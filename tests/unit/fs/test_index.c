/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>
#include "fs/index_private.h"
#include "tests/unit/fs/tree_fixture.h"

#define DATA "data/ks/t-00000000000000000000000000000001/"
#define NODE_NUMBER 7

static const struct node_name node = { FIXTURE_CLUSTER, FIXTURE_NODE };

/* Two SSTables; the second backup rewrites one Statistics.db. */
static const struct fixture_file first[] = {
	{ .path = DATA "nb-1-big-Data.db",
	  .data = "one",
	  .len_bytes = 3,
	  .attr = { 0644, 1, 1, 1 } },
	{ .path = DATA "nb-1-big-Statistics.db",
	  .data = "two",
	  .len_bytes = 3,
	  .attr = { 0644, 1, 1, 1 } },
	{ .path = DATA "nb-2-big-Data.db",
	  .data = "one",
	  .len_bytes = 3,
	  .attr = { 0644, 1, 1, 1 } },
};
static const struct fixture_file second[] = {
	{ .path = DATA "nb-1-big-Data.db",
	  .data = "one",
	  .len_bytes = 3,
	  .attr = { 0644, 1, 1, 1 } },
	{ .path = DATA "nb-1-big-Statistics.db",
	  .data = "TWO",
	  .len_bytes = 3,
	  .attr = { 0644, 1, 1, 2 } },
	{ .path = DATA "nb-2-big-Data.db",
	  .data = "one",
	  .len_bytes = 3,
	  .attr = { 0644, 1, 1, 1 } },
};

static uint64_t ino_of(struct tree_fixture *t, const struct record *rec, const char *name)
{
	_cleanup_(run_freep) struct run *run = NULL;
	_cleanup_free_ char *path = util_printf(DATA "%s", name);
	const struct entry *en = fixture_find(t->repo, rec, path, &run);
	struct id256 d;

	cr_assert_not_null(en);
	d = inode_file_digest(&node, path + strlen("data/"), en);
	return inode_number(&d);
}

static uint32_t links(struct tree_fixture *t, uint64_t ino)
{
	struct index_node n;

	return index_get(t->index, ino, true, NULL, &n, NULL) == 0 ? n.nlink : 0;
}

/* Counts just these, up to a NULL. */
#define count(t, l, ...)                                                      \
	tree_fixture_count(t, NODE_NUMBER,                                    \
			   sizeof((const struct record *[]){ __VA_ARGS__ }) / \
				   sizeof(struct record *),                   \
			   (const struct record *[]){ __VA_ARGS__ }, l)

static int count_none(struct tree_fixture *t, const struct index_listener *l)
{
	return tree_fixture_count(t, NODE_NUMBER, 0, NULL, l);
}

Test(index, links_are_the_backups_that_hold_a_file_and_one_for_objects)
{
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(0);
	_cleanup_(record_freep) struct record *a =
		fixture_backup(t->repo, "a", first, 3, OBJECT_COMPRESS_NONE);
	_cleanup_(record_freep) struct record *b =
		fixture_backup(t->repo, "b", second, 3, OBJECT_COMPRESS_NONE);
	uint64_t data = ino_of(t, a, "nb-1-big-Data.db"),
		 old = ino_of(t, a, "nb-1-big-Statistics.db"),
		 fresh = ino_of(t, b, "nb-1-big-Statistics.db"),
		 same = ino_of(t, a, "nb-2-big-Data.db");

	cr_assert_neq(data, same, "equal bytes at two paths are two inodes");
	cr_assert_eq(count(t, NULL, a), 0);
	cr_expect_eq(links(t, data), 2);
	cr_expect_eq(links(t, old), 2);
	cr_expect_eq(links(t, fresh), 0);
	cr_assert_eq(count(t, NULL, a, b), 0);
	cr_expect_eq(links(t, data), 3, "in two different runs");
	cr_expect_eq(links(t, same), 3, "in one run of both");
	cr_expect_eq(links(t, old), 2);
	cr_expect_eq(links(t, fresh), 2);
	cr_assert_eq(count(t, NULL, b, a), 0);
	cr_expect_eq(links(t, data), 3, "counting again changes nothing");
	cr_assert_eq(count(t, NULL, b), 0);
	cr_expect_eq(links(t, data), 2);
	cr_expect_eq(links(t, old), 0, "gone with its last backup");
	cr_assert_eq(count_none(t, NULL), 0);
	cr_expect_eq(links(t, data), 0);
	cr_expect_eq(links(t, fresh), 0);
}

struct heard {
	uint64_t inodes[16];
	size_t count;
};

static void hear(void *ctx, uint64_t ino)
{
	struct heard *h = ctx;

	cr_assert_lt(h->count, ARRAY_SIZE(h->inodes));
	h->inodes[h->count++] = ino;
}

static bool heard(const struct heard *h, uint64_t ino)
{
	for (size_t i = 0; i < h->count; i++)
		if (h->inodes[i] == ino)
			return true;
	return false;
}

Test(index, those_whose_count_changed_are_told)
{
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(0);
	_cleanup_(record_freep) struct record *a =
		fixture_backup(t->repo, "a", first, 3, OBJECT_COMPRESS_NONE);
	_cleanup_(record_freep) struct record *b =
		fixture_backup(t->repo, "b", second, 3, OBJECT_COMPRESS_NONE);
	struct heard on_add = { .count = 0 }, on_remove = { .count = 0 };
	const struct index_listener adding = { .changed = hear, .ctx = &on_add },
				    removing = { .changed = hear, .ctx = &on_remove };

	cr_assert_eq(count(t, &adding, a), 0);
	on_add.count = 0;
	cr_assert_eq(count(t, &adding, a, b), 0);
	cr_expect(heard(&on_add, ino_of(t, a, "nb-2-big-Data.db")), "its run is in both");
	cr_expect(heard(&on_add, ino_of(t, a, "nb-1-big-Data.db")), "it is in both, in two runs");
	cr_assert_eq(count(t, &removing, b), 0);
	cr_expect(heard(&on_remove, ino_of(t, a, "nb-2-big-Data.db")));
	cr_expect(heard(&on_remove, ino_of(t, a, "nb-1-big-Data.db")));
}

Test(index, a_run_that_was_only_looked_at_counts_as_one_backup)
{
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(0);
	_cleanup_(record_freep) struct record *a =
		fixture_backup(t->repo, "a", first, 3, OBJECT_COMPRESS_NONE);
	struct fs_entry en;
	struct index_node n;

	cr_assert_eq(tree_fixture_walk(t,
				       FIXTURE_CLUSTER "/nodes/" FIXTURE_NODE "/a/" DATA
						       "nb-1-big-Data.db",
				       &en),
		     0);
	cr_expect_eq(en.st.st_nlink, 2);
	cr_assert_eq(index_get(t->index, en.ino, true, NULL, &n, NULL), 0);
	cr_expect_eq(n.entry, 0);
	index_node_deinit(&n);
}

Test(index, two_identities_never_share_a_number)
{
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(0);
	_cleanup_(record_freep) struct record *a =
		fixture_backup(t->repo, "a", first, 3, OBJECT_COMPRESS_NONE);
	uint64_t wanted = ino_of(t, a, "nb-1-big-Data.db"), ino;
	struct row_head other = { .digest = { { 1 } }, .type = INDEX_PATH };
	uint8_t key[INODE_KEY];
	struct index_node n;
	struct id256 d;
	char row[sizeof(struct path_row) + 8] = "";

	memcpy(row, &other, sizeof(other));
	index_inode_key(key, wanted);
	cr_assert_eq(kv_put(t->kv, KV_INODES, key, sizeof(key), row, sizeof(row), NULL), 0);
	cr_assert_eq(count(t, NULL, a), 0);
	cr_assert_eq(index_get(t->index, wanted, true, NULL, &n, NULL), 0);
	cr_expect_eq(n.type, INDEX_PATH, "who was there first keeps the number");
	index_node_deinit(&n);

	/* the file went to the next number of its own chain */
	{
		_cleanup_(run_freep) struct run *run = NULL;
		const struct entry *en = fixture_find(t->repo, a, DATA "nb-1-big-Data.db", &run);

		d = inode_file_digest(&node, &(DATA "nb-1-big-Data.db")[5], en);
	}
	ino = inode_next(&d);
	cr_expect_eq(links(t, ino), 2);
}

Test(index, paths_keep_their_numbers_and_symlinks_their_targets)
{
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(0);
	struct id256 dir = inode_dir_digest("prod/nodes"),
		     link = inode_symlink_digest("prod/nodes/n1/latest", "b");
	uint64_t a, b, again;
	struct index_node n;

	cr_assert_eq(index_path(t->index, &dir, "prod/nodes", NULL, &a, NULL), 0);
	cr_assert_eq(index_path(t->index, &link, "prod/nodes/n1/latest", "b", &b, NULL), 0);
	cr_assert_eq(index_path(t->index, &dir, "prod/nodes", NULL, &again, NULL), 0);
	cr_expect_eq(a, again);
	cr_assert_eq(index_get(t->index, b, true, NULL, &n, NULL), 0);
	cr_expect_str_eq(n.path, "prod/nodes/n1/latest");
	cr_expect_str_eq(n.target, "b");
	index_node_deinit(&n);
	cr_assert_eq(index_get(t->index, a, true, NULL, &n, NULL), 0);
	cr_expect_null(n.target);
	index_node_deinit(&n);
	cr_expect_eq(index_get(t->index, a + 1, true, NULL, &n, NULL), INDEX_ABSENT);
}

static int collect(void *ctx, const struct id256 *content, uint64_t ino, struct err *e)
{
	(void)content;
	(void)e;
	hear(ctx, ino);
	return 0;
}

Test(index, objects_lists_each_file_once_below_its_contents_first_byte)
{
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(0);
	_cleanup_(record_freep) struct record *a =
		fixture_backup(t->repo, "a", first, 3, OBJECT_COMPRESS_NONE);
	_cleanup_(record_freep) struct record *b =
		fixture_backup(t->repo, "b", second, 3, OBJECT_COMPRESS_NONE);
	struct id256 one = content_id("one", 3);
	struct heard all = { .count = 0 }, of_one = { .count = 0 }, other_node = { .count = 0 };

	cr_assert_eq(count(t, NULL, a, b), 0);
	for (unsigned byte = 0; byte < 256; byte++)
		cr_assert_geq(index_objects(t->index, NODE_NUMBER, (uint8_t)byte, true, NULL,
					    collect, &all, NULL),
			      0);
	cr_assert_geq(index_objects(t->index, NODE_NUMBER, one.b[0], true, NULL, collect, &of_one,
				    NULL),
		      0);
	cr_assert_geq(index_objects(t->index, NODE_NUMBER + 1, one.b[0], true, NULL, collect,
				    &other_node, NULL),
		      0);
	cr_expect_eq(all.count, 4, "two Data.db, two Statistics.db");
	cr_expect(heard(&of_one, ino_of(t, a, "nb-1-big-Data.db")) &&
		  heard(&of_one, ino_of(t, a, "nb-2-big-Data.db")));
	cr_expect_eq(other_node.count, 0);
}

Test(index, a_backup_whose_trees_cannot_be_read_counts_nothing)
{
	_cleanup_(tree_fixture_freep) struct tree_fixture *t = tree_fixture_new(0);
	_cleanup_(record_freep) struct record *a =
		fixture_backup(t->repo, "a", first, 3, OBJECT_COMPRESS_NONE);

	atomic_store(&t->repo->wire->fail, -EIO);
	cr_expect_lt(count(t, NULL, a), 0);
	atomic_store(&t->repo->wire->fail, 0);
	cr_expect_eq(links(t, ino_of(t, a, "nb-1-big-Data.db")), 0);
	cr_assert_eq(count(t, NULL, a), 0);
	cr_expect_eq(links(t, ino_of(t, a, "nb-1-big-Data.db")), 2);
}
