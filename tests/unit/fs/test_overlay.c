/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "fs/overlay_private.h"

#define BACKUP_DIR ((struct overlay_dir){ 5000, 7 })
#define FILE_INO 6000
#define DIR_INO 7000

static struct overlay_name at(const char *name, uint64_t below)
{
	return (struct overlay_name){ BACKUP_DIR, name, { .ino = below } };
}

static struct overlay_name in(uint64_t dir, const char *name)
{
	return (struct overlay_name){ { dir, 0 }, name, { .ino = 0 } };
}

static uint64_t make(struct overlay *o, struct overlay_name n, mode_t mode)
{
	struct overlay_new what = { .mode = mode };
	struct stat st;

	cr_assert_eq(overlay_make(o, &n, &what, &st), 0);
	cr_assert(overlay_owns(st.st_ino));
	return st.st_ino;
}

static uint64_t used(struct overlay *o)
{
	return overlay_usage(o).used_bytes;
}

Test(overlay, a_link_of_a_backups_file_counts_until_it_is_removed)
{
	_cleanup_(overlay_freep) struct overlay *o = overlay_new(1 * MIB, clock_system());
	struct overlay_name tmp = at("x.tmp", 0);
	struct timespec changed;
	uint64_t ino, before = used(o);

	cr_assert_eq(overlay_link(o, &tmp, FILE_INO), 0);
	cr_expect_eq(overlay_find(o, BACKUP_DIR, "x.tmp", &ino), 0);
	cr_expect_eq(ino, FILE_INO);
	cr_expect_eq(overlay_links(o, FILE_INO), 1);
	cr_expect_eq(overlay_link(o, &tmp, FILE_INO), -EEXIST);
	cr_expect(overlay_has_changed(o, BACKUP_DIR, &changed));
	cr_assert_eq(overlay_unlink(o, &tmp), 0);
	cr_expect_eq(overlay_find(o, BACKUP_DIR, "x.tmp", &ino), OVERLAY_BELOW);
	cr_expect_eq(overlay_links(o, FILE_INO), 0);
	cr_expect_not(overlay_has_changed(o, BACKUP_DIR, &changed), "as the backup has it again");
	cr_expect_eq(used(o), before, "nothing is left of it");
	cr_expect_eq(overlay_unlink(o, &tmp), -ENOENT);
}

Test(overlay, a_name_of_a_backup_is_hidden_moved_and_replaced)
{
	_cleanup_(overlay_freep) struct overlay *o = overlay_new(1 * MIB, clock_system());
	struct overlay_name old = at("old", FILE_INO), new = at("new", 0),
			    other = at("other", 6001);
	uint64_t ino;

	cr_assert_eq(overlay_rename(o, &old, &new, 0), 0);
	cr_expect_eq(overlay_find(o, BACKUP_DIR, "old", &ino), OVERLAY_HIDDEN);
	cr_assert_eq(overlay_find(o, BACKUP_DIR, "new", &ino), 0);
	cr_expect_eq(ino, FILE_INO);
	cr_expect_eq(overlay_links(o, FILE_INO), 0, "one less and one more");
	cr_assert_eq(overlay_rename(o, &new, &other, 0), 0);
	cr_expect_eq(overlay_links(o, 6001), -1);
	cr_assert_eq(overlay_find(o, BACKUP_DIR, "other", &ino), 0);
	cr_expect_eq(ino, FILE_INO);
	cr_expect_eq(overlay_rename(o, &old, &new, 0), -ENOENT);
	cr_assert_eq(overlay_unlink(o, &other), 0);
	cr_expect_eq(overlay_find(o, BACKUP_DIR, "other", &ino), OVERLAY_HIDDEN);
	cr_expect_eq(overlay_links(o, FILE_INO), -1);
	cr_expect_eq(overlay_usage(o).hidden, 2);
}

Test(overlay, a_directory_of_a_backup_is_removed_when_nothing_is_left_in_it_and_never_moved)
{
	_cleanup_(overlay_freep) struct overlay *o = overlay_new(1 * MIB, clock_system());
	struct overlay_name dir = { BACKUP_DIR,
				    "d",
				    { .ino = DIR_INO, .is_dir = true, .names = 1 } };
	struct overlay_name inner = { { DIR_INO, 7 }, "only", { .ino = FILE_INO } };
	struct overlay_name late = { { DIR_INO, 7 }, "late", { .ino = 0 } },
			    to = at("elsewhere", 0);
	struct overlay_new file = { .mode = S_IFREG | 0644 };
	struct stat st;
	uint64_t ino;

	cr_expect_eq(overlay_rename(o, &dir, &to, 0), -EXDEV);
	cr_expect_eq(overlay_rmdir(o, &dir), -ENOTEMPTY);
	cr_expect_eq(overlay_unlink(o, &dir), -EISDIR);
	cr_assert_eq(overlay_unlink(o, &inner), 0);
	cr_assert_eq(overlay_rmdir(o, &dir), 0);
	cr_expect_eq(overlay_find(o, BACKUP_DIR, "d", &ino), OVERLAY_HIDDEN);
	cr_expect_eq(overlay_find(o, (struct overlay_dir){ DIR_INO, 7 }, "else", &ino),
		     OVERLAY_HIDDEN, "who is still in it finds nothing");
	cr_expect_eq(overlay_make(o, &late, &file, &st), -ENOENT);
}

Test(overlay, an_inode_lives_while_it_has_a_name_or_is_open_or_known)
{
	_cleanup_(overlay_freep) struct overlay *o = overlay_new(1 * MIB, clock_system());
	struct overlay_name n = at("f", 0);
	uint64_t before = used(o), ino = make(o, n, S_IFREG | 0600);
	char text[8] = "";
	struct stat st;

	cr_assert_eq(overlay_open(o, ino, false), 0);
	cr_assert_eq(overlay_write(o, ino, 0, "hello", 5), 5);
	cr_assert_eq(overlay_unlink(o, &n), 0);
	overlay_forget(o, ino, 1);
	cr_expect_eq(overlay_read(o, ino, 1, text, sizeof(text)), 4);
	cr_expect_str_eq(text, "ello");
	cr_assert_eq(overlay_stat(o, ino, &st), 0);
	cr_expect_eq(st.st_nlink, 0);
	overlay_close(o, ino);
	cr_expect_eq(overlay_stat(o, ino, &st), -ESTALE);
	cr_expect_eq(used(o), before);
}

Test(overlay, two_directories_that_are_exchanged_stay_alive)
{
	_cleanup_(overlay_freep) struct overlay *o = overlay_new(1 * MIB, clock_system());
	struct overlay_name a = at("a", 0), b = at("b", 0), file;
	uint64_t dir_a = make(o, a, S_IFDIR | 0755), dir_b = make(o, b, S_IFDIR | 0755), ino;
	struct overlay_dir parent;

	cr_assert_eq(overlay_rename(o, &a, &b, 2), 0);
	cr_assert_eq(overlay_find(o, BACKUP_DIR, "a", &ino), 0);
	cr_expect_eq(ino, dir_b);
	file = in(dir_a, "inside");
	make(o, file, S_IFREG | 0644);
	cr_expect_eq(overlay_find(o, file.dir, "inside", &ino), 0);
	cr_expect_eq(overlay_rmdir(o, &b), -ENOTEMPTY);
	make(o, in(dir_b, "inside"), S_IFREG | 0644);
	cr_assert_eq(overlay_parent(o, dir_a, &parent), 0);
	cr_expect_eq(parent.ino, BACKUP_DIR.ino);
}

Test(overlay, a_removed_backup_takes_along_what_was_changed_in_it)
{
	_cleanup_(overlay_freep) struct overlay *o = overlay_new(1 * MIB, clock_system());
	struct overlay_name hidden = at("hidden", FILE_INO), top = at("top", 0), deep, link;
	uint64_t before = used(o), dir, ino;
	struct stat st;

	cr_assert_eq(overlay_unlink(o, &hidden), 0);
	dir = make(o, top, S_IFDIR | 0755);
	for (int i = 0; i < 100; i++) { /* deep, each known to the kernel */
		deep = in(dir, "deep");
		dir = make(o, deep, S_IFDIR | 0755);
		overlay_forget(o, dir, 1);
	}
	link = in(dir, "link");
	cr_assert_eq(overlay_link(o, &link, 6001), 0);
	overlay_forget_backup(o, 8);
	cr_expect_eq(overlay_links(o, 6001), 1, "another backup was removed");
	overlay_forget_backup(o, 7);
	cr_expect_eq(overlay_links(o, 6001), 0);
	cr_expect_eq(overlay_links(o, FILE_INO), 0);
	cr_expect_eq(overlay_stat(o, dir, &st), -ESTALE);
	cr_expect_eq(overlay_find(o, BACKUP_DIR, "hidden", &ino), OVERLAY_BELOW);
	cr_assert_eq(overlay_find(o, BACKUP_DIR, "top", &ino), OVERLAY_BELOW);
	cr_expect_lt(used(o), before + 16 * KIB, "tables, and what the kernel still knows");
}

Test(overlay, another_backup_of_the_same_name_has_nothing_of_it)
{
	_cleanup_(overlay_freep) struct overlay *o = overlay_new(1 * MIB, clock_system());
	struct overlay_name old = at("f", FILE_INO);
	struct overlay_name new = { { BACKUP_DIR.ino, 9 }, "g", { .ino = 0 } };
	uint64_t ino;

	cr_assert_eq(overlay_unlink(o, &old), 0);
	cr_expect_eq(overlay_find(o, new.dir, "f", &ino), OVERLAY_BELOW);
	make(o, new, S_IFREG | 0644);
	cr_expect_eq(overlay_links(o, FILE_INO), 0, "what the old one hid is forgotten");
}

Test(overlay, full_is_enospc_changes_nothing_and_ends_when_something_is_removed)
{
	_cleanup_(overlay_freep) struct overlay *o = overlay_new(256 * KIB, clock_system());
	struct overlay_name n = at("data", 0), more = at("more", 0), tmp = at("t", 0);
	uint64_t ino = make(o, n, S_IFREG | 0600), before;
	struct overlay_new file = { .mode = S_IFREG | 0600 };
	_cleanup_free_ uint8_t *data = calloc(1, 1 * MIB);
	char name[32];
	struct stat st;
	ssize_t part;
	int r = 0, links = 0;

	part = overlay_write(o, ino, 0, data, 1 * MIB);
	cr_expect(part > 0 && part < (ssize_t)(256 * KIB), "as much as there was room for");
	cr_expect_eq(overlay_write(o, ino, 1 * MIB, data, 1), -ENOSPC);
	cr_expect_eq(overlay_allocate(o, ino, 0, 0, UINT64_C(1) << 40), -ENOSPC);
	for (int i = 0; r == 0; i++) {
		struct overlay_name small = at(name, 0);

		snprintf(name, sizeof(name), "%d", i);
		r = overlay_make(o, &small, &file, &st);
	}
	cr_expect_eq(r, -ENOSPC, "names and inodes count too");
	r = 0;
	for (int i = 0; r == 0; i++) { /* a link takes less */
		struct overlay_name small = at(name, 0);

		snprintf(name, sizeof(name), "link %d", i);
		r = overlay_link(o, &small, FILE_INO);
		links += r == 0;
	}
	cr_expect_eq(r, -ENOSPC);
	before = used(o);
	cr_expect_leq(before, 256 * KIB);
	cr_expect_eq(overlay_make(o, &more, &file, &st), -ENOSPC);
	cr_expect_eq(overlay_link(o, &tmp, FILE_INO), -ENOSPC);
	cr_expect_eq(overlay_links(o, FILE_INO), links);
	cr_expect_eq(used(o), before, "what failed left nothing behind");
	cr_assert_eq(overlay_unlink(o, &n), 0, "to remove what was made needs no room");
	overlay_forget(o, ino, 1);
	cr_expect_eq(overlay_make(o, &more, &file, &st), 0);
}

struct listing {
	uint64_t cookie;
	unsigned count, most;
	char last[32];
};

static int note(void *ctx, const char *name, uint64_t ino, mode_t type, uint64_t cookie)
{
	struct listing *l = ctx;

	if (l->count == l->most)
		return 1;
	cr_expect_gt(cookie, l->cookie);
	cr_expect(overlay_owns(ino) && S_ISREG(type));
	l->cookie = cookie;
	l->count++;
	snprintf(l->last, sizeof(l->last), "%s", name);
	return 0;
}

Test(overlay, a_listing_goes_on_where_it_stopped_while_names_are_removed)
{
	_cleanup_(overlay_freep) struct overlay *o = overlay_new(1 * MIB, clock_system());
	uint64_t dir = make(o, at("d", 0), S_IFDIR | 0755);
	struct listing l = { .most = 0 };
	char name[32];

	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "%03d", i);
		make(o, in(dir, name), S_IFREG | 0644);
	}
	for (int i = 0; i < 100; i++) {
		struct overlay_name gone;

		l.most = l.count + 1;
		overlay_list(o, (struct overlay_dir){ dir, 0 }, l.cookie, UINT64_MAX, note, &l);
		snprintf(name, sizeof(name), "%03d", i);
		cr_assert_str_eq(l.last, name);
		gone = in(dir, name);
		cr_assert_eq(overlay_unlink(o, &gone), 0, "as rm -r does");
	}
	cr_expect_eq(l.count, 100);
}

Test(overlay, a_listing_ends_though_all_that_it_gives_is_renamed)
{
	_cleanup_(overlay_freep) struct overlay *o = overlay_new(1 * MIB, clock_system());
	uint64_t dir = make(o, at("d", 0), S_IFDIR | 0755), last;
	struct overlay_name a = in(dir, "a"), b = in(dir, "b"), tmp = in(dir, "tmp");
	struct listing l = { .most = 1 };

	make(o, a, S_IFREG | 0644);
	make(o, b, S_IFREG | 0644);
	last = overlay_last_cookie(o);
	overlay_list(o, a.dir, l.cookie, last, note, &l);
	cr_assert_str_eq(l.last, "a");
	make(o, tmp, S_IFREG | 0644);
	cr_assert_eq(overlay_rename(o, &tmp, &b, 0), 0);
	cr_assert_eq(overlay_rename(o, &a, &tmp, 0), 0);
	cr_assert_eq(overlay_rename(o, &tmp, &a, 0), 0);
	l.most = 10;
	overlay_list(o, a.dir, l.cookie, last, note, &l);
	cr_expect_eq(l.count, 2);
	cr_expect_str_eq(l.last, "b", "what was replaced is where it was");
	l = (struct listing){ .most = 10 };
	overlay_list(o, a.dir, 0, overlay_last_cookie(o), note, &l);
	cr_expect_eq(l.count, 2);
}

/* Its folder goes when one of the new backup is made, and what is below it goes too. */
Test(overlay, nothing_is_moved_out_of_a_backup_that_was_made_again)
{
	_cleanup_(overlay_freep) struct overlay *o = overlay_new(1 * MIB, clock_system());
	uint64_t before = used(o), dir = make(o, at("d", 0), S_IFDIR | 0755), ino;
	struct overlay_name old = at("f", 0), deep = in(dir, "f"),
			    new = { { BACKUP_DIR.ino, 9 }, "f", { .ino = 0 } };

	make(o, old, S_IFREG | 0644);
	make(o, deep, S_IFREG | 0644);
	cr_expect_eq(overlay_rename(o, &old, &new, 0), -ESTALE);
	cr_expect_eq(overlay_rename(o, &new, &old, 0), -ESTALE);
	cr_expect_eq(overlay_find(o, old.dir, "f", &ino), 0, "nothing was changed");
	cr_expect_eq(overlay_rename(o, &deep, &new, 0), -ENOENT);
	cr_expect_eq(overlay_find(o, new.dir, "f", &ino), OVERLAY_BELOW);
	overlay_forget(o, dir, 1);
	cr_expect_eq(overlay_usage(o).inodes, 2, "two files that the kernel knows");
	cr_expect_lt(used(o), before + 8 * KIB);
}

Test(overlay, an_allocation_that_fails_leaves_the_room_that_there_was)
{
	_cleanup_(overlay_freep) struct overlay *o = overlay_new(256 * KIB, clock_system());
	uint64_t ino = make(o, at("f", 0), S_IFREG | 0644), before;
	char byte;

	cr_assert_eq(overlay_write(o, ino, 20 * KIB, "x", 1), 1);
	before = used(o);
	cr_expect_eq(overlay_allocate(o, ino, 0, 100, 255 * KIB), -ENOSPC);
	cr_expect_eq(used(o), before);
	cr_assert_eq(overlay_read(o, ino, 20 * KIB, &byte, 1), 1);
	cr_expect_eq(byte, 'x');
	cr_expect_eq(overlay_allocate(o, ino, 0, 100, 128 * KIB), 0);
}

Test(overlay, holes_take_nothing_and_read_as_zeros)
{
	_cleanup_(overlay_freep) struct overlay *o = overlay_new(1 * MIB, clock_system());
	uint64_t ino = make(o, at("f", 0), S_IFREG | 0644), far = UINT64_C(1) << 50, before;
	struct stat st = { .st_size = (off_t)(far + 100) }, got;
	uint8_t byte = 1;

	cr_assert_eq(overlay_setattr(o, ino, &st, OVERLAY_SET_SIZE, &got), 0);
	cr_expect_eq(got.st_blocks, 0);
	before = used(o);
	cr_assert_eq(overlay_write(o, ino, far, "x", 1), 1);
	cr_expect_lt(used(o) - before, 64 * KIB);
	cr_expect_eq(overlay_read(o, ino, far - 1, &byte, 1), 1);
	cr_expect_eq(byte, 0);
	cr_expect_eq(overlay_read(o, ino, far, &byte, 1), 1);
	cr_expect_eq(byte, 'x');
	cr_assert_eq(overlay_allocate(o, ino, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, far - 10,
				      50),
		     0);
	cr_expect_eq(overlay_read(o, ino, far, &byte, 1), 1);
	cr_expect_eq(byte, 0);
	st.st_size = 0;
	cr_assert_eq(overlay_setattr(o, ino, &st, OVERLAY_SET_SIZE, &got), 0);
	cr_expect_eq(used(o), before);
}

struct told {
	uint64_t bytes;
	unsigned times;
};

static void tell(void *ctx, uint64_t bytes)
{
	struct told *t = ctx;

	t->bytes = bytes;
	t->times++;
}

Test(room, what_it_may_use_is_told_before_it_is_used_and_given_back_in_steps)
{
	_cleanup_(room_freep) struct room *r = room_new(6 * ROOM_STEP_BYTES);
	enum { PAGES = 5 * ROOM_STEP_BYTES / ROOM_PAGE_BYTES };
	void *pages[PAGES];
	struct told told = { .bytes = 1 };

	cr_assert(r);
	room_share(r, tell, &told);
	cr_expect_eq(told.bytes, 0, "all of it is for others");
	for (unsigned i = 0; i < PAGES; i++) {
		cr_assert_eq(room_take_page(r, &pages[i]), 0);
		cr_expect_leq(room_used(r), told.bytes);
	}
	cr_expect_eq(told.bytes, 5 * ROOM_STEP_BYTES);
	cr_expect_eq(told.times, 6);
	for (unsigned i = 0; i < PAGES; i++) {
		room_give_page(r, pages[i]);
		cr_expect_leq(room_used(r), told.bytes);
	}
	cr_expect_leq(told.bytes, ROOM_STEP_BYTES);
	cr_expect_leq(told.times, 11);
}

Test(room, what_it_may_use_is_never_more_than_its_bound)
{
	_cleanup_(room_freep) struct room *r = room_new(ROOM_STEP_BYTES + ROOM_PAGE_BYTES);
	struct told told = { 0 };
	void *page;

	cr_assert(r);
	room_share(r, tell, &told);
	while (room_take_page(r, &page) == 0)
		;
	cr_expect_eq(told.bytes, ROOM_STEP_BYTES + ROOM_PAGE_BYTES);
	cr_expect_eq(room_used(r), told.bytes);
}
