/* SPDX-License-Identifier: Apache-2.0 */
/* Rings, replicas and covers against a model that is written in another way: each key by itself, as Cassandra 3 placed replicas (with endpoints that are skipped and taken up again), and every set of nodes. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "cassandra/cover.h"

#define NODES 7
#define TOKENS 6

struct world {
	uint64_t random;
	char text[NODES][TOKENS][24];
	const char *tokens[NODES][TOKENS];
	int64_t values[NODES][TOKENS];
	struct ring_node nodes[NODES];
	size_t count;
};

static uint64_t draw(struct world *w, uint64_t below)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random % below;
}

static void make_world(struct world *w, uint64_t seed)
{
	static const char *const dcs[] = { "a", "b" }, *const racks[] = { "r1", "r2", "r3" };
	size_t dc_count, rack_count, tokens;

	*w = (struct world){ .random = seed * 2654435761u + 88172645463325252u };
	w->count = 1 + draw(w, NODES);
	dc_count = 1 + draw(w, 2);
	rack_count = 1 + draw(w, 3);
	tokens = 1 + draw(w, TOKENS);
	for (size_t i = 0; i < w->count; i++) {
		for (size_t k = 0; k < tokens; k++) {
			w->values[i][k] =
				(int64_t)(draw(w, UINT64_MAX - 1) + 1 + (uint64_t)INT64_MIN);
			snprintf(w->text[i][k], sizeof(w->text[i][k]), "%lld",
				 (long long)w->values[i][k]);
			w->tokens[i][k] = w->text[i][k];
		}
		w->nodes[i] = (struct ring_node){ "n", dcs[draw(w, dc_count)],
						  racks[draw(w, rack_count)], w->tokens[i],
						  tokens };
	}
}

/* The node that has the next token from `key` on that is not before `done` others, by distance. */
static uint32_t next_owner(const struct world *w, int64_t key, size_t turn, uint64_t *distance)
{
	uint64_t from = turn ? *distance + 1 : 0, best = UINT64_MAX;
	uint32_t owner = UINT32_MAX;

	for (uint32_t i = 0; i < w->count; i++)
		for (size_t k = 0; k < w->nodes[i].token_count; k++) {
			uint64_t d = (uint64_t)w->values[i][k] - (uint64_t)key;

			if (d >= from && d <= best) {
				best = d;
				owner = i;
			}
		}
	*distance = best;
	return owner;
}

static bool contains(const uint32_t *list, size_t count, uint32_t node)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == node)
			return true;
	return false;
}

static size_t racks_of(const struct world *w, const char *dc, const uint32_t *list, size_t count)
{
	const char *seen[NODES];
	size_t racks = 0;

	for (size_t i = 0; i < count; i++) {
		const struct ring_node *n = &w->nodes[list[i]];
		bool known = strcmp(n->dc, dc) != 0;

		for (size_t k = 0; k < racks; k++)
			known |= strcmp(seen[k], n->rack) == 0;
		if (!known)
			seen[racks++] = n->rack;
	}
	return racks;
}

/* The replicas of one data centre, NULL: of all, whatever the rack. As a set of bits. */
static uint32_t model_dc(const struct world *w, int64_t key, const char *dc, size_t factor)
{
	uint32_t all[NODES], taken[NODES], skipped[NODES], set = 0;
	size_t taken_count = 0, skipped_count = 0, racks, turns = w->count * TOKENS;
	uint64_t distance = 0;

	for (uint32_t i = 0; i < w->count; i++)
		all[i] = i;
	racks = dc ? racks_of(w, dc, all, w->count) : 0;
	for (size_t turn = 0; turn < turns && taken_count < factor; turn++) {
		uint32_t node = next_owner(w, key, turn, &distance);

		if (node == UINT32_MAX)
			break;
		if ((dc && strcmp(w->nodes[node].dc, dc) != 0) ||
		    contains(taken, taken_count, node) || contains(skipped, skipped_count, node))
			continue;
		taken[taken_count] = node;
		if (dc && racks_of(w, dc, taken, taken_count) < racks &&
		    racks_of(w, dc, taken, taken_count + 1) ==
			    racks_of(w, dc, taken, taken_count)) {
			skipped[skipped_count++] = node;
			continue;
		}
		taken_count++;
		for (size_t i = 0; dc && racks_of(w, dc, taken, taken_count) == racks &&
				   i < skipped_count && taken_count < factor;
		     i++)
			if (!contains(taken, taken_count, skipped[i]))
				taken[taken_count++] = skipped[i];
	}
	for (size_t i = 0; i < taken_count; i++)
		set |= 1u << taken[i];
	return set;
}

static uint32_t model(const struct world *w, const struct replication *how, int64_t key)
{
	uint32_t set = 0;

	if (how->class == REPLICATION_EVERYWHERE)
		return (1u << w->count) - 1;
	if (how->class == REPLICATION_SIMPLE)
		return model_dc(w, key, NULL, how->factor);
	for (size_t i = 0; i < how->dc_count; i++)
		set |= model_dc(w, key, how->dcs[i].dc, how->dcs[i].factor);
	return set;
}

static struct replication draw_replication(struct world *w)
{
	struct replication how = { .class = REPLICATION_SIMPLE + (int)draw(w, 3),
				   .factor = 1 + (unsigned)draw(w, 4) };

	if (how.class == REPLICATION_NETWORK) {
		how.dc_count = 1 + draw(w, 2);
		strcpy(how.dcs[0].dc, "a");
		strcpy(how.dcs[1].dc, "b");
		how.dcs[0].factor = 1 + (unsigned)draw(w, 4);
		how.dcs[1].factor = (unsigned)draw(w, 3);
	}
	return how;
}

static struct ring *ring_of(const struct world *w)
{
	struct ring *r = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(ring_new(w->nodes, w->count, &r, &e), 0, "%s", e.message);
	return r;
}

Test(ring, replicas_are_those_of_the_model)
{
	for (uint64_t seed = 1; seed <= 500; seed++) {
		struct world w;
		struct replication how;

		make_world(&w, seed);
		how = draw_replication(&w);
		_cleanup_(ring_freep) struct ring *r = ring_of(&w);

		for (size_t i = 0; i < r->range_count; i++) {
			const int64_t before =
				r->ranges[(i + r->range_count - 1) % r->range_count].token;
			uint32_t list[NODES], set = 0;
			size_t count = ring_replicas(r, &how, i, list);

			for (size_t k = 0; k < count; k++)
				set |= 1u << list[k];
			cr_assert_eq((size_t)__builtin_popcount(set), count, "one twice, seed %llu",
				     (unsigned long long)seed);
			/* The first and the last token of the range. */
			cr_assert_eq(set, model(&w, &how, r->ranges[i].token),
				     "seed %llu range %zu", (unsigned long long)seed, i);
			cr_assert_eq(set, model(&w, &how, (int64_t)((uint64_t)before + 1)),
				     "seed %llu range %zu", (unsigned long long)seed, i);
		}
	}
}

/* What a set of nodes sends, in parts of the ring that can be had; < 0: it does not hold all of that. */
static double model_copies(const struct world *w, const struct ring *r,
			   const struct replication *how, uint32_t available, uint32_t set)
{
	long double sent = 0, whole = 0;

	for (size_t i = 0; i < r->range_count; i++) {
		uint32_t holders = model(w, how, r->ranges[i].token) & available;

		if (!holders)
			continue;
		if (!(holders & set))
			return -1;
		whole += r->ranges[i].length;
		sent += (long double)r->ranges[i].length * __builtin_popcount(holders & set);
	}
	return whole > 0 ? (double)(sent / whole) : 0;
}

Test(cover, no_set_of_nodes_that_holds_everything_sends_less)
{
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct world w;
		struct replication how;
		struct cover c;
		struct err e = ERR_INIT;
		bool available[NODES];
		uint32_t there = 0, set = 0;
		double least = -1;

		make_world(&w, seed);
		how = draw_replication(&w);
		for (size_t i = 0; i < w.count; i++) {
			available[i] = draw(&w, 5) > 0;
			there |= (uint32_t)available[i] << i;
		}
		_cleanup_(ring_freep) struct ring *r = ring_of(&w);

		cr_assert_eq(cover_choose(r, &how, available, false, &c, &e), 0);
		for (size_t i = 0; i < c.node_count; i++)
			set |= 1u << c.nodes[i];
		cr_assert_eq(set & ~there, 0, "seed %llu", (unsigned long long)seed);
		for (uint32_t other = 0; other < 1u << w.count; other++) {
			double copies = model_copies(&w, r, &how, there, other & there);

			if (copies >= 0 && (least < 0 || copies < least))
				least = copies;
		}
		cr_assert_float_eq(c.copies, least, 1e-9, "seed %llu: %f, not %f",
				   (unsigned long long)seed, c.copies, least);
		cr_assert_float_eq(model_copies(&w, r, &how, there, set), least, 1e-9, "seed %llu",
				   (unsigned long long)seed);
		cover_deinit(&c);
	}
}

Test(cover, what_no_backup_holds_is_counted)
{
	static const char *const t[] = { "0", "4611686018427387904", "-9223372036854775808",
					 "-4611686018427387904" };
	const struct ring_node nodes[] = { { "n1", "a", "r", &t[0], 1 },
					   { "n2", "a", "r", &t[1], 1 },
					   { "n3", "a", "r", &t[2], 1 },
					   { "n4", "a", "r", &t[3], 1 } };
	const struct replication one = { .class = REPLICATION_SIMPLE, .factor = 1 },
				 two = { .class = REPLICATION_SIMPLE, .factor = 2 },
				 local = { .class = REPLICATION_LOCAL };
	const bool available[] = { true, false, true, true };
	struct ring *r = NULL;
	struct cover c;
	struct err e = ERR_INIT;

	cr_assert_eq(ring_new(nodes, 4, &r, &e), 0);
	cr_assert_eq(cover_choose(r, &one, available, false, &c, &e), 0);
	cr_expect_eq(c.lost_ranges, 1);
	cr_expect_float_eq(c.lost_share, 0.25, 1e-9);
	cr_expect_eq(c.node_count, 3);
	cover_deinit(&c);
	cr_assert_eq(cover_choose(r, &two, available, false, &c, &e), 0);
	cr_expect_eq(c.lost_ranges, 0);
	cover_deinit(&c);
	cr_assert_eq(cover_choose(r, &two, available, true, &c, &e), 0);
	cr_expect_eq(c.how, COVER_ALL);
	cr_expect_float_eq(c.copies, 1.5, 1e-9);
	cover_deinit(&c);
	cr_assert_eq(cover_choose(r, &local, available, false, &c, &e), 0);
	cr_expect_eq(c.how, COVER_NONE);
	ring_free(r);
}

Test(cover, one_rack_of_three_holds_everything_once_also_of_many_nodes)
{
	static struct world w;
	static char text[30][16][24];
	static const char *tokens[30][16];
	static const char *const racks[] = { "r1", "r2", "r3" };
	struct ring_node nodes[30];
	bool available[30];
	const struct replication three = { .class = REPLICATION_NETWORK,
					   .dcs = { { "a", 3 } },
					   .dc_count = 1 };
	struct ring *r = NULL;
	struct cover c;
	struct err e = ERR_INIT;

	w.random = 42;
	for (size_t i = 0; i < 30; i++) {
		for (size_t k = 0; k < 16; k++) {
			snprintf(text[i][k], sizeof(text[i][k]), "%lld",
				 (long long)draw(&w, INT64_MAX) - INT64_MAX / 2);
			tokens[i][k] = text[i][k];
		}
		nodes[i] = (struct ring_node){ "n", "a", racks[i % 3], tokens[i], 16 };
		available[i] = i != 0;
	}
	cr_assert_eq(ring_new(nodes, 30, &r, &e), 0, "%s", e.message);
	cr_assert_eq(cover_choose(r, &three, available, false, &c, &e), 0);
	cr_expect_eq(c.how, COVER_EXACT);
	cr_expect_eq(c.node_count, 10);
	cr_expect_float_eq(c.copies, 1, 1e-9);
	for (size_t i = 1; i < c.node_count; i++)
		cr_expect_eq(c.nodes[i] % 3, c.nodes[0] % 3);
	cover_deinit(&c);
	/* A node is missing in each rack: more than one copy, and that is said. */
	available[1] = available[2] = false;
	cr_assert_eq(cover_choose(r, &three, available, false, &c, &e), 0);
	cr_expect_eq(c.how, COVER_GREEDY);
	cr_expect_gt(c.copies, 1);
	cr_expect_lt(c.copies, 2);
	cover_deinit(&c);
	ring_free(r);
}

Test(ring, what_is_no_ring_is_refused)
{
	static const char *const good[] = { "1" }, *const same[] = { "2", "1" },
				 *const odd[] = { "1x" }, *const big[] = { "9223372036854775808" };
	const struct {
		struct ring_node other;
		const char *said;
	} cases[] = {
		{ { "n2", "a", "r", same, 2 }, "n1 and n2 have the same token 1" },
		{ { "n2", "a", "r", odd, 1 }, "'1x' of n2 is no token of " RING_PARTITIONER },
		{ { "n2", "a", "r", big, 1 },
		  "'9223372036854775808' of n2 is no token of " RING_PARTITIONER },
		{ { "n2", "a", "r", NULL, 0 }, "the tokens of n2 are not known" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct ring_node nodes[] = { { "n1", "a", "r", good, 1 }, cases[i].other };
		struct ring *r = NULL;
		struct err e = ERR_INIT;

		cr_expect_eq(ring_new(nodes, 2, &r, &e), -EINVAL);
		cr_expect(strcmp(e.message, cases[i].said) == 0 ||
				  strcmp(e.message, "n2 and n1 have the same token 1") == 0,
			  "%s", e.message);
	}
}

static int read_replication(const char *with, struct replication *ret, struct err *e)
{
	_cleanup_(cql_freep) struct cql *q = NULL;
	_cleanup_free_ char *text = util_printf("CREATE KEYSPACE k WITH %s;", with);

	*e = ERR_INIT;
	cr_assert_eq(cql_read(text, strlen(text), &q, e), 0, "%s", e->message);
	return replication_read(q, &q->statements[0], ret, e);
}

Test(ring, replication_is_read_from_its_statement)
{
	static const char *const bad[] = {
		"durable_writes = true",
		"replication = {'class': 'MyStrategy'}",
		"replication = {'class': 'NetworkTopologyStrategy', 'dc1': '3/1'}",
		"replication = {'class': 'NetworkTopologyStrategy', 'dc1': '65'}",
		"replication = {'class': 'NetworkTopologyStrategy', 'dc1'}",
		"replication = {'replication_factor': '3'}",
		"replication = {'class': 'SimpleStrategy', 'replication_factor': '3'",
		"replication = {'class': 'SimpleStrategy', 'replication_factor': ''}",
	};
	struct replication how;
	struct err e;

	cr_assert_eq(
		read_replication(
			"replication = {'class': 'org.apache.cassandra.locator.SimpleStrategy', 'replication_factor': '3'} AND x = 1",
			&how, &e),
		0, "%s", e.message);
	cr_expect(how.class == REPLICATION_SIMPLE && how.factor == 3);
	cr_assert_eq(
		read_replication(
			"durable_writes = true AND replication = {'class': 'NetworkTopologyStrategy', 'dc 1': '3', 'dc2': '0'}",
			&how, &e),
		0, "%s", e.message);
	cr_expect(how.class == REPLICATION_NETWORK && how.dc_count == 2 && how.dcs[0].factor == 3 &&
		  how.dcs[1].factor == 0);
	cr_expect_str_eq(how.dcs[0].dc, "dc 1");
	cr_assert_eq(read_replication("replication = {'class': 'LocalStrategy'}", &how, &e), 0);
	cr_expect_eq(how.class, REPLICATION_LOCAL);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_expect_eq(read_replication(bad[i], &how, &e), -EINVAL, "%s", bad[i]);
}
