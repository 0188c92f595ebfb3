// Whatever a config.pbtxt holds, every step from its text to the struct answers or refuses, and
// what ConfigJson writes reads back.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/base/check.h"
#include "core/json/value.h"
#include "serving/model_config/auto_complete.h"
#include "serving/model_config/normalise.h"
#include "serving/model_config/validate.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)tepal::ParseConfigJson(text).ok();
  auto draft = tepal::ParseConfigText(text);
  if (!draft.ok()) {
    TEPAL_CHECK(!draft.status().message().empty());
    return 0;
  }
  const tepal::ModelReport report = {
      .inputs = {{.name = "x", .type = tepal::DataType::kFp32, .shape = {-1, 4}}},
      .outputs = {{.name = "y", .type = tepal::DataType::kFp32, .shape = {-1, 4}}}};
  if (!tepal::CompleteBackend(*draft, "model.fuzz", {}).ok()) return 0;
  tepal::Normalise(*draft);
  (void)tepal::AutoComplete(*draft, report).ok();
  tepal::NormaliseInstanceGroups(*draft, {.gpus = {0}, .preferred = {}});
  (void)tepal::Validate(*draft, "model.fuzz").ok();
  (void)tepal::ValidateInstanceGroups(*draft, {}).ok();
  const auto config = tepal::FinishConfig(*draft);
  TEPAL_CHECK(tepal::json::Parse(config->json).ok());
  return 0;
}
