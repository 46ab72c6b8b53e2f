/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which backups a retention policy keeps (CLI.md, purge): pure, over what a survey saw. docs/schedule.md says it for people.
 *
 * Each node by itself, newest first by (the store's time of W1, writer). keep_last keeps the newest so many backups; keep_daily walks the UTC days
 * that have a backup from the newest on, so many of them, and keeps the newest backup of each; weekly and monthly likewise, with ISO weeks and months. Rules add up: what one keeps is kept.
 * With older_than only what is older may go; the rules protect of that what they keep. Backups that are not complete count for the rules as all others do, and
 * the rules are applied once more to the complete ones alone: one that failed never takes the place of one that did not.
 * Whatever the rules say, a name that is kept on one node is kept on all of the cluster, and (without force) each node keeps its newest complete backup, or its newest where none is.
 */
#ifndef SSTABLEFS_CATALOG_POLICY_H
#define SSTABLEFS_CATALOG_POLICY_H

#include "catalog/survey.h"

struct policy {
	uint64_t keep_last, keep_daily, keep_weekly, keep_monthly; /* 0: no such rule */
	int64_t older_than_ms;					   /* 0: none */
	int64_t now_ns; /* the store's; used with older_than_ms */
	bool force;
};

/* Why a backup is kept: any number of these. 0: it goes. */
enum policy_reason {
	POLICY_LAST = 1 << 0,
	POLICY_DAILY = 1 << 1,
	POLICY_WEEKLY = 1 << 2,
	POLICY_MONTHLY = 1 << 3,
	POLICY_YOUNG = 1 << 4,	    /* not older than older_than */
	POLICY_NEWEST = 1 << 5,	    /* the node's newest complete one */
	POLICY_NO_TIME = 1 << 6,    /* the store's time is not known, or before 1970 */
	POLICY_OTHER_NODE = 1 << 7, /* only because its name is kept on another node */
	/* These two keep it on their node, and on no other. */
	POLICY_UNREADABLE =
		1 << 8, /* a record of the node cannot be read: nothing of the node goes */
	POLICY_NEWER_VERSION =
		1 << 9, /* a newer version wrote the record: it cannot be changed here */
};

struct policy_item {	 /* a COMMITTED backup of one node */
	uint32_t node;	 /* equal numbers: the same node */
	uint32_t backup; /* equal numbers: the same name in the same cluster */
	size_t entry;	 /* for the caller */
	struct ulid writer;
	int64_t store_time_ns;
	bool complete;	  /* on all nodes */
	uint16_t reasons; /* those that were known before; policy_apply adds its own */
};

/* Of a survey: all COMMITTED records, in its order. Items of nodes with damage, or with a record of a newer version, have POLICY_UNREADABLE. New array, with room for one more. */
int policy_items(const struct survey *s, struct policy_item **ret, size_t *ret_count,
		 struct err *e);

/* Nothing would be kept, and not because everything is too old. */
bool policy_keeps_nothing(const struct policy *p);
/* Adds the reasons. The items are sorted by node, newest first. */
int policy_apply(const struct policy *p, struct policy_item *items, size_t count, struct err *e);

/* Marks for each node the newest complete backup, or its newest where none is complete, with POLICY_NEWEST; sorts as policy_apply. Part of it; for delete. */
void policy_mark_newest(struct policy_item *items, size_t count);

/* Calls fn with each reason in words: "daily 2026-03-01", "weekly 2026-W09", "last", "newest complete"… fn: 0 go on, < 0 fail. */
typedef int policy_word_fn(void *ctx, const char *word);
int policy_words(const struct policy_item *item, policy_word_fn *fn, void *ctx);

#endif
