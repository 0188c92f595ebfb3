#include "core/options/flags.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <utility>

#include "core/base/text.h"
#include "core/options/values.h"

namespace tepal::options {
namespace {

struct Flag {
  std::string name;
  std::string help;
  std::string placeholder;
  std::string default_text;
  bool boolean = false;
  bool given = false;
  std::string refusal;  // Not empty: why the flag is refused.
  std::vector<std::string> harmless_values;
  Function<Status(std::string_view)> read;
};

Status Expected(std::string_view what) { return InvalidArgument(Concat("expected ", what)); }

template <typename Number>
FlagSet::Custom NumberFlag(Number* value, std::string_view what) {
  return {.placeholder = "number",
          .default_text = Concat(*value),
          .boolean = false,
          .read = [value, what = std::string(what)](std::string_view text) -> Status {
            const auto number = ParseNumber<Number>(text);
            if (!number) return Expected(what);
            *value = *number;
            return {};
          }};
}

// Wraps `text` at `width` columns, each line behind `indent` spaces.
std::string Wrapped(std::string_view text, size_t indent, size_t width) {
  std::string out;
  size_t column = 0;
  for (const std::string_view word : Split(text, ' ')) {
    if (column > 0 && column + 1 + word.size() > width) {
      out.push_back('\n');
      column = 0;
    }
    if (column == 0) {
      out.append(indent, ' ');
    } else {
      out.push_back(' ');
      ++column;
    }
    out.append(word);
    column += word.size();
  }
  out.push_back('\n');
  return out;
}

}  // namespace

struct FlagSet::Impl {
  std::string usage;
  std::string description;
  bool help_asked = false;
  // A group's title stands before the flag of that index.
  std::vector<std::pair<size_t, std::string>> groups;
  std::vector<Flag> flags;
  std::vector<std::pair<std::string, std::string>> examples;
  std::vector<Function<Status(const FlagSet&)>> checks;

  Flag* Find(std::string_view name) {
    const auto found = std::find_if(flags.begin(), flags.end(),
                                    [&](const Flag& flag) { return flag.name == name; });
    return found == flags.end() ? nullptr : &*found;
  }

  Status Unknown(std::string_view name) const {
    std::vector<std::string_view> names;
    for (const Flag& flag : flags) names.push_back(flag.name);
    const auto nearest = NearestName(name, names);
    return InvalidArgument(Concat("unknown flag --", name,
                                  nearest ? Concat("; did you mean --", *nearest, "?") : "",
                                  " (--help lists them)"));
  }

  static Status Give(Flag& flag, std::string_view value) {
    flag.given = true;
    if (!flag.refusal.empty()) {
      const auto& harmless = flag.harmless_values;
      const bool changes_nothing = std::any_of(
          harmless.begin(), harmless.end(),
          [&](const std::string& accepted) { return EqualsIgnoreCase(accepted, value); });
      if (changes_nothing) return {};
      return InvalidArgument(Concat("flag --", flag.name, " is refused: ", flag.refusal));
    }
    Status status = flag.read(value);
    if (status.ok()) return status;
    return InvalidArgument(Concat("flag --", flag.name, ": got '", value, "', ", status.message()));
  }
};

FlagSet::FlagSet(std::string usage, std::string description) : impl_(std::make_unique<Impl>()) {
  impl_->usage = std::move(usage);
  impl_->description = std::move(description);
}
FlagSet::FlagSet(FlagSet&&) noexcept = default;
FlagSet::~FlagSet() = default;

void FlagSet::Group(std::string title) {
  impl_->groups.emplace_back(impl_->flags.size(), std::move(title));
}

void FlagSet::Add(std::string name, Custom custom, std::string help) {
  TEPAL_CHECK(impl_->Find(name) == nullptr);
  Flag flag;
  flag.name = std::move(name);
  flag.help = std::move(help);
  flag.placeholder = std::move(custom.placeholder);
  flag.default_text = std::move(custom.default_text);
  flag.boolean = custom.boolean;
  flag.read = std::move(custom.read);
  impl_->flags.push_back(std::move(flag));
}

void FlagSet::Add(std::string name, bool* value, std::string help) {
  Add(std::move(name),
      {.placeholder = "boolean",
       .default_text = *value ? "true" : "false",
       .boolean = true,
       .read = [value](std::string_view text) -> Status {
         const auto read = ParseBool(text);
         if (!read) return Expected(kBoolExpected);
         *value = *read;
         return {};
       }},
      std::move(help));
}

void FlagSet::Add(std::string name, int* value, std::string help) {
  Add(std::move(name), NumberFlag(value, "a whole number"), std::move(help));
}
void FlagSet::Add(std::string name, uint16_t* value, std::string help) {
  Add(std::move(name), NumberFlag(value, "a whole number from 0 to 65535"), std::move(help));
}
void FlagSet::Add(std::string name, uint64_t* value, std::string help) {
  Add(std::move(name), NumberFlag(value, "a whole number of 0 or more"), std::move(help));
}
void FlagSet::Add(std::string name, double* value, std::string help) {
  Add(std::move(name), NumberFlag(value, "a number"), std::move(help));
}

void FlagSet::Add(std::string name, std::string* value, std::string help) {
  Add(std::move(name),
      {.placeholder = "text",
       .default_text = *value,
       .read = [value](std::string_view text) -> Status {
         *value = text;
         return {};
       }},
      std::move(help));
}

void FlagSet::Add(std::string name, Duration* value, std::string help) {
  Add(std::move(name),
      {.placeholder = "duration",
       .default_text = DurationText(*value),
       .read = [value](std::string_view text) -> Status {
         const auto read = ParseDuration(text);
         if (!read) return Expected(kDurationExpected);
         *value = *read;
         return {};
       }},
      std::move(help));
}

void FlagSet::Add(std::string name, std::vector<std::string>* values, std::string help) {
  Add(std::move(name),
      {.placeholder = "text",
       .default_text = "",
       .read = [values](std::string_view text) -> Status {
         values->emplace_back(text);
         return {};
       }},
      Concat(help, " May be repeated."));
}

void FlagSet::Refuse(std::string name, std::string reason, std::vector<std::string> harmless_values,
                     bool boolean) {
  Add(std::move(name), {.placeholder = "value", .default_text = "", .boolean = boolean, .read = {}},
      "");
  impl_->flags.back().refusal = std::move(reason);
  impl_->flags.back().harmless_values = std::move(harmless_values);
}

void FlagSet::Example(std::string command, std::string does) {
  impl_->examples.emplace_back(std::move(command), std::move(does));
}

void FlagSet::Check(Function<Status(const FlagSet&)> check) {
  impl_->checks.push_back(std::move(check));
}

Result<std::vector<std::string>> FlagSet::Parse(std::span<const std::string_view> words) {
  std::vector<std::string> positional;
  bool flags_over = false;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (flags_over || !word.starts_with('-') || word == "-") {
      positional.emplace_back(word);
      continue;
    }
    if (word == "--") {
      flags_over = true;
      continue;
    }
    if (word == "--help" || word == "-h") {
      impl_->help_asked = true;
      return positional;
    }
    const std::string_view body = word.substr(word.starts_with("--") ? 2 : 1);
    const size_t equals = body.find('=');
    Flag* flag = impl_->Find(body.substr(0, equals));
    if (flag == nullptr) return impl_->Unknown(body.substr(0, equals));
    std::string_view value = "true";
    if (equals != std::string_view::npos) {
      value = body.substr(equals + 1);
    } else if (!flag->boolean || (i + 1 < words.size() && ParseBool(words[i + 1]))) {
      if (i + 1 == words.size()) {
        return InvalidArgument(Concat("flag --", flag->name, " needs a value"));
      }
      value = words[++i];
    }
    RETURN_IF_ERROR(Impl::Give(*flag, value));
  }
  for (auto& check : impl_->checks) RETURN_IF_ERROR(check(*this));
  return positional;
}

bool FlagSet::help_asked() const { return impl_->help_asked; }

bool FlagSet::given(std::string_view name) const {
  const Flag* flag = impl_->Find(name);
  return flag != nullptr && flag->given;
}

std::string FlagSet::Help() const {
  std::string help = Concat("Usage: ", impl_->usage, "\n\n", Wrapped(impl_->description, 0, 96));
  auto group = impl_->groups.begin();
  for (size_t i = 0; i < impl_->flags.size(); ++i) {
    for (; group != impl_->groups.end() && group->first <= i; ++group) {
      help += Concat("\n", group->second, ":\n");
    }
    const Flag& flag = impl_->flags[i];
    if (!flag.refusal.empty()) continue;
    help += Concat("  --", flag.name, " <", flag.placeholder, ">");
    if (!flag.default_text.empty()) help += Concat(" (", flag.default_text, ")");
    help.push_back('\n');
    help += Wrapped(flag.help, 6, 90);
  }
  if (!impl_->examples.empty()) help += "\nExamples:\n";
  for (const auto& [command, does] : impl_->examples) {
    help += Concat("  ", command, "\n", Wrapped(does, 6, 90));
  }
  return help;
}

std::vector<FlagSet::FlagFacts> FlagSet::Flags() const {
  std::vector<FlagFacts> facts;
  for (const Flag& flag : impl_->flags) facts.push_back({flag.name, !flag.refusal.empty()});
  return facts;
}

std::optional<int> ParseOrExplain(FlagSet& flags, std::span<const std::string_view> words,
                                  std::vector<std::string>& positional) {
  auto parsed = flags.Parse(words);
  if (!parsed.ok()) {
    std::fprintf(stderr, "%s\n", parsed.status().message().c_str());
    return 2;
  }
  if (flags.help_asked()) {
    std::fputs(flags.Help().c_str(), stdout);
    return 0;
  }
  positional = std::move(parsed).value();
  return std::nullopt;
}

}  // namespace tepal::options
