/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/fs/tree_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "base/io.h"
#include "fs/view_private.h"

static void require(bool well, const char *what)
{
	if (well)
		return;
	fprintf(stderr, "cannot set up: %s\n", what);
	abort();
}

static void note(struct tree_fixture *t, uint64_t ino, const char *name)
{
	pthread_mutex_lock(&t->lock);
	require(t->told_count < TOLD_MAX, "too many invalidations");
	t->told[t->told_count].ino = ino;
	snprintf(t->told[t->told_count++].name, sizeof(t->told[0].name), "%s", name);
	pthread_mutex_unlock(&t->lock);
}

static void told_entry(void *ctx, uint64_t parent, const char *name)
{
	struct tree_fixture *t = ctx;

	pthread_mutex_lock(&t->directory);
	pthread_mutex_unlock(&t->directory);
	note(t, parent, name);
}

static void told_attributes(void *ctx, uint64_t ino)
{
	note(ctx, ino, "");
}

static void told_removed(void *ctx, const struct ulid *writer)
{
	struct tree_fixture *t = ctx;

	overlay_forget_backup(t->overlay, fs_generation_of(writer));
}

static void text(void *ctx, struct wbuf *out)
{
	(void)ctx;
	wbuf_put(out, "state: well\n", 12);
}

struct tree_fixture *tree_fixture_new(int64_t refresh_ms)
{
	struct tree_fixture *t = calloc(1, sizeof(*t));
	char template[] = "/tmp/ssfs-tree-XXXXXX";
	struct reader_options ro = { .memory_bytes = 64 * MIB, .connections = 2 };
	struct view_options vo = { .refresh_ms = refresh_ms };
	struct index_options io = { .clock = clock_system(),
				    .max_bytes = 64 * MIB,
				    .memory_bytes = 16 * MIB };
	struct fs_options fo = {
		.clock = clock_system(), .refresh_s = 5, .status = text, .metrics = text
	};

	require(t != NULL, "memory");
	pthread_mutex_init(&t->lock, NULL);
	pthread_mutex_init(&t->directory, NULL);
	t->repo = fixture_new(OBJECT_VERIFY_XXH3);
	t->dir = strdup(mkdtemp(template));
	require(t->dir && kv_open(t->dir, 64 * MIB, &t->kv, NULL) == 0, "local store");
	t->trees = treecache_new(t->repo->meta, 1 * MIB);
	io.kv = t->kv;
	io.meta = t->repo->meta;
	io.trees = t->trees;
	io.directory = t->dir;
	t->index = index_new(&io);
	ro.source = t->repo->source;
	ro.metrics = t->repo->metrics;
	require(t->index && t->trees && reader_new(&ro, &t->reader, NULL) == 0, "reader");
	vo.repo = t->repo->repo;
	vo.meta = t->repo->meta;
	vo.index = t->index;
	vo.notify = (struct notify){ told_entry, told_attributes, told_removed, t };
	vo.cancel = &t->cancel;
	t->overlay = overlay_new(4 * MIB, clock_system());
	t->view = view_new(&vo);
	fo.view = t->view;
	fo.index = t->index;
	fo.trees = t->trees;
	fo.reader = t->reader;
	fo.overlay = t->overlay;
	t->fs = fs_new(&fo);
	require(t->view && t->fs && t->overlay, "tree");
	return t;
}

void tree_fixture_free(struct tree_fixture *t)
{
	cancel_set(&t->cancel, 1);
	view_free(t->view);
	fs_free(t->fs);
	overlay_free(t->overlay);
	reader_free(t->reader);
	index_free(t->index);
	treecache_free(t->trees);
	fixture_free(t->repo);
	kv_close(t->kv);
	io_remove_tree(AT_FDCWD, t->dir);
	free(t->dir);
	pthread_mutex_destroy(&t->lock);
	pthread_mutex_destroy(&t->directory);
	free(t);
}

int tree_fixture_count(struct tree_fixture *t, uint32_t node, size_t count,
		       const struct record *const *records, const struct index_listener *l)
{
	static const struct index_listener nobody;
	struct link_wanted wanted[8];
	int r;

	require(count <= ARRAY_SIZE(wanted), "few backups");
	for (size_t i = 0; i < count; i++)
		wanted[i] = (struct link_wanted){ records[i]->writer, records[i]->root, 0 };
	r = index_count(t->index, node, &(struct node_name){ FIXTURE_CLUSTER, FIXTURE_NODE },
			wanted, count, l ? l : &nobody, NULL, NULL);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = wanted[i].result;
	return r;
}

int tree_fixture_walk(struct tree_fixture *t, const char *path, struct fs_entry *ret)
{
	_cleanup_free_ char *copy = strdup(path);
	uint64_t at = INODE_ROOT;
	char *save = NULL;
	int r = 0;

	require(copy != NULL, "memory");
	for (char *name = strtok_r(copy, "/", &save); r == 0 && name;
	     name = strtok_r(NULL, "/", &save)) {
		r = fs_lookup(t->fs, at, name, WAIT, ret, NULL);
		at = ret->ino;
	}
	return r;
}

bool tree_fixture_told_inode(struct tree_fixture *t, uint64_t ino)
{
	bool found = false;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->told_count; i++)
		found = found || (t->told[i].ino == ino && !*t->told[i].name);
	pthread_mutex_unlock(&t->lock);
	return found;
}

bool tree_fixture_told(struct tree_fixture *t, const char *dir, const char *name)
{
	struct id256 digest = inode_dir_digest(dir);
	uint64_t ino = inode_number(&digest);
	bool found = false;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < t->told_count; i++)
		found = found || (t->told[i].ino == ino && strcmp(t->told[i].name, name) == 0);
	pthread_mutex_unlock(&t->lock);
	return found;
}

void tree_fixture_forget(struct tree_fixture *t)
{
	pthread_mutex_lock(&t->lock);
	t->told_count = 0;
	pthread_mutex_unlock(&t->lock);
}

void tree_fixture_settle(struct tree_fixture *t, const char *node)
{
	struct view_node *n = view_known(t->view, FIXTURE_CLUSTER, node);
	struct looker *k = &t->view->looker;

	require(n != NULL, "a node that was looked at");
	pthread_mutex_lock(&k->lock);
	while (n->look.running)
		pthread_cond_wait(&k->changed, &k->lock);
	pthread_mutex_unlock(&k->lock);
}
