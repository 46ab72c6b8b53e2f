/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>
#include "base/util.h"
#include "tools/dirusers.h"

static const char host[] = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
			   "23 22 0:21 / /proc rw - proc proc rw\n"
			   "40 22 8:17 / /srv rw - ext4 /dev/sdb1 rw\n"
			   "41 22 8:17 /cassandra/data /mnt/a\\040b rw - ext4 /dev/sdb1 rw\n"
			   "42 22 8:17 /cassandra/data/shop /mnt/shop rw - ext4 /dev/sdb1 rw\n"
			   "no line\n"
			   "43 22 8:17 /cassandra/database /mnt/other rw - ext4 /dev/sdb1 rw\n";

static const char container[] = "80 70 0:50 / / rw - overlay overlay rw\n"
				"81 80 8:17 /cassandra /var/lib/cassandra rw - ext4 /dev/sdb1 rw\n"
				"82 80 8:18 / /srv rw - ext4 /dev/sdc1 rw\n";

static bool place_is(const char *path, unsigned minor, const char *inside)
{
	struct dirusers_place place;
	bool found = dirusers_place(host, path, &place) && place.major == 8 &&
		     place.minor == minor && strcmp(place.inside, inside) == 0;

	free(place.inside);
	return found;
}

Test(dirusers, a_directory_is_known_by_its_place_in_its_file_system)
{
	struct dirusers_place none;

	cr_expect(place_is("/var/lib", 1, "/var/lib"));
	cr_expect(place_is("/srv", 17, ""));
	cr_expect(place_is("/srv/cassandra/data", 17, "/cassandra/data"));
	cr_expect(place_is("/srvx", 1, "/srvx"));
	cr_expect(place_is("/mnt/a b/shop", 17, "/cassandra/data/shop"));
	cr_expect_not(dirusers_place("", "/srv", &none));
}

static void seen_at(const char *mountinfo, const char *inside, const char *const *paths)
{
	struct dirusers_place place = { 8, 17, (char *)(size_t)inside };
	char *found[DIRUSERS_PATHS_MAX];
	size_t count = dirusers_paths(mountinfo, &place, found);

	for (size_t i = 0; i < count; i++) {
		cr_expect(paths[i] && strcmp(found[i], paths[i]) == 0, "%s: %s", inside, found[i]);
		free(found[i]);
	}
	cr_expect_null(paths[count], "%s: %s", inside, paths[count]);
}

Test(dirusers, it_is_found_wherever_it_or_a_part_of_it_is_mounted)
{
	seen_at(host, "/cassandra/data",
		(const char *[]){ "/srv/cassandra/data", "/mnt/a b", "/mnt/shop", NULL });
	seen_at(container, "/cassandra/data", (const char *[]){ "/var/lib/cassandra/data", NULL });
	seen_at(container, "/other", (const char *[]){ NULL });
	seen_at(container, "", (const char *[]){ "/var/lib/cassandra", NULL });
}
