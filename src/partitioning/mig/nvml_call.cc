#include "partitioning/mig/nvml_call.h"

#include "core/base/text.h"

namespace tepal::mig {

namespace nvml = gpu::nvml;

namespace {

// Processes of one GPU; the rest is not looked at.
constexpr unsigned kProcessesMax = 4096;
constexpr unsigned kProcessesAtFirst = 64;

StatusCode CodeOf(int result) {
  switch (result) {
    case nvml::kInvalidArgument:
    case nvml::kArgumentVersionMismatch:
      return StatusCode::kInvalidArgument;
    case nvml::kNotSupported:
      return StatusCode::kUnimplemented;
    case nvml::kNoPermission:
      return StatusCode::kPermissionDenied;
    case nvml::kNotFound:
      return StatusCode::kNotFound;
    case nvml::kInUse:
    case nvml::kResetRequired:
      return StatusCode::kFailedPrecondition;
    case nvml::kInsufficientResources:
      return StatusCode::kResourceExhausted;
    case nvml::kDriverNotLoaded:
    case nvml::kGpuIsLost:
      return StatusCode::kUnavailable;
    default:
      return StatusCode::kInternal;
  }
}

void Append(int (*function)(nvml::Device, unsigned*, nvml::ProcessInfo*), nvml::Device device,
            std::vector<nvml::ProcessInfo>& all) {
  for (unsigned room = kProcessesAtFirst; room <= kProcessesMax; room *= 4) {
    std::vector<nvml::ProcessInfo> infos(room);
    unsigned count = room;
    const int result = function(device, &count, infos.data());
    if (result == nvml::kInsufficientSize && room < kProcessesMax) continue;
    if (result != nvml::kSuccess) return;
    infos.resize(count);
    all.insert(all.end(), infos.begin(), infos.end());
    return;
  }
}

}  // namespace

Status NvmlStatus(const gpu::NvmlMigApi& api, int result, std::string_view function) {
  if (result == nvml::kSuccess) return {};
  return {CodeOf(result), Concat(function, ": ", api.ErrorString(result))};
}

std::string NvmlText(int (*function)(nvml::Device, char*, unsigned), nvml::Device device) {
  char text[nvml::kNameSize] = {};
  return function(device, text, sizeof(text)) == nvml::kSuccess ? text : "";
}

std::vector<nvml::ProcessInfo> NvmlProcesses(const gpu::NvmlMigApi& api, nvml::Device device) {
  std::vector<nvml::ProcessInfo> all;
  Append(api.GetComputeProcesses, device, all);
  Append(api.GetGraphicsProcesses, device, all);
  return all;
}

}  // namespace tepal::mig
