/* SPDX-License-Identifier: Apache-2.0 */
/* What must be so after a run, whatever happened in it. */
#ifndef SSTABLEFS_TESTS_CHECK_H
#define SSTABLEFS_TESTS_CHECK_H

#include "tests/explore/files.h"
#include "tests/explore/sched.h"

/*
 * Every COMMITTED backup reads back byte for byte, and so does what the pins of crashed readers hold; no name has two of them; who said that it had committed, has; who
 * said that it had not, has not. Failures go to world_fail.
 */
void check_world(struct world *w, const struct files *files);
/* After all that were dead were fenced and collectors ran to the end: nothing is left but what is reachable, records and repository.json. */
void check_clean(struct world *w);

#endif
