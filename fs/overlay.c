/* SPDX-License-Identifier: Apache-2.0 */
/* Folders, names, links: the tables of the overlay. */
#include <string.h>
#include "base/digest.h"
#include "fs/overlay_private.h"

struct overlay *overlay_new(uint64_t max_bytes, const struct clock *clock)
{
	struct overlay *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->clock = clock;
	o->last_ino = OVERLAY_FIRST_INO;
	o->last_seq = OVERLAY_FIRST_COOKIE;
	pthread_mutex_init(&o->lock, NULL);
	o->room = room_new(max_bytes);
	if (!o->room || table_init(&o->folders, o->room) < 0 ||
	    table_init(&o->names, o->room) < 0 || table_init(&o->links, o->room) < 0 ||
	    table_init(&o->inodes, o->room) < 0) {
		overlay_free(o);
		return NULL;
	}
	return o;
}

void overlay_share(struct overlay *o, void (*changed)(void *ctx, uint64_t bytes), void *ctx)
{
	pthread_mutex_lock(&o->lock);
	room_share(o->room, changed, ctx);
	pthread_mutex_unlock(&o->lock);
}

static void free_item(void *ctx, struct table_item *i)
{
	(void)ctx;
	free(i);
}

static void free_inode(void *ctx, struct table_item *i)
{
	(void)ctx;
	free(((struct inode *)i)->target);
	free(i);
}

void overlay_free(struct overlay *o)
{
	if (o->folders.buckets)
		table_each(&o->folders, free_item, NULL);
	if (o->names.buckets)
		table_each(&o->names, free_item, NULL);
	if (o->links.buckets)
		table_each(&o->links, free_item, NULL);
	if (o->inodes.buckets)
		table_each(&o->inodes, free_inode, NULL);
	if (o->room) {
		table_deinit(&o->folders, o->room);
		table_deinit(&o->names, o->room);
		table_deinit(&o->links, o->room);
		table_deinit(&o->inodes, o->room);
		room_free(o->room);
	}
	pthread_mutex_destroy(&o->lock);
	free(o);
}

struct timespec overlay_now(const struct overlay *o)
{
	int64_t ns = clock_wall_ns(o->clock);

	return (struct timespec){ ns / 1000000000, ns % 1000000000 };
}

/* ---- folders ---- */

uint64_t overlay_hash(uint64_t n)
{
	return digest_xxh64(&n, sizeof(n));
}

static struct folder *folder_by_number(struct overlay *o, uint64_t ino)
{
	struct table_item *i = table_first(&o->folders, overlay_hash(ino));

	while (i && ((struct folder *)i)->key.ino != ino)
		i = table_next(i);
	return (struct folder *)i;
}

struct folder *overlay_folder(struct overlay *o, struct overlay_dir dir)
{
	struct folder *f = folder_by_number(o, dir.ino);

	return f && f->key.generation == dir.generation ? f : NULL;
}

int overlay_folder_make(struct overlay *o, struct overlay_dir dir, struct folder **ret)
{
	struct folder *f = folder_by_number(o, dir.ino);
	void *block;
	int r;

	if (f && f->key.generation != dir.generation) {
		overlay_folder_clear(o, f);
		overlay_folder_free(o, f);
		f = NULL;
	}
	if (f && f->dead)
		return -ENOENT;
	if (f) {
		*ret = f;
		return 0;
	}
	if (overlay_owns(dir.ino) && !overlay_inode(o, dir.ino))
		return -ESTALE;
	r = room_take(o->room, sizeof(*f), &block);
	if (r < 0)
		return r;
	f = block;
	f->key = dir;
	f->changed = overlay_now(o);
	table_add(&o->folders, o->room, &f->item, overlay_hash(dir.ino));
	if (!overlay_owns(dir.ino))
		atomic_fetch_add(&o->changes, 1);
	*ret = f;
	return 0;
}

void overlay_folder_free(struct overlay *o, struct folder *f)
{
	if (!overlay_owns(f->key.ino))
		atomic_fetch_sub(&o->changes, 1);
	table_remove(&o->folders, &f->item);
	room_give(o->room, f, sizeof(*f));
}

void overlay_folder_settle(struct overlay *o, struct folder *f)
{
	if (!f->first && !f->dead && !overlay_owns(f->key.ino))
		overlay_folder_free(o, f);
}

void overlay_folder_touch(struct overlay *o, struct folder *f)
{
	struct inode *i = overlay_owns(f->key.ino) ? overlay_inode(o, f->key.ino) : NULL;

	f->changed = overlay_now(o);
	if (i)
		i->mtime = i->ctime = f->changed;
}

/* Directories of the overlay that are found in it, and that have names, are put before *work. */
static void clear_names(struct overlay *o, struct folder *f, struct inode **work)
{
	while (f->first) {
		struct name *n = f->first;
		struct inode *i = n->state == NAME_HERE && overlay_owns(n->ino)
					  ? overlay_inode(o, n->ino)
					  : NULL;

		overlay_name_set(o, n, n->below.ino ? NAME_BELOW : NAME_HIDDEN, 0, 0);
		overlay_name_settle(o, n);
		if (i && i->folder && i->folder->first) {
			i->lookups++; /* stays until it is cleared */
			i->next = *work;
			*work = i;
		} else if (i) {
			overlay_inode_settle(o, i);
		}
	}
}

void overlay_folder_clear(struct overlay *o, struct folder *f)
{
	struct inode *work = NULL;

	clear_names(o, f, &work);
	while (work) {
		struct inode *i = work;

		work = i->next;
		clear_names(o, i->folder, &work);
		i->lookups--;
		overlay_inode_settle(o, i);
	}
}

/* ---- links of a backup's inodes ---- */

static struct links *find_links(struct overlay *o, uint64_t ino)
{
	struct table_item *i = table_first(&o->links, overlay_hash(ino));

	while (i && ((struct links *)i)->ino != ino)
		i = table_next(i);
	return (struct links *)i;
}

int overlay_links_ref(struct overlay *o, uint64_t ino)
{
	struct links *l;
	void *block;
	int r;

	if (overlay_owns(ino))
		return 0;
	l = find_links(o, ino);
	if (!l) {
		r = room_take(o->room, sizeof(*l), &block);
		if (r < 0)
			return r;
		l = block;
		l->ino = ino;
		table_add(&o->links, o->room, &l->item, overlay_hash(ino));
	}
	l->refs++;
	return 0;
}

void overlay_links_unref(struct overlay *o, uint64_t ino)
{
	struct links *l = overlay_owns(ino) ? NULL : find_links(o, ino);

	if (!l || --l->refs > 0)
		return;
	table_remove(&o->links, &l->item);
	room_give(o->room, l, sizeof(*l));
}

static void count(struct overlay *o, uint64_t ino, int by)
{
	struct inode *i;

	if (!overlay_owns(ino)) {
		find_links(o, ino)->delta += by;
		return;
	}
	i = overlay_inode(o, ino);
	i->nlink += (uint32_t)by;
	i->ctime = overlay_now(o);
	if (i->folder) /* two that are exchanged have no name for a moment */
		i->folder->dead = i->nlink == 0;
}

/* ---- names ---- */

static uint64_t hash_name(const struct folder *f, const char *text)
{
	return digest_xxh64(text, strlen(text)) ^ f->item.hash;
}

struct name *overlay_name_find(struct overlay *o, const struct folder *f, const char *text)
{
	struct table_item *i = table_first(&o->names, hash_name(f, text));

	while (i &&
	       (((struct name *)i)->folder != f || strcmp(((struct name *)i)->text, text) != 0))
		i = table_next(i);
	return (struct name *)i;
}

/* A file of the backup has a link less where its name is covered. */
static bool counts_below(const struct name *n)
{
	return n->below.ino && !n->below.is_dir;
}

static void append(struct overlay *o, struct name *n)
{
	struct folder *f = n->folder;

	n->seq = ++o->last_seq;
	n->prev = f->last;
	n->next = NULL;
	*(f->last ? &f->last->next : &f->first) = n;
	f->last = n;
}

static void take_out(struct name *n)
{
	struct folder *f = n->folder;

	if (f->cursor == n)
		f->cursor = n->prev;
	*(n->prev ? &n->prev->next : &f->first) = n->next;
	*(n->next ? &n->next->prev : &f->last) = n->prev;
}

int overlay_name_make(struct overlay *o, struct folder *f, const struct overlay_name *at,
		      struct name **ret)
{
	size_t bytes = sizeof(struct name) + strlen(at->name) + 1;
	struct name *n = overlay_name_find(o, f, at->name);
	void *block;
	int r;

	if (n) {
		*ret = n;
		return 0;
	}
	r = room_take(o->room, bytes, &block);
	if (r < 0)
		return r;
	n = block;
	n->folder = f;
	n->below = at->below;
	n->bytes = bytes;
	memcpy(n->text, at->name, bytes - sizeof(*n));
	r = counts_below(n) ? overlay_links_ref(o, n->below.ino) : 0;
	if (r < 0) {
		room_give(o->room, n, bytes);
		return r;
	}
	table_add(&o->names, o->room, &n->item, hash_name(f, n->text));
	append(o, n);
	if (n->below.ino) {
		f->covering++;
		o->covering++;
	}
	*ret = n;
	return 0;
}

void overlay_name_settle(struct overlay *o, struct name *n)
{
	if (n->state == NAME_HERE || (n->state == NAME_HIDDEN && n->below.ino))
		return;
	if (n->below.ino) {
		n->folder->covering--;
		o->covering--;
	}
	if (counts_below(n))
		overlay_links_unref(o, n->below.ino);
	take_out(n);
	table_remove(&o->names, &n->item);
	room_give(o->room, n, n->bytes);
}

void overlay_name_set(struct overlay *o, struct name *n, enum name_state state, uint64_t ino,
		      mode_t type)
{
	if (state == NAME_HERE) {
		count(o, ino, 1);
		n->folder->here++;
	} else if (state == NAME_BELOW && counts_below(n)) {
		count(o, n->below.ino, 1);
	}
	if (n->state == NAME_HERE) {
		count(o, n->ino, -1);
		n->folder->here--;
		overlay_links_unref(o, n->ino);
	} else if (n->state == NAME_BELOW && counts_below(n)) {
		count(o, n->below.ino, -1);
	}
	n->state = state;
	n->ino = ino;
	n->type = type;
}

/* ---- looking ---- */

int overlay_find(struct overlay *o, struct overlay_dir dir, const char *name, uint64_t *ret_ino)
{
	int r = overlay_owns(dir.ino) ? OVERLAY_HIDDEN : OVERLAY_BELOW;
	const struct folder *f;
	const struct name *n;

	if (r == OVERLAY_BELOW && atomic_load(&o->changes) == 0)
		return r;
	pthread_mutex_lock(&o->lock);
	f = overlay_folder(o, dir);
	n = f ? overlay_name_find(o, f, name) : NULL;
	if (f && f->dead) {
		r = OVERLAY_HIDDEN;
	} else if (n && n->state == NAME_HERE) {
		*ret_ino = n->ino;
		r = 0;
	} else if (n) {
		r = OVERLAY_HIDDEN;
	}
	pthread_mutex_unlock(&o->lock);
	return r;
}

bool overlay_has_changed(struct overlay *o, struct overlay_dir dir, struct timespec *ret)
{
	const struct folder *f;

	if (atomic_load(&o->changes) == 0)
		return false;
	pthread_mutex_lock(&o->lock);
	f = overlay_folder(o, dir);
	if (f)
		*ret = f->changed;
	pthread_mutex_unlock(&o->lock);
	return f != NULL;
}

int64_t overlay_links(struct overlay *o, uint64_t ino)
{
	const struct links *l;
	int64_t delta = 0;

	if (atomic_load(&o->changes) == 0)
		return 0;
	pthread_mutex_lock(&o->lock);
	l = find_links(o, ino);
	if (l)
		delta = l->delta;
	pthread_mutex_unlock(&o->lock);
	return delta;
}

uint64_t overlay_last_cookie(struct overlay *o)
{
	uint64_t last;

	pthread_mutex_lock(&o->lock);
	last = o->last_seq;
	pthread_mutex_unlock(&o->lock);
	return last;
}

void overlay_list(struct overlay *o, struct overlay_dir dir, uint64_t cookie, uint64_t last,
		  overlay_list_fn *fn, void *ctx)
{
	struct folder *f;
	struct name *n;

	pthread_mutex_lock(&o->lock);
	f = overlay_folder(o, dir);
	n = f && f->cursor && f->cursor->seq <= cookie ? f->cursor : f ? f->first : NULL;
	for (; n && n->seq <= last; n = n->next) {
		if (n->seq <= cookie || n->state != NAME_HERE || n->below.ino)
			continue;
		if (fn(ctx, n->text, n->ino, n->type, n->seq) > 0)
			break;
		f->cursor = n;
	}
	pthread_mutex_unlock(&o->lock);
}

struct overlay_usage overlay_usage(struct overlay *o)
{
	struct overlay_usage u;

	pthread_mutex_lock(&o->lock);
	u = (struct overlay_usage){
		.used_bytes = room_used(o->room),
		.max_bytes = room_limit(o->room),
		.inodes = o->inodes.count,
		.hidden = o->covering,
	};
	pthread_mutex_unlock(&o->lock);
	return u;
}

void overlay_describe(struct overlay *o, struct wbuf *out)
{
	_cleanup_free_ char *line = NULL;
	struct overlay_usage u;

	if (!o) {
		wbuf_put(out, "overlay: none\n", 14);
		return;
	}
	u = overlay_usage(o);
	line = util_printf(
		"overlay: %llu of %llu bytes, %llu inodes, %llu names of backups hidden\n",
		(unsigned long long)u.used_bytes, (unsigned long long)u.max_bytes,
		(unsigned long long)u.inodes, (unsigned long long)u.hidden);
	if (line)
		wbuf_put(out, line, strlen(line));
}

void overlay_count(struct overlay *o, struct metrics *m)
{
	struct overlay_usage u = { 0 };

	if (o)
		u = overlay_usage(o);
	metric_set(metrics_counter(m, "overlay_bytes", "memory of the scratch overlay"),
		   u.used_bytes);
	metric_set(metrics_counter(m, "overlay_limit_bytes", "its bound"), u.max_bytes);
	metric_set(metrics_counter(m, "overlay_inodes", "its files and directories"), u.inodes);
	metric_set(metrics_counter(m, "overlay_hidden_names",
				   "names of backups that it hides or leads elsewhere"),
		   u.hidden);
}
