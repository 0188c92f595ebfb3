#include "partitioning/node_agent/agent.h"

#include <utility>

#include "core/base/text.h"
#include "core/telemetry/log.h"
#include "network/kube/informer.h"
#include "partitioning/mig/apply.h"
#include "partitioning/mig/config.h"
#include "partitioning/node_agent/cost_keeper.h"
#include "partitioning/node_agent/features.h"
#include "partitioning/node_agent/held_devices.h"
#include "partitioning/node_agent/other_plugin.h"

namespace tepal::node_agent {
namespace {

constexpr uint64_t kConfigBytesMax = 4 << 20;

// What a configuration means for the GPUs that are here, and whether it is so.
struct Wish {
  mig::Wanted wanted;
  std::vector<std::string> differences;
};

Result<Wish> ReadWish(env::FileSystem& files, const std::string& path, const std::string& config,
                      const std::vector<mig::Gpu>& gpus) {
  ASSIGN_OR_RETURN(const std::string text, files.Read(path, kConfigBytesMax));
  ASSIGN_OR_RETURN(const mig::ConfigFile file, mig::ParseConfigFile(text, path));
  ASSIGN_OR_RETURN(const mig::Config selected, mig::SelectConfig(file, config));
  Wish wish;
  ASSIGN_OR_RETURN(wish.wanted, mig::Resolve(selected, gpus));
  ASSIGN_OR_RETURN(wish.differences, mig::Differences(gpus, wish.wanted));
  return wish;
}

// What there is, as a wish: to go back to.
mig::Wanted WantedOf(const std::vector<mig::Gpu>& gpus) {
  mig::Wanted wanted;
  for (const mig::Gpu& gpu : gpus) {
    if (!gpu.problem.empty() || gpu.model == nullptr) continue;
    mig::WantedGpu& want = wanted[gpu.index];
    want.mig_enabled = gpu.mig_enabled;
    for (const mig::GpuInstance& instance : gpu.instances) {
      mig::WantedInstance one;
      one.profile = instance.placement.profile;
      one.start = instance.placement.start;
      for (const mig::ComputeInstance& compute : instance.compute)
        one.compute.push_back(compute.slices);
      if (one.profile != nullptr && !one.compute.empty()) want.instances.push_back(std::move(one));
    }
  }
  return wanted;
}

bool IsInputError(const Status& status) {
  return status.code() == StatusCode::kInvalidArgument || status.code() == StatusCode::kNotFound;
}

}  // namespace

struct Agent::State : std::enable_shared_from_this<State> {
  State(World in, Options with)
      : world(std::move(in)),
        options(std::move(with)),
        repartition(options.repartition, world.random),
        plugins(world.loop, world.files, options.plugins),
        costs(world.loop, world.client,
              {.node = options.node, .pod_resources = options.pod_resources}),
        node(world.loop, world.client, world.random, {kube::kNodes, {}},
             {.labels = {}, .fields = Concat("metadata.name=", options.node)}, {}) {}

  using Kind = Repartition::Action::Kind;

  void Start() {
    node.Start({.on_change = [this](const kube::Change& change) { OnNode(*change.object); },
                .on_synced = nullptr,
                .on_trouble =
                    [](const Status& why) {
                      telemetry::LogWarning(Concat("watching the node: ", why.message()));
                    }});
    Tick();
  }

  void OnNode(const json::Value& object) {
    NodeView view = ViewOf(object);
    if (view.config.empty()) view.config = options.default_config;
    repartition.OnNode(std::move(view));
    node_object = std::make_shared<json::Value>(object);
    Go();
  }

  // The rhythm: errors of GPUs, what is there now, the kubelet, the configuration file.
  void Tick() {
    timer = world.loop.RunAfter(options.tick, [this] { Tick(); });
    const auto facts = world.files.Stat(options.config_file);
    if (facts.ok() && facts->modified != config_modified) {
      if (config_modified != WallTime{}) repartition.OnConfigFile();
      config_modified = facts->modified;
    }
    LookForOthers();
    if (!changing) Refresh();
    if (plugin_on) plugins.Tick();
    if (options.pod_deletion_costs && !changing) costs.Tick(gpus);
    Go();
  }

  void Refresh() {
    while (true) {
      const auto event = world.driver.WaitForXid(Duration(0));
      if (!event.ok() || !event->has_value()) break;
      if (health.OnXid(**event, gpus)) {
        telemetry::LogError(Concat("GPU ", (*event)->gpu, " instance ", (*event)->gpu_instance,
                                   ": Xid ", (*event)->xid, ", no longer offered"));
      }
    }
    auto listed = world.driver.List();
    if (!listed.ok()) {
      telemetry::LogWarning(Concat("listing GPUs: ", listed.status().message()));
      return;
    }
    gpus = *std::move(listed);
    if (plugin_on) {
      Offer offer = CurrentOffer();
      if (offer.problem != told_problem) {
        told_problem = offer.problem;
        if (!told_problem.empty()) telemetry::LogWarning(told_problem);
      }
      plugins.SetOffer(offer);
      LabelFeatures();
    }
  }

  Offer CurrentOffer() const {
    Offer offer = OfferOf(gpus, options.strategy);
    health.Apply(offer);
    return offer;
  }

  // Two plugins for one resource are one too many.
  void LookForOthers() {
    const Instant now = world.loop.Now();
    if (!options.device_plugin || looking ||
        (looked_at && now - *looked_at < options.look_for_others))
      return;
    looking = true;
    looked_at = now;
    world.client.List({kube::kDaemonSets, {}}, {},
                      [weak = weak_from_this()](kube::Answer answer, kube::ObjectList list) {
                        if (const auto self = weak.lock()) self->OnDaemonSets(answer, list);
                      });
  }
  void OnDaemonSets(const kube::Answer& answer, const kube::ObjectList& list) {
    looking = false;
    if (!answer.ok()) {
      telemetry::LogWarning(Concat("looking for other device plugins: ", answer.status.message()));
      looked_at = world.loop.Now() - options.look_for_others + 5s;
      return;
    }
    std::vector<std::string> sockets;
    if (const auto entries = world.files.List(options.plugins.folder); entries.ok()) {
      for (const auto& entry : *entries) sockets.push_back(entry.name);
    }
    const auto other = FindOtherPlugin(list.objects, sockets);
    if (!other) {
      plugin_on = true;
    } else if (plugin_on) {
      telemetry::LogError(Concat(*other, " now offers this node's GPUs too; one of us must go"));
    } else {
      telemetry::LogError(
          Concat("the device plugin stays off: ", *other, " offers this node's GPUs"));
    }
  }

  void LabelFeatures() {
    if (node_object == nullptr || labelling) return;
    const Labels wanted = FeatureLabels(gpus, options.strategy);
    NodePatch patch;
    for (const auto& [name, value] : wanted) {
      const std::string* there = kube::LabelOf(*node_object, name);
      if (there == nullptr || *there != value) patch.labels[name] = value;
    }
    const json::Value* metadata = node_object->Find("metadata");
    const json::Value* labels = metadata == nullptr ? nullptr : metadata->Find("labels");
    if (labels != nullptr && labels->AsObject() != nullptr) {
      for (const auto& [name, value] : *labels->AsObject()) {
        if (IsFeatureLabel(name) && !wanted.contains(name)) patch.labels[name] = std::nullopt;
      }
    }
    if (patch.empty()) return;
    labelling = true;
    PatchNode(patch, [this](const kube::Answer& answer) {
      labelling = false;
      if (!answer.ok())
        telemetry::LogWarning(Concat("labelling the node: ", answer.status.message()));
    });
  }

  void PatchNode(const NodePatch& patch, Function<void(const kube::Answer&)> done) {
    world.client.Patch(
        {kube::kNodes, {}, options.node, {}}, kube::PatchKind::kMerge, MergePatchOf(patch),
        [weak = weak_from_this(), done = std::move(done)](kube::Answer answer) mutable {
          const auto self = weak.lock();
          if (self == nullptr) return;
          if (answer.ok()) self->OnNode(answer.body);
          done(answer);
        });
  }

  // The next action of the state machine, if it has one now.
  void Go() {
    const Repartition::Action action = repartition.NextAction(world.loop.Now());
    switch (action.kind) {
      case Kind::kNone:
        return;
      case Kind::kCheck:
        return Check(action.config);
      case Kind::kPatch:
        return PatchNode(action.patch, [this](const kube::Answer& answer) {
          if (!answer.ok())
            telemetry::LogWarning(Concat("patching the node: ", answer.status.message()));
          repartition.OnPatched(answer.ok(), world.loop.Now());
          Go();
        });
      case Kind::kClients:
        return CountClients();
      case Kind::kApply:
        return AskAndApply(action.config);
      case Kind::kRollBack:
        return Change(before, {}, true);
      case Kind::kReboot: {
        const Status begun =
            world.reboot ? world.reboot() : FailedPrecondition("it may not reboot");
        if (!begun.ok()) repartition.OnRolledBack(begun, world.loop.Now());
        return;
      }
    }
  }

  void Check(const std::string& config) {
    const Instant now = world.loop.Now();
    auto listed = world.driver.List();
    if (!listed.ok())
      return repartition.OnChecked(Repartition::Check::kFailed, listed.status(), now);
    gpus = *std::move(listed);
    const Result<Wish> wish = ReadWish(world.files, options.config_file, config, gpus);
    if (!wish.ok()) {
      telemetry::LogError(Concat("configuration '", config, "': ", wish.status().message()));
      return repartition.OnChecked(
          IsInputError(wish.status()) ? Repartition::Check::kInvalid : Repartition::Check::kFailed,
          wish.status(), now);
    }
    for (const std::string& line : wish->differences) {
      telemetry::LogInfo(Concat("configuration '", config, "': ", line));
    }
    repartition.OnChecked(
        wish->differences.empty() ? Repartition::Check::kApplied : Repartition::Check::kDiffers,
        Status(), now);
    Go();
  }

  // Pods of this node with the labels that the GPU operator gives its operands.
  void CountClients() {
    world.client.List({kube::kPods, {}},
                      {.labels = "app in "
                                 "(nvidia-device-plugin-daemonset,gpu-feature-discovery,nvidia-"
                                 "dcgm-exporter,nvidia-dcgm,nvidia-nvsm)",
                       .fields = Concat("spec.nodeName=", options.node)},
                      [weak = weak_from_this()](kube::Answer answer, kube::ObjectList list) {
                        const auto self = weak.lock();
                        if (self == nullptr) return;
                        self->repartition.OnClients(
                            answer.ok() ? std::optional<int>(static_cast<int>(list.objects.size()))
                                        : std::nullopt,
                            self->world.loop.Now());
                        self->Go();
                      });
  }

  void AskAndApply(const std::string& config) {
    changing = true;
    asking = AskHeldDevices(world.loop, options.pod_resources,
                            [this, config](Result<std::set<std::string>> held) {
                              if (!held.ok())
                                return EndChange({held.status(), false, false}, false);
                              Withdraw(*held);
                              // Who got one between the question and that.
                              AskAgain(config);
                            });
  }
  void AskAgain(const std::string& config) {
    asking = AskHeldDevices(
        world.loop, options.pod_resources, [this, config](Result<std::set<std::string>> held) {
          if (!held.ok()) return EndChange({held.status(), false, false}, false);
          const auto wish = ReadWish(world.files, options.config_file, config, gpus);
          if (!wish.ok()) return EndChange({wish.status(), false, false}, false);
          before = WantedOf(gpus);
          Change(wish->wanted, *std::move(held), false);
        });
  }

  void Withdraw(const std::set<std::string>& held) {
    if (!plugin_on) return;
    Offer offer = CurrentOffer();
    for (SlotPool& pool : offer.pools) {
      std::erase_if(pool.slots, [&](const Slot& slot) { return !held.contains(slot.uuid); });
    }
    plugins.SetOffer(offer);
  }

  // On the executor's thread, which has the driver to itself until the answer is posted.
  void Change(mig::Wanted wanted, std::set<std::string> held, bool back) {
    changing = true;
    last_held = back ? last_held : held;
    world.executor.Execute([weak = weak_from_this(), loop = &world.loop, driver = &world.driver,
                            wanted = std::move(wanted), held = last_held, back]() mutable {
      mig::ApplyOptions apply;
      apply.held = std::move(held);
      bool changed = false;
      apply.tell = [&changed](int gpu, const mig::Step& step) {
        changed = true;
        telemetry::LogInfo(Concat("GPU ", gpu, ": ", mig::ToString(step)));
      };
      const auto applied = mig::Apply(*driver, wanted, std::move(apply));
      Repartition::Applied outcome{applied.status(), changed,
                                   applied.ok() && !applied->wait_for_reset.empty()};
      loop->Post([weak, outcome = std::move(outcome), back] {
        if (const auto self = weak.lock()) self->EndChange(outcome, back);
      });
    });
  }

  void EndChange(const Repartition::Applied& outcome, bool back) {
    changing = false;
    if (!outcome.status.ok())
      telemetry::LogError(Concat("changing the GPUs: ", outcome.status.message()));
    Refresh();
    if (back) {
      repartition.OnRolledBack(outcome.status, world.loop.Now());
    } else {
      repartition.OnApplied(outcome, world.loop.Now());
    }
    Go();
  }

  void Stop() {
    if (timer != 0) world.loop.Cancel(std::exchange(timer, 0));
    asking.reset();
  }

  World world;
  const Options options;
  Repartition repartition;
  PluginSet plugins;
  CostKeeper costs;
  kube::Informer node;
  std::shared_ptr<json::Value> node_object;
  std::vector<mig::Gpu> gpus;
  Health health;
  mig::Wanted before;
  std::set<std::string> last_held;
  std::unique_ptr<UnaryCall> asking;
  std::string told_problem;
  WallTime config_modified{};
  env::EventLoop::TimerId timer = 0;
  std::optional<Instant> looked_at;
  bool looking = false;
  bool plugin_on = false;
  bool labelling = false;
  bool changing = false;  // The driver is the executor's, or about to be.
};

Agent::Agent(World world, Options options)
    : state_(std::make_shared<State>(std::move(world), std::move(options))) {}
Agent::~Agent() { state_->Stop(); }
void Agent::Start() { state_->Start(); }

}  // namespace tepal::node_agent
