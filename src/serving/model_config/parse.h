// From config.pbtxt or JSON to a ModelConfig.
//
// A ConfigDraft is a configuration on its way: first what the text says, then with the server's
// defaults (normalise.h) and what the backend reports (auto_complete.h), then checked (validate.h),
// at last turned into the immutable struct. In order:
//
//   ASSIGN_OR_RETURN(ConfigDraft draft, ParseConfigText(text));
//   RETURN_IF_ERROR(CompleteBackend(draft, model_name, files));     // normalise.h
//   Normalise(draft);
//   RETURN_IF_ERROR(AutoComplete(draft, report, ...));              // auto_complete.h, if allowed
//   NormaliseInstanceGroups(draft, machine);
//   RETURN_IF_ERROR(Validate(draft, model_name));                   // validate.h
//   ModelConfigPtr config = FinishConfig(draft);
//
// Everything here is a pure function: no file is opened.

#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "serving/model_config/model_config.h"

namespace inference {
class ModelConfig;
}

namespace tepal {

class ConfigDraft {
 public:
  ConfigDraft();  // What a model without a config.pbtxt starts from.
  ~ConfigDraft();
  ConfigDraft(const ConfigDraft& other);
  ConfigDraft(ConfigDraft&& other) noexcept;
  ConfigDraft& operator=(const ConfigDraft& other);
  ConfigDraft& operator=(ConfigDraft&& other) noexcept;

  // For the functions of this room: no room above it includes protobuf.
  const inference::ModelConfig& message() const { return *message_; }
  inference::ModelConfig& message() { return *message_; }

 private:
  std::unique_ptr<inference::ModelConfig> message_;
};

// The largest config.pbtxt read.
inline constexpr size_t kConfigBytesMax = 16 << 20;

// Protobuf text. Every error of the text, one a line: kInvalidArgument "FILE:LINE:COLUMN: what".
Result<ConfigDraft> ParseConfigText(std::string_view text, std::string_view file = "config.pbtxt");

// JSON as ConfigJson writes it: the `config` parameter of a load request, and what a backend sets.
// kInvalidArgument with the field's path.
Result<ConfigDraft> ParseConfigJson(std::string_view json);

// As the protocol prints it: see ModelConfig::json.
std::string ConfigJson(const ConfigDraft& draft);

// As protobuf text that reads back the same.
std::string ConfigText(const ConfigDraft& draft);

// The struct, `json` included.
ModelConfigPtr FinishConfig(const ConfigDraft& draft);

}  // namespace tepal
