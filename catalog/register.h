/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A document of the bucket as a register: each write is a compare-and-swap that carries a sequence number and this process's nonce. On 412 or an
 * unknown outcome the document is read: own nonce and number -> it succeeded; else somebody else changed it. 409 is retried. One thread at a time.
 * Records are such documents, and pins (catalog/pin.h).
 */
#ifndef SSTABLEFS_CATALOG_REGISTER_H
#define SSTABLEFS_CATALOG_REGISTER_H

#include <stdatomic.h>
#include "catalog/repo.h"

struct reg_seen { /* what lies under the key */
	uint64_t sequence;
	char nonce[33];
	bool open; /* in the state that its writer may still change */
	int64_t store_time_ns;
	char etag[STORE_ETAG_MAX];
};

struct reg_kind {	  /* what the machinery must know of a kind of document */
	const char *name; /* in messages: "the backup's record" */
	/* Writes the key into out[KEY_BYTES]. */
	void (*key)(const void *doc, char *out);
	/* The sealed text, newly allocated: 0, or < 0. */
	int (*encode)(const void *doc, char **ret_text, size_t *ret_len, struct err *e);
	/* 0, STORE_NOT_FOUND, or < 0. */
	int (*read)(struct repo *repo, const void *doc, struct reg_seen *ret,
		    const struct cancel *c, struct err *e);
};

struct reg_doc { /* a document (borrowed: what we believe is there, or are about to write), and where it has what the machinery changes */
	void *doc;
	uint64_t *sequence;
	char *nonce; /* 33 bytes */
	int64_t *store_time_ns, *renewed_ns;
};

struct reg {
	struct repo *repo;
	const struct reg_kind *kind;
	struct reg_doc d;
	char etag[STORE_ETAG_MAX]; /* of our last successful write; "" before it */
	_Atomic int64_t
		written_elapsed_ns; /* clock_elapsed at the start of the last successful write; read by any thread */
};

enum { REG_LOST = 1 }; /* the document is not what we wrote: taken, fenced or removed */

/* Draws the nonce (once per reg). */
void reg_init(struct reg *g, struct repo *repo, const struct reg_kind *kind,
	      const struct reg_doc *d);
/* The same for a record. */
void reg_init_record(struct reg *g, struct repo *repo, struct record *record);
/* W1: IF_ABSENT, sequence 1, in the state that the document has. Sets its store time from the answer's Date. 0, REG_LOST, < 0 (outcome_unknown where it stayed unknown). */
int reg_create(struct reg *g, const struct cancel *c, struct err *e);
/* After a reg_create whose outcome stayed unknown: 0 where the document is there after all, as we wrote it (reg_write works from then on); REG_LOST; < 0. */
int reg_adopt(struct reg *g, const struct cancel *c, struct err *e);
/* W4, W5, withdrawal: IF_MATCH with sequence + 1 and the document's present fields (the caller changed state, root, counts…). 0, REG_LOST, < 0. */
int reg_write(struct reg *g, const struct cancel *c, struct err *e);
/* Overwrites somebody else's OPEN record (as read, with its ETag) as ABORTED. 0, REG_LOST (it moved), < 0. */
int reg_fence(struct repo *repo, struct record *record, const char *etag, const struct cancel *c,
	      struct err *e);

#endif
