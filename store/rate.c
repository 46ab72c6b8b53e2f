/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <time.h>
#include "store/wrap.h"

#define NS_PER_S 1000000000LL
#define IDLE_CREDIT_NS NS_PER_S
#define SLICE_NS 50000000LL /* slept between two looks at cancel */

struct rate_store {
	struct store store;
	struct store *below;
	const struct clock *clock;
	pthread_mutex_t lock; /* protects line */
	struct rate_line line;
};

static struct rate_store *rate_of(struct store *s)
{
	return (struct rate_store *)s;
}

static int64_t cost_ns(const struct rate_line *line, int64_t bytes)
{
	__int128 cost = (__int128)bytes * NS_PER_S / (int64_t)line->bytes_per_second;

	return (int64_t)MIN_OF(cost, (__int128)(INT64_MAX / 2 - MAX_OF(line->free_ns, 0)));
}

int64_t rate_line_reserve(struct rate_line *line, int64_t now_ns, uint64_t bytes)
{
	line->free_ns = MAX_OF(line->free_ns, now_ns - IDLE_CREDIT_NS);
	line->free_ns += cost_ns(line, (int64_t)MIN_OF(bytes, (uint64_t)INT64_MAX));
	return line->free_ns;
}

void rate_line_move(struct rate_line *line, int64_t bytes)
{
	int64_t by_ns = cost_ns(line, bytes);

	line->free_ns += by_ns;
	line->moved_ns += by_ns;
}

/* A place in the line. */
struct ticket {
	int64_t due_ns, moved_ns;
};

static struct ticket reserve(struct rate_store *t, uint64_t bytes)
{
	struct ticket ticket;

	pthread_mutex_lock(&t->lock);
	ticket.due_ns = rate_line_reserve(&t->line, clock_elapsed_ns(t->clock), bytes);
	ticket.moved_ns = t->line.moved_ns;
	pthread_mutex_unlock(&t->lock);
	return ticket;
}

static void move(struct rate_store *t, int64_t bytes)
{
	pthread_mutex_lock(&t->lock);
	rate_line_move(&t->line, bytes);
	pthread_mutex_unlock(&t->lock);
}

static int64_t left_ns(struct rate_store *t, const struct ticket *ticket)
{
	int64_t moved_ns;

	pthread_mutex_lock(&t->lock);
	moved_ns = t->line.moved_ns - ticket->moved_ns;
	pthread_mutex_unlock(&t->lock);
	return ticket->due_ns + moved_ns - clock_elapsed_ns(t->clock);
}

static bool wait_for(struct rate_store *t, const struct ticket *ticket, const struct cancel *c)
{
	for (;;) {
		int64_t left = left_ns(t, ticket);
		struct timespec slice = { .tv_nsec = MIN_OF(left, SLICE_NS) };

		if (cancel_is_set(c))
			return false;
		if (left <= 0)
			return true;
		nanosleep(&slice, NULL);
	}
}

/* Reserves and waits. Who gives up gives back. */
static int enter(struct rate_store *t, uint64_t bytes, const struct cancel *c, struct err *e)
{
	struct ticket ticket = reserve(t, bytes);

	if (wait_for(t, &ticket, c))
		return 0;
	move(t, -(int64_t)bytes);
	return err_set(e, ERR_IO, -ECANCELED, "interrupted");
}

static int rate_put(struct store *s, const struct store_put *req, struct store_meta *ret,
		    const struct cancel *c, struct err *e)
{
	struct rate_store *t = rate_of(s);
	uint64_t bytes = 0;
	int r;

	for (int i = 0; i < req->body_count; i++)
		bytes += req->body[i].iov_len;
	r = enter(t, bytes, c, e);
	return r < 0 ? r : t->below->ops->put(t->below, req, ret, c, e);
}

static int rate_get(struct store *s, const struct store_get *req, struct store_meta *ret,
		    const struct cancel *c, struct err *e)
{
	struct rate_store *t = rate_of(s);
	uint64_t expected = req->whole ? req->expected_bytes : req->len_bytes;
	int r = enter(t, expected, c, e);

	if (r < 0)
		return r;
	r = t->below->ops->get(t->below, req, ret, c, e);
	if (r == 0 && req->whole)
		move(t, (int64_t)ret->size_bytes - (int64_t)expected);
	else if (r > 0 && expected > 0)
		move(t, -(int64_t)expected);
	return r;
}

static int rate_head(struct store *s, const char *key, struct store_meta *ret,
		     const struct cancel *c, struct err *e)
{
	struct store *below = rate_of(s)->below;

	return below->ops->head(below, key, ret, c, e);
}

static int rate_list(struct store *s, const struct store_list *req, const struct cancel *c,
		     struct err *e)
{
	struct store *below = rate_of(s)->below;

	return below->ops->list(below, req, c, e);
}

static int rate_delete_many(struct store *s, const char *const *keys, size_t count,
			    struct store_delete_error *errors, size_t *ret_error_count,
			    const struct cancel *c, struct err *e)
{
	struct store *below = rate_of(s)->below;

	return below->ops->delete_many(below, keys, count, errors, ret_error_count, c, e);
}

static unsigned rate_caps(struct store *s)
{
	return store_caps(rate_of(s)->below);
}

static void rate_free(struct store *s)
{
	store_free(rate_of(s)->below);
	pthread_mutex_destroy(&rate_of(s)->lock);
	free(s);
}

static const struct store_ops rate_ops = {
	.name = "rate",
	.put = rate_put,
	.get = rate_get,
	.head = rate_head,
	.list = rate_list,
	.delete_many = rate_delete_many,
	.caps = rate_caps,
	.free = rate_free,
};

struct store *rate_store_new(struct store *below, uint64_t bytes_per_second,
			     const struct clock *clock)
{
	struct rate_store *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->store.ops = &rate_ops;
	t->below = below;
	t->clock = clock;
	t->line.bytes_per_second = MIN_OF(MAX_OF(bytes_per_second, 1), INT64_MAX);
	t->line.free_ns = clock_elapsed_ns(clock);
	pthread_mutex_init(&t->lock, NULL);
	return &t->store;
}
