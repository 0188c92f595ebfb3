# Builds web/ into the balancer, so that the program is one file.

if(TARGET tepal_load_balancer)
  set(web ${CMAKE_SOURCE_DIR}/web)
  file(GLOB pages CONFIGURE_DEPENDS ${web}/*.html ${web}/*.css ${web}/*.js)
  set(embedded ${CMAKE_BINARY_DIR}/generated/dashboard_page.cc)
  add_custom_command(
    OUTPUT ${embedded}
    COMMAND ${CMAKE_COMMAND} -DFOLDER=${web} -DOUTPUT=${embedded}
            -P ${CMAKE_SOURCE_DIR}/cmake/embed_page.cmake
    DEPENDS ${pages} ${CMAKE_SOURCE_DIR}/cmake/embed_page.cmake
    VERBATIM)
  target_sources(tepal_load_balancer PRIVATE ${embedded})
endif()
