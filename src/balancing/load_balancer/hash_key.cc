#include "balancing/load_balancer/hash_key.h"

#include <optional>

#include "balancing/load_balancer/hash_ring.h"
#include "core/base/text.h"
#include "serving/kserve_wire/request_facts.h"

namespace tepal::lb {

namespace {

using From = HashKey::From;

struct Word {
  std::string_view text;
  From from;
  bool named;
};
constexpr Word kWords[] = {
    {"uri", From::kUri, false},       {"path", From::kPath, false},
    {"query", From::kQuery, false},   {"argument", From::kArgument, true},
    {"host", From::kHost, false},     {"header", From::kHeader, true},
    {"client", From::kClient, false}, {"client_net", From::kClientNet, false},
    {"model", From::kModel, false},
};

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  return lower;
}

std::optional<HashKey::Part> ParsePart(std::string_view text) {
  const size_t colon = text.find(':');
  const bool named = colon != std::string_view::npos;
  const std::string_view name = named ? text.substr(colon + 1) : std::string_view();
  for (const Word& word : kWords) {
    if (word.text != text.substr(0, colon) || word.named != named) continue;
    if (named && name.empty()) return std::nullopt;
    return HashKey::Part{word.from,
                         word.from == From::kHeader ? LowerCase(name) : std::string(name)};
  }
  return std::nullopt;
}

std::optional<std::string_view> Some(std::string_view text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

std::optional<std::string_view> ArgumentOf(std::string_view query, std::string_view name) {
  for (const std::string_view pair : Split(query, '&')) {
    if (pair.starts_with(name) && pair.substr(name.size()).starts_with('=')) {
      return pair.substr(name.size() + 1);
    }
  }
  return std::nullopt;
}

// Of "10.0.1.2" what is before the last dot.
std::string_view NetworkOf(std::string_view peer) {
  if (peer.find(':') != std::string_view::npos) return peer;
  return peer.substr(0, peer.rfind('.'));
}

std::optional<std::string_view> Find(const HashKey::Part& part, const http::RequestHead& head,
                                     std::string_view model) {
  switch (part.from) {
    case From::kUri:
      return Some(head.target);
    case From::kPath:
      return Some(head.path());
    case From::kQuery:
      return Some(head.query());
    case From::kArgument:
      return ArgumentOf(head.query(), part.name);
    case From::kHost:
      return Some(head.authority);
    case From::kHeader:
      return head.headers.Get(part.name);
    case From::kClient:
      return Some(head.peer);
    case From::kClientNet:
      return Some(NetworkOf(head.peer));
    case From::kModel: {
      const std::string_view of_path = ModelOfPath(head.path());
      return Some(of_path.empty() ? model : of_path);
    }
  }
  return std::nullopt;
}

}  // namespace

Result<HashKey> HashKey::Parse(std::string_view text) {
  std::vector<Part> parts;
  for (const std::string_view word : Split(text, '+')) {
    auto part = ParsePart(Trim(word));
    if (!part.has_value()) {
      return InvalidArgument(Concat("hash key: got '", word, "', expected ", kHashKeyExpected));
    }
    parts.push_back(*std::move(part));
  }
  if (parts.size() > kPartsMax) {
    return InvalidArgument(
        Concat("hash key: got ", parts.size(), " parts, expected at most ", kPartsMax));
  }
  return HashKey(std::move(parts));
}

uint64_t HashKey::Of(const http::RequestHead& head, std::string_view model) const {
  uint64_t hash = 0;
  bool any = false;
  for (const Part& part : parts_) {
    const auto value = Find(part, head, model);
    any = any || value.has_value();
    hash = HashOfText(value.value_or(""), hash + (value.has_value() ? 1 : 0));
  }
  return any ? hash : 0;
}

}  // namespace tepal::lb
