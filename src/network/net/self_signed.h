// A certificate that signs itself, for a server that was given none.

#pragma once

#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"
#include "network/net/tls.h"

namespace tepal::net {

struct SelfSigned {
  Pem certificate;  // Also the authority that a client is to trust.
  Pem key;
};

// For a server with these names (first: the common name) and numeric addresses; P-256, valid from
// an hour before `now` for ten years. The key comes out of the system's randomness.
Result<SelfSigned> MakeSelfSigned(const std::vector<std::string>& names,
                                  const std::vector<std::string>& addresses, WallTime now);

}  // namespace tepal::net
