/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/purgeplan.h"

#include <stdio.h>
#include "tools/names.h"

#define REASONS_BYTES 512
#define DAY_NS (INT64_C(86400) * 1000000000)

/* ---- order ---- */

static int64_t day_of(const struct policy_item *item)
{
	return item->store_time_ns / DAY_NS;
}

static int compare(const void *a, const void *b)
{
	const struct policy_item *x = a, *y = b;

	if (x->backup != y->backup)
		return x->backup < y->backup ? -1 : 1;
	if (x->reasons != y->reasons)
		return x->reasons < y->reasons ? -1 : 1;
	if (day_of(x) != day_of(y))
		return day_of(x) < day_of(y) ? 1 : -1;
	return x->entry < y->entry ? -1 : x->entry > y->entry;
}

void purgeplan_sort(struct purgeplan *p)
{
	if (p->count > 0)
		qsort(p->items, p->count, sizeof(*p->items), compare);
}

/* Said alike in one line: the same words. */
static bool are_alike(const struct purgeplan *p, const struct policy_item *x,
		      const struct policy_item *y)
{
	return x->backup == y->backup && x->reasons == y->reasons && day_of(x) == day_of(y) &&
	       purgeplan_is_removed(p, x) == purgeplan_is_removed(p, y);
}

/* ---- in words ---- */

struct sentence {
	char text[REASONS_BYTES];
	size_t len, words;
};

static int add_word(void *ctx, const char *word)
{
	struct sentence *s = ctx;

	s->len += (size_t)snprintf(s->text + s->len, sizeof(s->text) - s->len, "%s%s",
				   s->words++ > 0 ? ", " : " ", word);
	return s->len < sizeof(s->text) ? 0 : -ENOSPC;
}

/* "keep daily 2026-03-01, last", "remove". */
static void describe(const struct purgeplan *p, const struct policy_item *item,
		     struct sentence *ret)
{
	const char *verb = purgeplan_is_removed(p, item) ? "remove" : "keep";

	*ret = (struct sentence){ .len = strlen(verb) };
	memcpy(ret->text, verb, ret->len + 1);
	if (!item->reasons && !purgeplan_is_removed(p, item))
		snprintf(ret->text, sizeof(ret->text), "keep of another node than %s", p->node);
	(void)policy_words(item, add_word, ret);
}

static int print_group(const struct purgeplan *p, const struct policy_item *item, size_t nodes,
		       int width, struct err *e)
{
	const struct survey_entry *x = &p->survey->entries[item->entry];
	char time[CLOCK_RFC3339_BYTES] = "-", where[FORMAT_NAME_BYTES + 1];
	struct sentence s;

	if (item->store_time_ns)
		clock_rfc3339(time, item->store_time_ns, 0);
	if (nodes == 1)
		snprintf(where, sizeof(where), "%s", survey_node(p->survey, x)->node);
	else
		snprintf(where, sizeof(where), "%zu nodes", nodes);
	describe(p, item, &s);
	return cli_print_line(e, "%-*s  %-20s  %-12s  %s", width, survey_name(p->survey, x), time,
			      where, s.text);
}

int purgeplan_print(struct cli *cli, const struct purgeplan *p, struct err *e)
{
	size_t width = 6;
	int r = 0;

	for (size_t i = 0; i < p->count; i++)
		width = MAX_OF(width, strlen(survey_name(p->survey,
							 &p->survey->entries[p->items[i].entry])));
	if (p->count > 0 && !cli->quiet)
		r = cli_print_line(e, "%-*s  %-20s  %-12s  %s", (int)width, "BACKUP", "TIME",
				   "NODE", "ACTION");
	for (size_t i = 0, end; i < p->count && r == 0; i = end) {
		for (end = i + 1; end < p->count && are_alike(p, &p->items[i], &p->items[end]);)
			end++;
		r = print_group(p, &p->items[i], end - i, (int)width, e);
	}
	return r;
}

/* ---- JSON ---- */

static int add_reason(void *ctx, const char *word)
{
	return json_array_append_new(ctx, json_string(word));
}

static json_t *item_json(const struct purgeplan *p, const struct policy_item *item)
{
	const struct survey_entry *x = &p->survey->entries[item->entry];
	json_t *reasons = json_array();

	if (policy_words(item, add_reason, reasons) < 0) {
		json_decref(reasons);
		return NULL;
	}
	return json_pack("{s:s, s:s, s:s, s:o, s:s, s:o}", "cluster",
			 survey_node(p->survey, x)->cluster, "node",
			 survey_node(p->survey, x)->node, "name", survey_name(p->survey, x), "time",
			 names_json_time(item->store_time_ns), "action",
			 purgeplan_is_removed(p, item) ? "remove" : "keep", "reasons", reasons);
}

static int print_names(const struct purgeplan *p, struct err *e)
{
	const char *before = NULL;
	bool ok = printf("\"removed_backups\": [") >= 0;

	for (size_t i = 0; ok && i < p->count; i++) {
		const char *name = survey_name(p->survey, &p->survey->entries[p->items[i].entry]);

		if (!purgeplan_is_removed(p, &p->items[i]) || (before && strcmp(before, name) == 0))
			continue;
		ok = printf("%s\"%s\"", before ? ", " : "", name) >= 0;
		before = name;
	}
	ok = ok && printf("]") >= 0;
	return ok ? 0 : err_errno(e, -errno, "cannot write the result");
}

int purgeplan_print_json(const struct purgeplan *p, struct err *e)
{
	bool ok = printf("\"plan\": [") >= 0;

	for (size_t i = 0; ok && i < p->count; i++) {
		_cleanup_json_ json_t *o = item_json(p, &p->items[i]);

		if (!o)
			return err_nomem(e);
		ok = printf(i ? ",\n" : "\n") >= 0 && json_dumpf(o, stdout, JSON_ENSURE_ASCII) == 0;
	}
	ok = ok && printf("],\n") >= 0;
	return ok ? print_names(p, e) : err_errno(e, -errno, "cannot write the result");
}

/* ---- doubts ---- */

size_t purgeplan_tell_doubts(struct cli *cli, const struct purgeplan *p)
{
	size_t count = 0;

	for (size_t i = 0; i < p->count; i++) {
		const struct policy_item *item = &p->items[i];
		const struct survey_entry *x = &p->survey->entries[item->entry];

		if (!(item->reasons & (POLICY_NO_TIME | POLICY_NEWER_VERSION)))
			continue;
		count++;
		fprintf(stderr, "sstablefs: %s: %s of node %s is kept: %s\n", cli->command,
			survey_name(p->survey, x), survey_node(p->survey, x)->node,
			item->reasons & POLICY_NEWER_VERSION
				? "a newer version of sstablefs wrote it"
				: "the store's time of it is not known, or before 1970 (delete removes it by name)");
	}
	return count;
}
