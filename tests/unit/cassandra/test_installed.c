/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "base/io.h"
#include "base/util.h"
#include "cassandra/installed.h"

static char home[64];

static void make(const char *name)
{
	_cleanup_free_ char *path = util_printf("%s/%s", home, name), *directory = strdup(path);

	*strrchr(directory, '/') = '\0';
	cr_assert_eq(io_mkdirs(AT_FDCWD, directory, 0755), 0);
	fclose(fopen(path, "w"));
}

static void start(void)
{
	strcpy(home, "/tmp/ssfs-installed-XXXXXX");
	cr_assert(mkdtemp(home));
	make("bin/nodetool");
}

static void end(void)
{
	io_remove_tree(AT_FDCWD, home);
}

static void expect(const char *version, const char *jar)
{
	_cleanup_free_ char *program = util_printf("%s/bin/nodetool", home), *ours = NULL,
			    *its = NULL;
	struct err e = ERR_INIT;
	int r = installed_find(program, &ours, &its, &e);

	cr_expect_eq(r, 0, "%s", e.message);
	cr_expect(r == 0 && strcmp(ours, version) == 0 && strstr(its, jar), "%s %s", ours, its);
}

static void expect_error(const char *program, int r)
{
	_cleanup_free_ char *path = util_printf("%s/%s", home, program), *version = NULL,
			    *jar = NULL;
	struct err e = ERR_INIT;

	cr_expect_eq(installed_find(path, &version, &jar, &e), r, "%s", e.message);
}

TestSuite(installed, .init = start, .fini = end);

Test(installed, a_jar_of_the_archive_or_of_a_package_says_the_version)
{
	expect_error("bin/nodetool", -ENOENT);
	make("share/cassandra/apache-cassandra.jar");
	make("share/cassandra/apache-cassandra-thrift-3.11.0.jar");
	make("lib/apache-cassandra-");
	make("lib/apache-cassandra-.jar");
	make("lib/apache-cassandra-5.0.9.jar.bak");
	make("lib/cassandra-driver-core-3.12.1.jar");
	expect_error("bin/nodetool", -ENOENT);
	make("share/cassandra/apache-cassandra-5.0-rc1.jar");
	expect("5.0-rc1", "/share/cassandra/apache-cassandra-5.0-rc1.jar");
	make("lib/apache-cassandra-5.0-rc1.jar");
	expect("5.0-rc1", "/lib/apache-cassandra-5.0-rc1.jar");
	make("lib/apache-cassandra-4.1.10.jar");
	expect_error("bin/nodetool", -ENOTUNIQ);
}

Test(installed, links_lead_to_the_installation)
{
	_cleanup_free_ char *link = util_printf("%s/usr/bin/nodetool", home);

	make("usr/lib/apache-cassandra-3.11.0.jar");
	make("lib/apache-cassandra-5.0.9.jar");
	make("usr/bin/other");
	cr_assert_eq(symlink("../../bin/nodetool", link), 0);
	{
		_cleanup_free_ char *version = NULL, *jar = NULL;
		struct err e = ERR_INIT;

		cr_expect_eq(installed_find(link, &version, &jar, &e), 0, "%s", e.message);
		cr_expect_str_eq(version, "5.0.9");
	}
	expect_error("usr/bin/nothing", -ENOENT);
}

Test(installed, a_name_has_an_end)
{
	char name[] =
		"lib/apache-cassandra-5.0000000000000000000000000000000000000000000000000000000000000000.jar";

	make(name);
	expect_error("bin/nodetool", -ENOENT);
}
