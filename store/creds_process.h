/* SPDX-License-Identifier: Apache-2.0 */
/* credential_process of a profile: a program that prints credentials as JSON. */
#ifndef SSTABLEFS_STORE_CREDS_PROCESS_H
#define SSTABLEFS_STORE_CREDS_PROCESS_H

#include "store/creds_link.h"

#define CREDS_PROCESS_WORDS_MAX 64
#define CREDS_PROCESS_TIMEOUT_MS 60000

/*
 * Splits a command into words, in place, as a POSIX shell splits it: blanks, '…', "…" and \. No
 * shell is asked: $, `, ;, |, & and > are ordinary bytes. words[] ends with a NULL. 0, or -EINVAL
 * (an open quote, no word, too many words).
 */
int creds_process_split(char *command, char *words[CREDS_PROCESS_WORDS_MAX + 1]);

/*
 * Runs the command (with its words; found through PATH) in a session of its own, with no terminal,
 * no standard input or error and none of our descriptors; what is left of the session's group when
 * it ends, or when its time is over, is killed. Its output is believed where it ends with 0.
 */
int creds_process_fetch(struct creds_attempt *a, const char *command, struct creds_found *ret,
			struct err *e);

#endif
