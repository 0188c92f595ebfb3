// gRPC's framing, compression and texts under arbitrary bytes: messages do not depend on how the
// body was cut, none is larger than allowed, and what is written reads back the same.

#include <cstdlib>

#include "network/http/grpc.h"
#include "network/http/session_test_support.h"

namespace tepal::http {
namespace {

void Check(bool condition) {
  if (!condition) std::abort();
}

struct Outcome {
  std::vector<std::string> messages;
  StatusCode error = StatusCode::kOk;
  bool truncated = false;
  bool operator==(const Outcome&) const = default;
};

constexpr size_t kMessageMax = 500;
constexpr Encoding kEncodings[] = {Encoding::kIdentity, Encoding::kGzip, Encoding::kDeflate};

Outcome ReadAll(std::string_view input, size_t piece, Encoding encoding) {
  Outcome outcome;
  GrpcMessageReader reader(
      kMessageMax,
      [&](Buffer message) {
        Check(outcome.error == StatusCode::kOk && message.size() <= kMessageMax);
        outcome.messages.emplace_back(message.text());
      },
      [&](const Status& why) {
        Check(outcome.error == StatusCode::kOk && !why.ok());
        outcome.error = why.code();
      });
  Headers head;
  AddGrpcEncoding({encoding, {}}, head);
  reader.SetEncoding(head);
  while (!input.empty()) {
    const std::span<std::byte> room = reader.BodyRoom(input.size());
    Check(!room.empty());
    const size_t part = std::min({room.size(), input.size(), piece});
    std::memcpy(room.data(), input.data(), part);
    reader.OnBody(part);
    input.remove_prefix(part);
  }
  outcome.truncated = reader.truncated();
  return outcome;
}

// `input` as messages of different sizes, every second one not compressed.
void CheckRoundTrip(std::string_view input, size_t piece, Encoding encoding) {
  Outcome sent;
  std::string body;
  for (size_t size = 0; !input.empty(); size = size * 3 + 1) {
    const std::string_view message = input.substr(0, std::min(size, kMessageMax));
    const GrpcCompression compression{size % 2 == 0 ? Encoding::kIdentity : encoding, Effort::kLow};
    body += Flatten(GrpcFrame(Text(message), compression)).text();
    sent.messages.emplace_back(message);
    input.remove_prefix(message.size());
  }
  Check(ReadAll(body, piece, encoding) == sent);
}

}  // namespace
}  // namespace tepal::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tepal::http;  // NOLINT: one function.
  if (size < 1) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Encoding encoding = kEncodings[data[0] % 3];
  const size_t piece = 1 + data[0] / 3 % 20;
  Check(ReadAll(input, SIZE_MAX, encoding) == ReadAll(input, piece, encoding));
  CheckRoundTrip(input, piece, encoding);
  Check(DecodeGrpcMessage(EncodeGrpcMessage(input)) == input);
  DecodeGrpcMessage(input);
  if (const auto timeout = ParseGrpcTimeout(input)) {
    const auto again = ParseGrpcTimeout(FormatGrpcTimeout(*timeout));
    Check(again.has_value() && *again >= *timeout);
  }
  return 0;
}
