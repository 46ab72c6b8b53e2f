/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/socket.h>

#include "cassandra/snapshot.h"
#include "tests/unit/base/tmpdir.h"

#define USERS "users-00000000000000000000000000000001"
#define ORDERS "orders-00000000000000000000000000000002"

static void put(const struct tmpdir *t, const char *path, const char *content)
{
	char dir[512];

	snprintf(dir, sizeof(dir), "%s", path);
	*strrchr(dir, '/') = '\0';
	cr_assert_eq(io_mkdirs(t->fd, dir, 0755), 0, "%s", dir);
	tmpdir_write(t, path, content, strlen(content));
}

/* Scans <tmp>/d0 and, with two, <tmp>/d1 for the tag "s1". */
static int scan(const struct tmpdir *t, size_t dirs, const char *tag, const char *only,
		struct snapshot **ret, struct err *e)
{
	char d0[128], d1[128];
	const char *data_dirs[] = { d0, d1 };
	struct snapshot_options o = { .data_dirs = data_dirs,
				      .data_dir_count = dirs,
				      .tag = tag,
				      .only = &only,
				      .only_count = only ? 1 : 0 };

	snprintf(d0, sizeof(d0), "%s/d0", t->path);
	snprintf(d1, sizeof(d1), "%s/d1", t->path);
	*e = ERR_INIT;
	return snapshot_scan(&o, NULL, ret, e);
}

static void expect_file(const struct snapshot *s, size_t i, const char *path)
{
	_cleanup_free_ char *found = snapshot_path(&s->files[i]);

	cr_expect_str_eq(found, path);
}

static void expect_files(const struct snapshot *s, const char *const *paths, size_t count)
{
	cr_assert_eq(s->file_count, count, "%zu files", s->file_count);
	for (size_t i = 0; i < count; i++)
		expect_file(s, i, paths[i]);
}

static void expect_dirs(const struct snapshot *s, const char *const *paths, size_t count)
{
	cr_assert_eq(s->dir_count, count, "%zu directories", s->dir_count);
	for (size_t i = 0; i < count; i++)
		cr_expect_str_eq(s->dirs[i].path, paths[i]);
}

Test(snapshot, files_of_all_tables_are_found_in_tree_order)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(snapshot_freep) struct snapshot *s = NULL;
	struct err e;

	put(&t, "d0/ks/" USERS "/snapshots/s1/nb-10-big-Data.db", "ten");
	put(&t, "d0/ks/" USERS "/snapshots/s1/nb-1-big-TOC.txt", "toc");
	put(&t, "d0/ks/" USERS "/snapshots/s1/nb-1-big-Data.db", "data");
	put(&t, "d0/ks/" USERS "/snapshots/s1/manifest.json", "{}");
	put(&t, "d0/ks/" USERS "/snapshots/s1/schema.cql", "x");
	put(&t, "d0/ks/" USERS "/snapshots/s1/unknown", "");
	put(&t, "d0/ks/" USERS "/snapshots/s1/.idx/nb-1-big-Data.db", "i");
	put(&t, "d0/ks/" USERS "/snapshots/s1/.idx/manifest.json", "mine");
	put(&t, "d0/ks/" USERS "/nb-2-big-Data.db", "live: not of the snapshot");
	put(&t, "d0/ks/" USERS "/snapshots/other/nb-3-big-Data.db", "another tag");
	put(&t, "d0/ks-2/" ORDERS "/snapshots/s1/nb-1-big-Data.db", "o");
	put(&t, "d0/ks/" ORDERS "/snapshots/dropped-1-orders/nb-1-big-Data.db", "dropped");
	put(&t, "d0/ks/" ORDERS "/snapshots/s1/schema.cql", "only this");
	cr_assert_eq(scan(&t, 1, "s1", NULL, &s, &e), 0, "%s", e.message);
	expect_files(s,
		     (const char *const[]){
			     "data/ks/" USERS "/unknown",
			     "data/ks/" USERS "/nb-1-big-Data.db",
			     "data/ks/" USERS "/nb-1-big-TOC.txt",
			     "data/ks/" USERS "/nb-10-big-Data.db",
			     "data/ks/" USERS "/.idx/manifest.json",
			     "data/ks/" USERS "/.idx/nb-1-big-Data.db",
			     "data/ks-2/" ORDERS "/nb-1-big-Data.db",
			     "snapshot/ks/" ORDERS "/schema.cql",
			     "snapshot/ks/" USERS "/manifest.json",
			     "snapshot/ks/" USERS "/schema.cql",
		     },
		     10);
	expect_dirs(s,
		    (const char *const[]){
			    "data",
			    "data/ks",
			    "data/ks/" ORDERS,
			    "data/ks/" USERS,
			    "data/ks/" USERS "/.idx",
			    "data/ks-2",
			    "data/ks-2/" ORDERS,
			    "snapshot",
			    "snapshot/ks",
			    "snapshot/ks/" ORDERS,
			    "snapshot/ks/" USERS,
		    },
		    11);
	cr_expect_eq(s->files[0].data_dir, 0);
	cr_expect_eq(s->files[9].data_dir, 65535);
	cr_expect_eq(s->total_bytes, 28);
}

Test(snapshot, attributes_are_those_on_disk)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(snapshot_freep) struct snapshot *s = NULL;
	const struct timespec times[2] = { { 1, 2 }, { 1700000000, 123456789 } };
	struct stat st;
	struct err e;

	put(&t, "d0/ks/" USERS "/snapshots/s1/nb-1-big-Data.db", "data");
	fchmodat(t.fd, "d0/ks/" USERS "/snapshots/s1/nb-1-big-Data.db", 0640, 0);
	utimensat(t.fd, "d0/ks/" USERS "/snapshots/s1/nb-1-big-Data.db", times, 0);
	fchmodat(t.fd, "d0/ks/" USERS "/snapshots/s1", 0750, 0);
	utimensat(t.fd, "d0/ks/" USERS "/snapshots/s1", times, 0);
	fstatat(t.fd, "d0/ks/" USERS "/snapshots/s1/nb-1-big-Data.db", &st, 0);
	cr_assert_eq(scan(&t, 1, "s1", NULL, &s, &e), 0, "%s", e.message);
	cr_expect_eq(s->files[0].mode, 0640);
	cr_expect_eq(s->files[0].mtime_ns, 1700000000123456789);
	cr_expect_eq(s->files[0].size_bytes, 4);
	cr_expect_eq(s->files[0].ino, st.st_ino);
	cr_expect_eq(s->files[0].uid, st.st_uid);
	cr_expect_eq(s->dirs[2].mode, 0750);
	cr_expect_eq(s->dirs[2].mtime_ns, 1700000000123456789);
}

Test(snapshot, several_data_directories_are_merged)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(snapshot_freep) struct snapshot *s = NULL;
	struct err e;

	put(&t, "d0/ks/" USERS "/snapshots/s1/nb-2-big-Data.db", "a");
	put(&t, "d1/ks/" USERS "/snapshots/s1/nb-1-big-Data.db", "b");
	put(&t, "d1/ks/" USERS "/snapshots/s1/nb-2-big-Data.db", "a");
	put(&t, "d1/ks/" ORDERS "/snapshots/s1/manifest.json", "{}");
	fchmodat(t.fd, "d0/ks/" USERS "/snapshots/s1", 0711, 0);
	fchmodat(t.fd, "d1/ks/" USERS "/snapshots/s1", 0722, 0);
	cr_assert_eq(scan(&t, 2, "s1", NULL, &s, &e), 0, "%s", e.message);
	expect_files(s,
		     (const char *const[]){
			     "data/ks/" USERS "/nb-1-big-Data.db",
			     "data/ks/" USERS "/nb-2-big-Data.db",
			     "data/ks/" USERS "/nb-2-big-Data.db",
			     "snapshot/ks/" ORDERS "/manifest.json",
		     },
		     4);
	cr_expect_eq(s->files[0].data_dir, 1);
	cr_expect_eq(s->files[1].data_dir, 0);
	cr_expect_eq(s->files[2].data_dir, 1);
	cr_expect_eq(s->dirs[3].mode, 0711, "the first data directory gives the attributes");
}

Test(snapshot, only_selects_keyspaces_and_tables)
{
	static const struct {
		const char *only, *first;
		size_t count;
	} rows[] = {
		{ "ks", "data/ks/" ORDERS "/nb-1-big-Data.db", 2 },
		{ "ks.users", "data/ks/" USERS "/nb-1-big-Data.db", 1 },
		{ "ks2", "data/ks2/" USERS "/nb-1-big-Data.db", 1 },
		{ "k", NULL, 0 },
		{ "ks.user", NULL, 0 },
		{ "ks.users2", NULL, 0 },
		{ "ks.gone", NULL, 0 },
	};
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();

	put(&t, "d0/ks/" USERS "/snapshots/s1/nb-1-big-Data.db", "a");
	put(&t, "d0/ks/" ORDERS "/snapshots/s1/nb-1-big-Data.db", "b");
	put(&t, "d0/ks/gone-00000000000000000000000000000003/snapshots/s2/x", "c");
	put(&t, "d0/ks2/" USERS "/snapshots/s1/nb-1-big-Data.db", "d");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(snapshot_freep) struct snapshot *s = NULL;
		struct err e;
		int r = scan(&t, 1, "s1", rows[i].only, &s, &e);

		if (rows[i].count) {
			cr_assert_eq(r, 0, "%s: %s", rows[i].only, e.message);
			cr_expect_eq(s->file_count, rows[i].count, "%s", rows[i].only);
			expect_file(s, 0, rows[i].first);
		} else {
			cr_expect_eq(r, -ENOENT, "%s", rows[i].only);
			cr_expect_eq(e.kind, ERR_NOT_FOUND);
			cr_expect(strstr(e.message, rows[i].only) != NULL, "%s", e.message);
		}
	}
}

Test(snapshot, an_unknown_tag_is_answered_with_those_that_exist)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(snapshot_freep) struct snapshot *s = NULL;
	struct err e;

	put(&t, "d0/ks/" USERS "/snapshots/weekly/x", "a");
	put(&t, "d0/ks/" ORDERS "/snapshots/daily/x", "a");
	put(&t, "d0/ks/" ORDERS "/snapshots/weekly/x", "a");
	cr_assert_eq(scan(&t, 1, "week", NULL, &s, &e), -ENOENT);
	cr_expect_eq(e.kind, ERR_NOT_FOUND);
	cr_expect_str_eq(e.message,
			 "no table has a snapshot week; snapshots that exist: daily, weekly");
}

Test(snapshot, a_data_directory_that_is_none_is_wrong_usage)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(snapshot_freep) struct snapshot *s = NULL;
	struct err e;

	cr_expect_eq(scan(&t, 1, "s1", NULL, &s, &e), -ENOENT);
	cr_expect_eq(e.kind, ERR_USAGE);
	tmpdir_write(&t, "d0", "", 0);
	cr_expect_eq(scan(&t, 1, "s1", NULL, &s, &e), -ENOTDIR);
	cr_expect_eq(e.kind, ERR_USAGE);
	cr_expect_eq(scan(&t, 1, "../s1", NULL, &s, &e), -EINVAL);
	cr_expect_eq(e.kind, ERR_USAGE);
}

Test(snapshot, what_is_no_file_is_left_out_and_named)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(snapshot_freep) struct snapshot *s = NULL;
	struct err e;

	put(&t, "d0/ks/" USERS "/snapshots/s1/nb-1-big-Data.db", "a");
	cr_assert_eq(mkfifoat(t.fd, "d0/ks/" USERS "/snapshots/s1/fifo", 0600), 0);
	cr_assert_eq(symlinkat("/etc/passwd", t.fd, "d0/ks/" USERS "/snapshots/s1/link"), 0);
	cr_assert_eq(scan(&t, 1, "s1", NULL, &s, &e), 0, "%s", e.message);
	cr_expect_eq(s->file_count, 1);
	cr_assert_eq(s->left_out_count, 2);
	for (size_t i = 0; i < 2; i++)
		cr_expect(strstr(s->left_out[i], "/fifo (pipe)") ||
				  strstr(s->left_out[i], "/link (symbolic link)"),
			  "%s", s->left_out[i]);
}

Test(snapshot, a_cancelled_scan_stops)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(snapshot_freep) struct snapshot *s = NULL;
	struct cancel cancel = { 0 };
	char d0[128];
	const char *data_dirs[] = { d0 };
	struct snapshot_options o = { .data_dirs = data_dirs, .data_dir_count = 1, .tag = "s1" };
	struct err e = ERR_INIT;

	put(&t, "d0/ks/" USERS "/snapshots/s1/nb-1-big-Data.db", "a");
	snprintf(d0, sizeof(d0), "%s/d0", t.path);
	cancel_set(&cancel, 1);
	cr_expect_eq(snapshot_scan(&o, &cancel, &s, &e), -ECANCELED);
}
