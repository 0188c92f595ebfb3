#include "scaling/custom_metrics/label_selector.h"

#include <algorithm>
#include <cstdint>

#include "core/base/text.h"

namespace tepal::custom_metrics {
namespace {

using Operator = LabelRequirement::Operator;

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
bool IsLowerAlphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// Letters and digits at both ends, and '-', '_' and '.' between.
bool IsName(std::string_view text) {
  if (text.empty() || text.size() > 63) return false;
  if (!IsAlphanumeric(text.front()) || !IsAlphanumeric(text.back())) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return IsAlphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}

bool IsDnsSubdomain(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  for (const std::string_view part : Split(text, '.')) {
    if (part.empty() || !IsLowerAlphanumeric(part.front()) || !IsLowerAlphanumeric(part.back()) ||
        !std::all_of(part.begin(), part.end(),
                     [](char c) { return IsLowerAlphanumeric(c) || c == '-'; })) {
      return false;
    }
  }
  return true;
}

bool IsLabelKey(std::string_view key) {
  const size_t slash = key.find('/');
  if (slash == std::string_view::npos) return IsName(key);
  return IsDnsSubdomain(key.substr(0, slash)) && IsName(key.substr(slash + 1));
}

bool IsLabelValue(std::string_view value) { return value.empty() || IsName(value); }

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool IsSpecial(char c) {
  return c == '=' || c == '!' || c == '(' || c == ')' || c == ',' || c == '>' || c == '<';
}

// "==" and friends are one token; an empty token is the end.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : rest_(text) {}

  std::string_view Peek() {
    if (!peeked_) {
      token_ = Next();
      peeked_ = true;
    }
    return token_;
  }
  std::string_view Take() {
    const std::string_view token = Peek();
    peeked_ = false;
    return token;
  }
  bool TakeIf(std::string_view token) {
    if (Peek() != token) return false;
    peeked_ = false;
    return true;
  }
  // A word, or nothing when something else comes.
  std::string_view TakeWord() {
    const std::string_view token = Peek();
    return token.empty() || IsSpecial(token.front()) ? std::string_view() : Take();
  }

 private:
  std::string_view Next() {
    while (!rest_.empty() && IsSpace(rest_.front())) rest_.remove_prefix(1);
    size_t size = 0;
    if (!rest_.empty() && IsSpecial(rest_.front())) {
      size = rest_.starts_with("==") || rest_.starts_with("!=") ? 2 : 1;
    } else {
      while (size < rest_.size() && !IsSpace(rest_[size]) && !IsSpecial(rest_[size])) ++size;
    }
    const std::string_view token = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return token;
  }

  std::string_view rest_;
  std::string_view token_;
  bool peeked_ = false;
};

Status Unexpected(std::string_view got, std::string_view expected) {
  return InvalidArgument(
      Concat("unable to parse requirement: found '", got, "', expected: ", expected));
}

Status CheckValue(const std::string& key, std::string_view value) {
  if (IsLabelValue(value)) return {};
  return InvalidArgument(Concat(
      "values of key '", key, "': Invalid value: \"", value,
      "\": a label's value has at most 63 letters, digits, '-', '_' and '.', and begins and ends "
      "with a letter or digit"));
}

// "(a, b,)": also nothing between two commas is a value, the empty one.
Status ParseSet(Lexer& lexer, LabelRequirement& into) {
  if (!lexer.TakeIf("(")) return Unexpected(lexer.Peek(), "'('");
  while (true) {
    const std::string_view value = lexer.TakeWord();
    RETURN_IF_ERROR(CheckValue(into.key, value));
    into.values.emplace_back(value);
    if (into.values.size() > kSelectorValuesMax) {
      return InvalidArgument(Concat("more than ", kSelectorValuesMax, " values"));
    }
    if (lexer.TakeIf(")")) return {};
    if (!lexer.TakeIf(",")) return Unexpected(lexer.Peek(), "',' or ')'");
  }
}

Status ParseSingle(Lexer& lexer, Operator op, LabelRequirement& into) {
  into.op = op;
  const std::string_view value = lexer.TakeWord();
  RETURN_IF_ERROR(CheckValue(into.key, value));
  into.values.emplace_back(value);
  return {};
}

Status ParseBound(Lexer& lexer, Operator op, LabelRequirement& into) {
  into.op = op;
  const std::string_view value = lexer.TakeWord();
  if (!ParseNumber<int64_t>(value)) {
    return InvalidArgument(Concat("values of key '", into.key, "': Invalid value: \"", value,
                                  "\": for 'Gt', 'Lt' operators, the value must be an integer"));
  }
  into.values.emplace_back(value);
  return {};
}

Status ParseOperator(Lexer& lexer, LabelRequirement& into) {
  if (lexer.Peek().empty() || lexer.Peek() == ",") {
    into.op = Operator::kExists;
    return {};
  }
  if (lexer.TakeIf("=") || lexer.TakeIf("==")) return ParseSingle(lexer, Operator::kEquals, into);
  if (lexer.TakeIf("!=")) return ParseSingle(lexer, Operator::kNotEquals, into);
  if (lexer.TakeIf(">")) return ParseBound(lexer, Operator::kGreater, into);
  if (lexer.TakeIf("<")) return ParseBound(lexer, Operator::kLess, into);
  if (lexer.TakeIf("in")) {
    into.op = Operator::kIn;
    return ParseSet(lexer, into);
  }
  if (lexer.TakeIf("notin")) {
    into.op = Operator::kNotIn;
    return ParseSet(lexer, into);
  }
  return Unexpected(lexer.Peek(), "in, notin, =, ==, !=, gt, lt");
}

Result<LabelRequirement> ParseRequirement(Lexer& lexer) {
  LabelRequirement made;
  const bool absent = lexer.TakeIf("!");
  made.key = lexer.TakeWord();
  if (made.key.empty()) return Unexpected(lexer.Peek(), "!, identifier");
  if (!IsLabelKey(made.key)) {
    return InvalidArgument(Concat(
        "key: Invalid value: \"", made.key,
        "\": a label's key is a name of at most 63 letters, digits, '-', '_' and '.', perhaps with "
        "a DNS name and '/' before it"));
  }
  if (absent) {
    made.op = Operator::kDoesNotExist;
    return made;
  }
  RETURN_IF_ERROR(ParseOperator(lexer, made));
  std::sort(made.values.begin(), made.values.end());
  made.values.erase(std::unique(made.values.begin(), made.values.end()), made.values.end());
  return made;
}

bool HasValue(const LabelRequirement& requirement, const std::string& value) {
  return std::binary_search(requirement.values.begin(), requirement.values.end(), value);
}

bool Compares(const LabelRequirement& requirement, const std::string& value) {
  const auto is = ParseNumber<int64_t>(value);
  const auto bound = ParseNumber<int64_t>(requirement.values.front());
  if (!is || !bound) return false;
  return requirement.op == Operator::kGreater ? *is > *bound : *is < *bound;
}

bool MatchesOne(const LabelRequirement& requirement, const std::string* value) {
  switch (requirement.op) {
    case Operator::kEquals:
    case Operator::kIn:
      return value != nullptr && HasValue(requirement, *value);
    case Operator::kNotEquals:
    case Operator::kNotIn:
      return value == nullptr || !HasValue(requirement, *value);
    case Operator::kExists:
      return value != nullptr;
    case Operator::kDoesNotExist:
      return value == nullptr;
    case Operator::kGreater:
    case Operator::kLess:
      return value != nullptr && Compares(requirement, *value);
  }
  return false;
}

std::string SetText(const LabelRequirement& requirement) {
  std::string text;
  for (const std::string& value : requirement.values) {
    text += Concat(&value == requirement.values.data() ? "" : ",", value);
  }
  return text;
}

std::string TextOf(const LabelRequirement& requirement) {
  const std::string values = SetText(requirement);
  switch (requirement.op) {
    case Operator::kEquals:
      return Concat(requirement.key, "=", values);
    case Operator::kNotEquals:
      return Concat(requirement.key, "!=", values);
    case Operator::kIn:
      return Concat(requirement.key, " in (", values, ")");
    case Operator::kNotIn:
      return Concat(requirement.key, " notin (", values, ")");
    case Operator::kExists:
      return requirement.key;
    case Operator::kDoesNotExist:
      return Concat("!", requirement.key);
    case Operator::kGreater:
      return Concat(requirement.key, ">", values);
    case Operator::kLess:
      return Concat(requirement.key, "<", values);
  }
  return {};
}

}  // namespace

Result<LabelSelector> LabelSelector::Parse(std::string_view text) {
  LabelSelector made;
  if (text.size() > kSelectorBytesMax) {
    return InvalidArgument(Concat("a selector of more than ", kSelectorBytesMax, " bytes"));
  }
  Lexer lexer(text);
  size_t values = 0;
  while (!lexer.Peek().empty()) {
    ASSIGN_OR_RETURN(LabelRequirement one, ParseRequirement(lexer));
    values += one.values.size();
    made.requirements_.push_back(std::move(one));
    if (made.requirements_.size() > kSelectorRequirementsMax || values > kSelectorValuesMax) {
      return InvalidArgument(Concat("a selector of more than ", kSelectorRequirementsMax,
                                    " requirements or ", kSelectorValuesMax, " values"));
    }
    if (lexer.Peek().empty()) break;
    if (!lexer.TakeIf(",")) return Unexpected(lexer.Peek(), "',' or the end");
    if (lexer.Peek().empty()) return Unexpected("", "identifier after ','");
  }
  std::stable_sort(made.requirements_.begin(), made.requirements_.end(),
                   [](const auto& a, const auto& b) { return a.key < b.key; });
  return made;
}

bool LabelSelector::Matches(LabelOf label_of) const {
  return std::all_of(requirements_.begin(), requirements_.end(), [&](const auto& requirement) {
    return MatchesOne(requirement, label_of(requirement.key));
  });
}

std::string LabelSelector::ToString() const {
  std::string text;
  for (const LabelRequirement& requirement : requirements_) {
    text += Concat(text.empty() ? "" : ",", TextOf(requirement));
  }
  return text;
}

}  // namespace tepal::custom_metrics
