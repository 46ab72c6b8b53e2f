/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and keys: which names are allowed, and which key holds what (ARCHITECTURE.md, section 3).
 */
#ifndef SSTABLEFS_CATALOG_KEYS_H
#define SSTABLEFS_CATALOG_KEYS_H

#include "base/digest.h"
#include "base/err.h"
#include "base/ulid.h"
#include "catalog/format.h"

#define KEY_REPOSITORY "repository.json"
#define KEY_BYTES 640 /* room for every key of the format, with the NUL */

/* A node: the pair of names below which everything of it lies. Plain value, compared with node_name_equal. */
struct node_name {
	char cluster[FORMAT_NAME_BYTES + 1];
	char node[FORMAT_NAME_BYTES + 1];
};

/* [A-Za-z0-9][A-Za-z0-9._-]{0,127} and not reserved (objects, latest, backups, nodes). what = "cluster", "node", "backup". 0, or -EINVAL with ERR_USAGE. */
int keys_check_name(const char *what, const char *name, struct err *e);
/* Every character that is not allowed becomes '_' (and a leading one that is not alphanumeric gets an 'x' before it); cut at 128. Never fails. */
void keys_clean_name(char out[FORMAT_NAME_BYTES + 1], const char *original);
/* Whether `original`, of a record below the name `cluster`, says no more than that name does: Cassandra's own may be another one. */
bool keys_is_alias(const char *original, const char *cluster);
bool keys_node_equal(const struct node_name *a, const struct node_name *b);

enum key_object { KEY_OBJECT_DATA, KEY_OBJECT_META }; /* objects/ and trees/ */

/* Each writes the key into out[KEY_BYTES] and returns out. Prefixes end in '/'. */
char *keys_node_prefix(char *out, const struct node_name *n);
char *keys_records_prefix(char *out, const struct node_name *n,
			  const char *backup); /* backup NULL: all backups */
char *keys_record(char *out, const struct node_name *n, const char *backup,
		  const struct ulid *writer);
char *keys_object(char *out, const struct node_name *n, enum key_object kind,
		  const struct ulid *writer, const struct id256 *id);
char *keys_condemned_prefix(char *out, const struct node_name *n);
char *keys_pin(char *out, const struct node_name *n, const struct ulid *pin);
char *keys_probe(char *out, const struct node_name *n, const struct ulid *probe);

/* The parts of a record's key, relative to keys_records_prefix(n, NULL): "<backup>/<writer>.json". 0 or -EINVAL (foreign keys are ignored by listings). */
int keys_parse_record(const char *rest, char backup[FORMAT_NAME_BYTES + 1],
		      struct ulid *ret_writer);

#endif
