// Whatever bytes come in, a file is read or refused with a message.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/base/check.h"
#include "core/options/yaml.h"
#include "core/options/yaml_write.h"

namespace {

using tepal::options::YamlNode;

bool Same(const YamlNode& a, const YamlNode& b) {
  if (a.kind != b.kind || a.scalar != b.scalar || a.elements.size() != b.elements.size() ||
      a.members.size() != b.members.size()) {
    return false;
  }
  for (size_t i = 0; i < a.elements.size(); ++i) {
    if (!Same(a.elements[i], b.elements[i])) return false;
  }
  for (size_t i = 0; i < a.members.size(); ++i) {
    if (a.members[i].name != b.members[i].name || !Same(a.members[i].node, b.members[i].node)) {
      return false;
    }
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const tepal::options::YamlSlice& slice : tepal::options::SplitYaml(text)) {
    (void)tepal::options::ParseYaml(slice.text, "fuzz.yaml", slice.first_line).ok();
  }
  const auto node = tepal::options::ParseYaml(text, "fuzz.yaml");
  if (!node.ok()) return 0;
  // What is written is read as the same.
  if (node->kind == YamlNode::Kind::kMapping && !node->members.empty()) {
    const auto again = tepal::options::ParseYaml(
        tepal::options::WriteYaml(*node, tepal::options::FindYamlComments(text)), "again.yaml");
    TEPAL_CHECK(again.ok() && Same(*node, *again));
  }
  tepal::options::YamlReader reader(*node, "fuzz.yaml");
  int value = 0;
  reader.Section("a").Int("b", &value);
  (void)reader.Finish().ok();
  return 0;
}
