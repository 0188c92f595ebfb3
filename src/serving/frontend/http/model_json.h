// What server_core knows, as the JSON of the v2 protocol: keys in the order in which Triton writes
// them.

#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "serving/server_core/server_core.h"

namespace tepal {

// `id` and `version` as the server says them; the extensions are those that are built, and shared
// memory where clients may use it.
std::string ServerMetadataJson(std::string_view id, std::string_view version, bool shared_memory);

std::string ModelMetadataJson(const ModelMetadata& metadata);

std::string StatisticsJson(const std::vector<std::shared_ptr<ServedModel>>& models);

std::string IndexJson(const std::vector<ModelIndexEntry>& entries);

}  // namespace tepal
