/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/collect_delete.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "catalog/parallel.h"

/* The store refuses the whole request: what else would be tried is refused too. */
static int refused(int r, struct err *e)
{
	if (r == -EACCES || r == -EPERM || r == -EROFS || e->kind == ERR_CREDENTIALS)
		return err_wrap(
			e, r,
			"the credentials may not delete objects, which gc needs (DeleteObject); backups go on without it");
	return r;
}

/* ---- a few keys ---- */

void collect_delete_deinit(struct collect_delete *d)
{
	for (size_t i = 0; i < d->count; i++)
		free(d->keys[i]);
	free(d->keys);
	free(d->failed);
}

int collect_delete_add(struct collect_delete *d, const char *key, struct err *e)
{
	if (util_grow(&d->keys, &d->cap, d->count + 1, sizeof(*d->keys)) < 0)
		return err_nomem(e);
	d->keys[d->count] = strdup(key);
	if (!d->keys[d->count])
		return err_nomem(e);
	d->count++;
	return 0;
}

static int delete_some(struct collect_delete *d, size_t first, size_t count,
		       struct store_delete_error *errors, struct err *e)
{
	size_t failed = 0;
	int r = store_delete_many(repo_store(d->c->o->repo), (const char *const *)d->keys + first,
				  count, errors, &failed, d->c->o->cancel, e);

	for (size_t i = 0; i < failed && r == 0; i++) {
		d->failed[first + errors[i].index] = true;
		r = collect_note_undeleted(d->c, d->keys[first + errors[i].index], &errors[i], e);
	}
	return r < 0 ? refused(r, e) : 0;
}

int collect_delete_run(struct collect_delete *d, struct err *e)
{
	_cleanup_free_ struct store_delete_error *errors =
		calloc(STORE_DELETE_MAX, sizeof(*errors));
	int r = 0;

	d->failed = calloc(d->count + 1, sizeof(*d->failed));
	if (!errors || !d->failed)
		return err_nomem(e);
	for (size_t i = 0; i < d->count && r == 0; i += STORE_DELETE_MAX)
		r = delete_some(d, i, MIN_OF(d->count - i, (size_t)STORE_DELETE_MAX), errors, e);
	return r;
}

/* ---- objects ---- */

struct batch { /* STORE_DELETE_MAX keys, and room for their text and for errors */
	char keys[STORE_DELETE_MAX][KEY_BYTES];
	const char *pointers[STORE_DELETE_MAX];
	uint32_t index[STORE_DELETE_MAX]; /* into the set */
	struct store_delete_error errors[STORE_DELETE_MAX];
};

struct deletion {
	struct collect *c;
	const struct collect_keys *k;
	uint32_t lists;
	const size_t *starts; /* of the batches */
	pthread_mutex_t lock; /* of what follows and of the result; not held across I/O */
	uint32_t failed;
	uint64_t denied, other; /* keys */
};

static bool is_same(const struct collect_key *a, const struct collect_key *b)
{
	return a->writer == b->writer && a->meta == b->meta &&
	       memcmp(a->id.b, b->id.b, sizeof(a->id.b)) == 0;
}

/* Where several lists name a key, the first of those that may delete does. */
static bool is_wanted(const struct collect_keys *k, size_t i, uint32_t lists)
{
	const struct collect_key *x = &k->keys[i];

	if (!x->present || x->reached || !(lists & UINT32_C(1) << x->list))
		return false;
	for (size_t j = i; j > 0 && is_same(&k->keys[j - 1], x); j--)
		if (lists & UINT32_C(1) << k->keys[j - 1].list)
			return false;
	return true;
}

static size_t fill(const struct deletion *d, size_t from, struct batch *b)
{
	size_t count = 0;

	for (size_t i = from; i < d->k->count && count < STORE_DELETE_MAX; i++) {
		const struct collect_key *x = &d->k->keys[i];

		if (!is_wanted(d->k, i, d->lists))
			continue;
		b->pointers[count] = keys_object(b->keys[count], d->c->o->where,
						 x->meta ? KEY_OBJECT_META : KEY_OBJECT_DATA,
						 &d->k->writers[x->writer], &x->id);
		b->index[count++] = (uint32_t)i;
	}
	return count;
}

/* The lists that name key i. */
static uint32_t lists_of(const struct collect_keys *k, size_t i)
{
	uint32_t lists = 0;

	for (size_t j = i; j < k->count && is_same(&k->keys[j], &k->keys[i]); j++)
		lists |= UINT32_C(1) << k->keys[j].list;
	return lists;
}

static int account(struct deletion *d, const struct batch *b, size_t count, size_t errors,
		   struct err *e)
{
	struct collect_result *result = d->c->result;
	int r = 0;

	result->deleted_objects += count - errors;
	for (size_t i = 0; i < count; i++)
		result->deleted_bytes += d->k->keys[b->index[i]].size_bytes;
	for (size_t i = 0; i < errors && r == 0; i++) {
		size_t at = b->errors[i].index;

		result->deleted_bytes -= d->k->keys[b->index[at]].size_bytes;
		d->failed |= lists_of(d->k, b->index[at]);
		if (strcmp(b->errors[i].code, "AccessDenied") == 0)
			d->denied++;
		else
			d->other++;
		r = collect_note_undeleted(d->c, b->pointers[at], &b->errors[i], e);
	}
	if (d->c->o->progress)
		d->c->o->progress->files_done += count;
	return r;
}

static int delete_batch(void *ctx, size_t i, unsigned worker, struct err *e)
{
	struct deletion *d = ctx;
	_cleanup_free_ struct batch *b = malloc(sizeof(*b));
	size_t count, errors = 0;
	int r;

	if (!b)
		return err_nomem(e);
	count = fill(d, d->starts[i], b);
	r = store_delete_many(repo_store(d->c->o->repo), b->pointers, count, b->errors, &errors,
			      d->c->o->cancel, e);
	if (r < 0)
		return refused(r, e);
	pthread_mutex_lock(&d->lock);
	r = account(d, b, count, errors, e);
	pthread_mutex_unlock(&d->lock);
	return r;
}

/* Where each batch begins. */
static int divide(const struct collect_keys *k, uint32_t lists, size_t **ret, size_t *ret_count,
		  size_t *ret_keys, struct err *e)
{
	size_t cap = 0, wanted = 0;

	for (size_t i = 0; i < k->count; i++) {
		if (!is_wanted(k, i, lists) || wanted++ % STORE_DELETE_MAX != 0)
			continue;
		if (util_grow(ret, &cap, *ret_count + 1, sizeof(**ret)) < 0)
			return err_nomem(e);
		(*ret)[(*ret_count)++] = i;
	}
	*ret_keys = wanted;
	return 0;
}

int collect_delete_objects(struct collect *c, const struct collect_keys *k, uint32_t lists,
			   uint32_t *ret_failed, struct err *e)
{
	_cleanup_free_ size_t *starts = NULL;
	struct deletion d = { .c = c, .k = k, .lists = lists };
	size_t batches = 0, keys = 0;
	int r = divide(k, lists, &starts, &batches, &keys, e);

	if (r < 0)
		return r;
	if (c->o->progress)
		c->o->progress->files_total += keys;
	d.starts = starts;
	pthread_mutex_init(&d.lock, NULL);
	r = parallel_run("deletes", c->o->connections, batches, delete_batch, &d, e);
	pthread_mutex_destroy(&d.lock);
	if (r < 0)
		return r;
	if (keys > 0 && d.denied == keys) {
		err_set(e, ERR_CREDENTIALS, -EACCES, "AccessDenied for each of %zu keys", keys);
		return refused(-EACCES, e);
	}
	*ret_failed = d.failed;
	return 0;
}
