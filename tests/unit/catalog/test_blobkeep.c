/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <lmdb.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include "catalog/blobkeep.h"
#include "tests/unit/base/tmpdir.h"

static struct id256 digest_of(unsigned i)
{
	return digest_sha256(&i, sizeof(i));
}

static void put(struct blobkeep *b, unsigned i)
{
	struct id256 d = digest_of(i);

	blobkeep_put(b, &d, &i, sizeof(i));
}

static bool is_there(struct blobkeep *b, unsigned i)
{
	_cleanup_free_ void *data = NULL;
	struct id256 d = digest_of(i);
	size_t len;

	return blobkeep_get(b, &d, &data, &len) && len == sizeof(i) && !memcmp(data, &i, len);
}

static struct kv *open_kv(const struct tmpdir *dir)
{
	struct kv *kv;

	cr_assert_eq(kv_open(dir->path, 16 * MIB, &kv, NULL), 0);
	return kv;
}

/* How many transactions ever changed the tables that survive. Nobody has the store open. */
static size_t transactions(const struct tmpdir *dir)
{
	_cleanup_free_ char *path = util_printf("%s/data.mdb", dir->path);
	MDB_envinfo info;
	MDB_env *env;

	cr_assert_eq(mdb_env_create(&env), 0);
	cr_assert_eq(mdb_env_open(env, path, MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK, 0600), 0);
	cr_assert_eq(mdb_env_info(env, &info), 0);
	mdb_env_close(env);
	return info.me_last_txnid;
}

Test(blobkeep, some_hundred_blobs_are_written_in_one_transaction)
{
	_cleanup_tmpdir_ struct tmpdir dir = tmpdir_new();
	struct kv *kv = open_kv(&dir);
	struct blobkeep *b;
	size_t before;

	kv_close(kv);
	before = transactions(&dir);
	kv = open_kv(&dir);
	b = blobkeep_new(kv);
	cr_assert_not_null(b);
	for (unsigned i = 0; i < BLOBKEEP_COUNT + 10; i++)
		put(b, i);
	for (unsigned i = 0; i < BLOBKEEP_COUNT + 10; i++)
		cr_assert(is_there(b, i), "blob %u, written or not", i);
	cr_expect_not(is_there(b, BLOBKEEP_COUNT + 10));
	blobkeep_free(b);
	kv_close(kv);
	cr_expect_leq(transactions(&dir) - before, 3, "one of them opens the tables");

	kv = open_kv(&dir);
	b = blobkeep_new(kv);
	for (unsigned i = 0; i < BLOBKEEP_COUNT + 10; i++)
		cr_assert(is_there(b, i), "blob %u, after all was closed", i);
	blobkeep_free(b);
	kv_close(kv);
}

Test(blobkeep, what_waits_has_a_bound_in_bytes)
{
	_cleanup_tmpdir_ struct tmpdir dir = tmpdir_new();
	_cleanup_free_ uint8_t *large = calloc(1, BLOBKEEP_BYTES + 1);
	struct id256 one = digest_of(1), two = digest_of(2), three = digest_of(3);
	struct kv *kv = open_kv(&dir);
	struct blobkeep *b = blobkeep_new(kv);
	_cleanup_free_ void *data = NULL, *more = NULL;
	size_t len;

	cr_assert(large && b);
	blobkeep_put(b, &one, large, BLOBKEEP_BYTES + 1);
	cr_expect_eq(kv_get(kv, KV_BLOBS, &one, sizeof(one), &data, &len, NULL), 0);
	cr_expect_eq(len, BLOBKEEP_BYTES + 1);
	blobkeep_put(b, &two, large, BLOBKEEP_BYTES / 2);
	cr_expect_eq(kv_get(kv, KV_BLOBS, &two, sizeof(two), &more, &len, NULL), KV_ABSENT);
	blobkeep_put(b, &three, large, BLOBKEEP_BYTES / 2);
	cr_expect_eq(kv_get(kv, KV_BLOBS, &two, sizeof(two), &more, &len, NULL), 0);
	blobkeep_free(b);
	kv_close(kv);
}

static void *put_the_last(void *b)
{
	put(b, BLOBKEEP_COUNT - 1);
	return NULL;
}

/* Else a walk on many threads would fetch anew what one of them just put. */
Test(blobkeep, what_is_being_written_is_found)
{
	_cleanup_tmpdir_ struct tmpdir dir = tmpdir_new();
	struct kv *kv = open_kv(&dir);
	struct blobkeep *b = blobkeep_new(kv);
	struct kv_batch *other;
	bool found = false;
	pthread_t thread;

	cr_assert_not_null(b);
	for (unsigned i = 0; i < BLOBKEEP_COUNT - 1; i++)
		put(b, i);
	cr_assert_eq(kv_batch_begin(kv, &other, NULL), 0); /* others who write wait for it */
	cr_assert_eq(pthread_create(&thread, NULL, put_the_last, b), 0);
	for (int i = 0; i < 1000 && !found; i++) {
		usleep(10000);
		found = is_there(b, BLOBKEEP_COUNT - 1);
	}
	cr_expect(found, "the last one");
	cr_expect(is_there(b, 0), "and the first");
	kv_batch_abort(other);
	pthread_join(thread, NULL);
	cr_expect(is_there(b, 0) && is_there(b, BLOBKEEP_COUNT - 1), "when they were written");
	blobkeep_free(b);
	kv_close(kv);
}

Test(blobkeep, what_was_dropped_is_gone)
{
	_cleanup_tmpdir_ struct tmpdir dir = tmpdir_new();
	struct kv *kv = open_kv(&dir);
	struct blobkeep *b = blobkeep_new(kv);
	struct id256 d = digest_of(1);

	cr_assert_not_null(b);
	put(b, 1);
	blobkeep_free(b);
	b = blobkeep_new(kv);
	cr_assert(is_there(b, 1));
	blobkeep_drop(b, &d);
	cr_expect_not(is_there(b, 1));
	blobkeep_free(b);
	kv_close(kv);
}
