/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small repository in memory, with backups made of lists of files: for tests of what reads backups. Whatever cannot be set up ends the process.
 * Content is cut as the format says: whole objects of 8 MiB and pieces of 1 MiB and more by themselves, the rest packed, up to 512 bytes inline. Each content, run and tree of a node is stored once.
 */
#ifndef SSTABLEFS_TESTS_FIXTURE_H
#define SSTABLEFS_TESTS_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include "catalog/meta.h"
#include "tests/unit/catalog/fixture_wire.h"

/* For what must be so lest the test makes no sense. */
#define must(condition)                                                                         \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

struct fixture_file {
	const char *
		path; /* below the backup: "data/ks/t-…/nb-1-big-Data.db"; ending in '/': an empty directory */
	const void *data;
	size_t len_bytes;
	struct attributes attr; /* mode 0: 0644, this process's owner, some mtime */
	uint32_t data_dir;
};

struct fixture {
	struct store *store; /* of the repository: the wire over memory */
	struct fixture_wire *wire;
	struct repo *repo;
	struct metrics *metrics;
	struct source *source;
	struct meta *meta;
	struct kv *kv;	    /* of meta; NULL until fixture_use_kv */
	struct ulid writer; /* of the last backup */
	uint64_t backups;
	void *contents; /* stored so far */
};

#define FIXTURE_CLUSTER "ring"
#define FIXTURE_NODE "n1"

struct fixture *fixture_new(enum object_verify how);
void fixture_free(struct fixture *f);
DEFINE_CLEANUP(struct fixture *, fixture_free);

/* A new source and meta, with nothing kept; with this local store, or none. */
void fixture_restart(struct fixture *f, enum object_verify how, struct kv *kv);

/* A COMMITTED backup of FIXTURE_NODE, or of another node; the record is to be freed. compression: of its objects. */
struct record *fixture_backup(struct fixture *f, const char *name, const struct fixture_file *files,
			      size_t count, enum object_compression compression);
struct record *fixture_backup_of(struct fixture *f, const char *cluster, const char *node,
				 const char *name, enum record_state state,
				 const struct fixture_file *files, size_t count,
				 enum object_compression compression);

/* From here on these bytes count as the content that was stored last: their id is given to what is stored under another. */
void fixture_mislead(struct fixture *f, const void *data, size_t len_bytes);

/* The n-th key below a prefix that contains `part`, and how many there are. */
size_t fixture_count(struct fixture *f, const char *part);
void fixture_key(struct fixture *f, const char *part, size_t n, char out[KEY_BYTES]);
/* Changes an object at rest: a bit of the byte at offset (negative: from the end); its length; its existence. */
void fixture_flip(struct fixture *f, const char *key, long offset);
void fixture_truncate(struct fixture *f, const char *key, size_t len_bytes);
void fixture_delete(struct fixture *f, const char *key);

/* The entry of a path in a backup, with its run (to be freed). NULL: none. */
const struct entry *fixture_find(struct fixture *f, const struct record *r, const char *path,
				 struct run **ret_run);

/* len bytes that depend on seed: random, or text that compresses. To be freed. */
void *fixture_random(uint64_t seed, size_t len_bytes);
void *fixture_text(uint64_t seed, size_t len_bytes);

#endif
