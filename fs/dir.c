/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open directories. One that a backup holds is its tree: position 0 and 1 are "." and "..", then the child directories, then the files of all runs, so
 * that any position can be found by a search in run_first[]. Any other is a list that was taken when it was opened, and is taken anew when it is
 * read from its beginning again (rewinddir).
 *
 * What the overlay says comes on top: a name of the backup that leads elsewhere is given where the backup has it, one that is hidden is left out, and what is new follows
 * at positions of its own (from OVERLAY_FIRST_COOKIE on), up to the newest there was when the listing began: whoever renames what he reads comes to an end. No position
 * ever changes, so nothing that stays is missed or doubled. A directory of the overlay has only such names.
 */
#include <stdio.h>
#include <string.h>
#include "fs/fs_private.h"

#define DOTS 2

struct item {
	char name[FORMAT_NAME_BYTES + 1]; /* entries of objects/ have 64 + 1 + 16 bytes */
	uint64_t ino;
	mode_t type;
};

struct list {
	unsigned refs; /* under fs->lock: the directory, and each request that reads it */
	struct item *items;
	size_t count, cap;
};

struct fs_dir {
	struct handle handle; /* first */
	struct fs *fs;
	uint64_t ino;
	struct position position;
	struct view_node *node;
	struct cached *tree;		  /* of a backup's directory, or */
	uint64_t generation;		  /* 0: a directory of the overlay */
	atomic_uint_fast64_t last_cookie; /* what was made later is not listed */
	struct list *list;
	bool was_read; /* both under fs->lock once it is open */
};

static struct list *list_ref(struct fs_dir *d)
{
	struct list *l;

	pthread_mutex_lock(&d->fs->lock);
	l = d->list;
	l->refs++;
	pthread_mutex_unlock(&d->fs->lock);
	return l;
}

static void list_unref(struct fs *f, struct list *l)
{
	unsigned left;

	pthread_mutex_lock(&f->lock);
	left = --l->refs;
	pthread_mutex_unlock(&f->lock);
	if (left > 0)
		return;
	free(l->items);
	free(l);
}

static int add_item(struct fs_dir *d, const char *name, uint64_t ino, mode_t type, struct err *e)
{
	struct list *l = d->list;
	struct item *i;

	if (util_grow(&l->items, &l->cap, l->count + 1, sizeof(*l->items)) < 0)
		return err_nomem(e);
	i = &l->items[l->count++];
	memset(i, 0, sizeof(*i));
	strncpy(i->name, name, sizeof(i->name) - 1);
	i->ino = ino;
	i->type = type;
	return 0;
}

static int add_child(struct fs_dir *d, const char *name, struct err *e)
{
	_cleanup_free_ char *target = NULL;
	struct position child;
	mode_t type = S_IFDIR;
	uint64_t ino;
	int r = position_child(&child, &d->position, name);

	if (r < 0)
		return err_set(e, ERR_IO, r, "a path is too long");
	if (fs_is_link(child.kind)) {
		type = S_IFLNK;
		r = fs_link_target(d->fs, &child, &target, e);
		if (r != 0)
			return r == FS_ABSENT ? 0 : r;
	} else if (child.kind == PLACE_STATUS || child.kind == PLACE_METRICS ||
		   child.kind == PLACE_BACKUP_JSON) {
		type = S_IFREG;
	}
	r = position_ino(d->fs, &child, target, &ino, e);
	return r < 0 ? r : add_item(d, name, ino, type, e);
}

/* Takes the names that a view function gave with the outcome r. */
static int add_names(struct fs_dir *d, int r, struct view_names **names, struct err *e)
{
	if (r != 0)
		return r;
	for (size_t i = 0; r == 0 && i < (*names)->count; i++)
		r = add_child(d, (*names)->names[i], e);
	view_names_free(*names);
	return r;
}

static int list_node(struct fs_dir *d, struct view_wait w, struct err *e)
{
	_cleanup_free_ struct view_backup *backups = NULL;
	const struct position *p = &d->position;
	size_t count;
	int r = fs_look(d->fs, p, w, &d->node, e);

	if (r != 0)
		return r;
	backups = view_node_backups(d->node, &count);
	if (!backups)
		return err_nomem(e);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = add_child(d, backups[i].name, e);
	if (r == 0)
		r = add_child(d, "objects", e);
	return r == 0 ? add_child(d, "latest", e) : r;
}

static int add_object(void *ctx, const struct id256 *content, uint64_t ino, struct err *e)
{
	char name[64 + 1 + 16 + 1];

	util_hex(name, content->b, sizeof(content->b));
	snprintf(name + 64, sizeof(name) - 64, ".%016llx", (unsigned long long)ino);
	return add_item(ctx, name, ino, S_IFREG, e);
}

static int list_objects(struct fs_dir *d, struct view_wait w, struct err *e)
{
	const struct position *p = &d->position;
	int r;

	r = fs_look(d->fs, p, w, &d->node, e);
	if (r == 0)
		r = view_node_wait_indexed(d->node, w, e);
	if (r != 0)
		return r;
	if (p->kind == PLACE_OBJECTS_OF)
		return index_objects(d->fs->o.index, view_node_number(d->node), p->first_byte,
				     add_object, d, e);
	for (unsigned byte = 0; r >= 0 && byte < 256; byte++) {
		char name[3];

		r = fs_has_objects(d->fs, d->node, (uint8_t)byte, e);
		snprintf(name, sizeof(name), "%02x", byte);
		if (r > 0)
			r = add_child(d, name, e);
	}
	return r < 0 ? r : 0;
}

static int list_other(struct fs_dir *d, struct view_wait w, struct err *e)
{
	struct view *v = d->fs->o.view;
	struct view_names *names = NULL;
	int r;

	switch (d->position.kind) {
	case PLACE_ROOT:
		r = add_names(d, view_clusters(v, w, &names, e), &names, e);
		return r == 0 ? add_child(d, ".sstablefs", e) : r;
	case PLACE_CONTROL:
		r = add_child(d, "status", e);
		return r == 0 ? add_child(d, "metrics", e) : r;
	case PLACE_CLUSTER:
		r = add_child(d, "nodes", e);
		return r == 0 ? add_child(d, "backups", e) : r;
	case PLACE_NODES:
		return add_names(d, view_nodes(v, d->position.cluster, w, &names, e), &names, e);
	case PLACE_BACKUPS:
		return add_names(d, view_cluster_backups(v, d->position.cluster, w, &names, e),
				 &names, e);
	case PLACE_NAMED:
		return add_names(d,
				 view_backup_nodes(v, d->position.cluster, d->position.backup, w,
						   &names, e),
				 &names, e);
	case PLACE_NODE:
		return list_node(d, w, e);
	case PLACE_OBJECTS:
	case PLACE_OBJECTS_OF:
		return list_objects(d, w, e);
	default:
		return err_set(e, ERR_IO, -ENOTDIR, "%s is not a directory", d->position.path);
	}
}

/* Takes the list of a directory, or takes it anew. */
static int take_list(struct fs_dir *d, struct view_wait w, struct err *e)
{
	struct fs_dir fresh = { .fs = d->fs, .ino = d->ino, .position = d->position };
	struct list *old;
	int r;

	fresh.list = calloc(1, sizeof(*fresh.list));
	if (!fresh.list)
		return err_nomem(e);
	fresh.list->refs = 1;
	r = list_other(&fresh, w, e);
	if (r != 0) {
		list_unref(d->fs, fresh.list);
		return r == VIEW_ABSENT
			       ? err_set(e, ERR_NOT_FOUND, -ESTALE, "%s is gone", d->position.path)
			       : r;
	}
	pthread_mutex_lock(&d->fs->lock);
	old = d->list;
	d->list = fresh.list;
	d->was_read = false;
	pthread_mutex_unlock(&d->fs->lock);
	if (old)
		list_unref(d->fs, old);
	return 0;
}

static void free_dir(struct handle *h)
{
	struct fs_dir *d = (struct fs_dir *)h;

	treecache_unref(d->fs->o.trees, d->tree);
	if (d->list)
		list_unref(d->fs, d->list);
	free(d);
}

int fs_opendir(struct fs *f, uint64_t ino, struct view_wait w, struct fs_dir **ret, struct err *e)
{
	_cleanup_(index_node_deinit) struct index_node row = { .path = NULL };
	struct fs_dir *d = calloc(1, sizeof(*d));
	struct overlay_dir up;
	struct fs_tree t;
	int r;

	if (!d)
		return err_nomem(e);
	d->fs = f;
	d->ino = ino;
	d->last_cookie = fs_overlay_last_cookie(f);
	if (overlay_owns(d->ino)) {
		r = f->o.overlay ? overlay_parent(f->o.overlay, ino, &up) : -ESTALE;
		if (r == 0)
			fs_handle_add(f, &d->handle, free_dir);
		else
			free(d);
		*ret = d;
		return r;
	}
	r = fs_row(f, ino, &row, &d->position, e);
	if (r == 0 && row.type != INDEX_PATH)
		r = err_set(e, ERR_IO, -ENOTDIR, "not a directory");
	if (r == 0 && (d->position.kind == PLACE_BACKUP || d->position.kind == PLACE_INSIDE)) {
		r = fs_find_tree(f, &d->position, w, &t, e);
		if (r == 0) {
			d->node = t.node;
			d->tree = t.tree;
			d->generation = t.generation;
			fs_stat_dir(f, t.node, &t.attr, ino, t.generation, &d->handle.st);
		}
	} else if (r == 0) {
		r = take_list(d, w, e);
	}
	if (r != 0) {
		free_dir(&d->handle);
		return r;
	}
	fs_handle_add(f, &d->handle, free_dir);
	*ret = d;
	return 0;
}

void fs_closedir(struct fs_dir *d)
{
	fs_handle_unref(&d->handle);
}

void fs_dir_ref(struct fs_dir *d)
{
	fs_handle_ref(&d->handle);
}

void fs_dir_unref(struct fs_dir *d)
{
	fs_handle_unref(&d->handle);
}

bool fs_dir_is_fixed(const struct fs_dir *d)
{
	struct timespec changed;

	return d->tree && !(d->fs->o.overlay &&
			    overlay_has_changed(d->fs->o.overlay,
						fs_overlay_dir(d->ino, d->generation), &changed));
}

static void plain_entry(struct fs_entry *en, uint64_t ino, mode_t type)
{
	*en = (struct fs_entry){ .ino = 0 };
	en->st.st_ino = ino;
	en->st.st_mode = type;
}

/* ---- a list ---- */

/* The attributes of a file below objects/, or of something with a path. What vanished meanwhile is listed without attributes. */
static int item_entry(struct fs_dir *d, const struct item *i, struct view_wait w,
		      struct fs_entry *en, struct err *e)
{
	int r;

	plain_entry(en, i->ino, i->type);
	r = fs_getattr(d->fs, i->ino, w, &en->st, &en->attr_timeout_s, e);
	if (r == -ESTALE) {
		plain_entry(en, i->ino, i->type);
		return 0;
	}
	if (r == 0 && i->type == S_IFDIR && d->position.kind == PLACE_NODE) {
		plain_entry(en, i->ino, i->type); /* its generation is the lookup's to say */
	} else if (r == 0) {
		en->ino = i->ino;
		en->entry_timeout_s = fs_name_timeout(d->fs, d->position.kind);
	}
	return r;
}

static int read_list(struct fs_dir *d, uint64_t at, bool plus, struct view_wait w, fs_fill_fn *fill,
		     void *ctx, struct err *e)
{
	struct list *l = list_ref(d);
	int r = 0;

	for (; r == 0 && at - DOTS < l->count; at++) {
		const struct item *i = &l->items[at - DOTS];
		struct fs_entry en;

		if (plus)
			r = item_entry(d, i, w, &en, e);
		else
			plain_entry(&en, i->ino, i->type);
		if (r == 0 && fill(ctx, i->name, &en, at + 1) > 0)
			break;
	}
	list_unref(d->fs, l);
	return r;
}

/* Whether the directory was read before, so that to begin again means rewinddir(3). */
static bool was_read(struct fs_dir *d, bool now)
{
	bool before;

	pthread_mutex_lock(&d->fs->lock);
	before = d->was_read;
	d->was_read = before || now;
	pthread_mutex_unlock(&d->fs->lock);
	return before;
}

/* ---- a tree ---- */

static int child_entry(struct fs_dir *d, const struct child *c, struct fs_entry *en, struct err *e)
{
	struct position p;
	uint64_t ino;
	int r = position_child(&p, &d->position, c->name);

	if (r == 0)
		r = position_ino(d->fs, &p, NULL, &ino, e);
	if (r < 0)
		return r;
	*en = (struct fs_entry){ .ino = ino,
				 .generation = d->generation,
				 .entry_timeout_s = FS_LONG_S,
				 .attr_timeout_s = FS_LONG_S };
	fs_stat_dir(d->fs, d->node, &c->attr, ino, d->generation, &en->st);
	return 0;
}

/* As fs_overlay_covering(). Without attributes, as in add_own(). */
static int find_covering(const struct fs_dir *d, const char *name, struct fs_entry *en)
{
	uint64_t ino;
	mode_t type;
	int r = fs_overlay_covering(d->fs, fs_overlay_dir(d->ino, d->generation), name, &ino,
				    &type);

	if (r == 0)
		plain_entry(en, ino, type);
	return r;
}

static int file_entry(struct fs_dir *d, uint64_t ino, bool plus, struct fs_entry *en, struct err *e)
{
	_cleanup_(index_node_deinit) struct index_node row = { .path = NULL };
	int r;

	plain_entry(en, ino, S_IFREG);
	if (!plus)
		return 0;
	r = index_get(d->fs->o.index, ino, &row, e);
	if (r != 0)
		return r < 0 ? r : 0;
	en->ino = ino;
	en->entry_timeout_s = FS_LONG_S;
	fs_stat_file(d->fs, &row, &en->st, &en->attr_timeout_s);
	return 0;
}

/* The files of one run from entry `first` on; `at` is the position of that entry. > 0: full. */
static int read_run(struct fs_dir *d, const struct run_ref *ref, uint32_t first, uint64_t at,
		    bool plus, struct view_wait w, fs_fill_fn *fill, void *ctx, struct err *e)
{
	struct fs *f = d->fs;
	uint64_t inodes[FORMAT_RUN_ENTRIES];
	struct cached *run;
	int r = treecache_run(f->o.trees, view_node_name(d->node), &ref->place, w.wait, &run,
			      w.cancel, e);

	if (r != 0)
		return r == TREECACHE_WOULD_BLOCK ? FS_WOULD_BLOCK : r;
	r = index_touch(f->o.index, view_node_number(d->node), view_node_name(d->node),
			d->position.inside, &ref->place, run->run, inodes, e);
	for (uint32_t i = first; r == 0 && i < run->run->entry_count; i++, at++) {
		struct fs_entry en;
		int covering = find_covering(d, run->run->entries[i].name, &en);

		if (covering == OVERLAY_HIDDEN)
			continue;
		if (covering == OVERLAY_BELOW)
			r = file_entry(d, inodes[i], plus, &en, e);
		if (r == 0 && fill(ctx, run->run->entries[i].name, &en, at + 1) > 0)
			r = FS_ABSENT; /* full */
	}
	treecache_unref(f->o.trees, run);
	return r;
}

static uint32_t find_run(const struct cached *tree, uint64_t file)
{
	uint32_t low = 0, high = tree->tree->run_count;

	while (high - low > 1) {
		uint32_t mid = low + (high - low) / 2;

		if (tree->run_first[mid] <= file)
			low = mid;
		else
			high = mid;
	}
	return low;
}

static int read_json(struct fs_dir *d, uint64_t next, bool plus, struct view_wait w,
		     fs_fill_fn *fill, void *ctx, struct err *e)
{
	struct position p;
	struct fs_entry en;
	uint64_t ino = 0;
	int r = find_covering(d, "backup.json", &en);

	if (r != OVERLAY_BELOW)
		return r == 0 && fill(ctx, "backup.json", &en, next) > 0 ? FS_ABSENT : 0;
	r = position_child(&p, &d->position, "backup.json");
	if (r == 0)
		r = position_ino(d->fs, &p, NULL, &ino, e);
	if (r < 0)
		return r;
	plain_entry(&en, ino, S_IFREG);
	if (plus) {
		en.ino = ino;
		en.entry_timeout_s = d->fs->o.refresh_s;
		r = fs_stat_position(d->fs, &p, NULL, ino, w, &en.st, &en.attr_timeout_s, e);
		if (r != 0)
			return r;
	}
	return fill(ctx, "backup.json", &en, next) > 0 ? FS_ABSENT : 0;
}

/* FS_ABSENT: full. */
static int read_tree(struct fs_dir *d, uint64_t at, bool plus, struct view_wait w, fs_fill_fn *fill,
		     void *ctx, struct err *e)
{
	const struct tree *t = d->tree->tree;
	uint64_t files = d->tree->run_first[t->run_count], first_file = DOTS + t->child_count;
	struct fs_entry en;
	int r = 0, covering;

	for (; at < first_file; at++) {
		const struct child *c = &t->children[at - DOTS];

		covering = find_covering(d, c->name, &en);
		if (covering == OVERLAY_HIDDEN)
			continue;
		if (covering == OVERLAY_BELOW)
			r = child_entry(d, c, &en, e);
		if (r < 0)
			return r;
		if (fill(ctx, c->name, &en, at + 1) > 0)
			return FS_ABSENT;
	}
	while (at - first_file < files) {
		uint32_t run = find_run(d->tree, at - first_file),
			 first = (uint32_t)(at - first_file) - d->tree->run_first[run];

		r = read_run(d, &t->runs[run], first, at, plus, w, fill, ctx, e);
		if (r != 0)
			return r;
		at = first_file + d->tree->run_first[run + 1];
	}
	if (d->position.kind == PLACE_BACKUP && at == first_file + files)
		r = read_json(d, at + 1, plus, w, fill, ctx, e);
	return r;
}

/* ---- what is in the overlay ---- */

struct adding {
	fs_fill_fn *fill;
	void *ctx;
};

/* The kernel asks for the attributes of each when it wants them: it is given inodes of the overlay by lookups only, which are counted. */
static int add_own(void *ctx, const char *name, uint64_t ino, mode_t type, uint64_t cookie)
{
	const struct adding *a = ctx;
	struct fs_entry en;

	plain_entry(&en, ino, type);
	return a->fill(a->ctx, name, &en, cookie);
}

static void read_own(struct fs_dir *d, uint64_t at, fs_fill_fn *fill, void *ctx)
{
	struct adding a = { fill, ctx };

	if (d->fs->o.overlay)
		overlay_list(d->fs->o.overlay, fs_overlay_dir(d->ino, d->generation), at,
			     atomic_load(&d->last_cookie), add_own, &a);
}

static int parent_ino(struct fs_dir *d, uint64_t *ret, struct err *e)
{
	struct overlay_dir up = { INODE_ROOT, 0 };
	struct position parent;
	int r;

	if (overlay_owns(d->ino)) { /* one that was removed meanwhile has none */
		overlay_parent(d->fs->o.overlay, d->ino, &up);
		*ret = up.ino;
		return 0;
	}
	r = position_parent(&parent, &d->position);
	return r < 0 ? r : position_ino(d->fs, &parent, NULL, ret, e);
}

/* FS_WOULD_BLOCK after something was given would repeat entries: the caller starts its buffer afresh when it asks again. */
int fs_readdir(struct fs_dir *d, uint64_t offset, bool plus, struct view_wait w, fs_fill_fn *fill,
	       void *ctx, struct err *e)
{
	struct fs_entry en;
	int r = 0;

	if (offset == 0)
		atomic_store(&d->last_cookie, fs_overlay_last_cookie(d->fs));
	if (!d->tree && !overlay_owns(d->ino) && offset == 0 && was_read(d, false))
		r = take_list(d, w, e);
	for (; r == 0 && offset < DOTS; offset++) {
		uint64_t ino = d->ino;

		if (offset == 1)
			r = parent_ino(d, &ino, e);
		plain_entry(&en, ino, S_IFDIR);
		if (r == 0 && fill(ctx, offset == 0 ? "." : "..", &en, offset + 1) > 0)
			return 0;
	}
	if (r == 0 && d->tree && offset < OVERLAY_FIRST_COOKIE)
		r = read_tree(d, offset, plus, w, fill, ctx, e);
	if (r == 0 && (d->tree || overlay_owns(d->ino))) {
		read_own(d, offset, fill, ctx);
	} else if (r == 0) {
		r = read_list(d, offset, plus, w, fill, ctx, e);
		if (r == 0)
			was_read(d, true);
	}
	return r == FS_ABSENT ? 0 : r;
}
