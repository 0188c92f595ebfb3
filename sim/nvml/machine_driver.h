// The simulated machine behind the seam partitioning/mig/driver.h, in process and without a
// library: for simulations and tests of whoever uses a driver.
//
// Answers as the real driver does on libnvidia-ml.so.1 of this machine would;
// machine_driver_test.cc holds the two against each other. What happens to the machine otherwise
// (processes, a reboot, Xid events) happens to the Machine: machine.h, control.h.

#pragma once

#include <string_view>

#include "core/base/function.h"
#include "partitioning/mig/driver.h"
#include "sim/nvml/machine.h"

namespace tepal::nvml_sim {

class MachineDriver final : public mig::Driver {
 public:
  struct Options {
    bool root = true;
    // Called around everything that changes the machine, with the method's name. An error of
    // `before` is answered in place of doing it, one of `after` once it is done: a caller that died
    // on the way has the same machine behind it.
    Function<Status(std::string_view method)> before = {};
    Function<Status(std::string_view method)> after = {};
  };

  // `machine` outlives it.
  explicit MachineDriver(Machine& machine) : machine_(machine) {}
  MachineDriver(Machine& machine, Options options)
      : machine_(machine), options_(std::move(options)) {}

  std::string Version() override;
  Result<std::vector<mig::Gpu>> List() override;
  Result<Mode> SetMode(int gpu, bool enabled) override;
  Status Reset(int gpu) override;
  Result<int> CreateInstance(int gpu, const mig::Placement& placement) override;
  Status DestroyInstance(int gpu, int instance) override;
  Result<int> CreateCompute(int gpu, int instance, int slices) override;
  Status DestroyCompute(int gpu, int instance, int compute) override;
  // No time passes: what has happened already, or nothing.
  Result<std::optional<mig::XidEvent>> WaitForXid(Duration timeout) override;

 private:
  template <typename Work>
  Status Change(int gpu, std::string_view method, Work work);

  Machine& machine_;
  Options options_;
  std::optional<uint64_t> next_event_;
};

// One GPU of the machine as a driver lists it.
mig::Gpu Describe(const Machine& machine, int index);

}  // namespace tepal::nvml_sim
