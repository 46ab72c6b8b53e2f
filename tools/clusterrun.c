/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/clusterrun.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include "tools/follow.h"

#define CONNECTING_MAX 32 /* hosts that are spoken to for the first time at once */
#define POLL_MS 200
#define BEAT_MS 10000
#define GRACE_MS 300000 /* for a node to clear its snapshot after it was told to stop */
#define TEXT_MAX 1024

enum phase { PHASE_PREPARE, PHASE_SNAPSHOT, PHASE_UPLOAD, PHASE_STOP };

struct engine {
	struct clusterrun *run;
	enum phase phase;
	struct pollfd *fds; /* two for each node */
	bool changed;	    /* a node came to another state since advance() looked */
	int64_t beat_ms;    /* the last sign of life */
	int64_t begun_ms;   /* when the nodes were told to take their snapshots */
	int64_t looked_ms;  /* when all nodes were looked at, also those that said nothing */
	struct err refusal; /* why nothing was begun */
};

/* What a line is for, while it is read. */
struct line {
	struct engine *g;
	struct clusternode *n;
};

const char *clusternode_state_name(enum clusternode_state state)
{
	static const char *const names[] = { "waiting", "connecting", "ready",	"snapshot",
					     "taken",	"uploading",  "stored", "exists",
					     "failed",	"stopped" };

	return names[state];
}

static bool is_over(const struct clusternode *n)
{
	return n->state >= NODE_STORED;
}

static int64_t now_ms(const struct engine *g)
{
	return clock_elapsed_ms(g->run->clock);
}

static void move(struct engine *g, struct clusternode *n, enum clusternode_state state)
{
	n->state = state;
	n->told_ms = n->heard_ms = now_ms(g);
	g->changed = true;
	g->run->sink.changed(g->run->sink.ctx, n);
}

static size_t in_state(const struct engine *g, enum clusternode_state state)
{
	size_t count = 0;

	for (size_t i = 0; i < g->run->count; i++)
		count += g->run->nodes[i].state == state;
	return count;
}

static void hang_up(struct engine *g, struct clusternode *n)
{
	if (!n->peer || n->hung_up)
		return;
	n->hung_up = true;
	n->told_ms = now_ms(g);
	peer_hang_up(n->peer);
}

/* Takes the message over. */
static void fail(struct engine *g, struct clusternode *n, char *message)
{
	free(n->message);
	n->message = message ? util_one_line(message) : strdup("out of memory");
	hang_up(g, n);
	move(g, n, NODE_FAILED);
}

/* ---- what a node says ---- */

static const char *text_of(const json_t *o, const char *key)
{
	const char *value = "";

	return json_get_string(o, key, TEXT_MAX, &value, NULL) == 0 ? value : "";
}

static void take_ready(struct engine *g, struct clusternode *n, json_t *event)
{
	uint64_t protocol = 0;

	if (n->state != NODE_CONNECTING)
		return;
	if (json_get_u64(event, "protocol", &protocol, NULL) < 0 || protocol != FOLLOW_PROTOCOL) {
		n->exit_code = EXIT_USAGE;
		fail(g, n,
		     strdup("its sstablefs is of another version, which this one cannot lead"));
		return;
	}
	n->ready = json_incref(event);
	n->cluster = text_of(event, "cluster");
	n->node = text_of(event, "node");
	n->host_id = text_of(event, "host_id");
	n->dc = text_of(event, "dc");
	n->rack = text_of(event, "rack");
	n->repository = text_of(event, "repository");
	if (!g->run->members)
		g->run->members = json_object_get(event, "members");
	else
		json_object_del(event, "members"); /* of a large cluster each is a large list */
	n->has_it = json_is_true(json_object_get(event, "exists"));
	move(g, n, NODE_READY);
}

static void take_taken(struct engine *g, struct clusternode *n)
{
	if (n->state != NODE_SNAPSHOT)
		return;
	n->taken_ms = now_ms(g);
	g->run->snapshot_ms = MAX_OF(g->run->snapshot_ms, n->taken_ms - g->begun_ms);
	move(g, n, NODE_TAKEN);
}

/* Others print on the same output: what a shell greets with is no word of ours. */
static void take_out(struct engine *g, struct clusternode *n, const char *line)
{
	_cleanup_json_ json_t *o = NULL;
	const char *event;

	if (*line != '{' || json_parse("it", line, strlen(line), PEER_LINE_MAX, &o, NULL) < 0)
		return;
	event = text_of(o, "event");
	if (strcmp(event, "ready") == 0)
		take_ready(g, n, o);
	else if (strcmp(event, "taken") == 0)
		take_taken(g, n);
	else if (json_is_object(json_object_get(o, "error")) && !n->error)
		n->error = json_incref(json_object_get(o, "error"));
	else if (*text_of(o, "state") && !n->result)
		n->result = json_incref(o);
}

static bool take_progress(struct clusternode *n, const char *line)
{
	static const char begin[] = "{\"progress\":";
	_cleanup_json_ json_t *o = NULL;
	json_t *p;

	if (strncmp(line, begin, sizeof(begin) - 1) != 0 ||
	    json_parse("it", line, strlen(line), TEXT_MAX, &o, NULL) < 0)
		return false;
	p = json_object_get(o, "progress");
	(void)json_get_u64(p, "bytes_done", &n->bytes_done, NULL);
	(void)json_get_u64(p, "bytes_total", &n->bytes_total, NULL);
	(void)json_get_u64(p, "files_done", &n->files_done, NULL);
	(void)json_get_u64(p, "files_total", &n->files_total, NULL);
	return true;
}

static void pass_on(struct engine *g, struct clusternode *n)
{
	if (n->said)
		g->run->sink.said(g->run->sink.ctx, n, n->said);
	free(n->said);
	n->said = NULL;
}

/* The last line is kept: where the node fails, it says why. */
static void take_errors(struct engine *g, struct clusternode *n, char *line)
{
	static const char ours[] = "sstablefs: backup: ";

	if (!*line || take_progress(n, line))
		return;
	pass_on(g, n);
	if (strncmp(line, ours, sizeof(ours) - 1) == 0)
		line += sizeof(ours) - 1;
	if (strlen(line) > TEXT_MAX)
		line[TEXT_MAX] = '\0';
	n->said = strdup(util_one_line(line));
}

static void take_line(void *ctx, bool errors, char *line)
{
	struct line *l = ctx;
	size_t len = strlen(line);

	if (len > 0 && line[len - 1] == '\r')
		line[len - 1] = '\0';
	l->n->heard_ms = now_ms(l->g);
	if (errors)
		take_errors(l->g, l->n, line);
	else
		take_out(l->g, l->n, line);
}

/* ---- a node's begin and end ---- */

static void connect_to(struct engine *g, struct clusternode *n)
{
	char *words[SSHCONF_WORDS + 4];
	struct err e = ERR_INIT;

	sshconf_words(g->run->ssh, n->host, g->run->command, words);
	n->exit_code = SSHCONF_LOST;
	if (peer_start(words, &n->peer, &e) < 0) {
		n->exit_code = err_exit_code(e.kind);
		fail(g, n, strdup(e.message));
		return;
	}
	move(g, n, NODE_CONNECTING);
}

static char *explain(const struct clusternode *n)
{
	bool lost = n->exit_code == SSHCONF_LOST && n->state > NODE_CONNECTING;
	const char *said = n->said ? n->said : "";

	if (*said)
		return util_printf("%s%s%s", lost ? "the connection was lost: " : "", said,
				   sshconf_hint(n->exit_code, said));
	if (n->exit_code == SSHCONF_LOST)
		return strdup(lost ? "the connection was lost"
				   : "ssh could not connect, and did not say why");
	return util_printf("what was run there ended with exit code %d without a word%s",
			   n->exit_code, sshconf_hint(n->exit_code, ""));
}

static void finish(struct engine *g, struct clusternode *n, int status)
{
	const char *state = n->result ? text_of(n->result, "state") : "";
	bool fine;

	peer_free(n->peer);
	n->peer = NULL;
	if (is_over(n))
		return;
	n->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	fine = n->exit_code == EXIT_DONE || n->exit_code == EXIT_FOUND;
	if (fine && strcmp(state, "committed") == 0) {
		pass_on(g, n);
		move(g, n, NODE_STORED);
	} else if (fine && strcmp(state, "exists") == 0) {
		pass_on(g, n);
		move(g, n, NODE_EXISTS);
	} else if (g->phase == PHASE_STOP) {
		move(g, n, NODE_STOPPED);
	} else if (fine) {
		n->exit_code = EXIT_FAILED;
		fail(g, n, strdup("what was run there ended without having made a backup"));
	} else {
		fail(g, n, explain(n));
	}
}

/* ---- the barriers ---- */

static void refuse(struct engine *g, const struct clusternode *a, const struct clusternode *b,
		   const char *what, const char *of_a, const char *of_b)
{
	err_set(&g->refusal, ERR_USAGE, -EINVAL, "%s and %s %s: %s and %s; nothing was begun",
		a->host, b->host, what, of_a, of_b);
}

/* Nodes that are ready belong together, and each is there once. Otherwise nothing is begun, or the second of two that are one fails. */
static void check_together(struct engine *g)
{
	const struct clusternode *first = NULL;

	for (size_t i = 0; i < g->run->count; i++) {
		struct clusternode *n = &g->run->nodes[i];

		if (!n->ready || n->state == NODE_FAILED)
			continue;
		first = first ? first : n;
		if (strcmp(first->repository, n->repository) != 0)
			refuse(g, first, n, "are configured for two repositories",
			       first->repository, n->repository);
		else if (strcmp(first->cluster, n->cluster) != 0)
			refuse(g, first, n, "belong to two clusters", first->cluster, n->cluster);
		for (size_t j = 0; j < i && n->state != NODE_FAILED; j++) {
			const struct clusternode *o = &g->run->nodes[j];

			if (!o->ready || o->state == NODE_FAILED ||
			    (strcmp(o->host_id, n->host_id) != 0 && strcmp(o->node, n->node) != 0))
				continue;
			n->exit_code = EXIT_USAGE;
			fail(g, n,
			     util_printf(
				     "it is %s, host id %s, and so is %s: a name is wanted for each (node = … of its configuration)",
				     n->node, n->host_id, o->host));
		}
	}
}

static void begin_snapshot(struct engine *g)
{
	check_together(g);
	if (g->refusal.code < 0) {
		g->phase = PHASE_STOP;
		return;
	}
	g->phase = PHASE_SNAPSHOT;
	g->begun_ms = now_ms(g);
	for (size_t i = 0; i < g->run->count; i++) {
		struct clusternode *n = &g->run->nodes[i];

		/* One that has the backup says so, and ends by itself. */
		if (n->state != NODE_READY || n->has_it)
			continue;
		peer_send(n->peer, FOLLOW_WORD_SNAPSHOT);
		move(g, n, NODE_SNAPSHOT);
	}
}

static bool together(const struct clusterrun *r, const struct clusternode *a,
		     const struct clusternode *b)
{
	return r->per == PER_FLEET ||
	       (strcmp(a->dc, b->dc) == 0 && (r->per == PER_DC || strcmp(a->rack, b->rack) == 0));
}

/* Whether one more of its group may upload. */
static bool may_upload(const struct clusterrun *r, const struct clusternode *n)
{
	size_t busy = 0;

	if (r->parallel == 0)
		return true;
	for (size_t i = 0; i < r->count; i++)
		busy += r->nodes[i].state == NODE_UPLOADING && together(r, &r->nodes[i], n);
	return busy < r->parallel;
}

static void let_upload(struct engine *g)
{
	for (size_t i = 0; i < g->run->count; i++) {
		struct clusternode *n = &g->run->nodes[i];

		if (n->state != NODE_TAKEN || !may_upload(g->run, n))
			continue;
		peer_send(n->peer, FOLLOW_WORD_UPLOAD);
		move(g, n, NODE_UPLOADING);
	}
}

static void connect_some(struct engine *g)
{
	size_t now = in_state(g, NODE_CONNECTING);

	for (size_t i = 0; i < g->run->count && now < CONNECTING_MAX; i++) {
		if (g->run->nodes[i].state != NODE_WAITING)
			continue;
		connect_to(g, &g->run->nodes[i]);
		now++;
	}
}

static void stop(struct engine *g)
{
	g->phase = PHASE_STOP;
	for (size_t i = 0; i < g->run->count; i++) {
		if (g->run->nodes[i].state == NODE_WAITING)
			move(g, &g->run->nodes[i], NODE_STOPPED);
		hang_up(g, &g->run->nodes[i]);
	}
}

static void advance(struct engine *g)
{
	if (cancel_is_set(g->run->cancel) || g->phase == PHASE_STOP)
		stop(g);
	if (!g->changed)
		return;
	g->changed = false;
	if (g->phase == PHASE_PREPARE) {
		connect_some(g);
		if (in_state(g, NODE_WAITING) + in_state(g, NODE_CONNECTING) == 0)
			begin_snapshot(g);
	}
	if (g->phase == PHASE_SNAPSHOT && in_state(g, NODE_SNAPSHOT) == 0)
		g->phase = PHASE_UPLOAD;
	if (g->phase == PHASE_UPLOAD)
		let_upload(g);
}

/* ---- time ---- */

static void beat(struct engine *g)
{
	if (now_ms(g) - g->beat_ms < BEAT_MS)
		return;
	g->beat_ms = now_ms(g);
	for (size_t i = 0; i < g->run->count; i++)
		if (g->run->nodes[i].peer)
			peer_send(g->run->nodes[i].peer, FOLLOW_WORD_WAIT);
}

/* Who waits for us says nothing; ssh's own keepalive looks after it. */
static void look_at_time(struct engine *g, struct clusternode *n)
{
	bool speaks = n->state == NODE_CONNECTING || n->state == NODE_SNAPSHOT ||
		      n->state == NODE_UPLOADING;
	int64_t now = now_ms(g);

	if (n->hung_up && now - n->told_ms > GRACE_MS) {
		peer_free(n->peer);
		n->peer = NULL;
		if (!is_over(n))
			fail(g, n,
			     strdup("it did not end after it was told to stop: its snapshot may be left, which its next backup clears"));
	} else if (!n->hung_up && speaks && now - n->heard_ms > g->run->ssh->timeout_ms) {
		n->exit_code = EXIT_FAILED;
		fail(g, n,
		     util_printf("nothing was heard of it for %d s (%s)",
				 g->run->ssh->timeout_ms / 1000, clusternode_state_name(n->state)));
	}
}

/* ---- the loop ---- */

/* False: every node is over, and every ssh gone. */
static bool wait_for_something(struct engine *g)
{
	bool alive = false;

	for (size_t i = 0; i < g->run->count; i++) {
		struct clusternode *n = &g->run->nodes[i];

		g->fds[2 * i].fd = g->fds[2 * i + 1].fd = -1;
		if (n->peer)
			peer_fds(n->peer, g->fds + 2 * i);
		alive = alive || n->peer || !is_over(n);
	}
	/* An error says nothing of the descriptors. */
	if (alive && poll(g->fds, 2 * g->run->count, POLL_MS) < 0)
		g->looked_ms = 0;
	return alive;
}

static void serve(struct engine *g, struct clusternode *n)
{
	struct line l = { g, n };
	int status, r;

	if (!n->peer)
		return;
	r = peer_read(n->peer, take_line, &l);
	if (peer_ended(n->peer, &status, take_line, &l)) {
		finish(g, n, status);
		return;
	}
	if (r < 0 && !is_over(n)) {
		n->exit_code = EXIT_FAILED;
		fail(g, n, strdup("what it prints is no answer of sstablefs: too long a line"));
		/* Nothing of it can be read any more. */
		peer_free(n->peer);
		n->peer = NULL;
		return;
	}
	look_at_time(g, n);
}

/* One that ended while something that it left in the background holds its outputs open says nothing: so each is looked at now and then. */
static void serve_all(struct engine *g)
{
	bool all = now_ms(g) - g->looked_ms >= POLL_MS;

	if (all)
		g->looked_ms = now_ms(g);
	for (size_t i = 0; i < g->run->count; i++)
		if (all || g->fds[2 * i].revents || g->fds[2 * i + 1].revents)
			serve(g, &g->run->nodes[i]);
}

int clusterrun_run(struct clusterrun *run, struct err *e)
{
	struct engine g = { .run = run,
			    .changed = true,
			    .fds = calloc(2 * run->count + 1, sizeof(*g.fds)) };

	run->snapshot_ms = -1;
	run->members = NULL;
	if (!g.fds)
		return err_nomem(e);
	do {
		advance(&g);
		serve_all(&g);
		beat(&g);
		run->sink.tick(run->sink.ctx, run);
	} while (wait_for_something(&g));
	free(g.fds);
	if (g.refusal.code < 0 && e)
		*e = g.refusal;
	return g.refusal.code;
}

void clusterrun_free_nodes(struct clusternode *nodes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (nodes[i].peer)
			peer_free(nodes[i].peer);
		json_decref(nodes[i].ready);
		json_decref(nodes[i].result);
		json_decref(nodes[i].error);
		free(nodes[i].host);
		free(nodes[i].said);
		free(nodes[i].message);
	}
	free(nodes);
}
