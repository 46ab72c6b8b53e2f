/* SPDX-License-Identifier: Apache-2.0 */
/* Every command's entry and help text. */
#ifndef SSTABLEFS_TOOLS_COMMANDS_H
#define SSTABLEFS_TOOLS_COMMANDS_H

#include "tools/cli.h"

int cmd_init(struct cli *cli, int argc, char **argv);
int cmd_backup(struct cli *cli, int argc, char **argv);
int cmd_backup_cluster(struct cli *cli, int argc, char **argv);
int cmd_list(struct cli *cli, int argc, char **argv);
int cmd_show(struct cli *cli, int argc, char **argv);
int cmd_mount(struct cli *cli, int argc, char **argv);
int cmd_umount(struct cli *cli, int argc, char **argv);
int cmd_restore(struct cli *cli, int argc, char **argv);
int cmd_restore_cluster(struct cli *cli, int argc, char **argv);
int cmd_schema(struct cli *cli, int argc, char **argv);
int cmd_restore_node(struct cli *cli, int argc, char **argv);
int cmd_clone(struct cli *cli, int argc, char **argv);
int cmd_delete(struct cli *cli, int argc, char **argv);
int cmd_diff(struct cli *cli, int argc, char **argv);
int cmd_id(struct cli *cli, int argc, char **argv);
int cmd_verify(struct cli *cli, int argc, char **argv);
int cmd_purge(struct cli *cli, int argc, char **argv);
int cmd_gc(struct cli *cli, int argc, char **argv);
int cmd_doctor(struct cli *cli, int argc, char **argv);

#define LIMITS_HELP                                                            \
	"  --jobs N             worker threads (default: one for each core)\n" \
	"  --connections N      requests at once (default 16)\n"               \
	"  --memory SIZE        memory for buffers (default 192M)\n"           \
	"  --limit-rate SIZE    bytes a second, both directions together\n"

#define INIT_HELP                                                                                  \
	"  --compression zstd|none   how new objects are stored (default zstd, where it pays)\n\n" \
	"Example:\n  sstablefs -r /srv/backups init\n"

#define BACKUP_HELP                                                                                                                        \
	"  Asks the Cassandra of this host (nodetool, cqlsh), takes a snapshot, backs it up, and clears it whatever happens.\n"            \
	"  --snapshot TAG       an existing snapshot (nodetool snapshot -t TAG) instead; it is kept\n"                                     \
	"  --cluster C          the cluster's name (default: what the node says)\n"                                                        \
	"  --node N             the node's name (default: this host's full name)\n"                                                        \
	"  --data-dir D         a data directory of Cassandra; more than once (default: what the node says)\n"                             \
	"  --name N             the backup's name (default: the time, as 20261122T104200Z)\n"                                              \
	"  --only KS[.TABLE]    only this keyspace or table; more than once\n"                                                             \
	"  --reread             read every file, also what local state says did not change\n"                                              \
	"  --takeover           this host replaces the one that made the node's earlier backups\n"                                         \
	"  --dry-run            read and compare, write nothing\n"                                                                         \
	"  --once               where a backup of this name is there already, do nothing: exit code 0\n"                                   \
	"  --metrics-file F     what the run did, for the textfile collector of node_exporter\n"                                           \
	"  --jobs N             hashing threads (default: one for each two cores)\n"                                                       \
	"  --connections N      uploads at once (default 4)\n"                                                                             \
	"  --memory SIZE        memory for buffers (default 192M)\n"                                                                       \
	"  --limit-rate SIZE    bytes a second\n\n"                                                                                        \
	"With --snapshot, --cluster, --node and --data-dir no Cassandra is asked. How it is reached: [cassandra] of the\n"                 \
	"configuration. A schema that cannot be read, or a snapshot that cannot be cleared: exit code 3.\n\n"                              \
	"An own backup that was interrupted is continued: under the same --name, or, where none is given, the newest of the last day.\n\n" \
	"Example:\n  sstablefs -r s3://backups backup\n"                                                                                   \
	"  sstablefs -r s3://backups backup --snapshot nightly --cluster prod --node db1 --data-dir /var/lib/cassandra/data\n"

#define BACKUP_CLUSTER_HELP                                                                                                          \
	"  Runs backup on every node through ssh, each with its own configuration: the snapshot on all at once, then the uploads.\n" \
	"  --name N             the backup's name (default: the time, as 20261122T104200Z)\n"                                        \
	"  --host-list FILE     the hosts, one a line, instead of those that nodetool names here\n"                                  \
	"  --parallel N         uploads at once (default: all)\n"                                                                    \
	"  --per fleet|dc|rack  what --parallel counts: the whole fleet (default), each DC, each rack\n"                             \
	"  --retry-failed       complete the backup --name: nodes that have it are left alone\n"                                     \
	"  --only KS[.TABLE], --reread, --metrics-file F, --jobs N, --connections N, --memory SIZE, --limit-rate SIZE\n"             \
	"                       as of backup, for each node\n\n"                                                                     \
	"A node that fails is named and the others go on (exit code 3). ssh is never asked for a password: [ssh] of the\n"           \
	"configuration, and ssh's own. -r URL is passed on to the nodes where it is given.\n\n"                                      \
	"Example:\n  sstablefs backup-cluster --name nightly --parallel 1 --per rack\n  sstablefs backup-cluster --name nightly --retry-failed\n"

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

#define RESTORE_CLUSTER_HELP                                                                                      \
	"  --plan                  print what would be done, on which host, and why; nothing is changed. Where\n" \
	"                          nodes take files as they are each is asked over ssh, and what is in the way\n" \
	"                          is said (exit code 3)\n"                                                       \
	"  --yes                   do it. Interrupted, the same command goes on. Nodes that take files as they\n" \
	"                          are: restore-node on each over ssh; all fetch, all stop, seeds start first.\n" \
	"                          Rows that are loaded: the schema, then sstableloader from a mount\n"           \
	"  --abort                 put back what all nodes had before\n"                                          \
	"  --finish                remove it, when all are right\n"                                               \
	"  --without HOST          one that is gone for good keeps the others from none of the three any more:\n" \
	"                          what has to be done there, should it come back, is said; more than once\n"     \
	"  --plan-file FILE        a plan that --json --plan printed, perhaps edited: checked, and done so\n"     \
	"  --host-list FILE        where to: is_seed,target,source on each line (default: every node of the\n"    \
	"                          cluster that nodetool reaches)\n"                                              \
	"  --in-place              each host of the list is the node that it gets, or a machine in its place\n"   \
	"  --no-stage              for disks without room for both: stop first, there is no way back\n"           \
	"  --keep-auth             roles, passwords and permissions stay those of the cluster\n"                  \
	"  --check-query CQL, --check-rows N, --check-result V\n"                                                 \
	"                          a query that must give so many rows on each node in the end\n"                 \
	"  --wait SECONDS          for a node to stop, and to answer CQL (600)\n"                                 \
	"  --only KS[.TABLE]       load only this keyspace or table; more than once\n"                            \
	"  --rename FROM=TO        load KS.TABLE as KS2.TABLE2, or KS as KS2; more than once\n"                   \
	"  --map-dc A=B            what was in data centre A goes to B; more than once\n"                         \
	"  --leave-out-dc A        as if the nodes of A were none; more than once\n"                              \
	"  --schema-of NODE        make that node's schema, where nodes do not have the same\n"                   \
	"  --load                  load rows also where nodes could take the files as they are\n"                 \
	"  --all-replicas          load from every replica, not from as few as hold all\n"                        \
	"  --partial               also where nodes, tables or replicas of the backup are missing\n"              \
	"  --parallel N            so many sstableloaders at once (2), or hosts that fetch (all)\n"               \
	"  --throttle RATE         of all loaders together, such as 100M a second (as fast as they can)\n"        \
	"  --restart               forget what an interrupted run has loaded already\n"                           \
	"  --cluster C             whose backup\n\n"                                                              \
	"Examples:\n  sstablefs -r s3://backups restore-cluster 20261122T104200Z --plan\n"                        \
	"  sstablefs -r s3://backups restore-cluster 20261122T104200Z --only shop --load --yes\n"

#define SCHEMA_HELP                                                                                                        \
	"  --cluster C, --node N   whose backup (default: every node's, which must have one schema)\n"                     \
	"  --only KS[.TABLE]       only this keyspace or table, and what it needs; more than once\n"                       \
	"  --rename KS.TABLE=KS2.TABLE2, KS=KS2\n"                                                                         \
	"                          make it under another name; more than once\n\n"                                         \
	"Prints the statements for cqlsh in the order in which they can be run: keyspaces (if not there), types,\n"        \
	"functions, aggregates, tables with their ids and dropped columns, indexes, views. Nothing is dropped. Run them\n" \
	"where the tables are not there yet. Roles are rows of system_auth, and not among them.\n\n"                       \
	"Example:\n  sstablefs -r s3://backups schema 20261122T104200Z --only shop.orders | cqlsh db1\n"

#define RESTORE_NODE_HELP                                                                                                        \
	"  --in-place              on the node that was backed up, or on one in its place with its tokens\n"                     \
	"  --remote                on a node of another cluster, which takes the tokens over (cassandra.yaml is edited)\n"       \
	"  --only KS[.TABLE]       only this keyspace or table, into a node that runs on (more than once)\n"                     \
	"  --plan                  say what would be done, and what is in the way (exit code 3); do nothing\n"                   \
	"  --yes                   do it: but for --only Cassandra is stopped, all of its data are exchanged, it is started\n"   \
	"  --no-stage              with no room for both: stop first, remove the data, then fetch; no way back\n"                \
	"  --keep-auth             roles and permissions stay as they are on this node\n"                                        \
	"  --check-query CQL, --check-rows N, --check-result V   in the end this query must give so many rows, this first one\n" \
	"  --wait S                seconds for Cassandra to stop, and to answer again (default 600)\n"                           \
	"  --abort                 put back what was there before, at any time until --finish\n"                                 \
	"  --finish                remove what was there before\n"                                                               \
	"  --cluster C, --node N   whose backup (default: this host's node if it holds the backup)\n" LIMITS_HELP                \
	"\n"                                                                                                                     \
	"Everything is fetched before Cassandra is stopped. After an interruption run the same command again. How\n"             \
	"Cassandra is stopped and started: stop_command and start_command, [cassandra] of the configuration.\n\n"                \
	"Example:\n  sstablefs -r s3://backups restore-node 20261122T104200Z --in-place --plan\n"

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

#define VERIFY_HELP                                                                                                          \
	"  --cluster C, --node N   only these\n"                                                                             \
	"  --sample PERCENT        read one slice of the data objects: n runs of 100/n % read all of them\n"                 \
	"                          (metadata is read whole each time)\n"                                                     \
	"  --repair                write damaged and missing objects again, from this node's files where\n"                  \
	"                          these still have the content\n"                                                           \
	"  --data-dir D            with --repair: where the files lie; more than once (default: what the\n"                  \
	"                          node says)\n" LIMITS_HELP                                                                 \
	"\nWithout --repair it only reads, and may run beside everything else. A run that was stopped is continued by the\n" \
	"same command within 7 days. Exit code 3 where something is damaged or missing.\n\n"                                 \
	"Example:\n  sstablefs -r /srv/backups verify 20261122T104200Z\n"

#define GC_HELP                                                                                                                       \
	"  --cluster C, --node N   only these (default: every node of the only cluster)\n"                                            \
	"  --full               look at every key, also what backups left whose record is gone\n"                                     \
	"  --dry-run            say what would be condemned; write nothing\n"                                                         \
	"  --fence-after AGE    a backup or reader that has not been heard of for so long, by the store's clock, is ended\n"          \
	"                       (default 24h; a number and s, m, h, d, w or y)\n" LIMITS_HELP                                         \
	"\nWhat no backup reaches is condemned first, and deleted once every backup that was being made then has ended. Any number\n" \
	"may run at once, beside backups and mounts. Exit code 3: something waits, or could not be read (then nothing of that\n"      \
	"node is deleted).\n\n"                                                                                                       \
	"Example:\n  sstablefs -r s3://backups gc --dry-run\n"

#define DELETE_HELP                                                                                                                         \
	"  --cluster C, --node N   only these (default: every node of the cluster)\n"                                                       \
	"  --force                 also the newest complete backup of a node\n\n"                                                           \
	"Takes backups from sight at once; gc frees later what no other backup needs. Names are whole names. Of several names those that\n" \
	"exist are removed; exit code 4 where one does not. A backup that is not finished is left alone (exit code 3; 4 where no\n"         \
	"node has finished it).\n\n"                                                                                                        \
	"Example:\n  sstablefs -r s3://backups delete 20261122T104200Z\n"

#define PURGE_HELP                                                                                                                      \
	"  --keep-last N           the newest N backups of each node\n"                                                                 \
	"  --keep-daily N          the newest backup of each of the newest N days that have one; likewise\n"                            \
	"  --keep-weekly N, --keep-monthly N\n"                                                                                         \
	"  --older-than AGE        only what is older may go (30d, 12h, 2w, 1y); without --keep-… all of that\n"                      \
	"  --dry-run               say what would be kept, and why, and what would go; write nothing\n"                                 \
	"  --force                 also the newest complete backup of a node\n"                                                         \
	"  --fence-after AGE       as of gc\n"                                                                                          \
	"  --cluster C, --node N   only these\n" LIMITS_HELP "\n"                                                                       \
	"Rules add up. Days, weeks and months are UTC, by the store's time, for each node by itself; a name that is kept on one node\n" \
	"is kept on all. What goes is then collected, as by gc. Defaults come from [purge] of the configuration.\n\n"                   \
	"Example:\n  sstablefs -r s3://backups purge --keep-daily 7 --keep-weekly 5 --keep-monthly 12 --dry-run\n"

#define DOCTOR_HELP                                                                                      \
	"  --cluster C, --node N   whose part of the repository is used to try conditional requests\n\n" \
	"Example:\n  sstablefs -r s3://backups doctor --cluster prod --node n1\n"

#endif
