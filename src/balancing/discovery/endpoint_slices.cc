#include "balancing/discovery/endpoint_slices.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "core/base/text.h"
#include "core/json/value.h"

namespace tepal::discovery {

namespace {

using env::Address;
using json::Value;

std::string_view TextOf(const Value* object, std::string_view key) {
  const Value* value = object == nullptr ? nullptr : object->Find(key);
  const std::string* text = value == nullptr ? nullptr : value->AsString();
  return text == nullptr ? std::string_view() : *text;
}

// A condition that is not there is as the API says: ready and serving, and not ending.
std::optional<bool> Condition(const Value& endpoint, std::string_view name) {
  const Value* conditions = endpoint.Find("conditions");
  const Value* value = conditions == nullptr ? nullptr : conditions->Find(name);
  const bool* flag = value == nullptr ? nullptr : value->AsBool();
  return flag == nullptr ? std::nullopt : std::optional(*flag);
}

enum class Standing { kOut, kEnding, kReady };  // In order of merit.

Standing StandingOf(const Value& endpoint) {
  const bool ready = Condition(endpoint, "ready").value_or(true);
  if (ready) return Standing::kReady;
  const bool serving = Condition(endpoint, "serving").value_or(ready);
  return serving ? Standing::kEnding : Standing::kOut;
}

// 0: the slice has no such port.
uint16_t PortOf(const Value& slice, std::string_view wanted) {
  if (const auto number = ParseNumber<uint16_t>(wanted)) return *number;
  const Value* list = slice.Find("ports");
  const Value::Array* ports = list == nullptr ? nullptr : list->AsArray();
  if (ports == nullptr) return 0;
  for (const Value& port : *ports) {
    if (!wanted.empty() && TextOf(&port, "name") != wanted) continue;
    const Value* value = port.Find("port");
    const int64_t* number = value == nullptr ? nullptr : value->AsInt();
    if (number != nullptr && *number > 0 && *number < 65536) return static_cast<uint16_t>(*number);
  }
  return 0;
}

std::string_view FirstAddress(const Value& endpoint) {
  const Value* list = endpoint.Find("addresses");
  const Value::Array* addresses = list == nullptr ? nullptr : list->AsArray();
  const std::string* first =
      addresses == nullptr || addresses->empty() ? nullptr : addresses->front().AsString();
  return first == nullptr ? std::string_view() : *first;
}

struct Listed {
  KubeFound::One one;
  Standing standing;
};
using ByAddress = std::map<std::string, Listed>;

void ReadEndpoint(const Value& endpoint, Address::Family family, uint16_t port, uint16_t grpc_port,
                  ByAddress& into) {
  const std::string_view host = FirstAddress(endpoint);
  if (host.empty()) return;
  Listed listed;
  listed.one.address = {family, std::string(host), port};
  listed.one.grpc_port = grpc_port;
  listed.one.name = TextOf(endpoint.Find("targetRef"), "name");
  listed.standing = StandingOf(endpoint);
  const std::string key = listed.one.address.ToString();
  const auto known = into.find(key);
  if (known == into.end()) {
    if (into.size() < kSliceEndpointsMax) into.emplace(key, std::move(listed));
  } else if (known->second.standing < listed.standing) {
    known->second = std::move(listed);
  }
}

void ReadSlice(const Value& slice, Address::Family family, const KubeService& service,
               ByAddress& into) {
  const uint16_t port = PortOf(slice, service.port);
  const uint16_t grpc_port = service.grpc_port.empty() ? 0 : PortOf(slice, service.grpc_port);
  const Value* list = slice.Find("endpoints");
  const Value::Array* endpoints = list == nullptr ? nullptr : list->AsArray();
  if (port == 0 || endpoints == nullptr) return;
  for (const Value& endpoint : *endpoints) ReadEndpoint(endpoint, family, port, grpc_port, into);
}

KubeFound Choose(const ByAddress& all) {
  Standing best = Standing::kOut;
  for (const auto& [key, listed] : all) best = std::max(best, listed.standing);
  KubeFound found;
  for (const auto& [key, listed] : all) {
    if (best == Standing::kOut || listed.standing < best) {
      ++found.not_ready;
    } else {
      found.endpoints.push_back(listed.one);
    }
  }
  return found;
}

}  // namespace

bool IsKubernetesName(std::string_view text) {
  constexpr std::string_view kBytes = "abcdefghijklmnopqrstuvwxyz0123456789-.";
  return text.size() <= 253 && text.find_first_not_of(kBytes) == std::string_view::npos;
}

KubeFound ReadEndpointSlices(const std::map<std::string, kube::Object>& slices,
                             const KubeService& service) {
  using Family = KubeService::Family;
  ByAddress ip4, ip6;
  for (const auto& [key, slice] : slices) {
    const std::string_view type = TextOf(slice.get(), "addressType");
    if (type == "IPv4" && service.family != Family::kIp6) {
      ReadSlice(*slice, Address::Family::kIp4, service, ip4);
    } else if (type == "IPv6" && service.family != Family::kIp4) {
      ReadSlice(*slice, Address::Family::kIp6, service, ip6);
    }
  }
  return Choose(ip4.empty() ? ip6 : ip4);
}

}  // namespace tepal::discovery
