#include "balancing/load_balancer/health_match.h"

#include <re2/re2.h>

#include <algorithm>

#include "core/base/text.h"

namespace tepal::lb {

namespace {

using Op = HealthMatch::Header::Op;

constexpr std::string_view kHeaderExpected =
    "expected 'name', '!name', 'name = value', 'name != value', 'name ~ expression' or 'name !~ "
    "expression'";

re2::StringPiece Piece(std::string_view text) { return {text.data(), text.size()}; }

Result<std::shared_ptr<const re2::RE2>> Compile(const std::string& text) {
  re2::RE2::Options quiet;
  quiet.set_log_errors(false);
  auto compiled = std::make_shared<const re2::RE2>(text, quiet);
  if (!compiled->ok()) {
    return InvalidArgument(
        Concat("'", text, "' is no regular expression (RE2): ", compiled->error()));
  }
  return compiled;
}

}  // namespace

Status HealthMatch::ParseStatuses(std::string_view text, Options& options) {
  std::vector<Statuses> statuses;
  const std::string_view whole = Trim(text);
  const bool others = whole.starts_with('!');
  for (const std::string_view word : Split(whole.substr(others ? 1 : 0), ',')) {
    const std::string_view range = Trim(word);
    const size_t dash = range.find('-');
    const auto first = ParseNumber<int>(range.substr(0, dash));
    const auto last =
        dash == std::string_view::npos ? first : ParseNumber<int>(range.substr(dash + 1));
    if (!first.has_value() || !last.has_value()) {
      return InvalidArgument(Concat("'", range, "', expected a status or a range, as 200-299"));
    }
    statuses.push_back({*first, *last});
  }
  options.statuses = std::move(statuses);
  options.other_statuses = others;
  return {};
}

Result<HealthMatch::Header> HealthMatch::ParseHeader(std::string_view text) {
  const std::string_view rule = Trim(text);
  const bool absent = rule.starts_with('!');
  // A field's name has none of these but '!', which is part of an operator here.
  const size_t end = absent ? std::string_view::npos : rule.find_first_of(" \t=~!");
  Header header;
  header.op = absent ? Op::kAbsent : Op::kPresent;
  for (const char c : Trim(rule.substr(absent ? 1 : 0, end))) {
    header.name.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c);
  }
  const bool plain = header.name.find_first_of(" \t=~!:") == std::string::npos;
  if (header.name.empty() || !plain) {
    return InvalidArgument(Concat("'", text, "', ", kHeaderExpected));
  }
  if (end == std::string_view::npos) return header;
  const std::string_view rest = Trim(rule.substr(end));
  struct Operator {
    std::string_view text;
    Op op;
  };
  constexpr Operator kOperators[] = {
      {"!=", Op::kDiffers}, {"!~", Op::kMatchesNot}, {"=", Op::kEquals}, {"~", Op::kMatches}};
  for (const Operator& known : kOperators) {
    if (!rest.starts_with(known.text)) continue;
    header.op = known.op;
    header.value = Trim(rest.substr(known.text.size()));
    return header;
  }
  return InvalidArgument(Concat("'", text, "', ", kHeaderExpected));
}

void HealthMatch::ParseBody(std::string_view text, Options& options) {
  options.body_differs = text.starts_with("!~");
  options.body = options.body_differs ? Trim(text.substr(2)) : text;
}

Result<HealthMatch> HealthMatch::New(const Options& options) {
  HealthMatch match(options);
  for (const Statuses& range : options.statuses) {
    if (range.first < 100 || range.last > 599 || range.first > range.last) {
      return InvalidArgument(Concat("health check: statuses ", range.first, "-", range.last,
                                    ", expected a range within 100-599"));
    }
  }
  if (options.statuses.empty()) {
    return InvalidArgument("health check: no status is expected, expected at least one");
  }
  for (const Header& header : options.headers) {
    match.values_.emplace_back();
    if (header.name.empty()) return InvalidArgument("health check: a header rule without a name");
    if (header.op != Op::kMatches && header.op != Op::kMatchesNot) continue;
    auto compiled = Compile(header.value).WithContext(Concat("health check: header ", header.name));
    if (!compiled.ok()) return compiled.status();
    match.values_.back() = *compiled;
  }
  if (!options.body.empty()) {
    auto compiled = Compile(options.body).WithContext("health check: body");
    if (!compiled.ok()) return compiled.status();
    match.body_ = *compiled;
  }
  return match;
}

std::string HealthMatch::Judge(const http::ResponseHead& head, std::string_view body) const {
  const bool listed =
      std::any_of(options_.statuses.begin(), options_.statuses.end(), [&](const Statuses& range) {
        return head.status >= range.first && head.status <= range.last;
      });
  if (listed == options_.other_statuses) {
    std::string expected;
    for (const Statuses& range : options_.statuses) {
      expected += expected.empty() ? "" : ", ";
      expected += std::to_string(range.first);
      if (range.last != range.first) expected += Concat("-", range.last);
    }
    return Concat("status ", head.status, ", expected ", options_.other_statuses ? "none of " : "",
                  expected);
  }
  for (size_t i = 0; i < options_.headers.size(); ++i) {
    std::string error = JudgeHeader(i, head.headers);
    if (!error.empty()) return error;
  }
  if (body_ == nullptr) return {};
  const bool found = re2::RE2::PartialMatch(Piece(body.substr(0, kBodyBytesMax)), *body_);
  if (found != options_.body_differs) return {};
  return Concat("the body ", found ? "matches '" : "does not match '", options_.body, "'");
}

std::string HealthMatch::JudgeHeader(size_t index, const http::Headers& headers) const {
  const Header& rule = options_.headers[index];
  const auto value = headers.Get(rule.name);
  const bool matches = value.has_value() && values_[index] != nullptr &&
                       re2::RE2::PartialMatch(Piece(*value), *values_[index]);
  bool holds = false;
  switch (rule.op) {
    case Op::kPresent:
      holds = value.has_value();
      break;
    case Op::kAbsent:
      holds = !value.has_value();
      break;
    case Op::kEquals:
      holds = value == std::string_view(rule.value);
      break;
    case Op::kDiffers:
      holds = value != std::string_view(rule.value);
      break;
    case Op::kMatches:
      holds = matches;
      break;
    case Op::kMatchesNot:
      holds = !matches;
      break;
  }
  if (holds) return {};
  return Concat("header ", rule.name, " is ",
                value.has_value() ? Concat("'", *value, "'") : "absent");
}

}  // namespace tepal::lb
