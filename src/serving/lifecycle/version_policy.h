// Which versions of a model are to serve: a pure function of the policy and what is there.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "serving/model_config/model_config.h"

namespace tepal {

// Of `available`, in ascending order and without repetition: the newest ones, all, or those named.
// A named version that is not there is left out.
std::vector<int64_t> ChooseVersions(const VersionPolicy& policy,
                                    std::span<const int64_t> available);

}  // namespace tepal
