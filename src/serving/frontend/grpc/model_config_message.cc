#include "serving/frontend/grpc/model_config_message.h"

#include "core/proto/model_config.pb.h"
#include "serving/model_config/parse.h"

namespace tepal {

Result<std::string> ModelConfigMessage(const ModelConfig& config) {
  ASSIGN_OR_RETURN(const ConfigDraft draft, ParseConfigJson(config.json));
  return draft.message().SerializeAsString();
}

}  // namespace tepal
