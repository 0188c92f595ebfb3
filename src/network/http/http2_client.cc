// The client's side of HTTP/2.

#include "core/base/text.h"
#include "network/http/http2_core.h"

namespace tepal::http {

namespace {

// How RFC 9113 error codes read as canonical codes, by the table of gRPC's protocol document.
Status FromErrorCode(uint32_t error_code) {
  const std::string text =
      Concat("the server has reset the stream: ", nghttp2_http2_strerror(error_code));
  switch (error_code) {
    case NGHTTP2_REFUSED_STREAM:
      return Unavailable(text);
    case NGHTTP2_CANCEL:
      return Cancelled(text);
    case NGHTTP2_ENHANCE_YOUR_CALM:
      return ResourceExhausted(text);
    case NGHTTP2_INADEQUATE_SECURITY:
      return {StatusCode::kPermissionDenied, text};
    default:
      return Internal(text);
  }
}

class ClientStream final : public Http2Stream, public RequestSender {
 public:
  ClientStream(Http2Core& core, std::unique_ptr<ResponseReceiver> receiver)
      : Http2Stream(core, false), receiver_(std::move(receiver)) {}

  // The stream's id; negative when nghttp2 takes no more requests.
  int32_t Submit(const RequestHead& head, bool end_of_request) {
    const std::string length = std::to_string(head.content_length.value_or(0));
    Http2Fields fields;
    fields.Add(":method", head.method);
    fields.Add(":scheme", head.scheme.empty() ? std::string_view("http") : head.scheme);
    if (!head.authority.empty()) fields.Add(":authority", head.authority);
    fields.Add(":path", head.target.empty() ? std::string_view("/") : head.target);
    fields.AddAll(head.headers);
    if (!end_of_request && head.content_length) fields.Add("content-length", length);
    output_ended_ = end_of_request;
    const nghttp2_data_provider data = core_.DataOf(*this);
    return nghttp2_submit_request(core_.session(), nullptr, fields.data(), fields.size(),
                                  end_of_request ? nullptr : &data, nullptr);
  }

  void Write(BufferList body) override {
    if (receiver_ != nullptr && !output_ended_) WriteBody(std::move(body));
  }
  void Finish(const Headers* trailers) override {
    if (receiver_ != nullptr && !output_ended_) FinishBody(trailers);
  }
  void Cancel() override {
    if (receiver_ == nullptr) return;
    core_.Retire(std::move(receiver_));
    DropInput();
    ResetStream(NGHTTP2_CANCEL);
    MaybeForget();
  }
  void ResumeBody() override { ResumeInput(); }
  size_t unsent_bytes() const override { return output_bytes(); }

  void OnSendRoom() override {
    if (receiver_ != nullptr && !output_ended_) receiver_->OnSendRoom();
  }
  void OnDisconnect(const Status& why) override {
    const bool unprocessed = !wire_offset_ || !core_.WasWritten(*wire_offset_);
    Fail({why, unprocessed});
    DropInput();
  }
  std::optional<Instant> InputDeadline() const override { return std::nullopt; }
  void OnInputTimeout() override {}

 protected:
  void OnPseudoField(std::string_view name, std::string_view value) override {
    if (name == ":status") status_ = ParseNumber<int>(value).value_or(0);
  }

  void OnHead(bool end_of_stream) override {
    if (fields_too_large_) {
      Fail({Internal("the response's header is too large"), false});
      DropInput();
      return ResetStream(NGHTTP2_CANCEL);
    }
    if (status_ < 200) return fields_.Clear();  // Interim.
    head_done_ = true;
    ResponseHead head;
    head.status = status_;
    head.headers = std::move(fields_);
    fields_ = Headers();
    head.has_body = !end_of_stream;
    if (const auto length = head.headers.Get("content-length")) {
      head.content_length = ParseNumber<uint64_t>(*length);
      if (head.has_body) content_length_ = head.content_length;
      head.headers.Remove("content-length");
    }
    if (receiver_ != nullptr) receiver_->OnResponse(std::move(head));
  }

  void OnBodyEnd(const Headers& trailers) override {
    if (receiver_ == nullptr) return;
    std::unique_ptr<ResponseReceiver> receiver = std::move(receiver_);
    receiver->OnResponseEnd(trailers);
    core_.Retire(std::move(receiver));
    // The rest of the request is not worth sending.
    if (!output_done()) ResetStream(NGHTTP2_CANCEL);
  }

  void OnBroken(uint32_t error_code) override {
    Fail({FromErrorCode(error_code), error_code == NGHTTP2_REFUSED_STREAM});
  }

  BodySink* sink() override { return receiver_.get(); }
  uint64_t body_bytes_max() const override { return UINT64_MAX; }
  void OnBodyTooLarge() override {}

 private:
  void Fail(const ResponseReceiver::Failure& failure) {
    if (receiver_ == nullptr) return;
    std::unique_ptr<ResponseReceiver> receiver = std::move(receiver_);
    receiver->OnFailure(failure);
    core_.Retire(std::move(receiver));
  }

  std::unique_ptr<ResponseReceiver> receiver_;
  int status_ = 0;
};

// Until the server's settings are known.
constexpr uint32_t kStreamsAtFirstMax = 100;

class Http2ClientSession final : public Http2Shell<ClientSession> {
 public:
  Http2ClientSession(const Limits& limits, SessionHost& host) : Http2Shell(false, limits, host) {}

  RequestSender* Send(const RequestHead& head, bool end_of_request,
                      std::unique_ptr<ResponseReceiver> receiver) override {
    if (Capacity() == 0) return nullptr;
    auto stream = std::make_unique<ClientStream>(core_, std::move(receiver));
    const int32_t id = stream->Submit(head, end_of_request);
    if (id < 0) return nullptr;
    ClientStream* const sender = stream.get();
    core_.Add(id, std::move(stream));
    core_.OnActive();
    return sender;
  }

  uint32_t Capacity() const override {
    if (!core_.accepts_streams()) return 0;
    nghttp2_session* const session = core_.session();
    if (nghttp2_session_check_request_allowed(session) == 0) return 0;
    uint32_t most =
        core_.settings_received()
            ? nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS)
            : kStreamsAtFirstMax;
    most = std::min(most, core_.limits().streams_max);
    const auto used = static_cast<uint32_t>(core_.streams());
    return most > used ? most - used : 0;
  }

 private:
  std::unique_ptr<Http2Stream> NewStream() override { return nullptr; }
};

}  // namespace

std::unique_ptr<ClientSession> NewHttp2ClientSession(const Limits& limits, SessionHost& host) {
  return std::make_unique<Http2ClientSession>(limits, host);
}

}  // namespace tepal::http
