/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading through the reader on many threads, for ThreadSanitizer: in order and at random, through streams of one's own and through one that all
 * share, with hints, a disk ring, requests that fail and readers that are cancelled, in memory that is too small for an object of each.
 *
 *   stress_reader          as above
 *   stress_reader bench    the throughput of streams in order, over a store in memory
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include "base/io.h"
#include "catalog/reader.h"
#include "tests/unit/catalog/fixture.h"

#define STEP (128 * KIB)
#define MEMORY (24 * MIB)
#define THREADS 8
#define FILES 10
#define DIR "data/ks/t-1/"

struct file {
	char path[40];
	void *data;
	size_t len;
	struct run *run;
	const struct entry *entry;
};

struct world {
	struct fixture *f;
	struct record *record;
	struct reader *r;
	struct kv *kv;
	struct node_name node;
	struct file files[FILES];
	struct stream *shared; /* of files[0] */
};

struct worker {
	struct world *w;
	uint64_t random;
	pthread_t thread;
};

static void check(bool holds, const char *promise)
{
	if (holds)
		return;
	fprintf(stderr, "stress_reader: broken: %s\n", promise);
	abort();
}

static uint32_t draw(struct worker *w, uint64_t below)
{
	w->random = w->random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)((w->random >> 33) % below);
}

static void make_world(struct world *w, size_t file_bytes, unsigned count)
{
	struct fixture_file files[FILES];

	*w = (struct world){ .f = fixture_new(OBJECT_VERIFY_XXH3),
			     .node = { FIXTURE_CLUSTER, FIXTURE_NODE } };
	for (unsigned i = 0; i < count; i++) {
		struct file *x = &w->files[i];

		x->len = i % 3 == 2 ? 30000 * i
				    : file_bytes + i * 1000003; /* some small ones, for packs */
		x->data = fixture_random(i, x->len);
		snprintf(x->path, sizeof(x->path), DIR "nb-%u-big-Data.db", i);
		files[i] = (struct fixture_file){ .path = x->path,
						  .data = x->data,
						  .len_bytes = x->len };
	}
	w->record = fixture_backup(w->f, "monday", files, count, OBJECT_COMPRESS_NONE);
	for (unsigned i = 0; i < count; i++)
		w->files[i].entry =
			fixture_find(w->f, w->record, w->files[i].path, &w->files[i].run);
}

static void free_world(struct world *w)
{
	reader_free(w->r);
	kv_close(w->kv);
	for (unsigned i = 0; i < FILES; i++) {
		run_free(w->files[i].run);
		free(w->files[i].data);
	}
	record_free(w->record);
	fixture_free(w->f);
}

static struct stream *open_file(struct world *w, const struct file *x)
{
	struct stream *s = NULL;

	check(stream_open(w->r, &w->node, x->len, x->entry->extents, x->entry->extent_count, &s,
			  NULL) == 0,
	      "a stream opens");
	return s;
}

/* Reads what one call gives. */
static size_t read_once(struct worker *w, struct stream *s, const struct file *x, uint64_t at,
			size_t len)
{
	struct cancel cancel = { .reason = draw(w, 200) == 0 };
	struct err e = ERR_INIT;
	struct stream_read rd;
	uint64_t done = at;
	int r = STREAM_WOULD_BLOCK;

	if (draw(w, 2))
		r = stream_read(s, at, len, false, &rd, &cancel, &e);
	if (r == STREAM_WOULD_BLOCK)
		r = stream_read(s, at, len, true, &rd, &cancel, &e);
	check(r == 0 || r == -ECANCELED || r == -ECONNRESET, "errors are the store's own");
	if (r < 0)
		return len;
	for (int i = 0; i < rd.iov_count; done += rd.iov[i++].iov_len)
		check(memcmp(rd.iov[i].iov_base, (const char *)x->data + done, rd.iov[i].iov_len) ==
			      0,
		      "each byte is right");
	check(done == at + rd.len_bytes && rd.len_bytes > 0, "the pieces add up");
	stream_release(s, &rd);
	return done - at;
}

static void read_file(struct worker *w, unsigned i)
{
	const struct file *x = &w->w->files[i];
	struct stream *s = open_file(w->w, x);

	for (uint64_t at = 0; at < x->len;)
		at += read_once(w, s, x, at, MIN_OF(STEP, x->len - at));
	for (int k = 0; k < 10; k++) {
		uint64_t at = draw(w, x->len);

		read_once(w, s, x, at, 1 + draw(w, MIN_OF(x->len - at, 2 * MIB)));
	}
	stream_close(s);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < FILES; i++) {
		unsigned n = draw(w, FILES);
		const struct file *next = &w->w->files[(n + 1) % FILES];
		uint64_t at = draw(w, w->w->files[0].len);

		reader_hint(w->w->r, &w->w->node, next->entry->extents, next->entry->extent_count);
		read_file(w, n);
		read_once(w, w->w->shared, &w->w->files[0], at,
			  MIN_OF(STEP, w->w->files[0].len - at));
		check(reader_memory(w->w->r) <= MEMORY, "memory stays within its limit");
		if (draw(w, 3) == 0)
			reader_wake(w->w->r);
		w->w->f->wire->fail = draw(w, 4) == 0 ? -ECONNRESET : 0;
	}
	return NULL;
}

static void stress(void)
{
	char directory[] = "/tmp/stress-reader-XXXXXX", ring[64];
	struct reader_options o = {
		.memory_bytes = MEMORY, .connections = 6, .ring_path = ring, .ring_bytes = 16 * MIB
	};
	struct worker workers[THREADS];
	struct world w;

	make_world(&w, 9 * MIB, FILES);
	check(mkdtemp(directory) != NULL, "a directory");
	snprintf(ring, sizeof(ring), "%s/ring", directory);
	check(kv_open(directory, 0, &w.kv, NULL) == 0, "a store of keys and values");
	o.source = w.f->source;
	o.metrics = w.f->metrics;
	o.kv = w.kv;
	check(reader_new(&o, &w.r, NULL) == 0, "a reader");
	w.shared = open_file(&w, &w.files[0]);
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .w = &w, .random = i };
		check(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0,
		      "a thread starts");
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	w.f->wire->fail = 0;
	stream_close(w.shared);
	free_world(&w);
	io_remove_tree(AT_FDCWD, directory);
}

/* ---- throughput ---- */

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* CPU time of this process. */
static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* GB/s of a file of 400 MiB that is read in order, `rounds` times, each with nothing in memory. */
static void bench(void)
{
	struct reader_options o = { .memory_bytes = 192 * MIB, .connections = 16 };
	struct world w;
	double start, cpu_start, took = 0, cpu = 0;
	unsigned rounds = 5;

	make_world(&w, 400 * MIB, 1);
	o.source = w.f->source;
	o.metrics = w.f->metrics;
	for (unsigned i = 0; i < rounds; i++) {
		struct stream *s;

		check(reader_new(&o, &w.r, NULL) == 0, "a reader");
		s = open_file(&w, &w.files[0]);
		start = seconds();
		cpu_start = cpu_seconds();
		for (uint64_t at = 0; at < w.files[0].len;) {
			struct stream_read rd;

			check(stream_read(s, at, STEP, true, &rd, NULL, NULL) == 0, "a read");
			at += rd.len_bytes;
			stream_release(s, &rd);
		}
		took += seconds() - start;
		cpu += cpu_seconds() - cpu_start;
		stream_close(s);
		reader_free(steal_pointer(&w.r));
	}
	printf("a stream in order: %.2f GB/s, %.2f CPU seconds per GB\n",
	       rounds * (double)w.files[0].len / took / 1e9,
	       cpu / (rounds * (double)w.files[0].len / 1e9));
	free_world(&w);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "bench") == 0)
		bench();
	else
		stress();
	return 0;
}
