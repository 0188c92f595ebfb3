#include "network/net/client_call.h"

namespace tepal::net {

// Passes everything on to the application's receiver, and tells the call when it is over.
class ClientCall::Relay final : public http::ResponseReceiver {
 public:
  Relay(std::shared_ptr<ClientCall> call, std::unique_ptr<http::ResponseReceiver> receiver)
      : call_(std::move(call)), receiver_(std::move(receiver)) {}

  std::span<std::byte> BodyRoom(size_t expected) override { return receiver_->BodyRoom(expected); }
  void OnBody(size_t bytes) override { receiver_->OnBody(bytes); }
  void OnResponse(http::ResponseHead head) override { receiver_->OnResponse(std::move(head)); }
  void OnSendRoom() override { receiver_->OnSendRoom(); }
  void OnResponseEnd(const http::Headers& trailers) override {
    call_->Leave();
    receiver_->OnResponseEnd(trailers);
  }
  void OnFailure(const Failure& failure) override {
    call_->Leave();
    receiver_->OnFailure(failure);
  }

 private:
  const std::shared_ptr<ClientCall> call_;
  const std::unique_ptr<http::ResponseReceiver> receiver_;
};

ClientCall::ClientCall(http::RequestHead head, bool end_of_request,
                       std::unique_ptr<http::ResponseReceiver> receiver,
                       std::shared_ptr<uint32_t> active)
    : head_(std::move(head)),
      request_ended_(end_of_request),
      receiver_(std::move(receiver)),
      active_(std::move(active)) {
  ++*active_;
}

bool ClientCall::Begin(http::ClientSession& session, Connection* connection) {
  // The caller keeps this object alive. The receiver is lost with a session that says no after all,
  // so its capacity is asked first.
  if (session.Capacity() == 0) return false;
  const bool whole = request_ended_ && body_.empty() && trailers_ == nullptr;
  phase_ = Phase::kSent;
  http::RequestSender* const sender =
      session.Send(head_, whole, std::make_unique<Relay>(shared_from_this(), std::move(receiver_)));
  if (phase_ == Phase::kOver) return true;  // Failed at once; the receiver knows.
  TEPAL_CHECK(sender != nullptr);
  sender_ = sender;
  connection_ = connection;
  if (whole) return true;
  if (!body_.empty()) sender_->Write(std::exchange(body_, {}));
  if (request_ended_ && sender_ != nullptr) sender_->Finish(trailers_.get());
  return true;
}

void ClientCall::Fail(const Status& why) {
  if (phase_ != Phase::kWaiting) return;
  Leave();
  const std::unique_ptr<http::ResponseReceiver> receiver = std::move(receiver_);
  receiver->OnFailure({why, true});
}

void ClientCall::Leave() {
  if (phase_ == Phase::kOver) return;
  phase_ = Phase::kOver;
  sender_ = nullptr;
  connection_ = nullptr;
  --*active_;
}

void ClientCall::Abandon() {
  http::RequestSender* const sender = sender_;
  Connection* const connection = connection_;
  Leave();
  receiver_.reset();
  if (sender == nullptr) return;
  if (connection != nullptr) connection->AbortOnClose();
  sender->Cancel();
}

void ClientCall::Write(BufferList body) {
  if (request_ended_ || phase_ == Phase::kOver) return;
  if (sender_ != nullptr) return sender_->Write(std::move(body));
  for (Buffer& piece : body) body_.push_back(std::move(piece));
}

void ClientCall::Finish(const http::Headers* trailers) {
  if (request_ended_ || phase_ == Phase::kOver) return;
  request_ended_ = true;
  if (sender_ != nullptr) return sender_->Finish(trailers);
  if (trailers != nullptr) trailers_ = std::make_unique<http::Headers>(*trailers);
}

void ClientCall::ResumeBody() {
  if (sender_ != nullptr) sender_->ResumeBody();
}

size_t ClientCall::unsent_bytes() const {
  return sender_ != nullptr ? sender_->unsent_bytes() : TotalSize(body_);
}

}  // namespace tepal::net
