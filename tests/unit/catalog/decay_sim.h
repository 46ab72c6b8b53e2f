/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node that lives for some months with a backup a day, a policy of days, weeks and months, and a collection after each backup: what it stores in the end, against what its
 * backups reach. Churn is that of a real node (bench/node.py), in one directory.
 */
#ifndef SSTABLEFS_TESTS_DECAY_SIM_H
#define SSTABLEFS_TESTS_DECAY_SIM_H

#include <limits.h>

#include "catalog/policy.h"
#include "tests/unit/catalog/collect_help.h"

enum sim_kind { SIM_SYSTEM, SIM_LEVELED, SIM_TIERED, SIM_WINDOW, SIM_UNIFIED, SIM_HOT, SIM_COLD };

/* How many SSTables of which size a node has of each kind. */
struct sim_shape {
	const char *name;
	unsigned system, leveled, leveled_bytes, tiered_bytes, windows, window_bytes, unified,
		unified_bytes;
	unsigned hot, cold_a_day; /* replaced every day; never */
};

/* Most bytes are in Data.db files that are objects of their own, as on any node with more than a few GB. */
static const struct sim_shape sim_node = { .name = "a node",
					   .system = 40,
					   .leveled = 24,
					   .leveled_bytes = 1250000,
					   .tiered_bytes = 4000,
					   .windows = 15,
					   .window_bytes = 1100000,
					   .unified = 8,
					   .unified_bytes = 2000000 };
/* The worst case: nothing but small files, all of them in packs. */
static const struct sim_shape sim_small = { .name = "small tables only",
					    .system = 10,
					    .leveled = 50,
					    .leveled_bytes = 16000,
					    .tiered_bytes = 250,
					    .windows = 15,
					    .window_bytes = 20000,
					    .unified = 15,
					    .unified_bytes = 30000 };
static const struct sim_shape sim_hot_and_cold = { .name = "hot and cold tables",
						   .hot = 30,
						   .cold_a_day = 3 };

struct sim_table { /* an SSTable */
	enum sim_kind kind;
	unsigned id, tier, data_bytes;
};

struct sim {
	struct rig rig;
	struct policy policy;
	struct policy_item *kept; /* the backups that are there */
	size_t kept_count;
	struct sim_table *tables;
	size_t count;
	unsigned next_id, day;
	uint64_t random, uploaded_bytes;
	const struct sim_shape *shape;
};

struct sim_sizes {
	uint64_t stored_data, stored_meta, live_data, live_meta;
};

static inline unsigned sim_below(struct sim *s, unsigned n)
{
	return (unsigned)(sample_random(&s->random) >> 33) % n;
}

static inline void sim_file(const struct sim_table *t, const char *component, char out[64])
{
	snprintf(out, 64, "nb-%u-big-%s", t->id, component);
}

static inline void sim_statistics(struct sim *s, const struct sim_table *t)
{
	char name[64];

	sim_file(t, "Statistics.db", name);
	rig_put_random(&s->rig, name, sample_random(&s->random), 1000 + t->id % 3000);
}

static inline void sim_write(struct sim *s, const struct sim_table *t)
{
	static const struct {
		const char *name;
		unsigned part, least; /* one part in so many of Data.db */
	} rows[] = { { "Data.db", 1, 50 },
		     { "Index.db", 33, 40 },
		     { "Filter.db", 200, 24 },
		     { "Summary.db", 3000, 60 },
		     { "CompressionInfo.db", 800, 47 },
		     { "Digest.crc32", 1000000, 10 },
		     { "TOC.txt", 1000000, 92 } };
	char name[64];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		sim_file(t, rows[i].name, name);
		rig_put_random(&s->rig, name,
			       i == ARRAY_SIZE(rows) - 1 ? t->id % 6 : sample_random(&s->random),
			       MAX_OF(t->data_bytes / rows[i].part, rows[i].least));
	}
	sim_statistics(s, t);
}

static inline void sim_remove(struct sim *s, const struct sim_table *t)
{
	static const char *const names[] = { "Data.db",	   "Index.db",		 "Filter.db",
					     "Summary.db", "CompressionInfo.db", "Digest.crc32",
					     "TOC.txt",	   "Statistics.db" };
	char name[64];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		sim_file(t, names[i], name);
		rig_remove(&s->rig, name);
	}
}

static inline void sim_replace(struct sim *s, size_t i)
{
	sim_remove(s, &s->tables[i]);
	s->tables[i].id = s->next_id++;
	sim_write(s, &s->tables[i]);
}

static inline void sim_add(struct sim *s, enum sim_kind kind, unsigned tier, unsigned data_bytes)
{
	s->tables = realloc(s->tables, (s->count + 1) * sizeof(*s->tables));
	s->tables[s->count] = (struct sim_table){ kind, s->next_id++, tier, data_bytes };
	sim_write(s, &s->tables[s->count++]);
}

static inline void sim_add_all(struct sim *s, enum sim_kind kind, unsigned count, unsigned bytes)
{
	for (unsigned i = 0; i < count; i++)
		sim_add(s, kind, i, bytes + sim_below(s, bytes / 4 + 1));
}

static inline void sim_init(struct sim *s, const struct sim_shape *shape,
			    const struct policy *policy)
{
	static const unsigned tiers[] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1,
					  1, 2, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5 };

	*s = (struct sim){ .policy = *policy, .next_id = 1, .random = 1, .shape = shape };
	rig_init(&s->rig, OBJECT_COMPRESS_NONE);
	sim_add_all(s, SIM_SYSTEM, shape->system, 4000);
	sim_add_all(s, SIM_LEVELED, shape->leveled, shape->leveled_bytes);
	for (size_t i = 0; i < ARRAY_SIZE(tiers) && shape->tiered_bytes; i++)
		sim_add(s, SIM_TIERED, tiers[i], shape->tiered_bytes << (2 * tiers[i]));
	sim_add_all(s, SIM_WINDOW, shape->windows, shape->window_bytes);
	sim_add_all(s, SIM_UNIFIED, shape->unified, shape->unified_bytes);
	sim_add_all(s, SIM_HOT, shape->hot, 20000);
}

static inline void sim_deinit(struct sim *s)
{
	rig_deinit(&s->rig);
	free(s->kept);
	free(s->tables);
}

/* ---- a day ---- */

static inline bool sim_changes(struct sim *s, const struct sim_table *t, unsigned oldest_window)
{
	switch (t->kind) {
	case SIM_SYSTEM:
		return sim_below(s, 12) == 0;
	case SIM_LEVELED:
		return sim_below(s, 5) == 0;
	case SIM_TIERED:
		return s->day % (1u << (2 * t->tier)) == 0;
	case SIM_WINDOW:
		return t->tier == oldest_window;
	case SIM_HOT:
		return true;
	case SIM_COLD:
		return false;
	default:
		return sim_below(s, 30) == 0;
	}
}

static inline void sim_churn(struct sim *s)
{
	unsigned oldest = UINT_MAX, windows = 0;

	for (size_t i = 0; i < s->count; i++)
		if (s->tables[i].kind == SIM_WINDOW) {
			oldest = MIN_OF(oldest, s->tables[i].tier);
			windows++;
		}
	for (size_t i = 0; i < s->count; i++) {
		struct sim_table *t = &s->tables[i];

		if (sim_changes(s, t, oldest)) {
			if (t->kind == SIM_WINDOW)
				t->tier += windows;
			sim_replace(s, i);
		} else if (t->kind != SIM_COLD && (s->day % 7 == 0 || sim_below(s, 20) == 0)) {
			sim_statistics(s, t);
		}
	}
	sim_add_all(s, SIM_COLD, s->shape->cold_a_day, 20000);
}

static inline void sim_purge(struct sim *s)
{
	struct err e = ERR_INIT;
	size_t left = 0;

	for (size_t i = 0; i < s->kept_count; i++)
		s->kept[i].reasons = 0;
	cr_assert_eq(policy_apply(&s->policy, s->kept, s->kept_count, &e), 0, "%s", e.message);
	for (size_t i = 0; i < s->kept_count; i++) {
		char name[16];

		snprintf(name, sizeof(name), "b%zu", s->kept[i].entry);
		if (s->kept[i].reasons)
			s->kept[left++] = s->kept[i];
		else
			collect_help_delete(&s->rig, name);
	}
	s->kept_count = left;
	collect_result_free(collect_help_run(
		&s->rig, &(struct collect_options){ .keep_record_ms = 3600 * 1000 }));
}

/* Churn, a backup, a purge and a collection. */
static inline void sim_day(struct sim *s)
{
	_cleanup_(record_freep) struct record *record = NULL;
	char name[16];

	if (s->day)
		sim_churn(s);
	snprintf(name, sizeof(name), "b%u", s->day);
	record = rig_commit(&s->rig, name);
	s->uploaded_bytes += record->new_bytes;
	s->kept = realloc(s->kept, (s->kept_count + 1) * sizeof(*s->kept));
	s->kept[s->kept_count++] = (struct policy_item){ .backup = s->day,
							 .entry = s->day,
							 .writer = record->writer,
							 .store_time_ns = record->store_time_ns,
							 .complete = true };
	sim_purge(s);
	s->rig.wall_ns += DAY_NS - INT64_C(60000000000);
	s->day++;
}

/* ---- what it comes to ---- */

struct sim_walk {
	struct sim *sim;
	struct seen contents, places;
	struct sim_sizes sizes;
};

static inline void sim_live_place(struct sim_walk *w, const struct place *p)
{
	if (seen_add(&w->places, &p->digest, sizeof(p->digest)) > 0)
		w->sizes.live_meta += p->extent.len_bytes;
}

static inline int sim_enter(void *ctx, const char *path, const struct child *self, struct err *e)
{
	sim_live_place(ctx, &self->place);
	return 0;
}

static inline int sim_run(void *ctx, const char *path, const struct run_ref *ref, struct err *e)
{
	sim_live_place(ctx, &ref->place);
	return 0;
}

static inline int sim_entry(void *ctx, const char *path, const struct entry *entry, struct err *e)
{
	struct sim_walk *w = ctx;

	if (entry->extent_count &&
	    seen_add(&w->contents, &entry->content, sizeof(entry->content)) > 0)
		w->sizes.live_data += entry->size_bytes;
	return 0;
}

static inline int sim_stored(void *ctx, const struct store_entry *entry, struct err *e)
{
	*(uint64_t *)ctx += entry->size_bytes;
	return 0;
}

static inline uint64_t sim_bytes_below(struct sim *s, const char *prefix)
{
	uint64_t bytes = 0;
	struct store_list list = { .prefix = prefix, .entry = sim_stored, .ctx = &bytes };
	struct err e = ERR_INIT;

	cr_assert_eq(store_list(s->rig.store, &list, NULL, &e), 0, "%s", e.message);
	return bytes;
}

static inline struct sim_sizes sim_measure(struct sim *s)
{
	struct sim_walk w = { .sim = s };
	const struct meta_walk walk = {
		.enter = sim_enter, .run = sim_run, .entry = sim_entry, .ctx = &w
	};
	struct rig_view v = rig_open_view(&s->rig);

	for (size_t i = 0; i < s->kept_count; i++) {
		_cleanup_(record_freep) struct record *record = NULL;
		struct err e = ERR_INIT;
		char name[16];

		snprintf(name, sizeof(name), "b%zu", s->kept[i].entry);
		record = rig_read_record(&s->rig, name);
		sim_live_place(&w, &record->root);
		cr_assert_eq(meta_walk(v.meta, &record->where, &record->root, &walk, NULL, &e), 0,
			     "%s", e.message);
	}
	rig_close_view(&v);
	seen_deinit(&w.contents);
	seen_deinit(&w.places);
	w.sizes.stored_data = sim_bytes_below(s, "nodes/c1/n1/objects/");
	w.sizes.stored_meta = sim_bytes_below(s, "nodes/c1/n1/trees/");
	return w.sizes;
}

static inline double sim_ratio(const struct sim_sizes *z)
{
	return (double)(z->stored_data + z->stored_meta) / (double)(z->live_data + z->live_meta);
}

#endif
