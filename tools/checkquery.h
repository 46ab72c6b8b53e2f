/* SPDX-License-Identifier: Apache-2.0 */
/* The query of the operator's that a restored node must answer rightly: --check-query and its like, or [checks] of the configuration. */
#ifndef SSTABLEFS_TOOLS_CHECKQUERY_H
#define SSTABLEFS_TOOLS_CHECKQUERY_H

#include "cassandra/cqlsh.h"
#include "tools/cli.h"

struct checkquery {	   /* borrowed from the command line or the configuration */
	const char *query; /* NULL: nothing is asked */
	bool has_rows;
	uint64_t rows;
	const char *result; /* of the first row, its values parted by commas; NULL: any */
};

/* [checks]. ERR_USAGE naming the key. */
int checkquery_config(const struct cli *cli, struct checkquery *ret, struct err *e);
/* How many rows, as an option or the configuration says it. */
int checkquery_rows(struct checkquery *q, const char *what, const char *value, struct err *e);
/* That a query on the command line comes with what it must give, and only then. */
int checkquery_is_whole(const struct checkquery *q, struct err *e);
/* Asks. 0, also where there is no query; ERR_CONFLICT where the answer is another one. */
int checkquery_run(const struct checkquery *q, const struct cqlsh *c, struct err *e);

#endif
