/* SPDX-License-Identifier: Apache-2.0 */
#include "store/aimd.h"

#include "base/util.h"

void aimd_init(struct aimd *a, unsigned max)
{
	*a = (struct aimd){ .max = MAX_OF(max, 1U), .cut_ns = INT64_MIN };
	a->thousandths = a->max * 1000ULL;
}

unsigned aimd_limit(const struct aimd *a)
{
	return (unsigned)(a->thousandths / 1000);
}

void aimd_fine(struct aimd *a)
{
	a->thousandths = MIN_OF(a->thousandths + 1000 * 1000 / a->thousandths, a->max * 1000ULL);
}

bool aimd_busy(struct aimd *a, int64_t begun_ns, int64_t now_ns)
{
	if (begun_ns <= a->cut_ns)
		return false;
	a->thousandths = MAX_OF(a->thousandths / 2, 1000ULL);
	a->cut_ns = now_ns;
	return true;
}
