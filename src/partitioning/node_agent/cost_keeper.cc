#include "partitioning/node_agent/cost_keeper.h"

#include <optional>
#include <utility>

#include "core/base/text.h"
#include "core/telemetry/log.h"
#include "partitioning/node_agent/deletion_costs.h"

namespace tepal::node_agent {
namespace {

// What the costs follow from, to see a change by.
struct Basis {
  std::vector<PodDevices> holders;
  std::vector<std::pair<std::string, int>> devices;  // With the start of each one's instance.
  bool operator==(const Basis&) const = default;
};

Basis BasisOf(const std::vector<mig::Gpu>& gpus, std::vector<PodDevices> holders) {
  Basis basis{std::move(holders), {}};
  for (const mig::Gpu& gpu : gpus) {
    for (const mig::GpuInstance& instance : gpu.instances) {
      for (const mig::ComputeInstance& compute : instance.compute)
        basis.devices.emplace_back(compute.uuid, instance.placement.start);
    }
  }
  return basis;
}

}  // namespace

struct CostKeeper::State : std::enable_shared_from_this<State> {
  State(env::EventLoop& on, kube::Client& with, Options chosen)
      : loop(on), client(with), options(std::move(chosen)) {}

  void Tick(const std::vector<mig::Gpu>& now_there) {
    const Instant now = loop.Now();
    if (busy || (asked_at && now - *asked_at < options.ask)) return;
    busy = true;
    asked_at = now;
    gpus = now_there;
    asking =
        AskPodDevices(loop, options.pod_resources, [this](Result<std::vector<PodDevices>> holders) {
          if (!holders.ok()) return End(holders.status());
          OnHolders(*std::move(holders));
        });
  }

  void OnHolders(std::vector<PodDevices> holders) {
    Basis now = BasisOf(gpus, std::move(holders));
    const bool same = settled && now == basis;
    basis = std::move(now);
    if (same && *asked_at - looked_at < options.look_again) {
      busy = false;
      return;
    }
    looked_at = *asked_at;
    settled = true;
    client.List({kube::kPods, {}}, {.labels = {}, .fields = Concat("spec.nodeName=", options.node)},
                [weak = weak_from_this()](kube::Answer answer, kube::ObjectList list) {
                  const auto self = weak.lock();
                  if (self == nullptr) return;
                  if (!answer.ok()) return self->End(answer.status);
                  self->patches =
                      DeletionCostPatches(self->gpus, self->basis.holders, list.objects);
                  self->PatchNext(0);
                });
  }

  void PatchNext(size_t next) {
    if (next == patches.size()) return End(Status());
    client.Patch(
        {kube::kPods, patches[next].name_space, patches[next].name, {}}, kube::PatchKind::kMerge,
        patches[next].merge_patch, [weak = weak_from_this(), next](kube::Answer answer) {
          const auto self = weak.lock();
          if (self == nullptr) return;
          if (answer.http_status == 409 || answer.http_status == 404) {
            self->settled = false;
          } else if (!answer.ok()) {
            return self->End(std::move(answer.status)
                                 .WithContext(Concat("pod ", self->patches[next].name_space, "/",
                                                     self->patches[next].name)));
          }
          self->PatchNext(next + 1);
        });
  }

  // After trouble, looked at again when `look_again` has passed, or there is something new.
  void End(const Status& status) {
    busy = false;
    patches.clear();
    if (!status.ok()) telemetry::LogWarning(Concat("pod deletion costs: ", status.message()));
  }

  env::EventLoop& loop;
  kube::Client& client;
  const Options options;
  std::vector<mig::Gpu> gpus;
  std::unique_ptr<UnaryCall> asking;
  Basis basis;
  std::vector<PodCostPatch> patches;
  std::optional<Instant> asked_at;
  Instant looked_at{};
  bool settled = false;  // Nothing that was found then is left to do.
  bool busy = false;
};

CostKeeper::CostKeeper(env::EventLoop& loop, kube::Client& client, Options options)
    : state_(std::make_shared<State>(loop, client, std::move(options))) {}
CostKeeper::~CostKeeper() { state_->asking.reset(); }
void CostKeeper::Tick(const std::vector<mig::Gpu>& gpus) { state_->Tick(gpus); }

}  // namespace tepal::node_agent
