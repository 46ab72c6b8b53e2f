/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/linkkey.h"

#include <string.h>

struct link_key link_dir_key(const char *dir)
{
	struct id256 d = digest_sha256(dir, strlen(dir));
	struct link_key k;

	memcpy(&k, d.b, sizeof(k));
	return k;
}

struct link_key link_run_key(const struct link_key *dir, const struct place *place)
{
	const struct extent *at = &place->extent;
	uint8_t where[ULID_BYTES + SHA256_BYTES + sizeof(at->offset)];
	struct link_key k;

	memcpy(where, at->object.writer.b, ULID_BYTES);
	memcpy(where + ULID_BYTES, at->object.id.b, SHA256_BYTES);
	memcpy(where + ULID_BYTES + SHA256_BYTES, &at->offset, sizeof(at->offset));
	memcpy(&k, place->digest.b, sizeof(k));
	return (struct link_key){ k.high ^ dir->high ^ digest_xxh64(where, sizeof(where)),
				  k.low ^ dir->low };
}

int link_key_compare(const struct link_key *a, const struct link_key *b)
{
	if (a->high != b->high)
		return a->high < b->high ? -1 : 1;
	return (a->low > b->low) - (a->low < b->low);
}
