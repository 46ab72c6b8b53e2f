/* SPDX-License-Identifier: Apache-2.0 */
/* The credentials of a profile: its keys, its program, or a role that is assumed with those of another. */
#ifndef SSTABLEFS_STORE_CREDS_PROFILE_H
#define SSTABLEFS_STORE_CREDS_PROFILE_H

#include "store/creds_file.h"

#define CREDS_PROFILE_CHAIN_MAX 8 /* roles that lead to each other by source_profile */

/*
 * must: the profile was asked for by name, and what it lacks is an error; else CREDS_LINK_ABSENT.
 * Otherwise a link (store/creds_link.h).
 */
int creds_profile_fetch(struct creds_attempt *a, const struct creds_files *files, const char *name,
			bool must_exist, bool must_give, struct creds_found *ret, struct err *e);

#endif
