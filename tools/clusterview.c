/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/clusterview.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define TERMINAL_MS 250
#define LINES_MS 3000
#define LINE_BYTES 400
#define PIECE_BYTES 1024
#define LATER_MAX MIB

struct sums {
	size_t over, busy;
	uint64_t bytes_done, bytes_total;
};

void clusterview_init(struct clusterview *v, struct cli *cli)
{
	bool terminal = isatty(STDERR_FILENO) && !cli->json && !cli->quiet;

	*v = (struct clusterview){ .cli = cli,
				   .terminal = terminal,
				   .lines = !terminal && cli->progress_always && !cli->quiet,
				   .begun_ms = clock_elapsed_ms(cli->clock) };
}

static void erase(struct clusterview *v)
{
	if (v->drawn > 0)
		fprintf(stderr, "\033[%zuA\r\033[J", v->drawn);
	v->drawn = 0;
}

/* A terminal that is stopped, or a pipe that nobody reads, takes nothing: the hosts would wait for us with it. */
static bool can_write(void)
{
	struct pollfd fd = { .fd = STDERR_FILENO, .events = POLLOUT };

	return poll(&fd, 1, 0) == 1 && (fd.revents & POLLOUT);
}

/* Lines that wait. Small pieces: what a pipe or a terminal has room for at least, once it takes anything. */
static void write_later(struct clusterview *v)
{
	size_t done = 0;

	if (v->later_len == 0)
		return;
	if (can_write())
		erase(v);
	while (done < v->later_len && can_write())
		done += fwrite(v->later + done, 1, MIN_OF(v->later_len - done, PIECE_BYTES),
			       stderr);
	memmove(v->later, v->later + done, v->later_len - done);
	v->later_len -= done;
}

/* More than that is not kept; the result names every host that failed. */
static void put(struct clusterview *v, const char *host, const char *line)
{
	_cleanup_free_ char *text =
		util_printf("sstablefs: %s: %s: %s\n", v->cli->command, host, line);
	size_t len = text ? strlen(text) : 0;

	if (len == 0 || v->later_len + len > LATER_MAX ||
	    util_grow(&v->later, &v->later_cap, v->later_len + len, 1) < 0)
		return;
	memcpy(v->later + v->later_len, text, len);
	v->later_len += len;
	write_later(v);
}

static void said(void *ctx, const struct lead_host *n, const char *line)
{
	put(ctx, n->host, line);
}

static void changed(void *ctx, const struct lead *run, const struct lead_host *n)
{
	struct clusterview *v = ctx;

	if (n->state == LEAD_FAILED)
		put(v, n->host, n->message);
	else if (v->lines && !v->cli->json && can_write())
		fprintf(stderr, "%s: %s: %s\n", v->cli->command, n->host, lead_state_name(run, n));
}

static struct sums sum(const struct lead *run)
{
	struct sums s = { .over = 0 };

	for (size_t i = 0; i < run->count; i++) {
		const struct lead_host *n = &run->hosts[i];

		s.over += lead_is_over(n);
		s.busy += n->state == LEAD_WORKING;
		s.bytes_done += n->bytes_done;
		s.bytes_total += n->bytes_total;
	}
	return s;
}

static void print_sums(const struct clusterview *v, const struct lead *run, int width)
{
	struct sums s = sum(run);
	char text[LINE_BYTES], done[32], total[32];

	if (v->cli->json)
		snprintf(
			text, sizeof(text),
			"{\"progress\": {\"nodes_done\": %zu, \"nodes_total\": %zu, \"bytes_done\": %llu, \"bytes_total\": %llu}}",
			s.over, run->count, (unsigned long long)s.bytes_done,
			(unsigned long long)s.bytes_total);
	else
		snprintf(text, sizeof(text), "%s: %zu of %zu nodes done, %zu at work, %s of %s",
			 v->cli->command, s.over, run->count, s.busy,
			 util_format_bytes(done, s.bytes_done),
			 util_format_bytes(total, s.bytes_total));
	fprintf(stderr, "%.*s\n", width - 1, text);
}

static void print_node(const struct lead *run, const struct lead_host *n, int width)
{
	char text[LINE_BYTES], done[32], total[32], much[128] = "";

	if (n->bytes_total > 0 && !lead_is_over(n))
		snprintf(much, sizeof(much), "  %s of %s, %llu of %llu files",
			 util_format_bytes(done, n->bytes_done),
			 util_format_bytes(total, n->bytes_total),
			 (unsigned long long)n->files_done, (unsigned long long)n->files_total);
	snprintf(text, sizeof(text), "  %-24s %-10s%s", n->host, lead_state_name(run, n), much);
	fprintf(stderr, "%.*s\n", width - 1, text);
}

/* As many nodes as fit: those that are at something first, as the others tell nothing new. */
static void draw(struct clusterview *v, const struct lead *run)
{
	struct winsize size = { .ws_row = 0 };
	size_t room;

	/* One that does not know how large it is says 0. A line that it would break could not be erased. */
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0 || size.ws_col == 0)
		size = (struct winsize){ .ws_row = 24, .ws_col = 80 };
	room = MIN_OF((size_t)MAX_OF(size.ws_row, 2) - 2, run->count);
	erase(v);
	print_sums(v, run, size.ws_col);
	v->drawn = 1;
	for (int busy = 1; busy >= 0; busy--) {
		for (size_t i = 0; i < run->count && v->drawn <= room; i++) {
			const struct lead_host *n = &run->hosts[i];

			if ((n->state > LEAD_WAITING && !lead_is_over(n)) != busy)
				continue;
			print_node(run, n, size.ws_col);
			v->drawn++;
		}
	}
	fflush(stderr);
}

/* After a signal: who is still waited for, where it takes long enough to be wondered at. */
static void tell_of_end(struct clusterview *v, const struct lead *run)
{
	int64_t now = clock_elapsed_ms(v->cli->clock);
	size_t left = 0;

	for (size_t i = 0; i < run->count; i++)
		left += run->hosts[i].peer && now - run->hosts[i].told_ms > LINES_MS;
	if (left == 0 || v->cli->quiet)
		return;
	v->told = true;
	erase(v);
	fprintf(stderr,
		"sstablefs: %s: %zu hosts were told to end; waiting for them, at most %lld s (Ctrl-C once more: no longer)\n",
		v->cli->command, left, (long long)run->task->grace_ms / 1000);
}

static void tick(void *ctx, const struct lead *run)
{
	struct clusterview *v = ctx;
	int64_t now = clock_elapsed_ms(v->cli->clock),
		since = now - (v->shown_ms ? v->shown_ms : v->begun_ms);

	write_later(v);
	if (since < TERMINAL_MS || !can_write())
		return;
	if (cancel_is_set(run->cancel) && !v->told)
		tell_of_end(v, run);
	if (v->terminal && since >= TERMINAL_MS)
		draw(v, run);
	else if (v->lines && since >= LINES_MS)
		print_sums(v, run, LINE_BYTES);
	else
		return;
	v->shown_ms = now;
}

struct lead_sink clusterview_sink(struct clusterview *v)
{
	return (struct lead_sink){ .changed = changed, .said = said, .tick = tick, .ctx = v };
}

void clusterview_deinit(struct clusterview *v)
{
	erase(v);
	if (v->later_len > 0)
		fwrite(v->later, 1, v->later_len, stderr);
	free(v->later);
}
