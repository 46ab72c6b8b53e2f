/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Link counts on many threads, for ThreadSanitizer: two nodes are counted again and again, each by one thread (and the eight that it reads with), now with some backups and now
 * with others, while others ask for inodes, touch runs, make directories and list objects. Each count that is seen must be one that a set of backups had.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include "base/io.h"
#include "fs/index.h"
#include "tests/unit/catalog/fixture.h"

#define BACKUPS 12
#define FILES 20
#define READERS 4
#define ROUNDS 40
#define TABLE "ks/t-1" /* below data/, as identities have it */
#define DIR "data/" TABLE

struct world {
	struct fixture *f;
	struct kv *kv;
	struct treecache *trees;
	struct index *index;
	struct record *records[BACKUPS];
	struct node_name node;
	struct run *run; /* of the file that all backups hold */
	struct place place;
	uint64_t ino;
	atomic_bool over;
};

static void check(bool holds, const char *promise)
{
	if (holds)
		return;
	fprintf(stderr, "stress_index: broken: %s\n", promise);
	abort();
}

static struct record *make_backup(struct world *w, unsigned number)
{
	struct fixture_file files[FILES];
	char paths[FILES][64];
	char name[8];

	for (unsigned i = 0; i < FILES; i++) { /* the first is in all, the others in some */
		snprintf(paths[i], sizeof(paths[i]), DIR "/nb-%u-big-Data.db",
			 i == 0 ? 0 : number / 3 * FILES + i);
		files[i] = (struct fixture_file){ .path = paths[i],
						  .data = paths[i],
						  .len_bytes = strlen(paths[i]),
						  .attr = { 0644, 1, 1, 1 } };
	}
	snprintf(name, sizeof(name), "b%u", number);
	return fixture_backup(w->f, name, files, FILES, OBJECT_COMPRESS_NONE);
}

static int refuse(void *ctx, const char *path, const struct run_ref *ref, struct err *e)
{
	struct world *w = ctx;

	(void)path;
	(void)e;
	if (strcmp(ref->first, "nb-0-big-Data.db") == 0)
		w->place = ref->place;
	return 1;
}

static void make_world(struct world *w)
{
	const struct meta_walk walk = { .run = refuse, .ctx = w };
	char template[] = "/tmp/ssfs-stress-XXXXXX";
	struct index_options o = { .clock = clock_system(),
				   .max_bytes = 8 * MIB,
				   .memory_bytes = MIB };
	struct id256 d;

	w->f = fixture_new(OBJECT_VERIFY_XXH3);
	w->node = (struct node_name){ FIXTURE_CLUSTER, FIXTURE_NODE };
	o.directory = mkdtemp(template);
	check(o.directory && kv_open(o.directory, 64 * MIB, &w->kv, NULL) == 0, "a local store");
	w->trees = treecache_new(w->f->meta, 1 * MIB);
	o.kv = w->kv;
	o.meta = w->f->meta;
	o.trees = w->trees;
	w->index = index_new(&o);
	check(w->trees && w->index, "memory");
	io_remove_tree(AT_FDCWD, o.directory);
	for (unsigned i = 0; i < BACKUPS; i++)
		w->records[i] = make_backup(w, i);
	check(meta_walk(w->f->meta, &w->node, &w->records[0]->root, &walk, NULL, NULL) == 0 &&
		      meta_run(w->f->meta, &w->node, &w->place, &w->run, NULL, NULL) == 0,
	      "a run");
	d = inode_file_digest(&w->node, TABLE "/nb-0-big-Data.db", &w->run->entries[0]);
	w->ino = inode_number(&d);
}

struct counter {
	struct world *w;
	uint32_t node;
	pthread_t thread;
};

static void ignore(void *ctx, uint64_t ino)
{
	(void)ctx;
	(void)ino;
}

static void *count_again(void *arg)
{
	struct counter *c = arg;
	struct world *w = c->w;
	const struct index_listener l = { .changed = ignore };

	for (unsigned round = 0; round <= ROUNDS; round++) {
		struct link_wanted wanted[BACKUPS];
		unsigned some = round == ROUNDS ? BACKUPS : 1 + round * 7 % BACKUPS;

		for (unsigned i = 0; i < some; i++)
			wanted[i] = (struct link_wanted){ w->records[i]->writer,
							  w->records[i]->root, 0 };
		check(index_count(w->index, c->node, &w->node, wanted, some, &l, NULL, NULL) == 0,
		      "backups are counted");
		for (unsigned i = 0; i < some; i++)
			check(wanted[i].result == 0, "each of them");
	}
	return NULL;
}

static int see_object(void *ctx, const struct id256 *content, uint64_t ino, struct err *e)
{
	(void)ctx;
	(void)content;
	(void)e;
	return ino == 0;
}

static void *ask(void *arg)
{
	struct world *w = arg;

	for (unsigned round = 0; !atomic_load(&w->over); round++) {
		struct index_node n = { .path = NULL };
		uint64_t inodes[FORMAT_RUN_ENTRIES], dir;
		char path[32];
		struct id256 digest;
		int r = index_touch(w->index, 1 + round % 2, &w->node, DIR, &w->place, w->run, 0, 1,
				    inodes, NULL);

		check(r == 0 && inodes[0] == w->ino, "a file has its number");
		r = index_get(w->index, w->ino, true, NULL, &n, NULL);
		check(r == 0 && n.nlink >= 2 && n.nlink <= BACKUPS + 1, "it has links");
		check(memcmp(&n.content, &w->run->entries[0].content, sizeof(n.content)) == 0,
		      "and its content");
		index_node_deinit(&n);
		check(index_backup_holds(w->index, 1, &w->records[0]->writer, w->ino, NULL) >= 0,
		      "who holds it can be said");
		check(index_objects(w->index, 2, (uint8_t)round, true, NULL, see_object, NULL,
				    NULL) >= 0,
		      "objects can be listed");
		snprintf(path, sizeof(path), "ring/nodes/%u", round % 100);
		digest = inode_dir_digest(path);
		check(index_path(w->index, &digest, path, NULL, &dir, NULL) == 0, "a directory");
	}
	return NULL;
}

int main(void)
{
	struct world w = { .over = false };
	struct counter counters[2];
	pthread_t readers[READERS];
	struct index_node n = { .path = NULL };

	make_world(&w);
	for (unsigned i = 0; i < READERS; i++)
		check(pthread_create(&readers[i], NULL, ask, &w) == 0, "threads");
	for (unsigned i = 0; i < 2; i++) {
		counters[i] = (struct counter){ .w = &w, .node = i + 1 };
		check(pthread_create(&counters[i].thread, NULL, count_again, &counters[i]) == 0,
		      "threads");
	}
	for (unsigned i = 0; i < 2; i++)
		pthread_join(counters[i].thread, NULL);
	atomic_store(&w.over, true);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	check(index_get(w.index, w.ino, true, NULL, &n, NULL) == 0 && n.nlink == BACKUPS + 1,
	      "all backups are counted at the end");
	index_node_deinit(&n);
	index_free(w.index);
	run_free(w.run);
	treecache_free(w.trees);
	for (unsigned i = 0; i < BACKUPS; i++)
		record_free(w.records[i]);
	fixture_free(w.f);
	kv_close(w.kv);
	return 0;
}
