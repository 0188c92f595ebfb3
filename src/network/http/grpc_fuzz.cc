// gRPC's framing and texts under arbitrary bytes: messages do not depend on how the body was cut,
// and what is written reads back the same.

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

Outcome ReadAll(std::string_view input, size_t piece) {
  Outcome outcome;
  GrpcMessageReader reader(
      500,
      [&](Buffer message) {
        Check(outcome.error == StatusCode::kOk);
        outcome.messages.emplace_back(message.text());
      },
      [&](const Status& why) {
        Check(outcome.error == StatusCode::kOk && !why.ok());
        outcome.error = why.code();
      });
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

}  // namespace
}  // namespace tepal::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tepal::http;  // NOLINT: one function.
  if (size < 1) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  Check(ReadAll(input, SIZE_MAX) == ReadAll(input, 1 + data[0] % 20));
  Check(DecodeGrpcMessage(EncodeGrpcMessage(input)) == input);
  DecodeGrpcMessage(input);
  if (const auto timeout = ParseGrpcTimeout(input)) {
    const auto again = ParseGrpcTimeout(FormatGrpcTimeout(*timeout));
    Check(again.has_value() && *again >= *timeout);
  }
  return 0;
}
