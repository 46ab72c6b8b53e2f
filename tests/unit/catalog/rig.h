/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node to be backed up, for tests: data directories on disk, a repository in memory behind a store that counts and fails on demand, and ways to look at
 * what a backup left there.
 */
#ifndef SSTABLEFS_TESTS_RIG_H
#define SSTABLEFS_TESTS_RIG_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include "catalog/backup.h"
#include "catalog/meta.h"
#include "store/mem.h"
#include "store/wrap.h"
#include "tests/unit/base/tmpdir.h"
#include "tests/unit/catalog/sample.h"

#define RIG_TABLE "ks/users-00000000000000000000000000000001"
#define RIG_START_NS INT64_C(1700000000000000000)

struct rig {
	struct tmpdir tmp;
	struct clock clock;
	_Atomic int64_t wall_ns, elapsed_ns; /* stand still until the test moves them */
	pthread_mutex_t random_lock;
	uint64_t random;
	struct store *store; /* trace over fault over memory */
	struct repo *repo;
	struct backup_options options; /* to be changed between runs */
	unsigned data_dirs;
	enum fault (*fault)(struct rig *rig, const char *method, const char *key);
	atomic_int calls; /* for the fault function */
	struct cancel cancel;
	char host_id[64], cluster_original[64];
};

static inline int64_t rig_wall(void *ctx)
{
	return ((struct rig *)ctx)->wall_ns;
}

static inline int64_t rig_elapsed(void *ctx)
{
	return ((struct rig *)ctx)->elapsed_ns;
}

static inline void rig_random(void *ctx, void *out, size_t len_bytes)
{
	struct rig *rig = ctx;

	pthread_mutex_lock(&rig->random_lock);
	for (size_t i = 0; i < len_bytes; i++)
		((uint8_t *)out)[i] = (uint8_t)(sample_random(&rig->random) >> 56);
	pthread_mutex_unlock(&rig->random_lock);
}

static inline enum fault rig_decide(void *ctx, const char *method, const char *key)
{
	struct rig *rig = ctx;

	return rig->fault ? rig->fault(rig, method, key) : FAULT_NONE;
}

static inline void rig_init(struct rig *rig, enum object_compression compression)
{
	struct err e = ERR_INIT;

	*rig = (struct rig){
		.tmp = tmpdir_new(), .wall_ns = RIG_START_NS, .random = 1, .data_dirs = 1
	};
	rig->clock = (struct clock){ rig_wall, rig_elapsed, rig_random, rig };
	pthread_mutex_init(&rig->random_lock, NULL);
	rig->store = trace_store_new(fault_store_new(mem_store_new(&rig->clock), rig_decide, rig),
				     &rig->clock, NULL);
	cr_assert(rig->store);
	cr_assert_eq(repo_init(rig->store, compression, &rig->clock, &e), 0, "%s", e.message);
	cr_assert_eq(repo_open(rig->store, REPO_READ | REPO_WRITE, &rig->clock, NULL, &rig->repo,
			       &e),
		     0, "%s", e.message);
	rig->options = (struct backup_options){ .repo = rig->repo,
						.jobs = 2,
						.connections = 2,
						.memory_bytes = 64 * MIB,
						.cancel = &rig->cancel };
}

static inline void rig_deinit(struct rig *rig)
{
	repo_free(rig->repo);
	store_free(rig->store);
	pthread_mutex_destroy(&rig->random_lock);
	tmpdir_deinit(&rig->tmp);
}

#define _cleanup_rig_ _cleanup_(rig_deinit)

/* ---- the node ---- */

static inline void rig_mkdirs(struct rig *rig, const char *path)
{
	char dir[512];

	snprintf(dir, sizeof(dir), "%s", path);
	*strrchr(dir, '/') = '\0';
	cr_assert_eq(io_mkdirs(rig->tmp.fd, dir, 0755), 0, "%s", dir);
}

/* A file of the snapshot "s1" of the only table; with "d1:name" in the second data directory. */
static inline char *rig_path(char out[512], const char *name)
{
	bool second = strncmp(name, "d1:", 3) == 0;

	snprintf(out, 512, "d%d/" RIG_TABLE "/snapshots/s1/%s", second, second ? name + 3 : name);
	return out;
}

static inline void rig_put(struct rig *rig, const char *name, const void *data, size_t len)
{
	/* Times do not depend on when the test runs: the same file again is the same run again. */
	const struct timespec times[2] = { { 1600000000, 0 }, { 1600000000, 123456789 } };
	char path[512];

	rig_mkdirs(rig, rig_path(path, name));
	tmpdir_write(&rig->tmp, path, data, len);
	cr_assert_eq(utimensat(rig->tmp.fd, path, times, 0), 0);
}

/* As sample_bytes, eight at a time. */
static inline uint8_t *rig_bytes(uint64_t seed, size_t len)
{
	uint8_t *data = malloc(len + 8);
	uint64_t state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);

	cr_assert(data);
	for (size_t at = 0; at < len; at += 8) {
		uint64_t r = sample_random(&state);

		memcpy(data + at, &r, sizeof(r));
	}
	return data;
}

static inline void rig_put_random(struct rig *rig, const char *name, uint64_t seed, size_t len)
{
	_cleanup_free_ uint8_t *data = rig_bytes(seed, len);

	rig_put(rig, name, data, len);
}

static inline void rig_remove(struct rig *rig, const char *name)
{
	char path[512];

	cr_assert_eq(unlinkat(rig->tmp.fd, rig_path(path, name), 0), 0, "%s", path);
}

static inline void rig_rename(struct rig *rig, const char *from, const char *to)
{
	char a[512], b[512];

	cr_assert_eq(renameat(rig->tmp.fd, rig_path(a, from), rig->tmp.fd, rig_path(b, to)), 0);
}

/* Directories change their times with every file: tests that compare trees set them back. */
static inline void rig_settle(struct rig *rig)
{
	static const char *const dirs[] = { "d0", "d0/ks", "d0/" RIG_TABLE,
					    "d0/" RIG_TABLE "/snapshots/s1" };
	const struct timespec times[2] = { { 1600000000, 0 }, { 1600000000, 1 } };

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		utimensat(rig->tmp.fd, dirs[i], times, 0);
}

static inline struct snapshot *rig_scan(struct rig *rig)
{
	struct snapshot *s = NULL;
	char d0[128], d1[128];
	const char *const dirs[] = { d0, d1 };
	struct snapshot_options o = { .data_dirs = dirs,
				      .data_dir_count = rig->data_dirs,
				      .tag = "s1" };
	struct err e = ERR_INIT;

	snprintf(d0, sizeof(d0), "%s/d0", rig->tmp.path);
	snprintf(d1, sizeof(d1), "%s/d1", rig->tmp.path);
	cr_assert_eq(snapshot_scan(&o, NULL, &s, &e), 0, "%s", e.message);
	return s;
}

/* ---- backups ---- */

static inline struct record *rig_record(struct rig *rig, const char *backup)
{
	struct record *r = record_new();

	cr_assert(r);
	free(r->backup);
	free(r->host_id);
	free(r->cluster_original);
	r->backup = strdup(backup);
	r->host_id = strdup(rig->host_id);
	r->cluster_original = strdup(rig->cluster_original);
	strcpy(r->where.cluster, "c1");
	strcpy(r->where.node, "n1");
	return r;
}

/* Backs up a snapshot that was scanned before; ret_record may be NULL. */
static inline int rig_backup_snapshot(struct rig *rig, const struct snapshot *s, const char *name,
				      struct record **ret_record, struct err *e)
{
	_cleanup_(record_freep) struct record *record = rig_record(rig, name);
	struct backup_result result = { 0 };
	int r;

	rig->options.record = record;
	rig->options.snapshot = s;
	*e = ERR_INIT;
	r = backup_run(&rig->options, &result, e);
	rig->options.record = NULL;
	rig->options.snapshot = NULL;
	rig->wall_ns += INT64_C(60000000000);
	if (ret_record)
		*ret_record = steal_pointer(&result.record);
	record_free(result.record);
	return r;
}

static inline int rig_backup(struct rig *rig, const char *name, struct record **ret_record,
			     struct err *e)
{
	_cleanup_(snapshot_freep) struct snapshot *s = rig_scan(rig);

	return rig_backup_snapshot(rig, s, name, ret_record, e);
}

/* A backup that must succeed. To be freed. */
static inline struct record *rig_commit(struct rig *rig, const char *name)
{
	struct record *record = NULL;
	struct err e;

	cr_assert_eq(rig_backup(rig, name, &record, &e), 0, "%s", e.message);
	return record;
}

static inline struct trace_counts rig_counts(struct rig *rig)
{
	struct trace_counts counts;

	trace_store_counts(rig->store, &counts);
	return counts;
}

static inline int rig_count_entry(void *ctx, const struct store_entry *entry, struct err *e)
{
	++*(size_t *)ctx;
	return 0;
}

/* How many keys lie below nodes/c1/n1/<below>. */
static inline size_t rig_count(struct rig *rig, const char *below)
{
	size_t count = 0;
	char prefix[256];
	struct store_list list = { .prefix = prefix, .entry = rig_count_entry, .ctx = &count };
	struct err e = ERR_INIT;

	snprintf(prefix, sizeof(prefix), "nodes/c1/n1/%s", below);
	cr_assert_eq(store_list(rig->store, &list, NULL, &e), 0, "%s", e.message);
	return count;
}

/* The state of the only record of that name. */
static inline int rig_only_record(void *ctx, const struct record_key *key, struct err *e)
{
	struct record_key *ret = ctx;

	cr_assert_eq(ret->size_bytes, 0, "more than one record");
	*ret = *key;
	return 0;
}

static inline struct record *rig_read_record(struct rig *rig, const char *backup)
{
	const struct node_name where = { "c1", "n1" };
	struct record_key key = { 0 };
	struct record *record = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(repo_list_records(rig->repo, &where, backup, rig_only_record, &key, NULL, &e),
		     0);
	cr_assert_gt(key.size_bytes, 0, "no record of %s", backup);
	cr_assert_eq(repo_get_record(rig->repo, &where, backup, &key.writer, &record, NULL, NULL,
				     &e),
		     0, "%s", e.message);
	return record;
}

static inline enum record_state rig_state(struct rig *rig, const char *backup)
{
	_cleanup_(record_freep) struct record *record = rig_read_record(rig, backup);

	return record->state;
}

/* ---- what is in a backup ---- */

struct rig_view {
	struct source *source;
	struct meta *meta;
};

static inline struct rig_view rig_open_view(struct rig *rig)
{
	struct rig_view v = { .source = source_new(rig->store, OBJECT_VERIFY_SHA256, NULL) };

	v.meta = meta_new(&(struct meta_options){ .repo = rig->repo, .source = v.source });
	cr_assert(v.meta);
	return v;
}

static inline void rig_close_view(struct rig_view *v)
{
	meta_free(v->meta);
	source_free(v->source);
}

/* The run that holds a file (to be freed), and its entry; NULL where there is none. */
static inline struct run *rig_find(struct rig_view *v, const struct record *record,
				   const char *path, const struct entry **ret)
{
	struct place at = record->root;
	struct run *run = NULL;
	struct err e = ERR_INIT;
	char copy[512], *name, *rest;

	snprintf(copy, sizeof(copy), "%s", path);
	rest = copy;
	while ((name = strsep(&rest, "/"))) {
		_cleanup_(tree_freep) struct tree *tree = NULL;
		const struct child *child;
		const struct run_ref *ref;

		cr_assert_eq(meta_tree(v->meta, &record->where, &at, &tree, NULL, &e), 0, "%s",
			     e.message);
		child = rest ? tree_find_child(tree, name) : NULL;
		if (rest && !child)
			return NULL;
		if (child) {
			at = child->place;
			continue;
		}
		ref = tree_find_run(tree, name);
		if (!ref)
			return NULL;
		cr_assert_eq(meta_run(v->meta, &record->where, &ref->place, &run, NULL, &e), 0,
			     "%s", e.message);
		*ret = run_find(run, name);
	}
	return run;
}

static inline uint8_t *rig_read_entry(struct rig_view *v, const struct record *record,
				      const struct entry *entry)
{
	uint8_t *data = malloc(entry->size_bytes + 1);
	_cleanup_free_ uint8_t *object = malloc(SOURCE_HEADROOM + FORMAT_OBJECT_BYTES);
	size_t done = 0;
	struct err e = ERR_INIT;

	cr_assert(data && object);
	if (entry->size_bytes <= FORMAT_INLINE_BYTES) {
		memcpy(data, entry->inline_data, entry->size_bytes);
		return data;
	}
	for (uint32_t i = 0; i < entry->extent_count; i++) {
		const struct extent *x = &entry->extents[i];

		cr_assert_eq(source_fetch(v->source, &record->where, KEY_OBJECT_DATA, &x->object,
					  object + SOURCE_HEADROOM, NULL, NULL, NULL, &e),
			     0, "%s", e.message);
		memcpy(data + done, object + SOURCE_HEADROOM + x->offset, x->len_bytes);
		done += x->len_bytes;
	}
	cr_assert_eq(done, entry->size_bytes);
	return data;
}

/* As ARCHITECTURE.md says it, of content of any length. */
static inline struct id256 rig_content_id(const uint8_t *data, size_t len)
{
	_cleanup_(sha256_freep) struct sha256 *h = sha256_new();
	uint8_t size[8];

	for (size_t i = 0; i < sizeof(size); i++)
		size[i] = (uint8_t)((uint64_t)len >> (8 * i));
	sha256_update(h, "sstablefs/1 content", sizeof("sstablefs/1 content"));
	sha256_update(h, size, sizeof(size));
	for (size_t at = 0; at < len; at += FORMAT_FRAME_BYTES) {
		struct id256 frame = digest_sha256(data + at, MIN_OF(len - at, FORMAT_FRAME_BYTES));

		sha256_update(h, frame.b, sizeof(frame.b));
	}
	return sha256_final(h);
}

/* Expects data/<table>/<name> to hold exactly these bytes. */
static inline void rig_expect(struct rig *rig, const struct record *record, const char *name,
			      const void *expected, size_t len)
{
	_cleanup_(rig_close_view) struct rig_view v = rig_open_view(rig);
	_cleanup_(run_freep) struct run *run = NULL;
	_cleanup_free_ uint8_t *data = NULL;
	const struct entry *entry = NULL;
	struct id256 id = rig_content_id(expected, len);
	char path[512];

	snprintf(path, sizeof(path), "data/" RIG_TABLE "/%s", name);
	run = rig_find(&v, record, path, &entry);
	cr_assert(entry, "%s is not in the backup", name);
	cr_assert_eq(entry->size_bytes, len, "%s", name);
	cr_expect(memcmp(&entry->content, &id, sizeof(id)) == 0, "%s: content id", name);
	data = rig_read_entry(&v, record, entry);
	cr_expect(memcmp(data, expected, len) == 0, "%s: bytes", name);
}

static inline void rig_expect_random(struct rig *rig, const struct record *record, const char *name,
				     uint64_t seed, size_t len)
{
	_cleanup_free_ uint8_t *data = rig_bytes(seed, len);

	rig_expect(rig, record, name, data, len);
}

#endif
