/* SPDX-License-Identifier: Apache-2.0 */
/* A collector that ends, or whose request goes wrong, at any point: nothing is lost, and the next run leaves exactly what is reachable. */
#include "tests/unit/catalog/collect_help.h"

static const struct collect_options plain;

static struct {
	enum fault fault;
	int at, count; /* the requests that fail, from 1 */
	int met;
} plan;

static enum fault fail(struct rig *rig, const char *method, const char *key)
{
	int n = ++plan.met;

	return n >= plan.at && n < plan.at + plan.count ? plan.fault : FAULT_NONE;
}

/* b1 is deleted and on a list; b2 is deleted; b3 is there; u is a dead backup that left an object; there is an ended list's .waits. */
static void begin(struct rig *rig)
{
	char key[KEY_BYTES], writer[ULID_TEXT];
	_cleanup_(record_freep) struct record *u = NULL;
	struct err e = ERR_INIT;

	rig_init(rig, OBJECT_COMPRESS_NONE);
	for (unsigned i = 1; i <= 3; i++) {
		char name[64];

		snprintf(name, sizeof(name), "nb-%u-big-Data.db", i);
		rig_put_random(rig, name, i, 50000 * i);
		snprintf(name, sizeof(name), "b%u", i);
		record_free(rig_commit(rig, name));
	}
	u = collect_help_open(rig, "u");
	snprintf(key, sizeof(key),
		 "nodes/c1/n1/objects/%s/"
		 "7ce66e25f503f2003b2c9b869f4a47649d958c65a9c25f76bf6153f4d5071ea1",
		 ulid_format(writer, &u->writer));
	cr_assert_eq(store_put_bytes(rig->store, key, "x", 1, STORE_ALWAYS, NULL, NULL, NULL, &e),
		     0);
	collect_help_delete(rig, "b1");
	collect_help_gc(rig);
	cr_assert_eq(rig_count(rig, "condemned/"), 2);
	collect_help_delete(rig, "b2");
	rig->wall_ns += 2 * DAY_NS;
}

static void expect_recovery(struct rig *rig)
{
	rig->fault = NULL;
	collect_help_expect_whole(rig);
	collect_help_gc(rig);
	collect_help_expect_exact(rig);
	cr_expect_eq(rig_count(rig, "condemned/"), 0, "fault %d at %d", plan.fault, plan.at);
	cr_expect_eq(rig_count(rig, "pins/"), 0);
}

/* Fails `count` requests from each request of a run on. */
static void sweep(enum fault fault, int count)
{
	for (int at = 1;; at++) {
		_cleanup_rig_ struct rig rig;
		struct collect_result *r = NULL;
		struct err e;
		int code;

		begin(&rig);
		plan.fault = fault;
		plan.at = at;
		plan.count = count;
		plan.met = 0;
		rig.fault = fail;
		code = collect_help_try(&rig, &plain, &r, &e);
		cr_expect((code == 0) == (r != NULL));
		cr_expect(code == 0 || e.kind != ERR_NONE, "fault %d at %d", fault, at);
		collect_result_free(r);
		expect_recovery(&rig);
		if (plan.met < at)
			break;
		cr_assert_lt(at, 1000);
	}
}

Test(collect_faults, it_ends_before_any_request)
{
	sweep(FAULT_BEFORE, 1000000);
}

Test(collect_faults, one_request_fails)
{
	sweep(FAULT_BEFORE, 1);
}

Test(collect_faults, one_answer_is_lost)
{
	sweep(FAULT_LOST, 1);
	sweep(FAULT_AFTER, 1);
}

Test(collect_faults, what_comes_over_the_network_is_not_what_lies_there)
{
	static const enum fault faults[] = { FAULT_TRUNCATE, FAULT_FLIP_BIT, FAULT_EMPTY };

	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		sweep(faults[i], 2); /* it is asked for twice */
}

Test(collect_faults, it_is_interrupted)
{
	_cleanup_rig_ struct rig rig;
	struct cancel cancel = { 0 };
	struct collect_options o = { .cancel = &cancel };
	struct collect_result *r = NULL;
	struct err e;

	begin(&rig);
	cancel_set(&cancel, 15);
	cr_expect_eq(collect_help_try(&rig, &o, &r, &e), -ECANCELED);
	expect_recovery(&rig);
}
