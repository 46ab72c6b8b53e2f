/* SPDX-License-Identifier: Apache-2.0 */
/* When credentials are fetched again. Pure: times are nanoseconds of the wall clock. Any thread. */
#ifndef SSTABLEFS_STORE_CREDS_POLICY_H
#define SSTABLEFS_STORE_CREDS_POLICY_H

#include <stdint.h>

#define CREDS_POLICY_WINDOW_S 900 /* refreshed this long before they expire */
#define CREDS_POLICY_MARGIN_S 10  /* a request takes time to arrive */
#define CREDS_POLICY_GRACE_S 300  /* used although expired when they were handed out */

struct creds_policy_times {
	int64_t due_ns;	 /* from here on one thread fetches, the others go on */
	int64_t last_ns; /* from here on they are not used any more */
};

/*
 * For credentials that were fetched at now_ns and expire at expires_ns (0: never): due a quarter of
 * their time before their end, at most CREDS_POLICY_WINDOW_S, and up to a quarter of that earlier
 * by 32 random bits, so that a fleet does not ask at once. Those that are handed out expired are
 * used for CREDS_POLICY_GRACE_S: a metadata service that cannot renew them says so in this way, and
 * a wrong clock on this host looks the same. The store decides.
 */
struct creds_policy_times creds_policy_times(int64_t now_ns, int64_t expires_ns, uint32_t random);
/* How long to wait after this many failures in a row (1 or more) before the next fetch: 1 s, doubled, at most 60 s. */
int creds_policy_pause_ms(unsigned failures);

#endif
