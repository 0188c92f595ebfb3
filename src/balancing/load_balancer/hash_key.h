// What of a request policy "hash" binds to an endpoint: requests with the same key go to the same.
//
// A key is made of one or more parts, written "model" or "header:x-user+path". A part that a
// request does not have counts as absent; with all of them absent it has no key and goes where
// there is least to do. Pure.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "network/http/message.h"

namespace tepal::lb {

inline constexpr std::string_view kHashKeyExpected =
    "uri, path, query, argument:NAME, host, header:NAME, client, client_net or model, several with "
    "'+' between them";

class HashKey {
 public:
  enum class From {
    kUri,  // Path and query as they came.
    kPath,
    kQuery,
    kArgument,   // Of the query, by name.
    kHost,       // Host or :authority.
    kHeader,     // By name.
    kClient,     // The client's IP address.
    kClientNet,  // The first three parts of an IPv4 address; all of an IPv6 address.
    kModel,      // Of the path, or of a unary gRPC inference.
  };
  struct Part {
    From from = From::kUri;
    std::string name = {};  // Of an argument or a header, the latter in lower case.
    bool operator==(const Part&) const = default;
  };
  static constexpr size_t kPartsMax = 8;

  HashKey() : parts_{Part{}} {}
  explicit HashKey(std::vector<Part> parts) : parts_(std::move(parts)) {}

  // kInvalidArgument says what was there and what was expected.
  static Result<HashKey> Parse(std::string_view text);

  // 0: it has none. `model`: where the path does not say it.
  uint64_t Of(const http::RequestHead& head, std::string_view model) const;

  const std::vector<Part>& parts() const { return parts_; }
  bool operator==(const HashKey&) const = default;

 private:
  std::vector<Part> parts_;
};

}  // namespace tepal::lb
