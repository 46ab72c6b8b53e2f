/* SPDX-License-Identifier: Apache-2.0 */
/* Any text after -o: what is taken is within the limits that a mount relies on, what is not is explained. */
#include "catalog/keys.h"
#include "tests/fuzz/text.h"
#include "tools/mountopt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_options(const struct mountopt *m)
{
	const struct mount_options *o = &m->o;

	if (o->connections < 1 || o->connections > 256 || o->memory_bytes < 64 * MIB ||
	    o->cache_bytes < 128 * MIB || (o->has_umask && o->umask > 0777))
		abort();
	if ((o->has_uid && o->uid == UINT32_MAX) || (o->has_gid && o->gid == UINT32_MAX))
		abort();
	if ((o->cluster && keys_check_name("cluster", o->cluster, NULL) < 0) ||
	    (o->node && keys_check_name("node", o->node, NULL) < 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = text_of(data, size);
	struct err e = ERR_INIT;
	struct mountopt m;

	/* Names of users are looked up in the files of this host, and on others over the network: not here. */
	if (strstr(text, "uid=") || strstr(text, "gid="))
		return 0;
	mountopt_init(&m);
	if (mountopt_parse(&m, text, &e) == 0)
		check_options(&m);
	else if (e.kind != ERR_USAGE || !e.message[0])
		abort();
	mountopt_deinit(&m);
	return 0;
}
