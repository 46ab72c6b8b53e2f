/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/find.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "catalog/parallel.h"

#define FIND_THREADS 8
#define FIND_RECORDS_MAX (4 * (size_t)FORMAT_LISTED) /* at once, of all nodes together */
#define FIND_NAMES_BYTES 512			     /* of the names that an error lists */

/* ---- which records there are ---- */

struct candidate {
	struct node_name *where; /* owned by search.nodes */
	struct record_key key;
	struct record *record; /* fetched; NULL: gone meanwhile, damaged, or of no wanted state */
	struct find_damage damage;
};

struct search {
	struct meta *m;
	struct repo *repo;
	const struct find_options *o;
	const struct cancel *c;
	const char *cluster; /* whose nodes are being listed */
	struct node_name **nodes;
	size_t node_count, node_cap;
	struct candidate *candidates;
	size_t count, cap;
};

static void search_deinit(struct search *s)
{
	for (size_t i = 0; i < s->node_count; i++)
		free(s->nodes[i]);
	for (size_t i = 0; i < s->count; i++) {
		record_free(s->candidates[i].record);
		free(s->candidates[i].damage.key);
		free(s->candidates[i].damage.reason);
	}
	free(s->nodes);
	free(s->candidates);
}

static int add_record(void *ctx, const struct record_key *key, struct err *e)
{
	struct search *s = ctx;

	if (s->count == FIND_RECORDS_MAX)
		return err_set(
			e, ERR_USAGE, -EFBIG,
			"there are more than %zu backups: name one with --cluster, or --node",
			FIND_RECORDS_MAX);
	if (util_grow(&s->candidates, &s->cap, s->count + 1, sizeof(*s->candidates)) < 0)
		return err_nomem(e);
	s->candidates[s->count++] =
		(struct candidate){ .where = s->nodes[s->node_count - 1], .key = *key };
	return 0;
}

static int add_node(void *ctx, const char *name, struct err *e)
{
	struct search *s = ctx;
	struct node_name *n;

	if (s->o->node && strcmp(s->o->node, name) != 0)
		return 0;
	if (util_grow(&s->nodes, &s->node_cap, s->node_count + 1, sizeof(*s->nodes)) < 0)
		return err_nomem(e);
	n = calloc(1, sizeof(*n));
	if (!n)
		return err_nomem(e);
	memcpy(n->cluster, s->cluster, strlen(s->cluster) + 1);
	memcpy(n->node, name, strlen(name) + 1);
	s->nodes[s->node_count++] = n;
	return repo_list_records(s->repo, n, s->o->backup, add_record, s, s->c, e);
}

static int add_cluster(void *ctx, const char *name, struct err *e)
{
	struct search *s = ctx;

	s->cluster = name;
	if (s->o->node)
		return add_node(s, s->o->node, e);
	return repo_list_nodes(s->repo, name, add_node, s, s->c, e);
}

static int check_names(const struct find_options *o, struct err *e)
{
	int r = 0;

	if (o->cluster)
		r = keys_check_name("cluster", o->cluster, e);
	if (r == 0 && o->node)
		r = keys_check_name("node", o->node, e);
	if (r == 0 && o->backup)
		r = keys_check_name("backup", o->backup, e);
	return r;
}

/* ---- what they say ---- */

static bool wanted(const struct find_options *o, const struct record *record)
{
	return o->all_states || record->state == RECORD_OPEN || record->state == RECORD_COMMITTED;
}

static int note_damage(struct candidate *k, struct err *e)
{
	char key[KEY_BYTES];

	k->damage.key = strdup(keys_record(key, k->where, k->key.backup, &k->key.writer));
	k->damage.reason = strdup(e->message);
	return k->damage.key && k->damage.reason ? 0 : err_nomem(e);
}

static int fetch_record(void *ctx, size_t i, unsigned worker, struct err *e)
{
	struct search *s = ctx;
	struct candidate *k = &s->candidates[i];
	int r = meta_record(s->m, k->where, &k->key, &k->record, s->c, e);

	if (r < 0)
		return (e->kind == ERR_CORRUPT || r == -ENOTSUP) && s->o->keep_damaged
			       ? note_damage(k, e)
			       : r;
	if (r == 0 && !wanted(s->o, k->record)) {
		record_free(k->record);
		k->record = NULL;
	}
	if (k->record && s->o->roots_only)
		record_trim(k->record);
	return 0;
}

/* ---- the result ---- */

static int compare_newest_first(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (!x->record || !y->record)
		return !x->record - !y->record;
	return record_compare_age(y->record, x->record);
}

/* Hands the damage of the candidates over, in the order in which they were listed. */
static int take_damage(struct search *s, struct found *f, struct err *e)
{
	f->damaged = calloc(s->count + 1, sizeof(*f->damaged));
	if (!f->damaged)
		return err_nomem(e);
	for (size_t i = 0; i < s->count; i++) {
		struct find_damage *d = &s->candidates[i].damage;

		if (d->key)
			f->damaged[f->damaged_count++] = *d;
		*d = (struct find_damage){ 0 };
	}
	return 0;
}

static int take_records(struct search *s, struct found *f, struct err *e)
{
	f->records = calloc(s->count + 1, sizeof(*f->records));
	f->etags = calloc(s->count + 1, sizeof(*f->etags));
	if (!f->records || !f->etags)
		return err_nomem(e);
	if (s->count > 0)
		qsort(s->candidates, s->count, sizeof(*s->candidates), compare_newest_first);
	for (; f->count < s->count && s->candidates[f->count].record; f->count++) {
		struct candidate *k = &s->candidates[f->count];

		f->records[f->count] = steal_pointer(&k->record);
		memcpy(f->etags[f->count], k->key.etag, STORE_ETAG_MAX);
	}
	return 0;
}

int find_records(struct meta *m, struct repo *r, const struct find_options *o, struct found **ret,
		 const struct cancel *c, struct err *e)
{
	_cleanup_(search_deinit) struct search s = { .m = m, .repo = r, .o = o, .c = c };
	_cleanup_(found_freep) struct found *f = calloc(1, sizeof(*f));
	struct err mine = ERR_INIT;
	int q;

	if (!f)
		return err_nomem(e);
	q = check_names(o, &mine);
	if (q == 0 && o->cluster)
		q = add_cluster(&s, o->cluster, &mine);
	else if (q == 0)
		q = repo_list_clusters(r, add_cluster, &s, c, &mine);
	if (q >= 0)
		q = parallel_run("find", o->threads ? o->threads : FIND_THREADS, s.count,
				 fetch_record, &s, &mine);
	if (q >= 0)
		q = take_damage(&s, f, &mine);
	if (q >= 0)
		q = take_records(&s, f, &mine);
	if (q < 0) {
		if (e)
			*e = mine;
		return q;
	}
	*ret = steal_pointer(&f);
	return 0;
}

void found_free(struct found *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->count; i++)
		record_free(f->records[i]);
	for (size_t i = 0; i < f->damaged_count; i++) {
		free(f->damaged[i].key);
		free(f->damaged[i].reason);
	}
	free(f->records);
	free(f->etags);
	free(f->damaged);
	free(f);
}

/* ---- the one that is meant ---- */

static const char *name_of(const struct record *record, bool cluster)
{
	return cluster ? record->where.cluster : record->where.node;
}

/* The different clusters (or nodes) of the committed records, as "a, b, c"; returns how many there are. */
static size_t list_names(const struct found *f, bool cluster, char *out, size_t size)
{
	size_t names = 0, len = 0;

	*out = '\0';
	for (size_t i = 0; i < f->count; i++) {
		const char *name = name_of(f->records[i], cluster);
		bool seen = f->records[i]->state != RECORD_COMMITTED;

		for (size_t k = 0; k < i && !seen; k++)
			seen = f->records[k]->state == RECORD_COMMITTED &&
			       strcmp(name_of(f->records[k], cluster), name) == 0;
		if (seen)
			continue;
		if (len + strlen(name) + 3 < size)
			len += (size_t)snprintf(out + len, size - len, "%s%s", names ? ", " : "",
						name);
		names++;
	}
	return names;
}

/* The newest committed record; of that node where node is given. NULL: none. The records are newest first. */
static struct record **pick(struct found *f, const char *node)
{
	for (size_t i = 0; i < f->count; i++) {
		struct record *record = f->records[i];

		if (record->state == RECORD_COMMITTED &&
		    (!node || strcmp(record->where.node, node) == 0))
			return &f->records[i];
	}
	return NULL;
}

static int none(const struct found *f, const char *cluster, const char *node, const char *backup,
		struct err *e)
{
	if (f->count > 0)
		return err_set(
			e, ERR_NOT_FOUND, -ENOENT,
			"backup %s of node %s is not finished: it was begun, and never committed",
			backup, f->records[0]->where.node);
	return err_set(e, ERR_NOT_FOUND, -ENOENT,
		       "there is no backup %s%s%s%s%s (sstablefs list shows all)", backup,
		       node ? " of node " : "", node ? node : "", cluster ? " in cluster " : "",
		       cluster ? cluster : "");
}

static int choose(struct found *f, const struct find_options *o, const char *default_node,
		  struct record ***ret, struct err *e)
{
	char names[FIND_NAMES_BYTES];

	if (!pick(f, NULL))
		return none(f, o->cluster, o->node, o->backup, e);
	if (list_names(f, true, names, sizeof(names)) > 1)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "several clusters have a backup %s: name one with --cluster (%s)",
			       o->backup, names);
	*ret = default_node && !o->node ? pick(f, default_node) : NULL;
	if (*ret)
		return 0;
	if (list_names(f, false, names, sizeof(names)) > 1)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "several nodes have a backup %s: name one with --node (%s)",
			       o->backup, names);
	*ret = pick(f, NULL);
	return 0;
}

int find_one(struct meta *m, struct repo *r, const char *cluster, const char *node,
	     const char *backup, const char *default_node, struct record **ret,
	     const struct cancel *c, struct err *e)
{
	const struct find_options o = { .cluster = cluster, .node = node, .backup = backup };
	_cleanup_(found_freep) struct found *f = NULL;
	struct record **chosen = NULL;
	int q = find_records(m, r, &o, &f, c, e);

	if (q < 0)
		return q;
	q = choose(f, &o, default_node, &chosen, e);
	if (q < 0)
		return q;
	*ret = steal_pointer(chosen);
	return 0;
}
