#include "network/http/http1_head.h"
#include "network/http/http2_core.h"

namespace tepal::http {

void Http2Fields::Add(std::string_view name, std::string_view value) {
  const auto bytes = [](std::string_view text) {
    return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));
  };
  fields_.push_back({bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
}

void Http2Fields::AddAll(const Headers& headers) {
  fields_.reserve(fields_.size() + headers.size());
  for (const Headers::Field field : headers) {
    const auto* name = reinterpret_cast<const uint8_t*>(field.name.data());
    const auto* value = reinterpret_cast<const uint8_t*>(field.value.data());
    if (IsFramingField(field.name) || field.name == "host") continue;
    if (!nghttp2_check_header_name(name, field.name.size()) || field.name.starts_with(':') ||
        !nghttp2_check_header_value(value, field.value.size())) {
      continue;
    }
    Add(field.name, field.value);
  }
}

}  // namespace tepal::http
