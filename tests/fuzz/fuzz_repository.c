/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as repository.json, and any body with a seal that fits. */
#include <string.h>
#include "catalog/repo.h"
#include "store/mem.h"
#include "tests/fuzz/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_open(const void *data, size_t size)
{
	_cleanup_(store_freep) struct store *store = mem_store_new(clock_system());
	struct err e = ERR_INIT;

	if (!store || store_put_bytes(store, KEY_REPOSITORY, data, size, STORE_ALWAYS, NULL, NULL,
				      NULL, &e) != 0)
		abort();
	for (unsigned access = REPO_READ; access <= REPO_COLLECT; access <<= 1) {
		_cleanup_(repo_freep) struct repo *repo = NULL;

		e = ERR_INIT;
		if (repo_open(store, access, clock_system(), NULL, &repo, &e) == 0 &&
		    strlen(repo_id(repo)) != 32)
			abort();
		if (!repo && !*e.message)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *sealed = NULL;
	size_t len;

	try_open(data, size);
	sealed = seal_body(data, size, &len);
	try_open(sealed, len);
	return 0;
}
