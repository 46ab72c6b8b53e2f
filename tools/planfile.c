/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/planfile.h"

#include <fcntl.h>
#include <string.h>
#include "base/io.h"

#define FILE_BYTES_MAX (64 * MIB)
#define TEXT_MAX 4096

struct planfile {
	json_t *document;
	struct schema_name *only;
	struct schema_rename *renames;
	struct schema_dc *dcs;
	size_t only_count, rename_count, dc_count;
};

static int wrong(const char *what, struct err *e)
{
	return err_set(e, ERR_USAGE, -EINVAL, "%s is missing, or is not what a plan says there",
		       what);
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *value = NULL;

	return json_get_string(o, key, TEXT_MAX, &value, NULL) == 0 ? value : NULL;
}

/* ---- reading ---- */

static int read_only(struct planfile *f, struct err *e)
{
	const json_t *list = json_object_get(f->document, "only");
	size_t i;
	json_t *name;

	f->only = calloc(json_array_size(list) + 1, sizeof(*f->only));
	if (!f->only)
		return err_nomem(e);
	if (!json_is_array(list))
		return wrong("only", e);
	json_array_foreach(list, i, name) {
		if (!json_is_string(name) ||
		    schema_parse_name(json_string_value(name), &f->only[f->only_count++]) < 0)
			return wrong("an entry of only", e);
	}
	return 0;
}

static int read_renames(struct planfile *f, struct err *e)
{
	const json_t *list = json_object_get(f->document, "renames");
	size_t i;
	json_t *o;

	f->renames = calloc(json_array_size(list) + 1, sizeof(*f->renames));
	if (!f->renames)
		return err_nomem(e);
	if (!json_is_array(list))
		return wrong("renames", e);
	json_array_foreach(list, i, o) {
		const char *from = text_of(o, "from"), *to = text_of(o, "to");
		_cleanup_free_ char *both = from && to ? util_printf("%s=%s", from, to) : NULL;

		if (!both || schema_parse_rename(both, &f->renames[f->rename_count++]) < 0)
			return wrong("an entry of renames", e);
	}
	return 0;
}

static int read_dcs(struct planfile *f, struct err *e)
{
	const json_t *list = json_object_get(f->document, "dcs");
	size_t i;
	json_t *o;

	f->dcs = calloc(json_array_size(list) + 1, sizeof(*f->dcs));
	if (!f->dcs)
		return err_nomem(e);
	if (!json_is_array(list))
		return wrong("dcs", e);
	json_array_foreach(list, i, o) {
		const char *from = text_of(o, "from"), *to = text_of(o, "to");
		_cleanup_free_ char *both = from ? util_printf("%s=%s", from, to ? to : "") : NULL;

		if (!both || (!to && !json_is_null(json_object_get(o, "to"))) ||
		    schema_parse_dc(to ? both : from, !to, &f->dcs[f->dc_count++]) < 0)
			return wrong("an entry of dcs", e);
	}
	return 0;
}

static int read_document(struct planfile *f, struct err *e)
{
	const json_t *keep_auth;
	uint64_t format = 0;
	int r;

	if (json_get_u64(f->document, "format", &format, NULL) < 0)
		return wrong("format", e);
	if (format != CLUSTERPLAN_FORMAT)
		return err_set(e, ERR_USAGE, -ENOTSUP,
			       "it is a plan of format %llu, and this sstablefs knows %d",
			       (unsigned long long)format, CLUSTERPLAN_FORMAT);
	if (!text_of(f->document, "case") || !text_of(f->document, "name") ||
	    !text_of(f->document, "cluster"))
		return wrong("case, name or cluster", e);
	keep_auth = json_object_get(f->document, "keep_auth");
	if (keep_auth && !json_is_boolean(keep_auth))
		return wrong("keep_auth", e);
	r = read_only(f, e);
	if (r == 0)
		r = read_renames(f, e);
	return r < 0 ? r : read_dcs(f, e);
}

int planfile_read(const char *path, struct planfile **ret, struct err *e)
{
	_cleanup_(planfile_freep) struct planfile *f = calloc(1, sizeof(*f));
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = f ? io_read_file(AT_FDCWD, path, FILE_BYTES_MAX, &text, &len) : -ENOMEM;

	if (r < 0)
		return err_set(e, r == -ENOENT ? ERR_NOT_FOUND : ERR_USAGE, r,
			       "cannot read the plan %s: %s", path, strerrordesc_np(-r));
	r = json_parse(path, text, len, FILE_BYTES_MAX, &f->document, e);
	if (r < 0) {
		e->kind = ERR_USAGE;
		return r;
	}
	r = read_document(f, e);
	if (r < 0)
		return err_wrap(e, r, "the plan %s", path);
	*ret = steal_pointer(&f);
	return 0;
}

void planfile_free(struct planfile *f)
{
	json_decref(f->document);
	free(f->only);
	free(f->renames);
	free(f->dcs);
	free(f);
}

/* ---- what it is of ---- */

int planfile_check(const struct planfile *f, const char *cluster, const char *backup, struct err *e)
{
	const char *name = text_of(f->document, "name"), *of = text_of(f->document, "cluster");

	if (strcmp(name, backup) != 0 || strcmp(of, cluster) != 0)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "the plan is of backup %s of cluster %s, not of %s of %s", name, of,
			       backup, cluster);
	return 0;
}

static bool is_loaded(const struct planfile *f)
{
	return strcmp(text_of(f->document, "case"), mapping_case_name(MAPPING_LOADED)) == 0;
}

void planfile_options(const struct planfile *f, struct clusterplan_options *ret)
{
	ret->schema = (struct schema_options){ .only = f->only,
					       .only_count = f->only_count,
					       .renames = f->renames,
					       .rename_count = f->rename_count,
					       .dcs = f->dcs,
					       .dc_count = f->dc_count };
	ret->schema_of = text_of(f->document, "schema_of");
	ret->keep_auth = json_is_true(json_object_get(f->document, "keep_auth"));
	ret->load = ret->all_replicas = ret->given = is_loaded(f);
}

static const json_t *find_target(const json_t *list, const char *host)
{
	size_t i;
	json_t *o;

	json_array_foreach(list, i, o) {
		const char *name = text_of(o, "host");

		if (name && strcmp(name, host) == 0)
			return o;
	}
	return NULL;
}

int planfile_pair(const struct planfile *f, struct targets *t, struct err *e)
{
	const json_t *list = json_object_get(f->document, "targets");

	if (json_array_size(list) != t->count)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "the plan is for %zu nodes, the cluster has %zu",
			       json_array_size(list), t->count);
	for (size_t i = 0; i < t->count; i++) {
		const json_t *o = find_target(list, t->nodes[i].name);

		if (!o)
			return err_set(e, ERR_USAGE, -EINVAL, "the plan says nothing of node %s",
				       t->nodes[i].name);
		t->nodes[i].seed = json_is_true(json_object_get(o, "seed"));
		if (!is_loaded(f))
			t->nodes[i].source = text_of(o, "source");
		if (!is_loaded(f) && !t->nodes[i].source)
			return err_set(e, ERR_USAGE, -EINVAL, "the plan names no source for %s",
				       t->nodes[i].name);
	}
	return 0;
}

/* ---- what is loaded ---- */

static bool names(const struct clusterplan *p, const struct clusterplan_table *t, const json_t *row)
{
	const char *keyspace = text_of(row, "keyspace"), *table = text_of(row, "table"),
		   *source = text_of(row, "source");

	return keyspace && table && source && strcmp(t->keyspace, keyspace) == 0 &&
	       strcmp(t->table, table) == 0 && strcmp(p->sources[t->source].name, source) == 0;
}

/* Marks what the row names. A table of one source may have several directories: it was dropped and made again. */
static int mark(const struct clusterplan *p, const json_t *row, bool *chosen, struct err *e)
{
	const char *directory = text_of(row, "directory");

	for (size_t i = 0; i < p->table_count; i++)
		if (names(p, &p->tables[i], row) && directory &&
		    strcmp(p->tables[i].directory, directory) == 0) {
			chosen[i] = true;
			return 0;
		}
	return err_set(e, ERR_USAGE, -EINVAL,
		       "the plan names %s of node %s, which the backup has not, or not for it",
		       directory ? directory : "a table without its directory",
		       text_of(row, "source") ? text_of(row, "source") : "that is named");
}

static bool is_of(const struct clusterplan_table *x, const struct clusterplan_table *y)
{
	return strcmp(x->keyspace, y->keyspace) == 0 && strcmp(x->table, y->table) == 0;
}

/* Of one table, from row `first` to `end`: what is left out must be held by another source that is not, or nobody has anything of it. */
static int check_table(struct clusterplan *p, size_t first, size_t end, const bool *chosen,
		       bool partial, struct err *e)
{
	const struct clusterplan_table *t = &p->tables[first];
	_cleanup_free_ bool *available = calloc(p->source_count, sizeof(*available));
	_cleanup_(cover_deinit) struct cover cover = { .how = COVER_NONE };
	bool any = false;
	int r;

	if (!available)
		return err_nomem(e);
	for (uint32_t i = 0; i < p->source_count; i++)
		available[i] = clusterplan_knows(p, i, t->keyspace, t->table);
	for (size_t i = first; i < end; i++) {
		any |= chosen[i];
		if (!chosen[i])
			available[p->tables[i].source] = false;
	}
	if (!any)
		return 0;
	r = cover_choose(p->ring, &clusterplan_keyspace(p, t->keyspace)->replication, available,
			 true, &cover, e);
	if (r == 0 && cover.lost_ranges > 0 && partial)
		return clusterplan_note(
			p, t->keyspace, t->table, true,
			"a part of the ring is held by no source that the plan names for it", e);
	if (r == 0 && cover.lost_ranges > 0)
		return err_set(
			e, ERR_CONFLICT, -EBUSY,
			"table %s.%s: %.1f %% of the ring is held by no source that the plan names for it (--partial)",
			t->keyspace, t->table, 100 * cover.lost_share);
	return r;
}

/* Each keyspace says which nodes it is loaded from, and how often a row is sent. */
static int cover_again(struct clusterplan *p, struct clusterplan_keyspace *k, struct err *e)
{
	_cleanup_free_ bool *available = calloc(p->source_count, sizeof(*available));
	int r;

	if (!available)
		return err_nomem(e);
	for (size_t i = 0; i < p->table_count; i++)
		if (strcmp(p->tables[i].keyspace, k->name) == 0)
			available[p->tables[i].source] = true;
	cover_deinit(&k->cover);
	r = cover_choose(p->ring, &k->replication, available, true, &k->cover, e);
	if (k->cover.how == COVER_ALL)
		k->cover.how = COVER_GIVEN;
	return r;
}

static void keep_chosen(struct clusterplan *p, const bool *chosen)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->table_count; i++) {
		if (chosen[i])
			p->tables[kept++] = p->tables[i];
		else
			free(p->tables[i].directory);
	}
	p->table_count = kept;
}

int planfile_apply(const struct planfile *f, struct clusterplan *p, bool partial, struct err *e)
{
	const json_t *rows = json_object_get(f->document, "tables");
	_cleanup_free_ bool *chosen = calloc(p->table_count + 1, sizeof(*chosen));
	size_t i, end;
	json_t *row;
	int r = 0;

	if (!is_loaded(f))
		return 0;
	if (!chosen)
		return err_nomem(e);
	if (!json_is_array(rows))
		return wrong("tables", e);
	json_array_foreach(rows, i, row) {
		r = mark(p, row, chosen, e);
		if (r < 0)
			return r;
	}
	for (i = 0; r == 0 && i < p->table_count; i = end) {
		for (end = i + 1; end < p->table_count && is_of(&p->tables[i], &p->tables[end]);)
			end++;
		r = check_table(p, i, end, chosen, partial, e);
	}
	if (r < 0)
		return r;
	keep_chosen(p, chosen);
	for (i = 0; r == 0 && i < p->keyspace_count; i++)
		r = cover_again(p, &p->keyspaces[i], e);
	return r;
}
