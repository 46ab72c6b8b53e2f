/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a cassandra.yaml that is to be edited: it is refused, or what comes out is what went in but for the values that were asked for, reads as them, and does not change when it is edited again.
 */
#include <string.h>
#include "cassandra/nodeconf.h"
#include "cassandra/yamledit.h"
#include "tests/fuzz/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct yamledit_change changes[] = { { "num_tokens", "3" },
						  { "cluster_name", "a-b.c" } };

static int edit(const char *text, size_t len, char **ret, size_t *ret_len)
{
	struct err e = ERR_INIT;
	int r = yamledit_text("it", text, len, changes, ARRAY_SIZE(changes), ret, ret_len, &e);

	if (r < 0 && !*e.message)
		abort();
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = text_of(data, size);
	_cleanup_free_ char *once = NULL;
	_cleanup_free_ char *twice = NULL;
	_cleanup_(nodeconf_freep) struct nodeconf *conf = NULL;
	size_t once_len = 0, twice_len = 0;

	if (!text || edit(text, size, &once, &once_len) < 0)
		return 0;
	if (nodeconf_read("it", once, once_len, &conf, NULL) == 0 &&
	    (strcmp(conf->num_tokens, "3") != 0 || strcmp(conf->cluster, "a-b.c") != 0))
		abort();
	if (edit(once, once_len, &twice, &twice_len) < 0 || once_len != twice_len ||
	    memcmp(once, twice, once_len) != 0)
		abort();
	return 0;
}
