// tepal mig agent: keeps one node of a Kubernetes cluster at the MIG configuration of its label.
//
// One loop for everything; one more thread that the driver has while a change is made.

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "apps/commands/cluster_access_files.h"
#include "apps/commands/mig.h"
#include "apps/commands/run_program.h"
#include "core/base/text.h"
#include "core/runtime/runtime.h"
#include "core/telemetry/log.h"
#include "network/kube/client.h"
#include "partitioning/node_agent/agent.h"

namespace tepal::commands {
namespace {

struct AgentFlags {
  std::string kubeconfig;
  std::string strategy = "mixed";
  std::string hand_over = "envvar";
  std::string kubelet_folder = "/var/lib/kubelet";
  std::string reboot_command;
  node_agent::Agent::Options agent;
};

std::string Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

options::FlagSet Flags(AgentFlags& flags) {
  options::FlagSet set(
      "tepal mig agent --config-file FILE [FLAGS]",
      "Brings a Kubernetes node's GPUs to the configuration that its label "
      "nvidia.com/mig.config names, and says how it went in nvidia.com/mig.config.state.");
  set.Add("config-file", &flags.agent.config_file,
          "nvidia-mig-parted's file, v1; read again when it changes");
  set.Add("default-config", &flags.agent.default_config,
          "of a node without the label; none: it is left alone");
  set.Add("node", &flags.agent.node, "the node's name (default: the variable NODE_NAME)");
  set.Add("kubeconfig", &flags.kubeconfig,
          "how to reach the API server; in a pod it is not needed");
  set.Add("clients-stop-max", &flags.agent.repartition.clients_stop_max,
          "how long paused GPU clients have to stop; then they are restored and it is tried again "
          "later");
  set.Add("reboot-command", &flags.reboot_command,
          "run when a GPU waits for a reboot; without it the state is failed and says so");
  set.Group("Offering the GPUs to Kubernetes");
  set.Add("device-plugin", &flags.agent.device_plugin,
          "offer GPUs and MIG devices to the kubelet, and label the node. Refused, and looked at "
          "again each minute, where NVIDIA's device plugin or the GPU operator does it");
  set.Add("mig-strategy", &flags.strategy,
          "none, single or mixed, as NVIDIA's device plugin has them");
  set.Add("device-list-strategy", &flags.hand_over,
          "envvar (NVIDIA_VISIBLE_DEVICES) or cdi-cri (names nvidia.com/gpu=UUID of nvidia-ctk)");
  set.Add("kubelet-folder", &flags.kubelet_folder, "where device-plugins and pod-resources are");
  set.Group("Pods on MIG devices");
  set.Add("pod-deletion-costs", &flags.agent.pod_deletion_costs,
          "annotate ReplicaSets' pods on this node's MIG devices, so that scaling down frees "
          "room for large ones; needs deploy/kubernetes/mig-agent-pod-costs.yaml");
  set.Example("tepal mig agent --config-file /etc/mig/config.yaml --device-plugin",
              "in a pod of deploy/kubernetes/mig-agent.yaml");
  return set;
}

Status Check(AgentFlags& flags) {
  node_agent::Agent::Options& agent = flags.agent;
  if (agent.node.empty()) agent.node = Environment("NODE_NAME");
  if (agent.node.empty())
    return InvalidArgument("--node: expected the node's name, there or in NODE_NAME");
  if (agent.config_file.empty()) return InvalidArgument("--config-file: expected a file");
  auto strategy = node_agent::ParseStrategy(flags.strategy);
  if (!strategy.ok()) return std::move(strategy.status()).WithContext("--mig-strategy");
  agent.strategy = *strategy;
  if (flags.hand_over != "envvar" && flags.hand_over != "cdi-cri") {
    return InvalidArgument(
        Concat("--device-list-strategy: got '", flags.hand_over, "', expected envvar or cdi-cri"));
  }
  agent.plugins.hand_over =
      flags.hand_over == "envvar" ? node_agent::HandOver::kEnvironment : node_agent::HandOver::kCdi;
  agent.plugins.folder = flags.kubelet_folder + "/device-plugins";
  agent.pod_resources = flags.kubelet_folder + "/pod-resources/kubelet.sock";
  agent.repartition.may_reboot = !flags.reboot_command.empty();
  return Status();
}

Status Run(AgentFlags flags) {
  ASSIGN_OR_RETURN(const std::unique_ptr<mig::Driver> driver, OpenDriver());
  ASSIGN_OR_RETURN(const std::unique_ptr<runtime::EpollLoop> loop, runtime::EpollLoop::New());
  RETURN_IF_ERROR(loop->WatchSignals({SIGTERM, SIGINT}, [&loop](int) { loop->Stop(); }));
  const std::unique_ptr<env::Executor> names = runtime::NewThreadPool("resolve", 1);
  const std::unique_ptr<net::Resolver> resolver = net::NewResolver(*names);
  ASSIGN_OR_RETURN(kube::ClusterAccess access, ReadClusterAccess(flags.kubeconfig));
  ASSIGN_OR_RETURN(
      const std::unique_ptr<kube::Client> client,
      kube::Client::New(*loop, {runtime::SystemFileSystem(), runtime::SystemClock(), *resolver},
                        std::move(access), {.user_agent = "tepal-mig-agent"}));
  env::SeededRandom random(runtime::RandomSeed());
  // Ends before the driver does: a change that has begun is finished.
  const std::unique_ptr<env::Executor> executor = runtime::NewThreadPool("mig", 1);
  node_agent::Agent::World world{
      *loop, runtime::SystemFileSystem(), *executor, random, *client, *driver, {}};
  if (!flags.reboot_command.empty()) {
    world.reboot = [program = flags.reboot_command]() -> Status {
      ASSIGN_OR_RETURN(const std::string found, FindProgram(program));
      env::ProcessOptions options;
      options.program = found;
      return RunProgram(std::move(options)).WithContext("rebooting");
    };
  }
  node_agent::Agent agent(std::move(world), flags.agent);
  agent.Start();
  telemetry::LogInfo(
      Concat("MIG agent of node ", flags.agent.node, ", driver ", driver->Version()));
  loop->Run();
  return Status();
}

}  // namespace

int RunMigAgent(Arguments words) {
  AgentFlags flags;
  options::FlagSet set = Flags(flags);
  if (const auto exit = ParseMigFlags(set, words, {})) return *exit;
  if (const Status checked = Check(flags); !checked.ok()) return Explain("agent", checked);
  const Status ran = Run(std::move(flags));
  return ran.ok() ? kExitDone : Explain("agent", ran);
}

}  // namespace tepal::commands
