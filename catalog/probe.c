/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/probe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ATTEMPTS 3 /* where an answer is lost */

struct probe {
	struct store *store;
	const struct cancel *cancel;
	char key[KEY_BYTES], missing[KEY_BYTES];
};

static int put(struct probe *p, const char *key, const char *text, enum store_cond cond,
	       const char *etag, struct store_meta *ret, struct err *e)
{
	return store_put_bytes(p->store, key, text, strlen(text), cond, etag, ret, p->cancel, e);
}

/* A put that must fail its condition. */
static int expect_refusal(int r, bool or_missing, bool *ret)
{
	if (r < 0)
		return r;
	*ret = r == STORE_PRECONDITION || (or_missing && r == STORE_NOT_FOUND);
	return 0;
}

static int try_conditions(struct probe *p, struct probe_result *result, struct err *e)
{
	struct store_meta first, second;
	int r = put(p, p->key, "1\n", STORE_ALWAYS, NULL, &first, e);

	if (r == 0)
		r = expect_refusal(put(p, p->key, "2\n", STORE_IF_ABSENT, NULL, NULL, e), false,
				   &result->if_absent);
	if (r == 0)
		r = put(p, p->key, "3\n", STORE_ALWAYS, NULL, &second, e);
	if (r == 0)
		r = expect_refusal(put(p, p->key, "4\n", STORE_IF_MATCH, first.etag, NULL, e),
				   false, &result->if_match_stale);
	if (r == 0)
		r = expect_refusal(put(p, p->missing, "5\n", STORE_IF_MATCH, second.etag, NULL, e),
				   true, &result->if_match_missing);
	return MIN_OF(r, 0);
}

/* Credentials without DeleteObject are enough for a backup: that nothing is removed is a result, no failure. */
static bool remove_keys(struct probe *p)
{
	const char *keys[] = { p->key, p->missing };
	struct store_delete_error errors[ARRAY_SIZE(keys)];
	size_t error_count = 0;

	return store_delete_many(p->store, keys, ARRAY_SIZE(keys), errors, &error_count, p->cancel,
				 NULL) == 0 &&
	       error_count == 0;
}

/* On keys of its own: what was half done before says nothing. */
static int run_once(struct repo *repo, const struct node_name *n, struct probe_result *ret,
		    const struct cancel *c, struct err *e)
{
	struct probe p = { .store = repo_store(repo), .cancel = c };
	struct ulid key = ulid_new(repo_clock(repo)), missing = ulid_new(repo_clock(repo));
	int r;

	keys_probe(p.key, n, &key);
	keys_probe(p.missing, n, &missing);
	r = try_conditions(&p, ret, e);
	ret->may_delete = remove_keys(&p);
	return r;
}

/*
 * A conditional write whose answer was lost may have been carried out by a store that must not do
 * so. Made again, it would fail its condition and look as if the store were right.
 */
int probe_run(struct repo *repo, const struct node_name *n, struct probe_result *ret,
	      const struct cancel *c, struct err *e)
{
	struct err mine = ERR_INIT;
	int r = 0;

	for (int i = 0; i < ATTEMPTS; i++) {
		struct probe_result result = { 0 };

		mine = ERR_INIT;
		r = run_once(repo, n, &result, c, &mine);
		if (r == 0)
			*ret = result;
		if (r == 0 || !mine.outcome_unknown)
			break;
	}
	if (r < 0 && e)
		*e = mine;
	return r;
}

/* ---- what is remembered ---- */

static char *memory_key(const struct probe_memory *m)
{
	return util_printf("probe %s %s", repo_id(m->repo), m->server ? m->server : "");
}

/* What the local state says is looked at with care: it may be of another version. */
static bool recall(const struct probe_memory *m, const char *key, struct probe_result *ret)
{
	_cleanup_free_ void *text = NULL;
	int values[4];
	char end;
	size_t len;

	if (!m->kv || kv_get(m->kv, KV_STATE, key, strlen(key), &text, &len, NULL) != 0)
		return false;
	if (sscanf(text, "%1d %1d %1d %1d%c", &values[0], &values[1], &values[2], &values[3],
		   &end) != 4)
		return false;
	*ret = (struct probe_result){ values[0] == 1, values[1] == 1, values[2] == 1,
				      values[3] == 1 };
	return probe_passed(ret);
}

static void remember(const struct probe_memory *m, const char *key, const struct probe_result *p)
{
	char text[32];

	if (!m->kv)
		return;
	snprintf(text, sizeof(text), "%d %d %d %d", p->if_absent, p->if_match_stale,
		 p->if_match_missing, p->may_delete);
	(void)kv_put(m->kv, KV_STATE, key, strlen(key), text, strlen(text), NULL);
}

int probe_once(const struct probe_memory *m, bool need_delete, struct probe_result *ret,
	       const struct cancel *c, struct err *e)
{
	_cleanup_free_ char *key = memory_key(m);
	struct probe_result result;
	int r;

	if (!key)
		return err_nomem(e);
	if (recall(m, key, &result) && (result.may_delete || !need_delete)) {
		*ret = result;
		return 0;
	}
	r = probe_run(m->repo, m->where, &result, c, e);
	if (r < 0)
		return r;
	if (probe_passed(&result))
		remember(m, key, &result);
	*ret = result;
	return 0;
}
