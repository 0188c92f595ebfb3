// The file of `tepal balance --config`, read and checked. docs/balancer.md documents every field.
//
// Text in, one struct out. Every mistake of the file is named in one error, with its line, what was
// there and what was expected.

#pragma once

#include <string>
#include <string_view>

#include "balancing/gateway/config.h"
#include "core/base/result.h"

namespace tepal::gateway {

// `file` is for messages.
Result<GatewayConfig> ParseGatewayConfig(std::string_view text, const std::string& file);

// A file of endpoints: "endpoints:" with a list as in a pool, of numeric addresses.
Result<std::vector<EndpointConfig>> ParseEndpointsFile(std::string_view text,
                                                       const std::string& file);

}  // namespace tepal::gateway
