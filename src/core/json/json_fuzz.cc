// Whatever bytes come in, Parse answers a value or an error.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/json/value.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto value = tepal::json::Parse({reinterpret_cast<const char*>(data), size});
  if (value.ok()) (void)value->Find("name");
  return 0;
}
