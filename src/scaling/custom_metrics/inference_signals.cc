#include "scaling/custom_metrics/inference_signals.h"

#include <algorithm>

#include "core/base/text.h"

namespace tepal::custom_metrics {
namespace {

bool TakesModel(const LabelSelector& models, const ModelReading& reading) {
  if (models.empty()) return true;
  return models.Matches([&](const std::string& label) -> const std::string* {
    if (label == "model") return &reading.model;
    return label == "version" ? &reading.version : nullptr;
  });
}

// The model's reading before its first request.
ModelReading Unused(const ModelReading& model) {
  ModelReading zero;
  for (const auto& [instance, busy] : model.busy_us) zero.busy_us[instance] = 0;
  if (model.in_flight) zero.in_flight = 0;
  if (model.pending) zero.pending = 0;
  return zero;
}

}  // namespace

std::optional<InferenceMetric> InferenceMetricNamed(std::string_view name) {
  for (const auto& [metric, text] : kInferenceMetrics) {
    if (text == name) return metric;
  }
  return std::nullopt;
}

void InferenceSignals::SetPod(ScrapePod pod) {
  Pod& known = pods_[pod.key()];
  if (known.facts.uid != pod.uid) {
    known = Pod{};
    known.unused = pod.ip.empty();
  }
  known.facts = std::move(pod);
}

void InferenceSignals::RemovePod(const std::string& key) { pods_.erase(key); }

void InferenceSignals::AddPage(const std::string& key, const ServerReading& reading, Instant now,
                               WallTime wall) {
  const auto found = pods_.find(key);
  if (found == pods_.end()) return;
  Pod& pod = found->second;
  std::erase_if(pod.models, [&](const auto& entry) { return !reading.contains(entry.first); });
  for (const auto& [name, model] : reading) {
    const auto at = pod.models.find(name);
    if (at != pod.models.end()) {
      at->second.first = model;
      at->second.second.Add(now, model);
      continue;
    }
    ModelSignals signals(options_.windows);
    if (pod.unused) {
      // As if asked all the time: load that moves here from another pod is in that one's windows
      // still, and would count twice.
      for (Duration ago = options_.windows.load; ago > 0s; ago -= 1s)
        signals.Add(now - ago, Unused(model));
    } else if (pod.page) {
      signals.Add(*pod.page, Unused(model));  // Loaded since then: its counters began at 0.
    }
    signals.Add(now, model);
    pod.models.emplace(name, std::pair(model, std::move(signals)));
  }
  pod.unused = pod.unused && reading.empty();
  pod.page = now;
  pod.page_wall = wall;
}

void InferenceSignals::AddBalancerPage(const std::string& balancer, const BalancerReading& reading,
                                       Instant now) {
  Balancer& known = balancers_[balancer];
  std::erase_if(known.pools, [&](const auto& entry) { return !reading.contains(entry.first); });
  for (const auto& [name, pool] : reading) {
    known.pools.try_emplace(name, options_.windows).first->second.Add(now, pool);
  }
  known.page = now;
}

const ScrapePod* InferenceSignals::FindPod(const std::string& key) const {
  const auto found = pods_.find(key);
  return found == pods_.end() || !Wanted(found->second.facts) ? nullptr : &found->second.facts;
}

InferenceSignals::Pods InferenceSignals::PodsWhere(Function<bool(const ScrapePod&)> wanted) const {
  Pods all;
  for (const auto& [key, pod] : pods_) {
    if (Wanted(pod.facts) && wanted(pod.facts)) all.push_back(&pod.facts);
  }
  return all;
}

const InferenceSignals::Pod* InferenceSignals::Fresh(const ScrapePod& pod, Instant now) const {
  const auto found = pods_.find(pod.key());
  if (found == pods_.end() || !found->second.page) return nullptr;
  return now - *found->second.page <= options_.page_age_max ? &found->second : nullptr;
}

bool InferenceSignals::IsFresh(const std::string& key, Instant now) const {
  const auto found = pods_.find(key);
  return found != pods_.end() && Fresh(found->second.facts, now) != nullptr;
}

PoolSignals::Load InferenceSignals::WaitingFor(const Pods& pods, Instant now) const {
  PoolSignals::Load sum;
  for (const auto& [name, balancer] : balancers_) {
    if (now - balancer.page > options_.page_age_max) continue;
    for (const auto& [upstream, pool] : balancer.pools) {
      const std::set<std::string>& endpoints = pool.endpoints();
      const auto ours = std::count_if(pods.begin(), pods.end(), [&](const ScrapePod* pod) {
        return endpoints.contains(pod->ip);
      });
      if (ours == 0) continue;
      // Those of the pool that others share in are theirs in part; pods that do not take requests
      // have no share.
      const auto all = std::count_if(pods_.begin(), pods_.end(), [&](const auto& entry) {
        return Wanted(entry.second.facts) && endpoints.contains(entry.second.facts.ip);
      });
      sum += pool.LoadNow(now).Part(static_cast<double>(ours) /
                                    static_cast<double>(std::max(all, ours)));
    }
  }
  return sum;
}

std::optional<double> InferenceSignals::OwnValue(InferenceMetric metric, const Pod& pod,
                                                 const LabelSelector& models, Instant now) const {
  std::optional<double> sum;
  ModelSignals::Queue queue;
  for (const auto& [name, entry] : pod.models) {
    const auto& [reading, signals] = entry;
    if (!TakesModel(models, reading)) continue;
    if (metric == InferenceMetric::kInFlight) {
      const std::optional<double> in_flight = signals.InFlight(now);
      if (in_flight) sum = sum.value_or(0) + *in_flight;
      continue;
    }
    const std::optional<double> age = signals.QueueAgeUs(now);
    if (metric == InferenceMetric::kQueueAgeUs) {
      if (age) sum = std::max(sum.value_or(0), *age);
    } else if (const auto growth = signals.QueueGrowth(now)) {
      queue.us += growth->us;
      queue.requests += growth->requests;
      sum = std::max(sum.value_or(0), age.value_or(0));
    }
  }
  // None finished: those who still wait are all there is to say something.
  if (metric == InferenceMetric::kQueueTimeUs && queue.requests > 0)
    return queue.us / queue.requests;
  return sum;
}

Duration InferenceSignals::WindowOf(InferenceMetric metric) const {
  return metric == InferenceMetric::kQueueTimeUs ? options_.windows.queue : options_.windows.load;
}

std::vector<std::optional<InferenceSignals::Value>> InferenceSignals::OfEach(
    InferenceMetric metric, const Pods& pods, const LabelSelector& models, Instant now) const {
  std::vector<std::optional<Value>> values(pods.size());
  // Pods of the same pools have the same share: asked once for each set of them.
  std::map<std::vector<const PoolSignals*>, PoolSignals::Load> loads;
  for (size_t i = 0; i < pods.size(); ++i) {
    const Pod* const pod = Fresh(*pods[i], now);
    if (pod == nullptr || metric == InferenceMetric::kRequiredReplicas) continue;
    std::optional<double> value = OwnValue(metric, *pod, models, now);
    if (!value) continue;
    std::vector<const PoolSignals*> of;
    for (const auto& [name, balancer] : balancers_) {
      for (const auto& [upstream, pool] : balancer.pools) {
        if (pool.endpoints().contains(pods[i]->ip)) of.push_back(&pool);
      }
    }
    if (!of.empty()) {
      const auto [at, added] = loads.try_emplace(std::move(of));
      if (added) at->second = WaitingFor({pods[i]}, now);
      const PoolSignals::Load& load = at->second;
      if (metric == InferenceMetric::kQueueTimeUs) *value += load.MeanWaitUs();
      if (metric == InferenceMetric::kInFlight) *value += load.waiting;
      if (metric == InferenceMetric::kQueueAgeUs) *value = std::max(*value, load.oldest_us);
    }
    const bool windowed = metric != InferenceMetric::kQueueAgeUs;
    values[i] =
        Value{*value, pod->page_wall, windowed ? std::optional(WindowOf(metric)) : std::nullopt};
  }
  return values;
}

std::optional<double> InferenceSignals::ServiceTimeOf(const std::string& model, double busy,
                                                      double succeeded, Instant now) {
  if (succeeded > 0) {
    service_times_[model] = {busy / succeeded, now};
    return busy / succeeded;
  }
  const auto known = service_times_.find(model);
  if (known == service_times_.end() || now - known->second.when > options_.service_time_keep) {
    return std::nullopt;
  }
  return known->second.seconds;
}

// Of the model that needs most: replicas have every model, so the others fit beside it.
std::optional<double> InferenceSignals::Required(const std::vector<const Pod*>& pods, size_t all,
                                                 const LabelSelector& models,
                                                 const PoolSignals::Load& waiting, Instant now) {
  struct ModelSum {
    ModelSignals::Load load{.arrivals = 0, .succeeded = 0, .busy = 0, .instances = 0};
    double replicas = 0;
  };
  std::map<std::string, ModelSum> sums;
  double arrivals = 0;
  size_t known = 0;
  for (const Pod* pod : pods) {
    bool has_load = false;
    for (const auto& [name, entry] : pod->models) {
      if (!TakesModel(models, entry.first)) continue;
      const std::optional<ModelSignals::Load> load = entry.second.LoadNow(now);
      if (!load) continue;
      ModelSum& sum = sums[name];
      sum.load.arrivals += load->arrivals;
      sum.load.succeeded += load->succeeded;
      sum.load.busy += load->busy;
      sum.load.instances += load->instances;
      sum.replicas += 1;
      arrivals += load->arrivals;
      has_load = true;
    }
    if (has_load) ++known;
  }
  if (sums.empty()) return std::nullopt;
  const double missing = static_cast<double>(all) / static_cast<double>(known);
  // Who waits in the balancer does not say there for which model: as the others do.
  const double more = arrivals > 0 ? 1 + waiting.arrivals / (arrivals * missing) : 1;
  std::optional<double> most;
  for (auto& [name, sum] : sums) {
    double share = sum.load.arrivals * missing * more;
    if (arrivals <= 0) share = waiting.arrivals / static_cast<double>(sums.size());
    const auto service = ServiceTimeOf(name, sum.load.busy, sum.load.succeeded, now);
    if (share <= 0) {
      most = std::max(most.value_or(0), 0.0);
      continue;
    }
    if (!service) return std::nullopt;
    const double instances = sum.load.instances / sum.replicas;
    most = std::max(most.value_or(0), share * *service / instances / options_.utilization);
  }
  return most;
}

struct InferenceSignals::Sum {
  double value = 0;
  double requests = 0;
  double us = 0;
  size_t pods = 0;
};

std::optional<InferenceSignals::Value> InferenceSignals::OfAll(InferenceMetric metric,
                                                               const Pods& pods,
                                                               const LabelSelector& models,
                                                               Instant now) {
  Sum sum;
  std::vector<const Pod*> fresh;
  std::optional<WallTime> oldest;
  for (const ScrapePod* facts : pods) {
    const Pod* const pod = Fresh(*facts, now);
    if (pod == nullptr) continue;
    if (metric != InferenceMetric::kRequiredReplicas) {
      const std::optional<double> value = OwnValue(metric, *pod, models, now);
      if (!value) continue;
      const bool add = metric == InferenceMetric::kInFlight;
      sum.value = add ? sum.value + *value : std::max(sum.value, *value);
      for (const auto& [name, entry] : pod->models) {
        if (!TakesModel(models, entry.first)) continue;
        const auto growth = entry.second.QueueGrowth(now);
        if (!growth) continue;
        sum.us += growth->us;
        sum.requests += growth->requests;
      }
    }
    fresh.push_back(pod);
    oldest = std::min(oldest.value_or(pod->page_wall), pod->page_wall);
  }
  if (fresh.empty()) return std::nullopt;
  const PoolSignals::Load waiting = WaitingFor(pods, now);
  const double missing = static_cast<double>(pods.size()) / static_cast<double>(fresh.size());
  Value value{sum.value, *oldest, WindowOf(metric)};
  switch (metric) {
    case InferenceMetric::kQueueTimeUs:
      if (sum.requests > 0) value.value = sum.us / sum.requests;
      value.value += waiting.MeanWaitUs();
      break;
    case InferenceMetric::kInFlight:
      value.value = sum.value * missing + waiting.waiting;
      break;
    case InferenceMetric::kQueueAgeUs:
      value.value = std::max(sum.value, waiting.oldest_us);
      value.window.reset();
      break;
    case InferenceMetric::kRequiredReplicas: {
      const std::optional<double> required = Required(fresh, pods.size(), models, waiting, now);
      if (!required) return std::nullopt;
      value.value = *required;
      break;
    }
  }
  return value;
}

}  // namespace tepal::custom_metrics
