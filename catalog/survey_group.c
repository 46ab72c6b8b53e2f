/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include "catalog/survey.h"
#include "catalog/surveyfile.h"

static bool is_live(const struct survey_entry *x)
{
	return x->state == RECORD_OPEN || x->state == RECORD_COMMITTED;
}

static int compare_entries(const void *a, const void *b, void *ctx)
{
	const struct survey *s = ctx;
	const struct survey_entry *x = a, *y = b;
	const struct node_name *m = survey_node(s, x), *n = survey_node(s, y);
	int r = is_live(y) - is_live(x);

	if (r == 0 && x->node != y->node)
		r = strcmp(m->cluster, n->cluster);
	if (r == 0)
		r = strcmp(survey_name(s, x), survey_name(s, y));
	if (r == 0 && x->node != y->node)
		r = strcmp(m->node, n->node);
	return r ? r : memcmp(x->writer.b, y->writer.b, ULID_BYTES);
}

static int newest_first(const void *a, const void *b)
{
	const struct survey_backup *x = a, *y = b;

	if (x->started_ns != y->started_ns)
		return x->started_ns < y->started_ns ? 1 : -1;
	return memcmp(y->writer.b, x->writer.b, sizeof(x->writer.b));
}

static int compare_damage(const void *a, const void *b)
{
	const struct survey_damage *x = a, *y = b;

	return strcmp(x->key, y->key);
}

static bool same_backup(const struct survey *s, const struct survey_entry *x,
			const struct survey_entry *y)
{
	return strcmp(survey_node(s, x)->cluster, survey_node(s, y)->cluster) == 0 &&
	       strcmp(survey_name(s, x), survey_name(s, y)) == 0;
}

static void add_entry(struct survey_backup *b, const struct survey_entry *x)
{
	int64_t started = survey_time_ns(x);

	if (x->peers_known) {
		b->topology = true;
		b->expected = MAX_OF(b->expected, x->peer_count);
	}
	if (b->count == 0 || started < b->started_ns)
		b->started_ns = started;
	b->finished_ns = MAX_OF(b->finished_ns, x->finished_ns);
	if (memcmp(x->writer.b, b->writer.b, sizeof(b->writer.b)) > 0)
		b->writer = x->writer;
	b->total_bytes += x->total_bytes;
	b->new_bytes += x->new_bytes;
	b->count++;
}

/* Its nodes, and how many of them have finished. A node may have several records: one that died, and one that went well. */
static void count_nodes(const struct survey *s, struct survey_backup *b)
{
	for (size_t i = b->first; i < b->first + b->count;) {
		uint32_t node = s->entries[i].node;
		bool finished = false;

		for (; i < b->first + b->count && s->entries[i].node == node; i++)
			finished = finished || s->entries[i].state == RECORD_COMMITTED;
		b->nodes++;
		b->finished += finished;
	}
}

static size_t count_backups(const struct survey *s)
{
	size_t count = 0;

	for (size_t i = 0; i < s->live; i++)
		count += i == 0 || !same_backup(s, &s->entries[i - 1], &s->entries[i]);
	return count;
}

static void drop_those_without_node(struct survey *s)
{
	size_t kept = 0;

	s->live = 0;
	for (size_t i = 0; i < s->count; i++) {
		if (s->entries[i].node == UINT32_MAX)
			continue;
		s->live += is_live(&s->entries[i]);
		s->entries[kept++] = s->entries[i];
	}
	s->count = kept;
}

/* What comes from the file is. */
static bool is_sorted(struct survey *s)
{
	for (size_t i = 1; i < s->count; i++)
		if (compare_entries(&s->entries[i - 1], &s->entries[i], s) > 0)
			return false;
	return true;
}

int survey_group(struct survey *s, struct err *e)
{
	drop_those_without_node(s);
	if (!is_sorted(s))
		qsort_r(s->entries, s->count, sizeof(*s->entries), compare_entries, s);
	if (s->damaged_count > 0)
		qsort(s->damaged, s->damaged_count, sizeof(*s->damaged), compare_damage);
	s->backups = calloc(count_backups(s) + 1, sizeof(*s->backups));
	if (!s->backups)
		return err_nomem(e);
	s->backup_count = 0;
	for (size_t i = 0; i < s->live; i++) {
		if (i == 0 || !same_backup(s, &s->entries[i - 1], &s->entries[i]))
			s->backups[s->backup_count++] = (struct survey_backup){ .first = i };
		add_entry(&s->backups[s->backup_count - 1], &s->entries[i]);
	}
	for (size_t i = 0; i < s->backup_count; i++)
		count_nodes(s, &s->backups[i]);
	if (s->backup_count > 0)
		qsort(s->backups, s->backup_count, sizeof(*s->backups), newest_first);
	return 0;
}

int survey_load(const char *path, const char *cluster, struct survey **ret, int64_t *ret_as_of_ns,
		struct err *e)
{
	_cleanup_(survey_freep) struct survey *s = NULL;
	int r = surveyfile_load(path, NULL, &s, ret_as_of_ns, e);

	if (r < 0)
		return r;
	if (*ret_as_of_ns == 0)
		return err_set(e, ERR_NOT_FOUND, -ENOENT, "%s is of parts only", path);
	for (size_t i = 0; cluster && i < s->count; i++)
		if (strcmp(survey_node(s, &s->entries[i])->cluster, cluster) != 0)
			s->entries[i].node = UINT32_MAX;
	r = survey_group(s, e);
	if (r < 0)
		return r;
	*ret = steal_pointer(&s);
	return 0;
}

void survey_free(struct survey *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->damaged_count; i++) {
		free(s->damaged[i].backup);
		free(s->damaged[i].key);
		free(s->damaged[i].reason);
	}
	free(s->damaged);
	free(s->backups);
	free(s->entries);
	free(s->names);
	free(s->nodes);
	free(s);
}
