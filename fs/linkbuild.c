/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include "catalog/parallel.h"
#include "fs/inode.h"
#include "fs/linkbuild_private.h"

#define READERS 8
#define FIRST_TABLE ((size_t)1 << 16)

struct numbers { /* of the runs that a backup names */
	uint32_t *v;
	size_t count, cap;
};

static void numbers_deinit(struct numbers *n)
{
	free(n->v);
}

struct walk { /* of one backup */
	struct linkbuild *b;
	struct numbers *found;
	unsigned depth;
};

/* The local store failed, not what is to be counted: that ends the build. */
static int local_failure(struct linkbuild *b, int r, struct err *e)
{
	atomic_store(&b->broken, r);
	return err_errno(e, r, "the link counts of node %s cannot be kept in the local cache%s",
			 b->o.name->node, r == -ENOSPC ? ": allow a larger cache_size=" : "");
}

/* With the lock held. All together take at most twice what the file may: a node that has no room must not take the disk, or memory, before that is known. */
static int grow(struct linkbuild *b, struct spill *s, size_t bytes)
{
	const struct spill *all[] = { &b->runs, &b->table, &b->links, &b->lists };
	size_t total = bytes;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		total += all[i] == s ? 0 : all[i]->cap_bytes;
	return total > SPILL_LEAST_BYTES * ARRAY_SIZE(all) && total > 2 * b->o.max_bytes
		       ? -ENOSPC
		       : spill_grow(s, b->o.dir_fd, bytes);
}

/* ---- the table of new runs; with the lock held ---- */

static uint32_t *slot_of(struct linkbuild *b, const struct link_key *k)
{
	uint32_t *table = b->table.data;
	size_t at = k->low & (b->table_size - 1);

	while (table[at] && link_key_compare(&linkbuild_runs(b)[table[at] - 1].key, k) != 0)
		at = (at + 1) & (b->table_size - 1);
	return &table[at];
}

static int grow_table(struct linkbuild *b)
{
	size_t size = MAX_OF(2 * b->table_size, FIRST_TABLE);
	int r = grow(b, &b->table, size * sizeof(uint32_t));

	if (r < 0)
		return r;
	memset(b->table.data, 0, size * sizeof(uint32_t));
	b->table_size = size;
	for (size_t i = 0; i < b->run_count; i++)
		*slot_of(b, &linkbuild_runs(b)[i].key) = (uint32_t)i + 1;
	return 0;
}

/* The number of a run that is not in the old file; *ret_new: it was not known yet. */
static int note_run(struct linkbuild *b, const struct link_key *k, const struct place *place,
		    uint32_t *ret, bool *ret_new)
{
	uint32_t *slot;
	int r = 0;

	if (2 * (b->run_count + 1) > b->table_size)
		r = grow_table(b);
	if (r == 0)
		r = grow(b, &b->runs, (b->run_count + 1) * sizeof(struct link_run));
	if (r < 0)
		return r;
	slot = slot_of(b, k);
	*ret_new = !*slot;
	if (!*slot) {
		linkbuild_runs(b)[b->run_count] = (struct link_run){ .key = *k, .place = *place };
		*slot = (uint32_t)++b->run_count;
	}
	*ret = b->old_runs + *slot - 1;
	return *ret < UINT32_MAX - 1 ? 0 : -E2BIG;
}

/* ---- one run ---- */

/* The number of an identity: as its digest says, but where another identity was met with that number. */
static uint64_t number_of(struct linkbuild *b, const struct id256 *digest)
{
	static const struct id256 nobody;
	struct id256 chain = *digest;
	uint64_t ino = inode_number(&chain);

	for (size_t i = 0; i < b->moved_count; i++) {
		struct moved *m = &b->moved[i];

		if (m->ino != ino)
			continue;
		if (memcmp(&m->digest, &nobody, sizeof(nobody)) == 0)
			m->digest = *digest;
		if (memcmp(&m->digest, digest, sizeof(*digest)) == 0)
			break;
		ino = inode_next(&chain);
		i = SIZE_MAX; /* from the beginning, with the next number */
	}
	return ino;
}

int linkbuild_note_collision(struct linkbuild *b, uint64_t ino)
{
	if (util_grow(&b->moved, &b->moved_cap, b->moved_count + 1, sizeof(*b->moved)) < 0)
		return -ENOMEM;
	b->moved[b->moved_count++] = (struct moved){ .ino = ino };
	return 0;
}

/* The identity of what is below data/ begins there. */
static const char *identity_dir(const char *dir)
{
	return strncmp(dir, "data/", 5) == 0 ? dir + 5 : dir;
}

/* dir: of at most FORMAT_PATH_BYTES, which walk_tree() sees to. */
static void make_links(struct linkbuild *b, const char *dir, const struct run *run, uint32_t number,
		       struct link *links, struct id256 *digests)
{
	char path[FORMAT_PATH_BYTES + FORMAT_FILE_NAME_BYTES + 2];
	const char *base = identity_dir(dir);
	size_t len = strlen(base);

	memcpy(path, base, len);
	if (len > 0)
		path[len++] = '/';
	for (uint32_t i = 0; i < run->entry_count; i++) {
		const struct entry *en = &run->entries[i];

		memcpy(path + len, en->name, strlen(en->name) + 1);
		digests[i] = inode_file_digest(b->o.name, path, en);
		links[i] = (struct link){ .run = number,
					  .bits = link_bits(i, &en->content, &digests[i]) };
	}
}

/* Reads a new run and notes its files. */
static int read_run(struct walk *w, const char *dir, const struct run_ref *ref, uint32_t number,
		    struct err *e)
{
	_cleanup_(run_freep) struct run *run = NULL;
	struct link links[FORMAT_RUN_ENTRIES];
	struct id256 digests[FORMAT_RUN_ENTRIES];
	struct linkbuild *b = w->b;
	int r = meta_run_once(b->o.meta, b->o.name, &ref->place, &run, b->o.cancel, e);

	if (r < 0)
		return r;
	make_links(b, dir, run, number, links, digests);
	pthread_mutex_lock(&b->lock);
	r = grow(b, &b->links, (b->link_count + run->entry_count) * sizeof(*links));
	for (uint32_t i = 0; r == 0 && i < run->entry_count; i++)
		links[i].ino = number_of(b, &digests[i]);
	if (r == 0) {
		memcpy((struct link *)b->links.data + b->link_count, links,
		       run->entry_count * sizeof(*links));
		b->link_count += run->entry_count;
		linkbuild_runs(b)[number - b->old_runs].entry_count = run->entry_count;
	}
	pthread_mutex_unlock(&b->lock);
	return r < 0 ? local_failure(b, r, e) : 0;
}

/* ---- one backup ---- */

static int endless(struct walk *w, const char *dir, const struct place *p, struct err *e)
{
	char key[KEY_BYTES];

	err_set(e, ERR_CORRUPT, -EOVERFLOW,
		"directory \"%s\" holds more than the directories above it say", dir);
	err_key(e, keys_object(key, w->b->o.name, KEY_OBJECT_META, &p->extent.object.writer,
			       &p->extent.object.id));
	return -EOVERFLOW;
}

static int one_run(struct walk *w, const char *dir, const struct link_key *dir_key,
		   const struct run_ref *ref, struct err *e)
{
	struct link_key k = link_run_key(dir_key, &ref->place);
	struct linkbuild *b = w->b;
	struct link_run was;
	bool is_new = false;
	uint32_t number;
	int r = LINKFILE_ABSENT;

	if (b->o.old)
		r = linkfile_find_run(b->o.old, &k, &was, &number);
	if (r == LINKFILE_ABSENT) {
		pthread_mutex_lock(&b->lock);
		r = note_run(b, &k, &ref->place, &number, &is_new);
		pthread_mutex_unlock(&b->lock);
	}
	if (r == 0)
		r = util_grow(&w->found->v, &w->found->cap, w->found->count + 1, sizeof(number));
	if (r < 0)
		return local_failure(b, r, e);
	w->found->v[w->found->count++] = number;
	return is_new ? read_run(w, dir, ref, number, e) : 0;
}

static int walk_tree(struct walk *w, const char *dir, const struct place *place,
		     struct tree_room *parent, struct err *e)
{
	_cleanup_(tree_freep) struct tree *t = NULL;
	struct linkbuild *b = w->b;
	struct link_key dir_key = link_dir_key(dir);
	struct tree_room room;
	int r;

	if (w->depth > FORMAT_DEPTH || strlen(dir) > FORMAT_PATH_BYTES)
		return err_set(e, ERR_CORRUPT, -EBADMSG, "directories are nested too deeply: %s",
			       dir);
	r = meta_tree_once(b->o.meta, b->o.name, place, &t, b->o.cancel, e);
	if (r == 0 && parent && !tree_room_take(parent, t))
		r = endless(w, dir, place, e);
	if (r < 0)
		return r;
	room = tree_room(t);
	for (uint32_t i = 0; r == 0 && i < t->run_count; i++)
		r = cancel_is_set(b->o.cancel) ? err_set(e, ERR_IO, -ECANCELED, "stopped")
					       : one_run(w, dir, &dir_key, &t->runs[i], e);
	w->depth++;
	for (uint32_t i = 0; r == 0 && i < t->child_count; i++) {
		_cleanup_free_ char *path =
			util_printf("%s%s%s", dir, *dir ? "/" : "", t->children[i].name);

		r = path ? walk_tree(w, path, &t->children[i].place, &room, e) : err_nomem(e);
	}
	w->depth--;
	return r;
}

int linkbuild_compare_numbers(const void *a, const void *b)
{
	uint32_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

/* With the lock held. */
static int note_list(struct linkbuild *b, size_t i, const struct numbers *found, struct err *e)
{
	size_t bytes = found->count * sizeof(*found->v);
	int r = grow(b, &b->lists, b->list_count * sizeof(*found->v) + bytes);

	if (r < 0)
		return local_failure(b, r, e);
	if (bytes > 0)
		memcpy((uint32_t *)b->lists.data + b->list_count, found->v, bytes);
	b->backups[i].first = b->list_count;
	b->backups[i].count = found->count;
	b->list_count += found->count;
	return 0;
}

/* As parallel_fn. A backup that cannot be read is told and left out. */
static int read_backup(void *ctx, size_t i, unsigned worker, struct err *e)
{
	_cleanup_(numbers_deinit) struct numbers found = { NULL, 0, 0 };
	struct linkbuild *b = ctx;
	struct link_wanted *wanted = &b->o.backups[i];
	struct walk w = { b, &found, 0 };
	struct err mine = ERR_INIT;
	bool ends;
	int r;

	(void)worker;
	if (b->backups[i].kept)
		return 0;
	if (cancel_is_set(b->o.cancel))
		return err_set(e, ERR_IO, -ECANCELED, "stopped");
	r = walk_tree(&w, "", &wanted->root, NULL, &mine);
	if (found.count > 0)
		qsort(found.v, found.count, sizeof(*found.v), linkbuild_compare_numbers);
	pthread_mutex_lock(&b->lock);
	if (r == 0)
		r = note_list(b, i, &found, &mine);
	wanted->result = r;
	ends = atomic_load(&b->broken) < 0 || cancel_is_set(b->o.cancel);
	if (r < 0 && !ends && b->o.failed)
		b->o.failed(b->o.ctx, i, &mine);
	pthread_mutex_unlock(&b->lock);
	if (r < 0 && ends)
		*e = mine;
	return r < 0 && ends ? r : 0;
}

/* ---- the whole ---- */

/* Which backups the old file has counted, by their writer and root. */
static int find_kept(struct linkbuild *b, bool *ret_all)
{
	uint64_t old = b->o.old ? linkfile_count(b->o.old, LINKFILE_BACKUPS) : 0, kept = 0;
	int r = 0;

	*ret_all = true;
	for (size_t i = 0; r == 0 && i < b->o.count; i++) {
		struct link_wanted *w = &b->o.backups[i];
		struct built *to = &b->backups[i];

		w->result = 0;
		r = b->o.old ? linkfile_find_backup(b->o.old, &w->writer, &to->was)
			     : LINKFILE_ABSENT;
		to->kept = r == 0 &&
			   memcmp(&to->was.root, &w->root.digest, sizeof(to->was.root)) == 0;
		kept += to->kept;
		*ret_all = *ret_all && to->kept;
		r = MIN_OF(r, 0);
	}
	*ret_all = *ret_all && kept == old && b->o.old;
	return r;
}

/* Numbers that are somebody else's: no digest of a file is all ones. */
static int note_taken(struct linkbuild *b)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < b->o.taken_count; i++) {
		r = linkbuild_note_collision(b, b->o.taken[i]);
		if (r == 0)
			memset(&b->moved[i].digest, 0xff, sizeof(b->moved[i].digest));
	}
	return r;
}

/* Whether what was read is all that the old file says: what could not be read is tried again each time, and is no reason to write. */
static bool is_same(const struct linkbuild *b)
{
	uint64_t kept = 0;

	for (size_t i = 0; i < b->o.count; i++) {
		if (!b->backups[i].kept && b->o.backups[i].result == 0)
			return false;
		kept += b->backups[i].kept;
	}
	return b->o.old && kept == linkfile_count(b->o.old, LINKFILE_BACKUPS);
}

static void begin(struct linkbuild *b)
{
	b->old_runs = b->o.old ? (uint32_t)linkfile_count(b->o.old, LINKFILE_RUNS) : 0;
	b->run_count = b->link_count = b->list_count = b->table_size = 0;
}

static int read_all(struct linkbuild *b, struct linkfile **ret, struct err *e)
{
	int r;

	do {
		begin(b);
		r = parallel_run("count", READERS, b->o.count, read_backup, b, e);
		if (r < 0)
			return r;
		if (is_same(b))
			return LINKBUILD_SAME;
		r = linkbuild_write(b, ret);
		if (r == LINKBUILD_COLLISION) { /* the numbers in the old file may be others then */
			b->o.old = NULL;
			for (size_t i = 0; i < b->o.count; i++)
				b->backups[i].kept = false;
		}
	} while (r == LINKBUILD_COLLISION);
	return r < 0 ? local_failure(b, r, e) : r;
}

int linkbuild_run(const struct linkbuild_options *o, struct linkbuild **ret, struct linkfile **file,
		  struct err *e)
{
	_cleanup_(linkbuild_freep) struct linkbuild *b = calloc(1, sizeof(*b));
	bool all = false;
	int r;

	if (!b)
		return err_nomem(e);
	b->o = *o;
	b->before = linkfile_ref(o->old);
	b->runs = b->table = b->links = b->lists = b->uses = b->numbers = SPILL_NONE;
	pthread_mutex_init(&b->lock, NULL);
	b->backups = calloc(o->count + 1, sizeof(*b->backups));
	if (!b->backups)
		return err_nomem(e);
	r = note_taken(b);
	if (r == 0)
		r = find_kept(b, &all);
	if (r < 0)
		return local_failure(b, r, e);
	if (all)
		return LINKBUILD_SAME;
	r = read_all(b, file, e);
	if (r == 0)
		*ret = steal_pointer(&b);
	return r;
}

void linkbuild_free(struct linkbuild *b)
{
	if (!b)
		return;
	spill_close(&b->runs);
	spill_close(&b->table);
	spill_close(&b->links);
	spill_close(&b->lists);
	spill_close(&b->uses);
	spill_close(&b->numbers);
	linkfile_unref(b->before);
	pthread_mutex_destroy(&b->lock);
	free(b->backups);
	free(b->moved);
	free(b);
}
