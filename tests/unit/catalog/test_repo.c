/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "catalog/doc.h"
#include "catalog/repo.h"
#include "store/mem.h"
#include "store/wrap.h"
#include "tests/unit/base/fake_clock.h"
#include "tests/unit/catalog/sample.h"

#define NOW INT64_C(1763808000123456789)

struct fixture {
	struct fake_clock clock;
	struct store *store;
};

static void fixture_init(struct fixture *f)
{
	fake_clock_init(&f->clock, NOW);
	f->store = mem_store_new(&f->clock.clock);
	cr_assert(f->store);
}

static void fixture_deinit(struct fixture *f)
{
	store_free(f->store);
}

#define _cleanup_fixture_ _cleanup_(fixture_deinit)

static void put(struct fixture *f, const char *key, const char *data, size_t len)
{
	struct err e = ERR_INIT;

	cr_assert_eq(store_put_bytes(f->store, key, data, len, STORE_ALWAYS, NULL, NULL, NULL, &e),
		     0, "%s", e.message);
}

static struct repo *open_repo(struct fixture *f)
{
	struct repo *r = NULL;
	struct err e = ERR_INIT;

	cr_assert_eq(repo_init(f->store, OBJECT_COMPRESS_ZSTD, &f->clock.clock, &e), 0, "%s",
		     e.message);
	cr_assert_eq(repo_open(f->store, REPO_READ | REPO_WRITE, &f->clock.clock, NULL, &r, &e), 0,
		     "%s", e.message);
	return r;
}

Test(repo, what_init_made_can_be_opened)
{
	_cleanup_fixture_ struct fixture f;
	_cleanup_(repo_freep) struct repo *r = NULL;

	fixture_init(&f);
	r = open_repo(&f);
	cr_expect_eq(repo_compression(r), OBJECT_COMPRESS_ZSTD);
	cr_expect_str_eq(repo_id(r), "000102030405060708090a0b0c0d0e0f");
	cr_expect_eq(repo_store(r), f.store);
	cr_expect_eq(repo_clock(r), &f.clock.clock);
}

/* What happens to the puts of repository.json, in order: carried out After all, Stolen by another; the answer is lost. */
struct loser {
	const char *script;
	struct store *below;
	size_t puts;
};

static enum fault lose_put(void *ctx, const char *method, const char *key)
{
	struct loser *l = ctx;
	char what;

	if (strcmp(method, "put") != 0 || l->puts >= strlen(l->script))
		return FAULT_NONE;
	what = l->script[l->puts++];
	if (what == 's')
		cr_assert_eq(store_put_bytes(l->below, key, "other", 5, STORE_ALWAYS, NULL, NULL,
					     NULL, NULL),
			     0);
	return what == 'a' || what == 's' ? FAULT_AFTER : FAULT_NONE;
}

Test(repo, an_init_whose_answer_was_lost_is_settled_by_reading)
{
	static const struct {
		const char *script;
		int want;
	} cases[] = { { "a", 0 }, { "s", -EEXIST }, { "", 0 } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_fixture_ struct fixture f;
		struct loser loser = { .script = cases[i].script };
		struct store *over;
		struct repo *r = NULL;
		struct err e = ERR_INIT;

		fixture_init(&f);
		loser.below = f.store;
		over = f.store = fault_store_new(f.store, lose_put, &loser);
		cr_expect_eq(repo_init(over, OBJECT_COMPRESS_NONE, &f.clock.clock, &e),
			     cases[i].want, "%s: %s", cases[i].script, e.message);
		cr_expect_eq(e.kind, cases[i].want ? ERR_CONFLICT : ERR_NONE);
		if (cases[i].want == 0)
			cr_expect_eq(repo_open(over, REPO_WRITE, &f.clock.clock, NULL, &r, &e), 0,
				     "%s", e.message);
		repo_free(r);
	}
}

/* Not carried out, and the answer lost. */
static int swallow_put(struct store *s, const struct store_put *req, struct store_meta *ret,
		       const struct cancel *c, struct err *e)
{
	err_set(e, ERR_STORE, -EIO, "reset");
	e->outcome_unknown = true;
	return -EIO;
}

Test(repo, an_init_that_never_arrives_is_a_failure)
{
	_cleanup_fixture_ struct fixture f;
	struct store_ops ops;
	struct store *below;
	struct err e = ERR_INIT;
	const struct store_ops *honest;

	fixture_init(&f);
	below = f.store;
	honest = below->ops;
	ops = *honest;
	ops.put = swallow_put;
	below->ops = &ops;
	cr_expect_eq(repo_init(below, OBJECT_COMPRESS_NONE, &f.clock.clock, &e), -EIO);
	cr_expect(strstr(e.message, "reset"), "%s", e.message);
	below->ops = honest;
}

Test(repo, init_refuses_a_prefix_that_holds_a_repository_or_anything_else)
{
	static const char *const keys[] = { KEY_REPOSITORY, "holiday.jpg", "nodes/a/b/probe/x",
					    "zzz" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		_cleanup_fixture_ struct fixture f;
		struct err e = ERR_INIT;
		struct store_meta meta;

		fixture_init(&f);
		put(&f, keys[i], "x", 1);
		cr_expect_eq(repo_init(f.store, OBJECT_COMPRESS_NONE, &f.clock.clock, &e), -EEXIST);
		cr_expect_eq(e.kind, ERR_CONFLICT);
		e = ERR_INIT;
		cr_expect_eq(store_head(f.store, KEY_REPOSITORY, &meta, NULL, &e),
			     i == 0 ? 0 : STORE_NOT_FOUND);
	}
}

Test(repo, what_is_no_repository_is_not_opened)
{
	_cleanup_fixture_ struct fixture f;
	struct repo *r = NULL;
	struct err e = ERR_INIT;

	fixture_init(&f);
	cr_expect_eq(repo_open(f.store, REPO_READ, &f.clock.clock, NULL, &r, &e), -ENOENT);
	cr_expect_eq(e.kind, ERR_NOT_FOUND);
	cr_expect(strstr(e.message, "init"), "%s", e.message);
}

/* repository.json with one member replaced, sealed rightly. */
static void put_altered(struct fixture *f, const char *key, json_t *value)
{
	_cleanup_free_ char *text = NULL, *sealed = NULL;
	_cleanup_json_ json_t *o = NULL;
	struct err e = ERR_INIT;
	size_t len;

	cr_assert_eq(repo_init(f->store, OBJECT_COMPRESS_NONE, &f->clock.clock, &e), 0);
	cr_assert_eq(store_get_alloc(f->store, KEY_REPOSITORY, 65536, &text, &len, NULL, NULL, &e),
		     0);
	cr_assert_eq(json_unseal("it", text, len, 65536, &o, &e), 0);
	json_object_set_new(o, key, value);
	cr_assert_eq(json_seal(o, &sealed, &len, &e), 0);
	put(f, KEY_REPOSITORY, sealed, len);
}

Test(repo, unknown_formats_features_and_settings_refuse_what_they_must_and_no_more)
{
	static const struct {
		const char *key, *value;
		unsigned refused; /* these kinds of access */
		int code;
	} cases[] = {
		{ "format", "2", 7, -ENOTSUP },
		{ "format", "0", 7, -ENOTSUP },
		{ "encryption", "\"aes\"", 7, -ENOTSUP },
		{ "encryption", "null", 7, -EBADMSG },
		{ "compression", "\"lzma\"", REPO_WRITE, -ENOTSUP },
		{ "compression", "5", 7, -EBADMSG },
		{ "features", "{\"read\":[\"x\"],\"write\":[],\"collect\":[]}", REPO_READ,
		  -ENOTSUP },
		{ "features", "{\"read\":[],\"write\":[\"x\"],\"collect\":[]}", REPO_WRITE,
		  -ENOTSUP },
		{ "features", "{\"read\":[],\"write\":[],\"collect\":[\"x\"]}", REPO_COLLECT,
		  -ENOTSUP },
		{ "features", "{\"colour\":[\"x\"]}", 0, 0 },
		{ "features", "[]", 7, -EBADMSG },
		{ "id", "\"0\"", 7, -EBADMSG },
		{ "type", "\"backup\"", 7, -EBADMSG },
		{ "anything", "{}", 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_fixture_ struct fixture f;

		fixture_init(&f);
		put_altered(&f, cases[i].key, json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
		for (unsigned access = 1; access < 8; access++) {
			_cleanup_(repo_freep) struct repo *r = NULL;
			bool refused = access & cases[i].refused;
			struct err e = ERR_INIT;
			int n = repo_open(f.store, access, &f.clock.clock, NULL, &r, &e);

			cr_expect_eq(n, refused ? cases[i].code : 0, "case %zu access %u: %d %s", i,
				     access, n, e.message);
			if (refused)
				cr_expect_eq(e.kind, n == -ENOTSUP ? ERR_USAGE : ERR_CORRUPT);
			if (refused)
				cr_expect_str_eq(e.key, KEY_REPOSITORY);
		}
	}
}

Test(repo, a_damaged_description_is_refused)
{
	_cleanup_fixture_ struct fixture f;
	_cleanup_free_ char *text = NULL;
	struct err e = ERR_INIT;
	size_t len;

	fixture_init(&f);
	cr_assert_eq(repo_init(f.store, OBJECT_COMPRESS_NONE, &f.clock.clock, &e), 0);
	cr_assert_eq(store_get_alloc(f.store, KEY_REPOSITORY, 65536, &text, &len, NULL, NULL, &e),
		     0);
	for (size_t i = 0; i < len; i++) {
		struct repo *r = NULL;

		text[i] ^= 1;
		put(&f, KEY_REPOSITORY, text, len);
		cr_expect_eq(repo_open(f.store, REPO_READ, &f.clock.clock, NULL, &r, &e), -EBADMSG);
		text[i] ^= 1;
	}
}

/* ---- a bit that is flipped on the way ---- */

struct wire {
	enum fault fault;
	int left; /* gets that it happens to */
};

static enum fault next_fault(void *ctx, const char *method, const char *key)
{
	struct wire *w = ctx;

	return strcmp(method, "get") == 0 && w->left > 0 && w->left-- ? w->fault : FAULT_NONE;
}

Test(repo, a_description_that_was_damaged_on_its_way_is_asked_for_once_more)
{
	static const enum fault faults[] = { FAULT_FLIP_BIT, FAULT_TRUNCATE, FAULT_EMPTY };
	struct wire w = { .left = 0 };
	_cleanup_fixture_ struct fixture f;
	struct err e = ERR_INIT;

	fixture_init(&f);
	f.store = fault_store_new(f.store, next_fault, &w);
	cr_assert_eq(repo_init(f.store, OBJECT_COMPRESS_NONE, &f.clock.clock, &e), 0);
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		struct repo *r = NULL;

		w = (struct wire){ faults[i], 1 };
		cr_assert_eq(repo_open(f.store, REPO_READ, &f.clock.clock, NULL, &r, &e), 0, "%s",
			     e.message);
		cr_expect_eq(w.left, 0);
		repo_free(r);
		w = (struct wire){ faults[i], 2 };
		cr_expect_eq(repo_open(f.store, REPO_READ, &f.clock.clock, NULL, &r, &e), -EBADMSG);
		cr_expect_eq(e.kind, ERR_CORRUPT);
	}
}

/* ---- listings ---- */

struct names {
	char text[400];
	int stop_after, count;
};

static int note_name(void *ctx, const char *name, struct err *e)
{
	struct names *n = ctx;

	strcat(strcat(n->text, name), " ");
	return ++n->count == n->stop_after;
}

Test(repo, clusters_and_nodes_are_listed_in_order_of_their_names)
{
	static const char *const keys[] = {
		"nodes/b/n1/records/x/y",
		"nodes/b-2/n1/records/x/y",
		"nodes/b.1/n1/probe/x",
		"nodes/a b/n/records/x",
		"nodes/file",
		"nodes/latest/n/records/x",
		"nodes/b/n-1/records/x/y",
		"nodes/b/n/records/x/y",
		"nodes/b/.hidden/records/x",
		"nodes/b/objects/records/x",
		"other/x",
	};
	_cleanup_fixture_ struct fixture f;
	_cleanup_(repo_freep) struct repo *r = NULL;
	struct names clusters = { "", 0, 0 }, nodes = { "", 0, 0 }, some = { "", 2, 0 };
	struct err e = ERR_INIT;

	fixture_init(&f);
	r = open_repo(&f);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		put(&f, keys[i], "x", 1);
	cr_expect_eq(repo_list_clusters(r, note_name, &clusters, NULL, &e), 0);
	cr_expect_str_eq(clusters.text, "b b-2 b.1 ");
	cr_expect_eq(repo_list_nodes(r, "b", note_name, &nodes, NULL, &e), 0);
	cr_expect_str_eq(nodes.text, "n n-1 n1 ");
	cr_expect_eq(repo_list_clusters(r, note_name, &some, NULL, &e), 0);
	cr_expect_str_eq(some.text, "b b-2 ");
	cr_expect_eq(repo_list_nodes(r, "a/b", note_name, &nodes, NULL, &e), -EINVAL);
}

static const struct node_name node = { "c", "n" };

static void put_record(struct fixture *f, const char *backup, uint64_t writer)
{
	_cleanup_(record_freep) struct record *r = record_new();
	_cleanup_free_ char *text = NULL;
	struct err e = ERR_INIT;
	char key[KEY_BYTES];
	size_t len;

	r->sequence = 1;
	strcpy(r->nonce, "0123456789abcdef0123456789abcdef");
	r->writer = sample_ulid(writer);
	r->where = node;
	free(r->backup);
	r->backup = strdup(backup);
	cr_assert_eq(record_encode(r, &text, &len, &e), 0);
	put(f, keys_record(key, &node, backup, &r->writer), text, len);
}

static int note_record(void *ctx, const struct record_key *key, struct err *e)
{
	struct names *n = ctx;

	cr_expect(*key->etag);
	cr_expect_gt(key->size_bytes, 100);
	strcat(strcat(n->text, key->backup), " ");
	return 0;
}

Test(repo, records_are_listed_in_order_of_backup_and_foreign_keys_passed_over)
{
	_cleanup_fixture_ struct fixture f;
	_cleanup_(repo_freep) struct repo *r = NULL;
	struct names all = { "", 0, 0 }, one = { "", 0, 0 };
	struct err e = ERR_INIT;

	fixture_init(&f);
	r = open_repo(&f);
	put_record(&f, "mon", 1);
	put_record(&f, "mon", 2);
	put_record(&f, "mon-2", 3);
	put_record(&f, "a", 4);
	put(&f, "nodes/c/n/records/readme", "x", 1);
	put(&f, "nodes/c/n/records/mon/x.json", "x", 1);
	cr_expect_eq(repo_list_records(r, &node, NULL, note_record, &all, NULL, &e), 0);
	cr_expect_str_eq(all.text, "a mon mon mon-2 ");
	cr_expect_eq(repo_list_records(r, &node, "mon", note_record, &one, NULL, &e), 0);
	cr_expect_str_eq(one.text, "mon mon ");
}

Test(repo, a_record_is_read_with_its_etag_and_the_time_of_the_store)
{
	_cleanup_fixture_ struct fixture f;
	_cleanup_(repo_freep) struct repo *r = NULL;
	_cleanup_(record_freep) struct record *record = NULL;
	struct ulid writer = sample_ulid(1), other = sample_ulid(2);
	char etag[STORE_ETAG_MAX] = "", key[KEY_BYTES];
	struct err e = ERR_INIT;

	fixture_init(&f);
	r = open_repo(&f);
	put_record(&f, "mon", 1);
	cr_assert_eq(repo_get_record(r, &node, "mon", &writer, &record, etag, NULL, &e), 0);
	cr_expect_eq(record->store_time_ns, NOW);
	cr_expect_neq(etag[0], '\0');
	record_free(steal_pointer(&record));
	cr_expect_eq(repo_get_record(r, &node, "mon", &other, &record, NULL, NULL, &e),
		     STORE_NOT_FOUND);
	put(&f, keys_record(key, &node, "mon", &writer), "{}", 2);
	cr_expect_eq(repo_get_record(r, &node, "mon", &writer, &record, NULL, NULL, &e), -EBADMSG);
	cr_expect_str_eq(e.key, key);
}
