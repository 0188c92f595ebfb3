// What is known of the work for single models: how long it takes one endpoint, and the whole pool.
//
// Kept by model number (model_directory.h), only for models that have been asked for. Plain state;
// owned by the dispatcher.

#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "balancing/load_balancer/model_directory.h"
#include "balancing/load_balancer/service_estimate.h"
#include "balancing/load_balancer/try_limit.h"

namespace tepal::lb {

// Of one endpoint.
class EndpointModels {
 public:
  // A request for the model has been sent. True: it has the model to itself.
  bool OnBegin(ModelNumber model, Instant now);
  // It has ended, as ServiceEstimate::OnEnd has it; `load` may be null.
  void OnEnd(ModelNumber model, bool alone, Duration latency, bool answered, const ModelLoad* load,
             Instant now);
  // What the endpoint says without being asked for an inference.
  void OnReport(ModelNumber model, const ModelLoad& load, Instant now);

  // See ServiceEstimate.
  std::optional<double> Soonest(ModelNumber model, Instant now) const;

 private:
  struct Work {
    uint32_t in_flight = 0;
    ServiceEstimate service;
  };
  std::vector<Work> work_;  // By number less 1.
};

// Of the pool.
class ModelTimes {
 public:
  // How much of a model's answers Usual covers.
  explicit ModelTimes(double usual_quantile) : usual_quantile_(usual_quantile) {}
  void SetUsualQuantile(double quantile);

  void OnAnswer(ModelNumber model, Duration latency, Instant now);

  // See TryLimit.
  std::optional<Duration> TryTime(ModelNumber model, double expected, Instant now) const;
  std::optional<Duration> Usual(ModelNumber model, Instant now) const;
  // The least that an answer has taken of late, wherever; 0 when nothing is known.
  Duration Quickest(ModelNumber model) const;

 private:
  struct Times {
    explicit Times(double usual_quantile) : limit(usual_quantile) {}
    TryLimit limit;
    double quickest = 0;  // Seconds.
  };
  const Times* Find(ModelNumber model) const;

  double usual_quantile_;
  std::vector<std::unique_ptr<Times>> times_;  // By number less 1.
};

}  // namespace tepal::lb
