/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include "catalog/doc.h"
#include "catalog/docplace.h"
#include "catalog/record.h"

static int damaged(struct err *e, const char *key, const char *why)
{
	return err_set(e, ERR_CORRUPT, -EBADMSG, "\"%s\" %s", key, why);
}

/* Strings of a list, in a new array of new strings. */
static int get_strings(const json_t *o, const char *key, size_t max, char ***ret, size_t *ret_count,
		       struct err *e)
{
	const json_t *list = NULL;
	int r = doc_get_array(o, key, max, &list, e);

	if (r < 0 || json_array_size(list) == 0)
		return r;
	*ret = calloc(json_array_size(list), sizeof(**ret));
	if (!*ret)
		return err_nomem(e);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *value = json_array_get(list, i);

		if (!json_is_string(value) || json_string_length(value) > FORMAT_TEXT_BYTES)
			return damaged(e, key, "holds something that is not a short string");
		(*ret)[i] = strdup(json_string_value(value));
		if (!(*ret)[i])
			return err_nomem(e);
		*ret_count = i + 1;
	}
	return 0;
}

static int read_state(const json_t *o, struct record *r, struct err *e)
{
	const char *text = NULL;
	int n = doc_need_text(o, "state", FORMAT_TEXT_BYTES, &text, e);
	unsigned s = 0;

	if (n < 0)
		return n;
	while (record_state_name(s) && strcmp(record_state_name(s), text) != 0)
		s++;
	if (!record_state_name(s))
		return damaged(e, "state", "is not known");
	r->state = s;
	n = doc_need_u64(o, "sequence", INT64_MAX, &r->sequence, e);
	if (n == 0 && r->sequence == 0)
		return damaged(e, "sequence", "is 0");
	return n;
}

static int read_identity(const json_t *o, struct record *r, struct err *e)
{
	uint8_t nonce[(sizeof(r->nonce) - 1) / 2];
	char backup[FORMAT_NAME_BYTES + 1];
	int n = doc_need_hex(o, "nonce", nonce, sizeof(nonce), e);

	if (n == 0)
		util_hex(r->nonce, nonce, sizeof(nonce));
	if (n == 0)
		n = docplace_need_ulid(o, "writer", &r->writer, e);
	if (n == 0)
		n = docplace_need_name(o, "cluster", r->where.cluster, e);
	if (n == 0)
		n = docplace_need_name(o, "node", r->where.node, e);
	if (n == 0)
		n = docplace_need_name(o, "backup", backup, e);
	if (n == 0)
		n = doc_get_text(o, "backup", FORMAT_NAME_BYTES, &r->backup, e);
	if (n == 0)
		n = doc_get_text(o, "cluster_original", FORMAT_TEXT_BYTES, &r->cluster_original, e);
	return n;
}

/* host_id, address, dc and rack, of the node itself and of its peers. */
static int read_host(const json_t *o, char **host_id, char **address, char **dc, char **rack,
		     struct err *e)
{
	int n = doc_get_text(o, "host_id", FORMAT_TEXT_BYTES, host_id, e);

	if (n == 0)
		n = doc_get_text(o, "address", FORMAT_TEXT_BYTES, address, e);
	if (n == 0)
		n = doc_get_text(o, "dc", FORMAT_TEXT_BYTES, dc, e);
	return n == 0 ? doc_get_text(o, "rack", FORMAT_TEXT_BYTES, rack, e) : n;
}

static int read_node(const json_t *o, struct record *r, struct err *e)
{
	const json_t *node = NULL;
	int n = doc_need_object(o, "host", &node, e);

	if (n == 0)
		n = read_host(node, &r->host_id, &r->address, &r->dc, &r->rack, e);
	if (n == 0)
		n = get_strings(node, "tokens", FORMAT_TOKENS, &r->tokens, &r->token_count, e);
	return n;
}

static int read_times(const json_t *o, struct record *r, struct err *e)
{
	const json_t *times = NULL;
	int n = doc_need_object(o, "times", &times, e);

	if (n == 0)
		n = doc_get_time(times, "started", &r->started_ns, e);
	if (n == 0)
		n = doc_get_time(times, "renewed", &r->renewed_ns, e);
	if (n == 0)
		n = doc_get_time(times, "finished", &r->finished_ns, e);
	return n == 0 ? doc_get_time(times, "store", &r->store_time_ns, e) : n;
}

static int read_cassandra(const json_t *o, struct record *r, struct err *e)
{
	const json_t *c = NULL;
	int n = doc_need_object(o, "cassandra", &c, e);

	if (n == 0)
		n = doc_get_text(c, "version", FORMAT_TEXT_BYTES, &r->cassandra_version, e);
	if (n == 0)
		n = doc_get_text(c, "partitioner", FORMAT_TEXT_BYTES, &r->partitioner, e);
	if (n == 0)
		n = doc_get_text(c, "storage_compatibility_mode", FORMAT_TEXT_BYTES,
				 &r->compatibility_mode, e);
	if (n == 0)
		n = get_strings(c, "sstable_versions", FORMAT_VERSIONS, &r->sstable_versions,
				&r->sstable_version_count, e);
	if (n == 0)
		n = get_strings(c, "id_kinds", FORMAT_VERSIONS, &r->id_kinds, &r->id_kind_count, e);
	return n;
}

static int read_peers(const json_t *o, struct record *r, struct err *e)
{
	const json_t *list = NULL;
	int n = doc_get_array(o, "peers", FORMAT_PEERS, &list, e);

	r->peers_known = list != NULL;
	if (n < 0 || json_array_size(list) == 0)
		return n;
	r->peers = calloc(json_array_size(list), sizeof(r->peers[0]));
	if (!r->peers)
		return err_nomem(e);
	r->peer_count = json_array_size(list);
	for (size_t i = 0; n == 0 && i < r->peer_count; i++) {
		struct record_node *p = &r->peers[i];
		const json_t *peer = json_array_get(list, i);

		if (!json_is_object(peer))
			return damaged(e, "peers", "holds something that is not an object");
		n = read_host(peer, &p->host_id, &p->address, &p->dc, &p->rack, e);
	}
	return n;
}

static int read_owners(const json_t *o, const char *key, struct record_owner **ret,
		       size_t *ret_count, struct err *e)
{
	const json_t *list = NULL;
	int n = doc_get_array(o, key, FORMAT_OWNERS, &list, e);

	if (n < 0 || json_array_size(list) == 0)
		return n;
	*ret = calloc(json_array_size(list), sizeof(**ret));
	if (!*ret)
		return err_nomem(e);
	*ret_count = json_array_size(list);
	for (size_t i = 0; n == 0 && i < *ret_count; i++) {
		const json_t *owner = json_array_get(list, i);

		n = docplace_need_u32(owner, "id", UINT32_MAX, &(*ret)[i].id, e);
		if (n == 0)
			n = doc_get_text(owner, "name", FORMAT_TEXT_BYTES, &(*ret)[i].name, e);
	}
	return n;
}

static int read_counts(const json_t *o, struct record *r, struct err *e)
{
	int n = doc_get_u64(o, "files", &r->file_count, e);

	if (n == 0)
		n = doc_get_u64(o, "directories", &r->dir_count, e);
	if (n == 0)
		n = doc_get_u64(o, "bytes", &r->total_bytes, e);
	if (n == 0)
		n = doc_get_u64(o, "new_bytes", &r->new_bytes, e);
	return n == 0 ? doc_get_u64(o, "reused_bytes", &r->reused_bytes, e) : n;
}

static int read_digests(const json_t *o, struct record_digests *d, struct err *e)
{
	const json_t *digests = NULL;
	int n;

	if (!json_object_get(o, "digests"))
		return 0;
	n = doc_need_object(o, "digests", &digests, e);
	if (n == 0)
		n = doc_get_u64(digests, "checked", &d->checked, e);
	if (n == 0)
		n = doc_get_u64(digests, "unchecked", &d->unchecked, e);
	if (n == 0)
		n = doc_get_u64(digests, "mismatched", &d->mismatched, e);
	if (n == 0)
		n = get_strings(digests, "files", FORMAT_MISMATCHES, &d->files, &d->file_count, e);
	d->known = n == 0;
	return n;
}

static int read_root(const json_t *o, struct record *r, struct err *e)
{
	int n;

	if (!json_object_get(o, "root"))
		return r->state == RECORD_COMMITTED ? damaged(e, "root", "is missing") : 0;
	n = docplace_need(o, "root", &r->root, e);
	r->has_root = n == 0;
	return n;
}

static int read_pack(const json_t *o, struct record_pack *p, struct err *e)
{
	int n = docplace_need_ulid(o, "writer", &p->writer, e);

	if (n == 0)
		n = doc_need_hex(o, "object", p->id.b, SHA256_BYTES, e);
	if (n == 0)
		n = docplace_need_u32(o, "plain_bytes", FORMAT_OBJECT_BYTES, &p->plain_bytes, e);
	return n == 0 ? docplace_need_u32(o, "used_bytes", p->plain_bytes, &p->used_bytes, e) : n;
}

static int read_packs(const json_t *o, struct record *r, struct err *e)
{
	const json_t *list = NULL;
	int n = doc_get_array(o, "packs", FORMAT_PACKS, &list, e);

	if (n < 0 || json_array_size(list) == 0)
		return n;
	r->packs = calloc(json_array_size(list), sizeof(r->packs[0]));
	if (!r->packs)
		return err_nomem(e);
	r->pack_count = json_array_size(list);
	for (size_t i = 0; i < r->pack_count; i++) {
		struct record_pack *p = &r->packs[i];

		n = read_pack(json_array_get(list, i), p, e);
		if (n < 0)
			return n;
		n = i == 0 ? -1 : memcmp(p[-1].writer.b, p->writer.b, ULID_BYTES);
		if (n > 0 || (n == 0 && memcmp(p[-1].id.b, p->id.b, SHA256_BYTES) >= 0))
			return damaged(e, "packs", "is not in order");
	}
	return 0;
}

static int read_all(const json_t *o, struct record *r, struct err *e)
{
	int n = read_state(o, r, e);

	if (n == 0)
		n = read_identity(o, r, e);
	if (n == 0)
		n = read_node(o, r, e);
	if (n == 0)
		n = read_times(o, r, e);
	if (n == 0)
		n = read_cassandra(o, r, e);
	if (n == 0)
		n = read_peers(o, r, e);
	if (n == 0)
		n = read_owners(o, "users", &r->users, &r->user_count, e);
	if (n == 0)
		n = read_owners(o, "groups", &r->groups, &r->group_count, e);
	if (n == 0)
		n = read_counts(o, r, e);
	if (n == 0)
		n = read_digests(o, &r->digests, e);
	if (n == 0)
		n = read_root(o, r, e);
	return n == 0 ? read_packs(o, r, e) : n;
}

/* A record lies under the key that its own fields give. */
static int check_key(const struct record *r, const struct node_name *where, const char *backup,
		     const struct ulid *writer, struct err *e)
{
	if (where && strcmp(where->cluster, r->where.cluster) != 0)
		return damaged(e, "cluster", "is not that of its key");
	if (where && strcmp(where->node, r->where.node) != 0)
		return damaged(e, "node", "is not that of its key");
	if (backup && strcmp(backup, r->backup) != 0)
		return damaged(e, "backup", "is not that of its key");
	if (writer && memcmp(writer->b, r->writer.b, ULID_BYTES) != 0)
		return damaged(e, "writer", "is not that of its key");
	return 0;
}

int record_decode(const char *key, const char *text, size_t len_bytes,
		  const struct node_name *where, const char *backup, const struct ulid *writer,
		  struct record **ret, struct err *e)
{
	_cleanup_(record_freep) struct record *r = record_new();
	_cleanup_json_ json_t *o = NULL;
	int n;

	if (!r)
		return err_nomem(e);
	n = doc_open("the record", "backup", text, len_bytes, FORMAT_RECORD_BYTES, &o, &r->refused,
		     e);
	if (n == 0)
		n = doc_refuse("the record", o, DOC_READ, e);
	if (n == 0) {
		n = read_all(o, r, e);
		if (n == 0)
			n = check_key(r, where, backup, writer, e);
		if (n < 0 && n != -ENOMEM)
			err_wrap(e, n, "the record is damaged");
	}
	if (n < 0) {
		if (key)
			err_key(e, key);
		return n;
	}
	*ret = steal_pointer(&r);
	return 0;
}
