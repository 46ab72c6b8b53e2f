/* SPDX-License-Identifier: Apache-2.0 */
/* From a name, or from an inode number alone, to an inode. */
#include <string.h>
#include "fs/fs_private.h"

double fs_name_timeout(const struct fs *f, enum place_kind parent)
{
	return parent == PLACE_BACKUP || parent == PLACE_INSIDE || parent == PLACE_CONTROL ||
			       parent == PLACE_CLUSTER
		       ? FS_LONG_S
		       : f->o.refresh_s;
}

int fs_find_file(struct fs *f, struct view_node *n, const char *inside, const struct tree *tree,
		 const char *name, struct view_wait w, uint64_t *ret_ino, struct err *e)
{
	const struct run_ref *ref = tree_find_run(tree, name);
	uint64_t inodes[FORMAT_RUN_ENTRIES];
	const struct entry *found;
	struct cached *run;
	int r;

	if (!ref)
		return FS_ABSENT;
	r = treecache_run(f->o.trees, view_node_name(n), &ref->place, w.wait, &run, w.cancel, e);
	if (r != 0)
		return r;
	found = run_find(run->run, name);
	r = found ? index_touch(f->o.index, view_node_number(n), view_node_name(n), inside,
				&ref->place, run->run, (uint32_t)(found - run->run->entries), 1,
				inodes, e)
		  : FS_ABSENT;
	if (r == 0)
		*ret_ino = inodes[found - run->run->entries];
	treecache_unref(f->o.trees, run);
	return r;
}

int fs_find_in_tree(struct fs *f, const struct position *parent, const struct fs_tree *t,
		    const char *name, struct view_wait w, uint64_t *ret_ino, struct err *e)
{
	*ret_ino = 0;
	if (tree_find_child(t->tree->tree, name))
		return 0;
	return fs_find_file(f, t->node, parent->inside, t->tree->tree, name, w, ret_ino, e);
}

static int lookup_in_tree(struct fs *f, const struct position *parent, const char *name,
			  struct view_wait w, uint64_t *ret_ino, struct err *e)
{
	struct fs_tree t;
	int r = fs_find_tree(f, parent, w, &t, e);

	if (r != 0)
		return r;
	r = fs_find_in_tree(f, parent, &t, name, w, ret_ino, e);
	treecache_unref(f->o.trees, t.tree);
	return fs_missing(f, t.node, parent->backup, &t.writer, w, r, e);
}

static int lookup_object(struct fs *f, const struct position *parent, const char *name,
			 struct view_wait w, uint64_t *ret_ino, struct err *e)
{
	_cleanup_(index_node_deinit) struct index_node row = { .path = NULL };
	struct view_node *n;
	struct id256 content;
	uint8_t ino[8];
	int r;

	if (strlen(name) != 64 + 1 + 16 || name[64] != '.' || util_unhex(ino, 8, name + 65) < 0)
		return FS_ABSENT;
	for (int i = 0; i < SHA256_BYTES; i++) {
		char two[3] = { name[2 * i], name[2 * i + 1], '\0' };

		if (util_unhex(&content.b[i], 1, two) < 0)
			return FS_ABSENT;
	}
	r = fs_look(f, parent, w, &n, e);
	if (r == 0)
		r = view_node_wait_indexed(n, w, e);
	if (r != 0)
		return r;
	*ret_ino = 0;
	for (int i = 0; i < 8; i++)
		*ret_ino = *ret_ino << 8 | ino[i];
	r = index_get(f->o.index, *ret_ino, w.wait, w.cancel, &row, e);
	if (r != 0)
		return r;
	return row.type == INDEX_FILE && row.node == view_node_number(n) &&
			       !memcmp(&row.content, &content, sizeof(content))
		       ? 0
		       : FS_ABSENT;
}

static int lookup_objects_of(struct fs *f, const struct position *child, struct view_wait w,
			     struct err *e)
{
	struct view_node *n;
	int r = fs_look(f, child, w, &n, e);

	if (r == 0)
		r = view_node_wait_indexed(n, w, e);
	if (r != 0)
		return r;
	return index_has_objects(f->o.index, view_node_number(n), child->first_byte) ? 0
										     : FS_ABSENT;
}

static int has_name(int r, struct view_names *names, const char *name)
{
	_cleanup_(view_names_freep) struct view_names *owned = r == 0 ? names : NULL;

	if (r != 0)
		return r;
	for (size_t i = 0; i < owned->count; i++)
		if (strcmp(owned->names[i], name) == 0)
			return 0;
	return FS_ABSENT;
}

/* Whether a name exists directly below a directory that no backup holds. */
static int exists(struct fs *f, const struct position *parent, const struct position *child,
		  const char *name, struct view_wait w, struct err *e)
{
	struct view_names *names = NULL;
	struct view_backup b;
	struct view_node *n;
	int r;

	switch (parent->kind) {
	case PLACE_ROOT:
		if (child->kind == PLACE_CONTROL)
			return 0;
		return position_good_name(name) ? view_has_cluster(f->o.view, name, w, e)
						: FS_ABSENT;
	case PLACE_CONTROL:
		return child->kind == PLACE_STATUS || child->kind == PLACE_METRICS ? 0 : FS_ABSENT;
	case PLACE_CLUSTER:
		return strcmp(name, "nodes") == 0 || strcmp(name, "backups") == 0 ? 0 : FS_ABSENT;
	case PLACE_NODES:
		return position_good_name(name)
			       ? view_look(f->o.view, parent->cluster, name, w, &n, e)
			       : FS_ABSENT;
	case PLACE_NODE:
		if (child->kind == PLACE_OBJECTS)
			return 0;
		r = fs_look(f, parent, w, &n, e);
		if (r != 0)
			return r;
		return (child->kind == PLACE_LATEST ? view_node_latest(n, &b)
						    : view_node_find(n, name, &b))
			       ? 0
			       : FS_ABSENT;
	case PLACE_OBJECTS:
		return child->kind == PLACE_OBJECTS_OF ? lookup_objects_of(f, child, w, e)
						       : FS_ABSENT;
	case PLACE_BACKUPS:
		if (!position_good_name(name))
			return FS_ABSENT;
		r = view_cluster_backups(f->o.view, parent->cluster, w, &names, e);
		return has_name(r, names, name);
	case PLACE_NAMED:
		if (!position_good_name(name))
			return FS_ABSENT;
		r = view_backup_nodes(f->o.view, parent->cluster, parent->backup, w, &names, e);
		return has_name(r, names, name);
	default:
		return err_set(e, ERR_IO, -ENOTDIR, "%s is not a directory", parent->path);
	}
}

static int entry_of_file(struct fs *f, uint64_t ino, struct view_wait w, struct fs_entry *ret,
			 struct err *e)
{
	_cleanup_(index_node_deinit) struct index_node row = { .path = NULL };
	int r = index_get(f->o.index, ino, w.wait, w.cancel, &row, e);

	if (r != 0 || row.type != INDEX_FILE)
		return r != 0 ? r : FS_ABSENT;
	ret->ino = ino;
	fs_stat_file(f, &row, &ret->st, &ret->attr_timeout_s);
	return 0;
}

static int entry_of_position(struct fs *f, const struct position *child, struct view_wait w,
			     struct fs_entry *ret, struct err *e)
{
	_cleanup_free_ char *target = NULL;
	struct view_backup b;
	struct view_node *n;
	int r = 0;

	if (fs_is_link(child->kind))
		r = fs_link_target(f, child, &target, e);
	if (child->kind == PLACE_BACKUP || child->kind == PLACE_INSIDE) {
		r = fs_find_backup(f, child, &n, &b, e);
		ret->generation = r == 0 ? fs_generation(&b) : 0;
	}
	if (r == 0)
		r = position_ino(f, child, target, &ret->ino, e);
	return r == 0 ? fs_stat_position(f, child, target, ret->ino, w, &ret->st,
					 &ret->attr_timeout_s, e)
		      : r;
}

/* A name that the overlay says something of. OVERLAY_BELOW: as the backup has it. */
static int lookup_changed(struct fs *f, struct overlay_dir dir, const char *name,
			  struct view_wait w, struct fs_entry *ret, struct err *e)
{
	uint64_t ino;
	int r = overlay_find(f->o.overlay, dir, name, &ino);

	if (r == OVERLAY_HIDDEN)
		return FS_ABSENT;
	if (r != 0)
		return r;
	if (overlay_owns(ino))
		return fs_overlay_entry(f, ino, ret);
	r = entry_of_file(f, ino, w, ret, e);
	if (r == FS_ABSENT) /* its backup was removed */
		overlay_drop(f->o.overlay, dir, name);
	return r;
}

_Static_assert((int)OVERLAY_BELOW != (int)FS_ABSENT, "told apart below");

/* In a directory of the overlay. */
static int lookup_own(struct fs *f, uint64_t parent, const char *name, struct view_wait w,
		      struct fs_entry *ret, struct err *e)
{
	struct overlay_dir dir = { parent, 0 };
	int r;

	*ret = (struct fs_entry){ .entry_timeout_s = FS_LONG_S };
	if (!f->o.overlay)
		return -ESTALE;
	if (strcmp(name, ".") == 0)
		return fs_overlay_entry(f, parent, ret);
	if (strcmp(name, "..") == 0) {
		r = overlay_parent(f->o.overlay, parent, &dir);
		return r == 0 ? fs_lookup(f, dir.ino, ".", w, ret, e) : r;
	}
	return strlen(name) > FORMAT_FILE_NAME_BYTES
		       ? err_set(e, ERR_IO, -ENAMETOOLONG, "a name is too long")
		       : lookup_changed(f, dir, name, w, ret, e);
}

/* What was changed in a directory of a backup comes first. OVERLAY_BELOW: nothing was. */
static int lookup_over(struct fs *f, uint64_t parent_ino, const struct position *parent,
		       const char *name, struct view_wait w, struct fs_entry *ret, struct err *e)
{
	struct view_backup b;
	struct view_node *n;
	int r;

	if (!f->o.overlay || (parent->kind != PLACE_BACKUP && parent->kind != PLACE_INSIDE))
		return OVERLAY_BELOW;
	r = fs_find_backup(f, parent, &n, &b, e);
	if (r < 0)
		return r;
	r = lookup_changed(f, fs_overlay_dir(parent_ino, fs_generation(&b)), name, w, ret, e);
	if (r == 0 || r == FS_ABSENT)
		ret->entry_timeout_s = FS_LONG_S;
	return r;
}

/* The inode itself, by its number: the kernel has forgotten it, but somebody has a file handle. */
static int lookup_self(struct fs *f, const struct index_node *row, const struct position *p,
		       struct view_wait w, struct fs_entry *ret, struct err *e)
{
	struct view_backup b;
	struct view_node *n;
	int r = 0;

	*ret = (struct fs_entry){ .ino = row->ino };
	if (row->type == INDEX_FILE) {
		fs_stat_file(f, row, &ret->st, &ret->attr_timeout_s);
		return 0;
	}
	if (p->kind == PLACE_BACKUP || p->kind == PLACE_INSIDE) {
		r = fs_find_backup(f, p, &n, &b, e);
		ret->generation = r == 0 ? fs_generation(&b) : 0;
	}
	return r == 0 ? fs_stat_position(f, p, row->target, row->ino, w, &ret->st,
					 &ret->attr_timeout_s, e)
		      : r;
}

int fs_lookup(struct fs *f, uint64_t parent_ino, const char *name, struct view_wait w,
	      struct fs_entry *ret, struct err *e)
{
	_cleanup_(index_node_deinit) struct index_node row = { .path = NULL };
	struct position parent, child;
	uint64_t file_ino = 0;
	int r;

	if (overlay_owns(parent_ino))
		return lookup_own(f, parent_ino, name, w, ret, e);
	r = fs_row(f, parent_ino, w, &row, &parent, e);
	if (r != 0)
		return r;
	if (strcmp(name, ".") == 0)
		return lookup_self(f, &row, &parent, w, ret, e);
	if (row.type != INDEX_PATH)
		return err_set(e, ERR_IO, -ENOTDIR, "not a directory");
	*ret = (struct fs_entry){ .entry_timeout_s = fs_name_timeout(f, parent.kind) };
	if (strcmp(name, "..") == 0) {
		r = position_parent(&child, &parent);
		return r == 0 ? entry_of_position(f, &child, w, ret, e) : r;
	}
	if (strlen(name) > FORMAT_FILE_NAME_BYTES || position_child(&child, &parent, name) < 0)
		return err_set(e, ERR_IO, -ENAMETOOLONG, "a name is too long");
	r = lookup_over(f, parent_ino, &parent, name, w, ret, e);
	if (r != OVERLAY_BELOW)
		return r;
	r = 0;
	if (child.kind == PLACE_BACKUP_JSON) {
		ret->entry_timeout_s = f->o.refresh_s;
	} else if (parent.kind == PLACE_BACKUP || parent.kind == PLACE_INSIDE) {
		r = lookup_in_tree(f, &parent, name, w, &file_ino, e);
	} else if (parent.kind == PLACE_OBJECTS_OF) {
		r = lookup_object(f, &parent, name, w, &file_ino, e);
	} else {
		r = exists(f, &parent, &child, name, w, e);
	}
	if (r != 0)
		return r;
	return file_ino ? entry_of_file(f, file_ino, w, ret, e)
			: entry_of_position(f, &child, w, ret, e);
}
