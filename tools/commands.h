/* SPDX-License-Identifier: Apache-2.0 */
/* Every command's entry and help text. */
#ifndef SSTABLEFS_TOOLS_COMMANDS_H
#define SSTABLEFS_TOOLS_COMMANDS_H

#include "tools/cli.h"

int cmd_init(struct cli *cli, int argc, char **argv);
int cmd_backup(struct cli *cli, int argc, char **argv);
int cmd_list(struct cli *cli, int argc, char **argv);
int cmd_show(struct cli *cli, int argc, char **argv);
int cmd_mount(struct cli *cli, int argc, char **argv);
int cmd_umount(struct cli *cli, int argc, char **argv);
int cmd_restore(struct cli *cli, int argc, char **argv);
int cmd_clone(struct cli *cli, int argc, char **argv);
int cmd_diff(struct cli *cli, int argc, char **argv);
int cmd_id(struct cli *cli, int argc, char **argv);
int cmd_verify(struct cli *cli, int argc, char **argv);
int cmd_doctor(struct cli *cli, int argc, char **argv);

#define LIMITS_HELP                                                            \
	"  --jobs N             worker threads (default: one for each core)\n" \
	"  --connections N      requests at once (default 16)\n"               \
	"  --memory SIZE        memory for buffers (default 192M)\n"           \
	"  --limit-rate SIZE    bytes a second, both directions together\n"

#define INIT_HELP                                                                                  \
	"  --compression zstd|none   how new objects are stored (default zstd, where it pays)\n\n" \
	"Example:\n  sstablefs -r /srv/backups init\n"

#define BACKUP_HELP                                                                                                             \
	"  Asks the Cassandra of this host (nodetool, cqlsh), takes a snapshot, backs it up, and clears it whatever happens.\n" \
	"  --snapshot TAG       an existing snapshot (nodetool snapshot -t TAG) instead; it is kept\n"                          \
	"  --cluster C          the cluster's name (default: what the node says)\n"                                             \
	"  --node N             the node's name (default: this host's full name)\n"                                             \
	"  --data-dir D         a data directory of Cassandra; more than once (default: what the node says)\n"                  \
	"  --name N             the backup's name (default: the time, as 20261122T104200Z)\n"                                   \
	"  --only KS[.TABLE]    only this keyspace or table; more than once\n"                                                  \
	"  --reread             trust no local state (this version never does)\n"                                               \
	"  --takeover           this host replaces the one that made the node's earlier backups\n"                              \
	"  --dry-run            read and compare, write nothing\n"                                                              \
	"  --once               where a backup of this name is there already, do nothing: exit code 0\n"                        \
	"  --metrics-file F     what the run did, for the textfile collector of node_exporter\n"                                \
	"  --jobs N             hashing threads (default: one for each two cores)\n"                                            \
	"  --connections N      uploads at once (default 4)\n"                                                                  \
	"  --memory SIZE        memory for buffers (default 192M)\n"                                                            \
	"  --limit-rate SIZE    bytes a second\n\n"                                                                             \
	"With --snapshot, --cluster, --node and --data-dir no Cassandra is asked. How it is reached: [cassandra] of the\n"      \
	"configuration. A schema that cannot be read, or a snapshot that cannot be cleared: exit code 3.\n\n"                   \
	"Example:\n  sstablefs -r s3://backups backup\n"                                                                        \
	"  sstablefs -r s3://backups backup --snapshot nightly --cluster prod --node db1 --data-dir /var/lib/cassandra/data\n"

#define LIST_HELP                                                                                    \
	"  --cluster C, --node N   only these\n"                                                     \
	"  --cached                what the last list said, and its age; the store is not asked\n\n" \
	"Example:\n  sstablefs -r /srv/backups list\n"

#define SHOW_HELP \
	"  --cluster C, --node N   only these\n\nExample:\n  sstablefs -r /srv/backups show 20261122T104200Z\n"

#define MOUNT_HELP                                                                                                                       \
	"  -f                   stay in the foreground, log to stderr\n"                                                                 \
	"  -o OPTION,…          allow_other uid= gid= umask= numeric_ids xattr cluster= node= pin= cache_dir= cache_size= memory=\n"   \
	"                       overlay_size= connections= refresh= verify=xxh3|sha256 ro log= trace= config= and those of mount(8)\n\n" \
	"Example:\n  sstablefs -r /srv/backups mount /mnt/backups\n"                                                                     \
	"  cp -a /mnt/backups/prod/nodes/n1/latest/data/shop/orders-* /var/lib/cassandra/data/shop/\n"

#define UMOUNT_HELP                                                                                \
	"  --lazy               detach now; the daemon ends when nobody uses the mount any more\n" \
	"  --force              abort a mount that hangs, then detach it\n\n"                      \
	"Example:\n  sstablefs umount /mnt/backups\n"

#define RESTORE_HELP                                                                                          \
	"  --cluster C, --node N   whose backup (default: this host's node if it holds the backup)\n"         \
	"  --only KS[.TABLE]       only this keyspace or table; more than once\n"                             \
	"  --map-data-dir I=DIR    files of data directory I go below DIR; more than once\n"                  \
	"  --overwrite             replace files whose content differs\n"                                     \
	"  --numeric-ids           owners by number, not by name\n" LIMITS_HELP "\n"                          \
	"What is there with the right content is kept: after an interruption run the same command again.\n\n" \
	"Example:\n  sstablefs -r /srv/backups restore 20261122T104200Z --only shop.orders /var/tmp/orders\n"

#define CLONE_HELP                                                                                                  \
	"  --cluster C, --node N   whose backup (default: this host's node if it holds the backup)\n"               \
	"  -o OPTION,…             more options of its mount (sstablefs mount --help), such as cache_dir=\n"      \
	"  --undo                  unmount the clone at DIRECTORY and remove all that was written to it\n\n"        \
	"What Cassandra writes goes to DIRECTORY.sstablefs/upper, beside it. Takes root. After a reboot the same\n" \
	"command puts the clone up again.\n\n"                                                                      \
	"Example:\n  sstablefs -r s3://backups clone 20261122T104200Z --node n1 /var/lib/cassandra/clone\n"         \
	"  sstablefs clone --undo /var/lib/cassandra/clone\n"

#define DIFF_HELP                                                                                        \
	"  --cluster C, --node N   whose backups\n\n"                                                    \
	"Prints + added, - removed, C changed content, A changed attributes; exit code 3 where any.\n\n" \
	"Example:\n  sstablefs -r /srv/backups diff monday tuesday\n"

#define ID_HELP \
	"  No options. Two files have the same id where their bytes are the same.\n\nExample:\n  sstablefs id nb-1-big-Data.db\n"

#define VERIFY_HELP                                                                                                                      \
	"  --cluster C, --node N   only these\n"                                                                                         \
	"  --sample PERCENT        check only that part of the data objects, chosen by chance (metadata is checked whole)\n" LIMITS_HELP \
	"\nExample:\n  sstablefs -r /srv/backups verify 20261122T104200Z\n"

#define DOCTOR_HELP                                                                                      \
	"  --cluster C, --node N   whose part of the repository is used to try conditional requests\n\n" \
	"Example:\n  sstablefs -r s3://backups doctor --cluster prod --node n1\n"

#endif
