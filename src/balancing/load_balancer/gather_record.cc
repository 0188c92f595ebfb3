#include "balancing/load_balancer/gather_record.h"

#include <utility>

namespace tepal::lb {

namespace {

constexpr int kRefusedBody = 413;

}  // namespace

GatherRecord::GatherRecord(const GatherDoor& door, const http::RequestHead& head)
    : door_(door), head_(head), begun_(door.loop.Now()) {
  door_.statistics.active.fetch_add(1, std::memory_order_relaxed);
}

GatherRecord::~GatherRecord() {
  door_.statistics.active.fetch_sub(1, std::memory_order_relaxed);
  if (!come_ && !over_) Log(kRefusedBody, "its body was refused");
}

void GatherRecord::OnRequest(size_t bytes, std::string_view model) {
  come_ = true;
  model_ = model;
  bytes_received_ = bytes;
  door_.statistics.bytes_received.Add(bytes);
}

void GatherRecord::OnReplica(const std::string& endpoint) {
  if (door_.options->access_log == nullptr || over_) return;
  tries_.push_back({endpoint, door_.loop.Now() - begun_});
}

void GatherRecord::OnAnswered(int status, size_t bytes, std::string_view error) {
  ProxyStatistics& statistics = door_.statistics;
  statistics.responses.Add(status);
  statistics.latency.Record(ToMicroseconds(door_.loop.Now() - begun_));
  statistics.bytes_sent.Add(bytes);
  if (status >= 500 && !error.empty()) statistics.failed.Add();
  bytes_sent_ = bytes;
  Log(status, error);
}

void GatherRecord::OnClientGone() {
  door_.statistics.client_gone.Add();
  Log(kStatusClientGone, {});
}

void GatherRecord::Log(int status, std::string_view error) {
  over_ = true;
  if (door_.options->access_log == nullptr) return;
  AccessEntry entry = EntryOf(head_);
  entry.time_total = door_.loop.Now() - begun_;
  entry.time = door_.loop.WallNow() - entry.time_total;
  entry.user = door_.user;
  if (!model_.empty()) entry.model = model_;
  entry.upstream = door_.options->upstream;
  entry.status = status;
  entry.error = error;
  entry.tries = std::move(tries_);
  entry.bytes_received = bytes_received_;
  entry.bytes_sent = bytes_sent_;
  (void)door_.options->access_log->Write(AccessLine(entry));
}

}  // namespace tepal::lb
