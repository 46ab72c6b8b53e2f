# SPDX-License-Identifier: Apache-2.0
# Third-party libraries, as targets dep::<name>. Link each only where ARCHITECTURE allows its header:
#   dep::crypto dep::xxhash dep::zstd dep::inih dep::jansson   base (jansson also catalog, cassandra, tools)
#   dep::curl dep::expat   store        dep::lmdb   cache        dep::fuse3   fs
#   dep::threads   anywhere             dep::systemd   tools, only if(TARGET dep::systemd)
#   dep::criterion   tests (ssfs_unit_test links it)

find_package(PkgConfig REQUIRED)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
add_library(dep::threads ALIAS Threads::Threads)

# ssfs_dependency(<name> <pkg-config module and version>)
function(ssfs_dependency name module)
	pkg_check_modules(${name} REQUIRED IMPORTED_TARGET GLOBAL ${module})
	add_library(dep::${name} ALIAS PkgConfig::${name})
endfunction()

ssfs_dependency(fuse3 "fuse3>=3.14")
ssfs_dependency(curl "libcurl>=7.88")
ssfs_dependency(crypto "libcrypto>=3.0")
ssfs_dependency(lmdb "lmdb>=0.9.24")
ssfs_dependency(zstd "libzstd>=1.5")
ssfs_dependency(xxhash "libxxhash>=0.8.0")
ssfs_dependency(jansson "jansson>=2.13")
ssfs_dependency(inih "inih")
ssfs_dependency(expat "expat")
if(SSTABLEFS_TESTS AND NOT SSTABLEFS_SANITIZE MATCHES "thread" AND NOT SSTABLEFS_FUZZ)
	ssfs_dependency(criterion "criterion>=2.4")
endif()
pkg_check_modules(systemd IMPORTED_TARGET GLOBAL "libsystemd")
if(systemd_FOUND)
	add_library(dep::systemd ALIAS PkgConfig::systemd)
endif()
