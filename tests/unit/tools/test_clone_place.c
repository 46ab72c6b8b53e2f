/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "tests/unit/base/tmpdir.h"
#include "tools/clone_place.h"

/* What one process knows of the clone at <directory>/data. */
static struct clone_place look(const struct tmpdir *t)
{
	_cleanup_free_ char *directory = util_printf("%s/data", t->path);
	struct err e = ERR_INIT;
	struct clone_place p;

	cr_assert_eq(clone_place_init(&p, directory, &e), 0, "%s", e.message);
	cr_assert_eq(clone_place_open(&p, &e), 0, "%s", e.message);
	return p;
}

static struct record *backup_record(void)
{
	struct record *r = record_new();

	cr_assert(r);
	strcpy(r->where.cluster, "c");
	strcpy(r->where.node, "n1");
	free(r->backup);
	r->backup = strdup("b");
	return r;
}

/* Both saw no clone there; the second must not take part in what the first made, still less undo it. */
static void race(bool first_is_done)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(record_freep) struct record *r = backup_record();
	struct clone_place first = look(&t), second = look(&t);
	_cleanup_free_ char *note = util_printf("%s/clone.json", first.state);
	struct err e = ERR_INIT;
	struct stat st;

	cr_assert(first.fd < 0 && second.fd < 0);
	cr_assert_eq(clone_place_make(&first, r, &e), 0, "%s", e.message);
	if (first_is_done) {
		close(first.fd);
		first.fd = -1;
	}
	cr_expect_eq(clone_place_make(&second, r, &e), -EBUSY);
	cr_expect_eq(second.fd, -1);
	cr_expect_eq(clone_place_remove(&second, &e), 0);
	cr_expect_eq(stat(note, &st), 0, "what the first made must stay");
	clone_place_deinit(&first);
	clone_place_deinit(&second);
}

Test(clone_place, two_that_begin_at_once_do_not_share_a_place)
{
	race(false);
}

Test(clone_place, one_that_was_overtaken_leaves_the_other_alone)
{
	race(true);
}

Test(clone_place, a_place_that_is_being_worked_on_is_not_opened)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(record_freep) struct record *r = backup_record();
	struct clone_place first = look(&t), second;
	struct err e = ERR_INIT;

	cr_assert_eq(clone_place_make(&first, r, &e), 0, "%s", e.message);
	cr_assert_eq(clone_place_init(&second, first.directory, &e), 0);
	cr_expect_eq(clone_place_open(&second, &e), -EBUSY);
	cr_expect_eq(second.fd, -1);
	clone_place_deinit(&first);
	clone_place_deinit(&second);
}
