/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include "catalog/doc.h"
#include "catalog/record.h"
#include "tests/unit/catalog/sample.h"

#define KEY "nodes/c/n/records/mon/W.json"

static void set(char **dst, const char *text)
{
	free(*dst);
	*dst = strdup(text);
	cr_assert(*dst);
}

static char **strings(const char *a, const char *b)
{
	char **list = calloc(2, sizeof(*list));

	cr_assert(list);
	list[0] = strdup(a);
	list[1] = strdup(b);
	return list;
}

static struct record *minimal(void)
{
	struct record *r = record_new();

	cr_assert(r);
	r->sequence = 1;
	strcpy(r->nonce, "0123456789abcdef0123456789abcdef");
	r->writer = sample_ulid(1);
	strcpy(r->where.cluster, "Test_Cluster");
	strcpy(r->where.node, "10.0.0.1");
	set(&r->backup, "mon");
	return r;
}

/* A record with something in every field. */
static struct record *full(void)
{
	struct record *r = minimal();

	r->state = RECORD_COMMITTED;
	r->sequence = 7;
	set(&r->cluster_original, "Test Cluster \xc3\xa4");
	set(&r->host_id, "3f2a9c1e-5b7d-4e8f-9a0b-1c2d3e4f5a6b");
	set(&r->address, "10.0.0.1");
	set(&r->dc, "dc1");
	set(&r->rack, "r1");
	r->tokens = strings("-9223372036854775808", "4611686018427387904");
	r->token_count = 2;
	r->started_ns = INT64_C(1763808000123456789);
	r->renewed_ns = INT64_C(1763808120000000001);
	r->finished_ns = INT64_C(1763808180999999999);
	r->store_time_ns = INT64_C(1763808001000000000);
	set(&r->cassandra_version, "5.0.6");
	set(&r->partitioner, "org.apache.cassandra.dht.Murmur3Partitioner");
	set(&r->compatibility_mode, "UPGRADING");
	r->sstable_versions = strings("nb", "oa");
	r->sstable_version_count = 2;
	r->id_kinds = strings("generation", "uuid");
	r->id_kind_count = 2;
	r->peers_known = true;
	r->peer_count = 1;
	r->peers = calloc(1, sizeof(*r->peers));
	r->peers[0] = (struct record_node){ strdup("host"), strdup("10.0.0.2"), strdup("dc1"),
					    strdup("") };
	r->digests = (struct record_digests){ .known = true,
					      .checked = 300,
					      .unchecked = 4,
					      .mismatched = 2,
					      .files = strings("data/ks/t-1/nb-1-big-Data.db", "b"),
					      .file_count = 2 };
	r->user_count = 2;
	r->users = calloc(2, sizeof(*r->users));
	r->users[0] = (struct record_owner){ 999, strdup("cassandra") };
	r->users[1] = (struct record_owner){ UINT32_MAX, strdup("") };
	r->group_count = 1;
	r->groups = calloc(1, sizeof(*r->groups));
	r->groups[0] = (struct record_owner){ 999, strdup("cassandra") };
	r->file_count = 60000;
	r->dir_count = 300;
	r->total_bytes = INT64_MAX;
	r->new_bytes = 5;
	r->reused_bytes = 6;
	r->has_root = true;
	r->root.digest = sample_id(1);
	r->root.extent = (struct extent){ sample_pack(1, 2), 1000, 20000 };
	r->pack_count = 2;
	r->packs = calloc(2, sizeof(*r->packs));
	r->packs[0] = (struct record_pack){ sample_ulid(1), sample_id(1), 100, 8388608 };
	r->packs[1] = (struct record_pack){ sample_ulid(2), sample_id(1), 8388608, 8388608 };
	return r;
}

static char *encode(const struct record *r, size_t *ret_len)
{
	struct err e = ERR_INIT;
	char *text = NULL;

	cr_assert_eq(record_encode(r, &text, ret_len, &e), 0, "%s", e.message);
	return text;
}

static struct record *decode(const char *text, size_t len)
{
	struct record *r = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(record_decode(KEY, text, len, NULL, NULL, NULL, &r, &e), 0, "%s", e.message);
	return r;
}

Test(record, every_field_comes_back)
{
	_cleanup_(record_freep) struct record *a = full(), *b = NULL;
	_cleanup_free_ char *text = NULL, *again = NULL;
	size_t len, again_len;

	text = encode(a, &len);
	b = decode(text, len);
	cr_expect_eq(b->state, RECORD_COMMITTED);
	cr_expect_eq(b->sequence, 7);
	cr_expect_str_eq(b->nonce, a->nonce);
	cr_expect_eq(memcmp(b->writer.b, a->writer.b, ULID_BYTES), 0);
	cr_expect(keys_node_equal(&a->where, &b->where));
	cr_expect_str_eq(b->backup, "mon");
	cr_expect_str_eq(b->cluster_original, "Test Cluster \xc3\xa4");
	cr_expect_str_eq(b->rack, "r1");
	cr_assert_eq(b->token_count, 2);
	cr_expect_str_eq(b->tokens[1], "4611686018427387904");
	cr_expect_eq(b->started_ns, a->started_ns);
	cr_expect_eq(b->renewed_ns, a->renewed_ns);
	cr_expect_eq(b->finished_ns, a->finished_ns);
	cr_expect_eq(b->store_time_ns, a->store_time_ns);
	cr_assert_eq(b->sstable_version_count, 2);
	cr_expect_str_eq(b->sstable_versions[0], "nb");
	cr_assert_eq(b->id_kind_count, 2);
	cr_expect_str_eq(b->id_kinds[1], "uuid");
	cr_assert(b->peers_known);
	cr_assert_eq(b->peer_count, 1);
	cr_expect_str_eq(b->peers[0].address, "10.0.0.2");
	cr_expect_str_eq(b->peers[0].rack, "");
	cr_assert_eq(b->user_count, 2);
	cr_expect_eq(b->users[1].id, UINT32_MAX);
	cr_expect_str_eq(b->users[1].name, "");
	cr_expect_str_eq(b->groups[0].name, "cassandra");
	cr_expect_eq(b->total_bytes, INT64_MAX);
	cr_assert(b->has_root);
	cr_expect_eq(b->root.extent.len_bytes, 20000);
	cr_expect_eq(b->root.extent.object.head_bytes, a->root.extent.object.head_bytes);
	cr_expect_eq(b->root.extent.object.flags, 0);
	cr_expect(b->digests.known);
	cr_expect_eq(b->digests.checked, 300);
	cr_expect_eq(b->digests.unchecked, 4);
	cr_expect_eq(b->digests.mismatched, 2);
	cr_assert_eq(b->digests.file_count, 2);
	cr_expect_str_eq(b->digests.files[0], "data/ks/t-1/nb-1-big-Data.db");
	cr_assert_eq(b->pack_count, 2);
	/* All the rest: what was read is written again as it was. */
	again = encode(b, &again_len);
	cr_expect_eq(len, again_len);
	cr_expect_str_eq(text, again);
}

Test(record, one_with_nothing_known_comes_back)
{
	_cleanup_(record_freep) struct record *a = minimal(), *b = NULL;
	_cleanup_free_ char *text = NULL;
	size_t len;

	text = encode(a, &len);
	b = decode(text, len);
	cr_expect_eq(b->state, RECORD_OPEN);
	cr_expect_str_eq(b->host_id, "");
	cr_expect_str_eq(b->cassandra_version, "");
	cr_expect_eq(b->store_time_ns, 0);
	cr_expect_not(b->has_root);
	cr_expect_not(b->peers_known);
	cr_expect_not(b->digests.known);
	cr_expect_eq(b->refused, 0);
}

Test(record, it_can_be_read_by_a_person)
{
	_cleanup_(record_freep) struct record *r = full();
	_cleanup_free_ char *text = NULL;
	size_t len;
	static const char *const lines[] = { "\"type\": \"backup\"",
					     "\"format\": 1",
					     "\"state\": \"COMMITTED\"",
					     "\"cluster\": \"Test_Cluster\"",
					     "\"started\": \"2025-11-22T10:40:00.123456789Z\"",
					     "\"store\": \"2025-11-22T10:40:01.000000000Z\"",
					     "\"files\": 60000" };

	text = encode(r, &len);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		cr_expect(strstr(text, lines[i]), "%s in %s", lines[i], text);
}

Test(record, packs_are_written_in_order)
{
	_cleanup_(record_freep) struct record *a = full(), *b = NULL;
	_cleanup_free_ char *text = NULL;
	struct record_pack swap = a->packs[0];
	size_t len;

	a->packs[0] = a->packs[1];
	a->packs[1] = swap;
	text = encode(a, &len);
	b = decode(text, len);
	cr_expect_lt(memcmp(b->packs[0].writer.b, b->packs[1].writer.b, ULID_BYTES), 0);
}

Test(record, text_that_is_not_utf_8_is_no_obstacle)
{
	_cleanup_(record_freep) struct record *a = minimal(), *b = NULL;
	_cleanup_free_ char *text = NULL;
	size_t len;

	set(&a->cluster_original, "caf\xe9");
	text = encode(a, &len);
	b = decode(text, len);
	cr_expect_str_eq(b->cluster_original, "caf?");
}

Test(record, what_must_not_be_is_not_written)
{
	for (int i = 0; i < 9; i++) {
		_cleanup_(record_freep) struct record *r = full();
		struct err e = ERR_INIT;
		char *text = NULL;
		size_t len;

		switch (i) {
		case 0:
			r->has_root = false;
			break;
		case 1:
			r->sequence = 0;
			break;
		case 2:
			r->nonce[0] = '\0';
			break;
		case 3:
			set(&r->backup, "latest");
			break;
		case 4:
			r->where.node[0] = '\0';
			break;
		case 5:
			r->root.extent.len_bytes = 0;
			break;
		case 6:
			r->root.extent.object.flags = 4;
			break;
		case 7:
			r->state = 9;
			break;
		case 8:
			r->refused = DOC_WRITE;
			break;
		}
		cr_expect_eq(record_encode(r, &text, &len, &e), i == 8 ? -ENOTSUP : -EINVAL,
			     "case %d", i);
		cr_expect_null(text);
	}
}

/* ---- reading ---- */

static void expect_refused(const char *text, size_t len, int code, const char *why)
{
	struct record *r = NULL;
	struct err e = ERR_INIT;
	int n = record_decode(KEY, text, len, NULL, NULL, NULL, &r, &e);

	cr_expect_eq(n, code, "%s: %d %s", why, n, e.message);
	cr_expect_eq(e.kind, code == -ENOTSUP ? ERR_USAGE : ERR_CORRUPT, "%s", why);
	cr_expect_str_eq(e.key, KEY);
	cr_expect_null(r);
}

Test(record, a_flipped_bit_anywhere_is_refused)
{
	_cleanup_(record_freep) struct record *r = full();
	_cleanup_free_ char *text = NULL;
	size_t len;

	text = encode(r, &len);
	for (size_t i = 0; i < len; i++) {
		text[i] ^= (char)(1 << i % 8);
		expect_refused(text, len, -EBADMSG, "flipped bit");
		text[i] ^= (char)(1 << i % 8);
	}
	for (size_t n = 0; n < len; n += 7)
		expect_refused(text, n, -EBADMSG, "cut short");
}

/* The sealed text of the full record, with one member replaced (path "a.b"; value NULL: removed). */
static char *altered(const char *path, const char *value, size_t *ret_len)
{
	_cleanup_(record_freep) struct record *r = full();
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ json_t *o = NULL;
	char outer[64] = "";
	struct err e = ERR_INIT;
	const char *dot = strchr(path, '.');
	json_t *parent;
	char *sealed = NULL;
	size_t len;

	text = encode(r, &len);
	cr_assert_eq(json_unseal("it", text, len, FORMAT_RECORD_BYTES, &o, &e), 0);
	parent = o;
	if (dot) {
		memcpy(outer, path, (size_t)(dot - path));
		parent = json_object_get(o, outer);
		path = dot + 1;
		if (json_is_array(parent))
			parent = json_array_get(parent, 0);
	}
	cr_assert(json_object_get(parent, path), "%s", path);
	if (value)
		json_object_set_new(parent, path, json_loads(value, JSON_DECODE_ANY, NULL));
	else
		json_object_del(parent, path);
	cr_assert_eq(json_seal(o, &sealed, ret_len, &e), 0);
	return sealed;
}

Test(record, a_sealed_record_is_still_checked_member_by_member)
{
	static const struct {
		const char *path, *value;
		int code;
	} cases[] = {
		{ "type", "\"repository\"", -EBADMSG },
		{ "type", NULL, -EBADMSG },
		{ "format", "2", -ENOTSUP },
		{ "format", "\"1\"", -EBADMSG },
		{ "format", NULL, -EBADMSG },
		{ "features", NULL, -EBADMSG },
		{ "features.read", "[\"sparse\"]", -ENOTSUP },
		{ "features.read", "\"sparse\"", -EBADMSG },
		{ "state", "\"FINISHED\"", -EBADMSG },
		{ "state", NULL, -EBADMSG },
		{ "sequence", "0", -EBADMSG },
		{ "sequence", "-1", -EBADMSG },
		{ "sequence", "1.5", -EBADMSG },
		{ "nonce", "\"0123456789abcdef\"", -EBADMSG },
		{ "nonce", "\"0123456789ABCDEF0123456789ABCDEF\"", -EBADMSG },
		{ "writer", "\"0\"", -EBADMSG },
		{ "writer", "\"81JD8ZP4V7Q3K5N2M9R6T8W0XY\"", -EBADMSG },
		{ "cluster", "\"a/b\"", -EBADMSG },
		{ "node", "\"\"", -EBADMSG },
		{ "backup", "\"latest\"", -EBADMSG },
		{ "backup", "[]", -EBADMSG },
		{ "host", "[]", -EBADMSG },
		{ "host.dc", "5", -EBADMSG },
		{ "host.tokens", "[5]", -EBADMSG },
		{ "host.tokens", "{}", -EBADMSG },
		{ "times", "null", -EBADMSG },
		{ "times.started", "\"yesterday\"", -EBADMSG },
		{ "times.store", "5", -EBADMSG },
		{ "times.store", "\"1970-01-01T00:00:00Z\"", -EBADMSG },
		{ "cassandra", NULL, -EBADMSG },
		{ "cassandra.version", "{}", -EBADMSG },
		{ "peers", "{}", -EBADMSG },
		{ "peers", "[1]", -EBADMSG },
		{ "users", "[1]", -EBADMSG },
		{ "users.id", "4294967296", -EBADMSG },
		{ "users.id", NULL, -EBADMSG },
		{ "files", "-1", -EBADMSG },
		{ "root", NULL, -EBADMSG },
		{ "root", "[]", -EBADMSG },
		{ "root.digest", "\"00\"", -EBADMSG },
		{ "root.object", NULL, -EBADMSG },
		{ "root.raw", "1", -EBADMSG },
		{ "root.uniform", "true", -EBADMSG },
		{ "root.head_bytes", "25", -EBADMSG },
		{ "root.plain_bytes", "8388609", -EBADMSG },
		{ "root.offset", "8299999", -EBADMSG },
		{ "root.length", "0", -EBADMSG },
		{ "packs", "5", -EBADMSG },
		{ "packs.used_bytes", "8388609", -EBADMSG },
		{ "packs.writer", "\"7ZZZZZZZZZZZZZZZZZZZZZZZZZ\"", -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len;
		_cleanup_free_ char *text = altered(cases[i].path, cases[i].value, &len);

		expect_refused(text, len, cases[i].code, cases[i].path);
	}
}

Test(record, unknown_features_of_other_access_are_kept_in_mind)
{
	static const struct {
		const char *path;
		unsigned refused;
	} cases[] = { { "features.write", DOC_WRITE }, { "features.collect", DOC_COLLECT } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t len;
		_cleanup_free_ char *text = altered(cases[i].path, "[\"x\"]", &len);
		_cleanup_(record_freep) struct record *r = decode(text, len);

		cr_expect_eq(r->refused, cases[i].refused);
	}
}

Test(record, members_that_are_not_known_are_ignored)
{
	size_t len;
	_cleanup_free_ char *text =
		altered("host", "{\"colour\":\"red\",\"dc\":\"x\",\"tokens\":[]}", &len);
	_cleanup_(record_freep) struct record *r = decode(text, len);

	cr_expect_str_eq(r->dc, "x");
}

Test(record, it_must_lie_where_it_says)
{
	_cleanup_(record_freep) struct record *r = full();
	_cleanup_free_ char *text = NULL;
	size_t len;

	text = encode(r, &len);
	for (int i = 0; i < 5; i++) {
		struct node_name where = r->where;
		struct ulid writer = r->writer;
		const char *backup = i == 3 ? "tue" : "mon";
		struct record *read = NULL;
		struct err e = ERR_INIT;
		int n;

		if (i == 1)
			strcpy(where.cluster, "x");
		if (i == 2)
			strcpy(where.node, "x");
		if (i == 4)
			writer.b[15] ^= 1;
		n = record_decode(KEY, text, len, &where, backup, &writer, &read, &e);
		cr_expect_eq(n, i == 0 ? 0 : -EBADMSG, "case %d", i);
		record_free(read);
	}
}

Test(record, age_is_decided_by_the_time_of_the_store_and_then_by_the_writer)
{
	_cleanup_(record_freep) struct record *a = minimal(), *b = minimal();

	cr_expect_eq(record_compare_age(a, b), 0);
	b->writer.b[15]++;
	cr_expect_lt(record_compare_age(a, b), 0);
	a->store_time_ns = 1;
	cr_expect_gt(record_compare_age(a, b), 0);
	cr_expect_lt(record_compare_age(b, a), 0);
}

Test(record, states_have_names)
{
	cr_expect_str_eq(record_state_name(RECORD_OPEN), "OPEN");
	cr_expect_str_eq(record_state_name(RECORD_COMMITTED), "COMMITTED");
	cr_expect_str_eq(record_state_name(RECORD_ABORTED), "ABORTED");
	cr_expect_str_eq(record_state_name(RECORD_DELETED), "DELETED");
}
