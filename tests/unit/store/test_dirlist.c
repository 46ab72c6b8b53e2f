/* SPDX-License-Identifier: Apache-2.0 */
/* Listings of directories that are larger than a batch: the same as in one. */
#include "tests/unit/base/tmpdir.h"
#include <stdio.h>
#include <string.h>
#include "store/dirlist.h"
#include "store/dirtmp.h"

#define KEYS 300

static void make_file(const struct tmpdir *t, const char *path)
{
	char directory[64];
	char *slash;

	snprintf(directory, sizeof(directory), "%s", path);
	slash = strrchr(directory, '/');
	if (slash) {
		*slash = '\0';
		cr_assert_eq(io_mkdirs(t->fd, directory, 0755), 0);
	}
	tmpdir_write(t, path, "x", 1);
}

static void make_tree(const struct tmpdir *t)
{
	static const char separators[] = "-./0+/";

	for (int i = 0; i < KEYS; i++) {
		char path[64];

		snprintf(path, sizeof(path), "%c/%02d%c%d", 'a' + i % 3, i * 7 % 41,
			 separators[i % 6], i);
		make_file(t, path);
	}
	cr_assert_eq(io_mkdirs(t->fd, "a/empty/deep", 0755), 0);
	cr_assert_eq(io_mkdirs(t->fd, DIRTMP_NAME, 0755), 0);
	tmpdir_write(t, DIRTMP_NAME "/put-0", "x", 1);
}

struct listing {
	char *keys[2 * KEYS];
	size_t count, stop_at;
};

static int collect(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct listing *l = ctx;

	cr_assert(l->count < ARRAY_SIZE(l->keys));
	l->keys[l->count++] = strdup(entry->key);
	return l->count == l->stop_at;
}

static void listing_deinit(struct listing *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->keys[i]);
}

static void list(const struct tmpdir *t, const struct store_list *req, size_t batch,
		 struct listing *ret)
{
	struct dirctx ctx = { .root_fd = t->fd,
			      .path = (char *)(uintptr_t)t->path,
			      .clock = clock_system() };
	struct store_list own = *req;
	struct err e = ERR_INIT;

	own.entry = collect;
	own.ctx = ret;
	cr_assert_eq(dirlist_list(&ctx, &own, batch, NULL, &e), 0, "%s", e.message);
}

static void expect_same(const struct tmpdir *t, const struct store_list *req, size_t stop_at)
{
	static const size_t batches[] = { 1, 2, 7, 50 };
	_cleanup_(listing_deinit) struct listing whole = { .stop_at = stop_at };

	list(t, req, DIRLIST_BATCH, &whole);
	for (size_t i = 1; i < whole.count; i++)
		cr_assert(strcmp(whole.keys[i - 1], whole.keys[i]) < 0);
	for (size_t b = 0; b < ARRAY_SIZE(batches); b++) {
		_cleanup_(listing_deinit) struct listing parts = { .stop_at = stop_at };

		list(t, req, batches[b], &parts);
		cr_assert_eq(parts.count, whole.count, "%zu, not %zu", parts.count, whole.count);
		for (size_t i = 0; i < whole.count; i++)
			cr_assert_str_eq(parts.keys[i], whole.keys[i]);
	}
}

Test(dirlist, every_key_is_listed_once_whatever_the_batch)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(listing_deinit) struct listing all = { 0 };

	make_tree(&t);
	list(&t, &(struct store_list){ .prefix = "" }, 5, &all);
	cr_assert_eq(all.count, KEYS);
}

Test(dirlist, batches_do_not_change_order_groups_or_starts)
{
	static const struct store_list requests[] = {
		{ .prefix = "" },
		{ .prefix = "a/" },
		{ .prefix = "b/1" },
		{ .prefix = "", .delimiter = true },
		{ .prefix = "a/", .delimiter = true },
		{ .prefix = "c/0", .delimiter = true },
		{ .prefix = "", .start_after = "b/20" },
		{ .prefix = "b/", .start_after = "b/20/" },
		{ .prefix = "b/", .start_after = "b/20/5", .delimiter = true },
		{ .prefix = "", .start_after = "b/", .delimiter = true },
	};
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();

	make_tree(&t);
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		expect_same(&t, &requests[i], 0);
	expect_same(&t, &requests[0], 17);
}

Test(dirlist, an_empty_directory_is_no_group)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(listing_deinit) struct listing l = { 0 };

	make_tree(&t);
	list(&t, &(struct store_list){ .prefix = "a/e", .delimiter = true }, 5, &l);
	cr_assert_eq(l.count, 0);
}
