/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs pieces, in the order in which they come, into objects: small files and tails into data objects, trees and runs into metadata objects. One thread.
 *
 * An object's id is known only when it is closed. Until then an extent that was packed is not placed: it has offset and length, and no object; closing
 * fills in the object of all of them.
 */
#ifndef SSTABLEFS_CATALOG_PACKER_H
#define SSTABLEFS_CATALOG_PACKER_H

#include "catalog/tree.h"
#include "catalog/upload.h"

struct packer_options {
	enum key_object kind;
	enum object_compression compression;
	struct ulid writer;
	struct upload *upload;
	struct work *work;
	const struct stored *
		stored; /* where pieces lie that an interrupted run has sent already; NULL: none. Must outlive */
	unsigned builders; /* objects in memory at once, those being sent included: 8 MiB each; >= 1 */
};

struct packer;
struct packer *packer_new(const struct packer_options *o); /* copies *o; NULL: out of memory */
void packer_free(struct packer *p); /* the upload must be drained or freed before */
DEFINE_CLEANUP(struct packer *, packer_free);

/* Copies the piece (1 to FORMAT_OBJECT_BYTES, digests NULL: taken here). Where it was stored before, it is placed at once. `where` must live until it is placed, or the packer freed. May wait for an upload. */
int packer_add(struct packer *p, const void *data, size_t len_bytes,
	       const struct frame_digest *digests, struct extent *where, struct err *e);
/* Bytes of pieces that were found there. */
uint64_t packer_stored_bytes(const struct packer *p);
/* Closes the open object, if there is one. */
int packer_close(struct packer *p, struct err *e);

/* The reference to an object that was built. */
struct object_ref packer_ref(const struct object_image *image, const struct ulid *writer);

#endif
