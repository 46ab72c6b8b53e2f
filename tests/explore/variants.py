# SPDX-License-Identifier: Apache-2.0
"""Each broken variant of the deletion protocol (variants/*.patch) must be caught by the explorer.

    tests/explore/variants.py DIRECTORY-OF-THE-EXPLORERS [--schedules N] [--jobs J]

The line "Seed: N" of a patch names a seed near which it was caught before: the search begins there, so that it takes seconds as long as
the product makes the same requests, and some minutes when it does not.
"""
import argparse
import concurrent.futures
import pathlib
import re
import subprocess
import sys

PATCHES = sorted((pathlib.Path(__file__).parent / "variants").glob("*.patch"))


def search(explorer, first, schedules):
    run = subprocess.run([explorer, "--first", str(first), "--schedules", str(schedules)], capture_output=True, text=True, check=False)
    failed = re.search(r"^seed (\d+) failed: (.*)$", run.stdout, re.M)
    if run.returncode == 0 or not failed:
        return None, f"not caught in {schedules} schedules (exit code {run.returncode})\n{run.stderr}"
    return int(failed[1]), failed[2]


def try_one(patch, folder, schedules):
    seed = int(re.search(r"^Seed: (\d+)$", patch.read_text(), re.M)[1])
    found, why = search(folder / f"explore_{patch.stem}", seed, schedules)
    return patch.stem, found, (found - seed + 1 if found else 0), why


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=pathlib.Path)
    arguments.add_argument("--schedules", type=int, default=100000)
    arguments.add_argument("--jobs", type=int, default=2)
    o = arguments.parse_args()
    missed = 0
    with concurrent.futures.ThreadPoolExecutor(o.jobs) as pool:
        for name, found, count, why in pool.map(lambda p: try_one(p, o.folder, o.schedules), PATCHES):
            print(f"{name}: {f'caught after {count} schedules, seed {found}: ' if found else 'MISSED: '}{why[:150]}")
            missed += not found
    print(f"{len(PATCHES)} broken variants, {missed} missed")
    return 1 if missed or not PATCHES else 0


if __name__ == "__main__":
    sys.exit(main())
