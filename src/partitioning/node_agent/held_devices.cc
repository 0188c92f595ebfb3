#include "partitioning/node_agent/held_devices.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "core/proto/kubelet_pod_resources.pb.h"

namespace tepal::node_agent {
namespace {

std::vector<PodDevices> PodDevicesOf(const v1::ListPodResourcesResponse& list) {
  std::vector<PodDevices> pods;
  for (const v1::PodResources& pod : list.pod_resources()) {
    PodDevices holder{pod.namespace_(), pod.name(), {}};
    for (const v1::ContainerResources& container : pod.containers()) {
      for (const v1::ContainerDevices& devices : container.devices()) {
        if (!devices.resource_name().starts_with("nvidia.com/")) continue;
        holder.devices.insert(devices.device_ids().begin(), devices.device_ids().end());
      }
    }
    if (!holder.devices.empty()) pods.push_back(std::move(holder));
  }
  std::sort(pods.begin(), pods.end(), [](const PodDevices& a, const PodDevices& b) {
    return std::tie(a.name_space, a.name) < std::tie(b.name_space, b.name);
  });
  return pods;
}

}  // namespace

std::unique_ptr<UnaryCall> AskPodDevices(env::EventLoop& loop, const std::string& socket,
                                         Function<void(Result<std::vector<PodDevices>>)> done) {
  return std::make_unique<UnaryCall>(
      loop, socket, "/v1.PodResourcesLister/List", v1::ListPodResourcesRequest(), 10s,
      [done = std::move(done)](Status status, Buffer bytes) mutable {
        if (!status.ok())
          return done(std::move(status).WithContext("asking the kubelet who holds devices"));
        auto list = ParseMessage<v1::ListPodResourcesResponse>(bytes);
        if (!list.ok()) return done(list.status());
        done(PodDevicesOf(*list));
      });
}

std::unique_ptr<UnaryCall> AskHeldDevices(env::EventLoop& loop, const std::string& socket,
                                          Function<void(Result<std::set<std::string>>)> done) {
  return AskPodDevices(loop, socket,
                       [done = std::move(done)](Result<std::vector<PodDevices>> pods) mutable {
                         if (!pods.ok()) return done(pods.status());
                         std::set<std::string> held;
                         for (PodDevices& pod : *pods) held.merge(pod.devices);
                         done(std::move(held));
                       });
}

}  // namespace tepal::node_agent
