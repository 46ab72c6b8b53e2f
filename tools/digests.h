/* SPDX-License-Identifier: Apache-2.0 */
/* What a record says of Data.db files and the Digest.crc32 beside them, for people and for scripts. */
#ifndef SSTABLEFS_TOOLS_DIGESTS_H
#define SSTABLEFS_TOOLS_DIGESTS_H

#include "tools/cli.h"

/* {"checked", "unchecked", "mismatched", "files": []}, or null where the record does not say. NULL: out of memory. */
json_t *digests_json(const struct record_digests *d);
/* After a backup, on stderr: the files that do not match, one a line, and what to do. Whether there are any. */
bool digests_warn(const struct cli *cli, const struct record_digests *d);
/* The lines of `show`. 0 or < 0. */
int digests_print(const struct record_digests *d, struct err *e);

#endif
