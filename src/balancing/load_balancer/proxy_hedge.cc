// Two tries of one request at a time (hedging.h), and which of them counts.
//
//   the first takes long -> Hedge -> a good head comes -> Outrun: the other is cancelled
//                             |
//                             +---> one ends without one -> GoOnWithout: the other is all there is

#include <utility>

#include "balancing/load_balancer/proxy_exchange.h"

namespace tepal::lb {

void ProxyExchange::Hedge(const ProxyAttempt& first) {
  const HedgeFacts facts{.route = route_,
                         .sequence = facts_.sequence != 0,
                         .whole = request_ended_ && body_.kept(),
                         .tries_begun = tries_ - tries_unprocessed_};
  if (!MayHedge(facts, options().tries_max)) return;
  const auto grant = handler_.pool_->Hedge(first.grant(), TriedWith(first), Now());
  if (!grant.has_value()) return;
  hedged_ = true;
  ++tries_;
  const auto second = hedge_ = std::make_shared<ProxyAttempt>(*this, *grant);
  second->Send();
}

// The other of two that are under way.
ProxyAttempt* ProxyExchange::Beside(const ProxyAttempt& attempt) const {
  if (hedge_ == nullptr) return nullptr;
  return attempt_.get() == &attempt ? hedge_.get() : attempt_.get();
}

// The head of an answer has come. An error does not count while the other try may still succeed.
void ProxyExchange::Outrun(const ProxyAttempt& winner) {
  ProxyAttempt* const loser = Beside(winner);
  const http::ResponseHead& head = winner.answer.head;
  const bool refused =
      grpc_ && head.headers.Has("grpc-status") && HttpStatusOfGrpcAnswer(head, nullptr) != 200;
  if (loser == nullptr || head.status >= 400 || refused) return;
  // Only of the one that began first does it say how long it takes at least.
  const bool waited = loser == attempt_.get() && loser->answer.status == 0;
  const std::shared_ptr<ProxyAttempt> held = loser->shared_from_this();
  (void)CloseTry(*held, waited ? TryEnd::kOutrun : TryEnd::kCancelled, nullptr);
  GoOnWithout(*held);
}

// One of two is closed.
void ProxyExchange::GoOnWithout(const ProxyAttempt& attempt) {
  tried_.push_back(attempt.endpoint());
  if (attempt_.get() == &attempt) attempt_ = hedge_;
  hedge_.reset();
}

// Nobody waits for them any more.
void ProxyExchange::CancelTries() {
  for (const auto& attempt : {std::exchange(hedge_, nullptr), attempt_}) {
    if (attempt != nullptr) (void)CloseTry(*attempt, TryEnd::kCancelled, nullptr);
  }
}

}  // namespace tepal::lb
