/* SPDX-License-Identifier: Apache-2.0 */
#include "store/creds_policy.h"

#include "base/util.h"

#define SECOND_NS ((int64_t)1000000000)

struct creds_policy_times creds_policy_times(int64_t now_ns, int64_t expires_ns, uint32_t random)
{
	int64_t life_ns, window_ns, jitter_ns;

	if (expires_ns == 0)
		return (struct creds_policy_times){ INT64_MAX, INT64_MAX };
	if (expires_ns <= now_ns)
		expires_ns = now_ns + CREDS_POLICY_GRACE_S * SECOND_NS;
	life_ns = expires_ns - now_ns;
	window_ns = MIN_OF(life_ns / 4, CREDS_POLICY_WINDOW_S * SECOND_NS);
	jitter_ns = window_ns / 4 / 1024 * (random >> 22);
	return (struct creds_policy_times){
		.due_ns = expires_ns - window_ns - jitter_ns,
		.last_ns = expires_ns - MIN_OF(life_ns / 20, CREDS_POLICY_MARGIN_S * SECOND_NS),
	};
}

int creds_policy_pause_ms(unsigned failures)
{
	return failures > 6 ? 60000 : 1000 << (failures - 1);
}
