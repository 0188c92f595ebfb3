// Selectors of any bytes: an error that says something, or a selector that reads back as itself.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "scaling/custom_metrics/label_selector.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using tepal::custom_metrics::LabelSelector;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = LabelSelector::Parse(text);
  if (!parsed.ok()) {
    if (parsed.status().message().empty()) std::abort();
    return 0;
  }
  const std::string written = parsed->ToString();
  const auto again = LabelSelector::Parse(written);
  if (!again.ok() && written.size() <= tepal::custom_metrics::kSelectorBytesMax) std::abort();
  if (again.ok() && again->ToString() != written) std::abort();
  const std::string one = "1";
  parsed->Matches([&](const std::string& key) { return key.size() % 2 == 0 ? &one : nullptr; });
  return 0;
}
