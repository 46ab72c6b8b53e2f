/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/versions.h"

#include <stdio.h>
#include "base/version.h"
#include "catalog/format.h"

int versions_print(void)
{
	printf("sstablefs %s\nrepository format %d\nbuilt with %s\n", SSTABLEFS_VERSION,
	       FORMAT_VERSION, SSTABLEFS_LIBRARIES);
	return fflush(stdout) == 0 ? 0 : 1;
}
