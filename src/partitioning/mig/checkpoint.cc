#include "partitioning/mig/checkpoint.h"

#include <algorithm>
#include <iterator>

#include "core/base/text.h"
#include "core/json/value.h"
#include "core/json/writer.h"

namespace tepal::mig {

namespace {

// Slices by NVML_COMPUTE_INSTANCE_PROFILE_*.
constexpr int kSlicesOf[] = {1, 2, 3, 4, 7, 8, 6, 1};

int64_t ComputeProfileOf(int slices) {
  return std::find(std::begin(kSlicesOf), std::end(kSlicesOf), slices) - std::begin(kSlicesOf);
}

void WriteInstance(json::Writer& out, const GpuInstance& instance) {
  const Placement& at = instance.placement;
  out.BeginObject().Key("ProfileID").Int(at.profile->nvml_profile);
  out.Key("Placement").BeginObject().Key("Start").Int(at.start);
  out.Key("Size").Int(at.profile->memory_slices).EndObject();
  out.Key("ComputeInstances").BeginArray();
  for (const ComputeInstance& compute : instance.compute) {
    out.BeginObject().Key("ProfileID").Int(ComputeProfileOf(compute.slices));
    out.Key("EngProfileID").Int(0).EndObject();
  }
  out.EndArray().EndObject();
}

const json::Value* Member(const json::Value& object, std::string_view name) {
  if (object.AsObject() == nullptr) return nullptr;
  for (const auto& [key, value] : *object.AsObject()) {
    if (EqualsIgnoreCase(key, name)) return &value;
  }
  return nullptr;
}

Status Bad(std::string_view field, std::string_view expected) {
  return InvalidArgument(Concat("checkpoint: field '", field, "': expected ", expected));
}

Result<int> ReadInt(const json::Value& object, std::string_view name) {
  const json::Value* const value = Member(object, name);
  const int64_t* const number = value == nullptr ? nullptr : value->AsInt();
  if (number == nullptr || *number < 0 || *number > kMemorySlicesMax * 4) {
    return Bad(name, "a small whole number");
  }
  return static_cast<int>(*number);
}

// The elements of a list; none when it is null or absent, as Go writes an empty one.
Result<json::Value::Array> ReadList(const json::Value& object, std::string_view name) {
  const json::Value* const value = Member(object, name);
  if (value == nullptr || value->is_null()) return json::Value::Array();
  if (value->AsArray() == nullptr) return Bad(name, "a list");
  return *value->AsArray();
}

Result<WantedInstance> ReadInstance(const json::Value& value, const GpuModel& model) {
  ASSIGN_OR_RETURN(const int number, ReadInt(value, "ProfileID"));
  const auto profile = std::find_if(model.profiles.begin(), model.profiles.end(),
                                    [&](const Profile& p) { return p.nvml_profile == number; });
  if (profile == model.profiles.end()) return Bad("ProfileID", "a profile of this GPU");
  const json::Value* const placement = Member(value, "Placement");
  if (placement == nullptr) return Bad("Placement", "an object");
  WantedInstance instance{.profile = &*profile};
  ASSIGN_OR_RETURN(instance.start, ReadInt(*placement, "Start"));
  ASSIGN_OR_RETURN(const json::Value::Array all, ReadList(value, "ComputeInstances"));
  for (const json::Value& compute : all) {
    ASSIGN_OR_RETURN(const int of, ReadInt(compute, "ProfileID"));
    if (of >= static_cast<int>(std::size(kSlicesOf))) return Bad("ProfileID", "a compute profile");
    instance.compute.push_back(kSlicesOf[of]);
  }
  return instance;
}

Result<WantedGpu> ReadGpuState(const json::Value& value, const Gpu& gpu) {
  ASSIGN_OR_RETURN(const int mode, ReadInt(value, "MigMode"));
  ASSIGN_OR_RETURN(const json::Value::Array instances, ReadList(value, "GpuInstances"));
  WantedGpu wanted{.mig_enabled = mode == 1};
  if (gpu.model == nullptr) return InvalidArgument(Concat(gpu.name, " cannot be partitioned"));
  for (const json::Value& instance : instances) {
    ASSIGN_OR_RETURN(WantedInstance read, ReadInstance(instance, *gpu.model));
    wanted.instances.push_back(std::move(read));
  }
  return wanted;
}

}  // namespace

std::string ToCheckpoint(const std::vector<Gpu>& gpus) {
  json::Writer out;
  out.BeginObject().Key("Version").String("v1").Key("MigState").BeginObject();
  out.Key("Devices").BeginArray();
  for (const Gpu& gpu : gpus) {
    if (gpu.model == nullptr) continue;
    out.BeginObject().Key("UUID").String(gpu.uuid).Key("MigMode").Int(gpu.mig_enabled ? 1 : 0);
    out.Key("GpuInstances").BeginArray();
    for (const GpuInstance& instance : gpu.instances) WriteInstance(out, instance);
    out.EndArray().EndObject();
  }
  out.EndArray().EndObject().EndObject();
  return out.Take();
}

Result<Wanted> FromCheckpoint(std::string_view text, const std::vector<Gpu>& gpus) {
  ASSIGN_OR_RETURN(const json::Value root, json::Parse(text).WithContext("checkpoint"));
  const json::Value* const version = Member(root, "Version");
  if (version == nullptr || version->AsString() == nullptr || *version->AsString() != "v1") {
    return Bad("Version", "v1");
  }
  const json::Value* const state = Member(root, "MigState");
  if (state == nullptr) return Bad("MigState", "an object");
  ASSIGN_OR_RETURN(const json::Value::Array devices, ReadList(*state, "Devices"));
  Wanted wanted;
  for (const json::Value& device : devices) {
    const json::Value* const uuid = Member(device, "UUID");
    if (uuid == nullptr || uuid->AsString() == nullptr) return Bad("UUID", "a GPU's UUID");
    const auto gpu = std::find_if(gpus.begin(), gpus.end(),
                                  [&](const Gpu& g) { return g.uuid == *uuid->AsString(); });
    if (gpu == gpus.end()) {
      return InvalidArgument(Concat("checkpoint: no GPU ", *uuid->AsString(), " here"));
    }
    ASSIGN_OR_RETURN(wanted[gpu->index],
                     ReadGpuState(device, *gpu).WithContext(Concat("GPU ", gpu->index)));
  }
  return wanted;
}

}  // namespace tepal::mig
