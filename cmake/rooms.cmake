# The rooms of Tepal: what each stands on. A room may include only what it stands on, directly or
# through others; tools/tidy reads this table and checks every #include against it.
#
#          house/room                      may include                         third parties

# 0
tepal_room(core/base)
# 1
tepal_room(core/env                STANDS_ON base)
tepal_room(core/buffer             STANDS_ON base)
if(TEPAL_TESTS)
  tepal_room(../sim                STANDS_ON env)  # Included as "sim/...", by tests alone.
  target_include_directories(tepal_sim PUBLIC ${CMAKE_SOURCE_DIR})
endif()
tepal_proto_library(tepal_proto_model_config core/proto/model_config.proto)
tepal_proto_library(tepal_proto_kubelet core/proto/kubelet_device_plugin.proto core/proto/kubelet_pod_resources.proto)
tepal_proto_descriptors(tepal_proto_descriptors core/proto/inference.proto core/proto/health.proto
  core/proto/reflection.proto core/proto/reflection_v1alpha.proto)
tepal_room(core/proto              STANDS_ON base                        LINKS tepal_proto_model_config)
tepal_room(core/options            STANDS_ON base                        LINKS PkgConfig::yaml)
tepal_room(core/json               STANDS_ON base                        LINKS PkgConfig::simdjson)
# 2
tepal_room(serving/tensor          STANDS_ON buffer)
tepal_room(network/http            STANDS_ON buffer env                      LINKS PkgConfig::nghttp2 ZLIB::ZLIB)
tepal_room(core/telemetry          STANDS_ON env)
# 3
tepal_room(network/net             STANDS_ON http env telemetry          LINKS OpenSSL::SSL)
tepal_room(core/gpu                STANDS_ON buffer env telemetry         LINKS ${CMAKE_DL_LIBS})
tepal_room(serving/model_config    STANDS_ON tensor proto json)
tepal_room(serving/inference       STANDS_ON tensor telemetry)
# 4
tepal_room(serving/kserve_wire     STANDS_ON json)
tepal_room(serving/kserve          STANDS_ON inference model_config http proto json)
tepal_room(serving/shared_memory   STANDS_ON inference env gpu)
tepal_room(serving/image           STANDS_ON tensor                      LINKS PkgConfig::jpeg PkgConfig::png)
tepal_room(serving/repository      STANDS_ON model_config env)
tepal_room(serving/scheduling      STANDS_ON inference model_config)
tepal_room(serving/backend         STANDS_ON inference model_config gpu  LINKS ${CMAKE_DL_LIBS} -Wl,--export-dynamic-symbol=TRITON*)
tepal_room(scaling/autoscaling     STANDS_ON telemetry)
tepal_room(network/kube            STANDS_ON net json options)
tepal_room(partitioning/mig        STANDS_ON gpu options json)
# 5
tepal_room(serving/lifecycle       STANDS_ON repository scheduling backend)
tepal_room(balancing/load_balancer STANDS_ON net kserve_wire json        LINKS PkgConfig::re2)
tepal_room(serving/client          STANDS_ON net kserve image)
tepal_room(partitioning/node_agent STANDS_ON mig kube proto              LINKS tepal_proto_kubelet)
# 6
tepal_room(serving/server_core     STANDS_ON lifecycle)
tepal_room(balancing/discovery     STANDS_ON load_balancer kube)
tepal_room(balancing/gateway       STANDS_ON discovery options)
tepal_room(balancing/nginx_conf    STANDS_ON gateway)
tepal_room(scaling/custom_metrics  STANDS_ON kube autoscaling          LINKS PkgConfig::re2)
# 7
tepal_room(serving/frontend        STANDS_ON server_core kserve kserve_wire net shared_memory LINKS tepal_proto_descriptors PkgConfig::re2)
tepal_room(apps/diagnosis          STANDS_ON custom_metrics nginx_conf model_config options json)
tepal_room(apps/supervisor         STANDS_ON load_balancer autoscaling mig options json)
# 8
tepal_room(core/runtime            STANDS_ON env telemetry               LINKS Threads::Threads)
# 9
tepal_room(apps/commands           STANDS_ON runtime options frontend gateway nginx_conf supervisor client mig node_agent custom_metrics diagnosis)

# The whole-platform simulation puts the batcher beside the balancer and the supervisor.
if(TARGET tepal_supervisor_test)
  target_link_libraries(tepal_supervisor_test PRIVATE tepal_scheduling)
endif()

# A driver of GPUs with no GPU behind it; tests open it in place of the real one.
if(TARGET tepal_gpu_test)
  add_library(fake_cuda SHARED ${CMAKE_SOURCE_DIR}/test/fake_cuda/fake_cuda.cc)
  target_link_libraries(fake_cuda PRIVATE tepal_compile)
  # Without a name of its own, so that a test which opened it by its path still finds no driver.
  set_target_properties(fake_cuda PROPERTIES PREFIX "" OUTPUT_NAME libcuda SUFFIX .so.1 NO_SONAME ON
    LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib/fake_cuda)
  add_custom_command(TARGET fake_cuda POST_BUILD VERBATIM
    COMMAND ${CMAKE_COMMAND} -E create_symlink libcuda.so.1 libnvidia-ml.so.1
    WORKING_DIRECTORY ${CMAKE_BINARY_DIR}/lib/fake_cuda)
  foreach(room gpu shared_memory backend)
    add_dependencies(tepal_${room}_test fake_cuda)
    target_compile_definitions(tepal_${room}_test
      PRIVATE TEPAL_FAKE_CUDA="$<TARGET_FILE:fake_cuda>")
  endforeach()
endif()

# A machine of GPUs that can be partitioned, for tests of those who partition them.
if(TARGET tepal_mig_test)
  target_link_libraries(tepal_mig_test PRIVATE nvml_machine)
endif()

# Tests of a room may use rooms above it.
if(TARGET tepal_net_test)
  target_link_libraries(tepal_net_test PRIVATE tepal_runtime)  # Real loops and sockets.
endif()
