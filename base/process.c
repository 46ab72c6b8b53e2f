/* SPDX-License-Identifier: Apache-2.0 */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "base/clock.h"
#include "base/io.h"
#include "base/spawn.h"

#define POLL_MS 20 /* between two looks at the process and at cancel */

struct stream {
	int fd; /* our end, not blocking; -1: none, or at its end */
	struct wbuf *text;
	bool cut;
};

struct child {
	pid_t pid;
	struct stream out, errors;
	bool ended;
	int status;
};

/* ---- start ---- */

/* A pipe for what is to be kept; *ret_theirs stays -1 where nothing is. */
static int open_stream(struct stream *s, struct wbuf *text, int *ret_theirs)
{
	int ends[2];

	s->fd = -1;
	s->text = text;
	if (!text)
		return 0;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	s->fd = ends[0];
	*ret_theirs = ends[1];
	return fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/* At its beginning. *ret_theirs stays -1 where nothing is to be read. */
static int open_input(const struct wbuf *text, int *ret_theirs)
{
	int r;

	if (!text)
		return 0;
	*ret_theirs = memfd_create("input", MFD_CLOEXEC);
	if (*ret_theirs < 0)
		return -errno;
	r = io_write_full(*ret_theirs, text->data, text->len);
	return r == 0 && lseek(*ret_theirs, 0, SEEK_SET) < 0 ? -errno : r;
}

static void close_stream(struct stream *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static int start(struct child *c, const struct process_options *o)
{
	_cleanup_close_ int in = -1;
	_cleanup_close_ int out = -1;
	_cleanup_close_ int errors = -1;
	int r = open_stream(&c->out, o->out, &out);

	if (r == 0)
		r = open_input(o->in, &in);
	if (r == 0)
		r = open_stream(&c->errors, o->errors, &errors);
	c->errors.cut = o->cut_errors;
	if (r == 0) {
		const struct spawn_options so = { .words = o->words,
						  .environment = o->environment,
						  .in = in,
						  .out = out,
						  .errors = errors };

		r = spawn_start(&so, &c->pid);
	}
	if (r < 0) {
		close_stream(&c->out);
		close_stream(&c->errors);
	}
	return r;
}

/* ---- until its end ---- */

static void keep(struct stream *s, const char *part, size_t len)
{
	if (s->cut)
		len = MIN_OF(len, s->text->max - s->text->len);
	wbuf_put(s->text, part, len);
}

/* Reads what is there. */
static int drain(struct stream *s)
{
	char part[4096];
	ssize_t n;

	if (s->fd < 0)
		return 0;
	while ((n = read(s->fd, part, sizeof(part))) > 0 && !wbuf_error(s->text))
		keep(s, part, (size_t)n);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		close_stream(s);
	explicit_bzero(part, sizeof(part));
	return wbuf_error(s->text);
}

/*
 * It stays a zombie, so that its id remains its own until the group was killed. Who ignores SIGCHLD
 * has no zombies: then it is gone when nobody can be waited for.
 */
static bool has_ended(const struct child *c)
{
	siginfo_t info = { .si_pid = 0 };

	if (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		return errno == ECHILD;
	return info.si_pid == c->pid;
}

static int watch(struct child *c, const struct process_options *o)
{
	int64_t end_ms = clock_elapsed_ms(clock_system()) + o->timeout_ms;

	while (!c->ended) {
		struct pollfd fds[] = { { .fd = c->out.fd, .events = POLLIN },
					{ .fd = c->errors.fd, .events = POLLIN } };
		int r;

		poll(fds, ARRAY_SIZE(fds), POLL_MS);
		c->ended = has_ended(c);
		r = drain(&c->out);
		if (r == 0)
			r = drain(&c->errors);
		if (r < 0)
			return r;
		cancel_waits(o->cancel);
		if (cancel_is_set(o->cancel))
			return -ECANCELED;
		if (!c->ended && clock_elapsed_ms(clock_system()) >= end_ms)
			return -ETIMEDOUT;
	}
	return 0;
}

static void finish(struct child *c)
{
	kill(-c->pid, SIGKILL);
	while (waitpid(c->pid, &c->status, 0) < 0 && errno == EINTR)
		;
	close_stream(&c->out);
	close_stream(&c->errors);
}

int process_run(const struct process_options *o, int *ret_status)
{
	struct child c = { .status = 0 };
	int r = start(&c, o);

	if (r < 0)
		return r;
	r = watch(&c, o);
	finish(&c);
	if (r == 0)
		*ret_status = c.status;
	return r;
}

/* ---- in words ---- */

static int explain_end(int status, enum err_kind kind, struct err *e)
{
	if (WIFSIGNALED(status))
		return err_set(e, kind, -EIO, "it was ended by signal %d", WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return err_set(e, kind, -EIO, "it ended with exit code %d", WEXITSTATUS(status));
	return 0;
}

int process_explain(const struct process_options *o, int r, int status, enum err_kind kind,
		    struct err *e)
{
	const struct wbuf *full = o->out && wbuf_error(o->out) ? o->out : o->errors;

	switch (r) {
	case 0:
		return explain_end(status, kind, e);
	case -ECANCELED:
		return err_set(e, ERR_IO, r, "interrupted");
	case -ENOMEM:
		return err_nomem(e);
	case -E2BIG:
		return full && wbuf_error(full)
			       ? err_set(e, kind, r, "it printed more than %zu bytes", full->max)
			       : err_set(e, kind, r,
					 "it cannot be run: its arguments are too long");
	case -ETIMEDOUT:
		return err_set(e, kind, r, "it did not end within %d s and was killed",
			       o->timeout_ms / 1000);
	default:
		return err_set(e, kind, r, "it cannot be run: %s", strerrordesc_np(-r));
	}
}
