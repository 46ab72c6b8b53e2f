/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/component.h"
#include "catalog/ingest_private.h"

struct item *item_new(struct ingest *in, size_t file, uint64_t offset, uint32_t len)
{
	_cleanup_(item_freep) struct item *it = calloc(1, sizeof(*it));

	if (!it)
		return NULL;
	it->in = in;
	it->file = file;
	it->offset = offset;
	it->len = len;
	it->own = len >= FORMAT_OWN_OBJECT_BYTES;
	it->wants_crc = component_is(in->o.snapshot->files[file].name, "Data.db");
	it->digests = calloc(len / FORMAT_FRAME_BYTES + 1, sizeof(*it->digests));
	if (!it->own)
		it->small = malloc(len + 1);
	if (!it->digests || (!it->own && !it->small))
		return NULL;
	return steal_pointer(&it);
}

void item_free(struct item *it)
{
	if (it->large)
		buffers_give(it->large);
	content_unref(it->content);
	free(it->small);
	free(it->digests);
	free(it);
}

static void on_sent(void *ctx)
{
	buffers_give(ctx);
}

/* The piece as an object: there already, or sent. The buffer is handed over either way. */
static int store_piece(struct item *it, struct err *e)
{
	struct buffer *b = it->large;
	struct object_image image;
	uint32_t offset;
	int r;

	object_builder_reset(b->builder);
	r = object_builder_add(b->builder, b->data, it->len, true, it->digests, &offset, e);
	if (r == 0)
		r = object_builder_finish(b->builder, &image, e);
	if (r < 0)
		return r;
	it->ref = packer_ref(&image, &it->in->o.writer);
	r = known_claim(it->in->o.known, &it->ref);
	if (r < 0)
		return err_nomem(e);
	if (r == KNOWN_THERE)
		return 0;
	r = upload_put(it->in->o.upload, KEY_OBJECT_DATA, &image, on_sent, b, e);
	if (r == 0)
		it->large = NULL;
	return r;
}

int item_process(struct item *it, struct err *e)
{
	struct ingest *in = it->in;
	_cleanup_free_ char *path = snapshot_source(&in->o.snapshot->files[it->file]);
	void *data = it->own ? it->large->data : it->small;
	int r = path ? piece_read(path, it->expected, it->offset, data, it->len, it->digests,
				  it->wants_crc ? &it->crc : NULL, &in->o.work->stop, e)
		     : err_nomem(e);

	if (r == 0 && it->own)
		r = store_piece(it, e);
	if (it->large) {
		buffers_give(it->large);
		it->large = NULL;
	}
	if (r == 0 && in->o.progress)
		atomic_fetch_add(&in->o.progress->bytes_done, it->len);
	return r;
}

void item_run(void *arg)
{
	struct item *it = arg;
	struct work *work = it->in->o.work;
	struct err e = ERR_INIT;
	int r = item_process(it, &e);

	if (r < 0)
		work_fail(work, r, &e);
	pthread_mutex_lock(&work->lock);
	it->result = r;
	it->done = true;
	if (it->rings)
		work_ring(work);
	pthread_mutex_unlock(&work->lock);
}
