#include "partitioning/mig/config.h"

#include <algorithm>
#include <charconv>

#include "core/base/text.h"
#include "core/options/yaml.h"

namespace tepal::mig {

namespace {

using options::YamlNode;
using options::YamlReader;

constexpr std::string_view kFilterExpected =
    "a PCI id as \"0x20B010DE\" or \"0x20B010DE:0x134F10DE\", or a list of them";
constexpr std::string_view kDevicesExpected = "all, or a list of GPU indices";

std::string Seen(const YamlNode& node) {
  return node.kind == YamlNode::Kind::kScalar ? Concat("'", node.scalar, "'")
         : node.kind == YamlNode::Kind::kNull ? "nothing"
                                              : "something else";
}

// 0x…, as Go reads it: 0 in front would be octal, nothing decimal.
std::optional<uint32_t> ParsePciId(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  }
  uint32_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value, base);
  if (text.empty() || error != std::errc() || stopped != end) return std::nullopt;
  return value;
}

void ReadFilters(YamlReader& entry, std::vector<DeviceFilter>& filters) {
  constexpr std::string_view kKey = "device-filter";
  const YamlNode* const node = entry.Node(kKey);
  if (node == nullptr || node->kind == YamlNode::Kind::kNull) return;
  std::vector<const YamlNode*> texts;
  if (node->kind == YamlNode::Kind::kSequence) {
    for (const YamlNode& element : node->elements) texts.push_back(&element);
  } else if (node->kind != YamlNode::Kind::kScalar || !node->scalar.empty()) {
    texts.push_back(node);
  }
  for (const YamlNode* text : texts) {
    const auto filter =
        text->kind == YamlNode::Kind::kScalar ? ParseDeviceFilter(text->scalar) : std::nullopt;
    if (!filter) return entry.Fail(kKey, Seen(*text), kFilterExpected);
    filters.push_back(*filter);
  }
}

void ReadDevices(YamlReader& entry, std::optional<std::vector<int>>& devices) {
  constexpr std::string_view kKey = "devices";
  const YamlNode* const node = entry.Node(kKey);
  if (node == nullptr) return entry.Require(kKey, kDevicesExpected);
  if (node->kind == YamlNode::Kind::kScalar && node->scalar == "all") return;
  if (node->kind != YamlNode::Kind::kSequence)
    return entry.Fail(kKey, Seen(*node), kDevicesExpected);
  devices.emplace();
  for (const YamlNode& element : node->elements) {
    const auto index = ParseNumber<int>(element.scalar);
    if (element.kind != YamlNode::Kind::kScalar || !index || *index < 0) {
      return entry.Fail(kKey, Seen(element), kDevicesExpected);
    }
    devices->push_back(*index);
  }
}

void ReadMigDevices(YamlReader& entry, ConfigEntry& into) {
  constexpr std::string_view kKey = "mig-devices";
  const YamlNode* const node = entry.Node(kKey);
  const bool absent = node == nullptr || node->kind == YamlNode::Kind::kNull;
  if (absent) {
    if (into.mig_enabled) entry.Fail(kKey, "nothing", "a mapping, as mig-enabled is true");
    return;
  }
  if (node->kind != YamlNode::Kind::kMapping) {
    return entry.Fail(kKey, Seen(*node), "a mapping of profiles to counts");
  }
  YamlReader counts = entry.Section(kKey);
  for (const options::YamlMember& member : node->members) {
    int count = 0;
    counts.Int(member.name, &count, 0, kMigDevicesMax);
    into.mig_devices.emplace_back(member.name, count);
  }
  if (!into.mig_enabled && !into.mig_devices.empty()) {
    entry.Fail(kKey, "MIG devices", "none, as mig-enabled is false");
  }
}

ConfigEntry ReadEntry(YamlReader& reader) {
  ConfigEntry entry;
  ReadFilters(reader, entry.filters);
  ReadDevices(reader, entry.devices);
  reader.Require("mig-enabled", "true or false");
  reader.Flag("mig-enabled", &entry.mig_enabled);
  ReadMigDevices(reader, entry);
  return entry;
}

}  // namespace

bool DeviceFilter::Matches(const Gpu& gpu) const {
  return device == gpu.pci_device_id && (!subsystem || *subsystem == gpu.pci_subsystem_id);
}

bool ConfigEntry::Matches(const Gpu& gpu) const {
  const auto matches = [&](const DeviceFilter& filter) { return filter.Matches(gpu); };
  if (!filters.empty() && std::none_of(filters.begin(), filters.end(), matches)) return false;
  return !devices || std::find(devices->begin(), devices->end(), gpu.index) != devices->end();
}

std::optional<DeviceFilter> ParseDeviceFilter(std::string_view text) {
  const std::vector<std::string_view> parts = Split(text, ':');
  const auto device = ParsePciId(parts[0]);
  if (!device || parts.size() > 2) return std::nullopt;
  DeviceFilter filter{.device = *device};
  if (parts.size() == 2) {
    filter.subsystem = ParsePciId(parts[1]);
    if (!filter.subsystem) return std::nullopt;
  }
  return filter;
}

Result<ConfigFile> ParseConfigFile(std::string_view text, const std::string& file) {
  ASSIGN_OR_RETURN(const YamlNode tree, options::ParseYaml(text, file));
  YamlReader root(tree, file);
  std::string version;
  root.Require("version", "v1");
  root.Choice("version", {{"v1", std::string("v1")}}, &version);
  ConfigFile read;
  const YamlNode* const configs = root.Node("mig-configs");
  const bool some =
      configs != nullptr && configs->kind == YamlNode::Kind::kMapping && !configs->members.empty();
  if (!some) root.Fail("mig-configs", "nothing", "at least one named configuration");
  YamlReader section = root.Section("mig-configs");
  for (const options::YamlMember& member :
       some ? configs->members : std::vector<options::YamlMember>{}) {
    Config config;
    for (YamlReader& reader : section.Sections(member.name)) config.push_back(ReadEntry(reader));
    if (config.empty()) section.Fail(member.name, "nothing", "a list of at least one entry");
    read.configs.emplace_back(member.name, std::move(config));
  }
  RETURN_IF_ERROR(root.Finish());
  return read;
}

Result<Config> SelectConfig(const ConfigFile& file, std::string_view name) {
  std::string names;
  for (const auto& [each, config] : file.configs) {
    if (each == name || (name.empty() && file.configs.size() == 1)) return config;
    names += (names.empty() ? "" : ", ") + each;
  }
  if (name.empty()) {
    return InvalidArgument(Concat("which configuration? The file has ", names));
  }
  return NotFound(Concat("no configuration '", name, "' in the file; it has ", names));
}

}  // namespace tepal::mig
