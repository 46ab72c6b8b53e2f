/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/nodecommand.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "base/process.h"
#include "tools/dirusers.h"

#define SYSTEMD "/run/systemd/system"
#define WORDS_MAX 64
#define SAID_BYTES (64 * 1024)
#define PAUSE_MS 200

static const char *key_of(enum nodecommand which)
{
	return which == NODECOMMAND_STOP ? "stop_command" : "start_command";
}

static const char *configured(const struct cli *cli, enum nodecommand which)
{
	const char *value = config_get(cli->config, "cassandra", key_of(which));

	return value && *value ? value : NULL;
}

const char *nodecommand_text(const struct cli *cli, enum nodecommand which)
{
	const char *value = configured(cli, which);

	if (value)
		return value;
	return which == NODECOMMAND_STOP ? "systemctl stop cassandra" : "systemctl start cassandra";
}

static bool is_program(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

char *nodecommand_find(const char *program)
{
	const char *path = getenv("PATH");
	_cleanup_free_ char *copy = strdup(path ? path : "/usr/bin:/bin");
	char *rest = copy;

	if (strchr(program, '/'))
		return is_program(program) ? strdup(program) : NULL;
	for (char *dir; (dir = strsep(&rest, ":"));) {
		_cleanup_free_ char *file = util_printf("%s/%s", *dir ? dir : ".", program);

		if (file && is_program(file))
			return steal_pointer(&file);
	}
	return NULL;
}

bool nodecommand_exists(const char *program)
{
	_cleanup_free_ char *file = nodecommand_find(program);

	return file;
}

/* The words of a line, into `words`; the line is cut into pieces. NULL at the end. */
static int split(char *line, char *words[WORDS_MAX + 1])
{
	int count = 0;

	for (char *word; count < WORDS_MAX && (word = strsep(&line, " \t"));)
		if (*word)
			words[count++] = word;
	words[count] = NULL;
	return count;
}

int nodecommand_check(const struct cli *cli, enum nodecommand which, struct err *e)
{
	_cleanup_free_ char *line = strdup(nodecommand_text(cli, which));
	char *words[WORDS_MAX + 1];

	if (!line)
		return err_nomem(e);
	if (!configured(cli, which) && access(SYSTEMD, F_OK) < 0)
		return err_set(
			e, ERR_USAGE, -ENOENT,
			"systemd does not run here: name the command with %s = under [cassandra] of the configuration",
			key_of(which));
	if (split(line, words) == 0 || !nodecommand_exists(words[0]))
		return err_set(e, ERR_USAGE, -ENOENT,
			       "%s of [cassandra] in the configuration: there is no program '%s'",
			       key_of(which), words[0] ? words[0] : "");
	return 0;
}

int nodecommand_run(struct cli *cli, enum nodecommand which, int timeout_ms, struct err *e)
{
	_cleanup_free_ char *line = strdup(nodecommand_text(cli, which));
	char *words[WORDS_MAX + 1];
	_cleanup_wbuf_ struct wbuf errors;
	struct process_options o = { .words = words,
				     .timeout_ms = timeout_ms,
				     .cancel = &cli->cancel,
				     .errors = &errors,
				     .cut_errors = true };
	int status = 0, r;

	wbuf_init(&errors, SAID_BYTES);
	if (!line)
		return err_nomem(e);
	split(line, words);
	r = process_run(&o, &status);
	r = process_explain(&o, r, status, ERR_IO, e);
	if (r == 0)
		return 0;
	errors.max++;
	wbuf_u8(&errors, 0);
	if (!wbuf_error(&errors) && errors.len > 1)
		log_write(cli->log, LOG_LEVEL_WARNING, "command", "%s said: %s",
			  nodecommand_text(cli, which), util_one_line((char *)errors.data));
	return err_wrap(e, r, "%s", nodecommand_text(cli, which));
}

int nodecommand_check_own(const struct nodejournal *j, struct err *e)
{
	const char *paths[NODEJOURNAL_PLACES_MAX + 1] = { NULL };
	char where[PATH_MAX];
	long pid;

	for (size_t i = 0; i < j->place_count; i++)
		paths[i] = j->places[i].path;
	if (!dirusers_among_own(paths, &pid, where))
		return 0;
	return err_set(
		e, ERR_CONFLICT, -EBUSY,
		"process %ld%s is in %s, among what is exchanged: leave the directory (cd /) and run the command again",
		pid, pid == getpid() ? ", this one," : ", from which this one was started,", where);
}

bool nodecommand_users(const struct nodejournal *j, char out[NODECOMMAND_USERS_BYTES])
{
	const char *paths[NODEJOURNAL_PLACES_MAX + 1] = { NULL };

	for (size_t i = 0; i < j->place_count; i++)
		paths[i] = j->places[i].path;
	return dirusers_list(paths, out, NODECOMMAND_USERS_BYTES);
}

bool nodecommand_has_stopped(const struct nodejournal *j)
{
	bool started = j->step == NODEJOURNAL_CHECK || (j->step == NODEJOURNAL_START && j->done);
	char users[NODECOMMAND_USERS_BYTES];

	if (!started)
		return false;
	nodecommand_users(j, users);
	return !*users;
}

int nodecommand_await_unused(struct cli *cli, const struct nodejournal *j, int64_t timeout_ms,
			     struct err *e)
{
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };
	int64_t end_ms = clock_elapsed_ms(cli->clock) + timeout_ms;
	char users[NODECOMMAND_USERS_BYTES];

	for (;;) {
		nodecommand_users(j, users);
		if (!*users)
			return 0;
		cancel_waits(&cli->cancel);
		if (cancel_is_set(&cli->cancel))
			return err_set(e, ERR_IO, -ECANCELED, "interrupted");
		if (clock_elapsed_ms(cli->clock) >= end_ms)
			return err_set(e, ERR_CONFLICT, -ETIMEDOUT,
				       "the node's directories are still in use by %s", users);
		nanosleep(&pause, NULL);
	}
}
