/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a node, as others ask for it. */
#include <string.h>
#include "fs/view_private.h"

bool view_newer(const struct view_backup *a, const struct view_backup *b)
{
	if (a->store_time_ns != b->store_time_ns)
		return a->store_time_ns > b->store_time_ns;
	return memcmp(&a->writer, &b->writer, sizeof(a->writer)) > 0;
}

static int compare_to_name(const void *name, const void *backup)
{
	return strcmp(name, ((const struct view_backup *)backup)->name);
}

const struct view_backup *view_find_backup(const struct view_backup *list, size_t count,
					   const char *name)
{
	return count > 0 ? bsearch(name, list, count, sizeof(*list), compare_to_name) : NULL;
}

const struct view_backup *view_newest(const struct view_backup *list, size_t count)
{
	const struct view_backup *best = NULL;

	for (size_t i = 0; i < count; i++)
		if (!list[i].kept && (!best || view_newer(&list[i], best)))
			best = &list[i];
	return best;
}

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
	b = view_find_backup(n->backups, n->backup_count, backup);
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

int view_backup_compare_age(const struct view_backup *a, const struct view_backup *b)
{
	return view_newer(a, b) - view_newer(b, a);
}

bool view_node_walked(struct view_node *n, struct view_backup *ret)
{
	const struct view_backup *b;

	pthread_mutex_lock(&n->view->looker.lock);
	b = view_find_backup(n->backups, n->backup_count, n->walked_name);
	if (b && memcmp(&b->writer, &n->walked, sizeof(n->walked)) != 0)
		b = NULL;
	if (b)
		*ret = *b;
	pthread_mutex_unlock(&n->view->looker.lock);
	return b != NULL;
}

void view_node_note_walked(struct view_node *n, const struct view_backup *b)
{
	pthread_mutex_lock(&n->view->looker.lock);
	n->walked = b->writer;
	memcpy(n->walked_name, b->name, sizeof(n->walked_name));
	pthread_mutex_unlock(&n->view->looker.lock);
}

void view_node_expire(struct view_node *n)
{
	pthread_mutex_lock(&n->view->looker.lock);
	look_expire(&n->look);
	pthread_mutex_unlock(&n->view->looker.lock);
}

bool view_node_latest(struct view_node *n, struct view_backup *ret)
{
	const struct view_backup *b;

	pthread_mutex_lock(&n->view->looker.lock);
	b = view_newest(n->backups, n->backup_count);
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
