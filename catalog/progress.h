/* SPDX-License-Identifier: Apache-2.0 */
/* What a long operation tells about itself while it runs. Counters only grow; any thread reads them. */
#ifndef SSTABLEFS_CATALOG_PROGRESS_H
#define SSTABLEFS_CATALOG_PROGRESS_H

#include <stdatomic.h>
#include <stdint.h>

struct progress {
	_Atomic uint64_t files_total, files_done;
	_Atomic uint64_t bytes_total, bytes_done;
	_Atomic uint64_t bytes_new; /* sent to the store */
};

#endif
