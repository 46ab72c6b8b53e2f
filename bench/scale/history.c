/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a directory repository of one node with many backups, as a mount meets it: scale_history DIRECTORY FILES BACKUPS PERMILLE TABLES
 *
 * FILES are eight to an SSTable, in TABLES tables. From one backup to the next PERMILLE of the SSTables are replaced by new ones, drawn at random, so that
 * most tables change a little. Trees and runs are those of real backups; the contents are drawn from few, which lie in one object.
 */
#include <stdio.h>
#include <string.h>
#include "bench/scale/maker.h"

#define COMPONENTS 8
#define CONTENTS 1024
#define CONTENT_BYTES 600
#define INLINE_BYTES 92

static const char *const components[COMPONENTS] = { "CompressionInfo.db", "Data.db",
						    "Digest.crc32",	  "Filter.db",
						    "Index.db",		  "Statistics.db",
						    "Summary.db",	  "TOC.txt" };

struct sstable {
	size_t number;
	char first[64];
	struct place place; /* of its run; its object is set once that is written */
	bool stored;
};

struct table {
	char name[64];
	struct sstable *live; /* by number */
	size_t count;
};

struct history {
	struct maker m;
	struct table *tables;
	size_t table_count, made;
	struct id256 content[CONTENTS];
	struct extent extents[CONTENTS];
	struct place **open; /* what lies in the object that is being built */
	size_t open_count, open_cap;
};

static void make_contents(struct history *h)
{
	uint64_t data[CONTENT_BYTES / 8];
	struct object_ref ref;

	for (size_t i = 0; i < CONTENTS; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(data); k++)
			data[k] = maker_random(&h->m);
		h->content[i] = content_id(data, sizeof(data));
		maker_add_piece(&h->m, data, sizeof(data), &h->extents[i]);
	}
	ref = maker_finish(&h->m, KEY_OBJECT_DATA);
	for (size_t i = 0; i < CONTENTS; i++)
		h->extents[i].object = ref;
}

/* Writes the object of metadata and tells all that lies in it. */
static void flush(struct history *h)
{
	struct object_ref ref;

	if (h->open_count == 0)
		return;
	ref = maker_finish(&h->m, KEY_OBJECT_META);
	for (size_t i = 0; i < h->open_count; i++)
		h->open[i]->extent.object = ref;
	h->open_count = 0;
}

/* *at must stay where it is until the flush. */
static void store(struct history *h, const struct wbuf *text, struct place *at)
{
	if (!object_builder_fits(h->m.builder, text->len))
		flush(h);
	at->digest = content_id(text->data, text->len);
	maker_add_piece(&h->m, text->data, text->len, &at->extent);
	maker_must(util_grow(&h->open, &h->open_cap, h->open_count + 1, sizeof(struct place *)) ==
			   0,
		   "memory");
	h->open[h->open_count++] = at;
}

static void store_run(struct history *h, struct sstable *t)
{
	static const uint8_t text[INLINE_BYTES];
	struct entry entries[COMPONENTS] = { { .name = NULL } };
	char names[COMPONENTS][64];
	struct wbuf run;

	wbuf_init(&run, FORMAT_RUN_BYTES);
	for (size_t i = 0; i < COMPONENTS; i++) {
		size_t content = maker_random(&h->m) >> 40 & (CONTENTS - 1);
		struct entry *en = &entries[i];
		bool is_inline = strchr("DT", components[i][0]) && components[i][1] != 'a';

		snprintf(names[i], sizeof(names[i]), "nb-%08zu-big-%s", t->number, components[i]);
		*en = (struct entry){ .name = names[i],
				      .attr = { 0644, 999, 999,
						MAKER_START_NS + (int64_t)t->number },
				      .size_bytes = is_inline ? INLINE_BYTES : CONTENT_BYTES };
		en->content = h->content[content];
		en->inline_data = is_inline ? text : NULL;
		en->extents = is_inline ? NULL : &h->extents[content];
		en->extent_count = is_inline ? 0 : 1;
	}
	maker_must(run_encode(entries, COMPONENTS, &run, NULL) == 0, "a run");
	memcpy(t->first, names[0], sizeof(t->first));
	store(h, &run, &t->place);
	t->stored = true;
	wbuf_deinit(&run);
}

static void replace_some(struct history *h, struct table *t, size_t permille)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->count; i++)
		if ((maker_random(&h->m) >> 33) % 1000 >= permille)
			t->live[kept++] = t->live[i];
	for (; kept < t->count; kept++)
		t->live[kept] = (struct sstable){ .number = ++h->made };
}

static void store_tree(struct history *h, const struct tree *t, struct place *at)
{
	struct wbuf text;

	wbuf_init(&text, FORMAT_TREE_BYTES);
	maker_must(tree_encode(t, &text, NULL) == 0, "a tree");
	store(h, &text, at);
	wbuf_deinit(&text);
}

static void store_table(struct history *h, const struct table *t, struct tree *all,
			struct child *child)
{
	struct run_ref *runs = calloc(t->count, sizeof(*runs));
	struct tree tree = { .run_count = (uint32_t)t->count, .runs = runs };

	maker_must(runs, "memory");
	for (size_t i = 0; i < t->count; i++)
		runs[i] = (struct run_ref){ t->live[i].first, COMPONENTS, t->live[i].place };
	tree.file_count = COMPONENTS * t->count;
	tree.total_bytes = t->count * (2 * INLINE_BYTES + (COMPONENTS - 2) * CONTENT_BYTES);
	*child = (struct child){ .name = t->name, .attr = { 0755, 999, 999, MAKER_START_NS } };
	store_tree(h, &tree, &child->place);
	all->file_count += tree.file_count;
	all->total_bytes += tree.total_bytes;
	free(runs);
}

/* data/ks/<tables>: the place of the root. */
static struct place store_trees(struct history *h, struct tree *ret)
{
	static const char *const names[] = { "ks", "data" };
	struct child *tables = calloc(h->table_count, sizeof(*tables));
	struct place p = { .extent.offset = 0 };

	maker_must(tables, "memory");
	*ret = (struct tree){ .child_count = (uint32_t)h->table_count,
			      .children = tables,
			      .dir_count = h->table_count };
	for (size_t i = 0; i < h->table_count; i++)
		store_table(h, &h->tables[i], ret, &tables[i]);
	flush(h);
	store_tree(h, ret, &p);
	flush(h);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct child child = { names[i], { 0755, 999, 999, MAKER_START_NS }, p };
		struct tree above = { .child_count = 1,
				      .children = &child,
				      .file_count = ret->file_count,
				      .total_bytes = ret->total_bytes,
				      .dir_count = ++ret->dir_count };

		store_tree(h, &above, &p);
		flush(h);
	}
	free(tables);
	return p;
}

static void make_backup(struct history *h, size_t number, size_t permille)
{
	struct tree all;
	struct place root;

	h->m.writer = ulid_new(clock_system());
	if (number == 0)
		make_contents(h);
	for (size_t i = 0; i < h->table_count; i++) {
		struct table *t = &h->tables[i];

		if (number > 0)
			replace_some(h, t, permille);
		for (size_t k = 0; k < t->count; k++)
			if (!t->live[k].stored)
				store_run(h, &t->live[k]);
	}
	flush(h);
	root = store_trees(h, &all);
	maker_store_record(&h->m, number, false, &root, &all);
}

int main(int argc, char **argv)
{
	struct history h = { .made = 0 };
	size_t sstables, permille;

	maker_must(argc == 6, "DIRECTORY FILES BACKUPS PERMILLE TABLES are wanted");
	maker_begin(&h.m, argv[1]);
	permille = maker_number(argv[4]);
	h.table_count = MAX_OF(maker_number(argv[5]), (size_t)1);
	sstables = MAX_OF(maker_number(argv[2]) / COMPONENTS / h.table_count, (size_t)1);
	h.tables = calloc(h.table_count, sizeof(*h.tables));
	maker_must(h.tables, "memory");
	for (size_t i = 0; i < h.table_count; i++) {
		struct table *t = &h.tables[i];

		snprintf(t->name, sizeof(t->name), "t%05zu-%032zx", i, i);
		t->count = sstables;
		t->live = calloc(sstables, sizeof(*t->live));
		maker_must(t->live, "memory");
		for (size_t k = 0; k < sstables; k++)
			t->live[k].number = ++h.made;
	}
	for (size_t i = 0; i < maker_number(argv[3]); i++)
		make_backup(&h, i, permille);
	printf("%zu\n", h.made * COMPONENTS);
	for (size_t i = 0; i < h.table_count; i++)
		free(h.tables[i].live);
	free(h.tables);
	free(h.open);
	object_builder_free(h.m.builder);
	return 0;
}
