/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes names. Each change first makes sure of all that it needs (names exist BELOW, links are referenced), then is carried out and cannot fail, and
 * at the end everything that says nothing is freed: also after a failure.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "fs/overlay_private.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE (1 << 0)
#define RENAME_EXCHANGE (1 << 1)
#endif

struct spot { /* a name that is being changed, and what it leads to now */
	struct folder *folder;
	struct name *name;
	uint64_t ino; /* 0: nothing */
	mode_t type;
	bool below; /* as the backup has it */
};

static int spot_init(struct overlay *o, const struct overlay_name *at, struct spot *ret)
{
	struct spot p = { .folder = NULL };
	int r = overlay_folder_make(o, at->dir, &p.folder);

	if (r < 0)
		return r;
	r = overlay_name_make(o, p.folder, at, &p.name);
	if (r < 0) {
		overlay_folder_settle(o, p.folder);
		return r;
	}
	if (p.name->state == NAME_HERE) {
		p.ino = p.name->ino;
		p.type = p.name->type;
	} else if (p.name->state == NAME_BELOW && p.name->below.ino) {
		p.ino = p.name->below.ino;
		p.type = p.name->below.is_dir ? S_IFDIR : S_IFREG;
		p.below = true;
	}
	*ret = p;
	return 0;
}

static void spot_settle(struct overlay *o, const struct spot *p)
{
	overlay_name_settle(o, p->name);
	overlay_folder_settle(o, p->folder);
}

/* What a name led to before: gone where nothing holds it. */
static void settle_inode(struct overlay *o, uint64_t ino)
{
	struct inode *i = ino && overlay_owns(ino) ? overlay_inode(o, ino) : NULL;

	if (i)
		overlay_inode_settle(o, i);
}

static int check_empty(struct overlay *o, const struct spot *p, const struct overlay_name *at)
{
	const struct folder *f;

	if (!p->below)
		return overlay_inode(o, p->ino)->folder->here > 0 ? -ENOTEMPTY : 0;
	f = overlay_folder(o, (struct overlay_dir){ p->ino, at->dir.generation });
	return at->below.names > (f ? f->covering : 0) || (f && f->here > 0) ? -ENOTEMPTY : 0;
}

/* A directory of a backup that loses its name: whoever is still in it finds nothing. Its folder is made where it has none. */
static int prepare_removal(struct overlay *o, const struct spot *p, const struct overlay_name *at,
			   struct folder **ret)
{
	*ret = NULL;
	return p->below ? overlay_folder_make(o, (struct overlay_dir){ p->ino, at->dir.generation },
					      ret)
			: 0;
}

int overlay_make(struct overlay *o, const struct overlay_name *n, const struct overlay_new *what,
		 struct stat *ret)
{
	struct inode *i = NULL;
	struct spot p;
	int r;

	pthread_mutex_lock(&o->lock);
	r = spot_init(o, n, &p);
	if (r == 0) {
		r = p.ino ? -EEXIST : overlay_inode_make(o, what, &i);
		if (r == 0) {
			overlay_name_set(o, p.name, NAME_HERE, i->ino, what->mode & S_IFMT);
			overlay_folder_touch(o, p.folder);
			i->parent = n->dir;
			i->lookups++;
			overlay_inode_stat(i, ret);
		}
		spot_settle(o, &p);
	}
	pthread_mutex_unlock(&o->lock);
	return r;
}

static int link_to(struct overlay *o, struct spot *p, uint64_t ino)
{
	struct inode *i = overlay_owns(ino) ? overlay_inode(o, ino) : NULL;
	int r = overlay_owns(ino) && !i ? -ESTALE : p->ino ? -EEXIST : 0;

	if (r == 0 && i)
		r = i->folder ? -EPERM : i->nlink == 0 ? -ENOENT : 0;
	if (r == 0)
		r = overlay_links_ref(o, ino);
	if (r < 0)
		return r;
	overlay_name_set(o, p->name, NAME_HERE, ino, i ? i->mode & S_IFMT : S_IFREG);
	overlay_folder_touch(o, p->folder);
	if (i)
		i->lookups++;
	return 0;
}

int overlay_link(struct overlay *o, const struct overlay_name *n, uint64_t ino)
{
	struct spot p;
	int r;

	pthread_mutex_lock(&o->lock);
	r = spot_init(o, n, &p);
	if (r == 0) {
		r = link_to(o, &p, ino);
		spot_settle(o, &p);
	}
	pthread_mutex_unlock(&o->lock);
	return r;
}

static void hide(struct overlay *o, struct spot *p)
{
	overlay_name_set(o, p->name, NAME_HIDDEN, 0, 0);
	overlay_folder_touch(o, p->folder);
	settle_inode(o, p->ino);
}

int overlay_unlink(struct overlay *o, const struct overlay_name *n)
{
	struct spot p;
	int r;

	pthread_mutex_lock(&o->lock);
	r = spot_init(o, n, &p);
	if (r == 0) {
		r = !p.ino ? -ENOENT : S_ISDIR(p.type) ? -EISDIR : 0;
		if (r == 0)
			hide(o, &p);
		spot_settle(o, &p);
	}
	pthread_mutex_unlock(&o->lock);
	return r;
}

int overlay_rmdir(struct overlay *o, const struct overlay_name *n)
{
	struct folder *removed;
	struct spot p;
	int r;

	pthread_mutex_lock(&o->lock);
	r = spot_init(o, n, &p);
	if (r == 0) {
		r = !p.ino ? -ENOENT : !S_ISDIR(p.type) ? -ENOTDIR : check_empty(o, &p, n);
		if (r == 0)
			r = prepare_removal(o, &p, n, &removed);
		if (r == 0) {
			if (removed)
				removed->dead = true;
			hide(o, &p);
		}
		spot_settle(o, &p);
	}
	pthread_mutex_unlock(&o->lock);
	return r;
}

/* ---- rename ---- */

static bool is_fixed(const struct spot *s)
{
	return s->below && (s->name->below.is_dir || s->name->below.generated);
}

/* Whether the source may move, and the target be replaced. */
static int check_rename(struct overlay *o, const struct spot *from, const struct spot *to,
			const struct overlay_name *to_at, unsigned flags)
{
	if (!from->ino || ((flags & RENAME_EXCHANGE) && !to->ino))
		return -ENOENT;
	if ((flags & RENAME_NOREPLACE) && to->ino)
		return -EEXIST;
	if (is_fixed(from) || ((flags & RENAME_EXCHANGE) && is_fixed(to)))
		return -EXDEV;
	if ((flags & RENAME_EXCHANGE) || !to->ino)
		return 0;
	if (S_ISDIR(from->type) != S_ISDIR(to->type))
		return S_ISDIR(to->type) ? -EISDIR : -ENOTDIR;
	return S_ISDIR(to->type) ? check_empty(o, to, to_at) : 0;
}

static void set_parent(struct overlay *o, const struct spot *p, struct overlay_dir parent)
{
	struct inode *i = overlay_owns(p->ino) ? overlay_inode(o, p->ino) : NULL;

	if (i) {
		i->parent = parent;
		i->ctime = overlay_now(o);
	}
}

/* References are taken; what was a directory of the backup at the target is `removed`. */
static void carry_out(struct overlay *o, struct spot *from, struct spot *to,
		      const struct overlay_name *from_at, const struct overlay_name *to_at,
		      struct folder *removed, bool exchange)
{
	if (removed)
		removed->dead = true;
	overlay_name_set(o, to->name, NAME_HERE, from->ino, from->type);
	overlay_name_set(o, from->name, exchange ? NAME_HERE : NAME_HIDDEN, exchange ? to->ino : 0,
			 exchange ? to->type : 0);
	overlay_folder_touch(o, from->folder);
	overlay_folder_touch(o, to->folder);
	set_parent(o, from, to_at->dir);
	if (exchange)
		set_parent(o, to, from_at->dir);
	else
		settle_inode(o, to->ino);
}

static int rename_spots(struct overlay *o, struct spot *from, struct spot *to,
			const struct overlay_name *from_at, const struct overlay_name *to_at,
			unsigned flags)
{
	bool exchange = flags & RENAME_EXCHANGE;
	struct folder *removed = NULL;
	int r = check_rename(o, from, to, to_at, flags);

	if (r < 0 || from->ino == to->ino) /* two names of one file stay as they are */
		return r;
	r = overlay_links_ref(o, from->ino);
	if (r < 0)
		return r;
	r = exchange		  ? overlay_links_ref(o, to->ino)
	    : S_ISDIR(from->type) ? prepare_removal(o, to, to_at, &removed)
				  : 0;
	if (r < 0) {
		overlay_links_unref(o, from->ino);
		return r;
	}
	carry_out(o, from, to, from_at, to_at, removed, exchange);
	return 0;
}

/*
 * To make a folder may forget what a removed backup of the same name had, and directories of the overlay in it. So the target's is made before the source is looked at, and that
 * of the source forgets no name that is being changed.
 */
static int init_source(struct overlay *o, const struct overlay_name *from,
		       const struct overlay_name *to, struct spot *ret)
{
	struct folder *f;
	int r;

	if (from->dir.ino == to->dir.ino && from->dir.generation != to->dir.generation)
		return -ESTALE;
	r = overlay_folder_make(o, to->dir, &f);
	if (r < 0)
		return r;
	r = spot_init(o, from, ret);
	f = r < 0 ? overlay_folder(o, to->dir) : NULL;
	if (f)
		overlay_folder_settle(o, f);
	return r;
}

int overlay_rename(struct overlay *o, const struct overlay_name *from,
		   const struct overlay_name *to, unsigned flags)
{
	struct spot a, b;
	int r;

	if ((flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) ||
	    flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	pthread_mutex_lock(&o->lock);
	r = init_source(o, from, to, &a);
	if (r == 0) {
		r = spot_init(o, to, &b);
		if (r == 0) {
			r = rename_spots(o, &a, &b, from, to, flags);
			if (b.name != a.name)
				overlay_name_settle(o, b.name);
			if (b.folder != a.folder)
				overlay_folder_settle(o, b.folder);
		}
		spot_settle(o, &a);
	}
	pthread_mutex_unlock(&o->lock);
	return r;
}

void overlay_drop(struct overlay *o, struct overlay_dir dir, const char *name)
{
	struct folder *f;
	struct name *n;

	pthread_mutex_lock(&o->lock);
	f = overlay_folder(o, dir);
	n = f ? overlay_name_find(o, f, name) : NULL;
	if (n && n->state == NAME_HERE && !overlay_owns(n->ino)) {
		overlay_name_set(o, n, NAME_HIDDEN, 0, 0);
		overlay_name_settle(o, n);
		overlay_folder_settle(o, f);
	}
	pthread_mutex_unlock(&o->lock);
}

struct forgetting {
	struct overlay *o;
	uint64_t generation;
	struct folder *found;
};

static void find_generation(void *ctx, struct table_item *i)
{
	struct forgetting *g = ctx;
	struct folder *f = (struct folder *)i;

	if (!overlay_owns(f->key.ino) && f->key.generation == g->generation) {
		f->next = g->found;
		g->found = f;
	}
}

void overlay_forget_backup(struct overlay *o, uint64_t generation)
{
	struct forgetting g = { o, generation, NULL };

	if (atomic_load(&o->changes) == 0)
		return;
	pthread_mutex_lock(&o->lock);
	table_each(&o->folders, find_generation, &g);
	while (g.found) { /* clearing one frees no other one of a backup */
		struct folder *f = g.found;

		g.found = f->next;
		overlay_folder_clear(o, f);
		overlay_folder_free(o, f);
	}
	pthread_mutex_unlock(&o->lock);
}
