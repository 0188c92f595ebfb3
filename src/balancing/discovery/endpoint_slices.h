// The endpoints of one Kubernetes Service, from its EndpointSlices: a pure function.
//
// A Service has any number of slices, each of one address family; an address may be in two of them
// while the control plane moves it, and counts once. Wanted is who is ready. Only while nobody is,
// those that still serve while they end are wanted, as kube-proxy has it; who is neither ready nor
// serving never is. Slices of names (addressType FQDN) are left out.

#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/env/network.h"
#include "network/kube/reflector.h"

namespace tepal::discovery {

struct KubeService {
  enum class Family {
    kAuto,  // IPv4 if there is any, IPv6 otherwise: a pod of a dual-stack Service counts once.
    kIp4,
    kIp6,
  };
  std::string name_space;
  std::string name;
  std::string port;       // Its name, or a number; the first of each slice when empty.
  std::string grpc_port;  // The same, for gRPC calls; empty: the same port.
  Family family = Family::kAuto;
  bool operator==(const KubeService&) const = default;
};

struct KubeFound {
  struct One {
    env::Address address;
    uint16_t grpc_port = 0;  // 0: that of the address.
    std::string name;        // The pod's; may be empty.
    bool operator==(const One&) const = default;
  };
  std::vector<One> endpoints;  // In order of their addresses.
  size_t not_ready = 0;        // Listed, and not wanted.
  bool operator==(const KubeFound&) const = default;
};

inline constexpr size_t kSliceEndpointsMax = 16'384;  // Of one Service; more are left out.

// Lower case letters, digits, '-' and '.': what may stand in paths and selectors. Also for "".
bool IsKubernetesName(std::string_view text);

KubeFound ReadEndpointSlices(const std::map<std::string, kube::Object>& slices,
                             const KubeService& service);

}  // namespace tepal::discovery
