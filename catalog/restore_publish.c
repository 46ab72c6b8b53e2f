/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/restore_publish.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* When a batch is due. The first one has the small limits; each one after it twice those of the one before, up to the large ones. */
struct limits {
	uint64_t bytes;
	size_t files;
	int64_t seconds;
};
static const struct limits first_limits = { 64 * MIB, 256, 2 };
static const struct limits last_limits = { GIB, 4096, 30 };

struct restore_publish {
	const struct restore_options *o;
	const struct restore_target *t;
	struct restore_dirs *dirs;
	const struct plan *p;
	pthread_t thread;
	pthread_mutex_t lock; /* everything below */
	pthread_cond_t changed;
	uint32_t *files; /* finished, not yet taken by the thread */
	size_t count, cap;
	uint64_t bytes;
	struct timespec due; /* of the oldest of them */
	struct limits limits, last;
	bool closing, flush;
	int r;
	struct err error;
};

char *restore_publish_name(char out[RESTORE_STAGED_NAME], uint64_t ordinal)
{
	snprintf(out, RESTORE_STAGED_NAME, "%016llx", (unsigned long long)ordinal);
	return out;
}

/* ---- a batch ---- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int publish(struct restore_publish *b, uint32_t index, struct err *e)
{
	const struct plan_file *f = &b->p->files[index];
	size_t root = restore_target_root(b->t, f->data_dir);
	char name[RESTORE_STAGED_NAME];
	int dir, r = restore_dirs_get(b->dirs, root, f->tag, &dir, e);

	if (r < 0)
		return r;
	r = restore_target_rename(restore_target_staging(b->t, root),
				  restore_publish_name(name, f->ordinal), dir, base_name(f->path),
				  b->o->overwrite);
	if (r == -EEXIST)
		return err_set(e, ERR_CONFLICT, r, "%s/%s was made by somebody else meanwhile",
			       restore_target_name(b->t, root), f->path);
	if (r == -EXDEV)
		return restore_target_crossing(b->t, root, f->path, e);
	if (r < 0)
		return err_errno(e, r, "cannot rename %s/%s", restore_target_name(b->t, root),
				 f->path);
	if (b->o->progress)
		b->o->progress->files_done++;
	return 0;
}

static int compare_indexes(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* In the order of the walk: one directory after the other. */
static int publish_batch(struct restore_publish *b, uint32_t *files, size_t count, struct err *e)
{
	int r = count > 0 ? restore_target_sync(b->t, e) : 0;

	if (r == 0 && count > 0)
		qsort(files, count, sizeof(*files), compare_indexes);
	for (size_t i = 0; i < count && r == 0; i++)
		r = publish(b, files[i], e);
	return r;
}

/* ---- the thread ---- */

static bool is_due(const struct restore_publish *b)
{
	struct timespec now;

	if (b->closing || b->count >= b->limits.files || b->bytes >= b->limits.bytes)
		return true;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > b->due.tv_sec ||
	       (now.tv_sec == b->due.tv_sec && now.tv_nsec >= b->due.tv_nsec);
}

static void wait_for_batch(struct restore_publish *b)
{
	while (b->count == 0 && !b->closing)
		pthread_cond_wait(&b->changed, &b->lock);
	while (!is_due(b))
		pthread_cond_timedwait(&b->changed, &b->lock, &b->due);
}

static void raise_limits(struct limits *l, const struct limits *last)
{
	l->bytes = MIN_OF(l->bytes * 2, last->bytes);
	l->files = MIN_OF(l->files * 2, last->files);
	l->seconds = MIN_OF(l->seconds * 2, last->seconds);
}

/* Takes what is finished and publishes it, without the lock meanwhile. */
static void work_off(struct restore_publish *b)
{
	struct err error = ERR_INIT;
	uint32_t *files = steal_pointer(&b->files);
	size_t count = b->count;
	int r;

	b->count = b->cap = 0;
	b->bytes = 0;
	pthread_mutex_unlock(&b->lock);
	r = publish_batch(b, files, count, &error);
	free(files);
	pthread_mutex_lock(&b->lock);
	raise_limits(&b->limits, &b->last);
	if (r < 0 && b->r == 0) {
		b->r = r;
		b->error = error;
	}
}

static void *run(void *arg)
{
	struct restore_publish *b = arg;

	pthread_mutex_lock(&b->lock);
	do {
		wait_for_batch(b);
		if (b->r == 0 && (!b->closing || b->flush))
			work_off(b);
	} while (b->r == 0 && !b->closing);
	/* What came while the last batch was worked off. */
	if (b->r == 0 && b->flush && b->count > 0)
		work_off(b);
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

static int start(struct restore_publish *b)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&b->thread, NULL, run, b);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

int restore_publish_new(const struct restore_options *o, const struct restore_target *t,
			struct restore_dirs *dirs, const struct plan *p,
			struct restore_publish **ret, struct err *e)
{
	struct restore_publish *b = calloc(1, sizeof(*b));
	pthread_condattr_t attr;
	int r;

	if (!b)
		return err_nomem(e);
	b->o = o;
	b->t = t;
	b->dirs = dirs;
	b->p = p;
	b->limits = first_limits;
	b->last = last_limits;
	if (o->batch_files > 0)
		b->limits.files = b->last.files = o->batch_files;
	pthread_mutex_init(&b->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&b->changed, &attr);
	pthread_condattr_destroy(&attr);
	r = start(b);
	if (r < 0) {
		pthread_cond_destroy(&b->changed);
		pthread_mutex_destroy(&b->lock);
		free(b);
		return err_errno(e, r, "cannot start a thread");
	}
	*ret = b;
	return 0;
}

static int add_locked(struct restore_publish *b, uint32_t file, struct err *e)
{
	if (b->r < 0) {
		*e = b->error;
		return b->r;
	}
	if (util_grow(&b->files, &b->cap, b->count + 1, sizeof(*b->files)) < 0)
		return err_nomem(e);
	if (b->count == 0) {
		clock_gettime(CLOCK_MONOTONIC, &b->due);
		b->due.tv_sec += (time_t)b->limits.seconds;
	}
	b->files[b->count++] = file;
	b->bytes += b->p->files[file].size_bytes;
	if (b->count == 1 || b->count >= b->limits.files || b->bytes >= b->limits.bytes)
		pthread_cond_signal(&b->changed);
	return 0;
}

int restore_publish_add(struct restore_publish *b, uint32_t file, struct err *e)
{
	int r;

	pthread_mutex_lock(&b->lock);
	r = add_locked(b, file, e);
	pthread_mutex_unlock(&b->lock);
	return r;
}

int restore_publish_close(struct restore_publish *b, bool flush, struct err *e)
{
	int r;

	pthread_mutex_lock(&b->lock);
	b->closing = true;
	b->flush = flush;
	pthread_cond_signal(&b->changed);
	pthread_mutex_unlock(&b->lock);
	pthread_join(b->thread, NULL);
	r = b->r;
	if (r < 0 && e)
		*e = b->error;
	pthread_cond_destroy(&b->changed);
	pthread_mutex_destroy(&b->lock);
	free(b->files);
	free(b);
	return r;
}
