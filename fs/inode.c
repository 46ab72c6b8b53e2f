/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/inode.h"

#include <string.h>
#include "base/buf.h"

static const char domain[] = "sstablefs/1 inode"; /* hashed with its NUL */

enum kind { KIND_FILE = 1, KIND_DIRECTORY = 2, KIND_SYMLINK = 3, KIND_GENERATED = 4 };

/* Identities are bounded by the limits of names and paths, so they fit on the stack. */
struct identity {
	uint8_t bytes[sizeof(domain) + 2 * (FORMAT_NAME_BYTES + 4) + 3 * (FORMAT_PATH_BYTES + 4) +
		      128];
	size_t len;
};

static void add(struct identity *id, const void *data, size_t len)
{
	if (len > sizeof(id->bytes) - id->len)
		len = sizeof(id->bytes) - id->len;
	memcpy(id->bytes + id->len, data, len);
	id->len += len;
}

static void add_u32(struct identity *id, uint32_t v)
{
	uint8_t b[4] = { (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24) };

	add(id, b, sizeof(b));
}

static void add_u64(struct identity *id, uint64_t v)
{
	add_u32(id, (uint32_t)v);
	add_u32(id, (uint32_t)(v >> 32));
}

static void add_string(struct identity *id, const char *s)
{
	size_t len = strlen(s);

	add_u32(id, (uint32_t)len);
	add(id, s, len);
}

static void begin(struct identity *id, enum kind kind)
{
	uint8_t k = (uint8_t)kind;

	id->len = 0;
	add(id, domain, sizeof(domain));
	add(id, &k, 1);
}

struct id256 inode_file_digest(const struct node_name *n, const char *path,
			       const struct entry *entry)
{
	struct identity id;

	begin(&id, KIND_FILE);
	add_string(&id, n->cluster);
	add_string(&id, n->node);
	add_u32(&id, entry->data_dir);
	add_string(&id, path);
	add(&id, entry->content.b, sizeof(entry->content.b));
	add_u32(&id, entry->attr.mode);
	add_u32(&id, entry->attr.uid);
	add_u32(&id, entry->attr.gid);
	add_u64(&id, (uint64_t)entry->attr.mtime_ns);
	return digest_sha256(id.bytes, id.len);
}

static struct id256 path_digest(enum kind kind, const char *full_path, const char *target)
{
	struct identity id;

	begin(&id, kind);
	add_string(&id, full_path);
	if (target)
		add_string(&id, target);
	return digest_sha256(id.bytes, id.len);
}

struct id256 inode_dir_digest(const char *full_path)
{
	return path_digest(KIND_DIRECTORY, full_path, NULL);
}

struct id256 inode_symlink_digest(const char *full_path, const char *target)
{
	return path_digest(KIND_SYMLINK, full_path, target);
}

struct id256 inode_generated_digest(const char *full_path)
{
	return path_digest(KIND_GENERATED, full_path, NULL);
}

static uint64_t low_bits(const struct id256 *d)
{
	uint64_t v = 0;

	for (int i = 7; i >= 0; i--)
		v = v << 8 | d->b[i];
	return v & ((UINT64_C(1) << INODE_BITS) - 1);
}

uint64_t inode_number(struct id256 *d)
{
	uint64_t v = low_bits(d);

	return v < INODE_FIRST ? inode_next(d) : v;
}

uint64_t inode_next(struct id256 *d)
{
	uint64_t v;

	do {
		*d = digest_sha256(d->b, sizeof(d->b));
		v = low_bits(d);
	} while (v < INODE_FIRST);
	return v;
}
