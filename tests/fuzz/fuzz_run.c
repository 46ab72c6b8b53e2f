/* SPDX-License-Identifier: Apache-2.0 */
/* What is parsed as a run is exactly what the encoder would write, and every entry is found by its name. */
#include <string.h>
#include "catalog/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(run_freep) struct run *run = NULL;
	_cleanup_wbuf_ struct wbuf again;

	wbuf_init(&again, FORMAT_RUN_BYTES);
	if (run_parse(data, size, &run, NULL) < 0)
		return 0;
	if (run_encode(run->entries, run->entry_count, &again, NULL) < 0)
		abort();
	if (again.len != size || memcmp(again.data, data, size) != 0)
		abort();
	for (uint32_t i = 0; i < run->entry_count; i++)
		if (run_find(run, run->entries[i].name) != &run->entries[i])
			abort();
	return 0;
}
