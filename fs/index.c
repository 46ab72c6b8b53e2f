/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include "fs/index_private.h"

#define MOST_MOVES 64 /* of one inode, because of collisions */

struct index *index_new(const struct index_options *o)
{
	struct index *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->scratch = malloc(ROW_BYTES);
	x->links = linkcache_new();
	if (!x->scratch || !x->links) {
		linkcache_free(x->links);
		free(x->scratch);
		free(x);
		return NULL;
	}
	x->o = *o;
	x->dir_fd = o->directory ? open(o->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	pthread_mutex_init(&x->write, NULL);
	pthread_mutex_init(&x->lock, NULL);
	return x;
}

void index_free(struct index *x)
{
	while (x->counted) {
		struct counted *n = x->counted;

		x->counted = n->next;
		linkfile_unref(n->file);
		free(n);
	}
	if (x->dir_fd >= 0)
		close(x->dir_fd);
	pthread_mutex_destroy(&x->lock);
	pthread_mutex_destroy(&x->write);
	linkcache_free(x->links);
	free(x->scratch);
	free(x);
}

void index_inode_key(uint8_t out[INODE_KEY], uint64_t ino)
{
	out[0] = 'i';
	memcpy(out + 1, &ino, 8);
}

int index_damaged(int r, struct err *e)
{
	return r < 0 ? err_errno(e, r == -EBADMSG ? -EIO : r,
				 "the link counts in the local cache cannot be read")
		     : r;
}

struct linkfile *index_file(struct index *x, uint32_t node)
{
	struct linkfile *f = NULL;

	pthread_mutex_lock(&x->lock);
	for (struct counted *n = x->counted; n && !f; n = n->next)
		if (n->node == node)
			f = linkfile_ref(n->file);
	pthread_mutex_unlock(&x->lock);
	return f;
}

/* Nodes are only ever added, at the head of the list. */
static const struct counted *index_first(struct index *x)
{
	const struct counted *n;

	pthread_mutex_lock(&x->lock);
	n = x->counted;
	pthread_mutex_unlock(&x->lock);
	return n;
}

static size_t run_row_bytes(uint32_t entry_count)
{
	return offsetof(struct run_row, inodes) + entry_count * sizeof(uint64_t);
}

static int run_row(struct index *x, const struct run_key *k, struct run_row *ret, struct err *e)
{
	size_t len;
	int r = kv_read(x->o.kv, KV_RUNS, k, sizeof(*k), ret, sizeof(*ret), &len, e);

	if (r == 0 && (len < run_row_bytes(0) || ret->entry_count > FORMAT_RUN_ENTRIES ||
		       len != run_row_bytes(ret->entry_count)))
		return INDEX_ABSENT;
	return r == KV_ABSENT ? INDEX_ABSENT : r;
}

/* ---- one file's row, inside a batch ---- */

/* Adds the link to the row that x->scratch holds (of row_len bytes), if it is not there. The new length, or -E2BIG. */
static ssize_t row_add_link(struct index *x, size_t row_len, const struct run_key *k,
			    uint32_t entry)
{
	struct file_row *row = (struct file_row *)(void *)x->scratch;
	struct row_link *links = (struct row_link *)(void *)(x->scratch + sizeof(*row));

	for (uint32_t i = 0; i < row->link_count; i++)
		if (!memcmp(&links[i].run, k, sizeof(*k)) && links[i].entry == entry)
			return (ssize_t)row_len;
	if (row_len + sizeof(struct row_link) > ROW_BYTES)
		return -E2BIG;
	links[row->link_count++] = (struct row_link){ *k, entry };
	return (ssize_t)(row_len + sizeof(struct row_link));
}

/* As linkfile_fn: > 0 where the identity is another one, by what a link says of its digest. NULL: any file is. */
static int is_other(void *digest, const struct link *l)
{
	const struct id256 none = { { 0 } };

	return !digest ||
	       link_check(&(struct link){ .bits = link_bits(0, &none, digest) }) != link_check(l);
}

/* Whether the number is that of a file that is counted, and that has another identity. */
static bool is_counted_other(struct index *x, uint64_t ino, struct id256 *digest)
{
	bool found = false;

	for (const struct counted *n = index_first(x); n && !found; n = n->next) {
		_cleanup_(linkfile_unrefp) struct linkfile *f = index_file(x, n->node);

		found = f && linkfile_each(f, ino, is_other, digest) > 0;
	}
	return found;
}

/*
 * Finds the number of an identity, or takes a free one: on a collision the identity that came later moves on along its own chain of digests.
 * *ret_len = 0: the number is free; else the row was copied to x->scratch.
 */
static int find_number(struct index *x, struct kv_batch *b, struct id256 digest,
		       enum index_type type, uint64_t *ret_ino, size_t *ret_len, struct err *e)
{
	struct id256 chain = digest;
	uint64_t ino = inode_number(&chain);

	for (;; ino = inode_next(&chain)) {
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
		if (r == KV_ABSENT || len < sizeof(struct row_head) || len > ROW_BYTES) {
			if (!is_counted_other(x, ino, type == INDEX_FILE ? &digest : NULL))
				return 0;
			continue;
		}
		memcpy(x->scratch, value, len);
		*ret_len = len;
		if (!memcmp(&((struct row_head *)(void *)x->scratch)->digest, &digest,
			    sizeof(digest)))
			return 0;
	}
}

static int insert_file(struct index *x, struct kv_batch *b, uint32_t node,
		       const struct node_name *n, const char *path, const struct entry *entry,
		       const struct run_key *k, uint32_t index, uint64_t *ret_ino, struct err *e)
{
	struct id256 digest = inode_file_digest(n, path, entry);
	uint8_t key[INODE_KEY];
	size_t len;
	ssize_t full;
	int r = find_number(x, b, digest, INDEX_FILE, ret_ino, &len, e);

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

	*row = (struct run_row){ .place = *place, .entry_count = run->entry_count };
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
	int r = run_row(x, k, row, e);

	if (r != INDEX_ABSENT)
		return r;
	r = kv_batch_begin(x->o.kv, &b, e);
	if (r < 0)
		return r;
	r = insert_run(x, b, node, n, dir, place, run, k, row, e);
	if (r == 0)
		r = kv_batch_put(b, KV_RUNS, k, sizeof(*k), row, run_row_bytes(row->entry_count),
				 e);
	if (r == 0)
		return kv_batch_commit(b, e);
	kv_batch_abort(b);
	return r;
}

/* Whether the entry of that run has that number. */
struct at {
	uint32_t run, entry;
};

static int is_at(void *ctx, const struct link *l)
{
	const struct at *at = ctx;

	return l->run == at->run && link_entry(l) == at->entry;
}

/* The numbers of files that are counted: as their digests say, but for those that moved. */
static int counted_numbers(const struct linkfile *f, uint32_t number, const struct node_name *n,
			   const char *dir, const struct run *run, uint32_t first, uint32_t count,
			   uint64_t *inodes)
{
	const char *base = identity_dir(dir);

	for (uint32_t i = first; i < first + count; i++) {
		_cleanup_free_ char *path =
			util_printf("%s%s%s", base, *base ? "/" : "", run->entries[i].name);
		struct at at = { number, i };
		struct id256 digest;
		int r = 1;

		if (!path)
			return -ENOMEM;
		digest = inode_file_digest(n, path, &run->entries[i]);
		inodes[i] = inode_number(&digest);
		if (linkfile_has_moved(f))
			r = linkfile_each(f, inodes[i], is_at, &at);
		for (int steps = 0; r == 0 && steps < MOST_MOVES; steps++) {
			inodes[i] = inode_next(&digest);
			r = linkfile_each(f, inodes[i], is_at, &at);
		}
		if (r <= 0)
			return r < 0 ? r : -EBADMSG;
	}
	return 0;
}

static int touch_rows(struct index *x, const struct node_name *n, const char *dir,
		      const struct place *place, const struct run *run, const struct run_key *k,
		      uint64_t *inodes, struct err *e)
{
	struct run_row row;
	int r = run_row(x, k, &row, e);

	if (r == INDEX_ABSENT) {
		pthread_mutex_lock(&x->write);
		do {
			r = touch(x, (uint32_t)k->node, n, dir, place, run, k, &row, e);
		} while (r == -EAGAIN); /* the tables moved */
		pthread_mutex_unlock(&x->write);
	}
	if (r == 0)
		memcpy(inodes, row.inodes, row.entry_count * sizeof(*inodes));
	return r;
}

int index_touch(struct index *x, uint32_t node, const struct node_name *n, const char *dir,
		const struct place *place, const struct run *run, uint32_t first, uint32_t count,
		uint64_t *inodes, struct err *e)
{
	_cleanup_(linkfile_unrefp) struct linkfile *f = index_file(x, node);
	struct link_key dir_key = link_dir_key(dir);
	struct run_key k = { node, link_run_key(&dir_key, place) };
	struct link_run counted;
	uint32_t number;
	int r = f ? linkfile_find_run(f, &k.key, &counted, &number) : LINKFILE_ABSENT;

	if (r == LINKFILE_ABSENT)
		return touch_rows(x, n, dir, place, run, &k, inodes, e);
	if (r == 0)
		r = counted_numbers(f, number, n, dir, run, first, count, inodes);
	return index_damaged(r, e);
}

static int put_path(struct index *x, const struct id256 *digest, const char *path,
		    const char *target, uint64_t *ret_ino, struct err *e)
{
	size_t path_bytes = strlen(path) + 1, target_bytes = target ? strlen(target) + 1 : 0, len;
	struct path_row row = { .head = { *digest, INDEX_PATH },
				.path_bytes = (uint32_t)path_bytes };
	uint8_t key[INODE_KEY];
	struct kv_batch *b;
	int r = kv_batch_begin(x->o.kv, &b, e);

	if (r < 0)
		return r;
	r = find_number(x, b, *digest, INDEX_PATH, ret_ino, &len, e);
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
	r = kv_read(x->o.kv, KV_INODES, key, sizeof(key), head, sizeof(head), &len, NULL);
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

/* ---- from a number back ---- */

struct sum {
	struct index *x;
	const struct linkfile *file;
	uint32_t links;	     /* backups that hold the file */
	struct link_run run; /* one that they do in */
	uint32_t entry;
};

static int add_run(void *ctx, const struct link *l)
{
	struct sum *s = ctx;
	int r = linkfile_get(s->file, LINKFILE_RUNS, l->run, &s->run);

	s->entry = link_entry(l);
	s->links += r == 0 ? s->run.count : 0;
	return r;
}

static int nlink_in(const struct linkfile *f, uint64_t ino, uint32_t *ret, struct err *e)
{
	struct sum s = { .file = f };
	int r = f ? linkfile_each(f, ino, add_run, &s) : 0;

	*ret = 1 + MAX_OF(s.links, 1u);
	return index_damaged(r, e);
}

int index_nlink(struct index *x, uint32_t node, uint64_t ino, uint32_t *ret, struct err *e)
{
	_cleanup_(linkfile_unrefp) struct linkfile *f = index_file(x, node);

	return nlink_in(f, ino, ret, e);
}

/* A file that was touched. */
static int read_file(struct index *x, const struct file_row *row, struct index_node *ret,
		     struct err *e)
{
	const struct row_link *links = (const struct row_link *)(row + 1);
	int r = INDEX_ABSENT;

	for (uint32_t i = 0; i < row->link_count && r == INDEX_ABSENT; i++) {
		struct run_row run;

		r = run_row(x, &links[i].run, &run, e);
		ret->run = run.place;
		ret->entry = links[i].entry;
	}
	ret->node = row->node;
	ret->attr = row->attr;
	ret->size_bytes = row->size_bytes;
	ret->content = row->content;
	return r == 0 ? index_nlink(x, row->node, ret->ino, &ret->nlink, e) : r;
}

/* A file that is counted, from its run. */
static int read_counted_run(struct index *x, const struct counted *n, const struct sum *s,
			    bool wait, const struct cancel *c, struct index_node *ret,
			    struct err *e)
{
	struct cached *run;
	int r = treecache_run(x->o.trees, &n->name, &s->run.place, wait, &run, c, e);

	if (r != 0)
		return r == TREECACHE_WOULD_BLOCK ? INDEX_WOULD_BLOCK : r;
	if (s->entry < run->run->entry_count) {
		const struct entry *en = &run->run->entries[s->entry];

		ret->type = INDEX_FILE;
		ret->node = n->node;
		ret->attr = en->attr;
		ret->size_bytes = en->size_bytes;
		ret->content = en->content;
		ret->nlink = 1 + s->links;
		ret->run = s->run.place;
		ret->entry = s->entry;
	} else {
		r = index_damaged(-EBADMSG, e);
	}
	treecache_unref(x->o.trees, run);
	return r;
}

static int read_counted(struct index *x, uint64_t ino, bool wait, const struct cancel *c,
			struct index_node *ret, struct err *e)
{
	for (const struct counted *n = index_first(x); n; n = n->next) {
		_cleanup_(linkfile_unrefp) struct linkfile *f = index_file(x, n->node);
		struct sum s = { .file = f };
		int r = f ? linkfile_each(f, ino, add_run, &s) : 0;

		if (r < 0)
			return index_damaged(r, e);
		if (s.links > 0)
			return read_counted_run(x, n, &s, wait, c, ret, e);
	}
	return INDEX_ABSENT;
}

int index_get(struct index *x, uint64_t ino, bool wait, const struct cancel *c,
	      struct index_node *ret, struct err *e)
{
	_cleanup_free_ void *value = NULL;
	uint64_t counts = index_counts(x);
	const struct row_head *head;
	uint8_t key[INODE_KEY];
	size_t len;
	int r;

	index_inode_key(key, ino);
	r = kv_get(x->o.kv, KV_INODES, key, sizeof(key), &value, &len, e);
	if (r < 0)
		return r;
	head = value;
	*ret = (struct index_node){ .ino = ino, .counts = counts };
	if (r == 0 && len >= sizeof(struct path_row) && head->type == INDEX_PATH) {
		ret->type = INDEX_PATH;
		return read_path(value, len, ret, e);
	}
	r = r == 0 && len >= sizeof(struct file_row) ? read_file(x, value, ret, e) : INDEX_ABSENT;
	return r == INDEX_ABSENT ? read_counted(x, ino, wait, c, ret, e) : r;
}

/* ---- rows of runs that are gone ---- */

/* Takes one run out of a file's row; a row without runs goes. */
static int drop_link(struct index *x, struct kv_batch *b, uint64_t ino, const struct run_key *k,
		     struct err *e)
{
	struct file_row *row = (struct file_row *)(void *)x->scratch;
	struct row_link *links = (struct row_link *)(void *)(x->scratch + sizeof(*row));
	uint8_t key[INODE_KEY];
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
	return row->link_count > 0
		       ? kv_batch_put(b, KV_INODES, key, INODE_KEY, x->scratch,
				      sizeof(*row) + row->link_count * sizeof(*links), e)
		       : kv_batch_delete(b, KV_INODES, key, INODE_KEY, e);
}

static int drop_rows(struct index *x, const struct run_key *k, const struct run_row *row,
		     struct err *e)
{
	struct kv_batch *b;
	int r = kv_batch_begin(x->o.kv, &b, e);

	if (r < 0)
		return r;
	for (uint32_t i = 0; r == 0 && i < row->entry_count; i++)
		r = drop_link(x, b, row->inodes[i], k, e);
	if (r == 0)
		r = kv_batch_delete(b, KV_RUNS, k, sizeof(*k), e);
	if (r == 0)
		return kv_batch_commit(b, e);
	kv_batch_abort(b);
	return r;
}

int index_drop_run(struct index *x, const struct run_key *k, struct err *e)
{
	struct run_row row;
	int r = run_row(x, k, &row, e);

	if (r != 0)
		return MIN_OF(r, 0);
	pthread_mutex_lock(&x->write);
	do {
		r = drop_rows(x, k, &row, e);
	} while (r == -EAGAIN); /* the tables moved */
	pthread_mutex_unlock(&x->write);
	return r;
}
