// Whatever bytes come in, a file is read or refused with a message.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/options/yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const tepal::options::YamlSlice& slice : tepal::options::SplitYaml(text)) {
    (void)tepal::options::ParseYaml(slice.text, "fuzz.yaml", slice.first_line).ok();
  }
  const auto node = tepal::options::ParseYaml(text, "fuzz.yaml");
  if (!node.ok()) return 0;
  tepal::options::YamlReader reader(*node, "fuzz.yaml");
  int value = 0;
  reader.Section("a").Int("b", &value);
  (void)reader.Finish().ok();
  return 0;
}
