#include "partitioning/mig/hooks_file.h"

#include "core/options/yaml.h"

namespace tepal::mig {

namespace {

constexpr HookPoint kPoints[] = {HookPoint::kApplyStart, HookPoint::kPreApplyMode,
                                 HookPoint::kPreApplyConfig, HookPoint::kApplyExit};

Hook ReadHook(options::YamlReader& reader) {
  Hook hook;
  reader.Require("command", "a program");
  reader.Text("command", &hook.command);
  if (reader.Has("args")) reader.Texts("args", &hook.args);
  if (reader.Has("envs")) reader.TextMap("envs", &hook.envs);
  if (reader.Has("workdir")) reader.Text("workdir", &hook.workdir);
  return hook;
}

}  // namespace

std::string_view HookPointName(HookPoint point) {
  switch (point) {
    case HookPoint::kApplyStart:
      return "apply-start";
    case HookPoint::kPreApplyMode:
      return "pre-apply-mode";
    case HookPoint::kPreApplyConfig:
      return "pre-apply-config";
    case HookPoint::kApplyExit:
      return "apply-exit";
  }
  return "";
}

Result<HooksFile> ParseHooksFile(std::string_view text, const std::string& file) {
  ASSIGN_OR_RETURN(const options::YamlNode tree, options::ParseYaml(text, file));
  options::YamlReader root(tree, file);
  std::string version;
  root.Require("version", "v1");
  root.Choice("version", {{"v1", std::string("v1")}}, &version);
  HooksFile hooks;
  options::YamlReader section = root.Section("hooks");
  for (const HookPoint point : kPoints) {
    for (options::YamlReader& reader : section.Sections(HookPointName(point))) {
      hooks[point].push_back(ReadHook(reader));
    }
  }
  RETURN_IF_ERROR(root.Finish());
  return hooks;
}

}  // namespace tepal::mig
