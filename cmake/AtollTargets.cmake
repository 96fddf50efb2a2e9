# SPDX-License-Identifier: Apache-2.0
# How targets are made here: one static library a folder, programs in build/bin, one test program
# for each file under tests/.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_VERIFY_INTERFACE_HEADER_SETS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

# Enough for backtraces and profiles; all of -g takes the compiler half as long again.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")

set(ATOLL_SANITIZE "" CACHE STRING "address,undefined or thread")
add_compile_options(-Wall -Wextra -Werror -Wno-unused-parameter
                    -Wno-missing-field-initializers -fno-omit-frame-pointer)
if(ATOLL_SANITIZE)
  add_compile_options(-fsanitize=${ATOLL_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${ATOLL_SANITIZE})
endif()
option(ATOLL_FUZZ "Build the libFuzzer targets of tests/fuzz (clang)" OFF)
if(ATOLL_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_link_options(-fuse-ld=lld)
endif()
include_directories(${CMAKE_SOURCE_DIR})

# What nearly all sources include, read once for all of them. No source may rely on it: builds with
# sanitizers, and the check that headers compile alone, go without.
option(ATOLL_PCH "Precompile what nearly all sources include" ON)
if(ATOLL_SANITIZE OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  set(ATOLL_PCH OFF)
endif()

# atoll_precompiled(NAME HEADERS headers... [DEPENDS targets...] [OPTIONS options...])
function(atoll_precompiled name)
  cmake_parse_arguments(ARG "" "" "HEADERS;DEPENDS;OPTIONS" ${ARGN})
  if(NOT ATOLL_PCH)
    return()
  endif()
  file(WRITE ${CMAKE_BINARY_DIR}/${name}.cc "")
  add_library(${name} OBJECT ${CMAKE_BINARY_DIR}/${name}.cc)
  # Without its time the result is the same each time, as ccache needs it.
  target_compile_options(${name} PRIVATE ${ARG_OPTIONS} "SHELL:-Xclang -fno-pch-timestamp")
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS})
  target_precompile_headers(${name} PRIVATE ${ARG_HEADERS})
endfunction()

# atoll_use_precompiled(TARGET NAME)
function(atoll_use_precompiled target name)
  if(ATOLL_PCH)
    target_precompile_headers(${target} REUSE_FROM ${name})
  endif()
endfunction()

# atoll_library(NAME [DEPENDS targets...]): every .cc of this folder, and its headers as a file set
# that must compile alone.
function(atoll_library name)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *.cc)
  file(GLOB headers CONFIGURE_DEPENDS *.h)
  list(FILTER sources EXCLUDE REGEX "_main\\.cc$")
  add_library(${name} STATIC ${sources})
  target_sources(${name} PUBLIC FILE_SET HEADERS BASE_DIRS ${CMAKE_SOURCE_DIR} FILES ${headers})
  target_link_libraries(${name} PUBLIC ${ARG_DEPENDS})
  atoll_use_precompiled(${name} atoll_pch)
endfunction()

# atoll_program(NAME SOURCE [DEPENDS targets...]): build/bin/NAME.
function(atoll_program name source)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS})
endfunction()

# atoll_tests(PREFIX [DEPENDS targets...] [LABEL label] [TIMEOUT s]): one program for each *_test.cc
# of this folder, one ctest entry a program. These sources are not optimised, for that is most of the
# time that it takes to build everything; what they test is, as are libraries for tests.
function(atoll_tests prefix)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "DEPENDS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  file(GLOB sources CONFIGURE_DEPENDS *_test.cc)
  foreach(source ${sources})
    get_filename_component(stem ${source} NAME_WE)
    set(target ${prefix}_${stem})
    add_executable(${target} ${source})
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    target_compile_options(${target} PRIVATE -O0 -g1)
    target_link_libraries(${target} PRIVATE ${ARG_DEPENDS} GTest::gtest GTest::gmock GTest::gtest_main)
    atoll_use_precompiled(${target} atoll_tests_pch)
    add_test(NAME ${target} COMMAND ${target})
    set_tests_properties(${target} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT})
  endforeach()
endfunction()

# Every folder below this one that has a CMakeLists.txt.
macro(atoll_subdirectories)
  file(GLOB lists CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*/CMakeLists.txt)
  foreach(list ${lists})
    get_filename_component(folder ${list} DIRECTORY)
    add_subdirectory(${folder})
  endforeach()
endmacro()
