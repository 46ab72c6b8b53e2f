/* SPDX-License-Identifier: Apache-2.0 */
/* A world of credentials for tests: variables, a directory of files, a clock that stands still. */
#ifndef SSTABLEFS_TESTS_UNIT_STORE_CREDS_HELP_H
#define SSTABLEFS_TESTS_UNIT_STORE_CREDS_HELP_H

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/io.h"
#include "store/creds.h"
#include "tests/unit/base/fake_clock.h"

#define HELP_VARIABLES_MAX 16
#define HELP_NOW_S ((int64_t)1795344120) /* 2026-11-22T10:42:00Z */
#define SECOND_NS ((int64_t)1000000000)

struct help {
	char *names[HELP_VARIABLES_MAX], *values[HELP_VARIABLES_MAX];
	size_t count;
	char dir[64];
	struct fake_clock clock;
	struct creds *creds;
	struct err err;
};

static inline const char *help_getenv(void *ctx, const char *name)
{
	const struct help *h = ctx;

	for (size_t i = h->count; i-- > 0;) {
		if (strcmp(h->names[i], name) == 0)
			return h->values[i];
	}
	return NULL;
}

static inline void help_set(struct help *h, const char *name, const char *fmt, ...) _printf_(3, 4);
static inline void help_set(struct help *h, const char *name, const char *fmt, ...)
{
	va_list ap;

	cr_assert_lt(h->count, HELP_VARIABLES_MAX);
	h->names[h->count] = strdup(name);
	va_start(ap, fmt);
	cr_assert_geq(vasprintf(&h->values[h->count], fmt, ap), 0);
	va_end(ap);
	h->count++;
}

/* Files are those of `dir`; the metadata service is off. */
static inline void help_init(struct help *h)
{
	*h = (struct help){ .dir = "/tmp/test_creds.XXXXXX" };
	cr_assert(mkdtemp(h->dir));
	fake_clock_init(&h->clock, HELP_NOW_S * SECOND_NS);
	help_set(h, "AWS_SHARED_CREDENTIALS_FILE", "%s/credentials", h->dir);
	help_set(h, "AWS_CONFIG_FILE", "%s/config", h->dir);
	help_set(h, "AWS_EC2_METADATA_DISABLED", "true");
}

static inline void help_deinit(struct help *h)
{
	creds_free(h->creds);
	io_remove_tree(AT_FDCWD, h->dir);
	for (size_t i = 0; i < h->count; i++) {
		free(h->names[i]);
		free(h->values[i]);
	}
}

static inline void help_file(struct help *h, const char *name, const char *fmt, ...) _printf_(3, 4);
static inline void help_file(struct help *h, const char *name, const char *fmt, ...)
{
	char path[256], *text;
	va_list ap;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", h->dir, name);
	va_start(ap, fmt);
	cr_assert_geq(vasprintf(&text, fmt, ap), 0);
	va_end(ap);
	f = fopen(path, "we");
	cr_assert(f);
	fputs(text, f);
	fclose(f);
	free(text);
	chmod(path, 0700);
}

static inline void help_open(struct help *h)
{
	h->creds = creds_new(&(struct creds_options){ .getenv = help_getenv,
						      .getenv_ctx = h,
						      .clock = &h->clock.clock,
						      .process_timeout_ms = 2000 });
	cr_assert(h->creds);
}

static inline int help_get(struct help *h, struct creds_value *v)
{
	h->err = ERR_INIT;
	return creds_get(h->creds, v, NULL, &h->err);
}

static inline void help_expect(struct help *h, const char *access_key)
{
	struct creds_value v;

	cr_assert_eq(help_get(h, &v), 0, "%s", h->err.message);
	cr_expect_str_eq(v.access_key, access_key);
}

/* Fails, says this, and nothing that is called secret. */
static inline void help_expect_error(struct help *h, const char *says)
{
	struct creds_value v;

	cr_expect_lt(help_get(h, &v), 0);
	cr_expect(strstr(h->err.message, says), "'%s' is not in: %s", says, h->err.message);
	cr_expect_null(strstr(h->err.message, "HUSH"), "%s", h->err.message);
}

static inline void help_expect_source(struct help *h, const char *says)
{
	char text[CREDS_SOURCE_MAX];

	cr_expect(strstr(creds_describe(h->creds, text), says), "'%s' is not in: %s", says, text);
}

#endif
