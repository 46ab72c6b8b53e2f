/* SPDX-License-Identifier: Apache-2.0 */
/* --version: the program, the format versions, the libraries it was built with. */
#ifndef SSTABLEFS_TOOLS_VERSIONS_H
#define SSTABLEFS_TOOLS_VERSIONS_H

int versions_print(void); /* an exit code */

#endif
