/* SPDX-License-Identifier: Apache-2.0 */
/* The backup that a mount holds on to from its start to its end (-o pin=). A pin that is lost ends every read of that backup, and of no other. */
#ifndef SSTABLEFS_FS_PINNED_H
#define SSTABLEFS_FS_PINNED_H

#include "base/buf.h"
#include "catalog/hold.h"
#include "catalog/meta.h"

struct pinned_options { /* borrowed until pinned_begin returns, but for repo and log */
	struct repo *repo;
	struct meta *meta;
	const char *backup;
	const char *cluster, *node; /* NULL: as find_one */
	const char *default_node;
	struct log *log;
	int64_t renew_ms; /* 0: hold.h's */
};

struct pinned;

/* Finds the backup and pins it. Credentials that only read: without a pin, which is logged. A backup that does not exist: ERR_NOT_FOUND. */
int pinned_begin(const struct pinned_options *o, struct pinned **ret, struct err *e);
void pinned_end(struct pinned *p);
DEFINE_CLEANUP(struct pinned *, pinned_end);

/* Whether it is this backup (writer NULL: any of the node). NULL p is fine: false. */
bool pinned_is(const struct pinned *p, const struct node_name *n, const struct ulid *writer);
/* The same, and a pin keeps it: it can be read to the mount's end, whoever deletes it. */
bool pinned_keeps(const struct pinned *p, const struct node_name *n, const struct ulid *writer);
const struct ulid *pinned_writer(const struct pinned *p);
/* 0, or -EIO and why: the pin was lost. NULL is fine. */
int pinned_check(struct pinned *p, struct err *e);
/* The line of .sstablefs/status. */
void pinned_describe(struct pinned *p, struct wbuf *out);

#endif
