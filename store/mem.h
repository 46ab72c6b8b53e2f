/* SPDX-License-Identifier: Apache-2.0 */
/* The store in memory, for tests: exact about conditions, ETags (a number that never repeats), listing order and paging. */
#ifndef SSTABLEFS_STORE_MEM_H
#define SSTABLEFS_STORE_MEM_H

#include "base/clock.h"
#include "store/store.h"

struct store *mem_store_new(const struct clock *clock); /* NULL: out of memory */

#endif
