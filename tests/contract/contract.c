/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "tests/contract/contract.h"

bool contract_failed(const char *file, int line, const char *what)
{
	printf("# %s:%d: not true: %s\n", file, line, what);
	return false;
}

bool contract_differs(const char *file, int line, const char *what, long got, long want,
		      const struct err *e)
{
	char text[2048];

	printf("# %s:%d: %ld, not %ld: %s\n", file, line, got, want, what);
	if (e->kind != ERR_NONE)
		printf("#   %s\n", err_describe(e, text, sizeof(text)));
	return false;
}

uint8_t *contract_bytes(size_t len, unsigned seed)
{
	uint8_t *data = malloc(len + 1);
	uint64_t x = seed * 0x9e3779b97f4a7c15ULL + 1;

	if (!data)
		abort();
	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		data[i] = (uint8_t)x;
	}
	return data;
}

int contract_put(struct contract *t, const char *key, const void *data, size_t len)
{
	t->err = ERR_INIT;
	return store_put_bytes(t->store, key, data, len, STORE_ALWAYS, NULL, NULL, NULL, &t->err);
}

int contract_put_text(struct contract *t, const char *key, const char *text, enum store_cond cond,
		      const char *etag, struct store_meta *ret)
{
	t->err = ERR_INIT;
	return store_put_bytes(t->store, key, text, strlen(text), cond, etag, ret, NULL, &t->err);
}

bool contract_has(struct contract *t, const char *key, const void *data, size_t len)
{
	_cleanup_free_ char *got = NULL;
	size_t got_len = 0;

	t->err = ERR_INIT;
	CHECK_IS(store_get_alloc(t->store, key, STORE_OBJECT_MAX, &got, &got_len, NULL, NULL,
				 &t->err),
		 0);
	CHECK_IS(got_len, len);
	CHECK(len == 0 || memcmp(got, data, len) == 0);
	CHECK(got[len] == '\0');
	return true;
}

bool contract_has_text(struct contract *t, const char *key, const char *text)
{
	return contract_has(t, key, text, strlen(text));
}

int contract_head(struct contract *t, const char *key, struct store_meta *ret)
{
	t->err = ERR_INIT;
	return store_head(t->store, key, ret, NULL, &t->err);
}

int contract_delete(struct contract *t, const char *const *keys, size_t count, size_t *ret_errors)
{
	_cleanup_free_ struct store_delete_error *errors = calloc(count + 1, sizeof(*errors));
	int r;

	if (!errors)
		return -ENOMEM;
	t->err = ERR_INIT;
	r = store_delete_many(t->store, keys, count, errors, ret_errors, NULL, &t->err);
	for (size_t i = 0; r == 0 && i < *ret_errors; i++)
		printf("# %s: %s: %s\n", keys[errors[i].index], errors[i].code, errors[i].message);
	return r;
}

struct parallel {
	pthread_barrier_t start;
	void (*fn)(void *arg, unsigned index);
	void *arg;
	atomic_uint next;
};

static void *run_one(void *arg)
{
	struct parallel *p = arg;

	pthread_barrier_wait(&p->start);
	p->fn(p->arg, atomic_fetch_add(&p->next, 1));
	return NULL;
}

void contract_parallel(unsigned threads, void (*fn)(void *arg, unsigned index), void *arg)
{
	struct parallel p = { .fn = fn, .arg = arg };
	pthread_t *ids = calloc(threads, sizeof(*ids));

	if (!ids || pthread_barrier_init(&p.start, NULL, threads))
		abort();
	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, run_one, &p))
			abort();
	for (unsigned i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	pthread_barrier_destroy(&p.start);
	free(ids);
}

struct numbered {
	struct contract *t;
	const char *prefix;
	unsigned count;
	atomic_uint next;
	atomic_int failure;
};

static void put_numbered(void *arg, unsigned index)
{
	struct numbered *n = arg;
	unsigned i;

	while ((i = atomic_fetch_add(&n->next, 1)) < n->count) {
		struct err e = ERR_INIT;
		char key[64];
		int r;

		snprintf(key, sizeof(key), "%s%04u", n->prefix, i);
		r = store_put_bytes(n->t->store, key, key, strlen(key), STORE_ALWAYS, NULL, NULL,
				    NULL, &e);
		if (r)
			atomic_store(&n->failure, r);
	}
}

int contract_put_numbered(struct contract *t, const char *prefix, unsigned count)
{
	struct numbered n = { .t = t, .prefix = prefix, .count = count };

	contract_parallel(16, put_numbered, &n);
	return atomic_load(&n.failure);
}

static const char *deviation(const struct contract_backend *b, const char *name)
{
	for (const struct contract_deviation *d = b->deviations; d && d->name; d++)
		if (strcmp(d->name, name) == 0)
			return d->why;
	return NULL;
}

static bool run_case(const struct contract_backend *b, const struct contract_case *c,
		     unsigned number)
{
	struct contract t = { .backend = b };
	const char *why = deviation(b, c->name);
	bool passed;

	t.store = b->open(b->ctx, number);
	passed = t.store && c->run(&t) == !why;
	store_free(t.store);
	printf("%s %u - %s: %s%s%s\n", passed ? "ok" : "not ok", number, b->name, c->name,
	       why ? ", a known deviation: " : "", why ? why : "");
	fflush(stdout);
	return passed;
}

int contract_main(const struct contract_backend *backend, int argc, char **argv)
{
	static const struct contract_case *const groups[] = {
		contract_object_cases,
		contract_condition_cases,
		contract_list_cases,
		contract_race_cases,
	};
	const char *filter = argc > 1 ? argv[1] : "";
	unsigned number = 0, failures = 0, run = 0;

	for (size_t g = 0; g < ARRAY_SIZE(groups); g++) {
		for (const struct contract_case *c = groups[g]; c->name; c++) {
			number++;
			if (!strstr(c->name, filter))
				continue;
			run++;
			if (!run_case(backend, c, number))
				failures++;
		}
	}
	printf("# %s: %u of %u cases failed\n", backend->name, failures, run);
	return failures || run == 0 ? 1 : 0;
}
