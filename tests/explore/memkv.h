/* SPDX-License-Identifier: Apache-2.0 */
/* The local state of an actor in memory. */
#ifndef SSTABLEFS_TESTS_MEMKV_H
#define SSTABLEFS_TESTS_MEMKV_H

#include <stdbool.h>

struct kv;
/* Changes nothing once *stopped is set. */
struct kv *memkv_new(const bool *stopped, bool warm);
/* What warm ones begin with. */
void memkv_remember(const struct kv *kv);
void memkv_free(struct kv *kv);
/* A new one knows of the store's probe once anybody does. Forgets that. */
void memkv_forget(void);

#endif
