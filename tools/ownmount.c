/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ownmount.h"

#include <limits.h>
#include <string.h>
#include "base/process.h"
#include "fs/mountpoint.h"
#include "tools/unmount.h"

#define MOUNT_LIMIT_MS 300000
#define OUTPUT_BYTES (64 * KIB)

char *ownmount_escaped(const char *value)
{
	char *out = malloc(2 * strlen(value) + 1), *o = out;

	if (!out)
		return NULL;
	for (; *value; value++) {
		if (*value == ',' || *value == '\\')
			*o++ = '\\';
		*o++ = *value;
	}
	*o = '\0';
	return out;
}

/* What the other process says of its failure: {"error": {"kind", "message"}}. */
static int take_error(struct wbuf *said, struct err *e)
{
	_cleanup_json_ json_t *o = NULL;
	const char *kind = "", *message = "";
	const json_t *error;

	if (json_parse("its answer", (const char *)said->data, said->len, OUTPUT_BYTES, &o, NULL) <
	    0)
		return -ENOENT;
	error = json_object_get(o, "error");
	if (json_get_string(error, "kind", 64, &kind, NULL) < 0 ||
	    json_get_string(error, "message", OUTPUT_BYTES, &message, NULL) < 0)
		return -ENOENT;
	for (enum err_kind k = ERR_IO; k <= ERR_CREDENTIALS; k++)
		if (strcmp(err_kind_name(k), kind) == 0)
			return err_set(e, k, -EIO, "cannot mount the backup: %s", message);
	return -ENOENT;
}

static int run_mount(struct cli *cli, char *const *words, struct err *e)
{
	_cleanup_wbuf_ struct wbuf out, errors;
	/* This program again, which reads the same repository. */
	struct process_options o = { .words = words,
				     .environment = environ,
				     .timeout_ms = MOUNT_LIMIT_MS,
				     .cancel = &cli->cancel,
				     .out = &out,
				     .errors = &errors,
				     .cut_errors = true };
	int status = 0, r;

	wbuf_init(&out, OUTPUT_BYTES);
	wbuf_init(&errors, OUTPUT_BYTES);
	r = process_run(&o, &status);
	if (r == 0 && status != 0 && take_error(&out, e) != -ENOENT)
		return e->code;
	r = process_explain(&o, r, status, ERR_IO, e);
	return r < 0 ? err_wrap(e, r, "cannot mount the backup: the process that does it") : 0;
}

int ownmount_start(struct cli *cli, const char *url, const char *mountpoint, const char *options,
		   struct err *e)
{
	char program[PATH_MAX];
	const char *words[12];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	size_t count = 0;

	if (n < 0)
		return err_errno(e, -errno, "cannot find this program");
	program[n] = '\0';
	words[count++] = program;
	words[count++] = "--json";
	words[count++] = "-r";
	words[count++] = url;
	if (cli->config_path) {
		words[count++] = "--config";
		words[count++] = cli->config_path;
	}
	words[count++] = "mount";
	words[count++] = mountpoint;
	words[count++] = "-o";
	words[count++] = options;
	words[count] = NULL;
	/* Nobody writes to the words: execve(2) takes them without const for the sake of old programs. */
	return run_mount(cli, (char *const *)(size_t)words, e);
}

int ownmount_end(const struct cli *cli, const char *mountpoint, struct err *e)
{
	struct mountpoint_info info;
	unsigned cleared;
	int r = mountpoint_clear(mountpoint, &cleared, e);

	if (r < 0)
		return r;
	r = mountpoint_query(mountpoint, &info);
	if (r < 0)
		return err_errno(e, r, "cannot see what is mounted");
	if (!info.mounted)
		return 0;
	r = unmount_run(mountpoint, false, false, e);
	if (r == -EBUSY)
		r = unmount_run(mountpoint, false, true, e);
	if (r != -ETIMEDOUT)
		return r;
	/* A container that was started meanwhile has a copy of every mount, and with it keeps the daemon. It is nobody's harm. */
	log_write(
		cli->log, LOG_LEVEL_WARNING, "mount-process-stays",
		"%s: it ends with the last container, or other mount namespace, that has a copy of the mount",
		e->message);
	return 0;
}
