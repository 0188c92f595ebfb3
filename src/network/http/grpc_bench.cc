// What one small unary call costs the server's side of HTTP/2 and gRPC, sockets left out: frames,
// header fields, the message, the answer. Calls come 64 at a time. Prints nanoseconds of CPU and
// allocations for each.

#include <cstdio>
#include <ctime>

#include "network/http/allocation_count.h"
#include "network/http/grpc.h"
#include "network/http/session_test_support.h"

namespace tepal::http {
namespace {

constexpr size_t kMessageMax = 1 << 20;

class EchoHandler final : public RequestHandler {
 public:
  std::unique_ptr<RequestReceiver> OnRequest(RequestHead head, ResponseSender& sender) override {
    const GrpcCompression compression = GrpcAnswerCompression(head.headers, effort);
    return std::make_unique<GrpcUnaryRequest>(
        head, sender, kMessageMax, [&sender, compression](Buffer message) {
          BufferList answer;
          answer.push_back(std::move(message));
          GrpcRespond(sender, std::move(answer), nullptr, compression);
        });
  }
  std::optional<Effort> effort;
};

double CpuNanoseconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

void Measure(const char* what, size_t message_bytes, GrpcCompression compression) {
  constexpr int kAtATime = 64;
  const int rounds = compression.encoding == Encoding::kIdentity ? 3000 : 200;
  const int warm_up = rounds / 10;
  TestHost host;
  EchoHandler handler;
  if (compression.encoding != Encoding::kIdentity) handler.effort = compression.effort;
  const auto server = NewHttp2ServerSession(Limits(), host, handler);
  const auto client = NewHttp2ClientSession(Limits(), host);
  const RequestHead head = MakeGrpcRequest(
      "localhost:8001", "/inference.GRPCInferenceService/ModelInfer", std::nullopt, compression);
  const Buffer framed = Flatten(GrpcFrame(Text(std::string(message_bytes, 'x')), compression));
  MoveAll(*client, *server, host.now);
  double nanoseconds = 0;
  size_t allocated = 0;
  int answered = 0;
  for (int round = -warm_up; round < rounds; ++round) {
    for (int i = 0; i < kAtATime; ++i) {
      auto receiver = std::make_unique<GrpcUnaryResponse>(
          kMessageMax,
          [&answered](const GrpcEnd& end, const Buffer&) { answered += end.status.ok() ? 1 : 0; });
      RequestSender* const sender = client->Send(head, false, std::move(receiver));
      sender->Write({framed});
      sender->Finish();
    }
    const std::string requests = TakeAllOutput(*client, host.now);
    const double began = CpuNanoseconds();
    const size_t allocated_before = allocations;
    const std::string answers = Give(*server, requests, host.now);
    if (round >= 0) {
      nanoseconds += CpuNanoseconds() - began;
      allocated += allocations - allocated_before;
    }
    Give(*server, Give(*client, answers, host.now), host.now);
    MoveAll(*client, *server, host.now);
  }
  const int calls = rounds * kAtATime;
  if (answered != calls + warm_up * kAtATime)
    std::printf("%d calls have failed\n", calls - answered);
  std::printf("%-28s %7.0f ns  %5.1f allocations\n", what, nanoseconds / calls,
              static_cast<double>(allocated) / calls);
}

}  // namespace
}  // namespace tepal::http

int main() {
  using tepal::http::Effort;
  using tepal::http::Encoding;
  using tepal::http::Measure;
  Measure("200 bytes", 200, {});
  Measure("64 KiB", 64 << 10, {});
  Measure("64 KiB, gzip both ways", 64 << 10, {Encoding::kGzip, Effort::kLow});
}
