/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include "base/io.h"
#include "tests/unit/base/tmpdir.h"
#include "tools/loadjournal.h"

static struct loadjournal *open_journal(const struct tmpdir *t)
{
	struct loadjournal *j = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(loadjournal_open(t->path, "x", &j, &e), 0, "%s", e.message);
	return j;
}

Test(loadjournal, what_is_loaded_is_known_to_the_next_run)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct loadjournal *j;
	struct err e = ERR_INIT;

	j = open_journal(&t);
	cr_expect_not(loadjournal_has(j, "ks.t", "n1/data"));
	cr_expect_eq(loadjournal_add(j, "ks.t", "n1/data", &e), 0);
	cr_expect_eq(loadjournal_add(j, "ks.t2", "n1/data", &e), 0);
	loadjournal_free(j);
	j = open_journal(&t);
	cr_expect(loadjournal_has(j, "ks.t", "n1/data"));
	cr_expect(loadjournal_has(j, "ks.t2", "n1/data"));
	cr_expect_not(loadjournal_has(j, "ks.t", "n2/data"));
	/* Only that table, and for good. */
	cr_expect_eq(loadjournal_forget(j, "ks.t", &e), 0);
	loadjournal_free(j);
	j = open_journal(&t);
	cr_expect_not(loadjournal_has(j, "ks.t", "n1/data"));
	cr_expect(loadjournal_has(j, "ks.t2", "n1/data"));
	cr_expect_eq(loadjournal_forget(j, NULL, &e), 0);
	cr_expect_not(loadjournal_has(j, "ks.t2", "n1/data"));
	loadjournal_free(j);
}

Test(loadjournal, a_line_that_was_cut_is_none)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_free_ char *path = NULL;
	struct loadjournal *j;
	struct err e = ERR_INIT;
	int fd;

	j = open_journal(&t);
	cr_expect_eq(loadjournal_add(j, "ks.t", "n1/data", &e), 0);
	path = util_printf("%s/loaded", loadjournal_directory(j));
	loadjournal_free(j);
	fd = open(path, O_WRONLY | O_APPEND);
	cr_assert_geq(fd, 0);
	cr_assert_eq(io_write_full(fd, "ks.t n2/da", 10), 0);
	close(fd);
	j = open_journal(&t);
	cr_expect(loadjournal_has(j, "ks.t", "n1/data"));
	/* What is written behind it stands by itself. */
	cr_expect_eq(loadjournal_add(j, "ks.t", "n3/data", &e), 0);
	loadjournal_free(j);
	j = open_journal(&t);
	cr_expect(loadjournal_has(j, "ks.t", "n3/data"));
	cr_expect_not(loadjournal_has(j, "ks.t", "n2/data"));
	loadjournal_free(j);
}

Test(loadjournal, one_process_at_a_time_and_none_is_left_at_the_end)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_free_ char *path = NULL;
	struct loadjournal *j, *other = NULL;
	struct err e = ERR_INIT;
	struct stat st;

	j = open_journal(&t);
	cr_expect_eq(loadjournal_open(t.path, "x", &other, &e), -EBUSY);
	cr_expect_eq(e.kind, ERR_CONFLICT);
	path = strdup(loadjournal_directory(j));
	cr_expect_eq(loadjournal_end(j, &e), 0);
	cr_expect_neq(stat(path, &st), 0);
	loadjournal_free(j);
}
