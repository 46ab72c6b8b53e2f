/* SPDX-License-Identifier: Apache-2.0 */
/* "Did you mean …?" */
#ifndef SSTABLEFS_TOOLS_NEAREST_H
#define SSTABLEFS_TOOLS_NEAREST_H

/* The word of `words` (NULL at the end) that is nearest to `word`, or NULL where none is near. */
const char *nearest_word(const char *word, const char *const *words);

#endif
