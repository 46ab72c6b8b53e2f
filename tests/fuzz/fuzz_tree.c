/* SPDX-License-Identifier: Apache-2.0 */
/* What is parsed as a tree is exactly what the encoder would write, and all of it is found by name. */
#include <string.h>
#include "catalog/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(tree_freep) struct tree *t = NULL;
	_cleanup_wbuf_ struct wbuf again;

	wbuf_init(&again, FORMAT_TREE_BYTES);
	if (tree_parse(data, size, &t, NULL) < 0)
		return 0;
	if (tree_encode(t, &again, NULL) < 0)
		abort();
	if (again.len != size || memcmp(again.data, data, size) != 0)
		abort();
	for (uint32_t i = 0; i < t->child_count; i++)
		if (tree_find_child(t, t->children[i].name) != &t->children[i])
			abort();
	for (uint32_t i = 0; i < t->run_count; i++)
		if (tree_find_run(t, t->runs[i].first) != &t->runs[i])
			abort();
	return 0;
}
