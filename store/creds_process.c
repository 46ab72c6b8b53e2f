/* SPDX-License-Identifier: Apache-2.0 */
#include "store/creds_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include "base/buf.h"
#include "store/creds_json.h"

#define POLL_MS 20 /* between two looks at the process and at cancel */

/* ---- the command ---- */

/* Takes one word at *in, without its quotes, to *out. -EINVAL: a quote stays open. */
static int take_word(char **in, char **out)
{
	char *from = *in, *to = *out, quote = 0;

	for (; *from && (quote || !strchr(" \t", *from)); from++) {
		if (*from == quote) {
			quote = 0;
		} else if (!quote && (*from == '\'' || *from == '"')) {
			quote = *from;
		} else if (*from == '\\' && quote != '\'') {
			if (!from[1])
				return -EINVAL;
			if (quote && !strchr("$`\"\\", from[1]))
				*to++ = *from;
			*to++ = *++from;
		} else {
			*to++ = *from;
		}
	}
	*in = *from ? from + 1 : from;
	*to++ = 0;
	*out = to;
	return quote ? -EINVAL : 0;
}

int creds_process_split(char *command, char *words[CREDS_PROCESS_WORDS_MAX + 1])
{
	char *in = command + strspn(command, " \t"), *out = command;
	size_t count = 0;

	while (*in) {
		if (count == CREDS_PROCESS_WORDS_MAX)
			return -EINVAL;
		words[count++] = out;
		if (take_word(&in, &out) < 0)
			return -EINVAL;
		in += strspn(in, " \t");
	}
	words[count] = NULL;
	return count && *words[0] ? 0 : -EINVAL;
}

/* ---- the process ---- */

struct child {
	pid_t pid;
	int out; /* what it prints, not blocking */
	bool ended;
	int status;
};

static int set_up(posix_spawn_file_actions_t *files, posix_spawnattr_t *attr, int out)
{
	sigset_t none, all;
	int r = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0);

	sigemptyset(&none);
	sigfillset(&all);
	if (!r)
		r = posix_spawn_file_actions_adddup2(files, out, 1);
	if (!r)
		r = posix_spawn_file_actions_addopen(files, 2, "/dev/null", O_WRONLY, 0);
	if (!r)
		r = posix_spawn_file_actions_addclosefrom_np(files, 3);
	if (!r)
		r = posix_spawnattr_setsigmask(attr, &none);
	if (!r)
		r = posix_spawnattr_setsigdefault(attr, &all);
	if (!r)
		r = posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
							   POSIX_SPAWN_SETSIGDEF);
	return -r;
}

static int start(struct child *c, char **words)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	r = set_up(&files, &attr, ends[1]);
	if (r == 0)
		r = -posix_spawnp(&c->pid, words[0], &files, &attr, words, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	close(ends[1]);
	if (r == 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0)
		c->out = ends[0];
	else
		close(ends[0]);
	return r;
}

/* Reads what is there. Whether more may come. */
static bool drain(struct child *c, struct wbuf *text)
{
	char part[4096];
	ssize_t n;

	while ((n = read(c->out, part, sizeof(part))) > 0)
		wbuf_put(text, part, (size_t)n);
	explicit_bzero(part, sizeof(part));
	return n < 0 && (errno == EAGAIN || errno == EINTR) && !wbuf_error(text);
}

/*
 * Until it has ended, has printed too much, or its time is over. It stays a zombie, so that its id
 * remains its own until the group was killed. Who ignores SIGCHLD has no zombies: then it is gone
 * when nobody can be waited for.
 */
static int watch(struct child *c, struct wbuf *text, int timeout_ms, const struct creds_attempt *a)
{
	int64_t end_ms = clock_elapsed_ms(clock_system()) + timeout_ms;
	bool open = true;

	while (!c->ended) {
		struct pollfd fd = { .fd = open ? c->out : -1, .events = POLLIN };
		siginfo_t info = { .si_pid = 0 };

		poll(&fd, 1, POLL_MS);
		if (waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
			c->ended = errno == ECHILD;
		else
			c->ended = info.si_pid == c->pid;
		open = open && drain(c, text);
		if (wbuf_error(text))
			return wbuf_error(text);
		if (cancel_is_set(a->cancel))
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
	close(c->out);
}

static int explain(const struct child *c, int r, int timeout_ms, struct err *e)
{
	if (r == -ECANCELED)
		return err_set(e, ERR_IO, r, "interrupted");
	if (r == -ENOMEM)
		return err_nomem(e);
	if (r == -E2BIG)
		return err_set(e, ERR_CREDENTIALS, r, "it printed more than %zu bytes",
			       CREDS_JSON_MAX);
	if (r == -ETIMEDOUT)
		return err_set(e, ERR_CREDENTIALS, r, "it did not end within %d s and was killed",
			       timeout_ms / 1000);
	if (r < 0)
		return err_set(e, ERR_CREDENTIALS, r, "it cannot be run: %s", strerrordesc_np(-r));
	if (WIFSIGNALED(c->status))
		return err_set(e, ERR_CREDENTIALS, -EIO, "it was ended by signal %d",
			       WTERMSIG(c->status));
	if (WEXITSTATUS(c->status) != 0)
		return err_set(e, ERR_CREDENTIALS, -EIO,
			       "it ended with exit code %d: run it by hand to see why",
			       WEXITSTATUS(c->status));
	return 0;
}

static int run(struct creds_attempt *a, char **words, struct wbuf *text, struct err *e)
{
	struct child c = { .out = -1 };
	int timeout_ms = a->world->process_timeout_ms;
	int r;

	a->asked = true;
	r = start(&c, words);
	if (r == 0) {
		r = watch(&c, text, timeout_ms, a);
		finish(&c);
	}
	return explain(&c, r, timeout_ms, e);
}

int creds_process_fetch(struct creds_attempt *a, const char *command, struct creds_found *ret,
			struct err *e)
{
	_cleanup_free_ char *copy = strdup(command);
	char *words[CREDS_PROCESS_WORDS_MAX + 1];
	struct wbuf text;
	int r;

	if (!copy)
		return err_nomem(e);
	if (creds_process_split(copy, words) < 0)
		return err_set(e, ERR_CREDENTIALS, -EINVAL,
			       "its value is no command: an open quote, no word, or more than %d",
			       CREDS_PROCESS_WORDS_MAX);
	wbuf_init(&text, CREDS_JSON_MAX);
	r = run(a, words, &text, e);
	if (r == 0)
		r = creds_json_read(CREDS_JSON_PROCESS, (const char *)text.data, text.len, ret, e);
	if (text.data)
		explicit_bzero(text.data, text.len);
	wbuf_deinit(&text);
	return r;
}
