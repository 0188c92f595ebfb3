// Whatever bytes come in, a template is read and run, or refused with a message.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "scaling/custom_metrics/rules_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace cm = tepal::custom_metrics;
  constexpr std::string_view kFields[] = {"Series", "LabelValuesByName", "GroupBySlice"};
  const auto parsed =
      cm::RulesTemplate::Parse({reinterpret_cast<const char*>(data), size}, kFields);
  if (!parsed.ok()) return 0;
  const cm::TemplateFields fields = {
      {"Series", std::string("up")},
      {"LabelValuesByName", cm::TemplateMap{{"namespace", "ns"}, {"pod", "a|b"}}},
      {"GroupBySlice", cm::TemplateList{"pod", "x"}}};
  (void)parsed->Execute(fields).ok();
  return 0;
}
