/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include "fs/ops_prefill.h"

#define THREADS 4
#define INODES 20000

static uint64_t inode(uint64_t i)
{
	return digest_xxh64(&i, sizeof(i)) >> 2;
}

Test(ops_prefill, an_inode_is_taken_once)
{
	struct prefill *p = prefill_new();
	unsigned taken = 0;

	for (uint64_t i = 0; i < INODES; i++) {
		taken += prefill_take(p, inode(i));
		cr_expect(!prefill_take(p, inode(i)));
	}
	cr_expect_gt(taken, INODES - INODES / 100, "nearly all are told apart: %u", taken);
	prefill_free(p);
}

struct takers {
	struct prefill *p;
	atomic_uint taken;
};

static void *take_all(void *arg)
{
	struct takers *t = arg;

	for (uint64_t i = 0; i < INODES; i++)
		if (prefill_take(t->p, inode(i)))
			atomic_fetch_add(&t->taken, 1);
	return NULL;
}

Test(ops_prefill, of_several_threads_one_takes_an_inode)
{
	struct takers t = { .p = prefill_new() };
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, take_all, &t), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	cr_expect_leq(t.taken, INODES);
	cr_expect_gt(t.taken, INODES - INODES / 100);
	prefill_free(t.p);
}
