/* SPDX-License-Identifier: Apache-2.0 */
/* What restore-node asks by CQL of the node that it has started: that it answers, that it is who it is to be, and the operator's query. */
#ifndef SSTABLEFS_TOOLS_NODEANSWER_H
#define SSTABLEFS_TOOLS_NODEANSWER_H

#include "cassandra/cqlsh.h"
#include "cassandra/nodejournal.h"
#include "tools/checkquery.h"
#include "tools/cli.h"

struct nodeanswer {
	struct cli *cli;
	struct cqlsh cqlsh;
	int64_t wait_ms; /* for an answer */
};

#define NODEANSWER_NO_LOGIN 1 /* it answers, and does not let cqlsh in, or cannot tell yet */
/* Until the node answers; 0: its host id, as a new string. NODEANSWER_NO_LOGIN. -ETIMEDOUT with what was said last, -ECANCELED. */
int nodeanswer_await(const struct nodeanswer *a, char **ret_id, struct err *e);
/* The same, until it lets cqlsh in. -EACCES: it has refused the login for 30 s, or until the wait was over: a node whose roles are none makes the first one some time after its start. */
int nodeanswer_login(const struct nodeanswer *a, char **ret_id, struct err *e);
/* Whether that host id, or with --remote the tokens, are the backup's. -EBADMSG (ERR_CONFLICT). */
int nodeanswer_identity(const struct nodeanswer *a, const struct nodejournal *j, const char *id,
			struct err *e);
/* checkquery_run, again for as long as Cassandra does not see its neighbours. */
int nodeanswer_query(const struct nodeanswer *a, const struct checkquery *q, struct err *e);

#endif
