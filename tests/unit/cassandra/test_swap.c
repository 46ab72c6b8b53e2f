/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/io.h"
#include "cassandra/nodejournal.h"
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
	cr_assert_eq(swap_holds(&p, SWAP_OLD), 0);
	for (int again = 0; again < 2; again++)
		cr_assert_eq(swap_move(&p, SWAP_OUT, "system_auth", &e), 0, "%s", e.message);
	cr_assert_eq(swap_holds(&p, SWAP_OLD), 1);
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
