/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Explores schedules of the deletion protocol: the project's own code over the store in memory, one run for each seed.
 *
 *     explore [--first N] [--seconds S] [--schedules N] [--distinct N] [--jobs J]     many runs
 *     explore --seed N                                                                 one of them again, with its requests printed
 *
 * Ends with 1 where a run failed, which is told with its seed, and where fewer of them were distinct.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "base/io.h"
#include "tests/explore/actors.h"
#include "tests/explore/check.h"
#include "tests/explore/jsonmem.h"
#include "tests/explore/memkv.h"
#include "tests/explore/plan.h"
#include "tests/explore/states.h"
#include "tests/explore/trace.h"

#define JOBS_MAX 64
#define HASHES_MAX ((size_t)4 * 1000 * 1000) /* of one process */

struct options {
	uint64_t first, schedules, distinct, seed;
	double seconds;
	unsigned jobs;
	bool single;
};

/* What a process tells, in memory shared with the first one. */
struct report {
	uint64_t done, steps, failed_seed;
	bool failed;
	char failure[2048];
	struct trace_pairs pairs;
	uint64_t hashes[HASHES_MAX];
};

int __real_clock_gettime(clockid_t id, struct timespec *ret);

static double now_s(void)
{
	struct timespec t;

	__real_clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int64_t wall(void *ctx)
{
	return WALL_NS + green_now_ns();
}

static int64_t elapsed(void *ctx)
{
	return green_now_ns();
}

static void no_random(void *ctx, void *out, size_t len_bytes)
{
	memset(out, 7, len_bytes);
}

static struct world world; /* one for each process: green threads have one scheduler */

static void set_up(const struct files *files)
{
	jsonmem_begin();
	world.clock = (struct clock){ wall, elapsed, no_random, NULL };
	world.trace = trace_new();
	if (!world.trace)
		abort();
	states_make(&world, files);
	jsonmem_keep();
}

static void tear_down(void)
{
	states_free();
	memkv_forget();
	trace_free(world.trace);
	jsonmem_end();
}

/* One run. False: it failed, world.failure says how. */
static bool run(uint64_t seed, const struct files *files, bool print)
{
	const struct clock clock = world.clock;
	struct trace *trace = world.trace;

	memset(&world, 0, sizeof(world));
	jsonmem_reset();
	world.clock = clock;
	world.trace = trace;
	trace_reset(trace, print);
	plan_run(&world, files, seed);
	return !world.failure[0];
}

/* ---- many ---- */

static void work(const struct options *o, const struct files *files, unsigned job, struct report *r)
{
	double until = now_s() + o->seconds;

	set_up(files);

	for (uint64_t i = job; i < o->schedules && now_s() < until && r->done < HASHES_MAX;
	     i += o->jobs) {
		bool fine = run(o->first + i, files, false);

		r->hashes[r->done++] = trace_hash(world.trace);
		r->steps += trace_length(world.trace);
		if (!fine) {
			r->failed = true;
			r->failed_seed = o->first + i;
			memcpy(r->failure, world.failure, sizeof(r->failure));
			break;
		}
	}
	r->pairs = *trace_pairs(world.trace);
	tear_down();
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t count_distinct(struct report *const *reports, unsigned jobs, uint64_t total)
{
	uint64_t *all = malloc((total + 1) * sizeof(*all)), at = 0, distinct = 0;

	if (!all)
		abort();
	for (unsigned i = 0; i < jobs; i++) {
		memcpy(all + at, reports[i]->hashes, reports[i]->done * sizeof(*all));
		at += reports[i]->done;
	}
	qsort(all, total, sizeof(*all), compare);
	for (uint64_t i = 0; i < total; i++)
		distinct += i == 0 || all[i] != all[i - 1];
	free(all);
	return distinct;
}

static void add_pairs(struct trace_pairs *to, const struct trace_pairs *from)
{
	for (int side = 0; side < 2; side++)
		for (int w = 0; w < STEP_COUNT; w++)
			for (int c = 0; c < STEP_COUNT; c++)
				to->count[side][w][c] += from->count[side][w][c];
}

static int summarize(struct report *const *reports, unsigned jobs, uint64_t least, double seconds)
{
	static struct trace_pairs pairs;
	uint64_t total = 0, steps = 0, distinct;
	bool failed = false;

	for (unsigned i = 0; i < jobs; i++) {
		total += reports[i]->done;
		steps += reports[i]->steps;
		add_pairs(&pairs, &reports[i]->pairs);
	}
	distinct = count_distinct(reports, jobs, total);
	printf("%llu schedules, %llu distinct, %llu requests, in %.1f s\n",
	       (unsigned long long)total, (unsigned long long)distinct, (unsigned long long)steps,
	       seconds);
	for (unsigned i = 0; i < jobs; i++) {
		if (!reports[i]->failed)
			continue;
		failed = true;
		printf("seed %llu failed: %s\n", (unsigned long long)reports[i]->failed_seed,
		       reports[i]->failure);
	}
	if (!failed)
		trace_print_pairs(&pairs);
	if (!failed && distinct < least)
		printf("too few were distinct\n");
	return failed || distinct < least;
}

static int explore(const struct options *o)
{
	struct report *reports[JOBS_MAX];
	pid_t children[JOBS_MAX];
	double begun = now_s();
	const struct files *files =
		files_make(); /* removed by this process, however the others end */
	int bad = 0;

	for (unsigned i = 0; i < o->jobs; i++) {
		reports[i] = mmap(NULL, sizeof(*reports[i]), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (reports[i] == MAP_FAILED)
			abort();
		children[i] = fork();
		if (children[i] == 0) {
			work(o, files, i, reports[i]);
			exit(0);
		}
	}
	for (unsigned i = 0; i < o->jobs; i++) {
		int status;

		waitpid(children[i], &status, 0);
		if (status != 0) {
			printf("process %u ended with status %d after %llu schedules: the seed was %llu\n",
			       i, status, (unsigned long long)reports[i]->done,
			       (unsigned long long)(o->first + i + reports[i]->done * o->jobs));
			bad = 1;
		}
	}
	files_remove();
	return summarize(reports, o->jobs, o->distinct, now_s() - begun) | bad;
}

static int replay(uint64_t seed)
{
	const struct files *files = files_make();
	bool fine;

	set_up(files);
	fine = run(seed, files, true);

	printf("seed %llu: %s\n", (unsigned long long)seed, fine ? "fine" : world.failure);
	tear_down();
	files_remove();
	return !fine;
}

static int usage(void)
{
	fprintf(stderr,
		"usage: explore [--first N] [--seconds S] [--schedules N] [--distinct N] [--jobs J]\n"
		"       explore --seed N\n");
	return 2;
}

static bool parse(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {
		{ "first", required_argument, NULL, 'f' },
		{ "seconds", required_argument, NULL, 's' },
		{ "schedules", required_argument, NULL, 'n' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "distinct", required_argument, NULL, 'd' },
		{ "seed", required_argument, NULL, 'r' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == 'f')
			o->first = strtoull(optarg, NULL, 10);
		else if (c == 's')
			o->seconds = strtod(optarg, NULL);
		else if (c == 'd')
			o->distinct = strtoull(optarg, NULL, 10);
		else if (c == 'n')
			o->schedules = strtoull(optarg, NULL, 10);
		else if (c == 'j')
			o->jobs = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'r') {
			o->seed = strtoull(optarg, NULL, 10);
			o->single = true;
		} else
			return false;
	}
	return optind == argc && o->jobs > 0 && o->jobs <= JOBS_MAX;
}

int main(int argc, char **argv)
{
	struct options o = { .first = 1, .schedules = 2000, .seconds = 3600, .jobs = 1 };

	if (!parse(argc, argv, &o))
		return usage();
	return o.single ? replay(o.seed) : explore(&o);
}
