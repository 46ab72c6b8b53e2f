/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a backup from many threads at once: trees and runs through one struct meta, ranges and whole objects through one struct source,
 * with a store that fails now and then; then restore and verify with several threads of their own.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "base/io.h"
#include "catalog/restore.h"
#include "catalog/verify.h"
#include "tests/unit/catalog/fixture.h"

#define THREADS 8
#define ROUNDS 12
#define FILES 200
#define BIG (9 * MIB)

struct stress {
	struct fixture *f;
	struct record *record;
	struct fixture_file files[FILES];
	char paths[FILES][96];
	uint8_t *data;
	const struct entry *big;
	pthread_barrier_t start, end; /* of a round */
};

static void fill(struct stress *s)
{
	s->data = fixture_random(7, BIG);
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(s->paths[i], sizeof(s->paths[i]), "data/ks/t%u-%032x/nb-%u-big-Data.db",
			 i % 7, i % 7, i);
		s->files[i] = (struct fixture_file){ .path = s->paths[i],
						     .data = s->data + i,
						     .len_bytes = i == 0 ? BIG - FILES : i * 100 };
	}
	s->record = fixture_backup(s->f, "b1", s->files, FILES, OBJECT_COMPRESS_ZSTD);
}

/* ---- reading ---- */

static int count_entry(void *ctx, const char *path, const struct entry *entry, struct err *e)
{
	++*(unsigned *)ctx;
	return 0;
}

static void walk(struct stress *s)
{
	unsigned entries = 0;
	const struct meta_walk w = { .entry = count_entry, .ctx = &entries };
	struct err e = ERR_INIT;
	int r = meta_walk(s->f->meta, &s->record->where, &s->record->root, &w, NULL, &e);

	must(r == 0 ? entries == FILES : r == -EIO && e.kind == ERR_STORE);
}

static void read_ranges(struct stress *s, uint8_t *content, unsigned seed)
{
	const struct object_ref *ref = &s->big->extents[0].object;

	for (uint32_t i = 0; i < 16; i++) {
		uint32_t offset = (seed * 7919 + i * 1048583) % (ref->plain_bytes - 1000), from, to;
		int r = source_fetch_range(s->f->source, &s->record->where, KEY_OBJECT_DATA, ref,
					   offset, 1000, content, NULL, &from, &to, NULL, NULL);

		must(r == 0 || r == -EIO);
		must(r < 0 || memcmp(content + offset, s->data + offset, 1000) == 0);
	}
}

static void *read_all(void *arg)
{
	struct stress *s = arg;
	uint8_t *buffer = malloc(SOURCE_HEADROOM + FORMAT_OBJECT_BYTES);

	must(buffer);
	for (unsigned i = 0; i < ROUNDS; i++) {
		pthread_barrier_wait(&s->start);
		walk(s);
		read_ranges(s, buffer + SOURCE_HEADROOM, i);
		pthread_barrier_wait(&s->end);
	}
	free(buffer);
	return NULL;
}

static void *walk_once(void *arg)
{
	walk(arg);
	return NULL;
}

/* Every round begins with nothing kept; every third one fails for a while. */
static void read_together(struct stress *s)
{
	pthread_t threads[THREADS];

	pthread_barrier_init(&s->start, NULL, THREADS + 1);
	pthread_barrier_init(&s->end, NULL, THREADS + 1);
	for (unsigned i = 0; i < THREADS; i++)
		must(pthread_create(&threads[i], NULL, read_all, s) == 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		fixture_restart(s->f, OBJECT_VERIFY_XXH3, NULL);
		s->f->wire->fail = i % 3 == 2 ? -EIO : 0;
		pthread_barrier_wait(&s->start);
		s->f->wire->fail = 0;
		pthread_barrier_wait(&s->end);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&s->start);
	pthread_barrier_destroy(&s->end);
}

/* Of threads that begin together on the same object one asks the store. */
static void single_flight(struct stress *s)
{
	pthread_t threads[THREADS];
	size_t trees = fixture_count(s->f, "/trees/");

	fixture_restart(s->f, OBJECT_VERIFY_XXH3, NULL);
	s->f->wire->gets = 0;
	for (unsigned i = 0; i < THREADS; i++)
		must(pthread_create(&threads[i], NULL, walk_once, s) == 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	must(s->f->wire->gets == trees);
}

/* ---- restore and verify ---- */

static void restore(struct stress *s)
{
	char target[] = "/tmp/sstablefs-stress-XXXXXX";
	struct restore_options o = { .repo = s->f->repo,
				     .source = s->f->source,
				     .meta = s->f->meta,
				     .record = s->record,
				     .directory = target,
				     .jobs = 4,
				     .connections = 8,
				     .memory_bytes = 128 * MIB,
				     .batch_files = 10 };
	struct restore_result result;

	must(mkdtemp(target));
	must(restore_run(&o, &result, NULL) == 0);
	must(result.files_written == FILES);
	must(restore_run(&o, &result, NULL) == 0);
	must(result.files_kept == FILES);
	must(io_remove_tree(AT_FDCWD, target) == 0);
}

static void verify(struct stress *s)
{
	struct verify_options o = { .repo = s->f->repo,
				    .source = s->f->source,
				    .meta = s->f->meta,
				    .records = &s->record,
				    .record_count = 1,
				    .connections = 8,
				    .memory_bytes = 128 * MIB };
	struct verify_result *result = NULL;
	char key[KEY_BYTES];

	must(verify_run(&o, &result, NULL) == 0);
	must(result->finding_count == 0 && result->files_checked == FILES);
	verify_result_free(result);
	for (size_t i = 0; i < fixture_count(s->f, "/objects/"); i++) {
		fixture_key(s->f, "/objects/", i, key);
		fixture_flip(s->f, key, -1);
	}
	must(verify_run(&o, &result, NULL) == 0);
	must(result->finding_count == fixture_count(s->f, "/objects/"));
	verify_result_free(result);
}

int main(void)
{
	struct stress s = { .f = fixture_new(OBJECT_VERIFY_XXH3) };
	struct run *run = NULL;

	fill(&s);
	s.big = fixture_find(s.f, s.record, s.paths[0], &run);
	must(s.big);
	read_together(&s);
	single_flight(&s);
	restore(&s);
	verify(&s);
	run_free(run);
	record_free(s.record);
	fixture_free(s.f);
	free(s.data);
	return 0;
}
