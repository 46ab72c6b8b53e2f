/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/filesreport.h"

#include <stdio.h>
#include <string.h>
#include "cassandra/nodejournal.h"
#include "tools/filescondition.h"

struct outcome {
	size_t done, left;	       /* left: out of the run */
	size_t failed, alike;	       /* of the others; alike: with the first one's code */
	const struct lead_host *first; /* that failed; NULL: none */
};

static struct outcome look(const struct filesrun *run)
{
	struct outcome o = { .first = NULL };

	for (size_t i = 0; i < run->lead.count; i++) {
		const struct lead_host *h = &run->lead.hosts[i];

		o.done += h->state == LEAD_DONE;
		o.left += run->plan->nodes[i].without;
		if (h->state != LEAD_FAILED || run->plan->nodes[i].without)
			continue;
		o.first = o.first ? o.first : h;
		o.failed++;
		o.alike += h->exit_code == o.first->exit_code;
	}
	return o;
}

static const char *participle(enum filesrun_what what)
{
	static const char *const words[] = { "restored", "aborted", "finished", "planned" };

	return words[what];
}

static const char *state_word(const struct filesrun *run, const struct outcome *o)
{
	return o->done == run->lead.count ? participle(run->what)
	       : o->done > 0		  ? "incomplete"
					  : "failed";
}

/* ---- JSON ---- */

/* How far it is: its state, or, where we told it to end, what it had done before. */
static const char *state_of(const struct filesrun *run, const struct lead_host *h)
{
	if (h->state == LEAD_STOPPED && h->ready)
		return h->step == 0 ? "ready" : run->task.steps[h->step - 1].rested;
	return lead_state_name(&run->lead, h);
}

static json_t *host_json(const struct filesrun *run, size_t i)
{
	const struct lead_host *h = &run->lead.hosts[i];
	const struct filesplan_node *n = &run->plan->nodes[i];
	_cleanup_free_ char *condition = filescondition(run, h);
	json_t *o = json_pack("{s:o, s:o, s:s}", "host", json_text(h->host), "source",
			      json_text(n->source), "state",
			      n->without ? "left_out" : state_of(run, h));

	if (condition && h->state != LEAD_DONE)
		json_object_set_new(o, "condition", json_text(condition));
	if (h->failed_at)
		json_object_set_new(o, "failed_at", json_text(h->failed_at));
	if (h->message)
		json_object_set_new(o, "message", json_text(h->message));
	if (h->state == LEAD_DONE || h->state == LEAD_FAILED)
		json_object_set_new(o, "exit_code", json_integer(h->exit_code));
	if (h->error)
		json_object_set(o, "error", h->error);
	if (h->result)
		json_object_update_missing(o, h->result);
	return o;
}

static json_t *result_json(const struct filesrun *run, const struct outcome *o, int64_t took_ms)
{
	json_t *nodes = json_array();

	for (size_t i = 0; i < run->lead.count; i++)
		json_array_append_new(nodes, host_json(run, i));
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:f, s:o}", "cluster", run->plan->cluster,
			 "name", run->plan->backup, "case",
			 mapping_case_name(run->plan->remote ? MAPPING_OTHER : MAPPING_SAME),
			 "state", state_word(run, o), "nodes_done", (json_int_t)o->done,
			 "nodes_expected", (json_int_t)run->lead.count, "duration_seconds",
			 (double)took_ms / 1000, "nodes", nodes);
}

/* ---- for people ---- */

static bool was_done_before(const struct lead_host *h)
{
	return json_is_true(json_object_get(h->ready, "done")) && !filescondition_has_stopped(h) &&
	       strcmp(lead_text(h->ready, "step"), nodejournal_step_name(NODEJOURNAL_CHECK)) == 0;
}

static int print_restored(const struct lead_host *h, const char *source, struct err *e)
{
	const json_t *down = json_object_get(h->result, "downtime_seconds");

	/* Who wants it once more has to end what there is. */
	if (was_done_before(h))
		return cli_print_line(e, "%s: was restored as %s before, and waits for --finish",
				      h->host, source);
	if (!json_is_real(down))
		return cli_print_line(e, "%s: restored as %s", h->host, source);
	return cli_print_line(e, "%s: restored as %s, down for %.1f s", h->host, source,
			      json_real_value(down));
}

static int print_host(const struct filesrun *run, size_t i, struct err *e)
{
	const struct lead_host *h = &run->lead.hosts[i];
	const char *begun = lead_text(h->ready, "step");
	_cleanup_free_ char *condition = filescondition(run, h);
	bool unchanged = filescondition_is_unchanged(h) && *begun;

	if (!condition)
		return err_nomem(e);
	if (h->state == LEAD_DONE && strcmp(h->done_name, participle(FILESRUN_RESTORE)) == 0)
		return print_restored(h, run->plan->nodes[i].source, e);
	if (h->state == LEAD_DONE)
		return cli_print_line(e, "%s: %s", h->host,
				      strcmp(h->done_name, "nothing") == 0
					      ? "nothing was begun there"
					      : h->done_name);
	return cli_print_line(e, "%s: %s: %s%s%s%s%s%s", h->host,
			      run->plan->nodes[i].without ? "left out" : state_of(run, h),
			      condition, unchanged ? " (restore-node: step " : "",
			      unchanged ? begun : "", unchanged ? ")" : "", h->message ? ": " : "",
			      h->message ? h->message : "");
}

/* " --without HOST" of each that is left out: who goes on without it needs it again. NULL: out of memory. */
static char *left_out(const struct filesrun *run)
{
	char *words = strdup("");

	for (size_t i = 0; words && i < run->lead.count; i++) {
		_cleanup_free_ char *before = NULL;

		if (!run->plan->nodes[i].without)
			continue;
		before = words;
		words = util_printf("%s --without %s", before, run->plan->nodes[i].host);
	}
	return words;
}

/* What to do next; NULL: nothing. */
static char *advice(const struct filesrun *run, const struct outcome *o)
{
	const char *backup = run->plan->backup, *cluster = run->plan->cluster;
	_cleanup_free_ char *without = left_out(run);
	bool all = o->done + o->left == run->lead.count;

	if (!without)
		return NULL;
	/* An earlier one that was cut off has removed something, and is ended. */
	if (run->what == FILESRUN_FINISH && !all && !run->begun && !*run->plan->ending)
		return util_printf(
			"nothing was removed; where a restore is not done, sstablefs restore-cluster %s --cluster %s --yes%s goes on with it%s%s%s",
			backup, cluster, without, run->plan->no_stage ? "" : ", --abort",
			run->plan->no_stage ? "" : without,
			run->plan->no_stage ? "" : " puts back what was there");
	if (run->what != FILESRUN_RESTORE)
		return all ? NULL : strdup("the same command goes on");
	if (all && run->plan->no_stage)
		return util_printf(
			"there is no way back; sstablefs restore-cluster %s --cluster %s --finish%s forgets what was noted of it",
			backup, cluster, without);
	if (all)
		return util_printf(
			"the data of before are kept: sstablefs restore-cluster %s --cluster %s --finish%s removes them, --abort%s puts them back",
			backup, cluster, without, without);
	if (!run->plan->saved)
		return strdup("nothing was begun; the same command tries again");
	if (run->plan->no_stage)
		return strdup(
			"the same command goes on; where data were removed there is no way back");
	return util_printf(
		"the same command goes on; sstablefs restore-cluster %s --cluster %s --abort%s puts back what was there",
		backup, cluster, without);
}

static int print_result(const struct filesrun *run, const struct outcome *o, int64_t took_ms,
			struct err *e)
{
	_cleanup_free_ char *next = advice(run, o);
	int r = 0;

	for (size_t i = 0; r == 0 && i < run->lead.count; i++)
		r = print_host(run, i, e);
	if (r == 0)
		r = cli_print_line(e, "backup %s of cluster %s: %s, %zu of %zu nodes, in %.1f s",
				   run->plan->backup, run->plan->cluster, state_word(run, o),
				   o->done, run->lead.count, (double)took_ms / 1000);
	return r == 0 && next ? cli_print_line(e, "%s", next) : r;
}

/* ---- the end ---- */

/* No node is done. The code is theirs where all failed alike. */
static void fail(const struct filesrun *run, const struct outcome *o, struct err *e)
{
	/* All could go on but for it. */
	bool gone = o->first && !o->first->answered && !run->begun && run->plan->saved;
	int code = o->first && o->alike == o->failed ? o->first->exit_code : EXIT_FAILED;
	enum err_kind kind = code == EXIT_STORE	   ? ERR_STORE
			     : code == EXIT_USAGE  ? ERR_USAGE
			     : code == EXIT_ABSENT ? ERR_NOT_FOUND
						   : ERR_IO;

	err_set(e, kind, -EIO, "no node is %s: %zu of %zu failed%s%s%s%s%s%s%s",
		participle(run->what), o->failed, run->lead.count, o->first ? ", " : "",
		o->first ? o->first->host : "", o->first ? ": " : "",
		o->first ? o->first->message : "",
		gone ? " (where that host is gone for good, --without " : "",
		gone ? o->first->host : "", gone ? " goes on, aborts or finishes without it)" : "");
}

int filesreport(struct cli *cli, const struct filesrun *run, int64_t took_ms, struct err *e)
{
	struct outcome o = look(run);
	int code, r = 0;

	if (!cli->json && !cli->quiet)
		r = print_result(run, &o, took_ms, e);
	if (r < 0)
		return r;
	if (cancel_is_set(&cli->cancel) || o.done == 0) {
		fail(run, &o, e);
		return cli_fail_with(cli, e, result_json(run, &o, took_ms));
	}
	code = cli->json ? cli_print_json(cli, result_json(run, &o, took_ms)) : EXIT_DONE;
	return code ? code : o.done == run->lead.count ? EXIT_DONE : EXIT_FOUND;
}

int filesreport_refused(struct cli *cli, const struct filesrun *run, int64_t took_ms,
			const struct err *e)
{
	struct outcome o = look(run);

	return cli_fail_with(cli, e, result_json(run, &o, took_ms));
}
