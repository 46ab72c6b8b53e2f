/* SPDX-License-Identifier: Apache-2.0 */
/* What verify says of its outcome, to people and as JSON. */
#ifndef SSTABLEFS_TOOLS_VERIFYREPORT_H
#define SSTABLEFS_TOOLS_VERIFYREPORT_H

#include "catalog/verify.h"
#include "tools/cli.h"

struct verifyreport {
	const struct verify_result *result;
	struct record *const *records; /* that were verified */
	size_t record_count;
	double sample_percent;
	uint32_t slice, slices; /* slice from 0; slices 1: everything */
	const struct verify_begin *begin;
};

/* On stderr: which slice, what is continued, what cannot be remembered. why: NULL, or why nothing is remembered. */
void verifyreport_begin(const struct cli *cli, const struct verifyreport *v, const struct err *why);
/* Where the files of this node lie is not known, and why. */
void verifyreport_no_files(const struct cli *cli, const struct err *why);
/* failed: NULL, or why what came after the reading failed; it is told too. The exit code: what was repaired counts as found no more. */
int verifyreport_end(struct cli *cli, const struct verifyreport *v, const struct err *failed);

#endif
