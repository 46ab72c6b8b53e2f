/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of a backup: sealed JSON that a person can read (docs/format.md, "Records"), and the register protocol's states.
 */
#ifndef SSTABLEFS_CATALOG_RECORD_H
#define SSTABLEFS_CATALOG_RECORD_H

#include "base/err.h"
#include "catalog/keys.h"
#include "catalog/tree.h"

enum record_state { RECORD_OPEN, RECORD_COMMITTED, RECORD_ABORTED, RECORD_DELETED };

struct record_owner { /* a user or group that entries name by number; name "" where the system had none */
	uint32_t id;
	char *name;
};

struct record_node { /* a node of the cluster as the one that was backed up saw it */
	char *host_id, *address, *dc, *rack;
};

struct record_pack { /* how much of a pack (an object that holds more than one file) this backup uses */
	struct ulid writer;
	struct id256 id;
	uint32_t used_bytes, plain_bytes;
};

/* What became of comparing each Data.db with the Digest.crc32 beside it. */
struct record_digests {
	bool known; /* false: made before this was recorded */
	uint64_t checked, unchecked /* no usable Digest.crc32 */, mismatched;
	char **files; /* those that do not match, as paths below the backup: the first FORMAT_MISMATCHES */
	size_t file_count;
};

/* All strings are owned and never NULL unless said so: "" = not known. Times in ns since 1970 UTC, 0 = not known. */
struct record {
	enum record_state state;
	uint64_t sequence;
	char nonce[33]; /* 32 hex digits, new for each process */
	struct ulid writer;
	char *backup;
	struct node_name where;
	char *cluster_original; /* as Cassandra says it; docs/format.md, section 10 */
	char *host_id, *address, *dc, *rack;
	char **tokens;
	size_t token_count;
	int64_t started_ns, finished_ns; /* by the node's clock */
	int64_t store_time_ns; /* the Date of W1's answer; a record read OPEN may lack it */
	int64_t renewed_ns;    /* the node's clock at the last renewal: for people */
	char *cassandra_version, *partitioner;
	char *compatibility_mode; /* storage_compatibility_mode of 5.0: "CASSANDRA_4", "UPGRADING", "NONE" */
	char **sstable_versions; /* "nb", "oa", … sorted */
	size_t sstable_version_count;
	char **id_kinds; /* "generation", "uuid": sorted */
	size_t id_kind_count;
	struct record_node *peers; /* the cluster's nodes; peers_known false: made with no topology */
	size_t peer_count;
	bool peers_known;
	struct record_owner *users, *groups;
	size_t user_count, group_count;
	uint64_t file_count, dir_count, total_bytes, new_bytes, reused_bytes;
	struct record_digests digests;
	struct place root; /* of a COMMITTED record */
	bool has_root;
	struct record_pack *packs; /* sorted by (writer, id) when read */
	size_t pack_count;
	unsigned refused; /* DOC_WRITE, DOC_COLLECT (catalog/doc.h): it has a feature that this program does not know */
};

struct record *record_new(void); /* all empty strings, state OPEN; NULL: out of memory */
void record_free(struct record *r);
DEFINE_CLEANUP(struct record *, record_free);
/* Gives back the lists that may be long, for who keeps many records: peers, tokens, owners, packs, versions and kinds of ids are gone afterwards. */
void record_trim(struct record *r);

/*
 * The sealed text, newly allocated. -EINVAL (ERR_IO, a bug) where a limit is broken; -ENOTSUP (ERR_USAGE) where `refused` is set: unknown
 * features and members would be lost. Bytes of free text (not names, not ids) that are no UTF-8 become '?'.
 */
int record_encode(const struct record *r, char **ret_text, size_t *ret_len, struct err *e);
/* Unseals, checks every field, and that writer, backup, cluster and node are those of the key it was read from (where given; `key` NULL: read from none). An unknown format version or "read" feature: -ENOTSUP with ERR_USAGE. */
int record_decode(const char *key, const char *text, size_t len_bytes,
		  const struct node_name *where, const char *backup, const struct ulid *writer,
		  struct record **ret, struct err *e);
const char *record_state_name(enum record_state s);
/* Order of "newest": by (store_time_ns, writer). < 0: a is older. */
int record_compare_age(const struct record *a, const struct record *b);

#endif
