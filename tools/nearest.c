/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/nearest.h"

#include <ctype.h>
#include <string.h>
#include "base/util.h"

#define DISTANCE_MAX 3

/* Ours are all small. */
static bool is_same(char typed, char ours)
{
	return tolower((unsigned char)typed) == ours;
}

/* Edit distance, for words of at most 31 letters. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[32];
	size_t la = MIN_OF(strlen(a), (size_t)31), lb = MIN_OF(strlen(b), (size_t)31);

	for (size_t j = 0; j <= lb; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned best = MIN_OF(row[j], row[j - 1]) + 1;

			best = MIN_OF(best, diagonal + !is_same(a[i - 1], b[j - 1]));
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[lb];
}

const char *nearest_word(const char *word, const char *const *words)
{
	const char *best = NULL;
	/* Of a short word half the letters are not left to tell it by. */
	unsigned best_distance = 1 + (unsigned)MIN_OF((strlen(word) + 1) / 2, (size_t)DISTANCE_MAX);

	for (; *words; words++) {
		unsigned d = distance(word, *words);

		if (d < best_distance) {
			best = *words;
			best_distance = d;
		}
	}
	return best;
}
