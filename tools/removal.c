/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/removal.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "base/budget.h"
#include "catalog/parallel.h"
#include "catalog/probe.h"
#include "catalog/remove.h"

/* A record that is read and written again takes some times the memory of its text, of which those under way share so much. */
#define RECORD_MEMORY 8
#define RECORDS_UNDER_WAY_BYTES (64 * MIB)

void removal_deinit(struct removal *r)
{
	for (size_t i = 0; i < r->count; i++)
		free(r->targets[i].reason);
	free(r->targets);
	survey_free(r->survey);
}

int removal_add(struct removal *r, size_t entry, struct err *e)
{
	if (util_grow(&r->targets, &r->cap, r->count + 1, sizeof(*r->targets)) < 0)
		return err_nomem(e);
	r->targets[r->count++] = (struct removal_target){ .entry = entry };
	return 0;
}

/* ---- whether the store is fit for it ---- */

int removal_gate(struct cli *cli, struct session *s, const struct node_name *where, struct err *e)
{
	const struct probe_memory memory = {
		.repo = s->repo, .where = where, .kv = s->kv, .server = s->url
	};
	struct probe_result p;
	int r = probe_once(&memory, false, &p, &cli->cancel, e);

	if (r < 0 && e->kind == ERR_CREDENTIALS)
		return err_wrap(
			e, r,
			"these credentials may not write, which removing a backup takes (its record is overwritten)");
	if (r < 0)
		return err_wrap(e, r, "cannot find out whether the store is fit for deletion");
	if (probe_passed(&p))
		return 0;
	return err_set(
		e, ERR_STORE, -ENOTSUP,
		"the store does not honour %s%s%swhich safe deletion rests on: nothing was removed; backups and restores work (sstablefs doctor says more)",
		p.if_absent ? "" : "If-None-Match, ", p.if_match_stale ? "" : "If-Match, ",
		p.if_match_missing ? "" : "If-Match on a missing key, ");
}

/* ---- removing ---- */

struct running {
	struct cli *cli;
	struct session *s;
	struct removal *r;
	struct budget *under_way;
	pthread_mutex_t lock; /* of r's counts and error, and of stop */
	bool stop;
};

static int rewrite(struct running *run, const struct survey_entry *x, struct err *e)
{
	const struct survey *v = run->r->survey;
	_cleanup_(record_freep) struct record *record = NULL;
	char etag[STORE_ETAG_MAX];
	int r = repo_get_record(run->s->repo, survey_node(v, x), survey_name(v, x), &x->writer,
				&record, etag, &run->cli->cancel, e);

	if (r != 0)
		return r > 0 ? REMOVE_GONE : r;
	return remove_backup(run->s->repo, record, etag, &run->cli->cancel, e);
}

static int remove_one(struct running *run, const struct survey_entry *x, struct err *e)
{
	uint64_t bytes = RECORD_MEMORY *
			 MIN_OF(UINT64_C(1) << MIN_OF(x->size_log2, 63), FORMAT_RECORD_BYTES);
	int r = budget_take(run->under_way, bytes, &run->cli->cancel);

	if (r < 0)
		return err_set(e, ERR_IO, r, "interrupted");
	r = rewrite(run, x, e);
	budget_give(run->under_way, bytes);
	return r;
}

static void note(struct running *run, struct removal_target *t, int r, const struct err *e)
{
	struct removal *all = run->r;
	char text[2048];

	pthread_mutex_lock(&run->lock);
	if (r == 0) {
		t->outcome = REMOVAL_DONE;
		all->done++;
	} else if (r == REMOVE_GONE) {
		t->outcome = REMOVAL_GONE;
		all->gone++;
	} else {
		t->outcome = REMOVAL_FAILED;
		t->reason = strdup(err_describe(e, text, sizeof(text)));
		if (all->failed++ == 0)
			all->error = *e;
		if (e->kind == ERR_STORE || e->kind == ERR_CREDENTIALS)
			run->stop = true;
	}
	pthread_mutex_unlock(&run->lock);
}

static int work(void *ctx, size_t i, unsigned worker, struct err *e)
{
	struct running *run = ctx;
	struct removal_target *t = &run->r->targets[i];
	struct err mine = ERR_INIT;
	bool stop;
	int r;

	(void)worker, (void)e;
	pthread_mutex_lock(&run->lock);
	stop = run->stop || cancel_is_set(&run->cli->cancel);
	pthread_mutex_unlock(&run->lock);
	if (stop)
		return 0;
	r = remove_one(run, &run->r->survey->entries[t->entry], &mine);
	if (r < 0 && mine.outcome_unknown)
		err_wrap(&mine, r, "it is not known whether it was removed: run this again");
	note(run, t, r, &mine);
	return 0;
}

int removal_run(struct cli *cli, struct session *s, unsigned threads, struct removal *r,
		struct err *e)
{
	_cleanup_(budget_freep) struct budget *under_way = budget_new(RECORDS_UNDER_WAY_BYTES);
	struct running run = { .cli = cli, .s = s, .r = r, .under_way = under_way };
	int q;

	if (!under_way)
		return err_nomem(e);
	if (r->count == 0)
		return 0;
	q = removal_gate(cli, s, survey_node(r->survey, &r->survey->entries[r->targets[0].entry]),
			 e);
	if (q < 0)
		return q;
	pthread_mutex_init(&run.lock, NULL);
	q = parallel_run("remove", threads, r->count, work, &run, e);
	pthread_mutex_destroy(&run.lock);
	return q;
}

/* ---- telling ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

json_t *removal_names(const struct removal *r)
{
	_cleanup_free_ const char **names = calloc(r->count + 1, sizeof(*names));
	json_t *list = json_array();
	size_t count = 0;

	if (!names || !list) {
		json_decref(list);
		return NULL;
	}
	for (size_t i = 0; i < r->count; i++)
		if (r->targets[i].outcome == REMOVAL_DONE)
			names[count++] =
				survey_name(r->survey, &r->survey->entries[r->targets[i].entry]);
	if (count > 0)
		qsort(names, count, sizeof(*names), by_name);
	for (size_t i = 0; i < count; i++)
		if (i == 0 || strcmp(names[i - 1], names[i]) != 0)
			json_array_append_new(list, json_string(names[i]));
	return list;
}

static void tell_failure(const struct cli *cli, const struct removal *r,
			 const struct removal_target *t)
{
	const struct survey_entry *x = &r->survey->entries[t->entry];

	fprintf(stderr, "sstablefs: %s: %s of node %s was not removed: %s\n", cli->command,
		survey_name(r->survey, x), survey_node(r->survey, x)->node,
		t->outcome == REMOVAL_GONE ? "somebody else removed it meanwhile"
		: t->reason		   ? t->reason
					   : "out of memory");
}

static bool same_backup(const struct survey *v, const struct survey_entry *x,
			const struct survey_entry *y)
{
	return strcmp(survey_node(v, x)->cluster, survey_node(v, y)->cluster) == 0 &&
	       strcmp(survey_name(v, x), survey_name(v, y)) == 0;
}

static int print_removed(const struct survey *v, const struct survey_entry *x, size_t nodes,
			 struct err *e)
{
	if (nodes == 1)
		return cli_print_line(e, "removed %s of node %s", survey_name(v, x),
				      survey_node(v, x)->node);
	return cli_print_line(e, "removed %s of %zu nodes", survey_name(v, x), nodes);
}

int removal_print(struct cli *cli, const struct removal *r, struct err *e)
{
	size_t not_tried = 0;
	int q = 0;

	/* The nodes of a backup are beside each other: targets are added in the order of the survey's entries. */
	for (size_t i = 0, end; i < r->count && q == 0; i = end) {
		const struct survey_entry *x = &r->survey->entries[r->targets[i].entry];
		size_t done = 0, last = i;

		for (end = i; end < r->count &&
			      same_backup(r->survey, x, &r->survey->entries[r->targets[end].entry]);
		     end++) {
			if (r->targets[end].outcome == REMOVAL_DONE) {
				done++;
				last = end;
			} else if (r->targets[end].outcome == REMOVAL_NOT_TRIED) {
				not_tried++;
			} else {
				tell_failure(cli, r, &r->targets[end]);
			}
		}
		if (done > 0 && !cli->quiet && !cli->json)
			q = print_removed(r->survey, &r->survey->entries[r->targets[last].entry],
					  done, e);
	}
	/* Those of a whole fleet may be many. */
	if (not_tried > 0)
		fprintf(stderr, "sstablefs: %s: %zu removals were not tried any more\n",
			cli->command, not_tried);
	return q;
}
