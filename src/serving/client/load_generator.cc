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

  void AddSuccess(int64_t latency_us) {
    ++succeeded;
    latency->Record(latency_us);
    max_us = std::max(max_us, latency_us);
  }
};

struct LoadGenerator::Impl : std::enable_shared_from_this<Impl> {
  Impl(env::EventLoop& event_loop, LoadTarget& to, Options how)
      : loop(event_loop), target(to), options(std::move(how)), random(options.seed) {}

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
    ClosePhase();
    loop.Cancel(arrival_timer);
    ++phase;
    BeginPhase();
  }

  void ClosePhase() {
    report.phases.push_back(Close(phase_measured));
    if (calls.on_edge) calls.on_edge();
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
          CountFailure("not sent: too many unanswered requests");
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
    ++in_flight;
    if (++turn == target.requests()) turn = 0;
    target.Send(turn, [self = weak_from_this(), due, closed_loop](Result<Buffer> answer) {
      if (const auto impl = self.lock()) impl->OnAnswer(due, closed_loop, answer);
    });
  }

  void OnAnswer(Instant due, bool closed_loop, const Result<Buffer>& answer) {
    --in_flight;
    if (answer.ok()) {
      CountSuccess(ToMicroseconds(loop.Now() - due));
    } else {
      CountFailure(answer.status().message());
    }
    if (closed_loop) {
      if (answer.ok()) {
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

  void CountSuccess(int64_t latency_us) {
    interval_measured.AddSuccess(latency_us);
    phase_measured.AddSuccess(latency_us);
    ++report.succeeded;
  }

  void CountFailure(const std::string& reason) {
    ++interval_measured.failed;
    ++phase_measured.failed;
    ++report.failed;
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
    if (calls.on_interval) calls.on_interval(report.intervals.back());
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
    loop.Post([self = shared_from_this()] { self->calls.done(self->report); });
  }

  env::EventLoop& loop;
  LoadTarget& target;
  const Options options;
  env::SeededRandom random;
  Calls calls;
  LoadReport report;
  Measurement interval_measured, phase_measured;
  Instant started{}, next_arrival{};
  size_t phase = 0;
  size_t turn = static_cast<size_t>(-1);  // Of the target's requests, the one sent last.
  int clients = 0;                        // Closed loop: sending or pausing.
  int64_t in_flight = 0;
  bool stopping = false, finishing = false, finished = false;
  env::EventLoop::TimerId phase_timer = 0, arrival_timer = 0, interval_timer = 0;
};

LoadGenerator::LoadGenerator(env::EventLoop& loop, LoadTarget& target, Options options)
    : impl_(std::make_shared<Impl>(loop, target, std::move(options))) {
  TEPAL_CHECK(target.requests() > 0);
  TEPAL_CHECK(!impl_->options.phases.empty());
}

LoadGenerator::~LoadGenerator() {
  impl_->loop.Cancel(impl_->phase_timer);
  impl_->loop.Cancel(impl_->arrival_timer);
  impl_->loop.Cancel(impl_->interval_timer);
}

void LoadGenerator::Start(Calls calls) {
  impl_->calls = std::move(calls);
  impl_->started = impl_->loop.Now();
  impl_->interval_measured.begin = impl_->started;
  Impl* impl = impl_.get();
  impl->interval_timer =
      impl->loop.RunAfter(impl->options.interval, [impl] { impl->OnInterval(); });
  if (impl->calls.on_edge) impl->calls.on_edge();
  impl->BeginPhase();
}

void LoadGenerator::Stop() {
  if (impl_->stopping) return;
  impl_->stopping = true;
  impl_->loop.Cancel(impl_->phase_timer);
  impl_->loop.Cancel(impl_->arrival_timer);
  if (!impl_->finishing) impl_->ClosePhase();
  impl_->Finish();
}

}  // namespace tepal::client
