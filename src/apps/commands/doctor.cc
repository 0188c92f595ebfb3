// tepal doctor: what is wrong with the cluster and with this machine.

#include <csignal>
#include <cstdio>
#include <optional>

#include "apps/commands/cluster_connection.h"
#include "apps/commands/commands.h"
#include "apps/diagnosis/doctor.h"

namespace tepal::commands {
namespace {

constexpr int kExitClean = 0, kExitFindings = 1, kExitWrong = 2;

struct DoctorFlags {
  ClusterFlags cluster;
  bool machine_only = false;
  bool json = false;
};

options::FlagSet Flags(DoctorFlags& flags) {
  options::FlagSet set(
      "tepal doctor [FLAGS]",
      "Looks at a Kubernetes cluster and at this machine, and says what is wrong and what to do: "
      "who "
      "answers for the metrics APIs, autoscalers that are blind and why, monitors that no "
      "Prometheus selects, slots that no node offers, rollouts that wait for their own old pods. "
      "It changes nothing, and says what it may not read. Exit code: 0 when nothing is wrong, 1 "
      "when there is an error or a warning or no cluster can be read, 2 for a wrong command line.");
  set.Add("machine-only", &flags.machine_only, "this machine, without a cluster");
  set.Add("json", &flags.json, "one JSON object with every finding");
  AddClusterFlags(set, flags.cluster);
  set.Example("tepal doctor", "the cluster of the kubeconfig, and this machine");
  set.Example("tepal doctor --machine-only --json", "for a script on a node");
  return set;
}

diagnosis::MachineFacts ReadMachine() {
  env::FileSystem& files = runtime::SystemFileSystem();
  const auto read = [&files](const char* path) {
    const auto text = files.Read(path, 1 << 16);
    return text.ok() ? *text : std::string();
  };
  diagnosis::MachineFacts facts;
  facts.driver_version = read("/proc/driver/nvidia/version");
  facts.gpu_devices = files.Stat("/dev/nvidia0").ok();
  facts.mig_capabilities = files.Stat("/proc/driver/nvidia/capabilities/mig").ok();
  facts.cgroup_controllers = read("/sys/fs/cgroup/cgroup.controllers");
  return facts;
}

// Empty when interrupted.
std::optional<diagnosis::ClusterView> ReadCluster(ClusterConnection& cluster) {
  std::optional<diagnosis::ClusterView> view;
  if (!cluster.epoll()
           .WatchSignals({SIGINT, SIGTERM}, [&cluster](int) { cluster.epoll().Stop(); })
           .ok()) {
    return view;
  }
  cluster.loop().Post([&] {
    diagnosis::ReadCluster(cluster.client(), [&](diagnosis::ClusterView read) {
      view = std::move(read);
      cluster.epoll().Stop();
    });
  });
  cluster.epoll().Run();
  return view;
}

bool AnyAnswer(const diagnosis::ClusterView& view) {
  for (const auto& [name, fetched] : view.fetched) {
    if (fetched.http_status != 0) return true;
  }
  return false;
}

int Fail(std::string_view why) {
  std::fprintf(stderr, "tepal doctor: %.*s\n", static_cast<int>(why.size()), why.data());
  return kExitFindings;
}

}  // namespace

int RunDoctor(Arguments arguments) {
  DoctorFlags flags;
  options::FlagSet set = Flags(flags);
  std::vector<std::string> words;
  if (const auto exit_code = options::ParseOrExplain(set, arguments, words)) return *exit_code;
  if (!words.empty()) {
    std::fprintf(stderr, "tepal doctor: got '%s', expected flags alone\n", words[0].c_str());
    return kExitWrong;
  }
  std::vector<diagnosis::Finding> findings = diagnosis::DiagnoseMachine(ReadMachine());
  if (!flags.machine_only) {
    const auto connection = ClusterConnection::Open(flags.cluster);
    if (!connection.ok()) return Fail(connection.status().message() + "; or --machine-only");
    const auto view = ReadCluster(**connection);
    if (!view.has_value()) return Fail("interrupted");
    if (!AnyAnswer(*view)) return Fail(view->Of("pods").problem);
    for (diagnosis::Finding& finding : diagnosis::DiagnoseCluster(*view)) {
      findings.push_back(std::move(finding));
    }
  }
  if (flags.json) {
    std::printf("%s\n", diagnosis::FindingsJson(findings).c_str());
  } else {
    for (const diagnosis::Finding& finding : findings) {
      std::fputs(diagnosis::FindingText(finding).c_str(), stdout);
    }
    std::printf("%s\n", diagnosis::CountText(findings).c_str());
  }
  return diagnosis::HasFaults(findings) ? kExitFindings : kExitClean;
}

}  // namespace tepal::commands
