/* SPDX-License-Identifier: Apache-2.0 */
/* The words of Medusa's configuration, for people who bring theirs (docs/from-medusa.md). */
#ifndef SSTABLEFS_TOOLS_MEDUSAWORDS_H
#define SSTABLEFS_TOOLS_MEDUSAWORDS_H

#include <stdbool.h>

/* What stands here for a key that Medusa has in a section of this name; "": nothing does, or not a key. NULL: it has no such key. */
const char *medusawords_key(const char *section, const char *key);
/* Whether it is a section of Medusa's that has no counterpart. */
bool medusawords_is_section(const char *name);

#endif
