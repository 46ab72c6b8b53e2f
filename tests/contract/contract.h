/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of store/store.h as a suite that every backend passes. A plain program, not Criterion, so that it runs under ThreadSanitizer too.
 *
 * A backend's main fills a struct contract_backend and returns contract_main(). Each case gets a store of its own, empty at its start.
 */
#ifndef SSTABLEFS_TESTS_CONTRACT_H
#define SSTABLEFS_TESTS_CONTRACT_H

#include <stdio.h>
#include "base/err.h"
#include "store/store.h"

struct contract_deviation {
	const char *name,
		*why; /* a case, and what the server does instead; NULL ends an array of these */
};

struct contract_backend {
	const char *name;
	/* A new, empty store, which the suite frees; NULL after a message. `number` differs from case to case. */
	struct store *(*open)(void *ctx, unsigned number);
	void *ctx;
	unsigned caps;	      /* enum store_cap bits that it must have */
	unsigned race_rounds; /* of each race; 0: 20 */
	/* Cases that a foreign server is known not to pass, so that it is noticed when it does. NULL: none. */
	const struct contract_deviation *deviations;
};

/* Runs the cases whose names contain argv[1] (all without one) and prints a line for each. The exit code. */
int contract_main(const struct contract_backend *backend, int argc, char **argv);

/* What a case works with. */
struct contract {
	struct store *store;
	const struct contract_backend *backend;
	struct err err; /* of the last call through contract_*: empty unless it failed */
};

struct contract_case {
	const char *name; /* NULL ends an array of these */
	bool (*run)(struct contract *t);
};
extern const struct contract_case contract_object_cases[], contract_condition_cases[],
	contract_list_cases[], contract_race_cases[];

bool contract_failed(const char *file, int line, const char *what);
bool contract_differs(const char *file, int line, const char *what, long got, long want,
		      const struct err *e);

/* In a case: go on, or print and leave the case as failed. */
#define CHECK(condition)                                                        \
	do {                                                                    \
		if (!(condition))                                               \
			return contract_failed(__FILE__, __LINE__, #condition); \
	} while (0)
#define CHECK_IS(call, want)                                                                      \
	do {                                                                                      \
		long got_ = (long)(call), want_ = (long)(want);                                   \
		if (got_ != want_)                                                                \
			return contract_differs(__FILE__, __LINE__, #call, got_, want_, &t->err); \
	} while (0)

/* `len` bytes that depend on the seed; to be freed. */
uint8_t *contract_bytes(size_t len, unsigned seed);

int contract_put(struct contract *t, const char *key, const void *data, size_t len);
int contract_put_text(struct contract *t, const char *key, const char *text, enum store_cond cond,
		      const char *etag, struct store_meta *ret);
/* Whether the whole object is exactly these bytes. */
bool contract_has(struct contract *t, const char *key, const void *data, size_t len);
bool contract_has_text(struct contract *t, const char *key, const char *text);
int contract_head(struct contract *t, const char *key, struct store_meta *ret);
int contract_delete(struct contract *t, const char *const *keys, size_t count, size_t *ret_errors);

/* Runs fn(arg, 0..threads-1) at once and waits for all. */
void contract_parallel(unsigned threads, void (*fn)(void *arg, unsigned index), void *arg);
/* 0, or the first failure, of putting "0000".."n-1" below a prefix, with 16 threads. */
int contract_put_numbered(struct contract *t, const char *prefix, unsigned count);

#endif
