/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/util.h"
#include "cassandra/component.h"
#include "cassandra/tags.h"
#include "cassandra/walkdir.h"

#define NO_DATA_DIR 65535
#define DEPTH_MAX 64 /* directories below a snapshot's own */
#define NAME_BLOCK_BYTES ((size_t)64 * 1024)

struct found_dir {
	struct snapshot_dir dir;
	size_t order; /* of discovery: the first one gives the attributes */
};

struct scan {
	const struct snapshot_options *o;
	const struct cancel *cancel;
	struct snapshot *s;
	struct found_dir *dirs;
	size_t dir_count, dir_cap, file_cap, left_out_cap, place_cap, block_cap;
	size_t block_left; /* bytes of the last block of names */
	bool *only_hit;
	bool tag_seen;	   /* some table has the snapshot, be it selected or not */
	uint32_t data_dir; /* the one that is being read */
};

static int64_t mtime_of(const struct stat *st)
{
	return clock_timespec_ns(st->st_mtim);
}

static int add_dir(struct scan *sc, char *path, const struct stat *st, struct err *e)
{
	struct found_dir *d;

	if (!path || util_grow(&sc->dirs, &sc->dir_cap, sc->dir_count + 1, sizeof(*d)) < 0) {
		free(path);
		return err_nomem(e);
	}
	d = &sc->dirs[sc->dir_count];
	*d = (struct found_dir){
		.dir = { .path = path,
			 .mode = st->st_mode & 07777,
			 .uid = st->st_uid,
			 .gid = st->st_gid,
			 .mtime_ns = mtime_of(st) },
		.order = sc->dir_count,
	};
	sc->dir_count++;
	return 0;
}

/* Where the files of a directory lie; belongs to the snapshot. NULL: out of memory. */
static const struct snapshot_place *add_place(struct scan *sc, const char *shown,
					      const char *source)
{
	struct snapshot *s = sc->s;
	struct snapshot_place *place = calloc(1, sizeof(*place));

	if (!place ||
	    util_grow(&s->places, &sc->place_cap, s->place_count + 1, sizeof(*s->places)) < 0) {
		free(place);
		return NULL;
	}
	s->places[s->place_count++] = place;
	s->memory_bytes += sizeof(*place) + strlen(shown) + strlen(source) + 64;
	place->shown = strdup(shown);
	place->source = strdup(source);
	return place->shown && place->source ? place : NULL;
}

/* NULL: out of memory. */
static const char *keep_name(struct scan *sc, const char *name)
{
	struct snapshot *s = sc->s;
	size_t len = strlen(name) + 1;
	char *kept;

	if (len > sc->block_left) {
		if (util_grow(&s->names, &sc->block_cap, s->name_block_count + 1,
			      sizeof(*s->names)) < 0)
			return NULL;
		kept = malloc(NAME_BLOCK_BYTES);
		if (!kept)
			return NULL;
		s->names[s->name_block_count++] = kept;
		s->memory_bytes += NAME_BLOCK_BYTES;
		sc->block_left = NAME_BLOCK_BYTES;
	}
	kept = s->names[s->name_block_count - 1] + NAME_BLOCK_BYTES - sc->block_left;
	memcpy(kept, name, len);
	sc->block_left -= len;
	return kept;
}

static int add_file(struct scan *sc, const struct snapshot_place *place, const char *name,
		    const struct stat *st, int64_t btime_ns, uint32_t data_dir, struct err *e)
{
	struct snapshot *s = sc->s;
	const char *kept = keep_name(sc, name);

	if (!kept || util_grow(&s->files, &sc->file_cap, s->file_count + 1, sizeof(*s->files)) < 0)
		return err_nomem(e);
	s->files[s->file_count++] = (struct snapshot_file){
		.place = place,
		.name = kept,
		.data_dir = data_dir,
		.mode = st->st_mode & 07777,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.mtime_ns = mtime_of(st),
		.size_bytes = (uint64_t)st->st_size,
		.ino = st->st_ino,
		.btime_ns = btime_ns,
	};
	s->total_bytes += (uint64_t)st->st_size;
	s->memory_bytes += sizeof(*s->files);
	return 0;
}

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFLNK:
		return "symbolic link";
	case S_IFSOCK:
		return "socket";
	case S_IFIFO:
		return "pipe";
	case S_IFBLK:
	case S_IFCHR:
		return "device";
	default:
		return "of unknown type";
	}
}

static int add_left_out(struct scan *sc, const char *source, mode_t mode, struct err *e)
{
	struct snapshot *s = sc->s;
	char *line = util_printf("%s (%s)", source, type_name(mode));

	if (!line || util_grow(&s->left_out, &sc->left_out_cap, s->left_out_count + 1,
			       sizeof(*s->left_out)) < 0) {
		free(line);
		return err_nomem(e);
	}
	s->left_out[s->left_out_count++] = line;
	return 0;
}

/* ---- the files of one table's snapshot ---- */

struct table { /* a snapshot directory, or a directory below it */
	struct scan *sc;
	const char *shown; /* "data/ks/t-…", and below */
	const char *aside; /* "snapshot/ks/t-…" in the snapshot's own directory, NULL below it */
	const struct snapshot_place *place,
		*aside_place;	    /* the same; NULL before their first file */
	const struct stat *stat[3]; /* of the data directory, the keyspace's and the snapshot's */
	bool *aside_used;
	unsigned depth;
};

static int scan_directory(struct table *t, const struct walkdir *at, struct err *e);

static int scan_sub_directory(struct table *t, const struct walkdir *at, const char *name,
			      char *source, const struct stat *st, struct err *e)
{
	_cleanup_close_ int fd = -1;
	char *shown = util_printf("%s/%s", t->shown, name);
	struct table below = *t;
	int r;

	if (t->depth >= DEPTH_MAX) {
		free(shown);
		return err_set(e, ERR_USAGE, -ELOOP, "more than %d directories deep: %s", DEPTH_MAX,
			       source);
	}
	r = add_dir(t->sc, shown, st, e);
	if (r < 0)
		return r;
	r = walkdir_open(at, name, O_NOFOLLOW, &fd, e);
	if (r > 0)
		return err_set(e, ERR_IO, -ENOENT, "vanished while it was being read: %s", source);
	if (r < 0)
		return r;
	below.shown = shown;
	below.aside = NULL;
	below.place = below.aside_place = NULL;
	below.depth++;
	return scan_directory(&below, &(struct walkdir){ .fd = fd, .path = source }, e);
}

static int take_file(struct table *t, const struct walkdir *at, const char *name,
		     const struct stat *st, int64_t btime_ns, struct err *e)
{
	bool aside = t->aside &&
		     (strcmp(name, "manifest.json") == 0 || strcmp(name, "schema.cql") == 0);
	const struct snapshot_place **place = aside ? &t->aside_place : &t->place;

	if (!*place)
		*place = add_place(t->sc, aside ? t->aside : t->shown, at->path);
	if (!*place)
		return err_nomem(e);
	if (aside)
		*t->aside_used = true;
	return add_file(t->sc, *place, name, st, btime_ns, aside ? NO_DATA_DIR : t->sc->data_dir,
			e);
}

static int scan_entry(void *ctx, const struct walkdir *at, const char *name, struct err *e)
{
	struct table *t = ctx;
	_cleanup_free_ char *source = util_printf("%s/%s", at->path, name);
	int64_t btime_ns;
	struct stat st;

	if (!source)
		return err_nomem(e);
	if (walkdir_stat(at, name, &st, &btime_ns) < 0)
		return errno == ENOENT ? err_set(e, ERR_IO, -ENOENT,
						 "vanished while it was being read: %s", source)
				       : err_errno(e, -errno, "cannot stat %s", source);
	if (S_ISDIR(st.st_mode))
		return scan_sub_directory(t, at, name, source, &st, e);
	if (!S_ISREG(st.st_mode))
		return add_left_out(t->sc, source, st.st_mode, e);
	return take_file(t, at, name, &st, btime_ns, e);
}

static int scan_directory(struct table *t, const struct walkdir *at, struct err *e)
{
	return walkdir_each(at, t->sc->cancel, scan_entry, t, e);
}

/* "data", "data/ks" and "data/ks/t-…" (or below "snapshot"), with the attributes of the directories that they stand for. */
static int add_ancestors(struct table *t, const char *path, struct err *e)
{
	const char *end = path;

	for (size_t i = 0; i < ARRAY_SIZE(t->stat); i++) {
		size_t len;
		int r;

		end = i == ARRAY_SIZE(t->stat) - 1 ? NULL : strchr(i ? end + 1 : end, '/');
		len = end ? (size_t)(end - path) : strlen(path);
		r = add_dir(t->sc, strndup(path, len), t->stat[i], e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int scan_table(struct scan *sc, int fd, const char *source, const char *keyspace,
		      const char *table, const struct stat *const stats[2], struct err *e)
{
	_cleanup_free_ char *shown = util_printf("data/%s/%s", keyspace, table);
	_cleanup_free_ char *aside = util_printf("snapshot/%s/%s", keyspace, table);
	bool aside_used = false;
	struct stat st;
	struct table t = { .sc = sc,
			   .shown = shown,
			   .aside = aside,
			   .stat = { stats[0], stats[1], &st },
			   .aside_used = &aside_used };
	int r;

	if (!shown || !aside)
		return err_nomem(e);
	if (fstat(fd, &st) < 0)
		return err_errno(e, -errno, "cannot stat %s", source);
	r = add_ancestors(&t, shown, e);
	if (r == 0)
		r = scan_directory(&t, &(struct walkdir){ .fd = fd, .path = source }, e);
	if (r == 0 && aside_used)
		r = add_ancestors(&t, aside, e);
	return r;
}

/* ---- data directories, keyspaces, tables ---- */

/* Whether `only` names this table; notes that it named something. */
static bool selected(struct scan *sc, const char *keyspace, const char *table)
{
	size_t table_len = component_table_directory(table);
	size_t keyspace_len = strlen(keyspace);
	bool any = sc->o->only_count == 0;

	if (table_len == 0)
		table_len = strlen(table);
	for (size_t i = 0; i < sc->o->only_count; i++) {
		const char *only = sc->o->only[i];

		if (strncmp(only, keyspace, keyspace_len) != 0)
			continue;
		only += keyspace_len;
		if (*only == '.' &&
		    (strlen(only + 1) != table_len || strncmp(only + 1, table, table_len) != 0))
			continue;
		if (*only != '\0' && *only != '.')
			continue;
		sc->only_hit[i] = true;
		any = true;
	}
	return any;
}

struct keyspace {
	struct scan *sc;
	const char *name;
	const struct stat *stats[2];
};

static int keyspace_entry(void *ctx, const struct walkdir *at, const char *table, struct err *e)
{
	struct keyspace *ks = ctx;
	_cleanup_free_ char *below = util_printf("%s/snapshots/%s", table, ks->sc->o->tag);
	_cleanup_free_ char *source = NULL;
	_cleanup_close_ int fd = -1;
	int r;

	if (!below)
		return err_nomem(e);
	r = walkdir_open(at, below, O_NOFOLLOW, &fd, e);
	if (r != 0)
		return MIN_OF(r, 0);
	ks->sc->tag_seen = true;
	if (!selected(ks->sc, ks->name, table))
		return 0;
	source = util_printf("%s/%s", at->path, below);
	if (!source)
		return err_nomem(e);
	return scan_table(ks->sc, fd, source, ks->name, table, ks->stats, e);
}

static int data_dir_entry(void *ctx, const struct walkdir *at, const char *name, struct err *e)
{
	struct scan *sc = ctx;
	_cleanup_free_ char *path = util_printf("%s/%s", at->path, name);
	_cleanup_close_ int fd = -1;
	struct stat parent, st;
	struct keyspace ks = { .sc = sc, .name = name, .stats = { &parent, &st } };
	int r;

	if (!path)
		return err_nomem(e);
	r = walkdir_open(at, name, 0, &fd, e);
	if (r != 0)
		return MIN_OF(r, 0);
	if (fstat(at->fd, &parent) < 0 || fstat(fd, &st) < 0)
		return err_errno(e, -errno, "cannot stat %s", path);
	return walkdir_each(&(struct walkdir){ .fd = fd, .path = path }, sc->cancel, keyspace_entry,
			    &ks, e);
}

static int scan_data_dir(struct scan *sc, const char *path, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r = walkdir_open_data_dir(path, &fd, e);

	if (r < 0)
		return r;
	return walkdir_each(&(struct walkdir){ .fd = fd, .path = path }, sc->cancel, data_dir_entry,
			    sc, e);
}

static int no_such_snapshot(struct scan *sc, struct err *e)
{
	_cleanup_free_ char *tags = NULL;
	int r = tags_list(sc->o->data_dirs, sc->o->data_dir_count, sc->cancel, &tags, e);

	if (r < 0)
		return r;
	if (tags[0] == '\0')
		return err_set(e, ERR_NOT_FOUND, -ENOENT,
			       "no table has a snapshot %s, nor any other snapshot", sc->o->tag);
	return err_set(e, ERR_NOT_FOUND, -ENOENT,
		       "no table has a snapshot %s; snapshots that exist: %s", sc->o->tag, tags);
}

/* ---- order ---- */

/* Bytewise, component by component: '/' sorts before everything else, so that a directory comes right before what is below it. */
static int compare_paths(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t n = MIN_OF(a_len, b_len);

	for (size_t i = 0; i < n; i++) {
		unsigned char x = (unsigned char)a[i], y = (unsigned char)b[i];

		if (x != y)
			return (x == '/' ? 0 : x) - (y == '/' ? 0 : y);
	}
	return (a_len > b_len) - (a_len < b_len);
}

static int compare_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int r = memcmp(a, b, MIN_OF(a_len, b_len));

	return r ? r : (a_len > b_len) - (a_len < b_len);
}

int snapshot_compare(const struct snapshot_file *a, const struct snapshot_file *b)
{
	const char *a_dir = a->place->shown, *b_dir = b->place->shown;
	const char *a_name = a->name, *b_name = b->name, *a_key, *b_key;
	int r = a_dir == b_dir ? 0 : compare_paths(a_dir, strlen(a_dir), b_dir, strlen(b_dir));

	if (r)
		return r;
	a_key = strrchr(a_name, '-');
	b_key = strrchr(b_name, '-');
	r = compare_bytes(a_name, a_key ? (size_t)(a_key - a_name) : 0, b_name,
			  b_key ? (size_t)(b_key - b_name) : 0);
	if (r == 0)
		r = strcmp(a_name, b_name);
	return r ? r : (a->data_dir > b->data_dir) - (a->data_dir < b->data_dir);
}

static int compare_files(const void *a, const void *b)
{
	return snapshot_compare(a, b);
}

static int compare_dirs(const void *pa, const void *pb)
{
	const struct found_dir *a = pa, *b = pb;
	int r = compare_paths(a->dir.path, strlen(a->dir.path), b->dir.path, strlen(b->dir.path));

	return r ? r : (a->order > b->order) - (a->order < b->order);
}

/* Sorts files and directories; a directory that several data directories have is kept once, as the first has it. */
static int arrange(struct scan *sc, struct err *e)
{
	struct snapshot *s = sc->s;

	if (s->file_count)
		qsort(s->files, s->file_count, sizeof(*s->files), compare_files);
	qsort(sc->dirs, sc->dir_count, sizeof(*sc->dirs), compare_dirs);
	s->dirs = calloc(sc->dir_count, sizeof(*s->dirs));
	if (!s->dirs)
		return err_nomem(e);
	for (size_t i = 0; i < sc->dir_count; i++) {
		struct snapshot_dir *d = &sc->dirs[i].dir;

		if (s->dir_count && strcmp(s->dirs[s->dir_count - 1].path, d->path) == 0)
			continue;
		s->dirs[s->dir_count++] = *d;
		d->path = NULL;
	}
	return 0;
}

static int check_options(const struct snapshot_options *o, struct err *e)
{
	if (o->tag[0] == '\0' || strchr(o->tag, '/') || strcmp(o->tag, ".") == 0 ||
	    strcmp(o->tag, "..") == 0)
		return err_set(e, ERR_USAGE, -EINVAL, "\"%s\" is no name of a snapshot", o->tag);
	return 0;
}

static int run_scan(struct scan *sc, struct err *e)
{
	for (size_t i = 0; i < sc->o->data_dir_count; i++) {
		int r;

		sc->data_dir = (uint32_t)i;
		r = scan_data_dir(sc, sc->o->data_dirs[i], e);
		if (r < 0)
			return r;
	}
	if (!sc->tag_seen)
		return no_such_snapshot(sc, e);
	for (size_t i = 0; i < sc->o->only_count; i++)
		if (!sc->only_hit[i])
			return err_set(e, ERR_NOT_FOUND, -ENOENT,
				       "%s names no table that has the snapshot %s", sc->o->only[i],
				       sc->o->tag);
	return arrange(sc, e);
}

int snapshot_scan(const struct snapshot_options *o, const struct cancel *c, struct snapshot **ret,
		  struct err *e)
{
	_cleanup_(snapshot_freep) struct snapshot *s = calloc(1, sizeof(*s));
	_cleanup_free_ bool *only_hit = calloc(o->only_count + 1, sizeof(*only_hit));
	struct scan sc = { .o = o, .cancel = c, .s = s, .only_hit = only_hit };
	int r;

	if (!s || !only_hit)
		return err_nomem(e);
	r = check_options(o, e);
	if (r == 0)
		r = run_scan(&sc, e);
	for (size_t i = 0; i < sc.dir_count; i++)
		free(sc.dirs[i].dir.path);
	free(sc.dirs);
	if (r < 0)
		return r;
	*ret = steal_pointer(&s);
	return 0;
}

char *snapshot_source(const struct snapshot_file *f)
{
	return util_printf("%s/%s", f->place->source, f->name);
}

char *snapshot_path(const struct snapshot_file *f)
{
	const char *shown = f->place->shown;

	return util_printf("%s%s%s", shown, *shown ? "/" : "", f->name);
}

void snapshot_free(struct snapshot *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->place_count; i++) {
		free(s->places[i]->shown);
		free(s->places[i]->source);
		free(s->places[i]);
	}
	for (size_t i = 0; i < s->name_block_count; i++)
		free(s->names[i]);
	for (size_t i = 0; i < s->dir_count; i++)
		free(s->dirs[i].path);
	for (size_t i = 0; i < s->left_out_count; i++)
		free(s->left_out[i]);
	free(s->places);
	free(s->names);
	free(s->files);
	free(s->dirs);
	free(s->left_out);
	free(s);
}
