/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include "fs/view_private.h"

#define REFRESH_THREADS 8

/* ---- names ---- */

void view_names_free(struct view_names *n)
{
	free(n->names);
	free(n);
}

int view_names_add(struct view_names **names, size_t *cap, const char *name)
{
	int r;

	if (!*names)
		*names = calloc(1, sizeof(**names));
	if (!*names)
		return -ENOMEM;
	r = util_grow(&(*names)->names, cap, (*names)->count + 1, sizeof((*names)->names[0]));
	if (r < 0)
		return r;
	strncpy((*names)->names[(*names)->count], name, FORMAT_NAME_BYTES);
	(*names)->names[(*names)->count++][FORMAT_NAME_BYTES] = '\0';
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

void view_names_sort(struct view_names *n)
{
	size_t kept = 0;

	if (n->count > 0)
		qsort(n->names, n->count, sizeof(n->names[0]), compare_names);
	for (size_t i = 0; i < n->count; i++)
		if (kept == 0 || strcmp(n->names[kept - 1], n->names[i]) != 0)
			memmove(n->names[kept++], n->names[i], sizeof(n->names[0]));
	n->count = kept;
}

bool view_names_has(const struct view_names *n, const char *name)
{
	return n && n->count > 0 &&
	       bsearch(name, n->names, n->count, sizeof(n->names[0]), compare_names) != NULL;
}

static struct view_names *copy_names(const struct view_names *from)
{
	struct view_names *n = calloc(1, sizeof(*n));
	size_t bytes = from ? from->count * sizeof(from->names[0]) : 0;

	if (!n)
		return NULL;
	n->names = malloc(bytes + 1);
	if (!n->names) {
		free(n);
		return NULL;
	}
	if (bytes > 0) {
		memcpy(n->names, from->names, bytes);
		n->count = from->count;
	}
	return n;
}

/* ---- telling the kernel ---- */

void view_forget_name(struct view *v, const char *dir_path, const char *name)
{
	struct id256 digest = inode_dir_digest(dir_path);
	uint64_t ino = INODE_ROOT;

	if (*dir_path && index_path(v->o.index, &digest, dir_path, NULL, &ino, NULL) < 0)
		return;
	v->o.notify.entry(v->o.notify.ctx, ino, name);
}

/* Names that are in only one of two sorted lists. */
static void forget_differences(struct view *v, const char *dir_path, const struct view_names *a,
			       const struct view_names *b)
{
	for (size_t i = 0; a && i < a->count; i++)
		if (!view_names_has(b, a->names[i]))
			view_forget_name(v, dir_path, a->names[i]);
	for (size_t i = 0; b && i < b->count; i++)
		if (!view_names_has(a, b->names[i]))
			view_forget_name(v, dir_path, b->names[i]);
}

/* ---- lists: clusters, nodes of a cluster, backup names of a cluster ---- */

struct collect {
	struct view_names *names;
	size_t cap;
	const char *only;
	struct view_node *known; /* the node that is listed, if it was looked at */
};

static int collect_name(void *ctx, const char *name, struct err *e)
{
	struct collect *c = ctx;

	if (c->only && strcmp(c->only, name) != 0)
		return 0;
	return view_names_add(&c->names, &c->cap, name) < 0 ? err_nomem(e) : 0;
}

static int collect_backup(void *ctx, const struct record_key *key, struct err *e)
{
	const struct collect *c = ctx;

	return c->known && view_node_knows_ended(c->known, key) ? 0
								: collect_name(ctx, key->backup, e);
}

/* Publishes what a job collected, then tells the kernel about what came and went. Steals c->names. */
static void finish_list(struct view_list *l, struct collect *c, int result, struct err *e,
			const char *dir_path)
{
	struct looker *k = &l->view->looker;
	struct view_names *old = NULL;

	if (result >= 0 && !c->names)
		c->names = calloc(1, sizeof(*c->names));
	if (result >= 0 && !c->names)
		result = err_nomem(e);
	if (result >= 0)
		view_names_sort(c->names);
	pthread_mutex_lock(&k->lock);
	if (result >= 0) {
		old = l->names;
		l->names = c->names;
		look_publish(k, &l->look);
		look_settle(k, &l->look);
	}
	pthread_mutex_unlock(&k->lock);
	if (result < 0) {
		log_write(l->view->o.log, LOG_LEVEL_WARNING, "refresh-failed", "cannot list %s: %s",
			  *dir_path ? dir_path : "the clusters", e->message);
		if (c->names)
			view_names_free(c->names);
	} else if (old) {
		forget_differences(
			l->view, dir_path, old,
			l->names); /* only this job replaces l->names, so it can be read without the lock */
	}
	if (old)
		view_names_free(old);
	pthread_mutex_lock(&k->lock);
	look_end(k, &l->look, result, e);
	pthread_mutex_unlock(&k->lock);
}

/* The only node that is shown, if it is there, by a name of it: asked for by itself, as credentials that are confined to it permit no listing above it. */
static int collect_named(struct view *v, const char *name, struct collect *c, struct err *e)
{
	struct node_name n;
	int r;

	snprintf(n.cluster, sizeof(n.cluster), "%s", v->o.cluster);
	snprintf(n.node, sizeof(n.node), "%s", v->o.node);
	r = repo_has_node(v->o.repo, &n, v->o.cancel, e);
	return r == REPO_THERE ? collect_name(c, name, e) : r;
}

static int collect_clusters(struct view *v, struct collect *c, struct err *e)
{
	if (v->o.cluster && v->o.node)
		return collect_named(v, v->o.cluster, c, e);
	return repo_list_clusters(v->o.repo, collect_name, c, v->o.cancel, e);
}

static int collect_nodes(struct view *v, const char *cluster, struct collect *c, struct err *e)
{
	if (v->o.cluster && v->o.node)
		return strcmp(v->o.cluster, cluster) == 0 ? collect_named(v, v->o.node, c, e) : 0;
	return repo_list_nodes(v->o.repo, cluster, collect_name, c, v->o.cancel, e);
}

static void clusters_job(void *arg)
{
	struct view_list *l = arg;
	struct view *v = l->view;
	struct collect c = { .only = v->o.cluster };
	struct err e = ERR_INIT;
	int r = collect_clusters(v, &c, &e);

	finish_list(l, &c, r, &e, "");
}

static void nodes_job(void *arg)
{
	struct view_list *l = arg;
	struct view *v = l->view;
	struct collect c = { .only = v->o.node };
	_cleanup_free_ char *path = util_printf("%s/nodes", l->cluster);
	struct err e = ERR_INIT;
	int r = path ? collect_nodes(v, l->cluster, &c, &e) : err_nomem(&e);

	finish_list(l, &c, r, &e, path ? path : "");
}

static int list_all_records(struct view *v, const char *cluster, struct collect *c, struct err *e)
{
	_cleanup_(view_names_freep) struct view_names *nodes = NULL;
	struct collect n = { .only = v->o.node };
	int r = collect_nodes(v, cluster, &n, e);

	nodes = n.names;
	for (size_t i = 0; r >= 0 && nodes && i < nodes->count; i++) {
		struct node_name name;

		strcpy(name.cluster, cluster);
		strcpy(name.node, nodes->names[i]);
		c->known = view_known(v, cluster, name.node);
		r = repo_list_records(v->o.repo, &name, NULL, collect_backup, c, v->o.cancel, e);
		if (r >= 0 && c->names)
			view_names_sort(
				c->names); /* drops what several nodes hold, so the list stays small */
	}
	return r;
}

static void backups_job(void *arg)
{
	struct view_list *l = arg;
	struct view *v = l->view;
	struct collect c = { .only = NULL };
	_cleanup_free_ char *path = util_printf("%s/backups", l->cluster);
	struct err e = ERR_INIT;
	int r = path ? list_all_records(v, l->cluster, &c, &e) : err_nomem(&e);

	finish_list(l, &c, r, &e, path ? path : "");
}

/* The list of a cluster, made at the first look. With the lock held; NULL: out of memory. */
static struct view_list *list_of(struct view *v, struct view_list **lists, const char *cluster)
{
	struct view_list *l;

	for (l = *lists; l; l = l->next)
		if (strcmp(l->cluster, cluster) == 0)
			return l;
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->view = v;
	strncpy(l->cluster, cluster, FORMAT_NAME_BYTES);
	l->next = *lists;
	*lists = l;
	return l;
}

static int get_names(struct view *v, struct view_list *l, pool_fn *job, struct view_wait w,
		     struct view_names **ret, struct err *e)
{
	int r = look_at(&v->looker, &l->look, job, l, w, e);

	if (r != 0)
		return r;
	*ret = copy_names(l->names);
	return *ret ? 0 : err_nomem(e);
}

int view_clusters(struct view *v, struct view_wait w, struct view_names **ret, struct err *e)
{
	int r;

	pthread_mutex_lock(&v->looker.lock);
	r = get_names(v, &v->clusters, clusters_job, w, ret, e);
	pthread_mutex_unlock(&v->looker.lock);
	return r;
}

int view_has_cluster(struct view *v, const char *cluster, struct view_wait w, struct err *e)
{
	int r;

	pthread_mutex_lock(&v->looker.lock);
	r = look_at(&v->looker, &v->clusters.look, clusters_job, &v->clusters, w, e);
	if (r == 0 && !view_names_has(v->clusters.names, cluster))
		r = VIEW_ABSENT;
	pthread_mutex_unlock(&v->looker.lock);
	return r;
}

static int cluster_list(struct view *v, struct view_list **lists, const char *cluster, pool_fn *job,
			struct view_wait w, struct view_names **ret, struct err *e)
{
	struct view_list *l;
	int r = view_has_cluster(v, cluster, w, e);

	if (r != 0)
		return r;
	pthread_mutex_lock(&v->looker.lock);
	l = list_of(v, lists, cluster);
	r = l ? get_names(v, l, job, w, ret, e) : err_nomem(e);
	pthread_mutex_unlock(&v->looker.lock);
	return r;
}

int view_nodes(struct view *v, const char *cluster, struct view_wait w, struct view_names **ret,
	       struct err *e)
{
	return cluster_list(v, &v->nodes, cluster, nodes_job, w, ret, e);
}

int view_cluster_backups(struct view *v, const char *cluster, struct view_wait w,
			 struct view_names **ret, struct err *e)
{
	return cluster_list(v, &v->backups, cluster, backups_job, w, ret, e);
}

/* ---- backups/<backup>/ ---- */

struct finished {
	struct view *v;
	const struct node_name *node;
	bool committed; /* or kept by the pin of this mount */
	const struct cancel *cancel;
};

static int look_for_commit(void *ctx, const struct record_key *key, struct err *e)
{
	struct finished *f = ctx;
	_cleanup_(record_freep) struct record *rec = NULL;
	int r = meta_record(f->v->o.meta, f->node, key, &rec, f->cancel, e);

	if (r == 0 &&
	    (rec->state == RECORD_COMMITTED ||
	     (rec->state == RECORD_DELETED && pinned_keeps(f->v->o.pinned, f->node, &rec->writer))))
		f->committed = true;
	return r < 0 ? r : f->committed;
}

int view_backup_nodes(struct view *v, const char *cluster, const char *backup, struct view_wait w,
		      struct view_names **ret, struct err *e)
{
	_cleanup_(view_names_freep) struct view_names *nodes = NULL, *found = NULL;
	size_t cap = 0;
	int r = view_nodes(v, cluster, w, &nodes, e);

	if (r != 0)
		return r;
	if (!w.wait)
		return VIEW_WOULD_BLOCK;
	for (size_t i = 0; i < nodes->count; i++) {
		struct node_name name;
		struct finished f = { v, &name, false, w.cancel };

		strcpy(name.cluster, cluster);
		strcpy(name.node, nodes->names[i]);
		r = repo_list_records(v->o.repo, &name, backup, look_for_commit, &f, w.cancel, e);
		if (r >= 0 && f.committed)
			r = view_names_add(&found, &cap, name.node);
		if (r < 0)
			return r;
	}
	*ret = found ? steal_pointer(&found) : calloc(1, sizeof(**ret));
	return *ret ? 0 : err_nomem(e);
}

/* ---- nodes ---- */

/* With the lock held. */
static struct view_node *find_node(struct view *v, const char *cluster, const char *node)
{
	struct view_node *n;

	for (n = v->first_node; n; n = n->next)
		if (strcmp(n->name.cluster, cluster) == 0 && strcmp(n->name.node, node) == 0)
			break;
	return n;
}

struct view_node *view_known(struct view *v, const char *cluster, const char *node)
{
	struct view_node *n;

	pthread_mutex_lock(&v->looker.lock);
	n = find_node(v, cluster, node);
	pthread_mutex_unlock(&v->looker.lock);
	return n;
}

struct view_node *view_by_number(struct view *v, uint32_t number)
{
	struct view_node *n;

	pthread_mutex_lock(&v->looker.lock);
	for (n = v->first_node; n && n->number != number; n = n->next)
		;
	pthread_mutex_unlock(&v->looker.lock);
	return n;
}

/* Whoever waited for the same list of nodes comes here at the same time. */
static struct view_node *add_node(struct view *v, const char *cluster, const char *node)
{
	_cleanup_free_ struct view_node *n = calloc(1, sizeof(*n));
	struct view_node *found;

	if (!n)
		return NULL;
	n->view = v;
	strncpy(n->name.cluster, cluster, FORMAT_NAME_BYTES);
	strncpy(n->name.node, node, FORMAT_NAME_BYTES);
	pthread_mutex_lock(&v->looker.lock);
	found = find_node(v, cluster, node);
	if (!found) {
		n->number = ++v->node_count;
		n->next = v->first_node;
		v->first_node = found = steal_pointer(&n);
	}
	pthread_mutex_unlock(&v->looker.lock);
	return found;
}

/* A node that was never looked at must be in the list of its cluster: otherwise any name would be a node. */
static int find_or_add(struct view *v, const char *cluster, const char *node, struct view_wait w,
		       struct view_node **ret, struct err *e)
{
	_cleanup_(view_names_freep) struct view_names *names = NULL;
	int r;

	*ret = view_known(v, cluster, node);
	if (*ret)
		return 0;
	if ((v->o.cluster && strcmp(v->o.cluster, cluster) != 0) ||
	    (v->o.node && strcmp(v->o.node, node) != 0))
		return VIEW_ABSENT;
	r = view_nodes(v, cluster, w, &names, e);
	if (r != 0)
		return r;
	if (!view_names_has(names, node))
		return VIEW_ABSENT;
	if (!w.wait)
		return VIEW_WOULD_BLOCK;
	*ret = add_node(v, cluster, node);
	return *ret ? 0 : err_nomem(e);
}

int view_look(struct view *v, const char *cluster, const char *node, struct view_wait w,
	      struct view_node **ret, struct err *e)
{
	struct view_node *n;
	int r = find_or_add(v, cluster, node, w, &n, e);

	if (r != 0)
		return r;
	pthread_mutex_lock(&v->looker.lock);
	r = look_at(&v->looker, &n->look, view_node_job, n, w, e);
	if (r == 0 && n->absent)
		r = VIEW_ABSENT;
	pthread_mutex_unlock(&v->looker.lock);
	if (r == 0)
		*ret = n;
	return r;
}

/* ---- the whole ---- */

struct view *view_new(const struct view_options *o)
{
	pthread_condattr_t attr;
	struct view *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	v->o = *o;
	v->clusters.view = v;
	if (o->metrics)
		v->refresh_failed = metrics_counter(
			o->metrics, "view_refresh_failed_total",
			"looks at a node that the store did not answer: what is shown of it grows old");
	v->looker.pool = pool_new("refresh", REFRESH_THREADS);
	v->counting = pool_new("index", REFRESH_THREADS);
	v->forgetting = pool_new("forget", REFRESH_THREADS);
	if (!v->looker.pool || !v->counting || !v->forgetting) {
		pool_free(v->looker.pool);
		pool_free(v->counting);
		pool_free(v->forgetting);
		free(v);
		return NULL;
	}
	v->looker.clock = repo_clock(o->repo);
	v->looker.refresh_ms = o->refresh_ms;
	v->looker.stop = o->cancel;
	pthread_mutex_init(&v->looker.lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&v->looker.changed, &attr);
	pthread_condattr_destroy(&attr);
	return v;
}

static void free_lists(struct view_list *l)
{
	while (l) {
		struct view_list *next = l->next;

		if (l->names)
			view_names_free(l->names);
		free(l);
		l = next;
	}
}

void view_free(struct view *v)
{
	pool_free(v->looker.pool);
	pool_free(v->counting); /* in this order: each gives work to the next */
	pool_free(v->forgetting);
	if (v->clusters.names)
		view_names_free(v->clusters.names);
	free_lists(v->nodes);
	free_lists(v->backups);
	while (v->first_node) {
		struct view_node *n = v->first_node;

		v->first_node = n->next;
		view_node_free(n);
	}
	pthread_cond_destroy(&v->looker.changed);
	pthread_mutex_destroy(&v->looker.lock);
	free(v);
}

/* Of what is shown of a node: since the look that found it began. */
static int64_t age_s(const struct view *v, const struct view_node *n)
{
	return n->look.ever ? (clock_elapsed_ms(v->looker.clock) - n->look.known_ms) / 1000 : 0;
}

void view_count(struct view *v, struct metrics *m)
{
	pthread_mutex_lock(&v->looker.lock);
	for (const struct view_node *n = v->first_node; n; n = n->next) {
		_cleanup_free_ char *name =
			util_printf("view_age_seconds{cluster=\"%s\",node=\"%s\"}", n->name.cluster,
				    n->name.node);

		if (name && n->look.ever)
			metric_set(
				metrics_counter(
					m, name,
					"how long ago the store was asked for what is shown of a node"),
				(uint64_t)age_s(v, n));
	}
	pthread_mutex_unlock(&v->looker.lock);
}

void view_describe(struct view *v, struct wbuf *out)
{
	pthread_mutex_lock(&v->looker.lock);
	for (const struct view_node *n = v->first_node; n; n = n->next) {
		_cleanup_free_ char *line = util_printf(
			"node %s/%s: %zu backups, %s, as %lld s ago%s%s\n", n->name.cluster,
			n->name.node, n->backup_count, n->indexed ? "indexed" : "indexing",
			(long long)age_s(v, n), n->look.running ? ", refreshing" : "",
			n->absent ? ", gone" : "");

		if (line)
			wbuf_put(out, line, strlen(line));
	}
	pthread_mutex_unlock(&v->looker.lock);
}

uint64_t view_total_bytes(struct view *v)
{
	uint64_t total = 0;

	pthread_mutex_lock(&v->looker.lock);
	for (const struct view_node *n = v->first_node; n; n = n->next)
		for (size_t i = 0; i < n->backup_count; i++)
			total += n->backups[i].new_bytes;
	pthread_mutex_unlock(&v->looker.lock);
	return total;
}
