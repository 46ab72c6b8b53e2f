/* SPDX-License-Identifier: Apache-2.0 */
/* The names in a directory that no backup holds, as a list that is taken at once. */
#include <stdio.h>
#include <string.h>
#include "fs/dir_private.h"

void dir_list_unref(struct fs *f, struct list *l)
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
				     w.wait, w.cancel, add_object, d, e);
	for (unsigned byte = 0; r == 0 && byte < 256; byte++) {
		char name[3];

		snprintf(name, sizeof(name), "%02x", byte);
		if (index_has_objects(d->fs->o.index, view_node_number(d->node), (uint8_t)byte))
			r = add_child(d, name, e);
	}
	return r;
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

int dir_take_list(struct fs_dir *d, struct view_wait w, struct err *e)
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
		dir_list_unref(d->fs, fresh.list);
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
		dir_list_unref(d->fs, old);
	return 0;
}
