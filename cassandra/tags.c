/* SPDX-License-Identifier: Apache-2.0 */
#include "cassandra/tags.h"

#include <string.h>

#include "base/buf.h"
#include "base/util.h"
#include "cassandra/walkdir.h"

#define TAGS_SHOWN 20
#define LIST_BYTES 700 /* must fit into a message */

struct tags {
	const struct cancel *cancel;
	const char *wanted; /* NULL: all of them, as names; else only count this one */
	const char *prefix; /* only these; NULL: all */
	char **names;
	size_t count, cap;
};

static int on_tag(void *ctx, const struct walkdir *at, const char *name, struct err *e)
{
	struct tags *t = ctx;
	char *copy;

	if (t->wanted) {
		t->count += strcmp(t->wanted, name) == 0;
		return 0;
	}
	if (t->prefix && strncmp(t->prefix, name, strlen(t->prefix)) != 0)
		return 0;
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->names[i], name) == 0)
			return 0;
	copy = strdup(name);
	if (!copy || util_grow(&t->names, &t->cap, t->count + 1, sizeof(*t->names)) < 0) {
		free(copy);
		return err_nomem(e);
	}
	t->names[t->count++] = copy;
	return 0;
}

/* Calls fn for what is in the directory `name`, if it is one. */
static int descend(struct tags *t, const struct walkdir *at, const char *name, walkdir_fn *fn,
		   struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r = walkdir_open(at, name, 0, &fd, e);

	if (r != 0)
		return MIN_OF(r, 0);
	return walkdir_each(&(struct walkdir){ .fd = fd, .path = name }, t->cancel, fn, t, e);
}

static int on_table(void *ctx, const struct walkdir *at, const char *name, struct err *e)
{
	_cleanup_free_ char *below = util_printf("%s/snapshots", name);

	return below ? descend(ctx, at, below, on_tag, e) : err_nomem(e);
}

static int on_keyspace(void *ctx, const struct walkdir *at, const char *name, struct err *e)
{
	return descend(ctx, at, name, on_table, e);
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static char *join(const struct tags *t)
{
	struct wbuf list;

	wbuf_init(&list, 2 * LIST_BYTES);
	for (size_t i = 0; i < t->count; i++) {
		if (i)
			wbuf_put(&list, ", ", 2);
		if (i == TAGS_SHOWN || list.len + strlen(t->names[i]) > LIST_BYTES) {
			wbuf_put(&list, "…", strlen("…"));
			break;
		}
		wbuf_put(&list, t->names[i], strlen(t->names[i]));
	}
	wbuf_u8(&list, '\0');
	if (wbuf_error(&list))
		wbuf_deinit(&list);
	return (char *)list.data;
}

static int collect(struct tags *t, const char *data_dir, struct err *e)
{
	_cleanup_close_ int fd = -1;
	int r = walkdir_open_data_dir(data_dir, &fd, e);

	if (r < 0)
		return r;
	return walkdir_each(&(struct walkdir){ .fd = fd, .path = data_dir }, t->cancel, on_keyspace,
			    t, e);
}

int tags_list(const char *const *data_dirs, size_t data_dir_count, const struct cancel *c,
	      char **ret, struct err *e)
{
	struct tags t = { .cancel = c };
	char *list;
	int r = 0;

	for (size_t i = 0; i < data_dir_count && r == 0; i++)
		r = collect(&t, data_dirs[i], e);
	if (t.count)
		qsort(t.names, t.count, sizeof(*t.names), compare_strings);
	list = r == 0 ? join(&t) : NULL;
	for (size_t i = 0; i < t.count; i++)
		free(t.names[i]);
	free(t.names);
	if (r < 0)
		return r;
	if (!list)
		return err_nomem(e);
	*ret = list;
	return 0;
}

size_t tags_count(const char *const *data_dirs, size_t data_dir_count, const char *tag)
{
	struct tags t = { .wanted = tag };

	for (size_t i = 0; i < data_dir_count; i++)
		(void)collect(&t, data_dirs[i], NULL);
	return t.count;
}

char **tags_with_prefix(const char *const *data_dirs, size_t data_dir_count, const char *prefix)
{
	struct tags t = { .prefix = prefix };

	for (size_t i = 0; i < data_dir_count; i++)
		(void)collect(&t, data_dirs[i], NULL);
	if (t.count)
		qsort(t.names, t.count, sizeof(*t.names), compare_strings);
	if (util_grow(&t.names, &t.cap, t.count + 1, sizeof(*t.names)) == 0) {
		t.names[t.count] = NULL;
		return t.names;
	}
	for (size_t i = 0; i < t.count; i++)
		free(t.names[i]);
	free(t.names);
	return NULL;
}

void tags_free(char **names)
{
	for (size_t i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
}
