// Who may send a request, and what is written down of it once it is over.

#include <utility>

#include "balancing/load_balancer/proxy_exchange.h"
#include "balancing/load_balancer/request_head.h"

namespace tepal::lb {

void ProxyExchange::CountSent(size_t bytes) {
  statistics().bytes_sent.Add(bytes);
  bytes_sent_ += bytes;
}

// Health is open: probes have no tokens. The endpoint does not get ours.
bool ProxyExchange::MayEnter() {
  const auto caller = handler_.access_cache_.Check(
      *options().access, head_.headers.Get("authorization").value_or(""), handler_.loop_.WallNow());
  if (!caller.ok()) {
    statistics().unauthorized.Add();
    AnswerError(401, caller.status().message());
    return false;
  }
  user_ = caller->name;
  head_.headers.Remove("authorization");
  return true;
}

// The client has its request's id back, from the endpoint or from us.
void ProxyExchange::SetRequestId(http::Headers& answer) const {
  constexpr std::string_view kName = "x-request-id";
  if (answer.Has(kName)) return;
  if (const auto id = head_.headers.Get(kName)) answer.Add(kName, *id);
}

// `status` as Done has it.
void ProxyExchange::LogAccess(int status) {
  const Instant now = Now();
  AccessEntry entry = EntryOf(head_);
  entry.time_total = now - begun_;
  entry.time = handler_.loop_.WallNow() - entry.time_total;
  entry.user = user_;
  if (entry.model.empty()) entry.model = facts_.model;
  entry.upstream = options().upstream;
  entry.broken_off = broken_off_;
  entry.hedged = hedged_;
  entry.status = broken_off_ ? attempt_->answer.status : status == 0 ? kStatusClientGone : status;
  entry.error = log_error_.empty() ? last_error_ : log_error_;
  entry.tries = std::move(log_tries_);
  entry.time_waited = waited_;
  entry.bytes_received = bytes_received_;
  entry.bytes_sent = bytes_sent_;
  (void)options().access_log->Write(AccessLine(entry));
}

}  // namespace tepal::lb
