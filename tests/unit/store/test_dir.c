/* SPDX-License-Identifier: Apache-2.0 */
/* What is special about directories; the rest is the contract's (tests/contract). */
#include "tests/unit/base/tmpdir.h"
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "store/dir.h"
#include "store/dirput.h"
#include "store/dirtmp.h"
#include "tests/unit/base/fake_clock.h"

static struct store *open_with(const struct dir_store_options *options)
{
	struct store *s = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(dir_store_new(options, &s, &e), 0, "%s", e.message);
	return s;
}

static struct store *open_dir(const struct tmpdir *t)
{
	return open_with(&(struct dir_store_options){ .path = t->path, .clock = clock_system() });
}

static int put(struct store *s, const char *key, const char *text, enum store_cond cond,
	       const char *etag, struct store_meta *ret, struct err *e)
{
	return store_put_bytes(s, key, text, strlen(text), cond, etag, ret, NULL, e);
}

static int remove_key(struct store *s, const char *key)
{
	struct store_delete_error error;
	size_t errors = 0;
	int r = store_delete_many(s, &key, 1, &error, &errors, NULL, NULL);

	return r < 0 ? r : (int)errors;
}

/* How many files of writers are in the reserved directory. */
static unsigned leftovers(const struct tmpdir *t)
{
	char path[128];
	struct dirent *entry;
	unsigned count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/" DIRTMP_NAME, t->path);
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		count += strncmp(entry->d_name, "put-", 4) == 0;
	closedir(dir);
	return count;
}

static int count_entry(void *ctx, const struct store_entry *entry, struct err *e)
{
	++*(unsigned *)ctx;
	return 0;
}

static unsigned count_keys(struct store *s)
{
	unsigned count = 0;
	struct store_list req = { .prefix = "", .entry = count_entry, .ctx = &count };

	cr_assert_eq(store_list(s, &req, NULL, NULL), 0);
	return count;
}

Test(dir, an_object_is_a_file_at_its_key)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(store_freep) struct store *s = open_dir(&t);
	_cleanup_free_ char *data = NULL;
	struct stat st;
	size_t len;

	cr_assert_eq(put(s, "a/b c/d", "first", STORE_IF_ABSENT, NULL, NULL, NULL), 0);
	cr_assert_eq(put(s, "a/b c/d", "text", STORE_ALWAYS, NULL, NULL, NULL), 0);
	cr_assert_eq(io_read_file(t.fd, "a/b c/d", 100, &data, &len), 0);
	cr_assert_str_eq(data, "text");
	cr_assert_eq(fstatat(t.fd, "a/b c/d", &st, 0), 0);
	cr_assert_eq(st.st_nlink, 1);
	cr_assert_eq(leftovers(&t), 0);
}

Test(dir, opening_a_directory_writes_nothing_into_it)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(store_freep) struct store *s = open_dir(&t);

	cr_assert_eq(count_keys(s), 0);
	cr_assert_eq(store_head(s, "k", NULL, NULL, NULL), STORE_NOT_FOUND);
	cr_assert_eq(unlinkat(AT_FDCWD, t.path, AT_REMOVEDIR), 0, "not empty");
}

Test(dir, a_key_cannot_be_a_part_of_another_and_the_error_says_so)
{
	static const char *const keys[] = { "f/below", "f/below/deeper", "d" };
	static const enum store_cond conds[] = { STORE_ALWAYS, STORE_IF_ABSENT };
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(store_freep) struct store *s = open_dir(&t);

	cr_assert_eq(put(s, "f", "x", STORE_ALWAYS, NULL, NULL, NULL), 0);
	cr_assert_eq(put(s, "d/e", "x", STORE_ALWAYS, NULL, NULL, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		for (size_t c = 0; c < ARRAY_SIZE(conds); c++) {
			struct err e = ERR_INIT;

			cr_expect_eq(put(s, keys[i], "y", conds[c], NULL, NULL, &e), -EEXIST, "%s",
				     keys[i]);
			cr_expect_eq(e.kind, ERR_USAGE);
			cr_expect(strstr(e.message, "a directory cannot hold this key"));
		}
		cr_expect_eq(put(s, keys[i], "y", STORE_IF_MATCH, "1-1-1", NULL, NULL),
			     STORE_NOT_FOUND);
	}
	cr_expect_eq(leftovers(&t), 0);
	cr_expect_eq(count_keys(s), 2);
}

Test(dir, directories_that_were_left_empty_are_in_nobodys_way)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(store_freep) struct store *s = open_dir(&t);

	cr_assert_eq(io_mkdirs(t.fd, "a", 0755), 0);
	cr_assert_eq(io_mkdirs(t.fd, "b", 0755), 0);
	cr_assert_eq(put(s, "a", "x", STORE_IF_ABSENT, NULL, NULL, NULL), 0);
	cr_assert_eq(put(s, "b", "x", STORE_ALWAYS, NULL, NULL, NULL), 0);
}

Test(dir, the_reserved_name_holds_no_objects)
{
	static const char *const keys[] = { DIRTMP_NAME, DIRTMP_NAME "/k", DIRTMP_NAME "/lock-00" };
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(store_freep) struct store *s = open_dir(&t);

	cr_assert_eq(put(s, DIRTMP_NAME "2", "x", STORE_ALWAYS, NULL, NULL, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct err e = ERR_INIT;

		cr_expect_eq(put(s, keys[i], "x", STORE_ALWAYS, NULL, NULL, &e), -EINVAL);
		cr_expect_eq(e.kind, ERR_USAGE);
		cr_expect_eq(store_head(s, keys[i], NULL, NULL, NULL), -EINVAL);
		cr_expect_eq(remove_key(s, keys[i]), -EINVAL);
	}
	cr_expect_eq(count_keys(s), 1);
}

Test(dir, a_segment_longer_than_a_name_is_refused)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(store_freep) struct store *s = open_dir(&t);
	char name[257], directory[300];
	struct err e = ERR_INIT;

	memset(name, 'n', 256);
	name[256] = '\0';
	snprintf(directory, sizeof(directory), "a/%s/b", name);
	cr_assert_eq(put(s, name, "x", STORE_ALWAYS, NULL, NULL, &e), -ENAMETOOLONG);
	cr_assert_eq(e.kind, ERR_USAGE);
	cr_assert_eq(put(s, directory, "x", STORE_IF_ABSENT, NULL, NULL, &e), -ENAMETOOLONG);
	cr_assert_eq(store_head(s, name, NULL, NULL, NULL), STORE_NOT_FOUND);
	cr_assert_eq(put(s, name, "x", STORE_IF_MATCH, "1", NULL, NULL), STORE_NOT_FOUND);
	cr_assert_eq(remove_key(s, directory), 0);
	cr_assert_eq(put(s, name + 1, "x", STORE_ALWAYS, NULL, NULL, NULL), 0);
	cr_assert_eq(leftovers(&t), 0);
}

Test(dir, what_is_no_regular_file_with_a_valid_name_is_no_object)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(store_freep) struct store *s = open_dir(&t);

	cr_assert_eq(put(s, "real", "x", STORE_ALWAYS, NULL, NULL, NULL), 0);
	cr_assert_eq(symlinkat("real", t.fd, "link"), 0);
	cr_assert_eq(mkfifoat(t.fd, "fifo", 0600), 0);
	tmpdir_write(&t, "\xff\xfe", "x", 1);
	cr_assert_eq(count_keys(s), 1);
	cr_assert_eq(store_head(s, "link", NULL, NULL, NULL), STORE_NOT_FOUND);
	cr_assert_eq(store_get(s, &(struct store_get){ .key = "fifo", .whole = true }, NULL, NULL,
			       NULL),
		     STORE_NOT_FOUND);
	cr_assert_eq(remove_key(s, "link"), 0);
	cr_assert_eq(faccessat(t.fd, "link", F_OK, 0), 0);
}

Test(dir, a_missing_directory_is_made_only_when_asked)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	char path[128], below[160];
	struct dir_store_options options = { .path = path, .clock = clock_system() };
	struct store *s = NULL;
	struct err e = ERR_INIT;
	struct stat st;

	snprintf(path, sizeof(path), "%s/new", t.path);
	cr_assert_eq(dir_store_new(&options, &s, &e), -ENOENT);
	cr_assert_eq(e.kind, ERR_NOT_FOUND);
	options.create = true;
	store_free(open_with(&options));
	cr_assert_eq(stat(path, &st), 0);
	cr_assert_eq(st.st_mode & 0777, 0700);
	store_free(open_with(&options));
	snprintf(below, sizeof(below), "%s/no/parent", t.path);
	options.path = below;
	cr_assert_eq(dir_store_new(&options, &s, &e), -ENOENT);
	tmpdir_write(&t, "file", "x", 1);
	snprintf(path, sizeof(path), "%s/file", t.path);
	options.path = path;
	cr_assert_eq(dir_store_new(&options, &s, &e), -ENOTDIR);
	cr_assert_eq(e.kind, ERR_USAGE);
	cr_assert_null(s);
}

static long fake_type;

static int fake_statfs(int fd, struct statfs *ret)
{
	*ret = (struct statfs){ .f_type = fake_type };
	return 0;
}

Test(dir, network_file_systems_are_refused_by_name_and_nothing_is_left)
{
	static const struct {
		uint32_t magic;
		const char *name;
	} table[] = {
		{ 0x6969, " NFS:" },	    { 0x517b, " SMB:" },    { 0xff534d42, " CIFS:" },
		{ 0xfe534d42, " SMB:" },    { 0x01021997, " 9p:" }, { 0x00c36400, " Ceph:" },
		{ 0x0bd00bd0, " Lustre:" },
	};
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	char path[128];
	struct dir_store_options options = {
		.path = path, .create = true, .clock = clock_system(), .statfs = fake_statfs
	};

	snprintf(path, sizeof(path), "%s/new", t.path);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(table); i++) {
		uint32_t magic = table[i / 2].magic;
		struct store *s = NULL;
		struct err e = ERR_INIT;

		fake_type = i % 2 ? (long)(int32_t)magic
				  : (long)magic; /* with and without its sign extended */
		cr_expect_eq(dir_store_new(&options, &s, &e), -EOPNOTSUPP, "%s", table[i / 2].name);
		cr_expect_eq(e.kind, ERR_USAGE);
		cr_expect(strstr(e.message, table[i / 2].name), "%s", e.message);
		cr_expect(strstr(e.message, "S3"));
		cr_expect(faccessat(t.fd, "new", F_OK, 0) < 0);
	}
	fake_type = 0xef53;
	store_free(open_with(&options));
}

static void keep_line(void *ctx, enum log_level level, const char *line)
{
	cr_assert_eq(level, LOG_LEVEL_WARNING);
	snprintf(ctx, 256, "%s", line);
}

Test(dir, a_fuse_file_system_is_used_with_a_warning)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	char line[256] = "";
	_cleanup_(log_freep) struct log *log =
		log_new(clock_system(), LOG_LEVEL_WARNING, keep_line, line);

	fake_type = 0x65735546;
	store_free(open_with(&(struct dir_store_options){
		.path = t.path, .clock = clock_system(), .log = log, .statfs = fake_statfs }));
	cr_assert(strstr(line, "FUSE"), "%s", line);
}

Test(dir, the_leftovers_of_dead_writers_go_when_the_store_is_opened_and_those_of_living_ones_stay)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_close_ int living = -1;

	cr_assert_eq(io_mkdirs(t.fd, DIRTMP_NAME, 0755), 0);
	tmpdir_write(&t, DIRTMP_NAME "/put-dead", "x", 1);
	tmpdir_write(&t, DIRTMP_NAME "/put-living", "x", 1);
	tmpdir_write(&t, DIRTMP_NAME "/lock-07", "", 0);
	living = openat(t.fd, DIRTMP_NAME "/put-living", O_RDWR | O_CLOEXEC);
	cr_assert_eq(flock(living, LOCK_EX), 0);
	store_free(open_dir(&t));
	cr_assert_eq(leftovers(&t), 1);
	cr_assert_eq(faccessat(t.fd, DIRTMP_NAME "/put-living", F_OK, 0), 0);
	cr_assert_eq(faccessat(t.fd, DIRTMP_NAME "/lock-07", F_OK, 0), 0);
	close(steal_fd(&living));
	store_free(open_dir(&t));
	cr_assert_eq(leftovers(&t), 0);
}

Test(dir, a_put_that_fails_half_way_leaves_nothing_behind)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(store_freep) struct store *s = open_dir(&t);
	_cleanup_free_ char *data = calloc(1, MIB);
	struct rlimit limit = { 100000, 100000 };
	struct err e = ERR_INIT;

	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_assert_eq(store_put_bytes(s, "a/k", data, MIB, STORE_ALWAYS, NULL, NULL, NULL, &e),
		     -EFBIG);
	cr_assert_eq(e.kind, ERR_STORE);
	cr_assert(!e.outcome_unknown && !e.retryable);
	cr_assert_eq(leftovers(&t), 0);
	cr_assert_eq(store_head(s, "a/k", NULL, NULL, NULL), STORE_NOT_FOUND);
}

Test(dir, errors_of_the_file_system_are_sentences)
{
	static const struct {
		int code, want;
		enum err_kind kind;
		const char *text;
	} table[] = {
		{ -ENOSPC, -ENOSPC, ERR_STORE, "cannot do it in /r: no space is left" },
		{ -EDQUOT, -EDQUOT, ERR_STORE, "cannot do it in /r: no space is left" },
		{ -EROFS, -EROFS, ERR_STORE, "cannot do it in /r: it is mounted read-only" },
		{ -EACCES, -EACCES, ERR_STORE, "cannot do it in /r: Permission denied" },
		{ -EIO, -EIO, ERR_STORE, "cannot do it in /r: Input/output error" },
		{ -EISDIR, -EEXIST, ERR_USAGE, "a directory cannot hold this key" },
		{ -ECANCELED, -ECANCELED, ERR_IO, "interrupted" },
		{ -ETIMEDOUT, -ETIMEDOUT, ERR_STORE, "another process has kept a lock of /r" },
	};
	char path[] = "/r";
	struct dirctx ctx = { .path = path };

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct err e = ERR_INIT;

		cr_expect_eq(dirput_error(&ctx, table[i].code, "cannot do it", &e), table[i].want,
			     "row %zu", i);
		cr_expect_eq(e.kind, table[i].kind, "row %zu", i);
		cr_expect_eq(strncmp(e.message, table[i].text, strlen(table[i].text)), 0, "%s",
			     e.message);
		cr_expect(!e.retryable);
	}
}

Test(dir, deletes_remove_directories_that_they_empty)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(store_freep) struct store *s = open_dir(&t);

	cr_assert_eq(put(s, "a/b/c/1", "x", STORE_ALWAYS, NULL, NULL, NULL), 0);
	cr_assert_eq(put(s, "a/k", "x", STORE_ALWAYS, NULL, NULL, NULL), 0);
	cr_assert_eq(remove_key(s, "a/b/c/1"), 0);
	cr_assert(faccessat(t.fd, "a/b", F_OK, 0) < 0);
	cr_assert_eq(faccessat(t.fd, "a/k", F_OK, 0), 0);
	cr_assert_eq(remove_key(s, "a/k"), 0);
	cr_assert(faccessat(t.fd, "a", F_OK, 0) < 0);
	cr_assert_eq(remove_key(s, "a/k"), 0);
}

Test(dir, a_directory_that_another_removed_is_made_again)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(store_freep) struct store *s = open_dir(&t), *other = open_dir(&t);
	struct store_meta meta;

	for (int i = 0; i < 3; i++) {
		cr_assert_eq(put(s, "a/b/1", "x", STORE_IF_ABSENT, NULL, &meta, NULL), 0);
		cr_assert_eq(remove_key(other, "a/b/1"), 0);
		cr_assert_eq(put(s, "a/b/1", "x", STORE_IF_MATCH, meta.etag, NULL, NULL),
			     STORE_NOT_FOUND);
		cr_assert_eq(put(s, "a/b/1", "x", STORE_ALWAYS, NULL, NULL, NULL), 0);
		cr_assert_eq(remove_key(other, "a/b/1"), 0);
	}
}

Test(dir, more_directories_than_stay_open_are_no_trouble)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(store_freep) struct store *s = open_dir(&t);

	for (int i = 0; i < 100; i++) {
		char key[32];

		snprintf(key, sizeof(key), "d%02d/%d", i * 7 % 40, i);
		cr_assert_eq(put(s, key, key, STORE_IF_ABSENT, NULL, NULL, NULL), 0);
	}
	cr_assert_eq(count_keys(s), 100);
}

static void expect_new_etags(struct fake_clock *clock, int64_t step_ns)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	_cleanup_(store_freep) struct store *s =
		open_with(&(struct dir_store_options){ .path = t.path, .clock = &clock->clock });
	char etags[24][STORE_ETAG_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(etags); i++) {
		struct store_meta meta;
		enum store_cond cond = i % 3 == 0 ? STORE_IF_ABSENT : STORE_ALWAYS;

		if (cond == STORE_IF_ABSENT)
			cr_assert_eq(remove_key(s, "k"), 0);
		cr_assert_eq(put(s, "k", "same", cond, NULL, &meta, NULL), 0);
		strcpy(etags[i], meta.etag);
		for (size_t k = 0; k < i; k++)
			cr_assert_str_neq(etags[k], etags[i]);
		clock->wall_ns += step_ns;
	}
}

Test(dir, equal_content_has_another_etag_each_time_even_if_the_clock_stands_still_or_goes_back)
{
	struct fake_clock clock;

	fake_clock_init(&clock, 1800000000LL * 1000000000);
	expect_new_etags(&clock, 0);
	expect_new_etags(&clock, -1000000000LL);
	expect_new_etags(&clock, 12345);
}

Test(dir, a_version_is_newer_than_what_it_replaces_even_across_processes_with_other_clocks)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct fake_clock ahead, behind;
	_cleanup_(store_freep) struct store *a = NULL, *b = NULL;
	struct store_meta first, second;

	fake_clock_init(&ahead, 2000000000LL * 1000000000);
	fake_clock_init(&behind, 1000000000LL * 1000000000);
	a = open_with(&(struct dir_store_options){ .path = t.path, .clock = &ahead.clock });
	b = open_with(&(struct dir_store_options){ .path = t.path, .clock = &behind.clock });
	cr_assert_eq(put(a, "k", "x", STORE_ALWAYS, NULL, NULL, NULL), 0);
	cr_assert_eq(store_head(a, "k", &first, NULL, NULL), 0);
	cr_assert_eq(put(b, "k", "x", STORE_IF_MATCH, first.etag, NULL, NULL), 0);
	cr_assert_eq(store_head(b, "k", &second, NULL, NULL), 0);
	cr_assert_eq(second.modified_ns, first.modified_ns + 1);
}

/* A minute passes with each look: whoever waits for a lock gives up soon. */
static int64_t minutes(void *ctx)
{
	return ((struct fake_clock *)ctx)->elapsed_ns += 60000000000LL;
}

Test(dir, updates_and_listings_wait_for_the_lock_of_the_directory_but_not_for_ever)
{
	_cleanup_tmpdir_ struct tmpdir t = tmpdir_new();
	struct fake_clock clock;
	_cleanup_(store_freep) struct store *s = NULL;
	struct dirctx ctx = { .root_fd = t.fd, .clock = clock_system() };
	unsigned count = 0;
	struct store_list list = { .prefix = "d/", .entry = count_entry, .ctx = &count };
	struct store_meta meta;
	struct err e = ERR_INIT;
	_cleanup_close_ int lock = -1;

	fake_clock_init(&clock, 1800000000LL * 1000000000);
	clock.clock.elapsed_ns = minutes;
	s = open_with(&(struct dir_store_options){ .path = t.path, .clock = &clock.clock });
	cr_assert_eq(put(s, "d/k", "x", STORE_IF_ABSENT, NULL, &meta, NULL), 0);
	lock = dirtmp_lock(&ctx, "d", 1, DIRTMP_EXCLUSIVE, NULL);
	cr_assert(lock >= 0);
	cr_expect_eq(put(s, "d/k", "y", STORE_IF_MATCH, meta.etag, NULL, &e), -ETIMEDOUT);
	cr_expect(strstr(e.message, "has kept a lock"), "%s", e.message);
	cr_expect_eq(put(s, "d/k", "y", STORE_ALWAYS, NULL, NULL, NULL), -ETIMEDOUT);
	cr_expect_eq(remove_key(s, "d/k"), -ETIMEDOUT);
	cr_expect_eq(store_list(s, &list, NULL, NULL), -ETIMEDOUT);
	/* New keys and reads do not need it. */
	cr_expect_eq(put(s, "d/l", "y", STORE_IF_ABSENT, NULL, NULL, NULL), 0);
	cr_expect_eq(store_head(s, "d/k", NULL, NULL, NULL), 0);
	cr_expect_eq(leftovers(&t), 0);
	close(steal_fd(&lock));
	cr_expect_eq(put(s, "d/k", "y", STORE_IF_MATCH, meta.etag, NULL, NULL), 0);
	cr_expect_eq(store_list(s, &list, NULL, NULL), 0);
	cr_expect_eq(count, 2);
}
