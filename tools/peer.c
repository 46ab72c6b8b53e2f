/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include "base/buf.h"
#include "base/spawn.h"

struct stream {
	int fd; /* not blocking; -1: at its end */
	struct wbuf text;
	size_t seen; /* of text: has no newline */
	bool pieces; /* of lines that are too long are passed on */
};

struct peer {
	pid_t pid; /* 0: was waited for */
	int in;
	struct stream out, errors;
};

/* *ret_ours is not blocking. */
static int open_pipe(int ours, int *ret_ours, int *ret_theirs)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	*ret_ours = ends[ours];
	*ret_theirs = ends[!ours];
	return fcntl(ends[ours], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

int peer_start(char *const *words, struct peer **ret, struct err *e)
{
	_cleanup_close_ int in = -1;
	_cleanup_close_ int out = -1;
	_cleanup_close_ int errors = -1;
	_cleanup_(peer_freep) struct peer *p = calloc(1, sizeof(*p));
	struct spawn_options o = { .words = words };
	int r;

	if (!p)
		return err_nomem(e);
	p->in = p->out.fd = p->errors.fd = -1;
	wbuf_init(&p->out.text, PEER_LINE_MAX);
	wbuf_init(&p->errors.text, PEER_LINE_MAX);
	r = open_pipe(1, &p->in, &in);
	if (r == 0)
		r = open_pipe(0, &p->out.fd, &out);
	if (r == 0)
		r = open_pipe(0, &p->errors.fd, &errors);
	if (r < 0)
		return err_errno(e, r, "cannot open a pipe to %s", words[0]);
	o.in = in;
	o.out = out;
	o.errors = errors;
	r = spawn_start(&o, &p->pid);
	if (r < 0) {
		p->pid = 0;
		return err_set(e, ERR_USAGE, r, "%s cannot be run: %s", words[0],
			       strerrordesc_np(-r));
	}
	*ret = steal_pointer(&p);
	return 0;
}

static void close_end(int *fd)
{
	util_closep(fd);
	*fd = -1;
}

void peer_free(struct peer *p)
{
	if (p->pid > 0) {
		kill(-p->pid, SIGKILL);
		while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	close_end(&p->in);
	close_end(&p->out.fd);
	close_end(&p->errors.fd);
	wbuf_deinit(&p->out.text);
	wbuf_deinit(&p->errors.text);
	free(p);
}

void peer_take_pieces(struct peer *p)
{
	p->out.pieces = p->errors.pieces = true;
}

void peer_fds(const struct peer *p, struct pollfd fds[2])
{
	fds[0] = (struct pollfd){ .fd = p->out.fd, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = p->errors.fd, .events = POLLIN };
}

/* A program that shows how far it is ends its lines with \r alone, thousands of them. NULL: not there yet. */
static char *line_end(char *text, size_t len_bytes)
{
	char *newline = memchr(text, '\n', len_bytes);
	char *back = memchr(text, '\r', newline ? (size_t)(newline - text) : len_bytes);

	return back ? back : newline;
}

/* Passes on the whole lines that are there. */
static void split(struct stream *s, bool errors, peer_line_fn *fn, void *ctx)
{
	char *text = (char *)s->text.data, *end;
	size_t begin = 0;

	while (s->seen < s->text.len && (end = line_end(text + s->seen, s->text.len - s->seen))) {
		*end = '\0';
		if (text[begin])
			fn(ctx, errors, text + begin);
		begin = s->seen = (size_t)(end - text) + 1;
	}
	if (begin > 0)
		memmove(text, text + begin, s->text.len - begin);
	s->text.len -= begin;
	s->seen = s->text.len;
}

/* What is there up to its last blank, so that no word is cut. */
static void pass_piece(struct stream *s, bool errors, peer_line_fn *fn, void *ctx)
{
	size_t len = s->text.len;
	char *text, next;

	/* Room for the NUL. */
	wbuf_u8(&s->text, 0);
	if (wbuf_error(&s->text))
		return;
	text = (char *)s->text.data;
	s->text.len = len;
	while (len > 0 && text[len - 1] != ' ')
		len--;
	if (len == 0)
		len = s->text.len;
	next = text[len];
	text[len] = '\0';
	fn(ctx, errors, text);
	text[len] = next;
	memmove(text, text + len, s->text.len - len);
	s->text.len -= len;
	s->seen = s->text.len;
}

static int drain(struct stream *s, bool errors, peer_line_fn *fn, void *ctx)
{
	char part[16384];
	ssize_t n;

	while (s->fd >= 0 && (n = read(s->fd, part, sizeof(part))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			break;
		if (s->pieces && s->text.len + (size_t)n >= PEER_LINE_MAX)
			pass_piece(s, errors, fn, ctx);
		wbuf_put(&s->text, part, (size_t)n);
		if (wbuf_error(&s->text))
			return wbuf_error(&s->text);
		split(s, errors, fn, ctx);
	}
	if (s->fd >= 0)
		close_end(&s->fd);
	return 0;
}

int peer_read(struct peer *p, peer_line_fn *fn, void *ctx)
{
	int r = drain(&p->out, false, fn, ctx);

	return r < 0 ? r : drain(&p->errors, true, fn, ctx);
}

static void flush(struct stream *s, bool errors, peer_line_fn *fn, void *ctx)
{
	if (drain(s, errors, fn, ctx) < 0 || s->text.len == 0)
		return;
	wbuf_u8(&s->text, '\n');
	if (!wbuf_error(&s->text))
		split(s, errors, fn, ctx);
}

/* What it started in the background may hold its outputs open: their end is not waited for. */
bool peer_ended(struct peer *p, int *ret_status, peer_line_fn *fn, void *ctx)
{
	siginfo_t info = { .si_pid = 0 };

	if (waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || !info.si_pid)
		return false;
	flush(&p->out, false, fn, ctx);
	flush(&p->errors, true, fn, ctx);
	kill(-p->pid, SIGKILL);
	while (waitpid(p->pid, ret_status, 0) < 0 && errno == EINTR)
		;
	p->pid = 0;
	return true;
}

bool peer_send(struct peer *p, const char *word)
{
	char line[64];
	size_t len = strlen(word);

	if (p->in < 0 || len + 1 >= sizeof(line))
		return false;
	memcpy(line, word, len);
	line[len++] = '\n';
	/* So short a write into a pipe is done whole or not at all. */
	return write(p->in, line, len) == (ssize_t)len;
}

void peer_hang_up(struct peer *p)
{
	close_end(&p->in);
}
