#include "serving/frontend/restricted_apis.h"

#include <utility>
#include <vector>

#include "core/base/text.h"

namespace tepal {
namespace {

constexpr std::pair<std::string_view, ApiGroup> kGroups[] = {
    {"health", ApiGroup::kHealth},
    {"metadata", ApiGroup::kMetadata},
    {"inference", ApiGroup::kInference},
    {"shared-memory", ApiGroup::kSharedMemory},
    {"model-config", ApiGroup::kModelConfig},
    {"model-repository", ApiGroup::kModelRepository},
    {"statistics", ApiGroup::kStatistics},
    {"trace", ApiGroup::kTrace},
    {"logging", ApiGroup::kLogging},
};

std::optional<ApiGroup> GroupOf(std::string_view name) {
  for (const auto& [known, group] : kGroups) {
    if (known == name) return group;
  }
  return std::nullopt;
}

std::string GroupNames() {
  std::string names;
  for (const auto& [name, group] : kGroups) names += Concat(names.empty() ? "" : ", ", name);
  return names;
}

}  // namespace

Status RestrictedApis::Add(std::string_view text) {
  const size_t colon = text.find(':');
  const size_t equals = text.find('=', colon == std::string_view::npos ? text.size() : colon);
  if (equals == std::string_view::npos || equals == colon + 1 || equals + 1 == text.size()) {
    return InvalidArgument("expected <api>[,<api>…]:<header>=<value>");
  }
  Secret secret;
  secret.header = text.substr(colon + 1, equals - colon - 1);
  secret.value = text.substr(equals + 1);
  for (const char c : secret.header) {
    secret.field.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
  }
  for (const std::string_view name : Split(text.substr(0, colon), ',')) {
    const std::optional<ApiGroup> group = GroupOf(name);
    if (!group.has_value()) {
      return InvalidArgument(
          Concat("no API is named '", name, "', expected one of ", GroupNames()));
    }
    if (!secrets_.try_emplace(*group, secret).second) {
      return InvalidArgument(Concat("restricted api '", name, "' has a header already"));
    }
  }
  return {};
}

const RestrictedApis::Secret* RestrictedApis::Find(ApiGroup group) const {
  const auto found = secrets_.find(group);
  return found == secrets_.end() ? nullptr : &found->second;
}

bool RestrictedApis::Opens(const Secret& secret, std::optional<std::string_view> given) {
  if (!given.has_value() || given->size() != secret.value.size()) return false;
  unsigned char difference = 0;
  for (size_t i = 0; i < given->size(); ++i) {
    difference |= static_cast<unsigned char>((*given)[i] ^ secret.value[i]);
  }
  return difference == 0;
}

}  // namespace tepal
