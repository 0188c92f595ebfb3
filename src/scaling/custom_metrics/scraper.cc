#include "scaling/custom_metrics/scraper.h"

#include <utility>

#include "core/base/text.h"

namespace tepal::custom_metrics {

Scraper::Scraper(env::EventLoop& loop, Options options, OnPage on_page)
    : loop_(loop), options_(std::move(options)), on_page_(std::move(on_page)) {
  net::HttpClient::Options http;
  http.limits.body_bytes_max = options_.page_bytes_max;
  http.connect_time_max = options_.connect_time_max;
  http.idle_connections_max = 1;
  http_ = std::make_unique<net::HttpClient>(loop_, http);
}

Scraper::~Scraper() {
  if (timer_ != 0) loop_.Cancel(timer_);
}

void Scraper::Set(const std::string& name, const env::Address& address) {
  const auto [at, added] = targets_.try_emplace(name);
  Target& target = at->second;
  if (!added && target.address == address) return;
  if (!added) {
    if (!target.active) due_.erase({target.due, name});
    http_->Forget(target.address);
    // An answer that still comes is the old one's.
    if (target.active) --active_;
  }
  target = Target{address, ++made_, loop_.Now(), false};
  due_.emplace(target.due, name);
  Arm();
}

void Scraper::Remove(const std::string& name) {
  const auto found = targets_.find(name);
  if (found == targets_.end()) return;
  if (found->second.active) {
    --active_;
  } else {
    due_.erase({found->second.due, name});
  }
  http_->Forget(found->second.address);
  targets_.erase(found);
  Arm();
}

// A timer for the earliest, as long as another may be asked.
void Scraper::Arm() {
  if (due_.empty() || active_ >= options_.in_flight_max) return;
  const Instant when = due_.begin()->first;
  if (timer_ != 0) {
    if (timer_at_ <= when) return;
    loop_.Cancel(timer_);
  }
  timer_at_ = when;
  timer_ = loop_.RunAt(when, [this] {
    timer_ = 0;
    RunDue();
  });
}

void Scraper::RunDue() {
  const Instant now = loop_.Now();
  while (!due_.empty() && due_.begin()->first <= now && active_ < options_.in_flight_max) {
    const std::string name = due_.begin()->second;
    due_.erase(due_.begin());
    Fetch(name, targets_.at(name));
  }
  Arm();
}

void Scraper::Fetch(const std::string& name, Target& target) {
  target.active = true;
  ++active_;
  http::RequestHead head;
  head.method = "GET";
  head.target = options_.path;
  head.headers.Add("accept", "text/plain;version=0.0.4");
  head.headers.Add("user-agent", "tepal-metrics-api");
  if (!options_.bearer_token.empty()) {
    head.headers.Add("authorization", Concat("Bearer ", options_.bearer_token));
  }
  http_->Fetch(target.address, std::move(head), {}, options_.time_max,
               [this, name, number = target.number](Result<net::HttpClient::Response> response) {
                 OnResponse(name, number, std::move(response));
               });
}

void Scraper::OnResponse(const std::string& name, uint64_t number,
                         Result<net::HttpClient::Response> response) {
  const auto found = targets_.find(name);
  if (found == targets_.end() || found->second.number != number) return;
  --active_;
  found->second.active = false;
  Later(name, found->second);
  Arm();
  if (!response.ok()) {
    ++counters_.failures;
    on_page_(name, response.status());
  } else if (response->head.status != 200) {
    ++counters_.failures;
    on_page_(name, Unavailable(Concat("GET ", options_.path, ": got HTTP ", response->head.status,
                                      ", expected 200")));
  } else {
    ++counters_.pages;
    on_page_(name, response->body.text());
  }
}

// At its own pace; times that are over are passed over.
void Scraper::Later(const std::string& name, Target& target) {
  target.due += options_.interval;
  if (const Duration behind = loop_.Now() - target.due; behind > Duration{}) {
    const auto missed = behind / options_.interval + 1;
    counters_.late += static_cast<uint64_t>(missed);
    target.due += options_.interval * missed;
  }
  due_.emplace(target.due, name);
}

}  // namespace tepal::custom_metrics
