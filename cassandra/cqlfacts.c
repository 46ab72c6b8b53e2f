/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/cqlfacts.h"

#include <string.h>
#include "base/json.h"
#include "base/util.h"

#define UUID_LEN 36

/* "" where it is null or no string. */
static int set(char **string, const json_t *row, const char *key, struct err *e)
{
	const char *text = json_string_value(json_object_get(row, key));
	int r = facts_set(string, text ? text : "", text ? strlen(text) : 0, e);

	if (r == 0)
		util_one_line(*string);
	return r;
}

static int read_node(struct facts *f, const json_t *row, struct err *e)
{
	const json_t *tokens = json_object_get(row, "tokens");
	int r = set(&f->host_id, row, "host_id", e);

	if (r == 0)
		r = set(&f->dc, row, "data_center", e);
	if (r == 0)
		r = set(&f->rack, row, "rack", e);
	if (r == 0)
		r = set(&f->version, row, "release_version", e);
	for (size_t i = 0; i < json_array_size(tokens) && r == 0; i++) {
		const char *token = json_string_value(json_array_get(tokens, i));

		if (token)
			r = facts_add_token(f, token, strlen(token), e);
	}
	return r;
}

static int read_member(struct facts *f, const json_t *row, char status, struct err *e)
{
	struct facts_member *m;
	int r = facts_add_member(
		f, &(struct facts_member){ NULL, NULL, NULL, NULL, status, '?', 0 }, e);

	if (r < 0)
		return r;
	m = &f->members[f->member_count - 1];
	r = set(&m->host_id, row, "host_id", e);
	if (r == 0)
		r = set(&m->address, row, "peer", e);
	if (r == 0)
		r = set(&m->dc, row, "data_center", e);
	if (r == 0)
		r = set(&m->rack, row, "rack", e);
	return r;
}

/* A row is a line of its own; only that of system.local has a key. */
static int read_row(struct facts *f, const char *text, size_t len, struct err *e)
{
	_cleanup_json_ json_t *row = NULL;
	int r = json_parse("a row of it", text, len, FACTS_TEXT_MAX, &row, e);
	bool own = r == 0 && json_object_get(row, "key");

	if (r == 0 && own)
		r = read_node(f, row, e);
	return r == 0 ? read_member(f, row, own ? 'U' : '?', e) : r;
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

int cqlfacts_read(struct facts *f, const char *text, struct err *e)
{
	int r = 0;

	for (const char *at = next_row(text); at && r == 0; at = next_row(at))
		r = read_row(f, at, strcspn(at, "\n"), e);
	if (r < 0)
		return err_wrap(e, r == -ENOMEM ? r : -EBADMSG,
				"what cqlsh printed cannot be read");
	return strlen(f->host_id) == UUID_LEN && *f->version
		       ? 0
		       : err_set(e, ERR_IO, -EBADMSG,
				 "what cqlsh printed names no host id and version");
}
