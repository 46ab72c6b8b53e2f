/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include "store/aimd.h"

Test(aimd, a_busy_store_gets_half_and_then_one_more_at_a_time)
{
	struct aimd a;
	unsigned good = 0;

	aimd_init(&a, 16);
	cr_expect_eq(aimd_limit(&a), 16);
	cr_expect(aimd_busy(&a, 10, 20));
	cr_expect_eq(aimd_limit(&a), 8);
	while (aimd_limit(&a) == 8 && good < 100) {
		aimd_fine(&a);
		good++;
	}
	cr_expect(good >= 8 && good <= 9, "%u", good);
	for (int i = 0; i < 1000; i++)
		aimd_fine(&a);
	cr_expect_eq(aimd_limit(&a), 16, "never more than its maximum");
}

Test(aimd, answers_to_requests_of_one_moment_count_once)
{
	struct aimd a;

	aimd_init(&a, 64);
	cr_expect(aimd_busy(&a, 10, 20));
	for (int i = 0; i < 63; i++)
		cr_expect_not(aimd_busy(&a, 10 + i % 11, 21 + i));
	cr_expect_eq(aimd_limit(&a), 32);
	cr_expect(aimd_busy(&a, 30, 40));
	cr_expect_eq(aimd_limit(&a), 16);
}

Test(aimd, one_request_is_always_allowed)
{
	struct aimd a;

	aimd_init(&a, 3);
	for (int i = 1; i < 100; i++)
		aimd_busy(&a, 10 * i, 10 * i + 5);
	cr_expect_eq(aimd_limit(&a), 1);
	aimd_fine(&a);
	cr_expect_eq(aimd_limit(&a), 2);
	aimd_init(&a, 0);
	cr_expect_eq(aimd_limit(&a), 1);
}
