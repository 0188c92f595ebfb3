#include "partitioning/node_agent/held_devices.h"

#include "core/proto/kubelet_pod_resources.pb.h"

namespace tepal::node_agent {

std::unique_ptr<UnaryCall> AskHeldDevices(env::EventLoop& loop, const std::string& socket,
                                          Function<void(Result<std::set<std::string>>)> done) {
  return std::make_unique<UnaryCall>(
      loop, socket, "/v1.PodResourcesLister/List", v1::ListPodResourcesRequest(), 10s,
      [done = std::move(done)](Status status, Buffer bytes) mutable {
        if (!status.ok())
          return done(std::move(status).WithContext("asking the kubelet who holds devices"));
        auto list = ParseMessage<v1::ListPodResourcesResponse>(bytes);
        if (!list.ok()) return done(list.status());
        std::set<std::string> held;
        for (const v1::PodResources& pod : list->pod_resources()) {
          for (const v1::ContainerResources& container : pod.containers()) {
            for (const v1::ContainerDevices& devices : container.devices()) {
              if (!devices.resource_name().starts_with("nvidia.com/")) continue;
              held.insert(devices.device_ids().begin(), devices.device_ids().end());
            }
          }
        }
        done(std::move(held));
      });
}

}  // namespace tepal::node_agent
