// As replica_answers.h, for the answers of gRPC: ModelStatisticsResponse and
// RepositoryIndexResponse.
//
// Messages are merged field by field without their generated classes; what is unknown in them is
// kept from the first replica. A message that is malformed counts as far as it can be read. Pure.

#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tepal {

std::string MergeStatisticsMessages(const std::vector<std::string_view>& messages);
std::string MergeIndexMessages(const std::vector<std::string_view>& messages, bool ready_only);

// Adds the entries of either message to those of `out`, and says how many they are. What else is in
// it is left out.
size_t AppendEntries(std::string_view message, std::string& out);

// Of a RepositoryIndexRequest.
bool AsksReadyOnly(std::string_view request);

}  // namespace tepal
