/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A record as a register: each write is a compare-and-swap that carries a sequence number and this process's nonce. On 412 or an unknown outcome
 * the record is read: own nonce and number -> it succeeded; else somebody else changed it. 409 is retried. One thread at a time.
 */
#ifndef SSTABLEFS_CATALOG_REGISTER_H
#define SSTABLEFS_CATALOG_REGISTER_H

#include "catalog/repo.h"

struct reg {
	struct repo *repo;
	struct record *record;	    /* borrowed: what we believe is there, or are about to write */
	char etag[STORE_ETAG_MAX];  /* of our last successful write; "" before it */
	int64_t written_elapsed_ns; /* clock_elapsed at the start of the last successful write */
};

enum { REG_LOST = 1 }; /* the record is not what we wrote: taken, fenced or removed */

/* Draws the nonce (once per reg). */
void reg_init(struct reg *g, struct repo *repo, struct record *record);
/* W1: IF_ABSENT, state OPEN, sequence 1. Sets record->store_time_ns from the answer's Date. 0, REG_LOST, < 0 (outcome_unknown where it stayed unknown). */
int reg_create(struct reg *g, const struct cancel *c, struct err *e);
/* After a reg_create whose outcome stayed unknown: 0 where the record is there after all, as we wrote it (reg_write works from then on); REG_LOST; < 0. */
int reg_adopt(struct reg *g, const struct cancel *c, struct err *e);
/* W4, W5, withdrawal: IF_MATCH with sequence + 1 and the record's present fields (the caller changed state, root, counts…). 0, REG_LOST, < 0. */
int reg_write(struct reg *g, const struct cancel *c, struct err *e);
/* Overwrites somebody else's OPEN record (as read, with its ETag) as ABORTED. 0, REG_LOST (it moved), < 0. */
int reg_fence(struct repo *repo, struct record *record, const char *etag, const struct cancel *c,
	      struct err *e);

#endif
