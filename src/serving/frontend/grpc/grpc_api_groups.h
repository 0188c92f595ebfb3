// Which group of the API a call belongs to (--grpc-restricted-protocol).

#pragma once

#include <optional>
#include <string_view>

#include "serving/frontend/restricted_apis.h"

namespace tepal {

// What stands before the header of a secret, in metadata.
inline constexpr std::string_view kRestrictedHeaderPrefix = "triton-grpc-protocol-";

// By "/package.Service/Method"; empty for a call that belongs to none.
std::optional<ApiGroup> GrpcApiGroup(std::string_view path);

}  // namespace tepal
