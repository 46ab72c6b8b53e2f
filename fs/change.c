/* SPDX-License-Identifier: Apache-2.0 */
/* What changes the tree: from the names of a request to those of the overlay. */
#include <string.h>
#include "fs/fs_private.h"

struct overlay_dir fs_overlay_dir(uint64_t ino, uint64_t generation)
{
	return (struct overlay_dir){ ino, generation };
}

/* Numbers are never used again within a mount; a file handle of an earlier one leads nowhere. */
uint64_t fs_overlay_generation(const struct fs *f)
{
	return (uint64_t)f->born.tv_sec * 1000000000 + (uint64_t)f->born.tv_nsec;
}

int fs_overlay_entry(struct fs *f, uint64_t ino, struct fs_entry *ret)
{
	int r = overlay_look(f->o.overlay, ino, &ret->st);

	if (r < 0)
		return r;
	ret->ino = ino;
	ret->generation = fs_overlay_generation(f);
	ret->entry_timeout_s = ret->attr_timeout_s = FS_LONG_S;
	return 0;
}

int fs_overlay_covering(struct fs *f, struct overlay_dir dir, const char *name, uint64_t *ret_ino,
			mode_t *ret_type)
{
	struct stat st = { .st_mode = S_IFREG };
	int r = f->o.overlay ? overlay_find(f->o.overlay, dir, name, ret_ino) : OVERLAY_BELOW;

	if (r == 0 && overlay_owns(*ret_ino) && overlay_stat(f->o.overlay, *ret_ino, &st) < 0)
		return OVERLAY_HIDDEN;
	*ret_type = st.st_mode & S_IFMT;
	return r;
}

uint64_t fs_overlay_last_cookie(struct fs *f)
{
	return f->o.overlay ? overlay_last_cookie(f->o.overlay) : 0;
}

void fs_forget(struct fs *f, uint64_t ino, uint64_t times)
{
	if (f->o.overlay && overlay_owns(ino))
		overlay_forget(f->o.overlay, ino, times);
}

static int read_only(struct err *e)
{
	return err_set(e, ERR_IO, -EROFS, "nothing can be changed here");
}

/* How many names the directory of a backup holds. */
static int count_names(struct fs *f, const struct position *p, struct view_wait w, uint64_t *ret,
		       struct err *e)
{
	struct fs_tree t;
	int r = fs_find_tree(f, p, w, &t, e);

	if (r != 0)
		return r;
	*ret = t.tree->tree->child_count + t.tree->run_first[t.tree->tree->run_count];
	treecache_unref(f->o.trees, t.tree);
	return 0;
}

/* What the backup holds by that name. */
static int find_below(struct fs *f, const struct position *parent, const struct fs_tree *t,
		      const char *name, bool replaced, struct view_wait w,
		      struct overlay_below *ret, struct err *e)
{
	struct position child;
	uint64_t ino;
	int r = position_child(&child, parent, name);

	*ret = (struct overlay_below){ .ino = 0 };
	if (r < 0)
		return err_set(e, ERR_IO, r, "a path is too long");
	if (child.kind == PLACE_BACKUP_JSON) {
		ret->generated = true;
		return position_ino(f, &child, NULL, &ret->ino, e);
	}
	r = fs_find_in_tree(f, parent, t, name, w, &ino, e);
	if (r != 0)
		return r == FS_ABSENT ? 0 : r;
	ret->ino = ino;
	ret->is_dir = ino == 0;
	if (!ret->is_dir)
		return 0;
	r = position_ino(f, &child, NULL, &ret->ino, e);
	return r == 0 && replaced ? count_names(f, &child, w, &ret->names, e) : r;
}

static int name_in_backup(struct fs *f, uint64_t parent_ino, const char *name, bool replaced,
			  struct view_wait w, struct fs_name *ret, struct err *e)
{
	_cleanup_(index_node_deinit) struct index_node row = { .path = NULL };
	struct position parent;
	struct fs_tree t;
	int r = fs_row(f, parent_ino, w, &row, &parent, e);

	if (r != 0)
		return r;
	if (row.type != INDEX_PATH || (parent.kind != PLACE_BACKUP && parent.kind != PLACE_INSIDE))
		return read_only(e);
	r = fs_find_tree(f, &parent, w, &t, e);
	if (r != 0)
		return r;
	ret->at.dir = fs_overlay_dir(parent_ino, t.generation);
	ret->node = t.node;
	memcpy(ret->backup, parent.backup, sizeof(ret->backup));
	fs_stat_dir(f, t.node, &t.attr, parent_ino, t.generation, &ret->dir);
	r = find_below(f, &parent, &t, name, replaced, w, &ret->at.below, e);
	treecache_unref(f->o.trees, t.tree);
	return r;
}

int fs_name(struct fs *f, uint64_t parent, const char *name, bool replaced, struct view_wait w,
	    struct fs_name *ret, struct err *e)
{
	int r;

	if (!f->o.overlay)
		return read_only(e);
	if (strlen(name) > FORMAT_FILE_NAME_BYTES)
		return err_set(e, ERR_IO, -ENAMETOOLONG, "a name is too long");
	*ret = (struct fs_name){ .at.name = name };
	if (!overlay_owns(parent))
		return name_in_backup(f, parent, name, replaced, w, ret, e);
	ret->at.dir = fs_overlay_dir(parent, 0);
	r = overlay_stat(f->o.overlay, parent, &ret->dir);
	return r < 0 ? err_set(e, ERR_NOT_FOUND, r, "the directory is gone") : 0;
}

int fs_may_link(struct fs *f, uint64_t ino, struct err *e)
{
	_cleanup_(index_node_deinit) struct index_node row = { .path = NULL };
	struct position p;
	int r;

	if (!f->o.overlay)
		return read_only(e);
	if (overlay_owns(ino))
		return 0;
	r = fs_row(f, ino, FS_WAIT, &row, &p, e);
	if (r < 0 || row.type == INDEX_FILE)
		return r;
	return p.kind == PLACE_BACKUP_JSON ? err_set(e, ERR_IO, -EPERM, "a generated file")
					   : read_only(e);
}

/*
 * What was found out may have taken long. Where the backup was removed meanwhile what is kept of it was forgotten already, so it is once more: either the
 * refresh that removes it sees the change, or this sees that it is gone.
 */
static int changed(struct fs *f, const struct fs_name *n, int r)
{
	struct view_backup b;

	if (r == 0 && n->node &&
	    (!view_node_find(n->node, n->backup, &b) || fs_generation(&b) != n->at.dir.generation))
		overlay_forget_backup(f->o.overlay, n->at.dir.generation);
	return r;
}

int fs_make(struct fs *f, const struct fs_name *n, mode_t mode, uid_t uid, gid_t gid,
	    const char *target, struct fs_entry *ret)
{
	struct overlay_new what = { .mode = mode, .uid = uid, .gid = gid, .target = target };
	int r;

	if (n->dir.st_mode & S_ISGID) {
		what.gid = n->dir.st_gid;
		if (S_ISDIR(mode))
			what.mode |= S_ISGID;
	}
	*ret = (struct fs_entry){ .generation = fs_overlay_generation(f),
				  .entry_timeout_s = FS_LONG_S,
				  .attr_timeout_s = FS_LONG_S };
	r = changed(f, n, overlay_make(f->o.overlay, &n->at, &what, &ret->st));
	ret->ino = ret->st.st_ino;
	return r;
}

int fs_link(struct fs *f, const struct fs_name *n, uint64_t ino, struct fs_entry *ret)
{
	_cleanup_(index_node_deinit) struct index_node row = { .path = NULL };
	struct position p;
	int r = overlay_owns(ino) ? 0 : fs_row(f, ino, FS_WAIT, &row, &p, NULL);

	if (r == 0)
		r = changed(f, n, overlay_link(f->o.overlay, &n->at, ino));
	if (r < 0)
		return r;
	*ret = (struct fs_entry){ .ino = ino, .entry_timeout_s = FS_LONG_S };
	if (!overlay_owns(ino)) {
		fs_stat_file(f, &row, &ret->st, &ret->attr_timeout_s);
		return 0;
	}
	ret->generation = fs_overlay_generation(f);
	ret->attr_timeout_s = FS_LONG_S;
	return overlay_stat(f->o.overlay, ino, &ret->st);
}

int fs_unlink(struct fs *f, const struct fs_name *n)
{
	return changed(f, n, overlay_unlink(f->o.overlay, &n->at));
}

int fs_rmdir(struct fs *f, const struct fs_name *n)
{
	return changed(f, n, overlay_rmdir(f->o.overlay, &n->at));
}

int fs_rename(struct fs *f, const struct fs_name *from, const struct fs_name *to, unsigned flags)
{
	int r = overlay_rename(f->o.overlay, &from->at, &to->at, flags);

	return changed(f, to, changed(f, from, r));
}

int fs_setattr(struct fs *f, uint64_t ino, const struct stat *st, int set, struct stat *ret,
	       double *ret_timeout_s)
{
	*ret_timeout_s = FS_LONG_S;
	return f->o.overlay && overlay_owns(ino) ? overlay_setattr(f->o.overlay, ino, st, set, ret)
						 : -EROFS;
}
