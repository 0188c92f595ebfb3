// One request of a client, from its head to the last byte of its answer, over as many tries as it
// takes.
//
//   collect the body (small) or not (large) -> ask the pool -> try -> answer
//                                                  ^            |
//                                                  +-- again ---+   (retry.h says when)
//
// proxy_exchange.cc has the client's side and the tries, proxy_answer.cc what comes back,
// proxy_access.cc who may and what is logged. Held by
// the receivers that the two sessions own, and by the handler while it waits. Owned by one loop.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "balancing/load_balancer/grpc_terms.h"
#include "balancing/load_balancer/proxy_handler.h"
#include "balancing/load_balancer/replay_body.h"
#include "serving/kserve_wire/request_facts.h"

namespace tepal::lb {

class ProxyExchange : public std::enable_shared_from_this<ProxyExchange> {
 public:
  ProxyExchange(ProxyHandler& handler, http::RequestHead head, http::ResponseSender& sender,
                RouteKind route, bool grpc);

  // Makes the client's side; then Begin, once.
  std::unique_ptr<http::RequestReceiver> NewClientSide();
  void Begin();

  // From the handler.
  void OnGranted(const Pool::Grant& grant);
  void OnExpired();
  void OnTooLate();
  void OnTryTimedOut();
  void OnSuspected();
  EndpointId endpoint() const { return grant_.endpoint; }

 private:
  class ClientSide;
  class EndpointSide;
  enum class Phase { kCollecting, kWaiting, kTrying, kDone };

  // The client's side.
  std::span<std::byte> RequestRoom(size_t expected);
  void OnRequestBody(size_t bytes);
  void OnRequestEnd();
  void OnClientGone();
  void OnClientRoom();
  void OnClientDrain(size_t bytes_waiting);
  void ResumeRequest();
  void LearnSize();
  void LearnFacts();
  void LearnDeadline();
  void EndAtBoundary();

  // The endpoint's side.
  void OnAnswer(http::ResponseHead head);
  std::span<std::byte> AnswerRoom(size_t expected);
  void OnAnswerBody(size_t bytes);
  void OnAnswerEnd(const http::Headers& trailers);
  void OnTryFailed(const http::ResponseReceiver::Failure& failure);
  void OnEndpointRoom();
  std::unique_ptr<http::ResponseReceiver> NewEndpointSide(uint64_t attempt);
  bool MayHold() const;
  void StreamAnswer();

  void PrepareHead();
  bool MayEnter();
  uint64_t HashKeyOfRequest() const;
  void Ask();
  void OnAdmitted(const Pool::Admitted& admitted);
  void StartTry(const Pool::Grant& grant);
  bool Rescue(std::string why);
  void TakeLoad(http::Headers& headers);
  bool SaysUnknownModel(const http::Headers* trailers) const;
  bool MayFindModelElsewhere() const;
  http::RequestHead HeadOfTry() const;
  Instant LimitOfTry() const;
  const env::Address& AddressOfTry() const;
  void LeaveTry();
  void EndTry(TryEnd end, const http::Headers* trailers = nullptr);
  bool Late() const { return Now() >= deadline_; }
  RetryFacts Facts(TryEnd end) const;
  void CountTry(TryEnd end);
  void TryAgain(bool unprocessed, TryEnd end);
  void PassOn(const http::Headers* trailers);
  void PassOnHeld(http::ResponseSender& sender, const http::Headers* trailers);
  void BreakOff();
  void Fail(TryEnd end);
  void AnswerError(int status, std::string message);
  void Done(int status);
  void CountSent(size_t bytes);
  void LogAccess(int status);
  void SetRequestId();

  const ProxyOptions& options() const { return handler_.shared_->options; }
  ProxyStatistics& statistics() { return handler_.shared_->statistics; }
  Instant Now() const { return handler_.loop_.Now(); }

  ProxyHandler& handler_;
  http::RequestHead head_;
  http::ResponseSender* sender_;  // Null when the client's exchange is over.
  const RouteKind route_;
  const bool grpc_;
  RequestFacts facts_;
  const Instant begun_;
  Instant deadline_ = Instant::max();      // By grpc-timeout.
  Instant useful_until_ = Instant::max();  // By that, or what else the request says.
  const Ticket ticket_;
  Phase phase_ = Phase::kCollecting;

  ReplayBody body_;
  bool request_ended_;
  bool request_paused_ = false;
  GrpcBoundary boundary_;                  // Of kCall's request.
  std::optional<size_t> bytes_until_end_;  // The server drains: the call ends after so many.
  bool cut_short_ = false;                 // And has.

  Pool::Grant grant_;  // Of the latest try.
  uint64_t attempt_ = 0;
  uint32_t tries_ = 0;
  uint32_t tries_unprocessed_ = 0;
  std::vector<EndpointId> tried_;
  Instant try_begun_{};
  bool rescue_over_ = false;  // Nothing more is done about its taking longer than usual.
  std::unique_ptr<net::HttpClient::Exchange> upstream_;
  bool sending_ = false;
  std::optional<http::ResponseReceiver::Failure> failed_at_once_;
  std::optional<ProxyHandler::Tries::iterator> try_position_;  // While there is no head.
  std::string last_error_;

  http::ResponseHead answer_;
  int answer_status_ = 0;      // As HTTP's, also of a gRPC call.
  bool holding_ = false;       // The answer is collected before it is passed on.
  bool answer_begun_ = false;  // It is being streamed.
  bool answer_paused_ = false;
  std::optional<ReplayBody> answer_body_;

  // For the access log: proxy_access.cc.
  uint64_t bytes_received_ = 0;
  uint64_t bytes_sent_ = 0;
  Instant waiting_since_{};
  Duration waited_{};
  std::vector<AccessEntry::Try> log_tries_;
  std::string log_error_;
  std::string user_;
  bool broken_off_ = false;
  std::optional<ModelLoad> load_;          // What the endpoint said of itself.
  std::optional<http::Headers> trailers_;  // Without that.
};

}  // namespace tepal::lb
