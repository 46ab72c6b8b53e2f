/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/verify_objects.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include "catalog/parallel.h"
#include "catalog/verify_list.h"

/* What is done with an object: read whole; only its head, as it was read for an earlier plan; nothing (not in the sample, or damaged). */
enum fate { FATE_READ, FATE_HEAD, FATE_PASS };

/* A content id that is being recomputed: frames' digests go in in the order of the file; those that come too early wait with their piece. */
struct progressing {
	struct content_hasher *hasher;
	uint32_t next; /* piece of the file */
	bool given_up; /* an object of it is not read, or damaged */
};

struct batch {
	struct verify_objects *v;
	const struct plan *p;
	uint8_t *fates;		   /* of the objects: enum fate */
	uint8_t *whole;		   /* of the objects: it was read and is whole */
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
	return source_fetch(o->source, x->node, KEY_OBJECT_DATA, &x->ref, content, ret, o->cancel,
			    e);
}

static void account(struct batch *b, size_t i)
{
	b->whole[i] = true;
	b->bytes_checked += b->p->objects[i].ref.plain_bytes;
	if (b->v->o->progress)
		b->v->o->progress->bytes_done += b->p->objects[i].ref.plain_bytes;
}

static int damaged(struct batch *b, const struct plan_object *x, int r, const struct err *e)
{
	char key[KEY_BYTES];

	keys_object(key, x->node, KEY_OBJECT_DATA, &x->ref.writer, &x->ref.id);
	r = verify_find_object(b->v->find, key, &x->ref, r, e);
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

/* Draws which of `count` objects are read: exactly the wished share of them, rounded up, each as likely as the others. */
struct draw {
	const struct clock *clock;
	size_t left, wanted;
};

static bool drawn(struct draw *d)
{
	uint64_t random;
	bool yes;

	clock_random(d->clock, &random, sizeof(random));
	yes = random % d->left < d->wanted;
	d->left--;
	d->wanted -= yes;
	return yes;
}

static size_t sample_size(size_t count, double percent)
{
	double wanted = (double)count * percent / 100.0;
	size_t whole = (size_t)wanted;

	return MIN_OF(count, whole + ((double)whole < wanted));
}

static int choose(struct batch *b, struct err *e)
{
	struct verify_objects *v = b->v;
	struct draw d = { .clock = repo_clock(v->o->repo) };
	int r;

	for (size_t i = 0; i < b->p->object_count; i++) {
		const struct object_ref *ref = &b->p->objects[i].ref;

		b->fates[i] = FATE_PASS;
		if (b->p->objects[i].grouped)
			continue;
		if (seen_has_object(&v->checked, ref)) {
			b->fates[i] = FATE_HEAD;
			continue;
		}
		r = seen_add_object(&v->met, ref);
		if (r < 0)
			return err_nomem(e);
		if (r == SEEN_NEW) {
			b->fates[i] = FATE_READ;
			v->objects_known++;
			d.left++;
		}
	}
	d.wanted = sample_size(d.left, v->o->sample_percent);
	for (size_t i = 0; i < b->p->object_count; i++)
		if (b->fates[i] == FATE_READ && !drawn(&d))
			b->fates[i] = FATE_PASS;
	return 0;
}

/* Files that cannot be recomputed; inline content was hashed when its run was parsed. */
static void judge_files(struct batch *b)
{
	const struct progress *progress = b->v->o->progress;

	for (size_t i = 0; i < b->p->object_count; i++) {
		const struct plan_object *x = &b->p->objects[i];

		if (x->grouped) {
			b->files_checked += x->piece_count;
			if (progress)
				b->v->o->progress->files_done += x->piece_count;
		} else if (b->fates[i] == FATE_PASS) {
			for (uint32_t k = x->first_piece; k != PLAN_NONE; k = b->p->pieces[k].next)
				b->files[b->p->pieces[k].file].given_up = true;
		} else if (b->fates[i] == FATE_READ && progress) {
			b->v->o->progress->bytes_total += x->ref.plain_bytes;
		}
	}
}

static int remember_checked(struct batch *b, struct err *e)
{
	for (size_t i = 0; i < b->p->object_count; i++)
		if (b->whole[i] && seen_add_object(&b->v->checked, &b->p->objects[i].ref) < 0)
			return err_nomem(e);
	return 0;
}

static int run(struct batch *b, struct err *e)
{
	int r = choose(b, e);

	if (r < 0)
		return r;
	judge_files(b);
	r = parallel_run("verify", b->v->threads, b->p->object_count, check_object, b, e);
	if (r == 0)
		r = remember_checked(b, e);
	if (r == 0 && b->v->o->sample_percent < 100)
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
	free(b->whole);
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
	b.whole = calloc(p->object_count + 1, sizeof(*b.whole));
	b.files = calloc(p->file_count + 1, sizeof(*b.files));
	b.digests = calloc(p->piece_count + 1, sizeof(*b.digests));
	if (!b.fates || !b.whole || !b.files || !b.digests)
		return err_nomem(e);
	return run(&b, e);
}
