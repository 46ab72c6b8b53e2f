/* SPDX-License-Identifier: Apache-2.0 */
#include "store/httplimit.h"

#include "base/util.h"

static bool has_moved(const struct httplimit_watch *w, const struct httplimit_seen *seen)
{
	const struct httplimit_seen *before = &w->before;

	if (!seen->connected || !before->connected)
		return true; /* until then the limit of connecting counts */
	if (seen->all_sent != before->all_sent ||
	    (seen->received_bytes > 0) != (before->received_bytes > 0))
		return true;
	return seen->sent_bytes + seen->received_bytes >= w->at_bytes + HTTPLIMIT_STEP_BYTES;
}

enum httplimit_verdict httplimit_check(const struct httplimit *l, struct httplimit_watch *w,
				       const struct httplimit_seen *seen, int64_t now_ms)
{
	bool waits = seen->all_sent && seen->received_bytes == 0;

	if (has_moved(w, seen)) {
		*w = (struct httplimit_watch){ .before = *seen,
					       .since_ms = now_ms,
					       .at_bytes =
						       seen->sent_bytes + seen->received_bytes };
		return HTTPLIMIT_ALIVE;
	}
	if (waits)
		return now_ms - w->since_ms < l->first_byte_ms ? HTTPLIMIT_ALIVE
							       : HTTPLIMIT_NO_ANSWER;
	return now_ms - w->since_ms < l->stall_ms ? HTTPLIMIT_ALIVE : HTTPLIMIT_STANDS_STILL;
}

int64_t httplimit_request_ms(int request_ms, uint64_t body_bytes)
{
	return request_ms +
	       (int64_t)(MIN_OF(body_bytes, 1024 * GIB) * 1000 / HTTPLIMIT_SLOWEST_BYTES_PER_S);
}
