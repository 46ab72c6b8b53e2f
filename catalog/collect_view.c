/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/collect_view.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "catalog/doc.h"
#include "catalog/parallel.h"

struct reading { /* of records or of pins, by several threads */
	struct collect *c;
	struct collect_view *v;
	struct err **errors; /* of each; NULL: it was read, or is gone */
	size_t prefix_bytes;
};

void collect_view_deinit(struct collect_view *v)
{
	free(v->records);
	free(v->pins);
	*v = (struct collect_view){ .records = NULL };
}

/* ---- records ---- */

static int on_record(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct reading *g = ctx;
	struct collect_view *v = g->v;
	struct record_key key = { .size_bytes = entry->size_bytes,
				  .modified_ns = entry->modified_ns };

	if (keys_parse_record(entry->key + g->prefix_bytes, key.backup, &key.writer) < 0)
		return collect_note_foreign(g->c, entry->key, e);
	if (v->record_count == FORMAT_LISTED)
		return err_set(e, ERR_CORRUPT, -EFBIG, "the node has more than %d records",
			       FORMAT_LISTED);
	if (util_grow(&v->records, &v->record_cap, v->record_count + 1, sizeof(*v->records)) < 0)
		return err_nomem(e);
	snprintf(key.etag, sizeof(key.etag), "%s", entry->etag);
	v->records[v->record_count++] = (struct collect_record){ .key = key };
	return 0;
}

static int compare(const char *backup, const struct ulid *writer, const struct record_key *key)
{
	int r = strcmp(backup, key->backup);

	return r ? r : memcmp(writer->b, key->writer.b, ULID_BYTES);
}

static int compare_records(const void *pa, const void *pb)
{
	const struct collect_record *a = pa, *b = pb;

	return compare(a->key.backup, &a->key.writer, &b->key);
}

const struct collect_record *collect_view_find(const struct collect_view *v, const char *backup,
					       const struct ulid *writer)
{
	size_t low = 0, high = v->record_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int r = compare(backup, writer, &v->records[middle].key);

		if (r == 0)
			return &v->records[middle];
		if (r < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* What a record or pin demands of who deletes. */
static int refuse(unsigned refused, const char *what, struct err *e)
{
	if (!(refused & DOC_COLLECT))
		return 0;
	return err_set(e, ERR_USAGE, -ENOTSUP,
		       "%s has a feature that this program does not know: use a newer sstablefs "
		       "to collect",
		       what);
}

/* Notes of document i that it cannot be read; other failures are forwarded. */
static int settle(struct reading *g, size_t i, int r, const struct err *failed, struct err *e)
{
	if (r >= 0)
		return 0;
	if (!collect_is_unreadable(r, failed)) {
		*e = *failed;
		return r;
	}
	g->errors[i] = malloc(sizeof(*failed));
	if (!g->errors[i])
		return err_nomem(e);
	*g->errors[i] = *failed;
	return 0;
}

static int read_record(void *ctx, size_t i, unsigned worker, struct err *e)
{
	struct reading *g = ctx;
	struct collect_record *to = &g->v->records[i];
	_cleanup_(record_freep) struct record *record = NULL;
	struct err failed = ERR_INIT;
	int r = meta_record(g->c->o->meta, g->c->o->where, &to->key, &record, g->c->o->cancel,
			    &failed);

	if (r == 0)
		r = refuse(record->refused, "the record", &failed);
	if (r == 0) {
		to->there = true;
		to->state = record->state;
		to->root = record->root;
	}
	return settle(g, i, r, &failed, e);
}

/* The documents, by several threads; then everything that could not be read is noted. */
static int read_all(struct reading *g, const char *name, size_t count, parallel_fn *read,
		    const char *(*key_of)(const struct reading *g, size_t i, char *key),
		    struct err *e)
{
	char key[KEY_BYTES];
	int r;

	g->errors = calloc(count, sizeof(struct err *));
	if (!g->errors)
		return err_nomem(e);
	r = parallel_run(name, g->c->o->connections, count, read, g, e);
	for (size_t i = 0; i < count; i++) {
		if (r == 0 && g->errors[i])
			r = collect_note_unreadable(g->c, key_of(g, i, key), true, g->errors[i], e);
		free(g->errors[i]);
	}
	free(g->errors);
	return r;
}

static const char *record_key(const struct reading *g, size_t i, char *key)
{
	const struct record_key *k = &g->v->records[i].key;

	return keys_record(key, g->c->o->where, k->backup, &k->writer);
}

int collect_view_records(struct collect *c, struct collect_view *v, struct err *e)
{
	char prefix[KEY_BYTES];
	struct reading g = { .c = c, .v = v };
	struct store_list list = { .prefix = keys_records_prefix(prefix, c->o->where, NULL),
				   .entry = on_record,
				   .ctx = &g };
	int r;

	g.prefix_bytes = strlen(prefix);
	r = store_list(repo_store(c->o->repo), &list, c->o->cancel, e);
	if (r < 0 || v->record_count == 0)
		return r;
	qsort(v->records, v->record_count, sizeof(*v->records), compare_records);
	return read_all(&g, "records", v->record_count, read_record, record_key, e);
}

int collect_view_fence_records(struct collect *c, struct collect_view *v, struct err *e)
{
	for (size_t i = 0; i < v->record_count && c->blocking == 0; i++) {
		struct collect_record *x = &v->records[i];
		_cleanup_(record_freep) struct record *record = NULL;
		int r;

		if (!x->there || x->state != RECORD_OPEN ||
		    !collect_is_old(c, x->key.modified_ns, c->fence_ns))
			continue;
		/* Judged was what the listing showed: the ETag binds the write to it. */
		r = meta_record(c->o->meta, c->o->where, &x->key, &record, c->o->cancel, e);
		if (r > 0 || (r == 0 && (record->state != RECORD_OPEN || record->refused)))
			continue;
		if (r == 0)
			r = reg_fence(c->o->repo, record, x->key.etag, c->o->cancel, e);
		if (r < 0)
			return err_wrap(e, r, "cannot end the dead backup %s", x->key.backup);
		if (r == 0) {
			log_write(c->o->log, LOG_LEVEL_WARNING, "fenced",
				  "backup %s of node %s was not renewed for long: ended as failed",
				  x->key.backup, c->o->where->node);
			x->state = RECORD_ABORTED;
			x->key.modified_ns = c->now_ns;
		}
	}
	return 0;
}

/* ---- pins ---- */

static int on_foreign(void *ctx, const char *key, struct err *e)
{
	return collect_note_foreign(ctx, key, e);
}

static int read_pin(void *ctx, size_t i, unsigned worker, struct err *e)
{
	struct reading *g = ctx;
	struct collect_pin *to = &g->v->pins[i];
	struct err failed = ERR_INIT;
	char etag[STORE_ETAG_MAX];
	int r = pin_get(g->c->o->repo, g->c->o->where, &to->item.id, &to->pin, etag,
			g->c->o->cancel, &failed);

	if (r == 0)
		r = refuse(to->pin.refused, "the pin", &failed);
	to->there = r == 0;
	/* What was renewed since it was listed is younger than the listing says. */
	if (r == 0 && strcmp(etag, to->item.etag) != 0)
		to->item.modified_ns = 0;
	return settle(g, i, r, &failed, e);
}

static const char *pin_key(const struct reading *g, size_t i, char *key)
{
	return keys_pin(key, g->c->o->where, &g->v->pins[i].item.id);
}

int collect_view_pins(struct collect *c, struct collect_view *v, struct err *e)
{
	_cleanup_free_ struct pins_item *items = NULL;
	struct reading g = { .c = c, .v = v };
	size_t count = 0;
	int r = pins_list(c->o->repo, c->o->where, &items, &count, on_foreign, c, c->o->cancel, e);

	if (r < 0 || count == 0)
		return r;
	v->pins = calloc(count, sizeof(*v->pins));
	if (!v->pins)
		return err_nomem(e);
	v->pin_count = count;
	for (size_t i = 0; i < count; i++)
		v->pins[i].item = items[i];
	return read_all(&g, "pins", count, read_pin, pin_key, e);
}

int collect_view_fence_pins(struct collect *c, struct collect_view *v, struct err *e)
{
	for (size_t i = 0; i < v->pin_count && c->blocking == 0; i++) {
		struct collect_pin *x = &v->pins[i];
		struct pin ended = x->pin;
		int r;

		if (!x->there || x->pin.state != PIN_HELD || x->pin.refused ||
		    !collect_is_old(c, x->item.modified_ns, c->fence_ns))
			continue;
		r = pins_fence(c->o->repo, &ended, x->item.etag, c->o->cancel, e);
		if (r < 0)
			return err_wrap(e, r, "cannot end a dead pin of backup %s", x->pin.backup);
		if (r == 0) {
			log_write(c->o->log, LOG_LEVEL_WARNING, "pin-fenced",
				  "the pin of %s on host %s on backup %s was not renewed for long: "
				  "ended",
				  x->pin.purpose, x->pin.host, x->pin.backup);
			x->pin = ended;
		}
	}
	return 0;
}
