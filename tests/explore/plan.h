/* SPDX-License-Identifier: Apache-2.0 */
/* What a seed stands for: who takes part, in what order they run, what goes wrong. */
#ifndef SSTABLEFS_TESTS_PLAN_H
#define SSTABLEFS_TESTS_PLAN_H

#include "tests/explore/files.h"
#include "tests/explore/sched.h"

/* The whole run of a seed, with all checks. The world is empty but for its clock and trace; so it is afterwards, but for `failure`. */
void plan_run(struct world *w, const struct files *files, uint64_t seed);

#endif
