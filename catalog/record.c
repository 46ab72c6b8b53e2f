/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/record.h"

#include <string.h>

static void free_strings(char **strings, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(strings[i]);
	free(strings);
}

static void free_owners(struct record_owner *owners, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(owners[i].name);
	free(owners);
}

static void free_peers(struct record_node *peers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(peers[i].host_id);
		free(peers[i].address);
		free(peers[i].dc);
		free(peers[i].rack);
	}
	free(peers);
}

struct record *record_new(void)
{
	_cleanup_(record_freep) struct record *r = calloc(1, sizeof(*r));
	char **strings[9];

	if (!r)
		return NULL;
	strings[0] = &r->backup;
	strings[1] = &r->cluster_original;
	strings[2] = &r->host_id;
	strings[3] = &r->address;
	strings[4] = &r->dc;
	strings[5] = &r->rack;
	strings[6] = &r->cassandra_version;
	strings[7] = &r->partitioner;
	strings[8] = &r->compatibility_mode;
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		*strings[i] = strdup("");
		if (!*strings[i])
			return NULL;
	}
	return steal_pointer(&r);
}

void record_trim(struct record *r)
{
	free_strings(r->tokens, r->token_count);
	free_strings(r->sstable_versions, r->sstable_version_count);
	free_strings(r->id_kinds, r->id_kind_count);
	free_peers(r->peers, r->peer_count);
	free_owners(r->users, r->user_count);
	free_owners(r->groups, r->group_count);
	free(r->packs);
	r->tokens = r->sstable_versions = r->id_kinds = NULL;
	r->peers = NULL;
	r->users = r->groups = NULL;
	r->packs = NULL;
	r->token_count = r->sstable_version_count = r->id_kind_count = r->peer_count = 0;
	r->user_count = r->group_count = r->pack_count = 0;
}

void record_free(struct record *r)
{
	if (!r)
		return;
	record_trim(r);
	free(r->backup);
	free(r->cluster_original);
	free(r->host_id);
	free(r->address);
	free(r->dc);
	free(r->rack);
	free(r->cassandra_version);
	free(r->partitioner);
	free(r->compatibility_mode);
	free_strings(r->digests.files, r->digests.file_count);
	free(r);
}

const char *record_state_name(enum record_state s)
{
	static const char *const names[] = { [RECORD_OPEN] = "OPEN",
					     [RECORD_COMMITTED] = "COMMITTED",
					     [RECORD_ABORTED] = "ABORTED",
					     [RECORD_DELETED] = "DELETED" };

	return (size_t)s < ARRAY_SIZE(names) ? names[s] : NULL;
}

int record_compare_age(const struct record *a, const struct record *b)
{
	if (a->store_time_ns != b->store_time_ns)
		return a->store_time_ns < b->store_time_ns ? -1 : 1;
	return memcmp(a->writer.b, b->writer.b, sizeof(a->writer.b));
}
