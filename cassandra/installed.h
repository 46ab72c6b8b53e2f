/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which Cassandra is installed, where it does not run and cannot be asked: by the name of its jar, apache-cassandra-X.Y.Z.jar, that lies where one of the
 * installation's own programs takes it from. Nothing is run.
 */
#ifndef SSTABLEFS_CASSANDRA_INSTALLED_H
#define SSTABLEFS_CASSANDRA_INSTALLED_H

#include "base/err.h"

#define INSTALLED_VERSION_MAX 64

/*
 * HOME/bin/PROGRAM has its jar in HOME/lib (the archive, images of containers) or in HOME/share/cassandra (packages); symbolic links on the way to the
 * program are followed. New strings. -ENOENT: none of either; -ENOTUNIQ: jars of several versions; others as they come.
 */
int installed_find(const char *program, char **ret_version, char **ret_jar, struct err *e);

#endif
