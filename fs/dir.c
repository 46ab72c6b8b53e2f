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
#include "fs/dir_private.h"

static struct list *list_ref(struct fs_dir *d)
{
	struct list *l;

	pthread_mutex_lock(&d->fs->lock);
	l = d->list;
	l->refs++;
	pthread_mutex_unlock(&d->fs->lock);
	return l;
}

static void free_dir(struct handle *h)
{
	struct fs_dir *d = (struct fs_dir *)h;

	treecache_unref(d->fs->o.trees, d->tree);
	if (d->list)
		dir_list_unref(d->fs, d->list);
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
	r = fs_row(f, ino, w, &row, &d->position, e);
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
		r = dir_take_list(d, w, e);
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
	dir_list_unref(d->fs, l);
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

static int file_entry(struct fs_dir *d, const struct entry *file, uint64_t ino, bool plus,
		      struct fs_entry *en, struct err *e)
{
	struct index_node row = { .ino = ino,
				  .type = INDEX_FILE,
				  .node = view_node_number(d->node),
				  .attr = file->attr,
				  .size_bytes = file->size_bytes,
				  .counts = index_counts(d->fs->o.index) };
	int r;

	plain_entry(en, ino, S_IFREG);
	if (!plus)
		return 0;
	r = index_nlink(d->fs->o.index, row.node, ino, &row.nlink, e);
	if (r < 0)
		return r;
	en->ino = ino;
	en->entry_timeout_s = FS_LONG_S;
	fs_stat_file(d->fs, &row, &en->st, &en->attr_timeout_s);
	return 0;
}

/* The position of the first file; those of child directories come before it. */
static uint64_t first_file(const struct fs_dir *d)
{
	return DOTS + d->tree->tree->child_count;
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
			d->position.inside, &ref->place, run->run, first,
			run->run->entry_count - first, inodes, e);
	if (r == 0)
		order_list(f->order, d->ino, at - first_file(d), inodes + first,
			   run->run->entry_count - first);
	for (uint32_t i = first; r == 0 && i < run->run->entry_count; i++, at++) {
		struct fs_entry en;
		int covering = find_covering(d, run->run->entries[i].name, &en);

		if (covering == OVERLAY_HIDDEN)
			continue;
		if (covering == OVERLAY_BELOW)
			r = file_entry(d, &run->run->entries[i], inodes[i], plus, &en, e);
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
		if (r == -ESTALE) /* removed since it was opened: as in item_entry() */
			plain_entry(&en, ino, S_IFREG);
		else if (r != 0)
			return r;
	}
	return fill(ctx, "backup.json", &en, next) > 0 ? FS_ABSENT : 0;
}

/* FS_ABSENT: full. */
static int read_tree(struct fs_dir *d, uint64_t at, bool plus, struct view_wait w, fs_fill_fn *fill,
		     void *ctx, struct err *e)
{
	const struct tree *t = d->tree->tree;
	uint64_t files = d->tree->run_first[t->run_count], first = first_file(d);
	struct fs_entry en;
	int r = 0, covering;

	for (; at < first; at++) {
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
	while (at - first < files) {
		uint32_t run = find_run(d->tree, at - first),
			 entry = (uint32_t)(at - first) - d->tree->run_first[run];

		r = read_run(d, &t->runs[run], entry, at, plus, w, fill, ctx, e);
		if (r != 0)
			return r;
		at = first + d->tree->run_first[run + 1];
	}
	if (d->position.kind == PLACE_BACKUP && at == first + files)
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
		r = dir_take_list(d, w, e);
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
