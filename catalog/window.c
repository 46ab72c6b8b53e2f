/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog/window.h"

static uint64_t round_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) / to * to;
}

static bool continues(const struct window *w, uint64_t offset)
{
	return offset + WINDOW_TOLERANCE >= w->next && offset <= w->next + WINDOW_TOLERANCE;
}

/* Whether the first read of a file is the start of one in order. */
static bool is_start(const struct windows *all, uint64_t offset, uint64_t len, uint64_t file_bytes)
{
	return all->begun == 0 && offset == 0 && (len >= WINDOW_START || len == file_bytes);
}

/* The window that the read continues; else one that begins with it, in place of the one that was used least recently. */
static struct window *choose(struct windows *all, uint64_t offset, bool is_start,
			     struct window_plan *plan)
{
	struct window *oldest = &all->w[0];

	for (unsigned i = 0; i < all->begun; i++) {
		if (continues(&all->w[i], offset))
			return &all->w[i];
		if (all->w[i].used < oldest->used)
			oldest = &all->w[i];
	}
	if (all->begun < WINDOWS)
		oldest = &all->w[all->begun++];
	plan->forget_from = oldest->next;
	plan->forget_to = oldest->ahead > oldest->next ? oldest->ahead : oldest->next;
	*oldest = (struct window){ .next = offset, .ahead = offset, .last = offset };
	if (is_start)
		oldest->bytes = all->expected ? all->expected : WINDOW_FIRST;
	return oldest;
}

static bool strays(struct window *w, uint64_t offset, uint64_t len)
{
	w->strayed += offset > w->last ? offset - w->last : w->last - offset;
	w->total += len;
	w->last = offset + len;
	if (w->total > WINDOW_MEMORY) {
		w->total /= 2;
		w->strayed /= 2;
	}
	return w->strayed > WINDOW_JUMPS + WINDOW_STRAYING * w->total;
}

static void grow(struct window *w, uint64_t offset, uint64_t len, uint64_t limit)
{
	w->run += len;
	if (strays(w, offset, len)) {
		w->bytes = w->run = 0;
		w->next = offset + len;
	} else if (w->bytes == 0) {
		if (w->run >= WINDOW_PROOF) {
			w->bytes = WINDOW_FIRST;
			w->run = 0;
		}
	} else if (2 * w->run >= w->bytes) {
		w->bytes *= 2;
		w->run = 0;
	}
	if (w->bytes > limit)
		w->bytes = limit;
}

/* Where fetching should end now. */
static uint64_t target(const struct window *w, uint64_t file_bytes)
{
	uint64_t to = w->next + w->bytes;

	to = round_up(to, w->bytes >= WINDOW_OBJECT ? WINDOW_OBJECT : FORMAT_FRAME_BYTES);
	return to + WINDOW_REST >= file_bytes ? file_bytes : to;
}

struct window_plan windows_note(struct windows *all, uint64_t offset, uint64_t len_bytes,
				uint64_t file_bytes, uint64_t limit_bytes)
{
	struct window_plan plan = { 0 };
	bool starts = is_start(all, offset, len_bytes, file_bytes);
	struct window *w = choose(all, offset, starts, &plan);
	uint64_t to, step;

	w->used = ++all->reads;
	plan.index = (unsigned)(w - all->w);
	if (offset + len_bytes > w->next)
		w->next = offset + len_bytes;
	grow(w, offset, len_bytes, limit_bytes > WINDOW_LEAST ? limit_bytes : WINDOW_LEAST);
	plan.is_open = w->bytes > 0;
	if (!plan.is_open)
		return plan;
	if (w->ahead < offset)
		w->ahead = offset;
	plan.ahead = w->ahead;
	to = target(w, file_bytes);
	step = MIN_OF(w->bytes / 2, WINDOW_OBJECT);
	if (to <= w->ahead || (to - w->ahead < step && to < file_bytes))
		return plan;
	plan.from = w->ahead;
	plan.to = plan.ahead = w->ahead = to;
	return plan;
}

void windows_expect(struct windows *all, uint64_t bytes)
{
	all->expected = bytes;
}

bool windows_in_order(const struct windows *all, uint64_t offset, uint64_t len_bytes,
		      uint64_t file_bytes)
{
	for (unsigned i = 0; i < all->begun; i++)
		if (continues(&all->w[i], offset))
			return all->w[i].bytes > 0;
	return is_start(all, offset, len_bytes, file_bytes);
}

void windows_retract(struct windows *all, unsigned index, uint64_t to)
{
	if (all->w[index].ahead > to)
		all->w[index].ahead = to;
}
