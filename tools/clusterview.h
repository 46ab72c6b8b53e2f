/* SPDX-License-Identifier: Apache-2.0 */
/* What is shown of a run on many hosts: all of them in one view on a terminal, else lines; failures always. */
#ifndef SSTABLEFS_TOOLS_CLUSTERVIEW_H
#define SSTABLEFS_TOOLS_CLUSTERVIEW_H

#include "tools/lead.h"

struct clusterview {
	struct cli *cli;
	bool terminal, lines; /* one of them, or none */
	size_t drawn;	      /* lines of the view that stand on the terminal */
	bool told;	      /* that the hosts are waited for */
	char *later;	      /* lines that wait until standard error takes them */
	size_t later_len, later_cap;
	int64_t begun_ms, shown_ms; /* the last time */
};

void clusterview_init(struct clusterview *v, struct cli *cli);
struct lead_sink clusterview_sink(struct clusterview *v);
/* Takes the view from the terminal. */
void clusterview_deinit(struct clusterview *v);

#endif
