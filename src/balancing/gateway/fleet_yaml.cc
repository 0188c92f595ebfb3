#include "balancing/gateway/fleet_yaml.h"

#include <algorithm>
#include <string>

#include "balancing/gateway/fleet.h"
#include "balancing/gateway/tls_yaml.h"
#include "core/base/text.h"

namespace tepal::gateway {

namespace {

constexpr std::string_view kHttp = "http://";
constexpr std::string_view kHttps = "https://";

Result<FleetAddress> ParseFleetAddress(std::string_view text) {
  FleetAddress address;
  address.tls = text.starts_with(kHttps);
  if (!address.tls && !text.starts_with(kHttp)) return InvalidArgument("no scheme");
  text.remove_prefix(address.tls ? kHttps.size() : kHttp.size());
  if (text.ends_with('/')) text.remove_suffix(1);
  if (text.find_first_of("/@?#") != std::string_view::npos)
    return InvalidArgument("more than that");
  ASSIGN_OR_RETURN(address.host, net::HostPort::Parse(text, kAdminPort));
  return address;
}

}  // namespace

void ReadFleet(options::YamlReader& admin, GatewayConfig& config) {
  std::vector<std::string> texts;
  admin.Texts("fleet", &texts);
  for (const std::string& text : texts) {
    const Result<FleetAddress> address = ParseFleetAddress(text);
    if (address.ok()) {
      config.fleet.push_back(*address);
    } else {
      admin.Fail("fleet", Concat("'", text, "'"),
                 "http:// or https:// with HOST:PORT, as https://balancer-2:8080");
    }
  }
  if (texts.size() > Fleet::kMembersMax) {
    admin.Fail("fleet", Concat(texts.size()), Concat("at most ", Fleet::kMembersMax));
  }
  ReadServerTrust(admin, "fleet_tls", config.fleet_tls);
  if (!config.fleet_tls.has_value()) return;
  const bool used = std::any_of(config.fleet.begin(), config.fleet.end(),
                                [](const FleetAddress& address) { return address.tls; });
  if (!used) admin.Fail("fleet_tls", "no https:// in fleet", "one, or no fleet_tls");
}

}  // namespace tepal::gateway
