/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes values of cassandra.yaml where they stand: every other byte stays, comments, order, blanks, line ends and quotes too. What libyaml says of places is used for the edit; the result is read
 * again and compared with the original, event by event, and anything but what was asked for is a failure: a wrong file is never given out.
 *
 * Limits: those of nodeconf.h. What cannot be edited safely is refused, naming the line: a value that is no scalar of one line, or has a tag, an anchor or is an alias; a key that is there twice; an
 * outermost mapping in braces; several documents.
 */
#ifndef SSTABLEFS_CASSANDRA_YAMLEDIT_H
#define SSTABLEFS_CASSANDRA_YAMLEDIT_H

#include <stddef.h>
#include "base/err.h"

#define YAMLEDIT_CHANGES_MAX 8
#define YAMLEDIT_VALUE_BYTES_MAX ((size_t)64 * 1024)
#define YAMLEDIT_BACKUP_SUFFIX ".before-restore-node"

struct yamledit_change {
	const char *key;   /* of the outermost mapping: [a-z_]+ */
	const char *value; /* [0-9A-Za-z_.,-]+: needs no quotes and is well within them */
};

/*
 * Pure: the text with the values changed, as a new string with a NUL. A value in quotes keeps them. A key that is not there is added at the end, on a line of its own.
 * ERR_USAGE where it is no YAML or cannot be edited; -EINVAL for a change that is none. `path` is for messages.
 */
int yamledit_text(const char *path, const char *text, size_t len,
		  const struct yamledit_change *changes, size_t count, char **ret_text,
		  size_t *ret_len, struct err *e);

/*
 * The same of a file, by an absolute path without symbolic links, atomically and durably, its mode and owner kept. First the original is copied to PATH.before-restore-node, unless that is
 * there: then the original is the one in it, and the edit is made of that, so that the same call may be repeated after a crash.
 *
 * The directory may belong to Cassandra's user, and the caller be root: nothing is done by a name that could lead elsewhere, and owner and mode are set before a file has its name. What a
 * killed call leaves, DIRECTORY/.NAME.restore-node.tmp, is removed by the next call of these, where it is a regular file of ours or of the owner of the file. -EEXIST: something else has that name.
 */
int yamledit_file(const char *path, const struct yamledit_change *changes, size_t count,
		  struct err *e);
/*
 * Puts the original back. Nothing to be done where there is no PATH.before-restore-node. -EBUSY (ERR_CONFLICT) where the file is neither the original nor what yamledit_file made of it: somebody
 * has changed it since, and decides.
 */
int yamledit_undo(const char *path, const struct yamledit_change *changes, size_t count,
		  struct err *e);
/* Whether yamledit_file could do it, from the start: nothing is changed. -EEXIST (ERR_CONFLICT): a PATH.before-restore-node is there. */
int yamledit_check(const char *path, const struct yamledit_change *changes, size_t count,
		   struct err *e);
/* The edit stays: PATH.before-restore-node goes, if it is there. */
int yamledit_forget(const char *path, struct err *e);

#endif
