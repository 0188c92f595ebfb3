#include "network/kube/time_text.h"

#include <cstdio>
#include <ctime>

namespace tepal::kube {
namespace {

std::string Format(WallTime time, bool micros) {
  const int64_t total =
      std::chrono::floor<std::chrono::microseconds>(time.time_since_epoch()).count();
  const auto seconds = static_cast<std::time_t>(total / 1'000'000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[48];
  const size_t size = std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
  std::string out(text, size);
  if (micros) {
    std::snprintf(text, sizeof(text), ".%06d", static_cast<int>(total % 1'000'000));
    out += text;
  }
  return out + "Z";
}

}  // namespace

std::string TimeText(WallTime time) { return Format(time, false); }
std::string MicroTimeText(WallTime time) { return Format(time, true); }

}  // namespace tepal::kube
