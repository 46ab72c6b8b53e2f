/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metrics.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct entry {
	struct metric metric;
	const char *help; /* NULL: none yet */
	char name[];
};

struct metrics {
	pthread_mutex_t lock;	/* everything below but the values themselves */
	struct entry **entries; /* sorted by compare_names */
	size_t count, cap;
	struct metric spare; /* counted into when memory is short, never shown */
};

struct metrics *metrics_new(void)
{
	struct metrics *m = calloc(1, sizeof(*m));

	if (m)
		pthread_mutex_init(&m->lock, NULL);
	return m;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->count; i++)
		free(m->entries[i]);
	free(m->entries);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

/* Length of a name without its labels. */
static size_t base_length(const char *name)
{
	return strcspn(name, "{");
}

/* By name, then by labels: all of one name stand together. */
static int compare_names(const char *a, const char *b)
{
	size_t a_len = base_length(a), b_len = base_length(b);
	int c = strncmp(a, b, MIN_OF(a_len, b_len));

	if (c == 0 && a_len != b_len)
		return a_len < b_len ? -1 : 1;
	return c != 0 ? c : strcmp(a + a_len, b + b_len);
}

/* Where `name` stands or would stand. */
static size_t find(const struct metrics *m, const char *name, bool *ret_found)
{
	size_t low = 0, high = m->count;

	*ret_found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = compare_names(m->entries[middle]->name, name);

		if (c == 0) {
			*ret_found = true;
			return middle;
		}
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct entry *insert(struct metrics *m, size_t at, const char *name)
{
	size_t bytes = strlen(name) + 1;
	struct entry *entry;

	if (util_grow(&m->entries, &m->cap, m->count + 1, sizeof(m->entries[0])) < 0)
		return NULL;
	entry = calloc(1, sizeof(*entry) + bytes);
	if (!entry)
		return NULL;
	memcpy(entry->name, name, bytes);
	memmove(m->entries + at + 1, m->entries + at, (m->count - at) * sizeof(m->entries[0]));
	m->entries[at] = entry;
	m->count++;
	return entry;
}

struct metric *metrics_counter(struct metrics *m, const char *name, const char *help)
{
	struct entry *entry;
	bool found;
	size_t at;

	pthread_mutex_lock(&m->lock);
	at = find(m, name, &found);
	entry = found ? m->entries[at] : insert(m, at, name);
	if (entry && !entry->help)
		entry->help = help;
	pthread_mutex_unlock(&m->lock);
	return entry ? &entry->metric : &m->spare;
}

static void put_text(struct wbuf *out, const char *text)
{
	wbuf_put(out, text, strlen(text));
}

/* The lines before the first counter of a name. Names that end in _total only grow; the others may be set. */
static void format_head(const struct entry *entry, struct wbuf *out)
{
	size_t len = base_length(entry->name);
	bool total = len >= 6 && strncmp(entry->name + len - 6, "_total", 6) == 0;

	if (entry->help) {
		put_text(out, "# HELP sstablefs_");
		wbuf_put(out, entry->name, len);
		put_text(out, " ");
		put_text(out, entry->help);
		put_text(out, "\n");
	}
	put_text(out, "# TYPE sstablefs_");
	wbuf_put(out, entry->name, len);
	put_text(out, total ? " counter\n" : " gauge\n");
}

static bool same_base(const char *a, const char *b)
{
	size_t len = base_length(a);

	return len == base_length(b) && strncmp(a, b, len) == 0;
}

void metrics_format(struct metrics *m, struct wbuf *out)
{
	char value[32];

	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < m->count; i++) {
		const struct entry *entry = m->entries[i];

		if (i == 0 || !same_base(m->entries[i - 1]->name, entry->name))
			format_head(entry, out);
		put_text(out, "sstablefs_");
		put_text(out, entry->name);
		snprintf(value, sizeof(value), " %llu\n",
			 (unsigned long long)metric_get(&entry->metric));
		put_text(out, value);
	}
	pthread_mutex_unlock(&m->lock);
}
