#include "balancing/load_balancer/model_work.h"

namespace tepal::lb {

void ModelCounts::OnBegin() {
  ++requests;
  ++in_flight;
}

void ModelCounts::OnEnd(TryEnd end, int status) {
  --in_flight;
  if (end == TryEnd::kAnswered && status >= 100 && status < 600) {
    ++responses[static_cast<size_t>(status / 100 - 1)];
  } else if (end != TryEnd::kCancelled && end != TryEnd::kOutrun) {
    ++failures;
  }
}

bool EndpointModels::OnBegin(ModelNumber model, Instant now) {
  if (model == 0) return false;
  if (work_.size() < model) work_.resize(model);
  Work& work = work_[model - 1];
  work.counts.OnBegin();
  return work.service.OnBegin(now);
}

void EndpointModels::OnEnd(ModelNumber model, const TryResult& result, const ModelLoad* load,
                           Instant now) {
  if (model == 0) return;
  Work& work = work_[model - 1];
  work.counts.OnEnd(result.end, result.status);
  work.service.OnEnd(result.alone, result.latency, result.answered(), now);
  if (load != nullptr) work.service.OnReport(*load, load->in_flight, work.in_flight(), now);
}

void EndpointModels::OnReport(ModelNumber model, const ModelLoad& load, Instant now) {
  if (model == 0 || work_.size() < model) return;  // It has not been asked for yet.
  Work& work = work_[model - 1];
  work.service.OnReport(load, load.in_flight, work.in_flight(), now);
}

std::optional<double> EndpointModels::Soonest(ModelNumber model, Instant now) const {
  if (model == 0 || work_.size() < model) return std::nullopt;
  const Work& work = work_[model - 1];
  return work.service.Soonest(work.in_flight(), now);
}

ModelCounts EndpointModels::counts(ModelNumber model) const {
  return model == 0 || work_.size() < model ? ModelCounts() : work_[model - 1].counts;
}

void ModelTimes::SetUsualQuantile(double quantile) {
  usual_quantile_ = quantile;
  for (const auto& times : times_) {
    if (times != nullptr) times->limit.SetUsualQuantile(quantile);
  }
}

const ModelTimes::Times* ModelTimes::Find(ModelNumber model) const {
  return model == 0 || times_.size() < model ? nullptr : times_[model - 1].get();
}

void ModelTimes::OnAnswer(ModelNumber model, Duration latency, Instant now) {
  if (model == 0) return;
  if (times_.size() < model) times_.resize(model);
  std::unique_ptr<Times>& times = times_[model - 1];
  if (times == nullptr) times = std::make_unique<Times>(usual_quantile_);
  times->limit.OnAnswer(latency, now);
  constexpr double kForget = 1.0 / 64;
  const double took = ToSeconds(latency);
  const bool slower = times->quickest > 0 && took > times->quickest;
  times->quickest = slower ? times->quickest + (took - times->quickest) * kForget : took;
}

std::optional<Duration> ModelTimes::TryTime(ModelNumber model, double expected, Instant now) const {
  const Times* times = Find(model);
  return times == nullptr ? std::nullopt : times->limit.Limit(expected, now);
}

std::optional<Duration> ModelTimes::Usual(ModelNumber model, Instant now) const {
  const Times* times = Find(model);
  return times == nullptr ? std::nullopt : times->limit.Usual(now);
}

std::optional<Duration> ModelTimes::Quantile(ModelNumber model, double q, Instant now) const {
  const Times* times = Find(model);
  return times == nullptr ? std::nullopt : times->limit.Quantile(q, now);
}

Duration ModelTimes::Quickest(ModelNumber model) const {
  const Times* times = Find(model);
  return times == nullptr ? Duration(0) : FromSeconds(times->quickest);
}

ModelTimes::Counted& ModelTimes::At(ModelNumber model) {
  if (counted_.size() < model) counted_.resize(model);
  return counted_[model - 1];
}

void ModelTimes::CountBegin(ModelNumber model) {
  if (model != 0) At(model).counts.OnBegin();
}

void ModelTimes::CountEnd(ModelNumber model, TryEnd end, int status) {
  if (model != 0) At(model).counts.OnEnd(end, status);
}

void ModelTimes::CountRefused(ModelNumber model) {
  if (model != 0) ++At(model).refused;
}

ModelCounts ModelTimes::counts(ModelNumber model) const {
  return model == 0 || counted_.size() < model ? ModelCounts() : counted_[model - 1].counts;
}

uint64_t ModelTimes::refused(ModelNumber model) const {
  return model == 0 || counted_.size() < model ? 0 : counted_[model - 1].refused;
}

}  // namespace tepal::lb
