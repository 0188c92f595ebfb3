// What one gathered request (gather.h) counts for, and its one line in the access log, whose tries
// are the endpoints that were asked. Owned by one loop, by the gathering.

#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "balancing/load_balancer/gather.h"
#include "balancing/load_balancer/request_head.h"

namespace tepal::lb {

class GatherRecord {
 public:
  // `head` outlives it.
  GatherRecord(const GatherDoor& door, const http::RequestHead& head);
  // Without a word of what became of it: its body was refused as it came, or the balancer stops.
  ~GatherRecord();
  GatherRecord(const GatherRecord&) = delete;
  GatherRecord& operator=(const GatherRecord&) = delete;

  void OnRequest(size_t bytes, std::string_view model = {});
  // One of those asked has answered, or will not.
  void OnReplica(const std::string& endpoint);
  // The client has its answer; `error` is the balancer's own.
  void OnAnswered(int status, size_t bytes, std::string_view error = {});
  void OnClientGone();

 private:
  void Log(int status, std::string_view error);

  const GatherDoor door_;
  const http::RequestHead& head_;
  const Instant begun_;
  bool come_ = false;  // The whole of the request.
  bool over_ = false;
  std::string model_;
  uint64_t bytes_received_ = 0;
  uint64_t bytes_sent_ = 0;
  std::vector<AccessEntry::Try> tries_;
};

}  // namespace tepal::lb
