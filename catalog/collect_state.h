/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of one run of a collector share. Internal to catalog/collect*.c. */
#ifndef SSTABLEFS_CATALOG_COLLECT_STATE_H
#define SSTABLEFS_CATALOG_COLLECT_STATE_H

#include "catalog/collect.h"

struct collect {
	const struct collect_options *o;
	struct collect_result *result;
	int64_t now_ns; /* the store's time at the begin of the run: nothing is taken for older than it is. 0: the store tells none */
	int64_t fence_ns, keep_record_ns;
	uint64_t memory_bytes;
	size_t list_keys;
	size_t blocking; /* of result->unreadable: things that may reach anything */
};

/* Whether something last changed then is older than age_ns, by the store's clock. */
static inline bool collect_is_old(const struct collect *c, int64_t modified_ns, int64_t age_ns)
{
	return c->now_ns != 0 && modified_ns != 0 && c->now_ns - modified_ns > age_ns;
}

/* Whether a failure says that what was read is damaged, missing or of a newer version, rather than that the store failed. */
bool collect_is_unreadable(int r, const struct err *e);
/* Notes what cannot be read, once; blocks: then nothing of the node is deleted. 0 or -ENOMEM. */
int collect_note_unreadable(struct collect *c, const char *key, bool blocks, const struct err *why,
			    struct err *e);
/* A key that is not ours, once. As store_list_fn's code: 0 or -ENOMEM. */
int collect_note_foreign(struct collect *c, const char *key, struct err *e);
int collect_note_undeleted(struct collect *c, const char *key, const struct store_delete_error *why,
			   struct err *e);
int collect_note_wait(struct collect *c, const struct record_key *key, struct err *e);

#endif
