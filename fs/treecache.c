/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/treecache.h"

#include <pthread.h>
#include <string.h>

#define BUCKETS 4096

/*
 * An item is in the hash table while it is known, and in the LRU list while it is known and nobody refers to it.
 * lock protects everything but the contents of items; it is never held across meta_*.
 */
struct treecache {
	struct meta *meta;
	pthread_mutex_t lock;
	uint64_t max_bytes, bytes;
	struct cached *buckets[BUCKETS];
	struct cached *lru_head, *lru_tail; /* tail: least recently used */
};

static struct cached **bucket_of(struct treecache *c, const struct id256 *digest)
{
	return &c->buckets[(digest->b[0] | digest->b[1] << 8) % BUCKETS];
}

static void lru_remove(struct treecache *c, struct cached *i)
{
	*(i->lru_prev ? &i->lru_prev->lru_next : &c->lru_head) = i->lru_next;
	*(i->lru_next ? &i->lru_next->lru_prev : &c->lru_tail) = i->lru_prev;
	i->lru_prev = i->lru_next = NULL;
}

static void lru_push(struct treecache *c, struct cached *i)
{
	i->lru_prev = NULL;
	i->lru_next = c->lru_head;
	*(c->lru_head ? &c->lru_head->lru_prev : &c->lru_tail) = i;
	c->lru_head = i;
}

static void item_free(struct cached *i)
{
	if (i->tree)
		tree_free(i->tree);
	if (i->run)
		run_free(i->run);
	free(i->run_first);
	free(i);
}
DEFINE_CLEANUP(struct cached *, item_free);

static void shrink(struct treecache *c)
{
	while (c->bytes > c->max_bytes && c->lru_tail) {
		struct cached *victim = c->lru_tail, **at = bucket_of(c, &victim->digest);

		lru_remove(c, victim);
		while (*at != victim)
			at = &(*at)->hash_next;
		*at = victim->hash_next;
		c->bytes -= victim->bytes;
		item_free(victim);
	}
}

/* With the lock held: a new reference to a known item, or NULL. */
static struct cached *find(struct treecache *c, const struct id256 *digest, bool is_tree)
{
	for (struct cached *i = *bucket_of(c, digest); i; i = i->hash_next) {
		if (memcmp(&i->digest, digest, sizeof(*digest)) || (i->tree != NULL) != is_tree)
			continue;
		if (i->refs++ == 0)
			lru_remove(c, i);
		return i;
	}
	return NULL;
}

static size_t parsed_bytes(const struct cached *i)
{
	if (i->run)
		return sizeof(*i->run) + i->run->memory_bytes;
	return sizeof(*i->tree) + i->tree->memory_bytes +
	       ((size_t)i->tree->run_count + 1) * sizeof(*i->run_first);
}

static int count_runs(struct cached *i)
{
	const struct tree *t = i->tree;

	i->run_first = calloc((size_t)t->run_count + 1, sizeof(*i->run_first));
	if (!i->run_first)
		return -ENOMEM;
	for (uint32_t r = 0; r < t->run_count; r++)
		i->run_first[r + 1] = i->run_first[r] + t->runs[r].entry_count;
	return 0;
}

/* Loads what is not here and makes it known; another thread may have been faster, then its item is used. */
static int load(struct treecache *c, const struct node_name *n, const struct place *p, bool is_tree,
		struct cached **ret, const struct cancel *cancel, struct err *e)
{
	_cleanup_(item_freep) struct cached *mine = calloc(1, sizeof(*mine));
	struct cached *known;
	int r;

	if (!mine)
		return err_nomem(e);
	mine->digest = p->digest;
	mine->refs = 1;
	r = is_tree ? meta_tree(c->meta, n, p, &mine->tree, cancel, e)
		    : meta_run(c->meta, n, p, &mine->run, cancel, e);
	if (r < 0)
		return r;
	if (is_tree && count_runs(mine) < 0)
		return err_nomem(e);
	mine->bytes = sizeof(*mine) + parsed_bytes(mine);

	pthread_mutex_lock(&c->lock);
	known = find(c, &p->digest, is_tree);
	if (!known) {
		struct cached **at = bucket_of(c, &p->digest);

		known = steal_pointer(&mine);
		known->hash_next = *at;
		*at = known;
		c->bytes += known->bytes;
		shrink(c);
	}
	pthread_mutex_unlock(&c->lock);
	*ret = known;
	return 0;
}

static int get(struct treecache *c, const struct node_name *n, const struct place *p, bool is_tree,
	       bool wait, struct cached **ret, const struct cancel *cancel, struct err *e)
{
	struct cached *known;

	pthread_mutex_lock(&c->lock);
	known = find(c, &p->digest, is_tree);
	pthread_mutex_unlock(&c->lock);
	if (known) {
		*ret = known;
		return 0;
	}
	return wait ? load(c, n, p, is_tree, ret, cancel, e) : TREECACHE_WOULD_BLOCK;
}

int treecache_tree(struct treecache *c, const struct node_name *n, const struct place *p, bool wait,
		   struct cached **ret, const struct cancel *cancel, struct err *e)
{
	return get(c, n, p, true, wait, ret, cancel, e);
}

int treecache_run(struct treecache *c, const struct node_name *n, const struct place *p, bool wait,
		  struct cached **ret, const struct cancel *cancel, struct err *e)
{
	return get(c, n, p, false, wait, ret, cancel, e);
}

void treecache_unref(struct treecache *c, struct cached *item)
{
	if (!item)
		return;
	pthread_mutex_lock(&c->lock);
	if (--item->refs == 0) {
		lru_push(c, item);
		shrink(c);
	}
	pthread_mutex_unlock(&c->lock);
}

struct treecache *treecache_new(struct meta *m, uint64_t max_bytes)
{
	struct treecache *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->meta = m;
	c->max_bytes = max_bytes;
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void treecache_free(struct treecache *c)
{
	c->max_bytes = 0;
	shrink(c);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

uint64_t treecache_bytes(struct treecache *c)
{
	uint64_t bytes;

	pthread_mutex_lock(&c->lock);
	bytes = c->bytes;
	pthread_mutex_unlock(&c->lock);
	return bytes;
}
