/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "tools/cli.h"

#define FIRST_MS 1000 /* nothing is shown for what takes less */
#define TERMINAL_MS 250
#define LINES_MS 3000 /* where stderr is no terminal */

struct progress_view {
	struct cli *cli;
	const char *verb;
	struct progress *p;
	bool terminal, shown, ending;
	int64_t begun_ms;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
};

static void show_json(const struct progress_view *v, uint64_t done, uint64_t total, double rate)
{
	fprintf(stderr,
		"{\"progress\": {\"bytes_done\": %llu, \"bytes_total\": %llu, \"files_done\": %llu, \"files_total\": %llu, \"bytes_per_second\": %.0f}}\n",
		(unsigned long long)done, (unsigned long long)total,
		(unsigned long long)atomic_load(&v->p->files_done),
		(unsigned long long)atomic_load(&v->p->files_total), rate);
}

static void show(struct progress_view *v)
{
	uint64_t done = atomic_load(&v->p->bytes_done), total = atomic_load(&v->p->bytes_total);
	double seconds = (double)(clock_elapsed_ms(v->cli->clock) - v->begun_ms) / 1000,
	       rate = seconds > 0 ? (double)done / seconds : 0;
	char a[32], b[32], c[32], left[32] = "";

	if (v->cli->json) {
		show_json(v, done, total, rate);
		return;
	}
	if (rate > 0 && total > done) {
		unsigned long s = (unsigned long)((double)(total - done) / rate);

		snprintf(left, sizeof(left), ", %lu:%02lu left", s / 60, s % 60);
	}
	fprintf(stderr, "%s%s: %s of %s, %llu of %llu files, %s/s%s%s",
		v->terminal ? "\r\033[K" : "", v->verb, util_format_bytes(a, done),
		util_format_bytes(b, total), (unsigned long long)atomic_load(&v->p->files_done),
		(unsigned long long)atomic_load(&v->p->files_total),
		util_format_bytes(c, (uint64_t)rate), left, v->terminal ? "" : "\n");
	fflush(stderr);
	v->shown = true;
}

static void *run(void *arg)
{
	struct progress_view *v = arg;
	int64_t wait_ms = FIRST_MS;

	pthread_mutex_lock(&v->lock);
	while (!v->ending) {
		struct timespec until;

		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += wait_ms / 1000;
		until.tv_nsec += (wait_ms % 1000) * 1000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		if (pthread_cond_timedwait(&v->wake, &v->lock, &until) == 0 || v->ending)
			continue;
		pthread_mutex_unlock(&v->lock);
		show(v);
		pthread_mutex_lock(&v->lock);
		wait_ms = v->terminal ? TERMINAL_MS : LINES_MS;
	}
	pthread_mutex_unlock(&v->lock);
	return NULL;
}

struct progress_view *progress_view_start(struct cli *cli, const char *verb, struct progress *p)
{
	bool terminal = isatty(STDERR_FILENO) && !cli->json;
	struct progress_view *v;
	pthread_condattr_t attr;

	if (cli->quiet || (!terminal && !cli->progress_always))
		return NULL;
	v = calloc(1, sizeof(*v));
	if (!v)
		return NULL;
	v->cli = cli;
	v->verb = verb;
	v->p = p;
	v->terminal = terminal;
	v->begun_ms = clock_elapsed_ms(cli->clock);
	pthread_mutex_init(&v->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&v->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&v->thread, NULL, run, v) == 0)
		return v;
	free(v);
	return NULL;
}

void progress_view_stop(struct progress_view *v)
{
	if (!v)
		return;
	pthread_mutex_lock(&v->lock);
	v->ending = true;
	pthread_cond_signal(&v->wake);
	pthread_mutex_unlock(&v->lock);
	pthread_join(v->thread, NULL);
	if (v->shown && v->terminal)
		fputs("\r\033[K", stderr);
	pthread_cond_destroy(&v->wake);
	pthread_mutex_destroy(&v->lock);
	free(v);
}
