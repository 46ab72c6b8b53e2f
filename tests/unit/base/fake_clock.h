/* SPDX-License-Identifier: Apache-2.0 */
/* A clock that stands still until the test moves it, and whose random bytes count up. */
#ifndef SSTABLEFS_TESTS_FAKE_CLOCK_H
#define SSTABLEFS_TESTS_FAKE_CLOCK_H

#include <stddef.h>
#include "base/clock.h"

struct fake_clock {
	struct clock clock; /* hand &fake.clock to the code under test */
	int64_t wall_ns, elapsed_ns;
	uint8_t next_random;
};

static inline int64_t fake_wall(void *ctx)
{
	return ((struct fake_clock *)ctx)->wall_ns;
}

static inline int64_t fake_elapsed(void *ctx)
{
	return ((struct fake_clock *)ctx)->elapsed_ns;
}

static inline void fake_random(void *ctx, void *out, size_t len_bytes)
{
	struct fake_clock *fake = ctx;

	for (size_t i = 0; i < len_bytes; i++)
		((uint8_t *)out)[i] = fake->next_random++;
}

static inline void fake_clock_init(struct fake_clock *fake, int64_t wall_ns)
{
	*fake = (struct fake_clock){
		.clock = { fake_wall, fake_elapsed, fake_random, fake },
		.wall_ns = wall_ns,
	};
}

#endif
