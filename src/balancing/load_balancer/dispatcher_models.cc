// What the dispatcher learns: how fast endpoints are, where models are ready, how long they take,
// and what cannot be answered in time.

#include <algorithm>

#include "balancing/load_balancer/dispatcher.h"

namespace tepal::lb {

namespace {

// Endpoints whose estimates are compared for one request with a deadline: the best of a large pool
// need not be known to refuse nothing that could be answered.
constexpr size_t kSoonestMax = 64;

bool Has(const std::vector<bool>& listing, ModelNumber model) {
  return listing.size() >= model && listing[model - 1];
}

std::optional<Duration> ToTime(std::optional<double> seconds) {
  return seconds.has_value() ? std::optional(FromSeconds(*seconds)) : std::nullopt;
}

}  // namespace

// Only whole answers say how fast an endpoint is: it refuses and fails in no time. A try that was
// outrun took at least so long: without it an endpoint that stalls would seem to be quick and free.
bool Dispatcher::SaysHowLong(TryEnd end, int status) {
  return (end == TryEnd::kAnswered && status < 400) || end == TryEnd::kOutrun;
}

void Dispatcher::Learn(Record& record, const Grant& grant, TryEnd end, int status, Instant now) {
  constexpr double kForget = 1.0 / 64;
  const bool answered = SaysHowLong(end, status);
  const Duration latency = now - grant.begun;
  record.load.service.OnEnd(grant.alone, latency, answered, now);
  if (!answered) return;
  const bool first = record.load.latency <= 0;
  record.load.latency += (ToSeconds(latency) - record.load.latency) * (first ? 1 : 8 * kForget);
  const double seconds = record.load.service.seconds();
  usual_seconds_ += (seconds - usual_seconds_) * (usual_seconds_ > 0 ? kForget : 1);
}

void Dispatcher::LearnModel(Record& record, const Grant& grant, TryEnd end, int status, Instant now,
                            const TrySaid& said) {
  const bool answered = SaysHowLong(end, status);
  const Duration latency = now - grant.begun;
  if (said.load != nullptr) {
    record.load.service.OnReport(*said.load, said.load->in_flight_all, record.load.in_flight, now);
  }
  record.models.OnEnd(grant.model, {end, status, grant.alone_with_model, latency}, said.load, now);
  model_times_.CountEnd(grant.model, end, status);
  if (said.model_unknown) models_.OnUnknown(grant.endpoint, said.model, now);
  if (!answered) return;
  const bool served = grant.model == 0 && end == TryEnd::kAnswered;
  const ModelNumber model = served ? models_.OnServed(said.model) : grant.model;
  model_times_.OnAnswer(model, latency, now);
}

void Dispatcher::OnListing(EndpointId id, const ServerLoad* listing, Instant now) {
  const auto found = records_.find(id);
  if (found == records_.end()) return;
  if (listing == nullptr) return models_.Forget(id);
  std::vector<std::string> ready;
  for (const ServerLoad::Model& model : listing->models) {
    if (model.load.ready) ready.push_back(model.name);
  }
  models_.OnListing(id, ready);
  // What it says of its load keeps the estimate of an endpoint true that gets no requests of ours.
  Record& record = found->second;
  for (const ServerLoad::Model& model : listing->models) {
    if (model.load.each <= 0ns) continue;
    record.models.OnReport(models_.Find(model.name), model.load, now);
    if (listing->models.size() > 1) continue;
    record.load.service.OnReport(model.load, listing->in_flight, record.load.in_flight, now);
    if (record.position.has_value()) loads_[*record.position] = record.load;
  }
}

bool Dispatcher::ElsewhereReady(std::string_view model, const std::vector<EndpointId>& tried,
                                Instant now) const {
  const ModelNumber number = models_.Find(model);
  if (number == 0) return false;
  return std::any_of(usable_.begin(), usable_.end(), [&](const Record* record) {
    const EndpointId id = record->status.id;
    return std::find(tried.begin(), tried.end(), id) == tried.end() &&
           !models_.Lacks(id, number, now);
  });
}

// Endpoints have the model, but none of those that can be used, now or once they are well again.
bool Dispatcher::NowhereSoon(ModelNumber model, Instant now) const {
  if (!models_.LackedBySome(model)) return false;
  return std::none_of(records_.begin(), records_.end(), [&](const auto& entry) {
    const EndpointState state = entry.second.status.state;
    const bool gone = state == EndpointState::kDown || state == EndpointState::kDraining ||
                      state == EndpointState::kRemoved;
    return !gone && !models_.Lacks(entry.first, model, now);
  });
}

// The model by which a request is routed: none when every endpoint has just said that it does not
// know it, and no listing knows better. Then one of them may say so again.
ModelNumber Dispatcher::Routed(ModelNumber model, Instant now) const {
  if (!models_.LackedBySome(model) || models_.Listed(model)) return model;
  return NowhereSoon(model, now) ? 0 : model;
}

// The earliest answer that any endpoint could give, in seconds. Nothing where one of them is not
// known well enough to say so, or the pool is too large to look at.
std::optional<double> Dispatcher::Soonest(ModelNumber model, Instant now) const {
  if (model == 0 || usable_.empty() || usable_.size() > kSoonestMax) return std::nullopt;
  std::optional<double> soonest;
  for (const Record* record : usable_) {
    if (models_.Lacks(record->status.id, model, now)) continue;
    const auto one = record->models.Soonest(model, now);
    if (!one.has_value()) return std::nullopt;
    soonest = std::min(soonest.value_or(*one), *one);
  }
  return soonest;
}

// Until when a request may wait in the line and still make its deadline.
Instant Dispatcher::LatestStart(Instant deadline, ModelNumber model) const {
  return deadline == Instant::max() ? deadline : deadline - model_times_.Quickest(model);
}

// For people.

std::vector<ModelStatus> Dispatcher::Models(ModelNumber first, size_t count, Instant now) const {
  std::vector<ModelStatus> models;
  for (ModelNumber number = first; number <= models_.last() && models.size() < count; ++number) {
    ModelStatus& model = models.emplace_back();
    model.number = number;
    model.name = models_.Name(number);
    model.counts = model_times_.counts(number);
    model.refused = model_times_.refused(number);
    model.waiting = line_.size_of(number);
    model.soonest = ToTime(Soonest(number, now));
    model.latency_p50 = model_times_.Quantile(number, 0.5, now);
    model.latency_p99 = model_times_.Quantile(number, 0.99, now);
  }
  for (const auto& [id, record] : records_) {
    if (record.status.state != EndpointState::kUp) continue;
    const std::vector<bool>* listing = models_.Listing(id);
    for (ModelStatus& model : models) {
      if (listing == nullptr) ++model.silent;
      if (listing != nullptr && Has(*listing, model.number)) ++model.ready;
    }
  }
  return models;
}

std::vector<uint64_t> Dispatcher::ModelRequests() const {
  std::vector<uint64_t> requests;
  for (ModelNumber number = 1; number <= models_.last(); ++number) {
    requests.push_back(model_times_.counts(number).requests);
  }
  return requests;
}

std::vector<ModelAtEndpoint> Dispatcher::ModelEndpoints(ModelNumber model, Instant now) const {
  std::vector<ModelAtEndpoint> endpoints;
  if (model == 0 || model > models_.last()) return endpoints;
  for (const auto& [id, record] : records_) {
    ModelAtEndpoint& at = endpoints.emplace_back();
    at.endpoint = id;
    if (const std::vector<bool>* listing = models_.Listing(id)) at.ready = Has(*listing, model);
    at.refuses = models_.Refuses(id, model, now);
    at.counts = record.models.counts(model);
    at.soonest = ToTime(record.models.Soonest(model, now));
  }
  std::sort(endpoints.begin(), endpoints.end(),
            [](const auto& a, const auto& b) { return a.endpoint < b.endpoint; });
  return endpoints;
}

}  // namespace tepal::lb
