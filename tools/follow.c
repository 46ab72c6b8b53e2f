/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/follow.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SILENCE_MS 120000 /* the coordinator says something every ten seconds */
#define LOOK_MS 100	  /* a signal does not wake who waits */
#define WORD_BYTES 32

struct follow {
	struct cli *cli;
	const struct follow_task *task;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	size_t steps;	       /* under the lock: how many of them may be taken */
	bool held;	       /* the same: a step is taken that is to be ended */
	bool gone;	       /* the same: the coordinator */
	size_t told, passed;   /* of how many it was said that they are taken; how many may be */
	int ends[2];	       /* written to at the end of the thread */
	char word[WORD_BYTES]; /* the thread's */
	size_t len;
	unsigned waits; /* of cancel, when the coordinator was answered; the thread's */
};

/* ---- what is heard ---- */

/* How many steps may be taken after that word. 0: it is none. */
static size_t steps_of(const struct follow *f, const char *word)
{
	for (size_t i = 0; i < f->task->step_count; i++)
		if (strcmp(word, f->task->steps[i].word) == 0)
			return i + 1;
	return 0;
}

static void hear(struct follow *f, const char *word)
{
	size_t steps = steps_of(f, word);

	pthread_mutex_lock(&f->lock);
	f->steps = MAX_OF(f->steps, steps);
	pthread_cond_broadcast(&f->wake);
	pthread_mutex_unlock(&f->lock);
}

/* False: at its end. */
static bool take(struct follow *f)
{
	char part[256];
	ssize_t n = read(STDIN_FILENO, part, sizeof(part));

	if (n <= 0)
		return n < 0 && (errno == EINTR || errno == EAGAIN);
	for (ssize_t i = 0; i < n; i++) {
		if (part[i] == '\n') {
			f->word[f->len] = '\0';
			hear(f, f->word);
			f->len = 0;
		} else if (f->len < sizeof(f->word) - 1) {
			f->word[f->len++] = part[i];
		}
	}
	return true;
}

/* The coordinator is not there any more. */
static void lose(struct follow *f, const char *why)
{
	bool held;

	pthread_mutex_lock(&f->lock);
	f->gone = true;
	held = f->held;
	pthread_mutex_unlock(&f->lock);
	fprintf(stderr, "sstablefs: %s: %s: %s is given up%s\n", f->cli->command, why,
		f->task->work, held ? " after this step" : "");
	if (!held && !cancel_is_set(&f->cli->cancel))
		cancel_set(&f->cli->cancel, SIGHUP);
}

/* A hook or a snapshot may be at work for longer than the coordinator bears silence; but who hangs is not to be waited for. */
static void show_life(struct follow *f)
{
	unsigned waits = atomic_load(&f->cli->cancel.waits);

	if (waits != f->waits)
		fputs(FOLLOW_ALIVE "\n", stderr);
	f->waits = waits;
}

static void *listen_to(void *arg)
{
	struct follow *f = arg;
	struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN },
				{ .fd = f->ends[0], .events = POLLIN } };

	for (;;) {
		int n = poll(fds, ARRAY_SIZE(fds), SILENCE_MS);

		if (n < 0 && errno == EINTR)
			continue;
		if (fds[1].revents)
			return NULL;
		if (n > 0 && take(f)) {
			show_life(f);
			continue;
		}
		lose(f, n == 0 ? "nothing is heard from the coordinator any more"
			       : "the coordinator hung up");
		return NULL;
	}
}

int follow_start(struct cli *cli, const struct follow_task *task, struct follow **ret,
		 struct err *e)
{
	struct follow *f = calloc(1, sizeof(*f));
	pthread_condattr_t attr;
	int r;

	if (!f)
		return err_nomem(e);
	f->cli = cli;
	f->task = task;
	if (pipe(f->ends) < 0) {
		free(f);
		return err_errno(e, -errno, "cannot open a pipe");
	}
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->wake, &attr);
	pthread_condattr_destroy(&attr);
	r = -pthread_create(&f->thread, NULL, listen_to, f);
	if (r == 0) {
		*ret = f;
		return 0;
	}
	pthread_cond_destroy(&f->wake);
	pthread_mutex_destroy(&f->lock);
	close(f->ends[0]);
	close(f->ends[1]);
	free(f);
	return err_errno(e, r, "cannot start a thread");
}

void follow_stop(struct follow *f)
{
	/* The only byte that a pipe of ours ever gets. */
	while (write(f->ends[1], "", 1) < 0 && errno == EINTR)
		;
	pthread_join(f->thread, NULL);
	close(f->ends[0]);
	close(f->ends[1]);
	pthread_cond_destroy(&f->wake);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* ---- what is said ---- */

static int say(json_t *event, struct err *e)
{
	_cleanup_json_ json_t *owned = event;

	if (!owned)
		return err_nomem(e);
	/* What a shell printed before may not have ended its line. */
	if (fputs("\n", stdout) < 0 ||
	    json_dumpf(owned, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) < 0 ||
	    fputs("\n", stdout) < 0 || fflush(stdout) != 0)
		return err_errno(e, -errno, "the coordinator cannot be told anything");
	return 0;
}

int follow_ready(const struct follow_ready *r, json_t *more, struct err *e)
{
	_cleanup_json_ json_t *owned = more;
	json_t *o = json_pack("{s:s, s:i, s:s, s:s, s:s, s:o, s:o, s:o}", "event", FOLLOW_READY,
			      "protocol", FOLLOW_PROTOCOL, "repository", r->repository, "cluster",
			      r->cluster, "node", r->node, "host_id", json_text(r->host_id), "dc",
			      json_text(r->dc), "rack", json_text(r->rack));

	if (!owned || json_object_update(o, owned) < 0) {
		json_decref(o);
		return err_nomem(e);
	}
	return say(o, e);
}

/* Between two steps it may be given up. */
static void hold(struct follow *f, bool held)
{
	pthread_mutex_lock(&f->lock);
	f->held = held;
	if (!held && f->gone && !cancel_is_set(&f->cli->cancel))
		cancel_set(&f->cli->cancel, SIGHUP);
	pthread_mutex_unlock(&f->lock);
}

static int cancelled(const struct follow *f, struct err *e)
{
	return cancel_is_set(&f->cli->cancel) ? err_set(e, ERR_IO, -ECANCELED, "interrupted") : 0;
}

static int await(struct follow *f, size_t steps, struct err *e)
{
	pthread_mutex_lock(&f->lock);
	while (f->steps < steps && !cancel_is_set(&f->cli->cancel)) {
		struct timespec until;

		cancel_waits(&f->cli->cancel);
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += LOOK_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&f->wake, &f->lock, &until);
	}
	pthread_mutex_unlock(&f->lock);
	return cancelled(f, e);
}

int follow_tell(struct follow *f, size_t taken, struct err *e)
{
	int r = 0;

	for (; f && r == 0 && f->told < taken; f->told++)
		r = say(json_pack("{s:s}", "event", f->task->steps[f->told].event), e);
	return r;
}

int follow_pass(struct follow *f, size_t taken, struct err *e)
{
	int r = 0;

	for (; f && f->passed <= taken; f->passed++) {
		hold(f, false);
		/* A coordinator that hung up may still listen. */
		r = follow_tell(f, f->passed, e);
		if (cancel_is_set(&f->cli->cancel))
			r = cancelled(f, e);
		if (r == 0)
			r = await(f, f->passed + 1, e);
		if (r < 0)
			return r;
		hold(f, f->task->steps[f->passed].is_ended);
	}
	return 0;
}
