/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/source.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include "base/pool.h"
#include "catalog/decoder.h"
#include "catalog/intake.h"
#include "catalog/keep.h"

#define HEADS_BYTES (4 * MIB) /* of kept heads */
#define HEAD_THREADS 16	      /* heads asked for beside their frames */

struct source {
	struct store *store;
	struct decoder *decoder;
	struct keep *heads; /* struct object_head */
	struct pool *pool;
	struct metric *rereads, *damaged, *missing;
};

/* One object, as every step below needs it. */
struct subject {
	struct source *s;
	const struct object_ref *ref;
	struct keep_key kept;
	char key[KEY_BYTES];
	const struct cancel *c;
};

static void free_head(void *head)
{
	object_head_free(head);
}

struct source *source_new(struct store *store, enum object_verify how, struct metrics *m)
{
	struct source *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->store = store;
	s->decoder = decoder_new(how);
	s->heads = keep_new(HEADS_BYTES, free_head);
	s->pool = pool_new("source-head", HEAD_THREADS);
	if (!s->decoder || !s->heads || !s->pool) {
		source_free(s);
		return NULL;
	}
	if (m) {
		s->rereads = metrics_counter(
			m, "source_reread",
			"objects read again because they did not fit their digests");
		s->damaged = metrics_counter(m, "source_damaged",
					     "reads that failed because an object is damaged");
		s->missing = metrics_counter(m, "source_missing",
					     "reads that failed because an object is missing");
	}
	return s;
}

void source_free(struct source *s)
{
	if (!s)
		return;
	pool_free(s->pool);
	keep_free(s->heads);
	decoder_free(s->decoder);
	free(s);
}

/* ---- one request ---- */

static int corrupt(const struct subject *u, struct err *e, const char *why)
{
	err_set(e, ERR_CORRUPT, -EBADMSG, "the object is damaged: %s", why);
	err_key(e, u->key);
	return -EBADMSG;
}

/* A damaged object keeps its code whatever layer noticed it; everything else is forwarded. */
static int classify(const struct subject *u, int r, struct err *e)
{
	if (r == STORE_NOT_FOUND) {
		err_set(e, ERR_CORRUPT, -ENOENT, "the object is missing");
		r = -ENOENT;
	} else if (e->kind == ERR_CORRUPT) {
		e->code = r = -EBADMSG;
	}
	err_key(e, u->key);
	return r;
}

static int get(const struct subject *u, struct store_get *req, uint64_t *ret_size, struct err *e)
{
	struct store_meta meta;
	int r;

	req->key = u->key;
	r = store_get(u->s->store, req, &meta, u->c, e);
	if (r != 0)
		return classify(u, r, e);
	*ret_size = meta.size_bytes;
	return 0;
}

/* The parsed head, which must be as the reference says. */
static int parse_head(const struct subject *u, const void *head, struct object_head **ret,
		      struct err *e)
{
	_cleanup_(object_head_freep) struct object_head *h = NULL;
	int r = object_head_parse(head, u->ref->head_bytes, &u->ref->id, &h, e);

	if (r < 0) {
		err_key(e, u->key);
		return r;
	}
	if (h->plain_bytes != u->ref->plain_bytes || h->flags != u->ref->flags)
		return corrupt(u, e, "its head is not what refers to it says");
	*ret = steal_pointer(&h);
	return 0;
}

/* Heads come from the tables of others: their sizes are checked before any memory is written by them. */
static int check_ref(const struct subject *u, struct err *e)
{
	const struct object_ref *ref = u->ref;

	if (ref->head_bytes < FORMAT_HEAD_FIXED_BYTES + FORMAT_HEAD_FRAME_BYTES ||
	    ref->head_bytes > FORMAT_HEAD_MAX_BYTES || ref->plain_bytes < 1 ||
	    ref->plain_bytes > FORMAT_OBJECT_BYTES)
		return corrupt(u, e, "the sizes in a reference to it are out of range");
	return 0;
}

static int finish_intake(const struct subject *u, struct intake *in, struct err *e)
{
	int r = intake_finish(in, e);

	if (r < 0)
		err_key(e, u->key);
	return r;
}

static int get_frames(const struct subject *u, uint32_t stored_offset, uint32_t stored_bytes,
		      void *dst, void (*progress)(void *, size_t), void *ctx, struct err *e)
{
	struct store_get req = { .offset = (uint64_t)u->ref->head_bytes + stored_offset,
				 .len_bytes = stored_bytes,
				 .dst = dst,
				 .cap_bytes = stored_bytes,
				 .progress = progress,
				 .progress_ctx = ctx };
	uint64_t size;

	return get(u, &req, &size, e);
}

static void frames_arrived(void *ctx, size_t done)
{
	intake_arrived(ctx, done);
}

/* Frames from the first one that is not right yet; there is one. */
static int get_rest(const struct subject *u, struct intake *in, struct err *e)
{
	const struct object_frame *first = &in->head->frames[in->next];
	const struct object_frame *last = &in->head->frames[in->end - 1];
	uint32_t stored_end = last->stored_offset + last->stored_bytes;
	int r;

	intake_begin(in, in->head, in->next, in->end);
	r = get_frames(u, first->stored_offset, stored_end - first->stored_offset,
		       in->content + first->plain_offset, frames_arrived, in, e);
	return r < 0 ? r : finish_intake(u, in, e);
}

/* ---- the whole object ---- */

struct whole {
	const struct subject *u;
	struct intake intake;
	struct object_head *head; /* NULL: not there yet */
	int head_r;
	struct err head_error;
};

static int take_head(struct whole *w, struct err *e)
{
	int r = parse_head(w->u, w->intake.content - w->u->ref->head_bytes, &w->head, e);

	if (r == 0)
		intake_begin(&w->intake, w->head, 0, w->head->frame_count);
	return r;
}

static void whole_arrived(void *ctx, size_t done)
{
	struct whole *w = ctx;
	uint32_t head_bytes = w->u->ref->head_bytes;

	if (!w->head && w->head_r == 0 && done >= head_bytes)
		w->head_r = take_head(w, &w->head_error);
	if (w->head)
		intake_arrived(&w->intake, done - head_bytes);
}

static int fetch_all(struct whole *w, struct err *e)
{
	const struct object_ref *ref = w->u->ref;
	struct store_get req = { .whole = true,
				 .dst = w->intake.content - ref->head_bytes,
				 .expected_bytes = (uint64_t)ref->head_bytes + ref->plain_bytes,
				 .cap_bytes = (size_t)ref->head_bytes + ref->plain_bytes };
	uint64_t size;
	int r;

	w->head_r = 0;
	if (ref->flags & OBJECT_RAW) {
		req.progress = whole_arrived;
		req.progress_ctx = w;
	}
	r = get(w->u, &req, &size, e);
	if (r < 0)
		return r;
	if (size < ref->head_bytes)
		return corrupt(w->u, e, "it is cut short");
	if (w->head_r < 0) {
		*e = w->head_error;
		return w->head_r;
	}
	if (!w->head)
		r = take_head(w, e);
	if (r == 0 && size != (uint64_t)ref->head_bytes + w->head->stored_bytes)
		r = corrupt(w->u, e, "its length is not that of its head and frames");
	return r < 0 ? r : finish_intake(w->u, &w->intake, e);
}

/* Once more. What somebody was told of stays as it is. */
static int fetch_again(struct whole *w, struct err *e)
{
	if (w->head && w->intake.next == w->intake.end)
		return corrupt(w->u, e, "its length is not that of its head and frames");
	if (w->head && w->intake.next > 0)
		return get_rest(w->u, &w->intake, e);
	object_head_free(steal_pointer(&w->head));
	return fetch_all(w, e);
}

/* ---- heads ---- */

static size_t head_memory(const struct object_head *h)
{
	return sizeof(*h) + h->frame_count * sizeof(h->frames[0]);
}

static struct object_head *head_dup(const struct object_head *h)
{
	struct object_head *copy = malloc(head_memory(h));

	if (copy)
		memcpy(copy, h, head_memory(h));
	return copy;
}

static int fetch_head(const struct subject *u, struct object_head **ret, struct err *e)
{
	_cleanup_free_ uint8_t *head = malloc(u->ref->head_bytes);
	struct store_get req = { .len_bytes = u->ref->head_bytes,
				 .dst = head,
				 .cap_bytes = u->ref->head_bytes };
	uint64_t size;
	int r;

	if (!head)
		return err_nomem(e);
	r = get(u, &req, &size, e);
	if (r < 0)
		return r;
	return parse_head(u, head, ret, e);
}

/* The head, held among the kept ones: asked for once however many threads want it. */
static int hold_head(const struct subject *u, struct keep_item **ret, struct err *e)
{
	struct object_head *h;
	struct keep_item *item;
	int r = keep_claim(u->s->heads, &u->kept, &item, u->c, e);

	if (r == KEEP_CLAIMED) {
		r = fetch_head(u, &h, e);
		if (r < 0)
			keep_fail(u->s->heads, item, r, e);
		else
			keep_fill(u->s->heads, item, h, head_memory(h));
	}
	if (r < 0)
		return r;
	*ret = item;
	return 0;
}

/* ---- a range ---- */

/* A head that is asked for by another thread while this one asks for the frames. */
struct head_job {
	const struct subject *u;
	struct keep_item *item;
	int r;
	struct err error;
	pthread_mutex_t lock;
	pthread_cond_t done_changed;
	bool done;
};

static void run_head_job(void *arg)
{
	struct head_job *job = arg;

	job->r = hold_head(job->u, &job->item, &job->error);
	pthread_mutex_lock(&job->lock);
	job->done = true;
	pthread_cond_signal(&job->done_changed);
	pthread_mutex_unlock(&job->lock);
}

static int await_head_job(struct head_job *job, struct keep_item **ret, struct err *e)
{
	pthread_mutex_lock(&job->lock);
	while (!job->done)
		pthread_cond_wait(&job->done_changed, &job->lock);
	pthread_mutex_unlock(&job->lock);
	if (job->r < 0) {
		*e = job->error;
		return job->r;
	}
	*ret = job->item;
	return 0;
}

/* The frames that cover [offset, offset + len). */
static void begin_range(struct intake *in, const struct object_head *h, uint32_t offset,
			uint32_t len_bytes)
{
	intake_begin(in, h, object_frame_at(h, offset),
		     object_frame_at(h, offset + len_bytes - 1) + 1);
}

/* A range of an object that is raw and uniform, and its head at the same time. */
struct beside {
	struct head_job job;
	struct intake *intake;
	uint32_t offset, len_bytes;
	struct keep_item *head;
};

static void beside_arrived(void *ctx, size_t done)
{
	struct beside *b = ctx;
	bool is_there;

	if (!b->head) {
		pthread_mutex_lock(&b->job.lock);
		is_there = b->job.done && b->job.r == 0;
		pthread_mutex_unlock(&b->job.lock);
		if (!is_there)
			return;
		b->head = b->job.item;
		begin_range(b->intake, keep_value(b->head), b->offset, b->len_bytes);
	}
	intake_arrived(b->intake, done);
}

/* Where the frames lie is known without the head. */
static int fetch_beside_head(const struct subject *u, struct intake *in, uint32_t offset,
			     uint32_t len_bytes, struct keep_item **ret_head, struct err *e)
{
	uint32_t frame = FORMAT_FRAME_BYTES, start = offset / frame * frame;
	uint32_t end =
		MIN_OF((offset + len_bytes + frame - 1) / frame * frame, u->ref->plain_bytes);
	struct beside b = { .job = { .u = u,
				     .lock = PTHREAD_MUTEX_INITIALIZER,
				     .done_changed = PTHREAD_COND_INITIALIZER },
			    .intake = in,
			    .offset = offset,
			    .len_bytes = len_bytes };
	struct err head_error = ERR_INIT;
	int r, head_r;

	if (pool_submit(u->s->pool, run_head_job, &b.job) < 0)
		run_head_job(&b.job);
	r = get_frames(u, start, end - start, in->content + start, beside_arrived, &b, e);
	head_r = await_head_job(&b.job, ret_head, &head_error);
	if (r == 0 && head_r < 0) {
		*e = head_error;
		r = head_r;
	}
	if (r < 0)
		return r;
	if (!b.head)
		begin_range(in, keep_value(*ret_head), offset, len_bytes);
	return finish_intake(u, in, e);
}

struct range {
	const struct subject *u;
	uint32_t offset, len_bytes;
	struct intake intake;
	struct keep_item *head; /* NULL: not there yet */
};

static int fetch_range(struct range *range, struct err *e)
{
	struct keep *heads = range->u->s->heads;
	struct intake *in = &range->intake;
	int r = 0;

	if (!range->head)
		range->head = keep_find(heads, &range->u->kept);
	if (!range->head && range->u->ref->flags == (OBJECT_RAW | OBJECT_UNIFORM))
		return fetch_beside_head(range->u, in, range->offset, range->len_bytes,
					 &range->head, e);
	if (!range->head)
		r = hold_head(range->u, &range->head, e);
	if (r < 0)
		return r;
	if (!in->head)
		begin_range(in, keep_value(range->head), range->offset, range->len_bytes);
	return in->next < in->end ? get_rest(range->u, in, e) : 0;
}

/* ---- the interface ---- */

static void subject_init(struct subject *u, struct source *s, const struct node_name *n,
			 enum key_object kind, const struct object_ref *ref, const struct cancel *c)
{
	u->s = s;
	u->ref = ref;
	u->kept = (struct keep_key){ .writer = ref->writer, .id = ref->id };
	u->c = c;
	keys_object(u->key, n, kind, &ref->writer, &ref->id);
}

/* A bit that was flipped on the way is no damage at rest: everything that does not fit is asked for once more. */
static bool read_again(struct source *s, int r, unsigned *attempts)
{
	if (r != -EBADMSG || (*attempts)++ > 0)
		return false;
	metric_add(s->rereads, 1);
	return true;
}

static int end(struct source *s, int r, const struct err *mine, struct err *e)
{
	if (r == -EBADMSG)
		metric_add(s->damaged, 1);
	if (r == -ENOENT)
		metric_add(s->missing, 1);
	if (r < 0 && e)
		*e = *mine;
	return r;
}

int source_fetch(struct source *s, const struct node_name *n, enum key_object kind,
		 const struct object_ref *ref, void *dst, const struct source_listener *listener,
		 struct object_head **ret_head, const struct cancel *c, struct err *e)
{
	struct err mine = ERR_INIT;
	struct subject u;
	struct whole w = {
		.u = &u, .intake = { .decoder = s->decoder, .content = dst, .listener = listener }
	};
	unsigned attempts = 0;
	int r;

	subject_init(&u, s, n, kind, ref, c);
	r = check_ref(&u, &mine);
	if (r < 0)
		return end(s, r, &mine, e);
	r = fetch_all(&w, &mine);
	while (read_again(s, r, &attempts)) {
		mine = ERR_INIT;
		r = fetch_again(&w, &mine);
	}
	if (r == 0 && ret_head)
		*ret_head = w.head;
	else if (r == 0 && (w.head->flags & OBJECT_UNIFORM))
		keep_add(s->heads, &u.kept, w.head,
			 head_memory(w.head)); /* ranges of it may be asked for */
	else
		object_head_free(w.head);
	return end(s, r, &mine, e);
}

int source_fetch_range(struct source *s, const struct node_name *n, enum key_object kind,
		       const struct object_ref *ref, uint32_t offset, uint32_t len_bytes, void *dst,
		       const struct source_listener *listener, uint32_t *ret_start,
		       uint32_t *ret_end, const struct cancel *c, struct err *e)
{
	struct err mine = ERR_INIT;
	struct subject u;
	struct range range = {
		.u = &u,
		.offset = offset,
		.len_bytes = len_bytes,
		.intake = { .decoder = s->decoder, .content = dst, .listener = listener }
	};
	unsigned attempts = 0;
	int r;

	subject_init(&u, s, n, kind, ref, c);
	r = check_ref(&u, &mine);
	if (r == 0 &&
	    (len_bytes == 0 || offset > ref->plain_bytes || len_bytes > ref->plain_bytes - offset))
		r = corrupt(&u, &mine, "more is asked of it than it holds");
	if (r < 0)
		return end(s, r, &mine, e);
	do {
		mine = ERR_INIT;
		r = fetch_range(&range, &mine);
	} while (read_again(s, r, &attempts));
	if (r == 0) {
		const struct object_head *h = keep_value(range.head);
		const struct object_frame *last =
			&h->frames[object_frame_at(h, offset + len_bytes - 1)];

		*ret_start = h->frames[object_frame_at(h, offset)].plain_offset;
		*ret_end = last->plain_offset + last->plain_bytes;
	}
	keep_release(s->heads, range.head);
	return end(s, r, &mine, e);
}

int source_head(struct source *s, const struct node_name *n, enum key_object kind,
		const struct object_ref *ref, struct object_head **ret, const struct cancel *c,
		struct err *e)
{
	struct err mine = ERR_INIT;
	struct keep_item *item = NULL;
	unsigned attempts = 0;
	struct subject u;
	int r;

	subject_init(&u, s, n, kind, ref, c);
	r = check_ref(&u, &mine);
	if (r < 0)
		return end(s, r, &mine, e);
	do {
		mine = ERR_INIT;
		r = hold_head(&u, &item, &mine);
	} while (read_again(s, r, &attempts));
	if (r == 0) {
		struct object_head *copy = head_dup(keep_value(item));

		if (copy)
			*ret = copy;
		else
			r = err_nomem(&mine);
		keep_release(s->heads, item);
	}
	return end(s, r, &mine, e);
}

int source_fetch_place(struct source *s, const struct node_name *n, const struct place *p,
		       void **ret_data, size_t *ret_len, const struct cancel *c, struct err *e)
{
	const struct extent *x = &p->extent;
	_cleanup_free_ uint8_t *buffer = NULL;
	struct id256 actual;
	struct subject u;
	uint8_t *data;
	int r;

	subject_init(&u, s, n, KEY_OBJECT_META, &x->object, c);
	if (x->object.plain_bytes > FORMAT_OBJECT_BYTES || x->offset > x->object.plain_bytes ||
	    x->len_bytes > x->object.plain_bytes - x->offset)
		return corrupt(&u, e, "more is asked of it than it holds");
	buffer = malloc(SOURCE_HEADROOM + x->object.plain_bytes);
	if (!buffer)
		return err_nomem(e);
	r = source_fetch(s, n, KEY_OBJECT_META, &x->object, buffer + SOURCE_HEADROOM, NULL, NULL, c,
			 e);
	if (r < 0)
		return r;
	data = buffer + SOURCE_HEADROOM + x->offset;
	actual = content_id(data, x->len_bytes);
	if (memcmp(&actual, &p->digest, sizeof(actual)) != 0)
		return corrupt(&u, e, "what lies in it is not what refers to it says");
	memmove(buffer, data, x->len_bytes);
	*ret_data = steal_pointer(&buffer);
	*ret_len = x->len_bytes;
	return 0;
}
