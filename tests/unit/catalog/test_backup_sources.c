/* SPDX-License-Identifier: Apache-2.0 */
/* W2 and W2b: what a backup may reuse, and the order of all steps. */
#include "catalog/register.h"
#include "tests/unit/catalog/rig.h"

static const struct node_name where = { "c1", "n1" };

static void one_file(struct rig *rig)
{
	rig_put_random(rig, "nb-1-big-Data.db", 1, 2 * MIB);
	rig_put_random(rig, "nb-1-big-Index.db", 2, 20000);
}

/* Condemns keys (below the node's prefix) in one list. */
static void condemn(struct rig *rig, const char *const *keys, size_t count)
{
	char text[4096], hex[SHA256_HEX];
	size_t len = (size_t)snprintf(text, sizeof(text), "condemned 1\n");
	struct id256 sum;
	struct err e = ERR_INIT;

	for (size_t i = 0; i < count; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s\n", keys[i]);
	sum = digest_sha256(text, len);
	util_hex(hex, sum.b, sizeof(sum.b));
	len += (size_t)snprintf(text + len, sizeof(text) - len, "sha256 %s\n", hex);
	cr_assert_eq(store_put_bytes(rig->store, "nodes/c1/n1/condemned/01ARZ3NDEKTSV4RRFFQ69G5FAV",
				     text, len, STORE_IF_ABSENT, NULL, NULL, NULL, &e),
		     0, "%s", e.message);
	cr_assert_eq(store_put_bytes(rig->store,
				     "nodes/c1/n1/condemned/01ARZ3NDEKTSV4RRFFQ69G5FAV.waits", "x",
				     1, STORE_IF_ABSENT, NULL, NULL, NULL, &e),
		     0);
}

struct key_list {
	char keys[64][192];
	size_t count;
};

static int keep_key(void *ctx, const struct store_entry *entry, struct err *e)
{
	struct key_list *l = ctx;

	snprintf(l->keys[l->count++], sizeof(l->keys[0]), "%s",
		 entry->key + strlen("nodes/c1/n1/"));
	return 0;
}

static void list_keys(struct rig *rig, const char *below, struct key_list *ret)
{
	char prefix[128];
	struct store_list list = { .prefix = prefix, .entry = keep_key, .ctx = ret };
	struct err e = ERR_INIT;

	ret->count = 0;
	snprintf(prefix, sizeof(prefix), "nodes/c1/n1/%s", below);
	cr_assert_eq(store_list(rig->store, &list, NULL, &e), 0);
}

Test(backup_sources, a_condemned_object_is_not_used_again)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *first = NULL, *second = NULL;
	struct key_list objects, trees;
	const char *keys[64];

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	rig_settle(&rig);
	first = rig_commit(&rig, "b1");
	list_keys(&rig, "objects/", &objects);
	list_keys(&rig, "trees/", &trees);
	cr_assert_eq(objects.count, 2);
	keys[0] = objects.keys[0];
	keys[1] = objects.keys[1];
	condemn(&rig, keys, 2);
	second = rig_commit(&rig, "b2");
	cr_expect_eq(second->new_bytes, 2 * MIB + 20000);
	cr_expect_eq(rig_count(&rig, "objects/"), 4);
	cr_expect_eq(rig_count(&rig, "trees/"), 2 * trees.count, "run and trees reach it");
}

Test(backup_sources, a_condemned_run_is_stored_anew_and_its_content_is_reused)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *first = NULL, *second = NULL;
	struct key_list trees;
	const char *keys[64];

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	rig_settle(&rig);
	first = rig_commit(&rig, "b1");
	list_keys(&rig, "trees/", &trees);
	for (size_t i = 0; i < trees.count; i++)
		keys[i] = trees.keys[i];
	condemn(&rig, keys, trees.count);
	second = rig_commit(&rig, "b2");
	cr_expect_eq(second->new_bytes, 0);
	cr_expect_eq(rig_count(&rig, "trees/"), 2 * trees.count);
	cr_expect(memcmp(&first->root.extent.object.writer, &second->root.extent.object.writer,
			 ULID_BYTES) != 0);
	rig_expect_random(&rig, second, "nb-1-big-Data.db", 1, 2 * MIB);
}

static enum fault finish_list(struct rig *rig, const char *method, const char *key)
{
	const char *keys[] = { key };
	struct store_delete_error errors[1];
	size_t error_count;

	if (strcmp(method, "get") == 0 && strstr(key, "/condemned/")) {
		cr_expect_not(strstr(key, ".waits"));
		rig->fault = NULL;
		cr_assert_eq(store_delete_many(rig->store, keys, 1, errors, &error_count, NULL,
					       NULL),
			     0);
	}
	return FAULT_NONE;
}

Test(backup_sources, a_list_that_is_gone_is_finished)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *first = NULL, *second = NULL;
	struct key_list objects;
	const char *keys[1];

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	first = rig_commit(&rig, "b1");
	list_keys(&rig, "objects/", &objects);
	keys[0] = objects.keys[0];
	condemn(&rig, keys, 1);
	rig.fault = finish_list;
	second = rig_commit(&rig, "b2");
	cr_expect_eq(second->new_bytes, 0);
}

Test(backup_sources, a_damaged_list_ends_the_backup)
{
	_cleanup_rig_ struct rig rig;
	struct err e = ERR_INIT;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	cr_assert_eq(store_put_bytes(rig.store, "nodes/c1/n1/condemned/01ARZ3NDEKTSV4RRFFQ69G5FAV",
				     "condemned 1\n", 12, STORE_IF_ABSENT, NULL, NULL, NULL, &e),
		     0);
	cr_expect_eq(rig_backup(&rig, "b1", NULL, &e), -EBADMSG);
	cr_expect_eq(e.kind, ERR_CORRUPT);
	cr_expect(strstr(e.key, "/condemned/01ARZ3"), "%s", e.key);
	cr_expect(strstr(e.message, "sstablefs gc"), "what to do: %s", e.message);
}

static void delete_backup(struct rig *rig, const char *name)
{
	_cleanup_(record_freep) struct record *record = rig_read_record(rig, name);
	struct record_key found = { 0 };
	struct err e = ERR_INIT;
	struct reg g;

	reg_init_record(&g, rig->repo, record);
	repo_list_records(rig->repo, &where, name, rig_only_record, &found, NULL, &e);
	memcpy(g.etag, found.etag, sizeof(g.etag));
	record->state = RECORD_DELETED;
	cr_assert_eq(reg_write(&g, NULL, &e), 0, "%s", e.message);
}

Test(backup_sources, a_deleted_backup_is_no_source)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *first = NULL, *second = NULL;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	first = rig_commit(&rig, "b1");
	delete_backup(&rig, "b1");
	second = rig_commit(&rig, "b2");
	cr_expect_eq(second->new_bytes, 2 * MIB + 20000);
}

static bool delete_record_too;
static int trees_read_before;

/* What a collector does between our listing of the records and our reading of the trees. */
static enum fault collect(struct rig *rig, const char *method, const char *key)
{
	struct store_delete_error errors[64];
	struct key_list trees;
	char full[64][224];
	const char *keys[64];
	size_t error_count;

	if (strcmp(method, "get") != 0 || !strstr(key, "/trees/") ||
	    atomic_fetch_add(&rig->calls, 1) < trees_read_before)
		return FAULT_NONE;
	rig->fault = NULL;
	if (delete_record_too)
		delete_backup(rig, "b1");
	list_keys(rig, "trees/", &trees);
	for (size_t i = 0; i < trees.count; i++) {
		snprintf(full[i], sizeof(full[i]), "nodes/c1/n1/%s", trees.keys[i]);
		keys[i] = full[i];
	}
	cr_assert_eq(store_delete_many(rig->store, keys, trees.count, errors, &error_count, NULL,
				       NULL),
		     0);
	return FAULT_NONE;
}

/* Also where most of it was already taken in: the tree of the sub-directory comes last. */
Test(backup_sources, a_backup_that_is_deleted_meanwhile_is_no_source)
{
	for (trees_read_before = 0; trees_read_before < 6; trees_read_before++) {
		_cleanup_rig_ struct rig rig;
		_cleanup_(record_freep) struct record *first = NULL, *second = NULL;

		rig_init(&rig, OBJECT_COMPRESS_NONE);
		one_file(&rig);
		rig_put_random(&rig, ".idx/nb-1-big-Data.db", 3, 1000);
		first = rig_commit(&rig, "b1");
		delete_record_too = true;
		rig.fault = collect;
		second = rig_commit(&rig, "b2");
		cr_expect_null(rig.fault, "the collector has run");
		cr_expect_eq(second->new_bytes, 2 * MIB + 21000);
		rig_expect_random(&rig, second, "nb-1-big-Index.db", 2, 20000);
	}
}

Test(backup_sources, a_committed_backup_whose_trees_are_lost_is_no_source)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *first = NULL, *second = NULL;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	first = rig_commit(&rig, "b1");
	delete_record_too = false;
	rig.fault = collect;
	second = rig_commit(&rig, "b2");
	cr_expect_null(rig.fault, "the trees are gone");
	cr_expect_eq(second->new_bytes, 2 * MIB + 20000);
	rig_expect_random(&rig, second, "nb-1-big-Data.db", 1, 2 * MIB);
}

Test(backup_sources, no_backup_is_made_that_could_not_be_listed)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *record = NULL;
	struct err e = ERR_INIT;
	char key[128];

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	one_file(&rig);
	for (int i = 0; i < FORMAT_LISTED - FORMAT_LISTED_SPARE; i++) {
		snprintf(key, sizeof(key),
			 "nodes/c1/n1/records/old%d/01ARZ3NDEKTSV4RRFFQ69G5FAV.json", i);
		cr_assert_eq(store_put_bytes(rig.store, key, "x", 1, STORE_IF_ABSENT, NULL, NULL,
					     NULL, NULL),
			     0);
	}
	cr_expect_eq(rig_backup(&rig, "b1", &record, &e), -EFBIG);
	cr_expect(strstr(e.message, "remove old backups first"), "%s", e.message);
}

Test(backup_sources, no_backup_is_begun_that_could_not_be_read)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *record = NULL;
	struct snapshot huge = { .file_count = FORMAT_FILES + 1 };
	struct key_list left;
	struct err e = ERR_INIT;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	cr_expect_eq(rig_backup_snapshot(&rig, &huge, "b1", &record, &e), -EFBIG);
	cr_expect(strstr(e.message, "--only"), "%s", e.message);
	list_keys(&rig, "records/", &left);
	cr_expect_eq(left.count, 0);
}

/* ---- the order of the steps ---- */

static char steps[4096];
static pthread_mutex_t steps_lock = PTHREAD_MUTEX_INITIALIZER;

static enum fault note_step(struct rig *rig, const char *method, const char *key)
{
	const char *below = strncmp(key, "nodes/c1/n1/", 12) == 0 ? key + 12 : key;
	size_t kind = strcspn(below, "/");
	size_t len;

	if (strcmp(method, "list") == 0 && strncmp(below, "records/b", 9) == 0)
		kind = strlen("records/b2");
	pthread_mutex_lock(&steps_lock);
	len = strlen(steps);
	snprintf(steps + len, sizeof(steps) - len, "%s %.*s\n", method, (int)kind, below);
	pthread_mutex_unlock(&steps_lock);
	return FAULT_NONE;
}

Test(backup_sources, the_steps_come_in_their_order)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(record_freep) struct record *first = NULL, *second = NULL;

	rig_init(&rig, OBJECT_COMPRESS_NONE);
	rig.options.connections = 1;
	rig_put_random(&rig, "nb-1-big-Data.db", 1, 20000);
	first = rig_commit(&rig, "b1");
	rig_put_random(&rig, "nb-2-big-Data.db", 2, 20000);
	rig.fault = note_step;
	second = rig_commit(&rig, "b2");
	cr_expect_str_eq(steps, "list records/b2\n" /* nothing to continue */
				"put records\n"	    /* W1 */
				"list records/b2\n"
				"list condemned\n" /* W2 */
				"list records\n"   /* W2b */
				"get records\n"
				"get records\n"
				"get trees\n"
				"get trees\n"
				"get trees\n"
				"get trees\n"
				"get trees\n"
				"put objects\n" /* W3 */
				"put trees\n"
				"put trees\n"
				"put trees\n"
				"put trees\n"
				"put trees\n"
				"put records\n"); /* W5 */
}

/* Each object of one kind gets a flipped bit at its end. */
static void damage(struct rig *rig, const char *below)
{
	struct key_list list;

	list_keys(rig, below, &list);
	cr_assert_gt(list.count, 0);
	for (size_t i = 0; i < list.count; i++) {
		_cleanup_free_ char *key = util_printf("nodes/c1/n1/%s", list.keys[i]);
		_cleanup_free_ char *data = NULL;
		size_t len;

		cr_assert_eq(store_get_alloc(rig->store, key, 64 * MIB, &data, &len, NULL, NULL,
					     NULL),
			     0);
		data[len - 1] ^= 1;
		cr_assert_eq(store_put_bytes(rig->store, key, data, len, STORE_ALWAYS, NULL, NULL,
					     NULL, NULL),
			     0);
	}
}

Test(backup_sources, a_damaged_old_backup_is_no_source_and_does_not_keep_new_ones_from_being_made)
{
	static const char *const kinds[] = { "trees/", "records/" };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		_cleanup_rig_ struct rig rig;
		_cleanup_(record_freep) struct record *first = NULL, *second = NULL;

		rig_init(&rig, OBJECT_COMPRESS_NONE);
		one_file(&rig);
		rig_settle(&rig);
		first = rig_commit(&rig, "b1");
		damage(&rig, kinds[i]);
		second = rig_commit(&rig, "b2");
		cr_expect_eq(second->new_bytes, 2 * MIB + 20000, "%s", kinds[i]);
		rig_expect_random(&rig, second, "nb-1-big-Data.db", 1, 2 * MIB);
	}
}
