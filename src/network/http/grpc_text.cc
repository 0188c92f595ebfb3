#include "network/http/grpc_text.h"

#include <algorithm>

#include "core/base/text.h"

namespace tepal::http {

namespace {

constexpr char kHex[] = "0123456789ABCDEF";
constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint32_t kBase64Bits = 6;

std::string EncodeBase64(std::string_view bytes) {
  std::string text;
  uint32_t bits = 0;
  uint32_t value = 0;
  for (const char c : bytes) {
    value = value << 8 | static_cast<unsigned char>(c);
    for (bits += 8; bits >= kBase64Bits; bits -= kBase64Bits) {
      text.push_back(kBase64[value >> (bits - kBase64Bits) & 63]);
    }
  }
  if (bits > 0) text.push_back(kBase64[value << (kBase64Bits - bits) & 63]);
  return text;
}

std::optional<std::string> DecodeBase64(std::string_view text) {
  if (text.size() % 4 == 0 && text.ends_with('=')) text.remove_suffix(text.ends_with("==") ? 2 : 1);
  if (text.size() % 4 == 1) return std::nullopt;
  std::string bytes;
  uint32_t bits = 0;
  uint32_t value = 0;
  for (const char c : text) {
    const size_t digit = kBase64.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    value = value << kBase64Bits | static_cast<uint32_t>(digit);
    bits += kBase64Bits;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push_back(static_cast<char>(value >> bits & 255));
  }
  return bytes;
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

struct Unit {
  char letter;
  int64_t nanoseconds;
};
constexpr Unit kUnits[] = {{'n', 1},
                           {'u', 1'000},
                           {'m', 1'000'000},
                           {'S', 1'000'000'000},
                           {'M', 60'000'000'000},
                           {'H', 3'600'000'000'000}};
constexpr int64_t kTimeoutNumberMax = 99'999'999;

}  // namespace

bool IsGrpcContentType(std::string_view content_type) {
  constexpr std::string_view kType = "application/grpc";
  if (!EqualsIgnoreCase(content_type.substr(0, kType.size()), kType)) return false;
  return content_type.size() == kType.size() || content_type[kType.size()] == '+' ||
         content_type[kType.size()] == ';';
}

bool IsGrpcRequest(const RequestHead& head) {
  return head.method == "POST" && head.version == Version::kHttp2 &&
         IsGrpcContentType(head.headers.Get("content-type").value_or(""));
}

std::optional<Duration> ParseGrpcTimeout(std::string_view text) {
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  const auto number = ParseNumber<int64_t>(text.substr(0, text.size() - 1));
  if (!number.has_value() || *number < 0 || text.front() == '-') return std::nullopt;
  for (const Unit unit : kUnits) {
    if (unit.letter != text.back()) continue;
    // Hours of eight digits are more than a Duration holds; nobody waits for them.
    if (*number > INT64_MAX / unit.nanoseconds) return Duration::max();
    return Duration(*number * unit.nanoseconds);
  }
  return std::nullopt;
}

std::string FormatGrpcTimeout(Duration timeout) {
  const int64_t nanoseconds = std::max<int64_t>(timeout.count(), 1);
  for (const Unit unit : kUnits) {
    const int64_t number =
        nanoseconds / unit.nanoseconds + (nanoseconds % unit.nanoseconds != 0 ? 1 : 0);
    if (number <= kTimeoutNumberMax) return Concat(number, unit.letter);
  }
  return Concat(kTimeoutNumberMax, 'H');
}

Result<Instant> GrpcDeadline(const Headers& request, Instant received) {
  const auto text = request.Get("grpc-timeout");
  if (!text.has_value()) return Instant::max();
  const std::optional<Duration> timeout = ParseGrpcTimeout(*text);
  if (!timeout.has_value()) {
    return Internal(Concat("malformed grpc-timeout '", *text,
                           "', expected at most eight digits and one of H M S m u n"));
  }
  return *timeout < Instant::max() - received ? received + *timeout : Instant::max();
}

std::string EncodeGrpcMessage(std::string_view message) {
  std::string encoded;
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte <= 0x7e && c != '%') {
      encoded.push_back(c);
    } else {
      encoded.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return encoded;
}

std::string DecodeGrpcMessage(std::string_view encoded) {
  std::string message;
  for (size_t i = 0; i < encoded.size(); ++i) {
    const bool escape = encoded[i] == '%' && i + 2 < encoded.size() &&
                        HexValue(encoded[i + 1]) >= 0 && HexValue(encoded[i + 2]) >= 0;
    if (!escape) {
      message.push_back(encoded[i]);
      continue;
    }
    message.push_back(static_cast<char>(HexValue(encoded[i + 1]) * 16 + HexValue(encoded[i + 2])));
    i += 2;
  }
  return message;
}

void AddGrpcStatus(const Status& status, Headers& headers) {
  headers.Add("grpc-status", std::to_string(static_cast<int>(status.code())));
  if (!status.message().empty()) headers.Add("grpc-message", EncodeGrpcMessage(status.message()));
}

std::optional<Status> ReadGrpcStatus(const Headers& headers) {
  const auto text = headers.Get("grpc-status");
  if (!text.has_value()) return std::nullopt;
  const int code = ParseNumber<int>(*text).value_or(-1);
  const bool known = code >= 0 && code <= static_cast<int>(StatusCode::kUnauthenticated);
  if (code == 0) return Status();
  return Status(known ? static_cast<StatusCode>(code) : StatusCode::kUnknown,
                DecodeGrpcMessage(headers.Get("grpc-message").value_or("")));
}

void AddBinaryMetadata(std::string_view name, std::string_view bytes, Headers& headers) {
  headers.Add(name, EncodeBase64(bytes));
}

std::vector<std::string> ReadBinaryMetadata(const Headers& headers, std::string_view name) {
  std::vector<std::string> values;
  for (const auto field : headers) {
    if (field.name != name) continue;
    for (const std::string_view part : Split(field.value, ',')) {
      if (auto bytes = DecodeBase64(Trim(part))) values.push_back(*std::move(bytes));
    }
  }
  return values;
}

// By the document "HTTP to gRPC Status Code Mapping".
Status GrpcStatusFromHttp(int http_status) {
  const std::string text = Concat("the answer is no gRPC answer: HTTP status ", http_status);
  switch (http_status) {
    case 400:
      return Internal(text);
    case 401:
      return {StatusCode::kUnauthenticated, text};
    case 403:
      return {StatusCode::kPermissionDenied, text};
    case 404:
      return Unimplemented(text);
    case 429:
    case 502:
    case 503:
    case 504:
      return Unavailable(text);
    default:
      return {StatusCode::kUnknown, text};
  }
}

}  // namespace tepal::http
