/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include "tools/clusterrun.h"
#include "tools/clusterview.h"
#include "tools/commands.h"
#include "tools/hostlist.h"

enum {
	OPT_NAME = OPT_COMMAND,
	OPT_HOST_LIST,
	OPT_PARALLEL,
	OPT_PER,
	OPT_RETRY_FAILED,
	OPT_ONLY,
	OPT_REREAD,
	OPT_METRICS_FILE
};

struct arguments {
	const char *name, *host_list;
	bool retry_failed;
	uint64_t parallel;
	enum clusterrun_per per;
	char *command; /* what each host runs, as it grows; owned */
	char *again;   /* this very command, the same; to be completed with a name */
	char own_name[CLOCK_RFC3339_BYTES];
};

/* ---- arguments ---- */

static int set_per(struct arguments *a, const char *value, struct err *e)
{
	static const char *const names[] = {
		[PER_FLEET] = "fleet", [PER_DC] = "dc", [PER_RACK] = "rack"
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(value, names[i]) != 0)
			continue;
		a->per = (enum clusterrun_per)i;
		return 0;
	}
	return err_set(e, ERR_USAGE, -EINVAL, "--per %s: fleet, dc or rack is wanted", value);
}

static int append(struct arguments *a, const char *option, const char *value, struct err *e)
{
	a->command = sshconf_quote(a->command, option);
	if (value)
		a->command = sshconf_quote(a->command, value);
	return a->command ? 0 : err_nomem(e);
}

/* For people to read and paste: quoted where it has to be. */
static char *add_readable(char *text, const char *word)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:/@%+=,";
	char *longer;

	if (!text || !*word || word[strspn(word, plain)])
		return text ? sshconf_quote(text, word) : NULL;
	longer = util_printf("%s %s", text, word);
	free(text);
	return longer;
}

static int repeat(struct arguments *a, const char *option, const char *value, struct err *e)
{
	_cleanup_free_ char *word = util_printf("--%s", option);

	a->again = word ? add_readable(a->again, word) : NULL;
	if (value)
		a->again = add_readable(a->again, value);
	return a->again ? 0 : err_nomem(e);
}

static int own_option(struct arguments *a, int option, const char *value, struct err *e)
{
	switch (option) {
	case OPT_NAME:
		a->name = value;
		return keys_check_name("backup", value, e);
	case OPT_HOST_LIST:
		a->host_list = value;
		return 0;
	case OPT_PARALLEL:
		return cli_number("--parallel", value, 1, HOSTLIST_MAX, &a->parallel, e);
	case OPT_PER:
		return set_per(a, value, e);
	case OPT_RETRY_FAILED:
		a->retry_failed = true;
		return append(a, "--once", NULL, e);
	case OPT_ONLY:
		return append(a, "--only", value, e);
	case OPT_REREAD:
		return append(a, "--reread", NULL, e);
	case OPT_METRICS_FILE:
		return append(a, "--metrics-file", value, e);
	default:
		return 1;
	}
}

/* What is for the nodes is looked at here and passed on as it was written. */
static int limit_option(struct cli *cli, struct arguments *a, int option, const char *name,
			const char *value, struct err *e)
{
	struct common checked;
	char word[64];
	int r = common_init(&checked, cli, NULL, 4, e);

	if (r == 0)
		r = common_option(&checked, option, value, e);
	if (r < 0)
		return r;
	snprintf(word, sizeof(word), "--%s", name);
	return append(a, word, value, e);
}

static int parse(struct cli *cli, int argc, char **argv, struct arguments *a, struct err *e)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, OPT_NAME },
		{ "host-list", required_argument, NULL, OPT_HOST_LIST },
		{ "parallel", required_argument, NULL, OPT_PARALLEL },
		{ "per", required_argument, NULL, OPT_PER },
		{ "retry-failed", no_argument, NULL, OPT_RETRY_FAILED },
		{ "only", required_argument, NULL, OPT_ONLY },
		{ "reread", no_argument, NULL, OPT_REREAD },
		{ "metrics-file", required_argument, NULL, OPT_METRICS_FILE },
		COMMON_LIMITS,
		COMMON_HELP,
		{ NULL, 0, NULL, 0 },
	};
	int c, r = 0;

	while (r == 0 && (c = cli_getopt(argc, argv, options, e)) >= 0) {
		const struct option *o = options;

		if (c == '?')
			return e->code;
		while (o->name && o->val != c)
			o++;
		r = own_option(a, c, optarg, e);
		if (r > 0 && o->name)
			r = limit_option(cli, a, c, o->name, optarg, e);
		if (r == 0 && c != OPT_NAME && c != OPT_RETRY_FAILED)
			r = repeat(a, o->name, optarg, e);
	}
	if (r == 0 && optind < argc)
		return err_set(e, ERR_USAGE, -EINVAL, "backup-cluster takes no argument: '%s'",
			       argv[optind]);
	if (r == 0 && a->retry_failed && !a->name)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "--retry-failed completes a backup: name it with --name");
	if (r == 0 && a->per != PER_FLEET && a->parallel == 0)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "--per says how --parallel N is counted: it is missing");
	if (r == 0 && !a->name)
		a->name = clock_compact(a->own_name, clock_wall_ns(cli->clock));
	return r == 0 ? append(a, "--name", a->name, e) : r;
}

/* The command of the nodes as far as it is known before the options are read. Each has its own configuration; -r is passed on where it was given. */
static int begin_command(struct cli *cli, const struct sshconf *ssh, struct arguments *a,
			 struct err *e)
{
	a->command = strdup(ssh->command);
	a->again = strdup("sstablefs");
	if (cli->repository) {
		a->command = sshconf_quote(a->command, "-r");
		a->command = sshconf_quote(a->command, cli->repository);
		a->again = add_readable(a->again, "-r");
		a->again = add_readable(a->again, cli->repository);
	}
	if (cli->config_path) {
		a->again = add_readable(a->again, "--config");
		a->again = add_readable(a->again, cli->config_path);
	}
	a->again = add_readable(a->again, "backup-cluster");
	a->command = sshconf_quote(a->command, "--json");
	a->command = sshconf_quote(a->command, "backup");
	a->command = sshconf_quote(a->command, "--coordinated");
	return a->command && a->again ? 0 : err_nomem(e);
}

/* ---- the result ---- */

struct outcome {
	size_t finished, failed, expected,
		worst_same; /* worst_same: how many failed with the first one's code */
	bool found;
	int code;	 /* of the first that failed */
	json_t *missing; /* [[host id, address]…] of the cluster's nodes that do not have it */
};

static bool is_finished(const struct clusterrun *run, const char *host_id)
{
	for (size_t i = 0; i < run->lead.count; i++)
		if (clusterrun_has_it(&run->lead.hosts[i]) &&
		    strcmp(run->lead.hosts[i].host_id, host_id) == 0)
			return true;
	return false;
}

/* False: it is none of the hosts, all of which are known. It may have the backup, of another run. */
static bool was_asked(const struct clusterrun *run, const char *host_id)
{
	for (size_t i = 0; i < run->lead.count; i++)
		if (!*run->lead.hosts[i].host_id ||
		    strcmp(run->lead.hosts[i].host_id, host_id) == 0)
			return true;
	return false;
}

/* NULL: out of memory. */
static json_t *find_missing(const struct clusterrun *run)
{
	_cleanup_json_ json_t *list = json_array();
	json_t *member;
	size_t i;

	json_array_foreach(run->members, i, member) {
		const char *host_id = json_string_value(json_array_get(member, 0)),
			   *address = json_string_value(json_array_get(member, 1));

		if (!host_id || !address || is_finished(run, host_id))
			continue;
		if (json_array_append_new(list, json_pack("{s:s, s:s, s:b}", "host_id", host_id,
							  "address", address, "asked",
							  was_asked(run, host_id))) < 0)
			return NULL;
	}
	return steal_pointer(&list);
}

/* Under another name, which is no node more. */
static bool is_repeated(const struct lead *l, size_t which)
{
	for (size_t i = 0; i < which; i++)
		if (*l->hosts[i].host_id &&
		    strcmp(l->hosts[i].host_id, l->hosts[which].host_id) == 0)
			return true;
	return false;
}

static int look(const struct clusterrun *run, struct outcome *o, struct err *e)
{
	size_t named = 0;

	*o = (struct outcome){ .missing = find_missing(run) };
	if (!o->missing)
		return err_nomem(e);
	for (size_t i = 0; i < run->lead.count; i++) {
		const struct lead_host *n = &run->lead.hosts[i];

		named += !is_repeated(&run->lead, i);
		o->finished += clusterrun_has_it(n);
		o->found = o->found || (clusterrun_has_it(n) && n->exit_code == EXIT_FOUND);
		if (n->state != LEAD_FAILED)
			continue;
		o->code = o->failed == 0 ? n->exit_code : o->code;
		o->worst_same += n->exit_code == o->code;
		o->failed++;
	}
	o->expected = MAX_OF(json_array_size(run->members), named);
	return 0;
}

static json_t *node_json(const struct lead *l, const struct lead_host *n)
{
	json_t *o = json_pack("{s:o, s:s, s:o, s:o, s:o, s:o}", "host", json_text(n->host), "state",
			      lead_state_name(l, n), "node", json_text(n->node), "host_id",
			      json_text(n->host_id), "dc", json_text(n->dc), "rack",
			      json_text(n->rack));

	if (n->message)
		json_object_set_new(o, "message", json_text(n->message));
	if (n->state == LEAD_DONE || n->state == LEAD_FAILED)
		json_object_set_new(o, "exit_code", json_integer(n->exit_code));
	if (n->error)
		json_object_set(o, "error", n->error);
	if (n->result)
		json_object_update_missing(o, n->result);
	return o;
}

static json_int_t sum(const struct clusterrun *run, const char *key)
{
	json_int_t all = 0;

	for (size_t i = 0; i < run->lead.count; i++)
		all += json_integer_value(json_object_get(run->lead.hosts[i].result, key));
	return all;
}

/* A host that failed as it is another one's second name is missing nowhere. */
static bool is_complete(const struct outcome *o)
{
	return o->finished > 0 && o->finished >= o->expected && json_array_size(o->missing) == 0;
}

static const char *state_word(const struct outcome *o)
{
	return o->finished == 0 ? "failed" : is_complete(o) ? "complete" : "incomplete";
}

/* The name of the cluster that the nodes belong to; "" where none answered. */
static const char *cluster_of(const struct clusterrun *run)
{
	for (size_t i = 0; i < run->lead.count; i++)
		if (*run->lead.hosts[i].cluster)
			return run->lead.hosts[i].cluster;
	return "";
}

static json_t *result_json(const struct arguments *a, const struct clusterrun *run,
			   const struct outcome *o, double seconds)
{
	json_t *nodes = json_array();

	for (size_t i = 0; i < run->lead.count; i++)
		json_array_append_new(nodes, node_json(&run->lead, &run->lead.hosts[i]));
	return json_pack("{s:o, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:f, s:O, s:o}",
			 "cluster", json_text(cluster_of(run)), "name", a->name, "state",
			 state_word(o), "nodes_finished", (json_int_t)o->finished, "nodes_expected",
			 (json_int_t)o->expected, "files", sum(run, "files"), "total_bytes",
			 sum(run, "total_bytes"), "new_bytes", sum(run, "new_bytes"),
			 "reused_bytes", sum(run, "reused_bytes"), "snapshot_seconds",
			 run->snapshot_ms < 0 ? json_null()
					      : json_real((double)run->snapshot_ms / 1000),
			 "duration_seconds", seconds, "missing", o->missing, "nodes", nodes);
}

static int print_node(const struct lead *l, const struct lead_host *n, struct err *e)
{
	char total[32], fresh[32];

	if (n->state == LEAD_DONE && clusterrun_had_it(n))
		return cli_print_line(e, "%s: node %s has it already", n->host, n->node);
	if (n->state == LEAD_DONE)
		return cli_print_line(
			e, "%s: stored as node %s: %lld files, %s, %s new", n->host, n->node,
			(long long)json_integer_value(json_object_get(n->result, "files")),
			util_format_bytes(total, (uint64_t)json_integer_value(json_object_get(
							 n->result, "total_bytes"))),
			util_format_bytes(fresh, (uint64_t)json_integer_value(
							 json_object_get(n->result, "new_bytes"))));
	return cli_print_line(e, "%s: %s%s%s", n->host, lead_state_name(l, n),
			      n->message ? ": " : "", n->message ? n->message : "");
}

static int print_result(const struct arguments *a, const struct clusterrun *run,
			const struct outcome *o, double seconds, struct err *e)
{
	const char *cluster = cluster_of(run);
	json_t *member;
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < run->lead.count; i++)
		r = print_node(&run->lead, &run->lead.hosts[i], e);
	json_array_foreach(o->missing, i, member)
		if (r == 0)
			r = cli_print_line(
				e, "missing: %s (host id %s)%s",
				json_string_value(json_object_get(member, "address")),
				json_string_value(json_object_get(member, "host_id")),
				json_is_true(json_object_get(member, "asked"))
					? ""
					: ": it was not asked, as the list of hosts does not name it; sstablefs list tells whether it has the backup");
	if (r == 0 && run->snapshot_ms >= 0)
		r = cli_print_line(e, "the snapshots were taken within %.1f s",
				   (double)run->snapshot_ms / 1000);
	if (r == 0)
		r = cli_print_line(e, "backup %s%s%s: %s, %zu of %zu nodes, in %.1f s", a->name,
				   *cluster ? " of cluster " : "", cluster, state_word(o),
				   o->finished, o->expected, seconds);
	if (r == 0 && o->failed > 0 && !is_complete(o))
		r = cli_print_line(e, "complete it with: %s --name %s --retry-failed", a->again,
				   a->name);
	return r;
}

/* No node has it. The code is theirs where all failed alike. */
static int fail_all(const struct outcome *o, struct err *e)
{
	bool alike = o->worst_same == o->failed;
	enum err_kind kind = alike && o->code == EXIT_STORE    ? ERR_STORE
			     : alike && o->code == EXIT_USAGE  ? ERR_USAGE
			     : alike && o->code == EXIT_ABSENT ? ERR_NOT_FOUND
							       : ERR_IO;

	return err_set(e, kind, -EIO, "no node made the backup: %zu failed", o->failed);
}

static int report(struct cli *cli, const struct arguments *a, const struct clusterrun *run,
		  int64_t begun_ms, struct err *e)
{
	double seconds = (double)(clock_elapsed_ms(cli->clock) - begun_ms) / 1000;
	struct outcome o;
	int r = look(run, &o, e), code = 0;

	if (r < 0)
		return r;
	if (!cli->json && !cli->quiet)
		r = print_result(a, run, &o, seconds, e);
	if (r == 0 && (cancel_is_set(&cli->cancel) || o.finished == 0)) {
		fail_all(&o, e);
		code = cli_fail_with(cli, e, result_json(a, run, &o, seconds));
	} else if (r == 0) {
		bool whole = is_complete(&o) && o.failed == 0 && !o.found;

		code = cli->json ? cli_print_json(cli, result_json(a, run, &o, seconds)) : 0;
		code = code ? code : whole ? EXIT_DONE : EXIT_FOUND;
	}
	json_decref(o.missing);
	return r < 0 ? r : code;
}

/* Nothing was begun: what each host is like is told with the reason. */
static int report_refused(struct cli *cli, const struct arguments *a, const struct clusterrun *run,
			  int64_t begun_ms, struct err *e)
{
	double seconds = (double)(clock_elapsed_ms(cli->clock) - begun_ms) / 1000;
	struct err why = ERR_INIT;
	struct outcome o;
	int code, r = look(run, &o, &why);

	if (r < 0)
		return r;
	code = cli_fail_with(cli, e, result_json(a, run, &o, seconds));
	json_decref(o.missing);
	return code;
}

/* ---- the run ---- */

static int run(struct cli *cli, struct arguments *a, const struct sshconf *ssh,
	       struct hostlist *hosts, struct err *e)
{
	int64_t begun_ms = clock_elapsed_ms(cli->clock);
	struct clusterview view;
	struct clusterrun run = { .lead = { .ssh = ssh,
					    .command = a->command,
					    .clock = cli->clock,
					    .cancel = &cli->cancel,
					    .hurry = &cli->hurry },
				  .parallel = (unsigned)a->parallel,
				  .per = a->per };
	int r = a->host_list ? hostlist_read(hosts, a->host_list, e) : hostlist_ask(hosts, cli, e);

	if (r < 0)
		return r;
	clusterview_init(&view, cli);
	run.lead.hosts = hosts->nodes;
	run.lead.count = hosts->count;
	run.lead.sink = clusterview_sink(&view);
	r = clusterrun_run(&run, e);
	clusterview_deinit(&view);
	return r < 0 ? report_refused(cli, a, &run, begun_ms, e)
		     : report(cli, a, &run, begun_ms, e);
}

int cmd_backup_cluster(struct cli *cli, int argc, char **argv)
{
	struct arguments a = { .name = NULL };
	struct hostlist hosts = { .nodes = NULL };
	struct sshconf ssh;
	struct err e = ERR_INIT;
	int r = sshconf_init(&ssh, cli, &e);

	if (r == 0)
		r = begin_command(cli, &ssh, &a, &e);
	if (r == 0)
		r = parse(cli, argc, argv, &a, &e);
	if (r == 0)
		r = run(cli, &a, &ssh, &hosts, &e);
	if (r < 0)
		r = cli_fail(cli, &e);
	hostlist_deinit(&hosts);
	sshconf_deinit(&ssh);
	free(a.command);
	free(a.again);
	return r;
}
