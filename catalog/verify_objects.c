/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/verify_objects.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include "catalog/parallel.h"
#include "catalog/verify_list.h"

/* What is done with an object: read whole; only its head, as it was read before or is not of this slice, but a content whose id is recomputed lies in it; nothing. */
enum fate { FATE_READ, FATE_HEAD, FATE_PASS };

/* A content id that is being recomputed: frames' digests go in in the order of the file; those that come too early wait with their piece. */
struct progressing {
	struct content_hasher *hasher;
	uint32_t next; /* piece of the file */
	bool given_up; /* of another slice, or an object of it is damaged */
};

struct batch {
	struct verify_objects *v;
	const struct plan *p;
	uint8_t *fates;		   /* of the objects: enum fate */
	struct progressing *files; /* lock */
	struct id256 **digests;	   /* of the pieces: waiting; lock */
	pthread_mutex_t lock;
	_Atomic uint64_t objects_checked, bytes_checked, files_checked;
};

static const struct plan_file *file_of(const struct batch *b, const struct plan_piece *piece)
{
	return &b->p->files[piece->file];
}

/* ---- contents ---- */

static uint32_t frames_of(const struct plan_piece *piece)
{
	return (piece->len_bytes + (uint32_t)FORMAT_FRAME_BYTES - 1) / (uint32_t)FORMAT_FRAME_BYTES;
}

static int wrong_content(struct batch *b, const struct plan_file *f, const char *why)
{
	const struct plan_object *x = &b->p->objects[b->p->pieces[f->first_piece].object];
	struct err e = ERR_INIT;
	char key[KEY_BYTES];

	err_set(&e, ERR_CORRUPT, -EBADMSG, "the content of a file is damaged: %s", why);
	keys_object(key, x->node, KEY_OBJECT_DATA, &x->ref.writer, &x->ref.id);
	return verify_find_content(b->v->find, key, &f->content, &e);
}

/* The digests of a piece's frames; NULL in *ret where frames do not begin and end where the piece does. */
static int take_digests(const struct object_head *h, const struct plan_piece *piece,
			struct id256 **ret)
{
	uint32_t i = object_frame_at(h, piece->offset), count = frames_of(piece), left;
	struct id256 *digests = calloc(count, sizeof(*digests));

	if (!digests)
		return -ENOMEM;
	left = piece->len_bytes;
	if (h->frames[i].plain_offset == piece->offset && h->frame_count - i >= count)
		for (uint32_t k = 0; k < count; k++, i++) {
			if (h->frames[i].plain_bytes != MIN_OF(left, (uint32_t)FORMAT_FRAME_BYTES))
				break;
			digests[k] = h->frames[i].sha256;
			left -= h->frames[i].plain_bytes;
		}
	if (left > 0) {
		free(digests);
		digests = NULL;
	}
	*ret = digests;
	return 0;
}

/* The file's content is complete. */
static int conclude(struct batch *b, const struct plan_file *f, struct progressing *g)
{
	struct id256 actual = content_hasher_final(g->hasher);

	content_hasher_free(g->hasher);
	g->hasher = NULL;
	b->files_checked++;
	if (b->v->o->progress)
		b->v->o->progress->files_done++;
	if (memcmp(&actual, &f->content, sizeof(actual)) == 0)
		return 0;
	return wrong_content(b, f, "its content id is not that of its frames");
}

/* Takes in what is waiting, as far as it is in order. */
static int advance(struct batch *b, const struct plan_file *f, struct progressing *g)
{
	if (!g->hasher)
		g->hasher = content_hasher_new(f->size_bytes);
	if (!g->hasher)
		return -ENOMEM;
	while (g->next < f->piece_count && b->digests[f->first_piece + g->next]) {
		uint32_t k = f->first_piece + g->next++;
		uint32_t frames = frames_of(&b->p->pieces[k]);

		for (uint32_t i = 0; i < frames; i++)
			content_hasher_frame(g->hasher, &b->digests[k][i]);
		free(b->digests[k]);
		b->digests[k] = NULL;
	}
	return g->next == f->piece_count ? conclude(b, f, g) : 0;
}

static int deliver(struct batch *b, uint32_t k, struct id256 *digests)
{
	const struct plan_piece *piece = &b->p->pieces[k];
	struct progressing *g = &b->files[piece->file];
	int r = 0;

	pthread_mutex_lock(&b->lock);
	if (g->given_up) {
		free(digests);
	} else {
		b->digests[k] = digests;
		r = advance(b, file_of(b, piece), g);
	}
	pthread_mutex_unlock(&b->lock);
	return r;
}

static void give_up(struct batch *b, const struct plan_piece *piece)
{
	pthread_mutex_lock(&b->lock);
	b->files[piece->file].given_up = true;
	pthread_mutex_unlock(&b->lock);
}

static int check_pieces(struct batch *b, const struct plan_object *x, const struct object_head *h)
{
	int r = 0;

	for (uint32_t k = x->first_piece; k != PLAN_NONE && r == 0; k = b->p->pieces[k].next) {
		const struct plan_piece *piece = &b->p->pieces[k];
		struct id256 *digests;

		r = take_digests(h, piece, &digests);
		if (r == 0 && digests)
			r = deliver(b, k, digests);
		else if (r == 0) {
			give_up(b, piece);
			r = wrong_content(b, file_of(b, piece),
					  "a part of it does not lie where frames begin and end");
		}
	}
	return r;
}

/* ---- objects ---- */

static int read_object(struct batch *b, const struct plan_object *x, unsigned thread,
		       struct object_head **ret, struct err *e)
{
	const struct verify_options *o = b->v->o;
	uint8_t *content = fetchbuf_get(b->v->buffers, thread);

	if (!content)
		return err_nomem(e);
	return source_fetch(o->source, x->node, KEY_OBJECT_DATA, &x->ref, content, NULL, ret,
			    o->cancel, e);
}

static void account(struct batch *b, size_t i)
{
	verify_state_whole(b->v->o->state, &b->p->objects[i].ref);
	b->bytes_checked += b->p->objects[i].ref.plain_bytes;
	if (b->v->o->progress)
		b->v->o->progress->bytes_done += b->p->objects[i].ref.plain_bytes;
}

static int damaged(struct batch *b, const struct plan_object *x, int r, const struct err *e)
{
	r = verify_find_object(b->v->find, x->node, &x->ref, r, e);
	for (uint32_t k = x->first_piece; k != PLAN_NONE && r == 0; k = b->p->pieces[k].next)
		give_up(b, &b->p->pieces[k]);
	return r;
}

static int check_object(void *ctx, size_t i, unsigned thread, struct err *e)
{
	struct batch *b = ctx;
	const struct plan_object *x = &b->p->objects[i];
	const struct verify_options *o = b->v->o;
	_cleanup_(object_head_freep) struct object_head *h = NULL;
	int r;

	if (b->fates[i] == FATE_PASS)
		return 0;
	if (cancel_is_set(o->cancel))
		return err_set(e, ERR_IO, -ECANCELED, "interrupted");
	if (b->fates[i] == FATE_READ)
		r = read_object(b, x, thread, &h, e);
	else
		r = source_head(o->source, x->node, KEY_OBJECT_DATA, &x->ref, &h, o->cancel, e);
	if (b->fates[i] == FATE_READ && (r == 0 || r == -EBADMSG))
		b->objects_checked++;
	if (b->fates[i] == FATE_READ && r == 0)
		account(b, i);
	if (r == -ENOENT || r == -EBADMSG)
		r = damaged(b, x, r, e);
	else if (r == 0)
		r = check_pieces(b, x, h);
	return r == -ENOMEM ? err_nomem(e) : r;
}

/* ---- which of them ---- */

static uint32_t slices(const struct batch *b)
{
	return MAX_OF(b->v->o->slices, 1U);
}

static bool of_this_slice(const struct batch *b, const struct id256 *id)
{
	return slices(b) == 1 || verify_state_slice_of(id, slices(b)) == b->v->o->slice;
}

static bool has_wanted_content(const struct batch *b, const struct plan_object *x)
{
	for (uint32_t k = x->first_piece; k != PLAN_NONE; k = b->p->pieces[k].next)
		if (!b->files[b->p->pieces[k].file].given_up)
			return true;
	return false;
}

/* Whether it is read whole: SEEN_NEW, 0, or -ENOMEM. */
static int is_to_be_read(struct batch *b, const struct object_ref *ref)
{
	struct verify_objects *v = b->v;
	int r = seen_add_object(&v->met, ref);

	if (r == SEEN_NEW)
		v->objects_known++;
	if (r != SEEN_NEW)
		return r;
	if (verify_state_is_whole(v->o->state, ref)) {
		v->objects_continued++;
		return 0;
	}
	return of_this_slice(b, &ref->id) || verify_state_is_suspect(v->o->state, ref);
}

static int choose(struct batch *b, struct err *e)
{
	for (size_t i = 0; i < b->p->file_count; i++)
		b->files[i].given_up = !of_this_slice(b, &b->p->files[i].content);
	for (size_t i = 0; i < b->p->object_count; i++) {
		const struct plan_object *x = &b->p->objects[i];
		int r;

		b->fates[i] = FATE_PASS;
		if (x->grouped)
			continue;
		r = is_to_be_read(b, &x->ref);
		if (r < 0)
			return err_nomem(e);
		if (r == SEEN_NEW)
			b->fates[i] = FATE_READ;
		else if (has_wanted_content(b, x))
			b->fates[i] = FATE_HEAD;
	}
	return 0;
}

/* Inline content was hashed when its run was parsed. */
static void judge_files(struct batch *b)
{
	struct progress *progress = b->v->o->progress;

	for (size_t i = 0; i < b->p->object_count; i++) {
		const struct plan_object *x = &b->p->objects[i];

		if (x->grouped) {
			b->files_checked += x->piece_count;
			if (progress)
				progress->files_done += x->piece_count;
		} else if (b->fates[i] == FATE_READ && progress) {
			progress->bytes_total += x->ref.plain_bytes;
		}
	}
}

static int run(struct batch *b, struct err *e)
{
	int r = choose(b, e);

	if (r < 0)
		return r;
	judge_files(b);
	r = parallel_run("verify", b->v->threads, b->p->object_count, check_object, b, e);
	if (r == 0 && slices(b) > 1)
		r = verify_list_run(b->v, b->p, e);
	b->v->objects_checked += b->objects_checked;
	b->v->bytes_checked += b->bytes_checked;
	b->v->files_checked += b->files_checked;
	return r;
}

static void batch_deinit(struct batch *b)
{
	for (size_t i = 0; i < b->p->file_count && b->files; i++)
		content_hasher_free(b->files[i].hasher);
	for (size_t i = 0; i < b->p->piece_count && b->digests; i++)
		free(b->digests[i]);
	free(b->fates);
	free(b->files);
	free(b->digests);
	pthread_mutex_destroy(&b->lock);
}

int verify_objects_run(struct verify_objects *v, const struct plan *p, struct err *e)
{
	_cleanup_(batch_deinit) struct batch b = { .v = v,
						   .p = p,
						   .lock = PTHREAD_MUTEX_INITIALIZER };

	b.fates = calloc(p->object_count + 1, sizeof(*b.fates));
	b.files = calloc(p->file_count + 1, sizeof(*b.files));
	b.digests = calloc(p->piece_count + 1, sizeof(*b.digests));
	if (!b.fates || !b.files || !b.digests)
		return err_nomem(e);
	return run(&b, e);
}
