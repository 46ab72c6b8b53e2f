/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/verify_docs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "catalog/collect.h"
#include "catalog/condemned.h"
#include "catalog/docget.h"
#include "catalog/pin.h"
#include "catalog/waits.h"

#define COLLECT_SHARE 4 /* of the memory, beside the buffers of verify itself */

struct docs {
	const struct verify_options *o;
	struct verify_find *find;
	struct verify_result *ret;
	struct node_name where;
	size_t prefix_bytes; /* of the keys that are being listed */
};

/* ---- one document ---- */

/* As docget_fn. */
static int read_list(void *ctx, const char *text, size_t len, const struct store_meta *meta,
		     struct err *e)
{
	_cleanup_(condemned_freep) struct condemned *list = condemned_new();

	return list ? condemned_add(list, text, len, e) : err_nomem(e);
}

/* As docget_fn. */
static int read_waits(void *ctx, const char *text, size_t len, const struct store_meta *meta,
		      struct err *e)
{
	_cleanup_(waits_deinit) struct waits waits = { .list = NULL };

	return waits_decode(text, len, &waits, e);
}

/* Newer versions are not damage. */
static int judge(struct docs *d, const char *key, int r, struct err *e)
{
	if (r == 0 || (r == -EFBIG && e->kind == ERR_CORRUPT) || r == -EBADMSG || r == -ENOTSUP)
		d->ret->documents_checked++;
	if (r >= 0 || r == -ENOTSUP)
		return 0;
	if (e->kind != ERR_CORRUPT)
		return r;
	return verify_find_document(d->find, key, NULL, e) < 0 ? err_nomem(e) : 0;
}

/* "<26 characters><suffix>": true, and the characters. */
static bool parse_name(const char *name, const char *suffix, char ret[ULID_TEXT])
{
	if (strlen(name) != ULID_TEXT - 1 + strlen(suffix) ||
	    strcmp(name + ULID_TEXT - 1, suffix) != 0)
		return false;
	memcpy(ret, name, ULID_TEXT - 1);
	ret[ULID_TEXT - 1] = '\0';
	return true;
}

static int on_list(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct docs *d = ctx;
	char id_text[ULID_TEXT];
	struct ulid id;
	bool waits;

	if (parse_name(entry->key + d->prefix_bytes, WAITS_SUFFIX, id_text))
		waits = true;
	else if (parse_name(entry->key + d->prefix_bytes, "", id_text))
		waits = false;
	else
		return 0;
	if (ulid_parse(&id, id_text) < 0)
		return 0;
	return judge(d, entry->key,
		     docget(repo_store(d->o->repo), entry->key,
			    waits ? WAITS_BYTES : STORE_OBJECT_MAX, waits ? read_waits : read_list,
			    NULL, d->o->cancel, e),
		     e);
}

static int on_pin(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct docs *d = ctx;
	char id_text[ULID_TEXT];
	struct ulid id;
	struct pin pin;

	if (!parse_name(entry->key + d->prefix_bytes, ".json", id_text) ||
	    ulid_parse(&id, id_text) < 0)
		return 0;
	return judge(d, entry->key,
		     pin_get(d->o->repo, &d->where, &id, &pin, NULL, d->o->cancel, e), e);
}

/* ---- which ones ---- */

static int each(struct docs *d, const char *folder, store_list_fn *fn, struct err *e)
{
	char prefix[KEY_BYTES];
	struct store_list list = { .prefix = prefix, .entry = fn, .ctx = d };

	keys_node_prefix(prefix, &d->where);
	strcat(prefix, folder); /* shorter than the keys that KEY_BYTES has room for */
	d->prefix_bytes = strlen(prefix);
	return store_list(repo_store(d->o->repo), &list, d->o->cancel, e);
}

/* What no backup needs is no damage: the collector says what it would condemn. What it cannot read is found otherwise. */
static int count_unreferenced(struct docs *d, struct err *e)
{
	const struct collect_options co = { .repo = d->o->repo,
					    .meta = d->o->meta,
					    .where = &d->where,
					    .full = true,
					    .dry_run = true,
					    .connections = MAX_OF(d->o->connections, 1U),
					    .memory_bytes = d->o->memory_bytes / COLLECT_SHARE,
					    .cancel = d->o->cancel };
	_cleanup_(collect_result_freep) struct collect_result *c = NULL;
	int r = collect_run(&co, &c, e);

	if (r < 0)
		return r;
	d->ret->unreferenced_objects += c->condemned_objects;
	d->ret->unreferenced_bytes += c->condemned_bytes;
	d->ret->awaiting_objects += c->awaiting_objects;
	d->ret->foreign_count += c->foreign_count;
	return 0;
}

/* As repo_name_fn. */
static int on_foreign(void *ctx, const char *key, struct err *e)
{
	struct docs *d = ctx;

	return ++d->ret->foreign_count >= COLLECT_FOREIGN;
}

/* Above the nodes. cluster NULL: at the top. Who may not list there, verifies all the same. */
static int count_foreign(struct docs *d, const char *cluster, struct err *e)
{
	struct err mine = ERR_INIT;
	int r = d->o->node || d->o->slices > 1 ? 0
					       : repo_list_foreign(d->o->repo, cluster, on_foreign,
								   d, d->o->cancel, &mine);

	if (r == 0 || r == -EACCES || mine.kind == ERR_CREDENTIALS)
		return 0;
	*e = mine;
	return r;
}

static int check_node(struct docs *d, struct err *e)
{
	int r = each(d, "pins/", on_pin, e);

	if (r == 0)
		r = each(d, "condemned/", on_list, e);
	if (r == 0 && d->o->all_nodes && d->o->slices <= 1)
		r = count_unreferenced(d, e);
	return r;
}

static int on_node(void *ctx, const char *name, struct err *e)
{
	struct docs *d = ctx;

	if (d->o->node && strcmp(d->o->node, name) != 0)
		return 0;
	snprintf(d->where.node, sizeof(d->where.node), "%s", name);
	return check_node(d, e);
}

static int on_cluster(void *ctx, const char *name, struct err *e)
{
	struct docs *d = ctx;
	int r;

	snprintf(d->where.cluster, sizeof(d->where.cluster), "%s", name);
	if (d->o->node)
		return on_node(d, d->o->node, e);
	r = count_foreign(d, name, e);
	return r < 0 ? r : repo_list_nodes(d->o->repo, name, on_node, d, d->o->cancel, e);
}

static int nodes_of_records(struct docs *d, struct err *e)
{
	_cleanup_(seen_deinit) struct seen nodes = { 0 };
	int r = 0;

	for (size_t i = 0; i < d->o->record_count && r >= 0; i++) {
		const struct node_name *n = &d->o->records[i]->where;
		char name[KEY_BYTES];

		keys_node_prefix(name, n);
		r = seen_add(&nodes, name, strlen(name));
		if (r < 0)
			return err_nomem(e);
		d->where = *n;
		if (r == SEEN_NEW)
			r = check_node(d, e);
	}
	return MIN_OF(r, 0);
}

/* Credentials that are confined to what is named may list nothing above it. */
int verify_docs_run(const struct verify_options *o, struct verify_find *f,
		    struct verify_result *ret, struct err *e)
{
	struct docs d = { .o = o, .find = f, .ret = ret };
	int r;

	if (!o->all_nodes)
		return nodes_of_records(&d, e);
	r = count_foreign(&d, NULL, e);
	if (r < 0)
		return r;
	return o->cluster ? on_cluster(&d, o->cluster, e)
			  : repo_list_clusters(o->repo, on_cluster, &d, o->cancel, e);
}
