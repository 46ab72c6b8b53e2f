/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/cql.h"

#include <string.h>
#include <strings.h>

static const char *const kind_names[] = {
	[CQL_KEYSPACE] = "KEYSPACE", [CQL_TYPE] = "TYPE",
	[CQL_FUNCTION] = "FUNCTION", [CQL_AGGREGATE] = "AGGREGATE",
	[CQL_TABLE] = "TABLE",	     [CQL_ALTER] = "ALTER TABLE",
	[CQL_INDEX] = "INDEX",	     [CQL_VIEW] = "MATERIALIZED VIEW",
};

const char *cql_kind_name(enum cql_kind kind)
{
	return kind_names[kind];
}

bool cql_is(const struct cql *q, uint32_t token, const char *word)
{
	const struct cql_token *t = &q->tokens[token];

	return (t->kind == CQL_WORD || t->kind == CQL_SYMBOL) && t->len_bytes == strlen(word) &&
	       strncasecmp(q->text + t->at, word, t->len_bytes) == 0;
}

/* The name that the token is, which has room for it. Its length. */
static size_t write_name(const struct cql *q, const struct cql_token *t, char *to)
{
	const char *from = q->text + t->at;
	size_t len = 0;

	if (t->kind == CQL_QUOTED)
		for (uint32_t i = 1; i + 1 < t->len_bytes; i++) {
			to[len++] = from[i];
			i += from[i] == '"'; /* the other one of two */
		}
	else
		for (uint32_t i = 0; i < t->len_bytes; i++)
			to[len++] =
				(char)(from[i] >= 'A' && from[i] <= 'Z' ? from[i] + 32 : from[i]);
	to[len] = '\0';
	return len;
}

bool cql_name(const struct cql *q, uint32_t token, char out[CQL_NAME_ROOM])
{
	const struct cql_token *t = &q->tokens[token];

	if ((t->kind != CQL_WORD && t->kind != CQL_QUOTED) || t->len_bytes >= CQL_NAME_ROOM)
		return false;
	write_name(q, t, out);
	return true;
}

/* ---- one statement ---- */

struct cursor {
	struct cql *q;
	uint32_t at, end; /* tokens of the statement */
};

static bool take(struct cursor *c, const char *word)
{
	if (c->at == c->end || !cql_is(c->q, c->at, word))
		return false;
	c->at++;
	return true;
}

static bool take_name(struct cursor *c, uint32_t *ret)
{
	char name[CQL_NAME_ROOM];

	if (c->at == c->end || !cql_name(c->q, c->at, name))
		return false;
	*ret = c->at++;
	return true;
}

static bool take_qualified(struct cursor *c, uint32_t *ret_keyspace, uint32_t *ret_name)
{
	return take_name(c, ret_keyspace) && take(c, ".") && take_name(c, ret_name);
}

/* False: only a part of it is there. */
static bool take_if_not_exists(struct cursor *c)
{
	return !take(c, "IF") || (take(c, "NOT") && take(c, "EXISTS"));
}

static bool read_index(struct cursor *c, struct cql_statement *s, uint32_t *keyspace)
{
	s->kind = CQL_INDEX;
	if (!take_if_not_exists(c))
		return false;
	if (!take(c, "ON") && !(take_name(c, &s->name_token) && take(c, "ON")))
		return false;
	return take_qualified(c, keyspace, &s->table_token);
}

/* What a view is made from stands behind the first FROM; columns of that name are quoted. */
static bool read_view(struct cursor *c, struct cql_statement *s, uint32_t *keyspace)
{
	uint32_t of;

	s->kind = CQL_VIEW;
	if (!take_if_not_exists(c) || !take_qualified(c, keyspace, &s->name_token))
		return false;
	while (c->at < c->end && !cql_is(c->q, c->at, "FROM"))
		c->at++;
	return take(c, "FROM") && take_qualified(c, &of, &s->table_token);
}

/* Its body is the last thing: behind a body that holds $$ comes what was part of it. */
static bool ends_with_body(const struct cursor *c)
{
	return c->end - c->at >= 2 && c->q->tokens[c->end - 1].kind == CQL_STRING &&
	       cql_is(c->q, c->end - 2, "AS");
}

static bool read_create(struct cursor *c, struct cql_statement *s, uint32_t *keyspace)
{
	static const enum cql_kind plain[] = { CQL_TYPE, CQL_FUNCTION, CQL_AGGREGATE, CQL_TABLE };

	if (take(c, "KEYSPACE")) {
		s->kind = CQL_KEYSPACE;
		if (!take_if_not_exists(c) || !take_name(c, keyspace))
			return false;
		s->name_token = *keyspace;
		return true;
	}
	if (take(c, "MATERIALIZED"))
		return take(c, "VIEW") && read_view(c, s, keyspace);
	if (take(c, "CUSTOM"))
		return take(c, "INDEX") && read_index(c, s, keyspace);
	if (take(c, "INDEX"))
		return read_index(c, s, keyspace);
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		if (take(c, kind_names[plain[i]])) {
			s->kind = plain[i];
			return take_if_not_exists(c) &&
			       take_qualified(c, keyspace, &s->name_token) &&
			       (s->kind != CQL_FUNCTION || ends_with_body(c));
		}
	return false;
}

static bool read_statement(struct cursor *c, struct cql_statement *s, uint32_t *keyspace)
{
	if (take(c, "ALTER")) {
		s->kind = CQL_ALTER;
		return take(c, "TABLE") && take_qualified(c, keyspace, &s->name_token);
	}
	if (!take(c, "CREATE"))
		return false;
	if (take(c, "OR") && !take(c, "REPLACE"))
		return false;
	return read_create(c, s, keyspace);
}

static char *name_of(const struct cql *q, uint32_t token)
{
	char name[CQL_NAME_ROOM];

	return token != CQL_NONE && cql_name(q, token, name) ? strdup(name) : strdup("");
}

/* The names, out of the tokens. */
static int name_statement(const struct cql *q, struct cql_statement *s, uint32_t keyspace,
			  struct err *e)
{
	if (s->kind != CQL_INDEX && s->kind != CQL_VIEW)
		s->table_token = s->name_token;
	s->keyspace = name_of(q, keyspace);
	s->name = name_of(q, s->name_token);
	s->table = name_of(q, s->table_token);
	return s->keyspace && s->name && s->table ? 0 : err_nomem(e);
}

/* ---- the text ---- */

static int bad_statement(const struct cql *q, uint32_t first, uint32_t end, struct err *e)
{
	const struct cql_token *a = &q->tokens[first];
	char begin[64];
	size_t len = MIN_OF((size_t)q->tokens[end - 1].at + q->tokens[end - 1].len_bytes - a->at,
			    sizeof(begin) - 1);

	memcpy(begin, q->text + a->at, len);
	begin[len] = '\0';
	return err_set(e, ERR_CORRUPT, -EBADMSG,
		       "line %zu: no statement that is known, or not all of one: %s%s",
		       cql_line(q->text, a->at), util_one_line(begin),
		       len == sizeof(begin) - 1 ? "…" : "");
}

/* The statement of the tokens from `first` to `end`, which are not none. */
static int add_statement(struct cql *q, size_t *cap, uint32_t first, uint32_t end, struct err *e)
{
	struct cursor c = { q, first, end };
	struct cql_statement *s;
	uint32_t keyspace = CQL_NONE;

	if (util_grow(&q->statements, cap, q->statement_count + 1, sizeof(*q->statements)) < 0)
		return err_nomem(e);
	s = &q->statements[q->statement_count];
	*s = (struct cql_statement){ .first = first,
				     .count = end - first,
				     .name_token = CQL_NONE,
				     .table_token = CQL_NONE };
	if (!read_statement(&c, s, &keyspace))
		return bad_statement(q, first, end, e);
	q->statement_count++;
	return name_statement(q, s, keyspace, e);
}

static int read_tokens(struct cql *q, struct err *e)
{
	size_t token_cap = 0, statement_cap = 0, pos = 0;
	uint32_t first = 0, count;
	struct cql_token t;
	int r;

	while ((r = cql_next(q->text, q->len_bytes, &pos, &t, e)) > 0) {
		if (util_grow(&q->tokens, &token_cap, q->token_count + 1, sizeof(t)) < 0)
			return err_nomem(e);
		count = (uint32_t)q->token_count++;
		q->tokens[count] = t;
		if (!cql_is(q, count, ";"))
			continue;
		if (count > first)
			r = add_statement(q, &statement_cap, first, count, e);
		if (r < 0)
			return r;
		first = count + 1;
	}
	if (r == 0 && q->token_count > first)
		return bad_statement(q, first, (uint32_t)q->token_count, e);
	return r;
}

int cql_read(const char *text, size_t len_bytes, struct cql **ret, struct err *e)
{
	_cleanup_(cql_freep) struct cql *q = calloc(1, sizeof(*q));
	int r;

	if (len_bytes > CQL_TEXT_MAX)
		return err_set(e, ERR_CORRUPT, -EBADMSG, "the schema is larger than %zu bytes",
			       CQL_TEXT_MAX);
	if (!q || !(q->text = malloc(len_bytes + 1)))
		return err_nomem(e);
	if (len_bytes > 0)
		memcpy(q->text, text, len_bytes);
	q->text[len_bytes] = '\0';
	q->len_bytes = len_bytes;
	r = read_tokens(q, e);
	if (r < 0)
		return r;
	*ret = steal_pointer(&q);
	return 0;
}

void cql_free(struct cql *q)
{
	for (size_t i = 0; i < q->statement_count; i++) {
		free(q->statements[i].keyspace);
		free(q->statements[i].name);
		free(q->statements[i].table);
	}
	free(q->statements);
	free(q->tokens);
	free(q->text);
	free(q);
}
