/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "cassandra/mapping.h"
#include "cassandra/ring.h"

#define NODES 12
#define TOKENS 4

struct world {
	uint64_t random;
	char text[NODES][TOKENS][24], names[NODES][16], ids[NODES][16], hosts[NODES][16];
	const char *tokens[NODES][TOKENS];
	struct mapping_node sources[NODES], targets[NODES];
	size_t count;
};

static uint64_t draw(struct world *w, uint64_t below)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random % below;
}

/* A cluster, and another one of the same shape whose racks may have other names and whose nodes come in another order. */
static void make_world(struct world *w, uint64_t seed)
{
	static const char *const dcs[] = { "a", "b" }, *const racks[] = { "r1", "r2", "r3" },
				 *const others[] = { "r2", "x", "y" };
	bool rename;

	*w = (struct world){ .random = seed * 2654435761u + 88172645463325252u };
	w->count = 1 + draw(w, NODES);
	rename = draw(w, 2);
	for (size_t i = 0; i < w->count; i++) {
		size_t rack = draw(w, 3);

		snprintf(w->names[i], sizeof(w->names[i]), "n%zu", i);
		snprintf(w->ids[i], sizeof(w->ids[i]), "id%zu", i);
		snprintf(w->hosts[i], sizeof(w->hosts[i]), "h%zu", (i * 7 + seed) % 97);
		w->sources[i] = (struct mapping_node){ .name = w->names[i],
						       .host_id = w->ids[i],
						       .dc = dcs[draw(w, 2)],
						       .rack = racks[rack],
						       .token_count = 1 + draw(w, TOKENS) };
		w->targets[i] = w->sources[i];
		w->targets[i].name = w->hosts[i];
		w->targets[i].host_id = "other";
		w->targets[i].rack = rename ? others[rack] : racks[rack];
		for (size_t k = 0; k < TOKENS; k++) {
			snprintf(w->text[i][k], sizeof(w->text[i][k]), "%lld",
				 (long long)draw(w, INT64_MAX));
			w->tokens[i][k] = w->text[i][k];
		}
	}
	for (size_t i = w->count; i > 1; i--) {
		size_t k = draw(w, i);
		struct mapping_node t = w->targets[i - 1];

		w->targets[i - 1] = w->targets[k];
		w->targets[k] = t;
	}
}

static void decide(const struct world *w, struct mapping *m)
{
	struct err e = ERR_INIT;

	cr_assert_eq(mapping_decide(w->sources, w->count, w->targets, w->count, m, &e), 0, "%s",
		     e.message);
}

static struct ring *ring_of(const struct world *w, const struct mapping_node *of,
			    const uint32_t *source_of, struct ring_node *nodes)
{
	struct ring *r = NULL;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < w->count; i++) {
		size_t s = source_of ? source_of[i] : i;

		nodes[i] = (struct ring_node){ of[i].name, of[i].dc, of[i].rack, w->tokens[s],
					       w->sources[s].token_count };
	}
	cr_assert_eq(ring_new(nodes, w->count, &r, &e), 0, "%s", e.message);
	return r;
}

/* Whether each range has its replicas, in the cluster, on the nodes that took over those of the backup. */
static bool finds_rows(const struct world *w, const uint32_t *source_of)
{
	const struct replication how = { .class = REPLICATION_NETWORK,
					 .dcs = { { "a", 3 }, { "b", 2 } },
					 .dc_count = 2 };
	struct ring_node then_nodes[NODES], now_nodes[NODES];
	_cleanup_(ring_freep) struct ring *then = ring_of(w, w->sources, NULL, then_nodes);
	_cleanup_(ring_freep) struct ring *now = ring_of(w, w->targets, source_of, now_nodes);

	for (size_t i = 0; i < then->range_count; i++) {
		uint32_t list[NODES], a = 0, b = 0;
		size_t count = ring_replicas(then, &how, i, list);

		for (size_t k = 0; k < count; k++)
			a |= 1u << list[k];
		count = ring_replicas(now, &how, i, list);
		for (size_t k = 0; k < count; k++)
			b |= 1u << source_of[list[k]];
		if (a != b)
			return false;
	}
	return true;
}

Test(mapping, in_a_cluster_of_the_same_shape_rows_are_where_they_are_looked_for)
{
	size_t wrong = 0;

	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct world w;
		struct mapping m;
		uint32_t first;

		make_world(&w, seed);
		decide(&w, &m);
		cr_assert_eq(m.which, MAPPING_OTHER, "seed %llu: %s", (unsigned long long)seed,
			     m.reason);
		cr_assert(finds_rows(&w, m.source_of), "seed %llu", (unsigned long long)seed);
		/* One node further, most of them would not be. */
		first = m.source_of[0];
		for (size_t i = 0; i + 1 < w.count; i++)
			m.source_of[i] = m.source_of[i + 1];
		m.source_of[w.count - 1] = first;
		wrong += !finds_rows(&w, m.source_of);
		mapping_deinit(&m);
	}
	cr_expect_gt(wrong, 100);
}

Test(mapping, the_nodes_themselves_are_found_by_their_host_ids)
{
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct world w;
		struct mapping m;

		make_world(&w, seed);
		for (size_t i = 0; i < w.count; i++)
			w.targets[i].host_id = w.ids[(i + seed) % w.count];
		decide(&w, &m);
		cr_expect_eq(m.which, MAPPING_SAME);
		for (size_t i = 0; i < w.count; i++)
			cr_expect_eq(m.source_of[i], (i + seed) % w.count);
		mapping_deinit(&m);
	}
}

#define N(name_, dc_, rack_, tokens_)                                            \
	{                                                                        \
		.name = name_, .host_id = "id-" name_, .dc = dc_, .rack = rack_, \
		.token_count = tokens_                                           \
	}

static const struct mapping_node three[] = { N("n1", "a", "r1", 16), N("n2", "a", "r2", 16),
					     N("n3", "a", "r3", 16) };

Test(mapping, what_is_of_another_shape_is_loaded_and_says_why)
{
	static const struct {
		struct mapping_node targets[4];
		size_t count;
		const char *reason;
	} cases[] = {
		{ { N("h1", "a", "r1", 16), N("h2", "a", "r2", 16), N("h3", "a", "r3", 16),
		    N("h4", "a", "r1", 16) },
		  4,
		  "the backup has 3 nodes, the cluster 4" },
		{ { N("n1", "a", "r1", 16), N("n2", "a", "r2", 16), N("h3", "a", "r3", 16) },
		  3,
		  "2 of 3 nodes of the cluster are of the backup, the others are not" },
		{ { N("h1", "a", "r1", 16), N("h2", "a", "r2", 16), N("h3", "a", "r2", 16) },
		  3,
		  "the cluster has no rack like rack r2 of data centre a in the backup: 1 nodes, 16 tokens the first" },
		{ { N("h1", "a", "r1", 16), N("h2", "a", "r2", 16), N("h3", "a", "r3", 8) },
		  3,
		  "the cluster has no rack like rack r3 of data centre a in the backup: 1 nodes, 16 tokens the first" },
		{ { N("h1", "b", "r1", 16), N("h2", "b", "r2", 16), N("h3", "b", "r3", 16) },
		  3,
		  "the cluster has no rack like rack r1 of data centre a in the backup: 1 nodes, 16 tokens the first" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mapping m;
		struct err e = ERR_INIT;

		cr_assert_eq(mapping_decide(three, 3, cases[i].targets, cases[i].count, &m, &e), 0);
		cr_expect_eq(m.which, MAPPING_LOADED);
		cr_expect_null(m.source_of);
		cr_expect_str_eq(m.reason, cases[i].reason);
		mapping_deinit(&m);
	}
}

#define L(name_, dc_, rack_, tokens_, source_)                                                  \
	{                                                                                       \
		.name = name_, .host_id = "", .dc = dc_, .rack = rack_, .token_count = tokens_, \
		.source = source_                                                               \
	}

Test(mapping, a_host_list_is_followed_where_it_can_be_right)
{
	static const struct {
		struct mapping_node targets[3];
		size_t count;
		const char *said; /* NULL: it is right */
	} cases[] = {
		{ { L("h1", "", "", 0, "n3"), L("h2", "", "", 0, "n1"), L("h3", "", "", 0, "n2") },
		  3,
		  NULL },
		{ { L("h1", "a", "x", 16, "n3"), L("h2", "a", "r3", 16, "n1"),
		    L("h3", "a", "r1", 16, "n2") },
		  3,
		  NULL },
		{ { L("h1", "", "", 0, "n1"), L("h2", "", "", 0, "n2") },
		  2,
		  "the host list: nobody gets node n3 of the backup" },
		{ { L("h1", "", "", 0, "n1"), L("h2", "", "", 0, "n1"), L("h3", "", "", 0, "n2") },
		  3,
		  "the host list: n1 is there twice" },
		{ { L("h1", "", "", 0, "n1"), L("h2", "", "", 0, "n9"), L("h3", "", "", 0, "n2") },
		  3,
		  "the host list: the backup has no node n9, for h2" },
		{ { L("h1", "", "", 0, "n1"), L("h2", "", "", 0, NULL), L("h3", "", "", 0, "n2") },
		  3,
		  "the host list: the backup has no node that is named, for h2" },
		{ { L("h1", "b", "r1", 0, "n1"), L("h2", "", "", 0, "n2"),
		    L("h3", "", "", 0, "n3") },
		  3,
		  "h1 is in data centre b, n1 was in a: its keyspaces are replicated there" },
		{ { L("h1", "a", "r1", 8, "n1"), L("h2", "", "", 0, "n2"),
		    L("h3", "", "", 0, "n3") },
		  3,
		  "h1 has 8 tokens, n1 had 16" },
		{ { L("h1", "a", "x", 16, "n1"), L("h2", "a", "x", 16, "n2"),
		    L("h3", "a", "y", 16, "n3") },
		  3,
		  "h1 and h2 are in one rack, n1 and n2 were in two: replicas would not be where they are looked for" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct mapping m;
		struct err e = ERR_INIT;
		int r = mapping_decide(three, 3, cases[i].targets, cases[i].count, &m, &e);

		if (cases[i].said) {
			cr_expect_eq(r, -EINVAL, "%zu", i);
			cr_expect_str_eq(e.message, cases[i].said);
			continue;
		}
		cr_assert_eq(r, 0, "%s", e.message);
		cr_expect_eq(m.which, MAPPING_OTHER);
		for (size_t k = 0; k < 3; k++)
			cr_expect_str_eq(three[m.source_of[k]].name, cases[i].targets[k].source);
		mapping_deinit(&m);
	}
}

Test(mapping, seeds_start_first_then_one_rack_after_another)
{
	static const struct mapping_node targets[] = {
		{ .name = "h1", .host_id = "", .dc = "a", .rack = "r2" },
		{ .name = "h2", .host_id = "", .dc = "a", .rack = "r1" },
		{ .name = "h3", .host_id = "", .dc = "a", .rack = "r2", .seed = true },
		{ .name = "h4", .host_id = "", .dc = "a", .rack = "r1" },
	};
	static const uint32_t expected[] = { 2, 1, 3, 0 };
	struct mapping m;
	struct err e = ERR_INIT;

	cr_assert_eq(mapping_decide(three, 3, targets, 4, &m, &e), 0);
	for (size_t i = 0; i < 4; i++)
		cr_expect_eq(m.order[i], expected[i]);
	mapping_deinit(&m);
}
