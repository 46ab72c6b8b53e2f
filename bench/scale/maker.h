/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs share that make a large repository in a directory: everything is encoded as a backup does, and written without a sync. One that fails ends the program. */
#ifndef SSTABLEFS_BENCH_SCALE_MAKER_H
#define SSTABLEFS_BENCH_SCALE_MAKER_H

#include "catalog/record.h"
#include "catalog/repo.h"

#define MAKER_START_NS INT64_C(1700000000000000000)

struct maker {
	const char *directory;
	struct node_name where;
	struct ulid writer; /* of the backup that is being made */
	struct object_builder *builder;
	uint64_t random, keys;
};

/* A repository in the directory, which is made. */
void maker_begin(struct maker *m, const char *directory);
/* Ends the program where it is not fine. */
void maker_must(bool fine, const char *what);
size_t maker_number(const char *text);
/* Its upper bits are good. */
uint64_t maker_random(struct maker *m);

/* Appends a piece to the object that is being built: *x but for its object. */
void maker_add_piece(struct maker *m, const void *data, size_t len, struct extent *x);
/* Ends that object and writes it. */
struct object_ref maker_finish(struct maker *m, enum key_object kind);
/* As an object of its own. */
struct place maker_store_tree(struct maker *m, const struct tree *t);
/* root: its place; t: what it says. */
void maker_store_record(struct maker *m, size_t number, bool deleted, const struct place *root,
			const struct tree *t);

#endif
