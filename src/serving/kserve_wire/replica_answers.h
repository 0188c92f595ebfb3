// One answer out of those that every replica gave to the same question: statistics and repository
// indexes, in JSON.
//
// Of statistics every number is the sum of the replicas', but for last_inference, which is the
// latest; entries belong together by name and version, batch_stats by batch_size, and whatever else
// a server counts is summed likewise. Of an index an entry is READY where every replica says so;
// otherwise it is UNAVAILABLE, with "READY on K of N replicas" as the reason. Pure.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

namespace tepal {

// Each of `answers` is one replica's; at least one. kInvalidArgument names the first (from 1) that
// is not what it should be.
Result<std::string> MergeStatistics(const std::vector<std::string_view>& answers);

// `ready_only`: leave out what is not READY everywhere, as was asked.
Result<std::string> MergeIndexes(const std::vector<std::string_view>& answers, bool ready_only);

}  // namespace tepal
