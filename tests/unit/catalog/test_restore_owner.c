/* SPDX-License-Identifier: Apache-2.0 */
/* restore into a directory of somebody who may exchange names in it, as root. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include "catalog/object.h"
#include "catalog/restore.h"
#include "tests/unit/base/tmpdir.h"
#include "tests/unit/catalog/fixture.h"

/* When the first directory gets its times, another one is exchanged for one of another user. */
static const char *exchanged;

int futimens(int fd, const struct timespec times[2])
{
	const char *base = exchanged;
	struct stat st;

	cr_assert_eq(fstat(fd, &st), 0);
	if (base && S_ISDIR(st.st_mode)) {
		char from[200], to[200];

		exchanged = NULL;
		snprintf(from, sizeof(from), "%s/ks", base);
		snprintf(to, sizeof(to), "%s/away", base);
		cr_assert_eq(rename(from, to), 0);
		cr_assert_eq(mkdir(from, 0700), 0);
		cr_assert_eq(chown(from, 54321, 54321), 0);
	}
	return (int)syscall(SYS_utimensat, fd, NULL, times, 0);
}

Test(restore_owner, an_owner_that_is_given_has_all_of_it_and_nothing_else_through_descriptors)
{
	struct fixture *f = fixture_new(OBJECT_VERIFY_XXH3);
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct fixture_file files[] = { { .path = "data/ks/t/nb-1-big-Data.db",
					  .data = "abc",
					  .len_bytes = 3,
					  .attr = { 0640, 0, 0, 1600000000000000000LL } } };
	struct record *record = fixture_backup(f, "b1", files, 1, OBJECT_COMPRESS_ZSTD);
	struct restore_owner owner = { 12345, 12346 };
	struct restore_options o = { .repo = f->repo,
				     .source = f->source,
				     .meta = f->meta,
				     .record = record,
				     .directory = "/nowhere",
				     .directory_fd = t.fd,
				     .opened = true,
				     .owner = &owner };
	const char *const given[] = { "away", "away/t", "away/t/nb-1-big-Data.db" };
	struct restore_result result;
	struct err e = ERR_INIT;
	struct stat st;

	cr_assert_eq(geteuid(), 0, "the tests run as root");
	exchanged = t.path;
	cr_assert_eq(restore_run(&o, &result, &e), 0, "%s", e.message);
	for (size_t i = 0; i < ARRAY_SIZE(given); i++) {
		cr_assert_eq(fstatat(t.fd, given[i], &st, 0), 0, "%s", given[i]);
		cr_expect(st.st_uid == owner.uid && st.st_gid == owner.gid, "%s", given[i]);
	}
	cr_assert_eq(fstatat(t.fd, "ks", &st, 0), 0);
	cr_expect(st.st_uid == 54321 && (st.st_mode & 07777) == 0700, "%u %o", st.st_uid,
		  st.st_mode);
	record_free(record);
	fixture_free(f);
}
