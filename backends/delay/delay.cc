// The delay backend: identity that takes its time, for tests of queues and balancers.
//
// Model parameters, all whole numbers, 0 by default: `sleep_ms` and `busy_ms` for each batch,
// `sleep_ms_per_row` and `busy_ms_per_row` for each row of it. Sleeping costs no processor time,
// being busy costs that much of it.

#include <time.h>

#include <thread>

#include "backends/sugar/identity_model.h"

namespace tepal_plugin {
namespace {

struct Delays {
  int64_t sleep_ms = 0;
  int64_t busy_ms = 0;
  int64_t sleep_ms_per_row = 0;
  int64_t busy_ms_per_row = 0;
};

uint64_t ThreadCpuNs() {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<uint64_t>(used.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(used.tv_nsec);
}

class DelayedIdentity : public IdentityModel {
 public:
  DelayedIdentity(ModelFacts facts, Delays delays)
      : IdentityModel(std::move(facts)), delays_(delays) {}

  void Execute(TRITONBACKEND_ModelInstance* /*instance*/, RequestBatch batch) override {
    const Times times;
    int64_t rows = 0;
    for (size_t i = 0; i < batch.size(); ++i) {
      rows += static_cast<int64_t>(batch[i].Rows(facts().batches()));
    }
    std::this_thread::sleep_for(
        std::chrono::milliseconds(delays_.sleep_ms + rows * delays_.sleep_ms_per_row));
    const int64_t busy_ms = delays_.busy_ms + rows * delays_.busy_ms_per_row;
    const uint64_t until = ThreadCpuNs() + static_cast<uint64_t>(busy_ms) * 1'000'000u;
    while (ThreadCpuNs() < until) {
    }
    batch.AnswerEach(facts().batches(), times,
                     [&](Request request, Response& response) { return Copy(request, response); });
  }

 private:
  const Delays delays_;
};

Error* Make(TRITONBACKEND_Model* /*model*/, ModelFacts facts, std::unique_ptr<Model>& made) {
  TEPAL_RETURN_IF_ERROR(IdentityModel::Check(facts));
  Delays delays;
  TEPAL_RETURN_IF_ERROR(facts.NumberParameter("sleep_ms", 0, delays.sleep_ms));
  TEPAL_RETURN_IF_ERROR(facts.NumberParameter("busy_ms", 0, delays.busy_ms));
  TEPAL_RETURN_IF_ERROR(facts.NumberParameter("sleep_ms_per_row", 0, delays.sleep_ms_per_row));
  TEPAL_RETURN_IF_ERROR(facts.NumberParameter("busy_ms_per_row", 0, delays.busy_ms_per_row));
  made = std::make_unique<DelayedIdentity>(std::move(facts), delays);
  return nullptr;
}

}  // namespace
}  // namespace tepal_plugin

TEPAL_PLUGIN(tepal_plugin::Make)
