#include "sim/nvml/control.h"

#include <cstdio>
#include <cstring>
#include <string_view>

namespace tepal::nvml_sim {

namespace {

Return ControlGpu(Machine& machine, std::string_view verb, int gpu, int argument) {
  if (gpu < 0 || gpu >= machine.gpu_count) return kInvalidArgument;
  if (verb == "reset") return ResetGpu(machine, gpu);
  (verb == "hold" ? machine.gpus[gpu].held : machine.gpus[gpu].passthrough) = argument != 0;
  return kSuccess;
}

}  // namespace

Return Control(Machine& machine, const char* line) {
  char verb[16] = {};
  SimFault fault = {};
  SimProcess process = {};
  SimEvent event = {};
  int gpu = -1, argument = 0;
  unsigned long long number = 0;
  if (std::sscanf(line, "%15s", verb) != 1) return kInvalidArgument;
  const std::string_view word = verb;
  const char* const rest = line + (std::strstr(line, verb) - line) + word.size();
  if (word == "reboot") {
    Reboot(machine);
    return kSuccess;
  }
  if (word == "reset" && std::sscanf(rest, "%d", &gpu) == 1) {
    return ControlGpu(machine, word, gpu, 0);
  }
  if ((word == "passthrough" || word == "hold") &&
      std::sscanf(rest, "%d %d", &gpu, &argument) == 2) {
    return ControlGpu(machine, word, gpu, argument);
  }
  if (word == "run" &&
      std::sscanf(rest, "%u %d %d %d %llu", &process.pid, &process.gpu, &process.gpu_instance,
                  &process.compute_instance, &number) == 5) {
    process.memory_mib = number;
    return StartProcess(machine, process);
  }
  if (word == "calm") {
    for (SimFault& each : machine.faults) each = {};
    return kSuccess;
  }
  if (word == "stop" && std::sscanf(rest, "%u", &process.pid) == 1) {
    return StopProcess(machine, process.pid);
  }
  if (word == "fault" && std::sscanf(rest, "%63s %d %d %d", fault.function, &fault.result,
                                     &fault.remaining, &fault.skip) >= 3) {
    return AddFault(machine, fault);
  }
  if (word == "delay" &&
      std::sscanf(rest, "%63s %d %d", fault.function, &fault.delay_ms, &fault.remaining) == 3) {
    return AddFault(machine, fault);
  }
  if (word == "xid" && std::sscanf(rest, "%d %d %d %llu", &event.gpu, &event.gpu_instance,
                                   &event.compute_instance, &number) == 4) {
    event.xid = number;
    return AddXid(machine, event);
  }
  return kInvalidArgument;
}

}  // namespace tepal::nvml_sim
