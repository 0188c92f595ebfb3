#include "partitioning/mig/report.h"

#include <algorithm>
#include <cstdio>

#include "core/base/text.h"
#include "core/json/writer.h"

namespace tepal::mig {

namespace {

constexpr uint64_t kMib = 1 << 20;

std::string Padded(std::string text, size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

std::string ModeText(const Gpu& gpu) {
  if (gpu.model == nullptr) return "cannot be partitioned";
  const auto word = [](bool on) { return on ? "on" : "off"; };
  std::string text = Concat("MIG ", word(gpu.mig_enabled));
  if (gpu.mig_pending != gpu.mig_enabled) {
    text += Concat(", ", word(gpu.mig_pending), " after a reset");
  }
  return text;
}

std::string ProcessText(const GpuProcess& process) {
  return Concat("pid ", process.pid, process.name.empty() ? "" : " (", process.name,
                process.name.empty() ? "" : ")", ", ", process.memory_bytes / kMib, " MiB");
}

std::string InstanceText(const GpuInstance& instance) {
  const Profile& profile = *instance.placement.profile;
  std::string text =
      Concat("  GI ", Padded(Concat(instance.id), 3), Padded(std::string(profile.name), 12));
  if (instance.placement.start >= 0) {
    text += Concat("memory slices ", instance.placement.start, " to ",
                   instance.placement.start + profile.memory_slices - 1);
  }
  text += instance.compute.empty() ? ", no compute instance\n" : "\n";
  for (const ComputeInstance& compute : instance.compute) {
    text += Concat("    CI ", Padded(Concat(compute.id), 3),
                   Padded(MigDeviceName(profile, compute.slices), 15), compute.uuid, "  ",
                   compute.memory_bytes / kMib, " MiB, ", compute.multiprocessors, " SMs\n");
    for (const GpuProcess& process : compute.processes) {
      text += Concat("           ", ProcessText(process), "\n");
    }
  }
  return text;
}

Layout LayoutOf(const Gpu& gpu) {
  Layout layout;
  for (const GpuInstance& instance : gpu.instances) layout.push_back(instance.placement);
  return layout;
}

std::string RoomText(const Gpu& gpu) {
  std::string text;
  for (const Profile& profile : gpu.model->profiles) {
    const int more = RemainingCapacity(*gpu.model, LayoutOf(gpu), profile);
    if (more > 0) text += Concat(text.empty() ? "" : ", ", more, " x ", profile.name);
  }
  return Concat("  fits yet: ", text.empty() ? "nothing" : text, "\n");
}

void WriteProcesses(json::Writer& out, const std::vector<GpuProcess>& processes) {
  out.Key("processes").BeginArray();
  for (const GpuProcess& process : processes) {
    out.BeginObject().Key("pid").Int(process.pid).Key("name").String(process.name);
    out.Key("memory_bytes").Uint(process.memory_bytes).EndObject();
  }
  out.EndArray();
}

void WriteInstance(json::Writer& out, const GpuInstance& instance) {
  const Profile& profile = *instance.placement.profile;
  out.BeginObject().Key("id").Int(instance.id).Key("profile").String(profile.name);
  out.Key("start").Int(instance.placement.start).Key("size").Int(profile.memory_slices);
  out.Key("compute_instances").BeginArray();
  for (const ComputeInstance& compute : instance.compute) {
    out.BeginObject().Key("id").Int(compute.id).Key("uuid").String(compute.uuid);
    out.Key("profile").String(MigDeviceName(profile, compute.slices));
    out.Key("slices").Int(compute.slices).Key("memory_bytes").Uint(compute.memory_bytes);
    out.Key("multiprocessors").Int(compute.multiprocessors);
    WriteProcesses(out, compute.processes);
    out.EndObject();
  }
  out.EndArray().EndObject();
}

void WriteGpu(json::Writer& out, const Gpu& gpu) {
  out.BeginObject().Key("index").Int(gpu.index).Key("uuid").String(gpu.uuid);
  out.Key("name").String(gpu.name).Key("bus_id").String(gpu.bus_id);
  out.Key("memory_bytes").Uint(gpu.memory_bytes).Key("mig_capable").Bool(gpu.model != nullptr);
  out.Key("mig_enabled").Bool(gpu.mig_enabled).Key("mig_pending").Bool(gpu.mig_pending);
  out.Key("problem").String(gpu.problem);
  WriteProcesses(out, gpu.processes);
  out.Key("gpu_instances").BeginArray();
  for (const GpuInstance& instance : gpu.instances) WriteInstance(out, instance);
  out.EndArray().EndObject();
}

const Gpu* FindGpu(const std::vector<Gpu>& gpus, int index) {
  const auto found =
      std::find_if(gpus.begin(), gpus.end(), [&](const Gpu& gpu) { return gpu.index == index; });
  return found == gpus.end() ? nullptr : &*found;
}

std::string_view KindName(Step::Kind kind) {
  switch (kind) {
    case Step::Kind::kDestroy:
      return "destroy";
    case Step::Kind::kSetMode:
      return "set-mode";
    case Step::Kind::kReset:
      return "reset";
    case Step::Kind::kCreate:
      return "create";
    case Step::Kind::kAddCompute:
      return "add-compute";
  }
  return "";
}

void WriteStep(json::Writer& out, const Gpu& gpu, const Step& step) {
  out.BeginObject().Key("step").String(KindName(step.kind)).Key("text").String(ToString(step));
  if (step.id >= 0) out.Key("instance").Int(step.id);
  if (step.placement.profile != nullptr) {
    out.Key("profile").String(step.placement.profile->name);
    out.Key("start").Int(step.placement.start);
  }
  if (step.kind == Step::Kind::kSetMode) out.Key("mig_enabled").Bool(step.mig_enabled);
  out.Key("disturbs").String(Disturbs(gpu, step)).EndObject();
}

std::string StartsText(const Profile& profile) {
  std::string text;
  for (int start = 0; start < kMemorySlicesMax; ++start) {
    if ((profile.starts >> start & 1) != 0) text += Concat(text.empty() ? "" : ",", start);
  }
  return Concat("{", text, "}:", profile.memory_slices);
}

}  // namespace

std::string ListText(const std::vector<Gpu>& gpus) {
  std::string text;
  for (const Gpu& gpu : gpus) {
    text += Concat("GPU ", gpu.index, "  ", gpu.name, "  ", gpu.uuid, "  ", gpu.bus_id, "  ",
                   ModeText(gpu), "\n");
    if (!gpu.problem.empty()) text += Concat("  problem: ", gpu.problem, "\n");
    for (const GpuProcess& process : gpu.processes)
      text += Concat("  ", ProcessText(process), "\n");
    for (const GpuInstance& instance : gpu.instances) text += InstanceText(instance);
    if (gpu.mig_enabled && gpu.placements_known) text += RoomText(gpu);
  }
  return text;
}

std::string ListJson(const std::vector<Gpu>& gpus) {
  json::Writer out;
  out.BeginObject().Key("gpus").BeginArray();
  for (const Gpu& gpu : gpus) WriteGpu(out, gpu);
  out.EndArray().EndObject();
  return out.Take() + "\n";
}

std::string ProfilesText(const std::vector<Gpu>& gpus) {
  std::string text;
  for (const Gpu& gpu : gpus) {
    if (gpu.model == nullptr) continue;
    text += Concat("GPU ", gpu.index, "  ", gpu.name, "\n  ", Padded("profile", 16),
                   "  id  most  slices  memory MiB   SM  DEC  CE  JPEG  OFA  placements\n");
    for (const Profile& p : gpu.model->profiles) {
      char row[160];
      std::snprintf(row, sizeof(row), "  %-16s %3d  %4d  %6d  %10d %4d  %3d  %2d  %4d  %3d  %s\n",
                    std::string(p.name).c_str(), p.driver_id, RemainingCapacity(*gpu.model, {}, p),
                    p.compute_slices, p.memory_mib, p.multiprocessors, p.decoders, p.copy_engines,
                    p.jpeg_engines, p.ofa_engines,
                    gpu.placements_known ? StartsText(p).c_str() : "known to root");
      text += row;
    }
  }
  return text;
}

std::string Disturbs(const Gpu& gpu, const Step& step) {
  if (step.resets) {
    return Concat("resets GPU ", gpu.index, ": every process on it ends, no other GPU is touched");
  }
  if (step.kind == Step::Kind::kSetMode) return Concat("no process may be on GPU ", gpu.index);
  if (step.kind != Step::Kind::kDestroy) return "";
  std::string text;
  for (const GpuInstance& instance : gpu.instances) {
    if (instance.id != step.id) continue;
    for (const ComputeInstance& compute : instance.compute) {
      text += Concat(text.empty() ? "" : ", ", compute.uuid);
    }
  }
  return text.empty() ? "" : Concat(text, ", which nobody uses, is gone");
}

std::string PlanText(const std::vector<Gpu>& gpus, const Plans& plans) {
  std::string text;
  for (const auto& [index, plan] : plans) {
    const Gpu* const gpu = FindGpu(gpus, index);
    if (gpu == nullptr) continue;
    if (plan.blocked()) {
      text += Concat("blocked: ", Refusal(*gpu, plan), "\n");
      continue;
    }
    text += Concat("GPU ", index, ": ", plan.steps.empty() ? "as wanted" : "", "");
    if (!plan.steps.empty()) text += Concat(plan.steps.size(), " steps");
    if (!plan.kept.empty()) text += Concat(", ", plan.kept.size(), " instances stay");
    text += "\n";
    for (const Step& step : plan.steps) {
      const std::string disturbs = Disturbs(*gpu, step);
      text += Concat("  ", ToString(step), disturbs.empty() ? "" : "\n      ", disturbs, "\n");
    }
  }
  return text;
}

std::string PlanJson(const std::vector<Gpu>& gpus, const Plans& plans) {
  json::Writer out;
  out.BeginObject().Key("gpus").BeginArray();
  for (const auto& [index, plan] : plans) {
    const Gpu* const gpu = FindGpu(gpus, index);
    if (gpu == nullptr) continue;
    out.BeginObject().Key("index").Int(index).Key("uuid").String(gpu->uuid);
    out.Key("blocked").Bool(plan.blocked());
    if (plan.blocked()) out.Key("reason").String(Refusal(*gpu, plan));
    out.Key("kept").BeginArray();
    for (const int id : plan.kept) out.Int(id);
    out.EndArray().Key("steps").BeginArray();
    for (const Step& step : plan.steps) WriteStep(out, *gpu, step);
    out.EndArray().EndObject();
  }
  out.EndArray().EndObject();
  return out.Take() + "\n";
}

}  // namespace tepal::mig
