// The subcommands of `tepal`: wiring and exit codes.
//
// Each takes what follows its name on the command line and returns the exit code: 0 done, 1 it
// failed while running, 2 the command line or a configuration file was wrong. This is the only room
// that includes core/runtime: everything below is handed its loops, clocks and files.

#pragma once

#include <span>
#include <string_view>

namespace tepal::commands {

using Arguments = std::span<const std::string_view>;

int RunServe(Arguments arguments);       // The inference server.
int RunBalance(Arguments arguments);     // The balancer alone.
int RunUp(Arguments arguments);          // Replicas, balancer and autoscaler on one machine.
int RunInfer(Arguments arguments);       // Photos in, classes and latency out.
int RunMig(Arguments arguments);         // MIG partitions of the GPUs.
int RunBench(Arguments arguments);       // The load generator.
int RunCheck(Arguments arguments);       // Faults of manifests.
int RunExplain(Arguments arguments);     // What an autoscaler sees and would do.
int RunDoctor(Arguments arguments);      // What is wrong with a cluster and with this machine.
int RunMetricsApi(Arguments arguments);  // The metrics APIs of Kubernetes, for the HPA.

}  // namespace tepal::commands
