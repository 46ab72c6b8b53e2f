/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/op.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define WATCH_MS 1000

bool op_claim(struct op *op)
{
	struct server *s = op->server;
	bool mine;

	if (op->id == 0)
		return true;
	pthread_mutex_lock(&s->lock);
	mine = !op->claimed;
	op->claimed = true;
	pthread_mutex_unlock(&s->lock);
	return mine;
}

/* What a program may see: everything that has no meaning to it is EIO, also an object that is missing under a name that is there. */
static int visible_errno(int code)
{
	switch (-code) {
	case ESTALE:
	case ENOTDIR:
	case EISDIR:
	case EINVAL:
	case ENAMETOOLONG:
	case ENOMEM:
	case ENODATA:
	case EINTR:
	case EROFS:
		return -code;
	default:
		return EIO;
	}
}

void op_fail(struct op *op, int code, const struct err *e)
{
	struct server *s = op->server;
	int visible = visible_errno(code);
	char text[2048];

	if (!op_claim(op))
		return;
	metric_add(s->failed, 1);
	op->result = -visible;
	if (visible == EIO || visible == ENOMEM)
		log_write(s->log, LOG_LEVEL_ERROR, op->what, "%s of inode %llu failed: %s",
			  op->what, (unsigned long long)op->ino,
			  err_describe(e, text, sizeof(text)));
	fuse_reply_err(op->req, visible);
}

void op_refuse(struct op *op, int code)
{
	metric_add(op->server->failed, 1);
	op->result = code;
	if (code == -ENOSPC)
		log_write(op->server->log, LOG_LEVEL_WARNING, "overlay-full",
			  "%s: the scratch overlay is full (mount option overlay_size=)", op->what);
	fuse_reply_err(op->req, -code);
}

/*
 * One line in one write: WHAT INODE (NAME | OFFSET SIZE) [> PARENT NAME] = RESULT, where RESULT is `ok`, `ok INODE`, an errno, or `waits` (for the store; the result follows). The request
 * may be answered by others meanwhile, so only what is our own is looked at.
 */
static void trace(struct server *s, const struct op *op, const char *result)
{
	char what[320], to[320] = "", found[32] = "", line[1024];
	int len;

	if (s->trace_fd < 0)
		return;
	if (op->name)
		snprintf(what, sizeof(what), "%.255s", op->name);
	else
		snprintf(what, sizeof(what), "%lld %zu", (long long)op->offset, op->size);
	if (op->to)
		snprintf(to, sizeof(to), " > %llu %.255s", (unsigned long long)op->to_parent,
			 op->to);
	if (op->found && op->result == 0)
		snprintf(found, sizeof(found), " %llu", (unsigned long long)op->found);
	len = snprintf(line, sizeof(line), "%s %llu %s%s = %s%s", op->what,
		       (unsigned long long)op->ino, what, to,
		       result		? result
		       : op->result < 0 ? strerrorname_np(-op->result)
					: "ok",
		       found);
	util_one_line(line);
	len = (int)strlen(line);
	line[len++] = '\n';
	(void)!write(s->trace_fd, line, (size_t)len);
}

/* ---- pending requests ---- */

static void link_op(struct server *s, struct op *op)
{
	pthread_mutex_lock(&s->lock);
	op->id = ++s->last_id;
	op->next = s->pending[op->id % OP_BUCKETS];
	s->pending[op->id % OP_BUCKETS] = op;
	pthread_mutex_unlock(&s->lock);
}

static void unlink_op(struct server *s, struct op *op)
{
	struct op **at;

	pthread_mutex_lock(&s->lock);
	for (at = &s->pending[op->id % OP_BUCKETS]; *at != op; at = &(*at)->next)
		;
	*at = op->next;
	pthread_mutex_unlock(&s->lock);
	if (op->drop)
		op->drop(op);
	free(op->own_name);
	free(op->own_to);
	free(op);
}

/* Whether the watch answered it is said under the lock. */
static void trace_end(struct server *s, struct op *op)
{
	int late;

	pthread_mutex_lock(&s->lock);
	late = op->late;
	pthread_mutex_unlock(&s->lock);
	if (late)
		op->result = late;
	trace(s, op, NULL);
}

static void run_pending(void *arg)
{
	struct op *op = arg;
	struct server *s = op->server;
	bool answered;

	pthread_mutex_lock(&s->lock);
	answered = op->claimed;
	pthread_mutex_unlock(&s->lock);
	if (!answered)
		op->run(s, op, (struct view_wait){ true, &op->cancel });
	trace_end(s, op);
	unlink_op(s, op);
}

/* Called by libfuse with locks of the request held: only leaves word for the watch. The id, not a pointer, says which request it is. */
static void on_interrupt(fuse_req_t req, void *data)
{
	struct server *s = fuse_req_userdata(req);
	uint64_t id = (uint64_t)(uintptr_t)data;

	pthread_mutex_lock(&s->lock);
	for (struct op *op = s->pending[id % OP_BUCKETS]; op; op = op->next) {
		if (op->id != id)
			continue;
		op->was_interrupted = true;
		cancel_set(&op->cancel, 1);
		pthread_cond_signal(&s->changed);
	}
	pthread_mutex_unlock(&s->lock);
}

/* Libfuse holds the request's lock while it calls on_interrupt from here: whoever answered the request meanwhile would free it under libfuse. */
static void watch_interrupts(struct server *s, struct op *op)
{
	fuse_req_interrupt_func(op->req, on_interrupt, (void *)(uintptr_t)op->id);
	pthread_mutex_lock(&s->lock);
	op->armed = true;
	if (op->was_interrupted)
		pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static void defer(struct server *s, struct op *from)
{
	struct op *op = malloc(sizeof(*op));
	struct err e = ERR_INIT;
	int r;

	if (op)
		*op = *from;
	if (op && from->name)
		op->name = op->own_name = strdup(from->name);
	if (op && from->to)
		op->to = op->own_to = strdup(from->to);
	if (!op || (from->name && !op->own_name) || (from->to && !op->own_to)) {
		if (op) {
			free(op->own_name);
			free(op->own_to);
		}
		free(op);
		fuse_reply_err(from->req, ENOMEM);
		if (from->drop)
			from->drop(from);
		return;
	}
	metric_add(s->slow, 1);
	op->begun_ms = clock_elapsed_ms(s->clock);
	link_op(s, op);
	watch_interrupts(s, op);
	r = pool_submit(s->pool, run_pending, op);
	if (r < 0) {
		op_fail(op, r, &e);
		unlink_op(s, op);
	}
}

void op_take(struct server *s, struct op *op)
{
	op->server = s;
	metric_add(s->requests, 1);
	if (op->run(s, op, (struct view_wait){ false, NULL }) == FS_WOULD_BLOCK) {
		trace(s, op, "waits");
		defer(s, op);
		return;
	}
	trace(s, op, NULL);
	if (op->drop)
		op->drop(op);
}

/* ---- the watch ---- */

/* With the lock held: one request that must be answered now, claimed; NULL: none. */
static struct op *overdue(struct server *s, int64_t now_ms, int *ret_errno)
{
	for (size_t i = 0; i < OP_BUCKETS; i++) {
		for (struct op *op = s->pending[i]; op; op = op->next) {
			if (op->claimed || !op->armed ||
			    (!op->was_interrupted && now_ms - op->begun_ms < s->limit_ms))
				continue;
			op->claimed = true;
			cancel_set(&op->cancel, 1);
			*ret_errno = op->was_interrupted ? EINTR : EIO;
			op->late = -*ret_errno;
			return op;
		}
	}
	return NULL;
}

/* The op stays linked until its thread is done with it, but after the claim its request belongs to the watch alone. */
static void answer_overdue(struct server *s)
{
	struct op *op;
	int error;

	while ((op = overdue(s, clock_elapsed_ms(s->clock), &error))) {
		fuse_req_t req = op->req;
		uint64_t ino = op->ino;
		const char *what = op->what;

		pthread_mutex_unlock(&s->lock);
		metric_add(error == EINTR ? s->interrupted : s->late, 1);
		if (error == EIO)
			log_write(
				s->log, LOG_LEVEL_ERROR, "late",
				"%s of inode %llu was given up after %lld s without an answer of the store",
				what, (unsigned long long)ino, (long long)s->limit_ms / 1000);
		fuse_reply_err(req, error);
		pthread_mutex_lock(&s->lock);
	}
}

static void *watch(void *arg)
{
	struct server *s = arg;

	pthread_setname_np(pthread_self(), "watch");
	pthread_mutex_lock(&s->lock);
	while (!s->ending) {
		struct timespec until;

		answer_overdue(s);
		if (s->ending)
			break;
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += WATCH_MS / 1000;
		pthread_cond_timedwait(&s->changed, &s->lock, &until);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int op_server_start(struct server *s, struct metrics *m)
{
	pthread_condattr_t attr;
	sigset_t all, old;
	int r;

	s->requests = metrics_counter(m, "fuse_requests", "requests of the kernel");
	s->slow = metrics_counter(m, "fuse_requests_waited",
				  "requests that had to wait for the store");
	s->failed = metrics_counter(m, "fuse_requests_failed", "requests answered with an error");
	s->interrupted =
		metrics_counter(m, "fuse_requests_interrupted", "requests answered with EINTR");
	s->late =
		metrics_counter(m, "fuse_requests_late", "requests given up after the time limit");
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &attr);
	pthread_condattr_destroy(&attr);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&s->watch, NULL, watch, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	s->watching = r == 0;
	return -r;
}

void op_server_cancel(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < OP_BUCKETS; i++)
		for (struct op *op = s->pending[i]; op; op = op->next)
			cancel_set(&op->cancel, 1);
	pthread_mutex_unlock(&s->lock);
}

void op_server_stop(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	s->ending = true;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (s->watching)
		pthread_join(s->watch, NULL);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
}
