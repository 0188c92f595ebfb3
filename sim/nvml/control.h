// What happens to the machine from outside NVML, one line each:
//
//   reboot                              every process and instance is gone
//   reset GPU                           as `nvidia-smi --gpu-reset`; refused while it is in use
//   run PID GPU GI CI MIB               a process on a MIG device; GI and CI -1: on the whole GPU
//   stop PID
//   fault FUNCTION RESULT CALLS [SKIP]  after SKIP calls that work, CALLS answer RESULT (-9: the
//                                       calling process is killed)
//   delay FUNCTION MS CALLS
//   xid GPU GI CI NUMBER                an Xid event, for who waits on events
//   passthrough GPU 0|1                 a virtual machine's GPU, which cannot reset by itself

#pragma once

#include "sim/nvml/machine.h"

namespace tepal::nvml_sim {

// kInvalidArgument: not a line as above.
Return Control(Machine& machine, const char* line);

}  // namespace tepal::nvml_sim
