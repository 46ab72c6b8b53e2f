/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/commands.h"

#include <string.h>

static const struct command commands[] = {
	{ "init", "[--compression zstd|none]", "Create a repository.", INIT_HELP, cmd_init },
	{ "backup", "[options]", "Back up this host's Cassandra node.", BACKUP_HELP, cmd_backup },
	{ "backup-cluster", "[--name N] [--host-list FILE] [--parallel N] [--retry-failed]",
	  "Back up every node of a cluster, over ssh.", BACKUP_CLUSTER_HELP, cmd_backup_cluster },
	{ "list", "[--cluster C] [--node N] [--cached]", "Show the backups, newest first.",
	  LIST_HELP, cmd_list },
	{ "show", "BACKUP [--cluster C] [--node N]", "Show one backup, node by node.", SHOW_HELP,
	  cmd_show },
	{ "mount", "MOUNTPOINT [-f] [-o OPTION,…]", "Mount the repository as a tree of files.",
	  MOUNT_HELP, cmd_mount },
	{ "umount", "MOUNTPOINT [--lazy|--force]", "Unmount, and return when the daemon is gone.",
	  UMOUNT_HELP, cmd_umount },
	{ "restore", "BACKUP [options] DIRECTORY",
	  "Copy a backup of one node into a directory, in parallel.", RESTORE_HELP, cmd_restore },
	{ "restore-cluster", "BACKUP --plan|--yes|--abort|--finish [options]",
	  "Restore a cluster: the same, another, or one of any shape.", RESTORE_CLUSTER_HELP,
	  cmd_restore_cluster },
	{ "schema", "BACKUP [--only KS[.TABLE]]… [--rename FROM=TO]…",
	  "Print the statements that make the tables of a backup again.", SCHEMA_HELP, cmd_schema },
	{ "restore-node",
	  "BACKUP --in-place|--remote|--only KS[.T] --plan|--yes | --abort | --finish",
	  "Make this Cassandra node what it was.", RESTORE_NODE_HELP, cmd_restore_node },
	{ "clone", "BACKUP [options] DIRECTORY | --undo DIRECTORY",
	  "Make a writable data directory of a backup, in seconds.", CLONE_HELP, cmd_clone },
	{ "diff", "BACKUP-A BACKUP-B", "Show files added, removed and changed.", DIFF_HELP,
	  cmd_diff },
	{ "id", "FILE…", "Print the content ids of local files.", ID_HELP, cmd_id },
	{ "verify", "[BACKUP…] [--sample PERCENT] [--repair]",
	  "Read back and check every byte against its digest.", VERIFY_HELP, cmd_verify },
	{ "delete", "BACKUP… [--cluster C] [--node N] [--force]", "Remove backups from sight.",
	  DELETE_HELP, cmd_delete },
	{ "purge", "[--keep-daily N]… [--older-than AGE] [--dry-run] [--force]",
	  "Remove backups by policy, then free what none reaches.", PURGE_HELP, cmd_purge },
	{ "gc", "[--full] [--dry-run]", "Free what no backup reaches.", GC_HELP, cmd_gc },
	{ "doctor", "[--cluster C --node N]", "Check this host and the repository.", DOCTOR_HELP,
	  cmd_doctor },
};

static const struct {
	const char *name, *words;
} reserved[] = {
	{ "commitlog", "the name is reserved" },
	{ "import-medusa", "the name is reserved" },
	{ "key", "the name is reserved" },
	{ "serve-metrics", "the name is reserved" },
};

const struct command *command_table(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(commands);
	return commands;
}

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

const char *command_reserved(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
		if (strcmp(reserved[i].name, name) == 0)
			return reserved[i].words;
	return NULL;
}
