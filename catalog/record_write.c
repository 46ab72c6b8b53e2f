/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include "catalog/doc.h"
#include "catalog/docplace.h"
#include "catalog/record.h"

/* NULL, or what must not be in a record that is to be written. */
static const char *check(const struct record *r)
{
	if (!record_state_name(r->state) || r->sequence < 1)
		return "state or sequence number";
	if (strlen(r->nonce) != sizeof(r->nonce) - 1)
		return "nonce";
	if (keys_check_name("backup", r->backup, NULL) < 0 ||
	    keys_check_name("cluster", r->where.cluster, NULL) < 0 ||
	    keys_check_name("node", r->where.node, NULL) < 0)
		return "names";
	if (r->state == RECORD_COMMITTED && !r->has_root)
		return "no root tree";
	if (r->has_root && !docplace_is_fine(&r->root))
		return "root tree";
	if (r->token_count > FORMAT_TOKENS || r->peer_count > FORMAT_PEERS ||
	    r->user_count > FORMAT_OWNERS || r->group_count > FORMAT_OWNERS ||
	    r->pack_count > FORMAT_PACKS || r->sstable_version_count > FORMAT_VERSIONS ||
	    r->id_kind_count > FORMAT_VERSIONS || r->digests.file_count > FORMAT_MISMATCHES)
		return "a list that is too long";
	return NULL;
}

static void put_strings(json_t *o, const char *key, char *const *strings, size_t count,
			bool *failed)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		if (json_array_append_new(list, json_string(strings[i])) < 0)
			*failed = true;
	doc_put(o, key, list, failed);
}

static void put_node(json_t *o, const struct record *r, bool *failed)
{
	json_t *node = json_object();

	doc_put_text(node, "host_id", r->host_id, failed);
	doc_put_text(node, "address", r->address, failed);
	doc_put_text(node, "dc", r->dc, failed);
	doc_put_text(node, "rack", r->rack, failed);
	put_strings(node, "tokens", r->tokens, r->token_count, failed);
	doc_put(o, "host", node, failed);
}

static void put_times(json_t *o, const struct record *r, bool *failed)
{
	json_t *times = json_object();

	doc_put_time(times, "started", r->started_ns, failed);
	doc_put_time(times, "renewed", r->renewed_ns, failed);
	doc_put_time(times, "finished", r->finished_ns, failed);
	doc_put_time(times, "store", r->store_time_ns, failed);
	doc_put(o, "times", times, failed);
}

static void put_cassandra(json_t *o, const struct record *r, bool *failed)
{
	json_t *cassandra = json_object();

	doc_put_text(cassandra, "version", r->cassandra_version, failed);
	doc_put_text(cassandra, "partitioner", r->partitioner, failed);
	doc_put_text(cassandra, "storage_compatibility_mode", r->compatibility_mode, failed);
	put_strings(cassandra, "sstable_versions", r->sstable_versions, r->sstable_version_count,
		    failed);
	put_strings(cassandra, "id_kinds", r->id_kinds, r->id_kind_count, failed);
	doc_put(o, "cassandra", cassandra, failed);
}

static void put_peers(json_t *o, const struct record *r, bool *failed)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->peer_count; i++) {
		json_t *peer = json_object();

		doc_put_text(peer, "host_id", r->peers[i].host_id, failed);
		doc_put_text(peer, "address", r->peers[i].address, failed);
		doc_put_text(peer, "dc", r->peers[i].dc, failed);
		doc_put_text(peer, "rack", r->peers[i].rack, failed);
		if (json_array_append_new(list, peer) < 0)
			*failed = true;
	}
	doc_put(o, "peers", list, failed);
}

static void put_owners(json_t *o, const char *key, const struct record_owner *owners, size_t count,
		       bool *failed)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		json_t *owner = json_object();

		doc_put_u64(owner, "id", owners[i].id, failed);
		doc_put_text(owner, "name", owners[i].name, failed);
		if (json_array_append_new(list, owner) < 0)
			*failed = true;
	}
	doc_put(o, key, list, failed);
}

static int compare_packs(const void *a, const void *b)
{
	const struct record_pack *x = a, *y = b;
	int r = memcmp(x->writer.b, y->writer.b, ULID_BYTES);

	return r ? r : memcmp(x->id.b, y->id.b, SHA256_BYTES);
}

static void put_packs(json_t *o, const struct record *r, bool *failed)
{
	_cleanup_free_ struct record_pack *sorted = calloc(r->pack_count + 1, sizeof(*sorted));
	json_t *list = json_array();

	if (!sorted) {
		json_decref(list);
		*failed = true;
		return;
	}
	if (r->pack_count > 0)
		memcpy(sorted, r->packs, r->pack_count * sizeof(*sorted));
	qsort(sorted, r->pack_count, sizeof(*sorted), compare_packs);
	for (size_t i = 0; i < r->pack_count; i++) {
		json_t *pack = json_object();

		docplace_put_ulid(pack, "writer", &sorted[i].writer, failed);
		doc_put_hex(pack, "object", sorted[i].id.b, SHA256_BYTES, failed);
		doc_put_u64(pack, "used_bytes", sorted[i].used_bytes, failed);
		doc_put_u64(pack, "plain_bytes", sorted[i].plain_bytes, failed);
		if (json_array_append_new(list, pack) < 0)
			*failed = true;
	}
	doc_put(o, "packs", list, failed);
}

static void put_digests(json_t *o, const struct record_digests *d, bool *failed)
{
	json_t *digests = json_object(), *files = json_array();

	doc_put_u64(digests, "checked", d->checked, failed);
	doc_put_u64(digests, "unchecked", d->unchecked, failed);
	doc_put_u64(digests, "mismatched", d->mismatched, failed);
	for (size_t i = 0; i < d->file_count; i++)
		if (json_array_append_new(files, doc_text(d->files[i])) < 0)
			*failed = true;
	doc_put(digests, "files", files, failed);
	doc_put(o, "digests", digests, failed);
}

static void put_all(json_t *o, const struct record *r, bool *failed)
{
	doc_put(o, "state", json_string(record_state_name(r->state)), failed);
	doc_put_u64(o, "sequence", r->sequence, failed);
	doc_put(o, "nonce", json_string(r->nonce), failed);
	docplace_put_ulid(o, "writer", &r->writer, failed);
	doc_put(o, "cluster", json_string(r->where.cluster), failed);
	doc_put(o, "node", json_string(r->where.node), failed);
	doc_put(o, "backup", json_string(r->backup), failed);
	doc_put_text(o, "cluster_original", r->cluster_original, failed);
	put_node(o, r, failed);
	put_times(o, r, failed);
	put_cassandra(o, r, failed);
	if (r->peers_known)
		put_peers(o, r, failed);
	put_owners(o, "users", r->users, r->user_count, failed);
	put_owners(o, "groups", r->groups, r->group_count, failed);
	doc_put_u64(o, "files", r->file_count, failed);
	doc_put_u64(o, "directories", r->dir_count, failed);
	doc_put_u64(o, "bytes", r->total_bytes, failed);
	doc_put_u64(o, "new_bytes", r->new_bytes, failed);
	doc_put_u64(o, "reused_bytes", r->reused_bytes, failed);
	if (r->digests.known)
		put_digests(o, &r->digests, failed);
	if (r->has_root)
		docplace_put(o, "root", &r->root, failed);
	put_packs(o, r, failed);
}

int record_encode(const struct record *r, char **ret_text, size_t *ret_len, struct err *e)
{
	_cleanup_json_ json_t *o = NULL;
	const char *wrong = check(r);
	bool failed = false;

	if (wrong)
		return err_set(e, ERR_IO, -EINVAL, "cannot write the record of \"%s\": %s",
			       r->backup, wrong);
	if (r->refused)
		return err_set(
			e, ERR_USAGE, -ENOTSUP,
			"the record of \"%s\" has features that this program does not know: use a "
			"newer sstablefs to change it",
			r->backup);
	o = doc_new("backup");
	if (o)
		put_all(o, r, &failed);
	if (!o || failed)
		return err_nomem(e);
	return json_seal(o, ret_text, ret_len, e);
}
