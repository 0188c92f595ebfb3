#include "serving/client/load_generator.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/base/text.h"

namespace tepal::client {

// One stretch of measuring: counts and a histogram, closed into a LoadInterval.
struct Measurement {
  Instant begin{};
  uint64_t succeeded = 0, failed = 0;
  std::unique_ptr<telemetry::LatencyHistogram> latency =
      std::make_unique<telemetry::LatencyHistogram>();
  int64_t max_us = 0;

  void Add(bool ok, int64_t latency_us) {
    ++(ok ? succeeded : failed);
    if (!ok) return;
    latency->Record(latency_us);
    max_us = std::max(max_us, latency_us);
  }
};

struct LoadGenerator::Impl : std::enable_shared_from_this<Impl> {
  Impl(env::EventLoop& event_loop, net::HttpClient& http, env::Address to,
       std::vector<EncodedRequest> to_send, Options how)
      : loop(event_loop),
        client(http),
        server(std::move(to)),
        requests(std::move(to_send)),
        options(std::move(how)),
        random(options.seed) {}

  const LoadPhase& CurrentPhase() const { return options.phases[phase]; }

  void BeginPhase() {
    phase_measured = {};
    phase_measured.begin = loop.Now();
    if (phase >= options.phases.size() || stopping) {
      Finish();
      return;
    }
    const LoadPhase& now = CurrentPhase();
    while (clients < now.concurrency) {
      ++clients;
      SendNext(loop.Now(), true);
    }
    if (now.rate_per_s > 0) {
      next_arrival = loop.Now() + ArrivalGap();
      ScheduleArrival();
    }
    phase_timer = loop.RunAfter(now.length, [this] { EndPhase(); });
  }

  void EndPhase() {
    report.phases.push_back(Close(phase_measured));
    loop.Cancel(arrival_timer);
    ++phase;
    BeginPhase();
  }

  // Exponential gaps make a Poisson process.
  Duration ArrivalGap() {
    return FromSeconds(-std::log(1.0 - random.Unit()) / CurrentPhase().rate_per_s);
  }

  void ScheduleArrival() {
    arrival_timer = loop.RunAt(next_arrival, [this] {
      // Late timers send what was due meanwhile, each with its own due time.
      while (next_arrival <= loop.Now() && phase < options.phases.size() && !stopping) {
        if (in_flight < options.in_flight_max) {
          SendNext(next_arrival, false);
        } else {
          Count(false, 0, "not sent: too many unanswered requests");
        }
        next_arrival += ArrivalGap();
      }
      if (phase < options.phases.size() && !stopping) {
        arrival_timer = 0;
        ScheduleArrival();
      }
    });
  }

  void SendNext(Instant due, bool closed_loop) {
    const EncodedRequest& request = requests[turn++ % requests.size()];
    ++in_flight;
    client.Fetch(
        server, request.head, request.body, options.request_time_max,
        [self = weak_from_this(), due, closed_loop](Result<net::HttpClient::Response> response) {
          if (const auto impl = self.lock()) impl->OnAnswer(due, closed_loop, response);
        });
  }

  void OnAnswer(Instant due, bool closed_loop, const Result<net::HttpClient::Response>& response) {
    --in_flight;
    const bool ok = response.ok() && response->head.status == 200;
    std::string reason;
    if (!response.ok()) {
      reason = response.status().message();
    } else if (!ok) {
      reason = Concat("HTTP ", response->head.status, ": ", response->body.text().substr(0, 160));
    }
    Count(ok, ToMicroseconds(loop.Now() - due), reason);
    if (closed_loop) {
      if (ok) {
        ContinueClient();
      } else {
        loop.RunAfter(options.pause_after_failure, [self = weak_from_this()] {
          if (const auto impl = self.lock()) impl->ContinueClient();
        });
      }
    }
    FinishWhenIdle();
  }

  // A closed-loop client goes on, or leaves when there are more than the phase wants.
  void ContinueClient() {
    const bool wanted =
        !stopping && phase < options.phases.size() && clients <= CurrentPhase().concurrency;
    if (wanted) {
      SendNext(loop.Now(), true);
    } else {
      --clients;
      FinishWhenIdle();
    }
  }

  void Count(bool ok, int64_t latency_us, const std::string& reason) {
    interval_measured.Add(ok, latency_us);
    phase_measured.Add(ok, latency_us);
    ++(ok ? report.succeeded : report.failed);
    if (ok) return;
    const bool room = report.failures.size() < kReasonsMax || report.failures.contains(reason);
    ++report.failures[room ? reason : "other reasons"];
  }

  LoadInterval Close(const Measurement& measured) const {
    LoadInterval closed;
    closed.begin = measured.begin - started;
    closed.end = loop.Now() - started;
    closed.phase = std::min(phase, options.phases.size() - 1);
    closed.concurrency = options.phases[closed.phase].concurrency;
    closed.rate_per_s = options.phases[closed.phase].rate_per_s;
    closed.succeeded = measured.succeeded;
    closed.failed = measured.failed;
    closed.in_flight = in_flight;
    closed.p50_us = measured.latency->Quantile(0.50);
    closed.p90_us = measured.latency->Quantile(0.90);
    closed.p99_us = measured.latency->Quantile(0.99);
    closed.max_us = measured.max_us;
    return closed;
  }

  void OnInterval() {
    report.intervals.push_back(Close(interval_measured));
    if (on_interval) on_interval(report.intervals.back());
    interval_measured = {};
    interval_measured.begin = loop.Now();
    interval_timer = loop.RunAfter(options.interval, [this] { OnInterval(); });
  }

  void Finish() {
    finishing = true;
    FinishWhenIdle();
  }

  void FinishWhenIdle() {
    if (!finishing || in_flight > 0 || finished) return;
    finished = true;
    loop.Cancel(interval_timer);
    if (interval_measured.succeeded + interval_measured.failed > 0) {
      report.intervals.push_back(Close(interval_measured));
    }
    // Not from inside whatever noticed the end.
    loop.Post([self = shared_from_this()] { self->done(self->report); });
  }

  env::EventLoop& loop;
  net::HttpClient& client;
  const env::Address server;
  const std::vector<EncodedRequest> requests;
  const Options options;
  env::SeededRandom random;
  Function<void(const LoadInterval&)> on_interval;
  Function<void(const LoadReport&)> done;
  LoadReport report;
  Measurement interval_measured, phase_measured;
  Instant started{}, next_arrival{};
  size_t phase = 0, turn = 0;
  int clients = 0;  // Closed loop: sending or pausing.
  int64_t in_flight = 0;
  bool stopping = false, finishing = false, finished = false;
  env::EventLoop::TimerId phase_timer = 0, arrival_timer = 0, interval_timer = 0;
};

LoadGenerator::LoadGenerator(env::EventLoop& loop, net::HttpClient& client, env::Address server,
                             std::vector<EncodedRequest> requests, Options options)
    : impl_(std::make_shared<Impl>(loop, client, std::move(server), std::move(requests),
                                   std::move(options))) {
  TEPAL_CHECK(!impl_->requests.empty());
  TEPAL_CHECK(!impl_->options.phases.empty());
}

LoadGenerator::~LoadGenerator() {
  impl_->loop.Cancel(impl_->phase_timer);
  impl_->loop.Cancel(impl_->arrival_timer);
  impl_->loop.Cancel(impl_->interval_timer);
}

void LoadGenerator::Start(Function<void(const LoadInterval&)> on_interval,
                          Function<void(const LoadReport&)> done) {
  impl_->on_interval = std::move(on_interval);
  impl_->done = std::move(done);
  impl_->started = impl_->loop.Now();
  impl_->interval_measured.begin = impl_->started;
  Impl* impl = impl_.get();
  impl->interval_timer =
      impl->loop.RunAfter(impl->options.interval, [impl] { impl->OnInterval(); });
  impl->BeginPhase();
}

void LoadGenerator::Stop() {
  if (impl_->stopping) return;
  impl_->stopping = true;
  impl_->loop.Cancel(impl_->phase_timer);
  impl_->loop.Cancel(impl_->arrival_timer);
  if (!impl_->finishing) impl_->report.phases.push_back(impl_->Close(impl_->phase_measured));
  impl_->Finish();
}

}  // namespace tepal::client
