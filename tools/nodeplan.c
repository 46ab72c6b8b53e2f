/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/nodeplan.h"

#include <string.h>
#include "tools/nodecommand.h"

/* In words, those of enum nodejournal_step that the restore consists of. */
static json_t *steps(const struct nodejournal *j)
{
	static const char *const words[NODEJOURNAL_STEPS] = {
		[NODEJOURNAL_FETCH] = "fetch the backup onto the data disk, while Cassandra runs",
		[NODEJOURNAL_STOP] =
			"stop Cassandra, and wait until nobody uses the node's directories",
		[NODEJOURNAL_OUT] =
			"set the node's data, commit log, hints and saved caches aside, by renames",
		[NODEJOURNAL_EMPTY] =
			"remove the node's data, commit log, hints and saved caches: from here on there is no way back",
		[NODEJOURNAL_COPY] = "fetch the backup straight into the data directories",
		[NODEJOURNAL_IN] = "move the backup's data in, by renames",
		[NODEJOURNAL_YAML] =
			"write initial_token, num_tokens and auto_bootstrap into cassandra.yaml",
		[NODEJOURNAL_START] = "start Cassandra",
		[NODEJOURNAL_CHECK] =
			"wait for CQL; check who the node is and the rows that were asked for",
		[NODEJOURNAL_IMPORT] =
			"nodetool import: the node, which runs on, moves the SSTables in under names of its own",
	};
	json_t *list = json_array();

	for (unsigned s = 0; s < NODEJOURNAL_STEPS; s++)
		if (nodejournal_has(j, s))
			json_array_append_new(list, json_string(words[s]));
	return list;
}

static const char *case_name(const struct nodejournal *j)
{
	return j->only_count > 0 ? "only" : *j->tokens ? "remote" : "in-place";
}

static json_t *to_json(const struct nodecheck *k, const struct record *rec)
{
	const struct nodejournal *j = k->journal;
	json_t *places = json_array(), *only = json_array();

	for (size_t i = 0; i < j->place_count; i++)
		json_array_append_new(places,
				      json_pack("{s:o, s:s}", "path", json_text(j->places[i].path),
						"kind", j->places[i].data ? "data" : "other"));
	for (size_t i = 0; i < j->only_count; i++)
		json_array_append_new(only, json_text(j->only[i]));
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:s, s:o, s:o, s:I, s:I, s:o, s:O, s:O, s:o}",
		"cluster", rec->where.cluster, "node", rec->where.node, "name", rec->backup,
		"state", "planned", "case", case_name(j), "keep_auth", j->keep_auth, "no_stage",
		j->no_stage, "running", k->running, "tokens", j->tokens, "yaml", json_text(j->yaml),
		"only", only, "files", (json_int_t)rec->file_count, "total_bytes",
		(json_int_t)rec->total_bytes, "directories", places, "refusals", k->refusals,
		"notes", k->notes, "steps", steps(j));
}

static const char *text(const json_t *o, const char *key)
{
	const char *value = json_string_value(json_object_get(o, key));

	return value ? value : "";
}

static int print_list(const char *indent, const char *before, const json_t *list, struct err *e)
{
	const json_t *line;
	size_t i;
	int r = 0;

	json_array_foreach(list, i, line)
		if (r == 0 && json_is_string(line))
			r = cli_print_line(e, "%s%s%s", indent, before, json_string_value(line));
	return r;
}

static int print_places(const json_t *document, const char *indent, struct err *e)
{
	const char *word = strcmp(text(document, "case"), "only") == 0 ? "adds to " : "replaces";
	const char *tokens = text(document, "tokens");
	const json_t *place, *places = json_object_get(document, "directories");
	size_t i;
	int r = 0;

	json_array_foreach(places, i, place)
		if (r == 0)
			r = cli_print_line(e, "%s%s %s", indent,
					   strcmp(text(place, "kind"), "data") == 0 ? word
										    : "empties ",
					   text(place, "path"));
	if (r == 0 && *tokens)
		r = cli_print_line(e, "%sedits    %s: initial_token: %.100s%s", indent,
				   text(document, "yaml"), tokens, strlen(tokens) > 100 ? "…" : "");
	if (r == 0 && json_is_true(json_object_get(document, "keep_auth")))
		r = cli_print_line(e, "%skeeps    system_auth as it is on this node", indent);
	return r;
}

int nodeplan_print(const json_t *document, const char *indent, struct err *e)
{
	int r = print_places(document, indent, e);

	if (r == 0)
		r = print_list(indent, "then:  ", json_object_get(document, "steps"), e);
	if (r == 0)
		r = print_list(indent, "note:  ", json_object_get(document, "notes"), e);
	return r < 0 ? r
		     : print_list(indent, "REFUSED: ", json_object_get(document, "refusals"), e);
}

static int print(const struct nodecheck *k, const struct record *rec, const json_t *document,
		 struct err *e)
{
	_cleanup_free_ char *options = nodejournal_options(k->journal);
	char bytes[32];
	int r = options ? cli_print_line(e, "restore %s of %s/%s %s (%llu files, %s):", rec->backup,
					 rec->where.cluster, rec->where.node, options,
					 (unsigned long long)rec->file_count,
					 util_format_bytes(bytes, rec->total_bytes))
			: err_nomem(e);

	return r < 0 ? r : nodeplan_print(document, "  ", e);
}

int nodeplan_show(struct cli *cli, const struct nodecheck *k, const struct record *rec,
		  struct err *e)
{
	_cleanup_json_ json_t *document = to_json(k, rec);
	int code = json_array_size(k->refusals) ? EXIT_FOUND : EXIT_DONE;
	int r;

	if (!document)
		return err_nomem(e);
	if (cli->json) {
		r = cli_print_json(cli, json_incref(document));
		return r == EXIT_DONE ? code : r;
	}
	r = print(k, rec, document, e);
	return r < 0 ? r : code;
}

int nodeplan_begun(struct cli *cli, const struct nodejournal *j, struct err *e)
{
	const char *step = nodejournal_step_name(j->step);
	bool stopped = nodecommand_has_stopped(j);
	int r;

	if (cli->json)
		return cli_print_json(cli, json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:b}",
						     "cluster", j->cluster, "node", j->node, "name",
						     j->backup, "state", "begun", "step", step,
						     "done", j->done, "has_stopped", stopped));
	r = cli_print_line(e, "the restore of %s is at step %s (%s%s): --yes %s, --abort undoes it",
			   j->backup, step, j->done ? "done" : "begun",
			   stopped ? ", and Cassandra has stopped since" : "",
			   stopped ? "starts it again, and goes on" : "goes on");
	return r < 0 ? r : EXIT_DONE;
}
