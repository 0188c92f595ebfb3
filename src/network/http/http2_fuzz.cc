// HTTP/2 sessions under arbitrary frames, with pauses, timers and drains in between. Whatever
// comes, every exchange ends in exactly one way and nothing is called after its last call.

#include <cstdlib>

#include "network/http/session_test_support.h"

namespace tepal::http {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

void Check(bool condition) {
  if (!condition) std::abort();
}

Limits SmallLimits() {
  Limits limits;
  limits.header_bytes_max = 500;
  limits.body_bytes_max = 1000;
  limits.window_bytes = 300;
  limits.streams_max = 5;
  limits.send_high_water_bytes = 50;
  return limits;
}

// Feeds `input` in pieces; a byte now and then says to do something else.
void Feed(Session& session, TestHost& host, std::string_view input, size_t piece) {
  for (size_t turn = 0; !input.empty() && !session.Finished(); ++turn) {
    const int64_t taken = GiveOnce(session, input.substr(0, piece), host.now);
    if (taken <= 0) break;
    input.remove_prefix(static_cast<size_t>(taken));
    if (turn % 3 != 0) TakeOutput(session, host.now, 1 + piece * 3);
    if (turn % 50 == 49) {
      host.now += Duration(5s);
      if (!session.OnTime(host.now)) break;
    }
    if (turn % 200 == 199) session.Drain(host.now);
  }
  TakeAllOutput(session, host.now);
  session.OnDisconnect(Unavailable("the end"));
  Check(session.Finished());
}

void RunServer(std::string_view input, size_t piece, uint8_t mode) {
  TestHost host;
  RecordingHandler handler(
      [mode](const RequestHead&, const std::string& body, ResponseSender& sender) {
        if (mode % 4 == 0) return sender.Reset(2);
        if (mode % 4 == 1) return;
        sender.Start(ResponseHead());
        sender.Write(Text(body));
        sender.Finish();
      });
  handler.room_bytes = mode % 3 == 0 ? 0 : 10;
  Budget budget(1000);
  Limits limits = SmallLimits();
  limits.body_budget = &budget;
  limits.resets_burst_max = limits.control_frames_burst_max = 20;
  limits.keepalive_time = 3s;
  limits.connection_age_max = limits.connection_age_grace = 60s;
  auto session = NewHttp2ServerSession(limits, host, handler);
  const std::string preface = std::string(kPreface) + std::string("\0\0\0\4\0\0\0\0\0", 9);
  if (mode % 8 != 7) GiveOnce(*session, preface, host.now);
  Feed(*session, host, input, piece);
  int begun = 0;
  int over = 0;
  for (const std::string& event : handler.events) {
    over += event.starts_with("end ") || event.starts_with("reset ") ? 1 : 0;
    begun += event.find("host=") != std::string::npos ? 1 : 0;
  }
  Check(over >= begun || begun == 0);
  session.reset();
  Check(budget.used() == 0);
}

void RunClient(std::string_view input, size_t piece) {
  TestHost host;
  Answer answers[3];
  auto session = NewHttp2ClientSession(SmallLimits(), host);
  for (Answer& answer : answers) {
    RequestSender* sender =
        session->Send(MakeRequest("POST", "/"), false, std::make_unique<RecordingReceiver>(answer));
    Check(sender != nullptr);
    sender->Write(Text(std::string(400, 'x')));
    sender->Finish();
  }
  TakeAllOutput(*session, host.now);
  Feed(*session, host, input, piece);
  for (const Answer& answer : answers) Check(answer.ended != answer.failed);
}

}  // namespace
}  // namespace tepal::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tepal::http;  // NOLINT: one function.
  if (size < 3) return 0;
  const size_t piece = 1 + data[1] + (data[1] > 200 ? 5000 : 0);
  const std::string_view input(reinterpret_cast<const char*>(data) + 3, size - 3);
  if (data[0] % 2 == 0) {
    RunServer(input, piece, data[2]);
  } else {
    RunClient(input, piece);
  }
  return 0;
}
