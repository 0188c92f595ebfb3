#include "apps/commands/up_gpus.h"

#include <algorithm>
#include <utility>

#include "core/base/text.h"
#include "core/runtime/runtime.h"
#include "partitioning/mig/nvml_driver.h"

namespace tepal::commands {
namespace {

Result<std::vector<mig::Gpu>> ListGpus() {
  ASSIGN_OR_RETURN(const std::unique_ptr<mig::Driver> driver, mig::OpenNvmlDriver({}));
  return driver->List();
}

}  // namespace

GpuWatch::GpuWatch(const supervisor::SlotsConfig& config, env::EventLoop& loop,
                   Function<void(std::string_view)> tell)
    : config_(config),
      loop_(loop),
      tell_(std::move(tell)),
      thread_(runtime::NewThreadPool("gpus", 1)) {}

GpuWatch::~GpuWatch() = default;

Result<supervisor::GpuSlots> GpuWatch::LookNow() {
  const Result<std::vector<mig::Gpu>> gpus = ListGpus();
  if (!gpus.ok() && gpus.status().code() == StatusCode::kUnavailable) {
    return NotFound(gpus.status().message());
  }
  if (!gpus.ok() && gpus.status().code() == StatusCode::kPermissionDenied) {
    return gpus.status().WithContext(
        "the driver refuses this user, who has to be able to read and write /dev/nvidia*");
  }
  RETURN_IF_ERROR(gpus.status());
  if (gpus->empty()) {
    return NotFound(
        "the driver sees no GPU; `nvidia-smi -L` lists them, a container has to be "
        "given them (--gpus all)");
  }
  RETURN_IF_ERROR(supervisor::CheckSlots(*gpus, config_));
  supervisor::GpuSlots found = supervisor::SlotsOf(*gpus, config_);
  notes_ = found.notes;
  return found;
}

void GpuWatch::Look(Function<void(Result<std::vector<supervisor::Slot>>)> done) {
  thread_->Execute([this, done = std::move(done)]() mutable {
    Result<std::vector<mig::Gpu>> gpus = ListGpus();
    loop_.Post([this, gpus = std::move(gpus), done = std::move(done)]() mutable {
      if (!gpus.ok()) return done(gpus.status());
      supervisor::GpuSlots found = supervisor::SlotsOf(*gpus, config_);
      TellNotes(std::move(found.notes));
      done(std::move(found.slots));
    });
  });
}

void GpuWatch::TellNotes(std::vector<std::string> notes) {
  for (const std::string& note : notes) {
    if (std::find(notes_.begin(), notes_.end(), note) == notes_.end()) tell_(note);
  }
  notes_ = std::move(notes);
}

}  // namespace tepal::commands
