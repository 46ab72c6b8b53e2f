/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order in which credentials are looked for (CLI.md): the file of the configuration alone, or
 * the environment, the shared files with a profile, web identity, the container's endpoint, the
 * metadata service. A profile that was asked for by name stands alone. Any thread.
 */
#ifndef SSTABLEFS_STORE_CREDS_CHAIN_H
#define SSTABLEFS_STORE_CREDS_CHAIN_H

#include "store/creds_file.h"
#include "store/creds_link.h"

/* The keys in the environment; a link. */
creds_link_fn creds_chain_environment;
/* Whether keys in the environment count at all in this world. */
bool creds_chain_uses_environment(const struct creds_world *w);
/*
 * All other links, in their order. 0 (wipe ret->value), or < 0 with where was looked and what was
 * found there.
 */
int creds_chain_fetch(struct creds_attempt *a, const struct creds_files *files,
		      struct creds_found *ret, struct err *e);

#endif
