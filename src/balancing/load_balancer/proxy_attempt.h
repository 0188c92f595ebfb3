// One try of a request on one endpoint: from its grant until its answer has come or it is given up.
//
// Sends the request, keeps the moment at which its exchange wants to be asked about it, and takes
// in what comes back. What any of that means is for the exchange to say (proxy_exchange.h). Once
// it is left nothing comes of it any more, whatever its connection still brings. Owned by its
// exchange, and held by the receiver that its session owns; one loop.

#pragma once

#include <memory>
#include <optional>

#include "balancing/load_balancer/proxy_handler.h"
#include "balancing/load_balancer/replay_body.h"
#include "serving/kserve_wire/model_load.h"

namespace tepal::lb {

class ProxyAttempt : public std::enable_shared_from_this<ProxyAttempt> {
 public:
  // What has come back.
  struct Answer {
    http::ResponseHead head;
    Instant head_at{};      // When it came.
    Instant heard_at{};     // When the last of the answer did, as far as there is any.
    int status = 0;         // As HTTP's, also of a gRPC call.
    bool holding = false;   // It is collected before it is passed on.
    bool streamed = false;  // Some of it is with the client.
    std::optional<ReplayBody> body;
    std::optional<ModelLoad> load;          // What the endpoint said of itself.
    std::optional<http::Headers> trailers;  // Without that.
  };

  ProxyAttempt(ProxyExchange& exchange, const Pool::Grant& grant);

  // Sends what there is of the request. The try may be over, and its exchange with the next one,
  // when this returns.
  void Send();
  // Lets go of it, whatever state it is in: an endpoint that works on it is told so.
  void Leave();
  bool left() const { return left_; }

  // How long its exchange lets it go, before it is asked how it is.
  void WaitUntil(Instant limit);

  // More of a request whose head has been sent.
  void Write(Buffer piece);
  void Finish();
  size_t unsent_bytes() const;
  // The client takes more of the answer.
  void ResumeAnswer();
  bool paused() const { return paused_; }

  const Pool::Grant& grant() const { return grant_; }
  EndpointId endpoint() const { return grant_.endpoint; }
  const env::Address& address() const;
  Instant begun() const { return begun_; }

  // From the handler: its limit has come; its endpoint fails its health checks.
  void OnLimit();
  void OnSuspected();

  Answer answer;
  bool rescue_over = false;  // Nothing more is done about its taking longer than usual.

 private:
  class EndpointSide;

  void OnHead(http::ResponseHead head);
  std::span<std::byte> AnswerRoom(size_t expected);
  void OnAnswerBody(size_t bytes);
  void OnAnswerEnd(const http::Headers& trailers);
  void OnFailure(const http::ResponseReceiver::Failure& failure);
  void TakeLoad(http::Headers& headers);
  void StopWaiting();

  ProxyExchange& exchange_;  // Holds it until it is left.
  const Pool::Grant grant_;
  const Instant begun_;
  bool left_ = false;
  std::unique_ptr<net::HttpClient::Exchange> upstream_;
  bool sending_ = false;
  std::optional<http::ResponseReceiver::Failure> failed_at_once_;
  std::optional<ProxyHandler::Tries::iterator> position_;
  bool paused_ = false;  // The client takes no more for now.
};

}  // namespace tepal::lb
