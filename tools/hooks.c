/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/hooks.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include "base/process.h"
#include "tools/nodecommand.h"

#define TIMEOUT_S 300
#define SAID_BYTES ((size_t)16 * 1024)
#define WORDS_MAX 24
#define HOOK_KEY_BYTES 64

/* What a program needs to run at all. */
static const char *const kept[] = { "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ" };

static const char *const whens[] = { "before", "after" };

struct words {
	char *list[WORDS_MAX];
	size_t count;
};

static void words_deinit(struct words *w)
{
	for (size_t i = 0; i < w->count; i++)
		free(w->list[i]);
}

static int set(struct words *w, const char *name, const char *value, struct err *e)
{
	char *word = util_printf("%s=%s", name, value);

	if (!word)
		return err_nomem(e);
	w->list[w->count++] = word;
	return 0;
}

static int make_environment(struct words *w, const struct hooks_about *a, const char *when,
			    const char *result, struct err *e)
{
	const char *const ours[][2] = {
		{ "SSTABLEFS_PHASE", a->phase }, { "SSTABLEFS_WHEN", when },
		{ "SSTABLEFS_RESULT", result },	 { "SSTABLEFS_CLUSTER", a->cluster },
		{ "SSTABLEFS_NODE", a->node },	 { "SSTABLEFS_BACKUP", a->backup },
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kept); i++)
		if (getenv(kept[i]))
			r = set(w, kept[i], getenv(kept[i]), e);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(ours); i++)
		r = set(w, ours[i][0], ours[i][1], e);
	return r;
}

/* The last line of what it said, which is cut there. */
static const char *last_line(struct wbuf *text)
{
	char *end, *line;

	text->max++;
	wbuf_u8(text, 0);
	if (wbuf_error(text))
		return "";
	for (end = (char *)text->data + text->len - 1; end > (char *)text->data && end[-1] == '\n';)
		*--end = '\0';
	line = strrchr((char *)text->data, '\n');
	return util_one_line(line ? line + 1 : (char *)text->data);
}

static int timeout(const struct cli *cli, uint64_t *ret_s, struct err *e)
{
	const char *value = config_get(cli->config, "hooks", "timeout");

	*ret_s = TIMEOUT_S;
	return value ? cli_number("[hooks] timeout", value, 1, 86400, ret_s, e) : 0;
}

static int check_one(const char *key, const char *program, struct err *e)
{
	if (*program != '/')
		return err_set(e, ERR_USAGE, -EINVAL,
			       "[hooks] %s = %s: the whole path of a program is wanted", key,
			       program);
	if (!nodecommand_exists(program))
		return err_set(e, ERR_USAGE, -EINVAL, "[hooks] %s = %s cannot be run: %s", key,
			       program,
			       access(program, F_OK) < 0 ? strerrordesc_np(errno)
							 : "it is no executable file");
	return 0;
}

static const char *find(const struct cli *cli, const char *when, const char *phase,
			char key[HOOK_KEY_BYTES])
{
	const char *program;

	snprintf(key, HOOK_KEY_BYTES, "%s_%s", when, phase);
	program = config_get(cli->config, "hooks", key);
	return program && *program ? program : NULL;
}

static int call(const struct cli *cli, const char *key, const char *program, struct words *w,
		const struct cancel *cancel, struct err *e)
{
	char *words[] = { (char *)(size_t)program, NULL };
	_cleanup_wbuf_ struct wbuf said;
	struct process_options o = { .words = words,
				     .environment = w->list,
				     .cancel = cancel,
				     .errors = &said,
				     .cut_errors = true };
	const char *line;
	uint64_t seconds;
	int status = 0, r = timeout(cli, &seconds, e);

	wbuf_init(&said, SAID_BYTES);
	if (r < 0)
		return r;
	o.timeout_ms = (int)(seconds * 1000);
	r = process_run(&o, &status);
	r = process_explain(&o, r, status, ERR_IO, e);
	if (r == 0)
		return 0;
	line = last_line(&said);
	if (*line && e)
		snprintf(e->message + strlen(e->message), sizeof(e->message) - strlen(e->message),
			 " (%s)", line);
	return err_wrap(e, r, "the hook %s (%s)", key, program);
}

static int run(struct cli *cli, const struct hooks_about *a, const char *when, const char *result,
	       const struct cancel *cancel, struct err *e)
{
	_cleanup_(words_deinit) struct words w = { .count = 0 };
	const char *program;
	char key[HOOK_KEY_BYTES];
	int r;

	program = find(cli, when, a->phase, key);
	if (!program)
		return 0;
	r = make_environment(&w, a, when, result, e);
	return r < 0 ? r : call(cli, key, program, &w, cancel, e);
}

int hooks_before(struct cli *cli, const struct hooks_about *a, struct err *e)
{
	return run(cli, a, "before", "", &cli->cancel, e);
}

int hooks_after(struct cli *cli, const struct hooks_about *a, int r, struct err *e)
{
	struct err why = ERR_INIT;
	int ended = run(cli, a, "after", r < 0 ? "failed" : "ok", NULL, &why);

	if (ended < 0 && r < 0)
		fprintf(stderr, "sstablefs: %s: %s\n", cli->command, why.message);
	else if (ended < 0 && e)
		*e = why;
	return r < 0 ? r : ended;
}

int hooks_check(const struct cli *cli, const char *const *list, struct err *e)
{
	char key[HOOK_KEY_BYTES];
	uint64_t seconds;
	int r = timeout(cli, &seconds, e);

	for (; r == 0 && *list; list++) {
		for (size_t i = 0; r == 0 && i < ARRAY_SIZE(whens); i++) {
			const char *program = find(cli, whens[i], *list, key);

			r = program ? check_one(key, program, e) : 0;
		}
	}
	return r;
}

void hooks_each(const struct cli *cli,
		void (*fn)(void *ctx, const char *key, const char *program, const struct err *why),
		void *ctx)
{
	static const char *const phases[] = { "snapshot", "upload", "fetch",
					      "exchange", "check",  "load" };
	char key[HOOK_KEY_BYTES];

	for (size_t i = 0; i < 2 * ARRAY_SIZE(phases); i++) {
		const char *program = find(cli, whens[i % 2], phases[i / 2], key);
		struct err why = ERR_INIT;

		if (program)
			fn(ctx, key, program, check_one(key, program, &why) < 0 ? &why : NULL);
	}
}
