/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/live.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/ulid.h"
#include "cassandra/beside.h"
#include "cassandra/cqlfacts.h"
#include "cassandra/leftover.h"
#include "cassandra/tags.h"
#include "cassandra/topology.h"
#include "cassandra/walkdir.h"
#include "catalog/parallel.h"
#include "tools/asknode.h"

#define CLEAR_TRIES 5 /* a snapshot that was given up may still be growing */

struct live {
	struct cli *cli;
	struct live_options o;
	struct asknode ask;
	struct facts *facts;
	const char *const *data_dirs;
	size_t data_dir_count;
	char tag[sizeof(LIVE_TAG_PREFIX) + ULID_TEXT];
	char *state;	       /* where notes of snapshots lie */
	struct leftover *note; /* from before the snapshot is taken until it is cleared */
	bool from_yaml;	       /* the node did not answer */
	bool by_cql;	       /* its facts are what CQL told */
	struct err
		cql_error; /* why CQL is not asked again: its answer would be the same; no message: it is */
	bool taken;  /* a snapshot of ours may be there */
	bool unsure; /* nodetool did not see its end: Cassandra may still be taking it */
	bool found;  /* something could not be had, or was left behind */
};

static void say(const struct live *l, const char *fmt, ...) _printf_(2, 3);

static void say(const struct live *l, const char *fmt, ...)
{
	char text[1400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "sstablefs: %s: %s\n", l->cli->command, util_one_line(text));
}

/* ---- asking ---- */

/* A backup of a snapshot that is there already needs no running node: cassandra.yaml says the rest. */
static int ask_yaml(struct live *l, int r, struct err *e)
{
	struct err why = *e, ignored = ERR_INIT;

	if (!l->o.snapshot || r == -ECANCELED || r == -ENOMEM ||
	    asknode_facts_of_yaml(&l->ask, &l->facts, &ignored) < 0)
		return r;
	l->from_yaml = l->found = true;
	say(l,
	    "Cassandra was not asked, %s says what is needed; the backup has no schema and no topology: %s",
	    l->ask.yaml, why.message);
	return 0;
}

static int check_only(const struct live *l, struct err *e)
{
	for (size_t i = 0; i < l->o.only_count; i++)
		if (!facts_has_table(l->facts, l->o.only[i]))
			return err_set(e, ERR_NOT_FOUND, -ENOENT,
				       "--only %s names no keyspace or table of this node",
				       l->o.only[i]);
	return 0;
}

/* Before the snapshot is taken: whether its files could be read. */
static int check_data_dirs(const struct live *l, struct err *e)
{
	for (size_t i = 0; i < l->data_dir_count; i++) {
		const char *path = l->data_dirs[i];

		if (access(path, R_OK | X_OK) == 0)
			continue;
		if (errno == ENOENT)
			return err_set(
				e, ERR_USAGE, -ENOENT,
				"the data directory %s does not exist here: where Cassandra runs in a container, name its data directories as this host sees them with --data-dir",
				path);
		return err_errno(
			e, -errno,
			"the data directory %s cannot be read (run sstablefs as the user that runs Cassandra, or as root)",
			path);
	}
	return 0;
}

/* By the names that nodetool tells: without symbolic links, and as all of them can be seen here. */
static int resolve_data_dirs(struct facts *f, struct err *e)
{
	char **told = f->data_dirs;
	size_t count = f->data_dir_count;
	int r = 0;

	f->data_dirs = NULL;
	f->data_dir_count = 0;
	for (size_t i = 0; i < count; i++) {
		_cleanup_free_ char *path = r == 0 ? realpath(told[i], NULL) : NULL;

		if (r == 0)
			r = path ? facts_add_data_dir(f, path, strlen(path), e)
				 : err_errno(e, -errno, "the data directory %s", told[i]);
		free(told[i]);
	}
	free(told);
	return r;
}

static int take_cql(struct live *l, struct err *e)
{
	_cleanup_(facts_freep) struct facts *f = NULL;
	const char *missing;
	int r = asknode_facts_by_cql(&l->ask, l->o.only_count > 0, &f, e);

	if (r < 0)
		return r;
	missing = cqlfacts_missing(f);
	if (missing)
		return err_set(e, ERR_IO, -EBADMSG, "its answer lacks %s", missing);
	r = resolve_data_dirs(f, e);
	if (r == 0)
		r = asknode_mode(&l->ask, false, f, e);
	if (r == 0)
		l->facts = steal_pointer(&f);
	return r;
}

/*
 * One cqlsh in place of four JVMs, where all is certain; else -EAGAIN, for nodetool. That CQL is the same Cassandra's as JMX is proved by the snapshot, which is taken
 * by JMX and must lie in the directories that CQL told: so not where one is there already, or the directories were named.
 */
static int ask_cql(struct live *l, struct err *e)
{
	struct err why = ERR_INIT;
	int r;

	if (l->o.snapshot || l->o.data_dir_count > 0)
		return -EAGAIN;
	r = take_cql(l, &why);
	l->by_cql = r == 0;
	if (r == 0)
		return 0;
	if (r == -ECANCELED || r == -ENOMEM) {
		*e = why;
		return r;
	}
	/* A login that is refused may be counted, and who is silent costs all of the time limit. */
	if (r == -EACCES || r == -ETIMEDOUT)
		l->cql_error = why;
	log_write(l->cli->log, LOG_LEVEL_INFO, "asked-nodetool",
		  "nodetool is asked for what CQL did not tell: %s", why.message);
	return -EAGAIN;
}

static int ask(struct live *l, struct err *e)
{
	int r = asknode_init(&l->ask, l->cli, e);

	if (r < 0)
		return r;
	r = ask_cql(l, e);
	if (r == -EAGAIN)
		r = asknode_facts(&l->ask, l->o.data_dir_count == 0, &l->facts, e);
	if (r < 0)
		r = ask_yaml(l, r, e);
	if (r < 0)
		return r;
	l->data_dirs = l->o.data_dir_count ? l->o.data_dirs
					   : (const char *const *)l->facts->data_dirs;
	l->data_dir_count = l->o.data_dir_count ? l->o.data_dir_count : l->facts->data_dir_count;
	r = check_only(l, e);
	return r < 0 ? r : check_data_dirs(l, e);
}

char *live_state_dir(void)
{
	_cleanup_free_ char *cache = session_cache_dir();

	return cache ? util_printf("%s/snapshots", cache) : NULL;
}

int live_open(struct cli *cli, const struct live_options *o, struct live **ret, struct err *e)
{
	struct live *l = calloc(1, sizeof(*l));
	int r;

	if (l) {
		l->cli = cli;
		l->o = *o;
		l->state = live_state_dir();
	}
	r = l && l->state ? ask(l, e) : err_nomem(e);
	if (r == 0)
		*ret = l;
	else if (l)
		live_close(l);
	return r;
}

const struct facts *live_facts(const struct live *l)
{
	return l->facts;
}

/* ---- the snapshot ---- */

/* Clears it in Cassandra and looks whether it is gone from the disk. 0, or why not. */
static int clear(const struct live *l, const char *tag, unsigned tries, struct err *e)
{
	struct nodetool n = l->ask.nodetool;
	size_t left = 0;

	n.cancel = NULL; /* what was cancelled is cleared too */
	for (unsigned i = 0; i < tries; i++) {
		const struct timespec second = { .tv_sec = i > 0 };
		int r;

		nanosleep(&second, NULL);
		r = nodetool_clear(&n, tag, e);
		if (r < 0)
			return r;
		left = tags_count(l->data_dirs, l->data_dir_count, tag);
		if (left == 0)
			return 0;
	}
	return err_set(e, ERR_IO, -EBUSY,
		       "%zu directories of it are still there after nodetool clearsnapshot", left);
}

static void say_left(struct live *l, const char *tag, const struct err *e)
{
	l->found = true;
	say(l,
	    "the snapshot %s is left behind: %s; the next backup clears it, or: nodetool clearsnapshot -t %s",
	    tag, e->message, tag);
}

static int clear_leftovers(struct live *l, struct err *e)
{
	struct leftover *old = NULL;
	size_t failed = 0;
	int r;

	while ((r = leftover_find(l->state, l->facts->host_id, failed, &old, e)) == 0 && old) {
		struct err why = ERR_INIT;

		if (cancel_is_set(&l->cli->cancel)) {
			leftover_free(old);
			return err_set(e, ERR_IO, -ECANCELED, "interrupted");
		}
		if (clear(l, old->tag, 1, &why) == 0) {
			if (!l->cli->quiet)
				say(l,
				    "cleared the snapshot %s, which a run that ended early had taken",
				    old->tag);
			if (leftover_forget(old) == 0)
				continue;
		} else {
			say_left(l, old->tag, &why);
			leftover_free(old);
		}
		failed++;
	}
	return r;
}

static int note(struct live *l, struct err *e)
{
	struct ulid id = ulid_new(l->cli->clock);
	char text[ULID_TEXT];

	snprintf(l->tag, sizeof(l->tag), LIVE_TAG_PREFIX "%s", ulid_format(text, &id));
	return leftover_note(l->state, l->tag, l->facts->host_id, &l->note, e);
}

static int take(struct live *l, struct err *e)
{
	int r;

	l->taken = true;
	r = nodetool_snapshot(&l->ask.nodetool, l->tag, l->o.only, l->o.only_count, e);
	if (r == -EEXIST)
		l->taken = false; /* somebody else's: not ours to clear */
	/* Also where nodetool died or lost its connection: Cassandra takes it without anybody listening. */
	l->unsure = r < 0 && r != -EEXIST && r != -ENOENT && r != -EACCES;
	if (r == 0 && l->by_cql && tags_count(l->data_dirs, l->data_dir_count, l->tag) == 0)
		return err_set(
			e, ERR_IO, -ENOENT,
			"the snapshot that nodetool took is in no data directory that CQL tells, as where they reach different Cassandras: see jmx_port and cql_host under [cassandra] of the configuration");
	return r;
}

int live_prepare(struct live *l, struct err *e)
{
	int r = l->from_yaml ? 0 : clear_leftovers(l, e);

	if (r == 0 && !l->from_yaml)
		r = note(l, e);
	if (r < 0 && r != -ECANCELED)
		return err_wrap(
			e, r,
			"no snapshot was taken, as local state cannot keep track of it ($SSTABLEFS_CACHE_DIR names another place)");
	return r;
}

int live_snapshot(struct live *l, const char **ret_tag, struct err *e)
{
	int r = 0;

	if (!l->o.snapshot)
		r = take(l, e);
	if (r == 0)
		*ret_tag = l->o.snapshot ? l->o.snapshot : l->tag;
	return r;
}

static void give_back(struct live *l)
{
	struct err e = ERR_INIT;
	int r = 0;

	if (l->taken)
		r = clear(l, l->tag, CLEAR_TRIES, &e);
	if (r < 0)
		say_left(l, l->tag, &e);
	/* What Cassandra may still add is cleared by the next run. */
	if (r < 0 || l->unsure)
		leftover_free(l->note);
	else if (leftover_forget(l->note) < 0)
		say(l, "cannot remove what was noted of the snapshot %s in %s", l->tag, l->state);
}

bool live_close(struct live *l)
{
	bool found;

	if (l->note)
		give_back(l);
	found = l->found;
	asknode_deinit(&l->ask);
	facts_free(l->facts);
	free(l->state);
	free(l);
	return found;
}

/* ---- what goes into the backup ---- */

static int write_schema(struct live *l, bool *ret_there, struct err *e)
{
	struct cqlsh c = asknode_cqlsh(&l->ask, l->facts->address);
	_cleanup_wbuf_ struct wbuf text;
	struct err why = ERR_INIT;
	int r;

	wbuf_init(&text, CQLSH_SCHEMA_MAX);
	*ret_there = false;
	if (*l->cql_error.message)
		why = l->cql_error;
	r = *why.message ? why.code : cqlsh_schema(&c, &text, &why);
	if (r == -ECANCELED || r == -ENOMEM) {
		*e = why;
		return r;
	}
	if (r < 0) {
		l->found = true;
		say(l,
		    "the backup has no schema.cql (each table's own is in it, below snapshot/): %s",
		    why.message);
		return 0;
	}
	*ret_there = true;
	return leftover_write(l->note, "schema.cql", text.data, text.len, e);
}

/* What cqlsh tells, a call each. */
struct describing {
	struct live *live;
	bool schema; /* it could be had */
};

static int describe_one(void *ctx, size_t i, unsigned worker, struct err *e)
{
	struct describing *d = ctx;

	(void)worker;
	return i == 0 ? write_schema(d->live, &d->schema, e)
		      : asknode_mode(&d->live->ask, !*d->live->cql_error.message, d->live->facts,
				     e);
}

int live_describe(struct live *l, struct snapshot *s, struct err *e)
{
	static const char *const names[] = { "schema.cql", "topology.json" };
	_cleanup_free_ char *topology = l->from_yaml ? NULL : topology_text(l->facts);
	struct describing d = { .live = l };
	int r;

	if (l->from_yaml)
		return 0;
	if (!topology)
		return err_nomem(e);
	r = parallel_run("cqlsh", 2, l->by_cql ? 1 : 2, describe_one, &d, e);
	if (r == 0)
		r = leftover_write(l->note, "topology.json", topology, strlen(topology), e);
	if (r < 0)
		return r;
	return beside_add(s, l->note->directory, names + !d.schema, ARRAY_SIZE(names) - !d.schema,
			  e);
}

static int put(char **to, const char *from)
{
	char *copy = strdup(from);

	if (!copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

/* A node that is joining cannot be backed up yet, and is not waited for. */
static int put_peers(const struct facts *f, struct record *r)
{
	r->peers = calloc(f->member_count + 1, sizeof(*r->peers));
	if (!r->peers)
		return -ENOMEM;
	for (size_t i = 0; i < f->member_count; i++) {
		const struct facts_member *m = &f->members[i];
		struct record_node *p = &r->peers[r->peer_count];

		if (m->state == 'J')
			continue;
		r->peer_count++;
		if (put(&p->host_id, m->host_id) < 0 || put(&p->address, m->address) < 0 ||
		    put(&p->dc, m->dc) < 0 || put(&p->rack, m->rack) < 0)
			return -ENOMEM;
	}
	r->peers_known = true;
	return 0;
}

static int put_tokens(const struct facts *f, struct record *r)
{
	r->tokens = calloc(f->token_count + 1, sizeof(*r->tokens));
	if (!r->tokens)
		return -ENOMEM;
	for (; r->token_count < f->token_count; r->token_count++)
		if (put(&r->tokens[r->token_count], f->tokens[r->token_count]) < 0)
			return -ENOMEM;
	return 0;
}

int live_record(const struct live *l, struct record *r, struct err *e)
{
	const struct facts *f = l->facts;

	if (put(&r->cluster_original, f->cluster) < 0 || put(&r->host_id, f->host_id) < 0 ||
	    put(&r->address, f->address) < 0 || put(&r->dc, f->dc) < 0 ||
	    put(&r->rack, f->rack) < 0 || put(&r->cassandra_version, f->version) < 0 ||
	    put(&r->partitioner, f->partitioner) < 0 ||
	    put(&r->compatibility_mode, f->compatibility_mode) < 0 || put_tokens(f, r) < 0)
		return err_nomem(e);
	return l->from_yaml || put_peers(f, r) == 0 ? 0 : err_nomem(e);
}
