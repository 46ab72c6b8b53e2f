/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of SSTable components (cassandra/io/sstable/Descriptor): <version>-<id>-<format>-<Component>. Pure.
 */
#ifndef SSTABLEFS_CASSANDRA_COMPONENT_H
#define SSTABLEFS_CASSANDRA_COMPONENT_H

#include <stdbool.h>
#include <stddef.h>

enum component_id_kind { COMPONENT_ID_GENERATION, COMPONENT_ID_UUID };

struct component {
	char version[8];
	enum component_id_kind id_kind;
	const char *name; /* "Data.db"…, points into the file's name */
};

/* true where the name is that of a component of Cassandra 2.2 or newer; anything else is a file like any other. */
bool component_parse(const char *file_name, struct component *ret);
/* Whether it is that component of an SSTable of Cassandra 2.2 or newer. */
bool component_is(const char *file_name, const char *component);
/* Statistics.db, Summary.db and TOC.txt: rewritten by Cassandra while the SSTable lives, so always read again. */
bool component_is_mutable(const char *file_name);
/* "<table>-<32 hex>" -> length of the table's name; 0 where it is not such a directory name. */
size_t component_table_directory(const char *dir_name);

#endif
