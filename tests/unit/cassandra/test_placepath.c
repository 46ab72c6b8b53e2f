/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/io.h"
#include "cassandra/placepath.h"
#include "tests/unit/cassandra/swap_help.h"

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
