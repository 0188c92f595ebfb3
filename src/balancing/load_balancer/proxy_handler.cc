#include "balancing/load_balancer/proxy_handler.h"

#include <utility>

#include "balancing/load_balancer/proxy_exchange.h"

namespace tepal::lb {

ProxyHandler::ProxyHandler(env::EventLoop& loop, std::shared_ptr<Pool> pool,
                           std::shared_ptr<Shared> shared, uint64_t seed)
    : loop_(loop),
      pool_(std::move(pool)),
      shared_(std::move(shared)),
      random_(seed),
      client_(std::make_unique<net::HttpClient>(loop, shared_->options.client)),
      client_high_water_(shared_->options.server_limits.send_high_water_bytes) {
  member_ = pool_->Join(loop, *this);
}

ProxyHandler::~ProxyHandler() {
  pool_->Leave(member_);
  loop_.Cancel(try_timer_);
  client_.reset();
}

std::unique_ptr<http::RequestReceiver> ProxyHandler::OnRequest(http::RequestHead head,
                                                               http::ResponseSender& sender) {
  shared_->statistics.requests.Add();
  const RouteKind route = ClassifyRoute(head.method, head.path());
  auto exchange = std::make_shared<ProxyExchange>(*this, std::move(head), sender, route);
  auto receiver = exchange->NewClientSide();
  exchange->Begin();
  return receiver;
}

bool ProxyHandler::OnGranted(const Pool::Grant& grant) {
  const auto waiting = waiting_.extract(grant.ticket);
  if (waiting.empty()) return false;
  waiting.mapped()->OnGranted(grant);
  return true;
}

void ProxyHandler::OnExpired(Ticket ticket) {
  const auto waiting = waiting_.extract(ticket);
  if (!waiting.empty()) waiting.mapped()->OnExpired();
}

void ProxyHandler::OnSuspected(EndpointId endpoint) {
  std::vector<std::shared_ptr<ProxyExchange>> suspected;
  for (ProxyExchange* exchange : tries_) {
    if (exchange->endpoint() == endpoint) suspected.push_back(exchange->shared_from_this());
  }
  for (const auto& exchange : suspected) exchange->OnSuspected();
}

ProxyHandler::TryList::iterator ProxyHandler::AddTry(ProxyExchange& exchange) {
  tries_.push_back(&exchange);
  if (try_timer_ == 0) ArmTryTimer();
  return std::prev(tries_.end());
}

void ProxyHandler::RemoveTry(TryList::iterator position) { tries_.erase(position); }

// The timer stays armed for a try that has ended; it then looks for the next.
void ProxyHandler::ArmTryTimer() {
  if (tries_.empty()) return;
  try_timer_ = loop_.RunAt(tries_.front()->try_begun() + shared_->options.try_time_max,
                           [this] { OnTryTimer(); });
}

void ProxyHandler::OnTryTimer() {
  try_timer_ = 0;
  while (!tries_.empty() &&
         tries_.front()->try_begun() + shared_->options.try_time_max <= loop_.Now()) {
    const auto late = tries_.front()->shared_from_this();
    late->OnTryTimedOut();
  }
  if (try_timer_ == 0) ArmTryTimer();
}

}  // namespace tepal::lb
