// Whatever bytes come in, a file is read or refused with a message.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/options/yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto node =
      tepal::options::ParseYaml({reinterpret_cast<const char*>(data), size}, "fuzz.yaml");
  if (!node.ok()) return 0;
  tepal::options::YamlReader reader(*node, "fuzz.yaml");
  int value = 0;
  reader.Section("a").Int("b", &value);
  (void)reader.Finish().ok();
  return 0;
}
