// The identity backend: each output is a copy of the input at its place. Any types, any shapes,
// batching or not. Short, and it never waits: an event loop may run it.

#include "backends/sugar/identity_model.h"

namespace tepal_plugin {
namespace {

class InlineIdentity : public IdentityModel {
 public:
  using IdentityModel::IdentityModel;
  uint64_t traits() const override { return TEPAL_BACKEND_INLINE; }
};

Error* Make(TRITONBACKEND_Model* /*model*/, ModelFacts facts, std::unique_ptr<Model>& made) {
  TEPAL_RETURN_IF_ERROR(IdentityModel::Check(facts));
  made = std::make_unique<InlineIdentity>(std::move(facts));
  return nullptr;
}

}  // namespace
}  // namespace tepal_plugin

TEPAL_PLUGIN(tepal_plugin::Make)
