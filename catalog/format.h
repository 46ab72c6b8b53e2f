/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Format version 1: the numbers that are fixed for ever, and the named limits that every parser keeps. docs/format.md is the full text.
 */
#ifndef SSTABLEFS_CATALOG_FORMAT_H
#define SSTABLEFS_CATALOG_FORMAT_H

#include "base/util.h"

#define FORMAT_VERSION 1

/* Cutting of content */
#define FORMAT_FRAME_BYTES (128 * KIB) /* frames are cut at multiples of this in the file */
#define FORMAT_OBJECT_BYTES \
	(8 * MIB) /* plain bytes of an object at most; large files are cut at multiples of this */
#define FORMAT_OWN_OBJECT_BYTES \
	(1 *                    \
	 MIB) /* a piece of this size or more is an object of its own; smaller ones are packed */
#define FORMAT_PACK_FRAMES 2048 /* frames of an object at most */
#define FORMAT_INLINE_BYTES 512 /* content up to this size lies in the run itself */
#define FORMAT_RUN_ENTRIES 64	/* entries of a run at most */

/* Object head: 24 bytes, then 56 bytes for each frame */
#define FORMAT_HEAD_FIXED_BYTES 24
#define FORMAT_HEAD_FRAME_BYTES 56
#define FORMAT_HEAD_MAX_BYTES \
	(FORMAT_HEAD_FIXED_BYTES + FORMAT_HEAD_FRAME_BYTES * FORMAT_PACK_FRAMES)
#define FORMAT_STORED_MAX_BYTES  \
	(FORMAT_HEAD_MAX_BYTES + \
	 FORMAT_OBJECT_BYTES) /* stored frames are never longer than plain ones */

/* Limits of names, trees and documents */
#define FORMAT_NAME_BYTES 128		      /* of a cluster, node or backup */
#define FORMAT_FILE_NAME_BYTES 255	      /* NAME_MAX */
#define FORMAT_PATH_BYTES 4095		      /* PATH_MAX less the NUL, below a backup */
#define FORMAT_DEPTH 64			      /* directories below a backup */
#define FORMAT_FILES (4 * 1024 * 1024)	      /* of a backup: sixty times a large node */
#define FORMAT_DIRECTORIES (256 * 1024)	      /* of a backup */
#define FORMAT_TREE_BYTES FORMAT_OBJECT_BYTES /* one directory's tree: one extent of an object */
#define FORMAT_TREE_NAMES_BYTES \
	(16 *                   \
	 MIB) /* names of a tree, each with a byte more: in the tree they share what is equal */
#define FORMAT_RUN_BYTES FORMAT_OBJECT_BYTES /* one run, likewise */
#define FORMAT_EXTENTS \
	(192 *         \
	 1024) /* of the files of a run: 1.5 TiB in whole objects (34 to 36 bytes each in the run) */
#define FORMAT_FILE_BYTES (FORMAT_EXTENTS * FORMAT_OBJECT_BYTES)
#define FORMAT_DATA_DIRS 1024	 /* data directory index: 0 to 1023 … */
#define FORMAT_NO_DATA_DIR 65535 /* … or this, for what does not come from below data/ */
#define FORMAT_REPOSITORY_BYTES (64 * KIB)
#define FORMAT_RECORD_BYTES (8 * MIB)
#define FORMAT_PIN_BYTES (64 * KIB)
#define FORMAT_READER_BYTES 255 /* purpose and host of a pin's reader */
#define FORMAT_LISTED 50000	/* clusters; nodes of a cluster; records of a node */
#define FORMAT_LISTED_SPARE \
	5000 /* so many records below that no backup is begun: listing and deleting must go on */
#define FORMAT_TEXT_BYTES 1024 /* of any other string in a document */
#define FORMAT_FEATURES 64     /* names in each list of features */
#define FORMAT_TOKENS 8192     /* of a node */
#define FORMAT_VERSIONS 64     /* SSTable versions, id kinds */
#define FORMAT_PEERS 16384     /* nodes of a cluster */
#define FORMAT_OWNERS 8192     /* users, groups */
#define FORMAT_MISMATCHES \
	256		   /* Data.db files that a record names because their digest is another */
#define FORMAT_PACKS 32768 /* packs that a record accounts for: some 210 bytes each */

#endif
