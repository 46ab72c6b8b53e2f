/* SPDX-License-Identifier: Apache-2.0 */
/* restore into directories some of which were there, with attributes of their own. */
#include <criterion/criterion.h>
#include <sys/stat.h>
#include "catalog/object.h"
#include "catalog/restore.h"
#include "tests/unit/base/tmpdir.h"
#include "tests/unit/catalog/fixture.h"

static struct fixture_file file(const char *path)
{
	return (struct fixture_file){ .path = path,
				      .data = "abc",
				      .len_bytes = 3,
				      .attr = { 0640, getuid(), getgid(), 1600000000000000000LL } };
}

/* errno is still that of the missing one when the next is looked at: by who writes files, by who compares those that stay, and where empty directories are made. */
Test(restore_dirs, those_that_were_there_are_taken_after_one_that_was_missing)
{
	static const char *const there[] = { "ks", "ks/kept", "ks/more" };
	struct fixture *f = fixture_new(OBJECT_VERIFY_XXH3);
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct fixture_file files[] = { file("data/before/t/nb-1-big-Data.db"),
					file("data/ks/kept/nb-1-big-Data.db"),
					file("data/ks/more/nb-1-big-Data.db"),
					{ .path = "data/ks/more/empty/" } };
	struct record *record =
		fixture_backup(f, "b1", files, ARRAY_SIZE(files), OBJECT_COMPRESS_ZSTD);
	struct restore_options o = { .repo = f->repo,
				     .source = f->source,
				     .meta = f->meta,
				     .record = record,
				     .directory = t.path };
	struct restore_result result;
	struct err e = ERR_INIT;
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(there); i++) {
		cr_assert_eq(io_mkdirs(t.fd, there[i], 0700), 0);
		cr_assert_eq(fchmodat(t.fd, there[i], 0751, 0), 0);
	}
	tmpdir_write(&t, "ks/kept/nb-1-big-Data.db", "abc", 3);
	cr_assert_eq(restore_run(&o, &result, &e), 0, "%s", e.message);
	cr_expect_eq(result.files_kept, 1);
	cr_expect_eq(result.files_written, 2);
	for (size_t i = 0; i < ARRAY_SIZE(there); i++) {
		cr_assert_eq(fstatat(t.fd, there[i], &st, 0), 0);
		cr_expect_eq(st.st_mode & 07777, 0751, "%s", there[i]);
	}
	cr_expect_eq(faccessat(t.fd, "before/t/nb-1-big-Data.db", F_OK, 0), 0);
	cr_expect_eq(faccessat(t.fd, "ks/more/empty", F_OK, 0), 0);
	record_free(record);
	fixture_free(f);
}
