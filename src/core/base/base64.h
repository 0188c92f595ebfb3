// Base64 (RFC 4648 section 4).

#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tepal {

// With its padding or without it; nothing for a text with any other character, or of a length that
// no bytes have.
std::optional<std::string> DecodeBase64(std::string_view text);

// With its padding.
std::string EncodeBase64(std::string_view bytes);

}  // namespace tepal
