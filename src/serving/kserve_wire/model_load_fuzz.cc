// Feeds any bytes to the readers of what a server says of its load: what one takes can be written,
// and reads back the same.

#include <cstddef>
#include <cstdint>

#include "serving/kserve_wire/model_load.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto load = tepal::ReadModelLoad(bytes)) {
    tepal::LoadText first, second;
    const std::string_view text = tepal::WriteModelLoad(*load, first);
    const auto again = tepal::ReadModelLoad(text);
    if (!again.has_value() || tepal::WriteModelLoad(*again, second) != text) __builtin_trap();
    if (tepal::ExpectedWait(*load) < tepal::Duration(0)) __builtin_trap();
  }
  for (const auto& read : {tepal::ReadServerLoad(bytes), tepal::ReadRepositoryIndex(bytes)}) {
    if (read.ok() && read->models.size() > tepal::kServerLoadModelsMax) __builtin_trap();
  }
  return 0;
}
