// However the bytes of a watch are cut, the same events come out, or the same refusal.

#include <cstddef>
#include <cstdint>

#include "core/base/check.h"
#include "network/kube/reflector.h"

namespace {

using tepal::kube::WatchDecoder;
using tepal::kube::WatchEvent;

struct Outcome {
  std::vector<WatchEvent> events;
  bool ok = true;
};

Outcome Decode(std::string_view bytes, size_t piece) {
  Outcome outcome;
  WatchDecoder decoder(4096);
  while (!bytes.empty() && outcome.ok) {
    const size_t size = std::min(piece, bytes.size());
    outcome.ok = decoder.Feed(bytes.substr(0, size), outcome.events).ok();
    bytes.remove_prefix(size);
  }
  if (outcome.ok) outcome.ok = decoder.Finish().ok();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Outcome whole = Decode(bytes, size);
  const Outcome pieces = Decode(bytes, 1 + size % 7);
  TEPAL_CHECK(whole.ok == pieces.ok && whole.events.size() == pieces.events.size());

  // What follows it takes any event that is JSON.
  tepal::env::SeededRandom random(1);
  tepal::kube::Reflector reflector({}, random);
  const tepal::Instant now{};
  (void)reflector.NextStep(now);
  (void)reflector.OnList({}, "1", now);
  (void)reflector.NextStep(now);
  for (WatchEvent& event : whole.events) (void)reflector.OnEvent(std::move(event), now);
  reflector.OnWatchEnd({}, now);
  return 0;
}
