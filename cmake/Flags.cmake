# SPDX-License-Identifier: Apache-2.0
# Compiler and linker flags of every target of the project.

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
	set(CMAKE_BUILD_TYPE Debug CACHE STRING "Debug, Release or RelWithDebInfo" FORCE)
endif()

# Assertions stay on: a broken invariant must end a backup, not go into it.
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")

add_compile_definitions(_GNU_SOURCE _FILE_OFFSET_BITS=64)

# Callbacks of a vtable implement its whole signature: unused parameters are no finding.
add_compile_options(
	-Wall -Wextra -Werror -Wno-unused-parameter
	-Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wmissing-declarations
	-Wold-style-definition -Wpointer-arith -Wcast-qual -Wwrite-strings -Wformat=2 -Wvla
	-Wundef -Wimplicit-fallthrough -Wredundant-decls -Wnested-externs
	-fstack-protector-strong)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
	add_compile_options(-Wlogical-op -Wduplicated-cond -Wjump-misses-init -Wstrict-aliasing=2)
endif()
set(ssfs_sanitize "${SSTABLEFS_SANITIZE}")
if(SSTABLEFS_FUZZ)
	if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
		message(FATAL_ERROR "SSTABLEFS_FUZZ needs clang (libFuzzer): set CMAKE_C_COMPILER=clang")
	endif()
	if(NOT ssfs_sanitize)
		set(ssfs_sanitize "address,undefined")
	endif()
	add_compile_options(-fsanitize=fuzzer-no-link)
	add_compile_definitions(FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION)
endif()
if(ssfs_sanitize)
	add_compile_options(-fsanitize=${ssfs_sanitize} -fno-sanitize-recover=all -fno-omit-frame-pointer)
	add_link_options(-fsanitize=${ssfs_sanitize})
	# Sanitizers make gcc report paths that cannot be taken. Where a variable lies at each instruction is for a debugger alone, and up to a quarter of
	# the time to compile what they have instrumented.
	if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
		add_compile_options(-Wno-maybe-uninitialized -Wno-stringop-overflow -Wno-stringop-truncation
			-Wno-format-truncation -fno-var-tracking)
	endif()
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
	# Sanitizers and fortified functions do not go together.
	add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
	add_link_options(-Wl,-z,relro,-z,now)
endif()
