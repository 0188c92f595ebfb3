#include "balancing/load_balancer/proxy_handler.h"

#include <utility>

#include "balancing/load_balancer/gather.h"
#include "balancing/load_balancer/proxy_exchange.h"
#include "balancing/load_balancer/request_head.h"
#include "network/http/grpc_text.h"

namespace tepal::lb {

namespace {

net::HttpClient::Options ClientOptions(const ProxyOptions& options, bool http2) {
  net::HttpClient::Options client = options.client;
  client.http2 = http2;
  return client;
}

}  // namespace

void ProxyHandler::Shared::SetOptions(ProxyOptions options) {
  replay_budget.SetLimit(options.replay_total_bytes_max);
  *options_.Lock() = std::move(options);
  version_.fetch_add(1, std::memory_order_release);
}

ProxyHandler::ProxyHandler(env::EventLoop& loop, std::shared_ptr<Pool> pool,
                           std::shared_ptr<Shared> shared, uint64_t seed)
    : loop_(loop),
      pool_(std::move(pool)),
      shared_(std::move(shared)),
      options_version_(shared_->version()),
      options_(std::make_shared<const ProxyOptions>(shared_->options())),
      random_(seed),
      client_(std::make_unique<net::HttpClient>(loop, ClientOptions(*options_, false))),
      grpc_client_(std::make_unique<net::HttpClient>(loop, ClientOptions(*options_, true))),
      client_high_water_(options_->server_limits.send_high_water_bytes) {
  member_ = pool_->Join(loop, *this);
}

ProxyHandler::~ProxyHandler() {
  pool_->Leave(member_);
  loop_.Cancel(try_timer_);
  client_.reset();
  grpc_client_.reset();
}

void ProxyHandler::TakeOptions() {
  options_version_ = shared_->version();  // Before the options: these may be newer, never older.
  options_ = std::make_shared<const ProxyOptions>(shared_->options());
  client_->SetConnectTimeMax(options_->client.connect_time_max);
  grpc_client_->SetConnectTimeMax(options_->client.connect_time_max);
}

std::unique_ptr<http::RequestReceiver> ProxyHandler::OnRequest(http::RequestHead head,
                                                               http::ResponseSender& sender) {
  shared_->statistics.requests.Add();
  if (options_version_ != shared_->version()) TakeOptions();
  const bool grpc = http::IsGrpcRequest(head);
  const bool gathered = grpc ? IsGrpcGathered(head.path()) : IsGathered(head);
  // Who may not is told so like everybody else.
  if (auto user = gathered ? WhoGathers(head) : std::nullopt) {
    PrepareHead(head, random_);
    const GatherDoor door{.loop = loop_,
                          .client = grpc ? *grpc_client_ : *client_,
                          .pool = *pool_,
                          .statistics = shared_->statistics,
                          .options = options_,
                          .user = std::move(*user)};
    return grpc ? GatherGrpc(door, head, sender) : Gather(door, head, sender);
  }
  const RouteKind route =
      grpc ? ClassifyGrpc(head.path()) : ClassifyRoute(head.method, head.path());
  auto exchange = std::make_shared<ProxyExchange>(*this, std::move(head), sender, route, grpc);
  auto receiver = exchange->NewClientSide();
  exchange->Begin();
  return receiver;
}

// Empty where nobody is asked; nothing for who may not. Our tokens are not for the endpoints.
std::optional<std::string> ProxyHandler::WhoGathers(http::RequestHead& head) {
  const std::shared_ptr<AccessSource>& access = options_->access;
  if (access == nullptr) return "";
  const std::string_view token = head.headers.Get("authorization").value_or("");
  auto caller = access_cache_.Check(*access, token, loop_.WallNow());
  if (!caller.ok()) return std::nullopt;
  head.headers.Remove("authorization");
  return std::move(caller->name);
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

void ProxyHandler::OnTooLate(Ticket ticket) {
  const auto waiting = waiting_.extract(ticket);
  if (!waiting.empty()) waiting.mapped()->OnTooLate();
}

void ProxyHandler::OnSuspected(EndpointId endpoint) {
  std::vector<std::shared_ptr<ProxyAttempt>> suspected;
  for (const auto& [limit, attempt] : tries_) {
    if (attempt->endpoint() == endpoint) suspected.push_back(attempt->shared_from_this());
  }
  for (const auto& attempt : suspected) attempt->OnSuspected();
}

ProxyHandler::Tries::iterator ProxyHandler::AddTry(ProxyAttempt& attempt, Instant limit) {
  const auto added = tries_.emplace(limit, &attempt);
  if (limit != Instant::max() && (try_timer_ == 0 || limit < try_timer_at_)) ArmTryTimer();
  return added;
}

// The timer stays armed for a try that has ended; it then looks for the next.
void ProxyHandler::ArmTryTimer() {
  if (tries_.empty() || tries_.begin()->first == Instant::max()) return;
  if (try_timer_ != 0) loop_.Cancel(try_timer_);
  try_timer_at_ = tries_.begin()->first;
  try_timer_ = loop_.RunAt(try_timer_at_, [this] { OnTryTimer(); });
}

void ProxyHandler::OnTryTimer() {
  try_timer_ = 0;
  while (!tries_.empty() && tries_.begin()->first <= loop_.Now()) {
    const auto late = tries_.begin()->second->shared_from_this();
    late->OnLimit();
  }
  if (try_timer_ == 0) ArmTryTimer();
}

}  // namespace tepal::lb
