#include "partitioning/node_agent/other_plugin.h"

#include "core/base/text.h"

namespace tepal::node_agent {
namespace {

constexpr std::string_view kSigns[] = {"nvidia-device-plugin", "k8s-device-plugin", "gpu-operator",
                                       "nvidia-dra-driver", "k8s-dra-driver-gpu"};

bool HasSign(std::string_view text) {
  for (const std::string_view sign : kSigns) {
    if (text.find(sign) != std::string_view::npos) return true;
  }
  return false;
}

const json::Value* At(const json::Value& object, std::initializer_list<std::string_view> path) {
  const json::Value* at = &object;
  for (const std::string_view name : path) {
    if (at == nullptr) return nullptr;
    at = at->Find(name);
  }
  return at;
}

std::optional<std::string> SignOf(const json::Value& daemon_set) {
  if (HasSign(kube::NameOf(daemon_set))) return std::string("its name");
  for (const std::string_view label :
       {"app", "app.kubernetes.io/name", "app.kubernetes.io/part-of"}) {
    const std::string* value = kube::LabelOf(daemon_set, label);
    if (value != nullptr && HasSign(*value)) return Concat("label ", label, "=", *value);
  }
  const json::Value* containers = At(daemon_set, {"spec", "template", "spec", "containers"});
  if (containers == nullptr || containers->AsArray() == nullptr) return std::nullopt;
  for (const json::Value& container : *containers->AsArray()) {
    const std::string_view image = kube::TextAt(container, "image");
    if (HasSign(image)) return Concat("image ", image);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> FindOtherPlugin(const std::vector<json::Value>& daemon_sets,
                                           const std::vector<std::string>& sockets) {
  for (const json::Value& daemon_set : daemon_sets) {
    if (const auto sign = SignOf(daemon_set)) {
      return Concat("DaemonSet ", kube::KeyOf(daemon_set), " (", *sign, ")");
    }
  }
  for (const std::string& socket : sockets) {
    if (socket.starts_with("nvidia") && socket.ends_with(".sock")) {
      return Concat("socket ", socket, " in the kubelet's folder");
    }
  }
  return std::nullopt;
}

}  // namespace tepal::node_agent
