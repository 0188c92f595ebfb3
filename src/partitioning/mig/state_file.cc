#include "partitioning/mig/state_file.h"

#include <algorithm>

#include "core/base/text.h"
#include "core/json/value.h"
#include "core/json/writer.h"

namespace tepal::mig {

namespace {

Status Bad(std::string_view field, std::string_view expected) {
  return InvalidArgument(Concat("MIG state file: field '", field, "': expected ", expected));
}

Result<std::string> ReadText(const json::Value& object, std::string_view name) {
  const json::Value* const value = object.Find(name);
  if (value == nullptr || value->AsString() == nullptr) return Bad(name, "a text");
  return *value->AsString();
}

Result<bool> ReadBool(const json::Value& object, std::string_view name) {
  const json::Value* const value = object.Find(name);
  if (value == nullptr || value->AsBool() == nullptr) return Bad(name, "true or false");
  return *value->AsBool();
}

Result<json::Value::Array> ReadList(const json::Value& object, std::string_view name) {
  const json::Value* const value = object.Find(name);
  if (value == nullptr || value->AsArray() == nullptr) return Bad(name, "a list");
  return *value->AsArray();
}

Result<int> ReadInt(const json::Value* value, std::string_view name) {
  const int64_t* const number = value == nullptr ? nullptr : value->AsInt();
  if (number == nullptr || *number < -1 || *number > kMemorySlicesMax) {
    return Bad(name, "a number of slices");
  }
  return static_cast<int>(*number);
}

Result<WantedInstance> ReadInstance(const json::Value& value, const GpuModel& model) {
  ASSIGN_OR_RETURN(const std::string name, ReadText(value, "profile"));
  WantedInstance instance{.profile = FindProfile(model, name)};
  if (instance.profile == nullptr) return Bad("profile", "a profile of this GPU");
  ASSIGN_OR_RETURN(instance.start, ReadInt(value.Find("start"), "start"));
  ASSIGN_OR_RETURN(const json::Value::Array compute, ReadList(value, "compute"));
  for (const json::Value& slices : compute) {
    ASSIGN_OR_RETURN(const int read, ReadInt(&slices, "compute"));
    instance.compute.push_back(read);
  }
  return instance;
}

}  // namespace

std::string ToText(const StateFile& state) {
  json::Writer out;
  out.BeginObject().Key("version").String("v1").Key("config").String(state.config);
  out.Key("finished").Bool(state.finished).Key("wanted").String(state.wanted);
  out.Key("before").String(state.before).EndObject();
  return out.Take() + "\n";
}

Result<StateFile> ParseStateFile(std::string_view text) {
  ASSIGN_OR_RETURN(const json::Value root, json::Parse(text).WithContext("MIG state file"));
  ASSIGN_OR_RETURN(const std::string version, ReadText(root, "version"));
  if (version != "v1") return Bad("version", "v1");
  StateFile state;
  ASSIGN_OR_RETURN(state.config, ReadText(root, "config"));
  ASSIGN_OR_RETURN(state.finished, ReadBool(root, "finished"));
  ASSIGN_OR_RETURN(state.wanted, ReadText(root, "wanted"));
  ASSIGN_OR_RETURN(state.before, ReadText(root, "before"));
  return state;
}

std::string WantedText(const Wanted& wanted, const std::vector<Gpu>& gpus) {
  json::Writer out;
  out.BeginArray();
  for (const Gpu& gpu : gpus) {
    const auto found = wanted.find(gpu.index);
    if (found == wanted.end()) continue;
    out.BeginObject().Key("gpu").String(gpu.uuid);
    out.Key("mig-enabled").Bool(found->second.mig_enabled).Key("instances").BeginArray();
    for (const WantedInstance& instance : found->second.instances) {
      out.BeginObject().Key("profile").String(instance.profile->name);
      out.Key("start").Int(instance.start).Key("compute").BeginArray();
      for (const int slices : instance.compute) out.Int(slices);
      out.EndArray().EndObject();
    }
    out.EndArray().EndObject();
  }
  out.EndArray();
  return out.Take();
}

Result<Wanted> ParseWanted(std::string_view text, const std::vector<Gpu>& gpus) {
  ASSIGN_OR_RETURN(const json::Value root, json::Parse(text).WithContext("MIG state file: wanted"));
  if (root.AsArray() == nullptr) return Bad("wanted", "a list");
  Wanted wanted;
  for (const json::Value& value : *root.AsArray()) {
    ASSIGN_OR_RETURN(const std::string uuid, ReadText(value, "gpu"));
    const auto gpu =
        std::find_if(gpus.begin(), gpus.end(), [&](const Gpu& g) { return g.uuid == uuid; });
    if (gpu == gpus.end()) continue;
    ASSIGN_OR_RETURN(const bool enabled, ReadBool(value, "mig-enabled"));
    WantedGpu& want = wanted[gpu->index] = {.mig_enabled = enabled};
    ASSIGN_OR_RETURN(const json::Value::Array instances, ReadList(value, "instances"));
    for (const json::Value& instance : instances) {
      if (gpu->model == nullptr) return Bad("gpu", "a GPU that can be partitioned");
      ASSIGN_OR_RETURN(WantedInstance read, ReadInstance(instance, *gpu->model));
      want.instances.push_back(std::move(read));
    }
  }
  return wanted;
}

}  // namespace tepal::mig
