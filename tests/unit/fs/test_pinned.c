/* SPDX-License-Identifier: Apache-2.0 */
/* A mount that lost its pin: EIO for that backup, and for no other. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include "catalog/pin.h"
#include "fs/fs_private.h"
#include "tests/unit/fs/tree_fixture.h"

#define NODE FIXTURE_CLUSTER "/nodes/" FIXTURE_NODE
#define TABLE "data/ks/t-00000000000000000000000000000001"
#define LIMIT_MS 60000

/* "shared" is in both backups, "monday" and "tuesday" each in one; of more than 512 bytes, so that reads need the store. */
static char bytes[3][600];
static struct fixture_file files[3] = {
	{ .path = TABLE "/monday-Data.db", .data = bytes[0], .len_bytes = 600 },
	{ .path = TABLE "/shared-Data.db",
	  .data = bytes[1],
	  .len_bytes = 600,
	  .attr = { 0644, 1, 1, 5 } },
	{ .path = TABLE "/tuesday-Data.db", .data = bytes[2], .len_bytes = 600 },
};

struct setup {
	struct tree_fixture *t;
	struct record *monday, *tuesday;
	struct pinned *pinned;
	struct pinned_options o;
	struct err e;
};

static void setup_init(struct setup *s)
{
	for (int i = 0; i < 3; i++)
		memset(bytes[i], 'a' + i, sizeof(bytes[i]));
	*s = (struct setup){ .t = tree_fixture_new(5000) };
	s->monday = fixture_backup(s->t->repo, "monday", files, 2, OBJECT_COMPRESS_NONE);
	s->tuesday = fixture_backup(s->t->repo, "tuesday", files + 1, 2, OBJECT_COMPRESS_NONE);
	s->o = (struct pinned_options){ .repo = s->t->repo->repo,
					.meta = s->t->repo->meta,
					.backup = "monday",
					.default_node = "elsewhere",
					.renew_ms = 1 };
}

static void setup_deinit(struct setup *s)
{
	tree_fixture_free(s->t); /* with the pin in use: as a mount that ends does */
	pinned_end(s->pinned);
	record_free(s->monday);
	record_free(s->tuesday);
}

#define _cleanup_setup_ _cleanup_(setup_deinit)

/* A pin lives in the repository, which must be there when it ends. */
static void end_pin(struct setup *s)
{
	s->t->fs->o.pinned = NULL;
	pinned_end(s->pinned);
	s->pinned = NULL;
}

static void lose_pin(struct setup *s)
{
	struct store_delete_error errors[1];
	char key[KEY_BYTES];
	const char *keys[] = { key };
	size_t error_count;

	fixture_key(s->t->repo, "/pins/", 0, key);
	cr_assert_eq(
		store_delete_many(s->t->repo->store, keys, 1, errors, &error_count, NULL, NULL), 0);
	for (int ms = 0; pinned_check(s->pinned, &s->e) == 0; ms++) {
		cr_assert_lt(ms, LIMIT_MS, "the loss of the pin was not noticed");
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}

static int open_file(struct setup *s, const char *path, struct fs_file **ret)
{
	struct fs_entry en;
	bool direct;
	int r = tree_fixture_walk(s->t, path, &en);

	return r ? r : fs_open(s->t->fs, en.ino, O_RDONLY, WAIT, ret, &direct, &s->e);
}

static int read_file(struct setup *s, struct fs_file *file)
{
	struct fs_read rd;
	int r = fs_read(file, 0, 600, WAIT, &rd, &s->e);

	if (r == 0) {
		cr_expect_eq(rd.len_bytes, 600);
		fs_read_done(file, &rd);
	}
	return r;
}

static uint64_t ino_of(struct setup *s, const char *path)
{
	struct fs_entry en = { 0 };

	cr_assert_eq(tree_fixture_walk(s->t, path, &en), 0, "%s", path);
	return en.ino;
}

Test(pinned, a_backup_that_does_not_exist_cannot_be_pinned)
{
	_cleanup_setup_ struct setup s;

	setup_init(&s);
	s.o.backup = "sunday";
	cr_expect_eq(pinned_begin(&s.o, &s.pinned, &s.e), -ENOENT);
	cr_expect_eq(s.e.kind, ERR_NOT_FOUND);
	cr_expect_eq(fixture_count(s.t->repo, "/pins/"), 0);
}

Test(pinned, status_says_how_it_stands_with_the_pin)
{
	_cleanup_setup_ struct setup s;
	struct wbuf out;

	setup_init(&s);
	cr_assert_eq(pinned_begin(&s.o, &s.pinned, &s.e), 0, "%s", s.e.message);
	wbuf_init(&out, 4096);
	pinned_describe(s.pinned, &out);
	lose_pin(&s);
	pinned_describe(s.pinned, &out);
	wbuf_put(&out, "", 1);
	cr_expect(strstr((char *)out.data, "pin: ring/n1/monday held, renewed 0 s ago\n"), "%s",
		  (char *)out.data);
	cr_expect(strstr((char *)out.data, "pin: ring/n1/monday lost: backup monday is not read"),
		  "%s", (char *)out.data);
	wbuf_deinit(&out);
	end_pin(&s);
}

Test(pinned, a_lost_pin_ends_reads_of_that_backup_and_of_no_other)
{
	_cleanup_setup_ struct setup s;
	struct fs_file *monday = NULL, *shared = NULL, *tuesday = NULL, *again = NULL;
	uint64_t only_ino;
	struct fs_entry en;
	bool direct;

	setup_init(&s);
	cr_assert_eq(pinned_begin(&s.o, &s.pinned, &s.e), 0, "%s", s.e.message);
	s.t->fs->o.pinned = s.pinned;
	cr_assert_eq(open_file(&s, NODE "/monday/" TABLE "/monday-Data.db", &monday), 0);
	cr_assert_eq(open_file(&s, NODE "/monday/" TABLE "/shared-Data.db", &shared), 0);
	cr_assert_eq(open_file(&s, NODE "/tuesday/" TABLE "/tuesday-Data.db", &tuesday), 0);
	only_ino = ino_of(&s, NODE "/monday/" TABLE "/monday-Data.db");
	tree_fixture_settle(s.t, FIXTURE_NODE);
	cr_expect_eq(read_file(&s, monday), 0, "%s", s.e.message);
	lose_pin(&s);

	cr_expect_eq(read_file(&s, monday), -EIO);
	cr_expect(strstr(s.e.message, "its pin was lost"), "%s", s.e.message);
	cr_expect_eq(read_file(&s, shared), -EIO, "it is in the pinned backup too");
	cr_expect_eq(fs_open(s.t->fs, only_ino, O_RDONLY, WAIT, &again, &direct, &s.e), -EIO);
	cr_expect_eq(tree_fixture_walk(s.t, NODE "/monday/" TABLE, &en), -EIO);

	cr_expect_eq(read_file(&s, tuesday), 0, "%s", s.e.message);
	cr_expect_eq(tree_fixture_walk(s.t, NODE "/tuesday/" TABLE, &en), 0);
	fs_close(monday);
	fs_close(shared);
	fs_close(tuesday);
	end_pin(&s);
}
