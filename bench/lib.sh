# SPDX-License-Identifier: Apache-2.0
# What the benchmarks with real Cassandra need: sourced. Sets PYTHON, SSTABLEFS_BINARY, SSTABLEFS_MINIO and PYTHONPATH.
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/lib.sh"

apt_install "${PACKAGES_CASSANDRA[@]}" fuse3
fetch_cassandra
make_venv tests "$SRC/tests/requirements.txt"
PYTHON=$VENV/bin/python
export PATH=$VENV/bin:$PATH PYTHONPATH=$SRC/tests:$SRC/tests/cassandra:$SRC/tests/system PYTHONDONTWRITEBYTECODE=1
if [[ ! ${SSTABLEFS_MINIO:-} ]]; then
	build_minio
	export SSTABLEFS_MINIO=$MINIO
fi
if [[ ! ${SSTABLEFS_BINARY:-} ]]; then
	apt_install "${PACKAGES_BUILD[@]}"
	build_preset release
	export SSTABLEFS_BINARY=$SRC/build/release/tools/sstablefs
fi
