/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/upload.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/pool.h"

#define ATTEMPTS 5 /* of a PUT whose outcome stays unknown */

struct upload {
	struct upload_options o;
	struct pool *pool;
	_Atomic uint64_t objects, data_bytes, stored_bytes;
};

struct job {
	struct upload *upload;
	struct object_image image;
	upload_done_fn *done;
	void *ctx;
	char key[KEY_BYTES];
};

struct upload *upload_new(const struct upload_options *o)
{
	struct upload *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->o = *o;
	u->pool = pool_new("upload", o->connections);
	if (!u->pool) {
		free(u);
		return NULL;
	}
	return u;
}

void upload_free(struct upload *u)
{
	if (!u)
		return;
	pool_free(u->pool);
	free(u);
}

/* > 0: it is not there, or not whole, so that it must be sent again. */
static int is_missing(const struct job *j, struct err *e)
{
	struct store_meta meta;
	int r = store_head(j->upload->o.store, j->key, &meta, &j->upload->o.work->stop, e);

	return r == 0 && meta.size_bytes != j->image.total_bytes ? 1 : r;
}

/* The key exists. It is of this writer, so it holds these bytes: sent by a request that was made twice on the way, or by a run that was continued. */
static int check_there(const struct job *j, struct err *e)
{
	int r = is_missing(j, e);

	return r > 0 ? err_set(e, ERR_CORRUPT, -EBADMSG,
			       "something else lies under a key of this backup: run it again")
		     : r;
}

/*
 * Nobody else writes below this writer's prefix, and the key is the digest of the content: where the key exists, it was us. So a lost answer is settled by
 * looking, and the same bytes may be sent again.
 */
static int put(const struct job *j, struct err *e)
{
	const struct store_put req = { .key = j->key,
				       .body = j->image.iov,
				       .body_count = j->image.iov_count,
				       .cond = STORE_IF_ABSENT };
	int r = -EIO;

	for (int i = 0; i < ATTEMPTS; i++) {
		*e = ERR_INIT;
		r = store_put(j->upload->o.store, &req, NULL, &j->upload->o.work->stop, e);
		if (r == 0)
			return 0;
		if (r == STORE_PRECONDITION)
			return check_there(j, e);
		if (r == STORE_CONFLICT) {
			r = err_set(e, ERR_STORE, -EIO, "the store reports conflicting writes");
			continue;
		}
		if (!e->outcome_unknown || work_stopped(j->upload->o.work))
			return r;
		if (is_missing(j, NULL) == 0)
			return 0;
	}
	return r;
}

static void run(void *arg)
{
	struct job *j = arg;
	struct upload *u = j->upload;
	struct err e = ERR_INIT;
	int r = 0;

	if (!u->o.dry_run && !work_stopped(u->o.work)) {
		r = put(j, &e);
		if (r == 0 && u->o.progress)
			atomic_fetch_add(&u->o.progress->bytes_new, j->image.total_bytes);
	}
	if (r < 0) {
		err_key(&e, j->key);
		work_fail(u->o.work, r, &e);
	}
	j->done(j->ctx);
	free(j);
}

int upload_put(struct upload *u, enum key_object kind, const struct object_image *image,
	       upload_done_fn *done, void *ctx, struct err *e)
{
	uint64_t plain_bytes = image->head->plain_bytes;
	struct job *j;
	int r;

	if (kind == KEY_OBJECT_DATA && stored_has(u->o.stored, &image->id, image->total_bytes)) {
		atomic_fetch_add(&u->data_bytes, plain_bytes);
		atomic_fetch_add(&u->stored_bytes, plain_bytes);
		done(ctx);
		return 0;
	}
	j = malloc(sizeof(*j));
	if (!j)
		return err_nomem(e);
	*j = (struct job){ .upload = u, .image = *image, .done = done, .ctx = ctx };
	keys_object(j->key, u->o.where, kind, &u->o.writer, &image->id);
	r = pool_submit(u->pool, run, j);
	if (r < 0) {
		free(j);
		return err_errno(e, r, "cannot start a thread that uploads");
	}
	atomic_fetch_add(&u->objects, 1);
	if (kind == KEY_OBJECT_DATA)
		atomic_fetch_add(&u->data_bytes, plain_bytes);
	return 0;
}

void upload_drain(struct upload *u)
{
	pool_drain(u->pool);
}

uint64_t upload_object_count(const struct upload *u)
{
	return atomic_load(&((struct upload *)(uintptr_t)u)->objects);
}

uint64_t upload_data_bytes(const struct upload *u)
{
	return atomic_load(&((struct upload *)(uintptr_t)u)->data_bytes);
}

uint64_t upload_stored_bytes(const struct upload *u)
{
	return atomic_load(&((struct upload *)(uintptr_t)u)->stored_bytes);
}
