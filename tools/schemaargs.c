/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/schemaargs.h"

void schemaargs_init(struct schemaargs *a, struct schema_options *o)
{
	o->only = a->only;
	o->renames = a->renames;
	o->dcs = a->dcs;
}

int schemaargs_only(struct schemaargs *a, struct schema_options *o, const char *value,
		    struct err *e)
{
	if (o->only_count == SCHEMAARGS_MAX ||
	    schema_parse_name(value, &a->only[o->only_count]) < 0)
		return err_set(e, ERR_USAGE, -EINVAL, "--only '%s': KS or KS.TABLE is wanted",
			       value);
	o->only_count++;
	return 0;
}

int schemaargs_rename(struct schemaargs *a, struct schema_options *o, const char *value,
		      struct err *e)
{
	if (o->rename_count == SCHEMAARGS_MAX ||
	    schema_parse_rename(value, &a->renames[o->rename_count]) < 0)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "--rename '%s': KS.TABLE=KS2.TABLE2 or KS=KS2 is wanted", value);
	o->rename_count++;
	return 0;
}

int schemaargs_dc(struct schemaargs *a, struct schema_options *o, bool leave_out, const char *value,
		  struct err *e)
{
	struct schema_dc *dc = &a->dcs[o->dc_count];

	if (o->dc_count == SCHEMAARGS_DCS_MAX || schema_parse_dc(value, leave_out, dc) < 0)
		return err_set(e, ERR_USAGE, -EINVAL,
			       leave_out
				       ? "--leave-out-dc '%s': the name of a data centre is wanted"
				       : "--map-dc '%s': A=B is wanted",
			       value);
	if (schema_dc(o->dcs, o->dc_count, dc->from) != dc->from)
		return err_set(e, ERR_USAGE, -EINVAL, "data centre %s is there twice", dc->from);
	o->dc_count++;
	return 0;
}
