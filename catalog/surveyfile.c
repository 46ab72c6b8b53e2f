/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/surveyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/io.h"

#define MAGIC "sstablefs survey"
#define VERSION 2
#define ID_BYTES 40
#define NS_PER_S 1000000000

/*
 * The head, the nodes, the names, the entries, and the XXH3-128 of all that; as they lie in memory, for this host's eyes only. When the last survey
 * of everything ended is the file's mtime (0: there was none), so that a survey that found nothing new need not write it again.
 */
struct head {
	char magic[16];
	uint32_t version, node_bytes, entry_bytes, unused;
	char repo_id[ID_BYTES];
	uint64_t node_count, names_bytes, count;
};

static int unusable(const char *path, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, -ENOENT, "%s holds nothing that can be used", path);
}

static struct head make_head(const char *repo_id, const struct survey *s)
{
	struct head h = { .magic = MAGIC,
			  .version = VERSION,
			  .node_bytes = sizeof(struct node_name),
			  .entry_bytes = sizeof(struct survey_entry),
			  .node_count = s->node_count,
			  .names_bytes = s->names_bytes,
			  .count = s->count };

	memcpy(h.repo_id, repo_id, MIN_OF(strlen(repo_id), sizeof(h.repo_id) - 1));
	return h;
}

static uint64_t body_bytes(const struct head *h)
{
	return sizeof(*h) + h->node_count * sizeof(struct node_name) + h->names_bytes +
	       h->count * sizeof(struct survey_entry);
}

/* That the head fits the program, the repository and the length of the file. */
static bool head_fits(const struct head *h, const char *repo_id, size_t len)
{
	struct head expected = { .magic = MAGIC };

	if (memcmp(h->magic, expected.magic, sizeof(h->magic)) != 0 || h->version != VERSION ||
	    h->node_bytes != sizeof(struct node_name) ||
	    h->entry_bytes != sizeof(struct survey_entry))
		return false;
	if (repo_id && strncmp(h->repo_id, repo_id, sizeof(h->repo_id)) != 0)
		return false;
	return h->node_count <= SURVEY_RECORDS_MAX && h->count <= SURVEY_RECORDS_MAX &&
	       h->names_bytes <= SURVEY_RECORDS_MAX * (uint64_t)(FORMAT_NAME_BYTES + 1) &&
	       body_bytes(h) + XXH128_BYTES == len;
}

static bool sum_fits(const char *data, size_t len)
{
	struct xxh128 sum = digest_xxh128(data, len - XXH128_BYTES);

	return memcmp(sum.b, data + len - XXH128_BYTES, XXH128_BYTES) == 0;
}

static bool contents_fit(const struct survey *s)
{
	for (size_t i = 0; i < s->node_count; i++)
		if (s->nodes[i].cluster[FORMAT_NAME_BYTES] || s->nodes[i].node[FORMAT_NAME_BYTES])
			return false;
	if (s->names_bytes > 0 && s->names[s->names_bytes - 1])
		return false;
	for (size_t i = 0; i < s->count; i++)
		if (s->entries[i].node >= s->node_count || s->entries[i].name >= s->names_bytes ||
		    s->entries[i].state > RECORD_DELETED)
			return false;
	return true;
}

/* A part of the file in a buffer of its own; there is always a byte. */
static void *part(const char **at, uint64_t len)
{
	void *copy = malloc(len + 1);

	if (copy)
		memcpy(copy, *at, len);
	*at += len;
	return copy;
}

static int parse(const char *path, const char *data, size_t len, const char *repo_id,
		 struct survey **ret, struct err *e)
{
	_cleanup_(survey_freep) struct survey *s = NULL;
	const char *at = data + sizeof(struct head);
	struct head h;

	if (len < sizeof(h) + XXH128_BYTES)
		return unusable(path, e);
	memcpy(&h, data, sizeof(h));
	if (!head_fits(&h, repo_id, len) || !sum_fits(data, len))
		return unusable(path, e);
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_nomem(e);
	s->node_count = h.node_count;
	s->names_bytes = h.names_bytes;
	s->count = h.count;
	s->nodes = part(&at, h.node_count * sizeof(struct node_name));
	s->names = part(&at, h.names_bytes);
	s->entries = part(&at, h.count * sizeof(struct survey_entry));
	if (!s->nodes || !s->names || !s->entries)
		return err_nomem(e);
	if (!contents_fit(s))
		return unusable(path, e);
	*ret = steal_pointer(&s);
	return 0;
}

#define FILE_MAX                              \
	(sizeof(struct head) + XXH128_BYTES + \
	 SURVEY_RECORDS_MAX * (size_t)(sizeof(struct survey_entry) + 2 * (FORMAT_NAME_BYTES + 1)))

int surveyfile_load(const char *path, const char *repo_id, struct survey **ret,
		    int64_t *ret_whole_ns, struct err *e)
{
	_cleanup_free_ char *data = NULL;
	struct stat st;
	size_t len;
	int r;

	if (stat(path, &st) < 0 || io_read_file(AT_FDCWD, path, FILE_MAX, &data, &len) < 0)
		return unusable(path, e);
	r = parse(path, data, len, repo_id, ret, e);
	if (r == 0)
		*ret_whole_ns = clock_timespec_ns(st.st_mtim);
	return r;
}

int surveyfile_touch(const char *path, int64_t whole_ns)
{
	struct timespec t = { whole_ns / NS_PER_S, whole_ns % NS_PER_S };
	const struct timespec times[2] = { t, t };

	if (t.tv_nsec < 0)
		return -EINVAL; /* a clock before 1970: nothing that is as of then can be told */
	return utimensat(AT_FDCWD, path, times, 0) < 0 ? -errno : 0;
}

int surveyfile_save(const char *path, const char *repo_id, const struct survey *s, int64_t whole_ns,
		    struct err *e)
{
	struct head h = make_head(repo_id, s);
	uint64_t len = body_bytes(&h);
	_cleanup_free_ char *data = malloc(len + XXH128_BYTES), *directory = strdup(path);
	struct xxh128 sum;
	char *at = data;
	int r;

	if (!data || !directory)
		return err_nomem(e);
	at = mempcpy(at, &h, sizeof(h));
	if (s->node_count > 0)
		at = mempcpy(at, s->nodes, s->node_count * sizeof(struct node_name));
	if (s->names_bytes > 0)
		at = mempcpy(at, s->names, s->names_bytes);
	if (s->count > 0)
		at = mempcpy(at, s->entries, s->count * sizeof(struct survey_entry));
	sum = digest_xxh128(data, len);
	memcpy(at, sum.b, sizeof(sum.b));
	*strrchr(directory, '/') = '\0';
	r = io_mkdirs(AT_FDCWD, directory, 0700);
	if (r < 0)
		return err_errno(e, r, "cannot make %s", directory);
	r = io_publish_file(AT_FDCWD, path, data, len + XXH128_BYTES, 0600, e);
	return r < 0 ? r : surveyfile_touch(path, whole_ns);
}
