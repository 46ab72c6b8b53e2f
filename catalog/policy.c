/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/policy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
#define DAY_S 86400
#define WORD_BYTES 64

/* ---- the items ---- */

/* Which nodes have a record that cannot be read, or that a newer version wrote. NULL: out of memory. */
static bool *damaged_nodes(const struct survey *s)
{
	bool *damaged = calloc(s->node_count + 1, sizeof(*damaged));

	for (size_t i = 0; damaged && i < s->damaged_count; i++)
		damaged[s->damaged[i].node] = true;
	for (size_t i = 0; damaged && i < s->live; i++)
		if (s->entries[i].refused)
			damaged[s->entries[i].node] = true;
	return damaged;
}

int policy_items(const struct survey *s, struct policy_item **ret, size_t *ret_count, struct err *e)
{
	_cleanup_free_ struct policy_item *items = calloc(s->live + 1, sizeof(*items));
	_cleanup_free_ bool *damaged = damaged_nodes(s);
	size_t count = 0;

	if (!items || !damaged)
		return err_nomem(e);
	for (size_t i = 0; i < s->backup_count; i++) {
		const struct survey_backup *b = &s->backups[i];

		for (size_t k = b->first; k < b->first + b->count; k++) {
			const struct survey_entry *x = &s->entries[k];
			uint16_t reasons;

			if (x->state != RECORD_COMMITTED)
				continue;
			reasons = x->refused ? POLICY_NEWER_VERSION : 0;
			if (damaged[x->node])
				reasons |= POLICY_UNREADABLE;
			items[count++] = (struct policy_item){ .node = x->node,
							       .backup = (uint32_t)i,
							       .entry = k,
							       .writer = x->writer,
							       .store_time_ns = x->store_time_ns,
							       .complete = survey_is_complete(b),
							       .reasons = reasons };
		}
	}
	*ret = steal_pointer(&items);
	*ret_count = count;
	return 0;
}

static int by_node_newest_first(const void *a, const void *b)
{
	const struct policy_item *x = a, *y = b;

	if (x->node != y->node)
		return x->node < y->node ? -1 : 1;
	if (x->store_time_ns != y->store_time_ns)
		return x->store_time_ns < y->store_time_ns ? 1 : -1;
	return memcmp(y->writer.b, x->writer.b, ULID_BYTES);
}

/* ---- buckets of time ---- */

static int64_t day_of(const struct policy_item *item)
{
	return item->store_time_ns / NS_PER_S / DAY_S;
}

/* ISO weeks begin on Mondays; 1970-01-01 was a Thursday. */
static int64_t week_of(const struct policy_item *item)
{
	return (day_of(item) + 3) / 7;
}

static int64_t month_of(const struct policy_item *item)
{
	time_t t = item->store_time_ns / NS_PER_S;
	struct tm tm;

	gmtime_r(&t, &tm);
	return (int64_t)tm.tm_year * 12 + tm.tm_mon;
}

static bool has_time(const struct policy_item *item)
{
	return item->store_time_ns > 0;
}

/* ---- one node ---- */

/* Keeps the newest of each of the newest so many buckets. bucket NULL: each backup is one. */
static void keep_buckets(struct policy_item *items, size_t count, bool complete_only,
			 uint64_t buckets, int64_t (*bucket)(const struct policy_item *),
			 enum policy_reason reason)
{
	int64_t last = -1;

	for (size_t i = 0; i < count && buckets > 0; i++) {
		int64_t b = bucket && has_time(&items[i]) ? bucket(&items[i]) : (int64_t)i;

		if ((complete_only && !items[i].complete) || !has_time(&items[i]) ||
		    (bucket && b == last))
			continue;
		items[i].reasons |= reason;
		last = b;
		buckets--;
	}
}

static void keep_by_rules(const struct policy *p, struct policy_item *items, size_t count,
			  bool complete_only)
{
	keep_buckets(items, count, complete_only, p->keep_last, NULL, POLICY_LAST);
	keep_buckets(items, count, complete_only, p->keep_daily, day_of, POLICY_DAILY);
	keep_buckets(items, count, complete_only, p->keep_weekly, week_of, POLICY_WEEKLY);
	keep_buckets(items, count, complete_only, p->keep_monthly, month_of, POLICY_MONTHLY);
}

static bool is_young(const struct policy *p, const struct policy_item *item)
{
	return (p->now_ns - item->store_time_ns) / NS_PER_MS <= p->older_than_ms;
}

static void judge_node(const struct policy *p, struct policy_item *items, size_t count)
{
	keep_by_rules(p, items, count, false);
	keep_by_rules(p, items, count, true);
	for (size_t i = 0; i < count; i++) {
		if (!has_time(&items[i]))
			items[i].reasons |= POLICY_NO_TIME;
		else if (p->older_than_ms && is_young(p, &items[i]))
			items[i].reasons |= POLICY_YOUNG;
	}
}

/* ---- all nodes ---- */

void policy_mark_newest(struct policy_item *items, size_t count)
{
	if (count > 0)
		qsort(items, count, sizeof(*items), by_node_newest_first);
	for (size_t i = 0, end; i < count; i = end) {
		size_t chosen = i;

		for (end = i; end < count && items[end].node == items[i].node; end++)
			if (items[end].complete && !items[chosen].complete)
				chosen = end;
		items[chosen].reasons |= POLICY_NEWEST;
	}
}

/* What keeps a backup on one node only. */
#define OF_ONE_NODE (POLICY_UNREADABLE | POLICY_NEWER_VERSION)

static int keep_on_all_nodes(struct policy_item *items, size_t count, struct err *e)
{
	_cleanup_free_ bool *kept = NULL;
	uint32_t backups = 0;

	for (size_t i = 0; i < count; i++)
		backups = MAX_OF(backups, items[i].backup + 1);
	kept = calloc((size_t)backups + 1, sizeof(*kept));
	if (!kept)
		return err_nomem(e);
	for (size_t i = 0; i < count; i++)
		if (items[i].reasons & ~OF_ONE_NODE)
			kept[items[i].backup] = true;
	for (size_t i = 0; i < count; i++)
		if (kept[items[i].backup] && !items[i].reasons)
			items[i].reasons = POLICY_OTHER_NODE;
	return 0;
}

bool policy_keeps_nothing(const struct policy *p)
{
	return !p->keep_last && !p->keep_daily && !p->keep_weekly && !p->keep_monthly &&
	       !p->older_than_ms;
}

int policy_apply(const struct policy *p, struct policy_item *items, size_t count, struct err *e)
{
	if (count > 0)
		qsort(items, count, sizeof(*items), by_node_newest_first);
	for (size_t i = 0, end; i < count; i = end) {
		for (end = i; end < count && items[end].node == items[i].node;)
			end++;
		judge_node(p, &items[i], end - i);
	}
	if (!p->force)
		policy_mark_newest(items, count);
	return keep_on_all_nodes(items, count, e);
}

/* ---- in words ---- */

static const struct {
	enum policy_reason reason;
	const char *text;
} words[] = {
	{ POLICY_LAST, "last" },
	{ POLICY_DAILY, "daily" },
	{ POLICY_WEEKLY, "weekly" },
	{ POLICY_MONTHLY, "monthly" },
	{ POLICY_YOUNG, "not old enough" },
	{ POLICY_NEWEST, "newest complete" },
	{ POLICY_NO_TIME, "its time is not known" },
	{ POLICY_OTHER_NODE, "kept on another node" },
	{ POLICY_UNREADABLE, "its node has a record that cannot be read or changed" },
	{ POLICY_NEWER_VERSION, "a newer version wrote it" },
};

/* The bucket, with a blank before it; "" where the reason has none. */
static void bucket_words(const struct policy_item *item, enum policy_reason reason,
			 char out[WORD_BYTES])
{
	time_t t = item->store_time_ns / NS_PER_S;
	struct tm tm;

	*out = '\0';
	gmtime_r(&t, &tm);
	if (reason == POLICY_DAILY)
		strftime(out, WORD_BYTES, " %Y-%m-%d", &tm);
	else if (reason == POLICY_WEEKLY)
		strftime(out, WORD_BYTES, " %G-W%V", &tm);
	else if (reason == POLICY_MONTHLY)
		strftime(out, WORD_BYTES, " %Y-%m", &tm);
}

int policy_words(const struct policy_item *item, policy_word_fn *fn, void *ctx)
{
	char word[2 * WORD_BYTES], bucket[WORD_BYTES];
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(words); i++) {
		const char *text = words[i].text;

		if (!(item->reasons & words[i].reason))
			continue;
		if (words[i].reason == POLICY_NEWEST && !item->complete)
			text = "newest, and none is complete";
		bucket_words(item, words[i].reason, bucket);
		snprintf(word, sizeof(word), "%s%s", text, bucket);
		r = fn(ctx, word);
	}
	return r;
}
