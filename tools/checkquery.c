/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/checkquery.h"

#include <string.h>

int checkquery_rows(struct checkquery *q, const char *what, const char *value, struct err *e)
{
	q->has_rows = true;
	return cli_number(what, value, 0, INT64_MAX, &q->rows, e);
}

static int check_whole(const struct checkquery *q, const char *const names[3], struct err *e)
{
	bool wanted = q->has_rows || q->result;

	return !q->query == !wanted ? 0
				    : err_set(e, ERR_USAGE, -EINVAL, "%s goes with %s or %s",
					      names[0], names[1], names[2]);
}

int checkquery_is_whole(const struct checkquery *q, struct err *e)
{
	static const char *const names[] = { "--check-query", "--check-rows", "--check-result" };

	return check_whole(q, names, e);
}

int checkquery_config(const struct cli *cli, struct checkquery *ret, struct err *e)
{
	static const char *const names[] = { "[checks] query", "expected_rows", "expected_result" };
	const char *rows = config_get(cli->config, "checks", "expected_rows");
	int r = 0;

	*ret = (struct checkquery){ .query = config_get(cli->config, "checks", "query"),
				    .result =
					    config_get(cli->config, "checks", "expected_result") };
	if (rows)
		r = checkquery_rows(ret, "[checks] expected_rows", rows, e);
	return r == 0 ? check_whole(ret, names, e) : r;
}

/* ---- the answer ---- */

/* The next value of a list that commas part, without the blanks around it: cqlsh lines columns up. False: there is none left. */
static bool next_value(const char **at, const char **ret, size_t *ret_len)
{
	if (!*at)
		return false;
	*ret = *at + strspn(*at, " \t");
	*ret_len = strcspn(*ret, ",");
	*at = (*ret)[*ret_len] ? *ret + *ret_len + 1 : NULL;
	while (*ret_len > 0 && strchr(" \t", (*ret)[*ret_len - 1]))
		--*ret_len;
	return true;
}

static bool same_values(const char *a, const char *b)
{
	const char *x, *y;
	size_t x_len, y_len;

	for (;;) {
		bool more = next_value(&a, &x, &x_len);

		if (more != next_value(&b, &y, &y_len))
			return false;
		if (!more)
			return true;
		if (x_len != y_len || memcmp(x, y, x_len) != 0)
			return false;
	}
}

int checkquery_run(const struct checkquery *q, const struct cqlsh *c, struct err *e)
{
	_cleanup_free_ char *first = NULL;
	uint64_t rows = 0;
	int r = q->query ? cqlsh_answer(c, q->query, &rows, &first, e) : 0;

	if (r < 0 || !q->query)
		return r;
	if (q->has_rows && rows != q->rows)
		return err_set(e, ERR_CONFLICT, -EBADMSG,
			       "the check query gave %llu rows, not %llu: \"%s\"",
			       (unsigned long long)rows, (unsigned long long)q->rows, q->query);
	if (q->result && !same_values(first, q->result))
		return err_set(e, ERR_CONFLICT, -EBADMSG,
			       "the check query gave \"%.200s\", not \"%.200s\": \"%s\"", first,
			       q->result, q->query);
	return 0;
}
