// What one small request costs an HTTP/1.1 server session, sockets left out: read, parse, dispatch,
// answer, gather, written. Prints nanoseconds of CPU and allocations for each.

#include <chrono>
#include <cstdio>
#include <ctime>

#include "network/http/allocation_count.h"
#include "network/http/body_collector.h"
#include "network/http/session_test_support.h"

namespace tepal::http {
namespace {

class AnsweringHandler final : public RequestHandler {
 public:
  std::unique_ptr<RequestReceiver> OnRequest(RequestHead head, ResponseSender& sender) override {
    return std::make_unique<CollectingRequest>(head, 1 << 20, sender, [&sender](Buffer body) {
      ResponseHead answer;
      answer.headers.Add("content-type", "application/json");
      BufferList list;
      list.push_back(std::move(body));
      sender.Respond(std::move(answer), std::move(list));
    });
  }
};

double CpuNanoseconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

void Measure(const char* what, const std::string& request) {
  constexpr int kRounds = 300000;
  TestHost host;
  AnsweringHandler handler;
  auto session = NewHttp1ServerSession(Limits(), host, handler);
  std::vector<std::byte> scratch(65536);
  std::vector<env::ConstBytes> pieces;
  double began = 0;
  size_t allocated = 0;
  for (int i = -kRounds / 10; i < kRounds; ++i) {
    if (i == 0) {
      began = CpuNanoseconds();
      allocated = allocations;
    }
    const auto room = session->ReadRoom(scratch);
    std::memcpy(room.data(), request.data(), request.size());
    session->OnRead(request.size(), host.now);
    pieces.clear();
    session->Output(pieces);
    size_t bytes = 0;
    for (const env::ConstBytes& piece : pieces) bytes += piece.size;
    session->OnWritten(bytes, host.now);
  }
  std::printf("%-28s %7.0f ns  %5.1f allocations\n", what, (CpuNanoseconds() - began) / kRounds,
              static_cast<double>(allocations - allocated) / kRounds);
}

}  // namespace
}  // namespace tepal::http

int main() {
  using tepal::http::Measure;
  Measure("GET, 2 fields", "GET /v2/health/ready HTTP/1.1\r\nHost: localhost:8000\r\n\r\n");
  Measure("POST, 7 fields, 200 bytes",
          "POST /v2/models/identity_fp32/infer HTTP/1.1\r\nHost: localhost:8000\r\n"
          "User-Agent: bench/1.0\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
          "Content-Type: application/json\r\nInference-Header-Content-Length: 150\r\n"
          "Content-Length: 200\r\n\r\n" +
              std::string(200, 'x'));
}
