# Builds web/dashboard.html into the balancer, so that the program is one file.

if(TARGET tepal_load_balancer)
  set(page ${CMAKE_SOURCE_DIR}/web/dashboard.html)
  set(embedded ${CMAKE_BINARY_DIR}/generated/dashboard_page.cc)
  add_custom_command(
    OUTPUT ${embedded}
    COMMAND ${CMAKE_COMMAND} -DPAGE=${page} -DOUTPUT=${embedded}
            -P ${CMAKE_SOURCE_DIR}/cmake/embed_page.cmake
    DEPENDS ${page} ${CMAKE_SOURCE_DIR}/cmake/embed_page.cmake
    VERBATIM)
  target_sources(tepal_load_balancer PRIVATE ${embedded})
endif()
