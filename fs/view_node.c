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
#include "fs/view_private.h"

struct refresh {
	struct view_node *n;
	struct known_record *known; /* what the LIST said, completed by reading what is new */
	size_t known_count, known_cap;
	struct view_backup *backups; /* the committed ones */
	size_t backup_count, backup_cap;
	struct record **fresh; /* records that were read now: for owners */
	size_t fresh_count, fresh_cap;
	struct view_names *withdrawn; /* backups that were shown for a moment, or NULL */
	size_t withdrawn_cap;
	struct view_backup *old; /* what was shown before */
	size_t old_count;
};

static void refresh_free(struct refresh *f)
{
	for (size_t i = 0; i < f->fresh_count; i++)
		record_free(f->fresh[i]);
	free(f->fresh);
	if (f->withdrawn)
		view_names_free(f->withdrawn);
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

/* Listings come in order of (backup, writer), and known[] is one of them. */
static const struct known_record *find_known(const struct view_node *n,
					     const struct known_record *want)
{
	for (size_t i = 0; i < n->known_count; i++)
		if (!memcmp(&n->known[i].backup.writer, &want->backup.writer, ULID_BYTES) &&
		    !strcmp(n->known[i].backup.name, want->backup.name))
			return &n->known[i];
	return NULL;
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
	if (rec->state != RECORD_COMMITTED || !rec->has_root)
		return 0;
	r = record_encode(rec, &text, &len, e);
	if (r < 0)
		return r;
	k->backup.root = rec->root;
	k->backup.finished_ns = rec->finished_ns;
	k->backup.store_time_ns = rec->store_time_ns;
	k->backup.new_bytes = rec->new_bytes;
	k->backup.json_bytes = len;
	if (util_grow(&f->fresh, &f->fresh_cap, f->fresh_count + 1, sizeof(struct record *)) < 0)
		return err_nomem(e);
	f->fresh[f->fresh_count++] = steal_pointer(&rec);
	return 0;
}

/* A record that cannot be read hides its own backup, is said, and is tried again at the next look; the others are shown. */
static int complete(struct refresh *f, struct err *ret_e)
{
	struct view *v = f->n->view;

	for (size_t i = 0; i < f->known_count; i++) {
		struct known_record *k = &f->known[i];
		const struct known_record *old = find_known(f->n, k);
		struct err e = ERR_INIT;

		if (old && strcmp(old->etag, k->etag) == 0) {
			*k = *old;
		} else if (read_record(f, k, &e) < 0) {
			if (e.kind == ERR_STORE || e.kind == ERR_CREDENTIALS ||
			    e.code == -ECANCELED) {
				*ret_e = e;
				return e.code;
			}
			log_write(v->o.log, LOG_LEVEL_ERROR, "record-unreadable",
				  "backup %s of node %s is not shown: %s (%s)", k->backup.name,
				  f->n->name.node, e.message, e.key);
			k->etag[0] = '\0';
			k->state = RECORD_ABORTED;
		}
		if (k->state != RECORD_COMMITTED)
			continue;
		if (util_grow(&f->backups, &f->backup_cap, f->backup_count + 1,
			      sizeof(*f->backups)) < 0)
			return err_nomem(ret_e);
		f->backups[f->backup_count++] = k->backup;
	}
	return 0;
}

static bool newer(const struct view_backup *a, const struct view_backup *b)
{
	if (a->store_time_ns != b->store_time_ns)
		return a->store_time_ns > b->store_time_ns;
	return memcmp(&a->writer, &b->writer, sizeof(a->writer)) > 0;
}

/* By name; of one name the newer ones first. */
static int compare_backups(const void *a, const void *b)
{
	const struct view_backup *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : newer(y, x) - newer(x, y);
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

static const struct view_backup *find_backup(const struct view_backup *list, size_t count,
					     const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i].name, name) == 0)
			return &list[i];
	return NULL;
}

static const struct view_backup *newest(const struct view_backup *list, size_t count)
{
	const struct view_backup *best = NULL;

	for (size_t i = 0; i < count; i++)
		if (!best || newer(&list[i], best))
			best = &list[i];
	return best;
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
			find_backup(n->backups, n->backup_count, f->backups[i].name);

		f->backups[i].counted = b && same_writer(b, &f->backups[i]) && b->counted;
		same = same && f->backups[i].counted;
	}
	pthread_mutex_lock(&k->lock);
	for (size_t i = f->fresh_count; i > 0 && !n->view->o.numeric_ids; i--)
		if (owners_add(&n->owners, f->fresh[i - 1]) < 0)
			break;
	*ret_was_indexed = n->indexed;
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
	bool on;
};

static void changed_inode(void *ctx, uint64_t ino)
{
	struct tell *t = ctx;

	if (t->on)
		t->v->o.notify.attributes(t->v->o.notify.ctx, ino);
}

/* A backup without an end is shown no longer: whoever walked through it would fill the index, and lose the others with it. */
static void withdraw(struct refresh *f, size_t i)
{
	struct view_node *n = f->n;
	struct looker *k = &n->view->looker;

	view_names_add(&f->withdrawn, &f->withdrawn_cap, n->backups[i].name);
	for (size_t j = 0; j < n->known_count; j++)
		if (same_writer(&n->known[j].backup, &n->backups[i]))
			n->known[j].state = RECORD_ABORTED;
	pthread_mutex_lock(&k->lock);
	memmove(&n->backups[i], &n->backups[i + 1],
		(n->backup_count - i - 1) * sizeof(*n->backups));
	n->backup_count--;
	pthread_mutex_unlock(&k->lock);
}

/* Brings the index up to the list. What cannot be counted (its trees cannot be read) stays uncounted and is tried again. */
static void count_all(struct refresh *f, const struct view_backup *old, size_t old_count,
		      bool was_indexed)
{
	struct view_node *n = f->n;
	struct view *v = n->view;
	struct tell tell = { v, was_indexed };
	bool all = true;

	for (size_t i = 0; i < old_count; i++) {
		const struct view_backup *b = find_backup(n->backups, n->backup_count, old[i].name);
		struct err e = ERR_INIT;

		if (b && same_writer(b, &old[i]))
			continue;
		v->o.notify.removed(v->o.notify.ctx, &old[i].writer);
		if (!old[i].counted)
			continue;
		if (index_remove_backup(v->o.index, n->number, &old[i].writer, changed_inode, &tell,
					&e) < 0)
			log_write(v->o.log, LOG_LEVEL_ERROR, "index",
				  "cannot take backup %s out of the index: %s", old[i].name,
				  e.message);
	}
	for (size_t i = 0; i < n->backup_count && !cancel_is_set(v->o.cancel);) {
		struct err e = ERR_INIT;
		int r;

		if (n->backups[i].counted) {
			i++;
			continue;
		}
		r = index_add_backup(v->o.index, n->number, &n->name, &n->backups[i].writer,
				     &n->backups[i].root, changed_inode, &tell, v->o.cancel, &e);
		if (r < 0) {
			log_write(v->o.log, LOG_LEVEL_ERROR, "index",
				  "cannot index backup %s of node %s: %s (%s)", n->backups[i].name,
				  n->name.node, e.message, e.key);
			if (r == -EOVERFLOW) {
				withdraw(f, i);
			} else {
				all = false;
				i++;
			}
			continue;
		}
		pthread_mutex_lock(&v->looker.lock);
		n->backups[i++].counted = true;
		pthread_mutex_unlock(&v->looker.lock);
	}
	pthread_mutex_lock(&v->looker.lock);
	n->indexed = all && !cancel_is_set(v->o.cancel);
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
	const struct view_backup *before = newest(old, old_count),
				 *after = newest(n->backups, n->backup_count);
	_cleanup_free_ char *node_dir = util_printf("%s/nodes/%s", n->name.cluster, n->name.node);

	for (size_t i = 0; i < old_count; i++) {
		const struct view_backup *b = find_backup(n->backups, n->backup_count, old[i].name);

		if (!b || !same_writer(b, &old[i]))
			forget_backup(n, old[i].name);
	}
	for (size_t i = 0; i < n->backup_count; i++)
		if (!find_backup(old, old_count, n->backups[i].name))
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
	bool was_indexed;
	int r = repo_list_records(v->o.repo, &f->n->name, NULL, collect_key, f, v->o.cancel, e);

	if (r >= 0)
		r = complete(f, e);
	if (r < 0)
		return r;
	f->old = publish(f, &f->old_count, &was_indexed);
	count_all(f, f->old, f->old_count, was_indexed);
	return 0;
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
		r = refresh(f, &e);
	} else {
		err_nomem(&e);
	}
	if (r == 0) {
		if (pool_submit(v->forgetting, forget_job, f) < 0)
			forget_job(f);
		return;
	}
	log_write(v->o.log, LOG_LEVEL_WARNING, "refresh-failed",
		  "cannot refresh node %s of cluster %s: %s", n->name.node, n->name.cluster,
		  e.message);
	if (f)
		refresh_free(f);
	end(n, r, &e);
}

void view_node_free(struct view_node *n)
{
	owners_deinit(&n->owners);
	free(n->backups);
	free(n->known);
	free(n);
}

/* ---- questions ---- */

const struct node_name *view_node_name(const struct view_node *n)
{
	return &n->name;
}

uint32_t view_node_number(const struct view_node *n)
{
	return n->number;
}

bool view_node_indexed(struct view_node *n)
{
	bool indexed;

	pthread_mutex_lock(&n->view->looker.lock);
	indexed = n->indexed;
	pthread_mutex_unlock(&n->view->looker.lock);
	return indexed;
}

int view_node_wait_indexed(struct view_node *n, struct view_wait w, struct err *e)
{
	struct looker *k = &n->view->looker;
	int r = 0;

	pthread_mutex_lock(&k->lock);
	/* However slow the look: an answer before its end could say that a file is not there. */
	while (r == 0 && !n->indexed && n->look.running && !n->look.settled)
		r = look_wait(k, w, e);
	if (r == 0 && !n->indexed)
		r = err_set(
			e, ERR_IO, -EIO,
			"some backups of node %s cannot be read, so its objects cannot be listed",
			n->name.node);
	pthread_mutex_unlock(&k->lock);
	return r;
}

bool view_node_find(struct view_node *n, const char *backup, struct view_backup *ret)
{
	const struct view_backup *b;

	pthread_mutex_lock(&n->view->looker.lock);
	b = find_backup(n->backups, n->backup_count, backup);
	if (b)
		*ret = *b;
	pthread_mutex_unlock(&n->view->looker.lock);
	return b != NULL;
}

struct view_backup *view_node_backups(struct view_node *n, size_t *ret_count)
{
	struct view_backup *copy;

	pthread_mutex_lock(&n->view->looker.lock);
	copy = calloc(n->backup_count + 1, sizeof(*copy));
	if (copy && n->backup_count > 0)
		memcpy(copy, n->backups, n->backup_count * sizeof(*copy));
	*ret_count = n->backup_count;
	pthread_mutex_unlock(&n->view->looker.lock);
	return copy;
}

bool view_node_latest(struct view_node *n, struct view_backup *ret)
{
	const struct view_backup *b;

	pthread_mutex_lock(&n->view->looker.lock);
	b = newest(n->backups, n->backup_count);
	if (b)
		*ret = *b;
	pthread_mutex_unlock(&n->view->looker.lock);
	return b != NULL;
}

int view_backup_json(struct view_node *n, const struct view_backup *b, char **ret, size_t *ret_len,
		     const struct cancel *c, struct err *e)
{
	_cleanup_(record_freep) struct record *rec = NULL;
	struct record_key key = { .writer = b->writer, .size_bytes = b->json_bytes };
	int r;

	memcpy(key.backup, b->name, sizeof(key.backup));
	memcpy(key.etag, b->etag, sizeof(key.etag));
	r = meta_record(n->view->o.meta, &n->name, &key, &rec, c, e);
	if (r == STORE_NOT_FOUND)
		return err_set(e, ERR_NOT_FOUND, -ESTALE, "backup %s was removed", b->name);
	return r < 0 ? r : record_encode(rec, ret, ret_len, e);
}

void view_node_owner(struct view_node *n, uint32_t uid, uint32_t gid, uint32_t *ret_uid,
		     uint32_t *ret_gid)
{
	pthread_mutex_lock(&n->view->looker.lock);
	*ret_uid = owners_user(&n->owners, uid);
	*ret_gid = owners_group(&n->owners, gid);
	pthread_mutex_unlock(&n->view->looker.lock);
}
