// HTTP/1.1 sessions under arbitrary bytes. What a session understands must not depend on how its
// input was cut, and however broken the input is, an exchange ends in exactly one way.

#include <cstdlib>

#include "network/http/session_test_support.h"

namespace tepal::http {
namespace {

struct Cuts {
  uint32_t state;
  size_t Next() {
    state = state * 1664525 + 1013904223;
    return 1 + (state >> 16) % ((state >> 8) % 4 == 0 ? 200 : 9);
  }
};

Limits SmallLimits() {
  Limits limits;
  limits.header_bytes_max = 300;
  limits.header_count_max = 8;
  limits.body_bytes_max = 1000;
  limits.requests_pipelined_max = 4;
  return limits;
}

void Check(bool condition) {
  if (!condition) std::abort();
}

std::vector<std::string> RunServer(std::string_view input, Cuts* cuts) {
  TestHost host;
  RecordingHandler handler;
  auto session = NewHttp1ServerSession(SmallLimits(), host, handler);
  while (!input.empty() && !session->Finished()) {
    const size_t part = cuts != nullptr ? std::min(cuts->Next(), input.size()) : input.size();
    const int64_t taken = GiveOnce(*session, input.substr(0, part), host.now);
    TakeAllOutput(*session, host.now);
    if (taken <= 0) break;
    input.remove_prefix(static_cast<size_t>(taken));
  }
  session->OnReadEnd(host.now);
  TakeAllOutput(*session, host.now);
  Check(session->Finished());
  session.reset();
  std::vector<std::string> events = handler.events;
  // Requests and what became of them come in pairs.
  for (size_t i = 0; i + 1 < events.size(); i += 2) {
    Check(events[i + 1].starts_with("end ") || events[i + 1].starts_with("reset "));
  }
  Check(events.size() % 2 == 0);
  return events;
}

void RunClient(std::string_view input, Cuts* cuts, Answer& answer) {
  TestHost host;
  auto session = NewHttp1ClientSession(SmallLimits(), host);
  answer.room_bytes = 7;
  session->Send(MakeRequest("GET", "/"), true, std::make_unique<RecordingReceiver>(answer));
  TakeAllOutput(*session, host.now);
  while (!input.empty() && !session->Finished() && session->Capacity() == 0) {
    const size_t part = cuts != nullptr ? std::min(cuts->Next(), input.size()) : input.size();
    const int64_t taken = GiveOnce(*session, input.substr(0, part), host.now);
    if (taken <= 0) break;
    input.remove_prefix(static_cast<size_t>(taken));
  }
  session->OnReadEnd(host.now);
  Check(session->Finished());
  Check(answer.ended != answer.failed);
}

}  // namespace
}  // namespace tepal::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tepal::http;  // NOLINT: one function.
  if (size < 3) return 0;
  const bool server = data[0] % 2 == 0;
  Cuts cuts{static_cast<uint32_t>(data[1] << 8 | data[2])};
  const std::string_view input(reinterpret_cast<const char*>(data) + 3, size - 3);
  if (server) {
    Check(RunServer(input, nullptr) == RunServer(input, &cuts));
  } else {
    Answer whole, cut;
    RunClient(input, nullptr, whole);
    RunClient(input, &cuts, cut);
    Check(whole.events == cut.events && whole.body == cut.body && whole.failed == cut.failed);
  }
  return 0;
}
