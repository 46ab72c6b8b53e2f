/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "catalog/object.h"
#include "catalog/restore.h"
#include "tests/unit/base/tmpdir.h"
#include "tests/unit/catalog/fixture.h"

#define ID "0123456789abcdef0123456789abcdef"
#define BIG (9 * MIB + 12345)
#define FILES 12

/* A backup of files of every kind, and an empty directory to restore into. */
struct sample {
	struct fixture *f;
	struct record *record;
	struct tmpdir dir;
	char target[96];
	void *big, *middle, *text;
	struct fixture_file files[FILES];
	struct restore_options o;
	struct restore_result result;
	struct err e;
};

static struct fixture_file file(const char *path, const void *data, size_t len)
{
	return (struct fixture_file){ .path = path,
				      .data = data,
				      .len_bytes = len,
				      .attr = { 0640, getuid(), getgid(),
						1600000000000000000LL + (int64_t)len } };
}

static void fill(struct sample *s)
{
	struct fixture_file *f = s->files;

	s->big = fixture_random(1, BIG);
	s->middle = fixture_random(2, 300000);
	s->text = fixture_text(3, 200000);
	f[0] = file("data/ks/events-" ID "/nb-1-big-Data.db", s->big, BIG);
	f[1] = file("data/ks/events-" ID "/nb-1-big-Index.db", s->middle, 300000);
	f[2] = file("data/ks/events-" ID "/nb-1-big-TOC.txt", "Data.db\n", 8);
	f[3] = file("data/ks/events-" ID "/nb-1-big-Filter.db", "", 0);
	f[4] = file("data/ks/events-" ID "/.by_day/nb-1-big-Data.db", s->text, 200000);
	f[5] = file("data/ks/events-" ID "/nb-2-big-Data.db", s->middle, 300000);
	f[6] = file("data/ks/users+-" ID "/nb-1-big-Data.db", s->text, 513);
	f[7] = file("data/ks/users+-" ID "/nb-1-big-Statistics.db", s->text, 512);
	f[8] = file("data/other/t-" ID "/nb-1-big-Data.db", (uint8_t *)s->big + 5, 131072);
	f[9] = file("data/other/none-" ID "/", NULL, 0);
	f[10] = file("snapshot/ks/t/manifest.json", "{}", 2);
	f[11] = file("data/ks/beside.txt", "beside", 6);
	f[8].attr = (struct attributes){ 0444, getuid(), getgid(), -1500000001 };
	f[6].data_dir = f[7].data_dir = 1;
}

static struct sample sample_new(enum object_compression compression)
{
	struct sample s = { .f = fixture_new(OBJECT_VERIFY_XXH3), .dir = tmpdir_new() };

	fill(&s);
	s.record = fixture_backup(s.f, "b1", s.files, FILES, compression);
	snprintf(s.target, sizeof(s.target), "%s/to", s.dir.path);
	s.o = (struct restore_options){ .repo = s.f->repo,
					.source = s.f->source,
					.meta = s.f->meta,
					.record = s.record,
					.jobs = 2,
					.connections = 4,
					.memory_bytes = 64 * MIB };
	s.f->wire->gets = 0;
	return s;
}

static void sample_deinit(struct sample *s)
{
	record_free(s->record);
	fixture_free(s->f);
	free(s->big);
	free(s->middle);
	free(s->text);
	tmpdir_deinit(&s->dir);
}
#define _cleanup_sample_ _cleanup_(sample_deinit)

static int restore(struct sample *s)
{
	s->o.directory = s->target;
	s->o.source = s->f->source;
	s->o.meta = s->f->meta;
	s->e = ERR_INIT;
	return restore_run(&s->o, &s->result, &s->e);
}

/* ---- looking at what came out ---- */

/* The file at <base>/<path> is as it was backed up. */
static void expect_file(const struct fixture_file *f, const char *base)
{
	_cleanup_free_ char *path = util_printf("%s/%s", base, f->path + strlen("data/"));
	_cleanup_free_ char *data = NULL;
	struct stat st;
	size_t len;

	cr_assert_eq(io_read_file(AT_FDCWD, path, 1 << 26, &data, &len), 0, "%s", path);
	cr_assert_eq(len, f->len_bytes, "%s", path);
	cr_expect(len == 0 || memcmp(data, f->data, len) == 0, "%s", path);
	cr_assert_eq(lstat(path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, f->attr.mode, "%s", path);
	cr_expect_eq(st.st_uid, f->attr.uid);
	cr_expect_eq(st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec, f->attr.mtime_ns, "%s",
		     path);
	cr_expect_eq(st.st_nlink, 1);
}

static bool exists(const char *base, const char *path)
{
	_cleanup_free_ char *full = util_printf("%s/%s", base, path);
	struct stat st;

	return lstat(full, &st) == 0;
}

static size_t count_entries(const char *path)
{
	DIR *d = opendir(path);
	size_t n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n >= 2 ? n - 2 : 0;
}

static bool is_data(const struct fixture_file *f)
{
	return strncmp(f->path, "data/", 5) == 0 && f->path[strlen(f->path) - 1] != '/';
}

static void expect_all(struct sample *s)
{
	for (size_t i = 0; i < FILES; i++)
		if (is_data(&s->files[i]))
			expect_file(&s->files[i], s->target);
	cr_expect(exists(s->target, "other/none-" ID));
	cr_expect_not(exists(s->target, "manifest.json"));
	cr_expect_eq(count_entries(s->target), 2, "two keyspaces and nothing else");
}

/* What is there is whole. */
static void expect_whole_files(struct sample *s)
{
	for (size_t i = 0; i < FILES; i++)
		if (is_data(&s->files[i]) && exists(s->target, s->files[i].path + strlen("data/")))
			expect_file(&s->files[i], s->target);
}

static void write_file(struct sample *s, const char *path, const void *data, size_t len)
{
	_cleanup_free_ char *full = util_printf("to/%s", path);
	_cleanup_free_ char *dir = strdup(full);

	*strrchr(dir, '/') = '\0';
	cr_assert_eq(io_mkdirs(s->dir.fd, dir, 0700), 0);
	tmpdir_write(&s->dir, full, data, len);
}

/* ---- the tests ---- */

Test(restore, everything_below_data_comes_back_as_it_was)
{
	for (int compression = OBJECT_COMPRESS_NONE; compression <= OBJECT_COMPRESS_ZSTD;
	     compression++) {
		_cleanup_sample_ struct sample s = sample_new((enum object_compression)compression);
		struct progress progress = { 0 };
		struct stat st;

		s.o.progress = &progress;
		cr_assert_eq(restore(&s), 0, "%s", s.e.message);
		expect_all(&s);
		cr_expect_eq(s.result.files_written, 10);
		cr_expect_eq(s.result.files_kept, 0);
		cr_expect_eq(s.result.bytes_written, s.record->total_bytes - 2);
		cr_expect_eq(progress.files_total, 10);
		cr_expect_eq(progress.files_done, 10);
		cr_expect_eq(progress.bytes_done, progress.bytes_total);
		/* Directories too: their attributes are set when nothing more is put into them. */
		cr_assert_eq(stat(s.target, &st), 0);
		cr_expect_eq(st.st_mode & 07777, 0755);
		cr_expect_eq(st.st_mtim.tv_sec, 1700000000);
		/* Metadata, and each object once, though the content of the pack lies in two files. */
		cr_expect_eq(s.f->wire->gets,
			     fixture_count(s.f, "/objects/") + fixture_count(s.f, "/trees/") -
				     3 /* snapshot/ is not read */ - 1 /* nor its run */);
	}
}

Test(restore, a_small_memory_means_several_rounds_and_the_same_result)
{
	_cleanup_sample_ struct sample s = sample_new(OBJECT_COMPRESS_ZSTD);

	s.o.memory_bytes = 1;
	s.o.connections = 1;
	cr_assert_eq(restore(&s), 0, "%s", s.e.message);
	expect_all(&s);
}

Test(restore, run_again_it_keeps_what_is_there_and_writes_what_is_missing)
{
	_cleanup_sample_ struct sample s = sample_new(OBJECT_COMPRESS_ZSTD);
	_cleanup_free_ char *gone = NULL, *touched = NULL;
	struct stat before, after;

	cr_assert_eq(restore(&s), 0);
	gone = util_printf("%s/%s", s.target, s.files[4].path + 5);
	touched = util_printf("%s/%s", s.target, s.files[1].path + 5);
	cr_assert_eq(unlink(gone), 0);
	cr_assert_eq(chmod(touched, 0600), 0);
	cr_assert_eq(stat(touched, &before), 0);
	s.f->wire->gets = 0;
	cr_assert_eq(restore(&s), 0, "%s", s.e.message);
	expect_all(&s);
	cr_expect_eq(s.result.files_written, 1);
	cr_expect_eq(s.result.files_kept, 9);
	cr_expect_eq(s.result.bytes_written, 200000);
	cr_expect_eq(s.f->wire->gets, 1, "one object is needed");
	cr_assert_eq(stat(touched, &after), 0);
	cr_expect_eq(before.st_ino, after.st_ino, "kept, not written anew");
}

Test(restore, other_content_is_a_conflict_and_nothing_is_changed)
{
	_cleanup_sample_ struct sample s = sample_new(OBJECT_COMPRESS_ZSTD);

	write_file(&s, "ks/events-" ID "/nb-1-big-TOC.txt", "Data.DB\n", 8);
	write_file(&s, "ks/users+-" ID "/nb-1-big-Data.db", "short", 5);
	cr_expect_eq(restore(&s), -EEXIST);
	cr_expect_eq(s.e.kind, ERR_CONFLICT);
	cr_expect(strstr(s.e.message, "nb-1-big-TOC.txt"), "%s", s.e.message);
	cr_expect(strstr(s.e.message, "2 files"), "%s", s.e.message);
	cr_expect_eq(count_entries(s.target), 1);
	cr_expect_not(exists(s.target, "other"));
	s.o.overwrite = true;
	cr_assert_eq(restore(&s), 0, "%s", s.e.message);
	expect_all(&s);
}

Test(restore, what_is_no_regular_file_or_directory_is_never_replaced)
{
	static const char *const in_the_way[] = {
		("ks/events-" ID "/nb-1-big-TOC.txt"),
		("ks/events-" ID),
		"ks",
	};

	for (size_t i = 0; i < ARRAY_SIZE(in_the_way); i++)
		for (int link = 0; link < 2; link++) {
			_cleanup_sample_ struct sample s = sample_new(OBJECT_COMPRESS_ZSTD);
			_cleanup_free_ char *path = NULL, *elsewhere = NULL;

			elsewhere = util_printf("%s/elsewhere", s.dir.path);
			cr_assert_eq(mkdir(elsewhere, 0700), 0);
			write_file(&s, in_the_way[i], "x", 1);
			path = util_printf("%s/%s", s.target, in_the_way[i]);
			cr_assert_eq(unlink(path), 0);
			if (link)
				cr_assert_eq(symlink(elsewhere, path), 0);
			else
				cr_assert_eq(mkfifo(path, 0600), 0);
			s.o.overwrite = true;
			cr_expect_lt(restore(&s), 0);
			cr_expect_eq(s.e.kind, ERR_CONFLICT, "%s", s.e.message);
			cr_expect(strstr(s.e.message, in_the_way[i]), "%s", s.e.message);
			cr_expect_eq(count_entries(elsewhere), 0, "nothing went through the link");
			cr_expect_not(exists(s.target, ".sstablefs-restore"));
		}
}

Test(restore, only_and_except_choose_keyspaces_and_tables)
{
	static const struct {
		const char *only[2];
		uint64_t files;
		const char *there, *not_there, *except;
	} cases[] = {
		{ { "ks", NULL }, 9, "ks/beside.txt", "other", NULL },
		{ { "ks.events", NULL }, 6, "ks/events-" ID "/.by_day", "ks/beside.txt", NULL },
		{ { "ks.users+", "other" }, 3, "other/none-" ID, "ks/events-" ID, NULL },
		{ { "ks.events", "ks" }, 9, "ks/users+-" ID, "other", NULL },
		{ { "ks", NULL }, 3, "ks/beside.txt", "ks/events-" ID, "ks.events" },
		{ { "ks", "other" }, 1, "other/none-" ID, "ks", "ks" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_sample_ struct sample s = sample_new(OBJECT_COMPRESS_ZSTD);

		s.o.only = cases[i].only;
		s.o.only_count = cases[i].only[1] ? 2 : 1;
		s.o.except = &cases[i].except;
		s.o.except_count = cases[i].except ? 1 : 0;
		cr_assert_eq(restore(&s), 0, "%s", s.e.message);
		cr_expect_eq(s.result.files_written, cases[i].files, "case %zu", i);
		cr_expect(exists(s.target, cases[i].there), "case %zu", i);
		cr_expect_not(exists(s.target, cases[i].not_there), "case %zu", i);
	}
}

Test(restore, only_that_names_nothing_or_is_no_name_is_refused_before_anything_is_made)
{
	static const struct {
		const char *only;
		int r;
		enum err_kind kind;
	} cases[] = {
		{ "k", -ENOENT, ERR_NOT_FOUND },
		{ "ks.event", -ENOENT, ERR_NOT_FOUND },
		{ "ks.events-", -ENOENT, ERR_NOT_FOUND },
		{ "events", -ENOENT, ERR_NOT_FOUND },
		{ "", -EINVAL, ERR_USAGE },
		{ "ks.", -EINVAL, ERR_USAGE },
		{ ".events", -EINVAL, ERR_USAGE },
		{ "ks.a.b", -EINVAL, ERR_USAGE },
		{ "ks/events", -EINVAL, ERR_USAGE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_sample_ struct sample s = sample_new(OBJECT_COMPRESS_ZSTD);

		s.o.only = &cases[i].only;
		s.o.only_count = 1;
		cr_expect_eq(restore(&s), cases[i].r, "%s", cases[i].only);
		cr_expect_eq(s.e.kind, cases[i].kind);
		cr_expect(cases[i].only[0] == '\0' || strstr(s.e.message, cases[i].only));
		cr_expect_not(exists(s.target, ""));
	}
}

Test(restore, data_directories_go_where_they_are_mapped)
{
	_cleanup_sample_ struct sample s = sample_new(OBJECT_COMPRESS_ZSTD);
	_cleanup_free_ char *second = util_printf("%s/second", s.dir.path);
	struct restore_map maps[] = { { .data_dir = 1, .directory = second } };

	s.o.maps = maps;
	s.o.map_count = 1;
	cr_assert_eq(restore(&s), 0, "%s", s.e.message);
	for (size_t i = 0; i < FILES; i++)
		if (is_data(&s.files[i]))
			expect_file(&s.files[i], s.files[i].data_dir == 1 ? second : s.target);
	cr_expect_not(exists(s.target, "ks/users+-" ID));
	cr_expect_not(exists(second, "ks/events-" ID));
	cr_expect_eq(count_entries(second), 1);
}

Test(restore, a_map_of_a_data_directory_that_the_backup_has_not_is_refused)
{
	_cleanup_sample_ struct sample s = sample_new(OBJECT_COMPRESS_ZSTD);
	struct restore_map map = { 7, "/nowhere", -1 }, maps[] = { map, map };

	s.o.maps = maps;
	s.o.map_count = 1;
	cr_expect_eq(restore(&s), -ENOENT);
	cr_expect_eq(s.e.kind, ERR_NOT_FOUND);
	s.o.map_count = 2;
	cr_expect_eq(restore(&s), -EINVAL);
	cr_expect_not(exists(s.target, ""));
}

Test(restore, directories_that_were_there_keep_their_attributes)
{
	_cleanup_sample_ struct sample s = sample_new(OBJECT_COMPRESS_ZSTD);
	_cleanup_free_ char *ks = util_printf("%s/ks", s.target);
	struct stat st;

	write_file(&s, "ks/mine", "mine", 4);
	cr_assert_eq(chmod(ks, 0750), 0);
	cr_assert_eq(restore(&s), 0, "%s", s.e.message);
	cr_assert_eq(stat(ks, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0750);
	cr_expect_neq(st.st_mtim.tv_sec, 1700000000);
	cr_expect(exists(s.target, "ks/mine"));
}

/* ---- damage and failures ---- */

Test(restore, a_flipped_byte_anywhere_fails_and_never_becomes_a_file)
{
	static const char *const classes[] = { "/objects/", "/trees/" };

	_cleanup_sample_ struct sample s = sample_new(OBJECT_COMPRESS_NONE);
	unsigned failures = 0;

	for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
		for (size_t k = 0; k < fixture_count(s.f, classes[i]); k++) {
			char key[KEY_BYTES];
			int r;

			fixture_restart(s.f, OBJECT_VERIFY_XXH3, NULL);
			snprintf(s.target, sizeof(s.target), "%s/to-%zu-%zu", s.dir.path, i, k);
			fixture_key(s.f, classes[i], k, key);
			fixture_flip(s.f, key, -1);
			r = restore(&s);
			fixture_flip(s.f, key, -1);
			if (r == 0) { /* below snapshot/: not needed */
				expect_all(&s);
				continue;
			}
			failures++;
			cr_expect_eq(r, -EBADMSG, "%s", s.e.message);
			cr_expect_str_eq(s.e.key, key);
			cr_expect_not(exists(s.target, ".sstablefs-restore"));
			expect_whole_files(&s);
		}
	cr_expect_eq(failures, fixture_count(s.f, "/objects/") + fixture_count(s.f, "/trees/") - 4);
}

Test(restore, after_a_failure_of_the_store_the_next_run_goes_on)
{
	_cleanup_sample_ struct sample s = sample_new(OBJECT_COMPRESS_NONE);
	struct run *run = NULL;
	const struct entry *entry = fixture_find(s.f, s.record, s.files[8].path, &run);
	char key[KEY_BYTES];
	struct stat st;

	/* The last object fails. */
	keys_object(key, &s.record->where, KEY_OBJECT_DATA, &entry->extents[0].object.writer,
		    &entry->extents[0].object.id);
	s.f->wire->fail_key = key;
	s.f->wire->fail = -EIO;
	s.o.connections = 1;
	cr_expect_eq(restore(&s), -EIO);
	cr_expect_eq(s.e.kind, ERR_STORE);
	cr_expect_not(exists(s.target, ".sstablefs-restore"));
	expect_file(&s.files[0], s.target);
	s.f->wire->fail = 0;
	cr_assert_eq(restore(&s), 0, "%s", s.e.message);
	cr_expect_eq(s.result.files_written, 1);
	expect_all(&s);
	cr_assert_eq(stat(s.target, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0755);
	cr_expect_eq(st.st_mtim.tv_sec, 1700000000);
	run_free(run);
}

static void cancel_at_objects(void *ctx, const struct store_get *req)
{
	if (strstr(req->key, "/objects/"))
		cancel_set(ctx, 15);
}

Test(restore, cancelled_it_leaves_nothing_strange)
{
	_cleanup_sample_ struct sample s = sample_new(OBJECT_COMPRESS_NONE);
	struct cancel c = { 0 };

	s.f->wire->before_get = cancel_at_objects;
	s.f->wire->ctx = &c;
	s.o.cancel = &c;
	cr_expect_eq(restore(&s), -ECANCELED);
	cr_expect_not(exists(s.target, ".sstablefs-restore"));
	s.f->wire->before_get = NULL;
	cancel_set(&c, 0);
	cr_assert_eq(restore(&s), 0, "%s", s.e.message);
	expect_all(&s);
}

struct killer {
	unsigned gets, at;
};

static void kill_at(void *ctx, const struct store_get *req)
{
	struct killer *k = ctx;

	if (++k->gets == k->at)
		kill(getpid(), SIGKILL);
}

/* Restores in a process that is killed at its n-th request; false: it came to its end. */
static bool restore_killed_at(struct sample *s, unsigned at)
{
	struct killer k = { .at = at };
	pid_t child = fork();
	int status;

	cr_assert(child >= 0);
	if (child == 0) {
		s->f->wire->before_get = kill_at;
		s->f->wire->ctx = &k;
		_exit(restore(s) == 0 ? 0 : 1);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFSIGNALED(status) || status == 0);
	return WIFSIGNALED(status);
}

Test(restore, killed_at_any_request_it_leaves_whole_files_only_and_goes_on)
{
	_cleanup_sample_ struct sample s = sample_new(OBJECT_COMPRESS_NONE);
	unsigned at = 0;
	uint64_t kept = 0;
	bool killed = true;

	s.o.batch_files = 1;
	s.o.connections = 1;
	while (killed) {
		struct stat st;

		fixture_restart(s.f, OBJECT_VERIFY_XXH3, NULL);
		snprintf(s.target, sizeof(s.target), "%s/to-%u", s.dir.path, ++at);
		killed = restore_killed_at(&s, at);
		expect_whole_files(&s);
		cr_assert_eq(restore(&s), 0, "%s", s.e.message);
		kept += s.result.files_kept;
		expect_all(&s);
		cr_assert_eq(stat(s.target, &st), 0);
		cr_expect_eq(st.st_mtim.tv_sec, 1700000000, "also of directories made before");
	}
	cr_expect(kept > 10, "there was something to go on from");
	cr_expect(at > 10);
}

Test(restore, what_a_killed_restore_left_is_removed)
{
	_cleanup_sample_ struct sample s = sample_new(OBJECT_COMPRESS_NONE);

	write_file(&s, ".sstablefs-restore/0000000000000000", "half", 4);
	write_file(&s, ".sstablefs-restore/directory/x", "half", 4);
	cr_assert_eq(restore(&s), 0, "%s", s.e.message);
	expect_all(&s);
}

Test(restore, two_at_once_into_one_directory_are_told_apart)
{
	_cleanup_sample_ struct sample s = sample_new(OBJECT_COMPRESS_NONE);
	_cleanup_free_ char *staging = util_printf("%s/.sstablefs-restore", s.target);
	_cleanup_close_ int fd = -1;

	write_file(&s, ".sstablefs-restore/0000000000000000", "of the other", 12);
	fd = open(staging, O_RDONLY | O_DIRECTORY);
	cr_assert_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
	cr_expect_eq(restore(&s), -EBUSY);
	cr_expect_eq(s.e.kind, ERR_CONFLICT);
	cr_expect(exists(s.target, ".sstablefs-restore/0000000000000000"));
}

Test(restore, a_target_that_cannot_be_written_or_made_is_refused)
{
	_cleanup_sample_ struct sample s = sample_new(OBJECT_COMPRESS_NONE);

	snprintf(s.target, sizeof(s.target), "%s/no/parent", s.dir.path);
	cr_expect_eq(restore(&s), -ENOENT);
	cr_expect(strstr(s.e.message, "no/parent"), "%s", s.e.message);
	snprintf(s.target, sizeof(s.target), "%s/file", s.dir.path);
	tmpdir_write(&s.dir, "file", "x", 1);
	cr_expect_eq(restore(&s), -ENOTDIR);
	snprintf(s.target, sizeof(s.target), "/proc/self");
	cr_expect_lt(restore(&s), 0);
	cr_expect_eq(s.e.kind, ERR_IO, "%s", s.e.message);
}

Test(restore, an_unfinished_backup_is_refused)
{
	_cleanup_sample_ struct sample s = sample_new(OBJECT_COMPRESS_NONE);

	s.record->has_root = false;
	cr_expect_eq(restore(&s), -ENOENT);
	cr_expect_eq(s.e.kind, ERR_NOT_FOUND);
}

Test(restore, owners_go_by_name_where_the_name_is_known_here)
{
	_cleanup_sample_ struct sample s = sample_new(OBJECT_COMPRESS_NONE);
	_cleanup_free_ char *path = util_printf("%s/%s", s.target, s.files[2].path + 5);
	struct record_owner *owners = calloc(1, sizeof(*owners));
	struct stat st;

	cr_assert_eq(geteuid(), 0, "the tests run as root");
	/* On that node root's name had the number that the files carry. */
	owners->id = s.files[2].attr.uid;
	owners->name = strdup("daemon");
	s.record->users = owners;
	s.record->user_count = 1;
	cr_assert_eq(restore(&s), 0, "%s", s.e.message);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_uid, 1, "daemon is 1 on every Debian");
	s.o.numeric_ids = true;
	cr_assert_eq(restore(&s), 0, "%s", s.e.message);
	cr_assert_eq(stat(path, &st), 0);
	cr_expect_eq(st.st_uid, s.files[2].attr.uid);
}
