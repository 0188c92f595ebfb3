// Whatever the files hold, each is checked and put right, or its faults are named.

#include <cstddef>
#include <cstdint>

#include "apps/diagnosis/check_manifests.h"
#include "apps/diagnosis/fix_manifests.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const tepal::diagnosis::InputFile files[] = {
      {"m.yaml", text}, {"nginx.conf", text}, {"notes.md", text}};
  for (const auto& finding : tepal::diagnosis::CheckManifests(files)) {
    (void)tepal::diagnosis::FindingText(finding);
  }
  (void)tepal::diagnosis::FixManifests(files, {});
  return 0;
}
