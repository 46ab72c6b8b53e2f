/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials under load, for ThreadSanitizer: 8 threads ask for them, have some refused, and
 * describe them, while a program hands out new ones that expire within seconds and a file changes
 * beneath. Each has the secret that belongs to its key.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/io.h"
#include "store/creds.h"

#define THREADS 8
#define ROUNDS 400

struct world {
	char dir[64], config[96];
	struct creds *creds;
	atomic_llong skipped_ns; /* what the wall clock is ahead of the system's */
};

static void check(bool holds, const char *promise)
{
	if (holds)
		return;
	fprintf(stderr, "stress_creds: broken: %s\n", promise);
	abort();
}

static const char *variable(void *ctx, const char *name)
{
	struct world *w = ctx;

	if (strcmp(name, "AWS_CONFIG_FILE") == 0)
		return w->config;
	if (strcmp(name, "AWS_SHARED_CREDENTIALS_FILE") == 0)
		return "/dev/null";
	return strcmp(name, "AWS_EC2_METADATA_DISABLED") == 0 ? "true" : NULL;
}

static int64_t wall(void *ctx)
{
	return clock_wall_ns(clock_system()) + ((struct world *)ctx)->skipped_ns;
}

static int64_t elapsed(void *ctx)
{
	return clock_elapsed_ns(clock_system()) + ((struct world *)ctx)->skipped_ns;
}

static void fill(void *ctx, void *out, size_t len_bytes)
{
	clock_random(clock_system(), out, len_bytes);
}

static void write_file(const char *path, mode_t mode, const char *text)
{
	FILE *f = fopen(path, "we");

	check(f && fputs(text, f) >= 0 && fclose(f) == 0 && chmod(path, mode) == 0,
	      "files can be written");
}

static void *use(void *arg)
{
	struct world *w = arg;
	char text[CREDS_SOURCE_MAX];

	for (int i = 0; i < ROUNDS; i++) {
		struct creds_value v;
		struct err e = ERR_INIT;

		check(creds_get(w->creds, &v, NULL, &e) == 0, e.message);
		check(strcmp(v.access_key, v.secret_key) == 0, "key and secret belong together");
		creds_describe(w->creds, text);
		if (i % 50 == 7)
			check(creds_renew(w->creds, &v, i % 100 == 7, NULL, &e) >= 0, e.message);
		if (i % 100 == 0)
			w->skipped_ns += 20LL * 1000000000;
		if (i % 90 == 3)
			utimensat(AT_FDCWD, w->config, NULL, 0);
	}
	return NULL;
}

int main(void)
{
	static struct world w = { .dir = "/tmp/stress_creds.XXXXXX" };
	struct clock clock = { wall, elapsed, fill, &w };
	pthread_t threads[THREADS];
	char path[96], text[512];

	check(mkdtemp(w.dir), "there is a directory");
	snprintf(path, sizeof(path), "%s/program", w.dir);
	snprintf(w.config, sizeof(w.config), "%s/config", w.dir);
	write_file(
		path, 0700,
		"#!/bin/sh\necho \"{\\\"Version\\\":1,\\\"AccessKeyId\\\":\\\"K$$\\\","
		"\\\"SecretAccessKey\\\":\\\"K$$\\\",\\\"Expiration\\\":\\\"$(date -u -d +20sec +%FT%TZ)\\\"}\"\n");
	snprintf(text, sizeof(text), "[default]\ncredential_process = %s\n", path);
	write_file(w.config, 0600, text);
	w.creds = creds_new(
		&(struct creds_options){ .getenv = variable, .getenv_ctx = &w, .clock = &clock });
	check(w.creds, "memory");
	for (int i = 0; i < THREADS; i++)
		check(pthread_create(&threads[i], NULL, use, &w) == 0, "threads start");
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	creds_free(w.creds);
	io_remove_tree(AT_FDCWD, w.dir);
	return 0;
}
