/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/verify_list.h"

#include <errno.h>
#include <string.h>

struct listing {
	struct verify_objects *v;
	const struct plan *p;
	uint8_t *listed; /* of the plan's objects */
	size_t prefix_len;
};

static int finding(struct listing *l, const struct plan_object *x, int r, const char *why)
{
	struct err e = ERR_INIT;

	err_set(&e, ERR_CORRUPT, r, "%s", why);
	return verify_find_object(l->v->find, x->node, &x->ref, r, &e);
}

/* "<writer>/<id>", as an index into the plan's objects. */
static uint32_t parse(const struct plan *p, const char *rest)
{
	char writer_text[ULID_TEXT];
	struct ulid writer;
	struct id256 id;

	if (strlen(rest) != ULID_TEXT - 1 + 1 + 2 * SHA256_BYTES || rest[ULID_TEXT - 1] != '/')
		return PLAN_NONE;
	memcpy(writer_text, rest, ULID_TEXT - 1);
	writer_text[ULID_TEXT - 1] = '\0';
	if (ulid_parse(&writer, writer_text) < 0 ||
	    util_unhex(id.b, sizeof(id.b), rest + ULID_TEXT) < 0)
		return PLAN_NONE;
	return plan_find(p, &writer, &id);
}

static int entry(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct listing *l = ctx;
	uint32_t i = parse(l->p, entry->key + l->prefix_len);
	const struct object_ref *ref;
	uint64_t largest;

	if (i == PLAN_NONE)
		return 0;
	l->listed[i] = true;
	ref = &l->p->objects[i].ref;
	largest = (uint64_t)ref->head_bytes + ref->plain_bytes;
	if (entry->size_bytes > largest || entry->size_bytes <= ref->head_bytes ||
	    ((ref->flags & OBJECT_RAW) && entry->size_bytes != largest)) {
		if (finding(l, &l->p->objects[i], -EBADMSG,
			    "the object is damaged: it has not the length that it should have") < 0)
			return err_nomem(e);
	}
	return 0;
}

static int list_node(struct listing *l, const struct node_name *n, struct err *e)
{
	char prefix[KEY_BYTES];
	struct store_list list = { .prefix = prefix, .entry = entry, .ctx = l };
	const struct verify_options *o = l->v->o;

	keys_node_prefix(prefix, n);
	strcat(prefix, "objects/"); /* shorter than the keys that KEY_BYTES has room for */
	l->prefix_len = strlen(prefix);
	return store_list(repo_store(o->repo), &list, o->cancel, e);
}

/* Every node of the plan once. */
static int list_nodes(struct listing *l, struct err *e)
{
	const struct node_name *last = NULL;
	_cleanup_(seen_deinit) struct seen nodes = { 0 };
	int r = 0;

	for (size_t i = 0; i < l->p->object_count && r >= 0; i++) {
		const struct node_name *n = l->p->objects[i].node;

		if (l->p->objects[i].grouped || n == last)
			continue;
		last = n;
		r = seen_add(&nodes, n, sizeof(*n));
		if (r < 0)
			return err_nomem(e);
		if (r == SEEN_NEW)
			r = list_node(l, n, e);
	}
	return MIN_OF(r, 0);
}

int verify_list_run(struct verify_objects *v, const struct plan *p, struct err *e)
{
	_cleanup_free_ uint8_t *listed = calloc(p->object_count + 1, sizeof(*listed));
	struct listing l = { .v = v, .p = p, .listed = listed };
	int r;

	if (!listed)
		return err_nomem(e);
	r = list_nodes(&l, e);
	for (size_t i = 0; i < p->object_count && r == 0; i++)
		if (!p->objects[i].grouped && !listed[i] &&
		    finding(&l, &p->objects[i], -ENOENT, "the object is missing") < 0)
			r = err_nomem(e);
	return r;
}
