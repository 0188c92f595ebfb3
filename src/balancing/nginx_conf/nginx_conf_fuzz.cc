// Whatever bytes come in, a configuration is read or refused with a message.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "balancing/nginx_conf/reading.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto reading = tepal::nginx_conf::ReadNginxConf(text, "fuzz.conf");
  if (!reading.ok()) return 0;
  for (const auto& note : reading->notes) (void)tepal::nginx_conf::NoteText("fuzz.conf", note);
  return 0;
}
