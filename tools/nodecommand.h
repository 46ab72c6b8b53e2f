/* SPDX-License-Identifier: Apache-2.0 */
/* Stopping and starting this host's Cassandra, and whether it runs: by who uses its directories. */
#ifndef SSTABLEFS_TOOLS_NODECOMMAND_H
#define SSTABLEFS_TOOLS_NODECOMMAND_H

#include "cassandra/nodejournal.h"
#include "tools/cli.h"

enum nodecommand { NODECOMMAND_STOP, NODECOMMAND_START };

/* stop_command or start_command of [cassandra], else systemctl. */
const char *nodecommand_text(const struct cli *cli, enum nodecommand which);
/* Whether that program is there: 0, or ERR_USAGE saying what to set. */
int nodecommand_check(const struct cli *cli, enum nodecommand which, struct err *e);
/* Runs it: no shell, words are parted by blanks. */
int nodecommand_run(struct cli *cli, enum nodecommand which, int timeout_ms, struct err *e);
/* The file that is run for a program, which is looked for in PATH where it has no slash: a new string, or NULL. */
char *nodecommand_find(const char *program);
bool nodecommand_exists(const char *program);

/* Whether this process, or one that it was started from, stands in one of the places: it would be waited for in vain, with Cassandra stopped, or taken for Cassandra. 0; -EBUSY (ERR_CONFLICT) saying who is where. */
int nodecommand_check_own(const struct nodejournal *j, struct err *e);
#define NODECOMMAND_USERS_BYTES 512
/* Other processes that have something open in one of the places: "123 (java)"; "" where none is seen. Whether one of them has it at the same path, as none of a container may. */
bool nodecommand_users(const struct nodejournal *j, char out[NODECOMMAND_USERS_BYTES]);
/* Whether the restore has started Cassandra, and none is seen that runs. */
bool nodecommand_has_stopped(const struct nodejournal *j);
/* Waits until there is none. -ETIMEDOUT (ERR_CONFLICT) naming them; -ECANCELED. */
int nodecommand_await_unused(struct cli *cli, const struct nodejournal *j, int64_t timeout_ms,
			     struct err *e);

#endif
