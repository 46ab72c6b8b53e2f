/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/topology.h"

#include <string.h>
#include "base/json.h"

#define FORMAT 1

static const char *status_word(char status)
{
	return status == 'U' ? "up" : status == 'D' ? "down" : "unknown";
}

static const char *state_word(char state)
{
	switch (state) {
	case 'N':
		return "normal";
	case 'L':
		return "leaving";
	case 'J':
		return "joining";
	case 'M':
		return "moving";
	default:
		return "unknown";
	}
}

static int by_host_id(const void *a, const void *b)
{
	const struct facts_member *x = *(const struct facts_member *const *)a,
				  *y = *(const struct facts_member *const *)b;

	return strcmp(x->host_id, y->host_id);
}

static json_t *member_json(const struct facts_member *m)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:s, s:s}", "host_id", json_text(m->host_id),
			 "address", json_text(m->address), "dc", json_text(m->dc), "rack",
			 json_text(m->rack), "status", status_word(m->status), "state",
			 state_word(m->state));
}

/* NULL: out of memory. */
static json_t *members_json(const struct facts *f)
{
	_cleanup_free_ const struct facts_member **sorted =
		calloc(f->member_count + 1, sizeof(*sorted));
	_cleanup_json_ json_t *list = json_array();

	if (!sorted || !list)
		return NULL;
	for (size_t i = 0; i < f->member_count; i++)
		sorted[i] = &f->members[i];
	qsort(sorted, f->member_count, sizeof(*sorted), by_host_id);
	for (size_t i = 0; i < f->member_count; i++)
		if (json_array_append_new(list, member_json(sorted[i])) < 0)
			return NULL;
	return steal_pointer(&list);
}

static json_t *tokens_json(const struct facts *f)
{
	json_t *list = json_array();

	for (size_t i = 0; i < f->token_count; i++)
		json_array_append_new(list, json_text(f->tokens[i]));
	return list;
}

char *topology_text(const struct facts *f)
{
	_cleanup_json_ json_t *o = json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "format",
					     FORMAT, "cluster", json_text(f->cluster),
					     "partitioner", json_text(f->partitioner),
					     "cassandra_version", json_text(f->version), "host_id",
					     json_text(f->host_id), "tokens", tokens_json(f),
					     "nodes", members_json(f));
	_cleanup_free_ char *text = o ? json_dumps(o, JSON_INDENT(1)) : NULL;

	return text ? util_printf("%s\n", text) : NULL;
}
