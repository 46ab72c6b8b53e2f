/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/mapping.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct nodes {
	const struct mapping_node *sources, *targets;
	size_t source_count, target_count;
};

const char *mapping_case_name(enum mapping_case which)
{
	static const char *const names[] = { "same", "other", "loaded" };

	return names[which];
}

static _printf_(2, 3) void because(struct mapping *m, const char *fmt, ...)
{
	va_list list;

	va_start(list, fmt);
	vsnprintf(m->reason, sizeof(m->reason), fmt, list);
	va_end(list);
	util_one_line(m->reason);
}

/* ---- the same nodes ---- */

static uint32_t find_host_id(const struct nodes *n, const char *host_id)
{
	for (uint32_t i = 0; *host_id && i < n->source_count; i++)
		if (strcmp(n->sources[i].host_id, host_id) == 0)
			return i;
	return MAPPING_NONE;
}

/* How many targets are nodes of the backup. */
static size_t count_same(const struct nodes *n, struct mapping *m)
{
	size_t same = 0;

	for (uint32_t i = 0; i < n->target_count; i++) {
		m->source_of[i] = find_host_id(n, n->targets[i].host_id);
		same += m->source_of[i] != MAPPING_NONE;
	}
	return same;
}

/* ---- another cluster of the same shape ---- */

/* A rack: nodes of one data centre and rack, by their numbers of tokens, then by name. */
struct rack {
	const struct mapping_node *of; /* all sources or all targets */
	uint32_t *nodes;
	size_t count;
	bool taken;
};

struct racks {
	struct rack *list;
	size_t count;
	uint32_t *nodes; /* memory of all */
};

static int by_rack(const struct mapping_node *x, const struct mapping_node *y)
{
	int r = strcmp(x->dc, y->dc);

	return r ? r : strcmp(x->rack, y->rack);
}

static int by_place(const void *a, const void *b, void *ctx)
{
	const struct mapping_node *of = ctx, *x = &of[*(const uint32_t *)a],
				  *y = &of[*(const uint32_t *)b];
	int r = by_rack(x, y);

	if (r == 0)
		r = (x->token_count > y->token_count) - (x->token_count < y->token_count);
	return r ? r : strcmp(x->name, y->name);
}

static void racks_deinit(struct racks *r)
{
	free(r->list);
	free(r->nodes);
}

static int racks_init(struct racks *r, const struct mapping_node *of, size_t count, struct err *e)
{
	*r = (struct racks){ .list = calloc(count + 1, sizeof(*r->list)),
			     .nodes = calloc(count + 1, sizeof(*r->nodes)) };
	if (!r->list || !r->nodes)
		return err_nomem(e);
	for (uint32_t i = 0; i < count; i++)
		r->nodes[i] = i;
	qsort_r(r->nodes, count, sizeof(*r->nodes), by_place, (void *)(size_t)of);
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || by_rack(&of[r->nodes[i - 1]], &of[r->nodes[i]]) != 0)
			r->list[r->count++] = (struct rack){ .of = of, .nodes = r->nodes + i };
		r->list[r->count - 1].count++;
	}
	return 0;
}

/* One can stand for the other: the same data centre, as many nodes, with as many tokens each. */
static bool is_like(const struct rack *x, const struct rack *y)
{
	if (x->count != y->count || strcmp(x->of[x->nodes[0]].dc, y->of[y->nodes[0]].dc) != 0)
		return false;
	for (size_t i = 0; i < x->count; i++)
		if (x->of[x->nodes[i]].token_count != y->of[y->nodes[i]].token_count)
			return false;
	return true;
}

static struct rack *find_rack(const struct rack *source, const struct racks *targets, bool by_name)
{
	for (size_t i = 0; i < targets->count; i++) {
		struct rack *t = &targets->list[i];

		if (!t->taken && is_like(source, t) &&
		    (!by_name ||
		     strcmp(source->of[source->nodes[0]].rack, t->of[t->nodes[0]].rack) == 0))
			return t;
	}
	return NULL;
}

static void pair_racks(struct mapping *m, const struct rack *source, struct rack *target)
{
	target->taken = true;
	for (size_t i = 0; i < source->count; i++)
		m->source_of[target->nodes[i]] = source->nodes[i];
}

/*
 * Racks of the same name first, then those whose names differ: what counts for replicas is who shares a rack, not what it is called. NULL, or the first rack of the backup that fits none.
 */
static const struct rack *pair_all(struct mapping *m, struct racks *sources, struct racks *targets)
{
	for (int by_name = 1; by_name >= 0; by_name--)
		for (size_t i = 0; i < sources->count; i++) {
			struct rack *s = &sources->list[i], *t;

			if (s->taken)
				continue;
			t = find_rack(s, targets, by_name);
			if (!t && !by_name)
				return s;
			if (t) {
				s->taken = true;
				pair_racks(m, s, t);
			}
		}
	return NULL;
}

static int pair_shapes(const struct nodes *n, struct mapping *m, bool *ret_fits, struct err *e)
{
	_cleanup_(racks_deinit) struct racks sources = { .list = NULL }, targets = { .list = NULL };
	const struct rack *odd;
	int r = racks_init(&sources, n->sources, n->source_count, e);

	if (r == 0)
		r = racks_init(&targets, n->targets, n->target_count, e);
	if (r < 0)
		return r;
	odd = pair_all(m, &sources, &targets);
	*ret_fits = !odd;
	if (odd)
		because(m,
			"the cluster has no rack like rack %s of data centre %s in the backup: %zu nodes, %zu tokens the first",
			odd->of[odd->nodes[0]].rack, odd->of[odd->nodes[0]].dc, odd->count,
			odd->of[odd->nodes[0]].token_count);
	return 0;
}

/* ---- a host list ---- */

static int list_pairs(const struct nodes *n, struct mapping *m, struct err *e)
{
	_cleanup_free_ bool *taken = calloc(n->source_count + 1, sizeof(*taken));

	if (!taken)
		return err_nomem(e);
	for (uint32_t i = 0; i < n->target_count; i++) {
		const char *name = n->targets[i].source;
		uint32_t s = 0;

		while (name && s < n->source_count && strcmp(n->sources[s].name, name) != 0)
			s++;
		if (!name || s == n->source_count)
			return err_set(e, ERR_USAGE, -EINVAL,
				       "the host list: the backup has no node %s, for %s",
				       name ? name : "that is named", n->targets[i].name);
		if (taken[s])
			return err_set(e, ERR_USAGE, -EINVAL, "the host list: %s is there twice",
				       name);
		taken[s] = true;
		m->source_of[i] = s;
	}
	for (uint32_t s = 0; s < n->source_count; s++)
		if (!taken[s])
			return err_set(e, ERR_USAGE, -EINVAL,
				       "the host list: nobody gets node %s of the backup",
				       n->sources[s].name);
	return 0;
}

static int check_pair(const struct mapping_node *s, const struct mapping_node *t, struct err *e)
{
	if (*t->dc && strcmp(s->dc, t->dc) != 0)
		return err_set(
			e, ERR_USAGE, -EINVAL,
			"%s is in data centre %s, %s was in %s: its keyspaces are replicated there",
			t->name, t->dc, s->name, s->dc);
	if (t->token_count && s->token_count != t->token_count)
		return err_set(e, ERR_USAGE, -EINVAL, "%s has %zu tokens, %s had %zu", t->name,
			       t->token_count, s->name, s->token_count);
	return 0;
}

/* Two nodes share a rack in the cluster exactly where they did in the backup. */
static int check_racks(const struct nodes *n, const struct mapping *m, struct err *e)
{
	for (uint32_t i = 0; i < n->target_count; i++)
		for (uint32_t k = 0; k < i; k++) {
			const struct mapping_node *a = &n->targets[i], *b = &n->targets[k],
						  *x = &n->sources[m->source_of[i]],
						  *y = &n->sources[m->source_of[k]];
			bool now = by_rack(a, b) == 0, then = by_rack(x, y) == 0;

			if (*a->rack && *b->rack && now != then)
				return err_set(
					e, ERR_USAGE, -EINVAL,
					"%s and %s are in %s, %s and %s were in %s: replicas would not be where they are looked for",
					b->name, a->name, now ? "one rack" : "two racks", y->name,
					x->name, then ? "one" : "two");
		}
	return 0;
}

static int use_list(const struct nodes *n, struct mapping *m, struct err *e)
{
	size_t same = 0;
	int r = list_pairs(n, m, e);

	for (uint32_t i = 0; r == 0 && i < n->target_count; i++) {
		const struct mapping_node *s = &n->sources[m->source_of[i]], *t = &n->targets[i];

		r = check_pair(s, t, e);
		same += *t->host_id && strcmp(s->host_id, t->host_id) == 0;
	}
	if (r == 0)
		r = check_racks(n, m, e);
	if (r < 0)
		return r;
	m->which = same == n->target_count ? MAPPING_SAME : MAPPING_OTHER;
	because(m, "the host list says so");
	return 0;
}

/* ---- the case ---- */

static int load(struct mapping *m)
{
	m->which = MAPPING_LOADED;
	free(m->source_of);
	m->source_of = NULL;
	return 0;
}

static int decide(const struct nodes *n, struct mapping *m, struct err *e)
{
	size_t same;
	bool fits = false;
	int r;

	for (size_t i = 0; i < n->target_count; i++)
		if (n->targets[i].source)
			return use_list(n, m, e);
	same = count_same(n, m);
	if (same == n->target_count && same == n->source_count) {
		because(m, "every node of the cluster is one of the backup");
		m->which = MAPPING_SAME;
		return 0;
	}
	if (n->source_count != n->target_count) {
		because(m, "the backup has %zu nodes, the cluster %zu", n->source_count,
			n->target_count);
		return load(m);
	}
	if (same > 0) {
		because(m, "%zu of %zu nodes of the cluster are of the backup, the others are not",
			same, n->target_count);
		return load(m);
	}
	r = pair_shapes(n, m, &fits, e);
	if (r < 0 || !fits)
		return r < 0 ? r : load(m);
	m->which = MAPPING_OTHER;
	because(m, "as many nodes, racks and tokens as in the backup");
	return 0;
}

static int by_start(const void *a, const void *b, void *ctx)
{
	const struct mapping_node *of = ctx, *x = &of[*(const uint32_t *)a],
				  *y = &of[*(const uint32_t *)b];
	int r = (y->seed > x->seed) - (y->seed < x->seed);

	if (r == 0)
		r = by_rack(x, y);
	return r ? r : strcmp(x->name, y->name);
}

int mapping_decide(const struct mapping_node *sources, size_t source_count,
		   const struct mapping_node *targets, size_t target_count, struct mapping *ret,
		   struct err *e)
{
	const struct nodes n = { sources, targets, source_count, target_count };
	int r;

	*ret = (struct mapping){ .source_of = calloc(target_count + 1, sizeof(*ret->source_of)),
				 .order = calloc(target_count + 1, sizeof(*ret->order)) };
	r = ret->source_of && ret->order ? decide(&n, ret, e) : err_nomem(e);
	if (r < 0) {
		mapping_deinit(ret);
		return r;
	}
	for (uint32_t i = 0; i < target_count; i++)
		ret->order[i] = i;
	qsort_r(ret->order, target_count, sizeof(*ret->order), by_start, (void *)(size_t)targets);
	return 0;
}

void mapping_load(struct mapping *m)
{
	if (m->which == MAPPING_LOADED)
		return;
	load(m);
	because(m, "rows are to be loaded, whatever the shape");
}

void mapping_in_place(struct mapping *m)
{
	m->which = MAPPING_SAME;
	because(m, "the host list says so, and that each host is the node that it gets");
}

void mapping_deinit(struct mapping *m)
{
	free(m->source_of);
	free(m->order);
	*m = (struct mapping){ .source_of = NULL };
}
