/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/nodetokens.h"

#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "base/util.h"

#define BYTES_MAX ((size_t)1024 * 1024)

char *nodetokens_join(char *const *tokens, size_t count)
{
	_cleanup_wbuf_ struct wbuf out;

	wbuf_init(&out, BYTES_MAX);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			wbuf_u8(&out, ',');
		wbuf_put(&out, tokens[i], strlen(tokens[i]));
	}
	wbuf_u8(&out, 0);
	return wbuf_error(&out) ? NULL : (char *)steal_pointer(&out.data);
}

/* The next one at *at, of *ret_len characters; NULL at the end. */
static const char *next(const char **at, size_t *ret_len)
{
	const char *token = *at;

	if (!token || !*token)
		return NULL;
	*ret_len = strcspn(token, ",");
	*at = token[*ret_len] ? token + *ret_len + 1 : NULL;
	return token;
}

static size_t count_of(const char *tokens)
{
	size_t count = 0, len;

	while (next(&tokens, &len))
		count++;
	return count;
}

static bool has(const char *tokens, const char *wanted, size_t wanted_len)
{
	const char *token;
	size_t len;

	while ((token = next(&tokens, &len)))
		if (len == wanted_len && memcmp(token, wanted, len) == 0)
			return true;
	return false;
}

static bool has_all(const char *tokens, const char *wanted)
{
	const char *token;
	size_t len;

	while ((token = next(&wanted, &len)))
		if (!has(tokens, token, len))
			return false;
	return true;
}

bool nodetokens_same(const char *a, const char *b)
{
	return count_of(a) == count_of(b) && has_all(a, b) && has_all(b, a);
}

void nodetokens_edit(struct nodetokens_edit *ret, const char *tokens)
{
	snprintf(ret->number, sizeof(ret->number), "%zu", count_of(tokens));
	ret->changes[0] = (struct yamledit_change){ "initial_token", tokens };
	ret->changes[1] = (struct yamledit_change){ "num_tokens", ret->number };
	ret->changes[2] = (struct yamledit_change){ "auto_bootstrap", "false" };
}
