/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for JSON: never freed, forgotten with the run. Parsing the same few records again and again is the dearest part of a run: each text is parsed once. */
#ifndef SSTABLEFS_TESTS_JSONMEM_H
#define SSTABLEFS_TESTS_JSONMEM_H

void jsonmem_begin(void);
/* No JSON value may be left. */
void jsonmem_reset(void);
/* What there is now outlives resets. */
void jsonmem_keep(void);
void jsonmem_end(void);

#endif
