// The server's side of HTTP/2: one receiver for each stream.

#include "core/base/text.h"
#include "network/http/grpc_server.h"
#include "network/http/http2_core.h"
#include "network/http/status_map.h"

namespace tepal::http {

namespace {

class ServerStream final : public Http2Stream, public ResponseSender {
 public:
  ServerStream(Http2Core& core, RequestHandler& handler)
      : Http2Stream(core, true), handler_(handler) {
    head_.version = Version::kHttp2;
    head_.peer = core.host().PeerHost();
  }
  ~ServerStream() override { EndStarving(); }

  // ResponseSender.
  void Respond(ResponseHead head, BufferList body) override {
    if (!open() || started_) return;
    head.content_length = TotalSize(body);
    Submit(head, *head.content_length == 0 || is_head_);
    if (!is_head_) WriteBody(std::move(body));
    FinishBody(nullptr);
  }
  void Start(ResponseHead head) override {
    if (!open() || started_) return;
    Submit(head, is_head_);
  }
  void Write(BufferList body) override {
    if (open() && started_ && !is_head_) WriteBody(std::move(body));
  }
  void Finish(const Headers* trailers) override {
    if (open() && started_) FinishBody(is_head_ ? nullptr : trailers);
  }
  void Interim(int status) override {
    if (!open() || started_ || closed()) return;
    const std::string code = std::to_string(status);
    Http2Fields fields;
    fields.Add(":status", code);
    nghttp2_submit_headers(core_.session(), NGHTTP2_FLAG_NONE, id_, nullptr, fields.data(),
                           fields.size(), nullptr);
    core_.OnActive();
  }
  void Reset(uint32_t http2_error) override {
    if (!open()) return;
    Leave();
    ResetStream(http2_error);
  }
  void ResumeBody() override { ResumeInput(); }
  Buffer AllocateBody(size_t size) override {
    Budget* const budget = core_.limits().body_budget;
    if (budget == nullptr) return core_.limits().NewBody(size);
    // What has come for it and waits has its share already.
    const size_t held = TakeOverHeld(size);
    if (!budget->TryTake(size - held)) {
      ReturnHeld(held);
      Starve();
      return {};
    }
    EndStarving();
    return core_.limits().NewBody(size);
  }
  Budget* body_budget() const override { return core_.limits().body_budget; }
  size_t unsent_bytes() const override { return output_bytes(); }

  void OnSendRoom() override {
    if (open() && receiver_ != nullptr) receiver_->OnSendRoom();
  }
  void OnDisconnect(const Status& why) override {
    Tell(why);
    DropInput();
  }

  std::optional<Instant> InputDeadline() const override {
    if (starved_since_) return retry_at_;
    if (!head_done_) return input_at_ + core_.limits().header_time_max;
    if (input_ended_ || input_done_ || paused_ || is_grpc_) return std::nullopt;
    return input_at_ + core_.limits().body_idle_max;
  }
  void OnDrain() override {
    // Clients may leave their side of an answered call open, for ever.
    if (is_grpc_) ends_when_sent_ = true;
    if (output_done()) return OnOutputDone();
    if (open() && receiver_ != nullptr) receiver_->OnDrain(bytes_waiting());
  }
  void OnInputTimeout() override {
    if (starved_since_) {
      if (core_.now() < *starved_since_ + core_.limits().budget_wait_max) return ResumeInput();
      core_.limits().body_budget->CountRefusal();
      Refuse(503, NoMemoryForBody());
    } else if (head_done_) {
      Refuse(408, DeadlineExceeded("the request's body stopped coming"));
    } else {
      ResetStream(NGHTTP2_CANCEL);
    }
  }

 protected:
  void OnPseudoField(std::string_view name, std::string_view value) override {
    if (name == ":method") head_.method = value;
    if (name == ":path") head_.target = value;
    if (name == ":authority") head_.authority = value;
    if (name == ":scheme") head_.scheme = value;
  }

  void OnHead(bool end_of_stream) override {
    head_done_ = true;
    is_head_ = head_.method == "HEAD";
    head_.headers = std::move(fields_);
    fields_ = Headers();
    head_.has_body = !end_of_stream;
    if (const auto host = head_.headers.Get("host")) {
      if (head_.authority.empty()) head_.authority = *host;
      head_.headers.Remove("host");
    }
    if (const auto length = head_.headers.Get("content-length")) {
      head_.content_length = content_length_ = ParseNumber<uint64_t>(*length);
      head_.headers.Remove("content-length");
    }
    const auto type = head_.headers.Get("content-type");
    is_grpc_ = type.has_value() && type->starts_with("application/grpc");
    if (fields_too_large_) return Refuse(431, InvalidArgument("the header is too large"));
    if (head_.method == "CONNECT") return Refuse(501, Unimplemented("CONNECT"));
    if (content_length_.value_or(0) > core_.limits().body_bytes_max) {
      return Refuse(413, InvalidArgument("the request's body is too large"));
    }
    Begin(end_of_stream);
  }

  void OnBodyEnd(const Headers& trailers) override {
    if (receiver_ != nullptr && !detached_) receiver_->OnRequestEnd(trailers);
  }

  void OnBroken(uint32_t error_code) override {
    Tell(
        Cancelled(Concat("the client has reset the stream: ", nghttp2_http2_strerror(error_code))));
  }

  BodySink* sink() override { return detached_ ? nullptr : receiver_.get(); }
  // A gRPC call may bring any number of messages; each has its own limit (grpc.h).
  uint64_t body_bytes_max() const override {
    return is_grpc_ ? UINT64_MAX : core_.limits().body_bytes_max;
  }
  // Of a message, whose length stands before it.
  bool takes_exact_room() const override { return is_grpc_; }
  void OnBodyTooLarge() override {
    Refuse(413, InvalidArgument("the request's body is too large"));
  }

 private:
  bool open() const { return !detached_ && !output_ended_; }

  void Begin(bool end_of_stream) {
    const bool expects = head_.headers.Get("expect") == "100-continue";
    head_.headers.Remove("expect");
    if (!end_of_stream && !is_grpc_) core_.CheckAt(input_at_ + core_.limits().body_idle_max);
    receiver_ = handler_.OnRequest(std::move(head_), *this);
    TEPAL_CHECK(receiver_ != nullptr);
    if (expects && !started_) Interim(100);
  }

  void Submit(ResponseHead& head, bool end_of_stream) {
    started_ = true;
    if (closed()) return;
    const std::string status = std::to_string(head.status);
    const std::string length = std::to_string(head.content_length.value_or(0));
    Http2Fields fields;
    fields.Add(":status", status);
    fields.AddAll(head.headers);
    const bool says_length = head.content_length.has_value() &&
                             (*head.content_length > 0 || is_head_) && head.status != 204;
    if (says_length) fields.Add("content-length", length);
    const nghttp2_data_provider data = core_.DataOf(*this);
    nghttp2_submit_response(core_.session(), id_, fields.data(), fields.size(),
                            end_of_stream ? nullptr : &data);
    core_.OnActive();
  }

  // The receiver's last call, unless the exchange is over already.
  void Tell(const Status& why) {
    const bool over = output_ended_ && input_done_;
    if (detached_ || over || receiver_ == nullptr) return;
    detached_ = true;
    EndStarving();
    receiver_->OnReset(why);
  }

  void Starve() {
    if (!starved_since_) {
      starved_since_ = core_.now();
      core_.CountStarved(1);
    }
    retry_at_ = core_.now() + kBudgetRetryInterval;
    core_.CheckAt(retry_at_);
  }
  void EndStarving() {
    if (starved_since_) core_.CountStarved(-1);
    starved_since_.reset();
  }

  // The application is out of it.
  void Leave() {
    EndStarving();
    detached_ = true;
    input_done_ = true;
    DropInput();
  }

  // An answer of the session's own; what still comes is thrown away.
  void Refuse(int status, const Status& why) {
    Tell(why);
    Leave();
    if (output_ended_) return;
    if (started_) {
      const bool exhausted = why.code() == StatusCode::kResourceExhausted;
      return ResetStream(exhausted ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_CANCEL);
    }
    ends_when_sent_ = true;
    detached_ = false;
    if (is_grpc_) {
      GrpcRespondError(*this, why);
    } else {
      RespondError(*this, status, why.message());
    }
    detached_ = true;
  }

  RequestHandler& handler_;
  RequestHead head_;
  std::unique_ptr<RequestReceiver> receiver_;
  std::optional<Instant> starved_since_;  // It waits for memory from the budget.
  Instant retry_at_;
  bool is_head_ = false;
  bool is_grpc_ = false;
  bool started_ = false;
  bool detached_ = false;
};

class Http2ServerSession final : public Http2Shell<Session> {
 public:
  Http2ServerSession(const Limits& limits, SessionHost& host, RequestHandler& handler)
      : Http2Shell(true, limits, host), handler_(handler) {}

 private:
  std::unique_ptr<Http2Stream> NewStream() override {
    return std::make_unique<ServerStream>(core_, handler_);
  }
  RequestHandler& handler_;
};

}  // namespace

std::unique_ptr<Session> NewHttp2ServerSession(const Limits& limits, SessionHost& host,
                                               RequestHandler& handler) {
  return std::make_unique<Http2ServerSession>(limits, host, handler);
}

}  // namespace tepal::http
