// tepal mig advise: which partitioning serves the wanted traffic with the fewest GPUs, and the way
// there from what is. Nothing is changed.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "apps/commands/mig.h"
#include "core/base/text.h"
#include "core/json/writer.h"
#include "core/runtime/runtime.h"
#include "partitioning/mig/advise.h"
#include "partitioning/mig/report.h"

namespace tepal::commands {
namespace {

struct AdviseFlags {
  std::string measurements;
  std::string wanted;
  std::string gpus;
  std::string write_config;
  uint64_t seed = 1;
  bool json = false;
  bool debug = false;
};

// The GPUs to plan for: those of this machine, or those that --gpus makes up.
struct Fleet {
  std::vector<mig::Gpu> gpus;  // Empty: as many as it takes.
  std::shared_ptr<const mig::GpuModel> model;
  bool made_up = false;
};

struct Answer {
  std::vector<mig::Demand> demands;
  mig::Throughputs throughputs;
  mig::Advice advice;
  std::vector<mig::Transition> transitions;
  mig::Plans plans;
};

// "A100-40" or "8xA100-40".
Result<Fleet> MakeUp(std::string_view text) {
  Fleet fleet;
  fleet.made_up = true;
  const size_t times = text.find('x');
  const std::optional<int> count =
      times == text.npos ? std::nullopt : ParseNumber<int>(text.substr(0, times));
  const std::string_view name = count ? text.substr(times + 1) : text;
  const mig::GpuModel* const model = mig::FindGpuModel(name);
  if (model == nullptr || (count && (*count < 1 || *count > mig::kAdvisedGpusMax))) {
    std::string known;
    for (const mig::GpuModel& one : mig::GpuModels()) {
      known += Concat(known.empty() ? "" : ", ", one.alias);
    }
    return InvalidArgument(Concat("--gpus: got '", text,
                                  "', expected a model, or how many of it (1 to ",
                                  mig::kAdvisedGpusMax, ") as 8xA100-40; models are ", known));
  }
  fleet.model = {std::shared_ptr<void>(), model};
  for (int i = 0; i < count.value_or(0); ++i) {
    mig::Gpu gpu{.index = i, .name = std::string(model->name), .model = fleet.model};
    gpu.mig_enabled = gpu.mig_pending = true;
    fleet.gpus.push_back(std::move(gpu));
  }
  return fleet;
}

Result<Fleet> Look() {
  ASSIGN_OR_RETURN(const auto driver, OpenDriver());
  ASSIGN_OR_RETURN(std::vector<mig::Gpu> gpus, driver->List());
  Fleet fleet;
  for (mig::Gpu& gpu : gpus) {
    if (gpu.model == nullptr || !gpu.problem.empty()) continue;
    if (fleet.model != nullptr && fleet.model->name != gpu.model->name) {
      return FailedPrecondition(Concat("GPUs of several models are here (", fleet.model->name, ", ",
                                       gpu.model->name,
                                       "), expected one; --gpus plans for GPUs of one model"));
    }
    fleet.model = gpu.model;
    fleet.gpus.push_back(std::move(gpu));
  }
  if (fleet.gpus.empty()) {
    return FailedPrecondition(
        "no GPU here can be partitioned; --gpus 8xA100-40 plans for GPUs that are not here");
  }
  return fleet;
}

Result<Answer> Advise(const AdviseFlags& flags, const Fleet& fleet) {
  Answer answer;
  ASSIGN_OR_RETURN(const std::string table, ReadWhole(flags.measurements));
  ASSIGN_OR_RETURN(const auto measured, mig::ParseMeasurements(table, flags.measurements));
  ASSIGN_OR_RETURN(const std::string wanted, ReadWhole(flags.wanted));
  ASSIGN_OR_RETURN(answer.demands, mig::ParseDemands(wanted, flags.wanted));
  ASSIGN_OR_RETURN(
      answer.throughputs,
      mig::WithinLatency(*fleet.model, measured, answer.demands).WithContext(flags.wanted));
  ASSIGN_OR_RETURN(answer.advice,
                   mig::AdviseGpus(*fleet.model, answer.throughputs, answer.demands, flags.seed));
  if (fleet.made_up || answer.advice.gpus.size() > fleet.gpus.size()) return answer;
  std::vector<mig::GpuState> now;
  for (const mig::Gpu& gpu : fleet.gpus) now.push_back(mig::StateOf(gpu));
  ASSIGN_OR_RETURN(answer.transitions, mig::PlanAdvice(now, answer.advice.gpus));
  for (const mig::Transition& transition : answer.transitions) {
    answer.plans[fleet.gpus[transition.gpu].index] = transition.plan;
  }
  return answer;
}

double ThroughputOf(const Fleet& fleet, const Answer& answer, const mig::AdvisedReplica& replica) {
  const auto profile =
      static_cast<size_t>(replica.placement.profile - fleet.model->profiles.data());
  return answer.throughputs[replica.demand][profile];
}

// By the GPU it is for; in the order of the advice where no GPU has been chosen.
std::vector<std::pair<int, const mig::AdvisedGpu*>> ByGpu(const Fleet& fleet,
                                                          const Answer& answer) {
  std::vector<std::pair<int, const mig::AdvisedGpu*>> gpus;
  for (const mig::Transition& transition : answer.transitions) {
    gpus.emplace_back(fleet.gpus[transition.gpu].index, &answer.advice.gpus[transition.advised]);
  }
  if (!gpus.empty()) return gpus;
  for (size_t i = 0; i < answer.advice.gpus.size(); ++i) {
    gpus.emplace_back(static_cast<int>(i), &answer.advice.gpus[i]);
  }
  return gpus;
}

// "2 x 1g.5gb, 1 x 3g.20gb"
std::string Counted(const std::map<std::string, int>& counts) {
  std::string text;
  for (const auto& [name, count] : counts) {
    text += Concat(text.empty() ? "" : ", ", count, " x ", name);
  }
  return text.empty() ? "none" : text;
}

std::string Rounded(double number) { return Concat(std::round(number * 10) / 10); }

void PrintText(const Fleet& fleet, const Answer& answer) {
  const size_t needed = answer.advice.gpus.size();
  const auto bound = static_cast<size_t>(answer.advice.lower_bound);
  std::printf("%zu %s %s; %s\n", needed, fleet.model->name.data(), needed == 1 ? "GPU" : "GPUs",
              needed == bound ? "fewer cannot do it"
                              : Concat("fewer than ", bound, " cannot do it").c_str());
  for (size_t d = 0; d < answer.demands.size(); ++d) {
    const mig::Demand& demand = answer.demands[d];
    std::map<std::string, int> replicas;
    double served = 0;
    for (const mig::AdvisedGpu& gpu : answer.advice.gpus) {
      for (const mig::AdvisedReplica& replica : gpu) {
        if (replica.demand != d) continue;
        ++replicas[std::string(replica.placement.profile->name)];
        served += ThroughputOf(fleet, answer, replica);
      }
    }
    std::printf("  %s: %s/s within %s ms wants %s, which serve %s/s\n", demand.model.c_str(),
                Rounded(demand.traffic_per_s).c_str(), Rounded(demand.p99_ms).c_str(),
                Counted(replicas).c_str(), Rounded(served).c_str());
  }
  for (const auto& [index, gpu] : ByGpu(fleet, answer)) {
    std::printf("GPU %d\n", index);
    for (const mig::AdvisedReplica& replica : *gpu) {
      std::printf("  %-12s %s\n", replica.placement.profile->name.data(),
                  answer.demands[replica.demand].model.c_str());
    }
  }
  if (answer.plans.empty()) return;
  std::printf("\nFrom what is there:\n%s", mig::PlanText(fleet.gpus, answer.plans).c_str());
}

void PrintJson(const Fleet& fleet, const Answer& answer) {
  json::Writer out;
  out.BeginObject().Key("model").String(fleet.model->name);
  out.Key("gpus_needed").Uint(answer.advice.gpus.size());
  out.Key("lower_bound").Int(answer.advice.lower_bound);
  out.Key("gpus").BeginArray();
  for (const auto& [index, gpu] : ByGpu(fleet, answer)) {
    out.BeginObject().Key("index").Int(index).Key("replicas").BeginArray();
    for (const mig::AdvisedReplica& replica : *gpu) {
      out.BeginObject().Key("model").String(answer.demands[replica.demand].model);
      out.Key("profile").String(replica.placement.profile->name);
      out.Key("throughput_per_s").Double(ThroughputOf(fleet, answer, replica)).EndObject();
    }
    out.EndArray();
    const auto plan = answer.plans.find(index);
    if (plan != answer.plans.end()) {
      out.Key("blocked").Bool(plan->second.blocked()).Key("steps").BeginArray();
      for (const mig::Step& step : plan->second.steps) out.String(mig::ToString(step));
      out.EndArray();
    }
    out.EndObject();
  }
  out.EndArray().EndObject();
  std::puts(out.Take().c_str());
}

// As nvidia-mig-parted's file, for `tepal mig apply`.
Status WriteConfig(const std::string& path, const Fleet& fleet, const Answer& answer) {
  mig::Config config;
  for (const auto& [index, gpu] : ByGpu(fleet, answer)) {
    std::map<std::string, int> counts;
    for (const mig::AdvisedReplica& replica : *gpu) {
      ++counts[std::string(replica.placement.profile->name)];
    }
    mig::ConfigEntry entry{.devices = std::vector<int>{index}, .mig_enabled = true};
    entry.mig_devices.assign(counts.begin(), counts.end());
    config.push_back(std::move(entry));
  }
  mig::ConfigFile file;
  file.configs.emplace_back("advised", std::move(config));
  return runtime::SystemFileSystem().Replace(path, mig::ToYaml(file));
}

Result<int> Run(const AdviseFlags& flags) {
  ASSIGN_OR_RETURN(const Fleet fleet, flags.gpus.empty() ? Look() : MakeUp(flags.gpus));
  ASSIGN_OR_RETURN(const Answer answer, Advise(flags, fleet));
  if (flags.json) {
    PrintJson(fleet, answer);
  } else {
    PrintText(fleet, answer);
  }
  if (!flags.write_config.empty()) {
    RETURN_IF_ERROR(WriteConfig(flags.write_config, fleet, answer));
  }
  if (!fleet.gpus.empty() && answer.advice.gpus.size() > fleet.gpus.size()) {
    return FailedPrecondition(
        Concat(answer.advice.gpus.size(), " GPUs are needed, ", fleet.gpus.size(), " are there"));
  }
  const bool blocked = std::any_of(answer.plans.begin(), answer.plans.end(),
                                   [](const auto& plan) { return plan.second.blocked(); });
  return blocked ? kExitFailed : kExitDone;
}

}  // namespace

int RunMigAdvise(Arguments words) {
  AdviseFlags flags;
  options::FlagSet set(
      "tepal mig advise --measurements FILE --wanted FILE [FLAGS]",
      "Says how to partition GPUs, and which model to run where, so that the wanted traffic is "
      "served within its latency by the fewest; and the steps from what is there. Exit code 1 when "
      "a GPU is blocked or there are too few.");
  set.Add("measurements", &flags.measurements,
          "What models do on each profile; `tepal bench --measurements FILE --profile NAME` adds "
          "to it.");
  set.Add("wanted", &flags.wanted,
          "YAML: `models:`, a list of {model: resnet50, traffic_per_s: 500, p99_ms: 50}.");
  set.Add(
      "gpus", &flags.gpus,
      "Plan for empty GPUs that need not be here: A100-40, or 8xA100-40. Default: those of this "
      "machine.");
  set.Add("write-config", &flags.write_config,
          "Write the partitioning to this file, for `tepal mig apply -f FILE`.");
  set.Add("seed", &flags.seed, "Of the search over many GPUs.");
  set.Add("json", &flags.json, "For a script.");
  set.Add("debug", &flags.debug, "-d. Changes nothing here.");
  set.Example("tepal mig advise --measurements slices.csv --wanted traffic.yaml",
              "for the GPUs of this machine");
  if (const auto code = ParseMigFlags(set, words, {{'d', "debug", "MIG_PARTED_DEBUG", true}})) {
    return *code;
  }
  for (const auto& [name, value] :
       {std::pair{"--measurements", &flags.measurements}, {"--wanted", &flags.wanted}}) {
    if (value->empty()) {
      return Explain("advise", InvalidArgument(Concat("expected ", name, " FILE")));
    }
  }
  const Result<int> code = Run(flags);
  return code.ok() ? *code : Explain("advise", code.status());
}

}  // namespace tepal::commands
