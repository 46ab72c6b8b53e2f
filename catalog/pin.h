/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pin: what a reader lays down beside the records of a node, so that no collector deletes what the backup that it reads is made of
 * (docs/format.md, "Pins"). Sealed JSON, a register like a record: HELD -> ENDED. catalog/hold.h has the protocol.
 */
#ifndef SSTABLEFS_CATALOG_PIN_H
#define SSTABLEFS_CATALOG_PIN_H

#include "catalog/register.h"

enum pin_state { PIN_HELD, PIN_ENDED };

struct pin { /* plain value, but for doc_refuse's sake never written where `refused` is set */
	enum pin_state state;
	uint64_t sequence;
	char nonce[33];
	struct ulid id; /* of the pin: the name of its key */
	struct node_name where;
	char backup[FORMAT_NAME_BYTES + 1];
	struct ulid writer; /* of the backup: with its name, the key of the record */
	struct place root;  /* what is pinned */
	char purpose[FORMAT_READER_BYTES + 1], host[FORMAT_READER_BYTES + 1]; /* for people */
	uint32_t pid;							      /* likewise */
	int64_t started_ns, renewed_ns; /* by the reader's clock: for people */
	int64_t store_time_ns;		/* the Date of the first write's answer; 0: not known */
	unsigned refused; /* DOC_WRITE, DOC_COLLECT: it has a feature that this program does not know */
};

/* The sealed text, newly allocated: 0, or < 0 as record_encode. */
int pin_encode(const struct pin *p, char **ret_text, size_t *ret_len, struct err *e);
/* Unseals and checks every field, and that node and id are those of the key that it was read from (NULL: read from none). < 0 as record_decode. */
int pin_decode(const char *text, size_t len_bytes, const struct node_name *where,
	       const struct ulid *id, struct pin *ret, struct err *e);
/* One pin: 0, STORE_NOT_FOUND, or < 0. ret_etag (STORE_ETAG_MAX bytes) may be NULL. */
int pin_get(struct repo *repo, const struct node_name *where, const struct ulid *id,
	    struct pin *ret, char *ret_etag, const struct cancel *c, struct err *e);
/* The pin as a register: as reg_init. */
void pin_register(struct reg *g, struct repo *repo, struct pin *p);
const char *pin_state_name(enum pin_state s);

#endif
