/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "cassandra/leftover.h"
#include "tests/unit/base/tmpdir.h"

#define TAG "sstablefs-01JZZZZZZZZZZZZZZZZZZZZZZZ"

/* A process notes a snapshot and dies. */
static void crash(const char *state, const char *tag, const char *host_id)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		struct leftover *l = NULL;

		_exit(leftover_note(state, tag, host_id, &l, NULL) == 0 ? 0 : 1);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0);
}

Test(leftover, a_note_is_found_when_its_run_is_gone_and_not_before)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct leftover *own = NULL, *found = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(leftover_find(t.path, "a", 0, &found, &e), 0);
	cr_expect_null(found);
	cr_assert_eq(leftover_note(t.path, TAG, "a", &own, &e), 0, "%s", e.message);
	cr_expect_eq(leftover_look(t.path, TAG), LEFTOVER_RUNNING);
	cr_assert_eq(leftover_find(t.path, "a", 0, &found, &e), 0);
	cr_expect_null(found);
	leftover_free(own); /* as a crash does */
	cr_expect_eq(leftover_look(t.path, TAG), LEFTOVER_DEAD);
	cr_assert_eq(leftover_find(t.path, "a", 1, &found, &e), 0);
	cr_expect_null(found, "the only one is skipped");
	cr_assert_eq(leftover_find(t.path, "a", 0, &found, &e), 0);
	cr_assert_not_null(found);
	cr_expect_str_eq(found->tag, TAG);
	cr_assert_eq(leftover_forget(found), 0);
	cr_expect_eq(leftover_look(t.path, TAG), LEFTOVER_UNKNOWN);
}

Test(leftover, the_notes_of_a_dead_process_and_of_another_cassandra)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct leftover *found = NULL;
	struct err e = ERR_INIT;

	crash(t.path, TAG, "a");
	cr_assert_eq(leftover_find(t.path, "b", 0, &found, &e), 0);
	cr_expect_null(found);
	cr_expect_eq(leftover_look(t.path, TAG), LEFTOVER_DEAD);
	cr_assert_eq(leftover_find(t.path, "a", 0, &found, &e), 0);
	cr_assert_not_null(found);
	leftover_free(found);
}

Test(leftover, a_note_that_was_never_finished_goes_and_a_damaged_one_stays)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct leftover *found = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(mkdirat(t.fd, "unfinished", 0700), 0);
	cr_assert_eq(mkdirat(t.fd, "damaged", 0700), 0);
	tmpdir_write(&t, "damaged/owner", "{", 1);
	tmpdir_write(&t, "file", "x", 1);
	cr_assert_eq(leftover_find(t.path, "a", 0, &found, &e), 0);
	cr_expect_null(found);
	cr_expect_neq(faccessat(t.fd, "unfinished", F_OK, 0), 0);
	cr_expect_eq(faccessat(t.fd, "damaged/owner", F_OK, 0), 0);
	cr_expect_eq(faccessat(t.fd, "file", F_OK, 0), 0);
}
