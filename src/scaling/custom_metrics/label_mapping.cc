#include "scaling/custom_metrics/label_mapping.h"

#include <re2/re2.h>

#include "core/base/text.h"

namespace tepal::custom_metrics {
namespace {

// A group as part of a label's name.
std::string Sanitized(std::string group) {
  for (char& c : group) {
    if (c == '.' || c == '-') c = '_';
  }
  return group;
}

Result<std::string> Fill(const RulesTemplate& from, std::string group, std::string resource) {
  return from.Execute({{"Group", std::move(group)}, {"Resource", std::move(resource)}});
}

}  // namespace

Result<LabelMapping> LabelMapping::New(const MetricRule& rule, const KindTable& kinds,
                                       std::vector<std::string>* notes) {
  LabelMapping made;
  made.kinds_ = &kinds;
  if (rule.label_template.has_value()) {
    made.template_ = rule.label_template;
    ASSIGN_OR_RETURN(const std::string form,
                     Fill(*made.template_, "(?P<group>.+?)", "(?P<resource>.+?)"));
    RE2::Options options;
    options.set_log_errors(false);
    auto regex = std::make_shared<const RE2>(Concat("^", form, "$"), options);
    if (!regex->ok()) {
      return InvalidArgument(Concat("resources.template: got '", rule.label_template_text, "' (",
                                    regex->error(), "), expected the form of a label"));
    }
    const auto& groups = regex->NamedCapturingGroups();
    if (!groups.contains("resource")) {
      return InvalidArgument(Concat("resources.template: got '", rule.label_template_text,
                                    "', expected one with <<.Resource>>"));
    }
    made.resource_group_ = groups.at("resource");
    if (groups.contains("group")) made.group_group_ = groups.at("group");
    made.form_ = std::move(regex);
  }
  for (const auto& [label, named] : rule.overrides) {
    GroupResource resource{named.group, GuessPlural(named.resource)};
    if (const KindFacts* kind = kinds.Find(named)) {
      resource = kind->resource;
    } else if (notes != nullptr) {
      notes->push_back(Concat("line ", rule.line, ": label '", label, "': no kind '",
                              named.resource, named.group.empty() ? "" : ".", named.group,
                              "' is known; taken for '", resource.resource, "'"));
    }
    made.by_label_[label] = resource;
    made.by_resource_[resource] = label;
  }
  return made;
}

std::optional<GroupResource> LabelMapping::ResourceOf(const std::string& label) const {
  if (const auto found = by_label_.find(label); found != by_label_.end()) return found->second;
  if (form_ == nullptr) return std::nullopt;
  std::vector<re2::StringPiece> groups(static_cast<size_t>(form_->NumberOfCapturingGroups()) + 1);
  if (!form_->Match(label, 0, label.size(), RE2::UNANCHORED, groups.data(),
                    static_cast<int>(groups.size()))) {
    return std::nullopt;
  }
  GroupResource named;
  named.resource = std::string(groups[static_cast<size_t>(resource_group_)]);
  if (group_group_ != 0) named.group = std::string(groups[static_cast<size_t>(group_group_)]);
  const KindFacts* kind = kinds_->Find(named);
  if (kind == nullptr) return std::nullopt;
  return kind->resource;
}

Result<std::string> LabelMapping::LabelOf(const GroupResource& resource) const {
  if (const auto found = by_resource_.find(resource); found != by_resource_.end()) {
    return found->second;
  }
  if (!template_.has_value()) {
    return NotFound(Concat("the rule has no label for ", resource.resource));
  }
  const KindFacts* kind = kinds_->Find(resource);
  ASSIGN_OR_RETURN(std::string label, Fill(*template_, Sanitized(resource.group),
                                           kind == nullptr ? resource.resource : kind->singular));
  if (label.empty()) return NotFound("the template gives an empty label");
  return label;
}

bool LabelMapping::IsNamespaced(const GroupResource& resource) const {
  const KindFacts* kind = kinds_->Find(resource);
  return kind == nullptr || kind->namespaced;
}

}  // namespace tepal::custom_metrics
