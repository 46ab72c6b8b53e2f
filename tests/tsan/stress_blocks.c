/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of blocks under load, for ThreadSanitizer: 64 streams on 16 threads, some in order and with fetching ahead, some at random, with a
 * disk ring that wraps, loads that fail and readers that are cancelled. Each byte is checked, and memory against the limit, by the
 * cache's own account and (where no sanitizer adds to it) by the kernel's.
 *
 *   stress_blocks          as above
 *   stress_blocks bench    the throughput of one stream in order
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "base/io.h"
#include "tests/unit/cache/fake_loader.h"

#define MEMORY (96 * MIB)
#define SLACK (16 * MIB) /* threads, LMDB's dirty pages, the allocator */
#define THREADS 16
#define STREAMS 64
#define OBJECTS 12 /* of a stream; streams share half of them */
#define STEP (256 * KIB)

struct world {
	struct fake_loader loader;
	struct blocks *blocks;
	uint64_t first_rss;
	atomic_uint cancelled, failed;
};

struct worker {
	struct world *world;
	unsigned number;
	uint64_t random;
	pthread_t thread;
};

static void check(bool holds, const char *promise)
{
	if (holds)
		return;
	fprintf(stderr, "stress_blocks: broken: %s\n", promise);
	abort();
}

/* RssAnon of this process, in bytes. */
static uint64_t resident(void)
{
	_cleanup_free_ char *text = NULL;
	unsigned long long kib = 0;
	const char *line;
	size_t len;

	check(io_read_file(AT_FDCWD, "/proc/self/status", 65536, &text, &len) == 0,
	      "the kernel's account");
	line = strstr(text, "RssAnon:");
	check(line && sscanf(line, "RssAnon: %llu", &kib) == 1, "RssAnon is there");
	return kib * KIB;
}

static void check_memory(struct world *w)
{
	check(blocks_memory(w->blocks) <= MEMORY, "memory stays within its limit");
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
	check(resident() <= w->first_rss + MEMORY + SLACK, "and so does what is resident");
#endif
}

static uint32_t draw(struct worker *w, uint32_t below)
{
	w->random = w->random * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)((w->random >> 33) % below);
}

static struct block_object object_of(unsigned stream, unsigned i)
{
	unsigned n = i % 2 ? 100000 + i : stream * 100 + i;

	return fake_object(n, 1 + (n * 7919) % (8 * MIB), n % 5 == 0);
}

static void read_some(struct worker *w, const struct block_object *o, uint32_t offset, uint32_t len)
{
	struct cancel cancel = { .reason = draw(w, 100) == 0 };
	struct block_pin pin = { 0 };
	struct err e = ERR_INIT;
	int r;

	r = blocks_get(w->world->blocks, o, offset, len,
		       BLOCKS_WAIT | (draw(w, 2) ? BLOCKS_PASSING : 0), &pin, &cancel, &e);
	if (r < 0) {
		atomic_fetch_add(r == -ECANCELED ? &w->world->cancelled : &w->world->failed, 1);
		check(r == -ECANCELED || (r == -EIO && e.kind == ERR_STORE),
		      "errors are the loader's own");
		return;
	}
	check(fake_fits(o, offset, len, pin.data), "each byte is right");
	blocks_unpin(w->world->blocks, &pin);
}

/* All of the object in order, the next one ahead. */
static void read_in_order(struct worker *w, unsigned stream, unsigned i)
{
	struct block_object o = object_of(stream, i), next = object_of(stream, i + 1);

	for (uint32_t at = 0; at < o.plain_bytes; at += (uint32_t)STEP) {
		if (at % MIB == 0 && at < next.plain_bytes)
			blocks_prefetch(w->world->blocks, &next, at,
					(uint32_t)MIN_OF(MIB, next.plain_bytes - at),
					i % 3 ? BLOCKS_PASSING : 0);
		read_some(w, &o, at, (uint32_t)MIN_OF(STEP, o.plain_bytes - at));
	}
}

static void read_at_random(struct worker *w, unsigned stream, unsigned i)
{
	struct block_object o = object_of(stream, i);

	for (int k = 0; k < 4; k++) {
		uint32_t offset = draw(w, o.plain_bytes);

		read_some(w, &o, offset,
			  1 + draw(w, (uint32_t)MIN_OF(STEP, o.plain_bytes - offset)));
	}
}

/* Fetched ahead, and then not wanted. */
static void forget_next(struct worker *w, unsigned stream, unsigned i)
{
	struct block_object o = object_of(stream, i + 2);

	blocks_prefetch(w->world->blocks, &o, 0, o.plain_bytes, i % 2 ? BLOCKS_GUESSED : 0);
	blocks_forget(w->world->blocks, &o);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < OBJECTS; i++) {
		for (unsigned stream = w->number; stream < STREAMS; stream += THREADS) {
			if (stream % 4 == 3)
				read_at_random(w, stream, i);
			else
				read_in_order(w, stream, i);
			if (draw(w, 20) == 0)
				atomic_store(&w->world->loader.fail, 1);
			if (draw(w, 40) == 0)
				blocks_wake(w->world->blocks);
			if (draw(w, 10) == 0)
				forget_next(w, stream, i);
		}
		check_memory(w->world);
		check(blocks_check(w->world->blocks) == NULL, "the tables are sound");
	}
	return NULL;
}

static void stress(struct world *w)
{
	struct worker workers[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .world = w, .number = i, .random = i };
		check(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0,
		      "a thread starts");
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	printf("%u loads, %u verified from disk, %u failed, %u cancelled; memory %llu MiB, resident %llu MiB more than at first\n",
	       w->loader.loads, w->loader.verifies, w->failed, w->cancelled,
	       (unsigned long long)(blocks_memory(w->blocks) / MIB),
	       (unsigned long long)((resident() - w->first_rss) / MIB));
}

/* ---- throughput ---- */

static int load_nothing(void *ctx, const struct block_object *o, uint32_t offset,
			uint32_t len_bytes, void *base, const struct block_arrivals *a,
			const struct cancel *c, struct err *e)
{
	for (uint32_t at = offset; at < offset + len_bytes; at += 4096)
		((uint8_t *)base)[at] = 1;
	return 0;
}

static int load_bytes(void *ctx, const struct block_object *o, uint32_t offset, uint32_t len_bytes,
		      void *base, const struct block_arrivals *a, const struct cancel *c,
		      struct err *e)
{
	memset((uint8_t *)base + offset, 1, len_bytes);
	return 0;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* GB/s of one reader in steps, with `ahead` objects fetched ahead. */
static double throughput(struct block_loader loader, uint32_t step, unsigned ahead, unsigned count)
{
	struct blocks_options o = { .memory_bytes = 192 * MIB, .threads = 16, .loader = loader };
	struct blocks *b = NULL;
	double start;

	check(blocks_new(&o, &b, NULL) == 0, "a cache");
	start = seconds();
	for (unsigned i = 0; i < count; i++) {
		struct block_object now = fake_object(i, (uint32_t)(8 * MIB), false), later;

		for (unsigned k = i ? ahead : 0; k <= ahead; k++) {
			later = fake_object(i + k, (uint32_t)(8 * MIB), false);
			blocks_prefetch(b, &later, 0, later.plain_bytes, BLOCKS_PASSING);
		}
		for (uint32_t at = 0; at < 8 * MIB; at += step) {
			struct block_pin pin;

			check(blocks_get(b, &now, at, step, BLOCKS_WAIT, &pin, NULL, NULL) == 0,
			      "a read");
			blocks_unpin(b, &pin);
		}
	}
	start = seconds() - start;
	blocks_free(b);
	return count * 8.0 * (double)MIB / start / 1e9;
}

static void bench(void)
{
	static const uint32_t steps[] = { 128 * 1024, 1024 * 1024 };

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		printf("steps of %4u KiB: %.1f GB/s where loading costs nothing, %.1f GB/s where it is a memset\n",
		       steps[i] / 1024,
		       throughput((struct block_loader){ .load = load_nothing }, steps[i], 8, 2000),
		       throughput((struct block_loader){ .load = load_bytes }, steps[i], 8, 2000));
	}
}

int main(int argc, char **argv)
{
	struct world w = { .loader = FAKE_LOADER_INIT };
	char directory[] = "/tmp/stress-blocks-XXXXXX", ring[64];
	struct blocks_options o = { .memory_bytes = MEMORY,
				    .threads = 8,
				    .ring_path = ring,
				    .ring_bytes = 64 * MIB,
				    .loader = fake_loader_of(&w.loader) };
	struct kv *kv = NULL;
	struct err e = ERR_INIT;

	if (argc > 1 && strcmp(argv[1], "bench") == 0) {
		bench();
		return 0;
	}
	check(mkdtemp(directory) != NULL, "a directory");
	snprintf(ring, sizeof(ring), "%s/ring", directory);
	check(kv_open(directory, 0, &kv, &e) == 0, e.message);
	o.kv = kv;
	w.loader.part_blocks = 3;
	w.loader.fail_behind = 7;
	w.first_rss = resident();
	check(blocks_new(&o, &w.blocks, &e) == 0, e.message);
	stress(&w);
	blocks_free(w.blocks);
	kv_close(kv);
	io_remove_tree(AT_FDCWD, directory);
	return 0;
}
