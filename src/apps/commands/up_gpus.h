// The slots that this machine's GPUs have, for `tepal up`: looked at on a thread of its own,
// because a driver may take its time.
//
// The driver is opened for each look and closed again: an open one would be in the way of a GPU's
// reset, and one that was loaded anew would not be seen. Lives on the control loop.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/supervisor/slots.h"
#include "core/base/function.h"
#include "core/env/event_loop.h"
#include "core/env/executor.h"

namespace tepal::commands {

class GpuWatch {
 public:
  // `tell`: one line for people, on the loop, when it is new that a GPU has no slot. All outlive
  // this, whose destruction waits for a look in progress.
  GpuWatch(const supervisor::SlotsConfig& config, env::EventLoop& loop,
           Function<void(std::string_view)> tell);
  ~GpuWatch();

  // The first look: blocks, and checks what the file says about GPUs. kNotFound: no driver, or
  // no GPU.
  Result<supervisor::GpuSlots> LookNow();

  // As supervisor::LookForSlots has it.
  void Look(Function<void(Result<std::vector<supervisor::Slot>>)> done);

 private:
  void TellNotes(std::vector<std::string> notes);

  const supervisor::SlotsConfig config_;
  env::EventLoop& loop_;
  Function<void(std::string_view)> tell_;
  std::vector<std::string> notes_;  // Told already.
  std::unique_ptr<env::Executor> thread_;
};

}  // namespace tepal::commands
