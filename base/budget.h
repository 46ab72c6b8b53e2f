/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A budget of bytes that several users share (P7): memory of buffers that are under way. Any thread.
 */
#ifndef SSTABLEFS_BASE_BUDGET_H
#define SSTABLEFS_BASE_BUDGET_H

#include <stdint.h>
#include "base/cancel.h"
#include "base/util.h"

struct budget;

struct budget *budget_new(uint64_t limit_bytes); /* NULL: out of memory */
void budget_free(struct budget *b);
/* Takes `bytes`, or -EAGAIN at once where they do not fit or others wait. A single request larger than the limit fits when nothing else is taken. */
int budget_try(struct budget *b, uint64_t bytes);
/* As budget_try, but waits its turn (in order of arrival). 0 or -ECANCELED (looked at every 100 ms). */
int budget_take(struct budget *b, uint64_t bytes, const struct cancel *cancel);
void budget_give(struct budget *b, uint64_t bytes);
uint64_t budget_used(struct budget *b);
uint64_t budget_peak(struct budget *b);
uint64_t budget_limit(const struct budget *b);
DEFINE_CLEANUP(struct budget *, budget_free);

#endif
