/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/cqlfacts.h"

#include <string.h>
#include "base/json.h"
#include "base/util.h"

#define UUID_LEN 36

struct reading {
	struct facts *f;
	char *data_dirs, *local_dir; /* as the settings print them; NULL: they do not */
};

static void reading_deinit(struct reading *g)
{
	free(g->data_dirs);
	free(g->local_dir);
}

static const char *text_of(const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));

	return text ? text : "";
}

/* "" where it is null or no string. */
static int set(char **string, const json_t *row, const char *key, struct err *e)
{
	const char *text = text_of(row, key);
	int r = facts_set(string, text, strlen(text), e);

	if (r == 0)
		util_one_line(*string);
	return r;
}

static int read_node(struct facts *f, const json_t *row, struct err *e)
{
	const struct {
		char **to;
		const char *key;
	} words[] = {
		{ &f->cluster, "cluster_name" },    { &f->partitioner, "partitioner" },
		{ &f->host_id, "host_id" },	    { &f->address, "broadcast_address" },
		{ &f->dc, "data_center" },	    { &f->rack, "rack" },
		{ &f->version, "release_version" },
	};
	const json_t *tokens = json_object_get(row, "tokens");
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(words) && r == 0; i++)
		r = set(words[i].to, row, words[i].key, e);
	for (size_t i = 0; i < json_array_size(tokens) && r == 0; i++) {
		const char *token = json_string_value(json_array_get(tokens, i));

		if (token)
			r = facts_add_token(f, token, strlen(token), e);
	}
	return r;
}

static int read_member(struct facts *f, const json_t *row, bool own, struct err *e)
{
	const struct facts_member blank = { .status = own ? 'U' : '?', .state = own ? 'N' : '?' };
	struct facts_member *m;
	int r = facts_add_member(f, &blank, e);

	if (r < 0)
		return r;
	m = &f->members[f->member_count - 1];
	r = set(&m->host_id, row, "host_id", e);
	if (r == 0)
		r = set(&m->address, row, own ? "broadcast_address" : "peer", e);
	if (r == 0)
		r = set(&m->dc, row, "data_center", e);
	if (r == 0)
		r = set(&m->rack, row, "rack", e);
	return r;
}

static int read_setting(struct reading *g, const json_t *row, struct err *e)
{
	const char *name = text_of(row, "name"), *value = text_of(row, "value");
	char **to = strcmp(name, "data_file_directories") == 0		    ? &g->data_dirs
		    : strcmp(name, "local_system_data_file_directory") == 0 ? &g->local_dir
									    : NULL;

	if (strcmp(name, "storage_compatibility_mode") == 0)
		return set(&g->f->compatibility_mode, row, "value", e);
	if (!to || !*value || *to)
		return 0;
	*to = strdup(value);
	return *to ? 0 : err_nomem(e);
}

/* As nodetool datapaths has them, without their paths. */
static int read_table(struct facts *f, const json_t *row, struct err *e)
{
	const char *keyspace = text_of(row, "keyspace_name");
	json_t *tables;

	if (!f->tables && !(f->tables = json_object()))
		return err_nomem(e);
	tables = json_object_get(f->tables, keyspace);
	if (!tables) {
		tables = json_object();
		if (json_object_set_new(f->tables, keyspace, tables) < 0)
			return err_nomem(e);
	}
	return json_object_set_new(tables, text_of(row, "table_name"), json_array()) < 0
		       ? err_nomem(e)
		       : 0;
}

/* Each row is told by a column that no other has. A row of peers without a host id is what is left of a node that went: clients pass over it as well. */
static int take_row(struct reading *g, const json_t *row, struct err *e)
{
	int r = 0;

	if (json_object_get(row, "key")) {
		r = read_node(g->f, row, e);
		return r == 0 ? read_member(g->f, row, true, e) : r;
	}
	if (json_object_get(row, "peer"))
		return *text_of(row, "host_id") ? read_member(g->f, row, false, e) : 0;
	if (json_object_get(row, "name"))
		return read_setting(g, row, e);
	return json_object_get(row, "table_name") ? read_table(g->f, row, e) : 0;
}

/* A row is a line of its own. cqlsh doubles backslashes: what the row had there is not known. */
static int read_row(struct reading *g, const char *text, size_t len, struct err *e)
{
	_cleanup_json_ json_t *row = NULL;
	int r;

	if (memchr(text, '\\', len))
		return err_set(e, ERR_IO, -EBADMSG, "a row of it has a backslash");
	r = json_parse("a row of it", text, len, FACTS_TEXT_MAX, &row, e);
	return r == 0 ? take_row(g, row, e) : r;
}

/* Of several rows the shorter ones have more blanks before them: cqlsh puts values to the right. */
static const char *next_row(const char *text)
{
	for (const char *at = strchr(text, '\n'); at; at = strchr(at, '\n')) {
		size_t blanks = strspn(++at, " ");

		if (blanks > 0 && at[blanks] == '{')
			return at + blanks;
	}
	return NULL;
}

/* "[/a, /b]", which has no mark for a comma within a name: then a part is no path from the root. */
static int take_data_dirs(struct reading *g, struct err *e)
{
	const char *at = g->data_dirs;
	size_t len = at ? strlen(at) : 0;
	int r = 0;

	if (len > 2 && at[0] == '[' && at[len - 1] == ']') {
		g->data_dirs[len - 1] = '\0';
		for (const char *next = ++at; next && r == 0; at = next) {
			next = strstr(at, ", ");
			r = facts_add_data_dir(g->f, at, next ? (size_t)(next - at) : strlen(at),
					       e);
			next = next ? next + 2 : NULL;
		}
	}
	if (r == 0 && g->f->data_dir_count > 0 && g->local_dir)
		r = facts_add_data_dir(g->f, g->local_dir, strlen(g->local_dir), e);
	return r;
}

/* ---- tokens ---- */

/* Of two whole numbers, as text. */
static int compare_numbers(const char *a, const char *b)
{
	int negative = *a == '-';
	size_t a_len = strlen(a), b_len = strlen(b);
	int r;

	if (negative != (*b == '-'))
		return negative ? -1 : 1;
	r = a_len != b_len ? (a_len < b_len ? -1 : 1) : strcmp(a, b);
	return negative ? -r : r;
}

static int by_number(const void *a, const void *b)
{
	return compare_numbers(*(char *const *)a, *(char *const *)b);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* nodetool tells them in the order of the ring, CQL in that of their texts. An unchanged node is to give the same record whoever told it. */
static void sort_tokens(struct facts *f)
{
	bool numbers = true;

	for (size_t i = 0; i < f->token_count && numbers; i++) {
		const char *digits = f->tokens[i] + (f->tokens[i][0] == '-');

		numbers = *digits && digits[strspn(digits, "0123456789")] == '\0';
	}
	if (f->token_count > 1)
		qsort(f->tokens, f->token_count, sizeof(*f->tokens),
		      numbers && !strstr(f->partitioner, "Ordered") ? by_number : by_text);
}

int cqlfacts_read(struct facts *f, const char *text, struct err *e)
{
	_cleanup_(reading_deinit) struct reading g = { .f = f };
	int r = 0;

	for (const char *at = next_row(text); at && r == 0; at = next_row(at))
		r = read_row(&g, at, strcspn(at, "\n"), e);
	if (r == 0)
		r = take_data_dirs(&g, e);
	if (r < 0)
		return err_wrap(e, r == -ENOMEM ? r : -EBADMSG,
				"what cqlsh printed cannot be read");
	sort_tokens(f);
	return strlen(f->host_id) == UUID_LEN && *f->version
		       ? 0
		       : err_set(e, ERR_IO, -EBADMSG,
				 "what cqlsh printed names no host id and version");
}

const char *cqlfacts_missing(const struct facts *f)
{
	for (size_t i = 0; i < f->data_dir_count; i++)
		if (f->data_dirs[i][0] != '/')
			return "whole paths of data directories";
	return !*f->cluster		? "cluster"
	       : !*f->partitioner	? "partitioner"
	       : !*f->address		? "address"
	       : f->token_count == 0	? "tokens"
	       : f->data_dir_count == 0 ? "data directories"
					: NULL;
}
