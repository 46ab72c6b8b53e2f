/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "fs/index_private.h"

struct index *index_new(struct kv *kv, struct meta *meta)
{
	struct index *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->scratch = malloc(ROW_BYTES);
	if (!x->scratch) {
		free(x);
		return NULL;
	}
	x->kv = kv;
	x->meta = meta;
	pthread_mutex_init(&x->write, NULL);
	return x;
}

void index_free(struct index *x)
{
	pthread_mutex_destroy(&x->write);
	free(x->scratch);
	free(x);
}

struct run_key index_run_key(uint32_t node, const char *dir, const struct id256 *digest)
{
	uint8_t head[4 + SHA256_BYTES];
	struct run_key k;
	struct id256 d;

	memcpy(head, &node, 4);
	memcpy(head + 4, digest->b, SHA256_BYTES);
	d = digest_sha256_2(head, sizeof(head), dir, strlen(dir));
	memcpy(k.b, d.b, sizeof(k.b));
	return k;
}

void index_inode_key(uint8_t out[INODE_KEY], uint64_t ino)
{
	out[0] = 'i';
	memcpy(out + 1, &ino, 8);
}

void index_put_be(uint8_t *out, uint64_t v, int bytes)
{
	for (int i = bytes - 1; i >= 0; i--, v >>= 8)
		out[i] = (uint8_t)v;
}

void index_object_key(uint8_t out[OBJECT_KEY], uint32_t node, const struct id256 *content,
		      uint64_t ino)
{
	out[0] = 'o';
	index_put_be(out + 1, node, 4);
	memcpy(out + 5, content->b, SHA256_BYTES);
	index_put_be(out + 37, ino, 8);
}

int index_run_row(struct index *x, const struct run_key *k, struct run_row *ret, struct err *e)
{
	size_t len;
	int r = kv_read(x->kv, KV_RUNS, k->b, sizeof(k->b), ret, sizeof(*ret), &len, e);

	if (r == 0 && len != sizeof(*ret))
		return INDEX_ABSENT;
	return r == KV_ABSENT ? INDEX_ABSENT : r;
}

/* ---- one file's row, inside a batch ---- */

/* Adds the link to the row that x->scratch holds (of row_len bytes), if it is not there. The new length, or -E2BIG. */
static ssize_t row_add_link(struct index *x, size_t row_len, const struct run_key *k,
			    uint32_t entry)
{
	struct file_row *row = (struct file_row *)(void *)x->scratch;
	struct link *links = (struct link *)(void *)(x->scratch + sizeof(*row));

	for (uint32_t i = 0; i < row->link_count; i++)
		if (!memcmp(&links[i].run, k, sizeof(*k)) && links[i].entry == entry)
			return (ssize_t)row_len;
	if (row_len + sizeof(struct link) > ROW_BYTES)
		return -E2BIG;
	links[row->link_count++] = (struct link){ *k, entry };
	return (ssize_t)(row_len + sizeof(struct link));
}

/*
 * Finds the number of an identity, or takes a free one: on a collision the identity that came later moves on along its own chain of digests.
 * *ret_len = 0: the number is free; else the row was copied to x->scratch.
 */
static int find_number(struct index *x, struct kv_batch *b, struct id256 digest, uint64_t *ret_ino,
		       size_t *ret_len, struct err *e)
{
	struct id256 chain = digest;
	uint64_t ino = inode_number(&chain);

	for (;;) {
		uint8_t key[INODE_KEY];
		const void *value;
		size_t len;
		int r;

		index_inode_key(key, ino);
		r = kv_batch_get(b, KV_INODES, key, sizeof(key), &value, &len, e);
		if (r < 0)
			return r;
		*ret_ino = ino;
		*ret_len = 0;
		if (r == KV_ABSENT || len < sizeof(struct row_head) || len > ROW_BYTES)
			return 0;
		memcpy(x->scratch, value, len);
		*ret_len = len;
		if (!memcmp(&((struct row_head *)(void *)x->scratch)->digest, &digest,
			    sizeof(digest)))
			return 0;
		ino = inode_next(&chain);
	}
}

static int insert_file(struct index *x, struct kv_batch *b, uint32_t node,
		       const struct node_name *n, const char *path, const struct entry *entry,
		       const struct run_key *k, uint32_t index, uint64_t *ret_ino, struct err *e)
{
	struct id256 digest = inode_file_digest(n, path, entry);
	uint8_t key[OBJECT_KEY];
	size_t len;
	ssize_t full;
	int r = find_number(x, b, digest, ret_ino, &len, e);

	if (r < 0)
		return r;
	if (len == 0) {
		struct file_row fresh = { .head = { digest, INDEX_FILE },
					  .content = entry->content,
					  .size_bytes = entry->size_bytes,
					  .attr = entry->attr,
					  .node = node };

		memcpy(x->scratch, &fresh, sizeof(fresh));
		len = sizeof(fresh);
		index_object_key(key, node, &entry->content, *ret_ino);
		r = kv_batch_put(b, KV_INODES, key, OBJECT_KEY, "", 0, e);
		if (r < 0)
			return r;
	}
	full = row_add_link(x, len, k, index);
	if (full < 0)
		return err_set(e, ERR_IO, -E2BIG, "a file is in too many runs: %s", path);
	index_inode_key(key, *ret_ino);
	return kv_batch_put(b, KV_INODES, key, INODE_KEY, x->scratch, (size_t)full, e);
}

/* The identity of what is below data/ begins there. */
static const char *identity_dir(const char *dir)
{
	return strncmp(dir, "data/", 5) == 0 ? dir + 5 : dir;
}

static int insert_run(struct index *x, struct kv_batch *b, uint32_t node, const struct node_name *n,
		      const char *dir, const struct place *place, const struct run *run,
		      const struct run_key *k, struct run_row *row, struct err *e)
{
	const char *base = identity_dir(dir);

	*row = (struct run_row){ .place = *place, .entry_count = run->entry_count, .node = node };
	for (uint32_t i = 0; i < run->entry_count; i++) {
		_cleanup_free_ char *path =
			util_printf("%s%s%s", base, *base ? "/" : "", run->entries[i].name);
		int r;

		if (!path)
			return err_nomem(e);
		r = insert_file(x, b, node, n, path, &run->entries[i], k, i, &row->inodes[i], e);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Under x->write: makes the rows of a run that has none yet. Another thread may have been faster. */
static int touch(struct index *x, uint32_t node, const struct node_name *n, const char *dir,
		 const struct place *place, const struct run *run, const struct run_key *k,
		 struct run_row *row, struct err *e)
{
	struct kv_batch *b;
	int r = index_run_row(x, k, row, e);

	if (r != INDEX_ABSENT)
		return r;
	r = kv_batch_begin(x->kv, &b, e);
	if (r < 0)
		return r;
	r = insert_run(x, b, node, n, dir, place, run, k, row, e);
	if (r == 0)
		r = kv_batch_put(b, KV_RUNS, k->b, sizeof(k->b), row, sizeof(*row), e);
	if (r == 0)
		return kv_batch_commit(b, e);
	kv_batch_abort(b);
	return r;
}

int index_touch(struct index *x, uint32_t node, const struct node_name *n, const char *dir,
		const struct place *place, const struct run *run, uint64_t *inodes, struct err *e)
{
	struct run_key k = index_run_key(node, dir, &place->digest);
	struct run_row row;
	int r = index_run_row(x, &k, &row, e);

	if (r == INDEX_ABSENT) {
		pthread_mutex_lock(&x->write);
		do {
			r = touch(x, node, n, dir, place, run, &k, &row, e);
		} while (r == -EAGAIN); /* the tables moved */
		pthread_mutex_unlock(&x->write);
	}
	if (r == 0)
		memcpy(inodes, row.inodes, row.entry_count * sizeof(*inodes));
	return r;
}

static int put_path(struct index *x, const struct id256 *digest, const char *path,
		    const char *target, uint64_t *ret_ino, struct err *e)
{
	size_t path_bytes = strlen(path) + 1, target_bytes = target ? strlen(target) + 1 : 0, len;
	struct path_row row = { .head = { *digest, INDEX_PATH },
				.path_bytes = (uint32_t)path_bytes };
	uint8_t key[INODE_KEY];
	struct kv_batch *b;
	int r = kv_batch_begin(x->kv, &b, e);

	if (r < 0)
		return r;
	r = find_number(x, b, *digest, ret_ino, &len, e);
	if (r == 0 && len == 0) {
		memcpy(x->scratch, &row, sizeof(row));
		memcpy(x->scratch + sizeof(row), path, path_bytes);
		if (target)
			memcpy(x->scratch + sizeof(row) + path_bytes, target, target_bytes);
		index_inode_key(key, *ret_ino);
		r = kv_batch_put(b, KV_INODES, key, sizeof(key), x->scratch,
				 sizeof(row) + path_bytes + target_bytes, e);
	}
	if (r == 0)
		return kv_batch_commit(b, e);
	kv_batch_abort(b);
	return r;
}

int index_path(struct index *x, const struct id256 *digest, const char *path, const char *target,
	       uint64_t *ret_ino, struct err *e)
{
	struct id256 chain = *digest;
	struct row_head head
		[16]; /* enough for the head of a row: longer values answer -E2BIG and are read again under the lock */
	uint8_t key[INODE_KEY];
	size_t len;
	int r;

	if (strlen(path) + (target ? strlen(target) : 0) > 2 * FORMAT_PATH_BYTES)
		return err_set(e, ERR_IO, -ENAMETOOLONG, "a path is too long");
	*ret_ino = inode_number(&chain);
	index_inode_key(key, *ret_ino);
	r = kv_read(x->kv, KV_INODES, key, sizeof(key), head, sizeof(head), &len, NULL);
	if (r == 0 && len >= sizeof(*head) && !memcmp(&head->digest, digest, sizeof(*digest)))
		return 0;
	pthread_mutex_lock(&x->write);
	do {
		r = put_path(x, digest, path, target, ret_ino, e);
	} while (r == -EAGAIN);
	pthread_mutex_unlock(&x->write);
	return r;
}

static int read_path(const struct path_row *row, size_t len, struct index_node *ret, struct err *e)
{
	size_t text = len - sizeof(*row);

	ret->path = malloc(text + 1);
	if (!ret->path)
		return err_nomem(e);
	memcpy(ret->path, row + 1, text);
	ret->path[text] = '\0';
	ret->target = text > row->path_bytes ? ret->path + row->path_bytes : NULL;
	return 0;
}

static int read_file(struct index *x, const struct file_row *row, struct index_node *ret,
		     struct err *e)
{
	const struct link *links = (const struct link *)(row + 1);
	bool found = false;
	uint32_t sum = 0;

	for (uint32_t i = 0; i < row->link_count; i++) {
		struct run_row run;
		int r = index_run_row(x, &links[i].run, &run, e);

		if (r < 0)
			return r;
		if (r == INDEX_ABSENT)
			continue;
		sum += run.count;
		if (!found || run.count > 0) {
			ret->run = run.place;
			ret->entry = links[i].entry;
			found = true;
		}
	}
	ret->node = row->node;
	ret->attr = row->attr;
	ret->size_bytes = row->size_bytes;
	ret->content = row->content;
	ret->nlink = 1 + MAX_OF(sum, 1u);
	return found ? 0 : INDEX_ABSENT;
}

int index_get(struct index *x, uint64_t ino, struct index_node *ret, struct err *e)
{
	_cleanup_free_ void *value = NULL;
	const struct row_head *head;
	uint8_t key[INODE_KEY];
	size_t len;
	int r;

	index_inode_key(key, ino);
	r = kv_get(x->kv, KV_INODES, key, sizeof(key), &value, &len, e);
	if (r != 0)
		return r == KV_ABSENT ? INDEX_ABSENT : r;
	head = value;
	*ret = (struct index_node){ .ino = ino };
	if (len >= sizeof(struct path_row) && head->type == INDEX_PATH) {
		ret->type = INDEX_PATH;
		return read_path(value, len, ret, e);
	}
	if (len < sizeof(struct file_row))
		return INDEX_ABSENT;
	return read_file(x, value, ret, e);
}

/* ---- objects/ ---- */

struct objects {
	index_object_fn *fn;
	void *ctx;
};

static int each_object(void *ctx, const void *key, size_t key_bytes, const void *value,
		       size_t len_bytes, struct err *e)
{
	const struct objects *o = ctx;
	const uint8_t *k = key;
	struct id256 content;
	uint64_t ino = 0;

	(void)value;
	(void)len_bytes;
	if (key_bytes != OBJECT_KEY)
		return 0;
	memcpy(content.b, k + 5, sizeof(content.b));
	for (int i = 0; i < 8; i++)
		ino = ino << 8 | k[37 + i];
	return o->fn(o->ctx, &content, ino, e);
}

int index_objects(struct index *x, uint32_t node, uint8_t first_byte, index_object_fn *fn,
		  void *ctx, struct err *e)
{
	struct objects o = { fn, ctx };
	uint8_t prefix[6] = { 'o' };

	index_put_be(prefix + 1, node, 4);
	prefix[5] = first_byte;
	return kv_each(x->kv, KV_INODES, prefix, sizeof(prefix), each_object, &o, e);
}
