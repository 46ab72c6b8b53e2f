/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "cassandra/cql.h"

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool begins(const char *text, size_t len, size_t pos, const char *with)
{
	size_t n = strlen(with);

	return len - pos >= n && memcmp(text + pos, with, n) == 0;
}

size_t cql_line(const char *text, size_t at)
{
	size_t line = 1;

	for (size_t i = 0; i < at; i++)
		line += text[i] == '\n';
	return line;
}

/* Behind the next `end` from `from` on; 0: there is none. */
static size_t behind(const char *text, size_t len, size_t from, const char *end)
{
	const char *found = from <= len ? memmem(text + from, len - from, end, strlen(end)) : NULL;

	return found ? (size_t)(found - text) + strlen(end) : 0;
}

/* Behind the closing quote; two in a row are one that is meant. 0: there is none. */
static size_t behind_quote(const char *text, size_t len, size_t from, char quote)
{
	for (size_t i = from; i < len; i++) {
		if (text[i] != quote)
			continue;
		if (i + 1 == len || text[i + 1] != quote)
			return i + 1;
		i++;
	}
	return 0;
}

static int unended(const char *text, size_t at, const char *what, struct err *e)
{
	return err_set(e, ERR_CORRUPT, -EBADMSG, "line %zu: %s does not end", cql_line(text, at),
		       what);
}

/* 0: *pos is at a token or at the end. */
static int skip_blanks(const char *text, size_t len, size_t *pos, struct err *e)
{
	while (*pos < len) {
		size_t next;

		if (is_blank(text[*pos])) {
			(*pos)++;
		} else if (begins(text, len, *pos, "--") || begins(text, len, *pos, "//")) {
			while (*pos < len && text[*pos] != '\n' && text[*pos] != '\r')
				(*pos)++;
		} else if (begins(text, len, *pos, "/*")) {
			next = behind(text, len, *pos + 2, "*/");
			if (next == 0)
				return unended(text, *pos, "a comment", e);
			*pos = next;
		} else {
			break;
		}
	}
	return 0;
}

int cql_next(const char *text, size_t len, size_t *pos, struct cql_token *ret, struct err *e)
{
	size_t at, end;
	int r = skip_blanks(text, len, pos, e);

	if (r < 0 || *pos == len)
		return r;
	at = *pos;
	*ret = (struct cql_token){ .at = (uint32_t)at, .kind = CQL_SYMBOL };
	if (text[at] == '\'' || text[at] == '"') {
		ret->kind = text[at] == '"' ? CQL_QUOTED : CQL_STRING;
		end = behind_quote(text, len, at + 1, text[at]);
	} else if (begins(text, len, at, "$$")) {
		ret->kind = CQL_STRING;
		end = behind(text, len, at + 2, "$$");
	} else {
		end = at + 1;
		if (is_word(text[at])) {
			ret->kind = CQL_WORD;
			while (end < len && is_word(text[end]))
				end++;
		}
	}
	if (end == 0)
		return unended(text, at, ret->kind == CQL_QUOTED ? "a name" : "a string", e);
	ret->len_bytes = (uint32_t)(end - at);
	*pos = end;
	return 1;
}
