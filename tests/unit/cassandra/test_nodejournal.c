/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/io.h"
#include "base/json.h"
#include "base/util.h"
#include "cassandra/nodejournal.h"
#include "tests/unit/cassandra/swap_help.h"

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
	cr_assert_eq(nodejournal_end(j, NULL, &e), 0, "%s", e.message);
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

/* As a program wrote it that did not say whether the directories were made. */
static void forget_made(const char *dir)
{
	_cleanup_free_ char *path = util_printf("%s/" SWAP_DIRECTORY "/journal.json", dir);
	_cleanup_free_ char *text = NULL, *sealed = NULL;
	_cleanup_json_ json_t *o = NULL;
	struct err e = ERR_INIT;
	size_t len;

	cr_assert_eq(io_read_file(AT_FDCWD, path, 1 << 20, &text, &len), 0);
	cr_assert_eq(json_unseal(path, text, len, 1 << 20, &o, &e), 0, "%s", e.message);
	cr_assert_eq(json_object_del(o, "made"), 0);
	cr_assert_eq(json_seal(o, &sealed, &len, &e), 0);
	cr_assert_eq(io_publish_file(AT_FDCWD, path, sealed, len, 0644, NULL), 0);
}

Test(nodejournal, one_of_an_older_program_has_its_directories_made_where_something_was_moved)
{
	static const enum nodejournal_moved moved[] = { NODEJOURNAL_IN_PLACE, NODEJOURNAL_ASIDE };

	for (size_t i = 0; i < ARRAY_SIZE(moved); i++) {
		_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
		_cleanup_(nodejournal_freep) struct nodejournal *j = a_journal(t.path);
		_cleanup_(nodejournal_freep) struct nodejournal *found = NULL;
		_cleanup_close_ int lock = -1;
		struct err e = ERR_INIT;

		j->moved = moved[i];
		cr_assert_eq(nodejournal_lock(t.path, true, &lock, &e), 0, "%s", e.message);
		cr_assert_eq(nodejournal_write(j, &e), 0, "%s", e.message);
		forget_made(t.path);
		cr_assert_eq(nodejournal_read(t.path, &found, &e), 0, "%s", e.message);
		cr_expect_eq(found->made, moved[i] != NODEJOURNAL_IN_PLACE);
	}
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

	cr_assert_eq(swap_end(&p, "lock", NULL, NULL), 0);
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
	cr_assert_eq(nodejournal_end(j, NULL, &e), 0, "%s", e.message);
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
