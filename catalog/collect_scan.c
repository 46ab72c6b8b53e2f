/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/collect_scan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "catalog/collect_delete.h"

#define PROBE_AGE_NS (INT64_C(24) * 3600 * 1000000000)

struct scan {
	struct collect *c;
	struct collect_keys *k;
	enum key_object kind;
	size_t prefix_bytes; /* up to and with "objects/" */
	bool full;
};

static int on_object(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct scan *s = ctx;
	struct ulid writer;
	struct id256 id;
	int r;

	if (collect_keys_parse(entry->key + s->prefix_bytes, &writer, &id) < 0)
		return collect_note_foreign(s->c, entry->key, e);
	r = collect_keys_add(s->k, s->kind, &writer, &id, entry->size_bytes, 0);
	s->full = r == COLLECT_KEYS_FULL;
	return r < 0 ? err_nomem(e) : r;
}

static int on_present(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct scan *s = ctx;
	struct object_ref ref;
	struct collect_key *key;
	size_t count = 0;

	if (collect_keys_parse(entry->key + s->prefix_bytes, &ref.writer, &ref.id) < 0)
		return collect_note_foreign(s->c, entry->key, e);
	key = collect_keys_find(s->k, s->kind, &ref, &count);
	for (size_t i = 0; i < count; i++) {
		key[i].present = true;
		key[i].size_bytes = (unsigned)MIN_OF(entry->size_bytes, COLLECT_KEYS_SIZE_MAX) &
				    COLLECT_KEYS_SIZE_MAX;
	}
	return 0;
}

/* objects/ and trees/, all of them (writer NULL) or those of a writer. */
static int list_both(struct scan *s, const struct ulid *writer, store_list_fn *fn, struct err *e)
{
	static const char *const folders[] = {
		[KEY_OBJECT_DATA] = "objects/", [KEY_OBJECT_META] = "trees/"
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(folders) && r == 0 && !s->full; i++) {
		char node[KEY_BYTES], prefix[2 * KEY_BYTES], text[ULID_TEXT];
		struct store_list list = { .prefix = prefix, .entry = fn, .ctx = s };

		s->kind = (enum key_object)i;
		s->prefix_bytes = (size_t)snprintf(prefix, sizeof(prefix), "%s%s",
						   keys_node_prefix(node, s->c->o->where),
						   folders[i]);
		if (writer)
			snprintf(prefix + s->prefix_bytes, sizeof(prefix) - s->prefix_bytes, "%s/",
				 ulid_format(text, writer));
		r = store_list(repo_store(s->c->o->repo), &list, s->c->o->cancel, e);
	}
	return r < 0 ? r : s->full ? COLLECT_KEYS_FULL : 0;
}

int collect_scan_all(struct collect *c, struct collect_keys *k, struct err *e)
{
	struct scan s = { .c = c, .k = k };

	return list_both(&s, NULL, on_object, e);
}

int collect_scan_dead(struct collect *c, const struct collect_view *v, struct collect_keys *k,
		      struct err *e)
{
	struct scan s = { .c = c, .k = k };
	int r = 0;

	for (size_t i = 0; i < v->record_count && r == 0; i++) {
		const struct collect_record *x = &v->records[i];

		if (x->there && (x->state == RECORD_DELETED || x->state == RECORD_ABORTED))
			r = list_both(&s, &x->key.writer, on_object, e);
	}
	return r;
}

int collect_scan_present(struct collect *c, struct collect_keys *k, struct err *e)
{
	struct scan s = { .c = c, .k = k };
	int r = 0;

	for (size_t i = 0; i < k->writer_count && r == 0; i++)
		r = list_both(&s, &k->writers[i], on_present, e);
	return r;
}

/* ---- the rest of the node ---- */

static int on_top(void *ctx, const struct store_entry *entry, struct err *e)
{
	static const char *const ours[] = { "condemned/", "objects/", "pins/",
					    "probe/",	  "records/", "trees/" };
	struct scan *s = ctx;

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (strcmp(entry->key + s->prefix_bytes, ours[i]) == 0)
			return 0;
	return collect_note_foreign(s->c, entry->key, e);
}

int collect_scan_top(struct collect *c, struct err *e)
{
	char prefix[KEY_BYTES];
	struct scan s = { .c = c };
	struct store_list list = { .prefix = keys_node_prefix(prefix, c->o->where),
				   .delimiter = true,
				   .entry = on_top,
				   .ctx = &s };

	s.prefix_bytes = strlen(prefix);
	return store_list(repo_store(c->o->repo), &list, c->o->cancel, e);
}

struct probes {
	struct collect *c;
	struct collect_delete *d;
	size_t prefix_bytes;
};

static int on_probe(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct probes *p = ctx;
	struct ulid id;

	if (ulid_parse(&id, entry->key + p->prefix_bytes) < 0)
		return collect_note_foreign(p->c, entry->key, e);
	if (!collect_is_old(p->c, entry->modified_ns, PROBE_AGE_NS))
		return 0;
	return collect_delete_add(p->d, entry->key, e);
}

int collect_scan_probes(struct collect *c, struct err *e)
{
	char node[KEY_BYTES], prefix[KEY_BYTES];
	_cleanup_(collect_delete_deinit) struct collect_delete d = { .c = c };
	struct probes p = { .c = c, .d = &d };
	struct store_list list = { .prefix = prefix, .entry = on_probe, .ctx = &p };
	int r;

	p.prefix_bytes = (size_t)snprintf(prefix, sizeof(prefix), "%sprobe/",
					  keys_node_prefix(node, c->o->where));
	r = store_list(repo_store(c->o->repo), &list, c->o->cancel, e);
	return r < 0 ? r : collect_delete_run(&d, e);
}
