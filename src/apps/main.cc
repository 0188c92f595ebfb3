// tepal: serves machine-learning models on every slice of your GPUs.

#include <cstdio>
#include <string_view>
#include <vector>

#include "apps/commands/commands.h"

namespace {

using tepal::commands::Arguments;

struct Subcommand {
  std::string_view name;
  int (*run)(Arguments);
  const char* does;
};

constexpr Subcommand kSubcommands[] = {
    {"serve", tepal::commands::RunServe,
     "inference server; takes tritonserver's flags, answers as Triton does"},
    {"balance", tepal::commands::RunBalance,
     "HTTP balancer over replicas that come and go, with an admin API and a dashboard"},
    {"up", tepal::commands::RunUp,
     "replicas, balancer and autoscaler on one machine, from one file"},
    {"mig", tepal::commands::RunMig,
     "MIG partitions of the GPUs; takes nvidia-mig-parted's commands and files"},
    {"check", tepal::commands::RunCheck, "what is wrong with Kubernetes manifests, and what to do"},
    {"explain", tepal::commands::RunExplain,
     "what a HorizontalPodAutoscaler sees, would do now, and why"},
    {"doctor", tepal::commands::RunDoctor,
     "what is wrong with a cluster and with this machine, and what to do"},
    {"infer", tepal::commands::RunInfer, "classify photos: class, probability, latency"},
    {"metrics-api", tepal::commands::RunMetricsApi,
     "custom and external metrics for the HPA; takes prometheus-adapter's flags and rules file"},
    {"bench", tepal::commands::RunBench,
     "load generator: closed and open loop, ramps, table and plot"},
};

void PrintUsage(std::FILE* out) {
  std::fputs("Usage: tepal SUBCOMMAND [FLAGS]\n\n", out);
  for (const Subcommand& subcommand : kSubcommands) {
    std::fprintf(out, "  %-13s%s\n", subcommand.name.data(), subcommand.does);
  }
  std::fputs("\n`tepal SUBCOMMAND --help` lists its flags, with examples.\n", out);
}

// The stock program that a link to this one stands in for; empty when called by its own name.
std::string_view SubcommandOfProgramName(std::string_view path) {
  const size_t slash = path.rfind('/');
  const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  if (name == "nvidia-mig-parted") return "mig";
  if (name == "adapter") return "metrics-api";
  return name == "tritonserver" ? "serve" : "";
}

int Run(std::string_view name, Arguments arguments) {
  for (const Subcommand& subcommand : kSubcommands) {
    if (subcommand.name == name) return subcommand.run(arguments);
  }
  std::fprintf(stderr, "tepal: unknown subcommand '%.*s'\n\n", static_cast<int>(name.size()),
               name.data());
  PrintUsage(stderr);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string_view> words(argv, argv + argc);
  const std::string_view alias = SubcommandOfProgramName(words.empty() ? "" : words[0]);
  if (!alias.empty()) return Run(alias, Arguments(words).subspan(1));
  if (words.size() < 2) {
    PrintUsage(stderr);
    return 2;
  }
  if (words[1] == "--help" || words[1] == "help" || words[1] == "-h") {
    PrintUsage(stdout);
    return 0;
  }
  if (words[1] == "--version" || words[1] == "version") {
    std::puts("tepal " TEPAL_VERSION);
    return 0;
  }
  return Run(words[1], Arguments(words).subspan(2));
}
