/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/io.h"
#include "cassandra/nodejournal.h"
#include "cassandra/placepath.h"
#include "tests/unit/base/tmpdir.h"

static void put(const char *top, const char *name, const char *text)
{
	char path[500];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	*strrchr(path, '/') = 0;
	cr_assert_eq(io_mkdirs(AT_FDCWD, path, 0755), 0);
	snprintf(path, sizeof(path), "%s/%s", top, name);
	cr_assert_eq(io_publish_file(AT_FDCWD, path, text, strlen(text), 0644, NULL), 0);
}

static bool holds(const char *top, const char *name, const char *text)
{
	_cleanup_free_ char *found = NULL;
	char path[500];
	size_t len;

	snprintf(path, sizeof(path), "%s/%s", top, name);
	if (io_read_file(AT_FDCWD, path, 1000, &found, &len) < 0)
		return text == NULL;
	return text && strcmp(found, text) == 0;
}

#define OLD SWAP_DIRECTORY "/backups/old/"
#define NEW SWAP_DIRECTORY "/backups/new/"

Test(swap, the_new_comes_in_and_the_old_comes_back)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct swap_place p = { .path = t.path, .data = true };
	struct err e = ERR_INIT;

	put(t.path, "shop/a", "old");
	put(t.path, "lost+found/x", "mine");
	put(t.path, "system_auth/a", "roles");
	cr_assert_eq(swap_make(&p, &e), 0, "%s", e.message);
	put(t.path, NEW "shop/a", "new");
	put(t.path, NEW "system_auth/a", "other roles");
	cr_assert_eq(swap_holds(&p, SWAP_OLD, NULL), 0);
	for (int again = 0; again < 2; again++)
		cr_assert_eq(swap_move(&p, SWAP_OUT, "system_auth", &e), 0, "%s", e.message);
	cr_assert_eq(swap_holds(&p, SWAP_OLD, NULL), 1);
	for (int again = 0; again < 2; again++)
		cr_assert_eq(swap_move(&p, SWAP_IN, "system_auth", &e), 0, "%s", e.message);
	cr_expect(holds(t.path, "shop/a", "new"));
	cr_expect(holds(t.path, OLD "shop/a", "old"));
	cr_expect(holds(t.path, "system_auth/a", "roles"));
	cr_expect(holds(t.path, "lost+found/x", "mine"));
	cr_assert_eq(swap_move(&p, SWAP_CLEAR, "system_auth", &e), 0, "%s", e.message);
	cr_assert_eq(swap_move(&p, SWAP_BACK, "system_auth", &e), 0, "%s", e.message);
	cr_expect(holds(t.path, "shop/a", "old"));
	cr_expect(holds(t.path, "system_auth/a", "roles"));
}

/* As of a file system that knows no flags, where a test says so. */
static bool no_flags;

int renameat2(int from, const char *name, int to, const char *new_name, unsigned flags)
{
	if (no_flags && flags) {
		errno = EINVAL;
		return -1;
	}
	return (int)syscall(SYS_renameat2, from, name, to, new_name, flags);
}

Test(swap, a_file_system_without_flags_of_rename_replaces_nothing_either)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct swap_place p = { .path = t.path, .data = true };
	struct err e = ERR_INIT;

	no_flags = true;
	put(t.path, "shop/a", "old");
	cr_assert_eq(swap_make(&p, &e), 0);
	cr_assert_eq(swap_move(&p, SWAP_OUT, NULL, &e), 0, "%s", e.message);
	cr_expect(holds(t.path, OLD "shop/a", "old"));
	put(t.path, "shop/a", "now");
	cr_expect_eq(swap_move(&p, SWAP_BACK, NULL, &e), -EEXIST);
	cr_expect(holds(t.path, "shop/a", "now"));
}

Test(swap, nothing_is_ever_replaced)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct swap_place p = { .path = t.path, .data = true };
	struct err e = ERR_INIT;

	put(t.path, "shop/a", "now");
	put(t.path, OLD "shop/a", "before");
	cr_assert_eq(swap_make(&p, &e), 0);
	cr_expect_eq(swap_move(&p, SWAP_OUT, NULL, &e), -EEXIST);
	cr_expect_eq(e.kind, ERR_CONFLICT);
	cr_expect_eq(swap_move(&p, SWAP_BACK, NULL, &e), -EEXIST);
	cr_expect(holds(t.path, "shop/a", "now"));
	cr_expect(holds(t.path, OLD "shop/a", "before"));
}

Test(swap, the_guard_stands_in_data_directories_only)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct swap_place p = { .path = t.path, .data = true };
	struct swap_place other = { .path = t.path, .data = false };
	const char *guard = SWAP_DIRECTORY "/unfinished.db";

	cr_assert_eq(swap_make(&p, NULL), 0);
	cr_assert_eq(swap_guard(&other, true, NULL), 0);
	cr_expect(holds(t.path, guard, NULL));
	cr_assert_eq(swap_guard(&p, true, NULL), 0);
	cr_expect_not(holds(t.path, guard, NULL));
	for (int again = 0; again < 2; again++)
		cr_assert_eq(swap_guard(&p, false, NULL), 0);
	cr_expect(holds(t.path, guard, NULL));
}

Test(swap, a_place_is_emptied_but_for_what_is_to_stay)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct swap_place p = { .path = t.path, .data = true };
	struct err e = ERR_INIT;
	uint64_t all = 0, rest = 0;

	put(t.path, "shop/a", "old");
	put(t.path, "shop/t/snapshots/s/a", "older");
	put(t.path, "lost+found/x", "mine");
	put(t.path, "system_auth/a", "roles");
	cr_assert_eq(swap_make(&p, &e), 0);
	put(t.path, OLD "shop/a", "before");
	cr_assert_eq(swap_usage(&p, NULL, &all, &e), 0, "%s", e.message);
	cr_assert_eq(swap_usage(&p, "system_auth", &rest, &e), 0, "%s", e.message);
	cr_expect(rest > 0 && all > rest, "%llu, %llu", (unsigned long long)all,
		  (unsigned long long)rest);
	for (int again = 0; again < 2; again++)
		cr_assert_eq(swap_empty(&p, "system_auth", &e), 0, "%s", e.message);
	cr_expect(holds(t.path, "shop/a", NULL) && access(t.path, F_OK) == 0);
	cr_expect(holds(t.path, "lost+found/x", "mine"));
	cr_expect(holds(t.path, "system_auth/a", "roles"));
	cr_expect(holds(t.path, OLD "shop/a", "before"));
	cr_assert_eq(swap_usage(&p, "system_auth", &rest, &e), 0);
	cr_expect_eq(rest, 0);
}

/* ---- a place's user who would lead root elsewhere ---- */

#define CASSANDRA 12345

static int lead(const struct swap_place *p, const char *what, const char *target)
{
	char path[500];

	snprintf(path, sizeof(path), "%s/" SWAP_DIRECTORY "%s", p->path, what);
	cr_assert_eq(io_remove_tree(AT_FDCWD, path), 0);
	return symlink(target, path);
}

static void nothing_leads_there(const struct swap_place *p, int expected)
{
	struct err e = ERR_INIT;
	int fd = -1;

	cr_expect_eq(swap_make(p, &e), expected, "%s", e.message);
	cr_expect_eq(swap_open_part(p, SWAP_NEW, &fd, &e), expected);
	cr_expect_eq(swap_check_parts(p, &e), expected);
	for (int move = SWAP_OUT; move <= SWAP_BACK; move++)
		cr_expect_eq(swap_move(p, move, NULL, &e), expected);
	cr_expect_eq(e.kind, ERR_CONFLICT);
	cr_expect_eq(fd, -1);
}

Test(swap, no_symbolic_link_in_a_place_is_followed)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_tmpdir_ struct tmpdir foreign = tmpdir_new();
	struct swap_place p = { .path = t.path, .data = true };
	struct err e = ERR_INIT;

	put(foreign.path, "backups/new/shop/a", "foreign");
	put(foreign.path, "shop/a", "foreign");
	put(foreign.path, "unfinished.db", "foreign");
	put(t.path, "ks/a", "mine");
	cr_assert_eq(lead(&p, "", foreign.path), 0);
	nothing_leads_there(&p, -ENOTDIR);
	cr_expect_eq(swap_guard(&p, true, &e), -ENOTDIR);
	cr_expect_eq(swap_guard(&p, false, &e), -ENOTDIR);
	cr_expect_eq(swap_remove(&p, &e), -ENOTDIR);
	cr_expect_eq(swap_end(&p, NULL, &e), -ENOTDIR);
	unlinkat(t.fd, SWAP_DIRECTORY, 0);
	cr_assert_eq(swap_make(&p, &e), 0, "%s", e.message);
	cr_assert_eq(lead(&p, "/backups", foreign.path), 0);
	nothing_leads_there(&p, -ENOTDIR);
	cr_assert_eq(swap_remove(&p, &e), 0, "%s", e.message);
	cr_assert_eq(swap_make(&p, &e), 0);
	cr_assert_eq(lead(&p, "/backups/new", foreign.path), 0);
	cr_expect_eq(swap_make(&p, &e), -ENOTDIR);
	cr_expect_eq(swap_move(&p, SWAP_IN, NULL, &e), -ENOTDIR);
	cr_assert_eq(swap_end(&p, NULL, &e), 0, "%s", e.message);
	cr_expect(holds(foreign.path, "backups/new/shop/a", "foreign"));
	cr_expect(holds(foreign.path, "shop/a", "foreign"));
	cr_expect(holds(foreign.path, "unfinished.db", "foreign"));
	cr_expect(holds(t.path, "ks/a", "mine"));
}

Test(swap, a_place_that_has_become_a_symbolic_link_is_not_opened)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_tmpdir_ struct tmpdir foreign = tmpdir_new();
	char path[200];
	struct swap_place p = { .path = path, .data = true };
	struct err e = ERR_INIT;

	put(foreign.path, "hints/a", "foreign");
	snprintf(path, sizeof(path), "%s/hints", t.path);
	cr_assert_eq(symlink(foreign.path, path), 0);
	nothing_leads_there(&p, -ENOTDIR);
	cr_expect_eq(swap_empty(&p, NULL, &e), -ENOTDIR);
	snprintf(path, sizeof(path), "%s/hints/hints", t.path);
	cr_expect_eq(swap_empty(&p, NULL, &e), -ENOTDIR);
	nothing_leads_there(&p, -ENOTDIR);
	cr_expect(holds(foreign.path, "hints/a", "foreign"));
}

Test(swap, a_directory_of_somebody_else_or_that_others_may_write_to_is_not_used)
{
	static const char *const inside[] = { SWAP_DIRECTORY, SWAP_DIRECTORY "/backups" };
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct swap_place p = { .path = t.path, .data = true };

	cr_assert_eq(geteuid(), 0, "the tests run as root");
	cr_assert_eq(swap_make(&p, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(inside); i++) {
		cr_assert_eq(fchownat(t.fd, inside[i], CASSANDRA, CASSANDRA, 0), 0);
		nothing_leads_there(&p, -EPERM);
		cr_assert_eq(fchownat(t.fd, inside[i], 0, 0, 0), 0);
		cr_assert_eq(fchmodat(t.fd, inside[i], 0775, 0), 0);
		nothing_leads_there(&p, -EPERM);
		cr_assert_eq(fchmodat(t.fd, inside[i], 0755, 0), 0);
		cr_assert_eq(swap_make(&p, NULL), 0);
	}
}

/* ---- where a path of cassandra.yaml leads ---- */

static int find(const char *top, const char *name, struct err *e)
{
	_cleanup_free_ char *path = util_printf("%s/%s", top, name);
	_cleanup_free_ char *real = NULL;
	struct stat st;

	return placepath_find(path, &real, &st, e);
}

#define ANYBODY 0777
#define STICKY 01777

Test(placepath, who_can_lead_root_leads_only_to_what_is_his)
{
	static const struct {
		uid_t above, link, place;
		mode_t mode; /* of the directory in which the link is; 0: its owner's alone */
		int r;
	} cases[] = {
		{ 0, 0, 0, 0, 0 },
		{ 0, 0, CASSANDRA, 0, 0 },
		{ CASSANDRA, CASSANDRA, CASSANDRA, 0, 0 },
		{ CASSANDRA, 0, CASSANDRA, ANYBODY, 0 },
		{ 0, CASSANDRA, CASSANDRA, STICKY, 0 },
		{ 0, 0, 0, STICKY, 0 },
		{ 0, 0, CASSANDRA, ANYBODY, 0 },
		{ CASSANDRA, CASSANDRA, 0, 0, -EPERM },
		{ CASSANDRA, 0, 0, 0, -EPERM },
		{ 0, CASSANDRA, 0, 0, -EPERM },
		{ 0, CASSANDRA, 0, STICKY, -EPERM },
		{ 0, 0, 0, ANYBODY, -EPERM },
		{ 0, 0, 0, 0770, -EPERM },
		{ CASSANDRA, CASSANDRA, CASSANDRA + 1, 0, -EPERM },
		{ CASSANDRA, CASSANDRA + 1, CASSANDRA + 1, 0, -EPERM },
		{ CASSANDRA, CASSANDRA + 1, CASSANDRA, 0, -EPERM },
	};

	cr_assert_eq(geteuid(), 0, "the tests run as root");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
		struct err e = ERR_INIT;

		cr_assert_eq(io_mkdirs(t.fd, "etc/place", 0755), 0);
		cr_assert_eq(io_mkdirs(t.fd, "lib", 0755), 0);
		cr_assert_eq(symlinkat("../etc/place", t.fd, "lib/data"), 0);
		cr_assert_eq(fchownat(t.fd, "etc/place", cases[i].place, 0, 0), 0);
		cr_assert_eq(fchownat(t.fd, "lib/data", cases[i].link, 0, AT_SYMLINK_NOFOLLOW), 0);
		cr_assert_eq(fchownat(t.fd, "lib", cases[i].above, 0, 0), 0);
		if (cases[i].mode)
			cr_assert_eq(fchmodat(t.fd, "lib", cases[i].mode, 0), 0);
		cr_expect_eq(find(t.path, "lib/data", &e), cases[i].r, "%zu: %s", i, e.message);
	}
}

Test(placepath, links_and_dots_are_followed_to_the_end_and_what_is_missing_or_endless_is_told)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_free_ char *path = util_printf("%s/a/./up//b/", t.path);
	_cleanup_free_ char *expected = util_printf("%s/big/b", t.path);
	_cleanup_free_ char *target = util_printf("%s/big/x/..", t.path);
	_cleanup_free_ char *real = NULL;
	struct err e = ERR_INIT;
	struct stat st;

	cr_assert_eq(io_mkdirs(t.fd, "a", 0755), 0);
	cr_assert_eq(io_mkdirs(t.fd, "big/b", 0755), 0);
	cr_assert_eq(io_mkdirs(t.fd, "big/x", 0755), 0);
	cr_assert_eq(symlinkat(target, t.fd, "a/up"), 0);
	cr_assert_eq(symlinkat("loop", t.fd, "loop"), 0);
	put(t.path, "file", "");
	cr_assert_eq(placepath_find(path, &real, &st, &e), 0, "%s", e.message);
	cr_expect_str_eq(real, expected);
	cr_expect(S_ISDIR(st.st_mode));
	cr_expect_eq(find(t.path, "loop", &e), -ELOOP);
	cr_expect_eq(find(t.path, "file/x", &e), -ENOTDIR);
	cr_expect_eq(find(t.path, "none/x", &e), -ENOENT);
	cr_expect_eq(placepath_find("a", &real, &st, &e), -EINVAL);
}

static struct nodejournal *a_journal(const char *path)
{
	struct nodejournal *j = nodejournal_new();

	j->cluster = strdup("prod");
	j->node = strdup("db1");
	j->backup = strdup("b");
	j->host_id = strdup("3512f072-ed46-4bcb-84c8-a395dc445594");
	strcpy(j->writer, "01JZZZZZZZZZZZZZZZZZZZZZZZ");
	j->step = NODEJOURNAL_IN;
	j->moved = NODEJOURNAL_ASIDE;
	j->keep_auth = true;
	cr_assert_eq(nodejournal_add_place(j, path, true, NULL), 0);
	cr_assert_eq(nodejournal_add_place(j, "/other", false, NULL), 0);
	return j;
}

Test(nodejournal, what_was_written_is_read_and_goes_at_the_end)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(nodejournal_freep) struct nodejournal *j = a_journal(t.path);
	_cleanup_(nodejournal_freep) struct nodejournal *found = NULL;
	_cleanup_close_ int lock = -1;
	int second = -1;
	struct err e = ERR_INIT;

	cr_assert_eq(nodejournal_lock(t.path, false, &lock, &e), -ENOENT);
	cr_assert_eq(nodejournal_read(t.path, &found, &e), 0);
	cr_assert_null(found);
	cr_assert_eq(nodejournal_lock(t.path, true, &lock, &e), 0, "%s", e.message);
	cr_expect_eq(nodejournal_lock(t.path, true, &second, &e), -EBUSY);
	cr_assert_eq(nodejournal_write(j, &e), 0, "%s", e.message);
	cr_assert_eq(nodejournal_read(t.path, &found, &e), 0, "%s", e.message);
	cr_assert_not_null(found);
	cr_expect_str_eq(found->backup, "b");
	cr_expect_str_eq(found->writer, j->writer);
	cr_expect_str_eq(found->host_id, j->host_id);
	cr_expect(found->step == NODEJOURNAL_IN && !found->done && found->keep_auth);
	cr_expect(found->moved == NODEJOURNAL_ASIDE && found->mode == NODEJOURNAL_RESTORE);
	cr_assert_eq(found->place_count, 2);
	cr_expect(found->places[0].data && !found->places[1].data);
	j->place_count = 1;
	cr_assert_eq(nodejournal_end(j, &e), 0, "%s", e.message);
	cr_expect_eq(nodejournal_lock(t.path, false, &second, &e), -ENOENT);
	j->place_count = 2;
}

Test(nodejournal, what_only_some_restores_have_is_kept_and_is_of_the_second_version)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(nodejournal_freep) struct nodejournal *j = a_journal(t.path);
	_cleanup_(nodejournal_freep) struct nodejournal *remote = NULL;
	_cleanup_(nodejournal_freep) struct nodejournal *only = NULL;
	_cleanup_close_ int lock = -1;
	_cleanup_free_ char *text = NULL;
	struct err e = ERR_INIT;
	char path[500];
	size_t len;

	snprintf(path, sizeof(path), "%s/" SWAP_DIRECTORY "/journal.json", t.path);
	cr_assert_eq(nodejournal_lock(t.path, true, &lock, &e), 0);
	cr_assert_eq(nodejournal_write(j, &e), 0);
	cr_assert_eq(io_read_file(AT_FDCWD, path, 10000, &text, &len), 0);
	cr_expect(strstr(text, "\"format\":1") || strstr(text, "\"format\": 1"), "%s", text);
	free(j->tokens);
	free(j->yaml);
	j->tokens = strdup("-5,7");
	j->yaml = strdup("/etc/cassandra/cassandra.yaml");
	j->no_stage = true;
	cr_assert_eq(nodejournal_write(j, &e), 0);
	free(steal_pointer(&text));
	cr_assert_eq(io_read_file(AT_FDCWD, path, 10000, &text, &len), 0);
	cr_expect(strstr(text, "\"format\":2") || strstr(text, "\"format\": 2"), "%s", text);
	cr_assert_eq(nodejournal_read(t.path, &remote, &e), 0, "%s", e.message);
	cr_expect_str_eq(remote->tokens, "-5,7");
	cr_expect_str_eq(remote->yaml, j->yaml);
	cr_expect(remote->no_stage && nodejournal_has(remote, NODEJOURNAL_YAML));
	cr_expect_not(nodejournal_has(remote, NODEJOURNAL_FETCH));
	*j->tokens = '\0';
	j->no_stage = false;
	cr_assert_eq(nodejournal_add_only(j, "shop.users", &e), 0);
	cr_assert_eq(nodejournal_write(j, &e), 0);
	cr_assert_eq(nodejournal_read(t.path, &only, &e), 0, "%s", e.message);
	cr_assert_eq(only->only_count, 1);
	cr_expect_str_eq(only->only[0], "shop.users");
	cr_expect(nodejournal_has(only, NODEJOURNAL_IMPORT));
	cr_expect_not(nodejournal_has(only, NODEJOURNAL_STOP));
	j->no_stage = true;
	cr_assert_eq(nodejournal_write(j, &e), 0);
	nodejournal_free(steal_pointer(&only));
	cr_expect_lt(nodejournal_read(t.path, &only, &e), 0);
	cr_expect_eq(e.kind, ERR_CORRUPT);
}

Test(nodejournal, one_that_is_damaged_is_not_believed)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(nodejournal_freep) struct nodejournal *j = a_journal(t.path);
	struct nodejournal *found = NULL;
	_cleanup_close_ int lock = -1;
	_cleanup_free_ char *text = NULL;
	struct err e = ERR_INIT;
	char path[500];
	size_t len;

	cr_assert_eq(nodejournal_lock(t.path, true, &lock, &e), 0);
	cr_assert_eq(nodejournal_write(j, &e), 0);
	snprintf(path, sizeof(path), "%s/" SWAP_DIRECTORY "/journal.json", t.path);
	cr_assert_eq(io_read_file(AT_FDCWD, path, 10000, &text, &len), 0);
	*strstr(text, "\"in\"") = 'X';
	cr_assert_eq(io_publish_file(AT_FDCWD, path, text, len, 0644, NULL), 0);
	cr_expect_lt(nodejournal_read(t.path, &found, &e), 0);
	cr_expect_eq(e.kind, ERR_CORRUPT);
	cr_expect_null(found);
}

/* ---- the lock ---- */

/* Called by the next flock(2), after the file was opened. */
static void (*before_flock)(void);
static const char *lock_dir;

int flock(int fd, int operation)
{
	void (*now)(void) = before_flock;

	before_flock = NULL;
	if (now)
		now();
	return (int)syscall(SYS_flock, fd, operation);
}

static void finish_meanwhile(void)
{
	struct swap_place p = { .path = (char *)(size_t)lock_dir, .data = true };

	cr_assert_eq(swap_end(&p, "lock", NULL), 0);
}

/* --finish removed the file that a second one had opened already. */
Test(nodejournal, a_lock_that_was_removed_locks_nothing)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_close_ int lock = -1;
	int second = -1;
	struct err e = ERR_INIT;

	lock_dir = t.path;
	before_flock = finish_meanwhile;
	cr_assert_eq(nodejournal_lock(t.path, true, &lock, &e), 0, "%s", e.message);
	cr_expect_eq(nodejournal_lock(t.path, true, &second, &e), -EBUSY);
	util_closep(&lock);
	lock = -1;
	before_flock = finish_meanwhile;
	cr_expect_eq(nodejournal_lock(t.path, false, &lock, &e), -ENOENT);
	cr_expect_eq(e.kind, ERR_NOT_FOUND);
}

static const char *removed_from;
static int begun = -1;

/* The next one begins as soon as the name of the lock is free, before the directory is removed. */
int unlinkat(int fd, const char *name, int flags)
{
	int r = (int)syscall(SYS_unlinkat, fd, name, flags);
	const char *dir = removed_from;

	if (r == 0 && dir && strcmp(name, "lock") == 0) {
		removed_from = NULL;
		cr_assert_eq(nodejournal_lock(dir, true, &begun, NULL), 0);
	}
	return r;
}

Test(nodejournal, who_begins_while_the_end_is_removed_keeps_what_is_his)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(nodejournal_freep) struct nodejournal *j = a_journal(t.path);
	_cleanup_close_ int lock = -1;
	int third = -1;
	struct err e = ERR_INIT;

	cr_assert_eq(nodejournal_lock(t.path, true, &lock, &e), 0);
	cr_assert_eq(nodejournal_write(j, &e), 0);
	j->place_count = 1;
	removed_from = t.path;
	cr_assert_eq(nodejournal_end(j, &e), 0, "%s", e.message);
	j->place_count = 2;
	cr_assert_geq(begun, 0);
	cr_expect_eq(nodejournal_lock(t.path, false, &third, &e), -EBUSY);
	cr_expect(holds(t.path, SWAP_DIRECTORY "/lock", ""));
	cr_expect(holds(t.path, SWAP_DIRECTORY "/journal.json", NULL));
	close(begun);
}

/* The data directory is exchanged between the check and the lock. */
Test(nodejournal, a_data_directory_that_has_become_a_link_is_not_followed)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_tmpdir_ struct tmpdir foreign = tmpdir_new();
	_cleanup_free_ char *data = util_printf("%s/data", t.path);
	struct nodejournal *found = NULL;
	int lock = -1;
	struct err e = ERR_INIT;

	cr_assert_eq(symlink(foreign.path, data), 0);
	cr_expect_eq(nodejournal_lock(data, true, &lock, &e), -ENOTDIR);
	cr_expect_eq(nodejournal_read(data, &found, &e), -ENOTDIR);
	cr_expect_neq(faccessat(foreign.fd, SWAP_DIRECTORY, F_OK, 0), 0);
}

Test(nodejournal, a_lock_of_root_alone_is_told_from_a_restore_that_root_has_begun)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(nodejournal_freep) struct nodejournal *j = a_journal(t.path);
	_cleanup_close_ int lock = -1;
	int second = -1;
	struct err e = ERR_INIT;

	cr_assert_eq(geteuid(), 0, "the tests run as root");
	cr_assert_eq(chmod(t.path, 0755), 0);
	cr_assert_eq(nodejournal_lock(t.path, true, &lock, &e), 0, "%s", e.message);
	for (int begun_too = 0; begun_too < 2; begun_too++) {
		if (begun_too)
			cr_assert_eq(nodejournal_write(j, &e), 0, "%s", e.message);
		cr_assert_eq(seteuid(CASSANDRA), 0);
		cr_expect_eq(nodejournal_lock(t.path, false, &second, &e), -EACCES);
		cr_assert_eq(seteuid(0), 0);
		cr_expect(strstr(e.message, begun_too ? "go on as root" : "remove it as root"),
			  "%s", e.message);
	}
}

Test(nodejournal, one_of_another_user_is_not_believed)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(nodejournal_freep) struct nodejournal *j = a_journal(t.path);
	struct nodejournal *found = NULL;
	_cleanup_close_ int lock = -1;
	struct err e = ERR_INIT;
	const char *journal = SWAP_DIRECTORY "/journal.json";

	cr_assert_eq(geteuid(), 0, "the tests run as root");
	cr_assert_eq(nodejournal_lock(t.path, true, &lock, &e), 0);
	cr_assert_eq(nodejournal_write(j, &e), 0);
	cr_assert_eq(fchownat(t.fd, journal, CASSANDRA, CASSANDRA, 0), 0);
	cr_expect_eq(nodejournal_read(t.path, &found, &e), -EPERM);
	cr_assert_eq(fchownat(t.fd, journal, 0, 0, 0), 0);
	cr_assert_eq(fchmodat(t.fd, journal, 0666, 0), 0);
	cr_expect_eq(nodejournal_read(t.path, &found, &e), -EPERM);
	cr_assert_eq(unlinkat(t.fd, journal, 0), 0);
	cr_assert_eq(symlinkat("/dev/null", t.fd, journal), 0);
	cr_expect_eq(nodejournal_read(t.path, &found, &e), -ELOOP);
	cr_assert_eq(fchownat(t.fd, SWAP_DIRECTORY, CASSANDRA, CASSANDRA, 0), 0);
	cr_expect_eq(nodejournal_read(t.path, &found, &e), -EPERM);
	cr_expect_eq(nodejournal_lock(t.path, true, &lock, &e), -EPERM);
	cr_expect_null(found);
}
