// One request of a client, from its head to the last byte of its answer, over as many tries as it
// takes.
//
//   collect the body (small) or not (large) -> ask the pool -> try -> answer
//                                                  ^            |
//                                                  +-- again ---+   (retry.h says when)
//
// A try that takes long may get a second one beside it (hedging.h).
//
// proxy_exchange.cc has the client's side, proxy_tries.cc what becomes of the tries
// (proxy_attempt.h), proxy_hedge.cc two of them at a time, proxy_answer.cc what the client gets,
// proxy_access.cc who may and what is logged. Held by the receivers that the sessions own, and by
// the handler while it waits. Owned by one loop.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "balancing/load_balancer/grpc_terms.h"
#include "balancing/load_balancer/proxy_attempt.h"
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

 private:
  friend class ProxyAttempt;
  class ClientSide;
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

  // From its try.
  void OnHead(ProxyAttempt& attempt);
  void OnTryFailed(ProxyAttempt& attempt, const http::ResponseReceiver::Failure& failure);
  void OnLimit(ProxyAttempt& attempt);
  void OnQuiet(ProxyAttempt& attempt);
  void OnSuspected(ProxyAttempt& attempt);
  bool MayHold(const http::ResponseHead& answer) const;
  void StreamAnswer(ProxyAttempt& attempt);
  bool ClientTakesMore() const;
  void PassOnPiece(Buffer piece);

  bool MayEnter();
  uint64_t HashKeyOfRequest() const;
  void Ask();
  void OnAdmitted(const Pool::Admitted& admitted);
  void StartTry(const Pool::Grant& grant);
  bool Rescue(ProxyAttempt& attempt, std::string why);
  bool SaysUnknownModel(const ProxyAttempt& attempt, const http::Headers* trailers) const;
  bool MayFindModelElsewhere(const ProxyAttempt& attempt) const;
  http::RequestHead HeadOfTry() const;
  Instant LimitOf(const ProxyAttempt& attempt) const;
  std::vector<EndpointId> TriedWith(const ProxyAttempt& attempt) const;
  void GiveUpLate(const ProxyAttempt& attempt);
  bool CloseTry(ProxyAttempt& attempt, TryEnd end, const http::Headers* trailers);
  void Hedge(const ProxyAttempt& first);
  ProxyAttempt* Beside(const ProxyAttempt& attempt) const;
  void Outrun(const ProxyAttempt& winner);
  void GoOnWithout(const ProxyAttempt& attempt);
  void CancelTries();
  void EndTry(ProxyAttempt& attempt, TryEnd end, const http::Headers* trailers = nullptr);
  bool Late() const { return Now() >= deadline_; }
  RetryFacts Facts(const ProxyAttempt& attempt, TryEnd end) const;
  void CountTry(const ProxyAttempt& attempt, TryEnd end);
  void TryAgain(ProxyAttempt& attempt, bool unprocessed, TryEnd end);
  void PassOn(ProxyAttempt& attempt, const http::Headers* trailers);
  void PassOnHeld(ProxyAttempt& attempt, http::ResponseSender& sender,
                  const http::Headers* trailers);
  void BreakOff(const ProxyAttempt& attempt);
  void Fail(const ProxyAttempt& attempt, TryEnd end);
  void AnswerError(int status, std::string message);
  void Done(int status);
  void CountSent(size_t bytes);
  void LogAccess(int status);
  void SetRequestId(http::Headers& answer) const;

  const ProxyOptions& options() const { return *options_; }
  ProxyStatistics& statistics() { return handler_.shared_->statistics; }
  Instant Now() const { return handler_.loop_.Now(); }

  ProxyHandler& handler_;
  const std::shared_ptr<const ProxyOptions> options_ = handler_.options_;
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

  std::shared_ptr<ProxyAttempt> attempt_;  // The latest try, or the first of two at a time.
  std::shared_ptr<ProxyAttempt> hedge_;    // The second of them.
  bool hedge_asked_ = false;               // Whether there should be one; it is asked once.
  bool hedged_ = false;                    // There was.
  uint32_t tries_ = 0;
  uint32_t tries_unprocessed_ = 0;
  std::vector<EndpointId> tried_;
  std::string last_error_;

  // For the access log: proxy_access.cc.
  uint64_t bytes_received_ = 0;
  uint64_t bytes_sent_ = 0;
  Instant waiting_since_{};
  Duration waited_{};
  std::vector<AccessEntry::Try> log_tries_;
  std::string log_error_;
  std::string user_;
  bool broken_off_ = false;
};

}  // namespace tepal::lb
