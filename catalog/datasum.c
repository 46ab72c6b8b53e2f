/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/datasum.h"

#include <errno.h>
#include <string.h>

#include "cassandra/component.h"

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool datasum_parse(const void *data, size_t len_bytes, uint32_t *ret)
{
	const uint8_t *p = data, *end = p + len_bytes;
	uint64_t value = 0;

	while (p < end && is_space(*p))
		p++;
	while (p < end && is_space(end[-1]))
		end--;
	if (p == end || end - p > 10)
		return false;
	for (; p < end; p++) {
		if (*p < '0' || *p > '9')
			return false;
		value = value * 10 + (uint64_t)(*p - '0');
	}
	*ret = (uint32_t)value;
	return value <= UINT32_MAX;
}

/* Whether two files are components of one SSTable: in the same directory, with names equal up to the last '-'. */
static bool same_sstable(const struct snapshot_file *a, const struct snapshot_file *b)
{
	size_t len = (size_t)(strrchr(a->name, '-') - a->name) + 1;

	return strncmp(a->name, b->name, len) == 0 && !strchr(b->name + len, '-') &&
	       strcmp(a->place->shown, b->place->shown) == 0;
}

/* The Data.db that waits has no digest that could be used. */
static void give_up(struct datasum *d)
{
	if (d->data)
		d->found.unchecked++;
	d->data = NULL;
}

/* The first ones are named, unless a name is too long for a record. */
static int mismatch(struct datasum *d)
{
	struct record_digests *found = &d->found;
	_cleanup_free_ char *path = snapshot_path(d->data);

	found->mismatched++;
	if (!path)
		return -ENOMEM;
	if (found->file_count == FORMAT_MISMATCHES || strlen(path) > FORMAT_TEXT_BYTES)
		return 0;
	if (!found->files)
		found->files = calloc(FORMAT_MISMATCHES, sizeof(*found->files));
	if (!found->files)
		return -ENOMEM;
	found->files[found->file_count++] = steal_pointer(&path);
	return 0;
}

static int compare(struct datasum *d, const struct ingest_file *digest)
{
	uint32_t expected;
	int r = 0;

	if (!digest->inline_data ||
	    !datasum_parse(digest->inline_data, digest->stamp.size_bytes, &expected)) {
		give_up(d);
		return 0;
	}
	d->found.checked++;
	if (expected != d->crc)
		r = mismatch(d);
	d->data = NULL;
	return r;
}

int datasum_file(struct datasum *d, const struct snapshot_file *f, const struct ingest_file *file)
{
	if (component_is(f->name, "Data.db")) {
		/* The same path in another data directory holds the same bytes: it counts once. */
		if (d->data && !same_sstable(d->data, f))
			give_up(d);
		d->data = f;
		d->crc = file->crc;
		return 0;
	}
	if (d->data && component_is(f->name, "Digest.crc32") && same_sstable(d->data, f))
		return compare(d, file);
	return 0;
}

void datasum_finish(struct datasum *d, struct record *r)
{
	struct record_digests old = r->digests;

	give_up(d);
	r->digests = d->found;
	r->digests.known = true;
	d->found = old;
}

void datasum_deinit(struct datasum *d)
{
	for (size_t i = 0; i < d->found.file_count; i++)
		free(d->found.files[i]);
	free(d->found.files);
}
