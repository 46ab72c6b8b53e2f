/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups with several hashing and uploading threads, with renewals between, two of a node at once, uploads whose answers are lost, and one that is cancelled in the
 * middle; then every committed one is verified.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include "base/io.h"
#include "catalog/backup.h"
#include "catalog/verify.h"
#include "store/mem.h"
#include "store/wrap.h"

#define SMALL_FILES 600
#define LARGE_FILES 4
#define LARGE_BYTES (9 * MIB)
#define TABLE "ks/t-00000000000000000000000000000001"

#define must(condition)                                                                         \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

struct stress {
	char path[64], data_dir[96];
	struct store *store;
	struct repo *repo;
	struct snapshot *snapshot;
	atomic_uint puts;
};

struct one {
	struct stress *s;
	const char *name;
	struct cancel cancel;
	int result;
};

static void write_file(struct stress *s, unsigned number, size_t len)
{
	uint8_t *data = malloc(len + 1);
	uint32_t state = number * 2654435761U + 1;
	char path[256];
	int fd;

	must(data);
	for (size_t i = 0; i < len; i++) {
		state = state * 1664525U + 1013904223U;
		data[i] = (uint8_t)(state >> 24);
	}
	snprintf(path, sizeof(path), "%s/" TABLE "/snapshots/s1/nb-%u-big-Data.db", s->data_dir,
		 number);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	must(fd >= 0 && io_write_full(fd, data, len) == 0);
	close(fd);
	free(data);
}

static void make_node(struct stress *s)
{
	char dir[256];

	strcpy(s->path, "/tmp/sstablefs-stress-XXXXXX");
	must(mkdtemp(s->path));
	snprintf(s->data_dir, sizeof(s->data_dir), "%s/data", s->path);
	snprintf(dir, sizeof(dir), "%s/" TABLE "/snapshots/s1", s->data_dir);
	must(io_mkdirs(AT_FDCWD, dir, 0700) == 0);
	for (unsigned i = 0; i < SMALL_FILES; i++)
		write_file(s, i, i * 37);
	for (unsigned i = 0; i < LARGE_FILES; i++)
		write_file(s, SMALL_FILES + i / 2, LARGE_BYTES + i / 2); /* twice the same */
}

static enum fault lose_some(void *ctx, const char *method, const char *key)
{
	struct stress *s = ctx;

	return strcmp(method, "put") == 0 && strstr(key, "/objects/") &&
			       atomic_fetch_add(&s->puts, 1) % 3 == 0
		       ? FAULT_AFTER
		       : FAULT_NONE;
}

static void open_all(struct stress *s)
{
	const char *const dirs[] = { s->data_dir };
	const struct snapshot_options o = { .data_dirs = dirs, .data_dir_count = 1, .tag = "s1" };

	/* The rate makes a backup last for some renewals. */
	s->store = rate_store_new(fault_store_new(mem_store_new(clock_system()), lose_some, s),
				  200 * MIB, clock_system());
	must(s->store);
	must(repo_init(s->store, OBJECT_COMPRESS_ZSTD, clock_system(), NULL) == 0);
	must(repo_open(s->store, REPO_READ | REPO_WRITE, clock_system(), NULL, &s->repo, NULL) ==
	     0);
	must(snapshot_scan(&o, NULL, &s->snapshot, NULL) == 0);
}

static void *back_up(void *arg)
{
	struct one *one = arg;
	struct record *record = record_new();
	struct backup_result result = { 0 };
	struct progress progress = { 0 };
	struct err e = ERR_INIT;
	struct backup_options o = { .repo = one->s->repo,
				    .record = record,
				    .snapshot = one->s->snapshot,
				    .jobs = 4,
				    .connections = 4,
				    .renew_ms = 1,
				    .progress = &progress,
				    .cancel = &one->cancel };

	must(record);
	free(record->backup);
	record->backup = strdup(one->name);
	strcpy(record->where.cluster, "c");
	strcpy(record->where.node, "n");
	one->result = backup_run(&o, &result, &e);
	if (one->result < 0)
		fprintf(stderr, "%s: %s\n", one->name, e.message);
	record_free(result.record);
	record_free(record);
	return NULL;
}

static void *cancel_soon(void *arg)
{
	struct one *one = arg;

	while (atomic_load(&one->s->puts) == 0)
		sched_yield();
	cancel_set(&one->cancel, 15);
	return NULL;
}

static void run_two(struct one *a, struct one *b, void *(*second)(void *))
{
	pthread_t threads[2];

	must(pthread_create(&threads[0], NULL, back_up, a) == 0);
	must(pthread_create(&threads[1], NULL, second, b) == 0);
	for (size_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

static int keep_record(void *ctx, const struct record_key *key, struct err *e)
{
	struct stress *s = ctx;
	const struct node_name where = { "c", "n" };
	struct source *source = source_new(s->store, OBJECT_VERIFY_SHA256, NULL);
	struct meta *meta = meta_new(&(struct meta_options){ .repo = s->repo, .source = source });
	struct record *record = NULL;
	struct verify_result *result = NULL;

	must(meta && meta_record(meta, &where, key, &record, NULL, e) == 0);
	if (record->state == RECORD_COMMITTED) {
		struct verify_options o = { .repo = s->repo,
					    .source = source,
					    .meta = meta,
					    .records = &record,
					    .record_count = 1,
					    .jobs = 2,
					    .connections = 2,
					    .memory_bytes = 64 * MIB };

		must(verify_run(&o, &result, e) == 0);
		must(result->finding_count == 0);
		must(result->files_checked == record->file_count);
	} else {
		must(record->state == RECORD_ABORTED);
	}
	verify_result_free(result);
	record_free(record);
	meta_free(meta);
	source_free(source);
	return 0;
}

int main(void)
{
	static struct stress s;
	const struct node_name where = { "c", "n" };
	struct one cancelled = { .s = &s, .name = "cancelled" };
	struct one one = { .s = &s, .name = "b1" }, two = { .s = &s, .name = "b2" };
	struct one again = { .s = &s, .name = "b3" };

	make_node(&s);
	open_all(&s);
	run_two(&cancelled, &cancelled, cancel_soon);
	must(cancelled.result == -ECANCELED);
	run_two(&one, &two, back_up);
	must(one.result == 0 && two.result == 0);
	back_up(&again);
	must(again.result == 0);
	must(repo_list_records(s.repo, &where, NULL, keep_record, &s, NULL, NULL) == 0);
	snapshot_free(s.snapshot);
	repo_free(s.repo);
	store_free(s.store);
	must(io_remove_tree(AT_FDCWD, s.path) == 0);
	return 0;
}
