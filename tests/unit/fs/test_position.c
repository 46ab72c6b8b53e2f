/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>
#include "fs/fs_private.h"

static const struct {
	const char *path;
	enum place_kind kind;
	const char *cluster, *node, *backup, *inside;
} table[] = {
	{ "", PLACE_ROOT, "", "", "", "" },
	{ ".sstablefs", PLACE_CONTROL, "", "", "", "" },
	{ ".sstablefs/status", PLACE_STATUS, "", "", "", "" },
	{ ".sstablefs/metrics", PLACE_METRICS, "", "", "", "" },
	{ "prod", PLACE_CLUSTER, "prod", "", "", "" },
	{ "prod/nodes", PLACE_NODES, "prod", "", "", "" },
	{ "prod/nodes/n1", PLACE_NODE, "prod", "n1", "", "" },
	{ "prod/nodes/n1/latest", PLACE_LATEST, "prod", "n1", "", "" },
	{ "prod/nodes/n1/objects", PLACE_OBJECTS, "prod", "n1", "", "" },
	{ "prod/nodes/n1/objects/a0", PLACE_OBJECTS_OF, "prod", "n1", "", "" },
	{ "prod/nodes/n1/objects/A0", PLACE_OBJECTS, "prod", "n1", "", "" },
	{ "prod/nodes/n1/b", PLACE_BACKUP, "prod", "n1", "b", "" },
	{ "prod/nodes/n1/b/backup.json", PLACE_BACKUP_JSON, "prod", "n1", "b", "backup.json" },
	{ "prod/nodes/n1/b/data", PLACE_INSIDE, "prod", "n1", "b", "data" },
	{ "prod/nodes/n1/b/data/ks/t-1", PLACE_INSIDE, "prod", "n1", "b", "data/ks/t-1" },
	{ "prod/nodes/n1/b/data/ks/backup.json", PLACE_INSIDE, "prod", "n1", "b",
	  "data/ks/backup.json" },
	{ "prod/backups", PLACE_BACKUPS, "prod", "", "", "" },
	{ "prod/backups/b", PLACE_NAMED, "prod", "", "b", "" },
	{ "prod/backups/b/n1", PLACE_LINK, "prod", "n1", "b", "" },
};

Test(position, each_path_of_the_tree_is_taken_apart)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		struct position p;

		cr_assert_eq(position_parse(&p, table[i].path), 0);
		cr_expect_eq(p.kind, table[i].kind, "%s is a %d", table[i].path, (int)p.kind);
		cr_expect_str_eq(p.cluster, table[i].cluster);
		cr_expect_str_eq(p.node, table[i].node, "%s", table[i].path);
		cr_expect_str_eq(p.backup, table[i].backup, "%s", table[i].path);
		cr_expect_str_eq(p.inside, table[i].inside, "%s", table[i].path);
	}
}

Test(position, a_child_is_its_parent_and_a_name)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const char *slash = strrchr(table[i].path, '/');
		size_t parent_len = slash ? (size_t)(slash - table[i].path) : 0;
		char parent_path[64] = "";
		struct position parent, child;

		if (!*table[i].path)
			continue;
		memcpy(parent_path, table[i].path, parent_len);
		cr_assert_eq(position_parse(&parent, parent_path), 0);
		cr_assert_eq(position_child(&child, &parent, slash ? slash + 1 : table[i].path), 0);
		cr_expect_str_eq(child.path, table[i].path);
		cr_expect_eq(child.kind, table[i].kind, "%s", table[i].path);
	}
}

Test(position, a_path_longer_than_the_limit_is_refused)
{
	char path[FORMAT_PATH_BYTES + 2];
	struct position p, child;

	memset(path, 'a', sizeof(path));
	path[FORMAT_PATH_BYTES + 1] = '\0';
	cr_assert_eq(position_parse(&p, path), -ENAMETOOLONG);
	path[FORMAT_PATH_BYTES] = '\0';
	path[1] = '/';
	cr_assert_eq(position_parse(&p, path), 0);
	cr_assert_eq(position_child(&child, &p, "b"), -ENAMETOOLONG);
}
