// One instance of a loaded model: executes batches through its backend.
//
// Every request of a batch gets exactly one final answer: the backend's; the host's error when the
// backend returns an error, throws, or releases a request unanswered. What the backend reports goes
// into the model's statistics; of what it does not report, the host counts the outcome. The
// instance counts as busy while the backend executes. An instance that is not on a GPU is given no
// memory of one: what lies there is copied for it.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "serving/backend/backend_model.h"
#include "serving/inference/executor.h"

struct TRITONBACKEND_ModelInstance;
struct TRITONBACKEND_Request;

namespace tepal {

namespace backend_host {
class RequestPool;
}

class BackendInstance : public BatchExecutor {
 public:
  struct Options {
    std::string name;  // "flower_0_1".
    InstanceGroup::Kind kind = InstanceGroup::Kind::kCpu;
    int32_t device = 0;
    bool passive = false;
    std::string host_policy = "cpu";
    BackendSettings host_policy_settings;
    std::vector<std::string> profiles;
  };

  // Calls the backend and blocks as long as it does.
  static Result<std::unique_ptr<BackendInstance>> Create(std::shared_ptr<BackendModel> model,
                                                         Options options);
  // Every request must have been answered, or the backend must answer the rest as it finalises.
  ~BackendInstance() override;

  const std::string& name() const override;
  bool runs_inline() const override { return model_->runs_inline(); }
  void Execute(Batch batch) override;

 private:
  // Brings inputs that lie on a GPU to an instance on the CPU. False: the request was answered
  // with an error.
  bool ToHost(std::unique_ptr<InferenceRequest>& request) const;

  BackendInstance(std::shared_ptr<BackendModel> model, Options options);
  void Fail(TRITONBACKEND_Request* handle, const Status& status);

  std::shared_ptr<BackendModel> model_;
  std::unique_ptr<TRITONBACKEND_ModelInstance> handle_;
  std::shared_ptr<backend_host::RequestPool> pool_;
  std::vector<TRITONBACKEND_Request*> spare_handles_;  // Capacity kept between batches.
  ModelStatistics::InstanceTime* time_;
  bool initialised_ = false;
};

}  // namespace tepal
