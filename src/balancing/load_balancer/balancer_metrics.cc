#include "balancing/load_balancer/balancer_metrics.h"

#include <string_view>

namespace tepal::lb {

namespace {

using Type = telemetry::PrometheusWriter::Type;
using telemetry::Labels;

constexpr std::array<std::string_view, 5> kClasses = {"1xx", "2xx", "3xx", "4xx", "5xx"};

class Page {
 public:
  Page(const std::vector<BalancerState>& pools, telemetry::PrometheusWriter& writer)
      : pools_(pools), writer_(writer) {}

  template <typename Value>
  void Counter(std::string_view name, std::string_view help, Value value) {
    PerPool(name, help, Type::kCounter, value);
  }
  template <typename Value>
  void Gauge(std::string_view name, std::string_view help, Value value) {
    PerPool(name, help, Type::kGauge, value);
  }
  template <typename Value>
  void PerPool(std::string_view name, std::string_view help, Type type, Value value) {
    writer_.Family(name, help, type);
    for (const BalancerState& s : pools_) writer_.Sample({{"upstream", s.upstream}}, value(s));
  }
  template <typename Value>
  void PerEndpoint(std::string_view name, std::string_view help, Type type, Value value) {
    writer_.Family(name, help, type);
    for (const BalancerState& s : pools_) {
      for (const EndpointReading& e : s.endpoints) writer_.Sample(LabelsOf(s, e), value(e));
    }
  }

  void WriteClients();
  void WriteModels();
  void WriteQueue();
  void WriteEndpoints();

 private:
  static Labels LabelsOf(const BalancerState& pool, const EndpointReading& endpoint) {
    return {{"upstream", pool.upstream},
            {"endpoint", endpoint.status.spec.address.ToString()},
            {"name", endpoint.status.spec.name},
            {"slot", endpoint.status.spec.slot}};
  }

  const std::vector<BalancerState>& pools_;
  telemetry::PrometheusWriter& writer_;
};

void Page::WriteClients() {
  Counter("tepal_balancer_requests_total", "Requests received.",
          [](const BalancerState& s) { return s.requests; });
  writer_.Family("tepal_balancer_responses_total", "Answers sent to clients.", Type::kCounter);
  for (const BalancerState& s : pools_) {
    for (size_t i = 0; i < kClasses.size(); ++i) {
      writer_.Sample({{"upstream", s.upstream}, {"class", std::string(kClasses[i])}},
                     s.responses[i]);
    }
  }
  Counter("tepal_balancer_failed_total",
          "Requests answered with an error of the balancer's own (5xx).",
          [](const BalancerState& s) { return s.failed; });
  Counter("tepal_balancer_broken_off_total", "Requests lost within a streamed answer.",
          [](const BalancerState& s) { return s.broken_off; });
  Counter("tepal_balancer_unauthorized_total", "Requests refused with 401.",
          [](const BalancerState& s) { return s.unauthorized; });
  Counter("tepal_balancer_refused_total", "Requests refused with 403.",
          [](const BalancerState& s) { return s.refused; });
  Counter("tepal_balancer_client_gone_total", "Clients that left before their answer.",
          [](const BalancerState& s) { return s.client_gone; });
  Counter("tepal_balancer_received_bytes_total", "Bodies received from clients.",
          [](const BalancerState& s) { return s.bytes_received; });
  Counter("tepal_balancer_sent_bytes_total", "Bodies sent to clients.",
          [](const BalancerState& s) { return s.bytes_sent; });
  Counter("tepal_balancer_connections_accepted_total", "Connections of clients accepted.",
          [](const BalancerState& s) { return s.connections_accepted; });
  Counter("tepal_balancer_connections_refused_total",
          "Connections of clients closed at once because there were too many.",
          [](const BalancerState& s) { return s.connections_refused; });
  Gauge("tepal_balancer_connections", "Connections of clients open.",
        [](const BalancerState& s) { return s.connections_open; });
  Gauge("tepal_balancer_active_requests", "Requests in progress.",
        [](const BalancerState& s) { return s.active; });
}

void Page::WriteModels() {
  Counter("tepal_balancer_load_reports_total", "Load reports read from endpoints' answers.",
          [](const BalancerState& s) { return s.load_reports; });
  Counter("tepal_balancer_load_reports_malformed_total",
          "Load reports that made no sense and were ignored.",
          [](const BalancerState& s) { return s.load_malformed; });
  Counter("tepal_balancer_refused_late_total",
          "Requests refused because no endpoint could answer before their deadline.",
          [](const BalancerState& s) { return s.counters.refused_late; });
  Counter("tepal_balancer_dropped_late_total",
          "Requests that waited until they could no longer make their deadline.",
          [](const BalancerState& s) { return s.counters.dropped_late; });
  Counter("tepal_balancer_model_nowhere_total",
          "Requests refused because their model was ready on no endpoint that could be used.",
          [](const BalancerState& s) { return s.counters.model_nowhere; });
  Counter("tepal_balancer_rescued_total", "Tries given up for taking far longer than usual.",
          [](const BalancerState& s) { return s.rescued; });
}

void Page::WriteQueue() {
  Counter("tepal_balancer_admitted_total", "Requests given to an endpoint or let into the queue.",
          [](const BalancerState& s) { return s.counters.admitted; });
  Counter("tepal_balancer_queue_duration_us",
          "Time that requests have waited for an endpoint, cumulative.",
          [](const BalancerState& s) {
            return static_cast<uint64_t>(ToMicroseconds(s.counters.wait_time));
          });
  Counter("tepal_balancer_queued_total", "Requests that waited and then got an endpoint.",
          [](const BalancerState& s) { return s.counters.waited; });
  Counter("tepal_balancer_queue_timeouts_total", "Requests that waited for queue_time_max.",
          [](const BalancerState& s) { return s.counters.expired; });
  Counter("tepal_balancer_queue_overflows_total",
          "Requests refused because the queue was full or they may not wait.",
          [](const BalancerState& s) { return s.counters.refused; });
  Gauge("tepal_balancer_queue_length", "Requests waiting for an endpoint.",
        [](const BalancerState& s) { return s.waiting; });
  Gauge("tepal_balancer_queue_oldest_age_us", "How long the oldest of them has waited.",
        [](const BalancerState& s) { return static_cast<double>(ToMicroseconds(s.oldest_wait)); });
  Counter("tepal_balancer_retries_total", "Tries that the retry budget allowed.",
          [](const BalancerState& s) { return s.retries; });
  Counter("tepal_balancer_retries_refused_total", "Retries that the budget did not allow.",
          [](const BalancerState& s) { return s.retries_refused; });
  Gauge("tepal_balancer_retry_tokens", "What is in the retry budget.",
        [](const BalancerState& s) { return s.retry_tokens; });
  Counter("tepal_balancer_hedges_total", "Requests sent a second time beside their first try.",
          [](const BalancerState& s) { return s.hedges; });
  Counter("tepal_balancer_hedges_won_total", "Second tries whose answer the client got.",
          [](const BalancerState& s) { return s.hedges_won; });
  Counter("tepal_balancer_hedges_refused_total", "Second tries that the budget did not allow.",
          [](const BalancerState& s) { return s.hedges_refused; });
  Gauge("tepal_balancer_replay_bytes", "Request bodies reserved for retries.",
        [](const BalancerState& s) { return s.replay_bytes; });
}

void Page::WriteEndpoints() {
  PerEndpoint("tepal_balancer_endpoint_up", "1 when the endpoint gets requests.", Type::kGauge,
              [](const EndpointReading& e) {
                return e.status.state == EndpointState::kUp ? uint64_t{1} : uint64_t{0};
              });
  PerEndpoint("tepal_balancer_endpoint_in_flight", "Requests in progress.", Type::kGauge,
              [](const EndpointReading& e) { return uint64_t{e.status.in_flight}; });
  PerEndpoint("tepal_balancer_endpoint_requests_total", "Tries sent.", Type::kCounter,
              [](const EndpointReading& e) { return e.requests; });
  writer_.Family("tepal_balancer_endpoint_responses_total", "Answers received.", Type::kCounter);
  for (const BalancerState& s : pools_) {
    for (const EndpointReading& endpoint : s.endpoints) {
      for (size_t i = 0; i < kClasses.size(); ++i) {
        Labels labels = LabelsOf(s, endpoint);
        labels.emplace_back("class", std::string(kClasses[i]));
        writer_.Sample(labels, endpoint.responses[i]);
      }
    }
  }
  PerEndpoint("tepal_balancer_endpoint_failures_total", "Tries that ended without an answer.",
              Type::kCounter, [](const EndpointReading& e) { return e.failures; });
  PerEndpoint("tepal_balancer_endpoint_duration_us", "Time of answered tries, cumulative.",
              Type::kCounter, [](const EndpointReading& e) {
                return e.status.traffic->time_us.load(std::memory_order_relaxed);
              });
  PerEndpoint("tepal_balancer_endpoint_checks_total", "Health checks made.", Type::kCounter,
              [](const EndpointReading& e) { return e.status.health.checks; });
  PerEndpoint("tepal_balancer_endpoint_check_fails_total", "Health checks failed.", Type::kCounter,
              [](const EndpointReading& e) { return e.status.health.fails; });
  PerEndpoint("tepal_balancer_endpoint_ejections_total", "Times left out for failures.",
              Type::kCounter, [](const EndpointReading& e) { return e.status.ejections; });
}

}  // namespace

void WriteMetrics(const std::vector<BalancerState>& pools, telemetry::PrometheusWriter& writer) {
  Page page(pools, writer);
  page.WriteClients();
  page.WriteModels();
  page.WriteQueue();
  page.WriteEndpoints();
}

}  // namespace tepal::lb
