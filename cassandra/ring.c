/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/ring.h"

#include <string.h>

/* ---- the ring ---- */

static int by_token(const void *a, const void *b)
{
	const struct ring_range *x = a, *y = b;

	return (x->token > y->token) - (x->token < y->token);
}

/* A whole decimal number of 64 bits. No key has the smallest one, but nodes do: who divides 2^64 by hand begins with it. */
static bool parse_token(const char *text, int64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoll(text, &end, 10);
	return errno == 0 && end != text && !*end && strspn(text, "-0123456789") == strlen(text);
}

static int add_node(struct ring *r, uint32_t node, struct err *e)
{
	const struct ring_node *n = &r->nodes[node];

	if (n->token_count == 0)
		return err_set(e, ERR_USAGE, -EINVAL, "the tokens of %s are not known", n->name);
	for (size_t i = 0; i < n->token_count; i++) {
		struct ring_range *range = &r->ranges[r->range_count++];

		range->node = node;
		if (!parse_token(n->tokens[i], &range->token))
			return err_set(e, ERR_USAGE, -EINVAL,
				       "'%s' of %s is no token of " RING_PARTITIONER, n->tokens[i],
				       n->name);
	}
	return 0;
}

/* Data centres and racks are few: looked up one by one. */
static void place_node(struct ring *r, uint32_t node, uint32_t *firsts)
{
	const struct ring_node *n = &r->nodes[node];
	size_t dc = 0, rack = 0;

	while (dc < r->dc_count && strcmp(r->dcs[dc].name, n->dc) != 0)
		dc++;
	if (dc == r->dc_count)
		r->dcs[r->dc_count++].name = n->dc;
	while (rack < r->rack_count &&
	       (r->dc_of[firsts[rack]] != dc || strcmp(r->nodes[firsts[rack]].rack, n->rack) != 0))
		rack++;
	if (rack == r->rack_count) {
		firsts[r->rack_count++] = node;
		r->dcs[dc].racks++;
	}
	r->dcs[dc].nodes++;
	r->dc_of[node] = (uint32_t)dc;
	r->rack_of[node] = (uint32_t)rack;
}

static int place_nodes(struct ring *r, struct err *e)
{
	_cleanup_free_ uint32_t *firsts = calloc(r->node_count, sizeof(*firsts));

	r->dcs = calloc(r->node_count, sizeof(*r->dcs));
	r->dc_of = calloc(r->node_count, sizeof(*r->dc_of));
	r->rack_of = calloc(r->node_count, sizeof(*r->rack_of));
	if (!firsts || !r->dcs || !r->dc_of || !r->rack_of)
		return err_nomem(e);
	for (uint32_t i = 0; i < r->node_count; i++)
		place_node(r, i, firsts);
	return 0;
}

static int finish(struct ring *r, struct err *e)
{
	qsort(r->ranges, r->range_count, sizeof(*r->ranges), by_token);
	for (size_t i = 0; i < r->range_count; i++) {
		const struct ring_range *before =
			&r->ranges[(i + r->range_count - 1) % r->range_count];

		/* Differences wrap as the ring does. */
		r->ranges[i].length = (uint64_t)r->ranges[i].token - (uint64_t)before->token;
		if (r->range_count == 1)
			r->ranges[i].length = UINT64_MAX;
		else if (r->ranges[i].length == 0)
			return err_set(e, ERR_USAGE, -EINVAL, "%s and %s have the same token %lld",
				       r->nodes[before->node].name,
				       r->nodes[r->ranges[i].node].name,
				       (long long)r->ranges[i].token);
	}
	return 0;
}

int ring_new(const struct ring_node *nodes, size_t count, struct ring **ret, struct err *e)
{
	_cleanup_(ring_freep) struct ring *r = calloc(1, sizeof(*r));
	size_t tokens = 0;
	int result = 0;

	if (!r)
		return err_nomem(e);
	if (count == 0)
		return err_set(e, ERR_USAGE, -EINVAL, "a ring without nodes");
	for (size_t i = 0; i < count; i++)
		tokens += nodes[i].token_count;
	r->nodes = nodes;
	r->node_count = count;
	r->ranges = calloc(tokens + 1, sizeof(*r->ranges));
	if (!r->ranges)
		return err_nomem(e);
	result = place_nodes(r, e);
	for (uint32_t i = 0; result == 0 && i < count; i++)
		result = add_node(r, i, e);
	if (result == 0)
		result = finish(r, e);
	if (result == 0)
		*ret = steal_pointer(&r);
	return result;
}

void ring_free(struct ring *r)
{
	free(r->ranges);
	free(r->dcs);
	free(r->dc_of);
	free(r->rack_of);
	free(r);
}

/* ---- replication ---- */

/* The text of a string without its quotes; false: it is no string, or too long. */
static bool read_string(const struct cql *q, uint32_t token, char *out, size_t size)
{
	const struct cql_token *t = &q->tokens[token];

	if (t->kind != CQL_STRING || q->text[t->at] != '\'' || t->len_bytes - 2 >= size)
		return false;
	memcpy(out, q->text + t->at + 1, t->len_bytes - 2);
	out[t->len_bytes - 2] = '\0';
	return !strchr(out, '\'');
}

static bool read_factor(const char *text, unsigned *ret)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	*ret = (unsigned)v;
	return *text >= '0' && *text <= '9' && !*end && v <= RING_FACTOR_MAX;
}

static int bad(const struct cql_statement *s, const char *what, struct err *e)
{
	return err_set(e, ERR_USAGE, -EINVAL, "keyspace %s: replication '%s' is not known here",
		       s->keyspace, what);
}

static int read_class(const char *name, enum replication_class *ret)
{
	static const char *const names[] = {
		[REPLICATION_LOCAL] = "LocalStrategy",
		[REPLICATION_SIMPLE] = "SimpleStrategy",
		[REPLICATION_NETWORK] = "NetworkTopologyStrategy",
		[REPLICATION_EVERYWHERE] = "EverywhereStrategy",
	};
	const char *last = strrchr(name, '.');

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(last ? last + 1 : name, names[i]) == 0) {
			*ret = (enum replication_class)i;
			return 0;
		}
	return -EINVAL;
}

static int read_pair(const struct cql_statement *s, const char *key, const char *value,
		     struct replication *ret, bool *ret_class, struct err *e)
{
	unsigned factor;

	if (strcmp(key, "class") == 0) {
		*ret_class = true;
		return read_class(value, &ret->class) == 0 ? 0 : bad(s, value, e);
	}
	if (!read_factor(value, &factor))
		return bad(s, value, e);
	if (strcmp(key, "replication_factor") == 0) {
		ret->factor = factor;
		return 0;
	}
	for (size_t i = 0; i < ret->dc_count; i++)
		if (strcmp(ret->dcs[i].dc, key) == 0)
			return bad(s, key, e);
	if (ret->dc_count == RING_DCS_MAX || strlen(key) >= sizeof(ret->dcs->dc))
		return bad(s, key, e);
	strcpy(ret->dcs[ret->dc_count].dc, key);
	ret->dcs[ret->dc_count++].factor = factor;
	return 0;
}

int replication_read(const struct cql *q, const struct cql_statement *s, struct replication *ret,
		     struct err *e)
{
	uint32_t i = s->first, end = s->first + s->count;
	char key[128], value[128];
	bool has_class = false;
	int r = 0;

	*ret = (struct replication){ .factor = 0 };
	while (i < end && !cql_is(q, i, "REPLICATION"))
		i++;
	if (end - i < 3 || !cql_is(q, i + 1, "=") || !cql_is(q, i + 2, "{"))
		return bad(s, "", e);
	for (i += 3; r == 0 && i + 3 < end && !cql_is(q, i, "}"); i += 3) {
		if (!read_string(q, i, key, sizeof(key)) || !cql_is(q, i + 1, ":") ||
		    !read_string(q, i + 2, value, sizeof(value)))
			return bad(s, "", e);
		r = read_pair(s, key, value, ret, &has_class, e);
		if (cql_is(q, i + 3, ","))
			i++;
	}
	if (r == 0 && (!has_class || i >= end || !cql_is(q, i, "}")))
		return bad(s, "", e);
	return r;
}

/* ---- replicas ---- */

static bool is_in(const uint32_t *list, size_t count, uint32_t node)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == node)
			return true;
	return false;
}

static size_t simple(const struct ring *r, size_t range, size_t factor, uint32_t *ret)
{
	size_t count = 0;

	for (size_t i = 0; i < r->range_count && count < factor; i++) {
		uint32_t node = r->ranges[(range + i) % r->range_count].node;

		if (!is_in(ret, count, node))
			ret[count++] = node;
	}
	return count;
}

static bool has_rack(const struct ring *r, const uint32_t *list, size_t count, uint32_t rack)
{
	for (size_t i = 0; i < count; i++)
		if (r->rack_of[list[i]] == rack)
			return true;
	return false;
}

/*
 * One data centre of NetworkTopologyStrategy: along the ring, each rack once; a rack again only as often as the factor is more than there are racks, and then the first ones met.
 */
static size_t in_dc(const struct ring *r, size_t range, size_t dc, size_t factor, uint32_t *ret)
{
	size_t left = MIN_OF(factor, r->dcs[dc].nodes), count = 0;
	size_t repeats = factor > r->dcs[dc].racks ? factor - r->dcs[dc].racks : 0;

	for (size_t i = 0; i < r->range_count && left > 0; i++) {
		uint32_t node = r->ranges[(range + i) % r->range_count].node;

		if (r->dc_of[node] != dc || is_in(ret, count, node))
			continue;
		if (has_rack(r, ret, count, r->rack_of[node])) {
			if (repeats == 0)
				continue;
			repeats--;
		}
		ret[count++] = node;
		left--;
	}
	return count;
}

/* A data centre that the replication names and the ring has not holds nothing. */
static size_t in_named_dc(const struct ring *r, size_t range, const char *name, size_t factor,
			  uint32_t *ret)
{
	for (size_t dc = 0; dc < r->dc_count; dc++)
		if (strcmp(r->dcs[dc].name, name) == 0)
			return in_dc(r, range, dc, factor, ret);
	return 0;
}

size_t ring_replicas(const struct ring *r, const struct replication *how, size_t range,
		     uint32_t *ret)
{
	size_t count = 0;

	switch (how->class) {
	case REPLICATION_SIMPLE:
		return simple(r, range, how->factor, ret);
	case REPLICATION_EVERYWHERE:
		while (count < r->node_count) {
			ret[count] = (uint32_t)count;
			count++;
		}
		return count;
	case REPLICATION_NETWORK:
		for (size_t i = 0; i < how->dc_count; i++)
			count += in_named_dc(r, range, how->dcs[i].dc, how->dcs[i].factor,
					     ret + count);
		return count;
	default:
		return 0;
	}
}
