/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In which order the files of a directory are opened, and so which comes next. Who copies a directory lists it, and then opens its files as they were listed (tar, rsync) or by inode
 * number (cp); the directories that were listed last are remembered for that (ORDER_DIRECTORIES, each with up to ORDER_FILES files). Once ORDER_PROOF files were
 * opened one after the other, it says what to fetch of those that follow, file by file, and remembers how far that came. It reads and starts nothing itself.
 * Any thread.
 */
#ifndef SSTABLEFS_FS_ORDER_H
#define SSTABLEFS_FS_ORDER_H

#include "base/util.h"

#define ORDER_DIRECTORIES 4
#define ORDER_FILES 65536
#define ORDER_PROOF 2
#define ORDER_AHEAD 64 /* files at most beyond the one that was opened last */

struct order;

struct order *order_new(void); /* NULL: out of memory */
void order_free(struct order *o);
DEFINE_CLEANUP(struct order *, order_free);

/* A listing of a directory came to these files; `first` files were listed before them (0: it begins). */
void order_list(struct order *o, uint64_t dir, uint64_t first, const uint64_t *inos, size_t count);
/* A file was opened. Whether it was its turn, as it was that of ORDER_PROOF before it. */
bool order_open(struct order *o, uint64_t ino, uint64_t size_bytes);

struct order_want {
	uint64_t ino, dir;
	uint64_t from;	/* fetched so far */
	uint64_t bytes; /* may be fetched */
	bool as_listed; /* they are opened as listed, else by inode number */
};
/* What is to be fetched behind the file that was opened last, where there is room for `room_bytes` beyond what it needs itself. After true order_fetched must follow, from the same thread; meanwhile others get false. */
bool order_next(struct order *o, uint64_t opened_ino, uint64_t room_bytes, struct order_want *ret);
/* It is fetched up to `to`, of size_bytes (0: also where that is not known). True: that is all of it, and the next one may be asked for; else order_next might give the same again. */
bool order_fetched(struct order *o, const struct order_want *want, uint64_t to,
		   uint64_t size_bytes);

#endif
