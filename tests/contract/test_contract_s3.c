/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract over a real S3 server: test_contract_s3 minio|seaweedfs [part of a case's name].
 * The server's endpoint, the bucket and the credentials come from the environment, as
 * tests/servers sets it:
 *
 *     cd tests && python -m servers run --with minio -- .../test_contract_s3 minio
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "base/ulid.h"
#include "store/s3.h"
#include "tests/contract/contract.h"

struct server {
	const char *endpoint, *bucket;
	char run[ULID_TEXT]; /* a prefix that no other run has */
};

static struct store *open_s3(void *ctx, unsigned number)
{
	const struct server *server = ctx;
	char prefix[64];
	struct s3_options options = {
		.bucket = server->bucket,
		.prefix = prefix,
		.endpoint = server->endpoint,
		.clock = clock_system(),
	};
	struct store *s = NULL;
	struct err e = ERR_INIT;

	snprintf(prefix, sizeof(prefix), "%s/%u", server->run, number);
	options.creds = creds_new(&(struct creds_options){ .clock = clock_system() });
	if (!options.creds || s3_store_new(&options, &s, &e) < 0) {
		printf("# %s\n", e.message);
		creds_free(options.creds);
	}
	return s;
}

/* SeaweedFS keeps keys as paths of a file system, and orders them by their segments. */
static const struct contract_deviation seaweedfs_deviations[] = {
	{ "odd_keys_are_keys_like_others", "a backslash becomes a '/'" },
	{ "a_listing_starts_behind_a_key", "\"a/x\" comes before \"a.b\" for start-after" },
	{ "a_delimiter_groups_keys_and_keeps_the_order", "the same" },
	{ "a_group_without_keys_is_not_listed", "emptied directories go later" },
	{ NULL, NULL },
};

static const char *endpoint_of(const char *name)
{
	char variable[64];
	int len = snprintf(variable, sizeof(variable), "SSTABLEFS_TEST_%s", name);

	for (int i = 0; i < len && (size_t)i < sizeof(variable); i++)
		variable[i] = (char)toupper((unsigned char)variable[i]);
	return getenv(variable);
}

int main(int argc, char **argv)
{
	struct server server = { .bucket = getenv("SSTABLEFS_TEST_BUCKET") };
	struct contract_backend backend = {
		.open = open_s3,
		.ctx = &server,
		.caps = STORE_CAP_IF_ABSENT | STORE_CAP_IF_MATCH | STORE_CAP_DATE,
	};
	struct ulid id = ulid_new(clock_system());

	if (argc < 2) {
		fprintf(stderr,
			"usage: test_contract_s3 minio|seaweedfs [part of a case's name]\n");
		return 2;
	}
	backend.name = argv[1];
	if (strcmp(argv[1], "seaweedfs") == 0) {
		backend.deviations = seaweedfs_deviations;
		backend.race_rounds =
			3; /* its lock is polled each second: a round takes up to 5 s */
	}
	server.endpoint = endpoint_of(argv[1]);
	if (!server.endpoint || !server.bucket) {
		fprintf(stderr,
			"test_contract_s3: SSTABLEFS_TEST_BUCKET or the endpoint of %s is not set\n",
			argv[1]);
		return 2;
	}
	ulid_format(server.run, &id);
	return contract_main(&backend, argc - 1, argv + 1);
}
