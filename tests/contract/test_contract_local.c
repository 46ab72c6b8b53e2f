/* SPDX-License-Identifier: Apache-2.0 */
/* The contract over the backends that need no server: test_contract_local memory|directory [case]. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "base/io.h"
#include "store/dir.h"
#include "store/mem.h"
#include "tests/contract/contract.h"

static struct store *open_memory(void *ctx, unsigned number)
{
	return mem_store_new(clock_system());
}

static struct store *open_directory(void *ctx, unsigned number)
{
	struct store *s = NULL;
	struct err e = ERR_INIT;
	char path[128];
	struct dir_store_options options = {
		.path = path,
		.create = true,
		.clock = clock_system(),
	};

	snprintf(path, sizeof(path), "%s/%u", (const char *)ctx, number);
	if (dir_store_new(&options, &s, &e) < 0)
		printf("# %s\n", e.message);
	return s;
}

static int run_directory(int argc, char **argv)
{
	char top[] = "/tmp/sstablefs-contract-XXXXXX";
	struct contract_backend backend = {
		.name = "directory",
		.open = open_directory,
		.ctx = top,
		.caps = STORE_CAP_IF_ABSENT | STORE_CAP_IF_MATCH | STORE_CAP_DATE | STORE_CAP_LOCAL,
	};
	int r;

	if (!mkdtemp(top)) {
		perror("mkdtemp");
		return 1;
	}
	r = contract_main(&backend, argc, argv);
	return io_remove_tree(AT_FDCWD, top) < 0 ? 1 : r;
}

static int run_memory(int argc, char **argv)
{
	static const struct contract_backend backend = {
		.name = "memory",
		.open = open_memory,
		.caps = STORE_CAP_IF_ABSENT | STORE_CAP_IF_MATCH | STORE_CAP_DATE | STORE_CAP_LOCAL,
	};

	return contract_main(&backend, argc, argv);
}

int main(int argc, char **argv)
{
	if (argc >= 2 && strcmp(argv[1], "memory") == 0)
		return run_memory(argc - 1, argv + 1);
	if (argc >= 2 && strcmp(argv[1], "directory") == 0)
		return run_directory(argc - 1, argv + 1);
	fprintf(stderr, "usage: test_contract_local memory|directory [part of a case's name]\n");
	return 2;
}
