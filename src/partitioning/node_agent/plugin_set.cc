#include "partitioning/node_agent/plugin_set.h"

#include <algorithm>

#include "core/base/text.h"
#include "core/proto/kubelet_device_plugin.pb.h"
#include "core/telemetry/log.h"

namespace tepal::node_agent {
namespace {

constexpr Duration kRegisterTimeMax = 10s;

}  // namespace

std::string PluginSet::SocketName(const std::string& resource) const {
  std::string name = Concat("tepal-", resource.substr(resource.find('/') + 1), ".sock");
  return name;
}

void PluginSet::SetOffer(const Offer& offer) {
  for (auto& [resource, slots] : slots_) slots.clear();
  for (const SlotPool& pool : offer.pools) slots_[pool.resource] = pool.slots;
  for (const auto& [resource, slots] : slots_) {
    const auto plugin = plugins_.find(resource);
    if (plugin != plugins_.end()) {
      plugin->second->SetSlots(slots);
    } else if (kubelet_there_) {
      Start(resource);
    }
  }
}

void PluginSet::Tick() {
  KubeletWatch::Sight sight;
  const auto kubelet = files_.Stat(options_.folder + "/kubelet.sock");
  if (kubelet.ok()) sight.kubelet_socket = kubelet->modified;
  sight.our_sockets = std::all_of(plugins_.begin(), plugins_.end(), [this](const auto& plugin) {
    return files_.Stat(Concat(options_.folder, "/", SocketName(plugin.first))).ok();
  });
  switch (watch_.OnSight(sight, loop_.Now())) {
    case KubeletWatch::Action::kNothing:
      return;
    case KubeletWatch::Action::kStop:
      telemetry::LogInfo("the kubelet is gone");
      kubelet_there_ = false;
      registrations_.clear();
      plugins_.clear();
      return;
    case KubeletWatch::Action::kRegister:
      RegisterAll();
  }
}

void PluginSet::RegisterAll() {
  registrations_.clear();
  plugins_.clear();  // Their sockets may be files no more.
  kubelet_there_ = true;
  for (const auto& [resource, slots] : slots_) Start(resource);
}

void PluginSet::Start(const std::string& resource) {
  const std::string name = SocketName(resource);
  auto made = DevicePlugin::New(
      loop_, {Concat(options_.folder, "/", name), resource, options_.hand_over}, slots_[resource]);
  if (!made.ok()) return Failed(made.status());
  plugins_[resource] = *std::move(made);
  v1beta1::RegisterRequest request;
  request.set_version("v1beta1");
  request.set_endpoint(name);
  request.set_resource_name(resource);
  request.mutable_options()->set_get_preferred_allocation_available(true);
  registrations_[resource] = std::make_unique<UnaryCall>(
      loop_, options_.folder + "/kubelet.sock", "/v1beta1.Registration/Register", request,
      kRegisterTimeMax, [this, resource](Status status, Buffer) {
        registrations_.erase(resource);
        if (!status.ok()) return Failed(status);
        telemetry::LogInfo(Concat("offering ", slots_[resource].size(), " of ", resource));
      });
}

void PluginSet::Failed(const Status& why) {
  telemetry::LogWarning(Concat("device plugin: ", why.message()));
  watch_.OnFailure(loop_.Now());
}

bool PluginSet::serving() const {
  return kubelet_there_ && std::all_of(plugins_.begin(), plugins_.end(),
                                       [](const auto& plugin) { return plugin.second->watched(); });
}

}  // namespace tepal::node_agent
