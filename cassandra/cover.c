/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/cover.h"

#include <string.h>

#define EXACT_NODES 16 /* so few that all sets of them can be tried */

typedef unsigned __int128 length_t; /* the whole ring is 2^64 */

struct search {
	const struct ring *ring;
	const struct replication *how;
	const bool *available;
	uint32_t *replicas; /* of range i: from starts[i] to starts[i + 1]; available ones only */
	size_t *starts;
	length_t *weights; /* of each node: how much of the ring it holds */
	length_t whole;	   /* what can be had */
	bool *best;	   /* nodes */
	length_t best_weight;
	size_t best_count; /* of nodes; 0: nothing was found yet */
	enum cover_how best_how;
};

/* ---- who holds what ---- */

static int collect(struct search *s, struct cover *ret, struct err *e)
{
	_cleanup_free_ uint32_t *list = calloc(s->ring->node_count + 1, sizeof(*list));
	size_t cap = 0, used = 0;
	length_t lost = 0, all = 0;

	if (!list)
		return err_nomem(e);
	for (size_t i = 0; i < s->ring->range_count; i++) {
		size_t count = ring_replicas(s->ring, s->how, i, list);
		uint64_t length = s->ring->ranges[i].length;

		s->starts[i] = used;
		if (util_grow(&s->replicas, &cap, used + count + 1, sizeof(*s->replicas)) < 0)
			return err_nomem(e);
		for (size_t k = 0; k < count; k++) {
			if (!s->available[list[k]])
				continue;
			s->replicas[used++] = list[k];
			s->weights[list[k]] += length;
		}
		all += length;
		if (used == s->starts[i]) {
			lost += length;
			ret->lost_ranges++;
		} else {
			s->whole += length;
		}
	}
	s->starts[s->ring->range_count] = used;
	ret->lost_share = (double)lost / (double)all;
	return 0;
}

static bool is_covered(const struct search *s, size_t range, const bool *chosen)
{
	for (size_t k = s->starts[range]; k < s->starts[range + 1]; k++)
		if (chosen[s->replicas[k]])
			return true;
	return s->starts[range] == s->starts[range + 1]; /* nobody can */
}

static bool is_cover(const struct search *s, const bool *chosen)
{
	for (size_t i = 0; i < s->ring->range_count; i++)
		if (!is_covered(s, i, chosen))
			return false;
	return true;
}

/* A set of nodes that is known to be a cover: kept where it sends less than what was found before, or as much from fewer. */
static void offer(struct search *s, const bool *chosen, enum cover_how how)
{
	length_t weight = 0;
	size_t count = 0;

	for (size_t i = 0; i < s->ring->node_count; i++)
		if (chosen[i]) {
			weight += s->weights[i];
			count++;
		}
	if (s->best_count > 0 &&
	    (weight > s->best_weight || (weight == s->best_weight && count >= s->best_count)))
		return;
	memcpy(s->best, chosen, s->ring->node_count * sizeof(*chosen));
	s->best_weight = weight;
	s->best_count = count;
	s->best_how = how;
}

/* ---- ways to choose ---- */

/* With one replica in each rack, as Cassandra places them where it can, every rack is a cover that sends each row once. */
static void try_racks(struct search *s, bool *chosen)
{
	for (uint32_t rack = 0; rack < s->ring->rack_count; rack++) {
		for (size_t i = 0; i < s->ring->node_count; i++)
			chosen[i] = s->available[i] && s->ring->rack_of[i] == rack &&
				    s->weights[i] > 0;
		if (is_cover(s, chosen))
			offer(s, chosen, COVER_RACK);
	}
}

/* Leaves out what the others cover too, the heaviest first. */
static void prune(const struct search *s, bool *chosen)
{
	_cleanup_free_ bool *tried = calloc(s->ring->node_count, sizeof(*tried));

	for (size_t turn = 0; tried && turn < s->ring->node_count; turn++) {
		size_t next = s->ring->node_count;

		for (size_t i = 0; i < s->ring->node_count; i++)
			if (chosen[i] && !tried[i] &&
			    (next == s->ring->node_count || s->weights[i] > s->weights[next]))
				next = i;
		if (next == s->ring->node_count)
			return;
		tried[next] = true;
		chosen[next] = false;
		chosen[next] = !is_cover(s, chosen);
	}
}

/* How much that is not covered yet each node would bring. */
static void gains(const struct search *s, const bool *chosen, length_t *ret)
{
	memset(ret, 0, s->ring->node_count * sizeof(*ret));
	for (size_t i = 0; i < s->ring->range_count; i++)
		if (!is_covered(s, i, chosen))
			for (size_t k = s->starts[i]; k < s->starts[i + 1]; k++)
				ret[s->replicas[k]] += s->ring->ranges[i].length;
}

/* The node whose gain is the largest part of what it sends, until nothing is missing. */
static int try_greedy(struct search *s, bool *chosen, struct err *e)
{
	_cleanup_free_ length_t *gain = calloc(s->ring->node_count, sizeof(*gain));

	if (!gain)
		return err_nomem(e);
	memset(chosen, 0, s->ring->node_count * sizeof(*chosen));
	for (;;) {
		size_t best = s->ring->node_count;

		gains(s, chosen, gain);
		for (size_t i = 0; i < s->ring->node_count; i++) {
			double part = gain[i] ? (double)gain[i] / (double)s->weights[i] : 0;
			double most = best < s->ring->node_count
					      ? (double)gain[best] / (double)s->weights[best]
					      : 0;

			if (gain[i] && (part > most || (part == most && gain[i] > gain[best])))
				best = i;
		}
		if (best == s->ring->node_count)
			break;
		chosen[best] = true;
	}
	prune(s, chosen);
	offer(s, chosen, COVER_GREEDY);
	return 0;
}

/* All sets of few nodes. Ranges with the same replicas are one: as bits, each once. */
static int try_all(struct search *s, bool *chosen, struct err *e)
{
	size_t nodes = s->ring->node_count, sets = (size_t)1 << nodes, count = 0;
	_cleanup_free_ bool *seen = calloc(sets, sizeof(*seen));
	_cleanup_free_ uint32_t *masks = calloc(sets, sizeof(*masks));

	if (!seen || !masks)
		return err_nomem(e);
	for (size_t i = 0; i < s->ring->range_count; i++) {
		uint32_t mask = 0;

		for (size_t k = s->starts[i]; k < s->starts[i + 1]; k++)
			mask |= (uint32_t)1 << s->replicas[k];
		if (mask && !seen[mask])
			masks[count++] = mask;
		seen[mask] = true;
	}
	for (uint32_t set = 1; set < sets; set++) {
		size_t k = 0;

		while (k < count && (masks[k] & set))
			k++;
		for (size_t i = 0; k == count && i < nodes; i++)
			chosen[i] = set >> i & 1;
		if (k == count)
			offer(s, chosen, COVER_EXACT);
	}
	s->best_how = COVER_EXACT;
	return 0;
}

/* ---- the choice ---- */

static int choose(struct search *s, bool all_replicas, bool *chosen, struct err *e)
{
	int r;

	if (s->whole == 0)
		return 0;
	if (all_replicas) {
		for (size_t i = 0; i < s->ring->node_count; i++)
			chosen[i] = s->available[i];
		offer(s, chosen, COVER_ALL);
		return 0;
	}
	try_racks(s, chosen);
	r = try_greedy(s, chosen, e);
	if (r == 0 && s->ring->node_count <= EXACT_NODES)
		r = try_all(s, chosen, e);
	if (s->best_weight == s->whole)
		s->best_how = COVER_EXACT; /* each range once: less is not possible */
	return r;
}

static int result(const struct search *s, struct cover *ret, struct err *e)
{
	ret->nodes = calloc(s->best_count + 1, sizeof(*ret->nodes));
	if (!ret->nodes)
		return err_nomem(e);
	for (uint32_t i = 0; i < s->ring->node_count; i++)
		if (s->best[i])
			ret->nodes[ret->node_count++] = i;
	ret->how = s->best_how;
	ret->copies = s->whole ? (double)s->best_weight / (double)s->whole : 0;
	return 0;
}

int cover_choose(const struct ring *r, const struct replication *how, const bool *available,
		 bool all_replicas, struct cover *ret, struct err *e)
{
	_cleanup_free_ bool *chosen = calloc(r->node_count, sizeof(*chosen));
	_cleanup_free_ bool *best = calloc(r->node_count, sizeof(*best));
	_cleanup_free_ size_t *starts = calloc(r->range_count + 1, sizeof(*starts));
	_cleanup_free_ length_t *weights = calloc(r->node_count, sizeof(*weights));
	struct search s = { .ring = r,
			    .how = how,
			    .available = available,
			    .starts = starts,
			    .weights = weights,
			    .best = best };
	int code = 0;

	*ret = (struct cover){ .how = COVER_NONE };
	if (!chosen || !best || !starts || !weights)
		return err_nomem(e);
	if (how->class == REPLICATION_LOCAL)
		return 0;
	code = collect(&s, ret, e);
	if (code == 0)
		code = choose(&s, all_replicas, chosen, e);
	if (code == 0)
		code = result(&s, ret, e);
	free(s.replicas);
	return code;
}

void cover_deinit(struct cover *c)
{
	free(c->nodes);
	*c = (struct cover){ .how = COVER_NONE };
}
