/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/collect_list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "catalog/collect_delete.h"
#include "catalog/docget.h"
#include "catalog/waits.h"

#define ATTEMPTS 5 /* of writing a list under ever new names, or of settling who wrote a .waits */
#define NAME_BYTES (KEY_BYTES + ULID_TEXT + sizeof(WAITS_SUFFIX))

void collect_lists_deinit(struct collect_lists *l)
{
	free(l->lists);
	*l = (struct collect_lists){ .lists = NULL };
}

/* The key of a list (suffix "") or of its .waits. */
static char *key_of(char out[NAME_BYTES], const struct collect *c, const struct ulid *id,
		    const char *suffix)
{
	char prefix[KEY_BYTES], name[ULID_TEXT];

	snprintf(out, NAME_BYTES, "%s%s%s", keys_condemned_prefix(prefix, c->o->where),
		 ulid_format(name, id), suffix);
	return out;
}

/* ---- what there is ---- */

struct listing {
	struct collect *c;
	struct collect_lists *l;
	struct collect_lists widows; /* .waits whose list was not listed before them */
	size_t prefix_bytes;
};

static int add(struct collect_lists *l, const struct ulid *id, uint64_t size_bytes, struct err *e)
{
	if (util_grow(&l->lists, &l->cap, l->count + 1, sizeof(*l->lists)) < 0)
		return err_nomem(e);
	l->lists[l->count++] = (struct collect_list){ .id = *id, .size_bytes = size_bytes };
	return 0;
}

static int on_key(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct listing *g = ctx;
	struct collect_lists *l = g->l;
	const char *name = entry->key + g->prefix_bytes;
	char text[ULID_TEXT] = "";
	struct ulid id;
	bool waits;

	snprintf(text, sizeof(text), "%s", name);
	waits = strlen(name) >= ULID_TEXT && strcmp(name + ULID_TEXT - 1, WAITS_SUFFIX) == 0;
	if ((!waits && strlen(name) != ULID_TEXT - 1) || ulid_parse(&id, text) < 0)
		return collect_note_foreign(g->c, entry->key, e);
	if (!waits)
		return add(l, &id, entry->size_bytes, e);
	if (l->count == 0 || memcmp(&l->lists[l->count - 1].id, &id, sizeof(id)) != 0)
		return add(&g->widows, &id, 0, e);
	l->lists[l->count - 1].has_waits = true;
	return 0;
}

int collect_list_check(struct collect *c, const struct ulid *id, struct err *e)
{
	char key[NAME_BYTES];

	return store_head(repo_store(c->o->repo), key_of(key, c, id, ""), NULL, c->o->cancel, e);
}

/* A list that came while the pages were fetched may have been passed: asked for by name. */
static int bury_widows(struct collect *c, const struct collect_lists *widows, struct err *e)
{
	_cleanup_(collect_delete_deinit) struct collect_delete d = { .c = c };
	char key[NAME_BYTES];
	int r = 0;

	for (size_t i = 0; i < widows->count && r == 0; i++) {
		r = collect_list_check(c, &widows->lists[i].id, e);
		if (r == 0)
			continue;
		if (r == STORE_NOT_FOUND)
			r = collect_delete_add(
				&d, key_of(key, c, &widows->lists[i].id, WAITS_SUFFIX), e);
	}
	return r < 0 ? r : collect_delete_run(&d, e);
}

int collect_list_load(struct collect *c, struct collect_lists *l, struct err *e)
{
	char prefix[KEY_BYTES];
	struct listing g = { .c = c, .l = l };
	struct store_list list = { .prefix = keys_condemned_prefix(prefix, c->o->where),
				   .entry = on_key,
				   .ctx = &g };
	int r;

	g.prefix_bytes = strlen(prefix);
	r = store_list(repo_store(c->o->repo), &list, c->o->cancel, e);
	if (r == 0 && g.widows.count > 0 && !c->o->dry_run)
		r = bury_widows(c, &g.widows, e);
	collect_lists_deinit(&g.widows);
	return r;
}

/* ---- what they name ---- */

/* As docget_fn. */
static int read_hashes(void *ctx, const char *text, size_t len, const struct store_meta *meta,
		       struct err *e)
{
	return condemned_add(ctx, text, len, e);
}

static int tolerate(struct collect *c, const struct ulid *id, int r, const struct err *why,
		    struct err *e)
{
	char key[NAME_BYTES];

	if (!collect_is_unreadable(r, why)) {
		*e = *why;
		return r;
	}
	r = collect_note_unreadable(c, key_of(key, c, id, ""), false, why, e);
	return r < 0 || why->kind != ERR_CORRUPT || c->o->dry_run ? r
								  : collect_list_remove(c, id, e);
}

int collect_list_keys(struct collect *c, const struct collect_lists *l, struct condemned *to,
		      struct err *e)
{
	char key[NAME_BYTES];
	int r = 0;

	for (size_t i = 0; i < l->count && r >= 0; i++) {
		struct err why = ERR_INIT;

		r = docget(repo_store(c->o->repo), key_of(key, c, &l->lists[i].id, ""),
			   STORE_OBJECT_MAX, read_hashes, to, c->o->cancel, &why);
		if (r < 0)
			r = tolerate(c, &l->lists[i].id, r, &why, e);
	}
	condemned_seal(to);
	return MIN_OF(r, 0);
}

struct reading {
	struct collect_keys *k;
	unsigned index;
	size_t before, keys;
	bool full;
};

/* As sealtext_line_fn. */
static int read_key(void *ctx, const char *line, size_t len, struct err *e)
{
	static const char *const folders[] = {
		[KEY_OBJECT_DATA] = "objects/", [KEY_OBJECT_META] = "trees/"
	};
	struct reading *g = ctx;
	char text[SEALTEXT_LINE_BYTES + 1];
	struct ulid writer;
	struct id256 id;

	memcpy(text, line, len);
	text[len] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		size_t folder = strlen(folders[i]);
		int r;

		if (strncmp(text, folders[i], folder) != 0)
			continue;
		if (collect_keys_parse(text + folder, &writer, &id) < 0)
			break;
		r = collect_keys_add(g->k, (enum key_object)i, &writer, &id, 0, g->index);
		g->keys++;
		g->full = g->full || r == COLLECT_KEYS_FULL;
		return r < 0 ? err_nomem(e) : 0;
	}
	return err_set(e, ERR_CORRUPT, -EBADMSG,
		       "the list of condemned keys is damaged: it names what is no object");
}

/* As docget_fn. */
static int read_list(void *ctx, const char *text, size_t len, const struct store_meta *meta,
		     struct err *e)
{
	struct reading *g = ctx;
	int r;

	g->keys = 0;
	g->full = false;
	r = condemned_parse(text, len, read_key, g, e);
	if (r < 0)
		g->k->count = g->before;
	return r;
}

int collect_list_read(struct collect *c, const struct ulid *id, struct collect_keys *k,
		      unsigned index, size_t *ret_keys, struct err *e)
{
	struct reading g = { .k = k, .index = index, .before = k->count };
	char key[NAME_BYTES];
	int r = docget(repo_store(c->o->repo), key_of(key, c, id, ""), STORE_OBJECT_MAX, read_list,
		       &g, c->o->cancel, e);

	if (r < 0)
		err_key(e, key);
	if (r != 0)
		return r;
	*ret_keys = g.keys;
	if (g.full)
		k->count = g.before;
	return g.full ? COLLECT_KEYS_FULL : 0;
}

int collect_list_remove(struct collect *c, const struct ulid *id, struct err *e)
{
	static const char *const suffixes[] = { WAITS_SUFFIX, "" };
	char key[NAME_BYTES];
	bool failed = false;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(suffixes) && r == 0 && !failed; i++) {
		_cleanup_(collect_delete_deinit) struct collect_delete d = { .c = c };

		r = collect_delete_add(&d, key_of(key, c, id, suffixes[i]), e);
		if (r == 0)
			r = collect_delete_run(&d, e);
		failed = r == 0 && d.failed[0];
	}
	return r;
}

/* ---- C2 ---- */

/*
 * Under an unknown outcome, or where somebody has the name, another one is drawn: a list that was written after all is one more of the same dead keys, and is worked
 * through as any other.
 */
static int put_list(struct collect *c, const struct wbuf *text, struct err *e)
{
	int r = 0;

	for (int i = 0; i < ATTEMPTS; i++) {
		struct ulid id = ulid_new(repo_clock(c->o->repo));
		char key[NAME_BYTES];

		*e = ERR_INIT;
		r = store_put_bytes(repo_store(c->o->repo), key_of(key, c, &id, ""), text->data,
				    text->len, STORE_IF_ABSENT, NULL, NULL, c->o->cancel, e);
		if (r == 0 || (r < 0 && !e->outcome_unknown))
			return r;
	}
	if (r < 0)
		return r;
	return err_set(e, ERR_STORE, -EIO, "the store did not take a new list in %d attempts",
		       ATTEMPTS);
}

static int finish_list(struct collect *c, struct wbuf *text, struct err *e)
{
	struct err mine = ERR_INIT;
	int r;

	condemned_write_end(text);
	r = wbuf_error(text);
	if (r < 0)
		return err_set(e, ERR_IO, r, "cannot write a list of condemned keys");
	r = put_list(c, text, &mine);
	if (r < 0) {
		*e = mine;
		return err_wrap(e, r, "cannot write a list of condemned keys");
	}
	wbuf_reset(text);
	return 0;
}

static bool is_listed(const struct condemned *listed, const struct collect_keys *k,
		      const struct collect_key *x)
{
	const struct object_ref ref = { .writer = k->writers[x->writer], .id = x->id };

	return condemned_has(listed, x->meta ? KEY_OBJECT_META : KEY_OBJECT_DATA, &ref);
}

int collect_list_condemn(struct collect *c, const struct collect_keys *k,
			 const struct condemned *listed, struct err *e)
{
	_cleanup_wbuf_ struct wbuf text;
	size_t on_list = 0;
	int r = 0;

	wbuf_init(&text, STORE_OBJECT_MAX);
	for (size_t i = 0; i < k->count && r == 0; i++) {
		const struct collect_key *x = &k->keys[i];

		if (x->reached || is_listed(listed, k, x))
			continue;
		c->result->condemned_objects++;
		c->result->condemned_bytes += x->size_bytes;
		if (c->o->dry_run)
			continue;
		if (on_list++ == 0)
			condemned_write_begin(&text);
		condemned_write_key(&text, x->meta ? KEY_OBJECT_META : KEY_OBJECT_DATA,
				    &k->writers[x->writer], &x->id);
		if (on_list == c->list_keys) {
			r = finish_list(c, &text, e);
			on_list = 0;
		}
	}
	return r == 0 && on_list > 0 ? finish_list(c, &text, e) : r;
}

/* ---- C3 ---- */

static int all_open(const struct collect_view *v, struct waits *ret, struct err *e)
{
	for (size_t i = 0; i < v->record_count; i++) {
		const struct collect_record *x = &v->records[i];

		if (x->there && x->state == RECORD_OPEN &&
		    waits_add(ret, x->key.backup, &x->key.writer) < 0)
			return err_nomem(e);
	}
	return 0;
}

/* A .waits that is damaged says nothing: what is OPEN now is at least what is still OPEN of those that it named. */
static int drop_waits(struct collect *c, const struct ulid *id, struct err *e)
{
	_cleanup_(collect_delete_deinit) struct collect_delete d = { .c = c };
	char key[NAME_BYTES];
	int r = collect_delete_add(&d, key_of(key, c, id, WAITS_SUFFIX), e);

	return r < 0 ? r : collect_delete_run(&d, e);
}

/* What is there counts: whoever wrote it first. 0, or < 0. */
static int agree_on_waits(struct collect *c, const struct collect_list *list,
			  const struct collect_view *v, struct waits *ret, struct err *e)
{
	bool look = list->has_waits;
	int r = 0;

	for (int i = 0; i < ATTEMPTS; i++) {
		struct err mine = ERR_INIT;

		waits_deinit(ret);
		if (look) {
			r = waits_get(c->o->repo, c->o->where, &list->id, ret, c->o->cancel, &mine);
			if (r < 0 && mine.kind == ERR_CORRUPT)
				r = drop_waits(c, &list->id, &mine);
			else if (r <= 0) {
				*e = mine;
				return r;
			}
			if (r < 0) {
				*e = mine;
				return r;
			}
		}
		r = all_open(v, ret, e);
		if (r < 0)
			return r;
		r = waits_put(c->o->repo, c->o->where, &list->id, ret, c->o->cancel, &mine);
		if (r == 0)
			return 0;
		if (r < 0 && !mine.outcome_unknown) {
			*e = mine;
			return r;
		}
		look = true;
	}
	return err_set(e, ERR_STORE, -EIO,
		       "cannot write down whom a list of condemned keys waits for");
}

static int judge(struct collect *c, struct collect_list *list, const struct waits *w,
		 const struct collect_view *v, struct err *e)
{
	int r = 0;

	list->due = true;
	for (size_t i = 0; i < w->count && r == 0; i++) {
		const struct collect_record *x =
			collect_view_find(v, w->list[i].backup, &w->list[i].writer);

		if (!x || !x->there || x->state != RECORD_OPEN)
			continue;
		list->due = false;
		r = collect_note_wait(c, &x->key, e);
	}
	return r;
}

int collect_list_settle(struct collect *c, struct collect_lists *l, const struct collect_view *v,
			struct err *e)
{
	int r = 0;

	for (size_t i = 0; i < l->count && r == 0; i++) {
		struct waits w = { .list = NULL };
		char key[NAME_BYTES];

		r = agree_on_waits(c, &l->lists[i], v, &w, e);
		if (r == 0)
			r = judge(c, &l->lists[i], &w, v, e);
		else if (r == -ENOTSUP)
			r = collect_note_unreadable(
				c, key_of(key, c, &l->lists[i].id, WAITS_SUFFIX), false, e, e);
		waits_deinit(&w);
	}
	return r;
}
