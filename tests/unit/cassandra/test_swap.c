/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/io.h"
#include "tests/unit/cassandra/swap_help.h"

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
	cr_assert_eq(swap_usage(&p, NULL, NULL, &all, &e), 0, "%s", e.message);
	cr_assert_eq(swap_usage(&p, "system_auth", NULL, &rest, &e), 0, "%s", e.message);
	cr_expect(rest > 0 && all > rest, "%llu, %llu", (unsigned long long)all,
		  (unsigned long long)rest);
	for (int again = 0; again < 2; again++)
		cr_assert_eq(swap_empty(&p, "system_auth", NULL, &e), 0, "%s", e.message);
	cr_expect(holds(t.path, "shop/a", NULL) && access(t.path, F_OK) == 0);
	cr_expect(holds(t.path, "lost+found/x", "mine"));
	cr_expect(holds(t.path, "system_auth/a", "roles"));
	cr_expect(holds(t.path, OLD "shop/a", "before"));
	cr_assert_eq(swap_usage(&p, "system_auth", NULL, &rest, &e), 0);
	cr_expect_eq(rest, 0);
}

Test(swap, what_takes_long_is_heard_of_and_can_be_interrupted)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct swap_place p = { .path = t.path, .data = true };
	struct cancel cancel = { .reason = 2 };
	struct err e = ERR_INIT;
	uint64_t bytes = 0;
	unsigned waits = 0;

	put(t.path, "shop/a", "x");
	cr_assert_eq(swap_make(&p, &e), 0);
	put(t.path, OLD "shop/a", "before");
	cr_expect_eq(swap_usage(&p, NULL, &cancel, &bytes, &e), -ECANCELED);
	cr_expect_eq(swap_empty(&p, NULL, &cancel, &e), -ECANCELED);
	cr_expect_eq(swap_remove(&p, &cancel, &e), -ECANCELED);
	cr_expect_eq(swap_end(&p, NULL, &cancel, &e), -ECANCELED);
	cr_expect(holds(t.path, "shop/a", "x") && holds(t.path, OLD "shop/a", "before"));
	cancel_set(&cancel, 0);
	for (int i = 0; i < 4; i++) {
		int r = i == 0	 ? swap_usage(&p, NULL, &cancel, &bytes, &e)
			: i == 1 ? swap_empty(&p, NULL, &cancel, &e)
			: i == 2 ? swap_remove(&p, &cancel, &e)
				 : swap_end(&p, NULL, &cancel, &e);

		cr_expect_eq(r, 0, "%d: %s", i, e.message);
		cr_expect(i == 3 || cancel.waits > waits, "%d", i);
		waits = cancel.waits;
	}
}

/* ---- a place's user who would lead root elsewhere ---- */

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
	cr_expect_eq(swap_remove(&p, NULL, &e), -ENOTDIR);
	cr_expect_eq(swap_end(&p, NULL, NULL, &e), -ENOTDIR);
	unlinkat(t.fd, SWAP_DIRECTORY, 0);
	cr_assert_eq(swap_make(&p, &e), 0, "%s", e.message);
	cr_assert_eq(lead(&p, "/backups", foreign.path), 0);
	nothing_leads_there(&p, -ENOTDIR);
	cr_assert_eq(swap_remove(&p, NULL, &e), 0, "%s", e.message);
	cr_assert_eq(swap_make(&p, &e), 0);
	cr_assert_eq(lead(&p, "/backups/new", foreign.path), 0);
	cr_expect_eq(swap_make(&p, &e), -ENOTDIR);
	cr_expect_eq(swap_move(&p, SWAP_IN, NULL, &e), -ENOTDIR);
	cr_assert_eq(swap_end(&p, NULL, NULL, &e), 0, "%s", e.message);
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
	cr_expect_eq(swap_empty(&p, NULL, NULL, &e), -ENOTDIR);
	snprintf(path, sizeof(path), "%s/hints/hints", t.path);
	cr_expect_eq(swap_empty(&p, NULL, NULL, &e), -ENOTDIR);
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
