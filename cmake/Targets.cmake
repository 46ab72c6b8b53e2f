# SPDX-License-Identifier: Apache-2.0
# How the folders describe what they build. Paths are relative to the calling CMakeLists.txt.
#
# ssfs_library(base SOURCES err.c log.c LINK dep::crypto)
#     A static library ssfs_base. LINK: libraries of ours (ssfs_base) and third-party ones (dep::*, cmake/Dependencies.cmake).
# ssfs_program(sstablefs SOURCES main.c LINK ssfs_fs)
#     An executable.
# ssfs_unit_test(test_err SOURCES test_err.c LINK ssfs_base [LABEL unit] [ARGS ...] [TIMEOUT 120])
#     A Criterion executable and a ctest of that name. Not built with TSan (Criterion does not start there) nor for fuzzing.
# ssfs_stress_test(stress_pool SOURCES stress_pool.c LINK ssfs_base [ARGS ...] [TIMEOUT 120])
#     A program with a main of its own and a ctest labelled stress: in every build but fuzz, meant for TSan. Exit 0 is success.
# ssfs_fuzz_target(fuzz_head SOURCES fuzz_head.c LINK ssfs_catalog)
#     LLVMFuzzerTestOneInput. With SSTABLEFS_FUZZ a libFuzzer program; in other builds one that replays tests/fuzz/corpus/fuzz_head/
#     under ctest (label fuzz). A target without one corpus file fails.

set(SSFS_INCLUDE_DIRS "${PROJECT_SOURCE_DIR}" "${PROJECT_BINARY_DIR}/generated")
set(SSFS_TEST_ENVIRONMENT
	"ASAN_OPTIONS=abort_on_error=1:detect_leaks=1:strict_string_checks=1"
	"UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:abort_on_error=1"
	"TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions=${PROJECT_SOURCE_DIR}/cmake/tsan.supp"
	"SSTABLEFS_SOURCE_DIR=${PROJECT_SOURCE_DIR}")

function(ssfs_library name)
	cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK")
	add_library(ssfs_${name} STATIC ${arg_SOURCES})
	target_include_directories(ssfs_${name} PUBLIC ${SSFS_INCLUDE_DIRS})
	target_link_libraries(ssfs_${name} PUBLIC ${arg_LINK} dep::threads)
endfunction()

function(ssfs_program name)
	cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK")
	add_executable(${name} ${arg_SOURCES})
	target_include_directories(${name} PRIVATE ${SSFS_INCLUDE_DIRS})
	target_link_libraries(${name} PRIVATE ${arg_LINK} dep::threads)
endfunction()

# ssfs_add_test(<name> <label> <timeout> <command>...)
function(ssfs_add_test name label timeout)
	add_test(NAME ${name} COMMAND ${ARGN})
	set_tests_properties(${name} PROPERTIES LABELS "${label}" ENVIRONMENT "${SSFS_TEST_ENVIRONMENT}"
		TIMEOUT "${timeout}")
endfunction()

function(ssfs_unit_test name)
	cmake_parse_arguments(PARSE_ARGV 1 arg "" "LABEL;TIMEOUT" "SOURCES;LINK;ARGS")
	if(NOT TARGET dep::criterion)
		return()
	endif()
	if(NOT arg_LABEL)
		set(arg_LABEL unit)
	endif()
	if(NOT arg_TIMEOUT)
		set(arg_TIMEOUT 120)
	endif()
	ssfs_program(${name} SOURCES ${arg_SOURCES} LINK ${arg_LINK} dep::criterion)
	# Criterion's own macros: nested externs, missing prototypes.
	target_compile_options(${name} PRIVATE -Wno-missing-prototypes -Wno-missing-declarations
		-Wno-nested-externs -Wno-redundant-decls)
	# Its assertions are long macros, instrumented at each step: to optimise these as what they test costs more time than they run.
	if(SSTABLEFS_SANITIZE)
		target_compile_options(${name} PRIVATE -O1)
	endif()
	ssfs_add_test(${name} ${arg_LABEL} ${arg_TIMEOUT} ${name} ${arg_ARGS})
endfunction()

function(ssfs_stress_test name)
	cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "SOURCES;LINK;ARGS")
	if(NOT arg_TIMEOUT)
		set(arg_TIMEOUT 120)
	endif()
	if(SSTABLEFS_FUZZ)
		return()
	endif()
	ssfs_program(${name} SOURCES ${arg_SOURCES} LINK ${arg_LINK})
	# setarch -R: TSan's shadow memory does not fit every randomised address layout.
	if(SSTABLEFS_SANITIZE MATCHES "thread")
		ssfs_add_test(${name} stress ${arg_TIMEOUT} setarch -R $<TARGET_FILE:${name}> ${arg_ARGS})
	else()
		ssfs_add_test(${name} stress ${arg_TIMEOUT} ${name} ${arg_ARGS})
	endif()
endfunction()

function(ssfs_fuzz_target name)
	cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK")
	if(SSTABLEFS_FUZZ)
		ssfs_program(${name} SOURCES ${arg_SOURCES} LINK ${arg_LINK})
		target_link_options(${name} PRIVATE -fsanitize=fuzzer)
		set_property(GLOBAL APPEND PROPERTY SSFS_FUZZ_TARGETS ${name})
	else()
		ssfs_program(${name} SOURCES ${arg_SOURCES} "${PROJECT_SOURCE_DIR}/cmake/fuzz_replay.c"
			LINK ${arg_LINK})
		ssfs_add_test(${name} fuzz 120 ${name} "${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name}")
	endif()
	target_compile_options(${name} PRIVATE -Wno-missing-prototypes -Wno-missing-declarations)
	set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/fuzz")
endfunction()
