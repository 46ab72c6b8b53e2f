/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far to fetch ahead: the pattern of one open file's reads, and what follows from it. Pure computation; the caller's lock.
 *
 * A file is read by up to WINDOWS readers in order (threads that share the file), each with a window of its own; a read that continues none of them begins a new one
 * in place of the one that was used least recently, so that two jumps end what was fetched ahead. Parallel reads may arrive in another order than they were made:
 * whatever lies within WINDOW_TOLERANCE of where a reader is continues it. But one whose jumps add up to more than WINDOW_JUMPS and WINDOW_STRAYING times
 * what he read does not read in order: he goes about in a small file.
 *
 * A window opens with the first read at offset 0, if it has WINDOW_START bytes (the least that the kernel reads ahead with, unless it was told that reads are random),
 * and elsewhere once WINDOW_PROOF bytes were read in order. It begins with WINDOW_FIRST bytes and doubles when the reader
 * has come half of it further, up to what the caller allows. From WINDOW_OBJECT on it ends at multiples of that.
 */
#ifndef SSTABLEFS_CATALOG_WINDOW_H
#define SSTABLEFS_CATALOG_WINDOW_H

#include "catalog/format.h"

#define WINDOWS 2
#define WINDOW_TOLERANCE (4 * MIB)
#define WINDOW_PROOF (256 * KIB)
#define WINDOW_START (16 * KIB)
#define WINDOW_JUMPS (2 * MIB)
#define WINDOW_STRAYING 16
#define WINDOW_MEMORY (4 * MIB) /* of reads, over which that is judged */
#define WINDOW_FIRST (1 * MIB)
#define WINDOW_LEAST (256 * KIB) /* the smallest that a limit can make it */
#define WINDOW_OBJECT FORMAT_OBJECT_BYTES
#define WINDOW_REST (1 * MIB) /* so little before the end of the file is taken along */

struct window {
	uint64_t next;	/* the end of what was read */
	uint64_t ahead; /* fetched up to here */
	uint64_t bytes; /* its size; 0: not open */
	uint64_t run;	/* bytes read in order, since it began or doubled */
	uint64_t last;	/* the end of the read before */
	uint64_t strayed,
		total; /* by how much reads began elsewhere than at `last`, and bytes read; lately */
	uint64_t used; /* when, by the count of reads */
};

struct windows {
	struct window w[WINDOWS];
	uint64_t reads; /* so far; windows beyond the first so many have not begun */
	unsigned begun;
	uint64_t expected; /* size of the first one, where it begins the file; 0: WINDOW_FIRST */
};

struct window_plan {
	uint64_t from, to;		 /* fetch this; from = to: nothing */
	uint64_t forget_from, forget_to; /* was fetched, will not be read */
	uint64_t ahead;			 /* where an open window ends now */
	bool is_open;			 /* the read is one in order */
	unsigned index;			 /* of the window, for windows_retract */
};

/* Notes a read of [offset, offset + len) (inside the file). limit_bytes bounds what is fetched ahead of the reader. */
struct window_plan windows_note(struct windows *all, uint64_t offset, uint64_t len_bytes,
				uint64_t file_bytes, uint64_t limit_bytes);
/* Before the first read: it will be the start of one in order, with a window of that size. */
void windows_expect(struct windows *all, uint64_t bytes);
/* Whether a read there would be one in order. */
bool windows_in_order(const struct windows *all, uint64_t offset, uint64_t len_bytes,
		      uint64_t file_bytes);
/* What was planned beyond `to` was not begun: it will be planned again. */
void windows_retract(struct windows *all, unsigned index, uint64_t to);

#endif
