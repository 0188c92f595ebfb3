# Warnings, sanitizers and the compiler cache: what every target of the project is compiled with.

find_program(TEPAL_CCACHE ccache)
if(TEPAL_CCACHE)
  # One cache for every checkout: what is below it is named relative to it.
  set(TEPAL_CCACHE ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 CCACHE_DEPEND=1
    CCACHE_SLOPPINESS=pch_defines,time_macros ${TEPAL_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${TEPAL_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${TEPAL_CCACHE})
endif()

add_library(tepal_compile INTERFACE)
target_include_directories(tepal_compile INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(tepal_compile INTERFACE -pthread)
target_compile_options(tepal_compile INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Wnon-virtual-dtor -Werror
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict -Wno-maybe-uninitialized>)
if(TEPAL_SANITIZE)
  target_compile_options(tepal_compile INTERFACE -fsanitize=${TEPAL_SANITIZE} -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  target_link_options(tepal_compile INTERFACE -fsanitize=${TEPAL_SANITIZE})
endif()
if(TEPAL_FUZZERS)
  # Coverage for libFuzzer, without its main.
  target_compile_options(tepal_compile INTERFACE -fsanitize=fuzzer-no-link)
endif()
