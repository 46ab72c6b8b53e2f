/* SPDX-License-Identifier: Apache-2.0 */
/* What commands take that say which tables are made, and under which names: --only, --rename, --map-dc, --leave-out-dc. */
#ifndef SSTABLEFS_TOOLS_SCHEMAARGS_H
#define SSTABLEFS_TOOLS_SCHEMAARGS_H

#include "base/err.h"
#include "cassandra/schema.h"

#define SCHEMAARGS_MAX 1024
#define SCHEMAARGS_DCS_MAX 64

struct schemaargs { /* what the options point to */
	struct schema_name only[SCHEMAARGS_MAX];
	struct schema_rename renames[SCHEMAARGS_MAX];
	struct schema_dc dcs[SCHEMAARGS_DCS_MAX];
};

/* `o` points into `a` afterwards, and has nothing yet. */
void schemaargs_init(struct schemaargs *a, struct schema_options *o);
/* One more: 0, or ERR_USAGE. The value must live as long. */
int schemaargs_only(struct schemaargs *a, struct schema_options *o, const char *value,
		    struct err *e);
int schemaargs_rename(struct schemaargs *a, struct schema_options *o, const char *value,
		      struct err *e);
int schemaargs_dc(struct schemaargs *a, struct schema_options *o, bool leave_out, const char *value,
		  struct err *e);

#endif
