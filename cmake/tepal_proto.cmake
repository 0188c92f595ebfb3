# tepal_proto_library(<target> <file.proto>... [ROOT <folder>] [LINKS <target>...])
#
# C++ from .proto files under src/, or another folder, generated into the build folder and compiled without the project's
# warnings and sanitizers: it is not our code. Include as "core/proto/x.pb.h".

set(TEPAL_PROTO_DIR ${CMAKE_BINARY_DIR}/generated)

function(tepal_proto_library target)
  cmake_parse_arguments(PROTO "" "ROOT" "LINKS" ${ARGN})
  set(root ${CMAKE_SOURCE_DIR}/src)
  if(PROTO_ROOT)
    set(root ${PROTO_ROOT})
  endif()
  set(generated)
  foreach(file ${PROTO_UNPARSED_ARGUMENTS})
    string(REGEX REPLACE "\\.proto$" "" stem ${file})
    set(outputs ${TEPAL_PROTO_DIR}/${stem}.pb.h ${TEPAL_PROTO_DIR}/${stem}.pb.cc)
    add_custom_command(OUTPUT ${outputs}
      COMMAND ${CMAKE_COMMAND} -E make_directory ${TEPAL_PROTO_DIR}
      COMMAND protobuf::protoc --cpp_out=${TEPAL_PROTO_DIR} -I${root} ${file}
      DEPENDS ${root}/${file}
      COMMENT "Generating ${stem}.pb.cc"
      VERBATIM)
    list(APPEND generated ${outputs})
  endforeach()
  add_library(${target} STATIC ${generated})
  target_compile_options(${target} PRIVATE -w)
  # Generated headers would warn in whoever includes them.
  target_include_directories(${target} SYSTEM PUBLIC ${TEPAL_PROTO_DIR})
  target_link_libraries(${target} PUBLIC protobuf::libprotobuf ${PROTO_LINKS})
  # Under ThreadSanitizer protobuf's headers lay maps out differently than the installed library does.
  if(TEPAL_SANITIZE STREQUAL "thread")
    target_compile_options(${target} INTERFACE -U__SANITIZE_THREAD__)
  endif()
endfunction()

# tepal_proto_descriptors(<target> <file.proto>...)
#
# What the files say, with all that they import, as the data behind core/proto/descriptors.h.
function(tepal_proto_descriptors target)
  set(set_file ${TEPAL_PROTO_DIR}/${target}.pb)
  set(source ${TEPAL_PROTO_DIR}/${target}.cc)
  set(embed ${CMAKE_SOURCE_DIR}/cmake/embed_descriptors.cmake)
  file(GLOB every_proto CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/core/proto/*.proto)
  add_custom_command(OUTPUT ${source}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${TEPAL_PROTO_DIR}
    COMMAND protobuf::protoc --descriptor_set_out=${set_file} --include_imports
      -I${CMAKE_SOURCE_DIR}/src ${ARGN}
    COMMAND ${CMAKE_COMMAND} -DSET=${set_file} -DOUTPUT=${source} -P ${embed}
    DEPENDS ${every_proto} ${embed}
    COMMENT "Generating ${target}.cc"
    VERBATIM)
  add_library(${target} STATIC ${source})
  target_include_directories(${target} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(${target} PRIVATE tepal_compile)
endfunction()

if(TEPAL_TESTS)
  # Exit 77: the published client is not on this machine (tools/setup test fetches it).
  add_test(NAME wire_descriptors COMMAND ${CMAKE_SOURCE_DIR}/test/wire/compare_descriptors.py)
  set_tests_properties(wire_descriptors PROPERTIES SKIP_RETURN_CODE 77)
endif()
