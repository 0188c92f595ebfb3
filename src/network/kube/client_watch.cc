#include "network/kube/client_watch.h"

#include "core/base/text.h"

namespace tepal::kube {
namespace {

constexpr size_t kErrorBodyBytesMax = 1 << 20;
constexpr size_t kReadBytes = 16 << 10;

}  // namespace

// Outlived or not by the call: the session owns it.
class WatchCall::Receiver final : public http::ResponseReceiver {
 public:
  explicit Receiver(std::weak_ptr<WatchCall> call) : call_(std::move(call)) {}

  void OnResponse(http::ResponseHead head) override {
    if (const auto call = call_.lock()) call->OnHead(std::move(head));
  }
  std::span<std::byte> BodyRoom(size_t) override {
    if (room_.empty()) room_.resize(kReadBytes);
    return std::as_writable_bytes(std::span(room_));
  }
  void OnBody(size_t bytes) override {
    if (const auto call = call_.lock()) call->OnBytes(std::string_view(room_.data(), bytes));
  }
  void OnResponseEnd(const http::Headers&) override {
    if (const auto call = call_.lock()) call->OnBodyEnd();
  }
  void OnFailure(const Failure& failure) override {
    if (const auto call = call_.lock()) call->OnFailure(failure.why);
  }

 private:
  const std::weak_ptr<WatchCall> call_;
  std::string room_;
};

void WatchCall::ArmTimer(Duration time_max) {
  timer_ = loop_.RunAfter(time_max, [this] {
    timer_ = 0;
    End(FailedAnswer(DeadlineExceeded("the server has not ended the watch in its time")));
  });
}

void WatchCall::Begin(net::HttpClient& http, const env::Address& to, http::RequestHead head) {
  if (closed_ || ended_) return;
  exchange_ = http.Send(to, std::move(head), true, std::make_unique<Receiver>(weak_from_this()));
}

void WatchCall::OnHead(http::ResponseHead head) {
  http_status_ = head.status;
  retry_after_ = head.headers.Get("retry-after").value_or(std::string_view());
}

void WatchCall::OnBytes(std::string_view bytes) {
  if (ended_) return;
  if (http_status_ != 200) {
    error_body_.append(bytes.substr(0, kErrorBodyBytesMax - error_body_.size()));
    return;
  }
  std::vector<WatchEvent> events;
  const Status fed = decoder_.Feed(bytes, events);
  for (WatchEvent& event : events) events_.push_back(std::move(event));
  if (!fed.ok()) return End(FailedAnswer(fed));
  if (!events_.empty()) Schedule();
}

void WatchCall::OnBodyEnd() {
  if (http_status_ == 401 && on_unauthorized) on_unauthorized();
  if (http_status_ != 200) return End(MakeAnswer(http_status_, error_body_, retry_after_));
  const Status whole = decoder_.Finish();
  End(whole.ok() ? Answer() : FailedAnswer(whole));
}

void WatchCall::OnFailure(const Status& why) {
  if (!ended_ && on_transport_failure) on_transport_failure();
  End(FailedAnswer(why));
}

void WatchCall::End(Answer answer) {
  if (ended_ || closed_) return;
  ended_ = std::move(answer);
  Schedule();
}

void WatchCall::Schedule() {
  if (scheduled_ || closed_) return;
  scheduled_ = true;
  loop_.Post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->Deliver();
  });
}

void WatchCall::Deliver() {
  scheduled_ = false;
  while (!closed_ && !events_.empty()) {
    WatchEvent event = std::move(events_.front());
    events_.pop_front();
    on_event_(std::move(event));
  }
  if (closed_ || !ended_) return;
  Answer answer = *std::move(ended_);
  Client::Done on_end = std::move(on_end_);
  Close();
  on_end(std::move(answer));
}

void WatchCall::Close() {
  closed_ = true;
  events_.clear();
  exchange_.reset();
  if (timer_ != 0) loop_.Cancel(std::exchange(timer_, 0));
}

}  // namespace tepal::kube
