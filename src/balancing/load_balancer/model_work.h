// What is known of the work for single models: how long it takes one endpoint, and the whole pool.
//
// Kept by model number (model_directory.h), only for models that have been asked for. Plain state;
// owned by the dispatcher.

#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "balancing/load_balancer/model_directory.h"
#include "balancing/load_balancer/retry.h"
#include "balancing/load_balancer/service_estimate.h"
#include "balancing/load_balancer/try_limit.h"

namespace tepal::lb {

// What became of the requests for one model, as EndpointTraffic counts them.
struct ModelCounts {
  uint64_t requests = 0;  // Tries sent.
  uint64_t in_flight = 0;
  std::array<uint64_t, 5> responses{};  // [0]: 1xx … [4]: 5xx.
  uint64_t failures = 0;                // Without an answer, cancelled ones left out.

  void OnBegin();
  void OnEnd(TryEnd end, int status);
};

// One model of the pool at one moment.
struct ModelStatus {
  ModelNumber number = 0;
  std::string name;
  uint32_t ready = 0;   // Endpoints that are up and list it.
  uint32_t silent = 0;  // That are up and do not say what they have.
  ModelCounts counts;
  uint64_t refused = 0;                 // Nowhere to go, or not in time: no endpoint saw them.
  uint64_t waiting = 0;                 // For an endpoint.
  std::optional<Duration> soonest;      // Until the earliest answer to one more request.
  std::optional<Duration> latency_p50;  // Of what was answered of late: TryLimit::Quantile.
  std::optional<Duration> latency_p99;
};

// The same model at one endpoint.
struct ModelAtEndpoint {
  uint64_t endpoint = 0;
  std::optional<bool> ready;  // Nothing: the endpoint does not say what it has.
  bool refuses = false;       // Has just said that it does not know it.
  ModelCounts counts;
  std::optional<Duration> soonest;
};

// Of one endpoint.
class EndpointModels {
 public:
  // A request for the model has been sent. True: it has the model to itself.
  bool OnBegin(ModelNumber model, Instant now);
  // It has ended; `load` may be null.
  struct TryResult {
    TryEnd end = TryEnd::kAnswered;
    int status = 0;  // With kAnswered.
    bool alone = false;
    Duration latency{};
    bool answered() const { return end == TryEnd::kAnswered && status < 400; }
  };
  void OnEnd(ModelNumber model, const TryResult& result, const ModelLoad* load, Instant now);
  // What the endpoint says without being asked for an inference.
  void OnReport(ModelNumber model, const ModelLoad& load, Instant now);

  // See ServiceEstimate.
  std::optional<double> Soonest(ModelNumber model, Instant now) const;

  ModelCounts counts(ModelNumber model) const;

 private:
  struct Work {
    ModelCounts counts;
    ServiceEstimate service;
    uint32_t in_flight() const { return static_cast<uint32_t>(counts.in_flight); }
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
  std::optional<Duration> Quantile(ModelNumber model, double q, Instant now) const;
  // The least that an answer has taken of late, wherever; 0 when nothing is known.
  Duration Quickest(ModelNumber model) const;

  // Counts, of every endpoint there ever was.
  void CountBegin(ModelNumber model);
  void CountEnd(ModelNumber model, TryEnd end, int status);
  void CountRefused(ModelNumber model);  // See ModelStatus.
  ModelCounts counts(ModelNumber model) const;
  uint64_t refused(ModelNumber model) const;

 private:
  struct Counted {
    ModelCounts counts;
    uint64_t refused = 0;
  };
  Counted& At(ModelNumber model);

  struct Times {
    explicit Times(double usual_quantile) : limit(usual_quantile) {}
    TryLimit limit;
    double quickest = 0;  // Seconds.
  };
  const Times* Find(ModelNumber model) const;

  double usual_quantile_;
  std::vector<std::unique_ptr<Times>> times_;  // By number less 1; so is the next.
  std::vector<Counted> counted_;
};

}  // namespace tepal::lb
