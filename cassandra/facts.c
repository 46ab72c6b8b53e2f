/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/facts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "base/util.h"

#define UUID_LEN 36

static int not_it(struct err *e, const char *command, const char *why)
{
	return err_set(e, ERR_IO, -EBADMSG, "what nodetool %s printed cannot be read: %s", command,
		       why);
}

static bool make_strings(struct facts *f)
{
	char **strings[] = { &f->cluster, &f->partitioner, &f->version, &f->compatibility_mode,
			     &f->host_id, &f->address,	   &f->dc,	&f->rack };

	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		if (!(*strings[i] = strdup("")))
			return false;
	return true;
}

struct facts *facts_new(void)
{
	_cleanup_(facts_freep) struct facts *f = calloc(1, sizeof(*f));

	return f && make_strings(f) ? steal_pointer(&f) : NULL;
}

void facts_free(struct facts *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->token_count; i++)
		free(f->tokens[i]);
	for (size_t i = 0; i < f->member_count; i++) {
		free(f->members[i].host_id);
		free(f->members[i].address);
		free(f->members[i].dc);
		free(f->members[i].rack);
	}
	for (size_t i = 0; i < f->data_dir_count; i++)
		free(f->data_dirs[i]);
	free(f->tokens);
	free(f->members);
	free(f->data_dirs);
	free(f->cluster);
	free(f->partitioner);
	free(f->version);
	free(f->compatibility_mode);
	free(f->host_id);
	free(f->address);
	free(f->dc);
	free(f->rack);
	json_decref(f->tables);
	free(f);
}

/* ---- text ---- */

struct text { /* a part of a line, without the blanks around it */
	const char *at;
	size_t len;
};

static struct text trim(struct text t)
{
	while (t.len > 0 && isspace((unsigned char)*t.at)) {
		t.at++;
		t.len--;
	}
	while (t.len > 0 && isspace((unsigned char)t.at[t.len - 1]))
		t.len--;
	return t;
}

/* The next line of *in, without its end; false: there is none. */
static bool next_line(const char **in, struct text *ret)
{
	size_t len = strcspn(*in, "\n");

	if (!**in)
		return false;
	*ret = (struct text){ *in, len };
	*in += len + ((*in)[len] == '\n');
	return true;
}

/* The next word, taken from *t; empty at the end. */
static struct text next_word(struct text *t)
{
	struct text word;

	*t = trim(*t);
	word = (struct text){ t->at, 0 };
	while (word.len < t->len && !isspace((unsigned char)word.at[word.len]))
		word.len++;
	t->at += word.len;
	t->len -= word.len;
	return word;
}

/* "Name   : value" with that name. */
static bool value_of(struct text line, const char *name, struct text *ret)
{
	const char *colon = memchr(line.at, ':', line.len);
	struct text key;

	if (!colon)
		return false;
	key = trim((struct text){ line.at, (size_t)(colon - line.at) });
	if (key.len != strlen(name) || memcmp(key.at, name, key.len) != 0)
		return false;
	*ret = trim((struct text){ colon + 1, line.len - (size_t)(colon + 1 - line.at) });
	return true;
}

int facts_set(char **string, const char *text, size_t len, struct err *e)
{
	char *copy;

	if (len > FACTS_WORD_MAX)
		return err_set(e, ERR_IO, -EBADMSG, "\"%.40s…\" is longer than %d bytes", text,
			       FACTS_WORD_MAX);
	copy = strndup(text, len);
	if (!copy)
		return err_nomem(e);
	free(*string);
	*string = copy;
	return 0;
}

/* Names and numbers become JSON and lines for people. */
static int set(char **string, struct text t, struct err *e)
{
	int r = facts_set(string, t.at, t.len, e);

	if (r == 0)
		util_one_line(*string);
	return r;
}

static int add_string(char ***list, size_t *count, size_t max, const char *text, size_t len,
		      struct err *e)
{
	size_t cap = *count;
	int r;

	if (*count == max)
		return err_set(e, ERR_IO, -EBADMSG, "more than %zu of them: \"%.40s\"", max, text);
	if ((*count & (*count - 1)) == 0 &&
	    util_grow(list, &cap, MAX_OF(2 * *count, (size_t)1), sizeof(**list)) < 0)
		return err_nomem(e);
	(*list)[*count] = NULL;
	r = facts_set(&(*list)[*count], text, len, e);
	if (r == 0)
		(*count)++;
	return r;
}

int facts_add_token(struct facts *f, const char *text, size_t len, struct err *e)
{
	return add_string(&f->tokens, &f->token_count, FACTS_TOKENS_MAX, text, len, e);
}

/* ---- nodetool info -T ---- */

int facts_read_info(struct facts *f, const char *text, struct err *e)
{
	struct text line, value;
	int r = 0;

	while (r == 0 && next_line(&text, &line)) {
		if (value_of(line, "ID", &value))
			r = set(&f->host_id, value, e);
		else if (value_of(line, "Data Center", &value))
			r = set(&f->dc, value, e);
		else if (value_of(line, "Rack", &value))
			r = set(&f->rack, value, e);
		/* "(node is not joined to the cluster)" is none. */
		else if (value_of(line, "Token", &value) && !(value.len && *value.at == '('))
			r = facts_add_token(f, value.at, value.len, e);
	}
	if (r < 0)
		return err_wrap(e, r, "nodetool info");
	return strlen(f->host_id) == UUID_LEN ? 0 : not_it(e, "info", "it names no host id");
}

/* ---- nodetool describecluster ---- */

/* Of "5.0.9: [10.0.0.1:7000, 10.0.0.2:7000]": whether the list names the address. */
static bool lists(struct text list, const char *address)
{
	size_t len = strlen(address);

	for (size_t i = 0; len > 0 && i + len <= list.len; i++) {
		char before = i > 0 ? list.at[i - 1] : ' ';
		char after = i + len < list.len ? list.at[i + len] : ' ';

		if (memcmp(list.at + i, address, len) == 0 && strchr(" [,/", before) &&
		    strchr(" ],:", after))
			return true;
	}
	return false;
}

/* The lines below "Database versions:": which version which nodes have. */
static int keep_versions(struct facts *f, const char *from, struct err *e)
{
	const char *text = from;
	size_t count = 0;
	struct text line;

	while (next_line(&text, &line) && line.len > 0 && isspace((unsigned char)line.at[0]) &&
	       trim(line).len > 0) {
		struct text list = trim(line);
		const char *colon = memchr(list.at, ':', list.len);
		struct text version = { list.at, colon ? (size_t)(colon - list.at) : 0 };

		if (++count == 1 || lists(list, f->address)) {
			int r = set(&f->version, version, e);

			if (r < 0 || lists(list, f->address))
				return r;
		}
	}
	/* Several, and none is said to be this node's. */
	return count > 1 ? facts_set(&f->version, "", 0, e) : 0;
}

int facts_read_describecluster(struct facts *f, const char *text, struct err *e)
{
	struct text line, value;
	int r = 0;

	while (r == 0 && next_line(&text, &line)) {
		if (!*f->cluster && value_of(line, "Name", &value))
			r = set(&f->cluster, value, e);
		else if (!*f->partitioner && value_of(line, "Partitioner", &value))
			r = set(&f->partitioner, value, e);
		else if (value_of(line, "Database versions", &value) && value.len == 0)
			r = keep_versions(f, text, e);
	}
	if (r < 0)
		return err_wrap(e, r, "nodetool describecluster");
	return *f->cluster ? 0 : not_it(e, "describecluster", "it names no cluster");
}

/* ---- nodetool status ---- */

static bool is_uuid(struct text t)
{
	if (t.len != UUID_LEN)
		return false;
	for (size_t i = 0; i < t.len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? t.at[i] != '-' : !isxdigit((unsigned char)t.at[i]))
			return false;
	}
	return true;
}

/* "--  Address  Load  Owns  Host ID  Token  Rack": where every node of the cluster has one token, that stands before the rack. */
static bool is_header(struct text line, bool *ret_tokens)
{
	struct text word = next_word(&line);
	bool after_id = false;

	if (word.len != 2 || memcmp(word.at, "--", 2) != 0)
		return false;
	*ret_tokens = false;
	while ((word = next_word(&line)).len > 0) {
		if (after_id && word.len == 5 && memcmp(word.at, "Token", 5) == 0)
			*ret_tokens = true;
		after_id = after_id || (word.len == 2 && memcmp(word.at, "ID", 2) == 0);
	}
	return true;
}

/* The number that is the whole word; 0: it is none, or not of tokens. */
static size_t number_of(struct text word)
{
	size_t n = 0;

	for (size_t i = 0; i < word.len; i++) {
		if (!isdigit((unsigned char)word.at[i]) || n > FACTS_TOKENS_MAX)
			return 0;
		n = 10 * n + (size_t)(word.at[i] - '0');
	}
	return n <= FACTS_TOKENS_MAX ? n : 0;
}

/*
 * "UN  10.0.0.1  114.42 KiB  16  100.0%  3512f072-…  rack1": the load has one word or two, so what counts is the host id. Before it are what the node owns and the number of its tokens.
 */
static bool is_member(struct text line, bool tokens, struct text *state, struct text *address,
		      struct text *id, struct text *rack, size_t *ret_tokens)
{
	struct text before[2] = { { "", 0 }, { "", 0 } };

	*state = next_word(&line);
	if (state->len != 2 || !strchr("UD?", state->at[0]) || !strchr("NLJMS?", state->at[1]))
		return false;
	*address = next_word(&line);
	while ((*id = next_word(&line)).len > 0 && !is_uuid(*id)) {
		before[0] = before[1];
		before[1] = *id;
	}
	*ret_tokens = tokens ? 1 : number_of(before[0]);
	if (tokens)
		next_word(&line);
	*rack = trim(line);
	return id->len > 0;
}

int facts_add_member(struct facts *f, const struct facts_member *m, struct err *e)
{
	size_t cap = f->member_count;

	if (f->member_count == FACTS_MEMBERS_MAX)
		return err_set(e, ERR_IO, -EBADMSG, "it names more than %d nodes",
			       FACTS_MEMBERS_MAX);
	if ((cap & (cap - 1)) == 0 &&
	    util_grow(&f->members, &cap, MAX_OF(2 * cap, (size_t)1), sizeof(*f->members)) < 0)
		return err_nomem(e);
	f->members[f->member_count++] = *m;
	return 0;
}

int facts_read_status(struct facts *f, const char *text, struct err *e)
{
	struct text line, dc = { "", 0 }, state, address, id, rack;
	bool tokens = false;
	size_t token_count;
	int r = 0;

	while (r == 0 && next_line(&text, &line)) {
		struct facts_member *m;

		if (value_of(line, "Datacenter", &dc) || is_header(line, &tokens) ||
		    !is_member(line, tokens, &state, &address, &id, &rack, &token_count))
			continue;
		r = facts_add_member(f,
				     &(struct facts_member){ NULL, NULL, NULL, NULL, *state.at,
							     state.at[1], token_count },
				     e);
		if (r < 0)
			break;
		m = &f->members[f->member_count - 1];
		r = set(&m->host_id, id, e);
		if (r == 0)
			r = set(&m->address, address, e);
		if (r == 0)
			r = set(&m->dc, dc, e);
		if (r == 0)
			r = set(&m->rack, rack, e);
	}
	if (r < 0)
		return err_wrap(e, r, "nodetool status");
	return f->member_count > 0 ? 0 : not_it(e, "status", "it names no node");
}

/* ---- nodetool datapaths -F json ---- */

int facts_add_data_dir(struct facts *f, const char *path, size_t len, struct err *e)
{
	for (size_t i = 0; i < f->data_dir_count; i++)
		if (strlen(f->data_dirs[i]) == len && memcmp(f->data_dirs[i], path, len) == 0)
			return 0;
	return add_string(&f->data_dirs, &f->data_dir_count, FACTS_DATA_DIRS_MAX, path, len, e);
}

/* "<data dir>/<ks>/<table>-<id>" -> its data directory. */
static int add_path(struct facts *f, const char *keyspace, const json_t *value, struct err *e)
{
	const char *path = json_string_value(value);
	const char *table = path ? strrchr(path, '/') : NULL;
	size_t len = strlen(keyspace), end = table ? (size_t)(table - path) : 0;

	if (!path || path[0] != '/' || end < len + 2 || path[end - len - 1] != '/' ||
	    memcmp(path + end - len, keyspace, len) != 0)
		return not_it(e, "datapaths", "a path is not that of a table");
	return facts_add_data_dir(f, path, end - len - 1, e);
}

/* The directories of tables that have `count` of them. */
static int add_paths(struct facts *f, size_t count, struct err *e)
{
	const char *keyspace, *table;
	json_t *tables, *paths, *path;
	size_t i;

	json_object_foreach(f->tables, keyspace, tables) {
		json_object_foreach(tables, table, paths) {
			if (json_array_size(paths) != count)
				continue;
			json_array_foreach(paths, i, path) {
				int r = add_path(f, keyspace, path, e);

				if (r < 0)
					return r;
			}
		}
	}
	return 0;
}

static size_t most_paths(const struct facts *f)
{
	const char *keyspace, *table;
	json_t *tables, *paths;
	size_t most = 0;

	json_object_foreach(f->tables, keyspace, tables)
		json_object_foreach(tables, table, paths)
			most = MAX_OF(most, json_array_size(paths));
	return most;
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A JVM prints its warnings on standard output. The document begins at the first line that begins with its brace. */
static const char *skip_warnings(const char *text)
{
	const char *brace = *text == '{' ? text : strstr(text, "\n{");

	return brace ? brace : text;
}

/*
 * Most tables lie in all data_file_directories, and name them in the order of cassandra.yaml; the node's own system tables
 * lie in the first one or in local_system_data_file_directory. So the longest lists come first; what they do not name follows,
 * sorted: the order is the same in each backup, whatever the order of the tables.
 */
int facts_read_datapaths(struct facts *f, const char *text, struct err *e)
{
	json_t *tables = NULL;
	size_t most, sure;
	int r;

	text = skip_warnings(text);
	r = json_parse("it", text, strlen(text), FACTS_TEXT_MAX, &tables, e);

	if (r < 0)
		return err_wrap(e, r, "what nodetool datapaths printed cannot be read");
	json_decref(f->tables);
	f->tables = tables;
	most = MIN_OF(most_paths(f), (size_t)FACTS_DATA_DIRS_MAX);
	r = add_paths(f, most, e);
	sure = f->data_dir_count;
	for (size_t count = 1; count < most && r == 0; count++)
		r = add_paths(f, count, e);
	if (r < 0)
		return r;
	if (f->data_dir_count > sure)
		qsort(f->data_dirs + sure, f->data_dir_count - sure, sizeof(*f->data_dirs),
		      compare_strings);
	return f->data_dir_count > 0 ? 0 : not_it(e, "datapaths", "it names no data directory");
}

unsigned facts_release(const char *version)
{
	unsigned major = 0, minor = 0;

	return sscanf(version, "%u.%u", &major, &minor) == 2 ? major * 1000 + minor : 0;
}

bool facts_has_table(const struct facts *f, const char *only)
{
	size_t len = strcspn(only, ".");
	_cleanup_free_ char *keyspace = strndup(only, len);
	const json_t *tables = keyspace ? json_object_get(f->tables, keyspace) : NULL;

	if (!f->tables || !keyspace)
		return true;
	return tables && (!only[len] || json_object_get(tables, only + len + 1));
}

/* ---- all of it ---- */

int facts_complete(struct facts *f, struct err *e)
{
	for (size_t i = 0; i < f->member_count; i++)
		if (strcasecmp(f->members[i].host_id, f->host_id) == 0)
			return facts_set(&f->address, f->members[i].address,
					 strlen(f->members[i].address), e);
	return not_it(e, "status", "it does not name this node's host id");
}
