// The configuration file, written.

#include <cstdio>

#include "core/base/text.h"
#include "core/json/writer.h"
#include "partitioning/mig/config.h"

namespace tepal::mig {

namespace {

std::string Hex(uint32_t id) {
  char text[16];
  std::snprintf(text, sizeof(text), "0x%08X", id);
  return text;
}

std::string FilterText(const std::vector<DeviceFilter>& filters) {
  std::string text;
  for (const DeviceFilter& filter : filters) {
    text += Concat(text.empty() ? "" : ", ", "\"", ToString(filter), "\"");
  }
  return filters.size() == 1 ? text : Concat("[", text, "]");
}

std::string DevicesText(const std::optional<std::vector<int>>& devices) {
  if (!devices) return "all";
  std::string text;
  for (const int index : *devices) text += Concat(text.empty() ? "" : ", ", index);
  return Concat("[", text, "]");
}

// As it is where YAML takes it for a text, otherwise in quotes.
std::string NameText(std::string_view name) {
  const bool plain =
      !name.empty() &&
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
          name.npos &&
      name.find_first_of("abcdefghijklmnopqrstuvwxyz") == 0;
  return plain ? std::string(name) : json::Writer().String(name).Take();
}

std::string EntryText(const ConfigEntry& entry) {
  std::string text;
  if (!entry.filters.empty())
    text = Concat("device-filter: ", FilterText(entry.filters), "\n      ");
  text += Concat("devices: ", DevicesText(entry.devices),
                 "\n      mig-enabled: ", entry.mig_enabled, "\n");
  if (!entry.mig_enabled) return Concat("    - ", text);
  text += entry.mig_devices.empty() ? "      mig-devices: {}\n" : "      mig-devices:\n";
  for (const auto& [name, count] : entry.mig_devices) {
    text += Concat("        ", json::Writer().String(name).Take(), ": ", count, "\n");
  }
  return Concat("    - ", text);
}

void WriteEntry(json::Writer& out, const ConfigEntry& entry) {
  out.BeginObject();
  if (!entry.filters.empty()) {
    out.Key("device-filter").BeginArray();
    for (const DeviceFilter& filter : entry.filters) out.String(ToString(filter));
    out.EndArray();
  }
  out.Key("devices");
  if (!entry.devices) {
    out.String("all");
  } else {
    out.BeginArray();
    for (const int index : *entry.devices) out.Int(index);
    out.EndArray();
  }
  out.Key("mig-enabled").Bool(entry.mig_enabled).Key("mig-devices").BeginObject();
  for (const auto& [name, count] : entry.mig_devices) out.Key(name).Int(count);
  out.EndObject().EndObject();
}

}  // namespace

std::string ToString(const DeviceFilter& filter) {
  return filter.subsystem ? Concat(Hex(filter.device), ":", Hex(*filter.subsystem))
                          : Hex(filter.device);
}

std::string ToYaml(const ConfigFile& file) {
  std::string text = "version: v1\nmig-configs:\n";
  for (const auto& [name, config] : file.configs) {
    text += Concat("  ", NameText(name), ":\n");
    for (const ConfigEntry& entry : config) text += EntryText(entry);
  }
  return text;
}

std::string ToJson(const ConfigFile& file) {
  json::Writer out;
  out.BeginObject().Key("version").String("v1").Key("mig-configs").BeginObject();
  for (const auto& [name, config] : file.configs) {
    out.Key(name).BeginArray();
    for (const ConfigEntry& entry : config) WriteEntry(out, entry);
    out.EndArray();
  }
  out.EndObject().EndObject();
  return out.Take() + "\n";
}

}  // namespace tepal::mig
