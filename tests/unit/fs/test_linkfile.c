/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/io.h"
#include "fs/linkfile.h"
#include "tests/unit/base/tmpdir.h"
#include "tests/unit/fs/tree_fixture.h"

#define TABLE "data/ks/t-00000000000000000000000000000001/"
#define OTHER "data/ks/u-00000000000000000000000000000001/nb-1-big-Data.db"
#define NUMBER 3

static const struct node_name node = { FIXTURE_CLUSTER, FIXTURE_NODE };
static const struct fixture_file monday[] = {
	{ .path = TABLE "nb-1-big-Data.db",
	  .data = "one",
	  .len_bytes = 3,
	  .attr = { 0644, 1, 1, 1 } },
	{ .path = TABLE "nb-2-big-Data.db",
	  .data = "two",
	  .len_bytes = 3,
	  .attr = { 0644, 1, 1, 1 } },
};
static const struct fixture_file tuesday[] = {
	{ .path = TABLE "nb-1-big-Data.db",
	  .data = "one",
	  .len_bytes = 3,
	  .attr = { 0644, 1, 1, 1 } },
	{ .path = TABLE "nb-3-big-Data.db",
	  .data = "six",
	  .len_bytes = 3,
	  .attr = { 0644, 1, 1, 1 } },
};

struct setup {
	struct tree_fixture *t;
	struct record *a, *b;
	uint64_t both, first, second; /* inodes: of both backups, of one */
	struct index *index;	      /* as that of the next mount */
};

static uint64_t ino_of(struct setup *s, const struct record *rec, const char *path)
{
	_cleanup_(run_freep) struct run *run = NULL;
	const struct entry *en = fixture_find(s->t->repo, rec, path, &run);
	struct id256 d;

	cr_assert_not_null(en);
	d = inode_file_digest(&node, path + strlen("data/"), en);
	return inode_number(&d);
}

/* The index of another mount, over the same directory. */
static void remount(struct setup *s)
{
	struct index_options o = { .kv = s->t->kv,
				   .meta = s->t->repo->meta,
				   .trees = s->t->trees,
				   .clock = clock_system(),
				   .directory = s->t->dir,
				   .max_bytes = 1 * MIB,
				   .memory_bytes = 1 * MIB };

	if (s->index)
		index_free(s->index);
	s->index = index_new(&o);
	cr_assert_not_null(s->index);
}

static void setup_init(struct setup *s)
{
	*s = (struct setup){ .t = tree_fixture_new(0) };
	s->a = fixture_backup(s->t->repo, "a", monday, 2, OBJECT_COMPRESS_NONE);
	s->b = fixture_backup(s->t->repo, "b", tuesday, 2, OBJECT_COMPRESS_NONE);
	s->both = ino_of(s, s->a, TABLE "nb-1-big-Data.db");
	s->first = ino_of(s, s->a, TABLE "nb-2-big-Data.db");
	s->second = ino_of(s, s->b, TABLE "nb-3-big-Data.db");
	remount(s);
}

static void setup_deinit(struct setup *s)
{
	index_free(s->index);
	record_free(s->a);
	record_free(s->b);
	tree_fixture_free(s->t);
}
#define _cleanup_setup_ _cleanup_(setup_deinit)

/* Counts a, b or both. */
static int count(struct setup *s, bool a, bool b, const struct index_listener *l)
{
	static const struct index_listener nobody;
	struct link_wanted wanted[2];
	size_t n = 0;
	int r;

	if (a)
		wanted[n++] = (struct link_wanted){ s->a->writer, s->a->root, 0 };
	if (b)
		wanted[n++] = (struct link_wanted){ s->b->writer, s->b->root, 0 };
	r = index_count(s->index, NUMBER, &node, wanted, n, l ? l : &nobody, NULL, NULL);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = wanted[i].result;
	return r;
}

static uint32_t links(struct setup *s, uint64_t ino)
{
	struct index_node n;

	return index_get(s->index, ino, true, NULL, &n, NULL) == 0 ? n.nlink : 0;
}

static void store_fails(struct setup *s, bool fails)
{
	atomic_store(&s->t->repo->wire->fail, fails ? -EIO : 0);
}

/* Trees that were read lie in memory: without them nothing can be counted while the store fails. */
static void forget_trees(struct setup *s)
{
	struct meta_options o = { .repo = s->t->repo->repo, .source = s->t->repo->source };

	index_free(s->index);
	s->index = NULL;
	treecache_free(s->t->trees);
	meta_free(s->t->repo->meta);
	s->t->repo->meta = meta_new(&o);
	s->t->trees = treecache_new(s->t->repo->meta, 1 * MIB);
	cr_assert(s->t->repo->meta && s->t->trees);
	remount(s);
}

static void expect_both(struct setup *s)
{
	cr_expect_eq(links(s, s->both), 3);
	cr_expect_eq(links(s, s->first), 2);
	cr_expect_eq(links(s, s->second), 2);
}

Test(linkfile, what_was_counted_is_taken_over_by_the_next_mount_without_reading)
{
	_cleanup_setup_ struct setup s;

	setup_init(&s);
	cr_assert_eq(count(&s, true, true, NULL), 0);
	forget_trees(&s);
	store_fails(&s, true);
	cr_assert_eq(count(&s, true, true, NULL), 0);
	store_fails(&s, false);
	expect_both(&s);
}

Test(linkfile, backups_that_came_or_went_between_two_mounts_are_counted)
{
	_cleanup_setup_ struct setup s;

	setup_init(&s);
	cr_assert_eq(count(&s, true, false, NULL), 0);
	remount(&s);
	cr_assert_eq(count(&s, true, true, NULL), 0);
	expect_both(&s);
	remount(&s);
	cr_assert_eq(count(&s, false, true, NULL), 0);
	cr_expect_eq(links(&s, s.both), 2);
	cr_expect_eq(links(&s, s.first), 0, "gone with its backup");
	cr_expect_eq(links(&s, s.second), 2);
	remount(&s);
	cr_assert_eq(count(&s, false, false, NULL), 0);
	cr_expect_eq(links(&s, s.both), 0);
}

/* Runs of the failed backup were read before it failed: their files must not be taken for those of another run. */
Test(linkfile, a_backup_that_fails_half_way_leaves_the_others_right)
{
	static const struct fixture_file half[] = {
		{ .path = TABLE "nb-3-big-Data.db",
		  .data = "six",
		  .len_bytes = 3,
		  .attr = { 0644, 1, 1, 1 } },
		{ .path = OTHER, .data = "ten", .len_bytes = 3, .attr = { 0644, 1, 1, 1 } }
	};
	_cleanup_setup_ struct setup s;
	_cleanup_(record_freep) struct record *lost = NULL, *c = NULL;
	char writer[ULID_TEXT], part[64], key[KEY_BYTES];
	struct link_wanted wanted[2];
	const struct index_listener nobody = { 0 };

	setup_init(&s);
	lost = fixture_backup(s.t->repo, "lost", &half[1], 1, OBJECT_COMPRESS_NONE);
	c = fixture_backup(s.t->repo, "c", half, 2, OBJECT_COMPRESS_NONE);
	snprintf(part, sizeof(part), "/trees/%s", ulid_format(writer, &lost->writer));
	for (size_t n = fixture_count(s.t->repo, part); n > 0; n--) {
		fixture_key(s.t->repo, part, n - 1, key);
		fixture_delete(s.t->repo, key);
	}
	forget_trees(&s);
	wanted[0] = (struct link_wanted){ s.a->writer, s.a->root, 0 };
	wanted[1] = (struct link_wanted){ c->writer, c->root, 0 };
	cr_assert_eq(index_count(s.index, NUMBER, &node, wanted, 2, &nobody, NULL, NULL), 0);
	cr_expect_eq(wanted[0].result, 0);
	cr_expect_lt(wanted[1].result, 0);
	cr_expect_eq(links(&s, s.both), 2);
	cr_expect_eq(links(&s, s.first), 2);
	cr_expect_eq(links(&s, s.second), 0, "only in what could not be read");
}

/* The name of the only file of links in the directory. */
static void find_file(const struct setup *s, char out[512])
{
	DIR *d = opendir(s->t->dir);
	struct dirent *en;

	cr_assert_not_null(d);
	out[0] = '\0';
	while ((en = readdir(d)))
		if (strncmp(en->d_name, "links-", 6) == 0)
			snprintf(out, 512, "%s/%s", s->t->dir, en->d_name);
	closedir(d);
	cr_assert(*out);
}

/* Changes what the last mount left, and says whether the next one, which cannot read anything, believes it. */
static bool is_believed(struct setup *s)
{
	bool believed;

	forget_trees(s);
	store_fails(s, true);
	believed = count(s, true, true, NULL) == 0;
	store_fails(s, false);
	return believed;
}

Test(linkfile, a_file_with_any_damage_is_not_believed_and_made_anew)
{
	_cleanup_setup_ struct setup s;
	struct stat st;
	char path[512];

	setup_init(&s);
	cr_assert_eq(count(&s, true, true, NULL), 0);
	find_file(&s, path);
	cr_assert_eq(stat(path, &st), 0);
	for (off_t at = 0; at < st.st_size; at += at % 4096 == 4095 ? 1 : 819) {
		int fd = open(path, O_RDWR);
		char c;

		cr_assert_geq(fd, 0);
		cr_assert_eq(pread(fd, &c, 1, at), 1);
		c ^= 0x10;
		cr_assert_eq(pwrite(fd, &c, 1, at), 1);
		close(fd);
		cr_expect_not(is_believed(&s), "byte %ld", (long)at);
		cr_assert_eq(count(&s, true, true, NULL), 0);
		expect_both(&s);
	}
	cr_assert_eq(truncate(path, st.st_size - 4096), 0);
	cr_expect_not(is_believed(&s), "cut short");
	cr_assert_eq(count(&s, true, true, NULL), 0);
	expect_both(&s);
	cr_expect(is_believed(&s), "and the one that was made then is whole");
}

Test(linkfile, damage_that_is_met_by_a_reader_is_mended_by_the_next_count)
{
	_cleanup_setup_ struct setup s;
	struct stat st;
	char path[512];
	int fd;

	setup_init(&s);
	cr_assert_eq(count(&s, true, true, NULL), 0);
	find_file(&s, path);
	cr_assert_eq(stat(path, &st), 0);
	fd = open(path, O_RDWR);
	cr_assert_geq(fd, 0);
	cr_assert_eq(pwrite(fd, "damage", 6, st.st_size - 4096), 6); /* among the links */
	close(fd);
	cr_expect_eq(links(&s, s.both), 0, "an error");
	cr_assert_eq(count(&s, true, true, NULL), 0);
	expect_both(&s);
}

Test(linkfile, the_same_run_in_another_object_is_another_one)
{
	struct place one = { .digest = digest_sha256("run", 3) }, two = one;
	struct link_key dir = link_dir_key("data/ks/t"), k = link_run_key(&dir, &one), other;

	two.extent.object.flags = OBJECT_RAW; /* says nothing of where it lies */
	other = link_run_key(&dir, &two);
	cr_expect_eq(link_key_compare(&k, &other), 0);
	for (int i = 0; i < 3; i++) {
		two = one;
		two.extent.object.writer.b[0] = i == 0;
		two.extent.object.id.b[0] = i == 1;
		two.extent.offset = i == 2;
		other = link_run_key(&dir, &two);
		cr_expect_neq(link_key_compare(&k, &other), 0);
	}
}

Test(linkfile, the_file_of_another_node_is_not_believed)
{
	const struct node_name other = { FIXTURE_CLUSTER, "another" };
	_cleanup_setup_ struct setup s;
	struct linkfile_writer *w;
	struct linkfile *f;
	char path[512], elsewhere[256];
	int dir;

	setup_init(&s);
	dir = open(s.t->dir, O_RDONLY | O_DIRECTORY);
	cr_assert_eq(count(&s, true, true, NULL), 0);
	find_file(&s, path);
	snprintf(elsewhere, sizeof(elsewhere), "%s/kept", s.t->dir);
	cr_assert_eq(rename(path, elsewhere), 0);
	cr_assert_eq(linkfile_writer_new(dir, &other, 1, 1 * MIB, &w), 0);
	cr_assert_eq(linkfile_finish(w, false, &f), 0);
	linkfile_unref(f);
	linkfile_writer_free(w);
	find_file(&s, path);
	cr_assert_eq(rename(elsewhere, path), 0);
	cr_expect_eq(linkfile_open(dir, &other, &f), -EBADMSG);
	close(dir);
}

Test(linkfile, a_directory_that_is_deleted_or_has_no_room_is_done_without)
{
	_cleanup_setup_ struct setup s;
	struct index_options o = { .clock = clock_system(),
				   .max_bytes = 4096,
				   .memory_bytes = 1 * MIB };

	setup_init(&s);
	io_remove_tree(AT_FDCWD, s.t->dir);
	cr_assert_eq(count(&s, true, true, NULL), 0);
	expect_both(&s);
	index_free(s.index);
	o.kv = s.t->kv;
	o.meta = s.t->repo->meta;
	o.trees = s.t->trees;
	o.directory = "/tmp";
	s.index = index_new(&o);
	cr_assert_eq(count(&s, true, true, NULL), 0);
	expect_both(&s);
	index_free(s.index);
	o.memory_bytes = 4096;
	s.index = index_new(&o);
	cr_expect_eq(count(&s, true, true, NULL), -ENOSPC, "nowhere");
	cr_expect_eq(links(&s, s.both), 0);
}

/* A file with one run, one backup (a) and one link, whose checksums fit. */
static void leave_file(const struct setup *s, uint32_t number, uint64_t list_count,
		       struct link other)
{
	struct link_run run = { .count = 1, .entry_count = 1 };
	struct link_backup backup = { .count = list_count };
	struct linkfile_writer *w;
	struct linkfile *f;
	int dir = open(s->t->dir, O_RDONLY | O_DIRECTORY);

	backup.writer = s->a->writer;
	backup.root = s->a->root.digest;
	cr_assert_eq(linkfile_writer_new(dir, &node, 1, 1 * MIB, &w), 0);
	cr_assert_eq(linkfile_append(w, LINKFILE_RUNS, &run), 0);
	cr_assert_eq(linkfile_append(w, LINKFILE_LISTS, &number), 0);
	cr_assert_eq(linkfile_append(w, LINKFILE_BACKUPS, &backup), 0);
	cr_assert_eq(linkfile_append(w, LINKFILE_LINKS, &other), 0);
	cr_assert_eq(linkfile_finish(w, false, &f), 0);
	linkfile_unref(f);
	linkfile_writer_free(w);
	close(dir);
}

Test(linkfile, two_files_with_one_number_are_told_apart)
{
	_cleanup_setup_ struct setup s;

	setup_init(&s);
	/* As a mount left it that knew another file with this number, in a backup that is still there. */
	leave_file(&s, 0, 1, (struct link){ .ino = s.second, .bits = 1u << 14 });
	cr_assert_eq(count(&s, true, true, NULL), 0);
	expect_both(&s);
}

Test(linkfile, numbers_of_runs_that_are_not_there_are_damage)
{
	_cleanup_setup_ struct setup s;

	setup_init(&s);
	for (uint32_t number = 1; number > 0; number = number < 1u << 31 ? number << 1 : 0) {
		leave_file(&s, 0, 1, (struct link){ .ino = s.second, .run = number });
		remount(&s);
		cr_assert_eq(count(&s, true, true, NULL), 0);
		expect_both(&s);
		leave_file(&s, number, 1, (struct link){ .ino = s.second });
		remount(&s);
		cr_assert_eq(count(&s, true, true, NULL), 0);
		expect_both(&s);
		leave_file(&s, 0, number + 1ul, (struct link){ .ino = s.second });
		remount(&s);
		cr_assert_eq(count(&s, true, true, NULL), 0);
		expect_both(&s);
	}
}

static int tally(void *ctx, const struct link *l)
{
	(void)l;
	++*(unsigned *)ctx;
	return 0;
}

Test(linkfile, a_run_is_found_among_many_and_so_is_each_inode)
{
	_cleanup_(linkfile_unrefp) struct linkfile *f = NULL;
	struct linkfile_writer *w;
	struct link_run run = { .count = 0 };
	struct link l = { .ino = 0 };
	uint32_t number;

	cr_assert_eq(linkfile_writer_new(-1, &node, 7, 64 * MIB, &w), 0);
	for (uint64_t i = 0; i < 5000;
	     i++) { /* in steps of very different widths: a guess is far off */
		run.key = (struct link_key){ i * i * i * 1000, i };
		cr_assert_eq(linkfile_append(w, LINKFILE_RUNS, &run), 0);
	}
	for (uint64_t i = 0; i < 20000; i++) {
		l = (struct link){ .ino = (i / 400) * (i / 400) * 1000003, .run = (uint32_t)i };
		cr_assert_eq(linkfile_append(w, LINKFILE_LINKS, &l), 0);
	}
	cr_assert_eq(linkfile_finish(w, false, &f), 0);
	linkfile_writer_free(w);
	for (uint64_t i = 0; i < 5000; i++) {
		struct link_key k = { i * i * i * 1000, i }, near = { i * i * i * 1000, i + 1 };

		cr_assert_eq(linkfile_find_run(f, &k, &run, &number), 0);
		cr_assert_eq(number, i);
		cr_assert_eq(linkfile_find_run(f, &near, &run, &number), LINKFILE_ABSENT);
	}
	for (uint64_t i = 0; i < 50; i++) {
		unsigned found = 0;

		cr_assert_eq(linkfile_each(f, i * i * 1000003, tally, &found), 0);
		cr_assert_eq(found, 400);
		cr_assert_eq(linkfile_each(f, i * i * 1000003 + 1, tally, &found), 0);
		cr_assert_eq(found, 400);
	}
}

/* Runs and links in several blocks each, every inode in one run. */
static struct linkfile *file_of(int dir_fd, uint64_t nonce, uint32_t count_in_each)
{
	struct linkfile_writer *w;
	struct linkfile *f;

	cr_assert_eq(linkfile_writer_new(dir_fd, &node, nonce, 64 * MIB, &w), 0);
	for (uint64_t i = 0; i < 500; i++) {
		struct link_run run = { .key = { i << 55, i }, .count = count_in_each };

		cr_assert_eq(linkfile_append(w, LINKFILE_RUNS, &run), 0);
	}
	for (uint64_t i = 0; i < 10000; i++) {
		struct link l = { .ino = i << 48, .run = (uint32_t)(i % 500) };

		cr_assert_eq(linkfile_append(w, LINKFILE_LINKS, &l), 0);
	}
	cr_assert_eq(linkfile_finish(w, false, &f), 0);
	linkfile_writer_free(w);
	return f;
}

struct asked {
	const struct linkfile *file;
	uint64_t sum;
};

static int add_count(void *ctx, const struct link *l)
{
	struct asked *a = ctx;
	struct link_run run;

	cr_assert_eq(linkfile_get(a->file, LINKFILE_RUNS, l->run, &run), 0);
	a->sum += run.count;
	return 0;
}

/* Of all inodes, in an order that jumps. */
static uint64_t ask_all(const struct linkfile *f)
{
	struct asked a = { f, 0 };

	for (uint64_t i = 0; i < 10000; i++)
		cr_assert_eq(linkfile_each(f, i * 7919 % 10000 << 48, add_count, &a), 0);
	return a.sum;
}

Test(linkfile, a_block_is_read_once_however_many_inodes_are_asked_for)
{
	_cleanup_(linkcache_freep) struct linkcache *c = linkcache_new();
	_cleanup_(linkfile_unrefp) struct linkfile *f = file_of(-1, 7, 1), *g = file_of(-1, 8, 2);
	uint64_t before = linkfile_reads(f);

	linkfile_use(f, c);
	linkfile_use(g, c);
	cr_expect_eq(ask_all(f), 10000);
	cr_expect_leq(linkfile_reads(f) - before, linkfile_bytes(f) / LINKCACHE_BLOCK_BYTES);
	before = linkfile_reads(f);
	cr_expect_eq(ask_all(f), 10000);
	cr_expect_eq(linkfile_reads(f), before);
	cr_expect_eq(ask_all(g), 20000, "blocks of another file are no answer");
	cr_expect_eq(ask_all(f), 10000);
}

Test(linkfile, a_damaged_block_is_met_whenever_it_is_asked_for)
{
	_cleanup_tmpdir_ struct tmpdir dir = tmpdir_new();
	_cleanup_close_ int dir_fd = open(dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(linkcache_freep) struct linkcache *c = linkcache_new();
	_cleanup_(linkfile_unrefp) struct linkfile *f = file_of(dir_fd, 7, 1);
	struct link_key key = { UINT64_C(100) << 55, 100 };
	_cleanup_close_ int fd = -1;
	char name[LINKFILE_NAME_BYTES];
	struct link_run run;
	uint32_t number;

	linkfile_use(f, c);
	linkfile_name(&node, name);
	fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);
	for (uint64_t at = 100; at < linkfile_bytes(f); at += LINKCACHE_BLOCK_BYTES)
		cr_assert_eq(pwrite(fd, "damaged", 7, (off_t)at), 7);
	for (int i = 0; i < 3; i++)
		cr_expect_eq(linkfile_find_run(f, &key, &run, &number), -EBADMSG, "time %d", i);
	cr_expect(linkfile_is_damaged(f));
}

Test(linkcache, blocks_in_the_same_place_are_told_apart)
{
	_cleanup_(linkcache_freep) struct linkcache *c = linkcache_new();
	struct linkcache_block *a = linkcache_block_new(), *b = linkcache_block_new(), *found;
	uint64_t file = linkcache_join(c), other = linkcache_join(c);

	linkcache_put(c, file, 5, a);
	cr_expect_null(linkcache_find(c, file, 5 + LINKCACHE_BLOCKS));
	cr_expect_null(linkcache_find(c, other, 5));
	found = linkcache_find(c, file, 5);
	cr_expect_eq(found, a);
	linkcache_put(c, file, 5 + LINKCACHE_BLOCKS, b);
	cr_expect_null(linkcache_find(c, file, 5));
	linkcache_block_unref(found);
	found = linkcache_find(c, file, 5 + LINKCACHE_BLOCKS);
	cr_expect_eq(found, b);
	linkcache_block_unref(found);
	linkcache_block_unref(a);
	linkcache_block_unref(b);
}
