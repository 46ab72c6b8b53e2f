/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What verify remembers on this host, in files of one directory: which slice of a sample comes next, which objects a run that did not end found whole, and
 * which ones an earlier slice found damaged. All of it only saves work: without it, or where it is damaged, a run begins anew.
 *
 * A sample is one of n slices. Data objects are divided among them by their ids, so n runs read each object once. A run takes the slice after the one that
 * was taken last, two runs at the same time take two; with nothing remembered the first is drawn by chance (where nothing is ever remembered, chance is what
 * covers everything in the end). A run that was killed is continued, slice and all, while it is not older than VERIFY_CONTINUE_NS by the store's clock.
 *
 * Files, below the directory, which must be ours alone (<scope>: 32 hex digits of what is verified, which includes n):
 *   <scope>.next       magic, n, the next slice, XXH3-64
 *   <scope>.<slice>    of a run, flocked by it: magic, n, slice, begin, XXH3-64; then for each whole object its XXH3-128 and an XXH3-64 over that and the begin
 *   <scope>.damaged    likewise, of what was found damaged; only where n > 1
 */
#ifndef SSTABLEFS_CATALOG_VERIFY_STATE_H
#define SSTABLEFS_CATALOG_VERIFY_STATE_H

#include "base/clock.h"
#include "base/err.h"
#include "catalog/seen.h"

#define VERIFY_SLICES_MAX 10000
#define VERIFY_CONTINUE_NS (INT64_C(7) * 86400 * 1000000000)

struct verify_state;

struct verify_state_options {
	const char *dir;
	struct id256 scope; /* of what is verified; `slices` is added here */
	uint32_t slices;    /* 1: everything is read */
	int64_t now_ns;	    /* by the store's clock; 0: not known, and no run is continued */
	const struct clock *clock;
};

struct verify_begin {
	uint32_t slice;
	bool continued;	   /* a run that did not end */
	int64_t begun_ns;  /* when that began, by the store's clock */
	uint64_t objects;  /* that it found whole */
	bool too_old;	   /* there was one, but it is not continued */
	bool damaged;	   /* what was remembered cannot be believed: begun anew */
	bool unremembered; /* another run reads the same just now: nothing is noted of this one */
};

/* 0; < 0 where nothing can be remembered (*e says why). */
int verify_state_open(const struct verify_state_options *o, struct verify_state **ret,
		      struct verify_begin *ret_begin, struct err *e);
void verify_state_free(struct verify_state *s);
DEFINE_CLEANUP(struct verify_state *, verify_state_free);

/* s may be NULL in all of these: nothing is remembered. Any thread, but for finish. */

/* It was found whole by the run that is continued. */
bool verify_state_is_whole(const struct verify_state *s, const struct object_ref *ref);
/* An earlier slice found it damaged: to be read whatever the slice. */
bool verify_state_is_suspect(const struct verify_state *s, const struct object_ref *ref);
/* Notes that it is whole. What cannot be noted is read again. */
void verify_state_whole(struct verify_state *s, const struct object_ref *ref);
/* The run came to its end: these are damaged or missing, and it is not continued. */
void verify_state_finish(struct verify_state *s, const struct xxh128 *damaged, size_t count);

/* The slice that an object, or a content whose id is recomputed, belongs to: 0 to slices - 1. */
uint32_t verify_state_slice_of(const struct id256 *id, uint32_t slices);

#endif
