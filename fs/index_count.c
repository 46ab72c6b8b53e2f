/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted of whole nodes. */
#include <errno.h>
#include <string.h>
#include "fs/index_private.h"

#define MOST_KEPT 256
#define MEMORY_TIMES 3 /* a file and what it is made from */
#define MOST_TAKEN 8   /* numbers that paths and files share: one pair in about 10^6 nodes */

/* With the lock held: what is counted of the node, made at the first call; NULL: out of memory. */
static struct counted *counted_of(struct index *x, uint32_t node, const struct node_name *n)
{
	struct counted *c;

	for (c = x->counted; c; c = c->next)
		if (c->node == node)
			return c;
	c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->node = node;
	c->name = *n;
	c->next = x->counted;
	x->counted = c;
	return c;
}

/* Puts the new file in the place of the old one. */
static int publish(struct index *x, uint32_t node, const struct node_name *n, struct linkfile *file)
{
	struct counted *c;
	struct linkfile *before = NULL;

	linkfile_use(file, x->links);
	pthread_mutex_lock(&x->lock);
	c = counted_of(x, node, n);
	if (c) {
		before = c->file;
		c->file = linkfile_ref(file);
	}
	pthread_mutex_unlock(&x->lock);
	atomic_fetch_add(&x->counts, 1);
	linkfile_unref(before);
	return c ? 0 : -ENOMEM;
}

uint64_t index_counts(struct index *x)
{
	return atomic_load(&x->counts);
}

/* Of all nodes but that one. */
static uint64_t bytes_without(struct index *x, uint32_t node)
{
	uint64_t bytes = 0;

	pthread_mutex_lock(&x->lock);
	for (const struct counted *c = x->counted; c; c = c->next)
		bytes += c->file && c->node != node ? linkfile_bytes(c->file) : 0;
	pthread_mutex_unlock(&x->lock);
	return bytes;
}

uint64_t index_link_bytes(struct index *x)
{
	return bytes_without(x, 0); /* nodes are numbered from 1 */
}

/* ---- counting ---- */

struct path_check {
	const struct linkfile *file;
	uint64_t taken; /* a number that a path has and a file too; 0: none */
};

static int is_there(void *ctx, const struct link *l)
{
	(void)ctx;
	(void)l;
	return 1;
}

static int check_path(void *ctx, const void *key, size_t key_bytes, const void *value,
		      size_t len_bytes, struct err *e)
{
	struct path_check *p = ctx;
	struct row_head head;
	uint64_t ino;

	(void)e;
	if (key_bytes != INODE_KEY || len_bytes < sizeof(head))
		return 0;
	memcpy(&head, value, sizeof(head));
	memcpy(&ino, (const uint8_t *)key + 1, sizeof(ino));
	if (head.type == INDEX_PATH && linkfile_each(p->file, ino, is_there, NULL) > 0)
		p->taken = ino;
	return p->taken != 0;
}

struct drop {
	struct index *x;
	uint32_t node;
};

static int drop_run(void *ctx, const struct link_key *k)
{
	const struct drop *d = ctx;
	struct run_key key = { d->node, *k };

	return index_drop_run(d->x, &key, NULL);
}

/* The room that the other nodes leave. */
static uint64_t room(struct index *x, uint32_t node, uint64_t max_bytes)
{
	return max_bytes - MIN_OF(max_bytes, bytes_without(x, node));
}

/* On the disk, or, where that is full, broken or gone, in memory. */
static int build(struct index *x, uint32_t node, struct linkbuild_options *o,
		 struct linkbuild **ret, struct linkfile **file, struct err *e)
{
	struct err mine = ERR_INIT;
	int r = -ENOSPC;

	o->nonce = 0;
	clock_random(x->o.clock, &o->nonce, sizeof(o->nonce));
	o->dir_fd = x->dir_fd;
	o->max_bytes = room(x, node, x->o.max_bytes);
	if (x->dir_fd >= 0)
		r = linkbuild_run(o, ret, file, &mine);
	if (r < 0 && r != -ECANCELED && r != -ENOMEM && r != -EBADMSG) {
		o->dir_fd = -1;
		o->max_bytes = room(x, node, x->o.memory_bytes) / MEMORY_TIMES;
		r = linkbuild_run(o, ret, file, x->dir_fd < 0 ? &mine : NULL);
	}
	if (r < 0 && e)
		*e = mine;
	return r;
}

/* Builds until no number is a path's too. */
static int build_apart(struct index *x, uint32_t node, struct linkbuild_options *o,
		       struct linkbuild **ret, struct linkfile **file, struct err *e)
{
	uint64_t taken[MOST_TAKEN];
	struct path_check p;
	int r;

	o->taken = taken;
	for (;;) {
		r = build(x, node, o, ret, file, e);
		if (r < 0)
			return r;
		p = (struct path_check){ r == LINKBUILD_SAME ? o->old : *file, 0 };
		kv_each(x->o.kv, KV_INODES, "i", 1, check_path, &p, NULL);
		if (!p.taken || o->taken_count == MOST_TAKEN)
			return r;
		taken[o->taken_count++] = p.taken;
		o->old = NULL;
		linkbuild_free(*ret);
		linkfile_unref(*file);
		*ret = NULL;
		*file = NULL;
	}
}

/* Files of nodes that only earlier mounts looked at go where all together take too much. */
static void make_room(struct index *x)
{
	const struct node_name *own[MOST_KEPT];
	size_t count = 0;

	if (x->dir_fd < 0)
		return;
	pthread_mutex_lock(&x->lock);
	for (const struct counted *c = x->counted; c && count < MOST_KEPT; c = c->next)
		own[count++] = &c->name;
	pthread_mutex_unlock(&x->lock);
	linkfile_keep(x->dir_fd, x->o.max_bytes, own, count);
}

int index_count(struct index *x, uint32_t node, const struct node_name *n,
		struct link_wanted *backups, size_t count, const struct index_listener *l,
		const struct cancel *c, struct err *e)
{
	_cleanup_(linkbuild_freep) struct linkbuild *b = NULL;
	_cleanup_(linkfile_unrefp) struct linkfile *known = index_file(x, node), *file = NULL;
	bool is_first = !known;
	struct linkbuild_options o = { .meta = x->o.meta,
				       .name = n,
				       .backups = backups,
				       .count = count,
				       .failed = l->failed,
				       .ctx = l->ctx,
				       .cancel = c };
	struct drop d = { x, node };
	int r, told = 0;

	if (is_first && x->dir_fd >= 0 && linkfile_open(x->dir_fd, n, &known) == -EBADMSG)
		linkfile_remove(x->dir_fd, n);
	if (!known || !linkfile_is_damaged(known))
		o.old = known;
	r = build_apart(x, node, &o, &b, &file, e);
	if (r < 0 && o.old && (r == -EBADMSG || linkfile_is_damaged(known))) { /* by now */
		linkfile_remove(x->dir_fd, n);
		o.old = NULL;
		r = build_apart(x, node, &o, &b, &file, e);
	}
	if (r < 0)
		return r;
	if (r == LINKBUILD_SAME)
		return is_first ? publish(x, node, n, known) : 0;
	r = publish(x, node, n, file);
	if (r < 0)
		return index_damaged(r, e);
	make_room(x);
	/* First of all, as the next count finds nothing changed, whatever fails here. */
	if (l->changed)
		told = linkbuild_changed(b, l->changed, l->ctx);
	r = linkbuild_gone(b, drop_run, &d);
	return index_damaged(told < 0 ? told : r, e);
}

/* ---- questions ---- */

struct held {
	const struct linkfile *file;
	struct link_backup backup;
};

static int is_held(void *ctx, const struct link *l)
{
	const struct held *h = ctx;
	uint64_t low = h->backup.first, high = low + h->backup.count;

	while (low < high) {
		uint64_t at = low + (high - low) / 2;
		uint32_t number;
		int r = linkfile_get(h->file, LINKFILE_LISTS, at, &number);

		if (r < 0 || number == l->run)
			return r < 0 ? r : 1;
		if (number < l->run)
			low = at + 1;
		else
			high = at;
	}
	return 0;
}

int index_backup_holds(struct index *x, uint32_t node, const struct ulid *writer, uint64_t ino,
		       struct err *e)
{
	_cleanup_(linkfile_unrefp) struct linkfile *f = index_file(x, node);
	struct held h = { .file = f };
	int r = f ? linkfile_find_backup(f, writer, &h.backup) : LINKFILE_ABSENT;

	if (r == LINKFILE_ABSENT)
		return INDEX_NOT_COUNTED;
	if (r == 0)
		r = linkfile_each(f, ino, is_held, &h);
	return index_damaged(r, e);
}

struct runs {
	const struct linkfile *file;
	index_run_fn *fn;
	void *ctx;
};

static int call_run(void *ctx, const struct link *l)
{
	const struct runs *runs = ctx;
	struct link_run run;
	int r = linkfile_get(runs->file, LINKFILE_RUNS, l->run, &run);

	return r < 0 ? r : runs->fn(runs->ctx, &run.place, link_entry(l));
}

int index_runs(struct index *x, uint32_t node, uint64_t ino, index_run_fn *fn, void *ctx,
	       struct err *e)
{
	_cleanup_(linkfile_unrefp) struct linkfile *f = index_file(x, node);
	struct runs runs = { f, fn, ctx };

	return f ? index_damaged(linkfile_each(f, ino, call_run, &runs), e) : 0;
}

/* ---- objects/ ---- */

struct object {
	struct id256 content;
	uint64_t ino;
	uint32_t run, entry;
};

struct objects {
	struct object *v;
	size_t count, cap;
};

static void objects_deinit(struct objects *o)
{
	free(o->v);
}

bool index_has_objects(struct index *x, uint32_t node, uint8_t first_byte)
{
	_cleanup_(linkfile_unrefp) struct linkfile *f = index_file(x, node);

	return f && linkfile_has_byte(f, first_byte);
}

/* Each inode with such a content once, with the run where it was found first. */
static int find_objects(const struct linkfile *f, uint8_t first_byte, struct objects *ret)
{
	struct linkfile_cursor c;
	uint64_t last = 0;
	struct link l;
	int r;

	linkfile_cursor_init(&c, f, LINKFILE_LINKS, 0);
	while ((r = linkfile_next(&c, &l)) == 0) {
		if (link_first_byte(&l) != first_byte || l.ino == last)
			continue;
		last = l.ino;
		r = util_grow(&ret->v, &ret->cap, ret->count + 1, sizeof(*ret->v));
		if (r < 0)
			return r;
		ret->v[ret->count++] =
			(struct object){ .ino = l.ino, .run = l.run, .entry = link_entry(&l) };
	}
	return MIN_OF(r, 0);
}

static int by_run(const void *a, const void *b)
{
	const struct object *x = a, *y = b;

	return (x->run > y->run) - (x->run < y->run);
}

static int by_content(const void *a, const void *b)
{
	const struct object *x = a, *y = b;
	int order = memcmp(&x->content, &y->content, sizeof(x->content));

	return order ? order : (x->ino > y->ino) - (x->ino < y->ino);
}

static int read_contents(struct index *x, const struct linkfile *f, const struct node_name *n,
			 struct objects *o, const struct cancel *c, struct err *e)
{
	for (size_t i = 0; i < o->count;) {
		struct link_run run;
		struct cached *cached;
		uint32_t number = o->v[i].run;
		int r = linkfile_get(f, LINKFILE_RUNS, number, &run);

		if (r < 0)
			return index_damaged(r, e);
		r = treecache_run(x->o.trees, n, &run.place, true, &cached, c, e);
		if (r < 0)
			return r;
		for (; r == 0 && i < o->count && o->v[i].run == number; i++) {
			if (o->v[i].entry < cached->run->entry_count)
				o->v[i].content = cached->run->entries[o->v[i].entry].content;
			else
				r = index_damaged(-EBADMSG, e);
		}
		treecache_unref(x->o.trees, cached);
		if (r < 0)
			return r;
	}
	return 0;
}

int index_objects(struct index *x, uint32_t node, uint8_t first_byte, bool wait,
		  const struct cancel *c, index_object_fn *fn, void *ctx, struct err *e)
{
	_cleanup_(linkfile_unrefp) struct linkfile *f = index_file(x, node);
	_cleanup_(objects_deinit) struct objects o = { NULL, 0, 0 };
	struct node_name name = { "", "" };
	int r;

	if (!f || !linkfile_has_byte(f, first_byte))
		return 0;
	if (!wait)
		return INDEX_WOULD_BLOCK;
	pthread_mutex_lock(&x->lock);
	for (const struct counted *n = x->counted; n; n = n->next)
		if (n->node == node)
			name = n->name;
	pthread_mutex_unlock(&x->lock);
	r = index_damaged(find_objects(f, first_byte, &o), e);
	if (r < 0 || o.count == 0)
		return r;
	qsort(o.v, o.count, sizeof(*o.v), by_run);
	r = read_contents(x, f, &name, &o, c, e);
	if (r < 0)
		return r;
	qsort(o.v, o.count, sizeof(*o.v), by_content);
	for (size_t i = 0; r == 0 && i < o.count; i++)
		r = fn(ctx, &o.v[i].content, o.v[i].ino, e);
	return MIN_OF(r, 0);
}
