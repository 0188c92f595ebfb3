# Precompiled headers, for builds that ask for them (TEPAL_PRECOMPILED): the standard library for rooms, and
# GoogleTest on top for tests. They halve the time of a sanitizer's build; the release build goes without, so
# that a file which forgets an #include is found there.

option(TEPAL_PRECOMPILED "Precompile the standard library and GoogleTest" OFF)

set(standard_headers <algorithm> <array> <atomic> <chrono> <condition_variable> <cstdint> <cstring> <deque> <functional> <map>
  <memory> <mutex> <optional> <set> <span> <string> <string_view> <thread> <unordered_map> <utility> <variant> <vector>)
if(TEPAL_PRECOMPILED)
  set(nothing ${CMAKE_BINARY_DIR}/generated/nothing.cc)
  file(CONFIGURE OUTPUT ${nothing} CONTENT "")
  foreach(kind rooms tests)
    add_library(precompiled_${kind} OBJECT ${nothing})
    target_link_libraries(precompiled_${kind} PRIVATE tepal_compile)
    target_compile_options(precompiled_${kind} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
  endforeach()
  target_precompile_headers(precompiled_rooms PRIVATE ${standard_headers})
  if(TEPAL_TESTS)
    target_link_libraries(precompiled_tests PRIVATE GTest::gmock)
    target_compile_options(precompiled_tests PRIVATE -O0 -fPIE)
    target_precompile_headers(precompiled_tests PRIVATE ${standard_headers} <gmock/gmock.h> <gtest/gtest.h>)
  endif()
endif()

# tepal_precompiled(<target> rooms|tests)
function(tepal_precompiled target kind)
  if(TEPAL_PRECOMPILED)
    target_compile_options(${target} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
    target_precompile_headers(${target} REUSE_FROM precompiled_${kind})
  endif()
endfunction()
