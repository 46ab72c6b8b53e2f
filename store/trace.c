/* SPDX-License-Identifier: Apache-2.0 */
#include <stdatomic.h>
#include "store/wrap.h"

enum method { PUT, GET, HEAD, LIST, DELETE_MANY, METHODS };
enum outcome { OK, NOT_FOUND, PRECONDITION, CONFLICT, ERROR, OUTCOMES };

struct trace_store {
	struct store store;
	struct store *below;
	const struct clock *clock;
	struct metric *requests[METHODS][OUTCOMES], *microseconds[METHODS];
	struct metric *metric_in, *metric_out;
	_Atomic uint64_t counts[METHODS], bytes_in, bytes_out, errors;
};

static struct trace_store *trace_of(struct store *s)
{
	return (struct trace_store *)s;
}

static enum outcome outcome_of(int r)
{
	switch (r) {
	case 0:
		return OK;
	case STORE_NOT_FOUND:
		return NOT_FOUND;
	case STORE_PRECONDITION:
		return PRECONDITION;
	case STORE_CONFLICT:
		return CONFLICT;
	default:
		return ERROR;
	}
}

/* A call that ended with r, and that was `requests` requests. Returns r. */
static int note(struct trace_store *t, enum method m, int64_t start_ns, uint64_t requests, int r)
{
	int64_t ns = clock_elapsed_ns(t->clock) - start_ns;

	atomic_fetch_add(&t->counts[m], requests);
	if (r < 0)
		atomic_fetch_add(&t->errors, 1);
	metric_add(t->requests[m][outcome_of(r)], requests);
	metric_add(t->microseconds[m], (uint64_t)MAX_OF(ns, 0) / 1000);
	return r;
}

static int trace_put(struct store *s, const struct store_put *req, struct store_meta *ret,
		     const struct cancel *c, struct err *e)
{
	struct trace_store *t = trace_of(s);
	int64_t start_ns = clock_elapsed_ns(t->clock);
	uint64_t bytes = 0;

	for (int i = 0; i < req->body_count; i++)
		bytes += req->body[i].iov_len;
	atomic_fetch_add(&t->bytes_out, bytes);
	metric_add(t->metric_out, bytes);
	return note(t, PUT, start_ns, 1, t->below->ops->put(t->below, req, ret, c, e));
}

static int trace_get(struct store *s, const struct store_get *req, struct store_meta *ret,
		     const struct cancel *c, struct err *e)
{
	struct trace_store *t = trace_of(s);
	int64_t start_ns = clock_elapsed_ns(t->clock);
	int r = t->below->ops->get(t->below, req, ret, c, e);

	if (r == 0) {
		uint64_t bytes = req->whole ? ret->size_bytes : req->len_bytes;

		atomic_fetch_add(&t->bytes_in, bytes);
		metric_add(t->metric_in, bytes);
	}
	return note(t, GET, start_ns, 1, r);
}

static int trace_head(struct store *s, const char *key, struct store_meta *ret,
		      const struct cancel *c, struct err *e)
{
	struct trace_store *t = trace_of(s);
	int64_t start_ns = clock_elapsed_ns(t->clock);

	return note(t, HEAD, start_ns, 1, t->below->ops->head(t->below, key, ret, c, e));
}

struct counted_list {
	const struct store_list *req;
	uint64_t entries;
};

static int count_entry(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct counted_list *l = ctx;

	l->entries++;
	return l->req->entry(l->req->ctx, entry, e);
}

static int trace_list(struct store *s, const struct store_list *req, const struct cancel *c,
		      struct err *e)
{
	struct trace_store *t = trace_of(s);
	int64_t start_ns = clock_elapsed_ns(t->clock);
	struct counted_list l = { .req = req };
	struct store_list counted = *req;
	uint64_t pages;
	int r;

	counted.entry = count_entry;
	counted.ctx = &l;
	r = t->below->ops->list(t->below, &counted, c, e);
	pages = l.entries > 0 ? (l.entries - 1) / STORE_LIST_PAGE + 1 : 1;
	return note(t, LIST, start_ns, pages, r);
}

static int trace_delete_many(struct store *s, const char *const *keys, size_t count,
			     struct store_delete_error *errors, size_t *ret_error_count,
			     const struct cancel *c, struct err *e)
{
	struct trace_store *t = trace_of(s);
	int64_t start_ns = clock_elapsed_ns(t->clock);

	return note(t, DELETE_MANY, start_ns, 1,
		    t->below->ops->delete_many(t->below, keys, count, errors, ret_error_count, c,
					       e));
}

static unsigned trace_caps(struct store *s)
{
	return store_caps(trace_of(s)->below);
}

static void trace_free(struct store *s)
{
	store_free(trace_of(s)->below);
	free(s);
}

static const struct store_ops trace_ops = {
	.name = "trace",
	.put = trace_put,
	.get = trace_get,
	.head = trace_head,
	.list = trace_list,
	.delete_many = trace_delete_many,
	.caps = trace_caps,
	.free = trace_free,
};

#define REQUESTS(method, outcome) \
	"store_requests_total{method=\"" method "\",outcome=\"" outcome "\"}"
#define OUTCOMES_OF(method)                                                             \
	{                                                                               \
		REQUESTS(method, "ok"), REQUESTS(method, "not_found"),                  \
			REQUESTS(method, "precondition"), REQUESTS(method, "conflict"), \
			REQUESTS(method, "error")                                       \
	}
#define TIME_OF(method) "store_request_microseconds_total{method=\"" method "\"}"

static const char *const request_names[METHODS][OUTCOMES] = {
	OUTCOMES_OF("put"),  OUTCOMES_OF("get"),	 OUTCOMES_OF("head"),
	OUTCOMES_OF("list"), OUTCOMES_OF("delete_many"),
};
static const char *const time_names[METHODS] = {
	TIME_OF("put"), TIME_OF("get"), TIME_OF("head"), TIME_OF("list"), TIME_OF("delete_many"),
};

static void name_counters(struct trace_store *t, struct metrics *metrics)
{
	for (int m = 0; m < METHODS; m++) {
		for (int o = 0; o < OUTCOMES; o++)
			t->requests[m][o] = metrics_counter(metrics, request_names[m][o],
							    "Requests to the object store");
		t->microseconds[m] = metrics_counter(metrics, time_names[m],
						     "Time spent in requests, all threads");
	}
	t->metric_in = metrics_counter(metrics, "store_bytes_total{direction=\"in\"}",
				       "Bytes of objects got and put");
	t->metric_out = metrics_counter(metrics, "store_bytes_total{direction=\"out\"}", NULL);
}

struct store *trace_store_new(struct store *below, const struct clock *clock,
			      struct metrics *metrics)
{
	struct trace_store *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->store.ops = &trace_ops;
	t->below = below;
	t->clock = clock;
	if (metrics)
		name_counters(t, metrics);
	return &t->store;
}

void trace_store_counts(struct store *trace, struct trace_counts *ret)
{
	struct trace_store *t = trace_of(trace);

	*ret = (struct trace_counts){
		.put = atomic_load(&t->counts[PUT]),
		.get = atomic_load(&t->counts[GET]),
		.head = atomic_load(&t->counts[HEAD]),
		.list = atomic_load(&t->counts[LIST]),
		.delete_many = atomic_load(&t->counts[DELETE_MANY]),
		.bytes_in = atomic_load(&t->bytes_in),
		.bytes_out = atomic_load(&t->bytes_out),
		.errors = atomic_load(&t->errors),
	};
}
