// Gets the pages of many targets, again and again, from one event loop.
//
// Each target has its own time, so that a thousand of them are spread over the interval by
// themselves; a target that has just come is asked at once. So many requests at a time, a limit on
// time and size of each; a target that is still being asked when its time comes again is passed
// over. Connections are kept. It reads no page and decides nothing.

#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "core/base/function.h"
#include "core/env/event_loop.h"
#include "network/net/http_client.h"

namespace tepal::custom_metrics {

class Scraper {
 public:
  struct Options {
    Duration interval = 1s;
    Duration time_max = 900ms;  // Of one request.
    Duration connect_time_max = 500ms;
    size_t in_flight_max = 128;
    uint64_t page_bytes_max = 4 << 20;
    std::string path = "/metrics";
    std::string bearer_token;  // Empty: none.
  };
  struct Counters {
    uint64_t pages = 0;
    uint64_t failures = 0;
    uint64_t late = 0;  // Times passed over.
  };
  // Runs on the loop for each page, or why there is none. It may add and remove targets, not
  // destroy the scraper.
  using OnPage = Function<void(const std::string& target, Result<std::string_view> page)>;

  Scraper(env::EventLoop& loop, Options options, OnPage on_page);
  ~Scraper();

  // Of a target that is there with another address, the address changes.
  void Set(const std::string& target, const env::Address& address);
  void Remove(const std::string& target);

  size_t targets() const { return targets_.size(); }
  const Counters& counters() const { return counters_; }

 private:
  struct Target {
    env::Address address;
    uint64_t number = 0;  // Another one under the same name has another.
    Instant due{};
    bool active = false;
  };

  void Arm();
  void RunDue();
  void Fetch(const std::string& name, Target& target);
  void OnResponse(const std::string& name, uint64_t number,
                  Result<net::HttpClient::Response> response);
  void Later(const std::string& name, Target& target);

  env::EventLoop& loop_;
  const Options options_;
  OnPage on_page_;
  std::map<std::string, Target> targets_;
  std::set<std::pair<Instant, std::string>> due_;  // Of those that are not active.
  uint64_t made_ = 0;
  size_t active_ = 0;
  Counters counters_;
  env::EventLoop::TimerId timer_ = 0;
  Instant timer_at_{};
  std::unique_ptr<net::HttpClient> http_;  // Last: its end ends every request.
};

}  // namespace tepal::custom_metrics
