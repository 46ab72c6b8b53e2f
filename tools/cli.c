/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/cli.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- errors and output ---- */

static json_t *error_document(const struct err *e)
{
	json_t *detail = json_object(), *error, *document;

	if (*e->key)
		json_object_set_new(detail, "key", json_text(e->key));
	if (e->http_status)
		json_object_set_new(detail, "http_status", json_integer(e->http_status));
	if (*e->request_id)
		json_object_set_new(detail, "request_id", json_text(e->request_id));
	if (e->outcome_unknown)
		json_object_set_new(detail, "outcome_unknown", json_true());
	error = json_pack("{s:s, s:o, s:o}", "kind", err_kind_name(e->kind), "message",
			  json_text(e->message), "detail", detail);
	document = json_pack("{s:o}", "error", error);
	return document;
}

/* "list: " before a message, nothing before one that concerns no command. */
static void print_prefix(const struct cli *cli)
{
	fputs("sstablefs: ", stderr);
	if (strcmp(cli->command, "sstablefs") != 0)
		fprintf(stderr, "%s: ", cli->command);
}

int cli_fail(struct cli *cli, const struct err *e)
{
	return cli_fail_with(cli, e, NULL);
}

int cli_fail_with(struct cli *cli, const struct err *e, json_t *document)
{
	_cleanup_json_ json_t *done = document;
	int signal = atomic_load(&cli->cancel.reason);
	char text[2048];

	if (signal > 0) {
		if (cli->json && done)
			cli_print_json(cli, json_incref(done));
		if (!cli->quiet)
			fprintf(stderr, "sstablefs: %s: stopped by SIG%s\n", cli->command,
				sigabbrev_np(signal));
		return 128 + signal;
	}
	if (cli->json) {
		json_t *error = error_document(e);

		if (done)
			json_object_update_missing(error, done);
		cli_print_json(cli, error);
	}
	print_prefix(cli);
	fprintf(stderr, "%s\n", err_describe(e, text, sizeof(text)));
	return err_exit_code(e->kind);
}

int cli_usage(struct cli *cli, const char *fmt, ...)
{
	struct err e = ERR_INIT;
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (strcmp(cli->command, "sstablefs") == 0)
		err_set(&e, ERR_USAGE, -EINVAL, "%s (see sstablefs --help)", text);
	else
		err_set(&e, ERR_USAGE, -EINVAL, "%s (see sstablefs %s --help)", text, cli->command);
	return cli_fail(cli, &e);
}

int cli_print_line(struct err *e, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		text = NULL;
		return err_nomem(e);
	}
	if (printf("%s\n", util_one_line(text)) < 0)
		return err_errno(e, -errno, "cannot write the result");
	return 0;
}

int cli_print_json(struct cli *cli, json_t *document)
{
	_cleanup_json_ json_t *owned = document;

	if (!owned ||
	    json_dumpf(owned, stdout,
		       (cli->json_line ? JSON_COMPACT : JSON_INDENT(2)) | JSON_ENSURE_ASCII) < 0 ||
	    fputs("\n", stdout) < 0 || fflush(stdout) != 0) {
		fprintf(stderr, "sstablefs: %s: cannot write the result: %s\n", cli->command,
			strerror(errno));
		return EXIT_FAILED;
	}
	return EXIT_DONE;
}

static bool reader_left(void)
{
	struct pollfd p = { .fd = STDOUT_FILENO };

	return poll(&p, 1, 0) > 0 && (p.revents & POLLERR);
}

int cli_end(struct cli *cli, int code)
{
	int failed = fflush(stdout) != 0 ? errno : 0;

	if ((!failed && !ferror(stdout)) || reader_left() ||
	    (code != EXIT_DONE && code != EXIT_FOUND))
		return code;
	print_prefix(cli);
	fprintf(stderr, "cannot write the result%s%s\n", failed ? ": " : "",
		failed ? strerror(failed) : "");
	return EXIT_FAILED;
}

int cli_help(const struct command *command)
{
	printf("usage: sstablefs [-r URL] %s %s\n\n%s\n\n%s", command->name, command->arguments,
	       command->summary, command->help);
	return EXIT_DONE;
}

/* ---- common options ---- */

int cli_number(const char *what, const char *text, uint64_t low, uint64_t high, uint64_t *ret,
	       struct err *e)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || *ret < low || *ret > high)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "%s '%s': a number from %llu to %llu is wanted", what, text,
			       (unsigned long long)low, (unsigned long long)high);
	return 0;
}

static int set_count(const char *what, const char *text, unsigned *ret, struct err *e)
{
	uint64_t v;
	int r = cli_number(what, text, 1, 256, &v, e);

	if (r == 0)
		*ret = (unsigned)v;
	return r;
}

static int set_size(const char *what, const char *text, uint64_t least, uint64_t *ret,
		    struct err *e)
{
	char shown[32];

	if (util_parse_bytes(text, ret) < 0)
		return err_set(e, ERR_USAGE, -EINVAL,
			       "%s '%s': a size is wanted, such as 64M or 1G", what, text);
	if (*ret < least)
		return err_set(e, ERR_USAGE, -EINVAL, "%s %s is too small: at least %s", what, text,
			       util_format_bytes(shown, least));
	return 0;
}

int common_option(struct common *c, int option, const char *value, struct err *e)
{
	switch (option) {
	case OPT_CLUSTER:
		c->cluster = value;
		return keys_check_name("cluster", value, e);
	case OPT_NODE:
		c->node = value;
		return keys_check_name("node", value, e);
	case OPT_JOBS:
		return set_count("--jobs", value, &c->jobs, e);
	case OPT_CONNECTIONS:
		return set_count("--connections", value, &c->connections, e);
	case OPT_MEMORY:
		return set_size("--memory", value, 64 * MIB, &c->memory_bytes, e);
	case OPT_LIMIT_RATE:
		return set_size("--limit-rate", value, 1 * KIB, &c->limit_rate, e);
	default:
		return 1;
	}
}

int common_init(struct common *c, const struct cli *cli, const char *section, unsigned connections,
		struct err *e)
{
	static const struct {
		const char *key;
		int option;
	} keys[] = { { "jobs", OPT_JOBS },
		     { "connections", OPT_CONNECTIONS },
		     { "memory", OPT_MEMORY },
		     { "limit_rate", OPT_LIMIT_RATE } };
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	*c = (struct common){ .jobs = (unsigned)MAX_OF(cores, 1L),
			      .connections = connections,
			      .memory_bytes = 192 * MIB };
	for (size_t i = 0; section && i < ARRAY_SIZE(keys); i++) {
		const char *value = config_get(cli->config, section, keys[i].key);
		int r = value ? common_option(c, keys[i].option, value, e) : 0;

		if (r < 0)
			return err_wrap(e, r, "configuration, [%s]", section);
	}
	return 0;
}

int cli_getopt(int argc, char **argv, const struct option *options, struct err *e)
{
	int c;

	opterr = 0;
	c = getopt_long(argc, argv, ":", options, NULL);
	if (c == ':')
		err_set(e, ERR_USAGE, -EINVAL, "option '%s' needs a value", argv[optind - 1]);
	else if (c == '?')
		err_set(e, ERR_USAGE, -EINVAL, "unknown option '%s'", argv[optind - 1]);
	return c == ':' ? '?' : c;
}
