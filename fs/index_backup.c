/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "fs/index_private.h"

#define BACKUP_KEY (1 + 4 + ULID_BYTES)

struct keys {
	struct run_key *v;
	size_t count, cap;
};

static void keys_deinit(struct keys *k)
{
	free(k->v);
}

struct walk {
	struct index *x;
	uint32_t node;
	const struct node_name *n;
	const struct cancel *cancel;
	struct keys *keys;
	unsigned depth;
};

static void backup_key(uint8_t out[BACKUP_KEY], uint32_t node, const struct ulid *writer)
{
	out[0] = 'b';
	index_put_be(out + 1, node, 4);
	memcpy(out + 5, writer->b, ULID_BYTES);
}

static int touch_ref(struct walk *w, const char *dir, const struct run_ref *ref,
		     const struct run_key *k, struct err *e)
{
	_cleanup_(run_freep) struct run *run = NULL;
	uint64_t inodes[FORMAT_RUN_ENTRIES];
	struct run_row row;
	int r = index_run_row(w->x, k, &row, e);

	if (r != INDEX_ABSENT)
		return r;
	r = meta_run(w->x->meta, w->n, &ref->place, &run, w->cancel, e);
	if (r < 0)
		return r;
	return index_touch(w->x, w->node, w->n, dir, &ref->place, run, inodes, e);
}

static int endless(struct walk *w, const char *dir, const struct place *p, struct err *e)
{
	char key[KEY_BYTES];

	err_set(e, ERR_CORRUPT, -EOVERFLOW,
		"directory \"%s\" holds more than the directories above it say", dir);
	err_key(e, keys_object(key, w->n, KEY_OBJECT_META, &p->extent.object.writer,
			       &p->extent.object.id));
	return -EOVERFLOW;
}

/* Touches every run below a directory and notes its id. */
static int walk_tree(struct walk *w, const char *dir, const struct place *place,
		     struct tree_room *parent, struct err *e)
{
	_cleanup_(tree_freep) struct tree *t = NULL;
	struct tree_room room;
	int r;

	if (cancel_is_set(w->cancel))
		return err_set(e, ERR_IO, -ECANCELED, "stopped");
	if (w->depth > FORMAT_DEPTH)
		return err_set(e, ERR_CORRUPT, -EBADMSG, "directories are nested too deeply: %s",
			       dir);
	r = meta_tree(w->x->meta, w->n, place, &t, w->cancel, e);
	if (r == 0 && parent && !tree_room_take(parent, t))
		r = endless(w, dir, place, e);
	if (r < 0)
		return r;
	room = tree_room(t);
	r = util_grow(&w->keys->v, &w->keys->cap, w->keys->count + t->run_count,
		      sizeof(*w->keys->v));
	for (uint32_t i = 0; r == 0 && i < t->run_count; i++) {
		struct run_key k = index_run_key(w->node, dir, &t->runs[i].place.digest);

		r = touch_ref(w, dir, &t->runs[i], &k, e);
		w->keys->v[w->keys->count++] = k;
	}
	w->depth++;
	for (uint32_t i = 0; r == 0 && i < t->child_count; i++) {
		_cleanup_free_ char *path =
			util_printf("%s%s%s", dir, *dir ? "/" : "", t->children[i].name);

		r = path ? walk_tree(w, path, &t->children[i].place, &room, e) : err_nomem(e);
	}
	w->depth--;
	return r;
}

struct inodes {
	uint64_t *v;
	size_t count, cap;
};

static void inodes_deinit(struct inodes *i)
{
	free(i->v);
}

/* The files of a backup's runs: the counts of all of them change with it, whether their run is shared or only they are. */
static int inodes_of(struct index *x, const struct keys *keys, struct inodes *ret, struct err *e)
{
	struct run_row row;

	for (size_t i = 0; i < keys->count; i++) {
		int r = index_run_row(x, &keys->v[i], &row, e);

		if (r < 0)
			return r;
		if (r == INDEX_ABSENT)
			continue;
		if (util_grow(&ret->v, &ret->cap, ret->count + row.entry_count, sizeof(*ret->v)) <
		    0)
			return err_nomem(e);
		memcpy(ret->v + ret->count, row.inodes, row.entry_count * sizeof(*ret->v));
		ret->count += row.entry_count;
	}
	return 0;
}

static void tell(const struct inodes *inodes, index_changed_fn *changed, void *ctx)
{
	for (size_t i = 0; changed && i < inodes->count; i++)
		changed(ctx, inodes->v[i]);
}

static int count_one(struct kv_batch *b, const struct run_key *k, struct err *e)
{
	struct run_row row;
	const void *value;
	size_t len;
	int r = kv_batch_get(b, KV_RUNS, k->b, sizeof(k->b), &value, &len, e);

	if (r < 0)
		return r;
	if (r == KV_ABSENT || len != sizeof(row))
		return err_set(e, ERR_IO, -EIO, "the mount's index lost a run");
	memcpy(&row, value, sizeof(row));
	row.count++;
	return kv_batch_put(b, KV_RUNS, k->b, sizeof(k->b), &row, sizeof(row), e);
}

static int add_keys(struct index *x, uint32_t node, const struct ulid *writer,
		    const struct keys *keys, struct err *e)
{
	uint8_t key[BACKUP_KEY];
	struct kv_batch *b;
	int r = kv_batch_begin(x->kv, &b, e);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < keys->count; i++)
		r = count_one(b, &keys->v[i], e);
	backup_key(key, node, writer);
	if (r == 0)
		r = kv_batch_put(b, KV_RUNS, key, sizeof(key), keys->v ? (const void *)keys->v : "",
				 keys->count * sizeof(*keys->v), e);
	if (r == 0)
		return kv_batch_commit(b, e);
	kv_batch_abort(b);
	return r;
}

int index_add_backup(struct index *x, uint32_t node, const struct node_name *n,
		     const struct ulid *writer, const struct place *root, index_changed_fn *changed,
		     void *ctx, const struct cancel *c, struct err *e)
{
	_cleanup_(keys_deinit) struct keys keys = { NULL, 0, 0 };
	_cleanup_(inodes_deinit) struct inodes inodes = { NULL, 0, 0 };
	struct walk w = { x, node, n, c, &keys, 0 };
	_cleanup_free_ void *before = NULL;
	uint8_t key[BACKUP_KEY];
	size_t len;
	int r;

	backup_key(key, node, writer);
	r = kv_get(x->kv, KV_RUNS, key, sizeof(key), &before, &len, e);
	if (r != KV_ABSENT)
		return r;
	r = walk_tree(&w, "", root, NULL, e);
	/* Before it is counted: once it is, nobody comes here again to tell. */
	if (r == 0 && changed)
		r = inodes_of(x, &keys, &inodes, e);
	if (r < 0)
		return r;
	pthread_mutex_lock(&x->write);
	do {
		r = add_keys(x, node, writer, &keys, e);
	} while (r == -EAGAIN); /* the tables moved */
	pthread_mutex_unlock(&x->write);
	if (r == 0)
		tell(&inodes, changed, ctx);
	return r;
}

/* Takes one run out of a file's row; a row without runs goes, with its entry of objects/. */
static int drop_link(struct index *x, struct kv_batch *b, uint64_t ino, const struct run_key *k,
		     struct err *e)
{
	struct file_row *row = (struct file_row *)(void *)x->scratch;
	struct link *links = (struct link *)(void *)(x->scratch + sizeof(*row));
	uint8_t key[OBJECT_KEY];
	const void *value;
	size_t len;
	int r;

	index_inode_key(key, ino);
	r = kv_batch_get(b, KV_INODES, key, INODE_KEY, &value, &len, e);
	if (r != 0 || len < sizeof(*row) || len > ROW_BYTES)
		return r < 0 ? r : 0;
	memcpy(x->scratch, value, len);
	if (row->head.type != INDEX_FILE)
		return 0;
	for (uint32_t i = 0; i < row->link_count;) {
		if (memcmp(&links[i].run, k, sizeof(*k)) == 0)
			links[i] = links[--row->link_count];
		else
			i++;
	}
	if (row->link_count > 0)
		return kv_batch_put(b, KV_INODES, key, INODE_KEY, x->scratch,
				    sizeof(*row) + row->link_count * sizeof(*links), e);
	r = kv_batch_delete(b, KV_INODES, key, INODE_KEY, e);
	if (r < 0)
		return r;
	index_object_key(key, row->node, &row->content, ino);
	return kv_batch_delete(b, KV_INODES, key, OBJECT_KEY, e);
}

static int uncount_one(struct index *x, struct kv_batch *b, const struct run_key *k, struct err *e)
{
	struct run_row row;
	const void *value;
	size_t len;
	int r = kv_batch_get(b, KV_RUNS, k->b, sizeof(k->b), &value, &len, e);

	if (r != 0 || len != sizeof(row))
		return r < 0 ? r : 0;
	memcpy(&row, value, sizeof(row));
	if (row.count > 1) {
		row.count--;
		return kv_batch_put(b, KV_RUNS, k->b, sizeof(k->b), &row, sizeof(row), e);
	}
	for (uint32_t i = 0; i < row.entry_count; i++) {
		r = drop_link(x, b, row.inodes[i], k, e);
		if (r < 0)
			return r;
	}
	return kv_batch_delete(b, KV_RUNS, k->b, sizeof(k->b), e);
}

static int remove_keys(struct index *x, const uint8_t key[BACKUP_KEY], const struct keys *keys,
		       struct err *e)
{
	struct kv_batch *b;
	int r = kv_batch_begin(x->kv, &b, e);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < keys->count; i++)
		r = uncount_one(x, b, &keys->v[i], e);
	if (r == 0)
		r = kv_batch_delete(b, KV_RUNS, key, BACKUP_KEY, e);
	if (r == 0)
		return kv_batch_commit(b, e);
	kv_batch_abort(b);
	return r;
}

int index_remove_backup(struct index *x, uint32_t node, const struct ulid *writer,
			index_changed_fn *changed, void *ctx, struct err *e)
{
	_cleanup_(keys_deinit) struct keys keys = { NULL, 0, 0 };
	_cleanup_(inodes_deinit) struct inodes inodes = { NULL, 0, 0 };
	uint8_t key[BACKUP_KEY];
	void *value;
	size_t len;
	int r;

	backup_key(key, node, writer);
	r = kv_get(x->kv, KV_RUNS, key, sizeof(key), &value, &len, e);
	if (r != 0)
		return r == KV_ABSENT ? 0 : r;
	keys = (struct keys){ value, len / sizeof(struct run_key), 0 };
	r = inodes_of(x, &keys, &inodes, e);
	pthread_mutex_lock(&x->write);
	if (r == 0)
		do {
			r = remove_keys(x, key, &keys, e);
		} while (r == -EAGAIN);
	pthread_mutex_unlock(&x->write);
	if (r == 0)
		tell(&inodes, changed, ctx);
	return r;
}

static bool has_run(const struct run_key *keys, size_t count, const struct run_key *k)
{
	for (size_t i = 0; i < count; i++)
		if (memcmp(&keys[i], k, sizeof(*k)) == 0)
			return true;
	return false;
}

int index_backup_holds(struct index *x, uint32_t node, const struct ulid *writer, uint64_t ino,
		       struct err *e)
{
	_cleanup_free_ void *runs = NULL, *row = NULL;
	uint8_t key[BACKUP_KEY], inode[INODE_KEY];
	size_t runs_len, row_len;
	const struct file_row *file;
	const struct link *links;
	int r;

	backup_key(key, node, writer);
	r = kv_get(x->kv, KV_RUNS, key, sizeof(key), &runs, &runs_len, e);
	if (r != 0)
		return r < 0 ? r : INDEX_NOT_COUNTED;
	index_inode_key(inode, ino);
	r = kv_get(x->kv, KV_INODES, inode, sizeof(inode), &row, &row_len, e);
	if (r != 0 || row_len < sizeof(*file))
		return MIN_OF(r, 0);
	file = row;
	links = (const struct link *)(const void *)((const uint8_t *)row + sizeof(*file));
	if (file->head.type != INDEX_FILE || file->node != node)
		return 0;
	for (uint32_t i = 0; i < file->link_count; i++)
		if (has_run(runs, runs_len / sizeof(struct run_key), &links[i].run))
			return 1;
	return 0;
}
