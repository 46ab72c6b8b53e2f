/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/survey.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include "catalog/parallel.h"
#include "catalog/surveyfile.h"

#define SURVEY_THREADS 8

struct reading {
	struct meta *m;
	struct repo *repo;
	const struct survey_options *o;
	const struct cancel *c;
	const char *cluster; /* whose nodes are being listed */
	size_t node_cap;
	pthread_mutex_t lock; /* of all that follows, and of the arrays of the survey */
	struct survey *s;
	size_t cap, names_cap, damaged_cap;
	uint64_t *sizes; /* of the entries: size and time as listed */
	int64_t *modified;
	size_t sizes_cap, modified_cap;
	struct survey *known; /* what was read before; NULL: nothing */
	uint32_t *by_writer;  /* its entries */
	int64_t known_whole_ns;
	size_t used; /* of what was known, how many are still there */
};

/* ---- what was known before ---- */

static int compare_writers(const void *a, const void *b, void *ctx)
{
	const struct survey_entry *entries = ctx;

	return memcmp(entries[*(const uint32_t *)a].writer.b,
		      entries[*(const uint32_t *)b].writer.b, ULID_BYTES);
}

/* Local state only saves work: whatever is wrong with it, the survey goes on without. */
static void recall(struct reading *g)
{
	if (!g->o->path ||
	    surveyfile_load(g->o->path, repo_id(g->repo), &g->known, &g->known_whole_ns, NULL) < 0)
		return;
	g->by_writer = malloc((g->known->count + 1) * sizeof(*g->by_writer));
	if (!g->by_writer) {
		survey_free(g->known);
		g->known = NULL;
		return;
	}
	for (size_t i = 0; i < g->known->count; i++)
		g->by_writer[i] = (uint32_t)i;
	if (g->known->count > 0)
		qsort_r(g->by_writer, g->known->count, sizeof(*g->by_writer), compare_writers,
			g->known->entries);
}

static bool is_same(const struct reading *g, const struct survey_entry *old,
		    const struct survey_entry *x, const char *name)
{
	return memcmp(old->etag.b, x->etag.b, sizeof(x->etag.b)) == 0 &&
	       keys_node_equal(survey_node(g->known, old), survey_node(g->s, x)) &&
	       strcmp(survey_name(g->known, old), name) == 0;
}

/* The entry of the same record in the same version, or NULL. */
static const struct survey_entry *find_known(const struct reading *g, const struct survey_entry *x,
					     const char *name)
{
	static const struct xxh128 none;
	size_t low = 0, high = g->known ? g->known->count : 0;

	if (memcmp(x->etag.b, none.b, sizeof(none.b)) == 0)
		return NULL;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct survey_entry *old = &g->known->entries[g->by_writer[middle]];
		int r = memcmp(old->writer.b, x->writer.b, ULID_BYTES);

		if (r == 0)
			return is_same(g, old, x, name) ? old : NULL;
		if (r < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* ---- which records there are ---- */

static int add_node(void *ctx, const char *name, struct err *e)
{
	struct reading *g = ctx;
	struct node_name *n;

	if (g->o->node && strcmp(g->o->node, name) != 0)
		return 0;
	if (util_grow(&g->s->nodes, &g->node_cap, g->s->node_count + 1, sizeof(*n)) < 0)
		return err_nomem(e);
	n = &g->s->nodes[g->s->node_count++];
	memset(n, 0, sizeof(*n));
	memcpy(n->cluster, g->cluster, strlen(g->cluster) + 1);
	memcpy(n->node, name, strlen(name) + 1);
	return 0;
}

static int add_cluster(void *ctx, const char *name, struct err *e)
{
	struct reading *g = ctx;

	g->cluster = name;
	return g->o->node ? add_node(g, g->o->node, e)
			  : repo_list_nodes(g->repo, name, add_node, g, g->c, e);
}

static int make_room(struct reading *g, size_t name_bytes, struct err *e)
{
	struct survey *s = g->s;

	if (s->count == SURVEY_RECORDS_MAX)
		return err_set(
			e, ERR_USAGE, -EFBIG,
			"there are more than %d backups: name a part with --cluster, or --node",
			SURVEY_RECORDS_MAX);
	if (util_grow(&s->entries, &g->cap, s->count + 1, sizeof(*s->entries)) < 0 ||
	    util_grow(&g->sizes, &g->sizes_cap, s->count + 1, sizeof(*g->sizes)) < 0 ||
	    util_grow(&g->modified, &g->modified_cap, s->count + 1, sizeof(*g->modified)) < 0 ||
	    util_grow(&s->names, &g->names_cap, s->names_bytes + name_bytes, 1) < 0)
		return err_nomem(e);
	return 0;
}

struct listing {
	struct reading *g;
	uint32_t node;
};

static uint8_t log2_at_least(uint64_t n)
{
	uint8_t log2 = 0;

	while (log2 < 63 && UINT64_C(1) << log2 < n)
		log2++;
	return log2;
}

/* The lock is held. */
static int append(struct reading *g, uint32_t node, const struct record_key *key, struct err *e)
{
	size_t name_bytes = strlen(key->backup) + 1;
	struct survey *s = g->s;
	struct survey_entry x = { .writer = key->writer,
				  .node = node,
				  .name = (uint32_t)s->names_bytes,
				  .size_log2 = log2_at_least(key->size_bytes) };
	const struct survey_entry *old;
	int r = make_room(g, name_bytes, e);

	if (r < 0)
		return r;
	if (*key->etag)
		x.etag = digest_xxh128(key->etag, strlen(key->etag));
	old = find_known(g, &x, key->backup);
	if (old) {
		x = *old;
		x.node = node;
		x.name = (uint32_t)s->names_bytes;
		g->used++;
	}
	memcpy(s->names + s->names_bytes, key->backup, name_bytes);
	s->names_bytes += name_bytes;
	g->sizes[s->count] = old ? 0 : key->size_bytes + 1; /* 0: it need not be fetched */
	g->modified[s->count] = key->modified_ns;
	s->entries[s->count++] = x;
	return 0;
}

static int add_record(void *ctx, const struct record_key *key, struct err *e)
{
	struct listing *l = ctx;
	int r;

	pthread_mutex_lock(&l->g->lock);
	r = append(l->g, l->node, key, e);
	pthread_mutex_unlock(&l->g->lock);
	return r;
}

static int list_node(void *ctx, size_t i, unsigned worker, struct err *e)
{
	struct reading *g = ctx;
	struct listing l = { g, (uint32_t)i };

	(void)worker;
	return repo_list_records(g->repo, &g->s->nodes[i], NULL, add_record, &l, g->c, e);
}

/* ---- what they say ---- */

static void take_record(struct survey_entry *x, const struct record *r)
{
	x->store_time_ns = r->store_time_ns;
	x->started_ns = r->started_ns;
	x->finished_ns = r->finished_ns;
	x->total_bytes = r->total_bytes;
	x->new_bytes = r->new_bytes;
	x->file_count = r->file_count;
	x->peer_count = (uint32_t)r->peer_count;
	x->state = (uint8_t)r->state;
	x->peers_known = r->peers_known;
	x->refused = (uint8_t)r->refused;
}

/* An entry whose record is gone or damaged is dropped by survey_group: its node does not exist. */
static void drop(struct survey_entry *x)
{
	x->node = UINT32_MAX;
}

static int note_damage(struct reading *g, struct survey_entry *x, const struct record_key *key,
		       const char *reason, struct err *e)
{
	struct survey *s = g->s;
	struct survey_damage d = { .node = x->node };
	char text[KEY_BYTES];
	int r = 0;

	d.key = strdup(keys_record(text, &s->nodes[x->node], key->backup, &key->writer));
	d.reason = strdup(reason);
	d.backup = strdup(key->backup);
	pthread_mutex_lock(&g->lock);
	if (d.key && d.reason && d.backup &&
	    util_grow(&s->damaged, &g->damaged_cap, s->damaged_count + 1, sizeof(d)) == 0) {
		s->damaged[s->damaged_count++] = d;
	} else {
		free(d.key);
		free(d.reason);
		free(d.backup);
		r = err_nomem(e);
	}
	pthread_mutex_unlock(&g->lock);
	drop(x);
	return r;
}

/* No array grows any more. */
static int fetch(void *ctx, size_t i, unsigned worker, struct err *e)
{
	_cleanup_(record_freep) struct record *record = NULL;
	struct reading *g = ctx;
	struct survey_entry *x = &g->s->entries[i];
	struct record_key key = { .writer = x->writer,
				  .size_bytes = g->sizes[i] - 1,
				  .modified_ns = g->modified[i] };
	int r;

	(void)worker;
	if (g->sizes[i] == 0)
		return 0;
	strcpy(key.backup, survey_name(g->s, x));
	r = meta_record(g->m, survey_node(g->s, x), &key, &record, g->c, e);
	if (r == 0)
		take_record(x, record);
	else if (r > 0)
		drop(x);
	else if (e->kind == ERR_CORRUPT || r == -ENOTSUP)
		return note_damage(g, x, &key, e->message, e);
	return MIN_OF(r, 0);
}

/* ---- all together ---- */

static int list_all(struct reading *g, struct err *e)
{
	const struct survey_options *o = g->o;
	int r = o->cluster ? keys_check_name("cluster", o->cluster, e) : 0;

	if (r == 0 && o->node)
		r = keys_check_name("node", o->node, e);
	if (r == 0)
		r = o->cluster ? add_cluster(g, o->cluster, e)
			       : repo_list_clusters(g->repo, add_cluster, g, g->c, e);
	if (r < 0)
		return r;
	return parallel_run("survey", o->threads ? o->threads : SURVEY_THREADS, g->s->node_count,
			    list_node, g, e);
}

static int fetch_all(struct reading *g, struct err *e)
{
	for (size_t i = 0; i < g->s->count; i++)
		g->s->fetched += g->sizes[i] != 0;
	return parallel_run("survey", g->o->threads ? g->o->threads : SURVEY_THREADS, g->s->count,
			    fetch, g, e);
}

static bool in_scope(const struct survey_options *o, const struct node_name *n)
{
	return (!o->cluster || strcmp(o->cluster, n->cluster) == 0) &&
	       (!o->node || strcmp(o->node, n->node) == 0);
}

/* What was known of other parts is kept beside what was read of this one: their nodes and names only, or the file would grow with each survey. */
static void add_known(struct survey *all, const struct survey *known, size_t i, uint32_t *places)
{
	struct survey_entry *x = &all->entries[all->count];
	const char *name = survey_name(known, &known->entries[i]);
	size_t name_bytes = strlen(name) + 1;
	uint32_t *place;

	*x = known->entries[i];
	place = &places[x->node];
	if (*place == UINT32_MAX) {
		*place = (uint32_t)all->node_count;
		all->nodes[all->node_count++] = known->nodes[x->node];
	}
	x->node = *place;
	x->name = (uint32_t)all->names_bytes;
	memcpy(all->names + all->names_bytes, name, name_bytes);
	all->names_bytes += name_bytes;
	all->count++;
}

static int add_the_rest(struct reading *g, struct survey *all, struct err *e)
{
	const struct survey *s = g->s, *known = g->known;
	_cleanup_free_ uint32_t *places = malloc((known->node_count + 1) * sizeof(*places));
	size_t names = s->names_bytes;

	for (size_t i = 0; i < known->count; i++)
		names += strlen(survey_name(known, &known->entries[i])) + 1;
	all->nodes = malloc((s->node_count + known->node_count + 1) * sizeof(*all->nodes));
	all->names = malloc(names + 1);
	all->entries = malloc((s->count + known->count + 1) * sizeof(*all->entries));
	if (!places || !all->nodes || !all->names || !all->entries || names > UINT32_MAX)
		return err_nomem(e);
	memset(places, 0xff, known->node_count * sizeof(*places));
	all->node_count = s->node_count;
	all->names_bytes = s->names_bytes;
	all->count = s->count;
	if (s->count > 0) {
		memcpy(all->nodes, s->nodes, s->node_count * sizeof(*s->nodes));
		memcpy(all->names, s->names, s->names_bytes);
		memcpy(all->entries, s->entries, s->count * sizeof(*s->entries));
	}
	for (size_t i = 0; i < known->count && all->count < SURVEY_RECORDS_MAX; i++)
		if (!in_scope(g->o, &known->nodes[known->entries[i].node]))
			add_known(all, known, i, places);
	return 0;
}

/* Only a convenience: where it cannot be written, more is read the next time. */
static void keep(struct reading *g)
{
	_cleanup_(survey_freep) struct survey *all = NULL;
	const struct survey_options *o = g->o;
	bool whole = !o->cluster && !o->node;
	int64_t whole_ns = whole ? clock_wall_ns(repo_clock(g->repo)) : g->known_whole_ns;
	const char *id = repo_id(g->repo);

	if (!o->path)
		return;
	if (whole && g->known && g->used == g->known->count && g->used == g->s->count) {
		(void)surveyfile_touch(o->path, whole_ns);
	} else if (whole || !g->known) {
		(void)surveyfile_save(o->path, id, g->s, whole ? whole_ns : 0, NULL);
	} else if (g->s->fetched > 0) {
		all = calloc(1, sizeof(*all));
		if (all && add_the_rest(g, all, NULL) == 0)
			(void)surveyfile_save(o->path, id, all, whole_ns, NULL);
	}
}

static void reading_deinit(struct reading *g)
{
	survey_free(g->s);
	survey_free(g->known);
	free(g->by_writer);
	free(g->sizes);
	free(g->modified);
	pthread_mutex_destroy(&g->lock);
}

int survey_read(struct meta *m, struct repo *r, const struct survey_options *o, struct survey **ret,
		const struct cancel *c, struct err *e)
{
	_cleanup_(reading_deinit) struct reading g = { .m = m, .repo = r, .o = o, .c = c };
	struct err mine = ERR_INIT;
	int q;

	pthread_mutex_init(&g.lock, NULL);
	g.s = calloc(1, sizeof(*g.s));
	if (!g.s)
		return err_nomem(e);
	recall(&g);
	q = list_all(&g, &mine);
	if (q == 0)
		q = fetch_all(&g, &mine);
	if (q == 0)
		q = survey_group(g.s, &mine);
	if (q < 0) {
		if (e)
			*e = mine;
		return q;
	}
	keep(&g);
	*ret = steal_pointer(&g.s);
	return 0;
}
