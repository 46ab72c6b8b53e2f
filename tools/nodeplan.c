/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/nodeplan.h"

#include <string.h>

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
		"{s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:s, s:o, s:I, s:I, s:o, s:O, s:O, s:o}",
		"cluster", rec->where.cluster, "node", rec->where.node, "name", rec->backup, "case",
		case_name(j), "keep_auth", j->keep_auth, "no_stage", j->no_stage, "running",
		k->running, "tokens", j->tokens, "only", only, "files", (json_int_t)rec->file_count,
		"total_bytes", (json_int_t)rec->total_bytes, "directories", places, "refusals",
		k->refusals, "notes", k->notes, "steps", steps(j));
}

static int print_list(struct err *e, const char *before, const json_t *list)
{
	int r = 0;

	for (size_t i = 0; i < json_array_size(list) && r == 0; i++)
		r = cli_print_line(e, "%s%s", before, json_string_value(json_array_get(list, i)));
	return r;
}

static int print_places(const struct nodejournal *j, struct err *e)
{
	const char *word = j->only_count > 0 ? "adds to " : "replaces";
	int r = 0;

	for (size_t i = 0; i < j->place_count && r == 0; i++)
		r = cli_print_line(e, "  %s %s", j->places[i].data ? word : "empties ",
				   j->places[i].path);
	if (r == 0 && *j->tokens)
		r = cli_print_line(e, "  edits    %s: initial_token: %.100s%s", j->yaml, j->tokens,
				   strlen(j->tokens) > 100 ? "…" : "");
	if (r == 0 && j->keep_auth)
		r = cli_print_line(e, "  keeps    system_auth as it is on this node");
	return r;
}

static int print(const struct nodecheck *k, const struct record *rec, struct err *e)
{
	_cleanup_json_ json_t *words = steps(k->journal);
	_cleanup_free_ char *options = nodejournal_options(k->journal);
	char bytes[32];
	int r = options ? cli_print_line(e, "restore %s of %s/%s %s (%llu files, %s):", rec->backup,
					 rec->where.cluster, rec->where.node, options,
					 (unsigned long long)rec->file_count,
					 util_format_bytes(bytes, rec->total_bytes))
			: err_nomem(e);

	if (r == 0)
		r = print_places(k->journal, e);
	if (r == 0)
		r = print_list(e, "  then:  ", words);
	if (r == 0)
		r = print_list(e, "  note:  ", k->notes);
	return r < 0 ? r : print_list(e, "  REFUSED: ", k->refusals);
}

int nodeplan_show(struct cli *cli, const struct nodecheck *k, const struct record *rec,
		  struct err *e)
{
	int code = json_array_size(k->refusals) ? EXIT_FOUND : EXIT_DONE;
	int r;

	if (cli->json) {
		int printed = cli_print_json(cli, to_json(k, rec));

		return printed == EXIT_DONE ? code : printed;
	}
	r = print(k, rec, e);
	return r < 0 ? cli_fail(cli, e) : code;
}
