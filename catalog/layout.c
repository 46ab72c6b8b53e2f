/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/layout.h"

#include <errno.h>
#include <string.h>

const struct snapshot_file *layout_file(const struct layout *l, size_t file)
{
	return &l->snapshot->files[l->files[file]];
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

const char *layout_file_name(const struct layout *l, size_t file)
{
	return layout_file(l, file)->name;
}

static int unsorted(const char *path, struct err *e)
{
	return err_set(e, ERR_IO, -EINVAL, "the list of files is not in order at %s", path);
}

/* ---- directories ---- */

/* Whether `path` lies directly in the directory. */
static bool is_parent(const struct layout_dir *d, const char *path)
{
	size_t len = base_name(path) - path;

	/* Without the slash; the root has none. */
	len -= len > 0;
	return strlen(d->path) == len && memcmp(d->path, path, len) == 0;
}

static int place_dir(struct layout *l, struct layout_dir *d, struct err *e)
{
	size_t parent = l->dir_count - 1;

	while (parent > 0 && !is_parent(&l->dirs[parent], d->path))
		parent = l->dirs[parent].parent;
	if (!is_parent(&l->dirs[parent], d->path))
		return unsorted(d->path, e);
	d->parent = parent;
	d->depth = l->dirs[parent].depth + 1;
	if (d->depth > FORMAT_DEPTH || strlen(d->path) > FORMAT_PATH_BYTES)
		return err_set(e, ERR_IO, -ENAMETOOLONG, "%.200s… lies too deep for a backup",
			       d->path);
	return 0;
}

static int add_dirs(struct layout *l, struct err *e)
{
	const struct snapshot *s = l->snapshot;

	l->dirs = calloc(s->dir_count + 1, sizeof(*l->dirs));
	if (!l->dirs)
		return err_nomem(e);
	l->dirs[l->dir_count++] = (struct layout_dir){ .path = "", .name = "" };
	for (size_t i = 0; i < s->dir_count; i++) {
		const struct snapshot_dir *from = &s->dirs[i];
		struct layout_dir d = { .path = from->path,
					.name = base_name(from->path),
					.attr = { .mode = from->mode,
						  .uid = from->uid,
						  .gid = from->gid,
						  .mtime_ns = from->mtime_ns } };
		int r = place_dir(l, &d, e);

		if (r < 0)
			return r;
		l->dirs[l->dir_count++] = d;
	}
	return 0;
}

/* ---- files ---- */

/* Both lists have the directories in the same order: finds the file's at or after *dir. */
static int find_dir(const struct layout *l, const char *shown, size_t *dir, struct err *e)
{
	while (*dir < l->dir_count && strcmp(l->dirs[*dir].path, shown) != 0)
		(*dir)++;
	return *dir < l->dir_count ? 0 : unsorted(shown, e);
}

static bool is_same_path(const struct snapshot_file *a, const struct snapshot_file *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->place->shown, b->place->shown) == 0;
}

static int add_file(struct layout *l, size_t index, size_t *dir, struct err *e)
{
	const struct snapshot_file *f = &l->snapshot->files[index];
	const struct snapshot_file *before = index > 0 ? f - 1 : NULL;
	const char *shown = f->place->shown;
	struct layout_dir *d;
	int r;

	if (before && is_same_path(before, f))
		return 0;
	if (strlen(shown) + 1 + strlen(f->name) > FORMAT_PATH_BYTES)
		return err_set(e, ERR_IO, -ENAMETOOLONG, "%.200s/%.100s… is too long for a backup",
			       shown, f->name);
	r = find_dir(l, shown, dir, e);
	if (r < 0)
		return r;
	d = &l->dirs[*dir];
	if (d->file_count == 0)
		d->first_file = l->file_count;
	else if (tree_compare_names(before->name, f->name) >= 0)
		return unsorted(shown, e);
	l->files[l->file_count++] = index;
	d->file_count++;
	return 0;
}

static int add_files(struct layout *l, struct err *e)
{
	size_t dir = 0;

	l->files = calloc(l->snapshot->file_count + 1, sizeof(*l->files));
	if (!l->files)
		return err_nomem(e);
	for (size_t i = 0; i < l->snapshot->file_count; i++) {
		int r = add_file(l, i, &dir, e);

		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- runs ---- */

static int cut_runs(struct layout *l, struct layout_dir *d, size_t *cap, struct err *e)
{
	const char *names[FORMAT_RUN_ENTRIES];

	d->first_run = l->run_count;
	for (size_t done = 0; done < d->file_count;) {
		size_t count = MIN_OF(d->file_count - done, ARRAY_SIZE(names));

		for (size_t i = 0; i < count; i++)
			names[i] = layout_file_name(l, d->first_file + done + i);
		count = tree_run_length(names, count);
		if (util_grow(&l->runs, cap, l->run_count + 1, sizeof(*l->runs)) < 0)
			return err_nomem(e);
		l->runs[l->run_count++] = (struct layout_run){ .dir = (size_t)(d - l->dirs),
							       .first_file = d->first_file + done,
							       .file_count = (uint32_t)count };
		done += count;
	}
	d->run_count = l->run_count - d->first_run;
	return 0;
}

/* With several data directories a name may be a file in one of them and a directory in another. */
static int check_name(const struct layout *l, const struct layout_dir *d, struct err *e)
{
	const struct layout_dir *parent = &l->dirs[d->parent];
	size_t low = parent->first_file, high = low + parent->file_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = tree_compare_names(layout_file_name(l, middle), d->name);

		if (order == 0)
			return err_set(e, ERR_CONFLICT, -EEXIST,
				       "%s/%s is a file, and a directory in another data directory",
				       layout_file(l, middle)->place->source, d->name);
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return 0;
}

int layout_new(const struct snapshot *s, struct layout **ret, struct err *e)
{
	_cleanup_(layout_freep) struct layout *l = calloc(1, sizeof(*l));
	size_t cap = 0;
	int r;

	if (!l)
		return err_nomem(e);
	l->snapshot = s;
	r = add_dirs(l, e);
	if (r == 0)
		r = add_files(l, e);
	for (size_t i = 0; i < l->dir_count && r == 0; i++)
		r = cut_runs(l, &l->dirs[i], &cap, e);
	for (size_t i = 1; i < l->dir_count && r == 0; i++)
		r = check_name(l, &l->dirs[i], e);
	if (r < 0)
		return r;
	*ret = steal_pointer(&l);
	return 0;
}

void layout_free(struct layout *l)
{
	if (!l)
		return;
	free(l->dirs);
	free(l->files);
	free(l->runs);
	free(l);
}
