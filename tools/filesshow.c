/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/filesshow.h"

#include <string.h>
#include "tools/nodeplan.h"

#define INDENT "       "

struct show {
	const struct filesrun *run;
	uint32_t *order;  /* hosts as they start */
	json_t *refusals; /* of all together */
};

/* ---- what is in the way ---- */

static bool is_reached(const struct lead_host *h)
{
	return h->ready || h->exit_code != SSHCONF_LOST;
}

/* What a host has against it beside what its own plan says; "": nothing. */
static const char *trouble(const struct lead_host *h)
{
	return h->state == LEAD_DONE ? "" : h->message ? h->message : "it did not answer";
}

static bool is_refused(const struct lead_host *h)
{
	return *trouble(h) || json_array_size(json_object_get(h->result, "refusals")) > 0;
}

static size_t count_refused(const struct filesrun *run)
{
	size_t count = 0;

	for (size_t i = 0; i < run->lead.count; i++)
		count += is_refused(&run->lead.hosts[i]);
	return count;
}

/* ---- the order ---- */

static int by_group(const void *a, const void *b, void *ctx)
{
	const size_t *group = ctx;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return group[x] != group[y] ? (group[x] > group[y]) - (group[x] < group[y])
				    : (x > y) - (x < y);
}

static uint32_t *make_order(const struct filesrun *run)
{
	uint32_t *order = calloc(run->lead.count, sizeof(*order));

	for (uint32_t i = 0; order && i < run->lead.count; i++)
		order[i] = i;
	if (order)
		qsort_r(order, run->lead.count, sizeof(*order), by_group, run->group);
	return order;
}

/* ---- JSON ---- */

static json_t *refusals_of(const struct lead_host *h)
{
	const json_t *own = json_object_get(h->result, "refusals");
	json_t *list = json_is_array(own) ? json_deep_copy(own) : json_array();

	if (*trouble(h))
		json_array_append_new(list, json_text(trouble(h)));
	return list;
}

/* What is known of the target without asking it goes before. A plan that is read again passes over the rest. */
static json_t *target_json(const struct filesrun *run, uint32_t i, json_t *known)
{
	const struct filesplan_node *n = &run->plan->nodes[i];
	const struct lead_host *h = &run->lead.hosts[i];
	_cleanup_free_ char *command = filesplan_command(run->plan, n);
	json_t *o = json_pack("{s:o, s:b, s:o, s:o, s:b, s:o, s:O?}", "host", json_text(n->host),
			      "seed", run->group[i] < run->seeds, "source", json_text(n->source),
			      "command", json_text(command ? command : ""), "reached",
			      is_reached(h), "refusals", refusals_of(h), "plan", h->result);

	if (o && known)
		json_object_update_missing(o, known);
	return o;
}

/* The targets of the plan are those of the hosts, one for one. */
static json_t *targets_json(const struct show *s, const json_t *known)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->run->lead.count; i++)
		json_array_append_new(list, target_json(s->run, s->order[i],
							json_array_get(known, s->order[i])));
	return list;
}

static json_t *begun_json(const struct filesplan *p)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "cluster", p->cluster, "name", p->backup, "case",
			 mapping_case_name(p->remote ? MAPPING_OTHER : MAPPING_SAME), "state",
			 "begun");
}

static json_t *to_json(const struct show *s, const struct clusterplan *p)
{
	json_t *document = p ? clusterplan_json(p) : begun_json(s->run->plan);

	if (!document)
		return NULL;
	json_object_set_new(document, "targets",
			    targets_json(s, json_object_get(document, "targets")));
	json_object_set(document, "refusals", s->refusals);
	return document;
}

/* ---- for people ---- */

static int print_own(const json_t *o, struct err *e)
{
	uint64_t files = 0, bytes = 0;
	char size[32];
	int r;

	if (strcmp(lead_text(o, "state"), "begun") == 0)
		return cli_print_line(
			e, INDENT "is at step %s (%s)%s", lead_text(o, "step"),
			json_is_true(json_object_get(o, "done")) ? "done" : "begun",
			json_is_true(json_object_get(o, "has_stopped"))
				? "; Cassandra has stopped since, and --yes starts it again"
				: "");
	(void)json_get_u64(o, "files", &files, NULL);
	(void)json_get_u64(o, "total_bytes", &bytes, NULL);
	r = cli_print_line(e, INDENT "fetches  %llu files, %s; Cassandra %s",
			   (unsigned long long)files, util_format_bytes(size, bytes),
			   json_is_true(json_object_get(o, "running")) ? "runs" : "does not run");
	return r < 0 ? r : nodeplan_print(o, INDENT, e);
}

static int print_host(const struct filesrun *run, size_t place, uint32_t i, struct err *e)
{
	const struct filesplan_node *n = &run->plan->nodes[i];
	const struct lead_host *h = &run->lead.hosts[i];
	_cleanup_free_ char *command = filesplan_command(run->plan, n);
	int r = command ? cli_print_line(e, "  %3zu. %s%s gets %s (%s %s, %zu tokens)", place,
					 n->host, run->group[i] < run->seeds ? ", a seed," : "",
					 n->source, n->dc, n->rack, n->tokens)
			: err_nomem(e);

	if (r == 0)
		r = cli_print_line(e, INDENT "%s", command);
	if (r == 0 && h->result)
		r = print_own(h->result, e);
	if (r == 0 && *trouble(h))
		r = cli_print_line(e, INDENT "%s: %s", is_reached(h) ? "REFUSED" : "NOT REACHED",
				   trouble(h));
	return r;
}

static int print_end(const struct show *s, struct err *e)
{
	const char *all = json_string_value(json_array_get(s->refusals, 0));
	size_t refused = count_refused(s->run);

	if (all)
		return cli_print_line(e, "REFUSED: %s", all);
	if (refused > 0)
		return cli_print_line(
			e, "%zu of %zu hosts are in the way: --yes would begin nothing anywhere",
			refused, s->run->lead.count);
	return cli_print_line(e, "nothing is in the way, as far as all hosts were asked");
}

/* How an end of it that was begun goes on is said as what is in the way. */
static int print_begun(const struct filesrun *run, struct err *e)
{
	const struct filesplan *p = run->plan;

	if (*p->ending)
		return cli_print_line(
			e, "--%s of the restore of %s into %zu nodes was begun, and has not ended",
			p->ending, p->backup, run->lead.count);
	return cli_print_line(
		e,
		"the restore of %s into %zu nodes was begun: sstablefs restore-cluster %s --cluster %s --yes goes on%s",
		p->backup, run->lead.count, p->backup, p->cluster,
		p->no_stage ? "" : ", --abort undoes it");
}

static int print(const struct show *s, const struct clusterplan *p, struct err *e)
{
	int r = p ? clusterplan_print(p, e) : print_begun(s->run, e);

	for (size_t i = 0; r == 0 && i < s->run->lead.count; i++)
		r = print_host(s->run, i + 1, s->order[i], e);
	return r < 0 ? r : print_end(s, e);
}

int filesshow(struct cli *cli, const struct filesrun *run, const struct clusterplan *p,
	      struct err *e)
{
	_cleanup_free_ uint32_t *order = make_order(run);
	_cleanup_json_ json_t *refusals = json_array();
	const struct show s = { run, order, refusals };
	bool refused = run->lead.refusal.code < 0 || count_refused(run) > 0;
	json_t *document;
	int r;

	if (!order || !refusals)
		return err_nomem(e);
	if (run->lead.refusal.code < 0)
		json_array_append_new(refusals, json_text(run->lead.refusal.message));
	if (!cli->json) {
		r = print(&s, p, e);
	} else {
		document = to_json(&s, p);
		r = document ? cli_print_json(cli, document) : err_nomem(e);
	}
	return r ? r : refused ? EXIT_FOUND : EXIT_DONE;
}
