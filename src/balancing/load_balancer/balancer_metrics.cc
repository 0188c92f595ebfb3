#include "balancing/load_balancer/balancer_metrics.h"

#include <string_view>

namespace tepal::lb {

namespace {

using Type = telemetry::PrometheusWriter::Type;
using telemetry::Labels;

constexpr std::array<std::string_view, 5> kClasses = {"1xx", "2xx", "3xx", "4xx", "5xx"};

class Page {
 public:
  Page(const BalancerState& state, telemetry::PrometheusWriter& writer)
      : state_(state), writer_(writer) {}

  void Counter(std::string_view name, std::string_view help, uint64_t value) {
    writer_.Family(name, help, Type::kCounter);
    writer_.Sample({}, value);
  }
  void Gauge(std::string_view name, std::string_view help, double value) {
    writer_.Family(name, help, Type::kGauge);
    writer_.Sample({}, value);
  }
  template <typename Value>
  void PerEndpoint(std::string_view name, std::string_view help, Type type, Value value) {
    writer_.Family(name, help, type);
    for (const EndpointReading& endpoint : state_.endpoints) {
      writer_.Sample(LabelsOf(endpoint), value(endpoint));
    }
  }

  void WriteClients();
  void WriteQueue();
  void WriteEndpoints();

 private:
  static Labels LabelsOf(const EndpointReading& endpoint) {
    return {{"endpoint", endpoint.status.spec.address.ToString()},
            {"name", endpoint.status.spec.name},
            {"slot", endpoint.status.spec.slot}};
  }

  const BalancerState& state_;
  telemetry::PrometheusWriter& writer_;
};

void Page::WriteClients() {
  Counter("tepal_balancer_requests_total", "Requests received.", state_.requests);
  writer_.Family("tepal_balancer_responses_total", "Answers sent to clients.", Type::kCounter);
  for (size_t i = 0; i < kClasses.size(); ++i) {
    writer_.Sample({{"class", std::string(kClasses[i])}}, state_.responses[i]);
  }
  Counter("tepal_balancer_failed_total",
          "Requests answered with an error of the balancer's own (5xx).", state_.failed);
  Counter("tepal_balancer_broken_off_total", "Requests lost within a streamed answer.",
          state_.broken_off);
  Counter("tepal_balancer_refused_total", "Requests refused with 403.", state_.refused);
  Counter("tepal_balancer_client_gone_total", "Clients that left before their answer.",
          state_.client_gone);
  Counter("tepal_balancer_received_bytes_total", "Bodies received from clients.",
          state_.bytes_received);
  Counter("tepal_balancer_sent_bytes_total", "Bodies sent to clients.", state_.bytes_sent);
  Counter("tepal_balancer_connections_accepted_total", "Connections of clients accepted.",
          state_.connections_accepted);
  Counter("tepal_balancer_connections_refused_total",
          "Connections of clients closed at once because there were too many.",
          state_.connections_refused);
  Gauge("tepal_balancer_connections", "Connections of clients open.",
        static_cast<double>(state_.connections_open));
  Gauge("tepal_balancer_active_requests", "Requests in progress.",
        static_cast<double>(state_.active));
}

void Page::WriteQueue() {
  const Dispatcher::Counters& counters = state_.counters;
  Counter("tepal_balancer_admitted_total", "Requests given to an endpoint or let into the queue.",
          counters.admitted);
  Counter("tepal_balancer_queue_duration_us",
          "Time that requests have waited for an endpoint, cumulative.",
          static_cast<uint64_t>(ToMicroseconds(counters.wait_time)));
  Counter("tepal_balancer_queued_total", "Requests that waited and then got an endpoint.",
          counters.waited);
  Counter("tepal_balancer_queue_timeouts_total", "Requests that waited for queue_time_max.",
          counters.expired);
  Counter("tepal_balancer_queue_overflows_total",
          "Requests refused because the queue was full or they may not wait.", counters.refused);
  Gauge("tepal_balancer_queue_length", "Requests waiting for an endpoint.",
        static_cast<double>(state_.waiting));
  Gauge("tepal_balancer_queue_oldest_age_us", "How long the oldest of them has waited.",
        static_cast<double>(ToMicroseconds(state_.oldest_wait)));
  Counter("tepal_balancer_retries_total", "Tries that the retry budget allowed.", state_.retries);
  Counter("tepal_balancer_retries_refused_total", "Retries that the budget did not allow.",
          state_.retries_refused);
  Gauge("tepal_balancer_retry_tokens", "What is in the retry budget.", state_.retry_tokens);
  Gauge("tepal_balancer_replay_bytes", "Request bodies reserved for retries.",
        static_cast<double>(state_.replay_bytes));
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
  for (const EndpointReading& endpoint : state_.endpoints) {
    for (size_t i = 0; i < kClasses.size(); ++i) {
      Labels labels = LabelsOf(endpoint);
      labels.emplace_back("class", std::string(kClasses[i]));
      writer_.Sample(labels, endpoint.responses[i]);
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

void WriteMetrics(const BalancerState& state, telemetry::PrometheusWriter& writer) {
  Page page(state, writer);
  page.WriteClients();
  page.WriteQueue();
  page.WriteEndpoints();
}

}  // namespace tepal::lb
