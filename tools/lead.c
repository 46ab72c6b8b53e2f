/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/lead.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "tools/follow.h"

#define CONNECTING_MAX 32 /* hosts that are spoken to for the first time at once */
#define POLL_MS 200
#define BEAT_MS 10000
#define CONNECTING_GRACE_MS 15000 /* for one to end that has begun nothing */
#define NOT_ENDED "its work is done, but its ssh did not end"
#define FILES_OF_HOST 3	 /* pipes */
#define FILES_OF_OURS 64 /* all else that is open */

/* What a line is for, while it is read. */
struct line {
	struct lead *l;
	struct lead_host *h;
};

bool lead_is_over(const struct lead_host *h)
{
	return h->state >= LEAD_DONE;
}

const char *lead_state_name(const struct lead *l, const struct lead_host *h)
{
	static const char *const names[] = { [LEAD_WAITING] = "waiting",
					     [LEAD_CONNECTING] = "connecting",
					     [LEAD_FAILED] = "failed",
					     [LEAD_STOPPED] = "stopped" };

	switch (h->state) {
	case LEAD_RESTING:
		return h->step == 0 ? "ready" : l->task->steps[h->step - 1].rested;
	case LEAD_WORKING:
		return l->task->steps[h->step].working;
	case LEAD_DONE:
		return h->done_name;
	default:
		return names[h->state];
	}
}

int64_t lead_now_ms(const struct lead *l)
{
	return clock_elapsed_ms(l->clock);
}

static void move(struct lead *l, struct lead_host *h, enum lead_state state)
{
	if (state >= LEAD_DONE)
		h->in_step = h->state == LEAD_WORKING;
	h->state = state;
	h->told_ms = h->heard_ms = lead_now_ms(l);
	l->changed = true;
	l->sink.changed(l->sink.ctx, l, h);
}

size_t lead_count(const struct lead *l, enum lead_state state, size_t step)
{
	bool steps = state == LEAD_RESTING || state == LEAD_WORKING;
	size_t count = 0;

	for (size_t i = 0; i < l->count; i++)
		count += l->hosts[i].state == state && (!steps || l->hosts[i].step == step);
	return count;
}

static void hang_up(struct lead *l, struct lead_host *h)
{
	if (!h->peer || h->hung_up)
		return;
	h->hung_up = true;
	h->told_ms = lead_now_ms(l);
	peer_hang_up(h->peer);
}

void lead_fail(struct lead *l, struct lead_host *h, int exit_code, char *message)
{
	h->exit_code = exit_code;
	free(h->message);
	h->message = message ? util_one_line(message) : strdup("out of memory");
	h->failed_at = lead_state_name(l, h);
	hang_up(l, h);
	move(l, h, LEAD_FAILED);
}

void lead_let(struct lead *l, struct lead_host *h)
{
	peer_send(h->peer, l->task->steps[h->step].word);
	move(l, h, LEAD_WORKING);
}

void lead_stop(struct lead *l)
{
	l->stopping = true;
	for (size_t i = 0; i < l->count; i++) {
		if (l->hosts[i].state == LEAD_WAITING)
			move(l, &l->hosts[i], LEAD_STOPPED);
		hang_up(l, &l->hosts[i]);
	}
}

void lead_refuse(struct lead *l, enum err_kind kind, const char *fmt, ...)
{
	char text[LEAD_TEXT_MAX];
	va_list list;

	va_start(list, fmt);
	vsnprintf(text, sizeof(text), fmt, list);
	va_end(list);
	err_set(&l->refusal, kind, -EINVAL, "%s", text);
	lead_stop(l);
}

/* ---- what a host says ---- */

const char *lead_text(const json_t *o, const char *key)
{
	const char *value = "";

	return json_get_string(o, key, LEAD_TEXT_MAX, &value, NULL) == 0 ? value : "";
}

static void take_ready(struct lead *l, struct lead_host *h, json_t *event)
{
	uint64_t protocol = 0;

	if (h->state != LEAD_CONNECTING)
		return;
	if (json_get_u64(event, "protocol", &protocol, NULL) < 0 || protocol != FOLLOW_PROTOCOL) {
		lead_fail(
			l, h, EXIT_USAGE,
			strdup("its sstablefs is of another version, which this one cannot lead"));
		return;
	}
	h->ready = json_incref(event);
	h->cluster = lead_text(event, "cluster");
	h->node = lead_text(event, "node");
	h->host_id = lead_text(event, "host_id");
	h->dc = lead_text(event, "dc");
	h->rack = lead_text(event, "rack");
	h->repository = lead_text(event, "repository");
	l->task->ready(l, h, event);
	if (!lead_is_over(h))
		move(l, h, LEAD_RESTING);
}

static void take_event(struct lead *l, struct lead_host *h, const char *event)
{
	const char *wanted = h->state == LEAD_WORKING ? l->task->steps[h->step].event : NULL;

	if (!wanted || strcmp(event, wanted) != 0)
		return;
	h->step++;
	move(l, h, LEAD_RESTING);
	if (l->task->rested)
		l->task->rested(l, h);
}

/* Others print on the same output: what a shell greets with is no word of ours. */
static void take_out(struct lead *l, struct lead_host *h, const char *line)
{
	_cleanup_json_ json_t *o = NULL;
	const char *event;

	if (*line != '{' || json_parse("it", line, strlen(line), PEER_LINE_MAX, &o, NULL) < 0)
		return;
	h->answered = true;
	event = lead_text(o, "event");
	if (strcmp(event, FOLLOW_READY) == 0)
		take_ready(l, h, o);
	else if (*event)
		take_event(l, h, event);
	else if (json_is_object(json_object_get(o, "error")) && !h->error)
		h->error = json_incref(json_object_get(o, "error"));
	else if (*lead_text(o, "state") && !h->result)
		h->result = json_incref(o);
}

static bool take_progress(struct lead_host *h, const char *line)
{
	static const char begin[] = "{\"progress\":";
	_cleanup_json_ json_t *o = NULL;
	json_t *p;

	if (strncmp(line, begin, sizeof(begin) - 1) != 0 ||
	    json_parse("it", line, strlen(line), LEAD_TEXT_MAX, &o, NULL) < 0)
		return false;
	p = json_object_get(o, "progress");
	(void)json_get_u64(p, "bytes_done", &h->bytes_done, NULL);
	(void)json_get_u64(p, "bytes_total", &h->bytes_total, NULL);
	(void)json_get_u64(p, "files_done", &h->files_done, NULL);
	(void)json_get_u64(p, "files_total", &h->files_total, NULL);
	return true;
}

static void pass_on(struct lead *l, struct lead_host *h)
{
	if (h->said)
		l->sink.said(l->sink.ctx, h, h->said);
	free(h->said);
	h->said = NULL;
}

/* "sstablefs: COMMAND: " tells nothing new. */
static char *without_name(const struct lead *l, char *line)
{
	const char *words[] = { "sstablefs: ", l->task->command, ": " };
	char *rest = line;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strncmp(rest, words[i], strlen(words[i])) != 0)
			return line;
		rest += strlen(words[i]);
	}
	return rest;
}

/* The last line is kept: where the host fails, it says why. That it ends as it was told to is no news. */
static void take_errors(struct lead *l, struct lead_host *h, char *line)
{
	if (!*line || take_progress(h, line))
		return;
	if (!h->hung_up)
		pass_on(l, h);
	line = without_name(l, line);
	if (strlen(line) > LEAD_TEXT_MAX)
		line[LEAD_TEXT_MAX] = '\0';
	free(h->said);
	h->said = strdup(util_one_line(line));
}

static void take_line(void *ctx, bool errors, char *line)
{
	struct line *n = ctx;
	size_t len = strlen(line);

	if (len > 0 && line[len - 1] == '\r')
		line[len - 1] = '\0';
	n->h->heard_ms = lead_now_ms(n->l);
	if (errors)
		take_errors(n->l, n->h, line);
	else
		take_out(n->l, n->h, line);
}

/* ---- a host's begin and end ---- */

static void connect_to(struct lead *l, struct lead_host *h)
{
	char *words[SSHCONF_WORDS + 4];
	struct err e = ERR_INIT;

	sshconf_words(l->ssh, h->host, h->command ? h->command : l->command, words);
	h->exit_code = SSHCONF_LOST;
	if (peer_start(words, &h->peer, &e) < 0) {
		lead_fail(l, h, err_exit_code(e.kind), strdup(e.message));
		return;
	}
	move(l, h, LEAD_CONNECTING);
}

static void connect_some(struct lead *l)
{
	size_t now = lead_count(l, LEAD_CONNECTING, 0);

	for (size_t i = 0; i < l->count && now < CONNECTING_MAX; i++) {
		if (l->hosts[i].state != LEAD_WAITING)
			continue;
		connect_to(l, &l->hosts[i]);
		now++;
	}
}

static char *explain(const struct lead_host *h, int exit_code)
{
	bool lost = exit_code == SSHCONF_LOST && h->state > LEAD_CONNECTING;
	/* What it said of its failure is more than what it said last. */
	const char *why = lead_text(h->error, "message"), *said = *why	    ? why
								  : h->said ? h->said
									    : "";

	if (*said)
		return util_printf("%s%s%s", lost ? "the connection was lost: " : "", said,
				   sshconf_hint(exit_code, said));
	if (exit_code == SSHCONF_LOST)
		return strdup(lost ? "the connection was lost"
				   : "ssh could not connect, and did not say why");
	return util_printf("what was run there ended with exit code %d without a word%s", exit_code,
			   sshconf_hint(exit_code, ""));
}

/* It ended as it was told to, and not for a reason of its own. */
static bool was_stopped(const struct lead *l, int code)
{
	return l->stopping && (code == SSHCONF_LOST || code == 128 + SIGHUP ||
			       code == 128 + SIGINT || code == 128 + SIGTERM);
}

/* Else ssh could not connect, there is no sstablefs, or something was killed: what is there is not known. */
static bool ran_there(int code)
{
	return code < SSHCONF_NOT_RUN;
}

/* What it said of its work holds, whatever became of the connection then: only its exit code is not known. False: it had not said it. */
static bool take_as_done(struct lead *l, struct lead_host *h, const char *why)
{
	h->done_name = h->result ? l->task->done(h) : NULL;
	if (!h->done_name)
		return false;
	h->exit_code = EXIT_FOUND;
	pass_on(l, h);
	l->sink.said(l->sink.ctx, h, why);
	move(l, h, LEAD_DONE);
	return true;
}

static void finish(struct lead *l, struct lead_host *h, int status)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	bool fine = code == EXIT_DONE || code == EXIT_FOUND;

	peer_free(h->peer);
	h->peer = NULL;
	if (lead_is_over(h))
		return;
	h->answered = h->answered || ran_there(code);
	if (code == SSHCONF_LOST &&
	    take_as_done(l, h, "its work is done, but the connection was lost before its end"))
		return;
	h->exit_code = code;
	h->done_name = fine && h->result ? l->task->done(h) : NULL;
	if (h->done_name) {
		pass_on(l, h);
		move(l, h, LEAD_DONE);
	} else if (was_stopped(l, code)) {
		move(l, h, LEAD_STOPPED);
	} else if (fine) {
		lead_fail(l, h, EXIT_FAILED, strdup(l->task->undone));
	} else {
		lead_fail(l, h, code, explain(h, code));
	}
}

/* They end by themselves, as where we are killed. */
static void leave_all(struct lead *l)
{
	for (size_t i = 0; i < l->count; i++) {
		struct lead_host *h = &l->hosts[i];

		if (h->peer)
			peer_free(h->peer);
		h->peer = NULL;
		if (lead_is_over(h))
			continue;
		h->message = strdup("its end was not waited for");
		move(l, h, LEAD_STOPPED);
	}
}

static void advance(struct lead *l)
{
	if (cancel_is_set(l->cancel) || l->stopping)
		lead_stop(l);
	if (cancel_is_set(l->hurry))
		leave_all(l);
	if (!l->changed)
		return;
	l->changed = false;
	if (!l->stopping)
		connect_some(l);
	if (!l->stopping)
		l->task->advance(l);
}

/* ---- time ---- */

static void beat(struct lead *l)
{
	if (lead_now_ms(l) - l->beat_ms < BEAT_MS)
		return;
	l->beat_ms = lead_now_ms(l);
	for (size_t i = 0; i < l->count; i++)
		if (l->hosts[i].peer)
			peer_send(l->hosts[i].peer, FOLLOW_WORD_WAIT);
}

static void abandon(struct lead_host *h)
{
	peer_free(h->peer);
	h->peer = NULL;
}

/* It was told to end. Where it is not ready there is nothing that it has to undo: its ssh is what hangs. */
static void look_at_end(struct lead *l, struct lead_host *h)
{
	if (lead_now_ms(l) - h->told_ms <= (h->ready ? l->task->grace_ms : CONNECTING_GRACE_MS))
		return;
	abandon(h);
	if (lead_is_over(h))
		return;
	if (!h->ready)
		move(l, h, LEAD_STOPPED);
	else if (!take_as_done(l, h, NOT_ENDED))
		lead_fail(l, h, h->exit_code, strdup(l->task->grace_over));
}

/* Something that it left in the background, as a shell's start files do, may keep sshd from ending a session in which all is said. */
static void give_up(struct lead *l, struct lead_host *h)
{
	const char *error = lead_text(h->error, "message");

	if (take_as_done(l, h, NOT_ENDED)) {
		abandon(h);
	} else if (*error) {
		lead_fail(l, h, EXIT_FAILED, util_printf("%s (and its ssh did not end)", error));
		abandon(h);
	} else {
		lead_fail(l, h, EXIT_FAILED,
			  util_printf("nothing was heard of it for %d s (%s)",
				      l->ssh->timeout_ms / 1000, lead_state_name(l, h)));
	}
}

/* Who waits for us says nothing; ssh's own keepalive looks after it. Who said its last, or has no step to be let take, goes on to its end. */
static void look_at_time(struct lead *l, struct lead_host *h)
{
	bool speaks = h->state == LEAD_CONNECTING || h->state == LEAD_WORKING || h->result ||
		      h->error || l->task->step_count == 0;

	if (h->hung_up)
		look_at_end(l, h);
	else if (!lead_is_over(h) && speaks && lead_now_ms(l) - h->heard_ms > l->ssh->timeout_ms)
		give_up(l, h);
}

/* ---- the loop ---- */

/* False: every host is over, and every ssh gone. */
static bool wait_for_something(struct lead *l)
{
	bool alive = false;

	for (size_t i = 0; i < l->count; i++) {
		struct lead_host *h = &l->hosts[i];

		l->fds[2 * i].fd = l->fds[2 * i + 1].fd = -1;
		if (h->peer)
			peer_fds(h->peer, l->fds + 2 * i);
		alive = alive || h->peer || !lead_is_over(h);
	}
	/* An error says nothing of the descriptors. */
	if (alive && poll(l->fds, 2 * l->count, POLL_MS) < 0)
		l->looked_ms = 0;
	return alive;
}

static void serve(struct lead *l, struct lead_host *h)
{
	struct line line = { l, h };
	int status, r;

	if (!h->peer)
		return;
	r = peer_read(h->peer, take_line, &line);
	if (peer_ended(h->peer, &status, take_line, &line)) {
		finish(l, h, status);
		return;
	}
	if (r < 0 && !lead_is_over(h)) {
		lead_fail(l, h, EXIT_FAILED,
			  strdup("what it prints is no answer of sstablefs: too long a line"));
		/* Nothing of it can be read any more. */
		abandon(h);
		return;
	}
	look_at_time(l, h);
}

/* One that ended while something that it left in the background holds its outputs open says nothing: so each is looked at now and then. */
static void serve_all(struct lead *l)
{
	bool all = lead_now_ms(l) - l->looked_ms >= POLL_MS;

	if (all)
		l->looked_ms = lead_now_ms(l);
	for (size_t i = 0; i < l->count; i++)
		if (all || l->fds[2 * i].revents || l->fds[2 * i + 1].revents)
			serve(l, &l->hosts[i]);
}

/* Each host takes some descriptors; that the limit cannot be raised is found where one is missing. */
static void make_room(size_t count)
{
	struct rlimit l;
	rlim_t wanted = FILES_OF_HOST * count + FILES_OF_OURS;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur >= wanted)
		return;
	l.rlim_cur = MIN_OF(wanted, l.rlim_max);
	setrlimit(RLIMIT_NOFILE, &l);
}

int lead_run(struct lead *l, struct err *e)
{
	l->changed = true;
	l->fds = calloc(2 * l->count + 1, sizeof(*l->fds));
	if (!l->fds)
		return err_nomem(e);
	make_room(l->count);
	do {
		advance(l);
		serve_all(l);
		beat(l);
		l->sink.tick(l->sink.ctx, l);
	} while (wait_for_something(l));
	free(l->fds);
	l->fds = NULL;
	if (l->refusal.code < 0 && e)
		*e = l->refusal;
	return l->refusal.code;
}

void lead_free_hosts(struct lead_host *hosts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (hosts[i].peer)
			peer_free(hosts[i].peer);
		json_decref(hosts[i].ready);
		json_decref(hosts[i].result);
		json_decref(hosts[i].error);
		free(hosts[i].host);
		free(hosts[i].command);
		free(hosts[i].said);
		free(hosts[i].message);
	}
	free(hosts);
}
