// tepal explain: what a part of a cluster sees and would do, in words.

#include <csignal>
#include <cstdio>
#include <deque>

#include "apps/commands/cluster_connection.h"
#include "apps/commands/commands.h"
#include "apps/diagnosis/hpa_reader.h"
#include "core/base/text.h"

namespace tepal::commands {
namespace {

constexpr int kExitDone = 0, kExitCannot = 1, kExitWrong = 2;
constexpr Duration kSeenAgeMax = 3600s;  // The longest stabilisation window there can be.

struct ExplainFlags {
  ClusterFlags cluster;
  std::string name_space;
  Duration interval = 15s;
  bool watch = false;
  bool json = false;
};

options::FlagSet Flags(ExplainFlags& flags) {
  options::FlagSet set(
      "tepal explain hpa NAME [FLAGS]",
      "Reads a HorizontalPodAutoscaler, its target, the pods and the metrics as its controller "
      "does, and says what it would do now and why. It changes nothing. Exit code: 0 when the "
      "autoscaler can scale, 1 when it cannot or the cluster cannot be read, 2 for a wrong command "
      "line.");
  set.Add("namespace", &flags.name_space, "of the autoscaler (default: the kubeconfig's); also -n");
  set.Add("watch", &flags.watch,
          "again and again until interrupted; earlier recommendations are remembered, as the "
          "controller does");
  set.Add("interval", &flags.interval, "between two looks with --watch");
  set.Add("json", &flags.json, "one JSON object a look, on one line each");
  AddClusterFlags(set, flags.cluster);
  set.Example("tepal explain hpa flower-hpa", "of the kubeconfig's namespace");
  set.Example("tepal explain hpa flower-hpa -n default --watch", "every 15 s, as the controller");
  return set;
}

class HpaExplainer {
 public:
  HpaExplainer(ClusterConnection& connection, const ExplainFlags& flags, std::string name_space,
               std::string name)
      : connection_(connection),
        flags_(flags),
        name_space_(std::move(name_space)),
        name_(std::move(name)) {}

  int Run() {
    connection_.loop().Post([this] { Look(); });
    connection_.epoll().Run();
    return exit_code_;
  }

 private:
  void Look() {
    diagnosis::ReadHpa(connection_.client(), name_space_, name_,
                       [this](Result<diagnosis::HpaInputs> inputs) { OnRead(std::move(inputs)); });
  }

  void OnRead(Result<diagnosis::HpaInputs> inputs) {
    if (inputs.ok()) {
      Show(*std::move(inputs));
    } else {
      std::fprintf(stderr, "tepal explain hpa: %s\n", inputs.status().message().c_str());
      exit_code_ = kExitCannot;
    }
    if (!flags_.watch) return connection_.epoll().Stop();
    connection_.loop().RunAfter(flags_.interval, [this] { Look(); });
  }

  void Show(diagnosis::HpaInputs inputs) {
    inputs.now = runtime::SystemClock().WallNow();
    while (!seen_.empty() && inputs.now - seen_.front().first > kSeenAgeMax) seen_.pop_front();
    inputs.seen.assign(seen_.begin(), seen_.end());
    const diagnosis::HpaExplanation explanation = diagnosis::ExplainHpa(inputs);
    if (explanation.recommended.has_value()) {
      seen_.emplace_back(inputs.now, *explanation.recommended);
    }
    exit_code_ = explanation.able ? kExitDone : kExitCannot;
    if (flags_.json) {
      std::printf("%s\n", diagnosis::ExplanationJson(explanation).c_str());
    } else {
      std::printf("%s%s", looks_ > 0 ? "\n" : "", diagnosis::ExplanationText(explanation).c_str());
    }
    ++looks_;
    std::fflush(stdout);
  }

  ClusterConnection& connection_;
  const ExplainFlags& flags_;
  const std::string name_space_, name_;
  std::deque<std::pair<WallTime, int>> seen_;
  int looks_ = 0;
  int exit_code_ = kExitCannot;
};

int ExplainHpa(Arguments words) {
  ExplainFlags flags;
  options::FlagSet set = Flags(flags);
  std::vector<std::string_view> spelled;
  for (const std::string_view word : words) spelled.push_back(word == "-n" ? "--namespace" : word);
  std::vector<std::string> names;
  if (const auto exit_code = options::ParseOrExplain(set, spelled, names)) return *exit_code;
  if (names.size() != 1 || flags.interval < 1s) {
    std::fprintf(stderr, "tepal explain hpa: expected one name%s\n",
                 flags.interval < 1s ? ", and an --interval of at least 1s" : "");
    return kExitWrong;
  }
  const auto connection = ClusterConnection::Open(flags.cluster);
  if (!connection.ok()) {
    std::fprintf(stderr, "tepal explain hpa: %s\n", connection.status().message().c_str());
    return kExitCannot;
  }
  ClusterConnection& cluster = **connection;
  const Status signals =
      cluster.epoll().WatchSignals({SIGINT, SIGTERM}, [&cluster](int) { cluster.epoll().Stop(); });
  if (!signals.ok()) return kExitCannot;
  const std::string name_space =
      flags.name_space.empty() ? cluster.client().access().name_space : flags.name_space;
  return HpaExplainer(cluster, flags, name_space, names[0]).Run();
}

void PrintUsage(std::FILE* out) {
  std::fputs(
      "Usage: tepal explain SUBCOMMAND [FLAGS]\n\n"
      "  hpa   what a HorizontalPodAutoscaler sees, would do now, and why\n\n"
      "`tepal explain SUBCOMMAND --help` lists the flags, with examples.\n",
      out);
}

}  // namespace

int RunExplain(Arguments arguments) {
  if (!arguments.empty() && arguments[0] == "hpa") return ExplainHpa(arguments.subspan(1));
  const bool help = !arguments.empty() &&
                    (arguments[0] == "--help" || arguments[0] == "-h" || arguments[0] == "help");
  PrintUsage(help ? stdout : stderr);
  return help ? kExitDone : kExitWrong;
}

}  // namespace tepal::commands
