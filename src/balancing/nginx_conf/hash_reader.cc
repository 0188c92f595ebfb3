#include "balancing/nginx_conf/hash_reader.h"

#include <algorithm>

namespace tepal::nginx_conf {

namespace {

using From = lb::HashKey::From;
using Part = lb::HashKey::Part;

struct Variable {
  std::string_view name;
  std::optional<From> from;  // None: the same for every request of an upstream.
};
constexpr Variable kVariables[] = {
    {"request_uri", From::kUri},    {"uri", From::kPath},
    {"document_uri", From::kPath},  {"args", From::kQuery},
    {"query_string", From::kQuery}, {"remote_addr", From::kClient},
    {"host", From::kHost},          {"binary_remote_addr", From::kClient},
    {"http_host", From::kHost},     {"scheme", std::nullopt},
    {"proxy_host", std::nullopt},   {"proxy_port", std::nullopt},
    {"server_port", std::nullopt},  {"server_name", std::nullopt},
};

bool IsNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// "x_user", of $http_x_user, is the header "x-user".
std::string HeaderName(std::string_view text) {
  std::string name;
  for (const char c : text) {
    name.push_back(c == '_' ? '-' : c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c);
  }
  return name;
}

class KeyReader {
 public:
  explicit KeyReader(std::string_view text) : rest_(text) {}

  // False: `unknown` has no meaning here.
  bool Read() {
    while (!rest_.empty()) {
      if (rest_.front() != '$') {
        rest_.remove_prefix(1);  // Text that is the same in every key changes nothing.
      } else if (!TakeVariable()) {
        return false;
      }
    }
    return true;
  }

  std::vector<Part> parts;
  std::string unknown;

 private:
  bool TakeVariable() {
    rest_.remove_prefix(1);
    const bool braces = rest_.starts_with('{');
    if (braces) rest_.remove_prefix(1);
    const auto end = std::find_if_not(rest_.begin(), rest_.end(), IsNameByte);
    const std::string name(rest_.begin(), end);
    rest_.remove_prefix(name.size());
    if (braces && rest_.starts_with('}')) rest_.remove_prefix(1);
    for (const Variable& variable : kVariables) {
      if (name != variable.name) continue;
      if (variable.from.has_value()) parts.push_back({*variable.from});
      return true;
    }
    constexpr std::string_view kHeader = "http_";
    constexpr std::string_view kArgument = "arg_";
    if (name.starts_with(kHeader) && name.size() > kHeader.size()) {
      parts.push_back({From::kHeader, HeaderName(name.substr(kHeader.size()))});
      return true;
    }
    if (name.starts_with(kArgument) && name.size() > kArgument.size()) {
      parts.push_back({From::kArgument, name.substr(kArgument.size())});
      return true;
    }
    unknown = Concat("$", name);
    return false;
  }

  std::string_view rest_;
};

}  // namespace

std::optional<lb::HashKey> ReadHashKey(Context& context, const Directive& directive,
                                       std::string_view text) {
  KeyReader reader(text);
  if (!reader.Read()) {
    context.NotHonoured(directive, Concat("there is no ", reader.unknown, " here"));
    return std::nullopt;
  }
  if (reader.parts.empty()) {
    context.NotHonoured(directive, "its key is the same for every request");
    return std::nullopt;
  }
  if (reader.parts.size() > lb::HashKey::kPartsMax) {
    context.Error(directive, text, Concat("at most ", lb::HashKey::kPartsMax, " variables"));
    return std::nullopt;
  }
  return lb::HashKey(std::move(reader.parts));
}

}  // namespace tepal::nginx_conf
