// One request of the client, from Send to its receiver's last call.
//
// Three hold it: the handle that the application has, the queue of those that wait for a
// connection, and the relay that the session owns in place of the application's receiver. Owned by
// one loop.

#pragma once

#include <memory>

#include "network/net/connection.h"
#include "network/net/http_client.h"

namespace tepal::net {

class ClientCall final : public http::RequestSender,
                         public std::enable_shared_from_this<ClientCall> {
 public:
  // `active` is counted down when the call is over.
  ClientCall(http::RequestHead head, bool end_of_request,
             std::unique_ptr<http::ResponseReceiver> receiver, std::shared_ptr<uint32_t> active);
  ~ClientCall() override { Leave(); }

  // Gives the request to the session with everything written so far. False: it takes no more. When
  // the request is given up, so is `connection`, unless it is null (HTTP/2, which can tell).
  bool Begin(http::ClientSession& session, Connection* connection);

  // It never reached a connection, or the client goes.
  void Fail(const Status& why);

  // Waiting for a connection, and somebody still wants the answer.
  bool waiting() const { return phase_ == Phase::kWaiting; }

  // The application lets go of its handle.
  void Abandon();

  // http::RequestSender:
  void Write(BufferList body) override;
  void Finish(const http::Headers* trailers) override;
  void Cancel() override { Abandon(); }
  void ResumeBody() override;
  size_t unsent_bytes() const override;

 private:
  class Relay;
  enum class Phase { kWaiting, kSent, kOver };

  void Leave();

  http::RequestHead head_;
  bool request_ended_;
  std::unique_ptr<http::ResponseReceiver> receiver_;  // Until it is given to the relay.
  std::shared_ptr<uint32_t> active_;
  Phase phase_ = Phase::kWaiting;
  http::RequestSender* sender_ = nullptr;
  Connection* connection_ = nullptr;
  BufferList body_;  // Written before there was a connection.
  std::unique_ptr<http::Headers> trailers_;
};

}  // namespace tepal::net
