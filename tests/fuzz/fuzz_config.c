/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a configuration file: it is taken whole, or refused with a line number; what is taken can be asked for. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/io.h"
#include "tests/fuzz/text.h"
#include "tools/config.h"
#include "tools/mountopt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
	const struct config *config;
	size_t count;
};

static int check_entry(void *ctx, const char *key, const char *value, struct err *e)
{
	struct seen *seen = ctx;

	(void)e;
	seen->count++;
	if (!*key || !value || !config_get(seen->config, "mount", key))
		abort();
	return 0;
}

static int take_option(void *ctx, const char *key, const char *value, struct err *e)
{
	return mountopt_set(ctx, key, value, e);
}

static void check_config(const struct config *config)
{
	struct seen seen = { .config = config };
	struct err e = ERR_INIT;
	struct mountopt m;

	if (config_each(config, "mount", check_entry, &seen, &e) < 0)
		abort();
	mountopt_init(&m);
	if (config_each(config, "mount", take_option, &m, &e) < 0 && !e.message[0])
		abort();
	mountopt_deinit(&m);
	(void)config_get(config, "repository", "url");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct config *config = NULL;
	struct err e = ERR_INIT;
	char path[64];

	if (fd < 0)
		fd = memfd_create("config", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) < 0 || io_pwrite_full(fd, data, size, 0) < 0)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (config_load(path, &config, &e) == 0) {
		check_config(config);
		config_free(config);
	} else if (e.kind != ERR_USAGE || !e.message[0]) {
		abort();
	}
	return 0;
}
