/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The refresh of one node: LIST, read what is new, show it, count it in the index, tell the kernel.
 *
 *   names published -> waiters of names go on; indexed = false while counts are behind
 *   counted, attributes invalidated -> settled: waiters of the look go on
 *   names invalidated -> end (this may wait for the kernel's directory locks, so nobody waits for it, and it has threads of its own: who holds such a lock
 *   waits for a look, which must find a thread)
 */
#include <string.h>
#include "catalog/parallel.h"
#include "fs/view_private.h"

#define RECORD_READERS 16

struct refresh {
	struct view_node *n;
	struct known_record *known; /* what the LIST said, completed by reading what is new */
	size_t known_count, known_cap;
	struct view_backup *backups; /* the committed ones */
	size_t backup_count, backup_cap;
	size_t *to_read;       /* of `known`: what is not known */
	pthread_mutex_t lock;  /* of `fresh` while records are read */
	struct record **fresh; /* records that were read now: for owners */
	size_t fresh_count, fresh_cap;
	struct view_names *withdrawn; /* backups that were shown for a moment, or NULL */
	size_t withdrawn_cap;
	struct view_backup *old; /* what was shown before */
	size_t old_count;
	bool was_indexed; /* ever: what changes is to be told */
};

static void refresh_free(struct refresh *f)
{
	for (size_t i = 0; i < f->fresh_count; i++)
		record_free(f->fresh[i]);
	free(f->fresh);
	if (f->withdrawn)
		view_names_free(f->withdrawn);
	pthread_mutex_destroy(&f->lock);
	free(f->to_read);
	free(f->known);
	free(f->backups);
	free(f->old);
	free(f);
}

static int collect_key(void *ctx, const struct record_key *key, struct err *e)
{
	struct refresh *f = ctx;
	struct known_record *k;

	if (util_grow(&f->known, &f->known_cap, f->known_count + 1, sizeof(*f->known)) < 0)
		return err_nomem(e);
	k = &f->known[f->known_count++];
	memset(k, 0, sizeof(*k));
	memcpy(k->etag, key->etag, sizeof(k->etag));
	k->size_bytes = key->size_bytes;
	memcpy(k->backup.name, key->backup, sizeof(k->backup.name));
	memcpy(k->backup.etag, key->etag, sizeof(k->backup.etag));
	k->backup.writer = key->writer;
	return 0;
}

static int compare_known(const void *a, const void *b)
{
	const struct known_record *x = a, *y = b;
	int order = strcmp(x->backup.name, y->backup.name);

	return order ? order : memcmp(&x->backup.writer, &y->backup.writer, ULID_BYTES);
}

static const struct known_record *find_known(const struct view_node *n,
					     const struct known_record *want)
{
	return n->known_count > 0
		       ? bsearch(want, n->known, n->known_count, sizeof(*want), compare_known)
		       : NULL;
}

/* A pinned backup stays where people see it, though it was deleted: who holds on to it must find its files by name too. */
static bool is_kept(const struct refresh *f, const struct record *rec)
{
	return rec->state == RECORD_DELETED && rec->has_root &&
	       pinned_keeps(f->n->view->o.pinned, &f->n->name, &rec->writer);
}

static int read_record(struct refresh *f, struct known_record *k, struct err *e)
{
	struct view *v = f->n->view;
	_cleanup_(record_freep) struct record *rec = NULL;
	_cleanup_free_ char *text = NULL;
	struct record_key key = { .writer = k->backup.writer, .size_bytes = k->size_bytes };
	size_t len;
	int r;

	memcpy(key.backup, k->backup.name, sizeof(key.backup));
	memcpy(key.etag, k->etag, sizeof(key.etag));
	r = meta_record(v->o.meta, &f->n->name, &key, &rec, v->o.cancel, e);
	if (r == STORE_NOT_FOUND) { /* gone between LIST and GET */
		k->state = RECORD_DELETED;
		return 0;
	}
	if (r < 0)
		return r;
	k->state = rec->state;
	k->backup.kept = is_kept(f, rec);
	if ((rec->state != RECORD_COMMITTED && !k->backup.kept) || !rec->has_root)
		return 0;
	r = record_encode(rec, &text, &len, e);
	if (r < 0)
		return r;
	k->backup.root = rec->root;
	k->backup.finished_ns = rec->finished_ns;
	k->backup.store_time_ns = rec->store_time_ns;
	k->backup.new_bytes = rec->new_bytes;
	k->backup.json_bytes = len;
	pthread_mutex_lock(&f->lock);
	r = util_grow(&f->fresh, &f->fresh_cap, f->fresh_count + 1, sizeof(struct record *));
	if (r == 0)
		f->fresh[f->fresh_count++] = steal_pointer(&rec);
	pthread_mutex_unlock(&f->lock);
	return r < 0 ? err_nomem(e) : 0;
}

/* As parallel_fn, of record to_read[i]. One that cannot be read hides its own backup, is said, and is tried again at the next look; the others are shown. */
static int read_one(void *ctx, size_t i, unsigned worker, struct err *e)
{
	struct refresh *f = ctx;
	struct known_record *k = &f->known[f->to_read[i]];
	struct err mine = ERR_INIT;

	(void)worker;
	if (read_record(f, k, &mine) >= 0)
		return 0;
	if (mine.kind == ERR_STORE || mine.kind == ERR_CREDENTIALS || mine.code == -ECANCELED) {
		*e = mine;
		return mine.code;
	}
	log_write(f->n->view->o.log, LOG_LEVEL_ERROR, "record-unreadable",
		  "backup %s of node %s is not shown: %s (%s)", k->backup.name, f->n->name.node,
		  mine.message, mine.key);
	k->etag[0] = '\0';
	k->state = RECORD_ABORTED;
	return 0;
}

/* Takes over what is known, and reads the rest, several at once. */
static int complete(struct refresh *f, struct err *e)
{
	size_t count = 0;
	int r;

	f->to_read = calloc(f->known_count + 1, sizeof(*f->to_read));
	if (!f->to_read)
		return err_nomem(e);
	for (size_t i = 0; i < f->known_count; i++) {
		const struct known_record *old = find_known(f->n, &f->known[i]);

		if (old && strcmp(old->etag, f->known[i].etag) == 0)
			f->known[i] = *old;
		else
			f->to_read[count++] = i;
	}
	r = parallel_run("records", RECORD_READERS, count, read_one, f, e);
	for (size_t i = 0; r >= 0 && i < f->known_count; i++) {
		const struct known_record *k = &f->known[i];

		if (k->state != RECORD_COMMITTED && !k->backup.kept)
			continue;
		if (util_grow(&f->backups, &f->backup_cap, f->backup_count + 1,
			      sizeof(*f->backups)) < 0)
			return err_nomem(e);
		f->backups[f->backup_count++] = k->backup;
	}
	return r;
}

/* By name; of one name what is kept comes first, then the newer ones. */
static int compare_backups(const void *a, const void *b)
{
	const struct view_backup *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	if (order == 0)
		order = y->kept - x->kept;
	return order ? order : view_newer(y, x) - view_newer(x, y);
}

/* A name is one backup's. Writers see to that; where two have it all the same, a directory still has each name once. */
static size_t sort_backups(struct view_backup *list, size_t count)
{
	size_t kept = 0;

	if (count > 0)
		qsort(list, count, sizeof(*list), compare_backups);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || strcmp(list[kept - 1].name, list[i].name) != 0)
			list[kept++] = list[i];
	return kept;
}

static bool same_writer(const struct view_backup *a, const struct view_backup *b)
{
	return memcmp(&a->writer, &b->writer, sizeof(a->writer)) == 0;
}

/* Shows the new list. The old list is returned (to be freed), with its length. */
static struct view_backup *publish(struct refresh *f, size_t *ret_old_count, bool *ret_was_indexed)
{
	struct view_node *n = f->n;
	struct looker *k = &n->view->looker;
	struct view_backup *old;
	bool same = true;

	f->backup_count = sort_backups(f->backups, f->backup_count);
	for (size_t i = 0; i < f->backup_count;
	     i++) { /* n->backups is only replaced by this job, so it can be read here */
		const struct view_backup *b =
			view_find_backup(n->backups, n->backup_count, f->backups[i].name);

		f->backups[i].counted = b && same_writer(b, &f->backups[i]) && b->counted;
		same = same && f->backups[i].counted;
	}
	pthread_mutex_lock(&k->lock);
	for (size_t i = f->fresh_count; i > 0 && !n->view->o.numeric_ids; i--)
		if (owners_add(&n->owners, f->fresh[i - 1]) < 0)
			break;
	*ret_was_indexed = n->ever_indexed;
	old = n->backups;
	*ret_old_count = n->backup_count;
	n->indexed = n->indexed && same && n->backup_count == f->backup_count;
	n->backups = f->backups;
	n->backup_count = f->backup_count;
	n->absent = f->known_count == 0;
	f->backups = NULL;
	free(n->known);
	n->known = f->known;
	n->known_count = f->known_count;
	f->known = NULL;
	look_publish(k, &n->look);
	pthread_mutex_unlock(&k->lock);
	return old;
}

struct tell {
	struct view *v;
	const struct view_node *n;
};

static void changed_inode(void *ctx, uint64_t ino)
{
	const struct tell *t = ctx;

	t->v->o.notify.attributes(t->v->o.notify.ctx, ino);
}

/* A backup without an end is shown no longer: whoever walked through it would fill the index, and lose the others with it. */
static void withdraw(struct refresh *f, size_t i)
{
	struct view_node *n = f->n;
	struct looker *k = &n->view->looker;

	view_names_add(&f->withdrawn, &f->withdrawn_cap, n->backups[i].name);
	pthread_mutex_lock(&k->lock);
	for (size_t j = 0; j < n->known_count; j++)
		if (same_writer(&n->known[j].backup, &n->backups[i]))
			n->known[j].state = RECORD_ABORTED;
	memmove(&n->backups[i], &n->backups[i + 1],
		(n->backup_count - i - 1) * sizeof(*n->backups));
	n->backup_count--;
	pthread_mutex_unlock(&k->lock);
}

/* Backups that are there no more, or are others now by the same name. */
static void tell_removed(struct refresh *f, const struct view_backup *old, size_t old_count)
{
	struct view_node *n = f->n;
	struct view *v = n->view;

	for (size_t i = 0; i < old_count; i++) {
		const struct view_backup *b =
			view_find_backup(n->backups, n->backup_count, old[i].name);

		if (!b || !same_writer(b, &old[i]))
			v->o.notify.removed(v->o.notify.ctx, &old[i].writer);
	}
}

static void not_counted(void *ctx, size_t i, const struct err *e)
{
	const struct tell *t = ctx;

	log_write(t->v->o.log, LOG_LEVEL_ERROR, "index",
		  "cannot index backup %s of node %s: %s (%s)", t->n->backups[i].name,
		  t->n->name.node, e->message, e->key);
}

/* Notes what was counted; true: everything. */
static bool note_counted(struct refresh *f, const struct link_wanted *wanted, size_t count)
{
	struct view_node *n = f->n;
	struct looker *k = &n->view->looker;
	bool all = true;

	pthread_mutex_lock(&k->lock);
	for (size_t i = 0; i < count; i++)
		n->backups[i].counted = wanted[i].result == 0;
	pthread_mutex_unlock(&k->lock);
	for (size_t i = count; i > 0; i--) { /* withdraw() moves those that follow */
		if (wanted[i - 1].result == -EOVERFLOW)
			withdraw(f, i - 1);
		else if (wanted[i - 1].result < 0)
			all = false;
	}
	return all;
}

/* Brings the index up to the list. What cannot be counted (its trees cannot be read) stays uncounted and is tried again. */
static void count_all(struct refresh *f, const struct view_backup *old, size_t old_count,
		      bool was_indexed)
{
	struct view_node *n = f->n;
	struct view *v = n->view;
	_cleanup_free_ struct link_wanted *wanted = calloc(n->backup_count + 1, sizeof(*wanted));
	struct tell tell = { v, n };
	const struct index_listener listener = { was_indexed ? changed_inode : NULL, not_counted,
						 &tell };
	struct err e = ERR_INIT;
	bool all = false;
	int r;

	tell_removed(f, old, old_count);
	for (size_t i = 0; wanted && i < n->backup_count; i++)
		wanted[i] = (struct link_wanted){ n->backups[i].writer, n->backups[i].root, 0 };
	r = wanted ? index_count(v->o.index, n->number, &n->name, wanted, n->backup_count,
				 &listener, v->o.cancel, &e)
		   : err_nomem(&e);
	if (r == 0)
		all = note_counted(f, wanted, n->backup_count);
	else if (r != -ECANCELED)
		log_write(v->o.log, LOG_LEVEL_ERROR, "index", "cannot index node %s: %s (%s)",
			  n->name.node, e.message, e.key);
	pthread_mutex_lock(&v->looker.lock);
	n->indexed = all && !cancel_is_set(v->o.cancel);
	n->ever_indexed = n->ever_indexed || n->indexed;
	look_settle(&v->looker, &n->look);
	pthread_mutex_unlock(&v->looker.lock);
}

static void forget_backup(struct view_node *n, const char *backup)
{
	_cleanup_free_ char *node_dir = util_printf("%s/nodes/%s", n->name.cluster, n->name.node);
	_cleanup_free_ char *all_dir = util_printf("%s/backups", n->name.cluster);
	_cleanup_free_ char *one_dir = util_printf("%s/backups/%s", n->name.cluster, backup);

	if (!node_dir || !all_dir || !one_dir)
		return;
	view_forget_name(n->view, node_dir, backup);
	view_forget_name(n->view, all_dir, backup);
	view_forget_name(n->view, one_dir, n->name.node);
}

static void forget_names(struct refresh *f, const struct view_backup *old, size_t old_count)
{
	struct view_node *n = f->n;
	const struct view_backup *before = view_newest(old, old_count),
				 *after = view_newest(n->backups, n->backup_count);
	_cleanup_free_ char *node_dir = util_printf("%s/nodes/%s", n->name.cluster, n->name.node);

	for (size_t i = 0; i < old_count; i++) {
		const struct view_backup *b =
			view_find_backup(n->backups, n->backup_count, old[i].name);

		if (!b || !same_writer(b, &old[i]))
			forget_backup(n, old[i].name);
	}
	for (size_t i = 0; i < n->backup_count; i++)
		if (!view_find_backup(old, old_count, n->backups[i].name))
			forget_backup(n, n->backups[i].name);
	for (size_t i = 0; f->withdrawn && i < f->withdrawn->count; i++)
		forget_backup(n, f->withdrawn->names[i]);
	if (node_dir && (f->withdrawn || !before != !after ||
			 (before && strcmp(before->name, after->name) != 0)))
		view_forget_name(n->view, node_dir, "latest");
}

static void end(struct view_node *n, int r, const struct err *e)
{
	struct looker *k = &n->view->looker;

	pthread_mutex_lock(&k->lock);
	look_end(k, &n->look, r, e);
	pthread_mutex_unlock(&k->lock);
}

static void forget_job(void *arg)
{
	struct refresh *f = arg;

	forget_names(f, f->old, f->old_count);
	end(f->n, 0, NULL);
	refresh_free(f);
}

static int refresh(struct refresh *f, struct err *e)
{
	struct view *v = f->n->view;
	int r = repo_list_records(v->o.repo, &f->n->name, NULL, collect_key, f, v->o.cancel, e);

	if (r >= 0 && f->known_count > 0)
		qsort(f->known, f->known_count, sizeof(*f->known), compare_known);
	if (r >= 0)
		r = complete(f, e);
	if (r < 0)
		return r;
	f->old = publish(f, &f->old_count, &f->was_indexed);
	return 0;
}

/* A first look at a large node takes minutes to count: looks at other nodes must not wait for a thread meanwhile. */
static void count_job(void *arg)
{
	struct refresh *f = arg;

	count_all(f, f->old, f->old_count, f->was_indexed);
	if (pool_submit(f->n->view->forgetting, forget_job, f) < 0)
		forget_job(f);
}

void view_node_job(void *arg)
{
	struct refresh *f = calloc(1, sizeof(*f));
	struct view_node *n = arg;
	struct view *v = n->view;
	struct err e = ERR_INIT;
	int r = -ENOMEM;

	if (f) {
		f->n = n;
		pthread_mutex_init(&f->lock, NULL);
		r = refresh(f, &e);
	} else {
		err_nomem(&e);
	}
	if (r == 0) {
		if (pool_submit(v->counting, count_job, f) < 0)
			count_job(f);
		return;
	}
	metric_add(v->refresh_failed, 1);
	log_write(v->o.log, LOG_LEVEL_WARNING, "refresh-failed",
		  "cannot refresh node %s of cluster %s: %s", n->name.node, n->name.cluster,
		  e.message);
	if (f)
		refresh_free(f);
	end(n, r, &e);
}

bool view_node_knows_ended(struct view_node *n, const struct record_key *key)
{
	struct known_record want = { .backup.writer = key->writer };
	const struct known_record *k;
	bool ended;

	memcpy(want.backup.name, key->backup, sizeof(want.backup.name));
	pthread_mutex_lock(&n->view->looker.lock);
	k = find_known(n, &want);
	ended = k && !k->backup.kept &&
		(k->state == RECORD_DELETED || k->state == RECORD_ABORTED) &&
		strcmp(k->etag, key->etag) == 0;
	pthread_mutex_unlock(&n->view->looker.lock);
	return ended;
}

void view_node_free(struct view_node *n)
{
	owners_deinit(&n->owners);
	free(n->backups);
	free(n->known);
	free(n);
}
