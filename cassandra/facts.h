/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node says of itself and of its cluster. The texts are those of nodetool 4.1 and 5.0 (org.apache.cassandra.tools.nodetool:
 * Info, DescribeCluster, Status, DataPaths); other lines than those that are known are passed over. Pure.
 */
#ifndef SSTABLEFS_CASSANDRA_FACTS_H
#define SSTABLEFS_CASSANDRA_FACTS_H

#include <jansson.h>
#include "base/err.h"

#define FACTS_WORD_MAX 1024 /* of a name, an address, a token */
#define FACTS_TOKENS_MAX 8192
#define FACTS_MEMBERS_MAX 16384
#define FACTS_DATA_DIRS_MAX 1024
#define FACTS_TEXT_MAX ((size_t)16 * 1024 * 1024) /* of what one call prints */

struct facts_member { /* a node of the cluster; "" = not known */
	char *host_id, *address, *dc, *rack;
	char status;	    /* 'U' up, 'D' down, '?' */
	char state;	    /* 'N' normal, 'L' leaving, 'J' joining, 'M' moving, '?' */
	size_t token_count; /* 0: not known */
};

struct facts { /* strings are owned; "" = not known */
	char *cluster, *partitioner, *version, *compatibility_mode;
	char *host_id, *address, *dc, *rack;
	char **tokens;
	size_t token_count;
	struct facts_member *members; /* every node of the cluster, this one too */
	size_t member_count;
	char **data_dirs; /* as in cassandra.yaml, then those that only some system tables have */
	size_t data_dir_count;
	json_t *tables; /* {"ks": {"table": [paths]}}; NULL: not known */
};

struct facts *facts_new(void);
void facts_free(struct facts *f);
DEFINE_CLEANUP(struct facts *, facts_free);

/* Each reads one text, which ends with a NUL, into f. 0; -ENOMEM; -EBADMSG (ERR_IO) where it is not what was asked for, or too much. */
int facts_read_info(struct facts *f, const char *text, struct err *e); /* nodetool info -T */
/* After facts_complete(): of the cluster's versions, this node's is that with its address. */
int facts_read_describecluster(struct facts *f, const char *text, struct err *e);
int facts_read_status(struct facts *f, const char *text, struct err *e);
int facts_read_datapaths(struct facts *f, const char *text, struct err *e); /* -F json */

/* After info and status were read: this node's address is that of the member with its host id. */
int facts_complete(struct facts *f, struct err *e);

/* Replaces an owned string. 0 or -ENOMEM. */
int facts_set(char **string, const char *text, size_t len, struct err *e);
int facts_add_data_dir(struct facts *f, const char *path, size_t len, struct err *e);
int facts_add_token(struct facts *f, const char *text, size_t len, struct err *e);
/* Takes the strings of *m over where it returns 0. */
int facts_add_member(struct facts *f, const struct facts_member *m, struct err *e);
/* 5000 of "5.0.9": versions of one release are one number. 0: not known. */
unsigned facts_release(const char *version);
/* Whether the node has what `only` ("ks" or "ks.table") names; true where its tables are not known. */
bool facts_has_table(const struct facts *f, const char *only);

#endif
