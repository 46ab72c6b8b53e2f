/* SPDX-License-Identifier: Apache-2.0 */
/* The data centre and rack that a node which does not run would say it is in: where endpoint_snitch of cassandra.yaml takes them from a file, or has none to choose from. */
#ifndef SSTABLEFS_CASSANDRA_SNITCH_H
#define SSTABLEFS_CASSANDRA_SNITCH_H

#include "cassandra/facts.h"

#define SNITCH_FILE "cassandra-rackdc.properties"
#define SNITCH_BYTES_MAX ((size_t)64 * 1024)

/*
 * dc and rack of SNITCH_FILE, in the form of java.util.Properties, into f. No escapes and no lines that go on: what has a backslash, but for comments, is
 * ERR_USAGE with its line, as is a dc or rack that is no ASCII. -ENOENT: one of both is not there; f is then as it was. `path` is for messages.
 */
int snitch_read(const char *path, const char *text, size_t len, struct facts *f, struct err *e);

/*
 * By the snitch's name, "" where cassandra.yaml has none: GossipingPropertyFileSnitch (the file beside cassandra.yaml) and SimpleSnitch. In *ret_source whence,
 * a new string. -ENOTSUP: another one. What is not known is told as the rest of a sentence, f is then as it was.
 */
int snitch_find(const char *snitch, const char *yaml, struct facts *f, char **ret_source,
		struct err *e);

#endif
