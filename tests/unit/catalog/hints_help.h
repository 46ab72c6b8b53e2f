/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups with local state, for tests. A file that was rewritten on its inode at equal size, with its mtime put back, cannot be told from one that was not: so these tests do
 * just that, and see by what the next backup holds whether the file was read.
 */
#ifndef SSTABLEFS_TESTS_HINTS_HELP_H
#define SSTABLEFS_TESTS_HINTS_HELP_H

#include "catalog/hints.h"
#include "tests/unit/catalog/rig.h"

#define DATA "nb-1-big-Data.db"
#define LEN 40000
#define FILE_NS INT64_C(1600000000123456789) /* the mtime of the rig's files */
#define SECOND INT64_C(1000000000)

static const struct node_name hints_node = { "c1", "n1" };

/* The options of a host on which all is well; those of `change` instead where they are set. */
struct host {
	const char *repository_id, *host_id, *machine, *only;
	const struct node_name *where;
	bool reread, second_dir;
	struct log *log;
};

static inline struct hints *open_hints(struct rig *rig, const struct host *change)
{
	static const struct host none = { 0 };
	const struct host *c = change ? change : &none;
	char dir[128], d0[128], d1[128];
	const char *data_dirs[] = { d0, d1 };
	struct hints_options o = { .directory = dir,
				   .repository_id = c->repository_id ? c->repository_id
								     : repo_id(rig->repo),
				   .where = c->where ? c->where : &hints_node,
				   .host_id = c->host_id ? c->host_id : "h1",
				   .machine = c->machine ? c->machine : "m1",
				   .data_dirs = data_dirs,
				   .data_dir_count = c->second_dir ? 2 : 1,
				   .only = &c->only,
				   .only_count = c->only ? 1 : 0,
				   .reread = c->reread,
				   .clock = &rig->clock,
				   .log = c->log };
	struct hints *h;

	snprintf(dir, sizeof(dir), "%s/state", rig->tmp.path);
	snprintf(d0, sizeof(d0), "%s/d0", rig->tmp.path);
	snprintf(d1, sizeof(d1), "%s/d1", rig->tmp.path);
	h = hints_new(&o);
	cr_assert(h);
	return h;
}

/* A backup on a host with that state. To be freed. */
static inline struct record *commit(struct rig *rig, const char *name, const struct host *change)
{
	struct hints *h = open_hints(rig, change);
	struct record *record;

	rig->options.hints = h;
	record = rig_commit(rig, name);
	rig->options.hints = NULL;
	hints_free(h);
	return record;
}

static inline void back_up(struct rig *rig, const char *name, const struct host *change)
{
	record_free(commit(rig, name, change));
}

static inline void put(struct rig *rig, const char *name, uint64_t seed)
{
	rig_put_random(rig, name, seed, LEN);
}

/* Whether the backup holds the content with that seed. */
static inline bool holds_length(struct rig *rig, const struct record *record, const char *name,
				uint64_t seed, size_t len)
{
	_cleanup_free_ uint8_t *data = rig_bytes(seed, len);
	_cleanup_(rig_close_view) struct rig_view v = rig_open_view(rig);
	_cleanup_(run_freep) struct run *run = NULL;
	const struct entry *entry = NULL;
	struct id256 id = rig_content_id(data, len);
	char path[512];

	snprintf(path, sizeof(path), "data/" RIG_TABLE "/%s", name);
	run = rig_find(&v, record, path, &entry);
	cr_assert(entry, "%s", name);
	return memcmp(&entry->content, &id, sizeof(id)) == 0;
}

static inline bool holds(struct rig *rig, const struct record *record, const char *name,
			 uint64_t seed)
{
	return holds_length(rig, record, name, seed, LEN);
}

/* Rewrites the file unseen and backs it up: whether it was read. */
static inline bool is_read(struct rig *rig, const char *backup, const char *name,
			   const struct host *change)
{
	static uint64_t seed = 1000;
	_cleanup_(record_freep) struct record *record = NULL;

	put(rig, name, ++seed);
	record = commit(rig, backup, change);
	return holds(rig, record, name, seed);
}

static inline void one_backup(struct rig *rig)
{
	rig_init(rig, OBJECT_COMPRESS_NONE);
	put(rig, DATA, 1);
	back_up(rig, "b1", NULL);
}

#endif
