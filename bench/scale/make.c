/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a directory repository as one node leaves it after many backups: scale_make DIRECTORY KEYS BACKUPS LIVE DELETED
 *
 * Each backup adds its share of KEYS small data objects, eight to an SSTable, and refers to the SSTables of the last LIVE backups. The first DELETED
 * backups are DELETED, and nothing of them was collected. Everything is encoded as a backup does, and written without a sync.
 */
#include <stdio.h>
#include <string.h>
#include "bench/scale/maker.h"

#define COMPONENTS 8
#define CONTENT_BYTES 600

static const char *const components[COMPONENTS] = { "CompressionInfo.db", "Data.db",
						    "Digest.crc32",	  "Filter.db",
						    "Index.db",		  "Statistics.db",
						    "Summary.db",	  "TOC.txt" };

struct sstable {
	char first[64];
	struct place place; /* of its run */
};

struct tables {
	struct maker m;
	struct sstable *tables; /* of all backups, in order */
	size_t count, cap;
};

/* A file whose content is an object of its own. */
static void make_file(struct maker *m, struct entry *to, struct extent *x)
{
	uint64_t data[CONTENT_BYTES / 8];

	for (size_t i = 0; i < ARRAY_SIZE(data); i++)
		data[i] = maker_random(m);
	maker_add_piece(m, data, sizeof(data), x);
	x->object = maker_finish(m, KEY_OBJECT_DATA);
	to->attr = (struct attributes){ 0644, 999, 999, MAKER_START_NS };
	to->size_bytes = sizeof(data);
	to->content = content_id(data, sizeof(data));
	to->extents = x;
	to->extent_count = 1;
}

static void make_sstable(struct tables *m, struct wbuf *run)
{
	struct entry entries[COMPONENTS] = { { .name = NULL } };
	struct extent extents[COMPONENTS] = { { .offset = 0 } };
	char names[COMPONENTS][64];
	struct sstable *t;

	maker_must(util_grow(&m->tables, &m->cap, m->count + 1, sizeof(*m->tables)) == 0, "memory");
	t = &m->tables[m->count];
	memset(t, 0, sizeof(*t));
	for (size_t i = 0; i < COMPONENTS; i++) {
		snprintf(names[i], sizeof(names[i]), "nb-%08zu-big-%s", m->count, components[i]);
		entries[i].name = names[i];
		make_file(&m->m, &entries[i], &extents[i]);
	}
	maker_must(run_encode(entries, COMPONENTS, run, NULL) == 0, "a run");
	memcpy(t->first, names[0], sizeof(t->first));
	t->place.digest = content_id(run->data, run->len);
	t->place.extent.len_bytes = (uint32_t)run->len;
	m->count++;
}

/* The runs of the SSTables from `first` on, one after the other in few objects. */
static void store_runs(struct tables *m, size_t first, const struct wbuf *runs)
{
	size_t begun = first;

	for (size_t i = first; i < m->count; i++) {
		struct extent *x = &m->tables[i].place.extent;

		if (!object_builder_fits(m->m.builder, x->len_bytes)) {
			struct object_ref ref = maker_finish(&m->m, KEY_OBJECT_META);

			for (; begun < i; begun++)
				m->tables[begun].place.extent.object = ref;
		}
		maker_add_piece(&m->m, runs[i - first].data, runs[i - first].len, x);
	}
	if (begun < m->count) {
		struct object_ref ref = maker_finish(&m->m, KEY_OBJECT_META);

		for (; begun < m->count; begun++)
			m->tables[begun].place.extent.object = ref;
	}
}

/* data/ks/t with the runs from `first` on: the place of the root. */
static struct place store_trees(struct tables *m, size_t first, struct tree *table)
{
	static const char *const names[] = { "t-1", "ks", "data" };
	struct run_ref *runs = calloc(m->count - first, sizeof(*runs));
	struct place p;

	maker_must(runs, "memory");
	for (size_t i = first; i < m->count; i++)
		runs[i - first] =
			(struct run_ref){ m->tables[i].first, COMPONENTS, m->tables[i].place };
	*table = (struct tree){ .run_count = (uint32_t)(m->count - first),
				.runs = runs,
				.file_count = COMPONENTS * (m->count - first),
				.total_bytes = CONTENT_BYTES * COMPONENTS * (m->count - first) };
	p = maker_store_tree(&m->m, table);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct child child = { names[i], { 0755, 999, 999, MAKER_START_NS }, p };
		struct tree above = { .child_count = 1,
				      .children = &child,
				      .file_count = table->file_count,
				      .total_bytes = table->total_bytes,
				      .dir_count = i + 1 };

		p = maker_store_tree(&m->m, &above);
	}
	table->dir_count = ARRAY_SIZE(names);
	free(runs);
	return p;
}

static void make_backup(struct tables *m, size_t number, size_t tables, size_t live, bool deleted)
{
	struct wbuf *runs = calloc(tables, sizeof(*runs));
	size_t first = m->count, window = live * tables;
	struct tree table;
	struct place root;

	maker_must(runs, "memory");
	m->m.writer = ulid_new(clock_system());
	for (size_t i = 0; i < tables; i++) {
		wbuf_init(&runs[i], FORMAT_RUN_BYTES);
		make_sstable(m, &runs[i]);
	}
	store_runs(m, first, runs);
	for (size_t i = 0; i < tables; i++)
		wbuf_deinit(&runs[i]);
	free(runs);
	root = store_trees(m, m->count > window ? m->count - window : 0, &table);
	maker_store_record(&m->m, number, deleted, &root, &table);
}

int main(int argc, char **argv)
{
	struct tables m = { .count = 0 };
	size_t backups, tables;

	maker_must(argc == 6, "DIRECTORY KEYS BACKUPS LIVE DELETED are wanted");
	maker_begin(&m.m, argv[1]);
	backups = MAX_OF(maker_number(argv[3]), (size_t)1);
	tables = MAX_OF(maker_number(argv[2]) / backups / COMPONENTS, (size_t)1);
	for (size_t i = 0; i < backups; i++)
		make_backup(&m, i, tables, MAX_OF(maker_number(argv[4]), (size_t)1),
			    i < maker_number(argv[5]));
	printf("%llu\n", (unsigned long long)m.m.keys);
	object_builder_free(m.m.builder);
	free(m.tables);
	return 0;
}
