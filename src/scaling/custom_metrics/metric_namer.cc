#include "scaling/custom_metrics/metric_namer.h"

#include <re2/re2.h>

#include "core/base/text.h"

namespace tepal::custom_metrics {
namespace {

using Operator = LabelRequirement::Operator;

struct Matchers {
  std::vector<std::string> expressions;
  TemplateMap values;

  void Add(const std::string& label, std::string_view op, const std::string& value) {
    expressions.push_back(Concat(label, op, Quoted(value)));
  }
  std::string Joined() const {
    std::string all;
    for (const std::string& one : expressions) all += Concat(all.empty() ? "" : ",", one);
    return all;
  }
};

std::string Joined(const std::vector<std::string>& values) {
  std::string all;
  for (size_t i = 0; i < values.size(); ++i) all += Concat(i == 0 ? "" : "|", values[i]);
  return all;
}

// Values of a selector go in as they are, so that they may be expressions, as prometheus-adapter
// has it (label values can hold no more of one than a dot and a dash).
Status AddRequirement(const LabelRequirement& one, Matchers& matchers) {
  const std::string value = Joined(one.values);
  const bool several = one.values.size() > 1;
  switch (one.op) {
    case Operator::kExists:
      matchers.Add(one.key, "!=", "");
      break;
    case Operator::kDoesNotExist:
      matchers.Add(one.key, "=", "");
      break;
    case Operator::kEquals:
      matchers.Add(one.key, several ? "=~" : "=", value);
      break;
    case Operator::kNotEquals:
      matchers.Add(one.key, several ? "!~" : "!=", value);
      break;
    case Operator::kIn:
      matchers.Add(one.key, "=~", value);
      break;
    case Operator::kNotIn:
      matchers.Add(one.key, "!~", value);
      break;
    case Operator::kGreater:
    case Operator::kLess:
      return InvalidArgument(Concat("selector of the metric: got '", one.key,
                                    one.op == Operator::kGreater ? " >'" : " <'",
                                    ", expected an operator that PromQL has for labels"));
  }
  matchers.values[one.key] = value;
  return {};
}

Status AddSelector(const LabelSelector& selector, Matchers& matchers) {
  for (const LabelRequirement& one : selector.requirements()) {
    RETURN_IF_ERROR(AddRequirement(one, matchers));
  }
  return {};
}

Status AddNamespace(const LabelMapping& labels, const std::string& name_space, Matchers& matchers) {
  ASSIGN_OR_RETURN(const std::string label, labels.LabelOf(kNamespacesResource));
  matchers.Add(label, "=", name_space);
  matchers.values[label] = name_space;
  return {};
}

Result<std::string> Fill(const RulesTemplate& query, const std::string& series, Matchers matchers,
                         TemplateList group_by) {
  std::string joined;
  for (const std::string& one : group_by) joined += Concat(joined.empty() ? "" : ",", one);
  ASSIGN_OR_RETURN(std::string text,
                   query.Execute({{"Series", series},
                                  {"LabelMatchers", matchers.Joined()},
                                  {"LabelValuesByName", std::move(matchers.values)},
                                  {"GroupBy", std::move(joined)},
                                  {"GroupBySlice", std::move(group_by)}}));
  if (text.empty()) return InvalidArgument("metricsQuery: got nothing, expected a query");
  return text;
}

// `name` as an expression that matches nothing else.
std::string Escaped(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (std::string_view("\\.+*?()|[]{}^$").find(c) != std::string_view::npos) out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

bool IsNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// The name behind a '$' at the front of `rest`, taken off it; nothing when there is none.
std::optional<std::string_view> TakeReference(std::string_view& rest) {
  const bool braced = rest.starts_with('{');
  const size_t begin = braced ? 1 : 0;
  size_t end = begin;
  while (end < rest.size() && IsNameByte(rest[end])) ++end;
  if (end == begin || (braced && (end == rest.size() || rest[end] != '}'))) return std::nullopt;
  const std::string_view name = rest.substr(begin, end - begin);
  rest.remove_prefix(braced ? end + 1 : end);
  return name;
}

}  // namespace

std::string Quoted(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    } else {
      out.push_back(c);
    }
  }
  return out + "\"";
}

std::string ExpandName(const std::string& form, const re2::RE2& regex,
                       const std::vector<std::optional<std::string>>& groups) {
  std::string out;
  std::string_view rest = form;
  while (true) {
    const size_t dollar = rest.find('$');
    if (dollar == std::string_view::npos) return Concat(out, rest);
    out += rest.substr(0, dollar);
    rest.remove_prefix(dollar + 1);
    if (rest.starts_with('$')) {
      out.push_back('$');
      rest.remove_prefix(1);
      continue;
    }
    const std::optional<std::string_view> name = TakeReference(rest);
    if (!name) {
      out.push_back('$');
      continue;
    }
    size_t which = groups.size();
    const bool leading_zero = name->size() > 1 && name->front() == '0';
    const auto number = leading_zero ? std::nullopt : ParseNumber<uint32_t>(*name);
    if (number) {
      which = *number;
    } else if (const auto found = regex.NamedCapturingGroups().find(std::string(*name));
               found != regex.NamedCapturingGroups().end()) {
      which = static_cast<size_t>(found->second);
    }
    if (which < groups.size() && groups[which]) out += *groups[which];
  }
}

Result<MetricNamer> MetricNamer::New(MetricRule rule, const KindTable& kinds,
                                     std::vector<std::string>* notes) {
  Result<LabelMapping> labels = LabelMapping::New(rule, kinds, notes);
  if (!labels.ok()) {
    return std::move(labels.status()).WithContext(Concat("rule of line ", rule.line));
  }
  return MetricNamer(std::move(rule), *std::move(labels));
}

bool MetricNamer::Takes(const std::string& series_name) const {
  for (const SeriesFilter& filter : rule_.filters) {
    if (RE2::PartialMatch(series_name, *filter.regex) != filter.positive) return false;
  }
  return true;
}

std::optional<std::string> MetricNamer::NameOf(const std::string& series_name) const {
  const RE2& regex = *rule_.name_matches;
  std::vector<re2::StringPiece> found(static_cast<size_t>(regex.NumberOfCapturingGroups()) + 1);
  if (!regex.Match(series_name, 0, series_name.size(), RE2::UNANCHORED, found.data(),
                   static_cast<int>(found.size()))) {
    return std::nullopt;
  }
  std::vector<std::optional<std::string>> groups;
  for (const re2::StringPiece& group : found) {
    groups.push_back(group.data() == nullptr ? std::optional<std::string>() : std::string(group));
  }
  return ExpandName(rule_.name_as, regex, groups);
}

Result<std::string> MetricNamer::ObjectQuery(const std::string& series,
                                             const GroupResource& resource,
                                             const std::string& name_space,
                                             const std::vector<std::string>& names,
                                             const LabelSelector& selector) const {
  Matchers matchers;
  RETURN_IF_ERROR(AddSelector(selector, matchers));
  if (!name_space.empty()) RETURN_IF_ERROR(AddNamespace(labels_, name_space, matchers));
  ASSIGN_OR_RETURN(const std::string label, labels_.LabelOf(resource));
  std::string value;
  if (names.size() == 1) {
    value = names.front();
    matchers.Add(label, "=", value);
  } else {
    for (const std::string& name : names) {
      value += Concat(value.empty() ? "" : "|", Escaped(name));
    }
    matchers.Add(label, "=~", value);
  }
  matchers.values[label] = std::move(value);
  return Fill(rule_.query, series, std::move(matchers), {label});
}

Result<std::string> MetricNamer::ExternalQuery(const std::string& series,
                                               const std::string& name_space,
                                               const LabelSelector& selector) const {
  Matchers matchers;
  RETURN_IF_ERROR(AddSelector(selector, matchers));
  if (rule_.namespaced && !name_space.empty()) {
    // A rule that does not say which label that is means the usual one.
    const Result<std::string> said = labels_.LabelOf(kNamespacesResource);
    const std::string label = said.ok() ? *said : "namespace";
    matchers.Add(label, "=", name_space);
    matchers.values[label] = name_space;
  }
  return Fill(rule_.query, series, std::move(matchers), {});
}

}  // namespace tepal::custom_metrics
