/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/restore_walk.h"

#include <errno.h>
#include <string.h>

#define TABLE_ID_DIGITS 32

struct filtered {
	const struct restore_options *o;
	const struct restore_walk *w;
	const struct child *data;
	bool *matched; /* for each of o->only */
	uint64_t ordinal;
	char path[2 * FORMAT_PATH_BYTES];
};

static int check_names(const char *const *names, size_t count, struct err *e)
{
	for (size_t i = 0; i < count; i++) {
		const char *name = names[i], *dot = strchr(name, '.');

		if (!*name || strchr(name, '/') || dot == name ||
		    (dot && (!dot[1] || strchr(dot + 1, '.'))))
			return err_set(e, ERR_USAGE, -EINVAL,
				       "\"%s\" is neither KEYSPACE nor KEYSPACE.TABLE", name);
	}
	return 0;
}

int restore_walk_check(const struct restore_options *o, struct err *e)
{
	int r = check_names(o->only, o->only_count, e);

	return r < 0 ? r : check_names(o->except, o->except_count, e);
}

/* ---- only, except ---- */

static bool is_table(const char *dir, size_t dir_len, const char *table)
{
	size_t len = strlen(table);

	if (dir_len != len + 1 + TABLE_ID_DIGITS || memcmp(dir, table, len) != 0 || dir[len] != '-')
		return false;
	return strspn(dir + len + 1, "0123456789abcdef") >= TABLE_ID_DIGITS;
}

/*
 * Whether `only` is about the directory KS (table NULL) or KS/TABLE-ID. For a keyspace: also where it names a table of it.
 * *ret_whole: the directory itself is named, not just something in it.
 */
static bool concerns(const char *only, const char *ks, size_t ks_len, const char *table,
		     size_t table_len, bool *ret_whole)
{
	const char *dot = strchr(only, '.');
	size_t len = dot ? (size_t)(dot - only) : strlen(only);

	if (len != ks_len || memcmp(only, ks, len) != 0)
		return false;
	*ret_whole = !dot || (table && is_table(table, table_len, dot + 1));
	return *ret_whole || !table;
}

/* Is the directory `path` (not "") wanted? *ret_whole as above, for any of `only`. */
static bool wanted(struct filtered *f, const char *path, bool *ret_whole)
{
	const char *slash = strchr(path, '/'), *table = slash ? slash + 1 : NULL;
	size_t ks_len = slash ? (size_t)(slash - path) : strlen(path);
	size_t table_len = table ? strcspn(table, "/") : 0;
	bool any = f->o->only_count == 0;

	*ret_whole = any;
	for (size_t i = 0; i < f->o->only_count; i++) {
		bool whole;

		if (!concerns(f->o->only[i], path, ks_len, table, table_len, &whole))
			continue;
		any = true;
		*ret_whole = *ret_whole || whole;
		f->matched[i] = f->matched[i] || whole;
	}
	return any;
}

static bool left_out(const struct restore_options *o, const char *path)
{
	const char *slash = strchr(path, '/'), *table = slash ? slash + 1 : NULL;
	size_t ks_len = slash ? (size_t)(slash - path) : strlen(path);
	size_t table_len = table ? strcspn(table, "/") : 0;
	bool whole = false;

	for (size_t i = 0; i < o->except_count && !whole; i++)
		whole = concerns(o->except[i], path, ks_len, table, table_len, &whole) && whole;
	return whole;
}

static int enter(void *ctx, const char *path, const struct child *self, struct err *e)
{
	struct filtered *f = ctx;
	bool whole;

	return wanted(f, path, &whole) && !left_out(f->o, path) ? 0 : 1;
}

/* ---- what is told ---- */

static int directory(void *ctx, const char *path, const struct child *self, const struct tree *tree,
		     struct err *e)
{
	struct filtered *f = ctx;

	if (!f->w->directory)
		return 0;
	return f->w->directory(f->w->ctx, path, self ? &self->attr : &f->data->attr,
			       tree->file_count == 0, e);
}

/* Files beside the tables of a keyspace come with the keyspace, those beside the keyspaces only with everything. */
static int skip_run(void *ctx, const char *path, const struct run_ref *ref, struct err *e)
{
	struct filtered *f = ctx;
	bool whole;

	if (f->o->only_count == 0)
		return 0;
	return *path && wanted(f, path, &whole) && whole ? 0 : 1;
}

static int entry(void *ctx, const char *path, const struct entry *entry, struct err *e)
{
	struct filtered *f = ctx;
	size_t len = strlen(path);

	memcpy(f->path, path, len);
	if (len > 0)
		f->path[len++] = '/';
	memcpy(f->path + len, entry->name, strlen(entry->name) + 1);
	if (len + strlen(entry->name) > FORMAT_PATH_BYTES)
		return err_set(e, ERR_CORRUPT, -EBADMSG, "the path %.200s... is too long", f->path);
	return f->w->file(f->w->ctx, f->path, entry, f->ordinal++, e);
}

static int check_matched(const struct filtered *f, struct err *e)
{
	for (size_t i = 0; i < f->o->only_count; i++)
		if (!f->matched[i])
			return err_set(e, ERR_NOT_FOUND, -ENOENT,
				       "backup %s of node %s holds no %s %s", f->o->record->backup,
				       f->o->record->where.node,
				       strchr(f->o->only[i], '.') ? "table" : "keyspace",
				       f->o->only[i]);
	return 0;
}

int restore_walk_run(const struct restore_options *o, const struct restore_walk *w, struct err *e)
{
	const struct node_name *n = &o->record->where;
	_cleanup_free_ struct filtered *f = calloc(1, sizeof(*f));
	_cleanup_free_ bool *matched = calloc(o->only_count + 1, sizeof(*matched));
	_cleanup_(tree_freep) struct tree *root = NULL;
	struct meta_walk walk = {
		.enter = enter, .directory = directory, .run = skip_run, .entry = entry, .ctx = f
	};
	int r;

	if (!f || !matched)
		return err_nomem(e);
	f->o = o;
	f->w = w;
	f->matched = matched;
	r = meta_tree(o->meta, n, &o->record->root, &root, o->cancel, e);
	if (r < 0)
		return r;
	f->data = tree_find_child(root, "data");
	if (f->data)
		r = meta_walk(o->meta, n, &f->data->place, &walk, o->cancel, e);
	return r < 0 ? r : check_matched(f, e);
}
