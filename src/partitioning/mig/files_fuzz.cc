// Whatever bytes come in, each file is read or refused; what was read and written is read again, or
// refused.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/check.h"
#include "partitioning/mig/checkpoint.h"
#include "partitioning/mig/config.h"
#include "partitioning/mig/hooks_file.h"
#include "partitioning/mig/state_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tepal::mig;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const GpuModel* const model = FindGpuModel("A100-40");
  const std::vector<Gpu> gpus = {{.index = 0,
                                  .uuid = "GPU-0",
                                  .name = std::string(model->name),
                                  .pci_device_id = model->pci_device_id,
                                  .model = {std::shared_ptr<const void>(), model},
                                  .placements_known = true}};
  if (const auto file = ParseConfigFile(text, "fuzz.yaml"); file.ok()) {
    for (const auto& [name, config] : file->configs) (void)Resolve(config, gpus).ok();
    (void)ParseConfigFile(ToYaml(*file), "again.yaml").ok();
    (void)ParseConfigFile(ToJson(*file), "again.json").ok();
  }
  (void)ParseHooksFile(text, "fuzz.yaml").ok();
  (void)FromCheckpoint(text, gpus).ok();
  (void)ParseWanted(text, gpus).ok();
  if (const auto state = ParseStateFile(text); state.ok()) {
    TEPAL_CHECK(ParseStateFile(ToText(*state)).ok());
  }
  return 0;
}
