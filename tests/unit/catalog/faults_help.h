/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A rig whose requests fail as planned, below the retries that the program has: the n-th request from `arm` on, or it and those that follow. What a
 * test does while nothing is armed works.
 */
#ifndef SSTABLEFS_TESTS_FAULTS_HELP_H
#define SSTABLEFS_TESTS_FAULTS_HELP_H

#include "store/dir.h"
#include "store/retry.h"
#include "tests/unit/catalog/rig.h"

struct faulty {
	struct rig rig; /* first: see faulty_decide */
	enum fault fault;
	int first, count; /* requests that fail */
	bool reached;	  /* all of them were made */
};

static const enum fault faulty_kinds[] = { FAULT_BEFORE,   FAULT_LOST,	   FAULT_AFTER,
					   FAULT_TRUNCATE, FAULT_FLIP_BIT, FAULT_EMPTY };
static const char *const faulty_names[] = { "none",	"before",   "lost",  "after",
					    "truncate", "flip bit", "empty", "full" };

/* Whether the store is the cause where it goes wrong twice: then trying for longer helps. */
static inline bool faulty_is_refusal(enum fault f)
{
	return f == FAULT_BEFORE || f == FAULT_LOST || f == FAULT_AFTER;
}

static inline enum fault faulty_decide(struct rig *rig, const char *method, const char *key)
{
	struct faulty *f = (struct faulty *)rig;
	int n = atomic_fetch_add(&rig->calls, 1);

	if (n < f->first || n >= f->first + f->count)
		return FAULT_NONE;
	f->reached = n == f->first + f->count - 1;
	return f->fault;
}

static inline void faulty_sleep(void *ctx, int ms, const struct cancel *c)
{
}

/* A directory in the place of the memory. */
static inline void faulty_use_directory(struct rig *rig)
{
	_cleanup_free_ char *path = util_printf("%s/repository", rig->tmp.path);
	struct dir_store_options o = { .path = path, .create = true, .clock = &rig->clock };
	struct store *dir = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(dir_store_new(&o, &dir, &e), 0, "%s", e.message);
	store_free(rig->store);
	rig->store = fault_store_new(dir, rig_decide, rig);
	cr_assert(rig->store);
	cr_assert_eq(repo_init(rig->store, OBJECT_COMPRESS_ZSTD, &rig->clock, &e), 0, "%s",
		     e.message);
}

static inline void faulty_init(struct faulty *f, bool directory)
{
	struct retry_options o = { .sleep_ms = faulty_sleep };
	struct rig *rig = &f->rig;
	struct err e = ERR_INIT;

	*f = (struct faulty){ .count = 0 };
	rig_init(rig, OBJECT_COMPRESS_ZSTD);
	o.clock = &rig->clock;
	repo_free(rig->repo);
	if (directory)
		faulty_use_directory(rig);
	rig->store = retry_store_new(rig->store, &o);
	cr_assert(rig->store);
	cr_assert_eq(repo_open(rig->store, REPO_READ | REPO_WRITE, &rig->clock, NULL, &rig->repo,
			       &e),
		     0, "%s", e.message);
	rig->options.repo = rig->repo;
	rig->fault = faulty_decide;
}

static inline void faulty_deinit(struct faulty *f)
{
	rig_deinit(&f->rig);
}

#define _cleanup_faulty_ _cleanup_(faulty_deinit)

static inline void faulty_arm(struct faulty *f, enum fault fault, int first, int count)
{
	f->fault = fault;
	f->first = first;
	f->count = count;
	f->reached = false;
	atomic_store(&f->rig.calls, 0);
}

/* How many requests were made since it was armed; from now on nothing fails. */
static inline int faulty_disarm(struct faulty *f)
{
	int calls = atomic_load(&f->rig.calls);

	f->count = 0;
	return calls;
}

/* A file that is an object of its own, one that is packed with others, one that lies in the tree. */
#define FAULTY_LARGE (MIB + 200000)
#define FAULTY_PACKED 30000
#define FAULTY_INLINE 300

static inline void faulty_fill(struct faulty *f)
{
	rig_put_random(&f->rig, "nb-1-big-Data.db", 1, FAULTY_LARGE);
	rig_put_random(&f->rig, "nb-1-big-Index.db", 2, FAULTY_PACKED);
	rig_put_random(&f->rig, "nb-1-big-TOC.txt", 3, FAULTY_INLINE);
}

static inline void faulty_expect(struct faulty *f, const struct record *record)
{
	rig_expect_random(&f->rig, record, "nb-1-big-Data.db", 1, FAULTY_LARGE);
	rig_expect_random(&f->rig, record, "nb-1-big-Index.db", 2, FAULTY_PACKED);
	rig_expect_random(&f->rig, record, "nb-1-big-TOC.txt", 3, FAULTY_INLINE);
}

/* The second snapshot has one SSTable more. */
static inline void faulty_fill_more(struct faulty *f)
{
	rig_put_random(&f->rig, "nb-2-big-Data.db", 4, FAULTY_PACKED);
}

static inline void faulty_expect_more(struct faulty *f, const struct record *record)
{
	faulty_expect(f, record);
	rig_expect_random(&f->rig, record, "nb-2-big-Data.db", 4, FAULTY_PACKED);
}

#endif
