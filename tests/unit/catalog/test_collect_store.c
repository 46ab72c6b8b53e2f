/* SPDX-License-Identifier: Apache-2.0 */
/* Collectors with little memory, with --full, and with stores that do not do what they must, or may not. */
#include "tests/unit/catalog/collect_help.h"

#define WRITER "01JD8ZP4V7Q3K5N2M9R6T8W0XY"

static const struct collect_options plain;

/* ---- many keys ---- */

Test(collect_store, more_keys_than_the_memory_allows_are_worked_through_in_slices)
{
	for (int full = 0; full < 2; full++) {
		_cleanup_rig_ struct rig rig;
		_cleanup_(collect_result_freep) struct collect_result *r = NULL;
		char name[64];

		rig_init(&rig, OBJECT_COMPRESS_NONE);
		for (unsigned i = 0; i < 40; i++) {
			snprintf(name, sizeof(name), "nb-%u-big-Data.db", i);
			rig_put_random(&rig, name, i, MIB);
			if (i == 9)
				record_free(rig_commit(&rig, "b2"));
		}
		record_free(rig_commit(&rig, "b1"));
		collect_help_delete(&rig, "b1");
		/* Room for 12 keys. */
		r = collect_help_run(&rig, &(struct collect_options){ .full = full,
								      .memory_bytes = 24 * 40,
								      .list_keys = 3 });
		cr_expect_geq(r->deleted_objects, 31);
		cr_expect_eq(r->condemned_objects, r->deleted_objects);
		collect_help_expect_exact(&rig);
		cr_expect_eq(rig_count(&rig, "condemned/"), 0);
	}
}

Test(collect_store, a_full_run_finds_what_lies_under_no_record)
{
	static const char *const orphans[] = {
		"objects/" WRITER
		"/7ce66e25f503f2003b2c9b869f4a47649d958c65a9c25f76bf6153f4d5071ea1",
		"trees/" WRITER "/7ce66e25f503f2003b2c9b869f4a47649d958c65a9c25f76bf6153f4d5071ea2",
	};
	_cleanup_rig_ struct rig rig;

	collect_help_begin(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(orphans); i++)
		collect_help_put(&rig, orphans[i], "x", 1);
	collect_help_gc(&rig);
	cr_expect(collect_help_has(&rig, orphans[0]));
	collect_result_free(collect_help_run(&rig, &(struct collect_options){ .full = true }));
	collect_help_expect_exact(&rig);
}

/* ---- a store that does not do what it must, or may not ---- */

struct picky {
	struct store store;
	struct store *below;
	bool creates_on_match, refuses_all, denies_all;
	const char *stuck; /* part of the keys that are not deleted */
};

static struct picky *picky_of(struct store *s)
{
	return (struct picky *)s;
}

static int picky_put(struct store *s, const struct store_put *req, struct store_meta *ret,
		     const struct cancel *c, struct err *e)
{
	struct store_put changed = *req;

	if (picky_of(s)->creates_on_match && req->cond == STORE_IF_MATCH &&
	    store_head(picky_of(s)->below, req->key, NULL, c, e) > 0)
		changed.cond = STORE_ALWAYS;
	return store_put(picky_of(s)->below, &changed, ret, c, e);
}

static int picky_get(struct store *s, const struct store_get *req, struct store_meta *ret,
		     const struct cancel *c, struct err *e)
{
	return store_get(picky_of(s)->below, req, ret, c, e);
}

static int picky_head(struct store *s, const char *key, struct store_meta *ret,
		      const struct cancel *c, struct err *e)
{
	return store_head(picky_of(s)->below, key, ret, c, e);
}

static int picky_list(struct store *s, const struct store_list *req, const struct cancel *c,
		      struct err *e)
{
	return store_list(picky_of(s)->below, req, c, e);
}

static int picky_delete(struct store *s, const char *const *keys, size_t count,
			struct store_delete_error *errors, size_t *ret_error_count,
			const struct cancel *c, struct err *e)
{
	struct picky *p = picky_of(s);
	size_t failed = 0;

	if (p->refuses_all && !strstr(keys[0], "/probe/"))
		return err_set(e, ERR_CREDENTIALS, -EACCES, "refused");
	for (size_t i = 0; i < count; i++) {
		struct store_delete_error one;
		size_t n = 0;

		if ((p->denies_all && !strstr(keys[i], "/probe/")) ||
		    (p->stuck && strstr(keys[i], p->stuck)))
			errors[failed++] = (struct store_delete_error){ .index = i,
									.code = "AccessDenied",
									.message = "no" };
		else if (store_delete_many(p->below, keys + i, 1, &one, &n, c, e) < 0)
			return -EIO;
	}
	*ret_error_count = failed;
	return 0;
}

static unsigned picky_caps(struct store *s)
{
	return store_caps(picky_of(s)->below);
}

static void picky_free(struct store *s)
{
}

static const struct store_ops picky_ops = { "picky",	picky_put,    picky_get,  picky_head,
					    picky_list, picky_delete, picky_caps, picky_free };

/* A run against the picky store. */
static int try_picky(struct rig *rig, struct picky *p, struct collect_result **ret, struct err *e)
{
	_cleanup_(repo_freep) struct repo *repo = NULL;
	struct repo *real = rig->repo;
	struct err mine = ERR_INIT;
	int r;

	p->store.ops = &picky_ops;
	p->below = rig->store;
	cr_assert_eq(repo_open(&p->store, REPO_READ | REPO_WRITE | REPO_COLLECT, &rig->clock, NULL,
			       &repo, &mine),
		     0);
	rig->repo = repo;
	r = collect_help_try(rig, &plain, ret, e);
	rig->repo = real;
	return r;
}

Test(collect_store, a_store_that_fails_its_probe_is_refused_before_anything_is_written)
{
	_cleanup_rig_ struct rig rig;
	struct picky p = { .creates_on_match = true };
	struct collect_result *r = NULL;
	size_t objects;
	struct err e;

	collect_help_begin(&rig);
	objects = rig_count(&rig, "objects/");
	cr_expect_eq(try_picky(&rig, &p, &r, &e), -ENOTSUP);
	cr_expect_null(r);
	cr_expect(strstr(e.message, "If-Match on a missing key succeeds"), "%s", e.message);
	cr_expect_eq(rig_count(&rig, "objects/"), objects);
	cr_expect_eq(rig_count(&rig, "condemned/"), 0);
}

Test(collect_store, credentials_that_may_not_delete_are_said_to_be_so)
{
	for (int denies = 0; denies < 2; denies++) {
		_cleanup_rig_ struct rig rig;
		struct picky p = { .refuses_all = !denies, .denies_all = denies };
		struct collect_result *r = NULL;
		size_t objects;
		struct err e;

		collect_help_begin(&rig);
		objects = rig_count(&rig, "objects/");
		cr_expect_eq(try_picky(&rig, &p, &r, &e), -EACCES, "%d", denies);
		cr_expect_eq(e.kind, ERR_CREDENTIALS);
		cr_expect(strstr(e.message, "may not delete objects"), "%s", e.message);
		cr_expect_eq(rig_count(&rig, "objects/"), objects);
		/* With others it goes on. */
		collect_help_gc(&rig);
		collect_help_expect_exact(&rig);
		cr_expect_eq(rig_count(&rig, "condemned/"), 0);
	}
}

Test(collect_store, what_the_store_does_not_delete_is_named_and_the_rest_goes_on)
{
	_cleanup_rig_ struct rig rig;
	_cleanup_(collect_result_freep) struct collect_result *r = NULL, *again = NULL;
	struct picky p = { .stuck = "/objects/" };
	size_t stuck;
	struct err e;

	collect_help_begin(&rig);
	cr_assert_eq(try_picky(&rig, &p, &r, &e), 0, "%s", e.message);
	cr_expect_gt(r->deleted_objects, 0);
	cr_assert_gt(r->undeleted_count, 0);
	stuck = r->undeleted_count;
	cr_expect_str_eq(r->undeleted[0].reason, "AccessDenied: no");
	cr_expect_eq(r->deleted_objects + stuck, r->condemned_objects);
	cr_expect_eq(rig_count(&rig, "condemned/"), 2, "the list stays for the next run");
	cr_expect_eq(r->awaiting_objects, r->condemned_objects);
	again = collect_help_run(&rig, &plain);
	cr_expect_eq(again->condemned_objects, 0);
	cr_expect_eq(again->deleted_objects, stuck);
	cr_expect_eq(again->awaiting_objects, 0);
	collect_help_expect_exact(&rig);
	cr_expect_eq(rig_count(&rig, "condemned/"), 0);
}
