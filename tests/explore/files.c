/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/explore/files.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/io.h"

#define OBJECT_MAX 8192 /* more than any object here holds */

/* Content up to 512 bytes lies in the trees. What only B1 has is what is condemned once B1 is deleted; W1 and W2 want some of it. */
static const struct {
	enum files_kind kind;
	const char *name; /* below the keyspace */
	unsigned seed, len;
} plan[] = {
	{ FILES_B1, "t/nb-1-big-Data.db", 1, 700 },  { FILES_B1, "t/nb-2-big-Data.db", 2, 3000 },
	{ FILES_B1, "t/nb-3-big-Data.db", 3, 600 },  { FILES_B1, "u/nb-1-big-Data.db", 7, 900 },
	{ FILES_B2, "t/nb-1-big-Data.db", 1, 700 },  { FILES_B2, "t/nb-4-big-Data.db", 4, 900 },
	{ FILES_W1, "t/nb-2-big-Data.db", 2, 3000 }, { FILES_W1, "t/nb-2-big-TOC.txt", 8, 100 },
	{ FILES_W1, "t/nb-5-big-Data.db", 5, 800 },  { FILES_W1, "u/nb-1-big-Data.db", 7, 900 },
	{ FILES_W2, "t/nb-2-big-Data.db", 2, 3000 }, { FILES_W2, "t/nb-3-big-Data.db", 3, 600 },
	{ FILES_W2, "t/nb-6-big-Data.db", 6, 700 },
};

static struct files all[FILES_KINDS] = {
	{ .name = "b1" },
	{ .name = "b2" },
	{ .name = "w1" },
	{ .name = "w2" },
};
static char top[64];

static void need(bool so, const char *what)
{
	if (so)
		return;
	fprintf(stderr, "explore: cannot make the files to be backed up: %s: %m\n", what);
	exit(2);
}

static void set_time(const char *path)
{
	const struct timespec times[2] = { { 1600000000, 0 }, { 1600000000, 5 } };

	need(utimensat(AT_FDCWD, path, times, 0) == 0, path);
}

static void make_file(struct files *f, const char *name, unsigned seed, size_t len)
{
	static const char table[] = "00000000000000000000000000000001";
	struct file_wanted *w = &f->wanted[f->count++];
	char path[256];
	uint32_t state = seed * 2654435761u;
	int fd;

	snprintf(w->path, sizeof(w->path), "data/ks/%c-%s/%s", name[0], table, name + 2);
	w->len = len;
	w->data = malloc(len);
	need(w->data != NULL, "memory");
	for (size_t i = 0; i < len; i++)
		w->data[i] = (uint8_t)((state = state * 1664525u + 1013904223u) >> 24);
	snprintf(path, sizeof(path), "%s/%s/ks/%c-%s/snapshots/s", top, f->name, name[0], table);
	need(io_mkdirs(AT_FDCWD, path, 0755) == 0, path);
	snprintf(path + strlen(path), sizeof(path) - strlen(path), "/%s", name + 2);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	need(fd >= 0 && io_write_full(fd, w->data, len) == 0, path);
	close(fd);
	set_time(path);
}

static void scan(struct files *f)
{
	char dir[128];
	const char *const dirs[] = { dir };
	const struct snapshot_options o = { .data_dirs = dirs, .data_dir_count = 1, .tag = "s" };
	struct err e = ERR_INIT;

	snprintf(dir, sizeof(dir), "%s/%s", top, f->name);
	if (snapshot_scan(&o, NULL, &f->snapshot, &e) < 0) {
		fprintf(stderr, "explore: %s\n", e.message);
		exit(2);
	}
	/* Times of directories are part of trees, which must be the same in each process and run. */
	for (size_t i = 0; i < f->snapshot->dir_count; i++)
		f->snapshot->dirs[i].mtime_ns = INT64_C(1600000000000000000);
}

const struct files *files_make(void)
{
	snprintf(top, sizeof(top), "%s/sstablefs-explore-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	need(mkdtemp(top) != NULL, top);
	for (size_t i = 0; i < ARRAY_SIZE(plan); i++)
		make_file(&all[plan[i].kind], plan[i].name, plan[i].seed, plan[i].len);
	for (size_t i = 0; i < FILES_KINDS; i++)
		scan(&all[i]);
	return all;
}

void files_remove(void)
{
	for (size_t i = 0; i < FILES_KINDS; i++) {
		for (size_t k = 0; k < all[i].count; k++)
			free(all[i].wanted[k].data);
		snapshot_free(all[i].snapshot);
	}
	io_remove_tree(AT_FDCWD, top);
}

/* ---- what comes back ---- */

struct compare {
	const struct files *f;
	struct source *source;
	const struct node_name *n;
	size_t seen;
};

static const struct file_wanted *find(const struct files *f, const char *dir, const char *name)
{
	size_t len = strlen(dir);

	for (size_t i = 0; i < f->count; i++) {
		const char *path = f->wanted[i].path;

		if (strncmp(path, dir, len) == 0 && path[len] == '/' &&
		    strcmp(path + len + 1, name) == 0)
			return &f->wanted[i];
	}
	return NULL;
}

/* As restore does it: each object whole. */
static int read_entry(struct compare *c, const struct entry *entry, uint8_t *out, struct err *e)
{
	static uint8_t
		buffer[SOURCE_HEADROOM +
		       OBJECT_MAX]; /* nobody else runs between the arrival of bytes and the copy */
	size_t at = 0;

	if (entry->inline_data)
		memcpy(out, entry->inline_data, entry->size_bytes);
	for (uint32_t i = 0; !entry->inline_data && i < entry->extent_count; i++) {
		const struct extent *x = &entry->extents[i];
		int r;

		if (x->object.plain_bytes > OBJECT_MAX)
			abort();
		r = source_fetch(c->source, c->n, KEY_OBJECT_DATA, &x->object,
				 buffer + SOURCE_HEADROOM, NULL, NULL, NULL, e);
		if (r < 0)
			return r;
		memcpy(out + at, buffer + SOURCE_HEADROOM + x->offset, x->len_bytes);
		at += x->len_bytes;
	}
	return 0;
}

static int on_entry(void *ctx, const char *path, const struct entry *entry, struct err *e)
{
	struct compare *c = ctx;
	const struct file_wanted *w = find(c->f, path, entry->name);
	uint8_t out[4096];
	int r;

	c->seen++;
	if (!w || w->len != entry->size_bytes)
		return err_set(e, ERR_IO, -EUCLEAN,
			       "%s/%s is none of the files that were backed up", path, entry->name);
	r = read_entry(c, entry, out, e);
	if (r < 0)
		return err_wrap(e, r, "%s/%s cannot be read", path, entry->name);
	return memcmp(out, w->data, w->len) == 0
		       ? 0
		       : err_set(e, ERR_IO, -EUCLEAN, "%s/%s has other bytes", path, entry->name);
}

int files_compare(const struct files *f, struct meta *m, struct source *s,
		  const struct node_name *n, const struct place *root, struct err *e)
{
	struct compare c = { .f = f, .source = s, .n = n };
	const struct meta_walk walk = { .entry = on_entry, .ctx = &c };
	int r = meta_walk(m, n, root, &walk, NULL, e);

	if (r < 0)
		return r;
	return c.seen == f->count
		       ? 0
		       : err_set(e, ERR_IO, -EUCLEAN, "it has %zu files of %zu", c.seen, f->count);
}
