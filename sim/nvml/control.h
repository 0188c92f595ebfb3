// What happens to the machine from outside NVML, one line each:
//
//   reboot                              every process and instance is gone
//   reset GPU                           as `nvidia-smi --gpu-reset`; refused while it is in use
//   run PID GPU GI CI MIB               a process on a MIG device; GI and CI -1: on the whole GPU
//   stop PID
//   fault FUNCTION RESULT CALLS [SKIP]  after SKIP calls that work, CALLS answer RESULT (-9: the
//                                       calling process is killed)
//   delay FUNCTION MS CALLS
//   calm                                no more faults and delays
//   xid GPU GI CI NUMBER                an Xid event, for who waits on events
//   hold GPU 0|1                        somebody has it open: neither mode nor reset
//   passthrough GPU 0|1                 a virtual machine's GPU, which cannot reset by itself

#pragma once

#include "sim/nvml/machine.h"

namespace tepal::nvml_sim {

// kInvalidArgument: not a line as above.
Return Control(Machine& machine, const char* line);

}  // namespace tepal::nvml_sim
